//! What packing old entries saves, and what reading them costs: bytes of the database and entries a second, before and after.
//!
//! `cargo bench -p storage --bench packed -- [ENTRIES] [BODY_BYTES]` (200,000 entries of 100 bytes each, in a temporary directory, by one device in requests of 64). Bytes are the pages
//! of `store.db` that hold something. Reading is a whole pass in answers of 1,024 entries, thrice, without proofs of signatures; the first pass over segments
//! comes behind a restart. Prints; judges nothing.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should say where and stop")]
#![allow(clippy::disallowed_methods, reason = "a bench is about how long things take")]
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "the ground of the tests has more than this needs"
)]

#[path = "../tests/store/ground.rs"]
mod ground;
#[path = "../../tests/src/postgres.rs"]
mod postgres;
#[path = "../../tests/src/s3.rs"]
mod s3;
#[path = "../../tests/src/skip.rs"]
mod skip;

use std::time::Instant;

use dgns_api::store::entry::Entry;
use ground::{Device, Ground, NOW_MS, append, main_log, make, open, pack, person};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};
use storage::inject::Plan;
use storage::store::Store;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let entries: u64 = arguments.next().map_or(200_000, |entries| entries.parse().unwrap());
    let bytes: usize = arguments.next().map_or(100, |bytes| bytes.parse().unwrap());
    let ground = Ground::files();
    let store = open(&ground, &Plan::default(), 1 << 40).await;
    make(&store, &[person(1)]).await;
    let empty = pages(&ground).await;
    let mut device = Device::new(1, person(1), main_log());
    let began = Instant::now();
    for _ in 0..entries / 64 {
        let some: Vec<Entry> = (0..64).map(|_| device.next(&vec![7; bytes])).collect();
        store.append(append(&some)).await.unwrap();
    }
    let entries = entries / 64 * 64;
    println!("{entries} entries of {bytes} bytes appended in {:.1} s", began.elapsed().as_secs_f64());
    let rows = pages(&ground).await - empty;
    println!("database, in rows        {:>12} bytes, {:>6.1} an entry", rows, rows as f64 / entries as f64);
    passes(&store, "in rows", entries).await;

    let began = Instant::now();
    let (packed, merged) = pack(&store, NOW_MS).await;
    println!("{packed} packed, {merged} segments merged, in {:.1} s", began.elapsed().as_secs_f64());
    let left = pages(&ground).await - empty;
    println!("database, packed         {:>12} bytes, {:>6.1} an entry", left, left as f64 / entries as f64);
    store.close().await.unwrap();
    let store = open(&ground, &Plan::default(), 1 << 40).await;
    passes(&store, "packed", entries).await;
    let mut sum = 0;
    for path in ground.objects().await {
        sum += std::fs::metadata(ground.dir().join("chunks").join(path)).unwrap().len();
    }
    println!("objects, old ones too    {sum:>12} bytes, {}", ground.objects().await.len());
}

/// Reads all entries, thrice.
async fn passes(store: &Store, what: &str, entries: u64) {
    for pass in 1..=3 {
        let (began, mut at) = (Instant::now(), 0);
        while at < entries {
            at += store.range(&main_log(), at, 1_024, None).await.unwrap().unwrap().entries.len() as u64;
        }
        println!("pass {pass}, {what:<12} {:>12.0} entries/s", entries as f64 / began.elapsed().as_secs_f64());
    }
}

/// The bytes of the pages that hold something.
async fn pages(ground: &Ground) -> i64 {
    let path = ground.dir().join("store.db");
    let mut conn = SqliteConnectOptions::new().filename(path).read_only(true).connect().await.unwrap();
    let sql = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    sqlx::query(sql).fetch_one(&mut conn).await.unwrap().get(0)
}
