//! What a recovery server decides by (PROTOCOL 24.6, 24.7): the log's word, and a row of its own that only ever remembers more.
//!
//! ```text
//! the log, proved: phase open, attempt a, point B ----+
//!                                                     +--> evaluate k_i B, after (a, B) is durable
//! the row: this epoch, the newest (a, B) it answered -+
//! ```
//!
//! The server counts nothing. The log fixes one point for each of ten attempts, the same for every server; a row that was lost, or
//! taken from a backup, has the server answer a point again that it answered before, and never another.

use crate::cert::{Body, Enrolment, KeyBytes, RecoverOpen, Sid};
use crate::hash::Hash;
use crate::oprf::Element;
use crate::state::{AttemptState, RecoveryKeys, RecoveryPhase, RecoveryState};

use super::Scope;

/// What a server remembers of an enrolment, its secrets apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose, and which epoch.
    pub scope: Scope,
    /// The point of its shares.
    pub index: u8,
    /// The public key of its share.
    pub public: KeyBytes,
    /// The sign-ins that are listed: ids and salts.
    pub sign_ins: Vec<(Hash, [u8; 16])>,
    /// The newest attempt it answered.
    pub mark: Option<Mark>,
}

/// An attempt that a server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub attempt: u8,
    /// The one point that is evaluated in it.
    pub blinded: Element,
}

/// What the log says of a recovery, from a state and a chain that were proved together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The state.
    pub state: RecoveryState,
    /// The enrolment it rests on.
    pub enrolment: Enrolment,
    /// The newest attempt, if there is one.
    pub open: Option<RecoverOpen>,
    /// The time of the head's Epoch, ms.
    pub now_ms: u64,
}

/// Why a server does not do it. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateRefusal {
    /// Nobody enrolled, or the enrolment is over. Code `no_recovery`.
    #[error("the log has no enrolment of this DID")]
    NoRecovery,
    /// Another epoch is in force. Code `erased`.
    #[error("this epoch is over; the log has epoch {epoch}")]
    Erased {
        /// The one in force.
        epoch: u32,
    },
    /// The log names another share for this server, or none. Code `not_enrolled`.
    #[error("the enrolment in the log does not name this server with the share it keeps")]
    NotEnrolled,
    /// Vetoed. Code `burnt`.
    #[error("this recovery was vetoed")]
    Burnt,
    /// No attempt is open, or it was proved already. Code `not_open`.
    #[error("no attempt is open in the log")]
    NotOpen,
    /// The attempt is not the newest. Code `bad_attempt`.
    #[error("the newest attempt in the log is {newest}")]
    BadAttempt {
        /// The newest.
        newest: u8,
    },
    /// This server answered another point in this attempt, or a later attempt. Code `attempt_used`.
    #[error("this server answered another point in this attempt, or a later attempt")]
    Used,
    /// A sign-in is not the one the attempt names. Code `unknown_signin`.
    #[error("a sign-in is not one of those that were listed, or not one that the attempt names")]
    UnknownSignIn,
    /// Not as many sign-ins as are needed. Code `too_few`.
    #[error("{needed} sign-ins are needed")]
    TooFew {
        /// How many.
        needed: u8,
    },
    /// The window is not over. Code `not_ready`.
    #[error("the window is not over: until {due_ms}")]
    NotReady {
        /// When it is, epoch ms; 0 if nothing was proved.
        due_ms: u64,
    },
}

impl GateRefusal {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoRecovery => "no_recovery",
            Self::Erased { .. } => "erased",
            Self::NotEnrolled => "not_enrolled",
            Self::Burnt => "burnt",
            Self::NotOpen => "not_open",
            Self::BadAttempt { .. } => "bad_attempt",
            Self::Used => "attempt_used",
            Self::UnknownSignIn => "unknown_signin",
            Self::TooFew { .. } => "too_few",
            Self::NotReady { .. } => "not_ready",
        }
    }
}

/// What to do before the answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make this durable, then evaluate its point.
    Mark(Mark),
    /// Evaluate this point again: its answer was lost.
    Again(Element),
}

impl Logged {
    /// Finds enrolment and attempt of a proved state among the certificates of the chain that made it.
    pub fn of<'c>(
        state: &RecoveryState,
        now_ms: u64,
        chain: impl Iterator<Item = (Sid, &'c Body)> + Clone,
    ) -> Result<Self, GateRefusal> {
        let keys: RecoveryKeys = state.keys.ok_or(GateRefusal::NoRecovery)?;
        let body = |wanted: Sid| chain.clone().find(|(sid, _)| *sid == wanted).map(|(_, body)| body);
        let enrolment = enrolment_of(&chain, keys.sid).ok_or(GateRefusal::NoRecovery)?;
        let open = match state.attempt.and_then(|attempt| body(attempt.sid)) {
            Some(Body::RecoverOpen(open)) => Some(open.clone()),
            _ => None,
        };
        Ok(Self { state: state.clone(), enrolment, open, now_ms })
    }

