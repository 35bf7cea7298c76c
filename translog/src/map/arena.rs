//! Where the nodes of the map live: two growing rows of nodes and their free places (PROTOCOL 10.3).

use identity::hash::{Hash, sha256_node};

use super::EMPTY;

/// A child: nothing, an inner node, or a leaf. Bit 31 tells leaf from inner node, the rest is a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link(u32);

/// What a [`Link`] leads to.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    Empty,
    Inner(&'a Inner),
    Leaf(&'a Leaf),
}

/// An inner node, 40 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inner {
    pub(super) hash: Hash,
    pub(super) left: Link,
    pub(super) right: Link,
}

/// A leaf, 64 bytes. Its hash is computed when a proof needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) label: Hash,
    pub(super) commitment: Hash,
}

/// Nodes side by side, addressed by position.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) inner: Chunks<Inner>,
    pub(super) leaves: Chunks<Leaf>,
}

/// A vector that grows without moving what it holds: a map of millions of labels takes its next node as quickly as its
/// first, and holds no more than a chunk in reserve.
#[derive(Clone, Debug)]
pub(super) struct Chunks<T>(Vec<Vec<T>>);

/// The nodes of a map, and the places that replaced nodes left free.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    pub(super) nodes: Store,
    pub(super) free_inner: Vec<u32>,
    pub(super) free_leaves: Vec<u32>,
}

/// A map's nodes together with those of a change prepared from it, whose positions go on where the arena ends.
#[derive(Clone, Copy)]
pub(super) struct Nodes<'a> {
    pub(super) arena: &'a Arena,
    pub(super) fresh: &'a Store,
}

/// The fresh nodes of a map without a prepared change.
pub(super) static NO_NODES: Store = Store { inner: Chunks(Vec::new()), leaves: Chunks(Vec::new()) };

impl Link {
    pub(super) const EMPTY: Self = Self(u32::MAX);
    const LEAF: u32 = 1 << 31;

    pub(super) fn inner(position: usize) -> Self {
        Self(checked(position))
    }

    pub(super) fn leaf(position: usize) -> Self {
        Self(checked(position) | Self::LEAF)
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }

    pub(super) fn is_leaf(self) -> bool {
        !self.is_empty() && self.0 & Self::LEAF != 0
    }

    /// Returns the position among the nodes of its kind. Of an empty link it means nothing.
    pub(super) fn position(self) -> usize {
        (self.0 & !Self::LEAF) as usize
    }
}

/// Returns a position as 31 bits, the highest of which is kept for [`Link::EMPTY`].
fn checked(position: usize) -> u32 {
    u32::try_from(position).ok().filter(|p| *p < Link::LEAF - 1).expect("2^31 nodes would need 80 GiB of memory")
}

impl<'a> Nodes<'a> {
    pub(super) fn at(self, link: Link) -> Target<'a> {
        let position = link.position();
        if link.is_empty() {
            Target::Empty
        } else if link.is_leaf() {
            let stored = &self.arena.nodes.leaves;
            Target::Leaf(stored.get(position).unwrap_or_else(|| self.fresh.leaves.at(position - stored.len())))
        } else {
            let stored = &self.arena.nodes.inner;
            Target::Inner(stored.get(position).unwrap_or_else(|| self.fresh.inner.at(position - stored.len())))
        }
    }

    pub(super) fn hash(self, link: Link) -> Hash {
        match self.at(link) {
            Target::Empty => EMPTY,
            Target::Inner(node) => node.hash,
            Target::Leaf(leaf) => leaf.hash(),
        }
    }

    pub(super) fn get(self, root: Link, label: &Hash) -> Option<Hash> {
        let mut link = root;
        for depth in 0.. {
            match self.at(link) {
                Target::Empty => return None,
                Target::Leaf(leaf) => return (leaf.label == *label).then_some(leaf.commitment),
                Target::Inner(node) => link = if bit(label, depth) { node.right } else { node.left },
            }
        }
        None
    }
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Chunks<T> {
    /// Items in a chunk: a little less than 256 KiB. Allocators add a few bytes to what is asked for, and then take the next of their
    /// sizes: for a round number that would be a quarter more.
    const CHUNK: usize = ((256 << 10) - 512) / size_of::<T>();

    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * Self::CHUNK + last.len())
    }

    pub(super) fn get(&self, position: usize) -> Option<&T> {
        self.0.get(position / Self::CHUNK)?.get(position % Self::CHUNK)
    }

    /// As [`Chunks::get`], of a position that is below the length.
    pub(super) fn at(&self, position: usize) -> &T {
        &self.0[position / Self::CHUNK][position % Self::CHUNK]
    }

    pub(super) fn set(&mut self, position: usize, item: T) {
        self.0[position / Self::CHUNK][position % Self::CHUNK] = item;
    }

    /// Adds an item and returns its position.
    pub(super) fn push(&mut self, item: T) -> usize {
        if self.0.last().is_none_or(|last| last.len() == Self::CHUNK) {
            // The first chunk grows as it fills, so that a small map stays small.
            self.0.push(if self.0.is_empty() { Vec::new() } else { Vec::with_capacity(Self::CHUNK) });
        }
        self.0.last_mut().expect("a chunk with room was just pushed").push(item);
        self.len() - 1
    }

    pub(super) fn into_items(self) -> impl Iterator<Item = T> {
        self.0.into_iter().flatten()
    }
}

impl Leaf {
    pub(super) fn hash(&self) -> Hash {
        leaf_hash(&self.label, &self.commitment)
    }
}

impl Store {
    pub(super) fn inner_node(left: Link, left_hash: &Hash, right: Link, right_hash: &Hash) -> Inner {
        Inner { hash: parent_hash(left_hash, right_hash), left, right }
    }
}

/// Returns `H(02, label, commitment)`.
pub(super) fn leaf_hash(label: &Hash, commitment: &Hash) -> Hash {
    sha256_node(2, label, commitment)
}

/// Returns `H(03, left, right)`.
pub(super) fn parent_hash(left: &Hash, right: &Hash) -> Hash {
    sha256_node(3, left, right)
}

/// Returns bit `depth` of a label, the most significant of its first byte being bit 0: true leads right.
pub(super) fn bit(label: &Hash, depth: usize) -> bool {
    label[depth / 8] >> (7 - depth % 8) & 1 == 1
}
