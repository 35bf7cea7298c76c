//! Scripted conversations with a lobby.

mod guests;
mod leases;
mod news;
mod nodes;

use std::collections::HashMap;

use super::*;
use crate::card::{Body, To};
use crate::guard::Guard;
use crate::hello::{HOP_START, Received, hop};
use crate::limits::*;
use crate::message::{Presence, Signal, Visible};
use crate::testing::{NOW, Who};

/// A lobby, and what it said to whom.
struct Stage {
    lobby: Lobby,
    now: Timestamp,
    conns: u64,
    sessions: u8,
    mail: HashMap<ConnId, Vec<Frame>>,
    raw: HashMap<ConnId, Vec<Bytes>>,
    closed: HashMap<ConnId, Refusal>,
    dropped: Vec<KeyBytes>,
    metrics: Vec<Metric>,
    asked: Vec<Frame>,
    grown: Vec<Grown>,
    bus: Vec<(crate::bus::Reach, crate::bus::BusMessage)>,
    hosted: Vec<(String, bool)>,
    followed: Vec<(String, bool)>,
    listens: Vec<(KeyBytes, bool)>,
}

const OPEN: Settings = Settings { connections_max: 0, strangers_max: 0, opened_per_s: 0, guests_max: 0 };

fn stage() -> Stage {
    let (mail, raw, closed) = Default::default();
    let lobby = Lobby::new(OPEN);
    Stage {
        lobby,
        now: NOW,
        conns: 0,
        sessions: 0,
        mail,
        raw,
        closed,
        dropped: Vec::new(),
        metrics: Vec::new(),
        asked: Vec::new(),
        grown: Vec::new(),
        bus: Vec::new(),
        hosted: Vec::new(),
        followed: Vec::new(),
        listens: Vec::new(),
    }
}

impl Stage {
    fn put(&mut self, input: Input) {
        let outputs: Vec<Output> = self.lobby.handle(input, self.now).collect();
        for output in outputs {
            match output {
                Output::Send { conn, bytes } => {
                    let frame = Frame::decode(&bytes, Form::Cbor).expect("the lobby speaks frames");
                    assert!(!self.closed.contains_key(&conn), "nothing is said to a closed connection");
                    if frame.counts() {
                        self.raw.entry(conn).or_default().push(bytes);
                    }
                    self.mail.entry(conn).or_default().push(frame);
                }
                Output::Close { conn, refusal } => {
                    self.closed.insert(conn, refusal);
                }
                Output::DropRelay { device } => self.dropped.push(device),
                Output::Count(metric) => self.metrics.push(metric),
                Output::Ping { .. } | Output::Ice { .. } => {}
                Output::Bus { to, message } => self.bus.push((to, *message)),
                Output::Hosted { name, is } => self.hosted.push((name, is)),
                Output::Followed { name, is } => self.followed.push((name, is)),
                Output::Listens { device, is } => self.listens.push((device, is)),
                Output::Ask { frame, .. } => self.asked.push(*frame),
                Output::Grown(grown) => self.grown.push(*grown),
            }
        }
    }

    fn opened(&mut self) -> ConnId {
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.put(Input::Opened { conn, network: Some(Network::V4([192, 0, 2, 1])), form: Form::Cbor });
        conn
    }

    fn enter_as(&mut self, who: &Who, instance: u8, resume: Option<Received>) -> ConnId {
        let conn = self.opened();
        self.sessions += 1;
        let login = Box::new(who.login(instance, self.sessions, resume));
        self.put(Input::Hello { conn, login });
        conn
    }

    /// Logs in, and reads the welcome.
    fn enter(&mut self, who: &Who) -> ConnId {
        let conn = self.enter_as(who, 1, None);
        assert!(matches!(self.read(conn)[..], [Frame::Welcome(_)]));
        conn
    }

    fn say(&mut self, conn: ConnId, frame: Frame) {
        self.put(Input::Frame { conn, frame: Ok(frame) });
    }

    fn read(&mut self, conn: ConnId) -> Vec<Frame> {
        self.mail.remove(&conn).unwrap_or_default()
    }

