//! What falls due: acts take effect, suspensions lapse, probation ends, recoveries ripen, holds run out (PROTOCOL 5.6).

use super::draft::{Cause, Draft};
use super::missing::Missing;
use super::{Effects, World, effect, pending, recovery};
use crate::cert::{Body, Kid, Sid};
use crate::did::Did;
use crate::key::kid_of;
use crate::state::{DeviceState, DeviceStatus, DidState, Leaf, NameStatus, State, Subject};

/// One thing that falls due in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A pending act.
    Act(Sid),
    /// The end of a device's probation.
    Probation(Kid),
    /// The end of a phase of a recovery.
    Recovery,
    /// The end of a name's hold.
    Hold,
}

/// Returns when the earliest thing in a state falls due, epoch ms.
pub fn due_ms(leaf: &Leaf) -> Option<u64> {
    earliest(&leaf.state).map(|(due_ms, _)| due_ms)
}

/// Returns the subjects that settling the earliest due of `subject` reads and `world` does not hold.
pub fn settle_wants(world: &World, subject: &Subject) -> Vec<Subject> {
    let Subject::Did(did) = subject else { return Vec::new() };
    if world.is_of_chain() {
        return Vec::new();
    }
    let mut missing = Missing::of(world);
    for act in world.did_if_loaded(did).map(|state| state.pending.as_slice()).unwrap_or_default() {
        if let Ok(body) = pending::decode(act) {
            effect::want_subjects(&mut missing, did, &body);
        }
    }
    missing.into_subjects()
}

/// Settles the earliest thing of `subject` that is due at or before `epoch_ms`; nothing due changes nothing.
///
/// `world` holds `subject` and what [`settle_wants`] names. An act that cannot take effect any more dies.
pub fn settle(world: &World, subject: &Subject, epoch_ms: u64) -> Effects {
    let nothing = Effects { changes: Vec::new() };
    let Some((due_at_ms, due)) = world.leaf(subject).and_then(|leaf| earliest(&leaf.state)) else { return nothing };
    if due_at_ms > epoch_ms {
        return nothing;
    }
    let settled = match (subject, due) {
        (Subject::Did(did), Due::Act(sid)) => act(world, did, &sid, epoch_ms),
        (Subject::Did(did), Due::Probation(kid)) => {
            let mut draft = Draft::of(world);
            for device in draft.did_mut(did).devices.iter_mut().filter(|device| kid_of(&device.sign) == kid) {
                (device.status, device.until_ms) = (DeviceStatus::Live, 0);
            }
            draft
        }
        (Subject::Did(did), Due::Recovery) => {
            let mut draft = Draft::of(world);
            recovery::settle(draft.did_mut(did));
            draft
        }
        (Subject::Name(name), Due::Hold) => {
            let mut draft = Draft::of(world);
            let state = draft.name_mut(name);
            (state.status, state.held_until_ms, state.did) = (NameStatus::Free, 0, None);
            (state.records, state.delegate, state.children) = (None, None, 0);
            draft
        }
        _ => return nothing,
    };
    settled.into_effects()
}

/// Takes a due act out and lets it take effect, if it still can.
fn act<'w>(world: &'w World, did: &Did, sid: &Sid, epoch_ms: u64) -> Draft<'w> {
    let mut draft = Draft::of(world);
    let state = draft.did_mut(did);
    let Some(place) = state.pending.iter().position(|act| act.sid == *sid) else { return draft };
    let act = state.pending.remove(place);
    // A revoked device was suspended until now; it must be judged as the others are.
    pending::refresh(state, epoch_ms);
    let removed = draft.clone();
    let cause = Cause { index: act.index, sid: act.sid, now_ms: epoch_ms };
    match pending::decode(&act) {
        Ok(Body::DeviceSuspend(_)) | Err(_) => draft,
        Ok(body) => match effect::perform(&mut draft, did, &body, act.power, world.zone(), cause) {
            Ok(()) if !draft.is_outgrown() => draft,
            _ => removed,
        },
    }
}

/// Returns the earliest due of a state; of equal ones acts come first, by sid, then devices, by kid, then recovery.
fn earliest(state: &State) -> Option<(u64, Due)> {
    match state {
        State::Did(did) => did_dues(did).min(),
        State::Name(name) if name.status == NameStatus::Held => Some((name.held_until_ms, Due::Hold)),
        _ => None,
    }
}

fn did_dues(state: &DidState) -> impl Iterator<Item = (u64, Due)> {
    let acts = state.pending.iter().filter(|act| act.opponents.is_empty()).map(|act| (act.due_ms, Due::Act(act.sid)));
    let on_probation = |device: &&DeviceState| device.status == DeviceStatus::Fresh && device.until_ms != 0;
    let fresh = state.devices.iter().filter(on_probation);
    let recovery = state.recovery.iter().filter(|recovery| recovery.due_ms != 0);
    acts.chain(fresh.map(|device| (device.until_ms, Due::Probation(kid_of(&device.sign)))))
        .chain(recovery.map(|recovery| (recovery.due_ms, Due::Recovery)))
}
