//! Changes of a map: computed beside it, taken over when they are durable.

use identity::hash::Hash;

use super::arena::{Chunks, Inner, Leaf, Link, Nodes, Store, Target, bit};
use super::{EMPTY, Map};

/// A change of a map: the nodes it adds and those it replaces.
///
/// Fits only the map it was prepared from, until another change is applied to that.
#[derive(Clone, Debug)]
pub struct MapDelta {
    /// The nodes that are new, children before parents; their positions go on where the arena ended.
    pub(super) fresh: Store,
    pub(super) root: Link,
    root_hash: Hash,
    base: Base,
    len: usize,
    replaced_inner: Vec<u32>,
    replaced_leaves: Vec<u32>,
}

/// The state of a map that a change was prepared from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Base {
    generation: u64,
    root: Hash,
}

/// Another change was applied to the map since this one was prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the map changed since this change was prepared")]
pub struct StaleDelta;

impl MapDelta {
    /// Returns the root hash of the map once the change is applied.
    pub fn root(&self) -> Hash {
        self.root_hash
    }

    /// Returns how many labels the map will hold.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the map will hold no label.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the change that changes nothing.
    fn unchanged(map: &Map) -> Self {
        Self {
            fresh: Store::default(),
            root: map.root,
            root_hash: map.root(),
            base: Base::of(map),
            len: map.len,
            replaced_inner: Vec::new(),
            replaced_leaves: Vec::new(),
        }
    }

    /// Returns whether `map` is still what this change was prepared from.
    pub(super) fn fits(&self, map: &Map) -> bool {
        self.base == Base::of(map)
    }
}

impl Base {
    fn of(map: &Map) -> Self {
        Self { generation: map.generation, root: map.root() }
    }
}

/// See [`Map::prepare`].
pub(super) fn prepare(map: &Map, updates: &[(Hash, Hash)]) -> MapDelta {
    grow(map, MapDelta::unchanged(map), updates)
}

/// See [`Map::prepare_after`].
pub(super) fn prepare_after(map: &Map, before: MapDelta, updates: &[(Hash, Hash)]) -> Result<MapDelta, StaleDelta> {
    if before.fits(map) { Ok(grow(map, before, updates)) } else { Err(StaleDelta) }
}

/// Returns the change that makes `updates` after those of `before`.
fn grow(map: &Map, before: MapDelta, updates: &[(Hash, Hash)]) -> MapDelta {
    let mut sorted: Vec<Entry> = updates.iter().map(|(label, commitment)| Entry::new(label, commitment)).collect();
    sorted.sort_by_key(|entry| entry.leaf.label);
    sorted.reverse(); // of equal labels the last now comes first, which is the one that stays
    sorted.dedup_by_key(|entry| entry.leaf.label);
    sorted.reverse();

    let MapDelta { fresh, root, base, replaced_inner, replaced_leaves, .. } = before;
    let mut change = Change { map, fresh, replaced_inner, replaced_leaves };
    let (root, root_hash) = change.update(root, 0, &sorted);
    let len = map.len + change.fresh.leaves.len() - change.replaced_leaves.len();
    let Change { fresh, replaced_inner, replaced_leaves, .. } = change;
    MapDelta { fresh, root, root_hash, base, len, replaced_inner, replaced_leaves }
}

/// See [`Map::apply`].
pub(super) fn apply(map: &mut Map, delta: MapDelta) -> Result<(), StaleDelta> {
    if !delta.fits(map) {
        return Err(StaleDelta);
    }
    let arena = &mut map.arena;
    let (inner_before, leaves_before) = (arena.nodes.inner.len(), arena.nodes.leaves.len());
    // A change that grew replaces nodes of its own too: nobody reached them, so their places are free once they are known.
    let (stored_inner, fresh_inner) = parted(&delta.replaced_inner, inner_before);
    let (stored_leaves, fresh_leaves) = parted(&delta.replaced_leaves, leaves_before);
    map.kept.replaced(&stored_inner, &stored_leaves, arena);

    let leaf_places: Vec<usize> = delta
        .fresh
        .leaves
        .into_items()
        .map(|leaf| put(&mut arena.nodes.leaves, &mut arena.free_leaves, leaf))
        .collect();
    let mut inner_places: Vec<usize> = Vec::with_capacity(delta.fresh.inner.len());
    let placed = |link: Link, inner_places: &[usize]| {
        if link.is_empty() {
            link
        } else if link.is_leaf() {
            link.position().checked_sub(leaves_before).map_or(link, |fresh| Link::leaf(leaf_places[fresh]))
        } else {
            link.position().checked_sub(inner_before).map_or(link, |fresh| Link::inner(inner_places[fresh]))
        }
    };
    for Inner { hash, left, right } in delta.fresh.inner.into_items() {
        let node = Inner { hash, left: placed(left, &inner_places), right: placed(right, &inner_places) };
        inner_places.push(put(&mut arena.nodes.inner, &mut arena.free_inner, node));
    }
    if !map.kept.is_empty() {
        map.kept.placed(&inner_places, &leaf_places);
    }
    map.root = placed(delta.root, &inner_places);
    arena.free_inner.extend(fresh_inner.into_iter().map(|fresh| inner_places[fresh] as u32));
    arena.free_leaves.extend(fresh_leaves.into_iter().map(|fresh| leaf_places[fresh] as u32));
    map.len = delta.len;
    map.generation += 1;
    Ok(())
}

