//! The law: whether a certificate may follow, and what changes if it does (PROTOCOL 5).
//!
//! [`apply`] judges one certificate against the states it touches, at the place the log gives it. [`settle`] lets what is due
//! take effect. Server, client and auditor call the same functions; nothing else changes a state.
//!
//! How to read it: this file has a function for each type, in the order of the decision table (PROTOCOL 5.3). Who signed and
//! how strong that is stands in `power`, waiting acts and quarrels in `pending`, what acts do in `effect`, what falls due
//! in `settle`. A reader with one chain and no other state follows it in `chain`.
//!
//! Choices where the table leaves room, each the safe one:
//! - The power of a pending act is that of its opener and confirms together. A confirm that lifts it to a power that acts at
//!   once completes it there and then.
//! - Only voices stand in a pending act: the identity key and voters. A device on probation that signs along adds nothing.
//! - A suspension is a pending act too, so that it can be contested; at its due it lapses.
//! - A contested act has no due: only people end a quarrel. Probation stands still meanwhile, so that nobody outwaits it.
//! - A member or a host cannot contest: it never had a vote, and a stolen one must not freeze its owner.
//! - To suspend a device, or to open its revocation, is a veto of what it opened. Acts against devices alone stay: those end
//!   by a contest or a majority, else a thief could free his other devices.
//! - A revocation takes the device out of both sides of every pending act. An act without support dies; one without opponents
//!   any more waits a window of its own.
//! - An act that cannot take effect any more when it is due dies, and nothing else happens.

mod aliases;
mod chain;
mod draft;
mod effect;
mod missing;
mod pending;
mod power;
mod recovery;
mod refusal;
mod settle;
mod world;

use std::sync::Arc;

use crate::cert::{
    Authority, Body, Certificate, ChainId, Claim, ClaimProof, Delegate, Device, DeviceEnd, DidKind, Genesis, IdRotate,
    KeyBytes, Kid, Level, Payload, Records, Road, Role, Sid, SignatureRefusal, UserKey, Verified,
};
use crate::did::Did;
use crate::key::{PublicKey, kid_of};
use crate::limits::{AUTHORITIES_MAX, DEVICES_MAX, NAMES_MAX, WINDOW_DEFAULT_S, WINDOW_MAX_S, WORK_BITS_MAX};
use crate::name::Name;
use crate::pow;
use crate::record;
use crate::state::{
    ChainHead, DeviceState, DeviceStatus, DidState, Leaf, NameStatus, Power, State, Subject, UserKeyState,
};

use draft::{Cause, Draft};
use missing::Missing;
use power::Signers;

pub use chain::Chain;
pub use refusal::Refusal;
pub use settle::{due_ms, settle, settle_wants};
pub use world::World;

/// The place a certificate has: its log index, and the time of the Epoch that closes its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The log index.
    pub index: u64,
    /// The Epoch's time, ms since 1970.
    pub epoch_ms: u64,
}

/// What a decision changes: each state as it is afterwards, its version raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects {
    /// Each subject once, in order.
    pub changes: Vec<(Subject, Arc<Leaf>)>,
}

/// Returns the subjects the decision reads and `world` does not hold. Load them and ask again until nothing is missing.
pub fn wants(world: &World, certificate: &Certificate) -> Vec<Subject> {
    let payload = certificate.payload();
    let chain = certificate.chain();
    let mut missing = Missing::of(world);
    missing.want(chain);
    if world.is_of_chain() {
        return missing.into_subjects();
    }
    world.server().into_iter().chain(payload.by).for_each(|did| missing.want(did));
    let Some(did) = chain.did() else { return missing.into_subjects() };
    match &payload.body {
        Body::Confirm { act } | Body::Veto { act } => {
            let pending = world.did_if_loaded(&did).and_then(|state| state.pending.iter().find(|p| p.sid == *act));
            if let Some(body) = pending.and_then(|p| Body::decode(p.kind, &p.body).ok()) {
                effect::want_subjects(&mut missing, &did, &body);
            }
        }
        body => effect::want_subjects(&mut missing, &did, body),
    }
    missing.into_subjects()
}

