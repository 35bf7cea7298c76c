//! Who signed, and how strong that is (PROTOCOL 5.1).

use super::Refusal;
use crate::cert::{KeyBytes, Kid, Verified};
use crate::key::kid_of;
use crate::state::{DeviceState, DeviceStatus, DidState, Power};

/// The signers of a certificate as one DID knows them.
#[derive(Clone, Debug)]
pub(super) struct Signers {
    /// Whether the identity key signed.
    pub(super) identity: bool,
    identity_key: KeyBytes,
    devices: Vec<KeyBytes>,
}

impl Signers {
    /// Returns the keys of `state` that signed.
    pub(super) fn of(state: &DidState, certificate: &Verified) -> Self {
        let devices = state.devices.iter().map(|device| device.sign).filter(|key| certificate.is_signed_by(key));
        Self {
            identity: certificate.is_signed_by(&state.identity),
            identity_key: state.identity,
            devices: devices.collect(),
        }
    }

    /// Returns whether the key with this kid signed.
    pub(super) fn has_kid(&self, kid: &Kid) -> bool {
        let signers = self.devices.iter().chain(self.identity.then_some(&self.identity_key));
        signers.map(kid_of).any(|signer| signer == *kid)
    }

    /// Returns the signers that have a voice: the identity key first, then voters and `parties`, ascending by kid.
    ///
    /// Whoever else signed adds nothing: a device on probation must not stand among supporters when it becomes a voter.
    pub(super) fn voices(&self, state: &DidState, parties: &[Kid]) -> Vec<Kid> {
        let signed = state.devices.iter().filter(|device| self.devices.contains(&device.sign));
        let mut kids: Vec<Kid> =
            signed.filter(|device| device.is_voter() || parties.contains(&kid(device))).map(kid).collect();
        kids.sort();
        if self.identity {
            kids.insert(0, kid_of(&self.identity_key));
        }
        kids
    }

    /// Returns whether a suspended device signed that is none of `parties`.
    pub(super) fn any_suspended(&self, state: &DidState, parties: &[Kid]) -> bool {
        let suspended = state.devices.iter().filter(|device| device.status == DeviceStatus::Suspended);
        suspended.filter(|device| !parties.contains(&kid(device))).any(|device| self.devices.contains(&device.sign))
    }

    /// Returns how many voters signed.
    pub(super) fn voters(&self, state: &DidState) -> usize {
        state.devices.iter().filter(|device| device.is_voter() && self.devices.contains(&device.sign)).count()
    }

    /// Returns the power of the signers: I > J > V.
    pub(super) fn power(&self, state: &DidState) -> Option<Power> {
        power_of(self.identity, self.voters(state), state)
    }
}

/// Returns the power of one side of an act: its voters and, suspended as they may be, the `parties` of a quarrel.
pub(super) fn power_of_side(side: &[Kid], parties: &[Kid], state: &DidState) -> Option<Power> {
    let has_voice = |device: &&DeviceState| device.is_voter() || (device.counts() && parties.contains(&kid(device)));
    let voices = state.devices.iter().filter(has_voice).filter(|device| side.contains(&kid(device))).count();
    power_of(side.contains(&kid_of(&state.identity)), voices, state)
}

fn power_of(identity: bool, voters: usize, state: &DidState) -> Option<Power> {
    let all = state.devices.iter().filter(|device| device.counts()).count();
    match (identity, voters) {
        (true, _) => Some(Power::Identity),
        (false, 0) => None,
        (false, voters) if voters >= 2 && 2 * voters > all => Some(Power::Majority),
        _ => Some(Power::Voter),
    }
}

/// Refuses to take the power of a device away if no live admin device would be left; the identity key may.
pub(super) fn leaves_an_admin(state: &DidState, target: &DeviceState, power: Power) -> Result<(), Refusal> {
    let others = state.devices.iter().filter(|device| device.is_voter() && device.sign != target.sign).count();
    if target.counts() && others == 0 && power < Power::Identity { Err(Refusal::LastDevice) } else { Ok(()) }
}

/// Notes that somebody who knows the user key has lost his place, if there is a key.
pub(super) fn user_key_is_stale(state: &mut DidState) {
    if state.user_key.is_some() {
        state.flags |= DidState::USER_KEY_STALE;
    }
}

fn kid(device: &DeviceState) -> Kid {
    kid_of(&device.sign)
}
