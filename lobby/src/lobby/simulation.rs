//! Whole ends and a lobby in virtual time, over sockets that break and a lobby that is killed, loses, repeats and reorders.
//!
//! What counts as failure: an offer that reaches the host's user twice, or another host; an answer that reaches the client's user
//! twice, or another client; a knock that after ten seconds has neither an answer nor a named end; a session that goes on with a gap or
//! a repeat among its frames; anything left in the lobby once all is over. The seed is in every message.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::card::{Body, CardRefusal, Ledger, Proved, Side, SignedCard, Taken};
use crate::delivery::{Arrival, Inbox, Outbox};
use crate::hello::{HOP_START, Received, hop};
use crate::limits::{EXPIRED_MS, LEASE_MS, UNAVAILABLE_MS};
use crate::message::{Signal, Visible};
use crate::testing::{NOW, Who, origin};

/// A stream of numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.roll(n) == 0
    }
}

/// What goes wrong, each once in so many; 0 is never.
#[derive(Clone, Copy)]
struct Trouble {
    breaks: u64,
    kills: u64,
    drops: u64,
    doubles: u64,
    swaps: u64,
}

/// How a knock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    Unavailable,
    Expired,
    Refused,
}

/// A socket with what is on its way.
struct Socket {
    conn: ConnId,
    down: VecDeque<(Timestamp, Bytes)>,
    up: VecDeque<(Timestamp, Bytes)>,
}

/// One end, as a program would be.
struct Actor {
    who: Who,
    /// Whose device answers under its name.
    hosts: bool,
    socket: Option<Socket>,
    /// When it connects again.
    back: Timestamp,
    received: Option<Received>,
    outbox: Outbox,
    inbox: Inbox,
    ledger: Ledger,
    knocks: BTreeMap<Sess, (Timestamp, usize, Option<End>)>,
    /// What its user was shown: offers, then answers.
    shown: BTreeMap<(Sess, bool), u32>,
    ids: BTreeMap<u64, Sess>,
    renew: Timestamp,
}

struct World {
    seed: u64,
    dice: Dice,
    trouble: Trouble,
    lobby: Lobby,
    now: Timestamp,
    conns: u64,
    sids: u64,
    actors: Vec<Actor>,
    kills: u32,
    resumed: u32,
}

impl World {
    fn new(seed: u64, clients: u8, hosts: u8, trouble: Trouble) -> Self {
        let actor = |number: u8, hosts| {
            let who = Who::new(number);
            let ledger = Ledger::new(who.device(), who.did);
            let (knocks, shown, ids) = Default::default();
            let (outbox, inbox) = Default::default();
            Actor {
                hosts,
                socket: None,
                back: NOW,
                received: None,
                outbox,
                inbox,
                ledger,
                knocks,
                shown,
                ids,
                renew: NOW,
                who,
            }
        };
        let actors = (1..=clients).map(|n| actor(n, false)).chain((101..=100 + hosts).map(|n| actor(n, true)));
        Self {
            seed,
            dice: Dice(seed),
            trouble,
            lobby: Lobby::new(Settings { connections_max: 0, strangers_max: 0, opened_per_s: 0, guests_max: 0 }),
            now: NOW,
            conns: 0,
            sids: 0,
            actors: actors.collect(),
            kills: 0,
            resumed: 0,
        }
    }

    /// Goes on for so long; clients knock meanwhile if `knocking`.
    fn run(&mut self, ms: u64, knocking: bool) {
        for _ in 0..ms / STEP_MS {
            self.now = self.now.plus_ms(STEP_MS);
            if knocking && self.dice.one_in(self.trouble.kills) {
                self.kill();
            }
            if self.lobby.next_timeout().is_some_and(|next| next <= self.now) {
                self.put(Input::Tick);
            }
            for at in 0..self.actors.len() {
                self.step(at, knocking);
            }
        }
    }

    /// Ends the lobby's process: all it knew is gone, and so are all sockets.
    fn kill(&mut self) {
        self.kills += 1;
        self.lobby = Lobby::new(self.lobby.settings);
        for at in 0..self.actors.len() {
            self.hang_up(at);
        }
    }

    fn hang_up(&mut self, at: usize) {
        let back = self.now.plus_ms(self.dice.roll(1_500));
        let actor = &mut self.actors[at];
        if let Some(socket) = actor.socket.take() {
            actor.back = back;
            self.put(Input::Closed { conn: socket.conn });
        }
    }

