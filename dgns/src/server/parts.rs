//! What a start has in hand once the log is read, and how a server comes of it: the keeper of its own log, or a follower's.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use identity::cert::ZoneTerms;
use identity::did::Did;
use storage::{Guard, Storage, StorageError};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::info;
use translog::note::VerifierKey;

use super::answering::Answering;
use super::introducer::Introducer;
use super::own_chain::{self, OwnChain};
use super::{Server, ServerError};
use crate::app::{App, Role};
use crate::auth::notary::Notaries;
use crate::auth::request::Callers;
use crate::auth::signin::Signin;
use crate::clock::Clock;
use crate::config::{Config, TlsConfig};
use crate::core::Core;
use crate::dns::acme::Acme;
use crate::dns::edge::Edge;
use crate::dns::limits::CHALLENGE_SPREAD;
use crate::dns::transfer::{self, Catalog, Serials, Transfers};
use crate::invites::Invites;
use crate::keys::{AliasKey, Keys, LogKey, ZoneKey};
use crate::limits::{self, Places, Rates};
use crate::log::announcer::Announcer;
use crate::log::commit::Committer;
use crate::log::door::Door;
use crate::log::enrolled::Enrolled;
use crate::log::feed::Feed;
use crate::log::files;
use crate::log::heads::Heads;
use crate::log::live::{Inner, Live};
use crate::log::notices::Notices;
use crate::log::publisher::Publisher;
use crate::log::states::States;
use crate::log::tiles::{self, Tiles};
use crate::log::touched::Touched;
use crate::log::witnesses::Witnesses;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::people::{People, teller};
use crate::setup::SetupError;
use crate::store::Databases;
use crate::tokens::{self, Tokens};
use crate::witness::roles::Roles;
use crate::{dns, http, recovery, store};

/// What a start has in hand once the log is read.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) log: Committer,
    pub(super) heads: Arc<Heads>,
    /// Serials of DNS, if other servers copy the zone.
    pub(super) serials: Option<Serials>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) stopping: watch::Receiver<bool>,
}

/// What the keeper of a log has beside it.
pub(super) struct Writer {
    pub(super) keys: Keys,
    pub(super) log_key: Arc<LogKey>,
    pub(super) guard: Guard,
    pub(super) announcer: Option<Announcer>,
    pub(super) enrolled: Arc<Enrolled>,
    pub(super) people: Arc<People>,
    pub(super) answering: Answering,
}

/// What the keeper of a log has of its own, in no log.
pub(super) struct Own {
    pub(super) people: Arc<People>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) notaries: Arc<Notaries>,
}

/// What the log says of itself.
pub(super) struct About {
    pub(super) server: Did,
    pub(super) vkey: VerifierKey,
    pub(super) terms: ZoneTerms,
    /// Whether this start made it, or brought it here.
    pub(super) made: bool,
}

/// The tasks that keep a log.
pub(super) struct Keeper {
    /// Publishes, or follows.
    pub(super) adds: JoinHandle<Result<(), ServerError>>,
    pub(super) tile_writer: JoinHandle<Result<(), StorageError>>,
}

impl Parts {
    pub(super) fn new(
        config: Config,
        clock: Clock,
        storage: Arc<Storage>,
        dns: Arc<dns::Zone>,
        inner: Inner,
        stop: watch::Sender<bool>,
    ) -> Self {
        let stopping = stop.subscribe();
        let log = Committer {
            storage,
            feed: Arc::new(Feed::new(inner.head.size())),
            live: Arc::new(Live::new(inner)),
            states: Arc::new(States::new((config.log.cache_mib << 20) / 2)),
            dns,
            metrics: Arc::new(Metrics::default()),
            touched: Arc::new(Touched::default()),
            present: Arc::new(Touched::default()),
            updated: Arc::new(Touched::default()),
        };
        Self { config, clock, log, heads: Arc::new(Heads::new()), serials: None, stop, stopping }
    }

    /// Starts the writer of tiles; who has a door gives it what the log says of keys.
    pub(super) fn write_tiles(&self, enrolled: Option<Arc<Enrolled>>) -> JoinHandle<Result<(), StorageError>> {
        let (storage, live) = (self.log.storage.clone(), self.log.live.clone());
        tokio::spawn(tiles::write(storage, live, enrolled, self.stopping.clone()))
    }

