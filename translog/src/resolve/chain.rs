//! A DID met before: its state follows from the one remembered by its own certificates (PROTOCOL 11.3 step 7, 11.5).

use identity::cert::Certificate;
use identity::name::Origin;
use identity::rules::{At, Chain};
use identity::state::{ChainHead, DidState};
use identity::time::Timestamp;

use super::{ProvedStates, SignedHead, VerifyError, certificate_leaf};
use crate::entry::Epoch;
use crate::resolution::{ChainRow, EpochProof};
use crate::tree::verify_inclusion;
use crate::trust::Memory;

/// A certificate of the DID's chain, proved to stand at its place in the log and in time, its signatures and the rules kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainStep {
    /// Its log index.
    pub index: u64,
    /// The time of the Epoch that closed its batch: the one the rules judged it at.
    pub epoch: Timestamp,
    /// The certificate.
    pub certificate: Certificate,
}

/// What the state of a DID rests on besides the map that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footing {
    /// On nothing: it is the first of this DID that was shown, and only who audits the log knows how it came to be.
    Map,
    /// On the state remembered: every certificate since was judged.
    Remembered,
    /// On the DID itself: every certificate from the genesis on was judged, so no key can be false.
    Genesis,
    /// On nothing yet: certificates of the chain are missing from this place on, and what they led to is not remembered.
    Unfollowed {
        /// The place of the first that is missing.
        next: u64,
    },
}

/// How far the chain was followed.
pub(super) struct Followed {
    /// The certificates that were.
    pub(super) steps: Vec<ChainStep>,
    /// What the state rests on now; `None` if the answer shows no DID.
    pub(super) footing: Option<Footing>,
    /// The state to remember, and whether all of it was followed from the genesis.
    pub(super) keep: Option<(DidState, bool)>,
}

/// Follows the rows from the state remembered, or from the genesis, and compares where they lead with the state shown.
pub(super) fn follow(
    origin: &Origin,
    memory: &Memory,
    proved: &ProvedStates,
    rows: &[ChainRow],
    head: &SignedHead<'_>,
) -> Result<Followed, VerifyError> {
    let Some(shown) = &proved.did else {
        let nothing = Followed { steps: Vec::new(), footing: None, keep: None };
        return if rows.is_empty() { Ok(nothing) } else { Err(VerifyError::Chain) };
    };
    let known = memory.known(&shown.did);
    let mut chain = match known {
        Some(known) => {
            not_older(known.state(), shown)?;
            Chain::after(origin.clone(), known.state().clone())
        }
        None => Chain::unborn(origin.clone(), shown.did),
    };
    let mut steps = Vec::with_capacity(rows.len());
    for row in rows {
        let step = placed(row, head).ok_or(VerifyError::Chain)?;
        let at = At { index: step.index, epoch_ms: step.epoch.as_ms() };
        chain.follow(&step.certificate, row.k, at).map_err(|_| VerifyError::Chain)?;
        steps.push(step);
    }
    let whole = known.is_none_or(|known| known.is_from_genesis());
    let Some(state) = chain.state() else {
        return Ok(Followed { steps, footing: Some(Footing::Map), keep: Some((shown.clone(), false)) });
    };
    if state.head == shown.head {
        let Epoch { k, time_ms, .. } = head.met.epoch;
        let footing = if whole { Footing::Genesis } else { Footing::Remembered };
        return match chain.leads_to(shown, k, time_ms) {
            true => Ok(Followed { steps, footing: Some(footing), keep: Some((shown.clone(), whole)) }),
            false => Err(VerifyError::Chain),
        };
    }
    // The rows may end before the state does, never beyond it or elsewhere.
    if !leads_to(&state.head, &shown.head) {
        return Err(VerifyError::Chain);
    }
    let footing = Footing::Unfollowed { next: state.head.seq + 1 };
    Ok(Followed { footing: Some(footing), keep: Some((state.clone(), whole)), steps })
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

#[cfg(test)]
pub(super) mod dora;
#[cfg(test)]
mod tests;
