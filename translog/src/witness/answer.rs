//! What a witness answers, read by the log that asked.

use crate::head::Cosignature;
use crate::limits::NOTE_BYTES_MAX;
use crate::note::{Note, NoteError, VerifierKey, parse_decimal};

/// Why an answer is worth nothing. Whoever gets one counts the witness as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAnswer {
    /// Not signature lines, or not a size and a newline. Code `bad_answer`.
    #[error("not the answer of a witness")]
    Form,
    /// No line is by the witness asked. Code `unknown_note_key`.
    #[error("the witness asked did not sign")]
    UnknownKey,
    /// The witness's line does not verify for this checkpoint, or has no time. Code `bad_note_signature`.
    #[error("the witness's cosignature does not verify")]
    Signature,
}

impl BadAnswer {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form => "bad_answer",
            Self::UnknownKey => "unknown_note_key",
            Self::Signature => "bad_note_signature",
        }
    }
}

/// Returns the cosignature by `witness` among the lines of an answer of status 200 to a request with this checkpoint text.
///
/// Lines by others are ignored.
pub fn cosignature_of(body: &[u8], text: &str, witness: &VerifierKey) -> Result<Cosignature, BadAnswer> {
    if body.len() > NOTE_BYTES_MAX {
        return Err(BadAnswer::Form);
    }
    // Lines alone: an empty line among them would move what is signed.
    if body.first().is_none_or(|byte| *byte == b'\n') || body.windows(2).any(|pair| pair == b"\n\n") {
        return Err(BadAnswer::Form);
    }
    let note = Note::parse(&[text.as_bytes(), b"\n", body].concat()).map_err(|_| BadAnswer::Form)?;
    let known = core::slice::from_ref(witness);
    note.verify(known).map_err(|error| match error {
        NoteError::UnknownKey => BadAnswer::UnknownKey,
        _ => BadAnswer::Signature,
    })?;
    note.cosignatures(known).first().copied().filter(|signed| signed.time_s != 0).ok_or(BadAnswer::Signature)
}

/// Returns the body of an answer of status 409: the size cosigned last.
pub fn conflict_body(size: u64) -> String {
    format!("{size}\n")
}

/// Reads the body of an answer of status 409.
pub fn conflict_size(body: &[u8]) -> Result<u64, BadAnswer> {
    let text = core::str::from_utf8(body).ok().and_then(|text| text.strip_suffix('\n'));
    text.and_then(parse_decimal).ok_or(BadAnswer::Form)
}
