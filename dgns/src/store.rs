//! Databases as this server keeps them: who appends is checked against the log of names, what is acknowledged is signed
//! (PROTOCOL 25).

mod accounts;
mod anchors;
mod arrivals;
mod guests;
mod partitions;
mod watch;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dgns_api::store::acl::{AclRefusal, Stage};
use dgns_api::store::answer::{Cursor, Receipts, encode_places, encode_range};
use dgns_api::store::content::ContentId;
use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, EntryError, LogId, LogKind, write_parts};
use dgns_api::store::head::{SignedHead, StoreHead};
use identity::cert::{DidKind, KeyBytes};
use identity::did::Did;
use identity::hash::Hash;
use identity::key::{SigningKey, kid_of};
use identity::name::Origin;
use identity::state::{DeviceStatus, DidState};
use identity::wire::Writer;
use storage::store::rows::{DbRow, EntryRow, LogRow};
use storage::store::{Append, AppendRefusal, Appended, Charge, ChunkRefusal, FreeQuota, Purpose, Store};
use storage::{Options, StorageError};

pub use accounts::keep as keep_accounts;
use anchors::Anchors;
pub use anchors::{AnchorError, keep as keep_anchors};
pub use guests::{Guest, GuestRefusal, Guests};
pub use watch::Watcher;

use crate::auth::request::newest;
use crate::config::StorageConfig;
use crate::core::Core;
use crate::limits::{Places, WATCHED_MAX};
use crate::people::bells::Bells;

/// The databases of this server with the key that signs for them.
pub struct Databases {
    store: Store,
    key: SigningKey,
    entries: AtomicU64,
    refused: AtomicU64,
    chunks: AtomicU64,
    anchors: Anchors,
    /// Who watches logs: nobody rings, they are told by the store.
    watchers: Bells,
    /// The places of the logs that are watched.
    watched: Places,
    /// How long after its lease an account is read only, before its data is dropped.
    grace_ms: u64,
    /// How long a chunk stays that no entry names.
    chunk_grace_ms: u64,
    /// Chunks that were let go of, objects that were deleted for that, and times that this failed.
    collected: [AtomicU64; 3],
    /// From which age on entries are packed; all the time there is if none are.
    pack_after_ms: u64,
    /// Entries that were packed, segments that others took the place of, and times that this failed.
    packed: [AtomicU64; 3],
    /// The orders of leases that cannot be read: while there are any, nothing is dropped.
    bad_orders: AtomicU64,
    /// The logs whose rows contradict each other, so that nothing of them goes.
    broken: AtomicU64,
    /// The people of other logs.
    guests: Guests,
}

const DAY_MS: u64 = 86_400_000;

/// Why something about a database is refused. Nothing changed, but that two entries of one device at one place are kept as proof.
#[derive(Debug, thiserror::Error)]
pub enum StoreRefusal {
    /// The entry itself. Codes of the decoder, `too_large`, `hash_mismatch`, `bad_signature`.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The key that signed is no live device of the author. Code `unknown_device`.
    #[error("the key that signed is no live device of the author")]
    UnknownDevice,
    /// The author has ended. Code `ended`.
    #[error("the DID of the author has ended")]
    Ended,
    /// The writer refuses it. Codes of its own.
    #[error(transparent)]
    Append(#[from] AppendRefusal),
    /// There is no such log, database or chunk. Code `not_found`.
    #[error("there is no such thing here")]
    NotFound,
    /// Who asks may not read this. Code `not_reader`.
    #[error("who asks may not read this")]
    NotReader,
    /// The log has not so many entries. Code `range`.
    #[error("the log does not reach so far: if it did once, it was rolled back")]
    Range,
    /// The entry is older than what is left of a database that nobody paid for once, and somebody does again. Code `dropped`.
    #[error(
        "this server says that nobody paid for this database for a time, and that its entries before place {first} were deleted"
    )]
    DroppedBefore {
        /// The first entry that is there.
        first: u64,
    },
    /// The entry was trimmed: the control log says so. Code `trimmed`.
    #[error("the owners of this database trimmed its entries before place {first}: a snapshot stands for them")]
    Trimmed {
        /// The first entry that is there.
        first: u64,
    },
    /// The databases are older than what the log of names says of them. Code `store_behind`.
    #[error("the databases here were put back from an older copy: nothing is appended to them")]
    RolledBack,
    /// Nobody of that log keeps databases here, or that was not proved. Codes of its own.
    #[error(transparent)]
    Guest(#[from] GuestRefusal),
    /// The chunk is refused. Codes of its own.
    #[error(transparent)]
    Chunk(#[from] ChunkRefusal),
    /// The database failed. Code `internal`; `recovering` if it is only out of reach.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl StoreRefusal {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Entry(error) => error.code(),
            Self::UnknownDevice => "unknown_device",
            Self::Ended => "ended",
            Self::Append(refusal) => refusal.code(),
            Self::NotFound => "not_found",
            Self::NotReader => "not_reader",
            Self::Range => "range",
            Self::DroppedBefore { .. } => "dropped",
            Self::Trimmed { .. } => "trimmed",
            Self::RolledBack => "store_behind",
            Self::Guest(refusal) => refusal.code(),
            Self::Chunk(refusal) => refusal.code(),
            Self::Storage(error) if error.is_passing() => "recovering",
            Self::Storage(_) => "internal",
        }
    }
}

