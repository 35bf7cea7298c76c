//! What every handler shares.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dgns_api::info::Follows;
use tokio::sync::watch;

use crate::auth::request::Callers;
use crate::auth::signin::Signin;
use crate::config::Config;
use crate::core::Core;
use crate::dns;
use crate::dns::Zone as DnsZone;
use crate::dns::answer::Transport;
use crate::follow::standing::Standing;
use crate::limits::{Places, Rates};
use crate::lobby::Node;
use crate::lobby::bus::Bus;
use crate::lobby::push::Pusher;
use crate::log::door::Door;
use crate::log::notices::Notices;
use crate::log::witnesses::Witnesses;
use crate::metrics::Metrics;
use crate::people::People;
use crate::store::Databases;
use crate::tokens::Tokens;
use crate::witness::Roles;

/// How far a follower may be behind what a client knows, and is waited for.
const BEHIND: Duration = Duration::from_secs(2);

/// The running server as its handlers see it.
pub struct App {
    /// The log.
    pub core: Arc<Core>,
    /// Who keeps the log.
    pub role: Role,
    /// Where people sign in; `None` at a follower.
    pub signin: Option<Signin>,
    /// What is kept of people beside the log; `None` at a follower.
    pub people: Option<Arc<People>>,
    /// The databases that this server keeps; `None` if they are turned off, or at a follower that shares none.
    pub databases: Option<Arc<Databases>>,
    /// Where evidence comes in.
    pub notices: Notices,
    /// Where private servers and their clients meet; `None` if it is turned off.
    pub lobby: Option<Arc<Node>>,
    /// The way to other nodes of the lobby; `None` if it is alone.
    pub bus: Option<Arc<Bus>>,
    /// Who pushes to devices that are not here; `None` at a follower, or without a lobby.
    pub pusher: Option<Arc<Pusher>>,
    /// Mints tokens; a follower has none.
    pub tokens: Option<Arc<Tokens>>,
    /// The zone as DNS answers it.
    pub dns: Arc<DnsZone>,
    /// Who takes what devices and ACME clients put into DNS; `None` at a follower.
    pub updates: Option<Arc<dns::Updates>>,
    /// Counters of DNS.
    pub dns_metrics: Arc<dns::Metrics>,
    /// Where DNS answers.
    pub dns_addresses: Vec<SocketAddr>,
    /// Where it answers over what is encrypted.
    pub dns_encrypted: Vec<(Transport, SocketAddr)>,
    /// The cosigners of other logs, if the configuration names any.
    pub cosigners: Option<Arc<Roles>>,
    /// The witnesses that are asked.
    pub witnesses: Arc<Witnesses>,
    /// The configuration.
    pub config: Config,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The signed requests taken lately.
    pub callers: Callers,
    /// How often anybody may do what is not in the log.
    pub rates: Rates,
    /// Places for readers who wait for changes.
    pub streams: Places,
    /// Places for who waits at the pairing relay.
    pub relay: Places,
    /// Whether the writer can commit and DNS answers.
    pub ready: AtomicBool,
    /// Turns true when the server stops.
    pub stopping: watch::Receiver<bool>,
}

/// Who keeps the log that a server serves.
pub enum Role {
    /// This server: posts come in here.
    Writer(Box<Door>),
    /// Another, which this one follows.
    Follower(Arc<Standing>),
}

impl App {
    /// Returns whether the server is ready; an edge is once it has a copy that it may serve.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.is_over() && (!self.dns.is_copied() || self.dns.is_ready())
    }

    /// Returns where posts come in; `None` at a follower.
    pub fn door(&self) -> Option<&Door> {
        match &self.role {
            Role::Writer(door) => Some(door),
            Role::Follower(_) => None,
        }
    }

    /// Waits for a head of `size` leaves, which a client of a follower may have met at the origin; not for long.
    pub async fn reach(&self, size: u64) {
        if self.door().is_none() {
            let mut moved = self.core.live.moved();
            let _ = tokio::time::timeout(BEHIND, moved.wait_for(|newest| *newest >= size)).await;
        }
    }

    /// Returns how this server follows another; `None` if it keeps its log itself.
    pub fn follows(&self) -> Option<Follows> {
        match &self.role {
            Role::Writer(_) => None,
            Role::Follower(standing) => Some(standing.follows(self.core.live.head().size(), self.core.clock.now())),
        }
    }

    /// Returns the name of the quorum that heads get before they are shown: `none` if none is asked.
    pub fn quorum(&self) -> String {
        match &self.role {
            Role::Writer(_) => self.config.witnesses.policy.quorum_name().to_owned(),
            Role::Follower(standing) => standing.quorum(),
        }
    }

    /// Returns whether what is here is no longer to be served: a fault ended the following, and that is long ago.
    pub fn is_over(&self) -> bool {
        match &self.role {
            Role::Writer(_) => false,
            Role::Follower(standing) => standing.is_over(self.core.clock.now()),
        }
    }

    /// Says whether the server is ready.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}
