//! Requests that devices sign, held against the newest state of their DID (PROTOCOL 12.9).
//!
//! Nonces are kept in memory alone. After a start nothing is taken that was signed before it, so a request is taken once however
//! often the server is killed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use dgns_api::code;
use identity::alias::AliasId;
use identity::cert::Kid;
use identity::did::Did;
use identity::limits::REQUEST_SKEW_S;
use identity::name::Origin;
use identity::request::{Authorization, Request, RequestRefusal};
use identity::state::{AliasState, DeviceState, DeviceStatus, DidState, State, Subject};
use identity::time::Timestamp;
use storage::StorageError;
use translog::map;

use crate::core::Core;
use crate::log::shown::Asked;
use crate::log::states::Held;
use crate::store::{GuestRefusal, Guests, Who};

/// Nonces kept at most; beyond it requests wait until the oldest are forgotten. 200,000 in two minutes are 1,600 a second.
const NONCES_MAX: usize = 200_000;

/// What a signed request brings.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The method.
    pub method: &'a str,
    /// The path with its query.
    pub target: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The value of `Authorization`.
    pub authorization: Option<&'a str>,
    /// The value of `DGNS-DID`.
    pub did: Option<&'a str>,
}

/// The device that asks, as the newest state has it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its DID.
    pub did: Did,
    /// The log of names that has it, if that is not this server's.
    pub home: Option<Origin>,
    /// The state of the DID.
    pub state: DidState,
    /// The device: live or fresh.
    pub device: DeviceState,
    /// Its kid.
    pub kid: Kid,
}

impl Caller {
    /// Returns who asks, whichever device does.
    pub fn who(&self) -> Who {
        Who { did: self.did, home: self.home.clone() }
    }
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// The header, the time or the signature.
    #[error(transparent)]
    Request(#[from] RequestRefusal),
    /// The DID is not in the log, or has no such device.
    #[error("this DID has no such device")]
    UnknownDevice,
    /// The device is suspended.
    #[error("this device is suspended")]
    Suspended,
    /// The DID has ended.
    #[error("this DID has ended")]
    Ended,
    /// The request was taken before.
    #[error("this request was taken already; sign another one")]
    Replayed,
    /// Nobody of that log keeps databases here, or that was not proved. Codes of its own.
    #[error(transparent)]
    Guest(#[from] GuestRefusal),
    /// Too many requests in two minutes.
    #[error("too many requests; try again in a minute")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl CallerError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Request(refusal) => refusal.code(),
            Self::UnknownDevice => "unknown_signer",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
            Self::Replayed => code::REQUEST_REPLAYED,
            Self::Guest(refusal) => refusal.code(),
            Self::Busy => code::BUSY,
            Self::Storage(_) => code::INTERNAL,
        }
    }
}

/// What was asked lately, so that nothing is taken twice.
#[derive(Debug)]
pub struct Callers {
    started_s: u64,
    nonces: Mutex<Nonces>,
}

/// Nonces by kid, with the second from which on each would be refused for its age.
#[derive(Debug, Default)]
struct Nonces {
    seen: HashMap<(Kid, [u8; 16]), u64>,
    swept_s: u64,
}

impl Callers {
    /// Returns the memory of a server that starts `now`: it takes nothing that was signed before.
    pub fn new(now: Timestamp) -> Self {
        Self { started_s: now.as_ms() / 1_000, nonces: Mutex::default() }
    }

    /// Returns the device that signed, or says why the request is not taken. What is returned was asked once.
    /// Where people of other logs may ask, `guests` has those who were proved lately.
    pub async fn check(&self, core: &Core, guests: Option<&Guests>, signed: Signed<'_>) -> Result<Caller, CallerError> {
        let (authorization, did) = self.open(core, signed)?;
        let caller = caller(core, guests, did, authorization.kid()).await?;
        self.hold(core, signed, &authorization, &caller)?;
        Ok(caller)
    }

    /// Takes the proof of who somebody of another log is, the body, from a device that they have there: nobody has others admitted.
    pub async fn introduce(&self, core: &Core, guests: &Guests, signed: Signed<'_>) -> Result<(), CallerError> {
        let (authorization, did) = self.open(core, signed)?;
        if newest(core, &did).await?.is_some() {
            return Err(GuestRefusal::Local.into());
        }
        let guest = guests.prove(&did, signed.body, core.clock.now())?;
        let caller = device_of(did, Some(guest.home.clone()), guest.state.clone(), authorization.kid())?;
        self.hold(core, signed, &authorization, &caller)?;
        Ok(guests.keep(did, guest, core.clock.now())?)
    }

    /// Reads who signed, and refuses what was signed at another time.
    fn open(&self, core: &Core, signed: Signed<'_>) -> Result<(Authorization, Did), CallerError> {
        let authorization = Authorization::parse(signed.authorization.unwrap_or_default())?;
        let did: Did = signed.did.unwrap_or_default().parse().map_err(|_| RequestRefusal::Malformed)?;
        authorization.check_time(core.clock.now().as_ms() / 1_000)?;
        if authorization.unix_s() <= self.started_s {
            return Err(RequestRefusal::Time.into());
        }
        Ok((authorization, did))
    }

