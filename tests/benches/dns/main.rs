//! The name server beside NSD and Knot, and beside an echo that knows no DNS: processor time of a query, memory of a name.
//!
//! `cargo bench -p dgns-tests --bench dns -- [--names 200000] [--rounds 5] [--seconds 4]`, after `cargo build --release --workspace`. Needs
//! dnsperf, NSD, Knot and taskset. The log is made in this process; then dgnsd serves its zone, signed, and NSD and Knot copy it from there by
//! AXFR: all three have the same records and signatures. Each server has one worker, on the first core; dnsperf is on the second, and keeps 100
//! queries under way. Rows take turns, in another order each round; medians of the rounds are shown. Prints; judges nothing.

#[path = "../load/mod.rs"]
mod load;
mod queries;
mod servers;

use identity::cert::Certificate;
use load::Signing;
use queries::{Kind, Measured};
use servers::Peer;

const ZONE: &str = "dgns.test";

fn main() {
    if servers::is_echo() {
        return servers::echo();
    }
    let (names, rounds) = (load::argument("--names", 200_000), load::argument("--rounds", 5));
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let server = load::fill(directory.path(), names, somebody).await;
        server.stop().await.expect("it stops");
    });
    drop(runtime);

    let peers = Peer::all(directory.path(), ZONE);
    let files: Vec<_> = Kind::ALL.iter().map(|kind| (*kind, kind.file(directory.path(), names, ZONE))).collect();
    println!("{names} names, each with an address; load {}\n", load::load());
    for peer in &peers {
        let kib = peer.resident_kib();
        println!("{:<6} {:>7} MiB resident, {:>5} bytes a name", peer.name, kib / 1024, kib * 1024 / names as u64);
    }
    println!("\n| queries | server | CPU a query | of it user | queries/s | lost | latency | rounds |");
    println!("|---|---|---|---|---|---|---|---|");
    for (kind, file) in &files {
        let mut rows: Vec<Vec<Measured>> = peers.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for turn in 0..peers.len() {
                let place = (round + turn) % peers.len();
                rows[place].extend(queries::measure(&peers[place], *kind, file));
            }
        }
        for (peer, rows) in peers.iter().zip(&mut rows) {
            println!("| {} | {} | {} |", kind.title(), peer.name, queries::median(rows));
        }
    }
    println!("\nload {}", load::load());
}

/// Returns what makes a person with a name and an address.
fn somebody(signing: &Signing, number: usize) -> Vec<Certificate> {
    let (mut person, mut certificates) = signing.person(&load::label(number));
    let [_, high, middle, low] = (number as u32).to_be_bytes();
    certificates.push(signing.records(&mut person, [198, 18 + high % 2, middle, low]));
    certificates
}
