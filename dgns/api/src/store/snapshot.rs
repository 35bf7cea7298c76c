//! Snapshots: what one says, and what stands in its parts, before they are sealed (PROTOCOL 25.16).

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::Hash;
use identity::wire::{Reader, WireError, Writer};

use super::content::ContentId;
use super::limits::{PARTS_MAX, PIECE_BYTES, RECORD_BYTES_MAX, RECORDS_MAX};
use super::record::Record;

/// The rows of a part: far more than fit one.
const ROWS_MAX: usize = 65_536;

/// What a snapshot says: `[size, root 32, pos or null, [part, ...]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// How many entries of the log it covers.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    /// The place of the snapshot of the same author that it goes on from.
    pub before: Option<u64>,
    /// Where the records of those entries are, in order.
    pub parts: Vec<Part>,
}

/// Where some of the records are: `[pos or null, id 32, key 32, records, bytes]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The place of the snapshot that names the chunk; `None`: this one.
    pub at: Option<u64>,
    /// The chunk.
    pub id: ContentId,
    /// What opens it.
    pub key: KeyBytes,
    /// How many records it has, at least 1.
    pub records: u64,
    /// How many bytes it has before it is padded, at most [`PIECE_BYTES`].
    pub bytes: u64,
}

/// Records of one entry, all or some that follow each other: `[pos, epoch, author 20, unix ms, [record, ...]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The place of the entry.
    pub pos: u64,
    /// The epoch of the key that it is sealed under.
    pub epoch: u64,
    /// Who appended it.
    pub author: Did,
    /// When, by the clock of the device.
    pub unix_ms: u64,
    /// The records, as in bodies (25.7).
    pub records: Vec<Record>,
}

impl Manifest {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.parts.len() * 90 + 64);
        w.array(4).uint(self.size).bytes(&self.root);
        write_pos(&mut w, self.before);
        w.array(self.parts.len());
        for Part { at, id, key, records, bytes } in &self.parts {
            write_pos(w.array(5), *at);
            w.bytes(id).bytes(key).uint(*records).uint(*bytes);
        }
        w.finish()
    }

    /// Reads a manifest, behind which there are nothing but zeros.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        reader.array_of(4)?;
        let (size, root) = (reader.uint()?, reader.fixed()?);
        let before = reader.or_null(Reader::uint)?;
        let parts = reader.list(PARTS_MAX, Part::read)?;
        let is_padded = bytes[reader.position()..].iter().all(|byte| *byte == 0);
        if is_padded { Ok(Self { size, root, before, parts }) } else { Err(WireError::Unexpected) }
    }

    /// Returns the chunks that its entry names: ascending, each once.
    pub fn refs(&self) -> Vec<ContentId> {
        let own = self.parts.iter().filter(|part| part.at.is_none());
        let ids: std::collections::BTreeSet<ContentId> = own.map(|part| part.id).collect();
        ids.into_iter().collect()
    }

    /// Returns how many records it has.
    pub fn records(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.records))
    }

    /// Returns how many bytes its parts have.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes))
    }
}

fn write_pos(writer: &mut Writer, pos: Option<u64>) {
    match pos {
        Some(pos) => writer.uint(pos),
        None => writer.null(),
    };
}

impl Part {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array_of(5)?;
        let (at, id, key) = (reader.or_null(Reader::uint)?, reader.fixed()?, reader.fixed()?);
        let (records, bytes) = (reader.uint()?, reader.uint_to(PIECE_BYTES as u64)?);
        if records > 0 && bytes > 0 { Ok(Self { at, id, key, records, bytes }) } else { Err(WireError::Unexpected) }
    }
}

/// Reads the plaintext of a part: rows, whose places do not go back.
pub fn decode_rows(bytes: &[u8]) -> Result<Vec<Row>, WireError> {
    let mut reader = Reader::new(bytes);
    let rows = reader.list(ROWS_MAX, Row::read)?;
    reader.end()?;
    if rows.is_sorted_by(|a, b| a.pos < b.pos) { Ok(rows) } else { Err(WireError::NotCanonical) }
}

/// Returns that plaintext.
pub fn encode_rows(rows: &[Row]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(rows.len());
    rows.iter().for_each(|row| row.write(&mut writer));
    writer.finish()
}

impl Row {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array_of(5)?;
        let (pos, epoch, author) = (reader.uint()?, reader.uint()?, Did::from_bytes(reader.fixed()?));
        let (unix_ms, records) = (reader.uint()?, reader.list(RECORDS_MAX, Record::read)?);
        let fit = |record: &Record| !matches!(record, Record::Bytes(bytes) if bytes.len() > RECORD_BYTES_MAX);
        match !records.is_empty() && records.iter().all(fit) {
            true => Ok(Self { pos, epoch, author, unix_ms, records }),
            false => Err(WireError::Unexpected),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.array(5).uint(self.pos).uint(self.epoch).bytes(self.author.as_bytes()).uint(self.unix_ms);
        writer.array(self.records.len());
        self.records.iter().for_each(|record| record.write(writer));
    }
}
