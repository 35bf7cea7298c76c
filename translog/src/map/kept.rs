//! Earlier roots that stay readable: a replaced node is kept until no kept root needs it.
//!
//! Updates copy the path to what they change, so an earlier root is whole as long as the places of its nodes are not used again.
//! Each kept root has a bit for every node that came after it; a node that was replaced belongs to the newest kept root that it
//! is not younger than, or to none. So what is kept is exactly what some kept root reaches, at a bit a node and root.

use identity::hash::Hash;

use super::arena::{Arena, Link, Nodes};
use super::proof::{self, MapProof, ProveError};

/// Names a root that a map keeps readable, until it is given back to [`super::Map::release_root`].
#[derive(Debug, PartialEq, Eq)]
pub struct KeptRoot {
    number: u64,
}

/// A map at one of its roots, for reading.
#[derive(Clone, Copy)]
pub struct MapAt<'a> {
    pub(super) nodes: Nodes<'a>,
    pub(super) root: Link,
}

/// The kept roots of a map, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    roots: Vec<Root>,
    next: u64,
    /// Nodes kept for them alone.
    nodes: usize,
}

#[derive(Clone, Debug)]
struct Root {
    number: u64,
    link: Link,
    inner: Places,
    leaves: Places,
}

/// The nodes of one kind as a kept root knows them.
#[derive(Clone, Debug, Default)]
struct Places {
    /// A bit for each node that came after the root.
    younger: Vec<u64>,
    /// Replaced nodes that this root reaches, and no later one.
    replaced: Vec<u32>,
}

impl MapAt<'_> {
    /// Returns the root hash.
    pub fn root(&self) -> Hash {
        self.nodes.hash(self.root)
    }

    /// Returns the commitment of `label`, if the map holds it at this root.
    pub fn get(&self, label: &Hash) -> Option<Hash> {
        self.nodes.get(self.root, label)
    }

    /// As [`super::Map::prove`], under this root.
    pub fn prove(&self, labels: &[Hash]) -> Result<MapProof, ProveError> {
        proof::prove(self.nodes, self.root, labels)
    }
}

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    pub(super) fn nodes(&self) -> usize {
        self.nodes
    }

    pub(super) fn keep(&mut self, link: Link) -> KeptRoot {
        let number = self.next;
        self.next += 1;
        self.roots.push(Root { number, link, inner: Places::default(), leaves: Places::default() });
        KeptRoot { number }
    }

    /// Returns where a kept root begins. Panics if it is not one of this map's.
    pub(super) fn link(&self, kept: &KeptRoot) -> Link {
        self.roots[self.position(kept)].link
    }

    /// Forgets a root; nodes that only it reached are free.
    pub(super) fn release(&mut self, kept: &KeptRoot, arena: &mut Arena) {
        let at = self.position(kept);
        let root = self.roots.remove(at);
        let older = at.checked_sub(1).map(|before| &mut self.roots[before]);
        let (inner, leaves) = older.map_or((None, None), |older| (Some(&mut older.inner), Some(&mut older.leaves)));
        self.nodes -= hand_down(root.inner.replaced, inner, &mut arena.free_inner);
        self.nodes -= hand_down(root.leaves.replaced, leaves, &mut arena.free_leaves);
    }

    /// Takes nodes that the newest root no longer reaches: each is kept, or its place is free.
    pub(super) fn replaced(&mut self, inner: &[u32], leaves: &[u32], arena: &mut Arena) {
        let Some(last) = self.roots.last_mut() else {
            arena.free_inner.extend_from_slice(inner);
            arena.free_leaves.extend_from_slice(leaves);
            return;
        };
        let all = inner.len() + leaves.len();
        let freed = hand_down(inner.iter().copied(), Some(&mut last.inner), &mut arena.free_inner)
            + hand_down(leaves.iter().copied(), Some(&mut last.leaves), &mut arena.free_leaves);
        self.nodes += all - freed;
    }

    /// Notes that new nodes stand in these places.
    pub(super) fn placed(&mut self, inner: &[usize], leaves: &[usize]) {
        for root in &mut self.roots {
            inner.iter().for_each(|place| root.inner.set_younger(*place));
            leaves.iter().for_each(|place| root.leaves.set_younger(*place));
        }
    }

    fn position(&self, kept: &KeptRoot) -> usize {
        let found = self.roots.iter().position(|root| root.number == kept.number);
        found.expect("a kept root is given back once, to the map it came from")
    }
}

impl Places {
    fn set_younger(&mut self, place: usize) {
        let word = place / 64;
        if word >= self.younger.len() {
            self.younger.resize(word + 1, 0);
        }
        self.younger[word] |= 1 << (place % 64);
    }

    fn is_younger(&self, place: u32) -> bool {
        let place = place as usize;
        self.younger.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }
}

/// Gives replaced nodes to the root before, as far as it reaches them; the places of the others are free. Returns how many.
fn hand_down(replaced: impl IntoIterator<Item = u32>, to: Option<&mut Places>, free: &mut Vec<u32>) -> usize {
    let before = free.len();
    match to {
        None => free.extend(replaced),
        Some(root) => {
            for place in replaced {
                match root.is_younger(place) {
                    true => free.push(place),
                    false => root.replaced.push(place),
                }
            }
        }
    }
    free.len() - before
}
