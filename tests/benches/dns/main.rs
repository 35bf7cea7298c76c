//! The name server beside others, and while its log grows.
//!
//! `cargo bench -p dgns-tests --bench dns -- [--only PART] [--names 200000] [--rounds 5] [--seconds 4]`, after `cargo build --release --workspace`.
//! Needs dnsperf, h2load (nghttp2-client), NSD, Knot, kdig, taskset and chrt. Without `--only` all parts:
//!
//! | part | what it shows |
//! |---|---|
//! | `queries` | processor time of a query, memory of a name, beside NSD, Knot and an echo that knows no DNS |
//! | `visible` | how long after its receipt a change is answered, here, by NSD and by Knot: `[--changes 300] [--rate 5] [--posts 1000]` |
//! | `secure` | queries over TLS and HTTPS beside hickory's own server, of `tests/interop/hickory`, whose Cargo.toml says how it is built |
//! | `hits` | latency of hits alone and while names are registered, and what those cost: `[--burst 20000] [--asks 2000] [--posts 1000]` |
//! | `flood` | latency of hits alone and beside a flood of names that nobody has, and what those cost: `[--flood 17000] [--asks 2000] [--seconds 20]` |
//!
//! The log is made in this process; then dgnsd serves its zone, signed. Prints; judges nothing.

mod flood;
mod hits;
#[path = "../load/mod.rs"]
mod load;
mod queries;
mod secure;
mod servers;
mod visible;
mod wire;

use std::path::Path;

use load::Signing;
use queries::{Kind, Road};
use servers::Peer;

const ZONE: &str = "dgns.test";

fn main() {
    if servers::is_echo() {
        return servers::echo();
    }
    if hits::is_asker() {
        return hits::ask();
    }
    let names = load::argument("--names", 200_000);
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let signing = runtime.block_on(async {
        let server = load::start(directory).await;
        load::fill(&server, names, load::somebody).await;
        let signing = Signing::of(&server.app);
        server.stop().await.expect("it stops");
        signing
    });
    println!("{names} names, each with an address; load {}", load::load());
    let only = std::env::args().skip_while(|argument| argument != "--only").nth(1);
    let is_wanted = |part: &str| only.as_ref().is_none_or(|only| only == part);
    if is_wanted("queries") {
        compare(directory, names);
    }
    if is_wanted("visible") {
        runtime.block_on(visible::run(directory, &signing));
    }
    if is_wanted("secure") {
        secure::run(directory, names);
    }
    drop(runtime);
    if is_wanted("hits") {
        hits::run(directory, names, &signing); // one of the last, for it keeps to one core
    }
    if is_wanted("flood") {
        flood::run(directory, names);
    }
    println!("\nload {}", load::load());
}

/// dgnsd, NSD and Knot with the same records and signatures, each with one worker on the first core, in turn; dnsperf on the second keeps 100 queries under
/// way. NSD and Knot have the zone from dgnsd by AXFR.
fn compare(directory: &Path, names: usize) {
    let peers = Peer::all(directory);
    for peer in &peers {
        let kib = peer.resident_kib();
        println!("{:<6} {:>7} MiB resident, {:>5} bytes a name", peer.name, kib / 1024, kib * 1024 / names as u64);
    }
    queries::head();
    for kind in Kind::ALL {
        queries::in_turn(&peers, Road::Udp, kind, &kind.file(directory, names), kind.title());
    }
}
