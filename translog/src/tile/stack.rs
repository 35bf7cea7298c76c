//! Inclusion paths put together from one short path a level (PROTOCOL 8.4).

use core::borrow::Borrow;

use super::{RightTiles, TileId};
use crate::hash::{EMPTY_ROOT, Hash};
use crate::limits::TILE_WIDTH;
use crate::subtree::Subtree;

/// The right edge of one head as subtrees: with the full tiles of its log, whichever way they are kept, every path follows.
///
/// At each level the tile's path is taken; a full tile's root is a leaf of the next level, and what is not full counts there
/// as one more last leaf. That is RFC 6962's own shape, cut every eight levels.
#[derive(Clone, Debug)]
pub struct Stack {
    size: u64,
    root: Hash,
    /// The subtree at the right end of each level; `None` where everything lies in full tiles.
    right: Vec<Option<Subtree>>,
}

impl Stack {
    /// Builds the subtrees of this edge, at most eight.
    pub fn new(edge: &RightTiles) -> Self {
        let mut right: Vec<Option<Subtree>> = Vec::with_capacity(edge.levels());
        for level in 0..edge.levels() {
            let below = right.last().and_then(Option::as_ref).map(Subtree::root);
            let leaves = edge.leaves_of(level, below);
            right.push(leaves.map(|leaves| Subtree::new(&leaves).expect("at most 255 hashes and one below")));
        }
        let root = right.last().and_then(Option::as_ref).map_or(EMPTY_ROOT, Subtree::root);
        Self { size: edge.size(), root, right }
    }

    /// Returns the number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root all paths lead to.
    pub const fn root(&self) -> Hash {
        self.root
    }

    /// Returns the path of leaf `index`, asking `full` for the full tiles on the way: one a level below the top.
    ///
    /// `None` if there is no such leaf. The first error of `full` ends it.
    pub fn path<S: Borrow<Subtree>, E>(
        &self,
        index: u64,
        mut full: impl FnMut(TileId) -> Result<S, E>,
    ) -> Result<Option<Vec<Hash>>, E> {
        if index >= self.size {
            return Ok(None);
        }
        let mut path = Vec::with_capacity(64 - self.size.leading_zeros() as usize);
        for (level, right) in self.right.iter().enumerate() {
            let place = index >> (8 * level);
            let (tile, leaf) = (place / 256, (place % 256) as usize);
            let found = match right {
                Some(right) if tile == self.size >> (8 * level) >> 8 => right.extend_path(leaf, &mut path),
                _ => {
                    let id = TileId { level: level as u8, index: tile, width: TILE_WIDTH };
                    full(id)?.borrow().extend_path(leaf, &mut path)
                }
            };
            assert!(found, "a full tile has 256 leaves, the right end all that are left");
        }
        Ok(Some(path))
    }
}
