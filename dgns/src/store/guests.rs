//! People of other logs, whose databases moved here: whose device asks or signed is proved by a lookup in their own log, which they bring
//! (PROTOCOL 25.17). This server asks nobody: it never fetches what somebody names.

use std::collections::HashMap;
use std::sync::Mutex;

use dgns_api::store::place::Place;
use identity::cert::{KeyBytes, Kid};
use identity::did::Did;
use identity::key::kid_of;
use identity::name::Origin;
use identity::state::{DeviceStatus, DidState, Subject};
use identity::time::Timestamp;
use translog::entry::Anchor;
use translog::note::{KeyKind, VerifierKey};
use translog::resolve::{self, Resolved, VerifyError};
use translog::trust::{Memory, Trust};

use crate::limits::GUESTS_MAX;

/// Why a proof of who somebody is is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestRefusal {
    /// No log whose people keep databases here proves this DID so. Code `unknown_home`.
    #[error("this is no fresh lookup of the DID in a log whose people keep databases here: {0}")]
    Unproved(VerifyError),
    /// This server's own log has the DID. Code `unknown_home`.
    #[error("this DID is in the log of this server: nobody else is it here")]
    Local,
    /// Somebody of another log asks for an account or files. Code `unknown_home`.
    #[error("people of other logs have databases here that moved, and no account or files")]
    Elsewhere,
    /// The control log is not what the log of names of the server that it leaves has of it. Code `not_anchored`.
    #[error("this is not how the newest anchor of the server that is left has the control log")]
    NotAnchored,
    /// People of no other log keep databases here. Code `unknown_home`.
    #[error("people of that log keep no databases here ([storage] homes)")]
    NoHome,
    /// Too many people were proved lately. Code `busy`.
    #[error("too many people of other logs: try again in a minute")]
    Busy,
}

impl GuestRefusal {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unproved(_) | Self::Local | Self::Elsewhere | Self::NoHome => "unknown_home",
            Self::NotAnchored => "not_anchored",
            Self::Busy => "busy",
        }
    }
}

/// The logs whose people keep databases here, and who of them was proved lately. In memory alone: whoever comes later proves it again.
pub struct Guests {
    homes: Vec<Trust>,
    known: Mutex<HashMap<Did, Guest>>,
}

/// Somebody of another log, as that had it.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The log.
    pub home: Origin,
    /// The newest state there.
    pub state: DidState,
    /// The size of the head that proved it.
    size: u64,
    /// From when on that is too old, Unix milliseconds.
    until_ms: u64,
}

impl Guests {
    /// Returns the guests of these logs, nobody yet. A log has several lines while its key changes.
    pub fn of(homes: &[VerifierKey]) -> Self {
        let trust = |key: &VerifierKey| Trust::new(Origin::parse(key.name()).ok()?, vec![key.clone()]).ok();
        Self { homes: homes.iter().filter_map(trust).collect(), known: Mutex::default() }
    }

    /// Returns whether nobody of another log keeps databases here.
    pub fn is_empty(&self) -> bool {
        self.homes.is_empty()
    }

    /// Refuses a log whose people keep no databases here.
    pub fn home(&self, origin: &Origin) -> Result<(), GuestRefusal> {
        let is_one = self.homes.iter().any(|trust| trust.origin() == origin);
        if is_one { Ok(()) } else { Err(GuestRefusal::NoHome) }
    }

    /// Returns what a Resolution says of a DID in one of the logs.
    pub fn prove(&self, did: &Did, resolution: &[u8], now: Timestamp) -> Result<Guest, GuestRefusal> {
        let (trust, resolved) = verified(self.homes.iter(), &Subject::Did(*did), resolution, now)?;
        let Some(state) = resolved.did() else { return Err(GuestRefusal::Unproved(VerifyError::Subject)) };
        let until_ms = resolved.epoch().time_ms.saturating_add(trust.head_age_ms_max());
        Ok(Guest { home: trust.origin().clone(), state: state.clone(), size: resolved.head().size, until_ms })
    }

