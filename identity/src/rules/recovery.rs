//! Recovery: enrolments, attempts that are counted, a window, a veto, and a new device (PROTOCOL 5.8).
//!
//! Nothing here believes a PIN, a sign-in or a server. The log counts attempts before anybody evaluates them; only the key K, which
//! enough servers' answers to the right PIN make, starts the window; and until the window is over any voter ends it.
//!
//! A device that was stolen must not enrol a PIN of the thief's and be its own witness. So where others have a vote one voter's
//! enrolment waits for them like any act; and where nobody else has, that voter's confirm counts a window later only: until then the
//! words, or a recovery's own window, are in its way.

use super::draft::{Cause, Draft};
use super::power::{self, Signers};
use super::{Act, Refusal, aliases, effect, pending};
use crate::cert::{Attempt, DidKind, Enrolment, KeyBytes, Level, RecoverFinal, RecoverOpen, RecoverySet, Sid};
use crate::did::Did;
use crate::key::kid_of;
use crate::limits::{BACKOFF_MS, BREAKER_MS, DEVICES_MAX, GUESSES_MAX, PROVE_MS, READY_MS};
use crate::oprf;
use crate::state::{
    AttemptState, DeviceState, DeviceStatus, DidState, Power, RecoveryKeys, RecoveryPhase, RecoveryState,
};

/// The type of a `recovery_set`.
const SET: u8 = 15;

/// Returns the keys beside the DID's own that sign in a recovery: K, and that of the device that opened the newest attempt.
pub(super) fn keys(state: &DidState) -> impl Iterator<Item = KeyBytes> {
    let recovery = state.recovery.as_deref();
    let own = recovery.and_then(|recovery| recovery.keys).map(|keys| keys.sign);
    own.into_iter().chain(recovery.and_then(|recovery| recovery.attempt).map(|attempt| attempt.sign))
}

