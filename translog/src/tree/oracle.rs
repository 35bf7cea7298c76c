//! RFC 6962 section 2.1 as it is written, recursive and slow: what the rest is held against.

use std::collections::HashMap;

use crate::hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash};

/// Returns `count` leaf hashes, of the entries 0, 1, .. as eight big-endian bytes.
pub(crate) fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

/// MTH(D).
pub(crate) fn root(leaves: &[Hash]) -> Hash {
    Oracle::new(leaves).root(0, leaves.len())
}

/// PATH(m, D).
pub(crate) fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    Oracle::new(leaves).path(index, leaves.len())
}

/// The definitions over the first leaves of one list, each range hashed once.
pub(crate) struct Oracle<'a> {
    leaves: &'a [Hash],
    roots: HashMap<(usize, usize), Hash>,
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(leaves: &'a [Hash]) -> Self {
        Self { leaves, roots: HashMap::new() }
    }

    /// MTH(D[start:end]).
    pub(crate) fn root(&mut self, start: usize, end: usize) -> Hash {
        if end == start {
            return EMPTY_ROOT;
        }
        if end - start == 1 {
            return self.leaves[start];
        }
        if let Some(root) = self.roots.get(&(start, end)) {
            return *root;
        }
        let split = start + split(end - start);
        let root = node_hash(&self.root(start, split), &self.root(split, end));
        self.roots.insert((start, end), root);
        root
    }

    /// PATH(index, D[0:size]).
    pub(crate) fn path(&mut self, index: usize, size: usize) -> Vec<Hash> {
        self.path_within(index, 0, size)
    }

    fn path_within(&mut self, index: usize, start: usize, end: usize) -> Vec<Hash> {
        if end - start == 1 {
            return Vec::new();
        }
        let split = start + split(end - start);
        let (mut path, sibling) = if index < split {
            (self.path_within(index, start, split), self.root(split, end))
        } else {
            (self.path_within(index, split, end), self.root(start, split))
        };
        path.push(sibling);
        path
    }

    /// PROOF(from, D[0:to]) for `from` of 1 and above.
    pub(crate) fn consistency(&mut self, from: usize, to: usize) -> Vec<Hash> {
        self.subproof(from, 0, to, true)
    }

    /// SUBPROOF(from - start, D[start:end], whole).
    fn subproof(&mut self, from: usize, start: usize, end: usize, whole: bool) -> Vec<Hash> {
        if from == end {
            return if whole { Vec::new() } else { vec![self.root(start, end)] };
        }
        let split = start + split(end - start);
        let (mut path, sibling) = if from <= split {
            (self.subproof(from, start, split, whole), self.root(split, end))
        } else {
            (self.subproof(from, split, end, false), self.root(start, split))
        };
        path.push(sibling);
        path
    }
}

/// The largest power of two below `width`.
fn split(width: usize) -> usize {
    width.next_power_of_two() / 2
}
