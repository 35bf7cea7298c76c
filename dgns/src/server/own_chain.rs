//! The server's own chain: what it says of its zone, and the keys the server makes authorities there at a start.

use std::path::Path;

use identity::cert::{Authority, Body, KeyBytes, Role, ZoneTerms};
use identity::did::Did;
use identity::key::SigningKey;
use identity::state::{DidState, State, Subject};
use tracing::warn;
use translog::batch::Post;

use super::ServerError;
use crate::clock::Clock;
use crate::config::Config;
use crate::log::commit::Committer;
use crate::log::damaged;
use crate::log::door::Door;
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

    /// Makes a key an authority of `role` for `scope`, unless that was done or waits: at once by the words if they still lie beside
    /// the keys, else by the server's device, after a window.
    pub(super) async fn certify(&self, authority: Authority) -> Result<(), ServerError> {
        let did = state(self.log, self.server).await?;
        let is_it = |other: &Authority| other.role == authority.role && other.key == authority.key;
        let waits = did.pending.iter().filter_map(|act| Body::decode(act.kind, &act.body).ok());
        let waits = waits.into_iter().any(|body| matches!(body, Body::NotaryAdd(other) if is_it(&other)));
        if waits || did.authorities.iter().any(|row| row.revoked_at.is_none() && is_it(&row.authority)) {
            return Ok(());
        }
        let words = self.words()?;
        if words.is_none() {
            warn!(role = ?authority.role, scope = authority.scope, "the words are not beside the keys: a key of the server counts after a window");
        }
        let signer = words.as_ref().unwrap_or(self.device);
        let (head, now) = (self.log.live.head(), self.clock.now());
        let certificate =
            setup::authority_certificate(self.config, authority, signer, self.server, did.head, &head, now);
        let verified =
            certificate.verify(&self.config.zone.origin(), &[signer.public()]).map_err(SetupError::Signature)?;
        self.door.publish_own(Post::certificates(vec![verified])).await.map_err(ServerError::Own).map(drop)
    }

    fn words(&self) -> Result<Option<SigningKey>, SetupError> {
        Ok(setup::words(self.keys_at)?.map(|words| words.identity()))
    }
}

/// Returns what makes a key evaluate the aliases of the zone.
pub(super) fn alias_authority(config: &Config, key: KeyBytes) -> Authority {
    Authority { role: Role::Alias, key, scope: config.zone.as_str().to_owned(), zone: None }
}