impl Act<'_> {
    /// recovery_set: I or J at once; the only V if there is no enrolment or its guesses are spent; else V after a window.
    pub(super) fn recovery_set(&self, draft: &mut Draft<'_>, set: &RecoverySet) -> Result<(), Refusal> {
        let power = self.needs_power(draft)?;
        let state = draft.did_mut(&self.did);
        if !matches!(state.kind, DidKind::User | DidKind::Server) {
            return Err(Refusal::NotAllowed);
        }
        may_set(state, set)?;
        if power > Power::Voter {
            return perform(state, set, 0, self.cause);
        }
        if is_free(state) {
            let fresh_until_ms = pending::due_from(state, self.cause.now_ms);
            return perform(state, set, fresh_until_ms, self.cause);
        }
        if let Some(open) = state.pending.iter().find(|act| act.kind == SET) {
            return Err(Refusal::ActOpen { sid: open.sid });
        }
        self.open(draft, power)
    }

    /// recover_open: R + N. The guess is spent, whatever comes of it.
    pub(super) fn recover_open(&self, draft: &mut Draft<'_>, open: &RecoverOpen) -> Result<(), Refusal> {
        self.new_key_signed(&open.sign)?;
        if !self.world.is_of_chain() {
            aliases::notary_signed(self.world, self.certificate, None)?;
        }
        let now_ms = self.cause.now_ms;
        let state = draft.did_mut(&self.did);
        let (recovery, keys) = enrolled(state, open.attempt)?;
        if recovery.is_pending() {
            return Err(Refusal::RecoveryPending { due_ms: recovery.due_ms });
        }
        if recovery.guesses >= GUESSES_MAX {
            return Err(Refusal::GuessesSpent);
        }
        if open.attempt.number != recovery.guesses + 1 {
            return Err(Refusal::BadAttempt { next: recovery.guesses + 1 });
        }
        if let Some(until_ms) = may_try_from(recovery).filter(|until_ms| now_ms < *until_ms) {
            return Err(Refusal::Backoff { until_ms });
        }
        if now_ms < recovery.breaker_ms && open.evidence.len() < usize::from(keys.sign_ins) {
            return Err(Refusal::Breaker { until_ms: recovery.breaker_ms });
        }
        if open.evidence.len() < usize::from(keys.needed) {
            return Err(Refusal::TooFew { needed: keys.needed });
        }
        if !oprf::is_element(&open.blinded) {
            return Err(Refusal::BadPoint);
        }
        let kid = kid_of(&open.sign);
        if state.device(&kid).is_some() || [state.identity, keys.sign].iter().any(|key| kid_of(key) == kid) {
            return Err(Refusal::KidTaken);
        }
        let attempt = AttemptState { sid: self.cause.sid, sign: open.sign, kex: open.kex, at_ms: now_ms };
        let recovery = of(state)?;
        recovery.guesses += 1;
        (recovery.phase, recovery.attempt) = (RecoveryPhase::Open, Some(attempt));
        Ok(())
    }

    /// recover_prove: K + R, soon after the attempt. The window begins, and every lookup says so.
    pub(super) fn recover_prove(&self, draft: &mut Draft<'_>, attempt: Attempt) -> Result<(), Refusal> {
        let state = draft.did_mut(&self.did);
        let (recovery, _) = enrolled(state, attempt)?;
        self.recoverer_signed(recovery)?;
        if recovery.is_pending() {
            return Err(Refusal::RecoveryPending { due_ms: recovery.due_ms });
        }
        if attempt.number != recovery.guesses {
            return Err(Refusal::BadAttempt { next: recovery.guesses + 1 });
        }
        let until_ms = recovery.attempt.map_or(0, |attempt| attempt.at_ms.saturating_add(PROVE_MS));
        if recovery.phase != RecoveryPhase::Open || self.cause.now_ms > until_ms {
            return Err(Refusal::OpenExpired);
        }
        let due_ms = pending::due_from(state, self.cause.now_ms);
        let recovery = of(state)?;
        (recovery.phase, recovery.due_ms) = (RecoveryPhase::Proved, due_ms);
        Ok(())
    }

    /// recover_final: K + R, once the window is over or a voter confirmed. The new device is a voter; whoever is not kept is gone.
    pub(super) fn recover_final(&self, draft: &mut Draft<'_>, last: &RecoverFinal) -> Result<(), Refusal> {
        let state = draft.did_mut(&self.did);
        let (recovery, _) = enrolled(state, last.attempt)?;
        self.recoverer_signed(recovery)?;
        self.new_key_signed(&last.device.sign)?;
        if recovery.phase != RecoveryPhase::Ready {
            return Err(Refusal::NotReady { due_ms: recovery.due_ms });
        }
        if last.attempt.number != recovery.guesses {
            return Err(Refusal::BadAttempt { next: recovery.guesses + 1 });
        }
        let is_its = recovery.attempt.is_some_and(|attempt| attempt.sign == last.device.sign);
        if !is_its || last.device.level != Level::Admin {
            return Err(Refusal::NotAllowed);
        }
        if let Some(words) = &last.words {
            self.new_key_signed(&words.identity)?;
            effect::may_rotate(state, words)?;
        }
        take_over(state, last, self.cause)
    }

    /// Asks for K and for the device that opened the attempt.
    fn recoverer_signed(&self, recovery: &RecoveryState) -> Result<(), Refusal> {
        let keys = recovery.keys.map(|keys| keys.sign).into_iter();
        let all = keys.chain(recovery.attempt.map(|attempt| attempt.sign));
        let (mut wanted, mut signed) = (0, 0);
        for key in all {
            wanted += 1;
            signed += usize::from(self.certificate.is_signed_by(&key));
        }
        if wanted == 2 && signed == 2 { Ok(()) } else { Err(Refusal::NotAllowed) }
    }
}

/// Ends every device that is not kept and every act that waits, lets the new device in, and ends the enrolment: its PIN was used.
fn take_over(state: &mut DidState, last: &RecoverFinal, cause: Cause) -> Result<(), Refusal> {
    let kid = kid_of(&last.device.sign);
    let identity = last.words.map_or(state.identity, |words| words.identity);
    if state.device(&kid).is_some() || kid_of(&identity) == kid {
        return Err(Refusal::KidTaken);
    }
    let is_heard = |kid| state.device(kid).is_some_and(|device| device.status != DeviceStatus::Suspended);
    if !last.keep.iter().all(is_heard) {
        return Err(Refusal::NoSuchDevice);
    }
    if last.keep.len() >= DEVICES_MAX {
        return Err(Refusal::TooMany);
    }
    state.pending.clear();
    state.devices.retain(|device| last.keep.contains(&kid_of(&device.sign)));
    let (sign, kex, level) = (last.device.sign, last.device.kex, last.device.level);
    let (status, index, until_ms) = (DeviceStatus::Live, cause.index, 0);
    state.devices.push(DeviceState { sign, kex, level, status, index, until_ms });
    state.devices.sort_by_key(|device| kid_of(&device.sign));
    if let Some(words) = last.words {
        (state.identity, state.words_box) = (words.identity, words.words_box);
    }
    end(state);
    power::user_key_is_stale(state);
    pending::refresh(state, cause.now_ms);
    Ok(())
}

