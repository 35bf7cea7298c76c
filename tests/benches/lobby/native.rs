//! How fast a file comes from `dgns host` to `dgns connect` over their data channel, every chunk verified and written to disk: the
//! programs themselves, on one machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use dgns_tests::harness::{Person, Seed, Server, Site};
use tokio::time::{Instant, sleep};

/// How often each file is fetched.
const RUNS: usize = 5;

/// Prints how long one chunk takes from the start of the program, and how fast the rest of a large file comes behind it.
pub async fn measure(megabytes: usize) {
    let server = Site::new().start();
    let (alice, bob) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    alice.dgns(&server, &["claim", "db.alice"]).exits(0);
    bob.up(&server, "bob");
    let directory = tempfile::tempdir().expect("temporary directories can be made");
    let served = directory.path().join("served");
    fs::create_dir(&served).expect("a directory");
    let large = Seed::from(1).bytes(megabytes * 1_000_000);
    fs::write(served.join("small"), &large[..1_000]).expect("a file");
    fs::write(served.join("large"), &large).expect("a file");
    let arguments = ["host", "--name", "db.alice", text(&served), "--allow", "certified", "--loopback"];
    let host = alice.dgns_running(&server.url, &arguments);
    while host.event()["event"] != "online" {}
    let out = directory.path().join("out");
    // The host reads a file once before it serves it.
    fetch(&server, &bob, "large", &out);
    let mut small: Vec<f64> = (0..RUNS).map(|_| fetch(&server, &bob, "small", &out).as_secs_f64()).collect();
    // A device may knock at a name six times a minute.
    sleep(Duration::from_secs(60)).await;
    let mut whole: Vec<f64> = (0..RUNS).map(|_| fetch(&server, &bob, "large", &out).as_secs_f64()).collect();
    assert!(fs::read(&out).expect("the file came") == large, "it is the file");
    small.sort_by(f64::total_cmp);
    whole.sort_by(f64::total_cmp);
    let (small, whole) = (small[RUNS / 2], whole[RUNS / 2]);
    println!(
        "dgns connect: one chunk {:.0} ms from its start, then {:.1} MB/s ({megabytes} MB in {whole:.1} s; p50 of {RUNS})",
        small * 1e3,
        megabytes as f64 / (whole - small),
    );
}

fn fetch(server: &Server, bob: &Person, path: &str, out: &Path) -> Duration {
    let _ = fs::remove_file(out);
    let began = Instant::now();
    bob.dgns(server, &["connect", "db.alice.dgns.test", "--get", path, "--out", text(out), "--loopback"]).exits(0);
    began.elapsed()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the tests is text")
}
