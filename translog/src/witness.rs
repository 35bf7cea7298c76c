//! Witnessing: whether a checkpoint continues the one cosigned last, and what is asked and answered (PROTOCOL 9.7).
//!
//! ```text
//! the log     Request::new(old size, proof, note).encode() ---> POST <url>/add-checkpoint
//! the witness Request::decode, decide; then, atomically: the record swapped and durable; then cosign
//! the log     cosignature_of(body) or conflict_size(body)
//! ```
//!
//! [`decide`] is pure: whoever calls it must persist [`ToCosign::record`] in place of the very record it gave, before
//! [`ToCosign::cosign`] leaves the process. Source: c2sp.org/tlog-witness.

mod answer;
mod refusal;
mod request;

use identity::hash::Hash;

pub use answer::{BadAnswer, conflict_body, conflict_size, cosignature_of};
pub use refusal::WitnessRefusal;
pub use request::{BadRequest, Request};

use crate::hash::EMPTY_ROOT;
use crate::note::{Cosigner, KeyKind, Note, NoteError, SignatureLine, VerifierKey};
use crate::tree::verify_consistency;

/// The media type of an answer of status 409.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// The newest head of a log that this witness cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessRecord {
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree of that size.
    pub root: Hash,
}

impl WitnessRecord {
    /// The record of a log that was never cosigned: the empty tree.
    pub const NONE: Self = Self { size: 0, root: EMPTY_ROOT };
}

/// A checkpoint that may be cosigned once its record is durable. Nothing but [`decide`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToCosign {
    record: WitnessRecord,
    text: String,
    log_lines: Vec<SignatureLine>,
}

/// Decides whether the checkpoint of a request continues `record`, in the order of the specification.
///
/// `trusted` are the keys of logs that are witnessed, of this origin and of others.
pub fn decide(record: &WitnessRecord, request: &Request, trusted: &[VerifierKey]) -> Result<ToCosign, WitnessRefusal> {
    let checkpoint = request.checkpoint();
    let is_its = |key: &&VerifierKey| key.kind() == KeyKind::Log && key.name() == checkpoint.origin;
    let keys: Vec<VerifierKey> = trusted.iter().filter(is_its).cloned().collect();
    if keys.is_empty() {
        return Err(WitnessRefusal::UnknownLog);
    }
    let signed = request.note().verify(&keys).map_err(|_| WitnessRefusal::Signature)?;
    if request.old_size() > checkpoint.size {
        return Err(WitnessRefusal::OldSize);
    }
    if request.old_size() != record.size {
        return Err(WitnessRefusal::Conflict { size: record.size });
    }
    if checkpoint.size == 0 && checkpoint.root != EMPTY_ROOT {
        return Err(WitnessRefusal::EmptyRoot);
    }
    if checkpoint.size == record.size && checkpoint.root != record.root {
        return Err(WitnessRefusal::Fork);
    }
    verify_consistency(record.size, &record.root, checkpoint.size, &checkpoint.root, request.proof())
        .map_err(|_| WitnessRefusal::Proof)?;

    let is_signed = |line: &&SignatureLine| {
        signed.iter().any(|signed| signed.key.id() == line.id && signed.key.name() == line.name)
    };
    Ok(ToCosign {
        record: WitnessRecord { size: checkpoint.size, root: checkpoint.root },
        text: request.note().text().to_owned(),
        log_lines: request.note().lines().iter().filter(is_signed).cloned().collect(),
    })
}

impl ToCosign {
    /// Returns what must be durable, in place of the record decided upon, before the cosignature is given away.
    pub fn record(&self) -> WitnessRecord {
        self.record
    }

    /// Signs as of `time_s`, Unix seconds, which is not 0. The line, and it alone, is the body of the answer.
    pub fn cosign(&self, cosigner: &Cosigner, time_s: u64) -> SignatureLine {
        cosigner.cosign_text(&self.text, time_s)
    }

    /// Returns what monitors are shown: the checkpoint with its log's lines and this cosignature.
    pub fn cosigned_note(&self, line: SignatureLine) -> Result<Note, NoteError> {
        let mut lines = self.log_lines.clone();
        lines.push(line);
        Note::new(self.text.clone(), lines)
    }
}

#[cfg(test)]
mod tests;
