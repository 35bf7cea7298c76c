//! Where a claim is held on each engine, and who speaks in it.

use dgns_api::store::control::{Control, DbKind, KeyBox};
use dgns_api::store::entry::{Class, Entry, Header, LogId, LogKind};
use identity::did::Did;
use identity::hash::Hash;
use identity::key::SigningKey;
use identity::name::Origin;
use identity::sealed::Sealed;
use identity::token::Rights;
use storage::Options;
use storage::inject::Plan;
use storage::store::rows::LogRow;
use storage::store::{Age, Append, DatabaseUrl, FreeQuota, Home, Packing, Store};
use translog::tree::Edge;

use crate::postgres::Postgres;
use crate::s3::{S3, paths_below};

/// Where the databases of one test lie.
pub(crate) struct Ground {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) home: Home,
    pub(crate) s3: Option<S3>,
    /// Whether all that is old is packed whenever the databases are opened.
    pub(crate) packs: bool,
}

impl Ground {
    pub(crate) fn files() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), home: Home::default(), s3: None, packs: false }
    }

    /// Files, in which every entry is packed whenever they are opened.
    pub(crate) fn packed() -> Self {
        Self { packs: true, ..Self::files() }
    }

    /// The same databases, opened by another server.
    pub(crate) fn elsewhere(&self) -> Self {
        Self { home: self.home.clone(), packs: self.packs, ..Self::files() }
    }

    /// Another ground of the same kind, with nothing on it.
    pub(crate) async fn anew(&self) -> Self {
        let other = if self.s3.is_some() { Self::servers().await } else { Self::files() };
        Self { packs: self.packs, ..other }
    }

    pub(crate) async fn servers() -> Self {
        let database = Some(DatabaseUrl(Postgres::shared().new_database()));
        let s3 = S3::start().await;
        Self { home: Home { database, bucket: Some(s3.bucket()) }, s3: Some(s3), ..Self::files() }
    }

    /// Files, and an object store that others wrote; `None`, and it is said why, where there is none.
    pub(crate) async fn moto() -> Option<Self> {
        let s3 = S3::moto().await?;
        Some(Self { home: Home { database: None, bucket: Some(s3.bucket()) }, s3: Some(s3), ..Self::files() })
    }

    /// The paths of all objects.
    pub(crate) async fn objects(&self) -> Vec<String> {
        match &self.s3 {
            Some(s3) => s3.paths().await,
            None => paths_below(&self.dir().join("chunks")),
        }
    }

    /// The bytes of an object.
    pub(crate) async fn object(&self, path: &str) -> Vec<u8> {
        match &self.s3 {
            Some(s3) => s3.object(path).await,
            None => std::fs::read(self.dir().join("chunks").join(path)).unwrap(),
        }
    }

    /// Writes other bytes where an object is.
    pub(crate) async fn damage(&self, path: &str, bytes: &[u8]) {
        match &self.s3 {
            Some(s3) => s3.damage(path, bytes).await,
            None => std::fs::write(self.dir().join("chunks").join(path), bytes).unwrap(),
        }
    }

    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }
}

/// Runs every claim on each engine.
macro_rules! on_both_engines {
    ($($claim:ident)*) => {
        mod on_files {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                super::$claim(&crate::ground::Ground::files()).await;
            })*
        }

        mod on_postgres_and_s3 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                super::$claim(&crate::ground::Ground::servers().await).await;
            })*
        }
    };
}

/// Runs claims with entries that are packed, too.
macro_rules! on_packed_entries {
    ($($claim:ident)*) => {
        mod on_packed_entries {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                super::$claim(&crate::ground::Ground::packed()).await;
            })*
        }
    };
}

/// Runs claims with the object store of others too.
macro_rules! on_moto {
    ($($claim:ident)*) => {
        mod on_moto {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                let Some(ground) = crate::ground::Ground::moto().await else { return };
                super::$claim(&ground).await;
            })*
        }
    };
}

pub(crate) const NOW_MS: u64 = 1_000_000;
pub(crate) const GID: u32 = 1;

pub(crate) fn home() -> Origin {
    Origin::parse("dgns.test/log").unwrap()
}

pub(crate) fn db() -> Did {
    Did::from_bytes([7; 20])
}

pub(crate) fn person(number: u8) -> Did {
    Did::from_bytes([number; 20])
}

pub(crate) fn main_log() -> LogId {
    LogId::of(&db(), GID, LogKind::Shared, "main")
}

/// One device that appends to one log.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) key: SigningKey,
    pub(crate) author: Did,
    pub(crate) log: LogId,
    pub(crate) next: u64,
    pub(crate) last: Option<Hash>,
    pub(crate) epoch: u64,
}

impl Device {
    pub(crate) fn new(seed: u8, author: Did, log: LogId) -> Self {
        Self { key: SigningKey::from_seed(&[seed; 32]), author, log, next: 0, last: None, epoch: 1 }
    }

    /// Signs the next entry without going on to it.
    pub(crate) fn entry(&self, class: Class, body: &[u8], expect: Option<(u64, Hash)>) -> Entry {
        let header = Header {
            class,
            log: self.log,
            author: self.author,
            device: self.key.public(),
            lsn: self.next,
            prev: self.last,
            epoch: if class == Class::Control { 0 } else { self.epoch },
            refs: Vec::new(),
            body_bytes: 0,
            body: [0; 32],
            expect,
            unix_ms: 5,
        };
        Entry::sign(header, body.to_vec(), &home(), &self.key).unwrap()
    }

