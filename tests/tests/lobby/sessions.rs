//! Sessions over sockets that break and servers that stop.

use dgns_tests::harness::wait;
use lobby::hello::Received;
use lobby::message::{Form, Frame, Visible};

use crate::Scene;
use crate::client::{Client, Device};

#[tokio::test]
async fn a_session_goes_on_over_another_socket_with_what_was_not_seen() {
    // Goal: what the first socket lost comes over the second, its number and chain fit, and registrations stand. Method: answers asked for and
    // not read before the socket breaks.
    for form in [Form::Cbor, Form::Json] {
        let mut scene = Scene::new();
        let alice = scene.somebody("alice");
        let who = Device::new(&alice.device.sign, alice.did);
        let mut client = Client::enter(&scene.server, form, &who).await;
        client.register(&alice.name, Visible::Public).await;
        client.say(&Frame::Seen { n: 1 }).await;
        for id in 20..25 {
            client.say(&Frame::Unwatch { id, names: Vec::new() }).await;
        }
        let ok = |id: u64| Frame::Ok { id, value: None };
        assert_eq!((client.read().await, client.read().await), (ok(20), ok(21)));
        // The server has answered all of it once it answers this.
        client.say(&Frame::Ping { id: 99 }).await;
        let received = client.received;
        client.until(|frame| matches!(frame, Frame::Pong { id: 99 }).then_some(())).await;
        client.break_off().await;
        let (mut client, welcome) = Client::resume(&scene.server, form, &who, received).await;
        assert_eq!((welcome.resumed, welcome.next, welcome.sid), (true, received.n + 1, received.sid));
        for id in 22..25 {
            assert_eq!(client.read().await, ok(id));
        }
        client.say(&Frame::Renew { id: 1, name: alice.name.clone() }).await;
        assert!(matches!(client.read().await, Frame::Ok { id: 1, .. }), "the registration stands");
        assert_eq!(scene.metric("dgns_lobby_resumed_total"), 1);
    }
}

#[tokio::test]
async fn whoever_says_they_received_something_else_begins_anew() {
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let who = Device::new(&alice.device.sign, alice.did);
    let mut client = Client::enter(&scene.server, Form::Cbor, &who).await;
    client.register(&alice.name, Visible::Public).await;
    let received = client.break_off().await;
    let mut liar = Client::open(&scene.server, Form::Cbor).await;
    liar.hello(&who, Some(Received { hash: [9; 32], ..received })).await;
    let (code, closed) = liar.ended().await;
    assert_eq!((code.as_str(), closed.code), ("hello_mismatch", 4001));
    let (_, welcome) = Client::resume(&scene.server, Form::Cbor, &who, received).await;
    assert!(!welcome.resumed, "the session ended");
}

#[tokio::test]
async fn the_same_page_again_replaces_the_socket_before() {
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let who = Device::new(&alice.device.sign, alice.did);
    let mut first = Client::enter(&scene.server, Form::Cbor, &who).await;
    let _second = Client::enter(&scene.server, Form::Cbor, &who).await;
    let (code, closed) = first.ended().await;
    assert_eq!((code.as_str(), closed.code, closed.reason.as_str()), ("replaced", 4000, "replaced"));
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_the_next_one_takes_everybody_in() {
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let who = Device::new(&alice.device.sign, alice.did);
    let mut client = Client::enter(&scene.server, Form::Cbor, &who).await;
    client.register(&alice.name, Visible::Public).await;
    let Scene { server, site, .. } = scene;
    let stopped = std::thread::spawn(move || server.stop());
    let said = client.until(|frame| match frame {
        Frame::Restarting { in_ms, try_ms } => Some((*in_ms, *try_ms)),
        _ => None,
    });
    let (in_ms, try_ms) = said.await;
    assert!(in_ms <= 1_000 && try_ms < 4_000);
    let (_, closed) = client.ended().await;
    assert_eq!((closed.code, closed.reason.as_str()), (1012, "restarting"));
    stopped.join().unwrap().exits(0);
    let scene = Scene::at(site);
    let (mut client, welcome) = Client::resume(&scene.server, Form::Cbor, &who, client.received).await;
    assert!(!welcome.resumed, "nothing of the lobby outlives its process");
    client.received = Received { sid: welcome.sid, n: 0, hash: [0; 32] };
    client.register(&alice.name, Visible::Public).await;
}

#[tokio::test]
async fn a_server_that_is_killed_takes_everybody_in_again() {
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let who = Device::new(&alice.device.sign, alice.did);
    let mut client = Client::enter(&scene.server, Form::Cbor, &who).await;
    let Scene { server, site, .. } = scene;
    server.kill();
    client.ended().await;
    let scene = Scene::at(site);
    let mut client = Client::enter(&scene.server, Form::Cbor, &who).await;
    client.register(&alice.name, Visible::Hidden).await;
    wait::until("the registration is counted", || (scene.metric("dgns_lobby_registrations") == 1).then_some(()));
}
