//! Other nodes of the same lobby, reached over NATS core (PROTOCOL 23.16). Without it a node is alone, and needs nothing. The room of
//! `async_nats`.
//!
//! A node listens for its own number, for the names that are hosted at it and for those that somebody follows at it, so that nobody keeps a
//! list of who is where: a name that no node hosts has nobody who listens, and the bus says so at once. The bus is trusted with nothing; while it is gone each node goes
//! on by itself.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Subscriber};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::StreamExt as _;
use identity::cert::KeyBytes;
use identity::hash::domain_hash;
use identity::name::Origin;
use lobby::Input;
use lobby::bus::{Alive, BusMessage, Errand, NodeId, Reach, device_hash, name_hash};
use lobby::message::{Form, Frame};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Node;
use crate::config::NatsConfig;
use crate::{rng, shutdown};

/// How long a node that hosts a name may take to say that it heard of a knock.
const ANSWER: Duration = Duration::from_secs(2);

/// Questions under way at once; a knock beyond is not passed on, and comes again by itself.
const ASKING_MAX: usize = 256;

/// What waits to be passed on.
const WAITING_MAX: usize = 65_536;

/// The bytes of a message: four hosts with the longest lists of whom they let knock. A card and a proof have a third of it.
const MESSAGE_BYTES_MAX: usize = 36_864;

/// How long a stop waits for what the lobby has still to say.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How often a node says that it is there, and how long that is believed.
const ALIVE: Duration = Duration::from_secs(10);
const ALIVE_FOR: Duration = Duration::from_secs(30);

/// The other nodes that are remembered.
const NODES_MAX: usize = 64;

/// What the lobby has for other nodes.
#[derive(Debug)]
pub enum Told {
    /// A message.
    Say(Reach, Box<BusMessage>),
    /// A name is hosted here, or no longer.
    Hosted(String, bool),
    /// Somebody here follows a name, or nobody any more.
    Followed(String, bool),
    /// A device is told of logs here, or no longer.
    Listens(KeyBytes, bool),
}

/// The way from the lobby to the bus.
pub type Way = mpsc::Sender<Told>;

/// Returns a way for the lobby, and its other end for [`Bus::run`].
pub fn way() -> (Way, mpsc::Receiver<Told>) {
    mpsc::channel(WAITING_MAX)
}

/// What was counted.
#[derive(Debug, Default)]
struct Counters {
    heard: AtomicU64,
    not_here: AtomicU64,
    lost: AtomicU64,
    received: AtomicU64,
}

/// The bus as one node sees it.
pub struct Bus {
    client: Client,
    /// What subjects of this log begin with: several lobbies may share a NATS server.
    prefix: String,
    id: NodeId,
    /// Where this node is reached, as others are told.
    url: String,
    /// The other nodes that said lately that they are there.
    alive: Mutex<HashMap<NodeId, (String, Instant)>>,
    asking: Arc<Semaphore>,
    counters: Arc<Counters>,
}

