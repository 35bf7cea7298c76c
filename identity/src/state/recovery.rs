//! The recovery of a DID: its enrolment, how many guesses are spent, and how far an attempt has come (PROTOCOL 6.5).

use crate::cert::{DecodeError, KeyBytes, Sid};
use crate::limits::{GUESSES_MAX, SIGN_INS_MAX};
use crate::wire::{Reader, Writer};

/// Key 11 of a DidState: `[epoch, phase, keys or null, guesses, attempt or null, due ms, breaker ms]`.
///
/// It stays when recovery has ended, so that no epoch comes twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryState {
    /// The epoch of the newest enrolment; 1 at first.
    pub epoch: u32,
    /// How far it is.
    pub phase: RecoveryPhase,
    /// What the enrolment rests on; `None` without one.
    pub keys: Option<RecoveryKeys>,
    /// The attempts of this epoch, at most 10.
    pub guesses: u8,
    /// The newest attempt of this epoch.
    pub attempt: Option<AttemptState>,
    /// When the phase ends by itself, epoch ms; 0 = not by itself.
    pub due_ms: u64,
    /// Until when an attempt has to show every sign-in, epoch ms; 0 = never asked for.
    pub breaker_ms: u64,
}

/// How far a recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecoveryPhase {
    /// There is no enrolment.
    None = 0,
    /// Nobody recovers.
    Live = 1,
    /// A guess is spent, and may be proved for ten minutes.
    Open = 2,
    /// The PIN was right. The window runs until `due_ms`.
    Proved = 3,
    /// The new device may take over until `due_ms`.
    Ready = 4,
    /// Vetoed: a new enrolment alone leads on.
    Burnt = 5,
}

/// What an enrolment rests on: `[index, sid, sign pk, box pk, sign-ins, needed, fresh until ms]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryKeys {
    /// The log index of its `recovery_set`.
    pub index: u64,
    /// The sid of that certificate, which says who the servers are.
    pub sid: Sid,
    /// K: signs for whoever knew the PIN.
    pub sign: KeyBytes,
    /// The X25519 key the user key is sealed to.
    pub kex: KeyBytes,
    /// How many sign-ins are listed.
    pub sign_ins: u8,
    /// How many of them an attempt shows.
    pub needed: u8,
    /// Until when one voter's confirm is no help to it, epoch ms; 0 unless a single voter enrolled at once.
    pub fresh_until_ms: u64,
}

/// The newest attempt: `[sid, sign pk, kex pk, ms]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptState {
    /// The sid of its `recover_open`.
    pub sid: Sid,
    /// The Ed25519 key of the new device.
    pub sign: KeyBytes,
    /// Its X25519 key.
    pub kex: KeyBytes,
    /// When it was logged, epoch ms.
    pub at_ms: u64,
}

impl RecoveryState {
    /// Returns whether somebody proved the PIN and may take over: what every lookup has to say.
    pub fn is_pending(&self) -> bool {
        matches!(self.phase, RecoveryPhase::Proved | RecoveryPhase::Ready)
    }

    /// Returns the key the user key is sealed to besides devices and words; `None` without a recovery that could end well.
    pub fn recipient(&self) -> Option<KeyBytes> {
        self.keys.filter(|_| self.phase != RecoveryPhase::Burnt).map(|keys| keys.kex)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.array(7).uint(u64::from(self.epoch)).uint(self.phase as u64);
        match &self.keys {
            Some(keys) => {
                w.array(7).uint(keys.index).bytes(&keys.sid).bytes(&keys.sign).bytes(&keys.kex);
                w.uint(u64::from(keys.sign_ins)).uint(u64::from(keys.needed)).uint(keys.fresh_until_ms)
            }
            None => w.null(),
        };
        w.uint(u64::from(self.guesses));
        match &self.attempt {
            Some(at) => w.array(4).bytes(&at.sid).bytes(&at.sign).bytes(&at.kex).uint(at.at_ms),
            None => w.null(),
        };
        w.uint(self.due_ms).uint(self.breaker_ms);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array_of(7)?;
        let state = Self {
            epoch: r.uint_to(u64::from(u32::MAX))? as u32,
            phase: read_phase(r)?,
            keys: r.or_null(read_keys)?,
            guesses: r.uint_to(u64::from(GUESSES_MAX))? as u8,
            attempt: r.or_null(read_attempt)?,
            due_ms: r.uint()?,
            breaker_ms: r.uint()?,
        };
        if state.is_consistent() { Ok(state) } else { Err(DecodeError::BadField) }
    }

    fn is_consistent(&self) -> bool {
        use RecoveryPhase as P;
        let enrolled = self.keys.is_some() == (self.phase != P::None);
        let empty = self.phase != P::None || self.breaker_ms == 0;
        let tried = self.attempt.is_some() == (self.guesses > 0);
        let in_phase = match self.phase {
            P::None => self.guesses == 0,
            P::Live => true,
            P::Open | P::Proved | P::Ready | P::Burnt => self.guesses > 0,
        };
        self.epoch > 0 && enrolled && empty && tried && in_phase && (self.due_ms != 0) == self.is_pending()
    }
}

fn read_phase(r: &mut Reader<'_>) -> Result<RecoveryPhase, DecodeError> {
    Ok(match r.uint()? {
        0 => RecoveryPhase::None,
        1 => RecoveryPhase::Live,
        2 => RecoveryPhase::Open,
        3 => RecoveryPhase::Proved,
        4 => RecoveryPhase::Ready,
        5 => RecoveryPhase::Burnt,
        _ => return Err(DecodeError::BadField),
    })
}

fn read_keys(r: &mut Reader<'_>) -> Result<RecoveryKeys, DecodeError> {
    r.array_of(7)?;
    let (index, sid, sign, kex) = (r.uint()?, r.fixed()?, r.fixed()?, r.fixed()?);
    let (sign_ins, needed) = (r.uint_to(SIGN_INS_MAX as u64)? as u8, r.uint_to(SIGN_INS_MAX as u64)? as u8);
    let fresh_until_ms = r.uint()?;
    match (1..=sign_ins).contains(&needed) {
        true => Ok(RecoveryKeys { index, sid, sign, kex, sign_ins, needed, fresh_until_ms }),
        false => Err(DecodeError::BadField),
    }
}

fn read_attempt(r: &mut Reader<'_>) -> Result<AttemptState, DecodeError> {
    r.array_of(4)?;
    Ok(AttemptState { sid: r.fixed()?, sign: r.fixed()?, kex: r.fixed()?, at_ms: r.uint()? })
}
