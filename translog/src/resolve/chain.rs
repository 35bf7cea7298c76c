//! A DID met before: its state, and the certificates since, follow the one remembered (PROTOCOL 11.3 step 7, 11.5).

use identity::cert::{Body, Certificate};
use identity::did::Did;
use identity::state::{ChainHead, DidState};
use identity::time::Timestamp;

use super::{ProvedStates, SignedHead, VerifyError, certificate_leaf};
use crate::entry::Epoch;
use crate::resolution::{ChainRow, EpochProof};
use crate::tree::verify_inclusion;
use crate::trust::Memory;

/// A certificate of a chain, proved to stand at its place in the log and in time.
///
/// Its signatures, and whether the rules allow it, are for whoever folds the chain from the remembered state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainStep {
    /// Its log index.
    pub index: u64,
    /// The time of the Epoch that closed its batch: the one the rules judge it at.
    pub epoch: Timestamp,
    /// The certificate.
    pub certificate: Certificate,
}

/// Checks the DID's state against the one remembered; returns the certificates sent of those between the two.
pub(super) fn follows(
    memory: &Memory,
    proved: &ProvedStates,
    rows: &[ChainRow],
    head: &SignedHead<'_>,
) -> Result<Vec<ChainStep>, VerifyError> {
    let known = proved.did.as_ref().and_then(|did| Some((did, memory.known(&did.did)?.state())));
    let Some((did, known)) = known else {
        return if rows.is_empty() { Ok(Vec::new()) } else { Err(VerifyError::Chain) };
    };
    not_older(known, did)?;
    let mut newest = known.head;
    let mut steps: Vec<ChainStep> = Vec::with_capacity(rows.len());
    for row in rows {
        let step = placed(row, head).ok_or(VerifyError::Chain)?;
        let ascends = steps.last().is_none_or(|last| last.index < step.index);
        newest = extended(&newest, did.did, &step).filter(|_| ascends).ok_or(VerifyError::Chain)?;
        steps.push(step);
    }
    // The rows may end before the state does, never beyond it or elsewhere.
    if !leads_to(&newest, &did.head) { Err(VerifyError::Chain) } else { Ok(steps) }
}

/// A higher version may have a longer chain, the same version is the same state.
fn not_older(known: &DidState, now: &DidState) -> Result<(), VerifyError> {
    if now.version < known.version {
        return Err(VerifyError::Rollback);
    }
    let changed = now.version > known.version;
    if (!changed && now != known) || !leads_to(&known.head, &now.head) { Err(VerifyError::Chain) } else { Ok(()) }
}

fn leads_to(old: &ChainHead, new: &ChainHead) -> bool {
    old == new || (old.seq < new.seq && old.index < new.index)
}

/// The certificate of a row, if it is in the log between the Epochs shown and these are of this history.
fn placed(row: &ChainRow, head: &SignedHead<'_>) -> Option<ChainStep> {
    let newest = &head.met.head;
    let leaf = certificate_leaf(&row.envelope);
    verify_inclusion(&leaf, row.index, newest.size, &row.path, &newest.root).ok()?;
    let epoch = in_history(&row.epoch, row.k, &head.met.epoch)?;
    let opened_after = match (&row.before, row.k.checked_sub(1)) {
        (Some(before), Some(k)) => in_history(before, k, &head.met.epoch)?.covers < row.index,
        (None, None) => true,
        _ => false,
    };
    let certificate = Certificate::decode(&row.envelope).ok()?;
    let in_batch = opened_after && row.index < epoch.covers;
    in_batch.then_some(ChainStep { index: row.index, epoch: Timestamp::from_ms(epoch.time_ms), certificate })
}

/// The Epoch `k` of the history that the head's own Epoch commits to, or that Epoch itself.
fn in_history(proof: &EpochProof, k: u64, newest: &Epoch) -> Option<Epoch> {
    let epoch = Epoch::decode(&proof.entry).ok().filter(|epoch| epoch.k == k)?;
    if k == newest.k {
        return (epoch == *newest && proof.path.is_empty()).then_some(epoch);
    }
    verify_inclusion(&epoch.leaf_hash(), k, newest.k, &proof.path, &newest.history_root).ok()?;
    Some(epoch)
}

/// The end of the DID's chain after this certificate, which is its next one, or another chain's transfer to it.
fn extended(newest: &ChainHead, did: Did, step: &ChainStep) -> Option<ChainHead> {
    let payload = step.certificate.payload();
    if payload.subject != Some(did) {
        let received = matches!(payload.body, Body::Transfer { to: Some(to), .. } if to == did);
        return received.then_some(*newest);
    }
    let next = payload.prev == Some(newest.sid) && newest.seq.checked_add(1) == Some(payload.seq);
    let next = next && newest.index < step.index;
    next.then_some(ChainHead { seq: payload.seq, sid: step.certificate.sid(), index: step.index })
}