    fn step(&mut self, at: usize, knocking: bool) {
        if self.actors[at].socket.is_none() && self.actors[at].back <= self.now {
            self.connect(at);
        }
        if knocking && self.actors[at].socket.is_some() && self.dice.one_in(self.trouble.breaks) {
            self.hang_up(at);
        }
        self.deliver(at);
        if knocking && !self.actors[at].hosts && self.dice.one_in(300) {
            self.knock(at);
        }
        let due = self.actors[at].outbox.due(self.now);
        for (sess, _) in due.expired {
            self.over(at, &sess, End::Expired);
        }
        due.send.into_iter().for_each(|frame| self.say(at, &frame));
        if self.actors[at].hosts && self.actors[at].renew <= self.now && self.actors[at].socket.is_some() {
            self.actors[at].renew = self.now.plus_ms(LEASE_MS / 2);
            let name = self.actors[at].who.name();
            self.say(at, &Frame::Register { id: 1, name, visible: Visible::Authorised, guard: None });
        }
    }

    fn connect(&mut self, at: usize) {
        self.conns += 1;
        self.sids += 1;
        let conn = ConnId(self.conns);
        let actor = &mut self.actors[at];
        actor.socket = Some(Socket { conn, down: VecDeque::new(), up: VecDeque::new() });
        let mut login = actor.who.login(1, 0, actor.received);
        login.sid[..8].copy_from_slice(&self.sids.to_be_bytes());
        self.put(Input::Opened { conn, network: None, form: Form::Cbor });
        self.put(Input::Hello { conn, login: Box::new(login) });
    }

    fn knock(&mut self, at: usize) {
        let hosts: Vec<usize> = (0..self.actors.len()).filter(|at| self.actors[*at].hosts).collect();
        let host = hosts[self.dice.roll(hosts.len() as u64) as usize];
        let mut sess = [0; 16];
        sess[..8].copy_from_slice(&self.dice.roll(u64::MAX).to_be_bytes());
        let to = self.actors[host].who.clone();
        let actor = &mut self.actors[at];
        let offer = actor.who.offer(sess, &to, self.now);
        actor.ledger.offered(&offer, to.did, self.now).unwrap();
        let id = actor.ids.len() as u64;
        actor.ids.insert(id, sess);
        let card = offer.as_bytes().to_vec().into();
        let frame = Frame::Knock { id, name: to.name(), card, proof: None };
        actor.outbox.post(sess, 0, frame, self.now).unwrap();
        actor.knocks.insert(sess, (self.now, host, None));
    }

    /// Sends a frame up, if there is a socket. An evil middle loses, doubles and swaps signals; a session's own frames it cannot
    /// touch without being found out, which is tested where sessions are.
    fn say(&mut self, at: usize, frame: &Frame) {
        let when = self.now.plus_ms(self.dice.roll(40));
        let signal = matches!(frame, Frame::Knock { .. } | Frame::Signal(_) | Frame::Ack { .. });
        let (lost, twice, swapped) = (
            signal && self.dice.one_in(self.trouble.drops),
            signal && self.dice.one_in(self.trouble.doubles),
            signal && self.dice.one_in(self.trouble.swaps),
        );
        let Some(socket) = &mut self.actors[at].socket else { return };
        let bytes = frame.encode(Form::Cbor);
        for _ in 0..usize::from(!lost) + usize::from(twice) {
            let when = socket.up.back().map_or(when, |(last, _)| when.max(*last));
            match swapped && !socket.up.is_empty() {
                true => {
                    let before = socket.up.len() - 1;
                    socket.up.insert(before, (when, bytes.clone()));
                    socket.up[before + 1].0 = when;
                }
                false => socket.up.push_back((when, bytes.clone())),
            }
        }
    }

    /// Takes what arrives at either end of a socket by now.
    fn deliver(&mut self, at: usize) {
        while let Some(socket) = &mut self.actors[at].socket
            && let Some((_, bytes)) = socket.up.pop_front_if(|(when, _)| *when <= self.now)
        {
            let frame = Frame::decode(&bytes, Form::Cbor);
            let conn = socket.conn;
            self.put(Input::Frame { conn, frame });
        }
        while let Some(socket) = &mut self.actors[at].socket
            && let Some((_, bytes)) = socket.down.pop_front_if(|(when, _)| *when <= self.now)
        {
            self.read(at, &bytes);
        }
    }

