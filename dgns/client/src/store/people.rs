//! Whose devices sign: looked up once a command, and proved by the log of names.

use std::collections::HashMap;

use dgns_api::store::entry::Header;
use dgns_api::store::head::SignedHead;
use identity::cert::{DidKind, KeyBytes};
use identity::did::Did;
use identity::key::kid_of;

use crate::error::ClientError;
use crate::session::Session;

/// The devices met so far.
#[derive(Debug, Default)]
pub(super) struct People {
    /// By DID: the keys of its devices, live ones first looked for, then all it ever had.
    devices: HashMap<Did, Vec<KeyBytes>>,
    /// The keys of the server whose heads are believed, by its DID.
    server: Option<(Did, Vec<KeyBytes>)>,
}

impl People {
    /// Refuses an entry whose device is none that its author ever had.
    pub(super) async fn check(&mut self, session: &Session, header: &Header) -> Result<(), ClientError> {
        let author = &header.author;
        let met = self.devices.contains_key(author);
        if !met {
            let resolved = session.resolve_did(author).await?;
            let state = resolved.did().ok_or_else(|| stranger(header))?;
            self.devices.insert(*author, state.devices.iter().map(|device| device.sign).collect());
        }
        let known = self.devices.entry(*author).or_default();
        if !known.contains(&header.device) {
            // Revoked since, perhaps: the chain tells.
            *known = session.devices_ever(author).await?;
        }
        if known.contains(&header.device) { Ok(()) } else { Err(stranger(header)) }
    }

    /// Refuses a head that the server of this log did not sign.
    pub(super) async fn check_head(&mut self, session: &Session, head: &SignedHead) -> Result<(), ClientError> {
        let store = head.head().store;
        // What moved is signed by who keeps it now, whom its owner named.
        let keeper = session.keeper(&head.head().log);
        if keeper.as_ref().is_some_and(|keeper| keeper.place.server != store) {
            return Err(ClientError::proof(
                "store_head",
                "a head by another server than the one that the database moved to",
            ));
        }
        self.check_head_in(keeper.as_ref().map_or(session, |keeper| &keeper.session), head).await
    }

    async fn check_head_in(&mut self, session: &Session, head: &SignedHead) -> Result<(), ClientError> {
        let store = head.head().store;
        let is_known = self.server.as_ref().is_some_and(|(did, _)| *did == store);
        if is_known && self.has_signed(session, head) {
            return Ok(());
        }
        // Its key was turned since, perhaps: the log of names tells.
        let resolved = session.resolve_did(&store).await?;
        let state = resolved.did().filter(|state| state.uid == 0 && state.kind == DidKind::Server);
        let state = state.ok_or_else(|| ClientError::proof("store_head", "a head by another server"))?;
        self.server = Some((store, state.devices.iter().map(|device| device.sign).collect()));
        match self.has_signed(session, head) {
            true => Ok(()),
            false => Err(ClientError::proof("store_head", "a head of a log that its server did not sign")),
        }
    }

    fn has_signed(&self, session: &Session, head: &SignedHead) -> bool {
        let keys = self.server.iter().flat_map(|(_, keys)| keys);
        let key = keys.into_iter().find(|key| kid_of(key) == head.kid());
        key.is_some_and(|key| head.verify(session.trust().origin(), key).is_ok())
    }
}

fn stranger(header: &Header) -> ClientError {
    ClientError::proof("unknown_device", format!("an entry by a device that {} never had", header.author))
}
