//! `dgnsd`: everybody has a device in the log, hosts a name, and signs every card.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use dgns_client::clock;
use dgns_tests::harness::load::{Somebody, body, origin};
use dgns_tests::harness::{Server, Site, http};
use identity::did::Did;
use identity::key::SigningKey;
use lobby::Sess;
use lobby::card::{Address, Body, Candidate, CandidateKind, Card, SignedCard, To, Transport};
use lobby::hello::{HOP_START, Hello, SignedHello, hop};
use lobby::limits::SEEN_EVERY;
use lobby::message::{Form, Frame, Signal, Visible};
use tokio_tungstenite::tungstenite::Message;

use crate::dialect::Socket;
use crate::{argument, process};

/// Threads that claim names before anything is measured.
const CLAIMING: usize = 4;

/// Somebody in the log.
pub struct Person {
    pub key: SigningKey,
    pub did: Did,
    pub name: String,
}

/// A server with people on it.
pub struct Scene {
    pub site: Site,
    pub server: Server,
    pub people: Arc<Vec<Person>>,
}

impl Scene {
    pub fn new(people: usize) -> Self {
        let at = process::free();
        let site = Site::new().with("http", "listen", &format!("\"{at}\""));
        let server = site.start();
        let claim = |number: usize| {
            let (somebody, certificates) = Somebody::new(&format!("end-{number}"), 1);
            let answer = http::request(at, "POST", "/v1/certificates", &[], &body(&certificates)).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
            Person { key: somebody.device.sign, did: somebody.did, name: somebody.name }
        };
        let share = |thread: usize| (thread..people).step_by(CLAIMING).map(claim).collect::<Vec<_>>();
        let people = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..CLAIMING).map(|thread| scope.spawn(move || share(thread))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("names are claimed")).collect()
        });
        Self { site, server, people: Arc::new(people) }
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub fn address(&self) -> SocketAddr {
        self.server.http
    }
}

pub struct End {
    pub number: usize,
    socket: Socket,
    people: Arc<Vec<Person>>,
    /// What is sent next, signed before the clock runs.
    prepared: VecDeque<Frame>,
    n: u64,
    hash: [u8; 32],
}

impl End {
    pub async fn open(at: SocketAddr, number: usize, people: Arc<Vec<Person>>) -> Self {
        let socket = Socket::open(at, "/v1/lobby", Some("dgns.lobby.v1+cbor")).await;
        let mut end = Self { number, socket, people, prepared: VecDeque::new(), n: 0, hash: HOP_START };
        let Frame::Challenge(challenge) = end.read().await else { panic!("a challenge comes first") };
        let Person { key, did, name } = &end.people[number];
        let hello = Hello {
            challenge: challenge.challenge,
            url: challenge.url,
            device: key.public(),
            did: *did,
            instance: [1; 8],
            resume: None,
            unix_s: 0,
        };
        let envelope = SignedHello::sign(&hello, &origin(), key).expect("it fits").as_bytes().to_vec();
        let register = Frame::Register { id: 1, name: name.clone(), visible: Visible::Authorised, guard: None };
        end.say(&Frame::Hello { envelope, token: None, head: None }).await;
        end.say(&register).await;
        loop {
            match end.read().await {
                Frame::Ok { id: 1, .. } => {
                    // As every client does within five seconds.
                    end.say(&Frame::Seen { n: end.n }).await;
                    return end;
                }
                Frame::Err { code, .. } => panic!("{code}"),
                _ => {}
            }
        }
    }

    /// Signs everything that the two will say.
    pub fn meets(&mut self, other: &mut Self) {
        let mut sess = [7; 16];
        sess[..8].copy_from_slice(&(self.number as u64).to_be_bytes());
        let (me, them) = (&self.people[self.number], &self.people[other.number]);
        let offer = Body::Offer { name: them.name.clone(), transport: transport() };
        let offer = sign(me, sess, 0, To::Did(them.did), offer);
        let hash = offer.payload_hash();
        let card = Bytes::copy_from_slice(offer.as_bytes());
        let mut asks = VecDeque::from([Frame::Knock { id: 2, name: them.name.clone(), card, proof: None }]);
        let answer = Body::Answer { offer: hash, transport: transport() };
        let mut answers = VecDeque::from([signal(them, me, sess, 0, answer)]);
        for seq in 1..=argument("--messages", 50) as u64 {
            let more =
                || Body::Candidates { offer: hash, ufrag: "ufrg".to_owned(), candidates: candidates(), last: false };
            asks.push_back(signal(me, them, sess, seq, more()));
            answers.push_back(signal(them, me, sess, seq, more()));
        }
        (self.prepared, other.prepared) = (asks, answers);
    }

    pub async fn send(&mut self) {
        let frame = self.prepared.pop_front().expect("as many are signed as are sent");
        self.say(&frame).await;
    }

    /// Waits for a card; says now and then what was seen, as every client does.
    pub async fn receive(&mut self) {
        loop {
            match self.read().await {
                Frame::Signal(_) => return,
                Frame::Err { code, .. } => panic!("{code}"),
                _ => {}
            }
        }
    }

    async fn say(&mut self, frame: &Frame) {
        self.socket.send(Message::Binary(frame.encode(Form::Cbor))).await;
    }

    async fn read(&mut self) -> Frame {
        let Message::Binary(bytes) = self.socket.next().await else { panic!("CBOR is spoken here") };
        let frame = Frame::decode(&bytes, Form::Cbor).expect("a frame");
        if frame.counts() {
            (self.n, self.hash) = (self.n + 1, hop(&self.hash, &bytes));
            if self.n.is_multiple_of(SEEN_EVERY) {
                self.say(&Frame::Seen { n: self.n }).await;
            }
        }
        frame
    }
}

fn signal(by: &Person, to: &Person, sess: Sess, seq: u64, body: Body) -> Frame {
    let peer = to.key.public();
    let card = sign(by, sess, seq, To::Device(peer), body);
    Frame::Signal(Signal { peer, sess, seq, card: Bytes::copy_from_slice(card.as_bytes()), proof: None })
}

fn sign(by: &Person, sess: Sess, seq: u64, to: To, body: Body) -> SignedCard {
    let expires_s = clock::now().as_s() + 60;
    let card = Card { sess, seq, from: by.key.public(), from_did: by.did, to, expires_s, body, head: None };
    SignedCard::sign(&card, &origin(), &by.key).expect("a card fits")
}

fn transport() -> Transport {
    Transport {
        ufrag: "ufrg".to_owned(),
        pwd: "p".repeat(24),
        fingerprint: [1; 32],
        candidates: candidates(),
        last: true,
        message_max: 16_384,
    }
}

fn candidates() -> Vec<Candidate> {
    let address = Address::parse("192.0.2.1").expect("an address");
    vec![Candidate { kind: CandidateKind::Host, address, port: 5_000, priority: 2_130_706_431 }]
}
