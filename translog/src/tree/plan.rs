//! Which stored nodes make a proof.

use super::ProofError;
use crate::hash::{Hash, node_hash};
use crate::limits::SIZE_MAX;

/// The root of a full subtree: the one over leaves `index << level` up to `(index + 1) << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// The height above the leaves, 0..=62.
    pub level: u8,
    /// The place among the nodes of this level.
    pub index: u64,
}

/// The nodes behind a proof: each hash of the path is the root over one group, most often of a single node.
///
/// Only the group over the right end of the tree has several, because its subtree is not full and so stored nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    groups: Vec<Vec<Node>>,
}

/// Plans the inclusion path of leaf `index` in the tree of `size` leaves.
pub fn inclusion_plan(index: u64, size: u64) -> Result<Plan, ProofError> {
    check_size(size)?;
    if index >= size {
        return Err(ProofError::Index);
    }
    let mut groups = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let split = start + largest_power_below(end - start);
        if index < split {
            groups.push(cover(split, end));
            end = split;
        } else {
            groups.push(cover(start, split));
            start = split;
        }
    }
    groups.reverse();
    Ok(Plan { groups })
}

/// Plans the path that shows the tree of `to` leaves to begin with the tree of `from` leaves.
///
/// Empty if the sizes are equal or `from` is 0: those need no path. Source: RFC 9162 section 2.1.4.1.
pub fn consistency_plan(from: u64, to: u64) -> Result<Plan, ProofError> {
    check_size(to)?;
    if from > to {
        return Err(ProofError::Order);
    }
    let mut groups = Vec::new();
    let (mut start, mut end) = (0, to);
    // The subtree at hand always contains the old tree's end; once it ends there, its root is where the path begins.
    while from > 0 && end != from {
        let split = start + largest_power_below(end - start);
        if from <= split {
            groups.push(cover(split, end));
            end = split;
        } else {
            groups.push(cover(start, split));
            start = split;
        }
    }
    // A path that never went right begins at the old root itself, which the verifier has.
    if start > 0 {
        groups.push(cover(start, end));
    }
    groups.reverse();
    Ok(Plan { groups })
}

/// Plans the root of the tree of `size` leaves: one group, none if it is empty.
pub fn root_plan(size: u64) -> Result<Plan, ProofError> {
    check_size(size)?;
    let groups = if size == 0 { Vec::new() } else { vec![cover(0, size)] };
    Ok(Plan { groups })
}

impl Plan {
    /// Returns every node needed, in path order.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        self.groups.iter().flatten().copied()
    }

    /// Returns the number of hashes the path will have.
    pub fn path_hashes(&self) -> usize {
        self.groups.len()
    }

    /// Fetches each node, in path order, and returns the path.
    pub fn fold<E>(&self, mut fetch: impl FnMut(Node) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
        let mut path = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let hashes = group.iter().map(|node| fetch(*node)).collect::<Result<Vec<_>, E>>()?;
            let root = hashes.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
            path.push(root.expect("a group covers at least one leaf"));
        }
        Ok(path)
    }
}

/// Returns the full subtrees that make up leaves `start..end`, left to right, where `start` is a split point above `end - start`.
fn cover(start: u64, end: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = start;
    while at < end {
        let level = (end - at).ilog2();
        nodes.push(Node { level: level as u8, index: at >> level });
        at += 1 << level;
    }
    nodes
}

/// Returns the largest power of two below `width`, which is at least 2.
fn largest_power_below(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// Refuses sizes no reader can count.
fn check_size(size: u64) -> Result<(), ProofError> {
    if size > SIZE_MAX { Err(ProofError::Size) } else { Ok(()) }
}
