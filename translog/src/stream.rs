//! The log as a stream: batches with their heads, as they commit (PROTOCOL 12.4).
//!
//! ```text
//! record = u32 length, u8 kind, body          length counts kind and body
//! kind 0, still alive: no body
//! kind 1, batches: u64 first index, u32 length, note, then (u16 length, entry) until the record ends
//! ```
//!
//! The entries of a record are whole batches, and the note is the head behind the last of them. Nothing here is verified.

use crate::bundle;
use crate::limits::{ENTRY_BYTES_MAX, NOTE_BYTES_MAX, STREAM_RECORD_BYTES_MAX};

/// One record of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Nothing new; the sender lives.
    Alive,
    /// Whole batches and the head behind them.
    Batches(Batches),
}

/// Whole batches and the head behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    /// The log index of the first entry.
    pub first_index: u64,
    /// The signed note of the head they end in.
    pub note: Vec<u8>,
    /// The entries; the last is an Epoch.
    pub entries: Vec<Vec<u8>>,
}

/// The bytes are no stream of records. Code `bad_stream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the stream of a log, or a record above its bound")]
pub struct BadStream;

impl BadStream {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        "bad_stream"
    }
}

const ALIVE: u8 = 0;
const BATCHES: u8 = 1;

/// Returns the record that says that the sender lives.
pub fn alive() -> Vec<u8> {
    vec![0, 0, 0, 1, ALIVE]
}

/// Returns the record of whole batches; `None` if it would be above [`STREAM_RECORD_BYTES_MAX`]: a reader takes tiles then.
pub fn batches<'a>(first_index: u64, note: &[u8], entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4];
    bytes.push(BATCHES);
    bytes.extend_from_slice(&first_index.to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(note.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(note);
    bytes.extend_from_slice(&bundle::encode(entries));
    let length = u32::try_from(bytes.len() - 4).ok().filter(|length| *length as usize <= STREAM_RECORD_BYTES_MAX)?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Some(bytes)
}

/// Reads records out of bytes that come in pieces. Holds one record at most.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    held: Vec<u8>,
}

impl Decoder {
    /// Returns a decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Returns the next record, `None` if its bytes are not all there. After an error the stream is of no use.
    pub fn next_record(&mut self) -> Result<Option<Record>, BadStream> {
        let Some((length, rest)) = self.held.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || length > STREAM_RECORD_BYTES_MAX {
            return Err(BadStream);
        }
        let Some((record, _)) = rest.split_at_checked(length) else { return Ok(None) };
        let record = decode(record)?;
        self.held.drain(..4 + length);
        Ok(Some(record))
    }
}

/// Reads kind and body of a record.
fn decode(bytes: &[u8]) -> Result<Record, BadStream> {
    let (kind, body) = bytes.split_first().ok_or(BadStream)?;
    match (*kind, body.is_empty()) {
        (ALIVE, true) => return Ok(Record::Alive),
        (BATCHES, false) => {}
        _ => return Err(BadStream),
    }
    let (first_index, rest) = body.split_first_chunk::<8>().ok_or(BadStream)?;
    let (note_bytes, rest) = rest.split_first_chunk::<4>().ok_or(BadStream)?;
    let note_bytes = u32::from_be_bytes(*note_bytes) as usize;
    let (note, mut rest) =
        rest.split_at_checked(note_bytes).filter(|_| note_bytes <= NOTE_BYTES_MAX).ok_or(BadStream)?;
    let mut entries = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(BadStream)?;
        if !(1..=ENTRY_BYTES_MAX).contains(&length) {
            return Err(BadStream);
        }
        entries.push(entry.to_vec());
        rest = after;
    }
    if !rest.is_empty() || entries.is_empty() {
        return Err(BadStream);
    }
    Ok(Record::Batches(Batches { first_index: u64::from_be_bytes(*first_index), note: note.to_vec(), entries }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> Batches {
        Batches { first_index: 700, note: b"note".to_vec(), entries: vec![vec![1; 40], vec![2; 89]] }
    }

    fn encoded(record: &Batches) -> Vec<u8> {
        batches(record.first_index, &record.note, record.entries.iter().map(Vec::as_slice)).unwrap()
    }

    #[test]
    fn records_come_back_however_the_bytes_are_cut() {
        // Goal: pieces of any size. Method: three records, byte by byte, in sevens, at once.
        let bytes = [encoded(&record()), alive(), encoded(&record())].concat();
        for piece in [1, 7, bytes.len()] {
            let mut decoder = Decoder::new();
            let mut found = Vec::new();
            for piece in bytes.chunks(piece) {
                decoder.push(piece);
                while let Some(record) = decoder.next_record().unwrap() {
                    found.push(record);
                }
            }
            assert_eq!(found, [Record::Batches(record()), Record::Alive, Record::Batches(record())]);
            assert!(decoder.held.is_empty());
        }
    }

    #[test]
    fn what_is_no_record_is_refused_before_it_is_held() {
        // Goal: an endless or garbled sender costs nothing. Method: lengths out of bounds, kinds that are none, frames that do not
        // fill the record, entries that are none.
        let refused = |bytes: &[u8]| {
            let mut decoder = Decoder::new();
            decoder.push(bytes);
            assert_eq!(decoder.next_record(), Err(BadStream), "{bytes:?}");
        };
        refused(&[0; 4]);
        refused(&(STREAM_RECORD_BYTES_MAX as u32 + 1).to_be_bytes());
        refused(&[0, 0, 0, 1, 7]);
        refused(&[0, 0, 0, 1, BATCHES]);
        refused(&[0, 0, 0, 2, ALIVE, 0]);
        let frame = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
        let whole = encoded(&record())[4..].to_vec();
        for cut in 1..whole.len() {
            let cut_between_entries = cut == whole.len() - 91;
            if !cut_between_entries {
                refused(&frame(&whole[..cut]));
            }
        }
        refused(&frame(&[&whole[..], &[0, 0]].concat()));
        refused(&frame(&[&whole[..17], &[0, 0]].concat()));
        assert_eq!(batches(0, &vec![0; STREAM_RECORD_BYTES_MAX], []), None);
    }

    proptest! {
        #[test]
        fn a_decoder_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), length in 0_u8..64) {
            // Goal: any bytes are an answer. Method: random bytes, and random bytes behind a length that fits.
            let mut decoder = Decoder::new();
            decoder.push(&[&[0, 0, 0, length], &bytes[..]].concat());
            while let Ok(Some(Record::Batches(found))) = decoder.next_record() {
                prop_assert!(!found.entries.is_empty());
            }
        }
    }
}
