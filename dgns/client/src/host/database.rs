//! A database that a host hands on: requests of its readers and writers, passed on to the store that keeps it, and the store's own
//! bytes passed back (PROTOCOL 23.18).
//!
//! Nothing is kept here and nothing is believed by whoever asks: what comes back is what the store signed, checked by the reader as if
//! it had asked the store itself, and bodies stay sealed. The host asks as the person it belongs to; its rules say who may have it asked.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dgns_api::path;
use dgns_api::store::entry::{LogId, parse_id};
use dgns_api::store::limits::WAIT_S_MAX;
use identity::did::Did;
use identity::token::Rights;
use lobby::limits::ASKED_BYTES_MAX;
use lobby::share::{Listed, is_path};
use tokio::time::{Instant, sleep_until};

use super::lock;
use crate::error::ClientError;
use crate::home::DeviceKeys;
use crate::session::{Session, Signer};
use crate::store::database::OpenDb;
use crate::store::follow;

/// Where a database is among what is served: `db/<name>/control`, `db/<name>/logs/<label>` and `db/<name>/chunks/<id>`.
const FOLDER: &str = "db";

/// Where its chunks are below that.
const CHUNKS: &str = "chunks";

/// How long the store may wait for an entry while nothing else of the connection is answered, seconds.
const WAIT_S: u64 = 1;

/// Between two reads of the control log, whoever asks.
const READ_PAUSE: Duration = Duration::from_secs(2);

/// The numbers and names that a request may carry.
const KEYS: [&str; 8] = ["from", "limit", "old", "wait", "device", "k", "log", "pos"];

/// A database, as the person of a host reads it.
#[derive(Debug)]
pub struct Database {
    session: Session,
    device: Arc<DeviceKeys>,
    did: Did,
    name: String,
    /// Where its logs are below it, as they were when the control log was read last.
    logs: Mutex<BTreeMap<LogId, String>>,
    /// When that began; kept while it is read, by one for all.
    read: tokio::sync::Mutex<Instant>,
}

/// A request that may be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// What it is about.
    about: About,
    /// Path and query, put together from what was understood.
    target: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum About {
    Log(LogId),
    Chunk(String),
}

impl Passed {
    /// Reads a request; `None`: nothing that is passed on. `posts`: it has a body.
    pub(super) fn parse(target: &str, posts: bool) -> Option<Self> {
        let (at, query) = target.split_once('?').unwrap_or((target, ""));
        let (about, what) = match (at.strip_prefix(path::LOGS), at.strip_prefix(path::CHUNKS)) {
            (Some(rest), _) => {
                let (log, what) = rest.split_once('/').filter(|(_, what)| *what != CHUNKS)?;
                (About::Log(log.parse().ok()?), what)
            }
            (None, Some(id)) => {
                parse_id(id).ok()?;
                match query.is_empty() {
                    true => (About::Chunk(id.to_owned()), CHUNKS),
                    // Whoever may read the entry that names it may read the chunk.
                    false => (About::Log(naming(query)?), CHUNKS),
                }
            }
            (None, None) => return None,
        };
        let fits = match &about {
            About::Log(_) if posts => what == "entries",
            About::Log(_) => ["entries", "cursor", "anchor", CHUNKS].contains(&what),
            About::Chunk(_) => !posts,
        };
        let pairs: Option<Vec<String>> = query.split('&').filter(|pair| !pair.is_empty()).map(passed_pair).collect();
        let pairs = pairs.filter(|_| fits)?;
        let target = if pairs.is_empty() { at.to_owned() } else { format!("{at}?{}", pairs.join("&")) };
        Some(Self { about, target })
    }
}

/// Returns the log of the entry that names a chunk: `log=<64 digits>&pos=<place>` and nothing else.
fn naming(query: &str) -> Option<LogId> {
    let (log, pos) = query.strip_prefix("log=")?.split_once("&pos=")?;
    pos.parse::<u64>().ok()?;
    log.parse().ok()
}

