//! What a server answers of a log (PROTOCOL 25.5). Nothing in it is believed before it was checked against the head and what is
//! remembered.

use identity::hash::Hash;
use identity::wire::{Reader, WireError, Writer};

use super::entry::{Entry, EntryError};
use super::head::SignedHead;
use super::limits::{ENTRIES_PER_ANSWER_MAX, ENTRIES_PER_REQUEST_MAX, SNAPSHOTS_PER_ANSWER_MAX};

/// The hashes of a path in a tree of at most 2^63 leaves.
const PATH_MAX: usize = 64;

/// The answer to an append: `{1 [[pos, [hash, ...]], ...], 2 head, 3 [hash, ...]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipts {
    /// 1: the place of each entry in the log, with its inclusion path under the head.
    pub places: Vec<(u64, Vec<Hash>)>,
    /// 2: the head of the commit that made the newest of them durable.
    pub head: SignedHead,
    /// 3: the consistency path from the size that was asked for to the head; empty if none was.
    pub consistency: Vec<Hash>,
}

impl Receipts {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(512);
        w.map(3).uint(1).array(self.places.len());
        for (pos, path) in &self.places {
            write_path(w.array(2).uint(*pos), path);
        }
        write_path(w.uint(2).bytes(self.head.as_bytes()).uint(3), &self.consistency);
        w.finish()
    }

    /// Reads receipts.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let places = fields.required(1, |r| {
            r.list(ENTRIES_PER_REQUEST_MAX, |r| {
                r.array_of(2)?;
                Ok::<_, WireError>((r.uint()?, read_path(r)?))
            })
        })?;
        let head = SignedHead::decode(fields.required(2, Reader::bytes)?)?;
        let consistency = fields.required(3, read_path)?;
        fields.end()?;
        reader.end()?;
        Ok(Self { places, head, consistency })
    }
}

/// A range of a log: `{1 from, 2 [entry, ...], 3 head, 4 [hash, ...], 5 [hash, ...], 6 [hash, ...]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// 1: the place of the first entry.
    pub from: u64,
    /// 2: the entries; they may end before the head.
    pub entries: Vec<Entry>,
    /// 3: the newest head.
    pub head: SignedHead,
    /// 4: what the tree of `from` leaves consists of, the last leaf first, then its path; empty if `from` is 0.
    pub edge: Vec<Hash>,
    /// 5: the consistency path from the size that was asked for to the head; empty if none was.
    pub consistency: Vec<Hash>,
    /// 6: the consistency path from the end of the entries to the head.
    pub rest: Vec<Hash>,
}

impl Range {
    /// Reads a range.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let from = fields.required(1, Reader::uint)?;
        let entries = fields.required(2, |r| r.list(ENTRIES_PER_ANSWER_MAX, Entry::read))?;
        let head = SignedHead::decode(fields.required(3, Reader::bytes)?)?;
        let edge = fields.required(4, read_path)?;
        let consistency = fields.required(5, read_path)?;
        let rest = fields.required(6, read_path)?;
        fields.end()?;
        reader.end()?;
        Ok(Self { from, entries, head, edge, consistency, rest })
    }
}

/// Returns a range; `entries` are as the server keeps them, each encoded, and `paths` those of keys 4, 5 and 6.
pub fn encode_range(from: u64, entries: &[Vec<u8>], head: &SignedHead, paths: [&[Hash]; 3]) -> Vec<u8> {
    let bytes: usize = entries.iter().map(Vec::len).sum();
    let mut w = Writer::with_capacity(bytes + 1_024);
    w.map(6).uint(1).uint(from).uint(2).array(entries.len());
    for entry in entries {
        w.raw(entry);
    }
    w.uint(3).bytes(head.as_bytes());
    for (key, path) in (4..).zip(paths) {
        write_path(w.uint(key), path);
    }
    w.finish()
}

/// How far a device got in a log: `{1 lsn, 2 leaf}`, the next lsn and the leaf of the entry before it, which is absent at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// 1.
    pub next: u64,
    /// 2.
    pub last: Option<Hash>,
}

impl Cursor {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(1 + usize::from(self.last.is_some())).uint(1).uint(self.next);
        if let Some(last) = &self.last {
            w.uint(2).bytes(last);
        }
        w.finish()
    }

    /// Reads a cursor.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let cursor = Self { next: fields.required(1, Reader::uint)?, last: fields.optional(2, Reader::fixed)? };
        fields.end()?;
        reader.end()?;
        if (cursor.next == 0) == cursor.last.is_none() { Ok(cursor) } else { Err(WireError::Unexpected) }
    }
}

/// Returns places of a log, such as those of its newest snapshots, the newest first.
pub fn encode_places(places: &[u64]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(places.len());
    for pos in places {
        writer.uint(*pos);
    }
    writer.finish()
}

/// Reads at most [`SNAPSHOTS_PER_ANSWER_MAX`] places of a log, which descend.
pub fn decode_places(bytes: &[u8]) -> Result<Vec<u64>, WireError> {
    let mut reader = Reader::new(bytes);
    let places = reader.list(SNAPSHOTS_PER_ANSWER_MAX, Reader::uint)?;
    reader.end()?;
    if places.is_sorted_by(|a, b| a > b) { Ok(places) } else { Err(WireError::NotCanonical) }
}

pub(super) fn write_path(writer: &mut Writer, path: &[Hash]) {
    writer.array(path.len());
    for hash in path {
        writer.bytes(hash);
    }
}

pub(super) fn read_path(reader: &mut Reader<'_>) -> Result<Vec<Hash>, WireError> {
    reader.list(PATH_MAX, Reader::fixed)
}
