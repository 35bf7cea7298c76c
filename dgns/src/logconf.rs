//! Changes of the log's own configuration: its keys, the policy it recommends, its read prefixes (PROTOCOL 7.3).
//!
//! The server must not be running: the lock of the data directory and the guard's keep a second writer out. Order, each step
//! durable before the next: the file of the new key; the batch with the LogConf, by the publisher's own commit; then the files
//! of keys that no longer sign are erased. Which keys sign is the newest LogConf's to say, never a file's: a crash between any
//! two steps leaves the old configuration or the new one, whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use identity::key::SigningKey;
use identity::seed::Words;
use identity::state::{State, Subject};
use identity::time::Timestamp;
use storage::{Options, Storage, StorageError};
use translog::entry::Entry;
use translog::limits::{LOG_KEYS_MAX, NAME_BYTES_MAX};
use translog::logconf::{Conf, LogConf, Succession};
use translog::map;
use translog::note::VerifierKey;
use translog::policy::Policy;

use crate::clock::Clock;
use crate::config::Config;
use crate::dns;
use crate::keys::{self, KeyFileError, Keys, LogKey};
use crate::log::commit::Committer;
use crate::log::feed::Feed;
use crate::log::live::Live;
use crate::log::publisher::{ConfigureError, PublishError, Publisher};
use crate::log::restart::{self, RestartError};
use crate::log::shown::Asked;
use crate::log::states::States;
use crate::metrics::Metrics;

/// How long heads should carry an old key's line beside a new one's: clients and witnesses that look in once a month keep up.
pub const OVERLAP: Duration = Duration::from_secs(30 * 86_400);

/// What is to change; the default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// A new log key is made and signs from now on, beside those there are.
    pub new_key: bool,
    /// All keys but the newest stop signing, and their files are erased.
    pub drop_old: bool,
    /// The keys whose files are gone stop signing, and a new one takes their place.
    pub old_key_lost: bool,
    /// Old keys may be dropped before [`OVERLAP`] is over.
    pub force: bool,
    /// The policy to recommend. Its log lines are left out: they follow from the keys.
    pub policy: Option<Policy>,
    /// Where the log can be read.
    pub prefixes: Option<Vec<String>>,
}

/// The log's configuration as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What the newest LogConf says.
    pub conf: Conf,
    /// The time of the Epoch from which on each of its keys signs.
    pub since: Vec<Timestamp>,
}

/// What a change made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// What the newest LogConf says now.
    pub conf: Conf,
    /// Whether an old key signed it.
    pub succession: Succession,
    /// The key files erased.
    pub erased: Vec<PathBuf>,
}

/// Why the configuration was not changed.
#[derive(Debug, thiserror::Error)]
pub enum LogConfChangeError {
    /// The database or an object.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is no log.
    #[error("there is no log yet: start the server once")]
    NoLog,
    /// What is stored does not fit together.
    #[error(transparent)]
    Restart(#[from] RestartError),
    /// A key file.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The words are not those of the server's identity key.
    #[error("these are not the words of this server: its identity key is another")]
    WrongWords,
    /// Nothing was asked for.
    #[error("nothing to change")]
    Nothing,
    /// No key would be left out.
    #[error("the log has one key: there is no old one to drop")]
    NoOldKey,
    /// No key is missing.
    #[error("every key that the log lists is there: none is lost")]
    NoneLost,
    /// The newest key has not signed long enough.
    #[error(
        "the newest key signs for {} days; clients and witnesses need {}: wait, or use --force if the old key leaked",
        .age.as_secs() / 86_400,
        OVERLAP.as_secs() / 86_400
    )]
    TooEarly {
        /// How long the newest key has signed.
        age: Duration,
    },
    /// A log has 1 to 7 keys.
    #[error("a log has at most {LOG_KEYS_MAX} keys: drop old ones first")]
    TooManyKeys,
    /// A prefix that is no URL.
    #[error("{0:?} is no read prefix such as https://log.example/log")]
    Prefix(String),
    /// The whole does not fit.
    #[error("policy and prefixes are too long: a LogConf has at most 4,096 bytes")]
    TooLong,
    /// The log did not take it.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    /// The zone cannot be shown.
    #[error(transparent)]
    Zone(#[from] dns::feed::FeedError),
}

impl LogConfChangeError {
    /// Returns whether the stored history itself is at fault.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Storage(error)
            | Self::Restart(RestartError::Storage(error))
            | Self::Configure(ConfigureError::Publish(PublishError::Storage(error))) => error.is_damage(),
            Self::Restart(_) | Self::Configure(ConfigureError::Publish(_)) => true,
            _ => false,
        }
    }
}

