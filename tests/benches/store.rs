//! Appends to logs of databases beside single rows in SQLite: what the tree, the rows and the order cost above one synced commit.
//! Prints; judges nothing. Raw SQLite is Python's, with the same settings; without Python its rows are left out.

use std::process::Command;
use std::sync::Arc;

use dgns_api::store::control::{Control, DbKind, KeyBox};
use dgns_api::store::entry::{Class, Entry, Header, LogId, LogKind};
use identity::did::Did;
use identity::hash::Hash;
use identity::key::SigningKey;
use identity::name::Origin;
use identity::sealed::Sealed;
use identity::token::Rights;
use storage::Options;
use storage::store::{Append, FreeQuota, Store};
use tokio::time::Instant;

/// The bytes of a record.
const RECORD_BYTES: usize = 256;

/// Commits of one client that are timed.
const ALONE: usize = 500;

/// Clients at once, and the entries of each.
const CLIENTS: u8 = 64;
const EACH: usize = 60;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(ours());
    raw_sqlite();
}

/// A device that signs entries beforehand: signing is the client's work.
struct Device {
    key: SigningKey,
    author: Did,
    log: LogId,
    last: Option<(u64, Hash)>,
}

impl Device {
    fn sign(&mut self, class: Class, body: Vec<u8>) -> Entry {
        let header = Header {
            class,
            log: self.log,
            author: self.author,
            device: self.key.public(),
            lsn: self.last.map_or(0, |(lsn, _)| lsn + 1),
            prev: self.last.map(|(_, leaf)| leaf),
            epoch: u64::from(class == Class::Data),
            refs: Vec::new(),
            body_bytes: 0,
            body: [0; 32],
            expect: None,
            unix_ms: 0,
        };
        let lsn = header.lsn;
        let home = Origin::parse("dgns.test/log").expect("an origin");
        let entry = Entry::sign(header, body, &home, &self.key).expect("a small entry");
        self.last = Some((lsn, entry.leaf()));
        entry
    }
}

async fn ours() {
    let dir = tempfile::tempdir().expect("a directory");
    let free = FreeQuota { bytes: 1 << 40, entries: 1 << 40, lease_ms: None };
    let store = Arc::new(Store::open(dir.path(), Options::default(), free).await.expect("a store"));
    let log = make(&store).await;
    let device =
        |number: u8| Device { key: SigningKey::from_seed(&[number; 32]), author: person(number), log, last: None };

    let mut alone = device(1);
    let entries: Vec<Entry> = (0..ALONE).map(|_| alone.sign(Class::Data, vec![7; RECORD_BYTES])).collect();
    let mut took = Vec::with_capacity(ALONE);
    for entry in entries {
        let begun = Instant::now();
        append(&store, entry).await;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    println!("append, 1 client: p50 {:.3} ms, p99 {:.3} ms", took[ALONE / 2], took[ALONE * 99 / 100]);

    for records in [1, 64] {
        let mut clients = Vec::new();
        for number in 2..2 + CLIENTS {
            let mut device =
                Device { key: SigningKey::from_seed(&[number.wrapping_add(records as u8); 32]), ..device(number) };
            let body = || vec![7; RECORD_BYTES * records];
            clients.push((0..EACH).map(|_| device.sign(Class::Data, body())).collect::<Vec<_>>());
        }
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for entries in clients {
            let store = store.clone();
            tasks.spawn(async move {
                for entry in entries {
                    append(&store, entry).await;
                }
            });
        }
        tasks.join_all().await;
        let rate = (usize::from(CLIENTS) * EACH) as f64 / begun.elapsed().as_secs_f64();
        println!(
            "append, {CLIENTS} clients, {records} records an entry: {rate:.0} entries/s, {:.0} records/s",
            rate * records as f64
        );
    }
}

fn person(number: u8) -> Did {
    Did::from_bytes([number; 20])
}

async fn make(store: &Store) -> LogId {
    let db = Did::from_bytes([0; 20]);
    let mut owner = Device { key: SigningKey::from_seed(&[0; 32]), author: db, log: LogId::control(&db), last: None };
    let home = Origin::parse("dgns.test/log").expect("an origin");
    let mut said = vec![Control::Genesis { did: db, kind: DbKind::General, home, salt: [0; 16] }];
    let people = || (1..2 + CLIENTS).map(person);
    said.extend(people().map(|did| Control::Grant { gid: 1, did, rights: Rights::ALL, until_s: u64::MAX >> 1 }));
    let sealed = || Sealed { enc: [1; 32], ct: vec![2; 48] };
    let boxes = people().map(|did| KeyBox { did, generation: 1, sealed: sealed() }).collect();
    said.push(Control::KeyEpoch { gid: 1, epoch: 1, boxes, previous: None });
    said.push(Control::Log { gid: 1, kind: LogKind::Shared, label: "main".into() });
    let entries: Vec<Entry> = said.iter().map(|said| owner.sign(Class::Control, said.encode())).collect();
    store.append(Append { entries, now_ms: 1, payer: Some(person(1)) }).await.expect("a database");
    LogId::of(&db, 1, LogKind::Shared, "main")
}

async fn append(store: &Store, entry: Entry) {
    let append = Append { entries: vec![entry], now_ms: 1, payer: None };
    store.append(append).await.expect("an append");
}

/// The same disk, the same settings, nothing but rows.
fn raw_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = format!(
        "import sqlite3, time\n\
         db = sqlite3.connect({:?}, isolation_level=None)\n\
         db.execute('PRAGMA journal_mode=WAL'); db.execute('PRAGMA synchronous=FULL')\n\
         db.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)')\n\
         took = []\n\
         for _ in range({ALONE}):\n\
         \x20t = time.perf_counter(); db.execute('INSERT INTO t (body) VALUES (?)', (bytes({RECORD_BYTES}),)); took.append(time.perf_counter() - t)\n\
         took.sort()\n\
         print('raw SQLite, a row a commit: p50 %.3f ms, p99 %.3f ms' % (took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3))\n\
         t = time.perf_counter()\n\
         for _ in range(200):\n\
         \x20db.execute('BEGIN IMMEDIATE'); db.executemany('INSERT INTO t (body) VALUES (?)', [(bytes({RECORD_BYTES}),)] * 64); db.execute('COMMIT')\n\
         print('raw SQLite, 64 rows a commit: %.0f rows/s' % (200 * 64 / (time.perf_counter() - t)))\n",
        dir.path().join("raw.db")
    );
    match Command::new("python3").args(["-c", &script]).status() {
        Ok(status) if status.success() => {}
        _ => println!("raw SQLite: no python3 here"),
    }
}
