//! The lobby: who is here, under which names, and which card goes to whom.
//!
//! [`Lobby::handle`] takes one input and returns every output it has; the caller performs them all, then comes with the next input.
//! Nothing waits inside, nothing is stored, and nothing is queued for anybody who is not here.

mod counters;
mod elsewhere;
mod known;
mod leases;
mod login;
mod names;
mod news;
mod talks;
mod timers;

use std::collections::HashMap;
use std::sync::Arc;
use std::vec::Drain;

use bytes::Bytes;
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::time::Timestamp;
use identity::token::Rid;

use crate::bus::{BusMessage, NodeId, Reach};
use crate::message::{Form, Frame, FrameError, IceServer, Value};
use crate::session::Outgoing;
use crate::{Refusal, Sess};
use counters::Counters;
use leases::Leases;
use names::Place;
use news::{Board, OfSession};
use talks::Talk;
use timers::{Timer, Timers};

pub use known::Known;
pub use news::{Grown, Joined};

/// A connection, as the caller calls it; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// An IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// An address.
    V4([u8; 4]),
    /// The first half of an address.
    V6([u8; 8]),
}

/// What bounds a lobby beside [`crate::limits`]; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connections at once.
    pub connections_max: u32,
    /// Connections of one network that have not said hello.
    pub strangers_max: u32,
    /// New connections of one network in a second.
    pub opened_per_s: u32,
    /// Guests at once; 0 is none at all.
    pub guests_max: u32,
}

/// Who said a hello that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The device.
    pub device: KeyBytes,
    /// Its DID.
    pub did: Did,
    /// The process or page.
    pub instance: [u8; 8],
    /// The session it wants to go on with.
    pub resume: Option<crate::hello::Received>,
    /// What a new session is called: 16 random bytes.
    pub sid: [u8; 16],
    /// The names that the log gives to the DID.
    pub names: Vec<String>,
    /// Where it gathers candidates.
    pub ice: Vec<IceServer>,
    /// How long their credentials hold, seconds.
    pub ttl_s: u64,
    /// The newest public head.
    pub head: Option<Vec<u8>>,
    /// The token that the hello shows, which holds.
    pub token: Option<Box<TokenShown>>,
}

/// A token that a session showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenShown {
    /// Its family.
    pub rid: Rid,
    /// When it ends.
    pub until: Timestamp,
}

