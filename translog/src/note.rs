//! Signed notes, checkpoints and cosignatures, exactly as C2SP writes them (PROTOCOL 9).
//!
//! A [`Note`] is text and the lines of its signers; nothing in it is to be believed before [`Note::verify`] with keys one
//! trusts. A [`Checkpoint`] is the text a log signs. Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint,
//! c2sp.org/tlog-cosignature.

mod checkpoint;
mod sign;
mod vkey;

use identity::key::verify_strict;

use crate::base64;
use crate::head::Cosignature;
use crate::limits::{NOTE_BYTES_MAX, NOTE_LINES_MAX};
pub(crate) use checkpoint::parse_decimal;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use sign::{Cosigner, LogSigner, cosigned_message};
pub use vkey::{KeyId, KeyKind, VerifierKey, VkeyError, is_key_name};

/// What stands before each signature line: an em dash and a space.
const LINE_START: &str = "\u{2014} ";

/// A text and the signature lines below it, nothing verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    lines: Vec<SignatureLine>,
}

/// One signature: whose, and its bytes behind the key id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    /// The key's name.
    pub name: String,
    /// The first bytes of a hash over name, kind and key: with the name, which key signed.
    pub id: KeyId,
    /// The signature in the form of its kind, at least one byte.
    pub signature: Vec<u8>,
}

/// A line that verified: by which key, and when if it is a cosignature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'k> {
    /// The key that signed.
    pub key: &'k VerifierKey,
    /// Unix seconds a cosigner put beside its signature; `None` for a log's signature.
    pub time_s: Option<u64>,
}

/// Why a note is none, or not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// More than 131,072 bytes. Code `bad_note`.
    #[error("the note is longer than 131,072 bytes")]
    TooLong,
    /// Not UTF-8 from this byte on. Code `bad_note`.
    #[error("the note is not UTF-8 at byte {at}")]
    Utf8 {
        /// The byte offset.
        at: usize,
    },
    /// A control character other than newline. Code `bad_note`.
    #[error("the note has a control character at byte {at}")]
    Control {
        /// The byte offset.
        at: usize,
    },
    /// No empty line with signature lines after it, or no newline at the end. Code `bad_note`.
    #[error("the note does not end in an empty line and signature lines")]
    Unsigned,
    /// More than 64 signature lines. Code `bad_note`.
    #[error("the note has more than 64 signature lines")]
    TooManyLines,
    /// A signature line that is not dash, name and base64 of at least five bytes. Code `bad_note`.
    #[error("the signature line at byte {at} is malformed")]
    Line {
        /// The byte offset.
        at: usize,
    },
    /// The line of a known key does not verify: the whole note is refused. Code `bad_note_signature`.
    #[error("the signature of a known key does not verify")]
    Signature,
    /// No line is by a known key. Code `unknown_note_key`.
    #[error("no known key signed the note")]
    UnknownKey,
}

impl Signed<'_> {
    /// Returns the cosigner's time in milliseconds.
    pub fn time_ms(&self) -> Option<u64> {
        self.time_s.map(|time_s| time_s.saturating_mul(1_000))
    }
}

impl NoteError {
    /// Returns the stable code that vectors and problem answers name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Signature => "bad_note_signature",
            Self::UnknownKey => "unknown_note_key",
            _ => "bad_note",
        }
    }
}

impl Note {
    /// Returns the note of a text and its lines.
    ///
    /// Errors: as [`Note::parse`] of what it would encode to; a text ends in a newline.
    pub fn new(text: String, lines: Vec<SignatureLine>) -> Result<Self, NoteError> {
        let note = Self { text, lines };
        // What reads back differently, say a name with a space, is no note.
        match Self::parse(note.to_string().as_bytes())? {
            read if read == note => Ok(note),
            _ => Err(NoteError::Unsigned),
        }
    }

