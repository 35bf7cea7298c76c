//! What people say, in few words: devices are numbers.

use crate::cert::{Body, Claim, ClaimProof, DeviceEnd, EndReason, Genesis, Kid, Level, Sid};
use crate::did::Did;
use crate::key::kid_of;
use crate::pow;
use crate::testing::samples::{device, genesis, key};

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
