//! Hits while names are registered: dgnsd alone on the first core; whoever asks and whoever posts on the second, where who asks goes first.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dgns_tests::harness::secondary::dig;
use dgns_tests::harness::wait;
use identity::cert::Certificate;
use tokio::time::Instant;

use crate::load::offered::{self, Until};
use crate::load::{self, Person, Signing, Stretch};
use crate::servers::{Peer, SECOND_CORE, at, pin};
use crate::{ZONE, visible, wire};

/// The variable that makes this program ask: port, names, queries a second, and how many.
const ASK: &str = "DGNS_BENCH_ASK";

/// How long an answer is waited for when all is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// Posts begin so long before whoever asks.
const AHEAD: Duration = Duration::from_secs(1);

/// Latencies of one round, microseconds from the intended start, and what was not answered.
#[derive(Clone, Copy)]
pub struct Hits {
    pub p50: f64,
    pub p99: f64,
    p999: f64,
    max: f64,
    pub lost: usize,
}

/// Measures what registrations cost, then rounds of hits, alone and beside registrations.
pub fn run(directory: &Path, names: usize, signing: &Signing) {
    let [burst, asks, rate, seconds, rounds] =
        [("--burst", 20_000), ("--asks", 2_000), ("--posts", 1_000), ("--seconds", 4), ("--rounds", 5)]
            .map(|(name, otherwise)| load::argument(name, otherwise));
    let (mut people, claims): (Vec<Person>, Vec<_>) = signing.people(&load::labels("burst", burst)).into_iter().unzip();
    let of_rounds: Vec<Vec<Vec<Certificate>>> = (0..rounds)
        .map(|round| {
            let labels = load::labels(&format!("round-{round}"), rate * (seconds + AHEAD.as_secs() as usize + 1));
            signing.people(&labels).into_iter().map(|(_, certificates)| certificates).collect()
        })
        .collect();
    let records =
        load::in_threads(people.iter_mut().collect(), |person| vec![signing.records(person, [203, 0, 113, 1])]);
    let dgnsd = Peer::dgnsd(directory, &[], None);
    dgnsd.pin();
    pin(std::process::id(), SECOND_CORE);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let session = runtime.block_on(visible::session(directory, &dgnsd));

    let last = &people[burst - 1].name;
    for (what, posts, owner, rtype) in [
        ("registrations: genesis + claim, signed in DNS", claims, format!("_did.{last}"), "TXT"),
        ("records, signed in DNS", records, last.clone(), "A"),
    ] {
        let (before, stretch) = (dgnsd.cpu(), Stretch::begin());
        runtime.block_on(offered::at_once(&session, posts));
        wait::until("the last is signed", || {
            let answer = dig(at(dgnsd.ports.udp), &["+dnssec", "+short", &owner, rtype]).stdout;
            answer.contains(&format!("{rtype} 13 ")).then_some(())
        });
        let (wall, after) = (stretch.wall().as_secs_f64(), dgnsd.cpu());
        let [user, system] =
            [after.user - before.user, after.system - before.system].map(|ticks| ticks * 1e4 / burst as f64);
        println!(
            "{what}: {:.0}/s in {wall:.1} s; dgnsd used {:.0} us each, {user:.0} of them user: {:.0}/s a core",
            burst as f64 / wall,
            user + system,
            1e6 / (user + system)
        );
    }

    println!("\n{asks} hits a second for {seconds} s, us; load {}", load::load());
    println!("| round | p50 | p99 | p99.9 | max | lost |\n|---|---|---|---|---|---|");
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for posts in of_rounds {
        alone.push(measure(&dgnsd, names, asks, seconds));
        let posting = {
            let session = session.clone();
            runtime.spawn(async move { offered::at_rate(&session, posts, rate, Until::Proved).await })
        };
        wait::let_pass(AHEAD);
        beside.push(measure(&dgnsd, names, asks, seconds));
        assert!(!posting.is_finished(), "registrations go on longer than questions");
        let mut latencies = runtime.block_on(posting).expect("it does not panic");
        println!("| {rate} registrations a second | {} |", load::spread(&mut latencies));
        for (what, hits) in [("alone", &alone), ("beside registrations", &beside)] {
            println!("| {what} | {} |", hits[hits.len() - 1].shown());
        }
    }
    let [alone, beside] = [median(&alone), median(&beside)];
    println!(
        "medians: p50 {:.0} and {:.0} us, p99 {:.0} and {:.0} us: {:.2} x",
        alone.p50,
        beside.p50,
        alone.p99,
        beside.p99,
        beside.p99 / alone.p99
    );
}

