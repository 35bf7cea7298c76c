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
mod reactor;
pub mod stun;
pub mod turn;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::key::kid_of;
use identity::state::{DeviceStatus, DidState};
use identity::time::Timestamp;
use identity::token::Rid;
use lobby::bus::Errand;
use lobby::guest;
use lobby::lobby::Known;
use lobby::message::{Challenge, Form, Frame, FrameError};
use lobby::{ConnId, Input, Lobby, Network, Output, Refusal, Settings, Standing, limits};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::error;

use crate::auth::request::newest;
use crate::config::LobbyConfig;
use crate::core::Core;
use crate::log::touched::Touched;
use crate::tokens::Tokens;
use crate::{rng, shutdown};
use desk::Asked;
use metrics::Counters;
use reactor::Reactor;
use turn::Relay;

pub use ice::Ice;
use outbox::Slow;
pub use outbox::{Outbox, Wanted};

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
    reactor: Reactor,
    /// The way to other nodes, if there may be any.
    bus: Option<bus::Way>,
}

struct Inner {
    lobby: Lobby,
    outboxes: Known<ConnId, Arc<Outbox>>,
}

/// A socket that was just opened.
pub struct Socket {
    /// What the lobby calls it.
    pub conn: ConnId,
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
            guests_max: config.guests,
        };
        let lobby = Lobby::new(settings);
        let lobby = if bus.is_some() { lobby.of_several() } else { lobby };
        let node = Self {
            core,
            url: socket_url(public_url),
            inner: Mutex::new(Inner { lobby, outboxes: Known::default() }),
            earlier: Notify::new(),
            conns: AtomicU64::new(0),
            counters: Counters::default(),
            changed,
            ice,
            relay,
            asks,
            reactor: Reactor::start(),
            bus,
        };
        (node, asked)
    }

    /// Runs what serves a socket.
    pub fn serve(&self, socket: impl Future<Output = ()> + Send + 'static) {
        self.reactor.spawn(socket);
    }

    /// Takes a new socket and the way to it. `host` is what its client called this server.
    pub fn open(&self, from: SocketAddr, host: Option<&str>, form: Form, outbox: &Arc<Outbox>) -> Socket {
        let conn = ConnId(self.conns.fetch_add(1, Ordering::Relaxed) + 1);
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
        outbox.flush();
        Socket { conn, challenge }
    }

    /// Takes the first message of a socket, which is a hello, or is refused.
    pub async fn first(&self, socket: &Socket, bytes: &[u8], form: Form, tokens: Option<&Tokens>) {
        let conn = socket.conn;
        let (envelope, token, head) = match Frame::decode(bytes, form) {
            Ok(Frame::Hello { envelope, token, head }) => (envelope, token, head),
            Ok(_) | Err(FrameError::UnknownType { .. }) => return self.refuse(conn, Refusal::BadOrder),
            Err(FrameError::BadFrame) => return self.refuse(conn, Refusal::BadFrame),
            Err(FrameError::TooLarge) => return self.refuse(conn, Refusal::TooLarge),
        };
        let said = hello::verify(&self.core, &self.ice, &socket.challenge, &envelope).await;
        let said = match (said, token) {
            (Ok(login), Some(token)) => hello::with_token(&self.core, tokens, login, &token).await,
            (said, _) => said,
        };
        match said {
            Ok(login) => {
                let (did, device) = (login.did, login.device);
                self.put(Input::Hello { conn, login: Box::new(login) });
                if guest::is_guest(&device, &did) {
                    // The log has no word of a guest.
                    return;
                }
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
        for outbox in outboxes {
            outbox.close(Refusal::Restarting);
            outbox.flush();
        }
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

    /// Returns the families of the tokens that sessions showed.
    pub(crate) fn tokens_shown(&self) -> Vec<Rid> {
        self.lock().lobby.tokens_shown()
    }

    /// Returns whether a device has a socket here.
    pub(crate) fn is_here(&self, device: &identity::cert::KeyBytes, did: &Did) -> bool {
        self.lock().lobby.is_here(device, did)
    }

    /// Returns whether a device has a session here, connected or not.
    pub(crate) fn has_session(&self, device: &KeyBytes, did: &Did) -> bool {
        self.lock().lobby.has_session(device, did)
    }

    /// Returns the devices that are told of logs here.
    pub(crate) fn listening(&self) -> Vec<KeyBytes> {
        self.lock().lobby.listening().copied().collect()
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
        let mut turn = self.turn();
        turn.put(input);
        turn.end();
    }

    /// Begins to give the lobby some inputs, one after another.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let (now, inner) = (self.core.clock.now(), self.lock());
        let before = inner.lobby.next_timeout();
        Turn { node: self, now, inner, before, touched: Vec::new() }
    }

    /// Does what the lobby says; what comes of it is another input. What waits in an outbox from then on is `touched`.
    fn perform(
        &self,
        outboxes: &mut Known<ConnId, Arc<Outbox>>,
        output: Output,
        touched: &mut Vec<Arc<Outbox>>,
    ) -> Option<Input> {
        match output {
            Output::Send { conn, bytes } => {
                let outbox = outboxes.get(&conn)?;
                match outbox.push(bytes) {
                    Ok(first) => {
                        touched.extend(first.then(|| outbox.clone()));
                        None
                    }
                    Err(Slow) => Some(Input::Refused { conn, refusal: Refusal::Overflow }),
                }
            }
            Output::Ping { conn } => {
                let outbox = outboxes.get(&conn)?;
                touched.extend(outbox.ping().then(|| outbox.clone()));
                None
            }
            Output::Close { conn, refusal } => {
                let outbox = outboxes.remove(&conn)?;
                outbox.close(refusal);
                touched.push(outbox);
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
            Output::Followed { name, is } => {
                self.tell_bus(bus::Told::Followed(name, is));
                None
            }
            Output::Listens { device, is } => {
                self.tell_bus(bus::Told::Listens(device, is));
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

    /// Does what another node asks for; the answer is `None` if there is no room.
    pub(crate) fn errand(&self, errand: Errand) -> impl Future<Output = Option<Frame>> + use<> {
        let (reply, answer) = oneshot::channel();
        let taken = self.asks.try_send(Asked::Errand { errand: Box::new(errand), reply });
        async move { if taken.is_ok() { answer.await.ok() } else { None } }
    }

    /// Has other nodes told, if there may be any. What finds no room is said again by the ends, or at the next registration.
    pub(crate) fn tell_bus(&self, told: bus::Told) {
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

/// While the lobby is given inputs; nobody else gives it any. What it says to one socket meanwhile is written at once, in the end.
pub(crate) struct Turn<'a> {
    node: &'a Node,
    now: Timestamp,
    inner: MutexGuard<'a, Inner>,
    /// When something fell due before this.
    before: Option<Timestamp>,
    /// The outboxes in which something waits since.
    touched: Vec<Arc<Outbox>>,
}

impl Turn<'_> {
    /// Gives the lobby an input and does all it says.
    pub(crate) fn put(&mut self, input: Input) {
        let Inner { lobby, outboxes } = &mut *self.inner;
        let (mut next, mut more) = (Some(input), Vec::new());
        while let Some(input) = next {
            for output in lobby.handle(input, self.now) {
                more.extend(self.node.perform(outboxes, output, &mut self.touched));
            }
            next = more.pop();
        }
    }

    /// Notes that something waits in an outbox.
    pub(crate) fn touched(&mut self, outbox: &Arc<Outbox>) {
        self.touched.push(outbox.clone());
    }

    /// Writes what was said.
    pub(crate) fn end(self) {
        let next = self.inner.lobby.next_timeout();
        drop(self.inner);
        self.touched.iter().for_each(|outbox| outbox.flush());
        if next.is_some_and(|next| self.before.is_none_or(|before| next < before)) {
            self.node.earlier.notify_one();
        }
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
