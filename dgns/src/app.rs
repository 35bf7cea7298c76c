//! What every handler shares.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use identity::cert::ZoneTerms;
use identity::did::Did;
use identity::name::{Origin, Zone};
use storage::Storage;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::dns;
use crate::dns::Zone as DnsZone;
use crate::http::events::Streams;
use crate::invites::Invites;
use crate::keys::{LogKey, ZoneKey};
use crate::log::door::Door;
use crate::log::feed::Feed;
use crate::log::heads::Heads;
use crate::log::live::Live;
use crate::log::states::States;
use crate::log::tiles::Tiles;
use crate::log::witnesses::Witnesses;
use crate::metrics::Metrics;
use crate::witness::Roles;

/// The running server as its handlers see it.
pub struct App {
    /// The log.
    pub core: Core,
    /// Where posts come in.
    pub door: Door,
    /// The zone as DNS answers it.
    pub dns: Arc<DnsZone>,
    /// Counters of DNS.
    pub dns_metrics: Arc<dns::Metrics>,
    /// Where DNS answers.
    pub dns_addresses: Vec<SocketAddr>,
    /// The cosigners of other logs, if the configuration names any.
    pub cosigners: Option<Arc<Roles>>,
    /// The witnesses that are asked.
    pub witnesses: Witnesses,
    /// The configuration.
    pub config: Config,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Places for readers who wait for changes.
    pub streams: Streams,
    /// Whether the writer can commit and DNS answers.
    pub ready: AtomicBool,
    /// Turns true when the server stops.
    pub stopping: watch::Receiver<bool>,
}

/// The log and what reads it.
pub struct Core {
    /// The namespace zone.
    pub zone: Zone,
    /// The log's origin.
    pub origin: Origin,
    /// The server's DID.
    pub server: Did,
    /// The logged terms of the zone.
    pub terms: ZoneTerms,
    /// The proof of work asked of an open claim now, at least the logged floor.
    pub work_bits: u8,
    /// Whether records may hold private, loopback and link-local addresses.
    pub private_addresses: bool,
    /// Everything durable.
    pub storage: Arc<Storage>,
    /// The newest batches, for those who follow.
    pub feed: Arc<Feed>,
    /// The newest state.
    pub live: Arc<Live>,
    /// The states behind its map.
    pub states: Arc<States>,
    /// The roots of earlier heads.
    pub heads: Heads,
    /// Tiles, bundles, nodes.
    pub tiles: Tiles,
    /// The log key.
    pub log_key: Arc<LogKey>,
    /// The key that countersigns claims.
    pub zone_key: ZoneKey,
    /// The invitation codes.
    pub invites: Invites,
    /// The clock.
    pub clock: Clock,
}

impl App {
    /// Returns whether the server is ready.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Says whether the server is ready.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}