    pub(super) async fn start_writer(
        self,
        writer: Writer,
        server: Did,
        made: bool,
        keys_at: &Path,
    ) -> Result<Server, ServerError> {
        let config = &self.config;
        let vkey = writer.log_key.vkey().clone();
        let publisher = Publisher {
            zone: config.zone.clone(),
            server,
            log: self.log.clone(),
            key: writer.log_key,
            guard: writer.guard,
            clock: self.clock.clone(),
            batch_gap: Duration::from_millis(config.log.batch_gap_ms),
            epoch_idle: Duration::from_secs(config.log.epoch_idle_s),
        };
        let zone_key = ZoneKey::new(writer.keys.zone);
        let zone_public = zone_key.public();
        let (rates, invites) = (Rates::new(config.limits.clone()), Invites::at(&config.data));
        let (door, queue) = Door::new(rates, zone_key, invites, writer.enrolled.clone());
        let publisher = publisher.run(queue, self.stopping.clone());
        let adds = tokio::spawn(async move { publisher.await.map_err(ServerError::from) });
        let keeper = Keeper { adds, tile_writer: self.write_tiles(Some(writer.enrolled.clone())) };
        let chain = OwnChain {
            config,
            log: &self.log,
            server,
            keys_at,
            device: &writer.keys.device,
            door: &door,
            clock: &self.clock,
        };
        let terms = chain.terms(zone_public).await?;
        let alias_key = match config.aliases.evaluate {
            true => {
                let key = AliasKey::read_or_make(&keys_at.join(AliasKey::FILE), &mut crate::rng::system())?;
                chain.certify(own_chain::alias_authority(config, key.public())).await?;
                Some(Arc::new(key))
            }
            false => None,
        };
        let notaries = Arc::new(Notaries::open(config, keys_at, &mut crate::rng::system())?);
        chain.certify_notaries(&notaries.keys()).await?;
        let door = door.with_alias_key(alias_key).with_notaries(notaries.clone());
        let about = About { server, vkey, terms, made };
        let databases = match config.storage.enabled {
            true => {
                let key = writer.keys.device.clone();
                Some(Arc::new(Databases::open(&config.data, &config.storage, key).await?))
            }
            false => None,
        };
        let settings = (config.tokens.clone(), config.limits.clone());
        let (touched, rng, people) = (self.log.touched.clone(), &mut crate::rng::system(), writer.people);
        let tokens = Tokens::open(people.clone(), keys_at, writer.keys.device, settings, touched, rng);
        let own = Own { people, tokens: Arc::new(tokens.map_err(SetupError::Keys)?), notaries };
        let (role, announcer) = ((Role::Writer(Box::new(door)), Some(own)), writer.announcer);
        self.serve(writer.answering, role, databases, keeper, announcer, about).await
    }