/// Returns the configuration of the log in a data directory.
pub async fn show(data: &Path) -> Result<Shown, LogConfChangeError> {
    let storage = open(data).await?;
    let stored = storage.log().load_head().await?.ok_or(LogConfChangeError::NoLog)?;
    let conf = restart::load(&storage, &stored, restart::signed).await?.conf;
    let mut since = Vec::with_capacity(conf.log_keys.len());
    for key in &conf.log_keys {
        since.push(signs_since(&storage, &conf, key).await?);
    }
    Ok(Shown { conf, since })
}

/// Makes a change, signed by the operator's words and the keys it is about.
pub async fn change(data: &Path, words: &Words, change: Change, clock: Clock) -> Result<Changed, LogConfChangeError> {
    let keys_at = data.join("keys");
    let storage = Arc::new(open(data).await?);
    let stored = storage.log().load_head().await?.ok_or(LogConfChangeError::NoLog)?;
    let guard = restart::guard(&keys_at.join("guard"), &storage, &stored).await?;
    let found = restart::load(&storage, &stored, restart::signed).await?;
    let conf = found.conf;
    let mut at_hand = match change.old_key_lost && !keys::log_key_files(&keys_at)?.iter().any(|path| path.exists()) {
        true => Vec::new(),
        false => Keys::read_log_keys(&keys_at)?,
    };

    let live = Arc::new(Live::new(found.inner));
    let states = Arc::new(States::new(1 << 20));
    check_words(&conf, words, &live, &storage, &states).await?;
    check_age(&change, &storage, &conf, clock.now()).await?;
    let next = next(&conf, &change, &keys_at, &mut at_hand)?;
    let log_key = Arc::new(LogKey::active(&at_hand, &next).map_err(RestartError::MissingKey)?);
    let signed = sign(&conf, &next, &at_hand, words)?;

    let mut config = Config::defaults();
    config.zone = conf.origin.zone();
    let mut publisher = Publisher {
        zone: config.zone.clone(),
        server: conf.server,
        log: Committer {
            storage,
            feed: Arc::new(Feed::new(stored.size)),
            live,
            states,
            dns: Arc::new(dns::feed::zone(&config)?),
            metrics: Arc::new(Metrics::default()),
            touched: Arc::default(),
            present: Arc::default(),
            updated: Arc::default(),
        },
        key: log_key.clone(),
        guard,
        clock: clock.clone(),
        batch_gap: Duration::ZERO,
        epoch_idle: Duration::ZERO,
    };
    let succession = publisher.configure(&signed, log_key, clock.now()).await?;
    let erased = erase_unlisted(&keys_at, &next)?;
    Ok(Changed { conf: next, succession, erased })
}

async fn open(data: &Path) -> Result<Storage, StorageError> {
    Storage::open_with(data, Options { create: false, ..Options::default() }).await
}

async fn check_words(
    conf: &Conf,
    words: &Words,
    live: &Live,
    storage: &Storage,
    states: &States,
) -> Result<(), LogConfChangeError> {
    let held = states.load(live, storage, &[map::label(&Subject::Did(conf.server))], Asked::Newest).await?;
    match held[0].as_deref().map(|held| &held.leaf.state) {
        Some(State::Did(did)) if did.identity == words.identity().public() => Ok(()),
        _ => Err(LogConfChangeError::WrongWords),
    }
}

/// Refuses to drop old keys while the newest is younger than [`OVERLAP`].
async fn check_age(change: &Change, storage: &Storage, conf: &Conf, now: Timestamp) -> Result<(), LogConfChangeError> {
    if !change.drop_old || change.force {
        return Ok(());
    }
    let age_ms = match (change.new_key, conf.log_keys.last()) {
        (false, Some(newest)) => now.as_ms().saturating_sub(signs_since(storage, conf, newest).await?.as_ms()),
        _ => 0,
    };
    let age = Duration::from_millis(age_ms);
    if age < OVERLAP { Err(LogConfChangeError::TooEarly { age }) } else { Ok(()) }
}

