//! What is asked, and what dnsperf and the kernel say of the answers.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::servers::{Peer, Ports, SECOND_CORE};
use crate::{ZONE, load};

/// Lines of a file of queries; dnsperf begins again at its end.
const LINES: usize = 400_000;

/// What a client asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Address,
    SignedAddress,
    Nothing,
    ProvedNothing,
}

/// Over what it asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Road {
    Udp,
    Tls,
    Https,
}

impl Road {
    fn port(self, ports: &Ports) -> u16 {
        match self {
            Self::Udp => ports.udp,
            Self::Tls => ports.tls,
            Self::Https => ports.https,
        }
    }
}

/// What whoever asked says of a run.
struct Asked {
    completed: f64,
    per_s: f64,
    lost: u64,
    latency_us: f64,
}

/// One run against one server.
#[derive(Clone, Copy)]
struct Measured {
    cpu_us: f64,
    user_us: f64,
    per_s: f64,
    lost: u64,
    latency_us: f64,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Address, Self::SignedAddress, Self::Nothing, Self::ProvedNothing];

    pub fn title(self) -> &'static str {
        match self {
            Self::Address => "A, there",
            Self::SignedAddress => "A, there, DO",
            Self::Nothing => "A, no such name",
            Self::ProvedNothing => "A, no such name, DO",
        }
    }

    fn wants_signatures(self) -> bool {
        matches!(self, Self::SignedAddress | Self::ProvedNothing)
    }

    /// What dnsperf says of the answers if they are right.
    fn rcode(self) -> &'static str {
        match self {
            Self::Address | Self::SignedAddress => "NOERROR",
            Self::Nothing | Self::ProvedNothing => "NXDOMAIN",
        }
    }

    /// Writes the queries, in an order without a pattern.
    pub fn file(self, directory: &Path, names: usize) -> PathBuf {
        let mut text = String::new();
        for line in 0..LINES {
            let number = line.wrapping_mul(2_654_435_761) % names;
            let label = match self {
                Self::Address | Self::SignedAddress => load::label(number),
                Self::Nothing | Self::ProvedNothing => format!("{}-no", load::label(number)),
            };
            writeln!(text, "{label}.{ZONE} A").expect("a string takes everything");
        }
        let file = directory.join(format!("queries-{}", self as u8));
        std::fs::write(&file, text).expect("the directory takes files");
        file
    }
}

/// Asks for some seconds, 100 queries under way. `None`, and it is said, if the answers are not what they should be.
fn measure(peer: &Peer, road: Road, kind: Kind, file: &Path) -> Option<Measured> {
    let before = peer.cpu();
    let asked = match road {
        Road::Https => h2load(peer, file),
        Road::Udp | Road::Tls => dnsperf(peer, road, kind, file),
    };
    let after = peer.cpu();
    let Asked { completed, per_s, lost, latency_us } = asked?;
    let each = |ticks: f64| ticks * 1e4 / completed; // a tick is 10 ms
    Some(Measured {
        cpu_us: each(after.user + after.system - before.user - before.system),
        user_us: each(after.user - before.user),
        per_s,
        lost,
        latency_us,
    })
}

fn on_second_core(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", SECOND_CORE, program]);
    command
}

