//! A log that is watched, with the keys that sign it now: those of the operator's file, or those its own LogConfs made of them
//! (PROTOCOL 12.6).
//!
//! The file names the keys to begin with. When a checkpoint has a line of the log by a key that is not known, the chain of LogConfs
//! is read from the log's URL and verified from the known keys on; what it leads to is durable before it is trusted. A key that
//! a LogConf leaves out is trusted no more, whatever the file says, unless the operator wrote it there since.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use identity::name::Origin;
use storage::durable;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};
use translog::limits::LOG_KEYS_MAX;
use translog::note::{Note, VerifierKey};
use translog::trust::{RetiredKey, Trust};
use translog::witness::WitnessRecord;

use super::cosigner::{CosignerError, hex_name};
use super::logs::{WitnessedLog, WitnessedLogs};
use crate::clock::Clock;
use crate::follow::remote::Remote;
use crate::outbound::Outbound;
use crate::rotation::{self, NotFollowed};

/// How long a request waits while the keys are followed that it needs: shorter than the second a log waits for its witness.
const PATIENCE: Duration = Duration::from_millis(700);

/// The pause between two readings of one log's LogConfs, so that whoever invents keys makes no load.
const BETWEEN: Duration = Duration::from_secs(3);

/// The same where only a known key's line is missing: nothing waits for it.
const BETWEEN_QUIET: Duration = Duration::from_secs(60);

/// The first line of the file of followed keys.
const HEADER: &str = "dgns.followed@v1";

/// A log that is watched.
#[derive(Debug)]
pub struct Watched {
    log: WitnessedLog,
    file: PathBuf,
    outbound: Outbound,
    clock: Clock,
    keys: RwLock<Keys>,
    /// When LogConfs were read last; held while they are.
    read: Mutex<Option<Instant>>,
    /// When its tiles were looked into for a fork; held while they are.
    pub(super) looked: Mutex<Option<Instant>>,
}

/// The keys of a log, as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Those that sign now.
    pub now: Vec<VerifierKey>,
    /// Those that signed earlier heads.
    pub retired: Vec<RetiredKey>,
    /// The seq of the LogConf followed to; `None` before any was.
    pub seq: Option<u64>,
    /// The code of what keeps the keys of a newer line from being followed.
    pub trouble: Option<&'static str>,
}

/// What is kept of a log whose keys were followed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Followed {
    seq: u64,
    /// The keys of the operator's file at the time.
    pinned: Vec<VerifierKey>,
    now: Vec<VerifierKey>,
    retired: Vec<RetiredKey>,
}

impl Watched {
    /// Opens the logs of the operator's file, each with what was followed of it below `data`.
    pub fn open_all(
        data: &Path,
        logs: &WitnessedLogs,
        outbound: &Outbound,
        clock: &Clock,
    ) -> Result<Vec<Arc<Self>>, CosignerError> {
        logs.iter().map(|log| Self::open(data, log, outbound, clock).map(Arc::new)).collect()
    }

