//! The relay in this server: TURN over UDP (RFC 8656) for those whose networks let them reach each other in no other way.
//!
//! Off unless it is told its public address. Credentials are those the lobby gives, good to allocate for ten minutes; packets go to the
//! public Internet alone, never to this machine or its network; every device and the whole have quotas. `table` decides, this is its shell:
//! sockets and tasks.

mod allocation;
mod integrity;
mod message;
mod peers;
mod table;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use identity::cert::KeyBytes;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Ice;
use crate::clock::Clock;
use crate::{rng, shutdown};
use integrity::Nonces;
use peers::{Peers, is_own};
use table::{Act, Client, Table};

pub use peers::Range;
pub use table::Quotas;

/// The bytes of a datagram that is passed on: what any path takes, and more than DTLS makes.
pub(super) const DATAGRAM_BYTES_MAX: usize = 2_048;

/// How often a port is looked for.
const PORTS_TRIED: usize = 32;

/// How often is looked for what ended.
const TICK: Duration = Duration::from_secs(1);

/// What a relay is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The addresses that peers see, at most one of each family.
    pub public: Vec<IpAddr>,
    /// The first and the last port that relayed addresses have.
    pub ports: (u16, u16),
    /// Who may be reached beside the public Internet.
    pub allow: Vec<Range>,
    /// What bounds it.
    pub quotas: Quotas,
}

/// The relay.
pub struct Relay {
    ports: (u16, u16),
    clock: Clock,
    ice: Arc<Ice>,
    /// The sockets that clients ask at, in their order.
    doors: Vec<Arc<UdpSocket>>,
    inner: Mutex<Inner>,
}

struct Inner {
    table: Table,
    relayed: HashMap<SocketAddr, (Arc<UdpSocket>, AbortHandle)>,
}

impl Relay {
    /// Returns a relay that nobody uses yet. `doors` are the sockets its clients ask at.
    pub fn new(settings: &Settings, realm: &str, clock: Clock, ice: Arc<Ice>, doors: Vec<Arc<UdpSocket>>) -> Self {
        let Settings { public, ports, allow, quotas } = settings.clone();
        let peers = Peers::new(allow, is_own);
        let table = Table::new(realm.to_owned(), quotas, peers, public, Nonces::new(rng::secret()));
        Self { ports, clock, ice, doors, inner: Mutex::new(Inner { table, relayed: HashMap::new() }) }
    }

    /// Takes a datagram that came to a door by its number, and is no Binding request.
    pub fn datagram(self: &Arc<Self>, via: usize, address: SocketAddr, bytes: &[u8]) {
        let mut inner = self.lock();
        let Inner { table, relayed } = &mut *inner;
        let mut opened = None;
        let acts = table.datagram(Client { via, address }, bytes, &self.ice, self.clock.now(), |public, even| {
            let (at, socket) = self.open(public, even, relayed)?;
            opened = Some((at, socket));
            Some(at)
        });
        if let Some((at, socket)) = opened {
            let task = tokio::spawn(self.clone().listen(at, socket.clone())).abort_handle();
            relayed.insert(at, (socket, task));
        }
        self.perform(relayed, acts);
    }

    /// Ends what a device has.
    pub fn drop_device(&self, device: &KeyBytes) {
        let mut inner = self.lock();
        let Inner { table, relayed } = &mut *inner;
        let acts = table.bar(self.ice.tag(device), self.clock.now());
        self.perform(relayed, acts);
    }

    /// Ends what is not refreshed, until `stop` turns true; then all of it.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = shutdown::requested(&mut stop) => break,
                () = tokio::time::sleep(TICK) => {}
            }
            let mut inner = self.lock();
            let Inner { table, relayed } = &mut *inner;
            let acts = table.expire(self.clock.now());
            self.perform(relayed, acts);
        }
        self.lock().relayed.drain().for_each(|(_, (_, task))| task.abort());
    }

    /// Renders the counters in the Prometheus text format.
    pub fn metrics(&self) -> String {
        let (allocations, counts) = {
            let inner = self.lock();
            (inner.table.len(), inner.table.counts)
        };
        let mut out = String::with_capacity(1_024);
        for (name, kind, help, value) in [
            ("dgns_turn_allocations", "gauge", "Relayed addresses in use.", allocations as u64),
            ("dgns_turn_bytes_total", "counter", "Bytes passed on.", counts.bytes),
            ("dgns_turn_dropped_total", "counter", "Datagrams beyond an allocation's rate.", counts.dropped),
        ] {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
        let name = "dgns_turn_refused_total";
        let _ = write!(out, "# HELP {name} Requests refused.\n# TYPE {name} counter\n");
        for (reason, value) in [
            ("unauthorized", counts.unauthorized),
            ("forbidden", counts.forbidden),
            ("quota", counts.quota),
            ("full", counts.full),
        ] {
            let _ = writeln!(out, "{name}{{reason=\"{reason}\"}} {value}");
        }
        out
    }

    /// Opens a relayed address at a random free port.
    fn open(
        &self,
        public: IpAddr,
        even: bool,
        relayed: &HashMap<SocketAddr, (Arc<UdpSocket>, AbortHandle)>,
    ) -> Option<(SocketAddr, Arc<UdpSocket>)> {
        let (first, last) = self.ports;
        let any: IpAddr = if public.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        for _ in 0..PORTS_TRIED {
            let random = u32::from_be_bytes(rng::bytes()) % (u32::from(last.saturating_sub(first)) + 1);
            let port = first.saturating_add(u16::try_from(random).unwrap_or(0));
            let at = SocketAddr::new(public, port);
            if relayed.contains_key(&at) || even && port % 2 == 1 {
                continue;
            }
            // Behind a translator the public address is none of this machine.
            let bound = std::net::UdpSocket::bind(at).or_else(|_| std::net::UdpSocket::bind((any, port)));
            let socket = bound.and_then(|socket| socket.set_nonblocking(true).and(UdpSocket::from_std(socket)));
            if let Ok(socket) = socket {
                return Some((at, Arc::new(socket)));
            }
        }
        None
    }

    /// Takes what arrives at a relayed address.
    async fn listen(self: Arc<Self>, at: SocketAddr, socket: Arc<UdpSocket>) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
        loop {
            // An earlier datagram that could not be delivered may be told here; the next one is another matter.
            let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
            if length > DATAGRAM_BYTES_MAX {
                continue;
            }
            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            let mut inner = self.lock();
            let Inner { table, relayed } = &mut *inner;
            let acts = table.arrived(at, peer, &buffer[..length], self.clock.now());
            self.perform(relayed, acts);
        }
    }

    /// Does what the table says. A datagram that the kernel does not take now is lost, as datagrams are.
    fn perform(&self, relayed: &mut HashMap<SocketAddr, (Arc<UdpSocket>, AbortHandle)>, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Say { to, bytes } => {
                    let _ = self.doors.get(to.via).map(|door| door.try_send_to(&bytes, to.address));
                }
                Act::Send { from, to, bytes } => {
                    let _ = relayed.get(&from).map(|(socket, _)| socket.try_send_to(&bytes, to));
                }
                Act::Close { relayed: at } => {
                    if let Some((_, task)) = relayed.remove(&at) {
                        task.abort();
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of the lock panics: the table refuses what it does not expect")
    }
}
