//! How many certificates the log takes, and how soon they are proved, without HTTP.
//!
//! `cargo bench -p dgns-tests --bench engine -- [--names 20000] [--rounds 3]`. The server runs in this process with real storage in
//! a temporary directory. Everything is signed before the clock runs; it stops when the last answer is there, so each
//! certificate counted was decoded, verified strictly, judged, committed with synced writes and shown.

mod load;

use load::{Signing, Stretch};

#[tokio::main]
async fn main() {
    let (names, rounds) = (load::argument("--names", 20_000), load::argument("--rounds", 3));
    let directory = tempfile::tempdir().unwrap();
    let server = load::start(directory.path()).await;
    let signing = Signing::of(&server.app);

    let (mut people, claims): (Vec<_>, Vec<_>) = signing.people(&load::labels("engine", names)).into_iter().unzip();
    let posts = claims.iter().map(|post| load::envelopes(post)).collect();
    let stretch = Stretch::begin();
    load::submit_all(&server, posts).await;
    stretch.report("genesis + claim (4 signatures, 2 new keys)", 2 * names);

    // One certificate a post, one signature each, on names of many owners in turn.
    for round in 0..rounds as u8 {
        let items = people.iter_mut().collect();
        let records = load::in_threads(items, |person| vec![signing.records(person, [10, 0, 0, round]).encode()]);
        let stretch = Stretch::begin();
        load::submit_all(&server, records).await;
        stretch.report("records (1 signature)", names);
    }
    println!("memory {} MiB, peak {} MiB", load::memory_kib("VmRSS") / 1024, load::memory_kib("VmHWM") / 1024);
    server.stop().await.unwrap();
}