    fn open(data: &Path, log: &WitnessedLog, outbound: &Outbound, clock: &Clock) -> Result<Self, CosignerError> {
        let file = data.join("logconfs").join(hex_name(&log.origin));
        let damaged = || CosignerError::Followed { path: file.clone() };
        let kept = match std::fs::read_to_string(&file) {
            Ok(text) => Some(Followed::parse(&text).ok_or_else(damaged)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(_) => return Err(damaged()),
        };
        let keys = RwLock::new(keys_of(&log.keys, kept.as_ref()));
        let (outbound, clock) = (outbound.clone(), clock.clone());
        Ok(Self { log: log.clone(), file, outbound, clock, keys, read: Mutex::default(), looked: Mutex::default() })
    }

    /// Returns its origin.
    pub fn origin(&self) -> &str {
        &self.log.origin
    }

    /// Returns its read prefix, if the operator's file names one.
    pub fn url(&self) -> Option<&str> {
        self.log.url.as_deref()
    }

    /// Returns where its tiles are read.
    pub(super) fn remote(&self) -> Option<Remote> {
        Some(Remote::new(self.outbound.clone(), rotation::server_of(self.url()?)))
    }

    /// Returns its keys.
    pub fn keys(&self) -> Keys {
        self.keys.read().expect("no holder panics").clone()
    }

    /// Returns every key that evidence may accuse: those that sign, and those that did.
    pub fn accused(&self) -> Vec<VerifierKey> {
        let Keys { now, retired, .. } = self.keys();
        let mut keys: Vec<VerifierKey> =
            now.into_iter().chain(retired.into_iter().map(|retired| retired.key)).collect();
        keys.truncate(LOG_KEYS_MAX);
        keys
    }

    /// Returns whether the log's lines in a note are not those of the keys that are known: its LogConf may be another by now.
    pub fn is_signed_otherwise(&self, note: &Note) -> bool {
        let known = self.keys().now;
        rotation::has_unknown_key(note, &self.log.origin, &known) || lacks_a_line(note, &known)
    }

    /// Follows the log's keys for a note that is signed otherwise. `record` is the tree that its heads continue.
    ///
    /// Waits for a moment if no known key signed the note; else what is followed serves the next.
    pub async fn keep_up(self: &Arc<Self>, note: &Note, record: WitnessRecord) {
        let (this, known) = (self.clone(), self.keys().now);
        let is_unknown = rotation::has_unknown_key(note, &self.log.origin, &known);
        let between = if is_unknown { BETWEEN } else { BETWEEN_QUIET };
        let following = tokio::spawn(async move { this.follow(record, between).await });
        if note.verify(&known).is_err() {
            let _ = tokio::time::timeout(PATIENCE, following).await;
        }
    }

    /// Reads the log's LogConfs, unless they were read a moment ago.
    async fn follow(&self, record: WitnessRecord, between: Duration) {
        let Ok(mut read) = self.read.try_lock() else { return };
        if read.is_some_and(|at| at.elapsed() < between) {
            return;
        }
        let followed = self.read_and_keep(record).await;
        *read = Some(Instant::now());
        let trouble = match followed {
            Ok(()) => None,
            Err(why) => {
                warn!(origin = self.log.origin, %why, "a line of this log is by a key that is not known, and its LogConfs do not lead to one");
                Some(why.code())
            }
        };
        self.keys.write().expect("no holder panics").trouble = trouble;
    }

    async fn read_and_keep(&self, record: WitnessRecord) -> Result<(), NotKept> {
        let Some(url) = &self.log.url else { return Err(NotKept::NoUrl) };
        let known = self.keys();
        let origin = Origin::parse(&self.log.origin).map_err(|_| NotKept::Foreign)?;
        let trust = Trust::new(origin, known.now).map_err(|_| NotKept::Foreign)?.with_retired(known.retired);
        let tree = (record.size, record.root);
        let found = rotation::follow(&self.outbound, url, &trust, tree, known.seq, || self.clock.now()).await?;
        let (seq, now, retired) = (found.seq, found.log_keys, found.retired);
        let kept = Followed { seq, pinned: self.log.keys.clone(), now, retired };
        self.keep(&kept)?; //                                durable before it is trusted
        info!(origin = self.log.origin, seq, keys = kept.now.len(), "a log's keys were followed");
        *self.keys.write().expect("no holder panics") = keys_of(&self.log.keys, Some(&kept));
        Ok(())
    }

    fn keep(&self, kept: &Followed) -> Result<(), NotKept> {
        let directory = self.file.parent().expect("below the data directory");
        durable::create_dir(directory).map_err(|_| NotKept::Disk)?;
        durable::replace(&self.file, kept.text().as_bytes()).map_err(|_| NotKept::Disk)
    }
}

/// Why keys are not followed.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error("its line in the file of logs has no URL")]
    NoUrl,
    #[error("it is no log of names")]
    Foreign,
    #[error(transparent)]
    NotFollowed(#[from] NotFollowed),
    #[error("what was followed cannot be kept")]
    Disk,
}

impl NotKept {
    fn code(&self) -> &'static str {
        match self {
            Self::NoUrl => "no_url",
            Self::Foreign => "no_names",
            Self::NotFollowed(error) => error.code(),
            Self::Disk => "internal",
        }
    }
}

/// Whether a known key did not sign: a LogConf may have left it out.
fn lacks_a_line(note: &Note, keys: &[VerifierKey]) -> bool {
    keys.iter().any(|key| note.lines().iter().all(|line| line.id != key.id() || line.name != key.name()))
}