impl Hits {
    /// Returns it as columns of a table.
    pub fn shown(&self) -> String {
        let Self { p50, p99, p999, max, lost } = self;
        format!("{p50:.0} | {p99:.0} | {p999:.0} | {max:.0} | {lost}")
    }
}

/// Returns the middle of each column, and all that was lost.
pub fn median(rounds: &[Hits]) -> Hits {
    let middle = |of: fn(&Hits) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let lost = rounds.iter().map(|hits| hits.lost).sum();
    Hits {
        p50: middle(|hits| hits.p50),
        p99: middle(|hits| hits.p99),
        p999: middle(|hits| hits.p999),
        max: middle(|hits| hits.max),
        lost,
    }
}

/// Has another process ask, on the second core before all else there.
pub fn measure(dgnsd: &Peer, names: usize, asks: usize, seconds: usize) -> Hits {
    let mut command = Command::new("chrt");
    command
        .args(["-f", "10", "taskset", "-c", SECOND_CORE])
        .arg(std::env::current_exe().expect("a process knows its executable"));
    command.env(ASK, format!("{} {names} {asks} {}", dgnsd.ports.udp, asks * seconds));
    let output = command.output().expect("chrt and taskset (util-linux)");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [p50, p99, p999, max, lost] = numbers[..] else {
        panic!("nobody asked (chrt wants to be root): {} {}", text, String::from_utf8_lossy(&output.stderr))
    };
    Hits { p50, p99, p999, max, lost: lost as usize }
}

/// Whether this process is to ask.
pub fn is_asker() -> bool {
    std::env::var_os(ASK).is_some()
}

/// Asks at a fixed rate whatever the answers do, and prints p50, p99, p99.9 and the most of their latencies, and how many did not come.
pub fn ask() {
    let told = std::env::var(ASK).expect("it is set");
    let numbers: Vec<usize> = told.split(' ').map(|word| word.parse().expect("a number")).collect();
    let [port, names, rate, count] = numbers[..] else { panic!("{ASK}: {told}") };
    assert!(count <= 1 << 16, "each query has an id of its own: fewer --asks or --seconds");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(at(port as u16)).expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let began = Instant::now() + Duration::from_millis(10);
    let intended = |number: usize| began + Duration::from_secs(1) * number as u32 / rate as u32;
    let mut latencies = std::thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(&socket, count, intended));
        for number in 0..count {
            let name = format!("{}.{ZONE}", load::label(number.wrapping_mul(2_654_435_761) % names));
            let query = wire::query(number as u16, &name, wire::TYPE_A);
            wait::let_pass(intended(number).saturating_duration_since(Instant::now()));
            socket.send(&query).expect("it is sent");
        }
        receiving.join().expect("it does not panic")
    });
    latencies.sort_by(f64::total_cmp);
    let of = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!("{} {} {} {} {}", of(0.5), of(0.99), of(0.999), of(1.0), count - latencies.len());
}

/// Returns the microseconds that each answer took, until all are there or none comes any more.
fn receive(socket: &UdpSocket, count: usize, intended: impl Fn(usize) -> Instant) -> Vec<f64> {
    let (mut latencies, mut answer) = (Vec::with_capacity(count), [0; 512]);
    while latencies.len() < count {
        let Ok(bytes) = socket.recv(&mut answer) else { break };
        let now = Instant::now();
        let [high, low, _, code, ..] = answer[..bytes] else { continue };
        assert_eq!(code & 0x0f, 0, "every name is there");
        let since = now.saturating_duration_since(intended(usize::from(u16::from_be_bytes([high, low]))));
        latencies.push(since.as_secs_f64() * 1e6);
    }
    latencies
}
