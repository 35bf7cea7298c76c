//! What a start finds: the committed head, the tree and map rebuilt and held against it. Nothing is repaired silently.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use identity::hash::Hash;
use identity::state::{Leaf, State, Subject};
use storage::rows::{ChainRow, CommitRows, EdgeRow, EpochRow, NameRow, StoredHead};
use storage::{Guard, Raised, Storage, StorageError};
use translog::batch::Batch;
use translog::bundle;
use translog::due::DueQueue;
use translog::entry::{Entry, EntryKind, Epoch};
use translog::hash::leaf_hash;
use translog::logconf::Conf;
use translog::map::{self, Map};
use translog::note::VerifierKey;
use translog::tail::{Tail, TailLevel};
use translog::tile::{BundleId, RightTiles};
use translog::tree::{Edge, Node};

use super::live::{Inner, PublicHead};
use super::shown::Shown;
use super::tiles::{self, Tree};
use super::{damaged, states};
use crate::keys;

/// The size of the first head: genesis, LogConf, Epoch.
const FIRST_SIZE: u64 = 3;

/// Why a start must not go on: signing might make a second history. `dgnsd fsck` explains more.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// The database or an object failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The guard file is gone although the log has grown.
    #[error(
        "keys/guard is missing: it tells a restored old database from the newest one. If this database is the newest, run \
         `dgnsd guard init`; never after a restore from a backup"
    )]
    NoGuard,
    /// The guard is ahead of the database, or saw another root: the database is an older or another one. Code `rolled_back`.
    #[error(
        "rolled back: the guard saw a signed head of {guard} leaves, the database has {size}; this database was restored from \
         an old backup or belongs to another log. Bring the newest database back: signing now would make a second history"
    )]
    RolledBack {
        /// The size the guard saw.
        guard: u64,
        /// The size of the stored head.
        size: u64,
    },
    /// The stored head is not signed by the keys its LogConf lists.
    #[error("the stored head is not signed by the log's keys ({0}): database and LogConf do not belong together")]
    WrongKey(&'static str),
    /// A key that the newest LogConf lists is in no file: heads could not be signed as the log says.
    #[error(
        "neither keys/log.key nor a keys/log-<seq>.key holds the log key {0}: put the right file back, or see \
         `dgnsd logconf rotate --old-key-lost`"
    )]
    MissingKey(VerifierKey),
    /// What is stored does not give the head's root.
    #[error(
        "the stored {what} does not give the signed root of {size} leaves: database or tiles are damaged; run dgnsd fsck"
    )]
    Mismatch {
        /// Tree, history or map.
        what: &'static str,
        /// The size of the stored head.
        size: u64,
    },
}

/// What a start found.
#[derive(Debug)]
pub struct Found {
    /// The state in memory.
    pub inner: Inner,
    /// The log's configuration: its keys, and the server's DID.
    pub conf: Conf,
}

/// Opens the guard and holds it against the stored head.
///
/// A crash after a commit leaves the guard one head behind; it is raised here. The first head's crash may leave none.
pub async fn guard(path: &Path, storage: &Storage, stored: &StoredHead) -> Result<Guard, RestartError> {
    let newest = Raised { size: stored.size, root: stored.root };
    if !path.exists() {
        return match stored.size {
            FIRST_SIZE => Ok(Guard::create(path, newest)?),
            _ => Err(RestartError::NoGuard),
        };
    }
    let mut guard = Guard::open(path)?;
    let seen = guard.newest();
    let ours = match seen.size == stored.size {
        true => Some(stored.root),
        false => storage.log().root_at(seen.size).await?,
    };
    if ours != Some(seen.root) {
        return Err(RestartError::RolledBack { guard: seen.size, size: stored.size });
    }
    guard.raise(newest)?;
    Ok(guard)
}

/// What a start knows before it has the map: trees and note are those of the stored head; the configuration, by whose keys that was judged, is held
/// against the map at last.
pub struct Begun {
    trees: Trees,
    /// The newest head.
    pub head: Arc<PublicHead>,
    leaf: Leaf,
    /// Of the map, if they were read already.
    leaves: Option<Vec<(Hash, Hash)>>,
    /// The log's configuration.
    pub conf: Conf,
}

/// Reads the log back and holds tree, history and map against the stored head.
///
/// `read_head` reads the stored note back into the head of the tree with this edge, or says the code of what is wrong with it.
pub async fn load(
    storage: &Storage,
    stored: &StoredHead,
    read_head: impl Fn(&Conf, &[u8], &Edge, Epoch) -> Result<PublicHead, &'static str>,
) -> Result<Found, RestartError> {
    begin(storage, stored, read_head).await?.finish(storage).await
}