    /// How many sign-ins an attempt shows now.
    pub fn needed(&self) -> u8 {
        let broken = self.now_ms < self.state.breaker_ms;
        if broken { self.enrolment.sign_ins.len() as u8 } else { self.enrolment.needed }
    }

    fn of_row(&self, row: &Row, server: &KeyBytes) -> Result<(), GateRefusal> {
        if self.state.epoch != row.scope.epoch {
            return Err(GateRefusal::Erased { epoch: self.state.epoch });
        }
        let place = usize::from(row.index).checked_sub(1).and_then(|at| self.enrolment.servers.get(at));
        let named = place.is_some_and(|named| named.key == *server && named.oprf == row.public);
        if named { Ok(()) } else { Err(GateRefusal::NotEnrolled) }
    }
}

/// Returns the enrolment that a certificate of the chain made: a `recovery_set`.
fn enrolment_of<'c>(chain: &(impl Iterator<Item = (Sid, &'c Body)> + Clone), wanted: Sid) -> Option<Enrolment> {
    match chain.clone().find(|(sid, _)| *sid == wanted)?.1 {
        Body::RecoverySet(set) => set.enrolment.clone(),
        _ => None,
    }
}

/// Whether the point of this attempt is evaluated. `server` is the server's own key.
pub fn evaluate(row: &Row, server: &KeyBytes, logged: &Logged, attempt: u8) -> Result<Step, GateRefusal> {
    logged.of_row(row, server)?;
    match logged.state.phase {
        RecoveryPhase::Open => {}
        RecoveryPhase::Burnt => return Err(GateRefusal::Burnt),
        RecoveryPhase::None | RecoveryPhase::Live | RecoveryPhase::Proved | RecoveryPhase::Ready => {
            return Err(GateRefusal::NotOpen);
        }
    }
    let open = logged.open.as_ref().ok_or(GateRefusal::NotOpen)?;
    let newest = logged.state.guesses;
    if attempt != newest || open.attempt.number != newest || open.attempt.epoch != row.scope.epoch {
        return Err(GateRefusal::BadAttempt { newest });
    }
    let mark = Mark { attempt, blinded: open.blinded };
    match row.mark {
        Some(known) if known == mark => Ok(Step::Again(mark.blinded)),
        Some(known) if known.attempt >= attempt => Err(GateRefusal::Used),
        _ => Ok(Step::Mark(mark)),
    }
}

/// Whether the sign-ins shown are those that are listed, as many as are needed, and those that the attempt names.
///
/// `shown` are the id in the log and the evidence hash of each, as the server itself made them of what it verified.
pub fn sign_ins(row: &Row, logged: &Logged, shown: &[(Hash, Hash)]) -> Result<(), GateRefusal> {
    let named = logged.open.as_ref().map_or(&[][..], |open| open.evidence.as_slice());
    let known = |(id, evidence): &(Hash, Hash)| {
        row.sign_ins.iter().any(|(listed, _)| listed == id)
            && logged.enrolment.sign_ins.contains(id)
            && named.contains(evidence)
    };
    if !shown.iter().all(known) {
        return Err(GateRefusal::UnknownSignIn);
    }
    let mut ids: Vec<&Hash> = shown.iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    ids.dedup();
    let needed = logged.needed();
    if ids.len() < usize::from(needed) { Err(GateRefusal::TooFew { needed }) } else { Ok(()) }
}

/// Whether the share of the backup is released, and to which device.
pub fn release(row: &Row, server: &KeyBytes, logged: &Logged, attempt: u8) -> Result<AttemptState, GateRefusal> {
    logged.of_row(row, server)?;
    match logged.state.phase {
        RecoveryPhase::Ready => {}
        RecoveryPhase::Burnt => return Err(GateRefusal::Burnt),
        RecoveryPhase::Proved => return Err(GateRefusal::NotReady { due_ms: logged.state.due_ms }),
        RecoveryPhase::None | RecoveryPhase::Live | RecoveryPhase::Open => {
            return Err(GateRefusal::NotReady { due_ms: 0 });
        }
    }
    let newest = logged.state.guesses;
    match logged.state.attempt {
        Some(open) if attempt == newest => Ok(open),
        _ => Err(GateRefusal::BadAttempt { newest }),
    }
}

/// Whether a row will never be asked for again: another epoch is in force, or none and there was one.
///
/// `waiting` are the enrolments of acts that wait for their window: their rows stay.
pub fn is_over(row: &Row, server: &KeyBytes, state: Option<&RecoveryState>, waiting: &[Enrolment]) -> bool {
    let is_waiting = waiting.iter().any(|enrolment| names(enrolment, row, server));
    let over = state
        .is_some_and(|state| row.scope.epoch < state.epoch || (row.scope.epoch == state.epoch && state.keys.is_none()));
    over && !is_waiting
}

/// Whether an enrolment names a server with the share of this row.
pub fn names(enrolment: &Enrolment, row: &Row, server: &KeyBytes) -> bool {
    enrolment.servers.iter().any(|named| named.key == *server && named.oprf == row.public)
}

#[cfg(test)]
mod tests;
