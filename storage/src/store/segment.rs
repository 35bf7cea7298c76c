//! Segments: objects in which old entries of a log lie packed, one behind the other. Pure.
//!
//! `"dgns/segment/v1\n"`, log 32 B, place of the first entry u64, how many u32; then of each entry the bytes of its header and of its body, u32
//! each; then of each header, signature and body. Numbers are big-endian. An object is named by its hash, which is compared before it is read.

use bytes::Bytes;
use dgns_api::store::entry::LogId;
use dgns_api::store::limits::BODY_BYTES_MAX;

use super::rows::EntryRow;

const MAGIC: &[u8; 16] = b"dgns/segment/v1\n";

/// Before the lengths.
const HEAD_BYTES: usize = 16 + 32 + 8 + 4;

/// The lengths of one entry.
const LENGTHS_BYTES: usize = 8;

const SIG_BYTES: usize = 64;

/// What an entry takes in a segment beside its header and body.
pub(crate) const ENTRY_BYTES: usize = LENGTHS_BYTES + SIG_BYTES;

/// The bytes of a header, at most.
const HEADER_BYTES_MAX: usize = 4_096;

/// A run of entries of one log, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    log: LogId,
    first: u64,
    bytes: Bytes,
    /// Of each entry where its header begins, and the bytes of header and body.
    entries: Vec<(usize, usize, usize)>,
}

/// Why bytes are no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// They end too early, or go on too long. Code `length`.
    #[error("the bytes of a segment are not as many as it says")]
    Length,
    /// They begin with something else, or have no entry. Code `form`.
    #[error("these bytes are no segment")]
    Form,
    /// An entry has more bytes than any may have. Code `too_large`.
    #[error("an entry of a segment is too large")]
    TooLarge,
}

impl SegmentError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Form => "form",
            Self::TooLarge => "too_large",
        }
    }
}

impl Segment {
    /// Returns the bytes of the segment that has these entries of a log from the place `first` on.
    pub fn encode(log: &LogId, first: u64, entries: &[EntryRow]) -> Bytes {
        let sum: usize = entries.iter().map(|entry| ENTRY_BYTES + entry.header.len() + entry.body.len()).sum();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + sum);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&log.0);
        bytes.extend_from_slice(&first.to_be_bytes());
        bytes.extend_from_slice(&(entries.len() as u32).to_be_bytes());
        for entry in entries {
            bytes.extend_from_slice(&(entry.header.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&(entry.body.len() as u32).to_be_bytes());
        }
        for entry in entries {
            bytes.extend_from_slice(&entry.header);
            bytes.extend_from_slice(&entry.sig);
            bytes.extend_from_slice(&entry.body);
        }
        bytes.into()
    }

    /// Reads a segment. Errors: [`SegmentError`], by what is wrong first.
    pub fn decode(bytes: Bytes) -> Result<Self, SegmentError> {
        let (magic, rest) = bytes.split_first_chunk::<16>().ok_or(SegmentError::Length)?;
        let (log, rest) = rest.split_first_chunk::<32>().ok_or(SegmentError::Length)?;
        let (first, rest) = rest.split_first_chunk::<8>().ok_or(SegmentError::Length)?;
        let (count, rest) = rest.split_first_chunk::<4>().ok_or(SegmentError::Length)?;
        let (count, first) = (u32::from_be_bytes(*count) as usize, u64::from_be_bytes(*first));
        if magic != MAGIC || count == 0 || first.checked_add(count as u64).is_none() {
            return Err(SegmentError::Form);
        }
        if rest.len() / ENTRY_BYTES < count {
            return Err(SegmentError::Length);
        }
        let (lengths, mut at) = (&rest[..count * LENGTHS_BYTES], HEAD_BYTES + count * LENGTHS_BYTES);
        let mut entries = Vec::with_capacity(count);
        for of_one in lengths.as_chunks::<LENGTHS_BYTES>().0 {
            let [header, body] = [0, 4].map(|at| u32::from_be_bytes(*of_one[at..].first_chunk().expect("8 bytes")));
            let (header, body) = (header as usize, body as usize);
            if header > HEADER_BYTES_MAX || body > BODY_BYTES_MAX {
                return Err(SegmentError::TooLarge);
            }
            entries.push((at, header, body));
            at += header + SIG_BYTES + body;
        }
        if at != bytes.len() {
            return Err(SegmentError::Length);
        }
        Ok(Self { log: LogId(*log), first, entries, bytes })
    }

    /// Returns the log.
    pub fn log(&self) -> &LogId {
        &self.log
    }

    /// Returns the place of the first entry.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Returns how many entries it has.
    pub fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Returns how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the entry at a place of the log; `None` if it is in another segment.
    pub fn entry(&self, pos: u64) -> Option<EntryRow> {
        let index = usize::try_from(pos.checked_sub(self.first)?).ok()?;
        let (at, header, body) = *self.entries.get(index)?;
        let (sig, end) = (at + header, at + header + SIG_BYTES);
        Some(EntryRow {
            header: self.bytes[at..sig].to_vec(),
            sig: *self.bytes[sig..].first_chunk()?,
            body: self.bytes[end..end + body].to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u8) -> EntryRow {
        EntryRow { header: vec![number; 200], sig: [number; 64], body: vec![number; usize::from(number) * 7] }
    }

    #[test]
    fn a_segment_gives_back_what_was_put_in_and_nothing_else() {
        let entries: Vec<EntryRow> = (0..5).map(entry).collect();
        let bytes = Segment::encode(&LogId([7; 32]), 300, &entries);
        let segment = Segment::decode(bytes.clone()).unwrap();
        assert_eq!((segment.log(), segment.first(), segment.count()), (&LogId([7; 32]), 300, 5));
        let read: Vec<EntryRow> = (300..305).map(|pos| segment.entry(pos).unwrap()).collect();
        assert_eq!(read, entries);
        assert_eq!((segment.entry(299), segment.entry(305)), (None, None));
        assert_eq!(Segment::encode(segment.log(), segment.first(), &read), bytes);
    }

    #[test]
    fn bytes_that_are_no_segment_are_refused_each_for_its_reason() {
        let good = Segment::encode(&LogId([7; 32]), 300, &[entry(1), entry(2)]).to_vec();
        let code = |bytes: Vec<u8>| Segment::decode(bytes.into()).map(drop).map_err(|error| error.code());
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            code(bytes)
        };
        assert_eq!(code(good.clone()), Ok(()));
        for end in 0..good.len() {
            assert_eq!(code(good[..end].to_vec()), Err("length"), "{end}");
        }
        assert_eq!(code([good.as_slice(), &[0]].concat()), Err("length"));
        assert_eq!(with(0, b'x'), Err("form"));
        assert_eq!(with(HEAD_BYTES - 1, 0), Err("form"), "no entry");
        assert_eq!(with(HEAD_BYTES - 2, 1), Err("length"), "258 entries");
        assert_eq!(with(HEAD_BYTES + 2, 0xff), Err("too_large"), "a header");
        assert_eq!(with(HEAD_BYTES + 4, 0xff), Err("too_large"), "a body");
        let mut last = good.clone();
        last[48..56].fill(0xff);
        assert_eq!(code(last), Err("form"), "places beyond all");
    }
}
