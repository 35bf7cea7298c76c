//! The guard: the highest head this key has signed, kept beside the key and never in a backup of the database.
//!
//! The file holds two slots of 128 bytes, 4 KiB apart, so that a torn write spoils one at most. A slot is
//! `magic 8, n u64, size u64, root 32, SHA-256 of what stands before 32`, zeros up to its end; numbers are big-endian. Slot
//! `n mod 2` is written for the n-th time it is raised; the newest valid slot counts. A head is raised after its commit and
//! before its signature leaves, so the guard is never above the database, except when the database is an old copy.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use identity::hash::{Hash, sha256};

use crate::durable;
use crate::fault::StorageError;

const MAGIC: &[u8; 8] = b"dgnsgrd1";
const SLOT_BYTES: usize = 128;
const SLOT_DISTANCE: usize = 4_096;
const FILE_BYTES: usize = SLOT_DISTANCE + SLOT_BYTES;
const SUMMED_BYTES: usize = 56;

/// A head that was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// The open guard file. One process at a time holds it.
#[derive(Debug)]
pub struct Guard {
    file: File,
    path: PathBuf,
    n: u64,
    newest: Raised,
}

impl Guard {
    /// Makes the file with `first` in it: the empty tree on a new server, the head agreed on after a loss. It must not exist.
    pub fn create(path: &Path, first: Raised) -> Result<Self, StorageError> {
        let mut bytes = vec![0; FILE_BYTES];
        bytes[..SLOT_BYTES].copy_from_slice(&slot(0, first));
        durable::create(path, &bytes)?;
        Self::open(path)
    }

    /// Opens the file. Errors: [`StorageError::Corrupt`] if neither slot is valid, [`StorageError::Locked`].
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let fault = |error| StorageError::of_file(path, &error);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(fault)?;
        durable::lock(&file, path)?;
        let (n, newest) = newest_slot(&file, path)?;
        Ok(Self { file, path: path.to_owned(), n, newest })
    }

    /// Returns what the file at `path` says, without holding it.
    pub fn peek(path: &Path) -> Result<Raised, StorageError> {
        let file = File::open(path).map_err(|error| StorageError::of_file(path, &error))?;
        newest_slot(&file, path).map(|(_, newest)| newest)
    }

    /// Returns the highest head raised.
    pub fn newest(&self) -> Raised {
        self.newest
    }

    /// Makes `head` the highest head, durably; blocks for one fdatasync. The head it already holds is no write.
    ///
    /// [`StorageError::RolledBack`] if it holds a larger one, or another root at that size. After any other error the slot may
    /// or may not be durable: raise the same head again before its signature leaves.
    pub fn raise(&mut self, head: Raised) -> Result<(), StorageError> {
        if head == self.newest {
            return Ok(());
        }
        if head.size <= self.newest.size {
            return Err(StorageError::RolledBack { guard_size: self.newest.size, size: head.size });
        }
        let n = self.n + 1;
        // A crash here tears this slot; the other one holds the head before.
        self.file
            .write_all_at(&slot(n, head), offset(n))
            .and_then(|()| self.file.sync_data())
            .map_err(|error| StorageError::of_file(&self.path, &error))?;
        (self.n, self.newest) = (n, head);
        Ok(())
    }
}

fn offset(n: u64) -> u64 {
    (n % 2) * SLOT_DISTANCE as u64
}

fn slot(n: u64, head: Raised) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&n.to_be_bytes());
    bytes[16..24].copy_from_slice(&head.size.to_be_bytes());
    bytes[24..SUMMED_BYTES].copy_from_slice(&head.root);
    let sum = sha256(&[&bytes[..SUMMED_BYTES]]);
    bytes[SUMMED_BYTES..SUMMED_BYTES + 32].copy_from_slice(&sum);
    bytes
}

fn newest_slot(file: &File, path: &Path) -> Result<(u64, Raised), StorageError> {
    let slots = [read_slot(file, 0), read_slot(file, 1)];
    let newest = slots.into_iter().flatten().max_by_key(|(n, _)| *n);
    newest.ok_or_else(|| StorageError::corrupt(path, "neither slot of the guard is valid"))
}

/// Returns what slot `which` holds, if it is whole and stands where it belongs.
fn read_slot(file: &File, which: u64) -> Option<(u64, Raised)> {
    let mut bytes = [0; SLOT_BYTES];
    file.read_exact_at(&mut bytes, offset(which)).ok()?;
    let n = u64::from_be_bytes(bytes[8..16].try_into().ok()?);
    let size = u64::from_be_bytes(bytes[16..24].try_into().ok()?);
    let root = bytes[24..SUMMED_BYTES].try_into().ok()?;
    let head = Raised { size, root };
    (n % 2 == which && bytes == slot(n, head)).then_some((n, head))
}

#[cfg(test)]
mod tests;
