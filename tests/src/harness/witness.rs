//! A `dgnsd witness` and the directory it lives in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use identity::hash::Hash;
use tempfile::TempDir;
use translog::note::{Checkpoint, Note, VerifierKey};

use super::http::Answer;
use super::programs::{Ran, program, run};
use super::server::Server;

/// The name every witness of the tests signs under.
pub const NAME: &str = "w.example/witness";

/// Files and what they hold.
pub type Copied = Vec<(PathBuf, Vec<u8>)>;

/// A directory in which witnesses are started, one after another.
#[derive(Debug)]
pub struct WitnessSite {
    directory: TempDir,
}

impl WitnessSite {
    /// Returns a site with nothing in it yet.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("temporary directories can be made") }
    }

    /// Returns the data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts a witness of these logs, each a vkey and, behind a space, perhaps a URL. Panics if it does not start.
    pub fn start(&self, logs: &[&str]) -> Server {
        self.try_start(logs, &[]).unwrap_or_else(|ran| panic!("the witness does not start: {ran}"))
    }

    /// Starts a witness with a verifier beside it.
    pub fn start_verifier(&self, logs: &[&str]) -> Server {
        self.try_start(logs, &["--verifier"]).unwrap_or_else(|ran| panic!("the witness does not start: {ran}"))
    }

    /// Starts a witness. Errors: how it ended instead of coming up.
    pub fn try_start(&self, logs: &[&str], arguments: &[&str]) -> Result<Server, Ran> {
        let mut command = Command::new(program("dgnsd"));
        command.args(["witness", "--json", "--http", "127.0.0.1:0", "--name", NAME, "--data"]).arg(self.data());
        command.args(logs.iter().flat_map(|log| ["--log", log])).args(arguments).env("DGNS_LOG", "warn");
        Server::start(command, &self.directory.path().join("witness.log"))
    }

    /// Runs `dgnsd witness` with these arguments to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(program("dgnsd"));
        command.arg("witness").args(arguments).arg("--data").arg(self.data());
        run(command, "")
    }

    /// Copies the witness's database as it is; no witness may run.
    pub fn database(&self) -> Copied {
        let own =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("witness.db"));
        let files = files(&self.data()).into_iter().filter(own);
        files.map(|path| (path.clone(), fs::read(path).expect("a file can be read"))).collect()
    }

    /// Puts a copy in the place of the witness's database.
    pub fn put_database(&self, copy: &Copied) {
        self.database().iter().for_each(|(path, _)| fs::remove_file(path).expect("a file can be removed"));
        copy.iter().for_each(|(path, bytes)| fs::write(path, bytes).expect("a file can be written"));
    }

    /// Returns the evidence files.
    pub fn evidence(&self) -> Vec<PathBuf> {
        files(&self.data().join("evidence"))
    }
}

impl Default for WitnessSite {
    fn default() -> Self {
        Self::new()
    }
}

/// Submits a checkpoint to a cosigner, `witness` or `verifier`.
pub fn submit(server: &Server, role: &str, body: &[u8]) -> Answer {
    server.post(&format!("/{role}/add-checkpoint"), body)
}

/// Returns what a note says if `key` signed it; panics if it did not.
pub fn cosigned(note: &[u8], key: &str) -> (u64, Hash) {
    let note = Note::parse(note).expect("a cosigned checkpoint is a note");
    note.verify(&[VerifierKey::parse(key).expect("a vkey")]).expect("the witness signed");
    let checkpoint = Checkpoint::parse_extended(note.text()).expect("a checkpoint");
    (checkpoint.size, checkpoint.root)
}

/// Returns the files of a directory, sorted; none if there is no such directory.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a directory can be read").path()).collect();
    files.sort();
    files
}