    fn register(&mut self, conn: ConnId, who: &Who, visible: Visible, guard: Option<Guard>) {
        self.say(conn, Frame::Register { id: 1, name: who.name(), visible, guard });
        assert!(matches!(self.read(conn)[..], [Frame::Ok { id: 1, value: Some(_) }]));
    }

    fn knock(&mut self, conn: ConnId, by: &Who, host: &Who, sess: Sess) {
        let card = by.offer(sess, host, self.now).as_bytes().to_vec().into();
        self.say(conn, Frame::Knock { id: 77, name: host.name(), card, proof: Some(Bytes::from_static(b"proof")) });
    }

    /// Passes time; whoever is connected answers pings.
    fn wait(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        while let Some(next) = self.lobby.next_timeout().filter(|next| *next <= until) {
            self.now = next.max(self.now);
            let conns: Vec<ConnId> = self.lobby.connections.keys().copied().collect();
            conns.into_iter().for_each(|conn| self.put(Input::Alive { conn }));
            self.put(Input::Tick);
        }
        self.now = until;
    }

    fn changed(&mut self, who: &Who, devices: Vec<KeyBytes>, names: Vec<String>) {
        self.put(Input::Changed { did: who.did, standing: Standing { devices, names } });
    }
}

/// The code of the only `err` among frames.
fn code(frames: &[Frame]) -> &str {
    match frames {
        [Frame::Err { code, .. }] => code,
        other => panic!("not one err: {other:?}"),
    }
}

/// Client 1 and host 2, whose name is registered.
fn pair() -> (Stage, Who, Who, ConnId, ConnId) {
    let mut stage = stage();
    let (client, host) = (Who::new(1), Who::new(2));
    let (c, h) = (stage.enter(&client), stage.enter(&host));
    stage.register(h, &host, Visible::Authorised, None);
    (stage, client, host, c, h)
}

#[test]
fn a_knock_finds_its_host_and_the_answer_its_client() {
    let (mut stage, client, host, c, h) = pair();
    stage.knock(c, &client, &host, [7; 16]);
    let [Frame::Signal(signal)] = &stage.read(h)[..] else { panic!("the host is asked") };
    let offer = client.offer([7; 16], &host, stage.now);
    assert_eq!((signal.peer, signal.sess, signal.seq), (client.device(), [7; 16], 0));
    assert_eq!((&signal.card[..], signal.proof.as_deref()), (offer.as_bytes(), Some(&b"proof"[..])));
    let answer: Bytes = host.answer(&offer, stage.now).as_bytes().to_vec().into();
    let reply = Signal { peer: client.device(), sess: [7; 16], seq: 0, card: answer.clone(), proof: None };
    stage.say(h, Frame::Signal(reply));
    let [Frame::Signal(signal)] = &stage.read(c)[..] else { panic!("the client is answered") };
    assert_eq!((signal.peer, &signal.card), (host.device(), &answer));
    stage.say(c, Frame::Ack { peer: host.device(), sess: [7; 16], seq: 0 });
    assert_eq!(stage.read(h), [Frame::Ack { peer: client.device(), sess: [7; 16], seq: 0 }]);
    stage.wait(60_000);
    assert!(stage.read(c).is_empty(), "an answered knock is not unavailable");
    stage.wait(200_000);
    assert_eq!(stage.lobby.gauges().talks, 0);
}

#[test]
fn absent_guarded_silent_and_hidden_are_one() {
    // Goal: whoever asks cannot tell them apart. Method: the same sess at each; what is said, and when.
    let (client, host, other) = (Who::new(1), Who::new(2), Who::new(3));
    let listed = Guard::listed([1; 16], &[other.did]);
    let cases: [Option<(Visible, Option<Guard>)>; 4] = [
        None,
        Some((Visible::Authorised, Some(listed))),
        Some((Visible::Authorised, None)),
        Some((Visible::Hidden, None)),
    ];
    for case in cases {
        let mut stage = stage();
        let c = stage.enter(&client);
        if let Some((visible, guard)) = case.clone() {
            let h = stage.enter(&host);
            stage.register(h, &host, visible, guard);
        }
        stage.knock(c, &client, &host, [7; 16]);
        let before = UNAVAILABLE_MS * 9 / 10 + 7 * UNAVAILABLE_MS / 5 / 255;
        stage.wait(before - 1);
        assert!(stage.read(c).is_empty(), "{case:?}");
        stage.wait(1);
        let expected = Frame::Err { id: Some(77), code: "unavailable".to_owned(), retry_ms: None, sess: Some([7; 16]) };
        assert_eq!(stage.read(c), [expected], "{case:?}");
    }
    let mut stage = stage();
    let (c, h) = (stage.enter(&client), stage.enter(&host));
    stage.register(h, &host, Visible::Public, None);
    stage.put(Input::Closed { conn: h });
    stage.knock(c, &client, &host, [7; 16]);
    assert_eq!(code(&stage.read(c)), "unavailable", "at once: everybody may know");
}

