//! A lobby that lies, between unmodified ends: whatever it changes, not a byte of data goes to or comes from anybody else.

use bytes::Bytes;
use dgns_tests::harness::load::{Poster, Somebody, origin};
use dgns_tests::harness::programs::Ran;
use dgns_tests::harness::running::Running;
use identity::did::Did;
use identity::key::SigningKey;
use identity::wire::{Reader, Writer};
use lobby::card::{Address, Body, Card, SignedCard, To as Addressee, Transport};
use lobby::message::{Frame, Signal};
use serde_json::Value;

use crate::liar::{Liar, To};
use crate::{NAME, Scene};

/// A scene with a liar, and somebody whom the log knows and nobody lets in.
struct Evil {
    scene: Scene,
    liar: Liar,
    mallory: Mallory,
}

/// A device of the log, and its DID.
#[derive(Clone)]
struct Mallory {
    key: SigningKey,
    did: Did,
}

impl Evil {
    fn new() -> Self {
        let scene = Scene::new();
        scene.write("secret", b"for bob alone\n");
        let (somebody, certificates) = Somebody::new("mallory", 1);
        let mut poster = Poster::new(scene.server.vkey());
        poster.post(scene.server.http, &certificates, &somebody.subject()).unwrap();
        let mallory = Mallory { key: somebody.device.sign.clone(), did: somebody.did };
        Self { liar: Liar::before(&scene.server), scene, mallory }
    }

    /// Knocks as bob or as alice herself: the lobby lets a device knock at a name six times a minute.
    fn knock(&self, number: usize) -> Ran {
        let person = if number.is_multiple_of(2) { &self.scene.bob } else { &self.scene.alice };
        person.dgns_at(&self.liar.url, &["connect", NAME], "")
    }

    /// Hosts for bob through the liar.
    fn host(&self) -> Running {
        self.scene.host_at(&self.liar.url, &["--allow", "bob"])
    }
}

/// A card on its way, whatever frame it is in.
fn card_of(frame: &Frame) -> Option<SignedCard> {
    match frame {
        Frame::Signal(signal) => SignedCard::decode(&signal.card).ok(),
        _ => None,
    }
}

/// The same frame with another card in it.
fn with_card(frame: &Frame, envelope: &[u8]) -> Frame {
    match frame {
        Frame::Signal(signal) => Frame::Signal(Signal { card: Bytes::copy_from_slice(envelope), ..signal.clone() }),
        frame => frame.clone(),
    }
}

/// Another payload under the signature of the one before.
fn under_old_signature(signed: &SignedCard, changed: &Card) -> Vec<u8> {
    let mut reader = Reader::new(signed.as_bytes());
    reader.array_of(3).and_then(|()| reader.uint()).and_then(|_| reader.bytes()).unwrap();
    let rest = &signed.as_bytes()[reader.position()..];
    let mut writer = Writer::new();
    writer.array(3).uint(1).bytes(&changed.encode()).raw(rest);
    writer.finish()
}

fn transport(card: &mut Card) -> &mut Transport {
    match &mut card.body {
        Body::Offer { transport, .. } | Body::Answer { transport, .. } => transport,
        _ => panic!("a card that says how it is reached"),
    }
}

type Change = fn(&mut Card, &Mallory);

/// What of a card a lobby would like to change.
const CHANGES: [(&str, Change); 7] = [
    ("the certificate", |card, _| transport(card).fingerprint = [7; 32]),
    ("where it is reached", |card, _| {
        let first = transport(card).candidates.first_mut().expect("it is reached somewhere");
        first.address = Address::parse("127.0.0.66").unwrap();
    }),
    ("the ICE password", |card, _| transport(card).pwd = "a".repeat(24)),
    ("the largest message", |card, _| transport(card).message_max = 1),
    ("the time", |card, _| card.expires_s += 1),
    ("the DID it speaks for", |card, mallory| card.from_did = mallory.did),
    ("the device it comes from", |card, mallory| card.from = mallory.key.public()),
];

/// Changes each field of the answer on its way; exit 3, named, with the cards kept, and the host sees nobody.
fn changed_answers_are_refused(resigned: bool) {
    let evil = Evil::new();
    let host = evil.host();
    for (number, (what, change)) in CHANGES.into_iter().enumerate() {
        let mallory = evil.mallory.clone();
        evil.liar.tells(move |to, frame| {
            let Some(signed) = card_of(&frame).filter(|_| to == To::Client) else { return vec![frame] };
            let mut card = signed.card().clone();
            change(&mut card, &mallory);
            let envelope = match resigned {
                true => SignedCard::sign(&card, &origin(), &mallory.key).unwrap().as_bytes().to_vec(),
                false => under_old_signature(&signed, &card),
            };
            vec![with_card(&frame, &envelope)]
        });
        let ran = evil.knock(number);
        let code = ran.exits(3).text("/code");
        let expected: &[&str] = match what {
            "the DID it speaks for" | "the device it comes from" => &["not_host", "bad_signature"],
            _ => &["bad_signature"],
        };
        assert!(expected.contains(&code.as_str()), "{what}: {ran}");
        assert!(!ran.stdout.contains("secret") && !ran.text("/evidence").is_empty(), "{ran}");
    }
    assert!(!evil.scene.bob.evidence().is_empty());
    evil.liar.tells(|_, frame| vec![frame]);
    evil.knock(0).exits(0);
    assert_eq!(Said::of(host).connected, 1, "the honest knock at the end alone");
}

