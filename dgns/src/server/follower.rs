//! The start of a follower: pins the log at the first start, reaches a head that the log signed, and then serves it.

use std::sync::Arc;

use identity::cert::ZoneTerms;
use identity::did::Did;
use identity::key::kid_of;
use storage::Storage;
use storage::rows::StoredHead;
use tokio::sync::watch;
use translog::entry::Epoch;
use translog::logconf::Conf;
use translog::note::VerifierKey;
use translog::tree::Edge;
use translog::trust::Trust;

use super::answering::Answering;
use super::parts::{About, Keeper, Parts};
use super::{Server, ServerError, first, load_names, own_chain};
use crate::app::Role;
use crate::clock::Clock;
use crate::config::Config;
use crate::dns;
use crate::dns::snapshot::Beside;
use crate::follow::remote::Remote;
use crate::follow::standing::Standing;
use crate::follow::{self, Follower, is_signed, pin};
use crate::keys::{self, KeyFileError};
use crate::log::commit::Committer;
use crate::log::damaged;
use crate::log::live::{Inner, PublicHead};
use crate::log::restart;
use crate::outbound::Outbound;
use crate::setup;
use crate::store::Databases;

/// Starts a server that follows the one at `url`; answers once it has a head that the log signed.
pub(super) async fn start(mut config: Config, clock: Clock, url: &str) -> Result<Server, ServerError> {
    let data = config.data.clone();
    if data.join("keys").join("log.key").exists() {
        return Err(ServerError::OtherRole { what: "it holds the key of a log of its own, which follows nobody" });
    }
    if !config.dns.peers.is_empty() {
        tracing::warn!("a follower gives no copies of its DNS zone: no [[dns.peer]] gets one");
    }
    let remote = Remote::new(Outbound::new(config.outbound.plain_http), url);
    let trust = pin::trust(&data, &remote, config.follow.policy.as_deref()).await?;
    config.zone = trust.zone().clone();
    let storage = Arc::new(Storage::open(&data).await?);
    let stored = storage.log().load_head().await?;
    let made = stored.is_none();
    let zone = dns::feed::zone(&config)?;
    let zone = match config.primary() {
        Some(_) => zone.copied(config.zone.clone(), clock.clone()),
        None => zone,
    };
    let size = stored.as_ref().map_or(0, |head| head.size);
    let snapshot = dns::snapshot::find(&zone, &storage, storage.dir()).await?;
    let names = load_names(zone, snapshot, &storage, size, Beside::default());
    let recommended = config.follow.policy.is_none();
    let (inner, server, trust) = load(&storage, trust, recommended, stored).await?;
    let dns_zone = first(names).await?;

    let standing = Arc::new(Standing::new(remote.base(), &data.join("evidence"), config.follow.max_stale_s));
    standing.asks_for(trust.policy());
    let parts = Parts::new(config, clock, storage, dns_zone, inner, watch::Sender::new(false));
    let mut follower = Follower {
        remote,
        trust,
        recommended,
        server,
        log: parts.log.clone(),
        heads: parts.heads.clone(),
        standing: standing.clone(),
        clock: parts.clock.clone(),
        data,
    };
    let tile_writer = parts.write_tiles(None);
    if !is_signed(&parts.log.live.head()) {
        follower.catch_up().await?;
    }
    let vkey = oldest_key(&follower.trust);
    let server = follower.server.ok_or_else(|| damaged("labels", "the log has entries and no server"))?;
    let terms = terms(&parts.log, server, &parts.config).await?;
    let stopping = parts.stopping.clone();
    let adds = tokio::spawn(async move { follower.run(stopping).await.map_err(ServerError::from) });
    let about = About { server, vkey, terms, made };
    let databases = shared_databases(&parts, server).await?;
    let answering = Answering::begin(&parts.config, &parts.clock, parts.log.dns.clone(), &parts.stopping).await?;
    let role = (Role::Follower(standing), None);
    parts.serve(answering, role, databases, Keeper { adds, tile_writer }, None, about).await
}

/// Opens the databases that this node shares with the server it follows: it signs for them with that server's own device.
async fn shared_databases(parts: &Parts, server: Did) -> Result<Option<Arc<Databases>>, ServerError> {
    let storage = &parts.config.storage;
    let (Some(path), Some(_), true) = (&storage.server_key, &storage.home.database, storage.enabled) else {
        return Ok(None);
    };
    let key = keys::read_server_key(path)?;
    let did = own_chain::state(&parts.log, server).await?;
    if did.device(&kid_of(&key.public())).is_none_or(|device| device.sign != key.public()) {
        return Err(KeyFileError::Wrong { path: path.clone(), what: "server key" }.into());
    }
    Ok(Some(Arc::new(Databases::open(&parts.config.data, storage, key).await?)))
}

/// Reads back what is here; nothing, at the first start. The trust is under the policy that the log recommends, if asked.
async fn load(
    storage: &Storage,
    trust: Trust,
    recommended: bool,
    stored: Option<StoredHead>,
) -> Result<(Inner, Option<Did>, Trust), ServerError> {
    let Some(stored) = stored else { return Ok((Inner::empty(), None, trust)) };
    let under = |conf: &Conf| match recommended {
        true => follow::under_recommended(trust.clone(), conf),
        false => trust.clone(),
    };
    let read = |conf: &Conf, note: &[u8], edge: &Edge, epoch: Epoch| -> Result<PublicHead, &'static str> {
        follow::read_head(&under(conf), note, edge, epoch)
    };
    let found = restart::load(storage, &stored, read).await?;
    Ok((found.inner, Some(found.conf.server), under(&found.conf)))
}

/// The key that signs what lookups carry.
fn oldest_key(trust: &Trust) -> VerifierKey {
    trust.log_keys().first().expect("trust has a key").clone()
}

/// Returns the zone's terms as the log holds them: a follower shows them, and judges no claim.
async fn terms(log: &Committer, server: Did, config: &Config) -> Result<ZoneTerms, ServerError> {
    let did = own_chain::state(log, server).await?;
    let logged = setup::logged_terms(&did.authorities, &config.zone);
    Ok(logged.map_or_else(|| setup::terms(config), |(_, terms)| terms))
}
