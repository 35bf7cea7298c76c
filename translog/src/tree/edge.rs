//! A tree that is only its right edge.

use super::ProofError;
use super::plan::Node;
use super::verify::inclusion_root;
use crate::hash::{EMPTY_ROOT, Hash, node_hash};
use crate::limits::SIZE_MAX;

/// What must be kept of a tree to append to it: its size, its last leaf, and that leaf's path.
///
/// A head carries exactly these, so an edge can be taken up again from any head. Appending costs one node hash a leaf on
/// average, and memory stays at 2 kB whatever the size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// The last leaf's hash; zeros in the empty tree.
    last: Hash,
    /// The roots of the full subtrees that make up the first `size - 1` leaves, largest first: the last leaf's path, reversed.
    before: Vec<Hash>,
}

impl Edge {
    /// Returns the edge of the empty tree.
    pub const fn new() -> Self {
        Self { size: 0, last: [0; 32], before: Vec::new() }
    }

    /// Returns the edge of the tree with `size` leaves whose last leaf is `last`, with its inclusion path.
    ///
    /// The parts are believed: compare [`Edge::root`] with a root that is trusted. Errors: [`ProofError::Size`],
    /// [`ProofError::Length`] if the path has not popcount(size - 1) hashes. Size 0 has no last leaf: [`Edge::new`].
    pub fn from_parts(size: u64, last: Hash, path: &[Hash]) -> Result<Self, ProofError> {
        if size == 0 || size > SIZE_MAX {
            return Err(ProofError::Size);
        }
        if path.len() != (size - 1).count_ones() as usize {
            return Err(ProofError::Length);
        }
        Ok(Self { size, last, before: path.iter().rev().copied().collect() })
    }

    /// Returns the number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the hash of the last leaf, if there is one.
    pub fn last_leaf(&self) -> Option<&Hash> {
        (self.size > 0).then_some(&self.last)
    }

    /// Adds one leaf at the right.
    ///
    /// Panics at 2^63 - 1 leaves, which no machine reaches by appending.
    pub fn append(&mut self, leaf: Hash) {
        self.append_noting(leaf, |_, _| {});
    }

    /// As [`Edge::append`]; `note` is told of each full subtree above the leaves that the leaf before completed, with its root.
    pub fn append_noting(&mut self, leaf: Hash, note: impl FnMut(Node, &Hash)) {
        assert!(self.size < SIZE_MAX, "a tree of 2^63 - 1 leaves is full");
        if self.size > 0 {
            self.settle_last(note);
        }
        self.last = leaf;
        self.size += 1;
    }

    /// Adds the leaves in order.
    pub fn extend(&mut self, leaves: &[Hash]) {
        for leaf in leaves {
            self.append(*leaf);
        }
    }

    /// Returns the root.
    pub fn root(&self) -> Hash {
        if self.size == 0 {
            return EMPTY_ROOT;
        }
        self.before.iter().rfold(self.last, |right, left| node_hash(left, &right))
    }

    /// Returns the inclusion path of the last leaf: popcount(size - 1) hashes, lowest first. Empty for sizes 0 and 1.
    pub fn last_leaf_path(&self) -> Vec<Hash> {
        self.before.iter().rev().copied().collect()
    }

    /// Returns the roots of the full subtrees the tree consists of, largest first: one for each bit set in the size.
    pub fn peaks(&self) -> Vec<Hash> {
        let mut whole = self.clone();
        if self.size > 0 {
            whole.settle_last(|_, _| {});
        }
        whole.before
    }

    /// Checks a leaf and its path against this edge's tree: `Ok` if `leaf` is leaf `index` of it.
    pub fn verify_inclusion(&self, leaf: &Hash, index: u64, path: &[Hash]) -> Result<(), ProofError> {
        if inclusion_root(leaf, index, self.size, path)? == self.root() { Ok(()) } else { Err(ProofError::Root) }
    }

    /// Moves the last leaf among the full subtrees before it: every full pair on the way becomes one.
    fn settle_last(&mut self, mut note: impl FnMut(Node, &Hash)) {
        let mut node = self.last;
        for level in 1..=(self.size - 1).trailing_ones() as u8 {
            let left = self.before.pop().expect("a subtree for each bit set in size - 1");
            node = node_hash(&left, &node);
            note(Node { level, index: (self.size - 1) >> level }, &node);
        }
        self.before.push(node);
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self::new()
    }
}
