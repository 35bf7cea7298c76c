//! The task that stays attached: one session over as many sockets as it takes.

use std::collections::HashMap;
use std::time::Duration;

use identity::time::Timestamp;
use lobby::Refusal;
use lobby::card::{Body, SignedCard};
use lobby::delivery::{Arrival, Inbox, Outbox};
use lobby::guard::Guard;
use lobby::hello::{HOP_START, Hello, Received, SignedHello, hop};
use lobby::limits::{LEASE_MS, SEEN_EVERY, SEEN_MS};
use lobby::message::{Frame, Signal, Visible, Welcome};
use rand_core::Rng as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::socket::{Heard, Socket};
use super::{BACK_FIRST, BACK_MAX, Command, Event, Who};
use crate::prover::Prover;
use crate::{clock, rng};

/// How long a lobby may take to say the first word, and then to welcome.
const GREETING: Duration = Duration::from_secs(10);

/// Between two looks whether the first node is there again, and how long one may take.
const FIRST_AGAIN: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_secs(1);

/// A registration as it is said again.
struct Registration {
    id: u64,
    name: String,
    visible: Visible,
    guard: Guard,
}

/// How a socket ended.
enum End {
    /// Another one may help, after so long.
    Lost(String, Option<Duration>),
    /// None would.
    Over(String, String),
    /// Nobody wants one.
    Left,
}

/// The task.
pub(super) struct Attaching {
    prover: Prover,
    who: Who,
    /// The nodes, best first, and which of them this is at.
    urls: Vec<String>,
    at: usize,
    instance: [u8; 8],
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    outbox: Outbox,
    inbox: Inbox,
    received: Option<Received>,
    /// Acknowledgements to be sent.
    acks: Vec<Frame>,
    registrations: Vec<Registration>,
    ids: u64,
    attempts: u32,
    /// Whether this socket was welcomed.
    greeted: bool,
    /// The code of the last refusal that was about the connection itself.
    last_word: Option<String>,
    /// Who waits for an answer over this socket.
    asked: HashMap<u64, oneshot::Sender<Result<Frame, String>>>,
}

impl Attaching {
    pub(super) fn new(
        prover: Prover,
        who: Who,
        urls: Vec<String>,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let mut instance = [0; 8];
        rng::system().fill_bytes(&mut instance);
        let (outbox, inbox, acks, registrations) = (Outbox::default(), Inbox::default(), Vec::new(), Vec::new());
        let (received, ids, attempts, last_word) = (None, 0, 0, None);
        Self {
            prover,
            who,
            urls,
            at: 0,
            instance,
            commands,
            events,
            outbox,
            inbox,
            received,
            acks,
            registrations,
            ids,
            attempts,
            greeted: false,
            last_word,
            asked: HashMap::new(),
        }
    }

    /// Stays attached until nobody wants it, or it cannot be.
    pub(super) async fn run(mut self) {
        loop {
            let (why, wait) = match self.once().await {
                End::Left => return,
                End::Over(code, what) => return self.tell(Event::Over { code, what }).await,
                End::Lost(why, wait) => (why, wait),
            };
            // Whoever did not welcome may be gone for long; the next node is asked at once, the first again after a while.
            if std::mem::replace(&mut self.greeted, false) {
                self.tell(Event::Away(why)).await;
            } else {
                self.at = (self.at + 1) % self.urls.len();
                if self.at > 0 {
                    continue;
                }
                self.tell(Event::Away(why)).await;
            }
            if self.events.is_closed() {
                return;
            }
            sleep(wait.unwrap_or_else(|| jitter(BACK_FIRST * 2_u32.saturating_pow(self.attempts.min(10))))).await;
            self.attempts += 1;
        }
    }