/// What the log says of a DID now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The keys of its live devices; none if it ended.
    pub devices: Vec<KeyBytes>,
    /// Its names.
    pub names: Vec<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A socket was opened.
    Opened {
        /// What it is called.
        conn: ConnId,
        /// From where; `None` where all come from one address, such as a proxy's.
        network: Option<Network>,
        /// What it speaks.
        form: Form,
    },
    /// Somebody said a hello, and the caller verified it.
    Hello {
        /// Where.
        conn: ConnId,
        /// Who.
        login: Box<Login>,
    },
    /// A frame came.
    Frame {
        /// Where.
        conn: ConnId,
        /// What, or why it is none.
        frame: Result<Frame, FrameError>,
    },
    /// Somebody spoke below the frames: an answer to a ping.
    Alive {
        /// Where.
        conn: ConnId,
    },
    /// What a client asked the caller for: the value of its `ok`.
    Answer {
        /// Where.
        conn: ConnId,
        /// Of the frame that asked.
        id: u64,
        /// What.
        value: Value<'static>,
    },
    /// The caller refuses a connection.
    Refused {
        /// Which.
        conn: ConnId,
        /// Why.
        refusal: Refusal,
    },
    /// A socket is gone.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// What a client asked the caller for is not done.
    NotDone {
        /// Where.
        conn: ConnId,
        /// Of the frame that asked.
        id: u64,
        /// Why.
        refusal: Refusal,
    },
    /// What a client asked the caller for is a frame of its own.
    Reply {
        /// Where.
        conn: ConnId,
        /// It.
        frame: Box<Frame>,
    },
    /// All that a device listens to.
    Joined {
        /// The device.
        device: KeyBytes,
        /// Its DID.
        did: Did,
        /// Which logs.
        joined: Vec<Joined>,
    },
    /// A session leases a log, as it asked.
    Leased {
        /// Where.
        conn: ConnId,
        /// Of the frame that asked.
        id: u64,
        /// How many entries are public.
        size: u64,
    },
    /// Tokens of a family hold no longer.
    TokenEnded {
        /// The family.
        rid: Rid,
    },
    /// A committed batch changed a DID.
    Changed {
        /// Which.
        did: Did,
        /// What the log says now.
        standing: Standing,
    },
    /// Another node says something.
    Bus {
        /// Which.
        from: NodeId,
        /// What.
        message: BusMessage,
    },
    /// Time passed.
    Tick,
    /// The server stops.
    Stop {
        /// In how many milliseconds sockets are closed.
        in_ms: u64,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a message.
    Send {
        /// Where.
        conn: ConnId,
        /// The bytes, in the form of the connection.
        bytes: Bytes,
    },
    /// Ask below the frames whether somebody is there.
    Ping {
        /// Where.
        conn: ConnId,
    },
    /// Send what is waiting, then close. No more inputs of this connection are expected, and none harms.
    Close {
        /// Which.
        conn: ConnId,
        /// Why.
        refusal: Refusal,
    },
    /// Make ICE servers for a device, and come with an [`Input::Answer`].
    Ice {
        /// Where.
        conn: ConnId,
        /// Of the frame that asked.
        id: u64,
        /// For whom.
        device: KeyBytes,
    },
    /// Do what a session asks for that is kept elsewhere, and come with an [`Input::Answer`], [`Input::NotDone`] or [`Input::Reply`].
    Ask {
        /// Where.
        conn: ConnId,
        /// Who asks.
        device: KeyBytes,
        /// Its DID.
        did: Did,
        /// What: `update`, `joined`, `push`, `read_to`, `attest`, `lease` or `read`.
        frame: Box<Frame>,
    },
    /// Tell those of a log that are not here.
    Grown(Box<Grown>),
    /// End what a relay keeps for a device.
    DropRelay {
        /// Which.
        device: KeyBytes,
    },
    /// Say something to other nodes, if there are any.
    Bus {
        /// To which.
        to: Reach,
        /// What.
        message: Box<BusMessage>,
    },
    /// A name is hosted here from now on, or no longer: other nodes are to find it, or not.
    Hosted {
        /// The name.
        name: String,
        /// Whether it is.
        is: bool,
    },
    /// Somebody here follows a name from now on, or nobody any more: what other nodes say of it is wanted, or not.
    Followed {
        /// The name.
        name: String,
        /// Whether somebody does.
        is: bool,
    },
    /// A device listens to logs here from now on, or no longer: other nodes need not push to it, or have to.
    Listens {
        /// The device.
        device: KeyBytes,
        /// Whether it does.
        is: bool,
    },
    /// Something to be counted.
    Count(Metric),
}

/// What is counted. None names anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// A knock was answered after so many milliseconds.
    Answered {
        /// Milliseconds.
        after_ms: u64,
    },
    /// A knock was not answered.
    Unanswered,
    /// A knock, signal or other frame was refused.
    Refused(Refusal),
    /// A signal was passed on.
    Signal,
    /// A knock came again.
    Resent,
    /// A session went on.
    Resumed,
    /// A session that was asked for could not go on.
    NotResumed,
    /// A session ended because its device was revoked.
    Revoked,
    /// A session ended because its client did not read.
    Overflow,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Sockets.
    pub connections: usize,
    /// Sockets whose hello held.
    pub sessions_attached: usize,
    /// Sessions, those without socket included.
    pub sessions: usize,
    /// Registrations.
    pub registrations: usize,
    /// Conversations.
    pub talks: usize,
    /// Names that somebody hosts or watches.
    pub names: usize,
    /// Sessions of guests.
    pub guests: usize,
    /// Things that will happen at a time.
    pub timers: usize,
    /// Counters kept for limits.
    pub counters: usize,
}

/// A session is named by 16 random bytes.
type Sid = [u8; 16];

