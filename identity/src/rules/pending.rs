//! Acts that wait: opened, confirmed, vetoed, contested (PROTOCOL 5.4, 5.5).

use super::draft::{Cause, Draft};
use super::power::{self, Signers};
use super::{Refusal, effect};
use crate::cert::{Body, DeviceEnd, Kid, Sid};
use crate::did::Did;
use crate::key::kid_of;
use crate::limits::{NEWCOMER_MS, NEWCOMER_WAIT_MS, PENDING_MAX};
use crate::state::{DeviceState, DeviceStatus, DidState, Pending, Power};

/// Returns until when an act or a probation waits that begins now: a window; a newcomer's is short.
pub(super) fn due_from(state: &DidState, now_ms: u64) -> u64 {
    let window_ms = state.window_s.saturating_mul(1_000);
    let wait_ms = match now_ms.saturating_sub(state.born_ms) < NEWCOMER_MS {
        true => window_ms.min(NEWCOMER_WAIT_MS),
        false => window_ms,
    };
    now_ms.saturating_add(wait_ms)
}

/// Puts an act among those that wait.
pub(super) fn open(
    state: &mut DidState,
    body: &Body,
    power: Power,
    supporters: Vec<Kid>,
    cause: Cause,
) -> Result<(), Refusal> {
    if state.pending.len() >= PENDING_MAX {
        return Err(Refusal::TooMany);
    }
    state.pending.push(Pending {
        sid: cause.sid,
        kind: body.kind(),
        power,
        due_ms: due_from(state, cause.now_ms),
        supporters,
        opponents: Vec::new(),
        index: cause.index,
        body: body.encode(),
    });
    Ok(())
}

/// Refuses a second act against one device.
pub(super) fn not_open_against(state: &DidState, kid: &Kid) -> Result<(), Refusal> {
    match state.pending.iter().find(|act| target(act) == Some(*kid)) {
        Some(open) => Err(Refusal::ActOpen { sid: open.sid }),
        None => Ok(()),
    }
}

/// Ends the acts that a device opened when signers of `power` hold it down, as their veto would; those against devices stay.
pub(super) fn veto_acts_of(state: &mut DidState, kid: &Kid, power: Power) {
    state.pending.retain(|act| act.supporters.first() != Some(kid) || act.power > power || target(act).is_some());
}

/// Supports a pending act; strong enough together, its supporters complete it at once.
pub(super) fn confirm(draft: &mut Draft<'_>, did: &Did, sid: &Sid, by: &Signers, cause: Cause) -> Result<(), Refusal> {
    let zone = draft.world.zone();
    let state = draft.did_mut(did);
    let (place, mut act) = find(state, sid)?;
    let body = decode(&act)?;
    let voices = voices(state, by, &act)?;
    let gives_in = target(&act).filter(|kid| voices.contains(kid));
    let contested = !act.opponents.is_empty();
    act.opponents.retain(|kid| Some(*kid) != gives_in);
    add_votes(&mut act.supporters, &act.opponents, &voices)?;
    act.power = power::power_of_side(&act.supporters, &parties(&act), state).map_or(act.power, |p| p.max(act.power));
    let completed = match body {
        Body::DeviceSuspend(_) => false,
        _ => gives_in.is_some() || effect::is_at_once(&body, act.power),
    };
    if completed {
        state.pending.remove(place);
        refresh(state, cause.now_ms);
        let cause = Cause { index: act.index, sid: act.sid, now_ms: cause.now_ms };
        return effect::perform(draft, did, &body, act.power, zone, cause);
    }
    // A suspension holds from its start; support that decides a quarrel lets it run for a window of its own.
    if contested && (gives_in.is_some() || act.power > Power::Voter) {
        act.opponents.clear();
        act.due_ms = due_from(state, cause.now_ms);
    }
    state.pending[place] = act;
    refresh(state, cause.now_ms);
    Ok(())
}

/// Opposes a pending act: withdraws, ends or contests it.
pub(super) fn veto(draft: &mut Draft<'_>, did: &Did, sid: &Sid, by: &Signers, cause: Cause) -> Result<(), Refusal> {
    let state = draft.did_mut(did);
    let (place, mut act) = find(state, sid)?;
    let voices = voices(state, by, &act)?;
    let withdrawn = act.supporters.first().is_some_and(|opener| voices.contains(opener));
    if withdrawn || !is_contest(state, by, &act)? {
        state.pending.remove(place);
        refresh(state, cause.now_ms);
        return Ok(());
    }
    let begins = act.opponents.is_empty();
    add_votes(&mut act.opponents, &act.supporters, &voices)?;
    if power::power_of_side(&act.opponents, &parties(&act), state) > Some(Power::Voter) {
        state.pending.remove(place);
    } else {
        state.pending[place] = act.clone();
        if begins {
            end_other_acts(state, &act);
        }
    }
    refresh(state, cause.now_ms);
    Ok(())
}

