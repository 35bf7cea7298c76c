//! The tiles of the tree's right edge that are not durable yet, and the unfinished one of each level (PROTOCOL 8.2).

use identity::hash::Hash;

use crate::hash::node_hash;
use crate::tree::Node;

/// The number of hashes of a full tile.
const TILE: u64 = 256;

/// What a server holds of the tree in memory: at each tile level the hashes from the first tile that is not durable on.
///
/// The tile writer makes full tiles durable and then calls [`Tail::release`]; whatever a path needs is found here or in a
/// durable tile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    levels: Vec<TailLevel>,
}

/// The hashes of one tile level from some tile on, with the inner nodes above them: every path asks for those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailLevel {
    start: u64,
    hashes: Vec<Hash>,
    /// The roots of full subtrees of 2, 4, .. 128 hashes.
    inner: [Vec<Hash>; 7],
}

/// A full tile of the tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullTile {
    /// The tile level, 0 = leaf hashes.
    pub level: u8,
    /// The tile's number in its level.
    pub number: u64,
    /// Its 256 hashes, 8,192 bytes.
    pub bytes: Vec<u8>,
}

impl Tail {
    /// Returns the tail of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the tail with these levels, level 0 first, as [`Tail::levels`] gave them.
    pub fn from_levels(levels: Vec<TailLevel>) -> Self {
        Self { levels }
    }

    /// Returns the levels, level 0 first.
    pub fn levels(&self) -> &[TailLevel] {
        &self.levels
    }

    /// Returns the number of leaves of the tree.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.start + leaves.hashes.len() as u64)
    }

    /// Appends a leaf hash; a tile it completes becomes a hash of the level above.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(TailLevel::default());
            }
            match self.levels[level].append(hash) {
                Some(tile_root) => hash = tile_root,
                None => return,
            }
        }
    }

    /// Returns the root of the full subtree `node`, if its tile is held.
    pub fn node(&self, node: Node) -> Option<Hash> {
        self.levels.get(usize::from(node.level / 8))?.node(node.level % 8, node.index)
    }

    /// Returns the bytes of the first `width` hashes of a tile, if they exist and are held.
    pub fn tile(&self, level: u8, number: u64, width: u16) -> Option<Vec<u8>> {
        let hashes = self.levels.get(usize::from(level))?.slice(number.checked_mul(TILE)?, u64::from(width))?;
        Some(hashes.concat())
    }

    /// Returns the full tiles held, lower levels first.
    pub fn full_tiles(&self) -> Vec<FullTile> {
        let mut tiles = Vec::new();
        for (level, at) in (0u8..).zip(&self.levels) {
            for (number, hashes) in (at.start / TILE..).zip(at.hashes.chunks_exact(TILE as usize)) {
                tiles.push(FullTile { level, number, bytes: hashes.concat() });
            }
        }
        tiles
    }

    /// Returns the tail as it was at `size` leaves with every full tile released; `size` lies within what is held.
    pub fn as_of(&self, size: u64) -> Self {
        let mut count = size;
        let mut levels = Vec::with_capacity(self.levels.len());
        for at in &self.levels {
            let start = count / TILE * TILE;
            let hashes = at.slice(start, count - start).unwrap_or_default().to_vec();
            levels.push(TailLevel::new(start, hashes));
            count /= TILE;
        }
        Self { levels }
    }

    /// Forgets the full tiles of the first `size` leaves: they are durable.
    pub fn release(&mut self, size: u64) {
        let mut hashes_below = size;
        for at in &mut self.levels {
            let keep_from = hashes_below / TILE * TILE;
            if keep_from > at.start {
                at.forget((keep_from - at.start) as usize);
            }
            hashes_below /= TILE;
        }
    }
}

impl TailLevel {
    /// Returns the level whose first hash stands at `start` in the level, a multiple of 256.
    pub fn new(start: u64, hashes: Vec<Hash>) -> Self {
        let mut level = Self { start, ..Self::default() };
        for hash in hashes {
            level.append(hash);
        }
        level
    }

