//! Where a server lives: a directory with its data and its configuration, that outlives the process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use tempfile::TempDir;

use super::person::ZONE;
use super::programs::{Ran, program, run};
use super::server::Server;

/// A data directory with a configuration; servers are started on it one after another.
///
/// Unless told otherwise: free ports, one bit of work, a window floor of one second, no passkeys, no limits of how many certificates.
#[derive(Debug)]
pub struct Site {
    directory: TempDir,
    data: PathBuf,
    zone: String,
    settings: BTreeMap<(&'static str, &'static str), String>,
    /// What the server writes to standard error, as `DGNS_LOG` has it.
    logging: &'static str,
}

/// A copy of a data directory as it was once.
#[derive(Debug)]
pub struct Snapshot(TempDir);

impl Site {
    /// Returns a site with nothing in it yet.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let data = directory.path().join("data");
        Self { directory, data, zone: ZONE.to_owned(), settings: BTreeMap::new(), logging: "warn" }
            .with("http", "listen", "\"127.0.0.1:0\"")
            .with("dns", "listen", "[\"127.0.0.1:0\"]")
            .with("claims", "work_bits", "1")
            .with("claims", "window_floor_s", "1")
            .with("signin", "passkeys", "false") // they make a notary: two entries of the log that few tests want
            .with("limits", "certificates_per_hour", "0")
            .with("limits", "certificates_per_day", "0")
            .with("limits", "records_per_hour", "0")
    }

    /// Returns the site with a key of the configuration set; `value` as TOML writes it.
    pub fn with(mut self, section: &'static str, key: &'static str, value: &str) -> Self {
        self.settings.insert((section, key), value.to_owned());
        self
    }

    /// Returns the site with another zone.
    pub fn with_zone(mut self, zone: &str) -> Self {
        zone.clone_into(&mut self.zone);
        self
    }

    /// Returns the site with servers that write more, or less, to standard error.
    pub fn with_logging(mut self, logging: &'static str) -> Self {
        self.logging = logging;
        self
    }

    /// Returns the site with its data somewhere else.
    pub fn with_data_in(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self
    }

    /// Returns the data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Starts a server and waits until it is ready. Panics if it does not start.
    pub fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|ran| panic!("the server does not start: {ran}"))
    }

    /// Starts a server. Errors: how it ended instead of coming up.
    pub fn try_start(&self) -> Result<Server, Ran> {
        Server::start(self.serve(), &self.log())
    }

    /// Starts a server that must not come up; returns how it ended.
    pub fn start_in_vain(&self) -> Ran {
        match self.try_start() {
            Ok(server) => panic!("the server started: {}", server.ready),
            Err(ran) => ran,
        }
    }

    /// Starts a server without waiting for anything.
    pub fn start_blindly(&self) -> std::process::Child {
        let log = fs::File::create(self.log()).expect("the site can be written to");
        let mut command = self.serve();
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(log);
        command.spawn().expect("the server can be run")
    }

    /// Runs `dgnsd` with `arguments` and `--data`.
    pub fn dgnsd(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(program("dgnsd"));
        command.args(arguments).arg("--data").arg(&self.data);
        run(command, "")
    }

    /// Copies the data directory; no server may run on it.
    pub fn snapshot(&self) -> Snapshot {
        let copy = tempfile::tempdir().expect("temporary directories can be made");
        copy_tree(&self.data, copy.path()).expect("the data can be copied");
        Snapshot(copy)
    }

    /// Puts back what a snapshot holds, except for what `keep` names below the data directory.
    pub fn restore(&self, snapshot: &Snapshot, keep: &[&str]) {
        let kept: Vec<_> =
            keep.iter().map(|name| (*name, fs::read(self.data.join(name)).expect("it is there"))).collect();
        fs::remove_dir_all(&self.data).expect("the data can be removed");
        copy_tree(snapshot.0.path(), &self.data).expect("the data can be copied back");
        for (name, bytes) in kept {
            fs::write(self.data.join(name), bytes).expect("a file can be written");
        }
    }

    /// Takes over the data of another site; no server may run on it.
    pub fn restore_from(&self, data: &Path) {
        copy_tree(data, &self.data).expect("the data can be copied");
    }

    /// Runs `dgnsd keys`: the policy lines of a server that was perhaps never started.
    pub fn keys(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(program("dgnsd"));
        command.arg("keys").args(arguments).arg("--config").arg(self.written());
        run(command, "")
    }

    /// Runs `dgnsd notary` with the configuration, at a running server, with `input` on standard input.
    pub fn notary(&self, server: &Server, arguments: &[&str], input: &str) -> Ran {
        let mut command = Command::new(program("dgnsd"));
        command.arg("notary").args(arguments).arg("--json").arg("--server").arg(&server.url);
        command.arg("--config").arg(self.written());
        run(command, input)
    }

    /// Writes a file beside the configuration; returns its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).expect("the site can be written to");
        path
    }

    fn written(&self) -> PathBuf {
        self.file("dgnsd.toml", &self.configuration())
    }

    fn serve(&self) -> Command {
        let path = self.written();
        let mut command = Command::new(program("dgnsd"));
        command.arg("serve").arg("--json").arg("--config").arg(path).env("DGNS_LOG", self.logging);
        // Memory in pages of 4 KiB: a huge page counts 2 MiB for its first byte, which is noise in what a test compares.
        command.env("MIMALLOC_ALLOW_THP", "0");
        command
    }

    fn configuration(&self) -> String {
        let mut text = format!("data = {:?}\nzone = {:?}\n", self.data.display().to_string(), self.zone);
        for ((section, key), value) in &self.settings {
            text.push_str(&format!("{section}.{key} = {value}\n"));
        }
        text
    }

    /// Returns the file with what the server wrote to standard error.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("dgnsd.log")
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns an address of this process alone, so that ports can be named before they are bound.
pub fn loopback() -> String {
    let [.., b, c, d] = std::process::id().to_be_bytes();
    format!("127.{}.{}.{}", 64 + b % 64, c, d.clamp(1, 254))
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_tree(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(|_| ())?,
        }
    }
    Ok(())
}
