//! A real unbound: a resolver between a server and whoever asks, with a cache of its own.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{ports, wait};

/// An unbound; dropping it kills it.
#[derive(Debug)]
pub struct Unbound {
    child: Child,
    /// Where it answers, by UDP and TCP.
    pub address: SocketAddr,
    _directory: TempDir,
}

impl Unbound {
    /// Starts one that asks `server` for all of `zone`. `anchor` is a DS or DNSKEY of the zone: with one it validates.
    pub fn before(server: SocketAddr, zone: &str, anchor: Option<&str>) -> Self {
        let program =
            ["/usr/sbin/unbound", "/usr/bin/unbound"].into_iter().find(|path| std::path::Path::new(path).exists());
        let program = program.expect("unbound is installed (tests/run installs it)");
        let directory = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let modules = if anchor.is_some() { "validator iterator" } else { "iterator" };
        let anchor = anchor.map_or(String::new(), |anchor| format!("  trust-anchor: \"{anchor}\"\n"));
        let top = zone.rsplit('.').next().unwrap();
        let configuration = format!(
            "server:\n  interface: 127.0.0.1@{port}\n  port: {port}\n  do-daemonize: no\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  \
             directory: \"{directory}\"\n  use-syslog: no\n  logfile: \"{directory}/log\"\n  num-threads: 1\n  do-ip6: no\n  \
             do-not-query-localhost: no\n  access-control: 127.0.0.0/8 allow\n  module-config: \"{modules}\"\n  \
             local-zone: \"{top}.\" nodefault\n{anchor}stub-zone:\n  name: \"{zone}.\"\n  stub-addr: {host}@{at}\n\
             remote-control:\n  control-enable: no\n",
            port = address.port(),
            directory = directory.path().display(),
            host = server.ip(),
            at = server.port(),
        );
        let file = directory.path().join("unbound.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(program);
        command.arg("-d").arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        wait::until("unbound listens", || {
            if let Some(ended) = child.try_wait().unwrap() {
                let log = std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
                panic!("unbound ended: {ended} {log}");
            }
            std::net::TcpStream::connect(address).ok()
        });
        Self { child, address, _directory: directory }
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