/// Somebody who asks, as one log of names has them: two logs may have one DID, and mean others by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The DID.
    pub did: Did,
    /// The log of names, if that is not this server's.
    pub home: Option<Origin>,
}

impl Who {
    /// Refuses people of other logs: they have no accounts here, and no files.
    fn is_local(&self) -> Result<(), GuestRefusal> {
        if self.home.is_none() { Ok(()) } else { Err(GuestRefusal::Elsewhere) }
    }

    /// Returns whether this may be somebody of a database: of the log whose people write it, and of no other that says so of the same DID.
    fn is_of(&self, db: &DbRow) -> bool {
        self.home == db.home
    }
}

/// What a reader asks for.
#[derive(Clone, Copy, Debug)]
pub struct RangeAsked {
    /// The first place.
    pub from: u64,
    /// The most entries; 0 for the head alone, which a log has whose entries were dropped.
    pub limit: u64,
    /// The size that the reader remembers: a consistency proof from it is added.
    pub old: Option<u64>,
    /// How long to wait if there is nothing yet.
    pub wait: Duration,
}

impl Databases {
    /// Opens what lies in the data directory. `key` is the server's own device.
    pub async fn open(data: &Path, config: &StorageConfig, key: SigningKey) -> Result<Self, StorageError> {
        let lease_ms = Some(config.free_days * DAY_MS).filter(|lease_ms| *lease_ms > 0);
        let free = FreeQuota { bytes: config.free_mib << 20, entries: config.free_entries, lease_ms };
        let store = Store::open_at(data, &config.home, Options::default(), free).await?;
        let anchors = Anchors::open(&store).await?;
        let [entries, refused, chunks] = std::array::from_fn(|_| AtomicU64::new(0));
        let (watchers, watched) = (Bells::new(config.watchers_max), Places::new(WATCHED_MAX));
        let grace_ms = config.grace_days * DAY_MS;
        Ok(Self {
            store,
            key,
            entries,
            refused,
            chunks,
            anchors,
            watchers,
            watched,
            grace_ms,
            chunk_grace_ms: config.chunk_grace_s * 1_000,
            collected: std::array::from_fn(|_| AtomicU64::new(0)),
            pack_after_ms: if config.pack_after_s == 0 { u64::MAX } else { config.pack_after_s * 1_000 },
            packed: std::array::from_fn(|_| AtomicU64::new(0)),
            bad_orders: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            guests: Guests::of(&config.homes),
        })
    }

    /// Appends entries of one log, all or none, and returns the receipts. With a `payer` the first may be the genesis of a database.
    pub async fn append(
        &self,
        core: &Core,
        entries: Vec<Entry>,
        payer: Option<&Who>,
        old: Option<u64>,
    ) -> Result<Vec<u8>, StoreRefusal> {
        let count = entries.len() as u64;
        let appended = self.append_checked(core, entries, payer, old).await;
        match &appended {
            Ok(_) => self.entries.fetch_add(count, Ordering::Relaxed),
            Err(_) => self.refused.fetch_add(1, Ordering::Relaxed),
        };
        appended
    }