#[test]
fn a_guard_lets_in_whom_it_lists() {
    let mut stage = stage();
    let (client, host) = (Who::new(1), Who::new(2));
    let (c, h) = (stage.enter(&client), stage.enter(&host));
    stage.register(h, &host, Visible::Hidden, Some(Guard::listed([1; 16], &[client.did])));
    stage.knock(c, &client, &host, [7; 16]);
    assert_eq!(stage.read(h).len(), 1);
}

#[test]
fn only_the_dids_own_names_are_hosted() {
    let (mut stage, client, host, c, _) = pair();
    stage.say(c, Frame::Register { id: 4, name: host.name(), visible: Visible::Public, guard: None });
    assert_eq!(code(&stage.read(c)), "not_host");
    stage.say(c, Frame::Renew { id: 5, name: client.name() });
    assert_eq!(code(&stage.read(c)), "not_registered");
    stage.say(c, Frame::Unregister { id: 5, name: host.name() });
    assert_eq!(code(&stage.read(c)), "not_registered");
}

#[test]
fn a_sess_belongs_to_its_two_devices() {
    // Goal: nobody else speaks in it, takes it over, or speaks under another's name. Method: a third device tries everything.
    let (mut stage, client, host, c, h) = pair();
    let evil = Who::new(9);
    let e = stage.enter(&evil);
    stage.knock(c, &client, &host, [7; 16]);
    let offer = client.offer([7; 16], &host, stage.now);
    stage.read(h);
    let card = |who: &Who, seq| {
        let body = Body::Bye { offer: offer.payload_hash(), code: "x".to_owned() };
        Bytes::from(who.card([7; 16], seq, To::Device(client.device()), body, NOW).as_bytes().to_vec())
    };
    let signal =
        |peer: &Who, seq, card| Frame::Signal(Signal { peer: peer.device(), sess: [7; 16], seq, card, proof: None });
    stage.say(e, signal(&client, 0, card(&evil, 0)));
    assert_eq!(code(&stage.read(e)), "unknown_sess");
    stage.say(e, signal(&client, 0, card(&host, 0)));
    assert_eq!(code(&stage.read(e)), "bad_card", "a card of another device");
    stage.say(h, signal(&client, 1, card(&host, 0)));
    assert_eq!(code(&stage.read(h)), "bad_card", "another number than the card's");
    stage.say(h, signal(&evil, 0, card(&host, 0)));
    assert_eq!(code(&stage.read(h)), "unknown_sess", "to a device that is not in it");
    stage.say(e, Frame::Ack { peer: client.device(), sess: [7; 16], seq: 0 });
    stage.knock(e, &evil, &host, [7; 16]);
    assert_eq!(code(&stage.read(e)), "bad_card", "a sess is not taken over");
    let stolen = offer.as_bytes().to_vec().into();
    stage.say(e, Frame::Knock { id: 1, name: host.name(), card: stolen, proof: None });
    assert_eq!(code(&stage.read(e)), "bad_card", "nor an offer");
    let wrong_name = client.offer([8; 16], &evil, stage.now).as_bytes().to_vec().into();
    stage.say(c, Frame::Knock { id: 1, name: host.name(), card: wrong_name, proof: None });
    assert_eq!(code(&stage.read(c)), "bad_card", "an offer to another name");
    stage.say(c, Frame::Knock { id: 1, name: host.name(), card: Bytes::from_static(b"no card"), proof: None });
    assert_eq!(code(&stage.read(c)), "bad_card");
    assert!(stage.read(c).is_empty() && stage.read(h).is_empty());
}

