//! Tiles and bundles: written once they are full, read from memory until then (PROTOCOL 8.2, 8.3).
//!
//! Tiles are derived from committed entries, so a crash at any point here is repaired by writing the same bytes again.

use std::sync::Arc;

use bytes::Bytes;
use identity::hash::Hash;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use storage::rows::{EdgeRow, Tiled};
use storage::{Storage, StorageError};
use tokio::sync::watch;
use tracing::debug;
use translog::bundle;
use translog::entry::EntryKind;
use translog::hash::EMPTY_ROOT;
use translog::tail::Tail;
use translog::tile::{BundleId, Tile, TileId};
use translog::tree::{self, Node, Plan};

use super::damaged;
use super::enrolled::Enrolled;
use super::live::Live;
use crate::shutdown;

/// Which tree a tile belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tree {
    /// The log.
    Log,
    /// The tree over all Epochs.
    History,
}

impl Tree {
    /// Returns the path prefix of its tiles in the object directory and below `/log`.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Log => "",
            Self::History => "history/",
        }
    }

    /// Returns the number that names it in SQL.
    pub fn number(self) -> u8 {
        match self {
            Self::Log => 0,
            Self::History => 1,
        }
    }
}

/// Behind the path of a tile: what the cache calls the tile with every node above its hashes.
const NODES: &str = " nodes";

/// Reads tiles and nodes, from memory or from durable objects, with a bounded cache of the latter.
pub struct Tiles {
    storage: Arc<Storage>,
    live: Arc<Live>,
    cache: Cache<String, Arc<[u8]>, ByBytes>,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<String, Arc<[u8]>> for ByBytes {
    fn weight(&self, path: &String, bytes: &Arc<[u8]>) -> u64 {
        (path.len() + bytes.len()) as u64
    }
}

impl Tiles {
    /// Returns a reader whose cache takes about `bytes` bytes.
    pub fn new(storage: Arc<Storage>, live: Arc<Live>, bytes: u64) -> Self {
        let objects = usize::try_from(bytes / 8_192).unwrap_or(usize::MAX).max(16);
        Self { storage, live, cache: Cache::with_weighter(objects, bytes, ByBytes) }
    }

    /// Returns the first `width` hashes of a tile, 32 bytes each; `None` if the tree has not that many.
    pub async fn tile(
        &self,
        tree: Tree,
        level: u8,
        number: u64,
        width: u16,
    ) -> Result<Option<Arc<[u8]>>, StorageError> {
        if let Some(bytes) = self.tail(tree, |tail| tail.tile(level, number, width)) {
            return Ok(Some(bytes.into()));
        }
        let Some(path) = tile_path(tree, level, number) else { return Ok(None) };
        let Some(full) = self.object(path).await? else { return Ok(None) };
        let end = usize::from(width) * 32;
        match full.len() {
            len if len == end => Ok(Some(full)),
            len if len > end => Ok(Some(full[..end].into())),
            _ => Err(damaged("objects", "a full tile holds fewer than 256 hashes")),
        }
    }

    /// Returns the first `width` entries of a bundle, framed; `None` if the log has not that many.
    pub async fn bundle(&self, number: u64, width: u16) -> Result<Option<Arc<[u8]>>, StorageError> {
        let first = number.saturating_mul(256);
        {
            let inner = self.live.read();
            if first >= inner.entries_start {
                let held: Option<Vec<_>> = (first..first + u64::from(width)).map(|index| inner.entry(index)).collect();
                return Ok(held.map(|entries| bundle::encode(entries.iter().map(AsRef::as_ref)).into()));
            }
        }
        let Some(full) = self.full_bundle(number).await? else { return Ok(None) };
        if width == 256 {
            return Ok(Some(full));
        }
        let entries: Result<Vec<&[u8]>, _> = bundle::split(&full).take(usize::from(width)).collect();
        let entries = entries.map_err(|_| damaged("objects", "an entry bundle does not decode"))?;
        Ok(Some(bundle::encode(entries).into()))
    }

    /// Returns one entry; `None` beyond the log.
    pub async fn entry(&self, index: u64) -> Result<Option<Arc<[u8]>>, StorageError> {
        if let Some(entry) = self.live.read().entry(index) {
            return Ok(Some(entry));
        }
        let Some(full) = self.full_bundle(index / 256).await? else { return Ok(None) };
        let entry = bundle::split(&full).nth((index % 256) as usize);
        match entry {
            Some(Ok(entry)) => Ok(Some(entry.into())),
            _ => Err(damaged("objects", "an entry bundle does not decode")),
        }
    }

