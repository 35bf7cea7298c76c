//! NOTIFY: each peer is told of the newest edition until it says that it heard, five times at most (RFC 1996); then nothing before another
//! edition. Of editions that come meanwhile it is told the last.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::timeout;

use super::super::dnssec::TYPE_SOA;
use super::super::limits::UDP_QUERY_BYTES_MAX;
use super::super::metrics::{Metrics, Notified};
use super::super::query::{HEADER_BYTES, OPCODE_NOTIFY};
use super::super::tsig::{Chain, Key};
use super::super::zone::{Record, Zone};
use super::catalog::Catalog;
use super::message::write;
use crate::clock::Clock;
use crate::{rng, shutdown};

/// How long the answer to each try is waited for.
pub(super) const WAITS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];

/// Of what a peer is told.
pub(super) enum Subject {
    /// The zone.
    Zone(Arc<Zone>),
    /// Its catalog.
    Catalog(Arc<Catalog>),
}

impl Subject {
    /// Returns its name in wire form, and its SOA of this serial.
    fn soa(&self, serial: u32) -> (&[u8], Record) {
        match self {
            Self::Zone(zone) => {
                let apex = zone.apex();
                (apex.wire(), Record::new(b"", TYPE_SOA, apex.negative_ttl_s, &[&apex.soa(serial)]))
            }
            Self::Catalog(catalog) => (catalog.apex(), catalog.soa().clone()),
        }
    }
}

/// Tells one peer.
pub(super) struct Teller {
    pub(super) address: SocketAddr,
    pub(super) key: Option<Arc<Key>>,
    pub(super) of: Subject,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    /// [`WAITS`].
    pub(super) waits: [Duration; 5],
}

impl Teller {
    /// Tells of each serial that `newest` shows, until `stop`. One that comes while an answer is waited for is told with the next try, which waits as
    /// long as it would have.
    pub(super) async fn run(self, mut newest: watch::Receiver<Option<u32>>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                changed = newest.changed() => if changed.is_err() { return },
            }
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                notified = self.tell(&mut newest) => if let Some(notified) = notified { self.metrics.count_notify(notified) },
            }
        }
    }

    /// Tells of the newest serial until the peer answers; `None` if there is no serial yet.
    async fn tell(&self, newest: &mut watch::Receiver<Option<u32>>) -> Option<Notified> {
        for wait in self.waits {
            let serial = *newest.borrow_and_update();
            match timeout(wait, self.once(serial?)).await {
                Ok(Ok(true)) => return Some(Notified::Heard),
                Ok(Ok(false)) => return Some(Notified::Refused),
                // A port where nobody listens says so at once.
                Ok(Err(_)) => tokio::time::sleep(wait).await,
                Err(_) => {}
            }
        }
        Some(Notified::Unheard)
    }

    /// Sends one notice and waits for its answer; returns whether the peer took it.
    async fn once(&self, serial: u32) -> io::Result<bool> {
        let from: IpAddr = match self.address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((from, 0)).await?;
        socket.connect(self.address).await?;
        let id: [u8; 2] = rng::bytes();
        let mut message = notice(id, &self.of, serial);
        let mut chain = self.key.clone().map(Chain::begin);
        if let Some(chain) = &mut chain {
            chain.sign(&mut message, self.clock.now().as_s());
        }
        socket.send(&message).await?;
        let mut answer = vec![0; UDP_QUERY_BYTES_MAX];
        loop {
            let length = socket.recv(&mut answer).await?;
            let heard = &answer[..length];
            let now_s = self.clock.now().as_s();
            if let Some(rcode) = rcode(heard, id)
                && chain.as_ref().is_none_or(|chain| rcode != 0 || chain.is_answered_by(heard, now_s))
            {
                return Ok(rcode == 0);
            }
        }
    }
}

/// Returns the message: a zone's SOA asked for, and told.
fn notice(id: [u8; 2], of: &Subject, serial: u32) -> Vec<u8> {
    let (apex, soa) = of.soa(serial);
    let mut message = id.to_vec();
    message.extend_from_slice(&[OPCODE_NOTIFY << 3 | 0x04, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    message.extend_from_slice(apex);
    message.extend_from_slice(&TYPE_SOA.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    write(&soa, &mut message);
    message
}

/// Returns the code of an answer to the notice of this id.
fn rcode(answer: &[u8], id: [u8; 2]) -> Option<u8> {
    let [i0, i1, flags, code, ..] = *answer.first_chunk::<HEADER_BYTES>()?;
    let is_its = [i0, i1] == id && flags & 0x80 != 0 && flags >> 3 & 15 == OPCODE_NOTIFY;
    is_its.then_some(code & 15)
}