/// Returns whether a veto begins or joins a quarrel (`true`) or ends the act; refused if it is too weak for either.
fn is_contest(state: &DidState, by: &Signers, act: &Pending) -> Result<bool, Refusal> {
    // A member or a host has no voice to contest with: it never counts among voters.
    let speaks_for_itself = |kid: &Kid| by.has_kid(kid) && state.device(kid).is_some_and(DeviceState::counts);
    let power = match by.power(state) {
        Some(power) => power,
        None if target(act).as_ref().is_some_and(speaks_for_itself) => Power::Voter,
        None => return Err(Refusal::NotAllowed),
    };
    if power < act.power {
        return Err(Refusal::NotAllowed);
    }
    Ok(power == Power::Voter && target(act).is_some())
}

/// Brings flags, suspensions and probations in line with the acts that wait. A suspension that begins makes the user key stale.
///
/// Suspended is whoever a pending suspension or revocation is against, and while it is contested its opener too. Probation
/// stands still while the DID is frozen, when nobody may remove a fresh device, and begins anew after.
pub(super) fn refresh(state: &mut DidState, now_ms: u64) {
    let frozen = state.pending.iter().any(|act| !act.opponents.is_empty());
    state.flags = if frozen { state.flags | DidState::FROZEN } else { state.flags & !DidState::FROZEN };
    let held: Vec<(Kid, u64)> = state.pending.iter().flat_map(held_by).collect();
    let due_ms = due_from(state, now_ms);
    let mut begun = false;
    for device in &mut state.devices {
        let kid = kid_of(&device.sign);
        // 0, without end, is later than any time.
        let until_ms =
            held.iter().filter(|(held, _)| *held == kid).map(|(_, ms)| *ms).max_by_key(|ms| ms.wrapping_sub(1));
        match (device.status, until_ms) {
            (DeviceStatus::Fresh, _) if frozen => device.until_ms = 0,
            (DeviceStatus::Fresh, _) if device.until_ms == 0 => device.until_ms = due_ms,
            (DeviceStatus::Fresh, _) => {}
            (status, Some(until_ms)) => {
                begun |= status != DeviceStatus::Suspended;
                (device.status, device.until_ms) = (DeviceStatus::Suspended, until_ms);
            }
            (DeviceStatus::Suspended, None) => (device.status, device.until_ms) = (DeviceStatus::Live, 0),
            (DeviceStatus::Live, None) => {}
        }
    }
    if begun {
        power::user_key_is_stale(state);
    }
}

/// Returns the device a pending suspension or revocation is against.
pub(super) fn target(act: &Pending) -> Option<Kid> {
    match decode(act) {
        Ok(Body::DeviceSuspend(DeviceEnd { kid, .. }) | Body::DeviceRevoke(DeviceEnd { kid, .. })) => Some(kid),
        _ => None,
    }
}

/// Returns the parties of a suspension or revocation, opener first: both are heard even while suspended.
pub(super) fn parties(act: &Pending) -> Vec<Kid> {
    target(act).map_or_else(Vec::new, |target| act.supporters.first().copied().into_iter().chain([target]).collect())
}

/// Returns the devices an act keeps suspended, with the time until which.
fn held_by(act: &Pending) -> Vec<(Kid, u64)> {
    let Some(target) = target(act) else { return Vec::new() };
    match act.opponents.is_empty() {
        true => vec![(target, act.due_ms)],
        false => parties(act).into_iter().map(|kid| (kid, 0)).collect(),
    }
}

/// Ends the other acts of both parties: a quarrel leaves nothing of theirs to ripen.
fn end_other_acts(state: &mut DidState, quarrel: &Pending) {
    let parties = parties(quarrel);
    let is_theirs = |act: &Pending| act.supporters.first().is_some_and(|opener| parties.contains(opener));
    state.pending.retain(|act| act.sid == quarrel.sid || !is_theirs(act));
}

/// Returns whose voices count on an act: the identity key, voters, its opener and the device it is against.
fn voices(state: &DidState, by: &Signers, act: &Pending) -> Result<Vec<Kid>, Refusal> {
    let concerned: Vec<Kid> = act.supporters.first().copied().into_iter().chain(target(act)).collect();
    if by.any_suspended(state, &concerned) {
        return Err(Refusal::Suspended);
    }
    let voices = by.voices(state, &concerned);
    if voices.is_empty() { Err(Refusal::NotAllowed) } else { Ok(voices) }
}

fn add_votes(side: &mut Vec<Kid>, other: &[Kid], voices: &[Kid]) -> Result<(), Refusal> {
    let new: Vec<Kid> = voices.iter().filter(|kid| !side.contains(kid)).copied().collect();
    if new.is_empty() || new.iter().any(|kid| other.contains(kid)) {
        return Err(Refusal::AlreadyVoted);
    }
    side.extend(new);
    Ok(())
}

fn find(state: &DidState, sid: &Sid) -> Result<(usize, Pending), Refusal> {
    let place = state.pending.iter().position(|act| act.sid == *sid).ok_or(Refusal::NoSuchAct)?;
    Ok((place, state.pending[place].clone()))
}

/// Returns what a pending act does.
pub(super) fn decode(act: &Pending) -> Result<Body, Refusal> {
    Body::decode(act.kind, &act.body).map_err(|_| Refusal::NoSuchAct)
}
