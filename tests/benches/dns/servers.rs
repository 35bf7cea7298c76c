//! The servers, each with one worker on the first core, and what they use.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dgns_tests::harness::secondary::{Primary, Secondary};
use dgns_tests::harness::{ports, wait};

/// Where servers run, and where whoever asks them does.
const FIRST_CORE: &str = "0";
/// See [`FIRST_CORE`].
pub const SECOND_CORE: &str = "1";

const KEY: &str = "hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The variable that makes this program an echo, with its port.
const ECHO: &str = "DGNS_BENCH_ECHO";

/// A server that runs.
pub struct Peer {
    pub name: &'static str,
    pub address: SocketAddr,
    pid: u32,
    running: Running,
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
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Peer {
    /// Starts all of them; NSD and Knot have the zone of dgnsd.
    pub fn all(directory: &Path, zone: &str) -> Vec<Self> {
        let (nsd, knot) = (Secondary::place(), Secondary::place());
        let dgnsd = Self::dgnsd(directory, [nsd, knot]);
        let primary = Primary { address: dgnsd.address, zone, key: KEY, tls: None };
        let mut peers = vec![Self::echo(), dgnsd];
        for (name, secondary) in [("NSD", Secondary::nsd(nsd, primary)), ("Knot", Secondary::knot(knot, primary))] {
            wait::until("a secondary has the zone", || secondary.serial(zone));
            let (address, pid) = (secondary.address, secondary.pid());
            peers.push(Self { name, address, pid, running: Running::Secondary(secondary) });
        }
        for peer in &peers {
            for pid in peer.tree() {
                let pid = pid.to_string();
                let set =
                    Command::new("taskset").args(["-a", "-c", "-p", FIRST_CORE, &pid]).stdout(Stdio::null()).status();
                assert!(set.is_ok_and(|status| status.success()), "taskset (util-linux) puts a process on a core");
            }
        }
        peers
    }

    fn dgnsd(directory: &Path, peers: [SocketAddr; 2]) -> Self {
        let address = Secondary::place();
        let key = directory.join("peer.tsig");
        std::fs::write(&key, format!("{KEY}\n")).expect("the directory takes files");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        let peers = peers.map(|peer| format!("{{ address = \"{peer}\", key = {:?} }}", key.display().to_string()));
        let file = directory.join("dgnsd.toml");
        let text = format!(
            "data = {:?}\nhttp.listen = \"127.0.0.1:{}\"\n[dns]\nlisten = [\"{address}\"]\nudp_threads = 1\nanswers_per_s = 0\npeer = [{}]\n",
            directory.display().to_string(),
            ports::free(),
            peers.join(", ")
        );
        std::fs::write(&file, text).expect("the directory takes files");
        let exe = std::env::current_exe().expect("a process knows its executable");
        let dgnsd = exe.ancestors().nth(2).expect("a bench lies in target/<profile>/deps").join("dgnsd");
        let mut command = Command::new(&dgnsd);
        command.args(["serve", "--config"]).arg(file).env("DGNS_LOG", "error");
        Self::start("dgnsd", command, address)
    }

    fn echo() -> Self {
        let address = Secondary::place();
        let mut command = Command::new(std::env::current_exe().expect("a process knows its executable"));
        command.env(ECHO, address.to_string());
        Self::start("echo", command, address)
    }

    fn start(name: &'static str, mut command: Command, address: SocketAddr) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?} (cargo build --release --workspace): {error}"));
        let (asker, mut answer) = (UdpSocket::bind("127.0.0.1:0").expect("a port"), [0; 512]);
        asker.set_nonblocking(true).expect("a socket");
        wait::until("it answers", || {
            // The SOA: a server that is not ready does not answer, or says so.
            let _ = asker.send_to(b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x04dgns\x04test\0\0\x06\0\x01", address);
            let bytes = asker.recv(&mut answer).ok()?;
            (bytes > 3 && answer[3] & 0x0f == 0).then_some(())
        });
        Self { name, address, pid: child.id(), running: Running::Child(child) }
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
