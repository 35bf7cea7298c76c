//! The proof of a lookup as one file, to be checked offline by anyone who trusts the log's key (PROTOCOL 14.2).
//!
//! A stock `.tlog-proof` of the head's last leaf; extra holds `u16 length, Epoch entry, Resolution without its head`. A stock
//! verifier checks that the Epoch is in the log, [`verify`] all the rest.

use crate::head::Head;
use crate::limits::LOG_KEYS_MAX;
use crate::note::{Checkpoint, VerifierKey};
use crate::policy::Policy;
use crate::proof_file::{ProofFile, ProofFileError};
use crate::resolution::Resolution;
use crate::resolve::{self, Resolved, VerifyError};
use crate::trust::{Memory, Trust};
use identity::time::Timestamp;

/// Why a file proves no lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupProofError {
    /// It is no proof file, or its checkpoint is not the trusted log's. The file's code.
    #[error(transparent)]
    File(#[from] ProofFileError),
    /// What it carries does not hold. The verify error's code.
    #[error(transparent)]
    Lookup(#[from] VerifyError),
}

impl LookupProofError {
    /// Returns the stable code that vectors and output name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Lookup(error) => error.code(),
        }
    }
}

/// Returns the file that proves `resolved`, which verifying `bytes` gave, to somebody who remembers nothing.
///
/// Errors: [`VerifyError::Malformed`] if `bytes` are no Resolution, [`VerifyError::LogSignature`] if `trust` lacks the key that
/// signed the head.
pub fn write(trust: &Trust, resolved: &Resolved, bytes: &[u8]) -> Result<ProofFile, VerifyError> {
    let resolution = Resolution::decode(bytes).map_err(|_| VerifyError::Malformed)?.standing_alone(resolved.did());
    let head = resolved.head();
    let keys = trust.keys_of_head(head.size);
    let key = head.verify_log_signature(trust.origin(), &keys).map_err(|_| VerifyError::LogSignature)?;
    let checkpoint =
        head.note(trust.origin(), key, trust.policy().cosigners()).map_err(|_| VerifyError::LogSignature)?;
    let length = u16::try_from(head.epoch_entry.len()).map_err(|_| VerifyError::Epoch)?;
    let extra = [&length.to_be_bytes(), &head.epoch_entry[..], &resolution.encode()].concat();
    Ok(ProofFile { extra: Some(extra), index: resolved.epoch().covers, path: head.path.clone(), checkpoint })
}

/// Returns the file that an answer makes for somebody who remembers nothing, whatever whoever asked remembers; `None` if it
/// proves nothing by itself. For evidence: the head may be of any age and without a quorum.
pub fn of_answer(trust: &Trust, bytes: &[u8]) -> Option<ProofFile> {
    let mut resolution = Resolution::decode(bytes).ok()?;
    let (head, subject) = (resolution.take_head()?, resolution.subject().clone());
    let alone = resolution.standing_alone(None).with_head(head);
    let bytes = alone.encode();
    let lenient = trust.clone().with_policy(Policy::none()).with_head_age_s_max(u64::MAX);
    let (mut memory, end_of_time) = (Memory::new(trust.origin().clone()), Timestamp::from_ms(u64::MAX));
    let resolved = resolve::verify_decoded(&lenient, &mut memory, &subject, alone, end_of_time).ok()?;
    write(trust, &resolved, &bytes).ok()
}

/// Verifies a file with nothing but the trusted keys; [`Resolved::subject`] says what it is about.
///
/// The head may be of any age: whoever acts on the result looks at its time.
pub fn verify(trust: &Trust, bytes: &[u8]) -> Result<Resolved, LookupProofError> {
    let file = ProofFile::parse(bytes)?;
    let (entry, resolution) = parts(file.extra.as_deref()).ok_or(VerifyError::Malformed)?;
    let keys = keys_of(&file, trust);
    let head = head_of(&file, entry, trust, &keys)?;
    if head.size.checked_sub(1) != Some(file.index) {
        return Err(VerifyError::LastLeaf.into());
    }
    let mut resolution = Resolution::decode(resolution).map_err(|_| VerifyError::Malformed)?;
    if resolution.take_head().is_some() {
        return Err(VerifyError::Malformed.into());
    }
    let subject = resolution.subject().clone();
    let trust = trust.clone().with_log_keys(keys).map_err(|_| VerifyError::LogSignature)?;
    let (trust, end_of_time) = (trust.with_head_age_s_max(u64::MAX), Timestamp::from_ms(u64::MAX));
    let mut memory = Memory::new(trust.origin().clone());
    Ok(resolve::verify_decoded(&trust, &mut memory, &subject, resolution.with_head(head), end_of_time)?)
}

/// The Epoch entry and the Resolution that stand in extra.
fn parts(extra: Option<&[u8]>) -> Option<(&[u8], &[u8])> {
    let (length, rest) = extra?.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// The trusted keys, those of now first, that have a line in the file and may have signed a head of its size.
fn keys_of(file: &ProofFile, trust: &Trust) -> Vec<VerifierKey> {
    let size = Checkpoint::parse(file.checkpoint.text()).map_or(u64::MAX, |checkpoint| checkpoint.size);
    let signed = |key: &VerifierKey| file.checkpoint.lines().iter().any(|line| line.id == key.id());
    let mut keys: Vec<VerifierKey> = trust.keys_of_head(size).into_iter().filter(signed).collect();
    keys.truncate(LOG_KEYS_MAX);
    keys
}

/// The head whose checkpoint the file carries, signed by one of `keys`.
fn head_of(file: &ProofFile, epoch_entry: &[u8], trust: &Trust, keys: &[VerifierKey]) -> Result<Head, ProofFileError> {
    let signed = file.checkpoint.verify(keys)?;
    let Checkpoint { origin, size, root } = Checkpoint::parse(file.checkpoint.text())?;
    if origin != trust.origin().as_str() {
        return Err(ProofFileError::Origin);
    }
    let by =
        |key: &VerifierKey| file.checkpoint.lines().iter().find(|line| line.id == key.id() && line.name == key.name());
    let line = signed.first().and_then(|signed| by(signed.key)).expect("a verified line is one of the note's");
    Ok(Head {
        size,
        root,
        log_signature: line.signature.as_slice().try_into().expect("a log signature that verified has 64 bytes"),
        cosignatures: file.checkpoint.cosignatures(trust.policy().cosigners()),
        epoch_entry: epoch_entry.to_vec(),
        path: file.path.clone(),
    })
}

#[cfg(test)]
mod tests;