#[test]
fn a_session_goes_on_where_its_client_was() {
    // Goal: what was not seen comes again byte for byte, and a hello that says something else ends the session. Method: five frames, three
    // of them received; resume with the true chain, then with others.
    for (n, hash_of, expected) in [(3, 3, Some(2)), (0, 0, Some(5)), (5, 5, Some(0)), (3, 4, None), (6, 5, None)] {
        let mut stage = stage();
        let who = Who::new(1);
        let conn = stage.enter_as(&who, 1, None);
        let Some(Frame::Welcome(welcome)) = stage.read(conn).into_iter().next() else { panic!("welcome") };
        (0..5).for_each(|id| stage.say(conn, Frame::Unwatch { id, names: Vec::new() }));
        let sent = stage.raw.remove(&conn).unwrap();
        let hash = sent[..hash_of].iter().fold(HOP_START, |hash, bytes| hop(&hash, bytes));
        stage.put(Input::Closed { conn });
        stage.wait(RESUME_MS - 1);
        let again = stage.enter_as(&who, 1, Some(Received { sid: welcome.sid, n, hash }));
        match expected {
            Some(rest) => {
                let frames = stage.read(again);
                let Some(Frame::Welcome(next)) = frames.first() else { panic!("welcome: {frames:?}") };
                assert_eq!((next.resumed, next.sid, next.next), (true, welcome.sid, n + 1));
                assert_eq!(stage.raw.remove(&again).unwrap_or_default(), sent[5 - rest..]);
            }
            None => {
                assert_eq!(stage.closed[&again], Refusal::HelloMismatch);
                assert_eq!(stage.lobby.gauges().sessions, 0, "nothing of it is relied on");
            }
        }
    }
}

#[test]
fn a_session_is_not_resumed_by_another_nor_too_late() {
    let mut stage = stage();
    let (who, other) = (Who::new(1), Who::new(2));
    let conn = stage.enter_as(&who, 1, None);
    let Some(Frame::Welcome(welcome)) = stage.read(conn).into_iter().next() else { panic!("welcome") };
    let received = Some(Received { sid: welcome.sid, n: 0, hash: HOP_START });
    let resumed = |stage: &mut Stage, who: &Who, instance| {
        let conn = stage.enter_as(who, instance, received);
        match &stage.read(conn)[..] {
            [Frame::Welcome(welcome)] => welcome.resumed,
            other => panic!("welcome: {other:?}"),
        }
    };
    stage.put(Input::Closed { conn });
    assert!(!resumed(&mut stage, &other, 1), "another device");
    assert!(!resumed(&mut stage, &who, 2), "another page");
    stage.wait(RESUME_MS);
    assert!(!resumed(&mut stage, &who, 1), "too late");
    stage.wait(600_000);
    assert_eq!(stage.lobby.gauges().sessions, 3);
}

#[test]
fn frames_wait_while_a_socket_is_gone_and_a_seen_session_keeps_none() {
    let (mut stage, client, host, c, h) = pair();
    let sid = stage.lobby.connections[&h].session.unwrap();
    stage.say(h, Frame::Seen { n: 1 });
    stage.put(Input::Closed { conn: h });
    stage.knock(c, &client, &host, [7; 16]);
    assert!(stage.read(h).is_empty() && stage.read(c).is_empty());
    let session = &stage.lobby.sessions[&sid];
    assert_eq!(session.outgoing.next(), 2, "nothing is queued for a host that is away");
    stage.say(c, Frame::Seen { n: 9 });
    assert_eq!(stage.closed[&c], Refusal::HelloMismatch, "nobody has seen what was not sent");
}

