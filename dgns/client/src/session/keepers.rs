//! Databases that moved to another server: what is asked of their logs is asked there, who asks is proved by the log of this session
//! (PROTOCOL 25.17).

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use dgns_api::path;
use dgns_api::store::entry::LogId;
use dgns_api::store::place::Place;
use identity::did::Did;
use identity::hash::Hash;
use translog::note::{KeyKind, VerifierKey};
use translog::policy::Policy;

use super::{Session, Signer, rotation};
use crate::error::ClientError;
use crate::home::Pinned;
use crate::net::{Lines, Method, Net};

/// A server that keeps databases of this session's log.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// With its own log, in which it says how the databases stand.
    pub(crate) session: Session,
    /// What an owner said of it.
    pub(crate) place: Place,
}

/// How a log ended where it was, as its owners said when they moved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// The server that it went to.
    pub(crate) to: Did,
    /// How many entries it had.
    pub(crate) size: u64,
    /// Their root.
    pub(crate) root: Hash,
}

/// Where a log is that moved.
#[derive(Clone, Debug)]
pub(crate) struct Stay {
    /// The server that keeps it.
    pub(crate) keeper: Arc<Keeper>,
    /// How it came there: each move, the newest last.
    pub(crate) left: Vec<Left>,
}

/// The logs that are kept by another server, as was proved.
#[derive(Debug, Default)]
pub(super) struct Keepers(RwLock<BTreeMap<LogId, Stay>>);

/// What a server answers that does not know whose device asks, or signed.
const STRANGE: [&str; 2] = ["unknown_signer", "unknown_device"];

impl Session {
    /// Returns where a log is that another server keeps.
    pub(crate) fn stay(&self, log: &LogId) -> Option<Stay> {
        self.keepers.0.read().expect("no holder of the lock panics: it guards plain rows").get(log).cloned()
    }

    /// Returns the server that keeps a log, if it is another one.
    pub(crate) fn keeper(&self, log: &LogId) -> Option<Arc<Keeper>> {
        self.stay(log).map(|stay| stay.keeper)
    }

    /// Asks for a log where it is from here on: `None` is the server of this session.
    pub(crate) fn keep_at(&self, log: LogId, stay: Option<Stay>) {
        let mut keepers = self.keepers.0.write().expect("no holder of the lock panics: it guards plain rows");
        match stay {
            Some(stay) => keepers.insert(log, stay),
            None => keepers.remove(&log),
        };
    }

    /// Returns the server of a place that the owners of the database of `control` named. What is believed of its log, beginning with the key that stands there, is
    /// kept for this database alone: nobody else is held to it, and of a log that was met otherwise the policy counts here, too.
    ///
    /// Errors: [`ClientError::Unable`] if it may not be asked ([`Session::server_named`]), [`ClientError::Proof`] (`log_key`) if its log is
    /// known by keys that do not lead to that one, nor that one to them.
    pub(crate) async fn keeper_at(&self, control: &LogId, place: &Place) -> Result<Arc<Keeper>, ClientError> {
        let Place { server, url, origin, key } = place;
        let unable = |why: &str| ClientError::Unable(format!("the database moved to {url:?}, which {why}"));
        let base =
            self.server_named(url).ok_or_else(|| unable("is not asked: https alone, or this machine from it"))?;
        let key = VerifierKey::new(origin.as_str(), KeyKind::Log, *key).map_err(|_| unable("has no key"))?;
        let named = Pinned::at_first_use(vec![key.clone()], Policy::none());
        named.trust(origin).map_err(|_| unable("has a key that nobody can use"))?;
        let (net, home) = (Net::new(&base)?, self.log().home_beside(control, server)?);
        let offered = match home.pinned_of(origin)? {
            Some(known) if known.knows_any(std::slice::from_ref(&key)) => known,
            Some(_) => return Err(ClientError::proof("log_key", format!("{url} was named with another key before"))),
            None => match self.log().home().pinned_of(origin)? {
                None => named,
                Some(known) if known.knows_any(std::slice::from_ref(&key)) => known,
                Some(known) => rotation::joined(&net, origin, &named, known).await?,
            },
        };
        let log = home.pin_log(url, origin, &offered)?;
        let session = Self::with(net, log, None, false)?;
        Ok(Arc::new(Keeper { session, place: place.clone() }))
    }

    /// Returns the other server that a request is for: by the log in its path, or its query.
    fn keeper_for(&self, target: &str) -> Option<Arc<Keeper>> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let in_path = path.strip_prefix(path::LOGS).map(|rest| rest.split('/').next().unwrap_or(rest));
        let log = in_path.or_else(|| query.split('&').find_map(|pair| pair.strip_prefix("log=")))?;
        self.keeper(&log.parse().ok()?)
    }

    /// Sends a signed request to whoever keeps what it is about: `None` is this session's own server.
    pub(super) async fn send_to_keeper(
        &self,
        signer: Signer<'_>,
        method: Method,
        target: &str,
        body: &[u8],
    ) -> Option<Result<Vec<u8>, ClientError>> {
        let keeper = self.keeper_for(target)?;
        Some(self.send_to(&keeper, signer, method, target, body).await)
    }

    /// Sends a signed request to a server that may not know this person yet, or not as of now.
    pub(crate) async fn send_to(
        &self,
        keeper: &Keeper,
        signer: Signer<'_>,
        method: Method,
        target: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, ClientError> {
        match keeper.session.sign_and_send(signer, method, target, body).await {
            Err(ClientError::Refused(problem)) if STRANGE.contains(&problem.code.as_str()) => {
                self.introduce(keeper, signer).await?;
                keeper.session.sign_and_send(signer, method, target, body).await
            }
            answer => answer,
        }
    }

    /// As [`Session::send_to`], for a question whose answer is a stream of lines.
    pub(crate) async fn lines_at(
        &self,
        keeper: &Keeper,
        signer: Signer<'_>,
        target: &str,
        body: &[u8],
    ) -> Result<Lines, ClientError> {
        match keeper.session.lines_posted(signer, target, body).await {
            Err(ClientError::Refused(problem)) if STRANGE.contains(&problem.code.as_str()) => {
                self.introduce(keeper, signer).await?;
                keeper.session.lines_posted(signer, target, body).await
            }
            lines => lines,
        }
    }

    /// Posts entries, which are signed themselves, to whoever keeps their log.
    pub(super) async fn post_to_keeper(
        &self,
        signer: Signer<'_>,
        target: &str,
        request: &[u8],
    ) -> Option<Result<Vec<u8>, ClientError>> {
        let keeper = self.keeper_for(target)?;
        Some(match keeper.session.net.post(target, request.to_vec()).await {
            Err(ClientError::Refused(problem)) if STRANGE.contains(&problem.code.as_str()) => {
                match self.introduce(&keeper, signer).await {
                    Ok(()) => keeper.session.net.post(target, request.to_vec()).await,
                    Err(error) => Err(error),
                }
            }
            answer => answer,
        })
    }

    /// Shows another server whose devices this person has: a lookup in the log of this session, which it believes for minutes.
    async fn introduce(&self, keeper: &Keeper, signer: Signer<'_>) -> Result<(), ClientError> {
        let resolution = self.net.get(&format!("{}{}", path::DIDS, signer.did)).await?;
        keeper.session.sign_and_send(signer, Method::Post, path::GUESTS, &resolution).await.map(drop)
    }
}
