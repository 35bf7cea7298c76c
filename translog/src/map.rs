//! The map: one mutable leaf per label, under a root that each Epoch commits to (PROTOCOL 10).
//!
//! A label is a hash of a subject, a commitment a hash of its value. The map holds nothing else: values and states live in
//! SQL. It is a binary prefix tree without path compression; a leaf stands where its prefix becomes unique:
//!
//! ```text
//! leaf H(02, label, commitment)      parent H(03, left, right)      missing child, empty map: 32 zero bytes
//! ```
//!
//! A change takes two steps. [`Map::prepare`] computes it beside the map, which stays readable at its present root;
//! [`Map::apply`] takes it over in a few memory writes. Between the two the change can be proved from ([`Map::prove_after`]), so
//! a server checks what it is about to commit, and a change that did not become durable is simply dropped.
//!
//! An earlier root can be kept readable beside the newest ([`Map::keep_root`], [`Map::at`]).

mod arena;
mod build;
mod delta;
mod kept;
mod proof;
mod value;

pub use delta::{MapDelta, StaleDelta};
pub use kept::{KeptRoot, MapAt};
pub use proof::{MapProof, MapProofError, ProveError};
pub use value::{
    LabelKind, OpenedLeaf, commitment, label, label_alias, label_anchors, label_did, label_logconf, label_name,
    state_hash, value,
};

use arena::{Arena, Link, NO_NODES, Nodes};
use identity::hash::Hash;
use kept::Kept;

/// The hash of a missing child, and the root of the empty map.
pub const EMPTY: Hash = [0; 32];

/// A map of labels to commitments.
///
/// Memory: 40 bytes an inner node, 64 a leaf, and 1.44 inner nodes a label: 122 bytes a label. A kept root adds a bit a node, and the nodes
/// that were replaced since.
#[derive(Clone, Debug)]
pub struct Map {
    arena: Arena,
    root: Link,
    len: usize,
    generation: u64,
    kept: Kept,
}

/// The labels of a bulk build were not strictly ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("labels are not strictly ascending at position {at}")]
pub struct NotSorted {
    /// The position, from 0, of the first label that is not above the one before it.
    pub at: usize,
}

impl Map {
    /// Returns the empty map.
    pub fn new() -> Self {
        Self { arena: Arena::default(), root: Link::EMPTY, len: 0, generation: 0, kept: Kept::default() }
    }

    /// Returns the map of `rows`, `(label, commitment)` strictly ascending by label, built bottom-up.
    pub fn from_sorted(rows: impl IntoIterator<Item = (Hash, Hash)>) -> Result<Self, NotSorted> {
        let (arena, root) = build::from_sorted(rows)?;
        let len = arena.nodes.leaves.len();
        Ok(Self { arena, root, len, generation: 0, kept: Kept::default() })
    }

    /// Returns the root hash.
    pub fn root(&self) -> Hash {
        self.tree().hash(self.root)
    }

    /// Returns how many labels the map holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the map holds no label.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the commitment of `label`, if the map holds it.
    pub fn get(&self, label: &Hash) -> Option<Hash> {
        self.tree().get(self.root, label)
    }

    /// Returns the proof that shows each of `labels` present or absent under the present root.
    ///
    /// Labels are distinct, 1 to 4, and are verified in the same order.
    pub fn prove(&self, labels: &[Hash]) -> Result<MapProof, ProveError> {
        proof::prove(self.tree(), self.root, labels)
    }

    /// Returns the change that sets each label to its commitment. Pure: the map stays as it is.
    ///
    /// Updates come in any order; of equal labels the last counts. Nodes shared by several updates are computed once.
    pub fn prepare(&self, updates: &[(Hash, Hash)]) -> MapDelta {
        delta::prepare(self, updates)
    }

    /// Returns the change that makes `updates` after those of `before`, which it takes in: one change of several Epochs.
    ///
    /// Errors: [`StaleDelta`] if another change was applied since `before` was prepared.
    pub fn prepare_after(&self, before: MapDelta, updates: &[(Hash, Hash)]) -> Result<MapDelta, StaleDelta> {
        delta::prepare_after(self, before, updates)
    }

    /// Takes a change over. Quick: no hashing, one write per changed node.
    ///
    /// Errors: [`StaleDelta`] if another change was applied since it was prepared; the map is unchanged then.
    pub fn apply(&mut self, delta: MapDelta) -> Result<(), StaleDelta> {
        delta::apply(self, delta)
    }

    /// Returns what [`Map::prove`] will return once `delta`, prepared from this map, is applied.
    ///
    /// Errors: [`ProveError::Stale`] if another change was applied since it was prepared.
    pub fn prove_after(&self, delta: &MapDelta, labels: &[Hash]) -> Result<MapProof, ProveError> {
        if !delta.fits(self) {
            return Err(ProveError::Stale);
        }
        proof::prove(Nodes { arena: &self.arena, fresh: &delta.fresh }, delta.root, labels)
    }

    /// Returns the map at its newest root.
    pub fn newest(&self) -> MapAt<'_> {
        MapAt { nodes: self.tree(), root: self.root }
    }

    /// Keeps the present root readable while the map changes, until it is released.
    pub fn keep_root(&mut self) -> KeptRoot {
        self.kept.keep(self.root)
    }

    /// Returns the map at a root it keeps. Panics if the root is another map's.
    pub fn at(&self, root: &KeptRoot) -> MapAt<'_> {
        MapAt { nodes: self.tree(), root: self.kept.link(root) }
    }

    /// Forgets a kept root and frees the nodes that only it reached. Panics if the root is another map's.
    pub fn release_root(&mut self, root: KeptRoot) {
        self.kept.release(&root, &mut self.arena);
    }

    /// Returns how many nodes are kept for earlier roots alone.
    pub fn kept_nodes(&self) -> usize {
        self.kept.nodes()
    }

    fn tree(&self) -> Nodes<'_> {
        Nodes { arena: &self.arena, fresh: &NO_NODES }
    }
}

impl Default for Map {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
