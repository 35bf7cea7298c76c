//! Where DNS is served, and within which limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Asker, Transport};
use super::cookie::Cookies;
use super::limits::{HANDSHAKE, STREAM_IDLE, STREAM_PARTIAL, STREAMS_MAX, STREAMS_PER_CLIENT_MAX};
use crate::cidr::Cidr;
use crate::clock::Clock;

/// Where the zone is served, and within which limits.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Addresses for UDP and TCP alike; port 0 takes a free one, the same for both. A wildcard answers from the address the
    /// kernel picks: name each address of a host that has several.
    pub listen: Vec<SocketAddr>,
    /// How many threads answer datagrams at each address.
    pub udp_threads: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a connection may be silent between two queries.
    pub idle: Duration,
    /// How long a frame may take to come, and an answer to be taken.
    pub partial: Duration,
    /// The most connections at once, over TLS or not.
    pub streams_max: usize,
    /// The most connections at once from one IPv4 address or IPv6 /56.
    pub streams_per_client_max: usize,
}

impl ServerSettings {
    /// Returns the settings for these addresses, with the limits of [`super::limits`].
    pub fn on(listen: Vec<SocketAddr>) -> Self {
        Self {
            listen,
            udp_threads: std::thread::available_parallelism().map_or(1, usize::from),
            handshake: HANDSHAKE,
            idle: STREAM_IDLE,
            partial: STREAM_PARTIAL,
            streams_max: STREAMS_MAX,
            streams_per_client_max: STREAMS_PER_CLIENT_MAX,
        }
    }
}

/// How clients are answered, beside the zone.
#[derive(Clone)]
pub struct Manner {
    /// What time it is.
    pub clock: Clock,
    /// By what clients are known again.
    pub cookies: Cookies,
    /// How the server calls itself (RFC 5001); empty: it does not say.
    pub nsid: Arc<[u8]>,
    /// The answers a second that one network gets by UDP and without a cookie; 0 = any number.
    pub answers_per_s: u32,
    /// The networks that get any number.
    pub answers_exempt: Vec<Cidr>,
    /// Secret: which networks are counted together.
    pub place_key: [u8; 16],
}

impl Manner {
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        let clock = Clock::fixed_for_tests(identity::time::Timestamp::from_ms(1_700_000_000_000));
        let (nsid, place_key) = (Arc::from([]), [7; 16]);
        Self { clock, cookies: Cookies::new([7; 32]), nsid, answers_per_s: 0, answers_exempt: Vec::new(), place_key }
    }

    /// Makes ready for queries that came now; returns the time, unix seconds.
    pub(crate) fn ready(&mut self) -> u32 {
        let now_s = self.clock.now().as_s() as u32; // of 32 bits, which go round (RFC 9018 section 4.3)
        self.cookies.at(now_s);
        now_s
    }

    /// Returns who asks.
    pub(crate) fn asker(&self, transport: Transport, address: IpAddr, now_s: u32) -> Asker<'_> {
        Asker { transport, address, now_s, cookies: &self.cookies, nsid: &self.nsid }
    }
}