    /// Returns the roots of full subtrees, in the order asked.
    pub async fn nodes(&self, tree: Tree, nodes: impl Iterator<Item = Node>) -> Result<Vec<Hash>, StorageError> {
        let mut hashes = Vec::new();
        for node in nodes {
            let hash = match self.tail(tree, |tail| tail.node(node)) {
                Some(hash) => hash,
                None => self.durable(tree, node).await?,
            };
            hashes.push(hash);
        }
        Ok(hashes)
    }

    /// Returns the inclusion path of a leaf in the tree of `size` leaves; the caller has checked `index < size`.
    pub async fn inclusion(&self, tree: Tree, index: u64, size: u64) -> Result<Vec<Hash>, StorageError> {
        let plan = tree::inclusion_plan(index, size).map_err(|_| damaged("entries", "a leaf beyond its tree"))?;
        self.fold(tree, &plan).await
    }

    /// Returns the consistency proof between two sizes of the log, `from <= to`.
    pub async fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, StorageError> {
        let plan = tree::consistency_plan(from, to).map_err(|_| damaged("entries", "a tree beyond the log"))?;
        self.fold(Tree::Log, &plan).await
    }

    /// Returns the root that the log had at `size` leaves, whether a head ended there or not.
    pub async fn root(&self, size: u64) -> Result<Hash, StorageError> {
        let plan = tree::root_plan(size).map_err(|_| damaged("entries", "a tree beyond the log"))?;
        Ok(self.fold(Tree::Log, &plan).await?.first().copied().unwrap_or(EMPTY_ROOT))
    }

    async fn fold(&self, tree: Tree, plan: &Plan) -> Result<Vec<Hash>, StorageError> {
        let mut hashes = self.nodes(tree, plan.nodes()).await?.into_iter();
        plan.fold(|_| hashes.next().ok_or_else(|| damaged("objects", "a node that a proof needs is missing")))
    }

    async fn full_bundle(&self, number: u64) -> Result<Option<Arc<[u8]>>, StorageError> {
        match BundleId::new(number, 256) {
            Ok(id) => self.object(id.to_string()).await,
            Err(_) => Ok(None),
        }
    }

    /// Returns a node out of a durable tile. A tile's nodes are hashed once, not for each path that leads through it.
    async fn durable(&self, tree: Tree, node: Node) -> Result<Hash, StorageError> {
        let path = format!("{}{NODES}", node_path(tree, node)?);
        let nodes = match self.cache.get(&path) {
            Some(nodes) => nodes,
            None => {
                let bytes = self.object(path[..path.len() - NODES.len()].to_owned()).await?;
                let nodes: Arc<[u8]> = tile_of(bytes.as_deref(), node)?.nodes().as_flattened().into();
                self.cache.insert(path, nodes.clone());
                nodes
            }
        };
        let (height, row) = (node.level % 8, node.index << (node.level % 8));
        let place = Tile::place_of(height, (row % 256) >> height);
        let hash = nodes.get(32 * place..32 * (place + 1)).and_then(|hash| hash.try_into().ok());
        hash.ok_or_else(|| damaged("objects", "a tile that a proof needs is too short"))
    }

    fn tail<T>(&self, tree: Tree, read: impl FnOnce(&Tail) -> Option<T>) -> Option<T> {
        let inner = self.live.read();
        match tree {
            Tree::Log => read(&inner.log_tail),
            Tree::History => read(&inner.history_tail),
        }
    }

