//! Who signed, and how strong that is (PROTOCOL 5.1).

use crate::cert::{KeyBytes, Kid, Level, Verified};
use crate::key::kid_of;
use crate::state::{DeviceState, DeviceStatus, DidState, Power};

/// The signers of a certificate as one DID knows them.
#[derive(Clone, Debug)]
pub(super) struct Signers {
    /// Whether the identity key signed.
    pub(super) identity: bool,
    identity_kid: Kid,
    devices: Vec<KeyBytes>,
}

impl Signers {
    /// Returns the keys of `state` that signed.
    pub(super) fn of(state: &DidState, certificate: &Verified) -> Self {
        let devices = state.devices.iter().map(|device| device.sign).filter(|key| certificate.is_signed_by(key));
        Self {
            identity: certificate.is_signed_by(&state.identity),
            identity_kid: kid_of(&state.identity),
            devices: devices.collect(),
        }
    }

    /// Returns whether the device with this kid signed.
    pub(super) fn has_kid(&self, kid: &Kid) -> bool {
        self.kids().contains(kid)
    }

    /// Returns the kids of all that signed, ascending, the identity key's first.
    pub(super) fn kids(&self) -> Vec<Kid> {
        let mut kids: Vec<Kid> = self.devices.iter().map(kid_of).collect();
        kids.sort();
        if self.identity {
            kids.insert(0, self.identity_kid);
        }
        kids
    }

    /// Returns whether a suspended device signed.
    pub(super) fn any_suspended(&self, state: &DidState) -> bool {
        let suspended =
            |key: &KeyBytes| state.devices.iter().any(|d| d.sign == *key && d.status == DeviceStatus::Suspended);
        self.devices.iter().any(suspended)
    }

    /// Returns how many voters signed.
    pub(super) fn voters(&self, state: &DidState) -> usize {
        state.devices.iter().filter(|device| is_voter(device) && self.devices.contains(&device.sign)).count()
    }

    /// Returns the power of the signers: I > J > V.
    pub(super) fn power(&self, state: &DidState) -> Option<Power> {
        power_of(self.identity, self.voters(state), state)
    }
}

/// Returns the power that these kids have together, suspended ones among them counted: the sides of a quarrel.
pub(super) fn power_of_kids(kids: &[Kid], state: &DidState) -> Option<Power> {
    let counted = state.devices.iter().filter(|device| counts(device) && kids.contains(&kid_of(&device.sign))).count();
    power_of(kids.contains(&kid_of(&state.identity)), counted, state)
}

fn power_of(identity: bool, voters: usize, state: &DidState) -> Option<Power> {
    let all = state.devices.iter().filter(|device| counts(device)).count();
    match (identity, voters) {
        (true, _) => Some(Power::Identity),
        (false, 0) => None,
        (false, voters) if voters >= 2 && 2 * voters > all => Some(Power::Majority),
        _ => Some(Power::Voter),
    }
}

/// Returns the device with this kid.
pub(super) fn device<'s>(state: &'s DidState, kid: &Kid) -> Option<&'s DeviceState> {
    state.devices.iter().find(|device| kid_of(&device.sign) == *kid)
}

/// Returns how many live admin devices there are besides this one.
pub(super) fn live_admins_without(state: &DidState, kid: &Kid) -> usize {
    state.devices.iter().filter(|device| is_voter(device) && kid_of(&device.sign) != *kid).count()
}

/// A voter: a live admin device past probation.
fn is_voter(device: &DeviceState) -> bool {
    device.level == Level::Admin && device.status == DeviceStatus::Live
}

/// Whether a device counts among those a majority is of: admin, past probation, suspended or not.
fn counts(device: &DeviceState) -> bool {
    device.level == Level::Admin && device.status != DeviceStatus::Fresh
}
