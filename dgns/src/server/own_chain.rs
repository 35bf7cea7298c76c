//! The server's own chain: what it says of its zone, and the keys the server makes authorities there at a start.

use std::path::Path;
use std::sync::Arc;

use identity::cert::{Authority, Body, KeyBytes, Role, Seen, ZoneTerms};
use identity::did::Did;
use identity::key::{SigningKey, kid_of};
use identity::rules::Refusal;
use identity::state::{AuthorityState, DidState, State, Subject};
use tracing::warn;
use translog::batch::Post;

use super::ServerError;
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::NotaryKey;
use crate::log::commit::Committer;
use crate::log::damaged;
use crate::log::door::{Door, DoorError};
use crate::log::shown::Asked;
use crate::setup::{self, SetupError};

/// Returns the newest state of the server's own DID.
pub(super) async fn state(log: &Committer, server: Did) -> Result<DidState, ServerError> {
    let label = translog::map::label(&Subject::Did(server));
    let held = log.states.load(&log.live, &log.storage, &[label], Asked::Newest).await?;
    match held[0].as_deref().map(|held| &held.leaf.state) {
        Some(State::Did(did)) => Ok(did.clone()),
        _ => Err(damaged("labels", "the server's own DID is missing").into()),
    }
}

/// Where a start extends the server's own chain.
pub(super) struct OwnChain<'a> {
    pub(super) config: &'a Config,
    pub(super) log: &'a Committer,
    pub(super) server: Did,
    pub(super) keys_at: &'a Path,
    pub(super) device: &'a SigningKey,
    pub(super) door: &'a Door,
    pub(super) clock: &'a Clock,
}

impl OwnChain<'_> {
    /// Returns the zone's logged terms; the first start logs them, by the words.
    pub(super) async fn terms(&self, zone_key: KeyBytes) -> Result<ZoneTerms, ServerError> {
        let mut did = state(self.log, self.server).await?;
        if setup::logged_terms(&did.authorities, &self.config.zone).is_none() && self.words()?.is_some() {
            self.certify(setup::zone_authority(self.config, zone_key)).await?;
            did = state(self.log, self.server).await?;
        }
        match setup::logged_terms(&did.authorities, &self.config.zone) {
            None => Err(ServerError::OtherZone { zone: self.config.zone.as_str().to_owned() }),
            Some((key, _)) if key != zone_key => Err(ServerError::WrongZoneKey),
            Some((_, logged)) => {
                if logged != setup::terms(self.config) {
                    warn!("the logged terms of the zone differ from [claims]; the logged ones rule");
                }
                Ok(logged)
            }
        }
    }

    /// Makes a key an authority, unless that was done or waits: at once by the words if they still lie beside the keys, else by
    /// the server's device, after a window. A key that was revoked stays so.
    pub(super) async fn certify(&self, authority: Authority) -> Result<(), ServerError> {
        let did = state(self.log, self.server).await?;
        let is_it = |other: &Authority| {
            other.role == authority.role && other.key == authority.key && other.scope == authority.scope
        };
        let waits = did.pending.iter().filter_map(|act| Body::decode(act.kind, &act.body).ok());
        let waits = waits.into_iter().any(|body| matches!(body, Body::NotaryAdd(other) if is_it(&other)));
        let known = did.authorities.iter().rfind(|row| is_it(&row.authority));
        if known.is_some_and(|row| row.revoked_at.is_some()) {
            warn!(role = ?authority.role, scope = authority.scope, "a key of the server is revoked; erase its file to have another one made");
        }
        if waits || known.is_some() {
            return Ok(());
        }
        if self.words()?.is_none() {
            warn!(role = ?authority.role, scope = authority.scope, "the words are not beside the keys: a key of the server counts after a window");
        }
        self.say(&did, Body::NotaryAdd(authority)).await
    }

    /// Makes the keys of notaries authorities, and revokes those in whose place they came.
    pub(super) async fn certify_notaries(&self, keys: &[Arc<NotaryKey>]) -> Result<(), ServerError> {
        for key in keys {
            let did = state(self.log, self.server).await?;
            let live = |row: &&AuthorityState| row.revoked_at.is_none() && row.authority.role == Role::Notary;
            let others = did.authorities.iter().filter(live).filter(|row| row.authority.scope == key.scope());
            for replaced in others.filter(|row| row.authority.key != key.public()) {
                warn!(scope = key.scope(), "this notary has another key now: the one before is revoked");
                let kid = kid_of(&replaced.authority.key);
                self.say(&state(self.log, self.server).await?, Body::NotaryRevoke { kid }).await?;
            }
            self.certify(key.authority()).await?;
        }
        Ok(())
    }

    /// Extends the chain.
    async fn say(&self, did: &DidState, body: Body) -> Result<(), ServerError> {
        let words = self.words()?;
        let signer = words.as_ref().unwrap_or(self.device);
        let (head, now) = (self.log.live.head(), self.clock.now());
        let seen = Seen { size: head.size(), root: head.root() };
        let verified =
            setup::own_certificate(&self.config.zone.origin(), body, signer, (self.server, did.head), seen, now)?;
        match self.door.publish_own(Post::certificates(vec![verified])).await {
            Ok(_) => Ok(()),
            // One act of a device waits at a time: a later start goes on, or one with the words beside the keys.
            Err(DoorError::Refused { refusal: Refusal::ActOpen { .. }, .. }) => {
                warn!("another act of this server waits for its window: this start certifies and revokes nothing more");
                Ok(())
            }
            Err(error) => Err(ServerError::Own(error)),
        }
    }

    fn words(&self) -> Result<Option<SigningKey>, SetupError> {
        Ok(setup::words(self.keys_at)?.map(|words| words.identity()))
    }
}

/// Returns what makes a key evaluate the aliases of the zone.
pub(super) fn alias_authority(config: &Config, key: KeyBytes) -> Authority {
    Authority { role: Role::Alias, key, scope: config.zone.as_str().to_owned(), zone: None }
}
