//! What many names cost: the memory of a server that holds them, and the time of its start.
//!
//! `cargo bench -p dgns-tests --bench million -- [--names 1000000] [--lookups 20000] [--addresses 0|1] [--others 0|1] [--data DIR]`. Names are made in this process, past
//! HTTP and past the door, but by the same publisher with real signatures; each is a genesis and a claim, with `--addresses 1` an address too, and DNS then
//! shows no DIDs: what the memory of a signed name is compared by. Every start is measured in a process of its own, so that the memory shown is the server's
//! alone: after the start, then after lookups all over the map. With `--others 1` NSD and Knot are started on the same zone, exported, and their memory is
//! shown. What `--data` names is kept, and used if it is there.

mod load;

use std::fs::File;
use std::io::BufWriter;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dgns::clock::Clock;
use dgns::config::Config;
use dgns::server::Server;
use dgns_tests::harness::secondary::Secondary;
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
    if load::argument("--others", 0) > 0 {
        others(data, names, with_address).await;
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
    let mut config = config(data, with_address);
    config.dns.listen = vec![SocketAddr::from(([127, 0, 0, 1], free_port()))];
    let (asked, question) = (config.dns.listen[0], question(&load::label(names - 1), &config));
    let stretch = Stretch::begin();
    let answered = std::thread::spawn(move || first_answer(asked, &question));
    let server = Server::start(config, Clock::system()).await.unwrap();
    stretch.report("start, names", names);
    println!("  DNS answers after {:.2} s", (answered.join().unwrap() - stretch.began()).as_secs_f64());
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

/// Says what the zone takes in the memory of other servers, each alone, that have it from a file.
async fn others(data: &Path, names: usize, with_address: bool) {
    let (config, clock, directory) = (config(data, with_address), Clock::system(), tempfile::tempdir().unwrap());
    let (zone, path) = (config.zone.as_str().to_owned(), directory.path().join("zone"));
    let stretch = Stretch::begin();
    let mut file = BufWriter::new(File::create(&path).unwrap());
    let stored = dgns::server::stored_zone(&config, &clock).unwrap();
    let records = dgns::dns::export::write(stored, &config, &clock, &mut file).await.unwrap();
    file.into_inner().unwrap();
    stretch.report("zone export, records", records);
    for (what, start) in [("NSD", Secondary::nsd_of_file as fn(_, &str, &Path) -> _), ("Knot", Secondary::knot_of_file)]
    {
        let stretch = Stretch::begin();
        let server = start(Secondary::place(), &zone, &path);
        while server.serial(&zone).is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stretch.report(&format!("start of {what}, names"), names);
        let kib = load::family(server.pid()).map(|pid| load::memory_kib_of(pid, "VmRSS")).max().unwrap();
        println!(
            "  its memory, of its largest process: {} MiB = {} bytes a name",
            kib / 1024,
            kib * 1024 / names as u64
        );
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap().port()
}

/// Returns a query for the address of a name.
fn question(label: &str, config: &Config) -> Vec<u8> {
    let labels = [label].into_iter().chain(config.zone.as_str().split('.'));
    let name: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    [b"\x12\x34\0\0\0\x01\0\0\0\0\0\0".as_slice(), &name, b"\0\0\x01\0\x01"].concat()
}

/// Asks until there is an answer without error; returns when that came.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn first_answer(server: SocketAddr, question: &[u8]) -> Instant {
    let (socket, mut answer) = (UdpSocket::bind("127.0.0.1:0").unwrap(), [0; 512]);
    socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    loop {
        let _ = socket.send_to(question, server);
        match socket.recv(&mut answer) {
            Ok(_) if answer[3] & 15 == 0 => return Instant::now(),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
