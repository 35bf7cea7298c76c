//! A server as a process of its own: what it uses, and its end.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dgns_tests::harness::wait;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::sleep;

/// A server that runs.
pub struct Process {
    pub address: SocketAddr,
    pid: u32,
    child: Option<Child>,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Process {
    /// Returns a process that somebody else ends.
    pub fn of(pid: u32, address: SocketAddr) -> Self {
        Self { address, pid, child: None }
    }

    /// Starts a server and waits until it takes connections.
    pub fn start(mut command: Command, address: SocketAddr) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        wait::until("the peer listens", || TcpStream::connect(address).ok());
        Ok(Self { address, pid: child.id(), child: Some(child) })
    }

    /// Returns the processor time it used, in ticks of 10 ms.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).expect("it runs");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
        // Counted from the space after the name: utime is the 14th field of the line, stime the 15th.
        let ticks = |place: usize| fields[place].parse::<u64>().expect("a number");
        Duration::from_millis((ticks(12) + ticks(13)) * 10)
    }

    /// Returns what it holds in memory once that no longer falls.
    pub async fn settled_kib(&self) -> u64 {
        let mut least = u64::MAX;
        for _ in 0..8 {
            sleep(Duration::from_millis(500)).await;
            least = least.min(self.resident_kib());
        }
        least
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).expect("a number")
    }
}

/// Lets this process and those it starts open as many files as there may be.
pub fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Returns an address that is free now.
pub fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    listener.local_addr().expect("a bound socket has an address")
}

/// Where the peers are installed.
pub fn peers() -> PathBuf {
    let exe = std::env::current_exe().expect("a process knows its executable");
    let target = exe.ancestors().nth(3).expect("a bench lies in target/<profile>/deps");
    target.join("lobby-peers")
}

/// Runs an installer; its last words if it fails.
pub fn install(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!("{command:?}: {}", text.lines().last().unwrap_or("it failed")))
        }
    }
}
