//! A tree with what was added to it of late.

use super::Edge;
use super::plan::{Node, root_plan};
use crate::hash::{Hash, node_hash};

/// The leaves behind some size of a tree, with what of the tree before them their proofs need: its full subtrees.
///
/// It answers for every node that a plan names whose proof is of a leaf at or behind that size, or between two sizes from it on: so
/// whoever appends proves what they appended without a look at what is stored. It holds two hashes a leaf.
#[derive(Clone, Debug)]
pub struct Growth {
    from: u64,
    size: u64,
    /// The roots of the full subtrees that make up the first `from` leaves, largest first.
    peaks: Vec<Hash>,
    /// By level: the full subtrees that end behind `from`, from the first on; it may begin before `from`.
    levels: Vec<Vec<Hash>>,
}

impl Growth {
    /// Returns what was added to a tree of this edge: nothing yet.
    pub fn new(edge: &Edge) -> Self {
        Self { from: edge.size(), size: edge.size(), peaks: edge.peaks(), levels: Vec::new() }
    }

    /// Returns the size from which on it answers.
    pub const fn from(&self) -> u64 {
        self.from
    }

    /// Returns the size of the tree.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the last leaf, if it was added here.
    pub fn last_leaf(&self) -> Option<&Hash> {
        self.levels.first()?.last()
    }

    /// Adds one leaf at the right.
    pub fn append(&mut self, leaf: Hash) {
        let (mut node, mut hash) = (Node { level: 0, index: self.size }, leaf);
        self.size += 1;
        loop {
            let level = usize::from(node.level);
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
            if node.index % 2 == 0 {
                return;
            }
            let left = self.node(Node { level: node.level, index: node.index - 1 });
            hash = node_hash(&left.expect("what stands left of a subtree that was added is known"), &hash);
            node = Node { level: node.level + 1, index: node.index / 2 };
        }
    }

    /// Returns the root of a full subtree, if it is known here.
    pub fn node(&self, node: Node) -> Option<Hash> {
        let first = self.from.checked_shr(node.level.into()).unwrap_or(0);
        if let Some(place) = node.index.checked_sub(first) {
            return self.levels.get(usize::from(node.level))?.get(usize::try_from(place).ok()?).copied();
        }
        // Of what came before, the subtrees whose parents end behind it.
        let is_peak = node.index + 1 == first && first % 2 == 1;
        is_peak.then(|| self.peaks.get((first >> 1).count_ones() as usize).copied()).flatten()
    }

    /// Lets go of what was added up to `from`: then it answers from there on. Below what it has, or beyond the tree, nothing changes.
    pub fn forget(&mut self, from: u64) {
        if from <= self.from || from > self.size {
            return;
        }
        let Ok(plan) = root_plan(from) else { return };
        let peaks: Option<Vec<Hash>> = plan.nodes().map(|node| self.node(node)).collect();
        let Some(peaks) = peaks else { return };
        for (level, nodes) in self.levels.iter_mut().enumerate() {
            let gone = (from >> level) - (self.from >> level);
            nodes.drain(..nodes.len().min(gone as usize));
            nodes.shrink_to(2 * nodes.len());
        }
        (self.from, self.peaks) = (from, peaks);
    }
}