#[derive(Debug)]
struct Connection {
    network: Option<Network>,
    form: Form,
    heard: Timestamp,
    session: Option<Sid>,
}

#[derive(Debug)]
struct Session {
    conn: Option<ConnId>,
    /// When the socket broke.
    detached: Timestamp,
    form: Form,
    device: KeyBytes,
    did: Did,
    /// Its key is in no log; the DID is what stands in for one.
    is_guest: bool,
    instance: [u8; 8],
    token: Option<Box<TokenShown>>,
    leases: Option<Box<Leases>>,
    outgoing: Outgoing,
    hosted: Vec<Arc<str>>,
    watched: Vec<Arc<str>>,
    news: Option<Box<OfSession>>,
    /// Conversations without an answer that it began, and that it was asked into.
    asked: u32,
    hosting: u32,
}

/// What is known of a DID while a session of it is here.
#[derive(Debug, Default)]
struct Person {
    sessions: Vec<Sid>,
    names: Vec<String>,
}

/// The lobby of one node.
#[derive(Debug)]
pub struct Lobby {
    settings: Settings,
    connections: Known<ConnId, Connection>,
    strangers: HashMap<Network, u32>,
    /// Boxed: a table has room for twice as many as are in it.
    sessions: Known<Sid, Box<Session>>,
    people: HashMap<Did, Person>,
    names: HashMap<Arc<str>, Place>,
    talks: HashMap<Sess, Talk>,
    board: Board,
    counters: Counters,
    timers: Timers,
    /// The handles that were given.
    handles: u64,
    guests: u32,
    stopping: bool,
    /// Whether there may be other nodes.
    several: bool,
    outputs: Vec<Output>,
}

