//! The lobby as this server runs it: the pure core behind a lock, what it says on its way to each socket, and the log's word of who may
//! be here (PROTOCOL 23).
//!
//! Everything is in memory. A server that was killed knows nobody; clients come back, say hello and register again.

pub mod bus;
pub mod desk;
mod hello;
mod ice;
mod metrics;
mod outbox;
pub mod push;
pub mod stun;
pub mod turn;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use identity::did::Did;
use identity::key::kid_of;
use identity::state::{DeviceStatus, DidState};
use lobby::message::{Challenge, Form, Frame, FrameError};
use lobby::{ConnId, Input, Lobby, Network, Output, Refusal, Settings, Standing, limits};
use tokio::sync::{Notify, mpsc, watch};
use tracing::error;

use crate::auth::request::newest;
use crate::config::LobbyConfig;
use crate::core::Core;
use crate::log::touched::Touched;
use crate::{rng, shutdown};
use desk::Asked;
use metrics::Counters;
use turn::Relay;

pub use ice::Ice;
pub use outbox::{Outbox, Waiting};

/// What waits to be done for sessions; more is refused.
const ASKED_MAX: usize = 4_096;

/// How long a stop lets clients read that it comes.
const STOP_IN: Duration = Duration::from_millis(200);

/// Between two ticks: what is due waits at most so long.
const TICK: Duration = Duration::from_millis(50);

/// After a failure to read a state.
const BREATH: Duration = Duration::from_secs(1);

/// The lobby of this server.
pub struct Node {
    core: Arc<Core>,
    /// The URL that a hello must name, unless everything is on this machine.
    url: String,
    inner: Mutex<Inner>,
    /// Something falls due earlier than it did.
    earlier: Notify,
    conns: AtomicU64,
    counters: Counters,
    changed: Arc<Touched>,
    ice: Arc<Ice>,
    relay: Option<Arc<Relay>>,
    asks: mpsc::Sender<Asked>,
    /// The way to other nodes, if there may be any.
    bus: Option<bus::Way>,
}

struct Inner {
    lobby: Lobby,
    outboxes: HashMap<ConnId, Arc<Outbox>>,
}

/// A socket that was just opened.
pub struct Socket {
    /// What the lobby calls it.
    pub conn: ConnId,
    /// What is to be sent over it.
    pub outbox: Arc<Outbox>,
    /// What its hello must sign; good once.
    pub challenge: Challenge,
}

impl Node {
    /// Returns a lobby in which nobody is. `changed` tells whose states batches changed; `public_url` is where pages are reached.
    ///
    /// What sessions ask for that is kept elsewhere comes out of the receiver, for [`desk::run`].
    pub fn new(
        core: Arc<Core>,
        config: &LobbyConfig,
        public_url: &str,
        changed: Arc<Touched>,
        ice: Arc<Ice>,
        relay: Option<Arc<Relay>>,
        bus: Option<bus::Way>,
    ) -> (Self, mpsc::Receiver<Asked>) {
        let (asks, asked) = mpsc::channel(ASKED_MAX);
        let settings = Settings {
            connections_max: config.connections_max,
            strangers_max: config.strangers_per_address,
            opened_per_s: config.new_per_s_and_address,
        };
        let node = Self {
            core,
            url: socket_url(public_url),
            inner: Mutex::new(Inner { lobby: Lobby::new(settings), outboxes: HashMap::new() }),
            earlier: Notify::new(),
            conns: AtomicU64::new(0),
            counters: Counters::default(),
            changed,
            ice,
            relay,
            asks,
            bus,
        };
        (node, asked)
    }

    /// Takes a new socket. `host` is what its client called this server.
    pub fn open(&self, from: SocketAddr, host: Option<&str>, form: Form) -> Socket {
        let conn = ConnId(self.conns.fetch_add(1, Ordering::Relaxed) + 1);
        let outbox = Arc::new(Outbox::default());
        self.lock().outboxes.insert(conn, outbox.clone());
        let now = self.core.clock.now();
        let challenge = Challenge {
            challenge: rng::bytes(),
            url: self.url_for(from, host),
            node: self.core.server.to_string(),
            time_ms: now.as_ms(),
            features: vec!["lobby".to_owned()],
            limits: [limits::FRAME_BYTES_MAX, limits::CARD_BYTES_MAX, limits::UNSEEN_MAX].map(|n| n as u64).to_vec(),
        };
        // It is the first thing that waits in the outbox; what the lobby says comes behind it.
        let _ = outbox.push(Frame::Challenge(challenge.clone()).encode(form));
        self.put(Input::Opened { conn, network: network(from.ip()), form });
        Socket { conn, outbox, challenge }
    }