    async fn append_checked(
        &self,
        core: &Core,
        entries: Vec<Entry>,
        payer: Option<&Who>,
        old: Option<u64>,
    ) -> Result<Vec<u8>, StoreRefusal> {
        let Some(first) = entries.first() else { return Err(StoreRefusal::NotFound) };
        if self.anchors.are_rolled_back() {
            return Err(StoreRefusal::RolledBack);
        }
        let (log, control) = (first.header().log, first.header().class == Class::Control);
        if let Some(payer) = payer {
            payer.is_local()?;
            begins_here(core, first).await?;
        }
        let home = self.home_of(&log).await?;
        let mut checked: Option<(Did, KeyBytes)> = None;
        for entry in &entries {
            let header = entry.header();
            if checked != Some((header.author, header.device)) {
                match &home {
                    Some(home) => self.is_guest(core, home, (&header.author, &header.device))?,
                    None => is_device(core, &header.author, &header.device).await?,
                }
                checked = Some((header.author, header.device));
            }
            entry.verify(home.as_ref().unwrap_or(&core.origin))?;
        }
        let (now_ms, payer) = (core.clock.now().as_ms(), payer.filter(|_| control).map(|payer| payer.did));
        let appended =
            self.store.append(Append { entries, now_ms, payer, home, arrives: None, partition: None }).await?;
        self.acknowledged(core, &appended, old).await
    }

    /// Returns the log of names whose people write a log here that was made there; `None` for this server's own. Where no others may come nobody
    /// looks: what came while they could is refused as another's.
    async fn home_of(&self, log: &LogId) -> Result<Option<Origin>, StoreRefusal> {
        if self.guests.is_empty() {
            return Ok(None);
        }
        let Some(row) = self.store.log(log).await? else { return Ok(None) };
        Ok(self.store.database_of(&row).await?.home)
    }

    /// Returns the receipts of entries that are durable.
    async fn acknowledged(&self, core: &Core, appended: &Appended, old: Option<u64>) -> Result<Vec<u8>, StoreRefusal> {
        let log = appended.log;
        let newest = appended.placed.iter().max_by_key(|placed| placed.head_size).copied();
        let (size, time_ms) = newest.map_or((0, 0), |placed| (placed.head_size, placed.time_ms));
        let places: Vec<u64> = appended.placed.iter().map(|placed| placed.pos).collect();
        // Who remembers more than this head covers asks for it apart.
        let old = old.filter(|old| *old <= size);
        let rows = self.store.receipt(&log, &places, size, old).await?.ok_or(StoreRefusal::Range)?;
        let head =
            self.signed(core, StoreHead { log, size, root: rows.root, time_ms, store: core.server, since: None });
        let places = places.into_iter().zip(rows.paths).collect();
        Ok(Receipts { places, head, consistency: rows.consistency }.encode())
    }

    /// Returns a range of a log to a reader, waiting for the first entry if there is none yet.
    pub async fn range(
        &self,
        core: &Core,
        log: &LogId,
        reader: &Who,
        asked: RangeAsked,
    ) -> Result<Vec<u8>, StoreRefusal> {
        // What the head is not older than is read before the head.
        let since = Some(self.anchors.since());
        // How long a log is, and what it says in all, is known of what was dropped too.
        let is_of_entries = asked.limit > 0;
        let row = match is_of_entries {
            true => self.readable(core, log, reader).await?.row,
            false => self.known(core, log, reader).await?.0.row,
        };
        if row.edge.size() == asked.from && !asked.wait.is_zero() {
            let mut watch = self.store.watch();
            watch.add(*log);
            let grown = async { while watch.grown().await.values().all(|size| *size <= asked.from) {} };
            // What came between the first look and the watch is there for a second one.
            if self.store.log(log).await?.is_some_and(|row| row.edge.size() == asked.from) {
                // A wait in vain is no fault: the answer says how the log stands.
                let _ = tokio::time::timeout(asked.wait, grown).await;
            }
            // Who was revoked while they waited is shown nothing that came since; who waits where nothing comes any more is told so.
            self.readable(core, log, reader).await?.goes_on()?;
        }
        if is_of_entries {
            // Before entries are read for nothing; and behind it, since they may go meanwhile.
            has_still(&row, asked.from)?;
        }
        let range = self.store.range(log, asked.from, asked.limit, asked.old).await?.ok_or(StoreRefusal::Range)?;
        if is_of_entries {
            if range.log.kind != LogKind::Control && range.is_dropped {
                return Err(AppendRefusal::Dropped.into());
            }
            has_still(&range.log, asked.from)?;
        }
        let entries: Vec<Vec<u8>> = range.entries.iter().map(encoded).collect();
        let head = self.signed(core, StoreHead { since, ..head_of(core, &range.log) });
        Ok(encode_range(asked.from, &entries, &head, [&range.edge, &range.consistency, &range.rest]))
    }

