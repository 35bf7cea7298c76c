//! The tiles at the right edge of a growing log.

use super::{Tile, TileError, TileId};
use crate::hash::{EMPTY_ROOT, Hash};
use crate::limits::{SIZE_MAX, TILE_WIDTH};
use crate::subtree;

/// The hashes not yet in a full tile, level by level: at most 255 each, so at most 64 kB for any log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightTiles {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl RightTiles {
    /// Returns those of the empty log.
    pub const fn new() -> Self {
        Self { size: 0, levels: Vec::new() }
    }

    /// Takes up the edge of a log of `size` entries: the hashes of its partial tile of each level, empty where there is none.
    ///
    /// Errors: [`TileError::Index`] for a size beyond 2^63 - 1, [`TileError::Bytes`] if a level has not `size >> 8 level`
    /// modulo 256 hashes. The hashes are believed: compare [`RightTiles::root`] with a signed one.
    pub fn from_parts(size: u64, levels: Vec<Vec<Hash>>) -> Result<Self, TileError> {
        if size > SIZE_MAX {
            return Err(TileError::Index);
        }
        let fits = (0..8).all(|level| {
            let width = (size >> (8 * level)) % u64::from(TILE_WIDTH);
            levels.get(level).map_or(0, Vec::len) as u64 == width
        });
        if fits && levels.len() <= 8 { Ok(Self { size, levels }) } else { Err(TileError::Bytes) }
    }

    /// Returns what [`RightTiles::from_parts`] takes: the hashes of each level's partial tile.
    pub fn parts(&self) -> &[Vec<Hash>] {
        &self.levels
    }

    /// Returns the number of entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds one leaf and returns the tiles it completed: none, or one of each level from 0 up to some level.
    pub fn append(&mut self, leaf: Hash) -> Vec<Tile> {
        assert!(self.size < SIZE_MAX, "a tree of 2^63 - 1 leaves is full");
        self.size += 1;
        let mut completed = Vec::new();
        let mut hash = leaf;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
            if self.levels[level].len() < usize::from(TILE_WIDTH) {
                break;
            }
            let index = (self.size >> (8 * (level + 1))) - 1;
            let id = TileId { level: level as u8, index, width: TILE_WIDTH };
            let tile = Tile { id, hashes: core::mem::take(&mut self.levels[level]) };
            hash = tile.root();
            completed.push(tile);
        }
        completed
    }

    /// Returns the partial tiles that a head of this size needs, lowest level first.
    pub fn partials(&self) -> impl Iterator<Item = Tile> + '_ {
        self.levels.iter().enumerate().filter(|(_, hashes)| !hashes.is_empty()).map(|(level, hashes)| {
            let index = (self.size >> (8 * level)) / u64::from(TILE_WIDTH);
            let id = TileId { level: level as u8, index, width: hashes.len() as u16 };
            Tile { id, hashes: hashes.clone() }
        })
    }

    /// Returns the root of the whole tree.
    pub fn root(&self) -> Hash {
        let mut right = None;
        for level in 0..self.levels.len() {
            right = self.leaves_of(level, right).map(|leaves| subtree::root(&leaves).expect("1 to 256 leaves"));
        }
        right.unwrap_or(EMPTY_ROOT)
    }

    /// Returns the number of levels that hold or held a hash.
    pub(super) fn levels(&self) -> usize {
        self.levels.len()
    }

    /// Returns the leaves of the right edge's subtree at `level`: its hashes, and the root of what lies below and is not full.
    pub(super) fn leaves_of(&self, level: usize, right: Option<Hash>) -> Option<Vec<Hash>> {
        let leaves: Vec<Hash> = self.levels[level].iter().copied().chain(right).collect();
        (!leaves.is_empty()).then_some(leaves)
    }
}

impl Default for RightTiles {
    fn default() -> Self {
        Self::new()
    }
}