    /// Takes a message of a socket that said hello.
    pub fn message(&self, conn: ConnId, bytes: &[u8], form: Form) {
        self.put(Input::Frame { conn, frame: Frame::decode(bytes, form) });
    }

    /// Takes the first message of a socket, which is a hello, or is refused.
    pub async fn first(&self, socket: &Socket, bytes: &[u8], form: Form) {
        let conn = socket.conn;
        let (envelope, head) = match Frame::decode(bytes, form) {
            Ok(Frame::Hello { envelope, head }) => (envelope, head),
            Ok(_) | Err(FrameError::UnknownType { .. }) => return self.refuse(conn, Refusal::BadOrder),
            Err(FrameError::BadFrame) => return self.refuse(conn, Refusal::BadFrame),
            Err(FrameError::TooLarge) => return self.refuse(conn, Refusal::TooLarge),
        };
        match hello::verify(&self.core, &self.ice, &socket.challenge, &envelope).await {
            Ok(login) => {
                let (did, device) = (login.did, login.device);
                self.put(Input::Hello { conn, login: Box::new(login) });
                // Whatever the log said meanwhile: from here on its word reaches the session, and this is the newest.
                self.changed.watch(did);
                self.judge(&did).await;
                let _ = self.asks.try_send(Asked::Came(device, did));
            }
            Err(refusal) => self.refuse(conn, refusal),
        }
        if let Some(head) = head
            && hello::contradicts(&self.core, &head).await
        {
            self.counters.fork();
            error!(
                "a client brings a head that this log signed and does not have: its key signs elsewhere, or it was rolled back"
            );
        }
    }

    /// Ends a socket and says why.
    pub fn refuse(&self, conn: ConnId, refusal: Refusal) {
        self.put(Input::Refused { conn, refusal });
    }

    /// Notes that somebody answered below the frames.
    pub fn alive(&self, conn: ConnId) {
        self.put(Input::Alive { conn });
    }

    /// Takes a socket that is gone.
    pub fn closed(&self, conn: ConnId) {
        self.put(Input::Closed { conn });
        self.lock().outboxes.remove(&conn);
    }

    /// Renders the counters in the Prometheus text format.
    pub fn metrics(&self) -> String {
        let gauges = self.lock().lobby.gauges();
        let relay = self.relay.as_ref().map(|relay| relay.metrics());
        self.counters.render(&gauges) + &relay.unwrap_or_default()
    }

