//! Private servers behind real translators: network namespaces whose packets the kernel's NAT changes, the real programs in them.
//!
//! ```text
//! host 45.0.10.2 ── translator 45.0.2.10 ┐
//!                                         ├─ network 45.0.2.0/24: dgnsd with STUN and its relay at .1, coturn over TCP at .2
//! client 45.0.20.2 ─ translator 45.0.2.20 ┘
//! ```
//!
//! The addresses are public ones, so that the relay's own rules hold as they do on the Internet; none of these packets leaves the
//! namespaces. The test runs itself again inside the network.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use dgns_tests::harness::{Person, Site, wait};
use dgns_tests::skip::skip;
use tempfile::TempDir;

use crate::{NAME, Scene, bytes, text, told};

/// Names the network in which the test is already.
const INSIDE: &str = "DGNS_TEST_NETWORK";

/// What stands between an end and the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A router that changes nothing.
    Open,
    /// One address for all, ports kept; nothing comes in that did not go out to the same address and port.
    PortRestricted,
    /// Another port for every address.
    Symmetric,
    /// Ports kept, and no UDP at all.
    NoUdp,
}

use Way::{NoUdp, Open, PortRestricted, Symmetric};

#[test]
fn each_pair_of_networks_gets_through_and_the_data_is_right() {
    // Goal: whatever stands between two ends, they meet, by the straight way where there is one. Method: the host's way and the client's in pairs;
    // the relay's own counter tells whether it was needed.
    let pairs = [
        (Open, Open),
        (PortRestricted, Open),
        (Open, Symmetric),
        (PortRestricted, PortRestricted),
        (Symmetric, PortRestricted),
        (Symmetric, Symmetric),
    ];
    in_networks("each_pair_of_networks_gets_through_and_the_data_is_right", &pairs);
}

#[test]
fn where_udp_is_blocked_a_stock_relay_over_tcp_serves() {
    in_networks(
        "where_udp_is_blocked_a_stock_relay_over_tcp_serves",
        &[(NoUdp, Symmetric), (Symmetric, NoUdp), (NoUdp, NoUdp)],
    );
}

/// Runs the test of this name again inside networks of its own, and there serves and fetches over each pair of ways: the host's, the client's.
fn in_networks(test: &str, pairs: &[(Way, Way)]) {
    if let Ok(name) = std::env::var(INSIDE) {
        return inside(&name, pairs);
    }
    if !rustix::process::getuid().is_root() {
        return skip("network namespaces are root's");
    }
    let missing = ["ip", "iptables", "turnserver"].into_iter().find(|program| !is_there(program));
    if let Some(program) = missing {
        return skip(&format!("{program} is not installed"));
    }
    let networks = Networks::new();
    let mut again = Command::new("ip");
    again
        .args(["netns", "exec", &networks.name("net")])
        .arg(std::env::current_exe().expect("a process knows its path"));
    again.args(["--exact", &format!("nat::{test}"), "--nocapture"]);
    let status = again.env(INSIDE, &networks.prefix).status().expect("ip can be run");
    assert!(status.success(), "{status}");
}

fn inside(prefix: &str, pairs: &[(Way, Way)]) {
    let networks = Networks { prefix: prefix.to_owned(), owned: false };
    let secret = tempfile::NamedTempFile::new().expect("temporary files can be made");
    std::fs::write(secret.path(), "a secret of sixteen bytes\n").expect("a file");
    let site = Site::new()
        .with("http", "listen", "\"45.0.2.1:5380\"")
        .with("signin", "public_url", "\"http://45.0.2.1:5380\"")
        .with("turn", "listen", "[\"45.0.2.1:3478\"]")
        .with("turn", "public_ip", "[\"45.0.2.1\"]")
        .with("turn", "bytes_per_s", "100000000")
        .with("turn", "external", "[\"turn:45.0.2.2:3478?transport=tcp\"]")
        .with("turn", "secret_file", &format!("{:?}", text(secret.path())));
    // Until it is needed there is one relay alone, and what goes through it is counted.
    let mut stock = None;
    let mut scene = Scene::at(site);
    scene.alice.moves_to(&networks.name("host"));
    // Two of them, for one device knocks at one name six times a minute.
    let mut carol = Person::new();
    carol.up(&scene.server, "carol");
    for client in [&mut scene.bob, &mut carol] {
        client.moves_to(&networks.name("client"));
    }
    let content = bytes(9, 200_001);
    scene.write("f.bin", &content);
    for (round, (host, client)) in pairs.iter().copied().enumerate() {
        networks.stands("host", host);
        networks.stands("client", client);
        if [host, client].contains(&NoUdp) {
            stock.get_or_insert_with(coturn);
        }
        let before = relayed(&scene);
        let hosting = scene.host(&["--allow", "bob", "--allow", "carol"]);
        let out = scene.beside(&format!("{round}.bin"));
        let client_of_round = if round % 2 == 0 { &scene.bob } else { &carol };
        let get = ["connect", NAME, "--get", "f.bin", "--out", text(&out)];
        client_of_round.dgns(&scene.server, &get).exits(0);
        assert_eq!(std::fs::read(&out).expect("a file"), content, "{host:?}, {client:?}");
        told(&hosting, "ended");
        let by_ours = relayed(&scene) - before;
        match (host, client) {
            (Symmetric, Symmetric | PortRestricted) => assert!(by_ours > 200_000, "{host:?}, {client:?}: {by_ours}"),
            (NoUdp, _) | (_, NoUdp) => {}
            // Checks of the way may have passed there, but nothing of the file.
            _ => assert!(by_ours < 100_000, "{host:?}, {client:?}: {by_ours} bytes took the long way"),
        }
        hosting.interrupt().exits(0);
    }
}

