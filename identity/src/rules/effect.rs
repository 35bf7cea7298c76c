//! What acts do once they take effect, at once or when due (PROTOCOL 5.3).

use super::draft::{Cause, Draft};
use super::missing::Missing;
use super::{Refusal, pending, power, recovery};
use crate::alias::AliasId;
use crate::cert::{Body, IdRotate, Kid};
use crate::did::Did;
use crate::key::kid_of;
use crate::limits::{AUTHORITIES_MAX, HOLD_MS, NAMES_MAX};
use crate::name::{Name, Zone};
use crate::state::{AuthorityState, DidState, NameState, NameStatus, Power, State, Subject};

/// Asks for the subjects an act reads or changes besides its own DID, as far as they can be known from what is loaded.
pub(super) fn want_subjects(missing: &mut Missing<'_>, did: &Did, body: &Body) {
    let world = missing.world;
    match body {
        Body::Claim(claim) => with_parent(missing, &claim.name),
        Body::Records(records) => missing.want_name(&records.name),
        Body::Delegate(delegate) => missing.want_name(&delegate.name),
        Body::Transfer { name, to } => {
            with_parent(missing, name);
            to.iter().copied().chain(world.owner_if_loaded(name)).for_each(|did| missing.want(did));
            if let Ok(name) = Name::parse(name, world.zone()) {
                name.ancestors(world.zone()).for_each(|above| missing.want_name(above.as_str()));
            }
        }
        Body::AliasBind(_) | Body::AliasUnbind { .. } | Body::Dispute(_) => {
            if let Some(alias) = body.alias() {
                missing.want(Subject::Alias(alias));
                world.holder_if_loaded(&alias).into_iter().for_each(|did| missing.want(did));
            }
        }
        Body::Tombstone => {
            let names = world.did_if_loaded(did).map(|state| state.names.as_slice()).unwrap_or_default();
            names.iter().for_each(|name| with_parent(missing, name));
        }
        _ => {}
    }
}

/// Asks for a name, the one above it, and that one's owner.
fn with_parent(missing: &mut Missing<'_>, name: &str) {
    let world = missing.world;
    missing.want_name(name);
    let parent = Name::parse(name, world.zone()).ok().and_then(|name| name.parent(world.zone()));
    if let Some(parent) = parent {
        world.owner_if_loaded(parent.as_str()).into_iter().for_each(|did| missing.want(did));
        missing.want_name(parent.as_str());
    }
}

/// Returns whether signers of this power let an act take effect at once.
pub(super) fn is_at_once(body: &Body, power: Power) -> bool {
    match body {
        Body::IdRotate(_) | Body::Transfer { .. } => power == Power::Identity,
        Body::Policy { .. }
        | Body::AliasUnbind { .. }
        | Body::NotaryAdd(_)
        | Body::DeviceRevoke(_)
        | Body::RecoverySet(_) => power >= Power::Majority,
        _ => false,
    }
}

/// Lets an act take effect that signers of `power` stand behind. A refusal here, when it is due, means that it dies.
pub(super) fn perform(
    draft: &mut Draft<'_>,
    did: &Did,
    body: &Body,
    power: Power,
    zone: &Zone,
    cause: Cause,
) -> Result<(), Refusal> {
    match body {
        Body::DeviceRevoke(end) => {
            let state = draft.did_mut(did);
            let target = state.device(&end.kid).ok_or(Refusal::NoSuchDevice)?;
            power::leaves_an_admin(state, target, power)?;
            end_device(state, &end.kid, cause.now_ms);
        }
        Body::IdRotate(keys) => {
            let state = draft.did_mut(did);
            may_rotate(state, keys)?;
            (state.identity, state.words_box) = (keys.identity, keys.words_box);
            power::user_key_is_stale(state);
        }
        Body::Policy { window_s } => draft.did_mut(did).window_s = *window_s,
        Body::RecoverySet(set) => recovery::perform(draft.did_mut(did), set, 0, cause)?,
        // What becomes of names and aliases is for other states to tell; the acts of this DID are all that a chain knows.
        Body::Transfer { .. } | Body::AliasUnbind { .. } if draft.world.is_of_chain() => {}
        Body::Transfer { name, to } => {
            may_move(draft, zone, did, name, *to)?;
            match to {
                Some(to) => give(draft, name, *to, cause),
                None => hold(draft, name, zone, cause),
            }
        }
        Body::AliasUnbind { alias } => {
            is_bound(draft, did, alias)?;
            let state = draft.alias_mut(alias);
            (state.did, state.breaker_ms) = (None, 0);
            state.attested.clear();
        }
        Body::Tombstone => {
            may_end(draft, did)?;
            let names = if draft.world.is_of_chain() { Vec::new() } else { draft.did_mut(did).names.clone() };
            for name in names {
                hold(draft, &name, zone, cause);
            }
            let state = draft.did_mut(did);
            state.pending.clear();
            recovery::end(state);
            pending::refresh(state, cause.now_ms);
            state.flags |= DidState::ENDED;
        }
        Body::NotaryAdd(authority) => {
            let authorities = &mut draft.did_mut(did).authorities;
            if authorities.len() >= AUTHORITIES_MAX {
                return Err(Refusal::TooMany);
            }
            authorities.push(AuthorityState { authority: authority.clone(), index: cause.index, revoked_at: None });
        }
        _ => return Err(Refusal::NotAllowed),
    }
    Ok(())
}

