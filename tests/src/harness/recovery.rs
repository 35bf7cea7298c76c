//! A `dgnsd recovery` and the directory it lives in.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::issuer::Issuer;
use super::programs::{Ran, program, run};
use super::server::Server;

/// A directory in which one recovery server is started, again and again at the same address.
#[derive(Debug)]
pub struct RecoverySite {
    directory: TempDir,
    operator: String,
    port: Cell<u16>,
    passkeys: String,
    domain: String,
    issuers: String,
}

impl RecoverySite {
    /// Returns the site of an operator, whose domain is named after it.
    pub fn new(operator: &str) -> Self {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let domain = format!("{}.example", operator.to_lowercase().replace(' ', "-"));
        Self {
            directory,
            operator: operator.to_owned(),
            port: Cell::new(0),
            passkeys: String::new(),
            domain,
            issuers: String::new(),
        }
    }

    /// Returns the site with servers that take the passkeys of these pages.
    pub fn with_passkeys(self, pages: &str) -> Self {
        Self { passkeys: pages.to_owned(), ..self }
    }

    /// Returns the site with servers that believe one issuer more.
    pub fn with_issuer(mut self, url: &str, audience: &str) -> Self {
        self.issuers.push_str(&format!("[[issuers]]\nissuer = {url:?}\naudience = {audience:?}\n"));
        self
    }

    /// Returns the site of somebody with another domain.
    pub fn of_domain(self, domain: &str) -> Self {
        Self { domain: domain.to_owned(), ..self }
    }

    /// Returns the directory of the database.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts the server of a log that is believed by its key alone, and of issuers. Panics if it does not start.
    pub fn start(&self, log: &Server, believed: &[&Issuer]) -> Server {
        self.start_as(log, "quorum none\n", believed, &["--dev"])
    }

    /// Starts the server of a log whose heads need the quorum of a policy. Panics if it does not start.
    pub fn start_under(&self, log: &Server, policy: &str, believed: &[&Issuer]) -> Server {
        self.start_as(log, policy, believed, &[])
    }

    fn start_as(&self, log: &Server, policy: &str, believed: &[&Issuer], more: &[&str]) -> Server {
        let policy = format!("log {}\n{policy}", log.vkey());
        let started = self.try_start(&log.url, &policy, believed, more);
        let server = started.unwrap_or_else(|ran| panic!("the recovery server does not start: {ran}"));
        self.port.set(server.http.port());
        server
    }

    /// Starts the server under a policy. Errors: how it ended instead of coming up.
    pub fn try_start(&self, log: &str, policy: &str, believed: &[&Issuer], more: &[&str]) -> Result<Server, Ran> {
        let mut command = self.command(log, policy, believed, more);
        command.arg("--json").env("DGNS_LOG", "warn");
        Server::start(command, &self.log())
    }

    /// Runs `dgnsd recovery` with these arguments to its end.
    pub fn run(&self, log: &str, policy: &str, believed: &[&Issuer], more: &[&str]) -> Ran {
        run(self.command(log, policy, believed, more), "")
    }

    /// Returns the file with what the server wrote to standard error.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("recovery.log")
    }

    /// Copies the database as it is; no server may run.
    pub fn disk(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.data()).expect("the data can be read");
        let paths = entries.map(|entry| entry.expect("the data can be read").path());
        let database = paths.filter(|path| path.to_string_lossy().contains("recovery.db"));
        database.map(|path| (path.clone(), fs::read(&path).expect("a file can be read"))).collect()
    }

    /// Puts an old database in the place of the newest.
    pub fn put_disk(&self, disk: &[(PathBuf, Vec<u8>)]) {
        self.disk().iter().for_each(|(path, _)| fs::remove_file(path).expect("a file can be removed"));
        disk.iter().for_each(|(path, bytes)| fs::write(path, bytes).expect("a file can be written"));
    }

    fn command(&self, log: &str, policy: &str, believed: &[&Issuer], more: &[&str]) -> Command {
        let at = self.directory.path();
        fs::write(at.join("log.policy"), policy).expect("the site can be written to");
        let issuer = |issuer: &&Issuer| format!("[[issuers]]\nissuer = {:?}\naudience = \"dgns\"\n", issuer.url);
        let text = format!(
            "data = {:?}\noperator = {:?}\npasskeys = {:?}\ndomain = {:?}\nhttp.listen = \"127.0.0.1:{}\"\nlog.url = {log:?}\nlog.policy = {:?}\n{}",
            self.data(),
            self.operator,
            self.passkeys,
            self.domain,
            self.port.get(),
            at.join("log.policy"),
            believed.iter().map(issuer).collect::<String>() + &self.issuers,
        );
        fs::write(at.join("recovery.toml"), text).expect("the site can be written to");
        let mut command = Command::new(program("dgnsd"));
        command.arg("recovery").args(more).arg("--config").arg(at.join("recovery.toml"));
        command
    }
}