/// What the relay in the server passed on.
fn relayed(scene: &Scene) -> u64 {
    let metrics = scene.server.get("/metrics").text();
    let value = metrics.lines().find_map(|line| line.strip_prefix("dgns_turn_bytes_total ")?.parse().ok());
    value.expect("the relay is turned on")
}

/// A process that ends with this, and its files.
struct Ends {
    child: Child,
    _files: TempDir,
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a stock relay over TCP, with the secret that the server has.
fn coturn() -> Ends {
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let mut command = Command::new("turnserver");
    command.args(["-n", "--listening-ip=45.0.2.2", "--relay-ip=45.0.2.2", "--listening-port=3478", "--no-udp"]);
    command.args(["--use-auth-secret", "--static-auth-secret=a secret of sixteen bytes", "--realm=dgns.test"]);
    command.args(["--no-cli", "--no-tls", "--no-dtls", "--log-file=/dev/null"]);
    command.arg("--pidfile").arg(directory.path().join("pid")).arg("--userdb").arg(directory.path().join("users"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let ends = Ends { child: child.expect("turnserver can be run"), _files: directory };
    wait::until("coturn listens", || std::net::TcpStream::connect("45.0.2.2:3478").ok());
    ends
}

/// The namespaces; gone with the one who made them.
struct Networks {
    prefix: String,
    owned: bool,
}

impl Networks {
    fn new() -> Self {
        let this = Self { prefix: format!("dgns{}", std::process::id()), owned: true };
        let [net, at_host, at_client] = ["net", "athost", "atclient"].map(|name| this.name(name));
        for name in ["net", "athost", "atclient", "host", "client"] {
            ip(&["netns", "add", &this.name(name)]);
            ip(&["-n", &this.name(name), "link", "set", "lo", "up"]);
        }
        ip(&["-n", &net, "link", "add", "name", "hub", "type", "bridge"]);
        for address in ["45.0.2.1/24", "45.0.2.2/24"] {
            ip(&["-n", &net, "addr", "add", address, "dev", "hub"]);
        }
        ip(&["-n", &net, "link", "set", "hub", "up"]);
        // As on the Internet, what is for nobody is on its way and lost: a relay that is told at once gives its client up.
        let nobody = ["lladdr", "02:00:00:00:00:01", "dev", "hub", "nud", "permanent"];
        ip(&[&["-n", &net, "neigh", "add", "45.0.2.254"][..], &nobody].concat());
        ip(&["-n", &net, "route", "add", "default", "via", "45.0.2.254"]);
        for (router, end, number) in [(&at_host, "host", 10), (&at_client, "client", 20)] {
            let (end, port) = (this.name(end), format!("p{number}"));
            ip(&["-n", router, "link", "add", "wan", "type", "veth", "peer", "name", &port, "netns", &net]);
            ip(&["-n", &net, "link", "set", &port, "master", "hub", "up"]);
            ip(&["-n", router, "addr", "add", &format!("45.0.2.{number}/24"), "dev", "wan"]);
            ip(&["-n", router, "link", "set", "wan", "up"]);
            ip(&["-n", router, "route", "add", "default", "via", "45.0.2.1"]);
            ip(&["-n", router, "link", "add", "lan", "type", "veth", "peer", "name", "eth", "netns", &end]);
            ip(&["-n", router, "addr", "add", &format!("45.0.{number}.1/24"), "dev", "lan"]);
            ip(&["-n", router, "link", "set", "lan", "up"]);
            ip(&["-n", &end, "addr", "add", &format!("45.0.{number}.2/24"), "dev", "eth"]);
            ip(&["-n", &end, "link", "set", "eth", "up"]);
            ip(&["-n", &end, "route", "add", "default", "via", &format!("45.0.{number}.1")]);
            let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
            run(Command::new("ip").args(["netns", "exec", router, "sh", "-c", forward]));
        }
        this
    }

    fn name(&self, of: &str) -> String {
        format!("{}{of}", self.prefix)
    }

    /// Puts a way before an end.
    fn stands(&self, end: &str, way: Way) {
        let (router, number, other) = match end {
            "host" => (self.name("athost"), 10, self.name("atclient")),
            _ => (self.name("atclient"), 20, self.name("athost")),
        };
        let filter = |rule: &[&str]| run(Command::new("ip").args(["netns", "exec", &router, "iptables"]).args(rule));
        for flush in [&["-t", "nat", "-F"][..], &["-F"]] {
            filter(flush);
        }
        // What nobody asked for is dropped before it takes the place of what somebody will.
        filter(&["-A", "INPUT", "-i", "wan", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"]);
        match way {
            Open => {}
            PortRestricted | NoUdp => filter(&["-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE"]),
            Symmetric => {
                filter(&["-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE", "--random-fully"]);
            }
        }
        if way == NoUdp {
            filter(&["-A", "FORWARD", "-p", "udp", "-j", "DROP"]);
        }
        // An end behind a translator is not to be reached by its own address.
        let network = format!("45.0.{number}.0/24");
        for from in [self.name("net"), other] {
            let route = if way == Open { "replace" } else { "del" };
            let mut command = Command::new("ip");
            command.args(["-n", &from, "route", route, &network, "via", &format!("45.0.2.{number}")]);
            let _ = command.stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        if self.owned {
            for name in ["host", "client", "athost", "atclient", "net"] {
                let _ = Command::new("ip").args(["netns", "del", &self.name(name)]).status();
            }
        }
    }
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments));
}

fn run(command: &mut Command) {
    let status = command.status().expect("ip can be run");
    assert!(status.success(), "{command:?}: {status}");
}

fn is_there(program: &str) -> bool {
    ["/usr/bin", "/usr/sbin", "/sbin", "/bin"].iter().any(|directory| Path::new(directory).join(program).exists())
}