    /// Opens a socket, says hello and serves it to its end.
    async fn once(&mut self) -> End {
        let mut socket = match Socket::open(&self.urls[self.at]).await {
            Ok(socket) => socket,
            Err(why) => return End::Lost(why, None),
        };
        match timeout(GREETING, self.greet(&mut socket)).await {
            Ok(Ok(welcome)) => self.welcomed(welcome).await,
            Ok(Err(end)) => return end,
            Err(_) => return End::Lost("the lobby does not greet".to_owned(), None),
        }
        match self.serve(&mut socket).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn greet(&mut self, socket: &mut Socket) -> Result<Welcome, End> {
        let challenge = match self.hear(socket).await? {
            Frame::Challenge(challenge) => challenge,
            _ => return Err(End::Lost("the lobby does not begin with a challenge".to_owned(), None)),
        };
        if challenge.url != self.urls[self.at] {
            let what = format!(
                "the lobby says it is reached at {}, not {}: a hello for another place would be good there; use the \
                 server's own URL (--server)",
                challenge.url, self.urls[self.at]
            );
            return Err(End::Over("wrong_url".to_owned(), what));
        }
        let hello = Hello {
            challenge: challenge.challenge,
            url: challenge.url,
            device: self.who.key.public(),
            did: self.who.did,
            instance: self.instance,
            resume: self.received,
            unix_s: clock::now().as_s(),
        };
        let signed = SignedHello::sign(&hello, self.prover.origin(), &self.who.key);
        let signed = signed.map_err(|_| End::Over("bad_hello".to_owned(), "the lobby's URL is too long".to_owned()))?;
        let head = self.prover.head().await;
        self.say(socket, &Frame::Hello { envelope: signed.as_bytes().to_vec(), token: None, head }).await?;
        loop {
            match self.hear(socket).await? {
                Frame::Welcome(welcome) => return Ok(welcome),
                Frame::Err { code, .. } => self.last_word = Some(code),
                _ => {}
            }
        }
    }

    async fn welcomed(&mut self, welcome: Welcome) {
        self.attempts = 0;
        self.greeted = true;
        // Whatever was asked over the socket before may be lost: whoever asked hears that.
        self.asked.clear();
        if !welcome.resumed {
            self.received = Some(Received { sid: welcome.sid, n: 0, hash: HOP_START });
        }
        self.outbox.again(clock::now());
        self.tell(Event::Here { ice: welcome.ice, head: welcome.head }).await;
    }

    /// Serves a socket that was welcomed.
    async fn serve(&mut self, socket: &mut Socket) -> Result<core::convert::Infallible, End> {
        // Also where a session went on: what it was told last may have been lost.
        for registration in 0..self.registrations.len() {
            let frame = self.register(registration);
            self.say(socket, &frame).await?;
        }
        let renewing = Duration::from_millis(LEASE_MS / 2);
        let seeing = Duration::from_millis(SEEN_MS);
        let mut first = Instant::now() + jitter(FIRST_AGAIN);
        let (mut renew, mut see, mut unseen) = (Instant::now() + renewing, Instant::now() + seeing, 0);
        loop {
            let post = self.outbox.next().map_or(seeing, |next| Duration::from_millis(next.ms_since(clock::now())));
            tokio::select! {
                heard = socket.hear() => {
                    if self.heard(heard).await? {
                        unseen += 1;
                    }
                }
                command = self.commands.recv() => match command {
                    None => return Err(End::Left),
                    Some(command) => self.command(socket, command).await?,
                },
                () = sleep(post) => {}
                () = sleep_until(first), if self.at > 0 => {
                    if timeout(GLANCE, Socket::open(&self.urls[0])).await.is_ok_and(|opened| opened.is_ok()) {
                        self.at = 0;
                        return Err(End::Lost("the first node is there again".to_owned(), Some(Duration::ZERO)));
                    }
                    first = Instant::now() + FIRST_AGAIN;
                }
                () = sleep_until(see), if unseen > 0 => unseen = SEEN_EVERY,
                () = sleep_until(renew) => {
                    renew = Instant::now() + renewing;
                    for registration in 0..self.registrations.len() {
                        let frame = self.register(registration);
                        self.say(socket, &frame).await?;
                    }
                }
            }
            if unseen >= SEEN_EVERY {
                let n = self.received.map_or(0, |received| received.n);
                self.say(socket, &Frame::Seen { n }).await?;
                (unseen, see) = (0, Instant::now() + seeing);
            }
            for frame in self.acks.drain(..).collect::<Vec<_>>() {
                self.say(socket, &frame).await?;
            }
            self.post(socket, clock::now()).await?;
        }
    }

    async fn post(&mut self, socket: &mut Socket, now: Timestamp) -> Result<(), End> {
        let due = self.outbox.due(now);
        for frame in &due.send {
            self.say(socket, frame).await?;
        }
        for (sess, _) in due.expired {
            self.tell(Event::Expired(sess)).await;
        }
        Ok(())
    }

    async fn command(&mut self, socket: &mut Socket, command: Command) -> Result<(), End> {
        match command {
            Command::Register { name, visible, guard } => {
                let at = self.registrations.iter().position(|known| known.name == name);
                let registration = Registration { id: 0, name, visible, guard };
                let at = match at {
                    Some(at) => {
                        self.registrations[at] = registration;
                        at
                    }
                    None => {
                        self.registrations.push(registration);
                        self.registrations.len() - 1
                    }
                };
                let frame = self.register(at);
                self.say(socket, &frame).await
            }
            Command::Post { sess, seq, frame } => {
                if self.outbox.post(sess, seq, *frame, clock::now()).is_err() {
                    self.tell(Event::Expired(sess)).await;
                }
                Ok(())
            }
            Command::Ask { id, frame, reply } => {
                self.asked.retain(|_, waits| !waits.is_closed());
                self.asked.insert(id, reply);
                self.say(socket, &frame).await
            }
            Command::Answered(sess) => {
                self.outbox.answered(&sess);
                Ok(())
            }
            Command::Forget(sess) => {
                self.outbox.forget(&sess);
                Ok(())
            }
        }
    }

    fn register(&mut self, at: usize) -> Frame {
        self.ids += 1;
        let registration = &mut self.registrations[at];
        registration.id = self.ids;
        let Registration { id, name, visible, guard } = registration;
        Frame::Register { id: *id, name: name.clone(), visible: *visible, guard: Some(guard.clone()) }
    }

    /// Takes what came; returns whether it counts in the session's chain.
    async fn heard(&mut self, heard: Heard) -> Result<bool, End> {
        let (frame, bytes) = match heard {
            Heard::Nothing => return Ok(false),
            Heard::Ended { close, why } => return Err(self.ended(close, why)),
            Heard::Frame(frame, bytes) => (frame, bytes),
        };
        let counts = frame.counts();
        if let Some(received) = self.received.as_mut().filter(|_| counts) {
            (received.n, received.hash) = (received.n + 1, hop(&received.hash, &bytes));
        }
        if let Some(reply) = frame.answers().and_then(|id| self.asked.remove(&id)) {
            let answer = match frame {
                Frame::Err { code, .. } => Err(code),
                frame => Ok(frame),
            };
            let _ = reply.send(answer);
            return Ok(counts);
        }
        match frame {
            Frame::Notify { news } => self.tell(Event::News(news)).await,
            Frame::Signal(signal) => self.signal(signal).await,
            Frame::Ack { sess, seq, .. } => {
                self.outbox.acknowledged(&sess, seq);
            }
            Frame::Ok { id, .. } => {
                let name = self.registrations.iter().find(|known| known.id == id).map(|known| known.name.clone());
                if let Some(name) = name {
                    self.tell(Event::Registered(name)).await;
                }
            }
            Frame::Err { id, code, sess, retry_ms } => {
                let about = self.registrations.iter().find(|known| Some(known.id) == id);
                let name = about.map(|known| known.name.clone());
                match &sess {
                    // A lobby that was started again: the knock that began it may come there in a moment, and this goes on.
                    Some(_) if code == Refusal::UnknownSess.code() => return Ok(counts),
                    Some(sess) => self.outbox.forget(sess),
                    None => {}
                }
                if id.is_none() && sess.is_none() {
                    self.last_word = Some(code.clone());
                }
                self.tell(Event::Refused { code, sess, name, retry_ms }).await;
            }
            Frame::Revoke { name: None, code, handle: None } => self.last_word = Some(code),
            Frame::Revoke { name, code, .. } => {
                self.tell(Event::Refused { code, sess: None, name, retry_ms: None }).await;
            }
            Frame::Restarting { in_ms, try_ms } => {
                let wait = Duration::from_millis(in_ms.saturating_add(try_ms)).min(BACK_MAX);
                return Err(End::Lost("the server restarts".to_owned(), Some(wait)));
            }
            _ => {}
        }
        Ok(counts)
    }

    /// Takes a card: a new one is handed on, and whatever is not a knock acknowledged.
    async fn signal(&mut self, signal: Signal) {
        let Ok(card) = SignedCard::decode(&signal.card) else { return };
        let arrival = self.inbox.arrived(&signal.peer, &signal.sess, signal.seq, clock::now());
        let knock = matches!(card.card().body, Body::Offer { .. });
        if arrival == Arrival::NoRoom {
            return;
        }
        if !knock {
            self.acks.push(Frame::Ack { peer: signal.peer, sess: signal.sess, seq: signal.seq });
        }
        if arrival == Arrival::New {
            self.tell(Event::Signal(Box::new(signal))).await;
        }
    }

    /// Waits for the next frame while nobody is welcomed yet.
    async fn hear(&mut self, socket: &mut Socket) -> Result<Frame, End> {
        loop {
            match socket.hear().await {
                Heard::Frame(frame, _) => return Ok(frame),
                Heard::Nothing => {}
                Heard::Ended { close, why } => return Err(self.ended(close, why)),
            }
        }
    }

    /// Says how a socket ended, and whether another one would help.
    fn ended(&mut self, close: u16, why: String) -> End {
        let code = self.last_word.take().unwrap_or(why);
        match (close, code.as_str()) {
            (_, "hello_mismatch") => {
                self.received = None;
                End::Lost(code, None)
            }
            (4_000 | 4_001, _) => {
                let what = match code.as_str() {
                    "revoked" | "unknown_device" => "the log has no such live device of this DID".to_owned(),
                    "no_guests" => {
                        "this lobby lets no guests in: come with a name of your own (dgns up NAME)".to_owned()
                    }
                    "replaced" => "this device attached again".to_owned(),
                    other => format!("the lobby closed the session ({other})"),
                };
                End::Over(code, what)
            }
            _ => End::Lost(code, None),
        }
    }

    async fn say(&self, socket: &mut Socket, frame: &Frame) -> Result<(), End> {
        socket.send(frame).await.map_err(|why| End::Lost(why, None))
    }

    async fn tell(&self, event: Event) {
        // Whoever does not listen has dropped the way to this task too.
        let _ = self.events.send(event).await;
    }
}

/// Returns a random part of `whole`, which is at most [`BACK_MAX`]: those who lost one server do not come back as one.
fn jitter(whole: Duration) -> Duration {
    let mut random = [0; 4];
    rng::system().fill_bytes(&mut random);
    whole.min(BACK_MAX).mul_f64(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_waits_a_random_part_of_at_most_fifteen_seconds() {
        let waits: Vec<Duration> = (0..100).map(|_| jitter(BACK_MAX * 100)).collect();
        assert!(waits.iter().all(|wait| *wait <= BACK_MAX));
        let (least, most) = (waits.iter().min().copied(), waits.iter().max().copied());
        assert!(most.zip(least).is_some_and(|(most, least)| most - least > BACK_MAX / 2), "{least:?} {most:?}");
    }
}
