//! Chunks under everybody at once: stored, asked for, named, let go of and read by tasks, by two nodes, and by a process that is killed.

use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use storage::Options;
use storage::inject::Plan;
use storage::store::{DatabaseUrl, FreeQuota, Grace, Home, Store};

use crate::chunks::{chunk, entries, naming};
use crate::collected::{GRACE_MS, all_named_is_there, at, collect_all, objects, owed, used};
use crate::ground::{Device, Ground, append, main_log, make, on_both_engines, open, person};
use crate::{CHILD_DATABASE, say};

on_both_engines! {
    what_is_acknowledged_as_named_is_there_whoever_stores_and_deletes_beside_it
    a_process_that_is_killed_amid_it_leaves_no_entry_without_its_chunks
}

/// Few chunks, so that each is stored, named and let go of by many; every other one has an object.
const CHUNKS: u64 = 12;

fn one_of(number: u64) -> (dgns_api::store::content::ContentId, bytes::Bytes) {
    let number = number % CHUNKS;
    chunk(number as u8, if number.is_multiple_of(2) { 20_000 } else { 100 })
}

/// Stores a chunk and says that an entry names it, as clients do: until it is taken.
async fn put_and_name(store: &Store, clock: &AtomicU64, device: &mut Device, number: u64) {
    let (id, bytes) = one_of(number);
    let entry = naming(device, vec![id]);
    loop {
        let charge = entries(store, at(clock.load(Ordering::Relaxed))).await;
        match store.put_chunk(&id, bytes.clone(), charge).await {
            Ok(()) => {}
            Err(refusal) => assert_eq!(refusal.code(), "busy"),
        }
        match store.append(append(std::slice::from_ref(&entry))).await {
            Ok(_) => break,
            Err(refusal) => assert_eq!(refusal.code(), "chunk_missing", "{refusal:?}"),
        }
    }
    assert_eq!(store.chunk(&id).await.unwrap(), Some(bytes), "it is named from here on");
    (device.next, device.last) = (device.next + 1, Some(entry.leaf()));
}

/// Works until its part is done: one device names chunks, stores others and asks for some, while time goes on.
async fn works(store: Arc<Store>, clock: Arc<AtomicU64>, number: u8, rounds: u64) {
    let mut device = Device::new(number, person(number), main_log());
    for round in 0..rounds {
        let at_once = u64::from(number) * 5 + round * 7;
        // Time goes on with the work: whoever tries again is overtaken by the others' rounds at most.
        clock.fetch_add(1, Ordering::Relaxed);
        let (id, bytes) = one_of(at_once + 1);
        let charge = entries(&store, at(clock.load(Ordering::Relaxed))).await;
        match store.put_chunk(&id, bytes, charge).await {
            Ok(()) => {}
            Err(refusal) => assert_eq!(refusal.code(), "busy"),
        }
        store.have_chunks(charge, &[one_of(at_once + 2).0]).await.unwrap();
        // Half of the chunks are named late, so that they go often before.
        if round > rounds / 2 || at_once % CHUNKS < CHUNKS / 2 {
            put_and_name(&store, &clock, &mut device, at_once).await;
        }
    }
}

