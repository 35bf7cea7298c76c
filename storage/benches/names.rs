//! How fast the name server's tables are: commits while the tables grow, lone commits, reads, and a start.
//!
//! `cargo bench -p storage -- [NAMES] [DIR]` (1,000,000 names in a temporary directory; 0 = only start what is there). Every claim is two labels, a chain row, a
//! name and an entry of 336 bytes; labels are random, as hashes are.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should say where and stop")]

#[path = "../tests/suite/mod.rs"]
mod suite;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use storage::rows::StoredHead;
use storage::{Guard, Raised, Storage};
use suite::{batch, hash};

const BATCH_CLAIMS: u64 = 4_096;
const LONE_COMMITS: u64 = 500;
const READS: u64 = 20_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let names: u64 = arguments.next().map_or(1_000_000, |names| names.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let dir = arguments.next().map_or(temporary.path().to_owned(), PathBuf::from);

    if names > 0 {
        run(&dir, names).await;
    }
    start(&dir).await;
}

async fn run(dir: &Path, names: u64) {
    let storage = Storage::open(dir).await.unwrap();
    let head = grow(&storage, names).await;
    let head = lone_commits(&storage, head, 1).await;
    lone_commits(&storage, head, 10).await;
    guard(&dir.join("guard"));
    reads(&storage).await;
    let (elapsed, closed) = timed(storage.close()).await;
    closed.unwrap();
    println!("close                        {:>9.1} ms", ms(elapsed));
}

/// Commits full batches until there are `names` names.
async fn grow(storage: &Storage, names: u64) -> StoredHead {
    let mut old = storage.log().load_head().await.unwrap();
    let (mut done, mut times) = (0, Vec::new());
    while done < names {
        let (new, rows) = batch(old.as_ref(), BATCH_CLAIMS);
        let (elapsed, committed) = timed(storage.log().commit(old.as_ref(), &new, &rows)).await;
        committed.unwrap();
        times.push(elapsed);
        (old, done) = (Some(new), done + BATCH_CLAIMS);
        if times.len() == 32 || done >= names {
            let sum: f64 = times.iter().map(|time| ms(*time)).sum();
            let rate = times.len() as f64 * BATCH_CLAIMS as f64 / sum * 1_000.0;
            println!("commits of {BATCH_CLAIMS}, to {done:>8}  {} {rate:>7.0} claims/s", spread(&mut times));
            times.clear();
        }
    }
    old.unwrap()
}

async fn lone_commits(storage: &Storage, mut old: StoredHead, claims: u64) -> StoredHead {
    let mut times = Vec::new();
    for _ in 0..LONE_COMMITS {
        let (new, rows) = batch(Some(&old), claims);
        let (elapsed, committed) = timed(storage.log().commit(Some(&old), &new, &rows)).await;
        committed.unwrap();
        times.push(elapsed);
        old = new;
    }
    println!("commits of {claims:<18}{}", spread(&mut times));
    old
}

fn guard(path: &Path) {
    let mut guard = Guard::create(path, Raised { size: 0, root: [0; 32] }).unwrap();
    let mut times = Vec::new();
    for size in 1..=LONE_COMMITS {
        let from = now();
        guard.raise(Raised { size, root: [1; 32] }).unwrap();
        times.push(from.elapsed());
    }
    println!("guard raised                 {}", spread(&mut times));
}

async fn reads(storage: &Storage) {
    let mut times = Vec::new();
    for read in 0..READS {
        let index = 1 + read * 7_919 % (BATCH_CLAIMS - 2);
        let asked = [hash(1, index), hash(2, index)];
        let (elapsed, found) = timed(storage.log().labels(&asked)).await;
        assert!(found.unwrap().iter().all(Option::is_some));
        times.push(elapsed);
    }
    println!("two labels, one reader       {}", spread(&mut times));
    let labels: Vec<_> = (0..BATCH_CLAIMS).flat_map(|index| [hash(1, index), hash(2, index)]).collect();
    let (elapsed, found) = timed(storage.log().labels(&labels)).await;
    println!("{} labels at once          {:>9.1} ms", found.unwrap().len(), ms(elapsed));
}

async fn start(dir: &Path) {
    let (elapsed, storage) = timed(Storage::open(dir)).await;
    println!("open                         {:>9.1} ms", ms(elapsed));
    let storage = storage.unwrap();
    let (elapsed, leaves) = timed(storage.log().all_leaves()).await;
    println!("{:>9} leaves, sorted     {:>9.1} ms", leaves.unwrap().len(), ms(elapsed));
    let from = now();
    let (mut names, mut count) = (storage.log().all_names(), 0);
    while names.next().await.unwrap().is_some() {
        count += 1;
    }
    println!("{count:>9} names              {:>9.1} ms", ms(from.elapsed()));
    let (elapsed, entries) = timed(storage.log().entries(0..65_536)).await;
    println!("{:>9} entries            {:>9.1} ms", entries.unwrap().len(), ms(elapsed));
}

async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let from = now();
    let done = work.await;
    (from.elapsed(), done)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: usize| ms(times[(times.len() - 1) * part / 100]);
    format!("p50 {:>8.3}  p99 {:>8.3}  max {:>8.3} ms", at(50), at(99), at(100))
}
