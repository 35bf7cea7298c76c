//! What was last shown of each subject, kept as its proof: a log that goes back on it convicts itself.
//!
//! The memory holds the DIDs met and one head. Of a name, and for others who remember nothing, it takes both proofs.

use identity::state::Subject;
use translog::lookup_proof;
use translog::policy::Policy;
use translog::resolve::{Resolved, VerifyError};

use super::Session;
use crate::error::ClientError;
use crate::evidence::{self, subject_text};

impl Session {
    /// Holds what was proved against what was proved of the subject last, and keeps the newer.
    ///
    /// Errors: [`ClientError::Proof`] with code `rollback` if a name or DID has an older state than before, or another of the
    /// same version.
    pub(super) fn hold_against_last(&self, resolved: &Resolved, bytes: &[u8]) -> Result<(), ClientError> {
        if resolved.unfollowed().is_some() {
            return Ok(());
        }
        let subject = subject_text(resolved.subject());
        // Our own file: one that a key replaced since had signed, or that is damaged, is simply replaced.
        let trust = self.trust().clone().with_policy(Policy::none());
        let last = self.last_of(resolved.subject());
        let known = last.as_ref().and_then(|last| lookup_proof::verify(&trust, last.as_bytes()).ok());
        if known.is_some_and(|known| known.name() == resolved.name() && known.did() == resolved.did()) {
            return Ok(());
        }
        let proof = lookup_proof::write(self.trust(), resolved, bytes);
        let proof = proof.map_err(|error| ClientError::proof(error.code(), error.to_string()))?.to_string();
        let size = resolved.head().size;
        match last.and_then(|last| evidence::of_rollback(self.trust(), &last, &proof, size)) {
            None => self.log().keep_last(&subject, &proof),
            Some(kept) => {
                let evidence = self.log().keep_evidence(&kept.file_name, &kept.bytes).ok();
                let what = format!("{subject} has an older state than it had, or another of the same version");
                Err(ClientError::Proof { code: VerifyError::Rollback.code(), what, evidence })
            }
        }
    }

    /// The proof of the lookup before, if it was kept.
    pub(super) fn last_of(&self, subject: &Subject) -> Option<String> {
        self.log().last(&subject_text(subject))
    }
}