fn said(mut command: Command) -> String {
    let output = command.output().expect("it is installed (apt-get install dnsperf nghttp2-client)");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks line after line of a file, over one socket of UDP or eight connections of TLS.
fn dnsperf(peer: &Peer, road: Road, kind: Kind, file: &Path) -> Option<Asked> {
    let (mode, connections) = if road == Road::Tls { ("dot", "8") } else { ("udp", "1") };
    let mut command = on_second_core("dnsperf");
    command
        .args(["-m", mode, "-c", connections, "-s", "127.0.0.1", "-p", &road.port(&peer.ports).to_string(), "-d"])
        .arg(file);
    command.args(["-l", &load::argument("--seconds", 4).to_string(), "-T", "1", "-q", "100", "-t", "1"]);
    if kind.wants_signatures() {
        command.arg("-D");
    }
    let text = said(command);
    let number = |title: &str| -> f64 {
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(title));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("dnsperf says no {title:?}: {text}"))
    };
    let completed = number("Queries completed:");
    let right = text.lines().find(|line| line.trim_start().starts_with("Response codes:"));
    if !peer.is_echo() && !right.is_some_and(|line| line.contains(&format!("{} {}", kind.rcode(), completed))) {
        println!("{} answers otherwise: {}", peer.name, right.unwrap_or(&text));
        return None;
    }
    Some(Asked {
        completed,
        per_s: number("Queries per second:"),
        lost: number("Queries lost:") as u64,
        latency_us: number("Average Latency (s):") * 1e6,
    })
}

/// Posts the message of a file again and again, over ten connections of HTTP/2, ten at once on each. (dnsperf 2.10 waits for the rest of an answer that
/// comes in several records of TLS.)
fn h2load(peer: &Peer, file: &Path) -> Option<Asked> {
    let mut command = on_second_core("h2load");
    command
        .args(["-c", "10", "-m", "10", "-t", "1", "-D", &load::argument("--seconds", 4).to_string(), "-d"])
        .arg(file);
    command.args(["-H", "content-type: application/dns-message", "-H", "accept: application/dns-message"]);
    command.arg(format!("https://127.0.0.1:{}/dns-query", peer.ports.https));
    let text = said(command);
    let words = |title: &str| -> Vec<&str> {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(title));
        line.unwrap_or_else(|| panic!("h2load says no {title:?}: {text}")).split_whitespace().collect()
    };
    let number = |word: &str| word.parse::<f64>().unwrap_or_else(|_| panic!("h2load says {word:?}: {text}"));
    // "4.04s, 1986.00 req/s, ..", "3972 total, 4052 started, 3972 done, 3972 succeeded, 0 failed, ..", "least most mean ..", times with their unit
    let (finished, requests, times) = (words("finished in"), words("requests:"), words("time for request:"));
    let (done, succeeded) = (number(requests[4]), number(requests[6]));
    if done != succeeded || succeeded == 0.0 {
        println!("{} answers otherwise: {text}", peer.name);
        return None;
    }
    let (mean, unit) = times[2].split_at(times[2].trim_end_matches(char::is_alphabetic).len());
    let unit_us = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        _ => 1e6,
    };
    Some(Asked { completed: done, per_s: number(finished[1]), lost: 0, latency_us: number(mean) * unit_us })
}

/// Measures each server, in another order each round, and prints the medians.
pub fn in_turn(peers: &[Peer], road: Road, kind: Kind, file: &Path, title: &str) {
    let rounds = load::argument("--rounds", 5);
    let mut rows: Vec<Vec<Measured>> = peers.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..peers.len() {
            let place = (round + turn) % peers.len();
            rows[place].extend(measure(&peers[place], road, kind, file));
        }
    }
    for (peer, rows) in peers.iter().zip(&mut rows) {
        println!("| {title} | {} | {} |", peer.name, median(rows));
    }
}

/// Prints the head of the table.
pub fn head() {
    println!("\n| queries | server | CPU a query | of it user | queries/s | lost | latency | rounds |");
    println!("|---|---|---|---|---|---|---|---|");
}

/// Returns the middle of each column, and the least and most of the first.
fn median(rows: &mut [Measured]) -> String {
    if rows.is_empty() {
        return "none".to_owned();
    }
    rows.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
    let middle = rows[rows.len() / 2];
    let range = format!("{:.2} to {:.2} us", rows[0].cpu_us, rows[rows.len() - 1].cpu_us);
    let Measured { cpu_us, user_us, per_s, lost, latency_us } = middle;
    format!("{cpu_us:.2} us | {user_us:.2} us | {per_s:.0} | {lost} | {latency_us:.0} us | {range}")
}