/// Reads back all but the map: the same work for a log of any size, where its keeper wrote the rows. See [`load`].
pub async fn begin(
    storage: &Storage,
    stored: &StoredHead,
    read_head: impl Fn(&Conf, &[u8], &Edge, Epoch) -> Result<PublicHead, &'static str>,
) -> Result<Begun, RestartError> {
    let mismatch = |what| RestartError::Mismatch { what, size: stored.size };
    let trees = Trees::load(storage, stored.size).await?;
    if trees.log.root() != stored.root {
        return Err(mismatch("tree"));
    }
    let epoch = trees.last_epoch().ok_or(mismatch("last Epoch"))?;
    if trees.history.size() != epoch.k + 1 {
        return Err(mismatch("history"));
    }
    let label = map::label(&Subject::LogConf);
    let oldest = storage.log().oldest_labels().await?.into_iter().find(|row| row.label == label);
    let (row, leaves) = match oldest {
        Some(row) => (row, None),
        None => {
            let leaves = storage.log().all_leaves().await?;
            (storage.log().labels(&[label]).await?.pop().flatten().ok_or_else(no_conf)?, Some(leaves))
        }
    };
    let leaf = states::leaf_of(&row)?;
    let State::LogConf { payload, .. } = &leaf.state else { return Err(no_conf().into()) };
    let conf = Conf::decode(payload).map_err(|_| no_conf())?;
    let head = read_head(&conf, &stored.note, &trees.log, epoch).map_err(RestartError::WrongKey)?;
    Ok(Begun { trees, head: Arc::new(head), leaf, leaves, conf })
}

impl Begun {
    /// Reads the map, and holds it against the head, and the configuration against it.
    pub async fn finish(self, storage: &Storage) -> Result<Found, RestartError> {
        let Self { trees, head, leaf, leaves, conf } = self;
        let mismatch = || RestartError::Mismatch { what: "map", size: head.size() };
        let leaves = match leaves {
            Some(leaves) => leaves,
            None => storage.log().all_leaves().await?,
        };
        let map = Map::from_sorted(leaves).map_err(|_| mismatch())?;
        if map.root() != head.epoch.map_root {
            return Err(mismatch());
        }
        if map.get(&map::label(&Subject::LogConf)) != Some(map::commitment(&leaf)) {
            return Err(no_conf().into());
        }
        let inner = Inner {
            head,
            edge: trees.log,
            history: trees.history,
            map,
            dues: load_dues(storage).await?,
            log_tail: trees.log_tail,
            history_tail: trees.history_tail,
            entries: trees.entries,
            entries_start: trees.tiled,
            shown: Shown::newest(),
        };
        Ok(Found { inner, conf })
    }
}

/// Reads the note of a head that the log's keys signed, as its keeper stores it.
pub fn signed(conf: &Conf, note: &[u8], edge: &Edge, epoch: Epoch) -> Result<PublicHead, &'static str> {
    keys::read_head(&conf.origin, &conf.log_keys, note, edge, epoch)
}

/// Returns the rows that commit a batch; `names` as [`crate::dns::feed::rows`] gives them.
pub fn commit_rows(batch: &Batch, names: Vec<(Hash, NameRow)>) -> CommitRows {
    let chain = batch.chain.iter().map(|row| ChainRow {
        label: map::label(&row.subject),
        seq: row.seq,
        index: row.index,
        sid: row.sid,
    });
    let passed =
        batch.passed.iter().map(|head| EpochRow { k: head.k, size: head.size, root: head.root, time_ms: head.time_ms });
    CommitRows {
        passed: passed.collect(),
        entries: batch.entries.iter().cloned().map(Bytes::from).collect(),
        chain: chain.collect(),
        labels: batch.changes.iter().map(|(subject, change)| states::row_of(subject, change)).collect(),
        names,
        invites: batch.invites.clone(),
        notices: notices(batch),
    }
}

/// Returns the evidence hash and place of each Notice of a batch.
fn notices(batch: &Batch) -> Vec<(Hash, u64)> {
    let entries = (batch.first_index..).zip(&batch.entries);
    let notices = entries.filter(|(_, entry)| entry.first() == Some(&(EntryKind::Notice as u8)));
    let hash = |entry: &[u8]| match Entry::decode(entry) {
        Ok(Entry::Notice(notice)) => Some(notice.evidence_hash),
        _ => None,
    };
    notices.filter_map(|(index, entry)| Some((hash(entry)?, index))).collect()
}

/// Returns the head as the database stores it.
pub fn stored_head(head: &PublicHead) -> StoredHead {
    StoredHead {
        size: head.size(),
        root: head.root(),
        k: head.epoch.k,
        time_ms: head.epoch.time_ms,
        note: head.note.clone().into_bytes(),
    }
}

/// Both trees as far as memory holds them.
struct Trees {
    log: Edge,
    history: Edge,
    log_tail: Tail,
    history_tail: Tail,
    entries: Vec<Arc<[u8]>>,
    tiled: u64,
}

