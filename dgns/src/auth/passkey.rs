//! Passkeys: registered for a person or a newcomer, signed in with, listed, removed (PROTOCOL 19.5, 19.6).
//!
//! A passkey says to this server, and through its notary to everyone, who holds the keys of a device. It has no power over a chain:
//! whoever signs in with one still has to be let in by a device, or by the words.

mod party;

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use dgns_api::code;
use dgns_api::signin::{Branch, Finish, Finished, Start, Started};
use identity::did::Did;
use identity::evidence::{AssertionRefusal, Binding, Purpose, passkey_issuer};
use identity::hash::{Hash, sha256};
use identity::key::kid_of;
use identity::state::DidState;
use identity::wire::{Reader, WireError, Writer};
use rand_core::CryptoRng;
use storage::StorageError;
use storage::people::{AccountRow, Added, PasskeyRow, StartKind, Used};
use zeroize::Zeroizing;

use super::request::{Caller, newest};
use super::signin::{Beginning, Known, Signin, SigninError, begin, bound, random, read_binding, take, write_binding};
use crate::core::Core;
use crate::people::People;

use party::Registration;
pub use party::RelyingParty;

/// Why a passkey does not go on. Nothing of what it answered stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// What was answered is not of the form that WebAuthn documents. Code `assertion`, reason `form`.
    #[error("the passkey's answer is not of the documented form")]
    Form,
    /// The key is of another algorithm than was asked for. Code `assertion`, reason `algorithm`.
    #[error("the passkey is of an algorithm that is not taken: ES256 is")]
    Algorithm,
    /// The answer does not hold. Code `assertion`, with its reason.
    #[error(transparent)]
    Assertion(AssertionRefusal),
    /// It is registered for nobody. Code `unknown_passkey`.
    #[error("this passkey is not registered here, or was removed; sign in another way, and make a new one")]
    Unknown,
    /// Its counter went back. Code `passkey_counter`.
    #[error("this passkey's counter went back: there may be a copy of it; remove it and make a new one")]
    Counter,
    /// It was registered before. Code `passkey_known`.
    #[error("this passkey is registered already")]
    Registered,
    /// The person has as many as one may have. Code `passkeys_full`.
    #[error("there are as many passkeys as one person may have; remove one first")]
    Full,
    /// The device is none that may add or remove passkeys. Code `not_allowed`.
    #[error("a full device does this: not one on probation, and none of another level")]
    NoFullDevice,
}

impl PasskeyError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Form | Self::Algorithm => "assertion",
            Self::Assertion(refusal) => refusal.code(),
            Self::Unknown => code::UNKNOWN_PASSKEY,
            Self::Counter => code::PASSKEY_COUNTER,
            Self::Registered => code::PASSKEY_KNOWN,
            Self::Full => code::PASSKEYS_FULL,
            Self::NoFullDevice => "not_allowed",
        }
    }

    /// Returns which of the reasons behind the code `assertion` it is.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Form => Some("form"),
            Self::Algorithm => Some("algorithm"),
            Self::Assertion(refusal) => Some(refusal.reason()),
            _ => None,
        }
    }
}

impl Signin {
    /// Begins a sign-in with a passkey, whoever's it will be.
    pub async fn start_passkey(
        &self,
        core: &Core,
        people: &People,
        start: Start,
        from: IpAddr,
        rng: &mut impl CryptoRng,
    ) -> Result<Started, SigninError> {
        let party = self.party()?;
        self.admit(core, &start, from)?;
        let binding = bound(&start, rng);
        let go = party.request(&binding.nonce());
        let mut writer = Writer::new();
        write_binding(&mut writer, 5, &binding);
        let (kind, data) = (StartKind::Passkey, writer.finish());
        let state = random(rng);
        begin(core, people, Beginning { state, kind, data, random: binding.random, go }).await
    }

