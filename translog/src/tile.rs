//! Tiles: the tree as immutable files that stock readers fetch (PROTOCOL 8.2; c2sp.org/tlog-tiles).
//!
//! A [`TileId`] names a tile, a [`Tile`] is one with its hashes, [`RightTiles`] grows the tiles of a log and [`Stack`] proves
//! from them. Bundles, which hold the entries themselves, are in [`crate::bundle`].

mod grow;
mod hashes;
mod path;
mod stack;

pub use grow::RightTiles;
pub use hashes::Tile;
pub use path::{ResourceId, number_path};
pub use stack::Stack;

use crate::limits::{SIZE_MAX, TILE_LEVEL_MAX, TILE_WIDTH};
use crate::tree::Node;

/// The name of a tile: `width` consecutive hashes of level `8 * level` of the tree, beginning at `256 * index`.
///
/// A width of 256 is a full tile. At level `l` each hash covers `256^l` leaves. An empty tile does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

/// The name of an entry bundle: `width` consecutive entries beginning at `256 * index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId {
    index: u64,
    width: u16,
}

/// Why a tile or bundle cannot be named, read or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// The path is not one tlog-tiles writes. Code `tile_path`.
    #[error("not a tile path")]
    Path,
    /// The level is above 63. Code `tile_level`.
    #[error("a tile level is 0 to 63")]
    Level,
    /// The index is beyond the largest tree. Code `tile_index`.
    #[error("no tree has a tile of this index")]
    Index,
    /// The width is not 1 to 256. Code `tile_width`.
    #[error("a tile has 1 to 256 hashes")]
    Width,
    /// The bytes are not exactly 32 a hash, or not the entries the id promises. Code `tile_bytes`.
    #[error("the bytes do not fit the tile's width")]
    Bytes,
    /// The tile does not hold the node. Code `tile_node`.
    #[error("the node is not in this tile")]
    Node,
}

impl TileError {
    /// Returns the stable code that vectors and problem answers name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Path => "tile_path",
            Self::Level => "tile_level",
            Self::Index => "tile_index",
            Self::Width => "tile_width",
            Self::Bytes => "tile_bytes",
            Self::Node => "tile_node",
        }
    }
}

impl TileId {
    /// Returns the tile of this level, index and width.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        if level > TILE_LEVEL_MAX {
            return Err(TileError::Level);
        }
        check_index_and_width(index, width)?;
        Ok(Self { level, index, width })
    }

    /// Returns the tile that holds what `node` is made of, as wide as it is in the tree of `size` leaves.
    ///
    /// Errors: [`TileError::Node`] if that tree has no such full subtree.
    pub fn of_node(node: Node, size: u64) -> Result<Self, TileError> {
        let end = (node.index.checked_add(1)).filter(|_| node.level < 63).ok_or(TileError::Node)?;
        if size > SIZE_MAX || end > size >> node.level {
            return Err(TileError::Node);
        }
        let level = node.level / 8;
        let index = (node.index << (node.level % 8)) / u64::from(TILE_WIDTH);
        Ok(Self { level, index, width: width_at(level, index, size) })
    }

    /// Returns the level: 0 holds leaf hashes.
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Returns the place among the tiles of the level.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Returns the number of hashes, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Returns whether the tile is 256 wide.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Returns the full tile of the same level and index, which begins with this one's hashes.
    pub const fn to_full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }
}

impl BundleId {
    /// Returns the bundle of this index and width.
    pub fn new(index: u64, width: u16) -> Result<Self, TileError> {
        check_index_and_width(index, width)?;
        Ok(Self { index, width })
    }

    /// Returns the bundle that holds entry `index`, as wide as it is in a log of `size` entries.
    pub fn of_entry(index: u64, size: u64) -> Result<Self, TileError> {
        if index >= size || size > SIZE_MAX {
            return Err(TileError::Index);
        }
        let bundle = index / u64::from(TILE_WIDTH);
        Ok(Self { index: bundle, width: width_at(0, bundle, size) })
    }

    /// Returns the place among the bundles.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Returns the number of entries, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Returns the log index of the first entry.
    pub const fn first_entry(&self) -> u64 {
        self.index * TILE_WIDTH as u64
    }

    /// Returns the tile that holds the hashes of these entries.
    pub const fn tile(&self) -> TileId {
        TileId { level: 0, index: self.index, width: self.width }
    }
}

/// Returns every tile that comes into being when a tree grows from `old_size` to `new_size` leaves.
///
/// Lowest level first, left to right: the tiles that became full, then the partial one that the new size ends in. From 0 these
/// are all tiles of the tree.
pub fn tiles_for(old_size: u64, new_size: u64) -> impl Iterator<Item = TileId> {
    let old_size = old_size.min(new_size);
    (0..8_u8).flat_map(move |level| {
        let (old, new) = (old_size >> (8 * level), new_size >> (8 * level));
        let indexes = old / 256..if new == old { old / 256 } else { new.div_ceil(256) };
        indexes.map(move |index| TileId { level, index, width: width_at(level, index, new_size) })
    })
}

/// Returns every bundle that comes into being when a log grows from `old_size` to `new_size` entries, left to right.
pub fn bundles_for(old_size: u64, new_size: u64) -> impl Iterator<Item = BundleId> {
    tiles_for(old_size, new_size)
        .take_while(|tile| tile.level == 0)
        .map(|tile| BundleId { index: tile.index, width: tile.width })
}

/// Returns how wide a tile is in the tree of `size` leaves, in which it exists.
fn width_at(level: u8, index: u64, size: u64) -> u16 {
    let hashes = (size >> (8 * level)) - index * u64::from(TILE_WIDTH);
    hashes.min(u64::from(TILE_WIDTH)) as u16
}

/// Refuses what no tree has.
fn check_index_and_width(index: u64, width: u16) -> Result<(), TileError> {
    if width == 0 || width > TILE_WIDTH {
        return Err(TileError::Width);
    }
    if index > SIZE_MAX / u64::from(TILE_WIDTH) { Err(TileError::Index) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