impl Lobby {
    /// Returns a lobby in which nobody is.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            connections: Known::default(),
            strangers: HashMap::new(),
            sessions: Known::default(),
            people: HashMap::new(),
            names: HashMap::new(),
            talks: HashMap::new(),
            board: Board::default(),
            counters: Counters::default(),
            timers: Timers::default(),
            handles: 0,
            guests: 0,
            stopping: false,
            several: false,
            outputs: Vec::new(),
        }
    }

    /// Returns it as one of several nodes: others are asked about names, and told.
    pub fn of_several(self) -> Self {
        Self { several: true, ..self }
    }

    /// Takes what happened and returns everything that is to be done. What fell due before `now` happens first.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Drain<'_, Output> {
        self.outputs.shrink_to(OUTPUTS_KEPT);
        while let Some(timer) = self.timers.due(now) {
            self.fire(timer, now);
        }
        match input {
            Input::Opened { conn, network, form } => self.opened(conn, network, form, now),
            Input::Hello { conn, login } => self.hello(conn, *login, now),
            Input::Frame { conn, frame } => self.frame(conn, frame, now),
            Input::Alive { conn } => self.heard(conn, now),
            Input::Answer { conn, id, value } => self.answer(conn, id, value),
            Input::NotDone { conn, id, refusal } => {
                if let Some(sid) = self.connections.get(&conn).and_then(|connection| connection.session) {
                    self.deny(&sid, Some(id), refusal, None, None);
                }
            }
            Input::Reply { conn, frame } => {
                if let Some(sid) = self.connections.get(&conn).and_then(|connection| connection.session) {
                    self.send(&sid, &frame);
                }
            }
            Input::Joined { device, did, joined } => self.joined(&device, &did, &joined, now),
            Input::Refused { conn, refusal } => self.refuse(conn, refusal, now),
            Input::Closed { conn } => self.closed(conn, now),
            Input::Leased { conn, id, size } => self.leased(conn, id, size, now),
            Input::TokenEnded { rid } => self.token_ended(&rid),
            Input::Changed { did, standing } => self.changed(&did, standing),
            Input::Bus { from, message } => self.bus(from, message, now),
            Input::Tick => {}
            Input::Stop { in_ms } => self.stop(in_ms),
        }
        self.outputs.drain(..)
    }

    /// Returns when [`Input::Tick`] is wanted at the latest.
    pub fn next_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Returns how much there is.
    pub fn gauges(&self) -> Gauges {
        Gauges {
            connections: self.connections.len(),
            sessions_attached: self.sessions.values().filter(|session| session.conn.is_some()).count(),
            sessions: self.sessions.len(),
            registrations: self.names.values().map(|place| place.hosts.len()).sum(),
            talks: self.talks.len(),
            names: self.names.len(),
            guests: self.guests as usize,
            timers: self.timers.len(),
            counters: self.counters.len(),
        }
    }

    fn heard(&mut self, conn: ConnId, now: Timestamp) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.heard = now;
        }
    }

    /// Takes a frame of a session.
    fn frame(&mut self, conn: ConnId, frame: Result<Frame, FrameError>, now: Timestamp) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.heard = now;
        let Some(sid) = connection.session else { return self.refuse(conn, Refusal::BadOrder, now) };
        let (device, is_guest) = (self.sessions[&sid].device, self.sessions[&sid].is_guest);
        let sess = if let Ok(Frame::Signal(signal)) = &frame { Some(signal.sess) } else { None };
        if let Err(retry_ms) = self.counters.count_frame(device, sess.is_some(), now) {
            let id = frame.as_ref().ok().and_then(Frame::id);
            return self.deny(&sid, id, Refusal::Rate, Some(retry_ms), sess);
        }
        let frame = match frame {
            Ok(frame) => frame,
            Err(FrameError::UnknownType { id }) => return self.deny(&sid, id, Refusal::UnknownType, None, None),
            Err(FrameError::BadFrame) => return self.refuse(conn, Refusal::BadFrame, now),
            Err(FrameError::TooLarge) => return self.refuse(conn, Refusal::TooLarge, now),
        };
        match frame {
            // A guest knocks, and talks to whom it knocked at.
            frame if is_guest && !may_guests_say(&frame) => {
                self.deny(&sid, frame.id(), Refusal::NoRight, None, None);
            }
            Frame::Read { id, handle, .. } if !self.holds(&sid, handle) => {
                self.deny(&sid, Some(id), Refusal::BadHandle, None, None);
            }
            Frame::Seen { n } => self.seen(conn, &sid, n, now),
            Frame::Ping { id } => self.send(&sid, &Frame::Pong { id }),
            Frame::Pong { .. } => {}
            Frame::Register { id, name, visible, guard } => {
                let guard = guard.unwrap_or(crate::guard::Guard::Certified);
                let done = self.register(&sid, name, visible, guard, now);
                self.settle(&sid, id, done);
            }
            Frame::Renew { id, name } => {
                let done = self.renew(&sid, &name, now);
                self.settle(&sid, id, done);
            }
            Frame::Unregister { id, name } => {
                let done = self.unregister(&sid, &name).map(|()| None);
                self.settle(&sid, id, done);
            }
            Frame::Watch { id, names } => {
                let done = self.watch(&sid, names, now).map(Some);
                self.settle(&sid, id, done);
            }
            Frame::Unwatch { id, names } => {
                names.iter().for_each(|name| self.unwatch(&sid, name));
                self.settle(&sid, id, Ok(None));
            }
            Frame::Knock { id, name, card, proof } => self.knock(&sid, id, name, card, proof, now),
            Frame::Signal(signal) => self.signal(&sid, signal, now),
            Frame::Ack { peer, sess, seq } => self.ack(&sid, &peer, &sess, seq, now),
            Frame::Publish { id, news } => {
                let done = self.publish(&sid, news, now);
                self.settle(&sid, id, done);
            }
            frame @ (Frame::Update { .. }
            | Frame::Joined { .. }
            | Frame::Push { .. }
            | Frame::ReadTo { .. }
            | Frame::Attest { .. }
            | Frame::Lease { .. }
            | Frame::Read { .. }) => {
                let did = self.sessions[&sid].did;
                self.outputs.push(Output::Ask { conn, device, did, frame: Box::new(frame) });
            }
            Frame::Write { id, handle, .. } => {
                // What certificates say goes through `attest`; nothing else is written.
                let refusal = if self.holds(&sid, handle) { Refusal::NoRight } else { Refusal::BadHandle };
                self.deny(&sid, Some(id), refusal, None, None);
            }
            Frame::Ice { id } => self.outputs.push(Output::Ice { conn, id, device }),
            Frame::Hello { .. } => self.refuse(conn, Refusal::BadOrder, now),
            _ => self.deny(&sid, None, Refusal::UnknownType, None, None),
        }
    }

    /// Answers a frame that asked for something.
    fn settle(&mut self, sid: &Sid, id: u64, done: Result<Option<Value<'static>>, Refusal>) {
        match done {
            Ok(value) => self.send(sid, &Frame::Ok { id, value }),
            Err(refusal) => self.deny(sid, Some(id), refusal, None, None),
        }
    }

    fn answer(&mut self, conn: ConnId, id: u64, value: Value<'static>) {
        if let Some(sid) = self.connections.get(&conn).and_then(|connection| connection.session) {
            self.send(&sid, &Frame::Ok { id, value: Some(value) });
        }
    }

    fn deny(&mut self, sid: &Sid, id: Option<u64>, refusal: Refusal, retry_ms: Option<u64>, sess: Option<Sess>) {
        self.outputs.push(Output::Count(Metric::Refused(refusal)));
        self.send(sid, &Frame::Err { id, code: refusal.code().to_owned(), retry_ms, sess });
    }

    /// Sends a frame to a session; it waits there while the socket is gone.
    fn send(&mut self, sid: &Sid, frame: &Frame) {
        let Some(session) = self.sessions.get_mut(sid) else { return };
        let bytes = frame.encode(session.form);
        if frame.counts() {
            session.outgoing.push(bytes.clone());
        }
        if let Some(conn) = session.conn {
            self.outputs.push(Output::Send { conn, bytes });
        }
    }

    fn fire(&mut self, timer: Timer, now: Timestamp) {
        match timer {
            Timer::Hello(conn) => {
                if self.connections.get(&conn).is_some_and(|connection| connection.session.is_none()) {
                    self.refuse(conn, Refusal::HelloTimeout, now);
                }
            }
            Timer::Beat(conn) => self.beat(conn, now),
            Timer::Resume(sid) => self.resume_over(&sid, now),
            Timer::Lease(sid, name) => self.lease_over(&sid, &name, now),
            Timer::Handle(sid, handle) => self.revoke_handle(&sid, handle, Refusal::LeaseOver),
            Timer::News(sid) => self.news_due(&sid, now),
            Timer::Push => self.push_due(),
            Timer::Follow(name) => self.follow_due(&name, now),
            Timer::Unanswered(sess) => self.unanswered(&sess),
            Timer::Forget(sess) => self.forget(&sess, now),
        }
    }

    fn stop(&mut self, in_ms: u64) {
        self.stopping = true;
        self.leave_others();
        let attached: Vec<Sid> =
            self.sessions.iter().filter(|(_, session)| session.conn.is_some()).map(|(sid, _)| *sid).collect();
        for sid in attached {
            // The name of a session is random: so all come back at different times.
            let try_ms = u64::from(u16::from_be_bytes([sid[0], sid[1]])) % RETURN_MS;
            self.send(&sid, &Frame::Restarting { in_ms, try_ms });
        }
    }
}

/// Whether a guest may say this.
fn may_guests_say(frame: &Frame) -> bool {
    matches!(
        frame,
        Frame::Seen { .. }
            | Frame::Ping { .. }
            | Frame::Pong { .. }
            | Frame::Knock { .. }
            | Frame::Signal(_)
            | Frame::Ack { .. }
            | Frame::Hello { .. }
    )
}

/// Adds to a list that has one item nearly always, and no room for four.
fn push_exact<T>(list: &mut Vec<T>, item: T) {
    list.reserve_exact(1);
    list.push(item);
}

/// The outputs that there is always room for.
const OUTPUTS_KEPT: usize = 64;

/// Over how long clients spread their return, ms.
const RETURN_MS: u64 = 4_000;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