    /// Returns the newest anchor that a Resolution shows, of the log `home`, or of that of the server at a place.
    pub fn anchor(
        &self,
        home: &Origin,
        place: Option<&Place>,
        resolution: &[u8],
        now: Timestamp,
    ) -> Result<Anchor, GuestRefusal> {
        let there = place.and_then(|place| {
            let key = VerifierKey::new(place.origin.as_str(), KeyKind::Log, place.key).ok()?;
            Trust::new(place.origin.clone(), vec![key]).ok()
        });
        let origin = place.map_or(home, |place| &place.origin);
        let homes = self.homes.iter().filter(|trust| trust.origin() == origin);
        let (_, resolved) = verified(there.iter().chain(homes), &Subject::Anchors, resolution, now)?;
        resolved.anchors().and_then(|body| Anchor::decode(body).ok()).ok_or(GuestRefusal::NotAnchored)
    }

    /// Believes what was proved of a DID, until its head is too old. An older one replaces none. Of each log so many are known at a time.
    pub fn keep(&self, did: Did, guest: Guest, now: Timestamp) -> Result<(), GuestRefusal> {
        let mut known = self.known.lock().expect("no holder of the lock panics: it guards plain rows");
        let share = GUESTS_MAX / self.homes.len().max(1);
        let of_home = |known: &HashMap<Did, Guest>| known.values().filter(|other| other.home == guest.home).count();
        if known.len() >= share && !known.contains_key(&did) && of_home(&known) >= share {
            known.retain(|_, guest| guest.until_ms > now.as_ms());
            if of_home(&known) >= share {
                return Err(GuestRefusal::Busy);
            }
        }
        match known.get(&did).filter(|before| before.until_ms > now.as_ms()) {
            // Between the look at who asks and the look at what for, nobody becomes somebody else.
            Some(before) if before.home != guest.home => return Err(GuestRefusal::NoHome),
            Some(before) if before.size > guest.size => {}
            _ => drop(known.insert(did, guest)),
        }
        Ok(())
    }

    /// Returns how a DID was proved to stand lately, and in which log.
    pub fn state(&self, did: &Did, now: Timestamp) -> Option<(Origin, DidState)> {
        let known = self.known.lock().expect("no holder of the lock panics: it guards plain rows");
        let guest = known.get(did).filter(|guest| guest.until_ms > now.as_ms())?;
        Some((guest.home.clone(), guest.state.clone()))
    }

    /// Returns whether a key is that of a live or fresh device of `did` in the log `home`.
    pub fn has_device(&self, home: &Origin, did: &Did, key: &KeyBytes, now: Timestamp) -> bool {
        let Some((of, state)) = self.state(did, now) else { return false };
        let kid: Kid = kid_of(key);
        let device = state.device(&kid).filter(|device| device.sign == *key);
        let is_live = device.is_some_and(|it| matches!(it.status, DeviceStatus::Live | DeviceStatus::Fresh));
        of == *home && is_live && state.flags & DidState::ENDED == 0
    }
}

