//! One DID followed by its own certificates: what a reader can judge who has the chain and nothing else (PROTOCOL 11.5).

use std::sync::Arc;

use super::world::did_of;
use super::{At, Refusal, World, apply, candidates, settle};
use crate::cert::{Body, Certificate, KeyBytes, Verified};
use crate::did::Did;
use crate::name::{Origin, Zone};
use crate::state::{DidState, Leaf, State, Subject};

/// A DID's state as its certificates, and what fell due between them, have made it.
///
/// Judged by the same [`apply`] and [`settle`] as in the log, in a world of that DID alone. Keys, devices, acts, window, flags and
/// authorities, user key come out as the log has them. Two parts of the state depend on others and are not followed: its names, and the
/// version, which counts a change by others too.
#[derive(Clone, Debug)]
pub struct Chain {
    zone: Zone,
    origin: Origin,
    did: Did,
    leaf: Option<Arc<Leaf>>,
    /// The Epoch by whose time the state is settled; `None`: by that of an earlier head.
    settled_by: Option<u64>,
}

impl Chain {
    /// Returns the chain of a DID before its genesis.
    pub fn unborn(origin: Origin, did: Did) -> Self {
        Self { zone: origin.zone(), origin, did, leaf: None, settled_by: None }
    }

    /// Returns the chain of a DID whose state is known.
    pub fn after(origin: Origin, state: DidState) -> Self {
        let (did, head) = (state.did, state.head);
        let leaf = Leaf { head_index: head.index, head_hash: head.sid, state: State::Did(state) };
        Self { leaf: Some(Arc::new(leaf)), ..Self::unborn(origin, did) }
    }

    /// Returns the state so far; `None` before the genesis.
    pub fn state(&self) -> Option<&DidState> {
        self.leaf.as_deref().and_then(did_of)
    }

    /// Settles what was due when Epoch `k`, at `at.epoch_ms`, closed the batch of this certificate, and judges it.
    ///
    /// Its signatures are checked strictly. Those of other parties to a claim, transfer, alias_bind or recover_open are left
    /// out: their keys are not the chain's. A refusal leaves the chain as settled.
    pub fn follow(&mut self, certificate: &Certificate, k: u64, at: At) -> Result<(), Refusal> {
        self.follow_if(certificate, k, at, verify)
    }

    /// As [`Chain::follow`], the signatures checked by `verify`.
    pub(super) fn follow_if(
        &mut self,
        certificate: &Certificate,
        k: u64,
        at: At,
        verify: fn(&Certificate, &Origin, &[KeyBytes]) -> Result<Verified, Refusal>,
    ) -> Result<(), Refusal> {
        let head = self.state().map(|state| state.head);
        if certificate.chain_did() != Some(self.did) || head.is_some_and(|head| head.index >= at.index) {
            return Err(Refusal::StalePrev { head });
        }
        if self.settled_by != Some(k) {
            while self.settle_one(at.epoch_ms, false) {}
            self.settled_by = Some(k);
        }
        let world = self.world(false);
        let verified = verify(certificate, &self.origin, &candidates(&world, certificate))?;
        self.take(apply(&world, &verified, at)?.changes);
        Ok(())
    }

    /// Returns whether the log may show `shown` under Epoch `k`, at `epoch_ms`, if this chain is whole.
    ///
    /// Whether a due tombstone took effect rests on names below the DID's own; `shown` says which, and must fit.
    pub fn leads_to(&self, shown: &DidState, k: u64, epoch_ms: u64) -> bool {
        let is_settled = self.settled_by == Some(k);
        let mut chain = self.clone();
        loop {
            let mut last = chain.clone();
            while !is_settled && last.settle_one(epoch_ms, true) {}
            if last.state().is_some_and(|state| is_shown_as(state, shown)) {
                return true;
            }
            // Perhaps the earliest tombstone died, and a later one, or none, took effect.
            if is_settled || !chain.settle_one(epoch_ms, false) {
                return false;
            }
        }
    }

    /// Settles the earliest due; returns whether there was one.
    fn settle_one(&mut self, epoch_ms: u64, may_end: bool) -> bool {
        if self.leaf.is_none() {
            return false;
        }
        let effects = settle(&self.world(may_end), &Subject::Did(self.did), epoch_ms);
        self.take(effects.changes)
    }

    fn take(&mut self, changes: Vec<(Subject, Arc<Leaf>)>) -> bool {
        let own = changes.into_iter().find(|(subject, _)| *subject == Subject::Did(self.did));
        let changed = own.is_some();
        self.leaf = own.map(|(_, leaf)| leaf).or(self.leaf.take());
        changed
    }

    fn world(&self, may_end: bool) -> World {
        let mut world = World::of_chain(self.zone.clone(), self.origin.clone(), may_end);
        world.insert(Subject::Did(self.did), self.leaf.clone());
        world
    }
}

/// Checks the signatures by the chain's keys, and that nobody else signed where no other party has a part.
fn verify(certificate: &Certificate, origin: &Origin, keys: &[KeyBytes]) -> Result<Verified, Refusal> {
    Ok(match certificate.payload().body {
        Body::Claim(_) | Body::Transfer { to: Some(_), .. } | Body::AliasBind(_) | Body::RecoverOpen(_) => {
            certificate.verify_one_party(origin, keys)?
        }
        _ => certificate.verify(origin, keys)?,
    })
}

/// Whether the log may show a state that was followed as `shown`: equal but for what others change.
fn is_shown_as(followed: &DidState, shown: &DidState) -> bool {
    let mut expected = DidState { version: shown.version, names: shown.names.clone(), ..followed.clone() };
    if shown.flags & DidState::ENDED != 0 {
        // A tombstone that ends a quarrel lets probations begin anew at its Epoch, whose time the chain does not tell.
        for (device, shown) in expected.devices.iter_mut().zip(&shown.devices) {
            (device.status, device.until_ms) = (shown.status, shown.until_ms);
        }
    }
    followed.version <= shown.version && expected == *shown
}
