//! The state of the log in memory: the newest, which the next batch builds on, and beside it the one that everyone is shown.

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use identity::hash::Hash;
use tokio::sync::watch;
use translog::batch::{Batch, View};
use translog::due::DueQueue;
use translog::entry::{EntryKind, Epoch};
use translog::head::Head;
use translog::map::{Map, MapAt};
use translog::tail::Tail;
use translog::tree::Edge;

use super::shown::{Asked, Shown, Standing};
use super::states::Held;

/// The state of the log. The publisher alone adds to it, after the commit and the guard; the announcer says what is shown.
#[derive(Debug)]
pub struct Live {
    inner: RwLock<Inner>,
    moved: watch::Sender<u64>,
    witnessed: watch::Sender<u64>,
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
    /// What everyone is shown.
    pub shown: Shown,
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
        let witnessed = watch::Sender::new(inner.shown.public().map_or(0, |(head, _)| head.size()));
        Self { inner: RwLock::new(inner), moved, witnessed }
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

    /// Returns the head that everyone is shown; `None` while none has its quorum.
    pub fn public_head(&self) -> Option<Arc<PublicHead>> {
        self.read().head_at(Asked::Public).cloned()
    }

    /// Returns a receiver that wakes with the size of each head that reached its quorum, 0 before the first.
    pub fn witnessed_size(&self) -> watch::Receiver<u64> {
        self.witnessed.subscribe()
    }

    /// Shows a committed batch: from here on it is the newest. `replaced` are the states that it replaces, by label; under
    /// `quorum none` nobody needs them.
    pub fn show(&self, batch: Batch, head: PublicHead, replaced: Vec<(Hash, Arc<Held>)>) {
        let size = head.size();
        {
            let inner = &mut *self.write();
            inner.shown.keep_states(&inner.map, replaced);
            for (subject, change) in &batch.changes {
                inner.dues.set(change.label, subject, identity::rules::due_ms(&change.leaf));
            }
            inner.map.apply(batch.map).expect("the publisher alone changes the map, and prepared the delta from it");
            inner.shown.bound(&mut inner.map);
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

    /// Keeps the newest head readable while witnesses are asked about it, and returns it.
    pub fn announce(&self) -> Arc<PublicHead> {
        let inner = &mut *self.write();
        inner.shown.announce(&inner.head, &mut inner.map);
        inner.head.clone()
    }

    /// Forgets the head announced: it did not reach its quorum.
    pub fn give_up(&self) {
        let inner = &mut *self.write();
        inner.shown.give_up(&mut inner.map);
    }

    /// Shows everyone the head announced, or the one shown already with more cosignatures; `reached_ms` is when it had its
    /// quorum. False if it is neither.
    pub fn show_witnessed(&self, head: PublicHead, reached_ms: u64) -> bool {
        let size = head.size();
        let shown = {
            let inner = &mut *self.write();
            inner.shown.witnessed(head, reached_ms, &mut inner.map)
        };
        if shown {
            self.witnessed.send_replace(size);
        }
        shown
    }

    /// Goes on showing the newest head, whatever is added from here on, until [`Live::show_newest`].
    pub fn hold(&self) {
        let inner = &mut *self.write();
        inner.shown.hold(&inner.head, &mut inner.map);
    }

    /// Shows the newest head again, as under `quorum none`.
    pub fn show_newest(&self) {
        let inner = &mut *self.write();
        inner.shown.let_go(&mut inner.map);
    }

    /// Forgets tiles and entries below `size` leaves and `epochs` Epochs: they are durable.
    pub fn release(&self, size: u64, epochs: u64) {
        let mut inner = self.write();
        inner.log_tail.release(size);
        inner.history_tail.release(epochs);
        let keep_from = size / 256 * 256;
        if keep_from > inner.entries_start {
            let gone = usize::try_from(keep_from - inner.entries_start).expect("entries held fit into memory");
            inner.entries.drain(..gone);
            inner.entries_start = keep_from;
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().expect("no holder of the lock panics: it guards plain data")
    }
}

impl Inner {
    /// Returns the state of a log without an entry: what a follower begins with. Its head is shown to nobody.
    pub fn empty() -> Self {
        let edge = Edge::new();
        let epoch = Epoch { k: 0, covers: 0, time_ms: 0, map_root: translog::map::EMPTY, history_root: edge.root() };
        let head = Head {
            size: 0,
            root: edge.root(),
            log_signature: [0; 64],
            cosignatures: Vec::new(),
            epoch_entry: Vec::new(),
            path: Vec::new(),
        };
        Self {
            head: Arc::new(PublicHead { head, note: String::new(), epoch }),
            edge,
            history: Edge::new(),
            map: Map::new(),
            dues: DueQueue::new(),
            log_tail: Tail::new(),
            history_tail: Tail::new(),
            entries: Vec::new(),
            entries_start: 0,
            shown: Shown::newest(),
        }
    }

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

    /// Returns the head that is asked for; `None` while no public head has its quorum.
    pub fn head_at(&self, asked: Asked) -> Option<&Arc<PublicHead>> {
        match (asked, self.shown.standing()) {
            (Asked::Newest, _) | (_, Standing::Newest | Standing::Outgrown) => Some(&self.head),
            (Asked::Public, _) => self.shown.public().map(|(head, _)| head),
        }
    }

    /// Returns the map under the head that is asked for; the newest where there is no such head.
    pub fn map_at(&self, asked: Asked) -> MapAt<'_> {
        match (asked, self.shown.public()) {
            (Asked::Public, Some((_, root))) => self.map.at(root),
            _ => self.map.newest(),
        }
    }

    /// Returns which head answers whoever asks for this one: while a head is held, what is newer is shown to nobody.
    pub fn answers(&self, asked: Asked) -> Asked {
        if self.shown.is_held() { Asked::Public } else { asked }
    }

    /// Returns the entry at `index`, if it is still held.
    pub fn entry(&self, index: u64) -> Option<Arc<[u8]>> {
        let place = usize::try_from(index.checked_sub(self.entries_start)?).ok()?;
        self.entries.get(place).cloned()
    }
}