    /// Returns how far a device got in a log: to whoever may read it, and of the invitations of somebody else to the device itself.
    pub async fn cursor(
        &self,
        core: &Core,
        log: &LogId,
        reader: &Who,
        (device, is_own): (&KeyBytes, bool),
    ) -> Result<Vec<u8>, StoreRefusal> {
        let last = match self.readable(core, log, reader).await {
            // Whoever sent something knows that, and learns no more.
            Err(StoreRefusal::NotFound) if is_own => {
                Some(self.store.cursor(log, device).await?.ok_or(StoreRefusal::NotFound)?)
            }
            readable => {
                readable?;
                self.store.cursor(log, device).await?
            }
        };
        let next = last.map_or(0, |(lsn, _)| lsn + 1);
        Ok(Cursor { next, last: last.map(|(_, leaf)| leaf) }.encode())
    }

    /// Returns the places of the newest snapshots of a log to a reader, the newest first. They say what they are themselves.
    pub async fn snapshots(&self, core: &Core, log: &LogId, reader: &Who) -> Result<Vec<u8>, StoreRefusal> {
        let row = self.readable(core, log, reader).await?.row;
        Ok(encode_places(&self.store.snapshots(&row).await?))
    }

    /// Returns the devices that signed two entries at one place: `[[header, signature, header, signature], ...]`.
    pub async fn equivocations(&self, core: &Core, log: &LogId, reader: &Who) -> Result<Vec<u8>, StoreRefusal> {
        self.readable(core, log, reader).await?;
        let rows = self.store.equivocations(log).await?;
        let mut writer = Writer::new();
        writer.array(rows.len());
        for row in rows {
            writer.array(4).bytes(&row.a.0).bytes(&row.a.1).bytes(&row.b.0).bytes(&row.b.1);
        }
        Ok(writer.finish())
    }