    /// Reads a note. The text is split from the signatures at the last empty line.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let whole = core::str::from_utf8(bytes).map_err(|error| NoteError::Utf8 { at: error.valid_up_to() })?;
        if let Some(at) = bytes.iter().position(|byte| *byte < 0x20 && *byte != b'\n') {
            return Err(NoteError::Control { at });
        }
        let split = whole.rfind("\n\n").ok_or(NoteError::Unsigned)?;
        let (text, signed) = (&whole[..split + 1], &whole[split + 2..]);
        if signed.is_empty() || !signed.ends_with('\n') {
            return Err(NoteError::Unsigned);
        }
        if signed.matches('\n').count() > NOTE_LINES_MAX {
            return Err(NoteError::TooManyLines);
        }
        let mut lines = Vec::new();
        let mut at = split + 2;
        for line in signed.split_inclusive('\n') {
            lines.push(SignatureLine::parse(line).ok_or(NoteError::Line { at })?);
            at += line.len();
        }
        Ok(Self { text: text.to_owned(), lines })
    }

    /// Returns the text, its last newline included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the signature lines in their order.
    pub fn lines(&self) -> &[SignatureLine] {
        &self.lines
    }

    /// Verifies every line by a key of `keys` and returns those, in the order of the lines.
    ///
    /// Lines by unknown keys are ignored, and so is a key's second line. A known key's line that fails refuses the note, and
    /// so does the absence of any known one.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<Signed<'k>>, NoteError> {
        let mut signed: Vec<Signed<'k>> = Vec::new();
        for line in &self.lines {
            let Some(key) = keys.iter().find(|key| key.id() == line.id && key.name() == line.name) else {
                continue;
            };
            if signed.iter().any(|seen| seen.key == key) {
                continue;
            }
            let time_s = verify_line(key, &self.text, &line.signature).ok_or(NoteError::Signature)?;
            signed.push(Signed { key, time_s });
        }
        if signed.is_empty() { Err(NoteError::UnknownKey) } else { Ok(signed) }
    }
}

impl Note {
    /// Returns the lines by these cosigners in the form a head carries, not verified.
    ///
    /// A line of another length stays out: it could not be a cosignature.
    pub fn cosignatures(&self, cosigners: &[VerifierKey]) -> Vec<Cosignature> {
        let of_line = |line: &SignatureLine| {
            cosigners.iter().find(|key| key.id() == line.id && key.name() == line.name)?;
            let (time, signature) = line.signature.split_first_chunk::<8>()?;
            let signature = signature.try_into().ok()?;
            Some(Cosignature { id: line.id, time_s: u64::from_be_bytes(*time), signature })
        };
        self.lines.iter().filter_map(of_line).collect()
    }
}

/// The note as it is sent: text, empty line, signature lines.
impl core::fmt::Display for Note {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.lines.iter().try_for_each(|line| line.fmt(f))
    }
}

impl SignatureLine {
    /// Reads `— <name> <base64>` with its newline. `None` if it is anything else.
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(LINE_START)?.strip_suffix('\n')?.split_once(' ')?;
        let bytes = base64::decode(encoded)?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        if !vkey::is_key_name(name) || signature.is_empty() {
            return None;
        }
        Some(Self { name: name.to_owned(), id: *id, signature: signature.to_vec() })
    }
}

/// The line with its newline.
impl core::fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let bytes = [&self.id, &self.signature[..]].concat();
        writeln!(f, "{LINE_START}{} {}", self.name, base64::encode(&bytes))
    }
}

/// Checks a signature by the rule of its key's kind; `None` if it fails, else the time beside it.
#[expect(clippy::option_option, reason = "failed, or verified with or without a time")]
fn verify_line(key: &VerifierKey, text: &str, signature: &[u8]) -> Option<Option<u64>> {
    match key.kind() {
        KeyKind::Log => {
            let signature = signature.try_into().ok()?;
            verify_strict(key.key(), text.as_bytes(), signature).ok().map(|()| None)
        }
        KeyKind::Cosigner => {
            let (time, signature) = signature.split_first_chunk::<8>()?;
            let time_s = u64::from_be_bytes(*time);
            let message = cosigned_message(text, time_s);
            verify_strict(key.key(), message.as_bytes(), signature.try_into().ok()?).ok().map(|()| Some(time_s))
        }
    }
}

#[cfg(test)]
mod tests;