#[test]
fn who_comes_again_replaces_and_tabs_are_bounded() {
    let mut stage = stage();
    let who = Who::new(1);
    let first = stage.enter(&who);
    let second = stage.enter(&who);
    assert_eq!(stage.closed[&first], Refusal::Replaced);
    for instance in 2..=INSTANCES_MAX as u8 {
        stage.enter_as(&who, instance, None);
    }
    let more = stage.enter_as(&who, 99, None);
    assert_eq!(stage.closed[&more], Refusal::Quota);
    assert!(!stage.closed.contains_key(&second));
    // A resume through a second socket, while the first is still thought to live.
    let sid = stage.lobby.connections[&second].session.unwrap();
    let third = stage.enter_as(&who, 1, Some(Received { sid, n: 0, hash: HOP_START }));
    assert_eq!(stage.closed[&second], Refusal::Replaced);
    assert!(matches!(&stage.read(third)[..], [Frame::Welcome(welcome)] if welcome.resumed));
}

#[test]
fn revocation_ends_what_is_open() {
    // Goal: a device that lost its power is out at once, its names with it, and others of its DID stay.
    let (mut stage, client, host, c, h) = pair();
    stage.say(c, Frame::Watch { id: 3, names: vec![host.name()] });
    stage.read(c);
    let second = Who { key: identity::key::SigningKey::from_seed(&[22; 32]), ..host.clone() };
    let s = stage.enter_as(&second, 2, None);
    stage.read(s);
    stage.changed(&host, vec![second.device()], vec![host.name()]);
    assert_eq!(stage.read(h), [Frame::Revoke { name: None, code: "revoked".to_owned(), handle: None }]);
    assert_eq!((stage.closed[&h], &stage.dropped[..]), (Refusal::Revoked, &[host.device()][..]));
    assert!(stage.read(s).is_empty() && !stage.closed.contains_key(&s));
    assert_eq!(stage.lobby.gauges().registrations, 0);
    stage.knock(c, &client, &host, [7; 16]);
    assert!(stage.read(h).is_empty());
    assert!(stage.metrics.contains(&Metric::Revoked));
}

#[test]
fn a_name_that_went_to_another_is_hosted_no_more() {
    let (mut stage, _, host, c, h) = pair();
    stage.changed(&host, vec![host.device()], Vec::new());
    assert_eq!(stage.read(h), [Frame::Revoke { name: Some(host.name()), code: "not_host".to_owned(), handle: None }]);
    assert!(!stage.closed.contains_key(&h));
    stage.say(h, Frame::Register { id: 1, name: host.name(), visible: Visible::Public, guard: None });
    assert_eq!(code(&stage.read(h)), "not_host");
    stage.put(Input::Closed { conn: c });
    stage.wait(RESUME_MS);
    let names = stage.lobby.gauges().names;
    assert_eq!(names, 0);
}

#[test]
fn presence_is_told_to_whom_it_is_shown() {
    let mut stage = stage();
    let (own, listed, stranger, host) = (Who::new(2), Who::new(3), Who::new(4), Who::new(2));
    let second = Who { key: identity::key::SigningKey::from_seed(&[22; 32]), ..own };
    let watchers = [second, listed.clone(), stranger].map(|who| stage.enter(&who));
    let h = stage.enter(&host);
    for conn in watchers {
        stage.say(conn, Frame::Watch { id: 1, names: vec![host.name()] });
        let row = vec![Value::Text(host.name().into()), Value::Uint(0), Value::Uint(0)];
        assert_eq!(stage.read(conn), [Frame::Ok { id: 1, value: Some(Value::List(vec![Value::List(row)])) }]);
    }
    let told = |stage: &mut Stage| {
        watchers.map(|conn| match &stage.read(conn)[..] {
            [] => None,
            [Frame::Presence { state, epoch, .. }] => Some((*state, *epoch)),
            other => panic!("{other:?}"),
        })
    };
    let guard = || Some(Guard::listed([1; 16], &[listed.did]));
    let epoch = stage.now.as_ms();
    stage.register(h, &host, Visible::Hidden, guard());
    assert_eq!(told(&mut stage), [None; 3]);
    stage.register(h, &host, Visible::Authorised, guard());
    let online = Some((Presence::Online, epoch));
    assert_eq!(told(&mut stage), [online, online, None]);
    stage.register(h, &host, Visible::Public, None);
    assert_eq!(told(&mut stage), [None, None, online]);
    stage.put(Input::Closed { conn: h });
    assert_eq!(told(&mut stage), [Some((Presence::Away, epoch)); 3]);
    stage.wait(RESUME_MS);
    assert_eq!(told(&mut stage), [Some((Presence::Offline, epoch)); 3]);
    let h = stage.enter(&host);
    stage.register(h, &host, Visible::Public, None);
    assert!(
        told(&mut stage)
            .iter()
            .all(|told| told.is_some_and(|(state, later)| state == Presence::Online && later > epoch))
    );
    stage.say(watchers[0], Frame::Unwatch { id: 2, names: vec![host.name()] });
    stage.read(watchers[0]);
    stage.say(h, Frame::Unregister { id: 2, name: host.name() });
    let states = told(&mut stage).map(|told| told.map(|(state, _)| state));
    assert_eq!(states, [None, Some(Presence::Offline), Some(Presence::Offline)]);
}