    /// Lets time pass and follows the log until `stop` turns true; then tells everybody, and closes.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut stopping = stop.clone();
        let follow = async {
            loop {
                for did in self.changed.next().await {
                    self.judge(&did).await;
                }
            }
        };
        tokio::select! {
            () = shutdown::requested(&mut stop) => {}
            () = self.tick() => {}
            () = follow => {}
        }
        shutdown::requested(&mut stopping).await;
        let in_ms = u64::try_from(STOP_IN.as_millis()).unwrap_or(0);
        self.put(Input::Stop { in_ms });
        tokio::time::sleep(STOP_IN).await;
        let outboxes: Vec<_> = self.lock().outboxes.values().cloned().collect();
        outboxes.iter().for_each(|outbox| outbox.close(Refusal::Restarting));
    }

    async fn tick(&self) {
        loop {
            let next = self.lock().lobby.next_timeout();
            let wait = next.map_or(BREATH * 3_600, |next| Duration::from_millis(next.ms_since(self.core.clock.now())));
            tokio::select! {
                () = tokio::time::sleep(wait.max(TICK)) => self.put(Input::Tick),
                () = self.earlier.notified() => {}
            }
        }
    }

    /// Returns whether a device has a socket here.
    pub(crate) fn is_here(&self, device: &identity::cert::KeyBytes, did: &Did) -> bool {
        self.lock().lobby.is_here(device, did)
    }

    /// Tells the lobby what the log says of a DID now. While its state cannot be read, who is here stays.
    async fn judge(&self, did: &Did) {
        loop {
            match newest(&self.core, did).await {
                Ok(state) => {
                    let standing = state.as_ref().map(standing).unwrap_or_default();
                    return self.put(Input::Changed { did: *did, standing });
                }
                Err(error) => {
                    error!(%error, "a device's state cannot be read");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    /// Gives the lobby an input and does all it says.
    pub(crate) fn put(&self, input: Input) {
        let now = self.core.clock.now();
        let mut inner = self.lock();
        let before = inner.lobby.next_timeout();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for output in inner.lobby.handle(input, now) {
                inputs.extend(self.perform(&mut inner.outboxes, output));
            }
        }
        let earlier = inner.lobby.next_timeout().is_some_and(|next| before.is_none_or(|before| next < before));
        drop(inner);
        if earlier {
            self.earlier.notify_one();
        }
    }

    /// Does what the lobby says; what comes of it is another input.
    fn perform(&self, outboxes: &mut HashMap<ConnId, Arc<Outbox>>, output: Output) -> Option<Input> {
        match output {
            Output::Send { conn, bytes } => {
                let slow = outboxes.get(&conn)?.push(bytes).is_err();
                slow.then_some(Input::Refused { conn, refusal: Refusal::Overflow })
            }
            Output::Ping { conn } => {
                outboxes.get(&conn)?.ping();
                None
            }
            Output::Close { conn, refusal } => {
                outboxes.remove(&conn)?.close(refusal);
                None
            }
            Output::Ice { conn, id, device } => {
                Some(Input::Answer { conn, id, value: self.ice.value(&device, self.core.clock.now()) })
            }
            Output::Ask { conn, device, did, frame } => {
                let id = frame.id();
                let full = self.asks.try_send(Asked::Frame { conn, device, did, frame }).is_err();
                id.filter(|_| full).map(|id| Input::NotDone { conn, id, refusal: Refusal::Busy })
            }
            Output::Grown(grown) => {
                // What is lost here is told at the next size.
                let _ = self.asks.try_send(Asked::Grown(grown));
                None
            }
            Output::Bus { to, message } => {
                self.tell_bus(bus::Told::Say(to, message));
                None
            }
            Output::Hosted { name, is } => {
                self.tell_bus(bus::Told::Hosted(name, is));
                None
            }
            Output::DropRelay { device } => {
                if let Some(relay) = &self.relay {
                    relay.drop_device(&device);
                }
                None
            }
            Output::Count(metric) => {
                self.counters.count(metric);
                None
            }
        }
    }

    /// Has other nodes told, if there may be any. What finds no room is said again by the ends, or at the next registration.
    fn tell_bus(&self, told: bus::Told) {
        if let Some(bus) = &self.bus {
            let _ = bus.try_send(told);
        }
    }

    /// The URL that a hello names: where pages are reached, or on one machine whatever its client called it.
    fn url_for(&self, from: SocketAddr, host: Option<&str>) -> String {
        let local = |url: &str| LOCAL.iter().any(|local| url.starts_with(local));
        let named = host.map(|host| format!("ws://{host}{}", dgns_api::path::LOBBY)).filter(|url| local(url));
        match named {
            Some(named) if from.ip().to_canonical().is_loopback() && local(&self.url) => named,
            _ => self.url.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of the lock panics: the core refuses what it does not expect")
    }
}

/// How URLs on this machine begin.
const LOCAL: [&str; 3] = ["ws://localhost:", "ws://127.0.0.1:", "ws://[::1]:"];

/// Where the socket is, for those who reach the pages at `public_url`.
fn socket_url(public_url: &str) -> String {
    let path = dgns_api::path::LOBBY;
    match public_url.strip_prefix("https://") {
        Some(rest) => format!("wss://{rest}{path}"),
        None => format!("ws://{}{path}", public_url.trim_start_matches("http://")),
    }
}

/// What counts the connections of one place; whoever comes by a proxy on this machine is not counted here.
fn network(from: IpAddr) -> Option<Network> {
    (!from.to_canonical().is_loopback()).then(|| network_of(from))
}

/// An IPv4 address, or half of an IPv6 one.
fn network_of(from: IpAddr) -> Network {
    match from.to_canonical() {
        IpAddr::V4(v4) => Network::V4(v4.octets()),
        IpAddr::V6(v6) => {
            let mut prefix = [0; 8];
            prefix.copy_from_slice(&v6.octets()[..8]);
            Network::V6(prefix)
        }
    }
}

/// What a state says of who may be here.
fn standing(state: &DidState) -> Standing {
    if state.flags & DidState::ENDED != 0 {
        return Standing::default();
    }
    let counts = state.devices.iter().filter(|device| device.status != DeviceStatus::Suspended);
    Standing { devices: counts.map(|device| device.sign).collect(), names: state.names.clone() }
}

/// Returns whether a device counts by a state.
fn has_device(state: &DidState, key: &identity::cert::KeyBytes) -> bool {
    standing(state).devices.iter().any(|device| kid_of(device) == kid_of(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_where_the_pages_are() {
        assert_eq!(socket_url("https://id.example"), "wss://id.example/v1/lobby");
        assert_eq!(socket_url("http://localhost:5380"), "ws://localhost:5380/v1/lobby");
    }

    #[test]
    fn networks_are_addresses_or_halves_and_this_machine_is_none() {
        assert_eq!(network("::ffff:127.0.0.1".parse().unwrap()), None);
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), Some(Network::V4([192, 0, 2, 1])));
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff:1".parse().unwrap()));
    }
}