#[test]
fn an_answer_that_was_changed_is_refused_before_a_connection_is_made() {
    changed_answers_are_refused(false);
}

#[test]
fn an_answer_that_somebody_else_signed_is_refused_before_a_connection_is_made() {
    changed_answers_are_refused(true);
}

#[test]
fn an_offer_that_was_changed_is_refused_before_anything_of_it_is_used() {
    let evil = Evil::new();
    let host = evil.host();
    for (number, (_, change)) in CHANGES.into_iter().enumerate() {
        let mallory = evil.mallory.clone();
        evil.liar.tells(move |to, frame| {
            let Some(signed) = card_of(&frame).filter(|_| to == To::Host) else { return vec![frame] };
            let mut card = signed.card().clone();
            change(&mut card, &mallory);
            vec![with_card(&frame, &under_old_signature(&signed, &card))]
        });
        evil.knock(number).exits(2);
    }
    let said = Said::of(host);
    assert_eq!((said.connected, said.verdicts.len()), (0, CHANGES.len()));
    assert!(said.verdicts.iter().all(|verdict| verdict == "bad_signature"), "{:?}", said.verdicts);
}

#[test]
fn somebody_else_whom_the_log_knows_is_nobody_here() {
    // Goal: a certified device of another is neither taken for the host nor let in for bob. Method: mallory answers in the host's place, says
    // no in its place, and offers in bob's.
    let evil = Evil::new();
    let host = evil.host();
    let as_mallory = |change: fn(&mut Card)| {
        let (key, did) = (evil.mallory.key.clone(), evil.mallory.did);
        move |frame: &Frame, signed: &SignedCard| {
            let mut card = Card { from: key.public(), from_did: did, ..signed.card().clone() };
            change(&mut card);
            with_card(frame, SignedCard::sign(&card, &origin(), &key).unwrap().as_bytes())
        }
    };
    let answers = as_mallory(|card| transport(card).fingerprint = [9; 32]);
    let denies = as_mallory(|card| {
        let offer = *card.body.offer().expect("an answer names its offer");
        card.body = Body::Deny { offer, code: "denied".to_owned() };
    });
    let offers = as_mallory(|_| {});
    evil.liar.tells(move |to, frame| match card_of(&frame) {
        Some(signed) if to == To::Client => vec![answers(&frame, &signed)],
        _ => vec![frame],
    });
    assert_eq!(evil.scene.connect_at(&evil.liar.url, &[]).exits(3).text("/code"), "not_host");
    evil.liar.tells(move |to, frame| match card_of(&frame) {
        Some(signed) if to == To::Client => vec![denies(&frame, &signed)],
        _ => vec![frame],
    });
    assert_eq!(evil.scene.connect_at(&evil.liar.url, &[]).exits(3).text("/code"), "not_host", "nor can it say no");
    evil.liar.tells(move |to, frame| match card_of(&frame) {
        Some(signed) if to == To::Host => vec![offers(&frame, &signed)],
        _ => vec![frame],
    });
    evil.scene.connect_at(&evil.liar.url, &[]).exits(2);
    let said = Said::of(host);
    assert_eq!(said.verdicts, ["let_in", "let_in", "denied"], "bob was let in, and did not come; mallory was not");
    assert_eq!(said.connected, 0);
}