/// Returns what a Resolution shows of a subject by one of these logs, with the trust in that.
fn verified<'t>(
    logs: impl Iterator<Item = &'t Trust>,
    subject: &Subject,
    resolution: &[u8],
    now: Timestamp,
) -> Result<(&'t Trust, Resolved), GuestRefusal> {
    let mut why = GuestRefusal::NoHome;
    for trust in logs {
        let mut memory = Memory::new(trust.origin().clone());
        match resolve::verify(trust, &mut memory, subject, resolution, now) {
            Ok(resolved) => return Ok((trust, resolved)),
            Err(error) => why = GuestRefusal::Unproved(error),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use identity::cert::{DidKind, Level};
    use identity::key::SigningKey;
    use identity::state::{ChainHead, DeviceState};

    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    /// Somebody whose one device has this key, as a log of so many entries had it.
    fn guest(home: &str, key: KeyBytes, size: u64) -> Guest {
        let (level, status) = (Level::Admin, DeviceStatus::Live);
        let device = DeviceState { sign: key, kex: [2; 32], level, status, index: 0, until_ms: 0 };
        let state = DidState {
            version: 1,
            did: Did::from_bytes([1; 20]),
            kind: DidKind::User,
            flags: 0,
            head: ChainHead { seq: 0, sid: [0; 32], index: 0 },
            identity: [0; 32],
            words_box: [0; 32],
            devices: vec![device],
            user_key: None,
            window_s: 1,
            pending: Vec::new(),
            recovery: None,
            names: Vec::new(),
            authorities: Vec::new(),
            uid: 1,
            born_ms: 0,
        };
        Guest { home: origin(home), state, size, until_ms: 1_000 }
    }

    #[test]
    fn a_did_is_of_one_log_at_a_time_and_for_as_long_as_its_proof_is_fresh() {
        // Goal: a log that says who somebody of another one is changes nothing, nor does an older proof. Method: proofs by hand.
        let (guests, did) = (Guests::of(&[]), Did::from_bytes([1; 20]));
        let at = Timestamp::from_ms;
        let (old, new) = ([3; 32], [4; 32]);
        let has = |key: &KeyBytes, now| guests.has_device(&origin("a.test/log"), &did, key, at(now));
        guests.keep(did, guest("a.test/log", new, 9), at(1)).unwrap();
        assert!(has(&new, 1) && !has(&old, 1));
        guests.keep(did, guest("a.test/log", old, 8), at(2)).unwrap();
        assert!(has(&new, 2) && !has(&old, 2), "an older proof replaces none");
        assert_eq!(guests.keep(did, guest("b.test/log", old, 99), at(3)), Err(GuestRefusal::NoHome));
        assert!(!guests.has_device(&origin("b.test/log"), &did, &new, at(3)), "of another log nobody is somebody here");
        assert!(has(&new, 999) && !has(&new, 1_000), "until its head is too old");
        guests.keep(did, guest("b.test/log", old, 1), at(1_000)).unwrap();
    }

    #[test]
    fn people_who_were_proved_lately_are_bounded_and_make_room_for_others() {
        let guests = Guests::of(&[]);
        let did = |number: u32| {
            let mut bytes = [0; 20];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            Did::from_bytes(bytes)
        };
        for number in 0..GUESTS_MAX as u32 {
            guests.keep(did(number), guest("a.test/log", [3; 32], 1), Timestamp::from_ms(1)).unwrap();
        }
        let one_more = |now| guests.keep(did(u32::MAX), guest("a.test/log", [3; 32], 1), Timestamp::from_ms(now));
        assert_eq!(one_more(999).map_err(GuestRefusal::code), Err("busy"));
        assert_eq!(one_more(1_000), Ok(()));
    }

    #[test]
    fn the_people_of_one_log_leave_room_for_those_of_another() {
        let key = |name| VerifierKey::new(name, KeyKind::Log, SigningKey::from_seed(&[7; 32]).public()).unwrap();
        let guests = Guests::of(&[key("a.test/log"), key("b.test/log")]);
        let keep = |number: u32, home| {
            let mut bytes = [0; 20];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            guests.keep(Did::from_bytes(bytes), guest(home, [3; 32], 1), Timestamp::from_ms(1))
        };
        let share = GUESTS_MAX as u32 / 2;
        (0..share).for_each(|number| keep(number, "a.test/log").unwrap());
        assert_eq!(keep(share, "a.test/log"), Err(GuestRefusal::Busy));
        assert_eq!(keep(0, "a.test/log"), Ok(()), "who is known is known anew");
        assert_eq!(keep(share, "b.test/log"), Ok(()));
    }

    #[test]
    fn what_is_no_lookup_makes_nobody_known() {
        let guests = Guests::of(&[]);
        let refused = guests.prove(&Did::from_bytes([1; 20]), &[0x80], Timestamp::from_ms(1));
        assert_eq!(refused.map(drop).map_err(GuestRefusal::code), Err("unknown_home"));
        let refused = guests.anchor(&origin("a.test/log"), None, &[0x80], Timestamp::from_ms(1));
        assert_eq!(refused.map(drop).map_err(GuestRefusal::code), Err("unknown_home"));
        assert_eq!(guests.home(&origin("a.test/log")), Err(GuestRefusal::NoHome));
    }
}
