//! Other nodes of the same lobby, reached over NATS core (PROTOCOL 23.16). Without it a node is alone, and needs nothing. The room of
//! `async_nats`.
//!
//! A node listens for its own number and for the names that are hosted at it, so that nobody keeps a list of who is where: a name that
//! no node hosts has nobody who listens, and the bus says so at once. The bus is trusted with nothing; while it is gone each node goes
//! on by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Subscriber};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::StreamExt as _;
use identity::hash::domain_hash;
use identity::name::Origin;
use lobby::Input;
use lobby::bus::{BusMessage, NodeId, Reach, name_hash};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
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

/// The bytes of a message: a card, a proof, and who they are for.
const MESSAGE_BYTES_MAX: usize = 16_384;

/// What the lobby has for other nodes.
#[derive(Debug)]
pub enum Told {
    /// A message.
    Say(Reach, Box<BusMessage>),
    /// A name is hosted here, or no longer.
    Hosted(String, bool),
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
    asking: Arc<Semaphore>,
    counters: Arc<Counters>,
}

impl Bus {
    /// Connects, now or whenever a server is there.
    pub async fn connect(config: &NatsConfig, origin: &Origin) -> Result<Self, String> {
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
            asking: Arc::new(Semaphore::new(ASKING_MAX)),
            counters: Arc::default(),
        })
    }

    /// Passes messages to and fro until `stop` turns true.
    pub async fn run(
        self: Arc<Self>,
        node: Arc<Node>,
        mut told: mpsc::Receiver<Told>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut hosted: HashMap<String, JoinHandle<()>> = HashMap::new();
        let own = self.listen(&node, self.node_subject(&self.id)).await;
        info!("the lobby is one of several nodes");
        loop {
            let next = tokio::select! {
                () = shutdown::requested(&mut stop) => break,
                next = told.recv() => next,
            };
            match next {
                None => break,
                Some(Told::Say(to, message)) => self.say(to, &message),
                Some(Told::Hosted(name, true)) => {
                    let task = self.listen(&node, self.name_subject(&name)).await;
                    if let Some(before) = task.and_then(|task| hosted.insert(name, task)) {
                        before.abort();
                    }
                }
                Some(Told::Hosted(name, false)) => hosted.remove(&name).iter().for_each(JoinHandle::abort),
            }
        }
        own.iter().chain(hosted.values()).for_each(JoinHandle::abort);
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
    fn say(&self, to: Reach, message: &BusMessage) {
        let payload = Bytes::from(message.encode(&self.id));
        if self.client.connection_state() != State::Connected {
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (client, counters) = (self.client.clone(), self.counters.clone());
        let subject = match &to {
            Reach::Name(name) => self.name_subject(name),
            Reach::Node(node) => self.node_subject(node),
        };
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
