//! Epochs: the leaf that ends a batch and carries the map (PROTOCOL 7.2).

use super::{EntryError, EntryKind};
use crate::hash::{Hash, leaf_hash};

/// The end of a batch: what the map and the history of Epochs are once its entries are applied, and when that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The number of this Epoch, from 0, without gaps.
    pub k: u64,
    /// Its own log index.
    pub covers: u64,
    /// Milliseconds since 1970, never lower than before: the only time the rules know.
    pub time_ms: u64,
    /// The root of the map after this batch.
    pub map_root: Hash,
    /// The root of the history tree over Epochs 0 to k - 1.
    pub history_root: Hash,
}

impl Epoch {
    /// The bytes of an Epoch entry, its type included.
    pub const ENTRY_BYTES: usize = 89;

    /// Reads an Epoch entry, its type included. Errors: [`EntryError::Kind`], [`EntryError::Epoch`].
    pub fn decode(entry: &[u8]) -> Result<Self, EntryError> {
        match EntryKind::of(entry)? {
            EntryKind::Epoch => {}
            other => return Err(EntryError::Kind(other as u8)),
        }
        let entry: &[u8; Self::ENTRY_BYTES] = entry.try_into().map_err(|_| EntryError::Epoch)?;
        Ok(Self {
            k: u64::from_be_bytes(part(entry, 1)),
            covers: u64::from_be_bytes(part(entry, 9)),
            time_ms: u64::from_be_bytes(part(entry, 17)),
            map_root: part(entry, 25),
            history_root: part(entry, 57),
        })
    }

    /// Returns the entry, its type included.
    pub fn encode(&self) -> [u8; Self::ENTRY_BYTES] {
        let mut entry = [0; Self::ENTRY_BYTES];
        entry[0] = EntryKind::Epoch as u8;
        entry[1..9].copy_from_slice(&self.k.to_be_bytes());
        entry[9..17].copy_from_slice(&self.covers.to_be_bytes());
        entry[17..25].copy_from_slice(&self.time_ms.to_be_bytes());
        entry[25..57].copy_from_slice(&self.map_root);
        entry[57..89].copy_from_slice(&self.history_root);
        entry
    }

    /// Returns the hash of the leaf, in the log and in the history tree alike.
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(&self.encode())
    }
}

/// Copies the `N` bytes at `at`.
fn part<const N: usize>(entry: &[u8; Epoch::ENTRY_BYTES], at: usize) -> [u8; N] {
    entry[at..at + N].try_into().expect("every field lies within 89 bytes")
}
