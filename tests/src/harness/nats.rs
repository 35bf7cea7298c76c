//! A real nats-server.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use super::{ports, wait};

/// A nats-server; dropping it kills it.
#[derive(Debug)]
pub struct Nats {
    child: Child,
    port: u16,
}

impl Nats {
    /// Starts one at a port.
    pub fn start(port: u16) -> Self {
        let program = ["/usr/sbin/nats-server", "/usr/bin/nats-server"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists());
        let program = program.expect("nats-server is installed (tests/run installs it)");
        let mut command = Command::new(program);
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait::until("nats-server listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, port }
    }

    /// Starts one.
    pub fn on_a_free_port() -> Self {
        Self::start(ports::free())
    }

    /// Returns what `nats.urls` is to be.
    pub fn url(&self) -> String {
        format!("[\"nats://127.0.0.1:{}\"]", self.port)
    }

    /// Kills it; returns its port.
    pub fn kill(mut self) -> u16 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.port
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