    fn put(&mut self, input: Input) {
        let outputs: Vec<Output> = self.lobby.handle(input, self.now).collect();
        for output in outputs {
            match output {
                Output::Send { conn, bytes } => {
                    let when = self.now.plus_ms(self.dice.roll(40));
                    let of_conn = |actor: &&mut Actor| actor.socket.as_ref().is_some_and(|socket| socket.conn == conn);
                    if let Some(socket) = self.actors.iter_mut().find(of_conn).and_then(|actor| actor.socket.as_mut()) {
                        let when = socket.down.back().map_or(when, |(last, _)| when.max(*last));
                        socket.down.push_back((when, bytes));
                    }
                }
                Output::Close { conn, refusal } => {
                    assert!(matches!(refusal, Refusal::Replaced), "seed {}: {refusal:?}", self.seed);
                    let of_conn = |actor: &&mut Actor| actor.socket.as_ref().is_some_and(|socket| socket.conn == conn);
                    if let Some(actor) = self.actors.iter_mut().find(of_conn) {
                        actor.socket = None;
                        actor.back = self.now;
                    }
                }
                Output::Ping { conn } => {
                    // The sockets of this world answer by themselves.
                    self.lobby.handle(Input::Alive { conn }, self.now);
                }
                _ => {}
            }
        }
    }

    /// Takes a frame that reached an end.
    fn read(&mut self, at: usize, bytes: &Bytes) {
        let frame = Frame::decode(bytes, Form::Cbor).unwrap();
        let (seed, now) = (self.seed, self.now);
        let actor = &mut self.actors[at];
        if frame.counts() {
            let received = actor.received.as_mut().expect("a welcome comes first");
            (received.n, received.hash) = (received.n + 1, hop(&received.hash, bytes));
        }
        match frame {
            Frame::Welcome(welcome) => {
                if welcome.resumed {
                    self.resumed += 1;
                    assert_eq!(welcome.next, actor.received.unwrap().n + 1, "seed {seed}: a gap or a repeat");
                } else {
                    actor.received = Some(Received { sid: welcome.sid, n: 0, hash: HOP_START });
                    actor.renew = now;
                }
                actor.outbox.again(now);
            }
            Frame::Signal(signal) => self.take(at, &signal),
            Frame::Ack { sess, seq, .. } => {
                actor.outbox.acknowledged(&sess, seq);
            }
            Frame::Err { id, code, sess, .. } => match (&code[..], sess, id) {
                ("unavailable", Some(sess), Some(_)) => self.over(at, &sess, End::Unavailable),
                ("rate" | "quota", Some(sess), Some(_)) => self.over(at, &sess, End::Refused),
                // The other end is not back yet: what is under way is sent again.
                ("unknown_sess" | "rate", ..) => {}
                other => panic!("seed {seed}: {other:?}"),
            },
            _ => {}
        }
        if let Some(received) = self.actors[at].received.filter(|received| received.n % 16 == 0 && received.n > 0) {
            self.say(at, &Frame::Seen { n: received.n });
        }
    }

    fn take(&mut self, at: usize, signal: &Signal) {
        let now = self.now;
        let seed = self.seed;
        let card = SignedCard::decode(&signal.card).unwrap();
        assert_eq!(card.card().from, signal.peer, "seed {seed}: the lobby names who said it");
        let sender = self.actors.iter().find(|actor| actor.who.device() == signal.peer).unwrap().who.clone();
        let actor = &mut self.actors[at];
        let Signal { peer, sess, seq, .. } = *signal;
        let offer = matches!(card.card().body, Body::Offer { .. });
        match actor.inbox.arrived(&peer, &sess, seq, now) {
            Arrival::New => {}
            // Only what answers a knock acknowledges it.
            Arrival::Again if offer => return,
            Arrival::Again => return self.say(at, &Frame::Ack { peer, sess, seq }),
            Arrival::NoRoom => return,
        }
        let proved = Proved { did: &sender.did, devices: &[sender.device()] };
        match actor.ledger.take(&card, proved, &origin(), now) {
            Ok(Taken::Offer) => {
                *actor.shown.entry((sess, false)).or_default() += 1;
                let answer: Bytes = actor.who.answer(&card, now).as_bytes().to_vec().into();
                let frame = Frame::Signal(Signal { peer, sess, seq: 0, card: answer, proof: None });
                actor.outbox.post(sess, 0, frame, now).unwrap();
            }
            Ok(Taken::Answer) => {
                *actor.shown.entry((sess, true)).or_default() += 1;
                actor.outbox.answered(&sess);
                self.say(at, &Frame::Ack { peer, sess, seq });
                self.over(at, &sess, End::Answered);
            }
            // An answer to a knock that was given up meanwhile.
            Err(CardRefusal::Replayed) => self.say(at, &Frame::Ack { peer, sess, seq }),
            other => panic!("seed {seed}: {other:?}"),
        }
    }