#[test]
fn a_lease_that_is_not_renewed_ends() {
    let (mut stage, _, host, _, h) = pair();
    for _ in 0..3 {
        stage.wait(LEASE_MS - 1);
        stage.say(h, Frame::Renew { id: 2, name: host.name() });
        assert!(matches!(stage.read(h)[..], [Frame::Ok { id: 2, .. }]));
    }
    stage.wait(LEASE_MS);
    assert_eq!(stage.read(h), [Frame::Revoke { name: Some(host.name()), code: "lease_over".to_owned(), handle: None }]);
    assert_eq!(stage.lobby.gauges().registrations, 0);
}

#[test]
fn hosts_names_and_watches_are_bounded() {
    let mut stage = stage();
    let host = Who::new(2);
    let devices: Vec<Who> =
        (0..5).map(|n| Who { key: identity::key::SigningKey::from_seed(&[30 + n; 32]), ..host.clone() }).collect();
    let conns: Vec<ConnId> = devices.iter().map(|device| stage.enter(device)).collect();
    for conn in &conns[..HOSTS_MAX] {
        stage.register(*conn, &host, Visible::Public, None);
    }
    let register = Frame::Register { id: 1, name: host.name(), visible: Visible::Public, guard: None };
    stage.say(conns[4], register);
    assert_eq!(code(&stage.read(conns[4])), "quota");
    let names = |count: usize| (0..count).map(|n| format!("n{n}.dgns.test")).collect();
    stage.say(conns[0], Frame::Watch { id: 1, names: names(WATCHES_MAX) });
    assert!(matches!(stage.read(conns[0])[..], [Frame::Ok { .. }]));
    stage.say(conns[0], Frame::Watch { id: 1, names: vec!["one.more.test".to_owned()] });
    assert_eq!(code(&stage.read(conns[0])), "quota");
    stage.say(conns[1], Frame::Watch { id: 1, names: vec!["Not A Name".to_owned()] });
    assert_eq!(code(&stage.read(conns[1])), "bad_frame");
    let many: Vec<String> = (0..=NAMES_MAX).map(|n| format!("n{n}.dgns.test")).collect();
    stage.changed(&host, devices.iter().map(Who::device).collect(), many.clone());
    for (n, name) in many.into_iter().enumerate() {
        stage.say(conns[2], Frame::Register { id: 1, name, visible: Visible::Public, guard: None });
        let last = stage.read(conns[2]).pop();
        assert_eq!(matches!(last, Some(Frame::Ok { .. })), n < NAMES_MAX, "{n}");
    }
}

#[test]
fn knocks_and_frames_are_counted_and_resends_are_not() {
    let (mut stage, client, host, c, h) = pair();
    for n in 0..KNOCKS_PER_NAME as u8 {
        stage.knock(c, &client, &host, [n; 16]);
        stage.knock(c, &client, &host, [n; 16]);
    }
    assert_eq!(stage.read(h).len(), 2 * KNOCKS_PER_NAME as usize, "a resend reaches the host and is not counted");
    stage.knock(c, &client, &host, [99; 16]);
    let [Frame::Err { code, retry_ms, sess, .. }] = &stage.read(c)[..] else { panic!("refused") };
    assert_eq!((&code[..], *retry_ms, *sess), ("rate", Some(60_000), Some([99; 16])));
    for id in 0..FRAMES_PER_BURST.into() {
        stage.say(c, Frame::Unwatch { id, names: Vec::new() });
    }
    let refused = stage.read(c).into_iter().filter(|frame| matches!(frame, Frame::Err { code, .. } if code == "rate"));
    assert_eq!(refused.count(), 2 * KNOCKS_PER_NAME as usize + 1, "those that were counted before");
    stage.wait(BURST_MS);
    stage.say(c, Frame::Ping { id: 5 });
    assert_eq!(stage.read(c).pop(), Some(Frame::Pong { id: 5 }));
}

