//! `store.db` and `chunks/`, or PostgreSQL: databases with their logs, and chunks (PROTOCOL 25).
//!
//! Beside the name server's log and in no way part of it: a file, a writer and a queue of its own, so that no certificate waits for
//! somebody's data. What is stored is ciphertext; this orders, keeps and counts it. An append is exactly once by (log, device,
//! lsn), for ever: the rows stay. Files: `accounts` what is paid for, `partitions` those of subscription databases, `sweep` the end of what is not any more, `arrivals` of what was begun to be brought here and is not whole, `append` what is
//! asked and answered, `view` what a batch is decided upon, `decide` the pure decision, `writer` the one task that commits, `line`
//! where a fork's entries lie, `pack` how old entries leave the tables for objects, `segment` what these are, `block` what stays, `packed` how they are read, `others` what other nodes commit, `watch` who waits for logs to grow, `read` and `proof` what
//! readers get, `anchors` what is said of it in the log of names, `chunks`, and `collect` what becomes of those that nothing names.

mod accounts;
mod anchors;
mod append;
mod arrivals;
pub(crate) mod block;
pub(crate) mod chunks;
mod collect;
mod decide;
pub(crate) mod line;
mod others;
mod pack;
mod packed;
mod partitions;
mod proof;
mod read;
mod recent;
pub mod rows;
pub(crate) mod segment;
mod sweep;
mod view;
mod watch;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::bucket::{Blobs, Bucket};
use crate::database::{Database, Schema};
use crate::durable;
use crate::fault::StorageError;
use crate::fsck;
use crate::limits::{APPENDS_WAITING_MAX, READS_MAX};
use crate::objects::Objects;
use crate::storage::Options;

pub use crate::bucket::BucketAt;
pub use accounts::{NO_END_MS, Terms};
pub use anchors::AnchorRows;
pub use append::{Append, AppendRefusal, Appended, Arrives, Partition, Placed};
pub use chunks::{Charge, ChunkRefusal, Purpose};
pub use collect::Collected;
pub use pack::{Age, Packed, Packing};
use recent::Recent;
pub use segment::{Segment, SegmentError};
pub use sweep::{Grace, Sweep};
pub use watch::Watch;
use watch::Watches;
use writer::{Job, Unsettled, Writer};

/// What an account may use that nobody gave more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeQuota {
    /// Bytes in all.
    pub bytes: u64,
    /// Entries in all.
    pub entries: u64,
    /// For how long, from its first use on, milliseconds; `None`: without an end.
    pub lease_ms: Option<u64>,
}

/// Where databases are kept, if not in the data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// The rows.
    pub database: Option<DatabaseUrl>,
    /// The large chunks.
    pub bucket: Option<BucketAt>,
}

/// Where a PostgreSQL database is, `postgresql://..`. It may hold a password: nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub String);

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("postgresql://..")
    }
}

/// The open databases of a server. One process at a time holds those in a directory; those in PostgreSQL any number of nodes.
pub struct Store {
    inner: Arc<Inner>,
    queue: mpsc::Sender<Job>,
    writer: JoinHandle<()>,
    others: Option<JoinHandle<()>>,
}

/// What the writer shares with readers.
struct Inner {
    database: Database,
    objects: Blobs,
    failures: crate::inject::Plan,
    free: FreeQuota,
    /// Who waits for a log to grow.
    watches: Arc<Watches>,
    /// What logs grew by of late.
    recent: Recent,
    /// What was read of late of old entries.
    segments: packed::Kept,
}

impl Store {
    /// The name of the database's file, without its suffix.
    pub const NAME: &'static str = "store";

    /// Opens `<dir>/store.db` and `<dir>/chunks`, made if need be, and starts the writer. Errors: as [`crate::Storage::open`].
    pub async fn open(dir: &Path, options: Options, free: FreeQuota) -> Result<Self, StorageError> {
        Self::open_at(dir, &Home::default(), options, free).await
    }

    /// Opens what lies at `home`, and in `dir` what has no other.
    pub async fn open_at(dir: &Path, home: &Home, options: Options, free: FreeQuota) -> Result<Self, StorageError> {
        if options.create {
            durable::create_dir(dir)?;
        }
        let database = match &home.database {
            Some(url) => Database::connect(&url.0, &Schema::STORE, options.create).await?,
            None => Database::open(dir, Self::NAME, &Schema::STORE, options.create).await?,
        };
        let chunks = dir.join("chunks");
        let objects = match &home.bucket {
            Some(at) => Blobs::Bucket(Bucket::open(at)?),
            None => {
                let failures = options.failures.clone();
                Blobs::Directory(Objects::open(&chunks, options.create, failures)?)
            }
        };
        if home.database.is_some() || home.bucket.is_some() {
            fsck::note_elsewhere(&chunks)?;
        }
        let (failures, watches) = (options.failures, Arc::default());
        let inner = Arc::new(Inner {
            database,
            objects,
            failures,
            free,
            watches,
            recent: Recent::default(),
            segments: packed::Kept::default(),
        });
        let (queue, jobs) = mpsc::channel(APPENDS_WAITING_MAX);
        let writer = tokio::spawn(Writer::new(inner.clone()).run(jobs));
        let others = inner.database.is_shared().then(|| tokio::spawn(others::follow(Arc::downgrade(&inner))));
        Ok(Self { inner, queue, writer, others })
    }

    /// Returns whether `dir` has such a database.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(format!("{}.db", Self::NAME)).exists()
    }

    /// Appends all of a request's entries or none, and returns when they are durable. Entries that are there already are answered
    /// as they were the first time.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendRefusal> {
        let (mut append, mut firsts) = (append, HashMap::new());
        for _ in 0..READS_MAX {
            let (answer, answered) = oneshot::channel();
            self.queue.try_send(Job { append, firsts, answer }).map_err(|_| AppendRefusal::Busy)?;
            match answered.await.map_err(|_| AppendRefusal::Busy)? {
                Ok(appended) => return Ok(appended),
                Err(Unsettled::Refused(refusal)) => return Err(refusal),
                // The proof of two entries at one place has both: the first one is read here, so that no commit waits for an object store.
                Err(Unsettled::First(again, log, pos)) => {
                    firsts = HashMap::from([((log, pos), self.signed_at(log, pos).await?)]);
                    append = *again;
                }
            }
        }
        Err(AppendRefusal::Busy)
    }

    /// Returns a watch of logs, of none yet.
    pub fn watch(&self) -> Watch {
        self.inner.watches.watch()
    }

    /// Returns whether other nodes append to the same databases: what this one saw of them may be older than what they said.
    pub fn is_shared(&self) -> bool {
        self.inner.database.is_shared()
    }

    /// Ends the writer once it has answered what waits, and closes the database.
    pub async fn close(self) -> Result<(), StorageError> {
        drop(self.queue);
        let _ = self.writer.await;
        if let Some(others) = self.others {
            others.abort();
            let _ = others.await;
        }
        match Arc::into_inner(self.inner) {
            Some(inner) => inner.database.close().await,
            None => Ok(()),
        }
    }
}
