//! The newest state of the log in memory: what lookups prove from and the next batch builds on.

use std::sync::{Arc, RwLock, RwLockReadGuard};

use identity::hash::Hash;
use tokio::sync::watch;
use translog::batch::{Batch, View};
use translog::due::DueQueue;
use translog::entry::{EntryKind, Epoch};
use translog::head::Head;
use translog::map::Map;
use translog::tail::Tail;
use translog::tree::Edge;

/// The newest state of the log. Only the publisher changes it, after the commit and the guard.
#[derive(Debug)]
pub struct Live {
    inner: RwLock<Inner>,
    moved: watch::Sender<u64>,
}

/// One state of the log, all of it at the same head.
#[derive(Debug)]
pub struct Inner {
    /// The head, with its signature.
    pub head: Arc<PublicHead>,
    /// The log's right edge.
    pub edge: Edge,
    /// The right edge of the tree over all Epochs.
    pub history: Edge,
    /// The map the head's Epoch commits to.
    pub map: Map,
    /// What falls due.
    pub dues: DueQueue,
    /// The log's tiles that are not durable yet.
    pub log_tail: Tail,
    /// The history's tiles that are not durable yet.
    pub history_tail: Tail,
    /// The entries whose bundle is not durable yet, from `entries_start` on.
    pub entries: Vec<Arc<[u8]>>,
    /// The log index of the first of `entries`; a multiple of 256.
    pub entries_start: u64,
}

/// A signed head in every form it is asked for.
#[derive(Clone, Debug)]
pub struct PublicHead {
    /// The head as Resolutions carry it.
    pub head: Head,
    /// The same as a signed note.
    pub note: String,
    /// The Epoch it ends in.
    pub epoch: Epoch,
}

impl PublicHead {
    /// Returns the number of leaves.
    pub fn size(&self) -> u64 {
        self.head.size
    }

    /// Returns the root hash.
    pub fn root(&self) -> Hash {
        self.head.root
    }
}

impl Live {
    /// Returns the state a start found.
    pub fn new(inner: Inner) -> Self {
        let moved = watch::Sender::new(inner.head.size());
        Self { inner: RwLock::new(inner), moved }
    }

    /// Returns the state for reading; hold it for microseconds and never across an await.
    pub fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().expect("no holder of the lock panics: it guards plain data")
    }

    /// Returns the newest head.
    pub fn head(&self) -> Arc<PublicHead> {
        self.read().head.clone()
    }

    /// Returns a receiver that wakes with each new head's size.
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Shows a committed batch: from here on lookups prove it.
    pub fn show(&self, batch: Batch, head: PublicHead) {
        let size = head.size();
        {
            let mut inner = self.inner.write().expect("no holder of the lock panics: it guards plain data");
            let inner = &mut *inner;
            for (subject, change) in &batch.changes {
                inner.dues.set(change.label, subject, identity::rules::due_ms(&change.leaf));
            }
            inner.map.apply(batch.map).expect("the publisher alone changes the map, and prepared the delta from it");
            batch.leaf_hashes.iter().for_each(|hash| inner.log_tail.append(*hash));
            for (entry, hash) in batch.entries.iter().zip(&batch.leaf_hashes) {
                if entry.first() == Some(&(EntryKind::Epoch as u8)) {
                    inner.history_tail.append(*hash);
                }
            }
            inner.entries.extend(batch.entries.into_iter().map(Arc::from));
            inner.edge = batch.edge;
            inner.history = batch.history;
            inner.head = Arc::new(head);
        }
        self.moved.send_replace(size);
    }

    /// Forgets tiles and entries below `size` leaves and `epochs` Epochs: they are durable.
    pub fn release(&self, size: u64, epochs: u64) {
        let mut inner = self.inner.write().expect("no holder of the lock panics: it guards plain data");
        inner.log_tail.release(size);
        inner.history_tail.release(epochs);
        let keep_from = size / 256 * 256;
        if keep_from > inner.entries_start {
            let gone = usize::try_from(keep_from - inner.entries_start).expect("entries held fit into memory");
            inner.entries.drain(..gone);
            inner.entries_start = keep_from;
        }
    }
}

impl Inner {
    /// Returns the view that the next batch is integrated on.
    pub fn view(&self) -> View<'_> {
        View {
            edge: &self.edge,
            history: &self.history,
            time_ms: self.head.epoch.time_ms,
            map: &self.map,
            dues: &self.dues,
        }
    }

    /// Returns the entry at `index`, if it is still held.
    pub fn entry(&self, index: u64) -> Option<Arc<[u8]>> {
        let place = usize::try_from(index.checked_sub(self.entries_start)?).ok()?;
        self.entries.get(place).cloned()
    }
}
