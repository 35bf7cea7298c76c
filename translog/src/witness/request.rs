//! The body of `add-checkpoint`: an old size, a consistency proof, and a signed checkpoint.

use identity::hash::Hash;

use crate::base64;
use crate::limits::{WITNESS_PROOF_HASHES_MAX, WITNESS_REQUEST_BYTES_MAX};
use crate::note::{Checkpoint, Note, parse_decimal};

/// A log asks for a cosignature; nothing in it is verified.
///
/// The log may be any: its checkpoint may have extension lines, which are cosigned and mean nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    old_size: u64,
    proof: Vec<Hash>,
    note: Note,
    checkpoint: Checkpoint,
}

/// The bytes are no request. Code `bad_request`, status 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the body of add-checkpoint")]
pub struct BadRequest;

impl BadRequest {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        "bad_request"
    }
}

impl Request {
    /// Returns the request to cosign `note`, whose tree continues that of `old_size` leaves by `proof`.
    pub fn new(old_size: u64, proof: Vec<Hash>, note: Note) -> Result<Self, BadRequest> {
        let checkpoint = Checkpoint::parse_extended(note.text()).map_err(|_| BadRequest)?;
        if proof.len() > WITNESS_PROOF_HASHES_MAX {
            return Err(BadRequest);
        }
        Ok(Self { old_size, proof, note, checkpoint })
    }

    /// Reads a body, exactly as [`Request::encode`] writes it.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRequest> {
        if bytes.len() > WITNESS_REQUEST_BYTES_MAX {
            return Err(BadRequest);
        }
        let mut rest = bytes;
        let old_size = next_line(&mut rest)?.strip_prefix("old ").and_then(parse_decimal).ok_or(BadRequest)?;
        let mut proof = Vec::new();
        loop {
            let line = next_line(&mut rest)?;
            if line.is_empty() {
                break;
            }
            if proof.len() == WITNESS_PROOF_HASHES_MAX {
                return Err(BadRequest);
            }
            proof.push(base64::decode(line).and_then(|hash| hash.try_into().ok()).ok_or(BadRequest)?);
        }
        Self::new(old_size, proof, Note::parse(rest).map_err(|_| BadRequest)?)
    }

    /// Returns the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("old {}\n", self.old_size);
        for hash in &self.proof {
            text.push_str(&base64::encode(hash));
            text.push('\n');
        }
        format!("{text}\n{}", self.note).into_bytes()
    }

    /// Returns the size the log takes for the one cosigned last.
    pub fn old_size(&self) -> u64 {
        self.old_size
    }

    /// Returns the consistency proof.
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// Returns the signed checkpoint.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Returns what the note says: of which log, how many leaves, which root.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// Takes the next line, without its newline.
fn next_line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, BadRequest> {
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(BadRequest)?;
    let line = core::str::from_utf8(&rest[..end]).map_err(|_| BadRequest)?;
    *rest = &rest[end + 1..];
    Ok(line)
}
