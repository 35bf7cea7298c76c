//! What people say, in few words: devices are numbers.

use crate::alias::AliasId;
use crate::cert::{
    Attempt, Body, Claim, ClaimProof, DeviceEnd, Dispute, EndReason, Genesis, Kid, Level, RecoverFinal, RecoverySet,
    Role, Sid,
};
use crate::did::Did;
use crate::key::kid_of;
use crate::pow;
use crate::testing::samples::{self, ISSUER, device, genesis, key, user_key, zone_authority};

/// The proof of work that the zone of these tests asks for.
pub(super) const WORK_BITS: u8 = 1;

pub(super) fn person(identity: u8, number: u8) -> Genesis {
    Genesis { identity: key(identity).public(), device: device(number, Level::Admin), ..genesis() }
}

pub(super) fn kid(number: u8) -> Kid {
    kid_of(&key(number).public())
}

/// A claim on the open road, with the work done.
pub(super) fn open_road(name: &str, did: &Did) -> Body {
    let nonce = pow::solve(name, did, WORK_BITS, 0, |_| {});
    claim(name, ClaimProof::Open { nonce, bits: WORK_BITS })
}

pub(super) fn claim(name: &str, proof: ClaimProof) -> Body {
    Body::Claim(Claim { name: name.into(), proof })
}

pub(super) fn below(name: &str) -> Body {
    claim(name, ClaimProof::Parent)
}

pub(super) fn add(number: u8) -> Body {
    Body::DeviceAdd(device(number, Level::Admin))
}

pub(super) fn suspend(number: u8) -> Body {
    Body::DeviceSuspend(DeviceEnd { kid: kid(number), reason: EndReason::Other })
}

pub(super) fn revoke(number: u8) -> Body {
    Body::DeviceRevoke(DeviceEnd { kid: kid(number), reason: EndReason::Lost })
}

pub(super) fn transfer(name: &str, to: Did) -> Body {
    Body::Transfer { name: name.into(), to: Some(to) }
}

pub(super) fn release(name: &str) -> Body {
    Body::Transfer { name: name.into(), to: None }
}

pub(super) fn policy(window_s: u64) -> Body {
    Body::Policy { window_s }
}

pub(super) fn confirm(act: Sid) -> Body {
    Body::Confirm { act }
}

pub(super) fn veto(act: Sid) -> Body {
    Body::Veto { act }
}

pub(super) fn bind(alias: AliasId) -> Body {
    Body::AliasBind(samples::bind(alias))
}

pub(super) fn unbind(alias: AliasId) -> Body {
    Body::AliasUnbind { alias }
}

pub(super) fn dispute(login: Sid, alias: AliasId) -> Body {
    Body::Dispute(Dispute { login, alias })
}

pub(super) fn attested() -> ClaimProof {
    ClaimProof::Attested { evidence: [0xe1; 32] }
}

/// A user key of this generation, for devices and words alone.
pub(super) fn turn(generation: u8) -> Body {
    let mut turned = user_key(generation);
    turned.extras.clear();
    Body::UserKey(turned)
}

/// The enrolment of an epoch: two of three servers, one of two sign-ins, K = key 70.
pub(super) fn enrol(epoch: u32) -> Body {
    Body::RecoverySet(samples::recovery_set(epoch))
}

/// No recovery from this epoch on.
pub(super) fn enrol_nowhere(epoch: u32) -> Body {
    Body::RecoverySet(RecoverySet { epoch, enrolment: None })
}

/// An attempt by a device of this number.
pub(super) fn try_open(epoch: u32, attempt: u8, number: u8) -> Body {
    Body::RecoverOpen(samples::recover_open(epoch, attempt, number))
}

pub(super) fn prove(epoch: u32, attempt: u8) -> Body {
    Body::RecoverProve(Attempt { epoch, number: attempt })
}

/// The end of a recovery, with these devices kept.
pub(super) fn finish(epoch: u32, attempt: u8, number: u8, keep: &[u8]) -> Body {
    let mut keep: Vec<Kid> = keep.iter().map(|number| kid(*number)).collect();
    keep.sort();
    Body::RecoverFinal(RecoverFinal { keep, ..samples::recover_final(epoch, attempt, number) })
}

/// Lets a notary in, whose issuer is the tests'.
pub(super) fn add_notary(number: u8) -> Body {
    Body::NotaryAdd(samples::notary(Role::Notary, ISSUER, number))
}

/// Opens the four roads.
pub(super) fn all_roads() -> Body {
    let mut authority = zone_authority();
    let terms = authority.zone.as_mut().expect("terms");
    (terms.roads, terms.work_floor_bits) = (0b1111, WORK_BITS);
    Body::NotaryAdd(authority)
}