    /// Returns the place of the first hash held, in its level; a multiple of 256.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Returns the hashes; each covers `256^level` leaves.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Adds a hash and returns the root of the tile it completes.
    fn append(&mut self, hash: Hash) -> Option<Hash> {
        self.hashes.push(hash);
        let mut below = &self.hashes;
        for row in &mut self.inner {
            if !below.len().is_multiple_of(2) {
                return None;
            }
            row.push(parent_of_last(below));
            below = row;
        }
        below.len().is_multiple_of(2).then(|| parent_of_last(below))
    }

    /// Returns the root of the `index`-th full subtree of `2^height` hashes of the level, if it is held; `height < 8`.
    fn node(&self, height: u8, index: u64) -> Option<Hash> {
        let row = match usize::from(height) {
            0 => &self.hashes,
            height => self.inner.get(height - 1)?,
        };
        let place = index.checked_sub(self.start >> height)?;
        row.get(usize::try_from(place).ok()?).copied()
    }

    /// Forgets the first `count` hashes, a multiple of 256, or all.
    fn forget(&mut self, count: usize) {
        let count = count.min(self.hashes.len());
        self.hashes.drain(..count);
        for (height, row) in (1..).zip(&mut self.inner) {
            row.drain(..(count >> height));
        }
        self.start += count as u64;
    }

    fn slice(&self, first: u64, count: u64) -> Option<&[Hash]> {
        let from = usize::try_from(first.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(usize::try_from(count).ok()?)?;
        self.hashes.get(from..to)
    }
}

/// Returns the parent of the last two of an even number of hashes.
fn parent_of_last(row: &[Hash]) -> Hash {
    let [.., left, right] = row else { unreachable!("a hash was just added, and their number is even") };
    node_hash(left, right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Edge;

    fn leaf(index: u64) -> Hash {
        identity::hash::sha256(&[&index.to_be_bytes()])
    }

    #[test]
    fn tail_finds_every_node_until_its_tile_is_released() {
        // Goal: no node is lost between memory and durable tiles. Method: 70,000 leaves; compare nodes with edges over the same
        // leaves, release most, and see that exactly the unreleased tiles remain.
        let size = 70_000u64;
        let mut tail = Tail::new();
        (0..size).for_each(|index| tail.append(leaf(index)));
        assert_eq!(tail.size(), size);
        for level in 0..=16u8 {
            let width = 1u64 << level;
            for index in [0, 1, size / width / 2, size / width - 1] {
                if (index + 1) * width > size {
                    continue;
                }
                let mut edge = Edge::new();
                (index * width..(index + 1) * width).for_each(|i| edge.append(leaf(i)));
                assert_eq!(tail.node(Node { level, index }), Some(edge.root()), "level {level} index {index}");
            }
        }
        assert_eq!(tail.full_tiles().len(), 273 + 1);
        let before = tail.tile(0, 273, 112);
        tail.release(69_000);
        assert_eq!(tail.size(), size);
        assert_eq!(tail.tile(0, 268, 256), None, "durable: 69,000 / 256 = 269 tiles");
        assert!(tail.tile(0, 269, 256).is_some());
        assert_eq!(tail.tile(0, 273, 112), before);
        assert_eq!(tail.levels()[1].start(), 256);
        let mut again = tail.as_of(69_700);
        assert_eq!(again.size(), 69_700);
        (69_700..size).for_each(|index| again.append(leaf(index)));
        tail.release(size);
        again.release(size);
        assert_eq!(again, tail, "a tail read back and grown again is the same");
        tail.append(leaf(size));
        assert_eq!(tail.size(), size + 1);
    }

    #[test]
    fn nodes_beyond_the_tree_do_not_exist() {
        let mut tail = Tail::new();
        assert_eq!(tail.node(Node { level: 0, index: 0 }), None);
        tail.append(leaf(0));
        assert_eq!(tail.node(Node { level: 0, index: 1 }), None);
        assert_eq!(tail.node(Node { level: 1, index: 0 }), None);
        assert_eq!(tail.node(Node { level: 63, index: u64::MAX }), None);
        assert_eq!(tail.tile(0, u64::MAX, 1), None);
    }
}
