//! What is refused, by its name, at the socket of a real server.

use dgns_tests::harness::Server;
use dgns_tests::harness::load::Somebody;
use identity::did::Did;
use identity::key::SigningKey;
use identity::name::Origin;
use lobby::card::{Body, To};
use lobby::hello::{HOP_START, Hello, Received, SignedHello};
use lobby::limits::{FRAME_BYTES_MAX, FRAMES_PER_BURST, INSTANCES_MAX, KNOCKS_PER_DEVICE, PROOF_BYTES_MAX, UNSEEN_MAX};
use lobby::message::{Form, Frame, Signal, Visible};
use tokio_tungstenite::tungstenite::Message;

use crate::Scene;
use crate::client::{Client, Device, knock_on};
use crate::ends::{bytes, card, offer, transport};

#[tokio::test]
async fn what_is_no_socket_of_the_lobby_is_a_problem() {
    let scene = Scene::new();
    for (protocol, code) in [(None, "bad_subprotocol"), (Some("graphql-ws"), "bad_subprotocol")] {
        let Err(answer) = knock_on(&scene.server, protocol).await else { panic!("{protocol:?} is taken") };
        let body = answer.body().clone().unwrap_or_default();
        assert_eq!(answer.status().as_u16(), 400);
        assert!(String::from_utf8_lossy(&body).contains(code), "{}", String::from_utf8_lossy(&body));
    }
    let plain = scene.server.get("/v1/lobby");
    assert_eq!((plain.status, plain.problem_code().as_str()), (426, "upgrade_wanted"));
}