/// Returns every key whose signature could count on this certificate; `world` holds what [`wants`] names.
pub fn candidates(world: &World, certificate: &Certificate) -> Vec<KeyBytes> {
    let payload = certificate.payload();
    let mut keys = payload.body.new_keys().signing;
    for did in [certificate.chain_did(), payload.by].into_iter().flatten() {
        if let Some(state) = world.did_if_loaded(&did) {
            if matches!(payload.body, Body::RecoverProve(_) | Body::RecoverFinal(_)) {
                keys.extend(recovery::keys(state));
            }
            keys.push(state.identity);
            keys.extend(state.devices.iter().map(|device| device.sign));
        }
    }
    if let Body::Claim(_) = payload.body {
        keys.extend(world.zone_authorities().map(|authority| authority.authority.key));
    }
    if aliases::asks_a_notary(&payload.body) {
        keys.extend(world.notaries().map(|notary| notary.authority.key));
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Judges a certificate. `world` holds what [`wants`] names; a refusal changes nothing.
pub fn apply(world: &World, certificate: &Verified, at: At) -> Result<Effects, Refusal> {
    let sid = certificate.certificate().sid();
    let payload = certificate.certificate().payload();
    let cause = Cause { index: at.index, sid, now_ms: at.epoch_ms };
    let mut draft = Draft::of(world);
    let did = match (certificate.certificate().chain(), &payload.body) {
        (ChainId::Did(did), _) => did,
        (ChainId::Alias(alias), Body::AttestLogin(login)) => {
            aliases::attest(&mut draft, alias, login, certificate, cause)?;
            return draft.finish();
        }
        (ChainId::Alias(_), _) => return Err(Refusal::NotAllowed),
    };
    if let Body::Genesis(body) = &payload.body {
        genesis(&mut draft, did, body, certificate, cause)?;
        return draft.finish();
    }
    let state = draft.did(&did).ok_or(Refusal::StalePrev { head: None })?;
    if state.flags & DidState::ENDED != 0 {
        return Err(Refusal::Ended);
    }
    if payload.seq.checked_sub(1) != Some(state.head.seq) || payload.prev != Some(state.head.sid) {
        return Err(Refusal::StalePrev { head: Some(state.head) });
    }
    let signers = Signers::of(state, certificate);
    let act = Act { world, did, payload, certificate, signers, cause };
    act.may_speak(state)?;
    act.judge(&mut draft)?;
    draft.did_mut(&did).head = ChainHead { seq: payload.seq, sid, index: at.index };
    draft.set_head(Subject::Did(did), cause);
    draft.finish()
}

/// One certificate on a chain that exists, with everything its judges need.
struct Act<'a> {
    world: &'a World,
    did: Did,
    payload: &'a Payload,
    certificate: &'a Verified,
    signers: Signers,
    cause: Cause,
}

impl Act<'_> {
    /// Refuses those who may not speak at all: the suspended, anybody but the identity key while frozen, and who has an act open.
    fn may_speak(&self, state: &DidState) -> Result<(), Refusal> {
        let votes = matches!(self.payload.body, Body::Confirm { .. } | Body::Veto { .. } | Body::Dispute(_));
        let is_heard = votes && !matches!(self.payload.body, Body::Dispute(_));
        if !is_heard && self.signers.any_suspended(state, &[]) {
            return Err(Refusal::Suspended);
        }
        if !votes && !self.recovers() && state.flags & DidState::FROZEN != 0 && !self.signers.identity {
            return Err(Refusal::Frozen);
        }
        if !votes && !self.is_always_open(state) {
            let open =
                state.pending.iter().find(|act| act.supporters.first().is_some_and(|kid| self.signers.has_kid(kid)));
            if let Some(open) = open.filter(|_| !self.signers.identity) {
                return Err(Refusal::ActOpen { sid: open.sid });
            }
        }
        if self.payload.by.is_some() && !matches!(self.payload.body, Body::Claim(_) | Body::Transfer { .. }) {
            return Err(Refusal::NotAllowed);
        }
        Ok(())
    }

    /// Whether it is a step of a recovery, which leads out of a quarrel.
    fn recovers(&self) -> bool {
        matches!(self.payload.body, Body::RecoverOpen(_) | Body::RecoverProve(_) | Body::RecoverFinal(_))
    }

    /// Whether a device may do this beside its own open act: records, the user key, which must not stay with whom the act is
    /// against, and an end to devices without a vote. Else a thief's new device would outlast its probation while the owner's act
    /// against the thief waits.
    fn is_always_open(&self, state: &DidState) -> bool {
        match &self.payload.body {
            Body::Records(_) | Body::UserKey(_) => true,
            Body::DeviceRevoke(end) => state.device(&end.kid).is_some_and(|device| !device.counts()),
            _ => false,
        }
    }

    fn judge(&self, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        match &self.payload.body {
            Body::Genesis(_) => Err(Refusal::DidExists),
            Body::Claim(body) => self.claim(draft, body),
            Body::DeviceAdd(body) => self.device_add(draft, body),
            Body::DeviceSuspend(body) => self.device_suspend(draft, body),
            Body::DeviceRevoke(body) => self.device_revoke(draft, body),
            Body::IdRotate(body) => self.id_rotate(draft, body),
            Body::Policy { window_s } => self.policy(draft, *window_s),
            Body::Transfer { name, to } => self.transfer(draft, name, *to),
            Body::AliasBind(body) => self.alias_bind(draft, body),
            Body::AliasUnbind { alias } => self.alias_unbind(draft, alias),
            Body::Records(body) => self.records(draft, body),
            Body::Delegate(body) => self.delegate(draft, body),
            Body::UserKey(body) => self.user_key(draft, body),
            Body::RecoverySet(body) => self.recovery_set(draft, body),
            Body::RecoverOpen(body) => self.recover_open(draft, body),
            Body::RecoverProve(attempt) => self.recover_prove(draft, *attempt),
            Body::RecoverFinal(body) => self.recover_final(draft, body),
            Body::Confirm { act } => self.confirm(draft, act),
            Body::Veto { act } => self.veto(draft, act),
            Body::Dispute(body) => self.dispute(draft, body),
            Body::Tombstone => self.tombstone(draft),
            Body::NotaryAdd(body) => self.notary_add(draft, body),
            Body::NotaryRevoke { kid } => self.notary_revoke(draft, kid),
            Body::AttestLogin(_) => Err(Refusal::NotAllowed),
        }
    }

    /// claim: (V or I) + Z at once; road 2 also a notary, road 4 a V of the parent's owner.
    fn claim(&self, draft: &mut Draft<'_>, claim: &Claim) -> Result<(), Refusal> {
        self.needs_power(draft)?;
        let zone = self.world.zone();
        let name = Name::parse(&claim.name, zone).map_err(|_| Refusal::BadName)?;
        if name.is_reserved(zone) {
            return Err(Refusal::ReservedName);
        }
        if self.world.is_of_chain() {
            return Ok(());
        }
        let (terms, authority) = self.world.terms().ok_or(Refusal::RoadClosed)?;
        let (road, first_level) = (road_of(claim), name.is_first_level(zone));
        if terms.roads & 1 << (road as u8 - 1) == 0 || (road != Road::Parent && !first_level) {
            return Err(Refusal::RoadClosed);
        }
        if draft.name(&claim.name).is_some_and(|known| known.status != NameStatus::Free) {
            return Err(Refusal::NameTaken);
        }
        match (claim.proof, name.parent(zone)) {
            (ClaimProof::Parent, None) => return Err(Refusal::NoParent),
            (ClaimProof::Parent, Some(parent)) => self.parent_grants(draft, &parent)?,
            (ClaimProof::Open { nonce, bits }, _) => {
                let work = pow::leading_zero_bits(&pow::work(&claim.name, &self.did, nonce));
                if bits < terms.work_floor_bits || work < u32::from(bits) {
                    return Err(Refusal::PowShort);
                }
            }
            (ClaimProof::Attested { .. }, _) => aliases::notary_signed(self.world, self.certificate, None).map(drop)?,
            (ClaimProof::Invite { .. }, _) => {}
        }
        self.zone_signed(&authority.authority.key)?;
        if draft.did(&self.did).is_some_and(|state| state.names.len() >= NAMES_MAX) {
            return Err(Refusal::TooMany);
        }
        effect::bind(draft, &name, self.did, zone, self.cause);
        Ok(())
    }

    fn parent_grants(&self, draft: &Draft<'_>, parent: &Name) -> Result<(), Refusal> {
        let owner = draft.owner(parent.as_str()).ok_or(Refusal::NoParent)?;
        if draft.is_delegated(parent.as_str()) {
            return Err(Refusal::NameDelegated);
        }
        if self.payload.by.is_some_and(|by| by != owner) || (self.payload.by.is_none() && owner != self.did) {
            return Err(Refusal::NotAllowed);
        }
        self.voter_of(draft, &owner)
    }

    fn zone_signed(&self, key: &KeyBytes) -> Result<(), Refusal> {
        if self.certificate.is_signed_by(key) {
            return Ok(());
        }
        let revoked = self.world.zone_authorities().filter(|old| self.certificate.is_signed_by(&old.authority.key));
        match revoked.filter_map(|old| old.revoked_at).next() {
            Some(revoked_at) => Err(Refusal::KeyRevoked { revoked_at }),
            None => Err(Refusal::NotAllowed),
        }
    }

    /// device_add: I+R or J+R make a voter, V+R an admin on probation; other levels have no vote to wait for.
    fn device_add(&self, draft: &mut Draft<'_>, device: &Device) -> Result<(), Refusal> {
        let power = self.needs_power(draft)?;
        self.new_key_signed(&device.sign)?;
        let now_ms = self.cause.now_ms;
        let state = draft.did_mut(&self.did);
        let kid = kid_of(&device.sign);
        if state.devices.iter().any(|known| kid_of(&known.sign) == kid) || kid_of(&state.identity) == kid {
            return Err(Refusal::KidTaken);
        }
        if state.devices.len() >= DEVICES_MAX {
            return Err(Refusal::TooMany);
        }
        let fresh = device.level == Level::Admin && power == Power::Voter;
        let (status, until_ms) = match fresh {
            true => (DeviceStatus::Fresh, pending::due_from(state, now_ms)),
            false => (DeviceStatus::Live, 0),
        };
        let (sign, kex, level, index) = (device.sign, device.kex, device.level, self.cause.index);
        state.devices.push(DeviceState { sign, kex, level, status, index, until_ms });
        state.devices.sort_by_key(|device| kid_of(&device.sign));
        Ok(())
    }

    /// device_suspend: V or I at once; it lapses after a window.
    fn device_suspend(&self, draft: &mut Draft<'_>, end: &DeviceEnd) -> Result<(), Refusal> {
        let power = self.needs_power(draft)?;
        let state = draft.did(&self.did).ok_or(Refusal::NoSuchDevice)?;
        let target = state.device(&end.kid).ok_or(Refusal::NoSuchDevice)?;
        if target.status == DeviceStatus::Fresh {
            return Err(Refusal::NotAllowed);
        }
        pending::not_open_against(state, &end.kid)?;
        power::leaves_an_admin(state, target, power)?;
        self.hold_down(draft, &end.kid, power)
    }

    /// device_revoke: I, J or the device itself at once; V at once if it is fresh or has no vote, else after a window.
    fn device_revoke(&self, draft: &mut Draft<'_>, end: &DeviceEnd) -> Result<(), Refusal> {
        let state = draft.did(&self.did).ok_or(Refusal::NoSuchDevice)?;
        let target = *state.device(&end.kid).ok_or(Refusal::NoSuchDevice)?;
        let by_itself = self.signers.has_kid(&end.kid);
        let power = match self.signers.power(state) {
            Some(power) => power,
            None if by_itself => Power::Voter,
            None => return Err(Refusal::NotAllowed),
        };
        power::leaves_an_admin(state, &target, power)?;
        if power > Power::Voter || by_itself || !target.counts() {
            effect::end_device(draft.did_mut(&self.did), &end.kid, self.cause.now_ms);
            return Ok(());
        }
        pending::not_open_against(state, &end.kid)?;
        self.hold_down(draft, &end.kid, power)
    }

    /// id_rotate: I+R at once; J or V, +R, after a window.
    fn id_rotate(&self, draft: &mut Draft<'_>, keys: &IdRotate) -> Result<(), Refusal> {
        let power = self.needs_power(draft)?;
        self.new_key_signed(&keys.identity)?;
        effect::may_rotate(draft.did_mut(&self.did), keys)?;
        self.now_or_later(draft, power)
    }

    /// policy: I or J at once, V after a window.
    fn policy(&self, draft: &mut Draft<'_>, window_s: u64) -> Result<(), Refusal> {
        let power = self.needs_power(draft)?;
        check_window(self.world, window_s)?;
        self.now_or_later(draft, power)
    }

    /// transfer, release: I at once, J or V after a window; a receiver's V signs too.
    fn transfer(&self, draft: &mut Draft<'_>, name: &str, to: Option<Did>) -> Result<(), Refusal> {
        let power = self.needs_power(draft)?;
        Name::parse(name, self.world.zone()).map_err(|_| Refusal::BadName)?;
        if self.payload.by != to.filter(|to| *to != self.did) {
            return Err(Refusal::NotAllowed);
        }
        if !self.world.is_of_chain() {
            if let Some(to) = to {
                self.voter_of(draft, &to)?;
            }
            effect::may_move(draft, self.world.zone(), &self.did, name, to)?;
        }
        self.now_or_later(draft, power)
    }

    /// records: V or I at once.
    fn records(&self, draft: &mut Draft<'_>, records: &Records) -> Result<(), Refusal> {
        self.needs_power(draft)?;
        Name::parse(&records.name, self.world.zone()).map_err(|_| Refusal::BadName)?;
        if self.world.is_of_chain() {
            return Ok(record::check(records)?);
        }
        if draft.owner(&records.name) != Some(self.did) {
            return Err(Refusal::NotNameOwner);
        }
        if draft.is_delegated(&records.name) {
            return Err(Refusal::NameDelegated);
        }
        record::check(records)?;
        let (index, sid) = (self.cause.index, self.cause.sid);
        draft.name_mut_by(&records.name, self.cause).records = Some((index, sid));
        Ok(())
    }

    /// delegate: V or I at once. The name's records go: whoever answers for it from now on has his own.
    fn delegate(&self, draft: &mut Draft<'_>, delegate: &Delegate) -> Result<(), Refusal> {
        self.needs_power(draft)?;
        Name::parse(&delegate.name, self.world.zone()).map_err(|_| Refusal::BadName)?;
        let is_chain = self.world.is_of_chain();
        if !is_chain && draft.owner(&delegate.name) != Some(self.did) {
            return Err(Refusal::NotNameOwner);
        }
        record::check_delegate(delegate)?;
        if delegate.log.as_ref().is_some_and(|log| PublicKey::admit(&log.key).is_err()) {
            return Err(SignatureRefusal::WeakKey.into());
        }
        if is_chain {
            return Ok(());
        }
        if !delegate.is_end() && draft.name(&delegate.name).is_some_and(|state| state.children > 0) {
            return Err(Refusal::HasChildren);
        }
        let (index, sid) = (self.cause.index, self.cause.sid);
        let state = draft.name_mut_by(&delegate.name, self.cause);
        state.delegate = (!delegate.is_end()).then_some((index, sid));
        state.records = state.records.filter(|_| delegate.is_end());
        Ok(())
    }

    /// user_key: V or I at once.
    fn user_key(&self, draft: &mut Draft<'_>, turned: &UserKey) -> Result<(), Refusal> {
        self.needs_power(draft)?;
        let state = draft.did_mut(&self.did);
        let next = state.user_key.as_ref().map_or(1, |old| old.generation.saturating_add(1));
        if turned.generation != next {
            return Err(Refusal::BadGeneration { next });
        }
        if state.user_key.as_ref().is_some_and(|old| old.key == turned.key) {
            return Err(Refusal::KeySame);
        }
        let recovery_box = state.recovery.as_ref().and_then(|recovery| recovery.recipient());
        let has_place = |kex: &KeyBytes| {
            *kex == state.words_box || Some(*kex) == recovery_box || state.devices.iter().any(|d| d.kex == *kex)
        };
        let same_boxes = state.user_key.as_ref().is_some_and(|old| old.boxes == turned.boxes);
        if same_boxes || turned.extras.iter().any(|extra| has_place(&extra.kex)) {
            return Err(Refusal::BadBoxes);
        }
        let (generation, key, boxes, extras) = (turned.generation, turned.key, turned.boxes, turned.extras.clone());
        state.user_key = Some(UserKeyState { generation, key, index: self.cause.index, boxes, extras });
        state.flags &= !DidState::USER_KEY_STALE;
        Ok(())
    }

    /// confirm: of an attempt to recover, or of an act that waits.
    fn confirm(&self, draft: &mut Draft<'_>, act: &Sid) -> Result<(), Refusal> {
        match recovery::is_about(draft.did_mut(&self.did), act) {
            true => recovery::confirm(draft, &self.did, &self.signers, self.cause),
            false => pending::confirm(draft, &self.did, act, &self.signers, self.cause),
        }
    }

    /// veto: of an attempt to recover, or of an act that waits.
    fn veto(&self, draft: &mut Draft<'_>, act: &Sid) -> Result<(), Refusal> {
        match recovery::is_about(draft.did_mut(&self.did), act) {
            true => recovery::veto(draft, &self.did, &self.signers),
            false => pending::veto(draft, &self.did, act, &self.signers, self.cause),
        }
    }

    /// tombstone: I, J or V, always after a window.
    fn tombstone(&self, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let power = self.needs_power(draft)?;
        if !self.world.is_of_chain() {
            effect::may_end(draft, &self.did)?;
        }
        self.open(draft, power)
    }

    /// notary_add: I or J of the server at once, V after a window.
    fn notary_add(&self, draft: &mut Draft<'_>, authority: &Authority) -> Result<(), Refusal> {
        self.is_server(draft)?;
        let power = self.needs_power(draft)?;
        if authority.role == Role::Zone {
            let terms = authority.zone.filter(|_| authority.scope == self.world.zone().as_str());
            if terms.is_none_or(|terms| terms.window_floor_s > WINDOW_MAX_S || terms.work_floor_bits > WORK_BITS_MAX) {
                return Err(Refusal::BadScope);
            }
        }
        if authority.role == Role::Alias && authority.scope != self.world.zone().as_str() {
            return Err(Refusal::BadScope);
        }
        if draft.did(&self.did).is_some_and(|state| state.authorities.len() >= AUTHORITIES_MAX) {
            return Err(Refusal::TooMany);
        }
        self.now_or_later(draft, power)
    }

    /// notary_revoke: I, J or V of the server at once.
    fn notary_revoke(&self, draft: &mut Draft<'_>, kid: &Kid) -> Result<(), Refusal> {
        self.is_server(draft)?;
        self.needs_power(draft)?;
        let index = self.cause.index;
        let authorities = &mut draft.did_mut(&self.did).authorities;
        let live = authorities.iter_mut().find(|a| a.revoked_at.is_none() && kid_of(&a.authority.key) == *kid);
        live.ok_or(Refusal::BadScope)?.revoked_at = Some(index);
        Ok(())
    }

    fn is_server(&self, draft: &Draft<'_>) -> Result<(), Refusal> {
        let is_server = match self.world.is_of_chain() {
            true => draft.did(&self.did).is_some_and(|state| state.kind == DidKind::Server),
            false => self.world.server() == Some(self.did),
        };
        if is_server { Ok(()) } else { Err(Refusal::NotServer) }
    }

    /// Returns the signers' power; nobody without one acts.
    fn needs_power(&self, draft: &Draft<'_>) -> Result<Power, Refusal> {
        draft.did(&self.did).and_then(|state| self.signers.power(state)).ok_or(Refusal::NotAllowed)
    }

    fn new_key_signed(&self, key: &KeyBytes) -> Result<(), Refusal> {
        if self.certificate.is_signed_by(key) { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Asks for a voter of another DID among the signers.
    fn voter_of(&self, draft: &Draft<'_>, did: &Did) -> Result<(), Refusal> {
        let state = draft.did(did).filter(|state| state.flags & (DidState::ENDED | DidState::FROZEN) == 0);
        let state = state.ok_or(Refusal::NotAllowed)?;
        if Signers::of(state, self.certificate).voters(state) > 0 { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Lets the act take effect at once if its signers are strong enough, else after a window.
    fn now_or_later(&self, draft: &mut Draft<'_>, power: Power) -> Result<(), Refusal> {
        match effect::is_at_once(&self.payload.body, power) {
            true => effect::perform(draft, &self.did, &self.payload.body, power, self.world.zone(), self.cause),
            false => self.open(draft, power),
        }
    }

    /// Opens an act against a device, which is suspended from now on.
    fn hold_down(&self, draft: &mut Draft<'_>, kid: &Kid, power: Power) -> Result<(), Refusal> {
        pending::veto_acts_of(draft.did_mut(&self.did), kid, power);
        self.open(draft, power)?;
        pending::refresh(draft.did_mut(&self.did), self.cause.now_ms);
        Ok(())
    }

    fn open(&self, draft: &mut Draft<'_>, power: Power) -> Result<(), Refusal> {
        let state = draft.did_mut(&self.did);
        let supporters = self.signers.voices(state, &[]);
        pending::open(state, &self.payload.body, power, supporters, self.cause)
    }
}

/// genesis: I+R; the first device is a voter.
fn genesis(draft: &mut Draft<'_>, did: Did, body: &Genesis, by: &Verified, cause: Cause) -> Result<(), Refusal> {
    if draft.did(&did).is_some() {
        return Err(Refusal::DidExists);
    }
    let whole = body.kind != DidKind::Account && body.device.level == Level::Admin;
    if !whole || !by.is_signed_by(&body.identity) || !by.is_signed_by(&body.device.sign) {
        return Err(Refusal::NotAllowed);
    }
    if kid_of(&body.identity) == kid_of(&body.device.sign) {
        return Err(Refusal::KidTaken);
    }
    let window_s = body.window_s.unwrap_or(WINDOW_DEFAULT_S);
    check_window(draft.world, window_s)?;
    let device = DeviceState {
        sign: body.device.sign,
        kex: body.device.kex,
        level: body.device.level,
        status: DeviceStatus::Live,
        index: cause.index,
        until_ms: 0,
    };
    let state = DidState {
        version: 1,
        did,
        kind: body.kind,
        flags: 0,
        head: ChainHead { seq: 0, sid: cause.sid, index: cause.index },
        identity: body.identity,
        words_box: body.words_box,
        devices: vec![device],
        user_key: body.user_key.map(|first| UserKeyState {
            generation: 1,
            key: first.key,
            index: cause.index,
            boxes: first.boxes,
            extras: Vec::new(),
        }),
        window_s,
        pending: Vec::new(),
        recovery: None,
        names: Vec::new(),
        authorities: Vec::new(),
        uid: cause.index,
        born_ms: cause.now_ms,
    };
    draft.create(State::Did(state), cause);
    Ok(())
}

fn check_window(world: &World, window_s: u64) -> Result<(), Refusal> {
    if (world.window_floor_s()..=WINDOW_MAX_S).contains(&window_s) { Ok(()) } else { Err(Refusal::BadWindow) }
}

fn road_of(claim: &Claim) -> Road {
    match claim.proof {
        ClaimProof::Open { .. } => Road::Open,
        ClaimProof::Attested { .. } => Road::Attested,
        ClaimProof::Invite { .. } => Road::Invite,
        ClaimProof::Parent => Road::Parent,
    }
}

#[cfg(test)]
mod tests;