/// The keys that count: the followed ones, and what the operator wrote into the file since. If the operator took every key out
/// that was followed from, the file alone counts.
fn keys_of(file: &[VerifierKey], kept: Option<&Followed>) -> Keys {
    match kept.filter(|kept| kept.pinned.iter().any(|key| file.contains(key))) {
        None => Keys { now: file.to_vec(), ..Keys::default() },
        Some(kept) => {
            let since = file.iter().filter(|key| !kept.pinned.contains(key) && !kept.now.contains(key));
            let now = kept.now.iter().chain(since).cloned().collect();
            Keys { now, retired: kept.retired.clone(), seq: Some(kept.seq), trouble: None }
        }
    }
}

impl Followed {
    fn text(&self) -> String {
        let mut text = format!("{HEADER}\nseq {}\n", self.seq);
        let lines =
            |word: &str, keys: &[VerifierKey]| -> String { keys.iter().map(|key| format!("{word} {key}\n")).collect() };
        text += &lines("pinned", &self.pinned);
        text += &lines("log", &self.now);
        text + &self
            .retired
            .iter()
            .map(|RetiredKey { key, size }| format!("retired {size} {key}\n"))
            .collect::<String>()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != HEADER {
            return None;
        }
        let seq = lines.next()?.strip_prefix("seq ")?.parse().ok()?;
        let mut kept = Self { seq, pinned: Vec::new(), now: Vec::new(), retired: Vec::new() };
        for line in lines {
            match line.split_once(' ')? {
                ("pinned", key) => kept.pinned.push(VerifierKey::parse(key).ok()?),
                ("log", key) => kept.now.push(VerifierKey::parse(key).ok()?),
                ("retired", rest) => {
                    let (size, key) = rest.split_once(' ')?;
                    let key = VerifierKey::parse(key).ok()?;
                    kept.retired.push(RetiredKey { key, size: size.parse().ok()? });
                }
                _ => return None,
            }
        }
        (!kept.pinned.is_empty() && !kept.now.is_empty()).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use identity::key::SigningKey;
    use translog::note::LogSigner;

    use super::*;

    fn key(seed: u8) -> VerifierKey {
        LogSigner::new("a.test/log", SigningKey::from_seed(&[seed; 32])).unwrap().verifier_key().clone()
    }

    #[test]
    fn followed_keys_replace_those_they_were_followed_from_and_the_operator_has_the_last_word() {
        let retired = vec![RetiredKey { key: key(1), size: 7 }];
        let kept = Followed { seq: 2, pinned: vec![key(1)], now: vec![key(2)], retired };
        assert_eq!(Followed::parse(&kept.text()), Some(kept.clone()));
        for damaged in ["", "dgns.followed@v1\n", "dgns.followed@v1\nseq 2\nlog x\n", &kept.text()[..60]] {
            assert_eq!(Followed::parse(damaged), None, "{damaged:?}");
        }
        let now = |file: &[VerifierKey]| keys_of(file, Some(&kept)).now;
        assert_eq!(now(&[key(1)]), [key(2)], "a key that a LogConf left out is trusted no more");
        assert_eq!(now(&[key(1), key(2)]), [key(2)], "the new key written down too changes nothing");
        assert_eq!(now(&[key(1), key(9)]), [key(2), key(9)], "one that the operator wrote there since");
        assert_eq!(now(&[key(9)]), [key(9)], "begun anew by hand");
        assert_eq!(keys_of(&[key(1)], None).now, [key(1)]);
    }

    #[test]
    fn a_file_that_does_not_read_stops_the_start() {
        // Goal: damage never brings a dropped key back. Method: the file of followed keys cut short.
        let data = tempfile::tempdir().unwrap();
        let logs = WitnessedLogs::parse(&format!("log {}\n", key(1))).unwrap();
        let open = || Watched::open_all(data.path(), &logs, &Outbound::new(false), &Clock::system());
        assert_eq!(open().unwrap()[0].keys().now, [key(1)]);
        std::fs::create_dir(data.path().join("logconfs")).unwrap();
        std::fs::write(data.path().join("logconfs").join(hex_name("a.test/log")), "dgns.followed@v1\nseq 1\n").unwrap();
        assert!(matches!(open(), Err(CosignerError::Followed { .. })));
    }
}
