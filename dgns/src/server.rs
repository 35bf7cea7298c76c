//! Puts a server together: data, keys, log, HTTP, DNS; and takes it apart again without losing anything.

mod follower;
mod own_chain;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use identity::cert::ZoneTerms;
use identity::did::Did;
use identity::time::Timestamp;
use lobby::push::VapidKey;
use storage::rows::StoredHead;
use storage::{CommitError, Guard, Storage, StorageError};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::info;
use translog::batch::Batch;
use translog::note::VerifierKey;

use crate::app::{App, Role};
use crate::auth::notary::Notaries;
use crate::auth::request::Callers;
use crate::auth::signin::Signin;
use crate::clock::Clock;
use crate::config::{Config, TurnConfig, WitnessesConfig};
use crate::core::Core;
use crate::dns;
use crate::follow::{self, FollowError};
use crate::http;
use crate::invites::Invites;
use crate::keys::{self, AliasKey, KeyFileError, Keys, LogKey, ZoneKey};
use crate::limits::{self, Places, Rates};
use crate::lobby::bus::{self, Bus};
use crate::lobby::push::{self, Pusher};
use crate::lobby::turn::Relay;
use crate::lobby::{Ice, Node, desk, stun};
use crate::log::announcer::{self, AnnounceError, Announcer};
use crate::log::commit::{Committer, NotCommitted};
use crate::log::damaged;
use crate::log::door::{Door, DoorError};
use crate::log::enrolled::Enrolled;
use crate::log::feed::Feed;
use crate::log::files;
use crate::log::heads::Heads;
use crate::log::live::{Inner, Live};
use crate::log::notices::Notices;
use crate::log::publisher::{PublishError, Publisher};
use crate::log::restart::{self, RestartError};
use crate::log::shown::{KeepLimits, Shown};
use crate::log::states::States;
use crate::log::tiles::{self, Tiles};
use crate::log::touched::Touched;
use crate::log::witnesses::Witnesses;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::people::{People, teller};
use crate::recovery::{self, Desk, RecoveryServerError};
use crate::setup::{self, SetupError};
use crate::tokens::{self, Tokens};
use crate::witness::roles::{Roles, RolesError};
use own_chain::OwnChain;