/// A pair of a query as it is passed on. No request may keep the connection waiting for long.
fn passed_pair(pair: &str) -> Option<String> {
    let (key, value) = pair.split_once('=')?;
    let is_short = (1..=64).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !KEYS.contains(&key) || !is_short {
        return None;
    }
    match key {
        "wait" => {
            value.parse().ok().filter(|wait| *wait <= WAIT_S_MAX).map(|wait: u64| format!("wait={}", wait.min(WAIT_S)))
        }
        _ => Some(pair.to_owned()),
    }
}

impl Database {
    /// Opens the database of a name as `did` by its device; its control log is read and checked.
    pub async fn open(session: Session, device: Arc<DeviceKeys>, did: Did, name: &str) -> Result<Self, ClientError> {
        let name = session.name(name)?.as_str().to_owned();
        let read = tokio::sync::Mutex::new(Instant::now());
        let database = Self { session, device, did, name, logs: Mutex::default(), read };
        database.read_logs().await?;
        match database.has_moved() {
            true => Err(ClientError::Unable(format!(
                "{} is at another server: whoever reads it is led there, and no host hands it on",
                database.name
            ))),
            false => Ok(database),
        }
    }

    /// Returns whether its owners said that it is at another server, whose word counts for nobody who asks here.
    fn has_moved(&self) -> bool {
        lock(&self.logs).keys().any(|log| self.session.keeper(log).is_some())
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn signer(&self) -> Signer<'_> {
        Signer { did: self.did, keys: &self.device }
    }

    /// Reads the control log as it is now or later, but no oftener than every [`READ_PAUSE`]: one read is the answer for all who wait for it.
    async fn refresh(&self) -> Result<(), ClientError> {
        let asked = Instant::now();
        let mut read = self.read.lock().await;
        if *read >= asked {
            return Ok(());
        }
        sleep_until(*read + READ_PAUSE).await;
        *read = Instant::now();
        self.read_logs().await
    }

    async fn read_logs(&self) -> Result<(), ClientError> {
        let db = OpenDb::open(&self.session, self.signer(), &self.name).await?;
        let logs = db.acl().logs().iter().map(|(log, (_, _, label))| (*log, format!("logs/{label}")));
        let control = (LogId::control(db.acl().did()), "control".to_owned());
        *lock(&self.logs) = std::iter::once(control).chain(logs).collect();
        Ok(())
    }