#[test]
fn another_addressee_or_offer_is_refused() {
    // Goal: a genuine card of the host is good for whom and what it was signed. Method: it is delivered to somebody else's knock: the
    // answers of two knocks are swapped, and an old one is shown again.
    let evil = Evil::new();
    let host = evil.host();
    let (keep, kept) = std::sync::mpsc::channel();
    evil.liar.tells(move |to, frame| {
        if let Some(signed) = card_of(&frame).filter(|_| to == To::Client) {
            let _ = keep.send(signed);
        }
        vec![frame]
    });
    evil.scene.connect_at(&evil.liar.url, &[]).exits(0);
    let old = kept.try_recv().expect("the answer of the first knock");
    let shown = old.clone();
    evil.liar.tells(move |to, frame| match card_of(&frame) {
        Some(_) if to == To::Client => vec![with_card(&frame, shown.as_bytes())],
        _ => vec![frame],
    });
    evil.scene.connect_at(&evil.liar.url, &[]).exits(2);
    // Alice's other client: what is signed to it is not to bob.
    let (keep, kept) = std::sync::mpsc::channel();
    evil.liar.tells(move |to, frame| {
        if let Some(signed) = card_of(&frame).filter(|_| to == To::Client) {
            let _ = keep.send(signed);
            return vec![];
        }
        vec![frame]
    });
    evil.scene.alice.dgns_at(&evil.liar.url, &["connect", NAME], "").exits(2);
    let to_alice = kept.try_recv().expect("the answer to alice");
    assert!(matches!(to_alice.card().to, Addressee::Device(_)));
    evil.liar.tells(move |to, frame| match card_of(&frame) {
        Some(_) if to == To::Client => vec![with_card(&frame, to_alice.as_bytes())],
        _ => vec![frame],
    });
    assert_eq!(evil.scene.connect_at(&evil.liar.url, &[]).exits(3).text("/code"), "wrong_target");
    assert_eq!(Said::of(host).connected, 1, "the first knock alone");
}

#[test]
fn what_is_doubled_replayed_or_turned_around_connects_once() {
    let evil = Evil::new();
    let host = evil.host();
    evil.liar.tells(|_, frame| match &frame {
        Frame::Signal(_) | Frame::Knock { .. } | Frame::Ack { .. } => vec![frame.clone(), frame.clone(), frame],
        _ => vec![frame],
    });
    evil.scene.connect_at(&evil.liar.url, &[]).exits(0);
    // The offer of before, as if it were a new signal, behind a new one.
    let mut offers: Vec<Signal> = Vec::new();
    evil.liar.tells(move |to, frame| match (&frame, to) {
        (Frame::Signal(signal), To::Host) if card_of(&frame).is_some() => {
            let again = offers.clone().into_iter().map(|old| Frame::Signal(Signal { seq: old.seq + 9, ..old }));
            let all = again.chain([frame.clone()]).collect();
            offers.push(signal.clone());
            all
        }
        _ => vec![frame],
    });
    evil.scene.connect_at(&evil.liar.url, &[]).exits(0);
    evil.scene.connect_at(&evil.liar.url, &[]).exits(0);
    let said = Said::of(host);
    let count = |verdict: &str| said.verdicts.iter().filter(|said| *said == verdict).count();
    assert_eq!((count("let_in"), count("replayed")), (3, 1), "{:?}", said.verdicts);
    assert_eq!(said.connected, 3, "one for each knock");
}

#[test]
fn what_is_lost_once_comes_again_and_what_is_lost_for_good_ends_by_name() {
    let evil = Evil::new();
    let _host = evil.host();
    let mut dropped = std::collections::HashSet::new();
    evil.liar.tells(move |to, frame| {
        let loses = matches!(frame, Frame::Signal(_) | Frame::Knock { .. } | Frame::Ack { .. });
        if loses && dropped.insert((to == To::Server, frame.encode(lobby::message::Form::Cbor))) {
            return vec![];
        }
        vec![frame]
    });
    evil.scene.connect_at(&evil.liar.url, &[]).exits(0);
    evil.liar.tells(|_, frame| if matches!(frame, Frame::Knock { .. }) { vec![] } else { vec![frame] });
    evil.scene.connect_at(&evil.liar.url, &[]).exits(2);
    // An acknowledgement that nobody gave ends the knock, and is no connection.
    evil.liar.tells(|_, frame| match &frame {
        Frame::Knock { card, .. } => {
            let sess = SignedCard::decode(card).unwrap().card().sess;
            vec![Frame::Ack { peer: [1; 32], sess, seq: 0 }]
        }
        _ => vec![frame],
    });
    evil.scene.connect_at(&evil.liar.url, &[]).exits(2);
}

#[test]
fn a_challenge_for_another_place_is_not_signed() {
    let evil = Evil::new();
    evil.liar.tells(|_, frame| match frame {
        Frame::Challenge(mut challenge) => {
            challenge.url = "wss://elsewhere.example/v1/lobby".to_owned();
            vec![Frame::Challenge(challenge)]
        }
        frame => vec![frame],
    });
    let ran = evil.scene.connect_at(&evil.liar.url, &[]);
    assert!(ran.exits(1).text("/error").contains("elsewhere.example"), "{ran}");
}

/// What a host said, all of it.
struct Said {
    /// Its verdicts, in order.
    verdicts: Vec<String>,
    /// How many connections stood.
    connected: usize,
}

impl Said {
    /// Interrupts a host of which nothing was read since it was online.
    fn of(host: Running) -> Self {
        let ran = host.interrupt();
        let events: Vec<Value> = ran.exits(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |kind: &'static str| events.iter().filter(move |event| event["event"] == kind);
        Self {
            verdicts: of("knock").map(|knock| knock["verdict"].as_str().unwrap().to_owned()).collect(),
            connected: of("connected").count(),
        }
    }
}
