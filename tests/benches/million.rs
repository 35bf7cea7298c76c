//! What many names cost: the memory of a server that holds them, and the time of its start.
//!
//! `cargo bench -p dgns-tests --bench million -- [--names 1000000] [--lookups 20000] [--addresses 0|1] [--data DIR]`. Names are made in this process, past
//! HTTP and past the door, but by the same publisher with real signatures; each is a genesis and a claim, with `--addresses 1` an address too, and DNS then
//! shows no DIDs: what the memory of a signed name is compared by. Every start is measured in a process of its own, so that the memory shown is the server's
//! alone: after the start, then after lookups all over the map. What `--data` names is kept, and used if it is there.

mod load;

use std::path::Path;
use std::process::Command;

use dgns::clock::Clock;
use dgns::config::Config;
use dgns::server::Server;
use identity::state::Subject;
use load::Stretch;

#[tokio::main]
async fn main() {
    let with_address = load::argument("--addresses", 0) > 0;
    if let Ok(data) = std::env::var("DGNS_BENCH_START") {
        let (names, lookups) = (load::argument("--names", 1_000_000), load::argument("--lookups", 20_000));
        return started(Path::new(&data), names, lookups, with_address).await;
    }
    let names = load::argument("--names", 1_000_000);
    let (directory, kept) = (tempfile::tempdir().unwrap(), load::argument("--data", String::new()));
    let data = if kept.is_empty() { directory.path() } else { Path::new(&kept) };
    if !data.join("names.db").exists() {
        fill(data, names, with_address).await;
    }
    for _ in 0..3 {
        let itself = std::env::current_exe().unwrap();
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let status = Command::new(itself).args(arguments).env("DGNS_BENCH_START", data).status().unwrap();
        assert!(status.success());
    }
}

fn config(data: &Path, with_address: bool) -> Config {
    let mut config = load::config(data);
    config.dns.publish_did = !with_address;
    config
}

/// Makes a log of `names` names in `data`.
async fn fill(data: &Path, names: usize, with_address: bool) {
    let server = Server::start(config(data, with_address), Clock::system()).await.unwrap();
    load::fill(&server, names, move |signing, number| match with_address {
        true => load::somebody(signing, number),
        false => signing.person(&load::label(number)).1,
    })
    .await;
    println!("  the process that made them: {} MiB", load::memory_kib("VmRSS") / 1024);
    server.stop().await.unwrap();
}

/// Starts a server on `data` and says what it took.
async fn started(data: &Path, names: usize, lookups: usize, with_address: bool) {
    let before = load::memory_kib("VmRSS");
    let stretch = Stretch::begin();
    let server = Server::start(config(data, with_address), Clock::system()).await.unwrap();
    stretch.report("start, names", names);
    let per_name = |kib: u64| format!("{} MiB = {} bytes a name", kib / 1024, kib * 1024 / names as u64);
    let metrics = server.app.dns_metrics.render(&server.app.dns);
    metrics.lines().filter(|line| line.starts_with("dns_load_ms")).for_each(|line| println!("  {line}"));
    println!("  memory of DNS: {}", per_name(server.app.dns.card_bytes() as u64 / 1024));
    println!("  memory after the start: {} (before: {} MiB)", per_name(load::memory_kib("VmRSS")), before / 1024);
    println!("  peak during the start: {}", per_name(load::memory_kib("VmHWM")));
    let stretch = Stretch::begin();
    for place in 0..lookups {
        let name =
            format!("{}.{}", load::label(place.wrapping_mul(2_654_435_761) % names), server.app.core.zone.as_str());
        let query = dgns::log::lookup::Query::default();
        dgns::log::lookup::resolve(&server.app.core, &Subject::Name(name), query).await.unwrap();
    }
    stretch.report("lookups, one after the other, states cold", lookups);
    println!("  memory after them: {}", per_name(load::memory_kib("VmRSS")));
    server.stop().await.unwrap();
}