/// Refuses an enrolment that is not the next, or could not be used.
fn may_set(state: &DidState, set: &RecoverySet) -> Result<(), Refusal> {
    let next = state.recovery.as_ref().map_or(1, |recovery| recovery.epoch.saturating_add(1));
    if set.epoch != next {
        return Err(Refusal::BadEpoch { epoch: next });
    }
    let Some(enrolment) = &set.enrolment else {
        let is_enrolled = state.recovery.as_ref().is_some_and(|recovery| recovery.keys.is_some());
        return if is_enrolled { Ok(()) } else { Err(Refusal::NoRecovery) };
    };
    if !enrolment.is_sound() {
        return Err(Refusal::BadThreshold);
    }
    if !enrolment.servers.iter().all(|server| oprf::is_element(&server.oprf)) {
        return Err(Refusal::BadPoint);
    }
    let kid = kid_of(&enrolment.sign);
    if state.device(&kid).is_some() || kid_of(&state.identity) == kid { Err(Refusal::KidTaken) } else { Ok(()) }
}

/// Whether nobody is passed over and no way back lost by a new enrolment: there is one device with a vote, and no enrolment, or its
/// guesses are spent and none of them was right.
fn is_free(state: &DidState) -> bool {
    if state.devices.iter().filter(|device| device.counts()).count() > 1 {
        return false;
    }
    state.recovery.as_ref().is_none_or(|recovery| match recovery.phase {
        RecoveryPhase::None => true,
        RecoveryPhase::Live | RecoveryPhase::Open => recovery.guesses == GUESSES_MAX,
        RecoveryPhase::Proved | RecoveryPhase::Ready | RecoveryPhase::Burnt => false,
    })
}

/// Puts the next enrolment in the place of what there was, an attempt of it included.
pub(super) fn perform(
    state: &mut DidState,
    set: &RecoverySet,
    fresh_until_ms: u64,
    cause: Cause,
) -> Result<(), Refusal> {
    may_set(state, set)?;
    let keys = set.enrolment.as_ref().map(|enrolment| keys_of(enrolment, fresh_until_ms, cause));
    let phase = if keys.is_some() { RecoveryPhase::Live } else { RecoveryPhase::None };
    let (epoch, guesses, attempt) = (set.epoch, 0, None);
    let recovery = RecoveryState { epoch, phase, keys, guesses, attempt, due_ms: 0, breaker_ms: 0 };
    state.recovery = Some(Box::new(recovery));
    power::user_key_is_stale(state);
    Ok(())
}

fn keys_of(enrolment: &Enrolment, fresh_until_ms: u64, cause: Cause) -> RecoveryKeys {
    let (sign_ins, needed) = (enrolment.sign_ins.len() as u8, enrolment.needed);
    let (index, sid, sign, kex) = (cause.index, cause.sid, enrolment.sign, enrolment.kex);
    RecoveryKeys { index, sid, sign, kex, sign_ins, needed, fresh_until_ms }
}

/// Ends an enrolment, if there is one; its epoch stays.
pub(super) fn end(state: &mut DidState) {
    if let Some(recovery) = &mut state.recovery {
        let (phase, keys, attempt) = (RecoveryPhase::None, None, None);
        **recovery =
            RecoveryState { epoch: recovery.epoch, phase, keys, guesses: 0, attempt, due_ms: 0, breaker_ms: 0 };
    }
}

/// Returns whether a vote is about the newest attempt of a recovery, which is no pending act.
pub(super) fn is_about(state: &DidState, act: &Sid) -> bool {
    let attempt = state.recovery.as_ref().and_then(|recovery| recovery.attempt);
    attempt.is_some_and(|attempt| attempt.sid == *act)
}