    /// Finishes a sign-in with a passkey.
    pub async fn finish_passkey(
        &self,
        core: &Core,
        people: &People,
        finish: Finish,
        rng: &mut impl CryptoRng,
    ) -> Result<Finished, SigninError> {
        let party = self.party()?;
        let begun = take(core, people, &finish, StartKind::Passkey).await?;
        let mut reader = Reader::new(&begun);
        let binding = read_binding(&mut reader, 5).map_err(|_| SigninError::Expired)?;
        let answered = RelyingParty::answered(&finish.answer)?;
        let credential = sha256(&[&answered.id]);
        let row = people.store.passkey(&credential).await?.ok_or(PasskeyError::Unknown)?;
        if answered.handle.as_ref().is_some_and(|handle| *handle != row.handle) {
            return Err(PasskeyError::Unknown.into());
        }
        let asserted = party.judge(&answered, &row.public, &binding.nonce())?;
        let now_s = core.clock.now().as_ms() / 1_000;
        match people.store.use_passkey(&credential, asserted.counter, asserted.backed_up, now_s).await? {
            Used::Yes => {}
            Used::CounterBehind => return Err(PasskeyError::Counter.into()),
            Used::Gone => return Err(PasskeyError::Unknown.into()),
        }
        let mut finished =
            self.attest(core, people, &binding, known(core, &row, answered.assertion.bytes()), rng).await?;
        if let Branch::Existing(did) = finished.branch {
            finished.boxes = boxes(core, people, &did).await?;
        }
        finished.passkey = (binding.purpose == Purpose::Enrolment).then_some(row.public);
        Ok(finished)
    }

    /// Begins the registration of a passkey: for the DID of the device that asks, or for a newcomer.
    pub async fn start_registration(
        &self,
        core: &Core,
        people: &People,
        start: Start,
        caller: Option<&Caller>,
        from: IpAddr,
        rng: &mut impl CryptoRng,
    ) -> Result<Started, SigninError> {
        let party = self.party()?;
        self.admit(core, &start, from)?;
        let did = match caller {
            Some(caller) if !is_full(&caller.state, &start.sign) => return Err(PasskeyError::NoFullDevice.into()),
            Some(caller) if caller.device.sign != start.sign => return Err(SigninError::OtherDevice),
            Some(caller) => Some(caller.did),
            None => None,
        };
        let rows = match &did {
            Some(did) => people.store.passkeys(did).await?,
            None => Vec::new(),
        };
        if rows.len() >= self.passkeys_max() {
            return Err(PasskeyError::Full.into());
        }
        let handle = rows.first().map_or_else(|| random(rng), |row| row.handle);
        let binding = bound(&start, rng);
        let go = party.creation(&registration(&binding, handle, rows))?;
        let data = Beginner { binding, handle, did }.encode();
        let (state, kind) = (random(rng), StartKind::Registration);
        begin(core, people, Beginning { state, kind, data, random: binding.random, go }).await
    }

    /// Finishes the registration of a passkey.
    pub async fn finish_registration(
        &self,
        core: &Core,
        people: &People,
        finish: Finish,
        rng: &mut impl CryptoRng,
    ) -> Result<Finished, SigninError> {
        let party = self.party()?;
        let begun = take(core, people, &finish, StartKind::Registration).await?;
        let Beginner { binding, handle, did } = Beginner::decode(&begun).map_err(|_| SigninError::Expired)?;
        let rows = match &did {
            Some(did) => people.store.passkeys(did).await?,
            None => Vec::new(),
        };
        let made = party.registered(&registration(&binding, handle, rows), &finish.answer)?;
        if let Some(did) = &did {
            // It may have been revoked since it began.
            let state = newest(core, did).await?;
            if !state.is_some_and(|state| is_full(&state, &binding.sign)) {
                return Err(PasskeyError::NoFullDevice.into());
            }
        }
        let now_s = core.clock.now().as_ms() / 1_000;
        let row = PasskeyRow {
            credential: sha256(&[&made.id]),
            id: made.id,
            account: people.key.subject(&passkey_issuer(core.zone.as_str()), &HEXLOWER.encode(&handle)),
            handle,
            public: made.public,
            counter: made.counter,
            backed_up: made.backed_up,
            recipient: None,
            made_s: now_s,
            used_s: now_s,
        };
        let pin = did.map(|did| AccountRow { account: row.account, did, email: None, since_s: now_s });
        match people.store.add_passkey(&row, pin.as_ref(), self.passkeys_max()).await? {
            Added::Yes => self.attest(core, people, &binding, known(core, &row, made.statement), rng).await,
            Added::Known => Err(PasskeyError::Registered.into()),
            Added::TooMany => Err(PasskeyError::Full.into()),
        }
    }

