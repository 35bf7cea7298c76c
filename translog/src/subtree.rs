//! Trees of 1 to 256 leaves: what one tile holds (PROTOCOL 8.2). The room of `rs_merkle`.
//!
//! A whole log is such trees stacked: the root of a full tile is one leaf of the tile above. So a path through the log is one
//! short path per level, and whoever serves many paths keeps a [`Subtree`] of each tile it meets again and again.

use rs_merkle::{Hasher, PartialTree};

use crate::hash::{Hash, node_hash, sha256};
use crate::limits::TILE_WIDTH;

/// A built tree of 1 to 256 leaves: roots and paths are read from it without hashing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree {
    /// All nodes, row after row: the leaves first, the root last; at most 511.
    nodes: Vec<Hash>,
    width: usize,
}

/// The number of leaves is not 1..=256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subtree has 1 to 256 leaves")]
pub struct WidthError;

impl Subtree {
    /// Builds the tree over `leaves`, left to right.
    pub fn new(leaves: &[Hash]) -> Result<Self, WidthError> {
        if leaves.is_empty() || leaves.len() > usize::from(TILE_WIDTH) {
            return Err(WidthError);
        }
        let tree = PartialTree::<Rfc6962>::from_leaves(leaves).expect("whole rows of leaves make a tree");
        let nodes = tree.layers().iter().flatten().map(|(_, hash)| *hash).collect();
        Ok(Self { nodes, width: leaves.len() })
    }

    /// Returns the number of leaves.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Returns the root.
    pub fn root(&self) -> Hash {
        *self.nodes.last().expect("a subtree has at least one leaf")
    }

    /// Returns the path from leaf `index` up to the root, the leaf's sibling first; `None` if there is no such leaf.
    pub fn path(&self, index: usize) -> Option<Vec<Hash>> {
        let mut path = Vec::with_capacity(8);
        self.extend_path(index, &mut path).then_some(path)
    }

    /// Adds the path of leaf `index` to `path`; `false` if there is no such leaf.
    pub(crate) fn extend_path(&self, index: usize, path: &mut Vec<Hash>) -> bool {
        if index >= self.width {
            return false;
        }
        let (mut row, mut width, mut place) = (&self.nodes[..], self.width, index);
        while width > 1 {
            // The last of an odd row has no sibling: it rises as it is.
            if place ^ 1 < width {
                path.push(row[place ^ 1]);
            }
            row = &row[width..];
            (width, place) = (width.div_ceil(2), place / 2);
        }
        true
    }
}

/// Returns the path of one leaf among `leaves`, for a tree that is used once.
pub fn path(leaves: &[Hash], index: usize) -> Result<Vec<Hash>, WidthError> {
    Subtree::new(leaves)?.path(index).ok_or(WidthError)
}

/// Returns the root over `leaves` without building a tree: the auditor's road, a hash a leaf and no allocation.
pub fn root(leaves: &[Hash]) -> Result<Hash, WidthError> {
    if leaves.is_empty() || leaves.len() > usize::from(TILE_WIDTH) {
        return Err(WidthError);
    }
    let mut row = [[0; 32]; TILE_WIDTH as usize / 2];
    let mut width = halve(leaves, &mut row);
    while width > 1 {
        width = halve_in_place(&mut row, width);
    }
    Ok(row[0])
}

/// Writes the row above `leaves` and returns its width; the last of an odd row rises unchanged.
fn halve(leaves: &[Hash], above: &mut [Hash]) -> usize {
    for (pair, parent) in leaves.chunks(2).zip(above.iter_mut()) {
        *parent = match pair {
            [left, right] => node_hash(left, right),
            rest => rest[0],
        };
    }
    leaves.len().div_ceil(2)
}

/// As [`halve`], over the first `width` hashes of `row` themselves.
fn halve_in_place(row: &mut [Hash], width: usize) -> usize {
    for parent in 0..width / 2 {
        row[parent] = node_hash(&row[2 * parent], &row[2 * parent + 1]);
    }
    if !width.is_multiple_of(2) {
        row[width / 2] = row[width - 1];
    }
    width.div_ceil(2)
}

/// RFC 6962 hashing for `rs_merkle`, which hands over two concatenated hashes and lets an odd node rise unchanged.
#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = Hash;

    fn hash(data: &[u8]) -> Hash {
        sha256(&[&[1], data])
    }

    fn concat_and_hash(left: &Hash, right: Option<&Hash>) -> Hash {
        right.map_or(*left, |right| node_hash(left, right))
    }
}

#[cfg(test)]
mod tests {
    use rs_merkle::MerkleTree;

    use super::*;
    use crate::tree::{oracle, verify_inclusion};

    #[test]
    fn every_width_has_the_root_and_paths_of_rfc_6962() {
        // Goal: one tile is an RFC 6962 tree, by both roads. Method: each width 1..=256 against the recursive definition.
        let leaves = oracle::leaves(256);
        for width in 1..=256 {
            let leaves = &leaves[..width];
            let subtree = Subtree::new(leaves).expect("1..=256");
            assert_eq!(subtree.root(), oracle::root(leaves), "width {width}");
            assert_eq!(root(leaves), Ok(oracle::root(leaves)), "width {width}");
            for index in (0..width).step_by(if width > 40 { 7 } else { 1 }) {
                let path = subtree.path(index).expect("index < width");
                assert_eq!(path, oracle::path(leaves, index));
                let checked = verify_inclusion(&leaves[index], index as u64, width as u64, &path, &subtree.root());
                assert_eq!(checked, Ok(()));
            }
        }
    }

    #[test]
    fn rs_merkle_agrees_beyond_one_tile() {
        // Goal: its shape is RFC 6962's at sizes a tile never has. Method: roots and sampled paths to 4,096 leaves.
        let leaves = oracle::leaves(4_096);
        let mut oracle = oracle::Oracle::new(&leaves);
        for width in [257, 300, 511, 512, 513, 1_000, 1_023, 1_100, 2_049, 4_095, 4_096] {
            let tree = MerkleTree::<Rfc6962>::from_leaves(&leaves[..width]);
            assert_eq!(tree.root(), Some(oracle.root(0, width)), "width {width}");
            for index in (0..width).step_by(97) {
                assert_eq!(tree.proof(&[index]).proof_hashes(), oracle.path(index, width), "{index} of {width}");
            }
        }
    }

    #[test]
    fn no_leaf_and_257_leaves_are_refused() {
        // Goal: the bounds hold at their edges. Method: each function one past them.
        let many = vec![[0; 32]; 257];
        assert_eq!(Subtree::new(&[]).err(), Some(WidthError));
        assert_eq!(Subtree::new(&many).err(), Some(WidthError));
        assert_eq!((root(&[]), root(&many)), (Err(WidthError), Err(WidthError)));
        assert_eq!(path(&many[..3], 3), Err(WidthError));
        assert_eq!(Subtree::new(&many[..3]).expect("3 leaves").path(3), None);
    }
}
