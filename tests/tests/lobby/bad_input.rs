//! What is refused, by its name, at the socket of a real server.

use identity::did::Did;
use identity::key::SigningKey;
use lobby::hello::Hello;
use lobby::limits::FRAME_BYTES_MAX;
use lobby::message::{Form, Frame};
use tokio_tungstenite::tungstenite::Message;

use crate::Scene;
use crate::client::{Client, Device, knock_on};

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
        let mut hello = Hello {
            challenge: client.challenge.challenge,
            url: client.challenge.url.clone(),
            device: alice.device.sign.public(),
            did: alice.did,
            instance: [1; 8],
            resume: None,
            unix_s: 0,
        };
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
