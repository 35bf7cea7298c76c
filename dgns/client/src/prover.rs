//! What the log says of a DID or name now, for many tasks at once.
//!
//! A session's memory is one file under a lock: here one task after another takes its turn.

use std::sync::Arc;

use identity::cert::{Certificate, KeyBytes, Kid};
use identity::did::Did;
use identity::key::kid_of;
use identity::name::Origin;
use identity::state::{DeviceStatus, DidState, Subject};
use tokio::sync::Mutex;
use translog::gossip::ShownHead;

use crate::error::ClientError;
use crate::session::Session;
use crate::{exchange, nodes};

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
    /// Where the lobby's nodes are at which it is hosted, host and port, if a name was looked up whose records say so.
    pub nodes: Vec<(String, u16)>,
    /// A guest: its key is in no log, and nothing is proved of it but that it has the key.
    pub guest: bool,
}

impl Proven {
    /// Returns a guest with this key, under what stands in for a DID.
    pub(crate) fn of_guest(key: KeyBytes) -> Self {
        let did = lobby::guest::stand_in(&key);
        Self { did, devices: vec![key], names: Vec::new(), nodes: Vec::new(), guest: true }
    }

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
        let nodes = resolved.records().map(nodes::named).unwrap_or_default();
        Ok(resolved.did().map(|state| Proven { nodes, ..proven(state) }))
    }

    /// Looks up who sends a card: a device's DID in the log, or, without asking anybody, a guest. `None`: it is proved absent.
    pub(crate) async fn look_up_sender(&self, device: KeyBytes, did: &Did) -> Result<Option<Proven>, ClientError> {
        match lobby::guest::is_guest(&device, did) {
            true => Ok(Some(Proven::of_guest(device))),
            false => self.look_up(&Subject::Did(*did)).await,
        }
    }

    /// Returns the keys that may grant for a DID; none if it is not in the log.
    pub async fn granting_keys(&self, did: &Did) -> Result<Vec<KeyBytes>, ClientError> {
        let _turn = self.turn.lock().await;
        let resolved = self.session.resolve_from_genesis(&Subject::Did(*did)).await?;
        Ok(resolved.did().map(DidState::granting_keys).unwrap_or_default())
    }

    /// Passes a certificate of somebody's on to the log, and proves that it is there. Returns its index.
    pub async fn pass_on(&self, certificate: &Certificate, of: &Did) -> Result<u64, ClientError> {
        let _turn = self.turn.lock().await;
        self.session.pass_on(certificate, &Subject::Did(*of)).await
    }

    /// Returns what was proved of a DID last, without asking.
    pub async fn remembered(&self, did: &Did) -> Option<Proven> {
        let _turn = self.turn.lock().await;
        let memory = self.session.log().memory_in_turn().await.ok()?;
        memory.memory.known(did).map(|known| proven(known.state()))
    }

    /// Returns the newest verified head as it is shown to others.
    pub async fn head(&self) -> Option<Vec<u8>> {
        let _turn = self.turn.lock().await;
        let memory = self.session.log().memory_in_turn().await.ok()?;
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
    Proven { did: state.did, devices, names: state.names.clone(), nodes: Vec::new(), guest: false }
}
