//! What many names cost: the memory of a server that holds them, and the time of its start.
//!
//! `cargo bench -p dgns-tests --bench million -- [--names 1000000] [--lookups 20000]`. Names are made in this process, past HTTP and
//! past the door, but by the same publisher with real signatures; each is a genesis and a claim. Every start is measured in a
//! process of its own, so that the memory shown is the server's alone: after the start, then after lookups all over the map.

mod load;

use std::path::Path;
use std::process::Command;

use identity::state::Subject;
use load::Stretch;

#[tokio::main]
async fn main() {
    if let Ok(data) = std::env::var("DGNS_BENCH_START") {
        return started(Path::new(&data), load::argument("--names", 1_000_000), load::argument("--lookups", 20_000))
            .await;
    }
    let names = load::argument("--names", 1_000_000);
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), names).await;
    for _ in 0..2 {
        let itself = std::env::current_exe().unwrap();
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let status = Command::new(itself).args(arguments).env("DGNS_BENCH_START", directory.path()).status().unwrap();
        assert!(status.success());
    }
}

/// Makes a log of `names` names in `data`.
async fn fill(data: &Path, names: usize) {
    let server = load::fill(data, names, |signing, number| signing.person(&load::label(number)).1).await;
    println!("  the process that made them: {} MiB", load::memory_kib("VmRSS") / 1024);
    server.stop().await.unwrap();
}

/// Starts a server on `data` and says what it took.
async fn started(data: &Path, names: usize, lookups: usize) {
    let before = load::memory_kib("VmRSS");
    let stretch = Stretch::begin();
    let server = load::start(data).await;
    stretch.report("start, names", names);
    let per_name = |kib: u64| format!("{} MiB = {} bytes a name", kib / 1024, kib * 1024 / names as u64);
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