#[test]
fn a_client_has_eight_conversations_and_a_signal_its_rate() {
    let mut stage = stage();
    let (client, host) = (Who::new(1), Who::new(2));
    let (c, h) = (stage.enter(&client), stage.enter(&host));
    stage.register(h, &host, Visible::Hidden, None);
    for n in 0..=ASKED_MAX as u8 {
        let target = Who::new(100 + n);
        stage.knock(c, &client, &target, [n; 16]);
    }
    assert_eq!(code(&stage.read(c)), "quota");
    stage.wait(UNAVAILABLE_MS * 11 / 10);
    assert_eq!(stage.read(c).len(), ASKED_MAX as usize);
    stage.knock(c, &client, &host, [50; 16]);
    stage.read(h);
    let offer = client.offer([50; 16], &host, stage.now);
    let body = Body::Bye { offer: offer.payload_hash(), code: "x".to_owned() };
    let card: Bytes = host.card([50; 16], 0, To::Device(client.device()), body, stage.now).as_bytes().to_vec().into();
    let signal = Signal { peer: client.device(), sess: [50; 16], seq: 0, card, proof: None };
    for _ in 0..=SIGNALS_PER_BURST {
        stage.say(h, Frame::Signal(signal.clone()));
    }
    assert_eq!((stage.read(c).len(), code(&stage.read(h))), (SIGNALS_PER_BURST as usize, "rate"));
}

#[test]
fn strangers_are_bounded_and_must_say_hello() {
    let mut stage = stage();
    stage.lobby.settings = Settings { connections_max: 30, strangers_max: 20, opened_per_s: 25, guests_max: 0 };
    let conns: Vec<ConnId> = (0..21).map(|_| stage.opened()).collect();
    assert_eq!((code(&stage.read(conns[20])), stage.closed.len()), ("rate", 1));
    stage.wait(HELLO_MS);
    assert_eq!((code(&stage.read(conns[0])), stage.closed[&conns[0]]), ("hello_timeout", Refusal::HelloTimeout));
    assert_eq!((stage.lobby.gauges().connections, stage.lobby.strangers.len()), (0, 0));
    let conn = stage.opened();
    stage.say(conn, Frame::Ping { id: 1 });
    assert_eq!((code(&stage.read(conn)), stage.closed[&conn]), ("bad_order", Refusal::BadOrder));
    stage.lobby.settings.strangers_max = 0;
    let fast: Vec<ConnId> = (0..25).map(|_| stage.opened()).collect();
    assert_eq!(stage.closed[&fast[24]], Refusal::Rate, "26 in a second");
    stage.lobby.settings.opened_per_s = 0;
    let full: Vec<ConnId> = (0..7).map(|_| stage.opened()).collect();
    assert_eq!(stage.closed[&full[6]], Refusal::Busy, "the 31st");
}

#[test]
fn what_is_no_frame_ends_a_session_and_what_is_unknown_does_not() {
    let mut stage = stage();
    let who = Who::new(1);
    let conn = stage.enter(&who);
    stage.put(Input::Frame { conn, frame: Err(FrameError::UnknownType { id: Some(3) }) });
    stage.say(conn, Frame::Ok { id: 1, value: None });
    let unknown = |id| Frame::refused(id, Refusal::UnknownType);
    assert_eq!(stage.read(conn), [unknown(Some(3)), unknown(None)]);
    for (frame, refusal) in [
        (Err(FrameError::BadFrame), Refusal::BadFrame),
        (Err(FrameError::TooLarge), Refusal::TooLarge),
        (Ok(Frame::Hello { envelope: Vec::new(), token: None, head: None }), Refusal::BadOrder),
    ] {
        let conn = stage.enter(&who);
        stage.put(Input::Frame { conn, frame });
        assert_eq!((code(&stage.read(conn)), stage.closed[&conn]), (refusal.code(), refusal));
    }
    let conn = stage.enter(&who);
    stage.put(Input::Hello { conn, login: Box::new(who.login(1, 200, None)) });
    assert_eq!(stage.closed[&conn], Refusal::BadOrder);
    let conn = stage.enter(&who);
    stage.put(Input::Refused { conn, refusal: Refusal::Overflow });
    assert!(stage.metrics.contains(&Metric::Overflow) && stage.closed[&conn] == Refusal::Overflow);
    assert_eq!(stage.lobby.gauges().sessions, 0);
}

