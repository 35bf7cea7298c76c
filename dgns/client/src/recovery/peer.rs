//! Recovery servers as a client meets them: what each says of itself, what is asked of it, who runs it.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use dgns_api::path;
use identity::cert::{Enrolment, KeyBytes};
use identity::did::Did;
use identity::hash::{Hash, sha256};
use identity::name::Origin;
use identity::recovery::Bundle;
use identity::recovery::message::{Ask, Evaluated, ServerInfo, seal_ask};
use identity::wire::Writer;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::ClientError;
use crate::net::Net;
use crate::rng;

/// How long one server may take for one answer.
const WITHIN: Duration = Duration::from_secs(6);

/// How long a server may be behind what the log has shown here.
const BEHIND: Duration = Duration::from_secs(8);

/// What such a server says; [`ClientError`] has the codes.
const BEHIND_CODES: [&str; 6] = ["not_open", "bad_attempt", "no_recovery", "not_ready", "log_unavailable", "busy"];

/// Between two requests to it, at least.
const PAUSE: Duration = Duration::from_millis(150);

/// A server that answered.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its place in the enrolment, from 1: the point of its shares.
    pub point: u8,
    /// Where it is asked.
    pub url: String,
    /// What it says of itself, signed.
    pub info: ServerInfo,
    net: Net,
}

/// A server that did not do what it was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Where it is.
    pub url: String,
    /// The stable code.
    pub code: String,
    /// Why.
    pub why: String,
    /// Whether its answer was false: not silent, not refusing, but wrong.
    pub lied: bool,
}

impl Refusal {
    pub(super) fn of(url: &str, error: &ClientError) -> Self {
        let why = match error {
            ClientError::Refused(problem) => problem.detail.clone(),
            other => other.to_string(),
        };
        let lied = matches!(error, ClientError::Proof { .. });
        Self { url: url.to_owned(), code: error.code().to_owned(), why, lied }
    }
}

impl Peer {
    /// Meets the server at `url`, perhaps with `#` and the 64 digits of its key behind it.
    async fn meet(origin: &Origin, url: &str, point: u8, key: Option<KeyBytes>) -> Result<Self, ClientError> {
        let (base, pinned) = match url.split_once('#') {
            Some((base, hex)) => (base, Some(key_of(hex)?)),
            None => (url, None),
        };
        let net = Net::new(base)?;
        let bytes = within(net.get(path::RECOVERY_INFO), base).await?;
        let info = ServerInfo::open(&bytes, origin);
        let info = info.map_err(|error| ClientError::proof("server_info", format!("{base}: {error}")))?;
        match pinned.or(key) {
            Some(wanted) if wanted != info.key => {
                Err(ClientError::proof("server_key", format!("{base} has another key than the one named")))
            }
            _ => Ok(Self { point, url: net.base().to_owned(), info, net }),
        }
    }

    /// Returns the bundle with this hash.
    pub async fn bundle(&self, hash: &Hash) -> Result<Bundle, ClientError> {
        let target = format!("{}{}", path::RECOVERY_BUNDLES, HEXLOWER.encode(hash));
        let bytes = within(self.net.get(&target), &self.url).await?;
        let wrong = || ClientError::proof("bundle", format!("{} gave another bundle than the log names", self.url));
        if sha256(&[&bytes]) != *hash {
            return Err(wrong());
        }
        Bundle::decode(&bytes).map_err(|_| wrong())
    }

    /// Asks for an evaluation, of an enrolment or of an attempt.
    pub async fn evaluated(&self, ask: Ask, target: &str, request: &[u8]) -> Result<Evaluated, ClientError> {
        let bytes = self.asked_as_logged(ask, target, request).await?;
        Evaluated::decode(&bytes)
            .map_err(|_| ClientError::proof("bad_answer", format!("{}: no evaluation came", self.url)))
    }

    /// Asks anything: sealed to the server.
    pub async fn asked(&self, ask: Ask, target: &str, request: &[u8]) -> Result<Vec<u8>, ClientError> {
        let keys = (&self.info.key, &self.info.kex);
        let sealed = seal_ask(ask, keys, request, &mut rng::system());
        let sealed = sealed.map_err(|_| ClientError::proof("server_info", format!("{} has a weak key", self.url)))?;
        within(self.net.post(target, sealed), &self.url).await
    }

