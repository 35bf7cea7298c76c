//! An audience of tokens: fetches its keys and the feed of revocations, and judges what is presented (PROTOCOL 17.4, 17.5).
//!
//! Whoever believes tokens keeps one, calls [`Audience::hear`] over and over in a task, and asks [`Audience::check`] at each
//! request. Both keys and feed are believed only under the device of the server's own DID, which the log proves.

use std::sync::{Mutex, MutexGuard};

use dgns_api::path;
use identity::cert::{KeyBytes, Kid};
use identity::did::Did;
use identity::hash::Hash;
use identity::state::DidState;
use identity::token::{Access, Checker, FeedPage, SealedKeys, Token, TokenRefusal};
use identity::wire::Writer;

use crate::clock;
use crate::error::ClientError;
use crate::home::DeviceKeys;
use crate::session::{Session, Signer};

/// For how many seconds the server may wait with an empty page.
const WAIT_S: u64 = 10;

/// What an audience knows. Shared between the task that hears and those that check.
#[derive(Debug)]
pub struct Audience {
    did: Did,
    checker: Mutex<Checker>,
    /// The keys that may have signed what the server says: the live devices of its DID.
    server_keys: Vec<KeyBytes>,
    life_s: Option<u64>,
}

impl Audience {
    /// Proves the server's own keys, and fetches the first keys and all of the feed. `device` is one of the audience's;
    /// `life_s` is how long tokens for it shall live from now on.
    pub async fn open(session: &Session, device: &DeviceKeys, life_s: Option<u64>) -> Result<Self, ClientError> {
        let did = device.did.ok_or_else(|| ClientError::Unable("this device belongs to no DID yet".into()))?;
        let odd = || ClientError::Network("the server does not say which DID is its own".into());
        let server: Did = session.info().await?.server_did.parse().map_err(|_| odd())?;
        let proved = session.resolve_did(&server).await?;
        let state = proved.did().ok_or_else(|| ClientError::Absent(server.to_string()))?;
        if state.uid != 0 {
            return Err(ClientError::proof(
                "not_the_server",
                "the DID that the server calls its own is not the log's first",
            ));
        }
        let server_keys = live_keys(state);
        let audience = Self { did, checker: Mutex::new(Checker::new(did)), server_keys, life_s };
        audience.fetch_keys(session, device).await?;
        audience.hear_for(session, 0).await?;
        Ok(audience)
    }

    /// Waits for the next word of the feed and takes it in; fetches keys before their hour begins. A failure is to be tried again
    /// soon: after 60 s without word, nothing that writes is let in.
    pub async fn hear(&self, session: &Session, device: &DeviceKeys) -> Result<(), ClientError> {
        if !self.checker().has_next_key(now_s()) {
            self.fetch_keys(session, device).await?;
        }
        self.hear_for(session, WAIT_S).await
    }

    /// Returns what a token says, presented by the device `kid`, which proved its key.
    pub fn check(&self, token: &str, kid: &Kid, access: Access) -> Result<Token, TokenRefusal> {
        self.checker().check(token, kid, access, now_s())
    }

    /// Returns whether a grant was revoked.
    pub fn is_grant_revoked(&self, sid: &Hash) -> bool {
        self.checker().is_grant_revoked(sid)
    }

    /// Returns whether there was no word of the feed for 60 s.
    pub fn is_stale(&self) -> bool {
        self.checker().is_stale(now_s())
    }

    async fn hear_for(&self, session: &Session, wait_s: u64) -> Result<(), ClientError> {
        loop {
            let since = self.checker().seq();
            let bytes = session.get(&format!("{}?since={since}&wait={wait_s}", path::REVOCATIONS)).await?;
            let origin = session.trust().origin().clone();
            let verified = |key: &KeyBytes| FeedPage::verify(&bytes, &origin, key, since).ok();
            let page = self.server_keys.iter().find_map(verified);
            let page =
                page.ok_or_else(|| ClientError::proof("bad_signature", "a page of revocations nobody signed"))?;
            if self.checker().learn_news(&page, now_s()) && !page.more {
                return Ok(());
            }
        }
    }

    async fn fetch_keys(&self, session: &Session, device: &DeviceKeys) -> Result<(), ClientError> {
        let mut writer = Writer::new();
        match self.life_s {
            Some(life_s) => writer.map(1).uint(1).uint(life_s),
            None => writer.map(0),
        };
        let signer = Signer { did: self.did, keys: device };
        let bytes = session.post_signed(signer, path::TOKEN_KEYS, &writer.finish()).await?;
        let origin = session.trust().origin().clone();
        let verified = |key: &KeyBytes| SealedKeys::verify(&bytes, &origin, key).ok();
        let sealed = self.server_keys.iter().find_map(verified).filter(|sealed| sealed.audience == self.did);
        let sealed = sealed.ok_or_else(|| ClientError::proof("bad_signature", "keys of tokens that nobody signed"))?;
        let keys = sealed.open(&device.kex).map_err(|error| ClientError::proof(error.code(), error.to_string()))?;
        self.checker().learn_keys(keys, now_s());
        Ok(())
    }

    fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock().expect("no holder of the lock panics: it guards plain maps")
    }
}

fn live_keys(state: &DidState) -> Vec<KeyBytes> {
    state.devices.iter().map(|device| device.sign).collect()
}

fn now_s() -> u64 {
    clock::now().as_ms() / 1_000
}