#[test]
fn a_silent_connection_is_dead_and_its_session_waits() {
    let mut stage = stage();
    let conn = stage.enter(&Who::new(1));
    for _ in 0..200 {
        stage.now = stage.now.plus_ms(500);
        stage.put(Input::Tick);
    }
    assert_eq!(stage.closed[&conn], Refusal::Dead);
    let gauges = stage.lobby.gauges();
    assert_eq!((gauges.connections, gauges.sessions), (0, 1));
}

#[test]
fn a_stop_is_said_to_everybody_and_nobody_comes_in() {
    let mut stage = stage();
    let (one, two) = (stage.enter(&Who::new(1)), stage.enter(&Who::new(2)));
    stage.put(Input::Stop { in_ms: 500 });
    for conn in [one, two] {
        assert!(matches!(stage.read(conn)[..], [Frame::Restarting { in_ms: 500, try_ms }] if try_ms < 4_000));
    }
    let late = stage.opened();
    assert_eq!(stage.closed[&late], Refusal::Restarting);
}

#[test]
fn a_host_that_came_back_gets_what_its_client_sends_again() {
    // Goal: a lost socket loses no knock that is sent again, and the answer finds a client that came back too.
    let (mut stage, client, host, c, h) = pair();
    stage.knock(c, &client, &host, [7; 16]);
    stage.read(h);
    stage.put(Input::Closed { conn: h });
    let h = stage.enter_as(&host, 2, None);
    stage.read(h);
    stage.register(h, &host, Visible::Authorised, None);
    stage.knock(c, &client, &host, [7; 16]);
    assert_eq!(stage.read(h).len(), 1, "the new session is asked");
    stage.put(Input::Closed { conn: c });
    stage.wait(1_000);
    let c = stage.enter(&client);
    let offer = client.offer([7; 16], &host, stage.now);
    let card = host.answer(&offer, stage.now).as_bytes().to_vec().into();
    stage.say(h, Frame::Signal(Signal { peer: client.device(), sess: [7; 16], seq: 0, card, proof: None }));
    assert!(matches!(stage.read(c)[..], [Frame::Signal(_)]));
    let gauges = stage.lobby.gauges();
    assert_eq!(gauges.talks, 1);
    stage.wait(SESS_MS + RESUME_MS);
    assert!(stage.lobby.sessions.values().all(|session| session.asked == 0 && session.hosting == 0));
}

#[test]
fn a_flood_of_offers_to_nobody_grows_no_memory() {
    // Goal: 20 MB of offers to names that nobody hosts leave nothing. Method: 10,000 knocks of 2 kB from 50 devices in a minute.
    let mut stage = stage();
    let clients: Vec<(Who, ConnId)> = (1..=50).map(|n| (Who::new(n), stage.enter(&Who::new(n)))).collect();
    let absent = Who::new(200);
    let mut most = Gauges::default();
    for round in 0..200_u8 {
        for (client, conn) in &clients {
            let mut sess = [round; 16];
            sess[1] = client.number;
            stage.knock(*conn, client, &absent, sess);
        }
        let gauges = stage.lobby.gauges();
        most = if gauges.talks > most.talks { gauges } else { most };
        stage.wait(300);
        stage.mail.clear();
        stage.raw.clear();
    }
    assert!(most.talks <= 50 * ASKED_MAX as usize, "{most:?}");
    stage.wait(10 * 60_000);
    let gauges = stage.lobby.gauges();
    assert_eq!((gauges.talks, gauges.names), (0, 0));
    assert!(gauges.timers <= 2 * gauges.connections, "{gauges:?}");
}