impl Bus {
    /// Connects, now or whenever a server is there.
    pub async fn connect(config: &NatsConfig, origin: &Origin, url: &str) -> Result<Self, String> {
        let mut options = ConnectOptions::new()
            .name("dgnsd")
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| Duration::from_millis((100 * attempts as u64).min(5_000)))
            .client_capacity(ASKING_MAX * 4);
        if let Some(file) = config.credentials_file.as_deref() {
            options = options.credentials_file(file).await.map_err(|error| format!("{}: {error}", file.display()))?;
        }
        let client = options.connect(config.urls.clone()).await.map_err(|error| error.to_string())?;
        let log = domain_hash("dgns/bus/v1", &[origin.as_str().as_bytes()]);
        Ok(Self {
            client,
            prefix: format!("dgns.lobby.{}", HEXLOWER.encode(&log[..8])),
            id: rng::bytes(),
            url: url.to_owned(),
            alive: Mutex::default(),
            asking: Arc::new(Semaphore::new(ASKING_MAX)),
            counters: Arc::default(),
        })
    }

    /// Passes messages to and fro until `stop` turns true. `keeps`: what devices joined is kept here.
    pub async fn run(
        self: Arc<Self>,
        node: Arc<Node>,
        keeps: bool,
        mut told: mpsc::Receiver<Told>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut subjects = vec![self.node_subject(&self.id)];
        subjects.extend(keeps.then(|| self.subject("people")));
        let mut own = vec![tokio::spawn(self.clone().nodes())];
        if keeps {
            own.push(tokio::spawn(self.clone().errands(node.clone())));
        }
        for subject in subjects {
            own.extend(self.listen(&node, subject).await);
        }
        let mut listening: HashMap<String, JoinHandle<()>> = HashMap::new();
        let mut again = tokio::time::interval(ALIVE);
        info!("the lobby is one of several nodes");
        loop {
            let next = tokio::select! {
                () = shutdown::requested(&mut stop) => break,
                _ = again.tick() => {
                    self.listen_to_devices(&node, &mut listening).await;
                    continue;
                }
                next = told.recv() => next,
            };
            let (subject, is) = match next {
                None => break,
                Some(Told::Say(to, message)) => {
                    self.say(to, &message).await;
                    continue;
                }
                Some(Told::Hosted(name, is)) => (self.name_subject(&name), is),
                Some(Told::Followed(name, is)) => (self.followers_subject(&name), is),
                Some(Told::Listens(device, is)) => (self.device_subject(&device), is),
            };
            let before = match is {
                true => self.listen(&node, subject.clone()).await.and_then(|task| listening.insert(subject, task)),
                false => listening.remove(&subject),
            };
            before.iter().for_each(JoinHandle::abort);
        }
        // What the lobby says as it stops: that its hosts leave.
        while let Ok(Some(last)) = tokio::time::timeout(LAST_WORDS, told.recv()).await {
            if let Told::Say(to, message) = last {
                self.say(to, &message).await;
            }
        }
        own.iter().chain(listening.values()).for_each(JoinHandle::abort);
        let _ = tokio::time::timeout(ANSWER, self.client.flush()).await;
    }

    /// Listens for the devices that are told of logs here and for no others, whatever was said of them and lost.
    async fn listen_to_devices(&self, node: &Arc<Node>, listening: &mut HashMap<String, JoinHandle<()>>) {
        let wanted: HashSet<String> = node.listening().iter().map(|device| self.device_subject(device)).collect();
        let of_devices = self.subject("device.");
        listening.retain(|subject, task| {
            let stays = !subject.starts_with(&of_devices) || wanted.contains(subject);
            if !stays {
                task.abort();
            }
            stays
        });
        for subject in wanted {
            if !listening.contains_key(&subject)
                && let Some(task) = self.listen(node, subject.clone()).await
            {
                listening.insert(subject, task);
            }
        }
    }

    /// Says again and again that this node is there, and notes who else is.
    async fn nodes(self: Arc<Self>) {
        let subject = self.subject("alive");
        let Ok(mut others) = self.client.subscribe(subject.clone()).await else { return };
        let mut beat = tokio::time::interval(ALIVE);
        loop {
            let heard = tokio::select! {
                _ = beat.tick() => {
                    // While this node is cut off, others are what they were.
                    if self.client.connection_state() != State::Connected {
                        self.alive().values_mut().for_each(|(_, since)| *since = Instant::now());
                    }
                    self.publish(subject.clone(), Alive { node: self.id, url: self.url.clone() }.encode().into()).await;
                    continue;
                }
                heard = others.next() => heard,
            };
            let Some(heard) = heard else { return };
            let Ok(Alive { node, url }) = Alive::decode(&heard.payload) else { continue };
            let mut alive = self.alive();
            alive.retain(|_, (_, since)| since.elapsed() < ALIVE_FOR);
            if node != self.id && alive.len() < NODES_MAX {
                alive.insert(node, (url, Instant::now()));
            }
        }
    }

    /// Returns where the nodes of the lobby are reached that are there, this one among them, in order.
    pub fn urls(&self) -> Vec<String> {
        let alive = self.alive();
        let others = alive.values().filter(|(_, since)| since.elapsed() < ALIVE_FOR).map(|(url, _)| url.clone());
        let mut urls: Vec<String> = others.chain([self.url.clone()]).collect();
        urls.sort_unstable();
        urls.dedup();
        urls
    }

    fn alive(&self) -> MutexGuard<'_, HashMap<NodeId, (String, Instant)>> {
        self.alive.lock().expect("no holder of the lock panics: it guards a plain table")
    }

    fn subject(&self, what: &str) -> String {
        format!("{}.{what}", self.prefix)
    }

    fn device_subject(&self, device: &KeyBytes) -> String {
        format!("{}.device.{}", self.prefix, HEXLOWER.encode(&device_hash(device)))
    }

    /// Returns whether a device is told of logs at another node. This one, where it may be told as well, does not answer itself.
    pub async fn is_told_elsewhere(&self, device: &KeyBytes) -> bool {
        self.request(self.device_subject(device), Bytes::copy_from_slice(&self.id)).await.is_some()
    }

    /// Has the node that keeps what devices joined do what a session asks for; returns the frame that answers. `None`: there is none, or it
    /// does not answer.
    pub async fn ask(&self, errand: &Errand) -> Option<Frame> {
        let answer = self.request(self.subject("errands"), errand.encode().into()).await?;
        Frame::decode(&answer, Form::Cbor).ok()
    }

    async fn request(&self, subject: String, payload: Bytes) -> Option<Bytes> {
        if self.client.connection_state() != State::Connected {
            return None;
        }
        let asked = tokio::time::timeout(ANSWER, self.client.request(subject, payload)).await;
        asked.ok()?.ok().map(|answer| answer.payload)
    }

    /// Hands on what sessions at other nodes ask of the node that keeps what devices joined.
    async fn errands(self: Arc<Self>, node: Arc<Node>) {
        let Ok(mut errands) = self.client.subscribe(self.subject("errands")).await else { return };
        while let Some(message) = errands.next().await {
            let (Some(reply), Ok(errand)) = (message.reply, Errand::decode(&message.payload)) else { continue };
            let client = self.client.clone();
            let answer = node.errand(errand);
            tokio::spawn(async move {
                if let Some(answer) = answer.await {
                    let _ = client.publish(reply, answer.encode(Form::Cbor)).await;
                }
            });
        }
    }

    fn followers_subject(&self, name: &str) -> String {
        format!("{}.followers.{}", self.prefix, HEXLOWER.encode(&name_hash(name)))
    }

    fn name_subject(&self, name: &str) -> String {
        format!("{}.name.{}", self.prefix, HEXLOWER.encode(&name_hash(name)))
    }

    fn node_subject(&self, node: &NodeId) -> String {
        format!("{}.node.{}", self.prefix, HEXLOWER.encode(node))
    }

    /// Hands the lobby what comes under a subject. Dropping the subscription with its task ends it.
    async fn listen(&self, node: &Arc<Node>, subject: String) -> Option<JoinHandle<()>> {
        let subscriber = match self.client.subscribe(subject).await {
            Ok(subscriber) => subscriber,
            Err(error) => {
                warn!(%error, "the bus does not take a subscription");
                return None;
            }
        };
        let (node, client, own, counters) = (node.clone(), self.client.clone(), self.id, self.counters.clone());
        Some(tokio::spawn(receive(subscriber, node, client, own, counters)))
    }

    /// Says something. What is lost is said again by the ends.
    async fn say(&self, to: Reach, message: &BusMessage) {
        let payload = Bytes::from(message.encode(&self.id));
        let subject = match &to {
            Reach::Name(name) => self.name_subject(name),
            Reach::Node(node) => self.node_subject(node),
            Reach::Followers(name) => self.followers_subject(name),
            Reach::People => self.subject("people"),
        };
        if !message.is_confirmed() {
            return self.publish(subject, payload).await;
        }
        if self.client.connection_state() != State::Connected {
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (client, counters) = (self.client.clone(), self.counters.clone());
        let Ok(turn) = self.asking.clone().try_acquire_owned() else {
            counters.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        tokio::spawn(async move {
            let asked = tokio::time::timeout(ANSWER, client.request(subject, payload)).await;
            let counter = match asked {
                Ok(Ok(_)) => &counters.heard,
                Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => &counters.not_here,
                _ => &counters.lost,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            drop(turn);
        });
    }

    /// Says something that is said again, or asked for, by itself.
    async fn publish(&self, subject: String, payload: Bytes) {
        let connected = self.client.connection_state() == State::Connected;
        if !connected || self.client.publish(subject, payload).await.is_err() {
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Renders the counters in the Prometheus text format.
    pub fn metrics(&self) -> String {
        let Counters { heard, not_here, lost, received } = &*self.counters;
        let mut out = String::new();
        for (name, help, counter) in [
            ("dgns_lobby_bus_heard_total", "Messages that another node heard.", heard),
            ("dgns_lobby_bus_not_here_total", "Messages to names or nodes that nobody listens for.", not_here),
            ("dgns_lobby_bus_lost_total", "Messages that the bus did not take, or nobody confirmed.", lost),
            ("dgns_lobby_bus_received_total", "Messages of other nodes.", received),
        ] {
            let value = counter.load(Ordering::Relaxed);
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n"));
        }
        out
    }
}

/// Hands the lobby what a subscription brings, until it is over.
async fn receive(mut subscriber: Subscriber, node: Arc<Node>, client: Client, own: NodeId, counters: Arc<Counters>) {
    while let Some(message) = subscriber.next().await {
        if message.payload[..] == own {
            continue;
        }
        if let Some(reply) = message.reply {
            let _ = client.publish(reply, Bytes::new()).await;
        }
        if message.payload.len() > MESSAGE_BYTES_MAX {
            continue;
        }
        if let Ok((from, message)) = BusMessage::decode(&message.payload)
            && from != own
        {
            counters.received.fetch_add(1, Ordering::Relaxed);
            node.put(Input::Bus { from, message });
        }
    }
}