    /// Binds what DNS has not, and answers all.
    pub(super) async fn serve(
        self,
        answering: Answering,
        (role, own): (Role, Option<Own>),
        databases: Option<Arc<Databases>>,
        keeper: Keeper,
        announcer: Option<Announcer>,
        about: About,
    ) -> Result<Server, ServerError> {
        let About { server, vkey, terms, made } = about;
        let (config, log, stopping, serials) = (self.config, self.log, self.stopping, self.serials);
        let cache_bytes = config.log.cache_mib << 20;
        let (dns_zone, metrics, present, updated) = (log.dns, log.metrics, log.present, log.updated);
        let core = Arc::new(Core {
            zone: config.zone.clone(),
            origin: config.zone.origin(),
            server,
            terms,
            work_bits: terms.work_floor_bits.max(config.claims.work_bits),
            private_addresses: config.dns.private_addresses,
            tiles: Tiles::new(log.storage.clone(), log.live.clone(), cache_bytes / 2),
            storage: log.storage,
            feed: log.feed,
            live: log.live,
            states: log.states,
            heads: self.heads,
            vkey,
            clock: self.clock,
        });
        let cosigners = match &config.witness {
            Some(witness) => {
                let outbound = Outbound::new(config.outbound.plain_http);
                Some(Arc::new(Roles::open(&config.data, witness, &outbound, &core.clock).await?))
            }
            None => None,
        };
        let notices = Notices::about(config.witnesses.policy.keys(), cosigners.clone());
        let mut followers: Vec<_> = cosigners.as_ref().and_then(|roles| roles.start(&stopping)).into_iter().collect();
        let signin = own.as_ref().map(|own| Signin::new(&config, own.notaries.clone())).transpose()?;
        let listener = bind(config.http.listen)?;
        let http = listener.local_addr().map_err(|error| ServerError::Bind { address: config.http.listen, error })?;
        let dns_metrics = answering.metrics;
        followers.extend(answering.keepers);
        let every = if config.dns_is_off() || dns_zone.is_copied() { Duration::ZERO } else { config.dns.snapshot };
        let (zone, storage, clock) = (dns_zone.clone(), core.storage.clone(), core.clock.clone());
        followers.push(tokio::spawn(dns::snapshot::keep(zone, storage, every, clock, stopping.clone())));
        let updates = match &own {
            Some(own) => {
                let (people, zone) = (own.people.clone(), dns_zone.clone());
                let updates = Arc::new(dns::Updates::open(core.clone(), people, zone, updated).await?);
                followers.push(tokio::spawn(updates.clone().follow(stopping.clone())));
                Some(updates)
            }
            None => None,
        };
        let proofs = Some(Arc::new(dns::Proofs::of(core.clone())));
        let transfers = match (&serials, config.primary()) {
            (Some(_), _) => Transfers::open(&config.dns.peers, core.clock.clone(), dns_metrics.clone())?
                .with_catalog(Catalog::of(&config.dns.catalog, dns_zone.apex().wire())),
            (None, Some(primary)) => {
                let (key, told) = (transfer::key(&primary.key)?, Arc::new(Notify::new()));
                let (zone, metrics, max_stale_s) = (dns_zone.clone(), dns_metrics.clone(), config.follow.max_stale_s);
                let by = (key.clone(), told.clone());
                let edge = Edge::open(primary, &config.data, max_stale_s, zone, core.clone(), metrics, by)?;
                followers.push(tokio::spawn(edge.run(stopping.clone())));
                Transfers::told_by(key, told, core.clock.clone(), dns_metrics.clone())
            }
            (None, None) => Transfers::to_nobody(core.clock.clone(), dns_metrics.clone()),
        };
        let transfers = Arc::new(transfers);
        if let Some(serials) = serials {
            followers.push(tokio::spawn(transfers.clone().run(dns_zone.clone(), serials, stopping.clone())));
        }
        if let Some(TlsConfig::Acme(acme)) = &config.dns.tls {
            let spread = if config.dns.peers.is_empty() { Duration::ZERO } else { CHALLENGE_SPREAD };
            let (zone, clock, plain_http) = (dns_zone.clone(), core.clock.clone(), config.outbound.plain_http);
            let keeper = Acme::open(acme.clone(), &config.data, plain_http, spread, zone, clock, dns_metrics.clone())?;
            followers.push(tokio::spawn(keeper.keep(stopping.clone())));
        }
        let _ = answering.makers.set(dns::Makers { proofs, updates: updates.clone(), transfers }); // nobody else does
        dns_zone.set_whole();
        let callers = Callers::new(core.clock.now());
        let introducer = Introducer::new(&config, &core, own.as_ref().map(|own| &own.people), present).await?;
        let app = Arc::new(App {
            core,
            lobby: introducer.node(),
            bus: introducer.bus(),
            pusher: introducer.pusher(),
            callers,
            rates: Rates::new(config.limits.clone()),
            role,
            people: own.as_ref().map(|own| own.people.clone()),
            databases,
            tokens: own.map(|own| own.tokens),
            signin,
            dns: dns_zone,
            updates,
            dns_metrics,
            dns_addresses: answering.addresses,
            dns_encrypted: answering.encrypted,
            metrics: metrics.clone(),
            streams: Places::new(limits::STREAMS_MAX),
            relay: Places::new(limits::RELAY_READERS_MAX),
            notices,
            cosigners,
            ready: AtomicBool::new(true),
            stopping: stopping.clone(),
            witnesses: Arc::new(Witnesses::of(&config.witnesses.policy)),
            config,
        });
        followers.extend(introducer.start(&app, &stopping));
        if let Some(roles) = app.cosigners.clone() {
            let outbound = Outbound::new(app.config.outbound.plain_http);
            let reports = crate::witness::reports::run(roles, outbound, Some(app.clone()), stopping.clone());
            followers.push(tokio::spawn(reports));
        }
        if let Some(people) = &app.people {
            teller::begin(people, &app.core).await?;
            followers.push(tokio::spawn(teller::run(app.core.clone(), people.clone(), stopping.clone())));
        }
        if let Some(tokens) = app.tokens.clone() {
            followers.push(tokio::spawn(tokens::follow(app.core.clone(), tokens, stopping.clone())));
        }
        if let Some(databases) = app.databases.clone() {
            let every = Duration::from_secs(app.config.storage.anchor_s);
            match app.role {
                Role::Writer(_) => databases.compare_anchors(&app.core).await.map(drop)?,
                Role::Follower(_) => databases.follow_anchors(&app.core).await?,
            }
            followers.push(tokio::spawn(store::keep_accounts(app.clone(), databases.clone(), stopping.clone())));
            followers.push(tokio::spawn(store::keep_anchors(app.clone(), databases, every, stopping.clone())));
        }
        if let Some(directory) = app.config.log.files.clone() {
            followers.push(tokio::spawn(files::keep(directory, app.core.clone(), stopping.clone())));
        }
        let recovery = match app.config.recovery.enabled {
            true => {
                let desk = recovery::of_server(&app.config, &app.core, http).await?;
                followers.push(tokio::spawn(recovery::sweep(desk.clone(), stopping.clone())));
                Some(desk)
            }
            false => None,
        };
        let announcer = announcer
            .map(|announcer| tokio::spawn(announcer.run(app.core.clone(), app.witnesses.clone(), stopping.clone())));
        let router = http::router(app.clone(), recovery.clone());
        let listener =
            tokio::spawn(http::listener::serve(listener, router, app.config.http.clone(), metrics, stopping));
        info!(size = app.core.live.head().size(), %http, "serving");
        Ok(Server {
            app,
            http,
            made,
            stop: self.stop,
            keeper,
            announcer,
            listener,
            dns: answering.server,
            followers,
            recovery,
        })
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    http::listener::bind(address).map_err(|error| ServerError::Bind { address, error })
}
