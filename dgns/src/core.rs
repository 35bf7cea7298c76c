//! The log, and what reads it: what everything that acts on the log is given.

use std::sync::Arc;

use identity::cert::ZoneTerms;
use identity::did::Did;
use identity::name::{Origin, Zone};
use storage::Storage;
use translog::note::VerifierKey;

use crate::clock::Clock;
use crate::log::feed::Feed;
use crate::log::heads::Heads;
use crate::log::live::Live;
use crate::log::states::States;
use crate::log::tiles::Tiles;

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
    pub heads: Arc<Heads>,
    /// Tiles, bundles, nodes.
    pub tiles: Tiles,
    /// The log's key, for clients to pin.
    pub vkey: VerifierKey,
    /// The clock.
    pub clock: Clock,
}