    /// As [`Self::asked`]; again, for a while, where the server has not read as much of the log as this client: the witnessed head that
    /// it believes comes a moment later, and who serves the log may be busy.
    pub(super) async fn asked_as_logged(&self, ask: Ask, target: &str, request: &[u8]) -> Result<Vec<u8>, ClientError> {
        let until = Instant::now() + BEHIND;
        loop {
            let wait = match self.asked(ask, target, request).await {
                Err(ClientError::Refused(problem)) if BEHIND_CODES.contains(&problem.code.as_str()) => {
                    let wait = Duration::from_millis(problem.retry_ms.unwrap_or(0)).clamp(PAUSE, BEHIND / 4);
                    (ClientError::Refused(problem), wait)
                }
                ended => return ended,
            };
            if Instant::now() + wait.1 > until {
                return Err(wait.0);
            }
            tokio::time::sleep(wait.1).await;
        }
    }

    /// Has the server look at the log, and erase what that says is over.
    async fn erase(&self, did: &Did) -> Result<(), ClientError> {
        let mut writer = Writer::new();
        writer.map(1).uint(1).bytes(did.as_bytes());
        within(self.net.post(path::RECOVERY_ERASE, writer.finish()), &self.url).await.map(drop)
    }

    /// Returns the domain under which its operator's servers count as one: the last two labels.
    pub fn group(&self) -> String {
        let mut labels: Vec<&str> = self.info.domain.trim_end_matches('.').rsplit('.').take(2).collect();
        labels.reverse();
        labels.join(".").to_ascii_lowercase()
    }
}

/// Returns servers that are run by the same people, as far as they say so: operators or domains with several of them.
pub fn groups(peers: &[Peer]) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<String, usize>::new();
    for peer in peers {
        *counts.entry(format!("operator {}", peer.info.operator)).or_default() += 1;
        *counts.entry(format!("domain {}", peer.group())).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).collect()
}

/// Meets every server of a list, at once, in its order.
pub async fn meet_all(origin: &Origin, urls: &[String]) -> (Vec<Peer>, Vec<Refusal>) {
    let wanted = urls.iter().map(|url| (url.clone(), None)).collect();
    meet(origin, wanted).await
}

/// Meets every server that an enrolment in the log names, each by the key it names.
pub async fn meet_logged(origin: &Origin, enrolment: &Enrolment) -> (Vec<Peer>, Vec<Refusal>) {
    let wanted = enrolment.servers.iter().map(|server| (server.url.clone(), Some(server.key))).collect();
    meet(origin, wanted).await
}

/// Has every server of an enrolment that is over erase its share. Returns those that did not: they look by themselves once a day.
pub async fn erase_at(origin: &Origin, enrolment: &Enrolment, did: &Did) -> Vec<Refusal> {
    let (peers, mut missed) = meet_logged(origin, enrolment).await;
    for peer in peers {
        if let Err(error) = peer.erase(did).await {
            missed.push(Refusal::of(&peer.url, &error));
        }
    }
    missed
}

async fn meet(origin: &Origin, wanted: Vec<(String, Option<KeyBytes>)>) -> (Vec<Peer>, Vec<Refusal>) {
    let mut meeting = JoinSet::new();
    for (point, (url, key)) in (1_u8..).zip(wanted) {
        let origin = origin.clone();
        meeting.spawn(async move {
            let met = Peer::meet(&origin, &url, point, key).await;
            met.map_err(|error| Refusal::of(&url, &error))
        });
    }
    let (mut met, mut missed) = (Vec::new(), Vec::new());
    while let Some(ended) = meeting.join_next().await {
        match ended {
            Ok(Ok(peer)) => met.push(peer),
            Ok(Err(refusal)) => missed.push(refusal),
            Err(_) => {}
        }
    }
    met.sort_by_key(|peer| peer.point);
    (met, missed)
}

fn key_of(hex: &str) -> Result<KeyBytes, ClientError> {
    let key = HEXLOWER.decode(hex.to_ascii_lowercase().as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    key.ok_or_else(|| ClientError::Unable(format!("{hex:?} should be the 64 digits of a server's key")))
}

async fn within<T>(asked: impl Future<Output = Result<T, ClientError>>, url: &str) -> Result<T, ClientError> {
    let silent = || ClientError::Network(format!("{url} did not answer within {} s", WITHIN.as_secs()));
    tokio::time::timeout(WITHIN, asked).await.unwrap_or_else(|_| Err(silent()))
}
