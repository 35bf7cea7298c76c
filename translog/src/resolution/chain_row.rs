//! Rows of a chain: a certificate with its place in the log and the Epochs around it (PROTOCOL 11.5).

use identity::wire::{Reader, WireError, Writer};

use super::codec::{read_body, read_path, write_path};
use crate::entry::Epoch;
use crate::hash::Hash;

/// `[index, path, envelope, k, [Epoch entry k-1, path] or null, [Epoch entry k, path]]`; nothing is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainRow {
    /// The log index of the certificate.
    pub index: u64,
    /// Its inclusion path in the head's tree.
    pub path: Vec<Hash>,
    /// The envelope.
    pub envelope: Vec<u8>,
    /// The number of the Epoch that closed its batch, whose time the rules judged it at.
    pub k: u64,
    /// Epoch `k - 1`, so that the batch's beginning is known; absent for the first batch.
    pub before: Option<EpochProof>,
    /// Epoch `k`.
    pub epoch: EpochProof,
}

/// An Epoch entry with its path in the history tree of the head's Epoch.
///
/// The head's own Epoch is not in that tree yet: its path is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochProof {
    /// The entry, 89 bytes.
    pub entry: [u8; Epoch::ENTRY_BYTES],
    /// Its inclusion path.
    pub path: Vec<Hash>,
}

impl ChainRow {
    pub(super) fn write(&self, w: &mut Writer) {
        write_path(w.array(6).uint(self.index), &self.path).bytes(&self.envelope).uint(self.k);
        match &self.before {
            Some(epoch) => epoch.write(w),
            None => {
                w.null();
            }
        }
        self.epoch.write(w);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array_of(6)?;
        Ok(Self {
            index: reader.uint()?,
            path: read_path(reader)?,
            envelope: read_body(reader)?,
            k: reader.uint()?,
            before: reader.or_null(EpochProof::read)?,
            epoch: EpochProof::read(reader)?,
        })
    }

    pub(super) fn encoded_len(&self) -> usize {
        let mut w = Writer::new();
        self.write(&mut w);
        w.finish().len()
    }
}

impl EpochProof {
    fn write(&self, w: &mut Writer) {
        write_path(w.array(2).bytes(&self.entry), &self.path);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array_of(2)?;
        Ok(Self { entry: reader.fixed()?, path: read_path(reader)? })
    }
}
