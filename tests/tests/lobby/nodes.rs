//! Presence across the nodes of one lobby: real servers and a real nats-server (PROTOCOL 23.16).

use dgns_tests::harness::nats::Nats;
use dgns_tests::harness::{Site, wait};
use lobby::message::{Form, Frame, Presence, Value, Visible};

use crate::Scene;
use crate::client::{Client, Device};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_at_another_node_is_seen_until_that_is_lost_and_again_once_it_is_back() {
    // Goal: who watches at one node sees a host at another come, and go with its bus or its node, within the time a node is believed. Method:
    // NATS is killed and comes back; then the host's node is killed with -9.
    let nats = Nats::on_a_free_port();
    let mut scene = Scene::at(Site::new().with("nats", "urls", &nats.url()));
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let size = scene.metric("dgns_log_size");
    let follows = format!("\"{}\"", scene.server.url);
    let site = Site::new().with("follow", "url", &follows).with("nats", "urls", &nats.url());
    let other = site.start();
    let shown = format!("dgns_log_size {size}");
    wait::until("the follower is there", || other.get("/metrics").text().contains(&shown).then_some(()));

    let mut watcher = Client::enter(&scene.server, Form::Cbor, &Device::new(&bob.device.sign, bob.did)).await;
    watcher.say(&Frame::Watch { id: 1, names: vec![alice.name.clone()] }).await;
    let offline = Value::List(vec![Value::Text(alice.name.clone().into()), Value::Uint(0), Value::Uint(0)]);
    assert_eq!(watcher.read().await, Frame::Ok { id: 1, value: Some(Value::List(vec![offline])) });
    let mut host = Client::enter(&other, Form::Cbor, &Device::new(&alice.device.sign, alice.did)).await;
    host.register(&alice.name, Visible::Public).await;
    let held = tokio::spawn(async move { while host.try_read().await.is_ok() {} });
    assert_eq!(told(&mut watcher).await, Presence::Online);

    let port = nats.kill();
    assert_eq!(told(&mut watcher).await, Presence::Offline);
    let _nats = Nats::start(port);
    assert_eq!(told(&mut watcher).await, Presence::Online);
    other.kill();
    assert_eq!(told(&mut watcher).await, Presence::Offline);
    held.await.unwrap();
}

/// Returns what a watcher is told next.
async fn told(watcher: &mut Client) -> Presence {
    watcher
        .until(|frame| match frame {
            Frame::Presence { state, .. } => Some(*state),
            _ => None,
        })
        .await
}
