//! Hits beside a flood of names that nobody has, each another one, as resolvers pass it on when a zone is attacked through them (water torture): dgnsd alone on
//! the first core, with no limit of answers; whoever floods and whoever asks on the second, where who asks goes first.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dgns_tests::harness::seed::Seed;
use dgns_tests::harness::wait;
use tokio::time::Instant;

use crate::hits::{measure, median};
use crate::servers::{Peer, SECOND_CORE, at, pin};
use crate::{ZONE, load, wire};

/// The ports that the flood comes from.
const PORTS: usize = 64;

/// How often it sends what is due.
const TICK: Duration = Duration::from_millis(1);

/// Measures rounds of hits, alone and beside the flood.
pub fn run(directory: &Path, names: usize) {
    let [flood, asks, seconds, rounds] = [("--flood", 17_000), ("--asks", 2_000), ("--seconds", 20), ("--rounds", 3)]
        .map(|(name, otherwise)| load::argument(name, otherwise));
    let dgnsd = Peer::dgnsd(directory, &[], None);
    dgnsd.pin();
    pin(std::process::id(), SECOND_CORE);
    println!("\n{asks} hits a second for {seconds} s, us, beside {flood} random names a second; load {}", load::load());
    println!("| round | p50 | p99 | p99.9 | max | lost |\n|---|---|---|---|---|---|");
    let before_kib = dgnsd.resident_kib();
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let ticks = [dgnsd.cpu()];
        alone.push(measure(&dgnsd, names, asks, seconds));
        let ticks = [ticks[0], dgnsd.cpu()];
        let is_done = AtomicBool::new(false);
        let (hits, sent) = std::thread::scope(|scope| {
            let flooding = scope.spawn(|| send(dgnsd.ports.udp, flood, &is_done));
            let hits = measure(&dgnsd, names, asks, seconds);
            is_done.store(true, Ordering::Relaxed);
            (hits, flooding.join().expect("it does not panic"))
        });
        beside.push(hits);
        let used =
            |from: crate::servers::Ticks, to: crate::servers::Ticks| to.user + to.system - from.user - from.system;
        let more = used(ticks[1], dgnsd.cpu()) - used(ticks[0], ticks[1]);
        for (what, hits) in [("alone", &alone), ("beside the flood", &beside)] {
            println!("| {what} | {} |", hits[hits.len() - 1].shown());
        }
        // A tick is 10 ms.
        println!("| {sent} random names, {:.2} us of the server's CPU each |", more * 1e4 / sent as f64);
    }
    let [alone, beside] = [median(&alone), median(&beside)];
    println!(
        "medians: p50 {:.0} and {:.0} us, p99 {:.0} and {:.0} us, lost {} and {}; {} KiB resident before, {} KiB after",
        alone.p50,
        beside.p50,
        alone.p99,
        beside.p99,
        alone.lost,
        beside.lost,
        before_kib,
        dgnsd.resident_kib()
    );
}

/// Asks for random names, `rate` a second, until it is done; takes the answers and looks at none. Returns how many it asked for.
fn send(port: u16, rate: usize, is_done: &AtomicBool) -> usize {
    let sockets: Vec<UdpSocket> = (0..PORTS)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.connect(at(port)).expect("a port");
            socket.set_nonblocking(true).expect("a socket");
            socket
        })
        .collect();
    let (mut seed, began, mut sent, mut answer) = (Seed::from(1), Instant::now(), 0, [0; 512]);
    while !is_done.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_secs_f64() * rate as f64) as usize;
        while sent < due {
            let socket = &sockets[sent % PORTS];
            while socket.recv(&mut answer).is_ok() {}
            let name = format!("{:016x}.{ZONE}", seed.below(u64::MAX));
            // What the kernel does not take is lost, as on any road.
            let _ = socket.send(&wire::query(sent as u16, &name, wire::TYPE_A));
            sent += 1;
        }
        wait::let_pass(TICK);
    }
    sent
}