    /// Returns those of its logs that somebody sees as they are listed: their entries for sizes. In a box, as a request for the store is.
    pub(super) fn list<'a>(
        &'a self,
        sees: impl Fn(&str) -> bool + Send + 'a,
    ) -> Pin<Box<dyn Future<Output = Vec<Listed>> + Send + 'a>> {
        Box::pin(self.listed(sees))
    }

    async fn listed(&self, sees: impl Fn(&str) -> bool) -> Vec<Listed> {
        // Nothing is asked for those who see nothing of it.
        if self.seen(&sees).is_empty() {
            return Vec::new();
        }
        // What cannot be read now is listed as it was.
        let _ = self.refresh().await;
        let mut listed = Vec::new();
        for (log, path) in self.seen(&sees) {
            if let Ok((size, time_ms)) = follow::newest(&self.session, self.signer(), log).await {
                listed.push(Listed { path, size, modified_s: time_ms / 1_000 });
            }
        }
        listed
    }

    /// The logs that somebody sees, and where they are.
    fn seen(&self, sees: &impl Fn(&str) -> bool) -> Vec<(LogId, String)> {
        let logs = lock(&self.logs);
        let paths = logs.iter().map(|(log, below)| (*log, self.path(below)));
        paths.filter(|(_, path)| is_path(path) && sees(path)).collect()
    }

    /// Returns where what a request is about lies among what is served, and what is to be allowed there. `None`: not of this database.
    pub(super) async fn place(&self, passed: &Passed, posts: bool) -> Option<(String, Rights)> {
        let rights = if posts { Rights::READ.and(Rights::WRITE) } else { Rights::READ };
        let below = match &passed.about {
            About::Chunk(id) => format!("{CHUNKS}/{id}"),
            About::Log(log) => match self.below(log) {
                Some(below) => below,
                None => {
                    // A log that was made meanwhile.
                    self.refresh().await.ok()?;
                    self.below(log)?
                }
            },
        };
        Some((self.path(&below), rights))
    }

    /// Returns what of it the host's owner is told that somebody got: a log, or the chunks, of which there may be any number.
    pub(super) fn got(&self, passed: &Passed, place: String) -> String {
        match passed.about {
            About::Log(_) => place,
            About::Chunk(_) => self.path(CHUNKS),
        }
    }

    fn below(&self, log: &LogId) -> Option<String> {
        lock(&self.logs).get(log).cloned()
    }

    fn path(&self, below: &str) -> String {
        format!("{FOLDER}/{}/{below}", self.name)
    }

    /// Has the store answer; or says by which code it does not.
    pub(super) async fn ask(&self, passed: &Passed, body: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
        if self.has_moved() {
            return Err("moved".to_owned());
        }
        let answer = match body {
            None => self.session.get_signed(self.signer(), &passed.target).await,
            Some(body) => self.session.post_entries(self.signer(), &passed.target, body).await,
        };
        match answer {
            Ok(answer) if answer.len() <= ASKED_BYTES_MAX => Ok(answer),
            Ok(_) => Err("too_large".to_owned()),
            Err(ClientError::Refused(problem)) => Err(problem.code),
            Err(_) => Err("unreachable".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_or_appends_is_passed_on() {
        let (log, id) = ("a".repeat(64), "0".repeat(64));
        let target = |target: &str, posts| Passed::parse(target, posts).map(|passed| passed.target);
        for (asked, posts, passed) in [
            (format!("/v1/logs/{log}/entries?from=0&limit=1024&old=7"), false, None),
            (
                format!("/v1/logs/{log}/entries?from=0&wait=10"),
                false,
                Some(format!("/v1/logs/{log}/entries?from=0&wait=1")),
            ),
            (format!("/v1/logs/{log}/cursor?device={id}"), false, None),
            (format!("/v1/logs/{log}/anchor?k=3&old=2"), false, None),
            (format!("/v1/logs/{log}/entries"), true, None),
            (format!("/v1/logs/{log}/entries?old=9"), true, None),
            (format!("/v1/chunks/{id}"), false, None),
            (format!("/v1/chunks/{id}?log={log}&pos=7"), false, None),
        ] {
            assert_eq!(target(&asked, posts), Some(passed.unwrap_or_else(|| asked.clone())), "{asked}");
        }
        for (asked, posts) in [
            (format!("/v1/logs/{log}/equivocations"), false),
            (format!("/v1/logs/{log}/cursor"), true),
            (format!("/v1/logs/{log}"), false),
            (format!("/v1/logs/{log}/entries/../../names"), false),
            (format!("/v1/logs/{log}/entries?other=1"), false),
            (format!("/v1/logs/{log}/entries?from=../1"), false),
            (format!("/v1/logs/{log}/entries?wait=11"), false),
            (format!("/v1/logs/{}/entries", log.to_uppercase()), false),
            (format!("/v1/chunks/{id}"), true),
            (format!("/v1/chunks/{id}?from=1"), false),
            (format!("/v1/chunks/{id}?log={log}"), false),
            (format!("/v1/chunks/{id}?log={log}&pos=7&from=1"), false),
            (format!("/v1/chunks/{id}?log={log}&pos=7"), true),
            (format!("/v1/logs/{log}/chunks?log={log}&pos=7"), true),
            ("/v1/chunks/have".to_owned(), true),
            ("/v1/databases".to_owned(), true),
            ("/v1/names/alice.dgns.test".to_owned(), false),
            (format!("https://other/v1/chunks/{id}"), false),
        ] {
            assert_eq!(target(&asked, posts), None, "{asked}");
        }
    }
}
