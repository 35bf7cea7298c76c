//! Puts a server together: data, keys, log, HTTP, DNS; and takes it apart again without losing anything.

mod answering;
mod error;
mod follower;
mod introducer;
mod own_chain;
mod parts;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use identity::time::Timestamp;
use storage::rows::StoredHead;
use storage::{CommitError, Guard, Storage, StorageError};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use translog::batch::Batch;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Dnssec, WitnessesConfig};
use crate::dns::dnssec::Keyring;
use crate::dns::snapshot::Beside;
use crate::dns::transfer::Serials;
use crate::dns::update::Kept;
use crate::keys::{KeyFileError, Keys, LogKey};
use crate::log::announcer::{self, AnnounceError, Announcer};
use crate::log::commit::NotCommitted;
use crate::log::damaged;
use crate::log::enrolled::Enrolled;
use crate::log::live::PublicHead;
use crate::log::publisher::PublishError;
use crate::log::restart::{self, RestartError};
use crate::log::shown::{KeepLimits, Shown};
use crate::outbound::Outbound;
use crate::people::People;
use crate::recovery::Desk;
use crate::setup::{self, SetupError};
use crate::{dns, follow};
use answering::Answering;
use parts::{Keeper, Parts, Writer};

pub use error::ServerError;

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
        if config.primary().is_some() {
            return Err(ServerError::NothingToCopy);
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
        let zone = signed_zone(&config, &clock)?;
        let serials = match config.dns.peers.is_empty() {
            true => None,
            false => Some(Serials::open(&data, clock.now().as_ms())?),
        };
        let zone = match &serials {
            Some(serials) => zone.with_editions(serials.last()),
            None => zone,
        };
        let begun = restart::begin(&storage, &stored, restart::signed).await?;
        if begun.conf.origin != config.zone.origin() {
            return Err(ServerError::OtherZone { zone: config.zone.as_str().to_owned() });
        }
        let log_key = Arc::new(LogKey::active(&keys.log, &begun.conf).map_err(RestartError::MissingKey)?);
        let streams_max = config.limits.personal_streams_max as usize;
        let people = Arc::new(People::open(&data, streams_max, &mut crate::rng::system()).await?);
        let stop = watch::Sender::new(false);
        // Before anything is answered, or signed: witnesses may know of a newer head.
        let announced = announcer(&config, &storage, &log_key, &begun.head).await?;
        let beside = Beside {
            kept: Kept::read(&people.store, clock.now().as_s()).await?,
            checkpoint: announced.is_none().then(|| begun.head.note.clone()),
        };
        let snapshot = dns::snapshot::find(&zone, &storage, storage.dir()).await?;
        let has_snapshot = snapshot.is_some();
        let names = load_names(zone.in_part(), snapshot, &storage, stored.size, beside);
        let dns = answer(&config, &clock, names, stop.subscribe());
        let (answering, found, enrolled) = match has_snapshot {
            // DNS needs all processors for the seconds that it reads its file, and whoever asks for names waits for nothing else.
            true => {
                let answering = first(dns).await?;
                let enrolled = load_enrolled(&storage, stored.size);
                (answering, begun.finish(&storage).await?, first(enrolled).await?)
            }
            false => {
                let enrolled = load_enrolled(&storage, stored.size);
                let found = begun.finish(&storage).await?;
                (first(dns).await?, found, first(enrolled).await?)
            }
        };
        let mut inner = found.inner;
        let announcer = announced.map(|(announcer, shown)| {
            inner.shown = shown;
            announcer
        });
        let parts = Parts::new(config, clock, storage, answering.zone.clone(), inner, stop);
        let enrolled = Arc::new(enrolled);
        let writer = Writer { keys, log_key, guard, announcer, enrolled, people, answering };
        Parts { serials, ..parts }.start_writer(writer, found.conf.server, made, &keys_at).await
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
        let (people, databases) = (self.app.people.clone(), self.app.databases.clone());
        let storage = self.app.core.storage.clone();
        drop(self.app);
        if let Some(desk) = alone(self.recovery).await {
            desk.close().await?;
        }
        if let Some(databases) = alone(databases).await {
            databases.close().await?;
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

/// Returns who asks the witnesses, none under `quorum none`, having asked which heads they saw, and what is shown until they cosigned one.
async fn announcer(
    config: &Config,
    storage: &Storage,
    key: &LogKey,
    head: &Arc<PublicHead>,
) -> Result<Option<(Announcer, Shown)>, ServerError> {
    let WitnessesConfig { policy, announce_ms } = &config.witnesses;
    if policy.is_none() {
        return Ok(None);
    }
    let note = storage.log().load_public().await?;
    let last = note.and_then(|note| announcer::witnessed_before(policy, key, &note));
    let outbound = Outbound::new(config.outbound.plain_http);
    let mut announcer = Announcer::new(policy.clone(), Duration::from_millis(*announce_ms), outbound);
    announcer.meet(head).await?;
    Ok(Some((announcer, Shown::pending(last, KeepLimits::DEFAULT))))
}

/// Waits for the end of a task that may not be there.
async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Returns the DNS zone, empty; signed, unless nobody wants it so, with keys that the first start makes.
fn signed_zone(config: &Config, clock: &Clock) -> Result<dns::Zone, ServerError> {
    let zone = dns::feed::zone(config)?;
    if config.dns.dnssec != Dnssec::Sign || config.dns_is_off() {
        return Ok(zone);
    }
    let path = config.dnssec_keys();
    if !path.exists() {
        Keyring::generate(zone.name(), config.dns.dnssec_algorithm, clock.now().as_s()).write(&path)?;
    }
    let keys = Keyring::read(&path)?;
    if keys.zone() != zone.name() {
        return Err(KeyFileError::Wrong { path, what: "zone's keys" }.into());
    }
    let (ours, wanted) = (keys.algorithm(), config.dns.dnssec_algorithm);
    if ours != wanted {
        return Err(KeyFileError::Algorithm { path, ours: ours as u8, wanted: wanted as u8 }.into());
    }
    if config.dns.dnssec_times.step_s < dns::dnssec::STEP_S_SAFE {
        tracing::warn!("dnssec_step_s is short: caches may hold signatures of a key that is rolled away");
    }
    Ok(zone.signed(keys, config.dns.dnssec_times, clock.clone()))
}

/// Returns the zone of data that a server has served already, empty; for who writes it down while none runs.
pub fn stored_zone(config: &Config, clock: &Clock) -> Result<dns::Zone, ServerError> {
    if config.dnssec_keys().exists() { signed_zone(config, clock) } else { Ok(dns::feed::zone(config)?) }
}

/// Reads all names into the DNS zone, and what it shows beside. A start that fails drops it.
fn load_names(
    zone: dns::Zone,
    snapshot: Option<dns::snapshot::Found>,
    storage: &Arc<Storage>,
    size: u64,
    beside: Beside,
) -> JoinSet<Result<Arc<dns::Zone>, StorageError>> {
    let (storage, mut reading) = (storage.clone(), JoinSet::new());
    reading.spawn(async move { dns::snapshot::load(zone, snapshot, &storage, size, beside).await.map(Arc::new) });
    reading
}

/// Answers from the zone that [`load_names`] reads, from the moment that it is there.
fn answer(
    config: &Config,
    clock: &Clock,
    names: JoinSet<Result<Arc<dns::Zone>, StorageError>>,
    stopping: watch::Receiver<bool>,
) -> JoinSet<Result<Answering, ServerError>> {
    let (config, clock, mut begun) = (config.clone(), clock.clone(), JoinSet::new());
    begun.spawn(async move { Answering::begin(&config, &clock, first(names).await?, &stopping).await });
    begun
}

/// Waits for the one task of a set.
async fn first<T: 'static, E: 'static>(mut tasks: JoinSet<Result<T, E>>) -> Result<T, E> {
    let done = tasks.join_next().await.expect("it has one");
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
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
