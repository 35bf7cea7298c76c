//! The recovery server, `dgnsd recovery`: keeps shares, reads the log itself, evaluates what the log says and nothing else (PROTOCOL 24).
//!
//! It believes nobody's word: the log's by the keys and witnesses of its own policy, people's by keys that it fetches from their
//! issuers. It counts nothing: ten attempts of an epoch have ten points in the log ([`identity::recovery::gate`]).

pub mod desk;
mod error;
mod evidence;
mod followed;
mod judge;
mod log;
mod role;
mod secrets;
mod stats;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use identity::name::Origin;
use storage::StorageError;
use storage::recovery::Recovery;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};
use translog::policy::Policy;
use translog::trust::Trust;

use crate::clock::Clock;
use crate::config::{HttpConfig, OutboundConfig};
use crate::keys::{self, KeyFileError};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::{http, shutdown};
pub use desk::Desk;
pub use error::RecoveryError;
use log::LogReader;
pub use role::of_server;
use secrets::Master;

/// How often rows of dead epochs are looked for.
const SWEEP: Duration = Duration::from_secs(86_400);

/// What a recovery server needs to know before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryConfig {
    /// `data`: the directory of the database.
    pub data: PathBuf,
    /// `key`: the file of the master key.
    pub key: PathBuf,
    /// `operator`: who runs it.
    pub operator: String,
    /// `domain`: the domain of whoever runs it.
    pub domain: String,
    /// `[http]`.
    pub http: HttpConfig,
    /// `[log]`.
    pub log: ReadLogConfig,
    /// `[[issuers]]`.
    pub issuers: Vec<EvidenceIssuer>,
    /// `passkeys`: the origin of the pages whose passkeys are taken; absent: none are.
    pub passkeys: Option<String>,
    /// `[outbound]`.
    pub outbound: OutboundConfig,
}

/// `[log]`: the log that enrolments and attempts stand in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLogConfig {
    /// `url`: the server of names.
    pub url: String,
    /// `policy`: a C2SP policy file with the log's keys and the quorum its heads need.
    pub policy: PathBuf,
    /// `head_age_s`: how old a head may be, seconds.
    pub head_age_s: u64,
}

/// One of `[[issuers]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceIssuer {
    /// `issuer`: its URL, as it spells it itself.
    pub issuer: String,
    /// `audience`: what it calls the server of names.
    pub audience: String,
}

/// Why a recovery server did not start.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryServerError {
    /// The policy.
    #[error("{path}: {what}", path = .path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The master key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// There are rows and no key that opens them.
    #[error("{path} has enrolments, and the master key {key} is gone: without it they are lost; put it back", path = .path.display(), key = .key.display())]
    KeyGone {
        /// The database's directory.
        path: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {error}; another address: [http] listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

impl RecoveryServerError {
    /// Returns whether what is stored is at fault.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_damage())
    }
}

/// A started recovery server.
pub struct RecoveryServer {
    /// What it does.
    pub desk: Arc<Desk>,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
    sweeper: JoinHandle<()>,
}

impl RecoveryServer {
    /// Starts it. A policy without witnesses needs `dev`: whoever has the log's key could then show this server a log of its own.
    pub async fn start(config: RecoveryConfig, dev: bool, clock: Clock) -> Result<Self, RecoveryServerError> {
        let asks = Outbound::new(config.outbound.plain_http);
        let desk = open(&config, (trust(&config.log, dev)?, asks), clock).await?;
        let address = config.http.listen;
        let bound = |error| RecoveryServerError::Bind { address, error };
        let listener = http::listener::bind(address).map_err(bound)?;
        let http = listener.local_addr().map_err(bound)?;
        let (stop, stopping) = watch::channel(false);
        let metrics = Arc::new(Metrics::default());
        let router = http::recovery_router(desk.clone(), metrics.clone(), config.http.request_s);
        let sweeper = tokio::spawn(sweep(desk.clone(), stopping.clone()));
        let listener = tokio::spawn(http::listener::serve(listener, router, config.http, metrics, stopping));
        info!(%http, "keeping shares");
        Ok(Self { desk, http, stop, listener, sweeper })
    }

    /// Stops: no new connections, open requests end.
    pub async fn stop(self) -> Result<(), StorageError> {
        self.stop.send_replace(true);
        let _ = self.listener.await;
        let _ = self.sweeper.await;
        match Arc::into_inner(self.desk) {
            Some(desk) => desk.close().await,
            None => Ok(()),
        }
    }
}

/// Opens database and master key of a desk that reads the log under this trust, asking for it so.
async fn open(
    config: &RecoveryConfig,
    (trust, asks): (Trust, Outbound),
    clock: Clock,
) -> Result<Arc<Desk>, RecoveryServerError> {
    let had_rows = config.data.join(format!("{}.db", Recovery::NAME)).is_file();
    let store = Recovery::open(&config.data).await?;
    if had_rows && !config.key.exists() && store.count().await? > 0 {
        return Err(RecoveryServerError::KeyGone { path: config.data.clone(), key: config.key.clone() });
    }
    let master = Master::new(keys::secret(&config.key, "recovery", &mut crate::rng::system())?);
    let outbound = Outbound::new(config.outbound.plain_http);
    let log = LogReader::open(&config.log.url, (trust, &config.data), asks, clock.clone(), &store).await?;
    Ok(Arc::new(Desk::new(config, master, log, store, outbound, clock)?))
}

/// Erases what the log says is over, once a day: a crash in between leaves rows that are erased the next time.
pub async fn sweep(desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = shutdown::requested(&mut stop) => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        match desk.sweep().await {
            Ok(erased) => info!(erased, "looked for dead epochs"),
            Err(error) => warn!(%error, "looking for dead epochs failed"),
        }
    }
}

/// Reads a policy with the keys of one log, and a quorum unless `dev`.
pub fn trust(config: &ReadLogConfig, dev: bool) -> Result<Trust, RecoveryServerError> {
    let path: &Path = &config.policy;
    let wrong = |what: String| RecoveryServerError::Policy { path: path.to_owned(), what };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let policy = Policy::parse(&bytes).map_err(|error| wrong(format!("{error} ({})", error.code())))?;
    let mut origins: Vec<&str> = policy.logs().iter().map(|log| log.key.name()).collect();
    origins.dedup();
    let [origin] = origins[..] else {
        return Err(wrong(format!("names {} logs, should name one: `log <vkey>`", origins.len())));
    };
    let origin = Origin::parse(origin).map_err(|_| wrong(format!("{origin} is no origin of a log of names")))?;
    if policy.is_none() && !dev {
        let what = "asks for no witness: whoever has the log's key could show this server a log that nobody else sees. \
                    Name witnesses and a quorum; --dev tries it without";
        return Err(wrong(what.to_owned()));
    }
    let trust = Trust::from_policy(origin, policy).map_err(|error| wrong(error.to_string()))?;
    Ok(trust.with_head_age_s_max(config.head_age_s))
}