    pub(crate) fn next(&mut self, body: &[u8]) -> Entry {
        let entry = self.entry(Class::Data, body, None);
        (self.next, self.last) = (self.next + 1, Some(entry.leaf()));
        entry
    }

    /// Signs a statement about the database.
    pub(crate) fn says(&mut self, statement: &Control) -> Entry {
        let entry = self.entry(Class::Control, &statement.encode(), None);
        (self.next, self.last) = (self.next + 1, Some(entry.leaf()));
        entry
    }
}

/// Revokes somebody behind so many entries of the log `main`.
pub(crate) fn revoke(did: Did, size: u64) -> Control {
    Control::Revoke { gid: GID, did, cuts: vec![(main_log(), size)] }
}

pub(crate) fn grant(did: Did, rights: Rights) -> Control {
    Control::Grant { gid: GID, did, rights, until_s: 5_000 }
}

pub(crate) fn turn(epoch: u64, people: &[Did]) -> Control {
    let sealed = Sealed { enc: [1; 32], ct: vec![2; 48] };
    let boxes = people.iter().map(|did| KeyBox { did: *did, generation: 1, sealed: sealed.clone() });
    Control::KeyEpoch { gid: GID, epoch, boxes: boxes.collect(), previous: (epoch > 1).then(|| sealed.clone()) }
}

pub(crate) async fn open(ground: &Ground, failures: &Plan, bytes: u64) -> Store {
    let options = Options { failures: failures.clone(), ..Options::default() };
    let free = FreeQuota { bytes, entries: 1_000_000, lease_ms: None };
    let store = Store::open_at(ground.dir(), ground.home(), options, free).await.unwrap();
    if ground.packs {
        pack(&store, NOW_MS).await;
    }
    store
}

/// Packs all entries that are there, but those of control logs; returns how many that were, and how many segments others took the place of.
pub(crate) async fn pack(store: &Store, now_ms: u64) -> (u64, u64) {
    let (mut packing, mut entries, mut merged) = (Packing::default(), 0, 0);
    loop {
        // All are as old as a few have to be.
        let done = store.pack(&mut packing, Age { now_ms, after_ms: 0 }).await.unwrap();
        (entries, merged) = (entries + done.entries, merged + done.merged);
        if !done.is_more {
            return (entries, merged);
        }
    }
}

pub(crate) fn append(entries: &[Entry]) -> Append {
    Append { entries: entries.to_vec(), now_ms: NOW_MS, payer: None, home: None, arrives: None, partition: None }
}

/// Whether somebody may read a log at second 1.
pub(crate) async fn may_read(store: &Store, log: &LogRow, did: Did) -> bool {
    let db = store.database_of(log).await.unwrap();
    1 < store.reads_until(&db, log, &did).await.unwrap()
}

/// The first entries of the database: one group of these people and the log `main`; with the device that says so.
pub(crate) fn beginning(people: &[Did]) -> (Device, Vec<Entry>) {
    beginning_of(db(), people)
}

/// As [`beginning`], of another database.
pub(crate) fn beginning_of(did: Did, people: &[Did]) -> (Device, Vec<Entry>) {
    let mut owner = Device::new(9, did, LogId::control(&did));
    let mut said = vec![Control::Genesis { did, kind: DbKind::General, home: home(), salt: [0; 16] }];
    said.extend(people.iter().map(|did| grant(*did, Rights::READ.and(Rights::WRITE))));
    said.push(turn(1, people));
    said.push(Control::Log { gid: GID, kind: LogKind::Shared, label: "main".into() });
    let entries = said.iter().map(|statement| owner.says(statement)).collect();
    (owner, entries)
}

/// Makes the database with one group of these people and the log `main`.
pub(crate) async fn make(store: &Store, people: &[Did]) -> Device {
    let (owner, entries) = beginning(people);
    store.append(Append { payer: Some(person(1)), ..append(&entries) }).await.unwrap();
    owner
}

pub(crate) use {on_both_engines, on_moto, on_packed_entries};

/// Reads the first `size` entries of a log, some at a time, and holds each against its signature and its edge. Returns their leaves, and the
/// root of the tree before and behind each.
pub(crate) async fn leaves_and_roots(store: &Store, log: LogId, size: u64) -> (Vec<Hash>, Vec<Hash>) {
    let (mut edge, mut leaves, mut roots) = (Edge::new(), Vec::new(), vec![Edge::new().root()]);
    while edge.size() < size {
        let rows = store.range(&log, edge.size(), 100, None).await.unwrap().unwrap();
        if let Some((last, path)) = rows.edge.split_first() {
            assert_eq!(Edge::from_parts(edge.size(), *last, path).unwrap(), edge);
        }
        for row in rows.entries {
            let entry = Entry::from_parts(row.header, row.sig, row.body).unwrap();
            entry.verify(&home()).unwrap();
            edge.append(entry.leaf());
            leaves.push(entry.leaf());
            roots.push(edge.root());
        }
    }
    (leaves, roots)
}
