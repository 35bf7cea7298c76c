//! Acts that wait: opened, confirmed, vetoed, contested (PROTOCOL 5.4, 5.5).

use super::draft::{Cause, Draft};
use super::power::{self, Signers};
use super::{Refusal, effect};
use crate::cert::{Body, DeviceEnd, Kid, Sid};
use crate::did::Did;
use crate::key::kid_of;
use crate::limits::PENDING_MAX;
use crate::state::{DeviceStatus, DidState, Pending, Power};

/// How long a DID is young: in its first day its acts wait an hour at most.
const YOUNG_MS: u64 = 24 * 3_600_000;

/// The window of a young DID, at most.
const YOUNG_WINDOW_MS: u64 = 3_600_000;

/// Returns how long an act of this DID waits.
pub(super) fn window_ms(state: &DidState, now_ms: u64) -> u64 {
    let window_ms = state.window_s * 1_000;
    match now_ms.saturating_sub(state.born_ms) < YOUNG_MS {
        true => window_ms.min(YOUNG_WINDOW_MS),
        false => window_ms,
    }
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
        due_ms: cause.now_ms + window_ms(state, cause.now_ms),
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

/// Supports a pending act; strong enough together, its supporters complete it at once.
pub(super) fn confirm(draft: &mut Draft<'_>, did: &Did, sid: &Sid, by: &Signers, cause: Cause) -> Result<(), Refusal> {
    let zone = draft.world.zone();
    let state = draft.did_mut(did);
    let place = find(state, sid)?;
    let act = state.pending[place].clone();
    let target_agrees = target(&act).is_some_and(|kid| by.has_kid(&kid));
    may_vote(state, by, &act)?;
    let body = decode(&act)?;
    let row = &mut state.pending[place];
    add_votes(&mut row.supporters, &row.opponents, by, target_agrees)?;
    row.opponents.retain(|kid| !(target_agrees && Some(*kid) == target(&act)));
    let supporters = row.supporters.clone();
    let power = power::power_of_kids(&supporters, state).unwrap_or(act.power).max(act.power);
    state.pending[place].power = power;
    let contested = !act.opponents.is_empty();
    let decided = target_agrees || effect::is_at_once(&body, power);
    let done = match (&body, contested) {
        // A suspension holds from its start; support that decides a quarrel lets it run for a window of its own.
        (Body::DeviceSuspend(_), true) if target_agrees || power > Power::Voter => {
            let due_ms = cause.now_ms + window_ms(state, cause.now_ms);
            let row = &mut state.pending[place];
            row.opponents.clear();
            row.due_ms = due_ms;
            refresh(state);
            return Ok(());
        }
        (Body::DeviceSuspend(_), _) => false,
        _ => decided,
    };
    if !done {
        return Ok(());
    }
    state.pending.remove(place);
    refresh(state);
    let cause = Cause { index: act.index, sid: act.sid, now_ms: cause.now_ms };
    effect::perform(draft, did, &body, zone, cause)
}

/// Opposes a pending act: withdraws, ends or contests it.
pub(super) fn veto(draft: &mut Draft<'_>, did: &Did, sid: &Sid, by: &Signers) -> Result<(), Refusal> {
    let state = draft.did_mut(did);
    let place = find(state, sid)?;
    let act = state.pending[place].clone();
    let contests = target(&act).is_some_and(|kid| by.has_kid(&kid));
    may_vote(state, by, &act)?;
    let withdrawn = act.supporters.first().is_some_and(|opener| by.has_kid(opener));
    let power = match by.power(state) {
        Some(power) => power,
        None if contests => Power::Voter,
        None => return Err(Refusal::NotAllowed),
    };
    if power < act.power && !withdrawn {
        return Err(Refusal::NotAllowed);
    }
    let quarrel = target(&act).is_some() && act.power == Power::Voter;
    if withdrawn || power > act.power || !quarrel {
        state.pending.remove(place);
        refresh(state);
        return Ok(());
    }
    let row = &mut state.pending[place];
    add_votes(&mut row.opponents, &row.supporters, by, false)?;
    let opponents = row.opponents.clone();
    if power::power_of_kids(&opponents, state) > Some(Power::Voter) {
        state.pending.remove(place);
    } else if act.opponents.is_empty() {
        end_other_acts(state, &act);
    }
    refresh(state);
    Ok(())
}

/// Brings flags and suspensions in line with the acts that wait.
///
/// Suspended is whoever a pending suspension or revocation is against, and while it is contested its opener too.
pub(super) fn refresh(state: &mut DidState) {
    let contested = state.pending.iter().any(|act| !act.opponents.is_empty());
    state.flags = if contested { state.flags | DidState::FROZEN } else { state.flags & !DidState::FROZEN };
    let held: Vec<(Kid, u64)> = state.pending.iter().flat_map(held_by).collect();
    for device in &mut state.devices {
        let kid = kid_of(&device.sign);
        match held.iter().find(|(held, _)| *held == kid) {
            Some((_, until_ms)) => (device.status, device.until_ms) = (DeviceStatus::Suspended, *until_ms),
            None if device.status == DeviceStatus::Suspended => {
                (device.status, device.until_ms) = (DeviceStatus::Live, 0)
            }
            None => {}
        }
    }
}

/// Returns the device a pending suspension or revocation is against.
pub(super) fn target(act: &Pending) -> Option<Kid> {
    match decode(act) {
        Ok(Body::DeviceSuspend(DeviceEnd { kid, .. }) | Body::DeviceRevoke(DeviceEnd { kid, .. })) => Some(kid),
        _ => None,
    }
}

/// Returns the devices an act keeps suspended, with the time until which.
fn held_by(act: &Pending) -> Vec<(Kid, u64)> {
    let Some(target) = target(act) else { return Vec::new() };
    match act.opponents.is_empty() {
        true => vec![(target, act.due_ms)],
        false => act.supporters.first().map(|opener| (*opener, 0)).into_iter().chain([(target, 0)]).collect(),
    }
}

/// Ends the other acts of both parties: a quarrel leaves nothing of theirs to ripen.
fn end_other_acts(state: &mut DidState, quarrel: &Pending) {
    let parties = [quarrel.supporters.first().copied(), target(quarrel)];
    state.pending.retain(|act| act.sid == quarrel.sid || !parties.contains(&act.supporters.first().copied()));
}

/// Lets vote: the identity key, voters, and a device on its own suspension or revocation.
fn may_vote(state: &DidState, by: &Signers, act: &Pending) -> Result<(), Refusal> {
    let on_itself = target(act).is_some_and(|kid| by.has_kid(&kid));
    let opener = act.supporters.first().is_some_and(|kid| by.has_kid(kid));
    if by.any_suspended(state) && !on_itself && !opener {
        return Err(Refusal::Suspended);
    }
    if by.power(state).is_none() && !on_itself && !opener {
        return Err(Refusal::NotAllowed);
    }
    Ok(())
}

fn add_votes(side: &mut Vec<Kid>, other: &[Kid], by: &Signers, changes_sides: bool) -> Result<(), Refusal> {
    let new: Vec<Kid> = by.kids().into_iter().filter(|kid| !side.contains(kid)).collect();
    if new.is_empty() || (!changes_sides && new.iter().any(|kid| other.contains(kid))) {
        return Err(Refusal::AlreadyVoted);
    }
    side.extend(new);
    Ok(())
}

fn find(state: &DidState, sid: &Sid) -> Result<usize, Refusal> {
    state.pending.iter().position(|act| act.sid == *sid).ok_or(Refusal::NoSuchAct)
}

/// Returns what a pending act does.
pub(super) fn decode(act: &Pending) -> Result<Body, Refusal> {
    Body::decode(act.kind, &act.body).map_err(|_| Refusal::NoSuchAct)
}
