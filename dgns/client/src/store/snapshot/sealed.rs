//! Snapshots as the server sees them: a sealed body, and parts, each a sealed, padded chunk (PROTOCOL 25.16).

use dgns_api::store::content::{self, ContentId};
use dgns_api::store::limits::PIECE_BYTES;
use dgns_api::store::record::{Pieces, Record};
use dgns_api::store::snapshot::{Manifest, Part, Row, decode_rows, encode_rows};
use rand_core::CryptoRng;

use crate::store::seal::{self, BodyPlace, GroupKey, NotOpened};

/// Returns the body of the entry at `place` that says this.
pub fn seal_manifest(manifest: &Manifest, key: &GroupKey, place: &BodyPlace, rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    seal::seal_snapshot(key, place, manifest.encode(), &nonce)
}

/// Opens the body of the entry at `place`, whose key 9 is `refs`: a chunk that no snapshot before names is one of them.
pub fn open_manifest(
    key: &GroupKey,
    place: &BodyPlace,
    refs: &[ContentId],
    body: &[u8],
) -> Result<Manifest, NotOpened> {
    let manifest = Manifest::decode(&seal::open_snapshot(key, place, body)?).map_err(|_| NotOpened)?;
    let mut own = manifest.parts.iter().filter(|part| part.at.is_none());
    if own.all(|part| refs.binary_search(&part.id).is_ok()) { Ok(manifest) } else { Err(NotOpened) }
}

/// Opens the chunk of a part: it is padded as it has to be, and has as many records as it should.
pub fn open_part(part: &Part, chunk: &[u8]) -> Result<Vec<Row>, NotOpened> {
    let bytes = usize::try_from(part.bytes).map_err(|_| NotOpened)?;
    let plaintext = seal::open_piece(&part.key, bytes, chunk)?;
    let rows = decode_rows(&plaintext).map_err(|_| NotOpened)?;
    let records: u64 = rows.iter().map(|row| row.records.len() as u64).sum();
    if records == part.records { Ok(rows) } else { Err(NotOpened) }
}

/// Rows that become a part.
#[derive(Clone, Debug, Default)]
pub struct Filling {
    rows: Vec<Row>,
    bytes: usize,
}

impl Filling {
    /// Returns how many bytes its rows take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns what is in it.
    pub fn into_rows(self) -> Vec<Row> {
        self.rows
    }

    /// Adds the records of an entry, as many as there is room for; returns the others, for which there is none: it is full.
    pub fn add(&mut self, mut row: Row) -> Option<Row> {
        // Behind the number of its rows.
        let room = PIECE_BYTES - 3 - self.bytes.min(PIECE_BYTES - 3);
        let (mut bytes, mut count) = (head_bytes(&row), 0);
        for record in &row.records {
            let more = bytes + record_bytes(record);
            if more + uint_bytes(count + 1) > room {
                break;
            }
            (bytes, count) = (more, count + 1);
        }
        let rest = row.records.split_off(count as usize);
        let left = (!rest.is_empty()).then(|| Row { records: rest, ..row.clone() });
        if count > 0 {
            self.bytes += bytes + uint_bytes(count);
            self.rows.push(row);
        }
        left
    }

    /// Returns whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns it as a part that its own snapshot names, and its chunk. The same rows are the same chunk under one key of the group.
    pub fn seal(&self, key: &GroupKey) -> (Part, Vec<u8>) {
        let plaintext = encode_rows(&self.rows);
        let (key, chunk) = seal::seal_part(key, &plaintext);
        let records = self.rows.iter().map(|row| row.records.len() as u64).sum();
        (Part { at: None, id: content::id_of(&chunk), key, records, bytes: plaintext.len() as u64 }, chunk)
    }
}

/// Returns the bytes of a row without its records and their number.
fn head_bytes(row: &Row) -> usize {
    1 + uint_bytes(row.pos) + uint_bytes(row.epoch) + 21 + uint_bytes(row.unix_ms)
}

fn record_bytes(record: &Record) -> usize {
    match record {
        Record::Bytes(bytes) => 2 + uint_bytes(bytes.len() as u64) + bytes.len(),
        Record::Pieces(Pieces { bytes, pieces }) => {
            3 + uint_bytes(*bytes) + uint_bytes(pieces.len() as u64) + pieces.len() * (1 + 2 * 34)
        }
    }
}

/// Returns the bytes of a number, or of a length.
fn uint_bytes(value: u64) -> usize {
    match value {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

#[cfg(test)]
mod tests;