impl Trees {
    async fn load(storage: &Storage, size: u64) -> Result<Self, StorageError> {
        let stored = storage.log().load_tiled().await?;
        let tiled = stored.size;
        let (mut log_tail, mut history_tail) = (tail(&stored.edges, Tree::Log), tail(&stored.edges, Tree::History));
        let mut log = edge_of(storage, Tree::Log, &log_tail).await?;
        let mut history = edge_of(storage, Tree::History, &history_tail).await?;
        for (tree, edge) in [(Tree::Log, &log), (Tree::History, &history)] {
            check_edges(&stored.edges, tree, edge)?;
        }
        let mut entries: Vec<Arc<[u8]>> = Vec::new();
        for (index, entry) in storage.log().entries(tiled..size).await? {
            if index != tiled + entries.len() as u64 {
                return Err(damaged("entries", "an entry of the tail is missing"));
            }
            let hash = leaf_hash(&entry);
            log_tail.append(hash);
            log.append(hash);
            if entry.first() == Some(&(EntryKind::Epoch as u8)) {
                history_tail.append(hash);
                history.append(hash);
            }
            entries.push(Arc::from(entry.as_ref()));
        }
        // Every batch ends with an Epoch, and `tiled` may fall inside one: what lies between is in durable bundles.
        Ok(Self { log, history, log_tail, history_tail, entries, tiled })
    }

    fn last_epoch(&self) -> Option<Epoch> {
        Epoch::decode(self.entries.last()?).ok()
    }
}

fn tail(edges: &[EdgeRow], tree: Tree) -> Tail {
    let rows = edges.iter().filter(|row| row.tree == tree.number());
    Tail::from_levels(rows.map(|row| TailLevel::new(row.start, split(&row.hashes))).collect())
}

/// Holds every hash of the stored right-edge tiles against the tree's edge: upper ones prove nothing yet, but are served.
fn check_edges(rows: &[EdgeRow], tree: Tree, edge: &Edge) -> Result<(), StorageError> {
    let mut levels = Vec::new();
    for row in rows.iter().filter(|row| row.tree == tree.number()) {
        levels.resize(levels.len().max(usize::from(row.level) + 1), Vec::new());
        levels[usize::from(row.level)] = split(&row.hashes);
    }
    match RightTiles::from_parts(edge.size(), levels) {
        Ok(right) if right.root() == edge.root() => Ok(()),
        _ => Err(damaged("edges", "a right-edge tile does not give the root of the durable tiles")),
    }
}

fn split(bytes: &[u8]) -> Vec<Hash> {
    bytes.chunks_exact(32).map(|chunk| Hash::try_from(chunk).unwrap_or_default()).collect()
}

/// Returns the right edge of a tree: the hashes it needs are in the tail, or in durable tiles.
async fn edge_of(storage: &Storage, tree: Tree, tail: &Tail) -> Result<Edge, StorageError> {
    let size = tail.size();
    if size == 0 {
        return Ok(Edge::new());
    }
    let missing = || damaged("edges", "the right edge is incomplete");
    let plan = translog::tree::inclusion_plan(size - 1, size).map_err(|_| missing())?;
    let last = Node { level: 0, index: size - 1 };
    let mut hashes = Vec::new();
    for node in std::iter::once(last).chain(plan.nodes()) {
        hashes.push(match tail.node(node) {
            Some(hash) => hash,
            None => tiles::durable_node(storage, tree, node).await?,
        });
    }
    let mut hashes = hashes.into_iter();
    let leaf = hashes.next().ok_or_else(missing)?;
    let path = plan.fold(|_| hashes.next().ok_or_else(missing))?;
    Edge::from_parts(size, leaf, &path).map_err(|_| missing())
}

async fn load_dues(storage: &Storage) -> Result<DueQueue, StorageError> {
    let mut dues = DueQueue::new();
    let rows = storage.log().dues(u64::MAX, u64::MAX >> 1).await?;
    let labels: Vec<Hash> = rows.iter().map(|row| row.label).collect();
    for chunk in labels.chunks(256) {
        for row in storage.log().labels(chunk).await?.into_iter().flatten() {
            let leaf = states::leaf_of(&row)?;
            dues.set(row.label, &leaf.state.subject(), row.due_ms);
        }
    }
    Ok(dues)
}

fn no_conf() -> StorageError {
    damaged("labels", "the log's configuration is missing, or not the one the map commits to")
}

/// Returns the entry at `index`, from the table or from its bundle.
pub async fn entry(storage: &Storage, index: u64) -> Result<Entry, StorageError> {
    let missing = || damaged("entries", "an entry is missing or does not decode");
    let entry = match storage.log().entry(index).await? {
        Some(entry) => entry,
        None => {
            let id = BundleId::new(index / 256, 256).map_err(|_| missing())?;
            let bytes = storage.objects().get(&id.to_string()).await?.ok_or_else(missing)?;
            let entries = bundle::decode(id, &bytes).map_err(|_| missing())?;
            Bytes::copy_from_slice(entries[usize::try_from(index % 256).map_err(|_| missing())?])
        }
    };
    Entry::decode(&entry).map_err(|_| missing())
}
