//! Blocks: what stays in the tables of entries that are packed, by runs of at most [`BLOCK_ENTRIES`]: leaves, which proofs are made of, and what
//! acknowledged each entry, so that the same bytes get the same answer for ever. Pure.

use identity::hash::Hash;

use crate::fault::StorageError;
use crate::limits::BLOCK_ENTRIES;
use crate::table::store::RowId;

/// What is kept of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) leaf: Hash,
    pub(crate) device: RowId,
    pub(crate) lsn: u64,
    pub(crate) head_size: u64,
    pub(crate) time_ms: u64,
    pub(crate) header_bytes: u64,
    /// 0 once its body is dropped.
    pub(crate) body_bytes: u64,
}

/// A run of entries of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The place of the first one.
    pub(crate) first: u64,
    pub(crate) marks: Vec<Mark>,
}

impl Block {
    /// Returns the place behind the last entry.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.marks.len() as u64
    }

    /// Returns marks of a log from the place `first` on as blocks, which end where the subtrees do whose roots are kept.
    pub(crate) fn cut(first: u64, marks: &[Mark]) -> Vec<Self> {
        let (mut blocks, mut at, mut rest) = (Vec::new(), first, marks);
        while !rest.is_empty() {
            let room = BLOCK_ENTRIES - at % BLOCK_ENTRIES;
            let (block, more) = rest.split_at(rest.len().min(room as usize));
            blocks.push(Self { first: at, marks: block.to_vec() });
            (at, rest) = (at + block.len() as u64, more);
        }
        blocks
    }

    /// Returns the first lsn of each device in it.
    pub(crate) fn devices(&self) -> Vec<(RowId, u64)> {
        let mut devices: Vec<(RowId, u64)> = self.marks.iter().map(|mark| (mark.device, mark.lsn)).collect();
        devices.sort_unstable();
        devices.dedup_by_key(|(device, _)| *device);
        devices
    }

    /// Returns the leaves, one behind the other.
    pub(crate) fn leaves(&self) -> Vec<u8> {
        self.marks.iter().flat_map(|mark| mark.leaf).collect()
    }

    /// Returns what else is kept of each: numbers of seven bits a byte, the least first, a set high bit before each that is not the last. The size of the head
    /// counts from the place, the time from the entry before, around the end of all numbers if it is less.
    pub(crate) fn stored(&self) -> Vec<u8> {
        let (mut bytes, mut time_ms) = (Vec::with_capacity(self.marks.len() * 12), 0);
        for (pos, mark) in (self.first..).zip(&self.marks) {
            let numbers = [
                mark.device.unsigned_abs(),
                mark.lsn,
                mark.head_size.wrapping_sub(pos),
                mark.time_ms.wrapping_sub(time_ms),
                mark.header_bytes,
                mark.body_bytes,
            ];
            numbers.into_iter().for_each(|number| write(&mut bytes, number));
            time_ms = mark.time_ms;
        }
        bytes
    }

    /// Reads a block. Errors: [`StorageError::Inconsistent`] if the bytes are not those of one.
    pub(crate) fn read(first: u64, leaves: &[u8], stored: &[u8]) -> Result<Self, StorageError> {
        let broken = || StorageError::inconsistent("packed", "a block of entries does not decode");
        let (leaves, rest) = leaves.as_chunks::<32>();
        if !rest.is_empty() || leaves.is_empty() || leaves.len() as u64 > BLOCK_ENTRIES {
            return Err(broken());
        }
        let (mut marks, mut rest, mut time_ms) = (Vec::with_capacity(leaves.len()), stored, 0_u64);
        for (pos, leaf) in (first..).zip(leaves) {
            let mut numbers = [0; 6];
            for number in &mut numbers {
                *number = take(&mut rest).ok_or_else(broken)?;
            }
            let [device, lsn, behind, later_ms, header_bytes, body_bytes] = numbers;
            let device = RowId::try_from(device).map_err(|_| broken())?;
            let head_size = pos.wrapping_add(behind);
            time_ms = time_ms.wrapping_add(later_ms);
            marks.push(Mark { leaf: *leaf, device, lsn, head_size, time_ms, header_bytes, body_bytes });
        }
        if rest.is_empty() { Ok(Self { first, marks }) } else { Err(broken()) }
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off; `None` if there is none, or one that is too large.
fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, more) = rest.split_first()?;
        *rest = more;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: u64) -> Mark {
        Mark {
            leaf: [number as u8; 32],
            device: 1 + (number % 3) as RowId,
            lsn: number / 3,
            head_size: 1_000 + number,
            time_ms: 1_700_000_000_000 + number / 4,
            header_bytes: 250,
            body_bytes: number * 1_000,
        }
    }

    #[test]
    fn a_block_reads_as_it_was_written_and_nothing_else_does() {
        let marks: Vec<Mark> = (0..300).map(mark).collect();
        let blocks = Block::cut(700, &marks);
        let ends: Vec<(u64, u64)> = blocks.iter().map(|block| (block.first, block.end())).collect();
        assert_eq!(ends, [(700, 768), (768, 1_000)]);
        let block = &blocks[0];
        assert_eq!(block.devices(), [(1, 0), (2, 0), (3, 0)]);
        let (leaves, stored) = (block.leaves(), block.stored());
        assert_eq!(Block::read(700, &leaves, &stored).as_ref(), Ok(block));
        assert!(stored.len() < 13 * block.marks.len(), "{} bytes", stored.len());
        for end in 0..stored.len() {
            assert!(Block::read(700, &leaves, &stored[..end]).is_err(), "{end}");
        }
        assert!(Block::read(700, &leaves, &[stored.as_slice(), &[0]].concat()).is_err());
        assert!(Block::read(700, &leaves[1..], &stored).is_err());
        assert!(Block::read(700, &[], &[]).is_err());
        assert!(Block::read(0, &[0; 32], &[0xff; 60]).is_err(), "a number beyond all");
        assert_eq!(Block::cut(0, &[]), []);
        // Rows that contradict themselves are kept as they are.
        let odd = Block { first: 700, marks: vec![mark(9), Mark { head_size: 5, time_ms: 0, ..mark(3) }] };
        assert_eq!(Block::read(700, &odd.leaves(), &odd.stored()), Ok(odd));
    }

    #[test]
    fn numbers_of_any_size_are_read_as_they_were_written() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            write(&mut bytes, number);
            let mut rest = bytes.as_slice();
            assert_eq!((take(&mut rest), rest), (Some(number), [].as_slice()));
        }
        assert_eq!(take(&mut [0xff; 9].as_slice()), None);
        assert_eq!(take(&mut [&[0xff; 9][..], &[2]].concat().as_slice()), None, "65 bits");
    }
}