/// Parts positions into those of stored nodes and those of fresh ones, which count from 0 then.
fn parted(positions: &[u32], stored: usize) -> (Vec<u32>, Vec<usize>) {
    let (old, new): (Vec<u32>, Vec<u32>) = positions.iter().partition(|position| (**position as usize) < stored);
    (old, new.into_iter().map(|position| position as usize - stored).collect())
}

/// Stores a node in a free place, or at the end, and returns where.
fn put<T>(nodes: &mut Chunks<T>, free: &mut Vec<u32>, node: T) -> usize {
    match free.pop() {
        Some(place) => {
            nodes.set(place as usize, node);
            place as usize
        }
        None => nodes.push(node),
    }
}

/// A change in the making.
struct Change<'a> {
    map: &'a Map,
    fresh: Store,
    replaced_inner: Vec<u32>,
    replaced_leaves: Vec<u32>,
}

/// A leaf on its way to its place: one of the batch, or a stored one that moves down (`stored`).
#[derive(Clone, Copy)]
struct Entry {
    leaf: Leaf,
    stored: Link,
}

impl Entry {
    fn new(label: &Hash, commitment: &Hash) -> Self {
        Self { leaf: Leaf { label: *label, commitment: *commitment }, stored: Link::EMPTY }
    }
}

impl Change<'_> {
    /// Returns the node that stands for `link` once `entries`, which share its prefix of `depth` bits, are set.
    fn update(&mut self, link: Link, depth: usize, entries: &[Entry]) -> (Link, Hash) {
        let nodes = Nodes { arena: &self.map.arena, fresh: &self.fresh };
        if entries.is_empty() {
            return (link, nodes.hash(link));
        }
        match nodes.at(link) {
            Target::Empty => self.build(depth, entries),
            Target::Leaf(leaf) => {
                let leaf = *leaf;
                self.join_leaf(link, leaf, depth, entries)
            }
            Target::Inner(node) => {
                let node = *node;
                self.replaced_inner.push(link.position() as u32);
                let (left, right) = split(entries, depth);
                let left = self.update(node.left, depth + 1, left);
                let right = self.update(node.right, depth + 1, right);
                self.parent(left, right)
            }
        }
    }

    /// A stored leaf is replaced by the entry of its label, or moves down beside the entries.
    fn join_leaf(&mut self, link: Link, leaf: Leaf, depth: usize, entries: &[Entry]) -> (Link, Hash) {
        match entries.binary_search_by_key(&leaf.label, |entry| entry.leaf.label) {
            Ok(_) => {
                self.replaced_leaves.push(link.position() as u32);
                self.build(depth, entries)
            }
            Err(place) => {
                let mut together = entries.to_vec();
                together.insert(place, Entry { leaf, stored: link });
                self.build(depth, &together)
            }
        }
    }

    /// Returns the subtree of `entries` alone.
    fn build(&mut self, depth: usize, entries: &[Entry]) -> (Link, Hash) {
        match entries {
            [] => (Link::EMPTY, EMPTY),
            [Entry { leaf, stored }] if !stored.is_empty() => (*stored, leaf.hash()),
            [Entry { leaf, .. }] => {
                self.fresh.leaves.push(*leaf);
                let position = self.map.arena.nodes.leaves.len() + self.fresh.leaves.len() - 1;
                (Link::leaf(position), leaf.hash())
            }
            _ => {
                let (left, right) = split(entries, depth);
                let left = self.build(depth + 1, left);
                let right = self.build(depth + 1, right);
                self.parent(left, right)
            }
        }
    }

    fn parent(&mut self, left: (Link, Hash), right: (Link, Hash)) -> (Link, Hash) {
        let node = Store::inner_node(left.0, &left.1, right.0, &right.1);
        self.fresh.inner.push(node);
        (Link::inner(self.map.arena.nodes.inner.len() + self.fresh.inner.len() - 1), node.hash)
    }
}

/// Returns the entries that go left and those that go right at `depth`.
fn split(entries: &[Entry], depth: usize) -> (&[Entry], &[Entry]) {
    entries.split_at(entries.partition_point(|entry| !bit(&entry.leaf.label, depth)))
}
