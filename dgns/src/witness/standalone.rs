//! `dgnsd witness`: the cosigners alone, without a log of their own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use storage::{Options, StorageError, durable};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::info;

use super::logs::{LogsError, WitnessedLogs};
use super::roles::{Roles, RolesError};
use crate::clock::Clock;
use crate::config::{HttpConfig, OutboundConfig, WitnessConfig};
use crate::http;
use crate::metrics::Metrics;
use crate::outbound::Outbound;

/// What a witness alone needs to know before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessServerConfig {
    /// `data`: the directory of keys, records and evidence.
    pub data: PathBuf,
    /// `[http]`.
    pub http: HttpConfig,
    /// `[witness]`.
    pub witness: WitnessConfig,
    /// `[outbound]`.
    pub outbound: OutboundConfig,
}

/// Why a witness did not start.
#[derive(Debug, thiserror::Error)]
pub enum WitnessServerError {
    /// The cosigners.
    #[error(transparent)]
    Roles(#[from] RolesError),
    /// The data directory.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {error}; another address: --http")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

impl WitnessServerError {
    /// Returns whether what is stored is at fault, so that signing could contradict an earlier signature.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Roles(error) => error.is_fault(),
            Self::Storage(error) => error.is_damage(),
            Self::Bind { .. } => false,
        }
    }
}

impl From<LogsError> for WitnessServerError {
    fn from(error: LogsError) -> Self {
        Self::Roles(error.into())
    }
}

/// A started witness.
pub struct WitnessServer {
    /// Its cosigners.
    pub roles: Arc<Roles>,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
    replays: Option<JoinHandle<()>>,
    reports: JoinHandle<()>,
}

impl WitnessServer {
    /// Starts a witness of the logs its configuration names.
    pub async fn start(config: WitnessServerConfig, clock: Clock) -> Result<Self, WitnessServerError> {
        let logs = WitnessedLogs::read(&config.witness.logs)?;
        Self::start_with(config, &logs, clock, Options::default()).await
    }

    /// Starts a witness of `logs`, storage opened in the way `options` say.
    pub async fn start_with(
        config: WitnessServerConfig,
        logs: &WitnessedLogs,
        clock: Clock,
        options: Options,
    ) -> Result<Self, WitnessServerError> {
        durable::create_dir(&config.data)?;
        let outbound = Outbound::new(config.outbound.plain_http);
        let opened = Roles::open_with(&config.data, &config.witness, logs, &outbound, &clock, options).await;
        let roles = Arc::new(opened?);
        let address = config.http.listen;
        let bound = |error| WitnessServerError::Bind { address, error };
        let listener = http::listener::bind(address).map_err(bound)?;
        let http = listener.local_addr().map_err(bound)?;
        let (stop, stopping) = watch::channel(false);
        let replays = roles.start(&stopping);
        let reports = tokio::spawn(super::reports::run(roles.clone(), outbound, None, stopping.clone()));
        let metrics = Arc::new(Metrics::default());
        let router = http::witness_router(roles.clone(), metrics.clone(), config.http.request_s);
        let listener = tokio::spawn(http::listener::serve(listener, router, config.http, metrics, stopping));
        info!(%http, "witnessing");
        Ok(Self { roles, http, stop, listener, replays, reports })
    }

    /// Stops: no new connections, open requests end, progress is kept.
    pub async fn stop(self) -> Result<(), WitnessServerError> {
        self.stop.send_replace(true);
        let _ = self.listener.await;
        if let Some(replays) = self.replays {
            let _ = replays.await;
        }
        let _ = self.reports.await;
        match Arc::into_inner(self.roles) {
            Some(roles) => Ok(roles.close().await?),
            None => Ok(()),
        }
    }
}
