//! A PostgreSQL of Debian for tests: a cluster in a directory of its own, reached by a socket in it.
//!
//! `DGNS_TEST_POSTGRES` names the directory of one that runs already (`tests/run` starts it); else each process of tests starts its
//! own. Whoever stops or kills the server has one to itself ([`Postgres::start`]).
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part, and not each as a library")]

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The user the server runs as where the tests run as root, which it refuses: Debian's `nobody`.
const NOBODY: u32 = 65_534;

/// Where Debian puts the programs, the newest version last.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// A running cluster.
pub struct Postgres {
    dir: PathBuf,
    /// Ends the server when its input does, however this process ends. None: it is somebody else's.
    keeper: Option<Child>,
}

impl Postgres {
    /// Returns the cluster that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var_os("DGNS_TEST_POSTGRES") {
            Some(dir) => Self { dir: dir.into(), keeper: None },
            None => Self::start(),
        })
    }

    /// Starts a cluster.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("dgns-pg-").tempdir().expect("a directory").keep();
        if is_root() {
            chown(&dir, Some(NOBODY), Some(NOBODY)).expect("the directory given to another user");
        }
        let data = dir.join("data");
        let made = as_user("initdb")
            .args(["-A", "trust", "-U", "dgns", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output();
        let made = made.expect("initdb: install postgresql");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut cluster = Self { dir, keeper: None };
        cluster.run();
        cluster
    }

    /// Starts the server on the data that is there, and returns once it answers.
    pub fn run(&mut self) {
        let server = as_user("postgres");
        let mut line: Vec<String> = vec![server.get_program().to_string_lossy().into_owned()];
        line.extend(server.get_args().map(|argument| argument.to_string_lossy().into_owned()));
        let (data, dir) = (self.dir.join("data"), self.dir.display().to_string());
        line.extend(["-D".into(), data.display().to_string(), "-k".into(), dir, "-c".into()]);
        line.extend(["listen_addresses=".into(), "-c".into(), "max_connections=200".into()]);
        // The shell ends the server when its own input ends: because it was told to, or because this process is gone.
        let script = "\"$@\" >>\"$0\" 2>&1 & server=$!; read -r word; kill -QUIT $server; wait $server; [ -n \"$word\" ] || rm -rf \"${0%/log}\"";
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(script).arg(self.dir.join("log")).args(line);
        self.keeper = Some(keeper.stdin(Stdio::piped()).spawn().expect("a shell"));
        for _ in 0..600 {
            let ready = as_user("pg_isready").arg("-q").arg("-h").arg(&self.dir).status();
            if ready.is_ok_and(|status| status.success()) {
                return;
            }
            let _ = Command::new("sleep").arg("0.05").status();
        }
        panic!("PostgreSQL does not start: {}", std::fs::read_to_string(self.dir.join("log")).unwrap_or_default());
    }

    /// Ends the server at once, as a crash does, and waits until it is gone.
    pub fn crash(&mut self) {
        let mut keeper = self.keeper.take().expect("a server of this test's own");
        if let Some(mut input) = keeper.stdin.take() {
            // To the postmaster: SIGQUIT ends all its processes without a word to disk.
            let _ = input.write_all(b"QUIT\n");
        }
        keeper.wait().expect("it ends");
    }

    /// Makes an empty database, and returns its URL.
    pub fn new_database(&self) -> String {
        // Many processes share a cluster, and their ids come again.
        let name = format!("t{:016x}", RandomState::new().build_hasher().finish());
        let made = as_user("createdb").args(["-U", "dgns", "-h"]).arg(&self.dir).arg(&name).output().expect("createdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        format!("postgresql://dgns@localhost/{name}?host={}", self.dir.display())
    }

    /// Returns the directory of its socket.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.keeper.is_some() {
            self.crash();
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Returns one of PostgreSQL's programs, to be run as somebody it accepts.
fn as_user(program: &str) -> Command {
    let versions = std::fs::read_dir(PROGRAMS).into_iter().flatten().filter_map(Result::ok);
    let newest = versions.map(|version| version.path().join("bin")).max().expect("install postgresql");
    if !is_root() {
        return Command::new(newest.join(program));
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(newest.join(program));
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}