/// Returns what the next LogConf says. A new key is written before it is named.
fn next(
    conf: &Conf,
    change: &Change,
    keys_at: &Path,
    at_hand: &mut Vec<SigningKey>,
) -> Result<Conf, LogConfChangeError> {
    let mut next = Conf { seq: conf.seq + 1, prev: Some(conf.sid()), ..conf.clone() };
    if let Some(policy) = &change.policy {
        let without_logs = policy.clone().with_logs(Vec::new()).map_err(|_| LogConfChangeError::TooLong)?;
        next.policy = without_logs.to_string();
    }
    if let Some(prefixes) = &change.prefixes {
        if let Some(wrong) = prefixes.iter().find(|prefix| !is_prefix(prefix)) {
            return Err(LogConfChangeError::Prefix(wrong.clone()));
        }
        next.prefixes.clone_from(prefixes);
    }
    if change.drop_old {
        if next.log_keys.len() == 1 && !change.new_key {
            return Err(LogConfChangeError::NoOldKey);
        }
        next.log_keys.drain(..next.log_keys.len() - usize::from(!change.new_key));
    }
    if change.old_key_lost {
        next.log_keys.retain(|vkey| at_hand.iter().any(|key| key.public() == *vkey.key()));
        if next.log_keys.len() == conf.log_keys.len() {
            return Err(LogConfChangeError::NoneLost);
        }
    }
    if change.new_key || (change.old_key_lost && next.log_keys.is_empty()) {
        if next.log_keys.len() == LOG_KEYS_MAX {
            return Err(LogConfChangeError::TooManyKeys);
        }
        let key = new_key(keys_at, next.seq)?;
        next.log_keys.push(LogKey::new(key.clone(), conf.origin.clone()).vkey().clone());
        at_hand.push(key);
    }
    let asked = change.policy.is_some() || change.prefixes.is_some();
    if asked || next.log_keys != conf.log_keys { Ok(next) } else { Err(LogConfChangeError::Nothing) }
}

/// Makes the key that comes with this seq, or takes the one of a change that was cut off: it never signed anything that left.
fn new_key(keys_at: &Path, seq: u64) -> Result<SigningKey, KeyFileError> {
    let path = keys::log_key_file(keys_at, seq);
    if path.exists() {
        return keys::read_log_key(&path);
    }
    let key = SigningKey::generate(&mut crate::rng::system());
    keys::write_log_key(keys_at, seq, &key)?;
    Ok(key)
}

/// Signs with the identity key, each key that is new, and an old one if there is any.
fn sign(conf: &Conf, next: &Conf, at_hand: &[SigningKey], words: &Words) -> Result<LogConf, LogConfChangeError> {
    let holds = |vkeys: &[VerifierKey], key: &SigningKey| vkeys.iter().any(|vkey| *vkey.key() == key.public());
    let new = at_hand.iter().filter(|key| holds(&next.log_keys, key) && !holds(&conf.log_keys, key));
    let old = at_hand.iter().find(|key| holds(&conf.log_keys, key));
    let identity = words.identity();
    let signers: Vec<&SigningKey> = new.chain(old).chain([&identity]).collect();
    LogConf::sign(next, &signers).map_err(|_| LogConfChangeError::TooLong)
}

/// Erases the files of keys that the LogConf does not list: they can sign nothing that anyone believes.
fn erase_unlisted(keys_at: &Path, conf: &Conf) -> Result<Vec<PathBuf>, LogConfChangeError> {
    let mut erased = Vec::new();
    for path in keys::log_key_files(keys_at)? {
        let key = keys::read_log_key(&path)?;
        if !conf.log_keys.iter().any(|vkey| *vkey.key() == key.public()) {
            std::fs::remove_file(&path).map_err(|error| KeyFileError::Io { path: path.clone(), error })?;
            erased.push(path);
        }
    }
    Ok(erased)
}

/// Returns the time of the Epoch from which on heads carry this key's line.
async fn signs_since(storage: &Storage, newest: &Conf, key: &VerifierKey) -> Result<Timestamp, StorageError> {
    let mut since = index_of(newest.seq, storage).await?;
    for seq in (0..newest.seq).rev() {
        let index = index_of(seq, storage).await?;
        match restart::entry(storage, index).await? {
            Entry::LogConf(conf) if conf.conf().log_keys.contains(key) => since = index,
            _ => break,
        }
    }
    let epoch = storage.log().epoch_covering(since).await?;
    let epoch = epoch.ok_or_else(|| crate::log::damaged("epochs", "an Epoch is missing"))?;
    Ok(Timestamp::from_ms(epoch.time_ms))
}

/// Returns the log index of the LogConf of this seq.
pub async fn index_of(seq: u64, storage: &Storage) -> Result<u64, StorageError> {
    let row = storage.log().find(&map::label(&Subject::LogConf), seq).await?;
    row.map(|row| row.index).ok_or_else(|| crate::log::damaged("chain", "a LogConf is missing"))
}

fn is_prefix(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let visible = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic());
    text.len() <= NAME_BYTES_MAX && rest.is_some_and(visible)
}