    /// Refuses what this device did not sign, and what was taken before.
    fn hold(
        &self,
        core: &Core,
        signed: Signed<'_>,
        authorization: &Authorization,
        caller: &Caller,
    ) -> Result<(), CallerError> {
        let now_s = core.clock.now().as_ms() / 1_000;
        let Signed { method, target, body, .. } = signed;
        let request = Request { origin: &core.origin, did: &caller.did, method, target, body };
        authorization.verify(&request, &caller.device.sign, now_s)?;
        self.take(authorization, now_s)
    }

    /// Remembers a request that holds; refuses one that was remembered.
    fn take(&self, authorization: &Authorization, now_s: u64) -> Result<(), CallerError> {
        let mut nonces = self.nonces.lock().expect("no holder of the lock panics: it guards plain numbers");
        if nonces.swept_s + REQUEST_SKEW_S / 2 <= now_s || nonces.seen.len() >= NONCES_MAX {
            nonces.seen.retain(|_, until_s| *until_s >= now_s);
            nonces.swept_s = now_s;
        }
        if nonces.seen.len() >= NONCES_MAX {
            return Err(CallerError::Busy);
        }
        let until_s = authorization.unix_s() + REQUEST_SKEW_S;
        match nonces.seen.insert((authorization.kid(), *authorization.nonce()), until_s) {
            None => Ok(()),
            Some(_) => Err(CallerError::Replayed),
        }
    }
}

/// Returns the device of `did` with this kid, if it may ask now: a DID of this log, or one of the guests.
pub async fn caller(core: &Core, guests: Option<&Guests>, did: Did, kid: Kid) -> Result<Caller, CallerError> {
    let (home, state) = match newest(core, &did).await? {
        Some(state) => (None, state),
        None => {
            let guest = guests.and_then(|guests| guests.state(&did, core.clock.now()));
            let (home, state) = guest.ok_or(CallerError::UnknownDevice)?;
            (Some(home), state)
        }
    };
    device_of(did, home, state, kid)
}

/// Returns the device with this kid, if it may ask as of a state of its DID.
fn device_of(did: Did, home: Option<Origin>, state: DidState, kid: Kid) -> Result<Caller, CallerError> {
    let device = *state.device(&kid).ok_or(CallerError::UnknownDevice)?;
    if state.flags & DidState::ENDED != 0 {
        return Err(CallerError::Ended);
    }
    match device.status {
        DeviceStatus::Live | DeviceStatus::Fresh => Ok(Caller { did, home, state, device, kid }),
        DeviceStatus::Suspended => Err(CallerError::Suspended),
    }
}

/// Returns the newest state of a DID.
pub async fn newest(core: &Core, did: &Did) -> Result<Option<DidState>, StorageError> {
    Ok(newest_of(core, &Subject::Did(*did)).await?.and_then(|held| match &held.leaf.state {
        State::Did(state) => Some(state.clone()),
        _ => None,
    }))
}

/// Returns the newest state of an alias.
pub async fn newest_alias(core: &Core, alias: &AliasId) -> Result<Option<AliasState>, StorageError> {
    Ok(newest_of(core, &Subject::Alias(*alias)).await?.and_then(|held| match &held.leaf.state {
        State::Alias(state) => Some(state.clone()),
        _ => None,
    }))
}

async fn newest_of(core: &Core, subject: &Subject) -> Result<Option<Arc<Held>>, StorageError> {
    let held = core.states.load(&core.live, &core.storage, &[map::label(subject)], Asked::Newest).await?;
    Ok(held.into_iter().next().flatten())
}

#[cfg(test)]
mod tests {
    use identity::key::SigningKey;

    use super::*;
    use crate::rng;

    fn signed(at_s: u64) -> Authorization {
        let (origin, did) = (Origin::parse("dgns.test/log").unwrap(), Did::from_bytes([1; 20]));
        let request = Request { origin: &origin, did: &did, method: "GET", target: "/", body: &[] };
        Authorization::sign(&request, &SigningKey::from_seed(&[1; 32]), at_s, &mut rng::system()).unwrap()
    }

    #[test]
    fn a_request_is_taken_once_for_as_long_as_its_time_passes() {
        // Goal: no moment at which a request that passes the time check is forgotten. Method: the same one, each second.
        let callers = Callers::new(Timestamp::from_ms(0));
        let request = signed(1_060);
        assert!(callers.take(&request, 1_000).is_ok());
        for now_s in 1_000..=1_120 {
            assert!(request.check_time(now_s).is_ok());
            assert!(matches!(callers.take(&request, now_s), Err(CallerError::Replayed)), "at {now_s}");
        }
        assert!(request.check_time(1_121).is_err());
    }

    #[test]
    fn memory_of_nonces_is_bounded_and_comes_back() {
        let callers = Callers::new(Timestamp::from_ms(0));
        {
            let mut nonces = callers.nonces.lock().unwrap();
            nonces.swept_s = 1_000;
            for n in 0..NONCES_MAX as u128 {
                nonces.seen.insert((Kid([0; 8]), n.to_be_bytes()), 1_060);
            }
        }
        assert!(matches!(callers.take(&signed(1_010), 1_010), Err(CallerError::Busy)));
        assert!(callers.take(&signed(1_061), 1_061).is_ok());
        assert_eq!(callers.nonces.lock().unwrap().seen.len(), 1);
    }
}