#[tokio::test]
async fn a_lobby_that_is_turned_off_is_not_there() {
    let scene = Scene::at(dgns_tests::harness::Site::new().with("lobby", "enabled", "false"));
    let plain = scene.server.get("/v1/lobby");
    assert_eq!((plain.status, plain.problem_code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn a_hello_is_for_its_own_socket_device_and_log() {
    // Goal: a hello from elsewhere opens nothing. Method: each field that ties it changed, and a device that the log does not have.
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let stranger = SigningKey::from_seed(&[77; 32]);
    let key = &alice.device.sign;
    type Change = fn(&mut Hello, &Hello);
    let changes: [(&str, Change, &SigningKey, &str); 6] = [
        ("another challenge", |hello, _| hello.challenge = [0; 32], key, "bad_hello"),
        ("another server", |hello, _| hello.url = "ws://127.0.0.1:1/v1/lobby".to_owned(), key, "bad_hello"),
        ("another's key", |_, _| {}, &bob.device.sign, "bad_hello"),
        ("a device nobody knows", |hello, other| hello.device = other.device, &stranger, "unknown_device"),
        ("another's DID", |hello, other| hello.did = other.did, key, "unknown_device"),
        ("a key of small order", |hello, _| hello.device = [0; 32], key, "weak_key"),
    ];
    for (what, change, key, expected) in changes {
        let mut client = Client::open(&scene.server, Form::Cbor).await;
        let mut hello = client.hello_of(&Device::new(&alice.device.sign, alice.did), None);
        let other = Hello { device: stranger.public(), did: Did::from_bytes([9; 20]), ..hello.clone() };
        change(&mut hello, &other);
        client.say_hello(&hello, key).await;
        let (code, closed) = client.ended().await;
        assert_eq!((code.as_str(), closed.code), (expected, 4001), "{what}");
    }
}

#[tokio::test]
async fn a_hello_opens_one_socket_once() {
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let who = Device::new(&alice.device.sign, alice.did);
    let mut client = Client::enter(&scene.server, Form::Cbor, &who).await;
    client.hello(&who, None).await;
    let (code, closed) = client.ended().await;
    assert_eq!((code.as_str(), closed.code), ("bad_order", 1008), "a second hello");
    let mut early = Client::open(&scene.server, Form::Cbor).await;
    early.say(&Frame::Ping { id: 1 }).await;
    let (code, closed) = early.ended().await;
    assert_eq!((code.as_str(), closed.code), ("bad_order", 1008), "anything before it");
    let mut silent = Client::open(&scene.server, Form::Cbor).await;
    let (code, closed) = silent.ended().await;
    assert_eq!((code.as_str(), closed.code), ("hello_timeout", 1008), "none at all");
}

#[tokio::test]
async fn messages_that_are_no_frames_end_the_connection_by_their_code() {
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let who = Device::new(&alice.device.sign, alice.did);
    let cases: [(&str, Message, &str, u16); 4] = [
        ("text on cbor", Message::text("{}"), "bad_form", 1003),
        ("not CBOR", Message::binary(vec![0xff; 10]), "bad_frame", 1007),
        ("a byte too long", Message::binary(vec![0; FRAME_BYTES_MAX + 1]), "too_large", 1009),
        ("empty", Message::binary(Vec::new()), "bad_frame", 1007),
    ];
    for (what, message, expected, close) in cases {
        for hello_first in [true, false] {
            let mut client = match hello_first {
                true => Client::enter(&scene.server, Form::Cbor, &who).await,
                false => Client::open(&scene.server, Form::Cbor).await,
            };
            client.send(message.clone()).await;
            let (code, closed) = client.ended().await;
            assert_eq!((code.as_str(), closed.code), (expected, close), "{what}, hello {hello_first}");
        }
    }
    // What is still under way when the server has read enough may be cut off instead, and the code with it.
    let mut far_too_long = Client::open(&scene.server, Form::Cbor).await;
    let _ = far_too_long.try_send(Message::binary(vec![0; 1 << 20])).await;
    let (_, closed) = far_too_long.ended().await;
    assert!(matches!(closed.code, 0 | 1009), "nobody reads a megabyte: {closed:?}");
    let mut client = Client::enter(&scene.server, Form::Json, &who).await;
    client.send(Message::text("{\"t\":\"dance\",\"id\":4}")).await;
    assert!(matches!(client.read().await, Frame::Err { id: Some(4), code, .. } if code == "unknown_type"));
    client.say(&Frame::Ping { id: 1 }).await;
    assert_eq!(client.read().await, Frame::Pong { id: 1 }, "and it goes on");
}

#[tokio::test]
async fn whoever_does_not_read_is_ended_and_takes_no_memory() {
    // Goal: a reader that stops costs bounded memory and nobody else anything. Method: pings for megabytes of pongs, none of them read, until the
    // server says that it is too much.
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let mut slow = Client::enter(&scene.server, Form::Json, &Device::new(&alice.device.sign, alice.did)).await;
    let mut other = Client::enter(&scene.server, Form::Cbor, &Device::new(&bob.device.sign, bob.did)).await;
    let before = scene.server.resident_bytes();
    // More than the rate of frames: each beyond it is answered by an `err`, so every frame has its answer.
    for id in 0..20_000_u64 {
        let message = Message::text(format!("{{\"t\":\"ping\",\"id\":{id}}}"));
        if slow.try_send(message).await.is_err() {
            break;
        }
    }
    other.say(&Frame::Ping { id: 1 }).await;
    assert_eq!(other.read().await, Frame::Pong { id: 1 });
    let grown = scene.server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
}

#[tokio::test]
async fn a_hello_for_another_log_is_good_for_none_of_ours() {
    // Goal: what a device signs for one log opens no socket of another's lobby. Method: everything right but the log it is signed for.
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let mut client = Client::open(&scene.server, Form::Cbor).await;
    let hello = client.hello_of(&Device::new(&alice.device.sign, alice.did), None);
    let elsewhere = Origin::parse("elsewhere.test/log").unwrap();
    let envelope = SignedHello::sign(&hello, &elsewhere, &alice.device.sign).unwrap().as_bytes().to_vec();
    client.say(&Frame::Hello { envelope, token: None, head: None }).await;
    let (code, closed) = client.ended().await;
    assert_eq!((code.as_str(), closed.code), ("bad_hello", 4001));
}

#[tokio::test]
async fn frames_out_of_their_order_are_refused_by_name() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let mut client = Client::enter(&scene.server, Form::Cbor, &Device::new(&bob.device.sign, bob.did)).await;
    client.say(&Frame::Renew { id: 7, name: bob.name.clone() }).await;
    assert_eq!(refused(client.read().await), (Some(7), "not_registered".to_owned()), "before it is registered");
    let (sess, peer) = ([3; 16], alice.device.sign.public());
    let body = Body::Bye { offer: [0; 32], code: "x".to_owned() };
    let early = bytes(&card(&bob, sess, To::Device(peer), body));
    client.say(&Frame::Signal(Signal { peer, sess, seq: 0, card: early.clone(), proof: None })).await;
    assert_eq!(refused(client.read().await), (None, "unknown_sess".to_owned()), "before any knock");
    client.say(&Frame::Signal(Signal { peer, sess, seq: 5, card: early, proof: None })).await;
    assert_eq!(refused(client.read().await), (None, "bad_card".to_owned()), "another number than its card's");
    client.say(&Frame::Ack { peer, sess, seq: 9 }).await;
    client.say(&Frame::Ping { id: 1 }).await;
    assert_eq!(client.read().await, Frame::Pong { id: 1 }, "what acknowledges nothing changes nothing");
    client.say(&Frame::Seen { n: 1_000 }).await;
    assert_eq!(client.ended().await.0, "hello_mismatch", "whoever saw what was not sent is in another session");
}

#[tokio::test]
async fn nobody_takes_over_a_name_a_session_or_a_conversation_with_another_key() {
    // Goal: what is one device's stays its own, whatever others say. Method: a host, a client in conversation with it, and a third device that
    // names the host's name, the client's session and the client's sess.
    let mut scene = Scene::new();
    let (alice, bob, mallory) = (scene.somebody("alice"), scene.somebody("bob"), scene.somebody("mallory"));
    let mut host = Client::enter(&scene.server, Form::Cbor, &Device::new(&alice.device.sign, alice.did)).await;
    host.register(&alice.name, Visible::Authorised).await;
    let mut client = Client::enter(&scene.server, Form::Cbor, &Device::new(&bob.device.sign, bob.did)).await;
    let sess = [5; 16];
    let knock = |by: &Somebody| {
        let card = bytes(&offer(by, sess, &alice));
        Frame::Knock { id: 4, name: alice.name.clone(), card, proof: None }
    };
    client.say(&knock(&bob)).await;
    assert!(matches!(host.read().await, Frame::Signal(signal) if signal.peer == bob.device.sign.public()));

    let who = Device::new(&mallory.device.sign, mallory.did);
    let mut thief = Client::open(&scene.server, Form::Cbor).await;
    thief.hello(&who, Some(client.received)).await;
    let welcome = thief.welcomed().await;
    assert!(!welcome.resumed && welcome.sid != client.received.sid, "another's session is not gone on with");
    thief.received = Received { sid: welcome.sid, n: 0, hash: HOP_START };
    thief.say(&Frame::Register { id: 1, name: alice.name.clone(), visible: Visible::Public, guard: None }).await;
    assert_eq!(refused(thief.read().await), (Some(1), "not_host".to_owned()));
    thief.say(&knock(&mallory)).await;
    assert_eq!(refused(thief.read().await), (Some(4), "bad_card".to_owned()), "a sess that is another's");
    thief.say(&knock(&bob)).await;
    assert_eq!(refused(thief.read().await), (Some(4), "bad_card".to_owned()), "another's card");
    let peer = bob.device.sign.public();
    let said = bytes(&card(&mallory, sess, To::Device(peer), Body::Bye { offer: [0; 32], code: "x".to_owned() }));
    thief.say(&Frame::Signal(Signal { peer, sess, seq: 0, card: said, proof: None })).await;
    assert_eq!(refused(thief.read().await), (None, "unknown_sess".to_owned()), "a conversation of two others");
    let answer = bytes(&card(&alice, sess, To::Device(peer), Body::Bye { offer: [0; 32], code: "y".to_owned() }));
    host.say(&Frame::Signal(Signal { peer, sess, seq: 0, card: answer, proof: None })).await;
    assert!(matches!(client.read().await, Frame::Signal(signal) if signal.peer == alice.device.sign.public()));
}

#[tokio::test]
async fn a_flood_of_frames_has_its_rate_named_and_costs_others_nothing() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let mut flood = Client::enter(&scene.server, Form::Cbor, &Device::new(&alice.device.sign, alice.did)).await;
    let mut other = Client::enter(&scene.server, Form::Cbor, &Device::new(&bob.device.sign, bob.did)).await;
    let all = u64::from(FRAMES_PER_BURST) + 40;
    for id in 0..all {
        flood.say(&Frame::Ping { id }).await;
    }
    let (mut taken, mut refusals) = (0, 0);
    for _ in 0..all {
        match flood.read().await {
            Frame::Pong { .. } => taken += 1,
            Frame::Err { code, retry_ms: Some(_), .. } if code == "rate" => refusals += 1,
            frame => panic!("{frame:?}"),
        }
    }
    assert!(taken >= u64::from(FRAMES_PER_BURST) && refusals > 0, "{taken} taken, {refusals} refused");
    other.say(&Frame::Ping { id: 1 }).await;
    assert_eq!(other.read().await, Frame::Pong { id: 1 });
}

#[tokio::test]
async fn twenty_megabytes_of_offers_to_absent_names_leave_nothing_behind() {
    // Goal: nothing is queued for anybody who is not there. Method: 20 MB of knocks, with as much proof as there may be, at names that nobody
    // hosts; one session after another, as many in each as its client need not confirm. Memory is compared from where one device has all
    // that it may hold: as many sessions as it may have, and every knock of its minute.
    let mut scene = Scene::new();
    let bob = scene.somebody("bob");
    let who = Device::new(&bob.device.sign, bob.did);
    let (mut knocks, mut sent) = (0, 0);
    for _ in 0..INSTANCES_MAX {
        knock_at_nobody(&scene.server, &bob, &who, &mut knocks).await;
    }
    let before = scene.server.resident_bytes();
    while sent < 20 << 20 {
        sent += knock_at_nobody(&scene.server, &bob, &who, &mut knocks).await;
    }
    let grown = scene.server.resident_bytes().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes more after {sent} bytes of knocks");
    assert!(scene.metric("dgns_lobby_talks") <= u64::from(KNOCKS_PER_DEVICE));
}

/// Knocks in a session of its own, as often as a client need not confirm, at names that nobody hosts; returns the bytes it sent.
async fn knock_at_nobody(server: &Server, bob: &Somebody, who: &Device, knocks: &mut u64) -> usize {
    let mut client = Client::enter(server, Form::Cbor, who).await;
    let mut sent = 0;
    for _ in 0..UNSEEN_MAX {
        let (mut sess, name) = ([0; 16], format!("absent-{knocks}.dgns.test"));
        sess[..8].copy_from_slice(&knocks.to_be_bytes());
        let body = Body::Offer { name: name.clone(), transport: transport(1) };
        let card = bytes(&card(bob, sess, To::Did(bob.did), body));
        let frame = Frame::Knock { id: *knocks, name, card, proof: Some(vec![7; PROOF_BYTES_MAX].into()) };
        sent += frame.encode(Form::Cbor).len();
        client.say(&frame).await;
        *knocks += 1;
    }
    for _ in 0..UNSEEN_MAX {
        let (_, code) = refused(client.read().await);
        assert!(["rate", "quota", "unavailable"].contains(&code.as_str()), "{code}");
    }
    sent
}

fn refused(frame: Frame) -> (Option<u64>, String) {
    match frame {
        Frame::Err { id, code, .. } => (id, code),
        frame => panic!("a refusal is expected, not {frame:?}"),
    }
}
