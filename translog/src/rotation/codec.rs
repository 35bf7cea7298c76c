//! The chain of LogConfs as bytes, strict both ways (PROTOCOL 7.5).

use identity::wire::{Reader, WireError, Writer};

use crate::hash::Hash;
use crate::limits::{CONF_ROWS_MAX, ENTRY_BYTES_MAX, PATH_HASHES_MAX, RESOLUTION_BYTES_MAX};

/// The value of key 0.
const FORMAT: u64 = 1;

/// What leads from earlier log keys to those of now, decoded but not believed: [`super::follow`] consumes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfChain {
    /// The Resolution of the log's own label, with its head.
    pub resolution: Vec<u8>,
    /// The genesis of the server, every LogConf, every rotation of the server's identity key: ascending by index.
    pub rows: Vec<ConfRow>,
}

/// An entry of the log: `[index, path, entry]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfRow {
    /// Its log index.
    pub index: u64,
    /// Its inclusion path in the tree of the Resolution's head.
    pub path: Vec<Hash>,
    /// The entry, with its type.
    pub entry: Vec<u8>,
}

/// The bytes are not a chain of LogConfs. Code `malformed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the bytes of a chain of LogConfs")]
pub struct NotAConfChain;

impl ConfChain {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(3).uint(0).uint(FORMAT).uint(1).bytes(&self.resolution).uint(2).array(self.rows.len());
        for ConfRow { index, path, entry } in &self.rows {
            w.array(3).uint(*index).bytes(path.as_flattened()).bytes(entry);
        }
        w.finish()
    }

    /// Reads a chain of at most 512 rows.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAConfChain> {
        let mut reader = Reader::new(bytes);
        let chain = Self::read(&mut reader).map_err(|_| NotAConfChain)?;
        reader.end().map_err(|_| NotAConfChain)?;
        Ok(chain)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut fields = reader.fields()?;
        if fields.required(0, Reader::uint)? != FORMAT {
            return Err(WireError::Unexpected);
        }
        let resolution = fields.required(1, |reader| up_to(reader, RESOLUTION_BYTES_MAX))?;
        let rows = fields.required(2, |reader| reader.list(CONF_ROWS_MAX, read_row))?;
        fields.end()?;
        Ok(Self { resolution, rows })
    }
}

fn read_row(reader: &mut Reader<'_>) -> Result<ConfRow, WireError> {
    reader.array_of(3)?;
    let index = reader.uint()?;
    let path = reader.bytes()?;
    let hashes: Result<Vec<Hash>, _> = path.chunks(32).map(Hash::try_from).collect();
    let path = hashes.ok().filter(|hashes| hashes.len() <= PATH_HASHES_MAX).ok_or(WireError::Unexpected)?;
    Ok(ConfRow { index, path, entry: up_to(reader, ENTRY_BYTES_MAX)? })
}

fn up_to(reader: &mut Reader<'_>, most: usize) -> Result<Vec<u8>, WireError> {
    let bytes = reader.bytes()?;
    if bytes.len() <= most { Ok(bytes.to_vec()) } else { Err(WireError::Unexpected) }
}
