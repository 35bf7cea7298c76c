//! Pebble, an ACME authority of its makers for tests, which asks one DNS server for all it wants to know.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::certificate::{Authority, Certificate};
use super::programs::run;
use super::{ports, wait};

/// A real pebble; dropping it kills it.
#[derive(Debug)]
pub struct Pebble {
    child: Option<Child>,
    dns: SocketAddr,
    ports: [u16; 2],
    authority: Authority,
    shown: Certificate,
    /// Of its files.
    pub directory: TempDir,
}

impl Pebble {
    /// Returns one that runs and asks this server.
    pub fn asking(dns: SocketAddr) -> Self {
        let mut made = Self::before(dns);
        made.start();
        made
    }

    /// Returns one that does not run yet.
    pub fn before(dns: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let authority = Authority::new();
        let shown = authority.signs("directory", "localhost");
        Self { child: None, dns, ports: [ports::free(), ports::free()], authority, shown, directory }
    }

    /// Runs it. What an authority of before knew is forgotten.
    pub fn start(&mut self) {
        let [port, management] = self.ports;
        let settings = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": self.shown.certificate, "privateKey": self.shown.key,
            "httpPort": 1, "tlsPort": 1, "ocspResponderURL": "", "externalAccountBindingRequired": false,
        }});
        std::fs::write(self.at("pebble.json"), settings.to_string()).expect("the directory can be written to");
        let mut command = Command::new("pebble");
        command.arg("-config").arg(self.at("pebble.json")).args(["-dnsserver", &self.dns.to_string()]);
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("pebble is installed (tests/run installs it)"));
        wait::until("pebble listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    }

    /// Ends it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Returns the URL of its directory.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.ports[0])
    }

    /// Returns the file of the root that the certificate of its directory is below.
    pub fn root_of_directory(&self) -> PathBuf {
        self.authority.root()
    }

    /// Returns a file of the root that what it issues now is below.
    pub fn root(&self) -> PathBuf {
        let (root, url) = (self.at("root.pem"), format!("https://127.0.0.1:{}/roots/0", self.ports[1]));
        let mut command = Command::new("curl");
        command.args(["-s", "-S", "-f", "--cacert"]).arg(self.root_of_directory()).arg("-o").arg(&root).arg(url);
        run(command, "").exits(0);
        root
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}