async fn what_is_acknowledged_as_named_is_there_whoever_stores_and_deletes_beside_it(ground: &Ground) {
    // Goal: no entry without its chunks, and nothing charged that is gone. Method: four devices at two nodes, or at one where there is one, and
    // a collector at each, for whom every round of a device is a grace later.
    let nodes = match &ground.home.database {
        Some(_) => vec![open(ground, &Plan::default(), 1 << 30).await, open(ground, &Plan::default(), 1 << 30).await],
        None => vec![open(ground, &Plan::default(), 1 << 30).await],
    };
    let nodes: Vec<Arc<Store>> = nodes.into_iter().map(Arc::new).collect();
    make(&nodes[0], &[1, 2, 3, 4].map(person)).await;
    let clock = Arc::new(AtomicU64::new(1));
    let mut work = tokio::task::JoinSet::new();
    for number in 1..=4 {
        let store = nodes[usize::from(number) % nodes.len()].clone();
        work.spawn(works(store, clock.clone(), number, 24));
    }
    let mut collectors = tokio::task::JoinSet::new();
    let gone = Arc::new(AtomicU64::new(0));
    for store in nodes.clone() {
        let (clock, gone) = (clock.clone(), gone.clone());
        collectors.spawn(async move {
            loop {
                let now_ms = at(clock.load(Ordering::Relaxed));
                let step = store.collect(Grace { now_ms, grace_ms: GRACE_MS }).await.unwrap();
                gone.fetch_add(step.chunks, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
    }
    while let Some(worked) = work.join_next().await {
        worked.unwrap();
    }
    collectors.shutdown().await;
    let store = &nodes[0];
    collect_all(store, clock.load(Ordering::Relaxed) + 5).await;
    let (named, _) = all_named_is_there(store, main_log()).await;
    assert_eq!(used(store, 1).await, owed(store).await);
    assert_eq!(objects(ground).await, named.iter().filter(|(_, size)| *size == 20_000).count(), "nothing is left over");
    assert!(gone.load(Ordering::Relaxed) > 0);
}

/// More rounds than a run has.
const RUN: u64 = 100_000;

const CONTENDED_DIR: &str = "STORE_TEST_CONTENDED";

/// The process that is killed: it says what it named, while it lets go of what it does not.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_stores_and_collects_until_killed() {
    let Some(dir) = std::env::var_os(CONTENDED_DIR) else { return };
    let database = std::env::var(CHILD_DATABASE).ok().map(DatabaseUrl);
    let store = Arc::new(open_in(dir.as_ref(), database).await);
    let begun = store.log(&main_log()).await.unwrap().unwrap().edge.size();
    let clock = Arc::new(AtomicU64::new(begun * RUN + 1));
    let mut device = Device::new(1, person(1), main_log());
    let cursor = store.cursor(&main_log(), &device.key.public()).await.unwrap();
    (device.next, device.last) = cursor.map_or((0, None), |(lsn, leaf)| (lsn + 1, Some(leaf)));
    let (collector, time) = (store.clone(), clock.clone());
    tokio::spawn(async move {
        loop {
            let now_ms = at(time.load(Ordering::Relaxed));
            collector.collect(Grace { now_ms, grace_ms: GRACE_MS }).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    loop {
        clock.fetch_add(1, Ordering::Relaxed);
        let (id, bytes) = chunk((device.next % 200) as u8 + 50, 30_000);
        let charge = entries(&store, at(clock.load(Ordering::Relaxed))).await;
        let _ = store.put_chunk(&id, bytes, charge).await; // goes, unless it is named next
        let number = device.next;
        put_and_name(&store, &clock, &mut device, number).await;
        say(&format!("named {number}"));
    }
}

async fn open_in(dir: &std::path::Path, database: Option<DatabaseUrl>) -> Store {
    let free = FreeQuota { bytes: 1 << 30, entries: 1_000_000, lease_ms: None };
    Store::open_at(dir, &Home { database, bucket: None }, Options::default(), free).await.unwrap()
}

/// Runs the child until it said so many lines, and kills it; returns how many entries it said were taken.
fn run_and_kill(ground: &Ground, lines: usize) -> u64 {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "contended::child_that_stores_and_collects_until_killed", "--nocapture"]);
    command.env(CONTENDED_DIR, ground.dir()).stdout(std::process::Stdio::piped());
    if let Some(url) = &ground.home.database {
        command.env(CHILD_DATABASE, &url.0);
    }
    let mut child = command.spawn().unwrap();
    let said = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let mut named = said.filter_map(|line| line.ok()?.strip_prefix("@named ")?.parse::<u64>().ok());
    let last = named.by_ref().take(lines).last().expect("the child lives");
    child.kill().unwrap();
    child.wait().unwrap();
    named.last().unwrap_or(last) + 1
}

async fn a_process_that_is_killed_amid_it_leaves_no_entry_without_its_chunks(ground: &Ground) {
    let database = || ground.home.database.clone();
    let store = open_in(ground.dir(), database()).await;
    make(&store, &[person(1)]).await;
    store.close().await.unwrap();
    for kill in 1..=8 {
        let named = run_and_kill(ground, kill * 3 % 7 + 1);
        let store = open_in(ground.dir(), database()).await;
        let size = store.log(&main_log()).await.unwrap().unwrap().edge.size();
        assert!(size >= named, "kill {kill}: {size} of {named}");
        all_named_is_there(&store, main_log()).await;
        // Later than the run was: what is due goes, and the account is charged for what is left.
        collect_all(&store, size * RUN + RUN / 2).await;
        assert_eq!(used(&store, 1).await, owed(&store).await, "kill {kill}");
        store.close().await.unwrap();
    }
}