/// A confirm by V or I: the recovery is ready at once. While the enrolment is fresh V is not enough.
pub(super) fn confirm(draft: &mut Draft<'_>, did: &Did, by: &Signers, cause: Cause) -> Result<(), Refusal> {
    let (recovery, power) = voted_on(draft, did, by)?;
    let is_fresh = recovery.keys.is_some_and(|keys| cause.now_ms < keys.fresh_until_ms);
    match recovery.phase {
        RecoveryPhase::Proved if is_fresh && power == Power::Voter => Err(Refusal::NotAllowed),
        RecoveryPhase::Proved => {
            (recovery.phase, recovery.due_ms) = (RecoveryPhase::Ready, cause.now_ms.saturating_add(READY_MS));
            Ok(())
        }
        RecoveryPhase::Ready => Err(Refusal::AlreadyVoted),
        RecoveryPhase::Open => Err(Refusal::NotReady { due_ms: 0 }),
        _ => Err(Refusal::NoSuchAct),
    }
}

/// A veto by V or I: the epoch is burnt, from its first attempt to the last moment before the new device takes over.
pub(super) fn veto(draft: &mut Draft<'_>, did: &Did, by: &Signers) -> Result<(), Refusal> {
    let (recovery, _) = voted_on(draft, did, by)?;
    if !matches!(recovery.phase, RecoveryPhase::Open | RecoveryPhase::Proved | RecoveryPhase::Ready) {
        return Err(Refusal::NoSuchAct);
    }
    (recovery.phase, recovery.due_ms) = (RecoveryPhase::Burnt, 0);
    Ok(())
}

/// Returns the recovery and the signers' power if they have a voice on it: I, or voters. A recovery is the way out for who is
/// suspended wrongly, so the suspended are not heard.
fn voted_on<'d>(draft: &'d mut Draft<'_>, did: &Did, by: &Signers) -> Result<(&'d mut RecoveryState, Power), Refusal> {
    let state = draft.did_mut(did);
    if by.any_suspended(state, &[]) {
        return Err(Refusal::Suspended);
    }
    let power = by.power(state).ok_or(Refusal::NotAllowed)?;
    Ok((of(state)?, power))
}

/// Lets a phase end whose time has come: the window into readiness, readiness into nothing.
pub(super) fn settle(state: &mut DidState) {
    let Some(recovery) = &mut state.recovery else { return };
    match recovery.phase {
        // Counted from the due itself: a reader of the chain does not learn which Epoch settled it.
        RecoveryPhase::Proved => {
            (recovery.phase, recovery.due_ms) = (RecoveryPhase::Ready, recovery.due_ms.saturating_add(READY_MS));
        }
        _ => (recovery.phase, recovery.due_ms) = (RecoveryPhase::Live, 0),
    }
}

/// A sign-in of the DID's alias was disputed: for a week an attempt has to show every sign-in that is listed.
pub(super) fn break_circuit(state: &mut DidState, now_ms: u64) {
    if let Some(recovery) = state.recovery.as_mut().filter(|recovery| recovery.keys.is_some()) {
        recovery.breaker_ms = now_ms.saturating_add(BREAKER_MS);
    }
}

/// Returns when the next attempt may begin; `None`: the first may at any time.
fn may_try_from(recovery: &RecoveryState) -> Option<u64> {
    let before = recovery.attempt?;
    Some(before.at_ms.saturating_add(*BACKOFF_MS.get(usize::from(recovery.guesses))?))
}

/// Returns the enrolment an attempt is for, unless it is over or another's.
fn enrolled(state: &DidState, attempt: Attempt) -> Result<(&RecoveryState, RecoveryKeys), Refusal> {
    let recovery = state.recovery.as_deref().ok_or(Refusal::NoRecovery)?;
    let keys = recovery.keys.ok_or(Refusal::NoRecovery)?;
    if attempt.epoch != recovery.epoch {
        return Err(Refusal::BadEpoch { epoch: recovery.epoch });
    }
    if recovery.phase == RecoveryPhase::Burnt { Err(Refusal::Burnt) } else { Ok((recovery, keys)) }
}

fn of(state: &mut DidState) -> Result<&mut RecoveryState, Refusal> {
    state.recovery.as_deref_mut().ok_or(Refusal::NoRecovery)
}