/// Why a server did not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data directory.
    #[error("data directory {path}: {error}", path = .path.display())]
    Data {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The first start.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A key file that is made or read after the first start.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The database or an object.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The zone's settings cannot be served by DNS.
    #[error("dns: {0}")]
    Zone(#[from] dns::ZoneError),
    /// What is stored does not fit together: exit 3.
    #[error(transparent)]
    Restart(#[from] RestartError),
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {error}; is another server running? Other addresses: --http, --dns")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The bus of the lobby's nodes cannot be used.
    #[error("nats: {0}")]
    Bus(String),
    /// The configured zone is not the log's.
    #[error("this log's zone has no terms for {zone}: the data directory belongs to another zone")]
    OtherZone {
        /// The configured zone.
        zone: String,
    },
    /// The zone key file is not the certified one.
    #[error("keys/zone.key is not the key the log certifies; put the right key file back")]
    WrongZoneKey,
    /// The shares of people's keys.
    #[error(transparent)]
    Recovery(#[from] RecoveryServerError),
    /// The cosigners of other logs.
    #[error(transparent)]
    Witness(#[from] RolesError),
    /// The log does not take what the server says in its own chain.
    #[error("the server's own certificate is not taken into the log: {0}")]
    Own(DoorError),
    /// The data directory is not one for this start.
    #[error("the data directory is for another kind of start: {what}")]
    OtherRole {
        /// Why.
        what: &'static str,
    },
    /// A follower did not begin or had to stop.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The publisher had to stop.
    #[error("the log stopped: {0}")]
    Publish(#[from] PublishError),
    /// A witness saw more of this log than there is, or a head that has its quorum cannot be stored.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl ServerError {
    /// Returns whether the stored history itself is at fault, so that signing could fork it.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Storage(error)
            | Self::Restart(RestartError::Storage(error))
            | Self::Announce(AnnounceError::Storage(error))
            | Self::Publish(PublishError::Storage(error))
            | Self::Follow(FollowError::Storage(error)) => error.is_damage(),
            Self::Restart(_) | Self::Publish(_) | Self::Announce(_) => true,
            Self::Witness(error) => error.is_fault(),
            Self::Recovery(error) => error.is_fault(),
            Self::Follow(error) => matches!(error, FollowError::NotCommitted(_) | FollowError::Fault(_)),
            _ => false,
        }
    }
}

/// A started server.
pub struct Server {
    /// What its handlers share.
    pub app: Arc<App>,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Whether the log was made by this start.
    pub made: bool,
    stop: watch::Sender<bool>,
    keeper: Keeper,
    announcer: Option<JoinHandle<Result<(), AnnounceError>>>,
    listener: JoinHandle<()>,
    dns: JoinHandle<()>,
    /// What follows the log, each in a task of its own; a stop waits for them.
    followers: Vec<JoinHandle<()>>,
    /// Where shares are kept, if they are.
    recovery: Option<Arc<Desk>>,
}

impl Server {
    /// Starts a server: reads or makes the log, binds, and answers once this returns.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, ServerError> {
        let data = config.data.clone();
        let keys_at = make_directories(&data)?;
        if let Some(url) = config.follow.url.clone() {
            return follower::start(config, clock, &url).await;
        }
        if data.join(follow::pin::FILE).exists() {
            return Err(ServerError::OtherRole {
                what: "it holds a log that another server keeps; start with --follow",
            });
        }
        let storage = Arc::new(Storage::open(&data).await?);
        let stored = storage.log().load_head().await?;
        let made = stored.is_none();
        let guard_at = keys_at.join("guard");
        if made && guard_at.exists() {
            let guard = Guard::peek(&guard_at)?.size;
            return Err(RestartError::RolledBack { guard, size: 0 }.into());
        }
        let keys = setup::keys(&keys_at, made, &mut crate::rng::system())?;
        let stored = match stored {
            Some(stored) => stored,
            None => make_log(&config, &storage, &keys, &keys_at, clock.now()).await?,
        };
        let guard = restart::guard(&guard_at, &storage, &stored).await?;
        let dns_zone = Arc::new(dns::feed::zone(&config)?);
        let names = load_names(&dns_zone, &storage, stored.size);
        let enrolled = load_enrolled(&storage, stored.size);
        let found = restart::load(&storage, &stored, restart::signed).await?;
        names.join_all().await.into_iter().collect::<Result<(), _>>()?;
        let enrolled = Arc::new(enrolled.join_all().await.swap_remove(0)?);
        if found.conf.origin != config.zone.origin() {
            return Err(ServerError::OtherZone { zone: config.zone.as_str().to_owned() });
        }
        let log_key = Arc::new(LogKey::active(&keys.log, &found.conf).map_err(RestartError::MissingKey)?);
        let mut inner = found.inner;
        let announcer = announcer(&config, &storage, &log_key, &mut inner).await?; // before anything new is signed
        let parts = Parts::new(config, clock, storage, dns_zone, inner);
        parts
            .start_writer(Writer { keys, log_key, guard, announcer, enrolled }, found.conf.server, made, &keys_at)
            .await
    }

    /// Returns the operator's words while their file is still there.
    pub fn operator_words(&self) -> Result<Option<identity::seed::Words>, SetupError> {
        setup::words(&self.app.config.data.join("keys"))
    }

    /// Erases the file of the operator's words: they were shown.
    pub fn forget_operator_words(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.app.config.data.join("keys").join(setup::WORDS_FILE))
    }

    /// Waits until the log stops by itself; that is always a failure.
    pub async fn failed(&mut self) -> ServerError {
        tokio::select! {
            result = &mut self.keeper.adds => match result {
                Ok(Err(error)) => error,
                Ok(Ok(())) => ServerError::Publish(NotCommitted::AnotherWriter.into()),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
            result = &mut self.keeper.tile_writer => match result {
                Ok(Err(error)) => error.into(),
                Ok(Ok(())) => ServerError::Publish(NotCommitted::AnotherWriter.into()),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
            result = ended(&mut self.announcer) => match result {
                Ok(Err(error)) => error.into(),
                Ok(Ok(())) => ServerError::Publish(NotCommitted::AnotherWriter.into()),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
        }
    }

    /// Stops: no new connections, what waits is committed and answered, tiles are written, the storage is closed: the data directory
    /// is free for the next server once this returns, unless the caller keeps a clone of [`Server::app`].
    pub async fn stop(self) -> Result<(), ServerError> {
        self.app.set_ready(false);
        self.stop.send_replace(true);
        let _ = self.listener.await;
        let _ = self.dns.await;
        if let Ok(result) = self.keeper.adds.await {
            result?;
        }
        if let Ok(result) = self.keeper.tile_writer.await {
            result?;
        }
        if let Some(announcer) = self.announcer
            && let Ok(result) = announcer.await
        {
            result?;
        }
        for follower in self.followers {
            let _ = follower.await;
        }
        let people = self.app.people.clone();
        let storage = self.app.core.storage.clone();
        drop(self.app);
        if let Some(desk) = alone(self.recovery).await {
            desk.close().await?;
        }
        if let Some(people) = alone(people).await {
            people.store.close().await?;
        }
        if let Some(storage) = alone(Some(storage)).await {
            storage.close().await?;
        }
        Ok(())
    }
}

/// Returns what nobody else uses any more: a connection that was cut off may take a moment to end. `None` if somebody goes on using
/// it, who then closes it by dropping it, which loses nothing.
async fn alone<T>(shared: Option<Arc<T>>) -> Option<T> {
    let deadline = tokio::time::Instant::now() + CLOSED_WITHIN;
    let mut shared = shared?;
    loop {
        match Arc::try_unwrap(shared) {
            Ok(alone) => return Some(alone),
            Err(others) => shared = others,
        }
        if tokio::time::Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How long a stop waits for the last users of the databases.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// What a start has in hand once the log is read.
struct Parts {
    config: Config,
    clock: Clock,
    log: Committer,
    heads: Arc<Heads>,
    stop: watch::Sender<bool>,
    stopping: watch::Receiver<bool>,
}

/// What the keeper of a log has beside it.
struct Writer {
    keys: Keys,
    log_key: Arc<LogKey>,
    guard: Guard,
    announcer: Option<Announcer>,
    enrolled: Arc<Enrolled>,
}

/// What the keeper of a log has of its own, in no log.
struct Own {
    people: Arc<People>,
    tokens: Arc<Tokens>,
    notaries: Arc<Notaries>,
}

/// What the log says of itself.
struct About {
    server: Did,
    vkey: VerifierKey,
    terms: ZoneTerms,
    /// Whether this start made it, or brought it here.
    made: bool,
}

/// The tasks that keep a log.
struct Keeper {
    /// Publishes, or follows.
    adds: JoinHandle<Result<(), ServerError>>,
    tile_writer: JoinHandle<Result<(), StorageError>>,
}

impl Parts {
    fn new(config: Config, clock: Clock, storage: Arc<Storage>, dns: Arc<dns::Zone>, inner: Inner) -> Self {
        let (stop, stopping) = watch::channel(false);
        let log = Committer {
            storage,
            feed: Arc::new(Feed::new(inner.head.size())),
            live: Arc::new(Live::new(inner)),
            states: Arc::new(States::new((config.log.cache_mib << 20) / 2)),
            dns,
            metrics: Arc::new(Metrics::default()),
            touched: Arc::new(Touched::default()),
            present: Arc::new(Touched::default()),
        };
        Self { config, clock, log, heads: Arc::new(Heads::new()), stop, stopping }
    }

    /// Starts the writer of tiles; who has a door gives it what the log says of keys.
    fn write_tiles(&self, enrolled: Option<Arc<Enrolled>>) -> JoinHandle<Result<(), StorageError>> {
        let (storage, live) = (self.log.storage.clone(), self.log.live.clone());
        tokio::spawn(tiles::write(storage, live, enrolled, self.stopping.clone()))
    }

    async fn start_writer(
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
        let people = Arc::new(
            People::open(&config.data, config.limits.personal_streams_max as usize, &mut crate::rng::system()).await?,
        );
        let settings = (config.tokens.clone(), config.limits.clone());
        let (touched, rng) = (self.log.touched.clone(), &mut crate::rng::system());
        let tokens = Tokens::open(people.clone(), keys_at, writer.keys.device, settings, touched, rng);
        let own = Own { people, tokens: Arc::new(tokens.map_err(SetupError::Keys)?), notaries };
        self.serve(Role::Writer(Box::new(door)), Some(own), keeper, writer.announcer, about).await
    }

    /// Binds, and answers.
    async fn serve(
        self,
        role: Role,
        own: Option<Own>,
        keeper: Keeper,
        announcer: Option<Announcer>,
        about: About,
    ) -> Result<Server, ServerError> {
        let About { server, vkey, terms, made } = about;
        let (config, log, stopping) = (self.config, self.log, self.stopping);
        let cache_bytes = config.log.cache_mib << 20;
        let (dns_zone, metrics, present) = (log.dns, log.metrics, log.present);
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
        let dns_metrics = Arc::new(dns::Metrics::default());
        let dns_server = bind_dns(&config, &dns_zone, &dns_metrics).await?;
        let dns_addresses = dns_server.addresses().unwrap_or_default();
        let dns = tokio::spawn(dns_server.run(stopping.clone()));
        let callers = Callers::new(core.clock.now());
        let ice = Arc::new(ice(&config)?);
        let mut doors = Vec::new();
        for address in &config.turn.listen {
            let bound = UdpSocket::bind(address).await;
            doors.push(Arc::new(bound.map_err(|error| ServerError::Bind { address: *address, error })?));
        }
        let relay = config.turn.relay.as_ref().map(|relay| {
            Arc::new(Relay::new(relay, config.zone.as_str(), core.clock.clone(), ice.clone(), doors.clone()))
        });
        for (via, door) in doors.into_iter().enumerate() {
            let relay = relay.clone().map(|relay| (via, relay));
            followers.push(tokio::spawn(stun::serve(door, core.clock.clone(), relay, stopping.clone())));
        }
        if let Some(relay) = relay.clone() {
            followers.push(tokio::spawn(relay.run(stopping.clone())));
        }
        let (way, told) = bus::way();
        let bus = match config.lobby.enabled && !config.nats.urls.is_empty() {
            true => Some(Arc::new(Bus::connect(&config.nats, &core.origin).await.map_err(ServerError::Bus)?)),
            false => None,
        };
        let (lobby, asked) = match config.lobby.enabled {
            true => {
                let way = bus.as_ref().map(|_| way);
                let url = &config.signin.public_url;
                let node = Node::new(core.clone(), &config.lobby, url, present, ice.clone(), relay.clone(), way);
                (Some(Arc::new(node.0)), Some(node.1))
            }
            false => (None, None),
        };
        let pusher = match own.as_ref().filter(|_| config.lobby.enabled) {
            Some(own) => Some(Arc::new(pusher(&config, &core, &own.people)?)),
            None => None,
        };
        if let (Some(node), Some(bus)) = (lobby.clone(), bus.clone()) {
            followers.push(tokio::spawn(bus.run(node, told, stopping.clone())));
        }
        if let Some(node) = lobby.clone() {
            followers.push(tokio::spawn(node.run(stopping.clone())));
        }
        let app = Arc::new(App {
            core,
            lobby: lobby.clone(),
            bus,
            pusher: pusher.clone(),
            callers,
            rates: Rates::new(config.limits.clone()),
            role,
            people: own.as_ref().map(|own| own.people.clone()),
            tokens: own.map(|own| own.tokens),
            signin,
            dns: dns_zone,
            dns_metrics,
            dns_addresses,
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
        if let (Some(node), Some(asked)) = (lobby, asked) {
            if let Some(pusher) = pusher.clone() {
                followers.push(tokio::spawn(pusher.run(node.clone(), stopping.clone())));
            }
            followers.push(tokio::spawn(desk::run(app.clone(), node, pusher, asked, stopping.clone())));
        }
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
        Ok(Server { app, http, made, stop: self.stop, keeper, announcer, listener, dns, followers, recovery })
    }
}

/// Returns who asks the witnesses, none under `quorum none`, having asked which heads they saw; says what is shown until then.
async fn announcer(
    config: &Config,
    storage: &Storage,
    key: &LogKey,
    inner: &mut Inner,
) -> Result<Option<Announcer>, ServerError> {
    let WitnessesConfig { policy, announce_ms } = &config.witnesses;
    if policy.is_none() {
        return Ok(None);
    }
    let note = storage.log().load_public().await?;
    let last = note.and_then(|note| announcer::witnessed_before(policy, key, &note));
    inner.shown = Shown::pending(last, KeepLimits::DEFAULT);
    let outbound = Outbound::new(config.outbound.plain_http);
    let mut announcer = Announcer::new(policy.clone(), Duration::from_millis(*announce_ms), outbound);
    announcer.meet(&inner.head).await?;
    Ok(Some(announcer))
}

/// Returns what clients of the lobby are told of STUN servers and relays.
fn ice(config: &Config) -> Result<Ice, ServerError> {
    let TurnConfig { secret_file, .. } = config.turn.clone();
    let secret = match secret_file.as_os_str().is_empty() {
        // Of this start alone: allocations end with it too, and whoever comes back is given others.
        true => crate::rng::secret().to_vec(),
        false => Ice::read_secret(&secret_file).map_err(|error| ServerError::Data { path: secret_file, error })?,
    };
    Ok(Ice::new(config.turn.stun_urls(), config.turn.relay_urls(), secret))
}

/// Returns who pushes to devices that are not here; its key is made at the first start.
fn pusher(config: &Config, core: &Arc<Core>, people: &Arc<People>) -> Result<Pusher, ServerError> {
    let path = config.data.join("keys").join(push::KEY_FILE);
    let secret = keys::secret(&path, "push", &mut crate::rng::system())?;
    let key = VapidKey::from_secret(&secret).map_err(|_| KeyFileError::Form { path, what: "push key" })?;
    let (core, people) = (core.clone(), people.clone());
    Ok(Pusher::new(core, people, key, config.push.clone(), &config.signin.public_url))
}

/// Waits for the end of a task that may not be there.
async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Reads all names into the DNS zone, beside the map: half of a start's work. A start that fails drops it.
fn load_names(zone: &Arc<dns::Zone>, storage: &Arc<Storage>, size: u64) -> JoinSet<Result<(), StorageError>> {
    let (zone, storage) = (zone.clone(), storage.clone());
    let mut reading = JoinSet::new();
    reading.spawn(async move { dns::feed::load(&zone, &storage, size).await });
    reading
}

/// Reads what the log says of keys, beside the map too.
fn load_enrolled(storage: &Arc<Storage>, size: u64) -> JoinSet<Result<Enrolled, StorageError>> {
    let (storage, mut reading) = (storage.clone(), JoinSet::new());
    reading.spawn(async move { Enrolled::load(&storage, size).await });
    reading
}

/// Makes the data directory and the one for keys, which nobody else may enter.
pub fn make_directories(data: &Path) -> Result<PathBuf, ServerError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let keys_at = data.join("keys");
    let made = std::fs::create_dir_all(data)
        .and_then(|()| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&keys_at));
    made.map_err(|error| ServerError::Data { path: data.to_owned(), error })?;
    Ok(keys_at)
}

/// Commits the first batch: genesis, LogConf, Epoch.
async fn make_log(
    config: &Config,
    storage: &Storage,
    keys: &Keys,
    keys_at: &Path,
    now: Timestamp,
) -> Result<StoredHead, ServerError> {
    let words = setup::words(keys_at)?.ok_or_else(|| damaged("keys", "the operator's words are missing"))?;
    let log_key = LogKey::new(keys.log[0].clone(), config.zone.origin());
    let batch: Batch = setup::first_batch(config, keys, &words, &log_key, &mut crate::rng::system(), now)?;
    let head = restart::stored_head(&log_key.sign_head(&batch));
    match storage.log().commit(None, &head, &restart::commit_rows(&batch, Vec::new())).await {
        Ok(()) => Ok(head),
        Err(CommitError::Definite(error) | CommitError::Unknown(error)) => Err(error.into()),
        Err(_) => Err(PublishError::from(NotCommitted::AnotherWriter).into()),
    }
}

/// Binds every address of `[dns]`.
async fn bind_dns(
    config: &Config,
    zone: &Arc<dns::Zone>,
    metrics: &Arc<dns::Metrics>,
) -> Result<dns::Server, ServerError> {
    let settings = dns::settings::ServerSettings::on(config.dns.listen.clone());
    let address = config.dns.listen.first().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let bound = dns::Server::bind(zone.clone(), metrics.clone(), settings).await;
    bound.map_err(|error| ServerError::Bind { address, error })
}

fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    http::listener::bind(address).map_err(|error| ServerError::Bind { address, error })
}
