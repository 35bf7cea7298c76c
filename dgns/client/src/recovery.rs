//! Recovery from the side of a person (PROTOCOL 24): enrolling at servers, and coming back with a PIN and a sign-in.
//!
//! Nothing a recovery server says is believed for its own sake: its evaluation proves itself under the key in the log, and its share
//! of the backup is tried against it.

mod attempt;
mod enrol;
mod kept;
mod peer;

pub use attempt::{Answers, Opened, ask_all, hardened, open_backup};
pub use enrol::{Plan, enrol};
pub use kept::{Kept, Stage};
pub use peer::{Peer, Refusal, erase_at, groups, meet_all, meet_logged};

use identity::did::Did;
use identity::recovery::gate::Logged;
use identity::state::DidState;
use translog::head::Head;

use crate::error::ClientError;
use crate::session::Session;

/// What the log says of somebody's recovery, followed from the genesis of the DID.
pub struct Known {
    /// The DID's state.
    pub did: DidState,
    /// Its enrolment and newest attempt; `None`: nobody enrolled, or what was enrolled is over.
    pub logged: Option<Logged>,
    /// The head it stands under.
    pub head: Head,
}

/// Reads a DID from its genesis, and what it says of recovery.
pub async fn known(session: &Session, did: &Did) -> Result<Known, ClientError> {
    let look = session.history(did).await?;
    let state = look.resolved.did().ok_or_else(|| ClientError::Absent(did.to_string()))?.clone();
    let bodies = look.steps.iter().map(|step| (step.certificate.sid(), &step.certificate.payload().body));
    let recovery = state.recovery.as_deref();
    let logged = recovery.and_then(|recovery| Logged::of(recovery, look.resolved.epoch().time_ms, bodies).ok());
    let head = look.resolved.head().clone();
    Ok(Known { did: state, logged, head })
}
