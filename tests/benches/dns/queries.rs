//! What is asked, and what dnsperf and the kernel say of the answers.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::load;
use crate::servers::{Peer, SECOND_CORE};

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

/// One run of dnsperf against one server.
#[derive(Clone, Copy)]
pub struct Measured {
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
    pub fn file(self, directory: &Path, names: usize, zone: &str) -> PathBuf {
        let mut text = String::new();
        for line in 0..LINES {
            let number = line.wrapping_mul(2_654_435_761) % names;
            let label = match self {
                Self::Address | Self::SignedAddress => load::label(number),
                Self::Nothing | Self::ProvedNothing => format!("{}-no", load::label(number)),
            };
            writeln!(text, "{label}.{zone} A").expect("a string takes everything");
        }
        let file = directory.join(format!("queries-{}", self as u8));
        std::fs::write(&file, text).expect("the directory takes files");
        file
    }
}

/// Asks for some seconds. `None`, and it is said, if the answers are not what they should be.
pub fn measure(peer: &Peer, kind: Kind, file: &Path) -> Option<Measured> {
    let mut command = Command::new("taskset");
    command
        .args(["-c", SECOND_CORE, "dnsperf", "-s", "127.0.0.1", "-p", &peer.address.port().to_string(), "-d"])
        .arg(file);
    command.args(["-l", &load::argument("--seconds", 4).to_string(), "-T", "1", "-c", "1", "-q", "100", "-t", "1"]);
    if kind.wants_signatures() {
        command.arg("-D");
    }
    let before = peer.cpu();
    let output = command.output().expect("dnsperf is installed (apt-get install dnsperf)");
    let after = peer.cpu();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
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
    let each = |ticks: f64| ticks * 1e4 / completed; // a tick is 10 ms
    Some(Measured {
        cpu_us: each(after.user + after.system - before.user - before.system),
        user_us: each(after.user - before.user),
        per_s: number("Queries per second:"),
        lost: number("Queries lost:") as u64,
        latency_us: number("Average Latency (s):") * 1e6,
    })
}

/// Returns the middle of each column, and the least and most of the first.
pub fn median(rows: &mut [Measured]) -> String {
    if rows.is_empty() {
        return "none".to_owned();
    }
    rows.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
    let middle = rows[rows.len() / 2];
    let range = format!("{:.2} to {:.2} us", rows[0].cpu_us, rows[rows.len() - 1].cpu_us);
    let Measured { cpu_us, user_us, per_s, lost, latency_us } = middle;
    format!("{cpu_us:.2} us | {user_us:.2} us | {per_s:.0} | {lost} | {latency_us:.0} us | {range}")
}
