//! A tile with its hashes.

use super::{TileError, TileId};
use crate::hash::{Hash, node_hash};
use crate::subtree;
use crate::tree::Node;

/// The hashes of one tile, left to right. They are believed: only a path to a trusted root proves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    pub(super) id: TileId,
    pub(super) hashes: Vec<Hash>,
}

impl Tile {
    /// Returns the tile with these hashes. Errors: [`TileError::Bytes`] unless there are as many as the id is wide.
    pub fn new(id: TileId, hashes: Vec<Hash>) -> Result<Self, TileError> {
        if hashes.len() == usize::from(id.width()) { Ok(Self { id, hashes }) } else { Err(TileError::Bytes) }
    }

    /// Reads a tile: 32 bytes a hash. A wider file of the same tile serves too, its first hashes are these.
    pub fn decode(id: TileId, bytes: &[u8]) -> Result<Self, TileError> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() > 256 {
            return Err(TileError::Bytes);
        }
        let hashes = hashes.get(..usize::from(id.width())).ok_or(TileError::Bytes)?;
        Ok(Self { id, hashes: hashes.to_vec() })
    }

    /// Returns the bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// Returns the tile's name.
    pub const fn id(&self) -> TileId {
        self.id
    }

    /// Returns the hashes, left to right.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Returns the root over all hashes; of a full tile it is a hash of the level above.
    pub fn root(&self) -> Hash {
        subtree::root(&self.hashes).expect("a TileId is 1 to 256 wide")
    }

    /// Returns the hashes and every node above them but the root, row by row, each where [`Tile::place_of`] says; of a full tile all
    /// there are.
    pub fn nodes(&self) -> Vec<Hash> {
        let mut nodes = self.hashes.clone();
        let mut row = 0..nodes.len();
        while row.len() > 2 {
            let above: Vec<Hash> =
                nodes[row.clone()].as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
            row = nodes.len()..nodes.len() + above.len();
            nodes.extend(above);
        }
        nodes
    }

    /// Returns where the node `height` rows above the hashes of a full tile, the `index`-th of its row there, stands in
    /// [`Tile::nodes`].
    pub const fn place_of(height: u8, index: u64) -> usize {
        512 - (512 >> height) + index as usize
    }

    /// Returns the hash of a node whose leaves in this tile are all there. Errors: [`TileError::Node`].
    pub fn node(&self, node: Node) -> Result<Hash, TileError> {
        let height = node.level % 8;
        let first = node.index.checked_shl(u32::from(height)).filter(|first| first >> height == node.index);
        let first = first.filter(|first| node.level / 8 == self.id.level() && first / 256 == self.id.index());
        let start = (first.ok_or(TileError::Node)? % 256) as usize;
        let hashes = self.hashes.get(start..start + (1 << height)).ok_or(TileError::Node)?;
        Ok(subtree::root(hashes).expect("1 to 128 hashes"))
    }
}