    /// Notes how a knock ended; the first end counts.
    fn over(&mut self, at: usize, sess: &Sess, end: End) {
        let (seed, now) = (self.seed, self.now);
        let actor = &mut self.actors[at];
        let Some((began, _, ended)) = actor.knocks.get_mut(sess) else { return };
        if ended.is_none() {
            assert!(now.ms_since(*began) <= EXPIRED_MS + 2 * STEP_MS, "seed {seed}: {end:?} after ten seconds");
            *ended = Some(end);
        }
        if end != End::Answered {
            actor.outbox.forget(sess);
            actor.ledger.end(sess, Side::Client);
        }
    }

    /// Holds everything that happened to what may happen, and counts the ends.
    fn judge(&self) -> [usize; 4] {
        let seed = self.seed;
        let mut ends = [0; 4];
        for actor in &self.actors {
            for ((sess, answer), times) in &actor.shown {
                assert_eq!(*times, 1, "seed {seed}: {sess:?} was shown twice");
                if !answer {
                    let asked = self.actors.iter().filter_map(|client| client.knocks.get(sess));
                    let hosts: Vec<usize> = asked.map(|(_, host, _)| *host).collect();
                    assert_eq!(hosts.len(), 1, "seed {seed}: an offer nobody made");
                    assert_eq!(self.actors[hosts[0]].who.device(), actor.who.device(), "seed {seed}: another's offer");
                }
            }
            for (sess, (_, host, end)) in &actor.knocks {
                let end = end.unwrap_or_else(|| panic!("seed {seed}: {sess:?} was lost in silence"));
                ends[end as usize] += 1;
                let answered = actor.shown.contains_key(&(*sess, true));
                assert_eq!(answered, end == End::Answered, "seed {seed}");
                let asked = self.actors[*host].shown.contains_key(&(*sess, false));
                assert!(asked || !answered, "seed {seed}: an answer to what was never asked");
            }
        }
        ends
    }
}

const STEP_MS: u64 = 10;

/// Runs a world for a minute of trouble and a while of calm.
fn run(seed: u64, trouble: Trouble) -> (World, [usize; 4]) {
    let mut world = World::new(seed, 6, 3, trouble);
    world.run(60_000, true);
    world.run(EXPIRED_MS + UNAVAILABLE_MS, false);
    let ends = world.judge();
    world.run(crate::limits::SESS_MS + 1_000, false);
    let gauges = world.lobby.gauges();
    assert_eq!((gauges.talks, gauges.sessions), (0, world.actors.len()), "seed {seed}: {gauges:?}");
    (world, ends)
}

#[test]
fn in_calm_every_knock_is_answered() {
    let (_, ends) = run(1, Trouble { breaks: 0, kills: 0, drops: 0, doubles: 0, swaps: 0 });
    assert!(ends[End::Answered as usize] > 50, "{ends:?}");
    assert_eq!(ends[End::Unavailable as usize] + ends[End::Expired as usize], 0, "{ends:?}");
}

#[test]
fn whatever_breaks_a_knock_is_answered_once_or_ends_with_a_name() {
    // Goal: nothing twice, nothing lost in silence, nothing to somebody else. Method: 24 seeds, of which every other one kills the lobby too.
    let mut all = [0; 4];
    let (mut kills, mut resumed) = (0, 0);
    for seed in 100..124 {
        let kills_of = if seed % 2 == 0 { 0 } else { 700 };
        let (world, ends) = run(seed, Trouble { breaks: 400, kills: kills_of, drops: 5, doubles: 5, swaps: 5 });
        (0..4).for_each(|at| all[at] += ends[at]);
        kills += world.kills;
        resumed += world.resumed;
    }
    let knocks: usize = all.iter().sum();
    assert!(knocks > 1_500 && kills > 50 && resumed > 300, "{knocks} knocks, {kills} kills, {resumed} resumes");
    assert!(all[End::Answered as usize] * 2 > knocks, "most are answered all the same: {all:?}");
    assert!(all[End::Unavailable as usize] + all[End::Expired as usize] > 0, "some are not: {all:?}");
}

#[test]
fn a_socket_that_loses_everything_still_ends_every_knock() {
    let (_, ends) = run(7, Trouble { breaks: 0, kills: 0, drops: 1, doubles: 0, swaps: 0 });
    assert_eq!(ends[End::Answered as usize], 0);
    assert!(ends[End::Expired as usize] > 50, "{ends:?}");
}
