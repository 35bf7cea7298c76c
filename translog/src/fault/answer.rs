//! Answers that did not verify: kind `answer`, or what convicts of the heads in them.

use super::{FaultFile, FaultKind};
use crate::head::Head;
use crate::limits::LOG_KEYS_MAX;
use crate::note::VerifierKey;
use crate::resolution::Resolution;
use crate::resolve::VerifyError;
use crate::trust::Trust;

impl FaultFile {
    /// Returns the file of an answer about `subject` that failed verification: the answer, and the notes of its head and of the head
    /// `known` before. If a trusted key signed both and they contradict each other, it is of the kind as which it convicts.
    pub fn of_answer(trust: &Trust, error: VerifyError, subject: &str, answer: &[u8], known: Option<&Head>) -> Self {
        let mut resolution = Resolution::decode(answer).ok();
        let offered = resolution.as_mut().and_then(Resolution::take_head);
        let mut file = Self::new(FaultKind::Answer, &Self::accused(trust, known.map(|head| head.size)))
            .with_part("code", error.code().as_bytes())
            .with_part("subject", subject.as_bytes());
        if let Some(note) = known.and_then(|head| note(trust, head)) {
            file = file.with_part("first", note.as_bytes());
        }
        if let Some(note) = offered.as_ref().and_then(|head| note(trust, head)) {
            file = file.with_part("second", note.as_bytes());
        }
        if let Some(path) = resolution.as_ref().map(Resolution::consistency).filter(|path| !path.is_empty()) {
            file = file.with_part("path", path.as_flattened());
        }
        file.with_part("answer", answer).convicting()
    }

    /// Returns the record of a log whose newest checkpoint is smaller than a head met before: it convicts nobody by itself.
    pub fn of_shrunk_log(trust: &Trust, checkpoint: &[u8], known: Option<&Head>) -> Self {
        let mut file = Self::new(FaultKind::Answer, &Self::accused(trust, known.map(|head| head.size)))
            .with_part("code", VerifyError::Rollback.code().as_bytes());
        if let Some(note) = known.and_then(|head| note(trust, head)) {
            file = file.with_part("first", note.as_bytes());
        }
        file.with_part("second", checkpoint)
    }

    /// Returns the keys that a file accuses: those of now, and those that may have signed a head of `known` leaves met before.
    pub fn accused(trust: &Trust, known: Option<u64>) -> Vec<VerifierKey> {
        let mut keys = trust.keys_of_head(known.unwrap_or(u64::MAX));
        keys.truncate(LOG_KEYS_MAX);
        keys
    }

    /// Returns the file as one of the kinds of two heads, if as such it convicts; else as it is.
    #[must_use]
    pub fn convicting(self) -> Self {
        let kinds = [FaultKind::SameSize, FaultKind::Prefix];
        let holds = kinds.into_iter().map(|kind| self.clone().of_kind(kind)).find(|file| file.check().is_ok());
        holds.unwrap_or(self)
    }
}

/// Returns the note of a head that a trusted key signed.
pub fn note(trust: &Trust, head: &Head) -> Option<String> {
    let keys = trust.keys_of_head(head.size);
    let key = head.verify_log_signature(trust.origin(), &keys).ok()?;
    Some(head.note(trust.origin(), key, trust.policy().cosigners()).ok()?.to_string())
}
