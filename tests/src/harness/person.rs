//! A person with a device: a home of `dgns`, and what its commands said.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::programs::{Ran, program, run};
use super::running::Running;
use super::server::Server;

/// The name of the zone every test serves.
pub const ZONE: &str = "dgns.test";

/// One device of somebody: a home that nobody else uses.
#[derive(Debug)]
pub struct Person {
    home: PathBuf,
    /// The network namespace its commands run in.
    network: Option<String>,
    /// Gone with the person; absent if the home is part of another's.
    _directory: Option<TempDir>,
}

impl Person {
    /// Returns a person who has nothing yet.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        Self { home: directory.path().to_owned(), network: None, _directory: Some(directory) }
    }

    /// Returns a person with a name of their own.
    pub fn with_name(server: &Server, name: &str) -> Self {
        let person = Self::new();
        person.up(server, name);
        person
    }

    /// Returns whoever has the keys in a home that somebody else made.
    pub fn in_home(home: PathBuf) -> Self {
        Self { home, network: None, _directory: None }
    }

    /// Moves to another network namespace.
    pub fn moves_to(&mut self, network: &str) {
        self.network = Some(network.to_owned());
    }

    /// Returns the home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the evidence this home keeps against the log.
    pub fn evidence(&self) -> Vec<PathBuf> {
        let directory = self.home().join(ZONE).join("evidence");
        let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
        entries.map(|entry| entry.expect("the home can be read").path()).collect()
    }

    /// Runs `dgns --json` against a server.
    pub fn dgns(&self, server: &Server, arguments: &[&str]) -> Ran {
        self.dgns_at(&server.url, arguments, "")
    }

    /// As [`Person::dgns`], with `input` on standard input.
    pub fn dgns_with_input(&self, server: &Server, arguments: &[&str], input: &str) -> Ran {
        self.dgns_at(&server.url, arguments, input)
    }

    /// As [`Person::dgns`], with any URL.
    pub fn dgns_at(&self, url: &str, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(url);
        command.arg("--json").args(arguments);
        run(command, input)
    }

    /// Starts `dgns --json` against any URL, for commands that go on.
    pub fn dgns_running(&self, url: &str, arguments: &[&str]) -> Running {
        let mut command = self.command(url);
        command.arg("--json").args(arguments);
        Running::start(command)
    }

    /// Runs `dgns` for human eyes.
    pub fn dgns_in_text(&self, server: &Server, arguments: &[&str]) -> Ran {
        let mut command = self.command(&server.url);
        command.args(arguments);
        run(command, "")
    }

    /// Claims a first name. Returns the words.
    pub fn up(&self, server: &Server, name: &str) -> String {
        let ran = self.dgns(server, &["up", name]);
        ran.exits(0).text("/words")
    }

    fn command(&self, url: &str) -> Command {
        let mut command = match &self.network {
            None => Command::new(program("dgns")),
            Some(network) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", network]).arg(program("dgns"));
                command
            }
        };
        command.arg("--home").arg(self.home()).arg("--server").arg(url);
        command.env_remove("DGNS_HOME").env_remove("DGNS_SERVER");
        command
    }
}

impl Default for Person {
    fn default() -> Self {
        Self::new()
    }
}