    /// Removes a passkey of the DID of the device that asks.
    pub async fn remove_passkey(&self, people: &People, caller: &Caller, credential: &Hash) -> Result<(), SigninError> {
        if !is_full(&caller.state, &caller.device.sign) {
            return Err(PasskeyError::NoFullDevice.into());
        }
        match people.store.remove_passkey(&caller.did, credential).await? {
            true => Ok(()),
            false => Err(PasskeyError::Unknown.into()),
        }
    }

    /// Notes which recipient of the user key a passkey of the DID of the device that asks opens.
    pub async fn note_recipient(
        &self,
        people: &People,
        caller: &Caller,
        credential: &Hash,
        recipient: Option<[u8; 32]>,
    ) -> Result<(), SigninError> {
        if !is_full(&caller.state, &caller.device.sign) {
            return Err(PasskeyError::NoFullDevice.into());
        }
        match people.store.set_passkey_recipient(&caller.did, credential, recipient.as_ref()).await? {
            true => Ok(()),
            false => Err(PasskeyError::Unknown.into()),
        }
    }
}

fn registration(binding: &Binding, handle: [u8; 16], rows: Vec<PasskeyRow>) -> Registration {
    let known = rows.into_iter().map(|row| row.id).collect();
    Registration { handle, challenge: binding.nonce(), known }
}

fn known(core: &Core, row: &PasskeyRow, statement: Vec<u8>) -> Known {
    let issuer = passkey_issuer(core.zone.as_str());
    Known { account: row.account, email: None, issuer, statement: Zeroizing::new(statement) }
}

/// Whether the state has this device, live and of full power.
fn is_full(state: &DidState, sign: &[u8; 32]) -> bool {
    let kid = kid_of(sign);
    state.devices.iter().any(|device| kid_of(&device.sign) == kid && device.is_voter())
}

/// Returns the boxes of the user key, if a passkey is among its recipients.
async fn boxes(core: &Core, people: &People, did: &Did) -> Result<Option<Vec<u8>>, StorageError> {
    let key = newest(core, did).await?.and_then(|state| state.user_key);
    match key {
        Some(key) if !key.extras.is_empty() => people.store.attachment(did, &key.boxes).await,
        _ => Ok(None),
    }
}

/// A registration that was begun, as it waits in `people.db`.
#[derive(Debug, PartialEq, Eq)]
struct Beginner {
    binding: Binding,
    handle: [u8; 16],
    did: Option<Did>,
}

impl Beginner {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        write_binding(&mut writer, 7, &self.binding);
        writer.bytes(&self.handle);
        match &self.did {
            Some(did) => writer.bytes(did.as_bytes()),
            None => writer.null(),
        };
        writer.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let binding = read_binding(&mut reader, 7)?;
        let handle = reader.fixed()?;
        let did = reader.or_null(|reader| reader.fixed())?.map(Did::from_bytes);
        reader.end()?;
        Ok(Self { binding, handle, did })
    }
}

/// Whether a start of this purpose makes sense: a registration adds a way to sign in; a passkey that is there signs in for any.
pub fn fits(start: &Start, registers: bool) -> bool {
    let purpose = start.purpose == Purpose::Enrolment || !registers;
    purpose && start.issuer.is_empty() && start.port.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_comes_back() {
        let binding =
            Binding { purpose: Purpose::Enrolment, sign: [1; 32], kex: [2; 32], blinded: None, random: [3; 16] };
        for did in [None, Some(Did::from_bytes([5; 20]))] {
            let begun = Beginner { binding, handle: [4; 16], did };
            let bytes = begun.encode();
            assert_eq!(Beginner::decode(&bytes), Ok(begun));
            assert!((0..bytes.len()).all(|end| Beginner::decode(&bytes[..end]).is_err()));
        }
    }
}
