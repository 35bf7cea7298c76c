//! Where DNS is served, and within which limits.

use std::net::SocketAddr;
use std::time::Duration;

use super::limits::{STREAM_IDLE, STREAM_PARTIAL, STREAMS_MAX, STREAMS_PER_CLIENT_MAX};

/// Where the zone is served, and within which limits.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Addresses for UDP and TCP alike; port 0 takes a free one, the same for both. A wildcard answers from the address the
    /// kernel picks: name each address of a host that has several.
    pub listen: Vec<SocketAddr>,
    /// How many tasks share each UDP socket.
    pub udp_tasks: usize,
    /// How long a TCP connection may be silent between two queries.
    pub idle: Duration,
    /// How long a frame may take to come, and an answer to be taken.
    pub partial: Duration,
    /// The most TCP connections at once.
    pub streams_max: usize,
    /// The most TCP connections at once from one IPv4 address or IPv6 /56.
    pub streams_per_client_max: usize,
}

impl ServerSettings {
    /// Returns the settings for these addresses, with the limits of [`super::limits`].
    pub fn on(listen: Vec<SocketAddr>) -> Self {
        Self {
            listen,
            udp_tasks: std::thread::available_parallelism().map_or(1, usize::from),
            idle: STREAM_IDLE,
            partial: STREAM_PARTIAL,
            streams_max: STREAMS_MAX,
            streams_per_client_max: STREAMS_PER_CLIENT_MAX,
        }
    }
}
