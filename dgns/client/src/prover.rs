//! What the log says of a DID or name now, for many tasks at once.
//!
//! A session's memory is one file under a lock: here one task after another takes its turn.

use std::sync::Arc;

use identity::cert::{KeyBytes, Kid};
use identity::did::Did;
use identity::key::kid_of;
use identity::name::Origin;
use identity::state::{DeviceStatus, DidState, Subject};
use tokio::sync::Mutex;
use translog::gossip::ShownHead;

use crate::error::ClientError;
use crate::exchange;
use crate::session::Session;

/// Asks the log, one question at a time.
#[derive(Clone, Debug)]
pub struct Prover {
    session: Arc<Session>,
    turn: Arc<Mutex<()>>,
}

/// A DID with its devices that count and its names, as the log proves them from its genesis on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The DID.
    pub did: Did,
    /// The keys of its devices, without those that are suspended; none if the DID ended.
    pub devices: Vec<KeyBytes>,
    /// Its live names.
    pub names: Vec<String>,
}

impl Proven {
    /// Returns whether a device counts.
    pub fn has(&self, device: &KeyBytes) -> bool {
        self.devices.contains(device)
    }

    /// Returns the kids of the devices.
    pub fn kids(&self) -> impl Iterator<Item = Kid> {
        self.devices.iter().map(kid_of)
    }
}

impl Prover {
    /// Returns the prover of a session's log.
    pub fn new(session: Session) -> Self {
        Self { session: Arc::new(session), turn: Arc::default() }
    }

    /// Returns the session; whoever looks up through it takes no turn.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the log.
    pub fn origin(&self) -> &Origin {
        self.session.log().origin()
    }

    /// Looks a subject up, from the genesis of its DID. `None`: it is proved absent.
    pub async fn look_up(&self, subject: &Subject) -> Result<Option<Proven>, ClientError> {
        let _turn = self.turn.lock().await;
        let resolved = self.session.resolve_from_genesis(subject).await?;
        Ok(resolved.did().map(proven))
    }

    /// Returns what was proved of a DID last, without asking.
    pub async fn remembered(&self, did: &Did) -> Option<Proven> {
        let _turn = self.turn.lock().await;
        let memory = self.session.log().memory().ok()?;
        memory.memory.known(did).map(|known| proven(known.state()))
    }

    /// Returns the newest verified head as it is shown to others.
    pub async fn head(&self) -> Option<Vec<u8>> {
        let _turn = self.turn.lock().await;
        let memory = self.session.log().memory().ok()?;
        memory.memory.head().map(|head| ShownHead::of(self.origin(), head).encode())
    }

    /// Holds a head that somebody shows against what is known here (PROTOCOL 9.8). What is no head of this log says nothing.
    ///
    /// Errors: [`ClientError::Proof`] with evidence kept, if the log shows two histories.
    pub async fn hold(&self, shown: &[u8]) -> Result<(), ClientError> {
        let Ok(shown) = ShownHead::decode(shown) else { return Ok(()) };
        let _turn = self.turn.lock().await;
        match exchange::hold(&self.session, &shown).await {
            Err(fault @ ClientError::Proof { .. }) => Err(fault),
            _ => Ok(()),
        }
    }
}

fn proven(state: &DidState) -> Proven {
    let ended = state.flags & DidState::ENDED != 0;
    let counts = |status: DeviceStatus| status != DeviceStatus::Suspended && !ended;
    let devices = state.devices.iter().filter(|device| counts(device.status)).map(|device| device.sign).collect();
    Proven { did: state.did, devices, names: state.names.clone() }
}
