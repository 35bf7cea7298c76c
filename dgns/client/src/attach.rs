//! Attached to a lobby: a session that comes back by itself, signals that arrive once or are given up by name (PROTOCOL 23).
//!
//! The task of [`attach`] owns the socket. After a loss it comes back with jitter, goes on with its session if the server still
//! knows it, and registers again if not. Nothing of what it hands on is believed here: cards are judged by whoever gets them.

mod session;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dgns_api::path;
use identity::did::Did;
use identity::key::SigningKey;
use lobby::Sess;
use lobby::guard::Guard;
use lobby::guest;
use lobby::message::{Frame, IceServer, Signal, Visible};
use lobby::news::News;
use tokio::sync::{mpsc, oneshot};

use crate::prover::Prover;
use crate::rng;
use session::Attaching;

/// Between two attempts at most, and the first of them: each attempt waits a random part of it, and the next of twice as much.
const BACK_MAX: Duration = Duration::from_secs(15);
const BACK_FIRST: Duration = Duration::from_millis(200);

/// What waits between the task and its owner.
const WAITING_MAX: usize = 256;

/// Who attaches.
#[derive(Clone, Debug)]
pub struct Who {
    /// The device.
    pub key: SigningKey,
    /// Its DID, or what stands in for a guest's.
    pub did: Did,
}

impl Who {
    /// Returns a guest, with a key that is used for nothing else.
    pub fn guest() -> Self {
        let key = SigningKey::generate(&mut rng::system());
        Self { did: guest::stand_in(&key.public()), key }
    }
}

/// What a lobby says, and what becomes of the way to it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The session stands: for the first time, or again.
    Here {
        /// Where to gather candidates.
        ice: Vec<IceServer>,
        /// The newest head the lobby shows.
        head: Option<Vec<u8>>,
    },
    /// The socket is lost; the task is on its way back.
    Away(String),
    /// A name is registered.
    Registered(String),
    /// A card came. It is acknowledged, and comes once.
    Signal(Box<Signal>),
    /// Logs grew that this device joined.
    News(Vec<News>),
    /// The lobby refuses what was sent.
    Refused {
        /// Its code.
        code: String,
        /// The sess it is about.
        sess: Option<Sess>,
        /// The name whose registration it is about.
        name: Option<String>,
        /// After how many milliseconds it may be tried again, if that is said.
        retry_ms: Option<u64>,
    },
    /// A card was given up: nobody acknowledged it for 10 s.
    Expired(Sess),
    /// The task ends: coming back would not help.
    Over {
        /// Why.
        code: String,
        /// In words.
        what: String,
    },
}

/// What the task is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Host a name from now on, under these rules; again: under others.
    Register { name: String, visible: Visible, guard: Guard },
    /// Post a knock or signal until it is acknowledged.
    Post { sess: Sess, seq: u64, frame: Box<Frame> },
    /// Ask once, over the socket there is.
    Ask { id: u64, frame: Box<Frame>, reply: oneshot::Sender<Result<Frame, String>> },
    /// A sess was answered: its knock is not sent again.
    Answered(Sess),
    /// A sess is over: nothing of it is sent again.
    Forget(Sess),
}

/// The way to the task; the task ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Attached {
    commands: mpsc::Sender<Command>,
    asked: Arc<AtomicU64>,
}

/// The ids of questions begin here; those of registrations are smaller.
const ASKED_FROM: u64 = 1 << 32;

/// Attaches to the lobby of the server at `server`, and stays attached.
pub fn attach(prover: Prover, who: Who, server: &str) -> (Attached, mpsc::Receiver<Event>) {
    attach_to_one(prover, who, &[server.to_owned()])
}

/// Attaches to the first of these nodes of a lobby that is there, and comes back to the very first when it is there again.
pub fn attach_to_one(prover: Prover, who: Who, nodes: &[String]) -> (Attached, mpsc::Receiver<Event>) {
    let (commands, told) = mpsc::channel(WAITING_MAX);
    let (events, heard) = mpsc::channel(WAITING_MAX);
    let urls = nodes.iter().map(|node| socket_url(node)).collect();
    tokio::spawn(Attaching::new(prover, who, urls, told, events).run());
    (Attached { commands, asked: Arc::new(AtomicU64::new(ASKED_FROM)) }, heard)
}

impl Attached {
    /// Registers a name, now and whenever the server forgot it.
    pub async fn register(&self, name: &str, visible: Visible, guard: Guard) {
        self.tell(Command::Register { name: name.to_owned(), visible, guard }).await;
    }

    /// Sends a knock or signal until it is acknowledged, for at most 10 s.
    pub async fn post(&self, sess: Sess, seq: u64, frame: Frame) {
        self.tell(Command::Post { sess, seq, frame: Box::new(frame) }).await;
    }

    /// Asks once; returns the answer, or the code of the refusal: `lost` if the socket broke before one came.
    pub async fn ask(&self, make: impl FnOnce(u64) -> Frame) -> Result<Frame, String> {
        let id = self.asked.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Ask { id, frame: Box::new(make(id)), reply }).await;
        answer.await.unwrap_or_else(|_| Err("lost".to_owned()))
    }

    /// Says that a knock was answered.
    pub async fn answered(&self, sess: Sess) {
        self.tell(Command::Answered(sess)).await;
    }

    /// Gives up what is under way of a sess.
    pub async fn forget(&self, sess: Sess) {
        self.tell(Command::Forget(sess)).await;
    }

    async fn tell(&self, command: Command) {
        // A task that is over said so by an event.
        let _ = self.commands.send(command).await;
    }
}

/// Where the lobby of a server is.
fn socket_url(server: &str) -> String {
    let path = path::LOBBY;
    match server.strip_prefix("https://") {
        Some(rest) => format!("wss://{rest}{path}"),
        None => format!("ws://{}{path}", server.trim_start_matches("http://")),
    }
}
