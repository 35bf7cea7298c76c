//! The servers, and what they use of the machine.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dgns_tests::harness::certificate::Certificate;
use dgns_tests::harness::secondary::{Primary, Secondary};
use dgns_tests::harness::{ports, wait};

use crate::ZONE;

/// Where servers run that are measured, and where whoever asks them does.
const FIRST_CORE: &str = "0";
/// See [`FIRST_CORE`].
pub const SECOND_CORE: &str = "1";

const KEY: &str = "hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The variable that makes this program an echo, with its port.
const ECHO: &str = "DGNS_BENCH_ECHO";

/// A server that runs.
pub struct Peer {
    pub name: &'static str,
    pub ports: Ports,
    pid: u32,
    running: Running,
}

/// Where on 127.0.0.1 it listens; 0: it does not.
#[derive(Clone, Copy, Default)]
pub struct Ports {
    pub udp: u16,
    pub tls: u16,
    pub https: u16,
    /// Where certificates are posted.
    pub http: u16,
}

enum Running {
    Child(Child),
    /// It ends when it is dropped.
    Secondary(#[expect(dead_code, reason = "held, not used")] Secondary),
}

/// Ticks of 10 ms that a server and its children used.
#[derive(Clone, Copy)]
pub struct Ticks {
    pub user: f64,
    pub system: f64,
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Running::Child(child) = &mut self.running {
            // dgnsd ends in its own time, and its data are for the next.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}

impl Peer {
    /// Starts an echo, dgnsd and its secondaries, all on the first core.
    pub fn all(directory: &Path) -> Vec<Self> {
        let mut peers = vec![Self::echo()];
        peers.extend(Self::with_secondaries(directory));
        peers.iter().for_each(Self::pin);
        peers
    }

    /// Starts dgnsd; then NSD and Knot, which have copied its zone when this returns.
    pub fn with_secondaries(directory: &Path) -> Vec<Self> {
        let places = [Secondary::place(), Secondary::place()];
        let dgnsd = Self::dgnsd(directory, &places, None);
        let primary = Primary { address: at(dgnsd.ports.udp), zone: ZONE, key: KEY, tls: None };
        let secondaries = [("NSD", Secondary::nsd(places[0], primary)), ("Knot", Secondary::knot(places[1], primary))];
        let mut peers = vec![dgnsd];
        for (name, secondary) in secondaries {
            wait::until("a secondary has the zone", || secondary.serial(ZONE));
            let ports = Ports { udp: secondary.address.port(), ..Ports::default() };
            peers.push(Self { name, ports, pid: secondary.pid(), running: Running::Secondary(secondary) });
        }
        peers
    }

    /// Starts dgnsd on a directory that has a log, with one thread of each kind, no limits, and TLS if there is a certificate.
    pub fn dgnsd(directory: &Path, secondaries: &[SocketAddr], tls: Option<&Certificate>) -> Self {
        let mut ports = Ports { udp: ports::free(), http: ports::free(), ..Ports::default() };
        let key = directory.join("peer.tsig");
        std::fs::write(&key, format!("{KEY}\n")).expect("the directory takes files");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let peers = secondaries.iter().map(|peer| format!("{{ address = \"{peer}\", key = {} }}", quoted(&key)));
        let peers = peers.collect::<Vec<_>>().join(", ");
        let encrypted = tls.map(|Certificate { certificate, key }| {
            (ports.tls, ports.https) = (ports::free(), ports::free());
            let [tls, https] = [ports.tls, ports.https].map(at);
            let [certificate, key] = [certificate, key].map(|path| quoted(path));
            format!("dot = [\"{tls}\"]\ndoh = [\"{https}\"]\ntls.certificate = {certificate}\ntls.key = {key}\n")
        });
        let file = directory.join("dgnsd.toml");
        let text = format!(
            "data = {}\nhttp.listen = \"{}\"\nclaims.work_bits = {}\n[limits]\ncertificates_per_hour = 0\ncertificates_per_day = 0\n\
             records_per_hour = 0\n[dns]\nlisten = [\"{}\"]\nudp_threads = 1\nanswers_per_s = 0\npeer = [{peers}]\n{}",
            quoted(directory),
            at(ports.http),
            crate::load::WORK_BITS,
            at(ports.udp),
            encrypted.unwrap_or_default()
        );
        std::fs::write(&file, text).expect("the directory takes files");
        let mut command = Command::new(beside_dgnsd("dgnsd"));
        command.args(["serve", "--config"]).arg(file).env("DGNS_LOG", "error");
        Self::start("dgnsd", command, ports)
    }

    /// Starts hickory's server with these addresses of the zone.
    pub fn hickory(addresses: &Path, Certificate { certificate, key }: &Certificate) -> Self {
        let ports = Ports { tls: ports::free(), https: ports::free(), ..Ports::default() };
        let mut command = Command::new(beside_dgnsd("hickory-peer"));
        command
            .arg(ZONE)
            .args([addresses, certificate, key])
            .args([ports.tls, ports.https].map(|port| at(port).to_string()));
        Self::start("hickory", command, ports)
    }

    fn echo() -> Self {
        let ports = Ports { udp: ports::free(), ..Ports::default() };
        let mut command = Command::new(std::env::current_exe().expect("a process knows its executable"));
        command.env(ECHO, at(ports.udp).to_string());
        Self::start("echo", command, ports)
    }

    /// Starts a server with one thread of Tokio's, and waits until it answers.
    fn start(name: &'static str, mut command: Command, ports: Ports) -> Self {
        command.env("TOKIO_WORKER_THREADS", "1");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?} (main.rs says how it is built): {error}"));
        let (asker, mut answer) = (UdpSocket::bind("127.0.0.1:0").expect("a port"), [0; 512]);
        asker.set_nonblocking(true).expect("a socket");
        wait::until("it answers", || {
            if ports.udp == 0 {
                return TcpStream::connect(at(ports.https)).ok().map(drop);
            }
            // The SOA: a server that is not ready does not answer, or says so.
            let _ = asker.send_to(b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x04dgns\x04test\0\0\x06\0\x01", at(ports.udp));
            let bytes = asker.recv(&mut answer).ok()?;
            (bytes > 3 && answer[3] & 0x0f == 0).then_some(())
        });
        Self { name, ports, pid: child.id(), running: Running::Child(child) }
    }

    /// Keeps its processes on the first core.
    pub fn pin(&self) {
        self.tree().into_iter().for_each(|pid| pin(pid, FIRST_CORE));
    }

    pub fn is_echo(&self) -> bool {
        self.name == "echo"
    }

    /// Returns what it used so far.
    pub fn cpu(&self) -> Ticks {
        let mut sum = Ticks { user: 0.0, system: 0.0 };
        for fields in self.tree().into_iter().filter_map(stat) {
            // Counted from the space after the name: utime is the 14th field of the line, stime the 15th.
            let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
            (sum.user, sum.system) = (sum.user + ticks(12), sum.system + ticks(13));
        }
        sum
    }

    /// Returns what its largest process holds in memory: NSD's others share the zone with it.
    pub fn resident_kib(&self) -> u64 {
        let of = |pid: u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        self.tree().into_iter().filter_map(of).max().unwrap_or(0)
    }

    /// The process and all its descendants.
    fn tree(&self) -> Vec<u32> {
        let all = std::fs::read_dir("/proc").expect("Linux tells it");
        let all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let parents: Vec<(u32, u32)> = all.filter_map(|pid| Some((pid, stat(pid)?.get(2)?.parse().ok()?))).collect();
        let mut tree = vec![self.pid];
        let mut at = 0;
        while let Some(parent) = tree.get(at).copied() {
            tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            at += 1;
        }
        tree
    }
}

/// The fields of `/proc/PID/stat` behind the name, the first of them empty.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit(')').next()?.split(' ').map(str::to_owned).collect())
}

/// Returns the address of a port.
pub fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Keeps a process and its threads on a core.
pub fn pin(pid: u32, core: &str) {
    let set = Command::new("taskset").args(["-a", "-c", "-p", core, &pid.to_string()]).stdout(Stdio::null()).status();
    assert!(set.is_ok_and(|status| status.success()), "taskset (util-linux) puts a process on a core");
}

/// Returns the program of this name, of the same profile.
fn beside_dgnsd(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a process knows its executable");
    exe.ancestors().nth(2).expect("a bench lies in target/<profile>/deps").join(name)
}

/// Whether this process is to be an echo.
pub fn is_echo() -> bool {
    std::env::var_os(ECHO).is_some()
}

/// Sends every datagram back as an answer: what the kernel takes for one.
pub fn echo() {
    use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};
    let address: SocketAddr = std::env::var(ECHO).ok().and_then(|text| text.parse().ok()).expect("an address");
    let socket = UdpSocket::bind(address).expect("the port is free");
    let mut buffer = [0; 512];
    loop {
        let Ok((bytes, _, Some(client))) = recvfrom(&socket, &mut buffer[..], RecvFlags::empty()) else { continue };
        buffer[2] |= 0x80;
        let _ = sendto(&socket, &buffer[..bytes], SendFlags::empty(), &client);
    }
}
