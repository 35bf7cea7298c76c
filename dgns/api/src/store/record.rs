//! Records: what entries of data carry (PROTOCOL 25.7).

use identity::cert::KeyBytes;
use identity::wire::{Reader, WireError, Writer};

use super::content::ContentId;
use super::limits::{LARGE_RECORD_BYTES_MAX, PIECE_BYTES, REFS_MAX};

/// A record as it is.
const RAW: u64 = 0;

/// A record in chunks: how many bytes it has, and what its pieces are.
const IN_CHUNKS: u64 = 2;

/// A piece: its chunk, and the key that opens it.
pub type Piece = (ContentId, KeyBytes);

/// A record of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// In the entry itself, at most 65,536 bytes.
    Bytes(Vec<u8>),
    /// In chunks.
    Pieces(Pieces),
}

/// A record in chunks, of [`PIECE_BYTES`] each but for the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// How many bytes it has.
    pub bytes: u64,
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
}

impl Record {
    /// Writes `[0, bytes]` or `[2, [bytes, [[id 32, key 32], ...]]]`.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Bytes(bytes) => drop(writer.array(2).uint(RAW).bytes(bytes)),
            Self::Pieces(Pieces { bytes, pieces }) => {
                writer.array(2).uint(IN_CHUNKS).array(2).uint(*bytes).array(pieces.len());
                for (id, key) in pieces {
                    writer.array(2).bytes(id).bytes(key);
                }
            }
        }
    }

    /// Reads what [`Record::write`] writes.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array_of(2)?;
        match reader.uint()? {
            RAW => Ok(Self::Bytes(reader.bytes()?.to_vec())),
            IN_CHUNKS => Ok(Self::Pieces(read_pieces(reader)?)),
            _ => Err(WireError::Unexpected),
        }
    }
}

fn read_pieces(reader: &mut Reader<'_>) -> Result<Pieces, WireError> {
    reader.array_of(2)?;
    let bytes = reader.uint_to(LARGE_RECORD_BYTES_MAX)?;
    let pieces = reader.list(REFS_MAX, |r| {
        r.array_of(2)?;
        Ok::<_, WireError>((r.fixed()?, r.fixed()?))
    })?;
    match bytes.div_ceil(PIECE_BYTES as u64) == pieces.len() as u64 && bytes > 0 {
        true => Ok(Pieces { bytes, pieces }),
        false => Err(WireError::Unexpected),
    }
}