    async fn object(&self, path: String) -> Result<Option<Arc<[u8]>>, StorageError> {
        if let Some(bytes) = self.cache.get(&path) {
            return Ok(Some(bytes));
        }
        let Some(bytes) = self.storage.objects().get(&path).await? else { return Ok(None) };
        let bytes: Arc<[u8]> = bytes.as_ref().into();
        self.cache.insert(path, bytes.clone());
        Ok(Some(bytes))
    }
}

/// Returns a node out of a durable tile.
pub async fn durable_node(storage: &Storage, tree: Tree, node: Node) -> Result<Hash, StorageError> {
    let bytes = storage.objects().get(&node_path(tree, node)?).await?;
    node_in(bytes.as_deref(), node)
}

fn tile_path(tree: Tree, level: u8, number: u64) -> Option<String> {
    let id = TileId::new(level, number, 256).ok()?;
    Some(format!("{}{id}", tree.prefix()))
}

fn node_path(tree: Tree, node: Node) -> Result<String, StorageError> {
    let level = node.level / 8;
    let number = (node.index << (node.level % 8)) / 256;
    tile_path(tree, level, number).ok_or_else(|| damaged("objects", "a proof asks for a tile that no tree has"))
}

fn node_in(tile: Option<&[u8]>, node: Node) -> Result<Hash, StorageError> {
    tile_of(tile, node)?.node(node).map_err(|_| damaged("objects", "a tile that a proof needs is too short"))
}

/// Returns the durable tile with this node in it.
fn tile_of(tile: Option<&[u8]>, node: Node) -> Result<Tile, StorageError> {
    let missing = || damaged("objects", "a tile that a proof needs is missing or too short");
    let number = (node.index << (node.level % 8)) / 256;
    let id = TileId::new(node.level / 8, number, 256).map_err(|_| missing())?;
    Tile::decode(id, tile.ok_or_else(missing)?).map_err(|_| missing())
}

/// Makes full tiles and bundles durable behind the publisher, until `stop` turns true; with them what their certificates say of
/// keys, where somebody keeps it.
pub async fn write(
    storage: Arc<Storage>,
    live: Arc<Live>,
    enrolled: Option<Arc<Enrolled>>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), StorageError> {
    let mut moved = live.moved();
    loop {
        write_full(&storage, &live, enrolled.as_deref()).await?;
        tokio::select! {
            changed = moved.changed() => if changed.is_err() { return Ok(()) },
            () = shutdown::requested(&mut stop) => return write_full(&storage, &live, enrolled.as_deref()).await,
        }
    }
}

/// Writes what is full and not durable, then the new edge in one transaction, then forgets it.
async fn write_full(storage: &Storage, live: &Live, enrolled: Option<&Enrolled>) -> Result<(), StorageError> {
    let Some(work) = Work::of(live) else { return Ok(()) };
    let (objects, size) = (work.objects.len(), work.tiled.size);
    // A crash after this leaves equal bytes behind, which the next run accepts.
    storage.objects().put_all_new(work.objects).await?;
    let marks = enrolled.map_or_else(Vec::new, |enrolled| enrolled.of_bundles(work.first / 256, size / 256));
    storage.log().save_tiled(&work.tiled, size, &marks).await?;
    live.release(size, work.epochs);
    enrolled.iter().for_each(|enrolled| enrolled.saved(size / 256));
    debug!(size, objects, "tiles written");
    Ok(())
}

/// What one run of the tile writer makes durable.
struct Work {
    /// The log index of the first entry.
    first: u64,
    objects: Vec<(String, Bytes)>,
    tiled: Tiled,
    epochs: u64,
}

impl Work {
    /// Reads the tail up to its last full bundle; the newest entry always stays, so that a start finds the last Epoch in SQL.
    fn of(live: &Live) -> Option<Self> {
        let inner = live.read();
        let size = inner.head.size().saturating_sub(1) / 256 * 256;
        let count = usize::try_from(size.checked_sub(inner.entries_start)?).ok().filter(|count| *count > 0)?;
        let (full, rest) = inner.entries.split_at(count);
        let mut objects = Vec::new();
        for (number, entries) in (inner.entries_start / 256..).zip(full.chunks_exact(256)) {
            let id = BundleId::new(number, 256).ok()?;
            objects.push((id.to_string(), bundle::encode(entries.iter().map(AsRef::as_ref)).into()));
        }
        let is_epoch = |entry: &&Arc<[u8]>| entry.first() == Some(&(EntryKind::Epoch as u8));
        let epochs = inner.history_tail.size() - rest.iter().filter(is_epoch).count() as u64;
        let mut edges = Vec::new();
        for (tree, tail, as_of) in [(Tree::Log, &inner.log_tail, size), (Tree::History, &inner.history_tail, epochs)] {
            for tile in tail.full_tiles() {
                objects.push((tile_path(tree, tile.level, tile.number)?, tile.bytes.into()));
            }
            for (level, at) in (0u8..).zip(tail.as_of(as_of).levels()) {
                edges.push(EdgeRow { tree: tree.number(), level, start: at.start(), hashes: at.hashes().concat() });
            }
        }
        Some(Self { first: inner.entries_start, objects, tiled: Tiled { size, edges }, epochs })
    }
}
