//! Private servers as people use them: the real `dgns host` and `dgns connect`, a real `dgnsd` between them, real WebRTC.

mod append;
mod database;
mod evil;
mod guests;
mod liar;
mod nat;
mod news;
mod nodes;
mod rules;
mod served;
mod standing;
mod untold;
mod verbs;

use std::fs;
use std::path::{Path, PathBuf};

use dgns_tests::harness::programs::Ran;
use dgns_tests::harness::running::Running;
use dgns_tests::harness::{Person, Seed, Server, Site};
use serde_json::Value;
use tempfile::TempDir;

/// The name that is hosted.
pub(crate) const NAME: &str = "db.alice.dgns.test";

/// A server, alice who hosts a directory, and bob.
pub(crate) struct Scene {
    pub site: Site,
    pub server: Server,
    pub alice: Person,
    pub bob: Person,
    directory: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::at(Site::new())
    }

    /// As [`Scene::new`], with a server that is configured otherwise.
    pub(crate) fn at(site: Site) -> Self {
        let server = site.start();
        let (alice, bob) = (Person::new(), Person::new());
        alice.up(&server, "alice");
        alice.dgns(&server, &["claim", "db.alice"]).exits(0);
        bob.up(&server, "bob");
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let scene = Self { site, server, alice, bob, directory };
        fs::create_dir_all(scene.served().join("logs")).expect("a directory");
        scene
    }

    /// The directory that is served.
    pub(crate) fn served(&self) -> PathBuf {
        self.directory.path().join("served")
    }

    /// A path beside it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file that is served.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        fs::write(self.served().join(path), bytes).expect("a file");
    }

    /// Hosts the directory and waits until the lobby knows.
    pub(crate) fn host(&self, arguments: &[&str]) -> Running {
        self.host_at(&self.server.url, arguments)
    }

    /// As [`Scene::host`], through whatever answers at `url`.
    pub(crate) fn host_at(&self, url: &str, arguments: &[&str]) -> Running {
        let served = self.served();
        let all = [&["host", "--name", "db.alice", text(&served)], arguments].concat();
        let host = self.alice.dgns_running(url, &all);
        told(&host, "online");
        host
    }

    /// Runs `dgns connect` as bob.
    pub(crate) fn connect(&self, arguments: &[&str]) -> Ran {
        self.connect_at(&self.server.url, arguments)
    }

    /// As [`Scene::connect`], through whatever answers at `url`.
    pub(crate) fn connect_at(&self, url: &str, arguments: &[&str]) -> Ran {
        self.bob.dgns_at(url, &[&["connect", NAME], arguments].concat(), "")
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the tests is text")
}

/// Returns the next event of a kind that a host tells.
pub(crate) fn told(host: &Running, kind: &str) -> Value {
    loop {
        let event = host.event();
        if event["event"] == kind {
            return event;
        }
    }
}

/// Bytes without a pattern, the same for the same seed.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    Seed::from(seed).bytes(length)
}