    /// Stores a chunk for the files of `did`, or for the entries of a log that it may append to.
    pub async fn put_chunk(
        &self,
        core: &Core,
        id: &ContentId,
        bytes: Bytes,
        (who, log): (&Who, Option<&LogId>),
    ) -> Result<(), StoreRefusal> {
        let charge = self.charge(core, who, log).await?;
        self.store.put_chunk(id, bytes, charge).await?;
        self.chunks.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Returns which of some chunks are there for the files of `did`, or for the entries of a log that it may append to.
    pub async fn have_chunks(
        &self,
        core: &Core,
        ids: &[ContentId],
        (who, log): (&Who, Option<&LogId>),
    ) -> Result<Vec<ContentId>, StoreRefusal> {
        let charge = self.charge(core, who, log).await?;
        Ok(self.store.have_chunks(charge, ids).await?)
    }

    /// Returns a chunk of the files of `did`, or one that an entry names which it may read: the one at a place of a log.
    pub async fn chunk(
        &self,
        core: &Core,
        id: &ContentId,
        (who, entry): (&Who, Option<(&LogId, u64)>),
    ) -> Result<Bytes, StoreRefusal> {
        let is_theirs = match entry {
            None => {
                who.is_local()?;
                self.store.has_chunk(Purpose::files(who.did), id).await?
            }
            Some((log, pos)) => {
                let row = self.readable(core, log, who).await?.row;
                has_still(&row, pos)?;
                self.store.names(&row, pos, id).await?
            }
        };
        match is_theirs {
            true => self.store.chunk(id).await?.ok_or(StoreRefusal::NotFound),
            false => Err(StoreRefusal::NotFound),
        }
    }

    /// Returns a log that is no user's of a subscription database: whether there is one of these, nobody else is told.
    async fn said(&self, log: &LogId) -> Result<Option<LogRow>, StoreRefusal> {
        Ok(self.store.log(log).await?.filter(|row| !row.kind.is_of_user()))
    }

    /// Returns what chunks are stored for.
    async fn charge(&self, core: &Core, who: &Who, log: Option<&LogId>) -> Result<Charge, StoreRefusal> {
        let now_ms = core.clock.now().as_ms();
        let Some(log) = log else {
            who.is_local()?;
            return Ok(Charge { purpose: Purpose::files(who.did), now_ms });
        };
        let row = self.said(log).await?.ok_or(StoreRefusal::NotFound)?;
        let db = self.store.database_of(&row).await?;
        let may = match db.stage {
            Stage::Arriving => self.store.pays(&db, &who.did).await?,
            _ => self.store.may_write(&row, &who.did, now_ms / 1_000).await?,
        };
        if !may || !who.is_of(&db) {
            return Err(AppendRefusal::NotWriter.into());
        }
        match db.stage {
            _ if db.dropped.is_now() => Err(AppendRefusal::Dropped.into()),
            Stage::Live | Stage::Arriving => Ok(Charge { purpose: Purpose::entries(&row), now_ms }),
            Stage::Deleting => Err(AppendRefusal::Acl(AclRefusal::Deleting).into()),
            Stage::Deleted => Err(AppendRefusal::Acl(AclRefusal::Deleted).into()),
            Stage::Moved => Err(AppendRefusal::Acl(AclRefusal::Moved).into()),
        }
    }

    /// Returns the counters in the Prometheus text format.
    pub fn metrics(&self) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "# TYPE dgns_store_entries_total counter\ndgns_store_entries_total {}\n\
             # TYPE dgns_store_appends_refused_total counter\ndgns_store_appends_refused_total {}\n\
             # TYPE dgns_store_chunks_total counter\ndgns_store_chunks_total {}\n\
             # TYPE dgns_store_chunks_let_go_total counter\ndgns_store_chunks_let_go_total {}\n\
             # TYPE dgns_store_objects_deleted_total counter\ndgns_store_objects_deleted_total {}\n\
             # TYPE dgns_store_collections_failed_total counter\ndgns_store_collections_failed_total {}\n\
             # TYPE dgns_store_packed_entries_total counter\ndgns_store_packed_entries_total {}\n\
             # TYPE dgns_store_segments_merged_total counter\ndgns_store_segments_merged_total {}\n\
             # TYPE dgns_store_packings_failed_total counter\ndgns_store_packings_failed_total {}\n\
             # TYPE dgns_store_watchers gauge\ndgns_store_watchers {}\n\
             # TYPE dgns_store_watched_logs gauge\ndgns_store_watched_logs {}\n\
             # TYPE dgns_store_anchor gauge\ndgns_store_anchor {}\n\
             # TYPE dgns_store_rolled_back gauge\ndgns_store_rolled_back {}\n\
             # TYPE dgns_store_bad_lease_orders gauge\ndgns_store_bad_lease_orders {}\n\
             # TYPE dgns_store_broken_logs gauge\ndgns_store_broken_logs {}\n",
            count(&self.entries),
            count(&self.refused),
            count(&self.chunks),
            count(&self.collected[0]),
            count(&self.collected[1]),
            count(&self.collected[2]),
            count(&self.packed[0]),
            count(&self.packed[1]),
            count(&self.packed[2]),
            self.watchers.listeners(),
            self.watched.taken(),
            self.anchors.since(),
            u8::from(self.anchors.are_rolled_back()),
            count(&self.bad_orders),
            count(&self.broken)
        )
    }

    /// Answers what waits, and closes the database.
    pub async fn close(self) -> Result<(), StorageError> {
        self.store.close().await
    }

    /// Returns a log to a reader who asks for what it holds.
    async fn readable(&self, core: &Core, log: &LogId, reader: &Who) -> Result<Readable, StoreRefusal> {
        let (readable, db) = self.known(core, log, reader).await?;
        if readable.row.kind != LogKind::Control && db.dropped.is_now() {
            return Err(AppendRefusal::Dropped.into());
        }
        Ok(readable)
    }

    /// Returns a log to a reader who asks how long it is, and its database.
    async fn known(&self, core: &Core, log: &LogId, reader: &Who) -> Result<(Readable, DbRow), StoreRefusal> {
        let row = self.store.log(log).await?.ok_or(StoreRefusal::NotFound)?;
        let db = self.store.database_of(&row).await?;
        let until_s = self.store.reads_until(&db, &row, &reader.did).await?;
        if until_s <= now_s(core) || !reader.is_of(&db) {
            // Nobody learns who has a partition.
            return Err(if row.kind.is_of_user() { StoreRefusal::NotFound } else { StoreRefusal::NotReader });
        }
        match db.stage {
            // The control log goes on to be read: it is the proof.
            Stage::Deleted if row.kind != LogKind::Control => Err(AppendRefusal::Acl(AclRefusal::Deleted).into()),
            Stage::Arriving => Err(AppendRefusal::Arriving.into()),
            stage => {
                let has_moved = stage == Stage::Moved && row.kind != LogKind::Control;
                Ok((Readable { row, until_s, has_moved }, db))
            }
        }
    }

    fn signed(&self, core: &Core, head: StoreHead) -> SignedHead {
        SignedHead::sign(&head, &core.origin, &self.key)
    }
}