/// Ends a device: it is gone, and its support and opposition with it. Who opposed alone leaves the act a window of its own.
pub(super) fn end_device(state: &mut DidState, kid: &Kid, now_ms: u64) {
    state.devices.retain(|device| kid_of(&device.sign) != *kid);
    power::user_key_is_stale(state);
    let mut pending = std::mem::take(&mut state.pending);
    for act in &mut pending {
        let contested = !act.opponents.is_empty();
        act.supporters.retain(|supporter| supporter != kid);
        act.opponents.retain(|opponent| opponent != kid);
        if contested && act.opponents.is_empty() {
            act.due_ms = pending::due_from(state, now_ms);
        }
        act.power = power::power_of_side(&act.supporters, &pending::parties(act), state).unwrap_or(Power::Voter);
    }
    pending.retain(|act| !act.supporters.is_empty() && pending::target(act) != Some(*kid));
    state.pending = pending;
    pending::refresh(state, now_ms);
}

/// Refuses what is about an alias of somebody else.
pub(super) fn is_bound(draft: &Draft<'_>, did: &Did, alias: &AliasId) -> Result<(), Refusal> {
    let holder = draft.alias(alias).and_then(|state| state.did);
    if holder == Some(*did) { Ok(()) } else { Err(Refusal::NotBound) }
}

/// Refuses new words that are the old ones, or whose key is a device's.
pub(super) fn may_rotate(state: &DidState, keys: &IdRotate) -> Result<(), Refusal> {
    if state.identity == keys.identity {
        return Err(Refusal::KeySame);
    }
    match state.device(&kid_of(&keys.identity)) {
        Some(_) => Err(Refusal::KidTaken),
        None => Ok(()),
    }
}

/// Binds a free name to a DID.
pub(super) fn bind(draft: &mut Draft<'_>, name: &Name, did: Did, zone: &Zone, cause: Cause) {
    let text = name.as_str();
    if draft.name(text).is_none() {
        draft.create(
            State::Name(NameState {
                version: 1,
                name: text.to_owned(),
                did: Some(did),
                status: NameStatus::Live,
                claim_index: cause.index,
                held_until_ms: 0,
                records: None,
                delegate: None,
                children: 0,
            }),
            cause,
        );
    } else {
        let state = draft.name_mut_by(text, cause);
        (state.did, state.status, state.claim_index) = (Some(did), NameStatus::Live, cause.index);
        (state.held_until_ms, state.records, state.delegate, state.children) = (0, None, None, 0);
    }
    add_name(draft.did_mut(&did), text);
    if let Some(parent) = name.parent(zone) {
        draft.name_mut_by(parent.as_str(), cause).children += 1;
    }
}

/// Refuses a move that its DID may not make: neither owner of the name nor of one above it, or the name cannot go there.
pub(super) fn may_move(draft: &Draft<'_>, zone: &Zone, did: &Did, name: &str, to: Option<Did>) -> Result<(), Refusal> {
    let owner = draft.owner(name).ok_or(Refusal::NotNameOwner)?;
    let parsed = Name::parse(name, zone).map_err(|_| Refusal::BadName)?;
    if owner != *did && !parsed.ancestors(zone).any(|above| draft.owner(above.as_str()) == Some(*did)) {
        return Err(Refusal::NotNameOwner);
    }
    match to {
        None if draft.name(name).is_some_and(|state| state.children > 0) => Err(Refusal::HasChildren),
        None => Ok(()),
        Some(to) if to == owner => Err(Refusal::NameTaken),
        Some(to) => match draft.did(&to) {
            None => Err(Refusal::NotAllowed),
            Some(receiver) if receiver.flags & DidState::ENDED != 0 => Err(Refusal::Ended),
            Some(receiver) if receiver.names.len() >= NAMES_MAX => Err(Refusal::TooMany),
            Some(_) => Ok(()),
        },
    }
}

/// Refuses to end a DID one of whose names has live names below it.
pub(super) fn may_end(draft: &Draft<'_>, did: &Did) -> Result<(), Refusal> {
    if draft.world.is_of_chain() {
        return if draft.world.keeps_from_ending() { Err(Refusal::HasChildren) } else { Ok(()) };
    }
    let names = draft.did(did).map(|state| state.names.as_slice()).unwrap_or_default();
    match names.iter().any(|name| draft.name(name).is_some_and(|state| state.children > 0)) {
        true => Err(Refusal::HasChildren),
        false => Ok(()),
    }
}

fn give(draft: &mut Draft<'_>, name: &str, to: Did, cause: Cause) {
    if let Some(owner) = draft.owner(name) {
        draft.did_mut(&owner).names.retain(|known| known != name);
    }
    draft.name_mut_by(name, cause).did = Some(to);
    add_name(draft.did_mut(&to), name);
}

/// Holds a name: nobody may claim it for a while. It leaves its owner's list at once.
fn hold(draft: &mut Draft<'_>, name: &str, zone: &Zone, cause: Cause) {
    if let Some(owner) = draft.owner(name) {
        draft.did_mut(&owner).names.retain(|known| known != name);
    }
    let state = draft.name_mut_by(name, cause);
    (state.status, state.held_until_ms) = (NameStatus::Held, cause.now_ms.saturating_add(HOLD_MS));
    if let Some(parent) = Name::parse(name, zone).ok().and_then(|name| name.parent(zone)) {
        let parent = draft.name_mut_by(parent.as_str(), cause);
        parent.children = parent.children.saturating_sub(1);
    }
}

fn add_name(state: &mut DidState, name: &str) {
    state.names.push(name.to_owned());
    state.names.sort();
}
