//! A client behind one socket finds a host behind another, by name.

use dgns_client::clock;
use dgns_tests::harness::load::{Somebody, origin};
use lobby::card::{
    Address, Body, Candidate, CandidateKind, Card, Ledger, Proved, Side, SignedCard, Taken, To, Transport,
};
use lobby::delivery::{Arrival, Inbox, Outbox};
use lobby::message::{Form, Frame, Presence, Signal, Value, Visible};

use crate::Scene;
use crate::client::{Client, Device};

pub fn transport(number: u8) -> Transport {
    let address = Address::parse("192.0.2.1").unwrap();
    Transport {
        ufrag: "ufrg".to_owned(),
        pwd: "p".repeat(24),
        fingerprint: [number; 32],
        candidates: vec![Candidate { kind: CandidateKind::Host, address, port: 5_000, priority: 1 }],
        last: true,
        message_max: 65_536,
    }
}

pub fn card(by: &Somebody, sess: [u8; 16], to: To, body: Body) -> SignedCard {
    let expires_s = clock::now().as_s() + 60;
    let (from, from_did) = (by.device.sign.public(), by.did);
    let card = Card { sess, seq: 0, from, from_did, to, expires_s, body, head: None };
    SignedCard::sign(&card, &origin(), &by.device.sign).unwrap()
}

pub fn offer(by: &Somebody, sess: [u8; 16], host: &Somebody) -> SignedCard {
    card(by, sess, To::Did(host.did), Body::Offer { name: host.name.clone(), transport: transport(1) })
}

pub fn bytes(card: &SignedCard) -> bytes::Bytes {
    card.as_bytes().to_vec().into()
}

/// A client in one form and a host in the other: offer, answer, acknowledgement, each judged as an end does.
async fn meet(client_form: Form, host_form: Form) {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let mut host = Client::enter(&scene.server, host_form, &Device::new(&alice.device.sign, alice.did)).await;
    let mut client = Client::enter(&scene.server, client_form, &Device::new(&bob.device.sign, bob.did)).await;
    host.register(&alice.name, Visible::Authorised).await;

    let (sess, now) = ([7; 16], clock::now());
    let offer = offer(&bob, sess, &alice);
    let mut of_client = Ledger::new(bob.device.sign.public(), bob.did);
    of_client.offered(&offer, alice.did, now).unwrap();
    let mut outbox = Outbox::default();
    let knock = Frame::Knock { id: 5, name: alice.name.clone(), card: bytes(&offer), proof: None };
    outbox.post(sess, 0, knock, now).unwrap();
    for frame in outbox.due(now).send {
        client.say(&frame).await;
    }

    let Frame::Signal(signal) = host.read().await else { panic!("the host is asked") };
    let mut of_host = Ledger::new(alice.device.sign.public(), alice.did);
    let mut inbox = Inbox::default();
    assert_eq!(inbox.arrived(&signal.peer, &signal.sess, signal.seq, now), Arrival::New);
    let asked = SignedCard::decode(&signal.card).unwrap();
    let of_bob = Proved { did: &bob.did, devices: &[bob.device.sign.public()] };
    assert_eq!(of_host.take(&asked, of_bob, &origin(), now), Ok(Taken::Offer));
    let answer = Body::Answer { offer: asked.payload_hash(), transport: transport(2) };
    let answer = card(&alice, sess, To::Device(signal.peer), answer);
    host.say(&Frame::Signal(Signal { peer: signal.peer, sess, seq: 0, card: bytes(&answer), proof: None })).await;

    let Frame::Signal(signal) = client.read().await else { panic!("the client is answered") };
    let answered = SignedCard::decode(&signal.card).unwrap();
    let of_alice = Proved { did: &alice.did, devices: &[alice.device.sign.public()] };
    assert_eq!(of_client.take(&answered, of_alice, &origin(), now), Ok(Taken::Answer));
    assert_eq!(of_client.fingerprint(&sess, Side::Client), Some([2; 32]));
    outbox.answered(&sess);
    assert_eq!(outbox.next(), None, "nothing is sent again");
    let peer = alice.device.sign.public();
    client.say(&Frame::Ack { peer, sess, seq: 0 }).await;
    let peer = bob.device.sign.public();
    assert_eq!(host.read().await, Frame::Ack { peer, sess, seq: 0 });
    assert_eq!(scene.metric("dgns_lobby_knocks_answered_total"), 1);
    assert_eq!((scene.metric("dgns_lobby_sessions"), scene.metric("dgns_lobby_registrations")), (2, 1));
}

#[tokio::test]
async fn a_client_and_a_host_meet_by_name_in_every_mix_of_forms() {
    for (client, host) in [(Form::Cbor, Form::Cbor), (Form::Json, Form::Cbor), (Form::Cbor, Form::Json)] {
        meet(client, host).await;
    }
}

#[tokio::test]
async fn whoever_watches_hears_of_coming_and_going() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let mut watcher = Client::enter(&scene.server, Form::Json, &Device::new(&bob.device.sign, bob.did)).await;
    watcher.say(&Frame::Watch { id: 9, names: vec![alice.name.clone()] }).await;
    let row = vec![Value::Text(alice.name.clone().into()), Value::Uint(0), Value::Uint(0)];
    assert_eq!(watcher.read().await, Frame::Ok { id: 9, value: Some(Value::List(vec![Value::List(row)])) });
    let mut host = Client::enter(&scene.server, Form::Cbor, &Device::new(&alice.device.sign, alice.did)).await;
    host.register(&alice.name, Visible::Public).await;
    let news = |frame: &Frame| match frame {
        Frame::Presence { name, state, epoch } if *name == alice.name => Some((*state, *epoch)),
        _ => None,
    };
    let (state, epoch) = watcher.until(news).await;
    assert_eq!((state, epoch > 0), (Presence::Online, true));
    host.break_off().await;
    assert_eq!(watcher.until(news).await, (Presence::Away, epoch));
}

#[tokio::test]
async fn nobody_under_a_name_is_unavailable_after_a_while() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let mut client = Client::enter(&scene.server, Form::Cbor, &Device::new(&bob.device.sign, bob.did)).await;
    let card = bytes(&offer(&bob, [7; 16], &alice));
    client.say(&Frame::Knock { id: 5, name: alice.name.clone(), card, proof: None }).await;
    let expected = Frame::Err { id: Some(5), code: "unavailable".to_owned(), retry_ms: None, sess: Some([7; 16]) };
    assert_eq!(client.read().await, expected);
    assert_eq!(scene.metric("dgns_lobby_knocks_unanswered_total"), 1);
}