/// A log that somebody may read.
struct Readable {
    row: LogRow,
    /// Until when, Unix seconds, if nothing is said about it before.
    until_s: u64,
    /// Whether the database is at another server: what the log has it keeps, and no more comes.
    has_moved: bool,
}

impl Readable {
    /// Refuses a log to which nothing comes any more.
    fn goes_on(self) -> Result<Self, StoreRefusal> {
        if self.has_moved { Err(AppendRefusal::Acl(AclRefusal::Moved).into()) } else { Ok(self) }
    }
}

fn now_s(core: &Core) -> u64 {
    core.clock.now().as_ms() / 1_000
}

fn head_of(core: &Core, log: &LogRow) -> StoreHead {
    let root: Hash = log.edge.root();
    StoreHead { log: log.key, size: log.edge.size(), root, time_ms: log.time_ms, store: core.server, since: None }
}

/// Refuses a place whose entry's body was trimmed, or went while nobody paid.
fn has_still(log: &LogRow, pos: u64) -> Result<(), StoreRefusal> {
    match log.dropped_to {
        _ if pos < log.trimmed_to => Err(StoreRefusal::Trimmed { first: log.trimmed_to }),
        first if pos < first => Err(StoreRefusal::DroppedBefore { first }),
        _ => Ok(()),
    }
}

fn encoded(row: &EntryRow) -> Vec<u8> {
    let mut writer = Writer::with_capacity(row.header.len() + row.body.len() + 80);
    write_parts(&mut writer, &row.header, &row.sig, &row.body);
    writer.finish()
}

/// Refuses a first entry that is not the genesis of a database of this server's zone.
async fn begins_here(core: &Core, first: &Entry) -> Result<(), StoreRefusal> {
    let control = Control::decode(first.body()).map_err(AppendRefusal::Control)?;
    let kind = newest(core, &first.header().author).await?.map(|state| state.kind);
    // Whoever begins another log learns nothing of it.
    let log = first.header().log;
    match control {
        Control::Genesis { did, .. } | Control::Fork { did, .. } if log != LogId::control(&did) => {
            Err(AppendRefusal::Acl(AclRefusal::Genesis).into())
        }
        Control::Genesis { home, .. } if home == core.origin && kind == Some(DidKind::Database) => Ok(()),
        // Its source is a database of this server; that the new DID wants it, it says itself in the next entry.
        Control::Fork { did, .. } => match newest(core, &did).await?.map(|state| state.kind) {
            Some(DidKind::Database) => Ok(()),
            _ => Err(AppendRefusal::Acl(AclRefusal::Genesis).into()),
        },
        _ => Err(AppendRefusal::Acl(AclRefusal::Genesis).into()),
    }
}

/// Refuses a key that is no live or fresh device of `did` now.
async fn is_device(core: &Core, did: &Did, key: &KeyBytes) -> Result<(), StoreRefusal> {
    let state = newest(core, did).await?.ok_or(StoreRefusal::UnknownDevice)?;
    if state.flags & DidState::ENDED != 0 {
        return Err(StoreRefusal::Ended);
    }
    let device = state.device(&kid_of(key)).filter(|device| device.sign == *key);
    match device.map(|device| device.status) {
        Some(DeviceStatus::Live | DeviceStatus::Fresh) => Ok(()),
        _ => Err(StoreRefusal::UnknownDevice),
    }
}
