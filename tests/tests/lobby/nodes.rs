//! Presence across the nodes of one lobby: real servers and a real nats-server (PROTOCOL 23.16).

use dgns_tests::harness::nats::Nats;
use dgns_tests::harness::{Server, Site, wait};
use lobby::Refusal;
use lobby::limits::NEWS_MAX;
use lobby::message::{Form, Frame, Presence, Value, Visible};
use lobby::news::{Change, News, Site as Log, What};

use crate::Scene;
use crate::client::{Client, Device};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_at_another_node_is_seen_until_that_is_lost_and_again_once_it_is_back() {
    // Goal: who watches at one node sees a host at another come, and go with its bus or its node, within the time a node is believed. Method:
    // NATS is killed and comes back; then the host's node is killed with -9.
    let nats = Nats::on_a_free_port();
    let mut scene = Scene::at(Site::new().with("nats", "urls", &nats.url()));
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let (_site, other) = follower(&scene, &nats);

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_joined_many_logs_is_told_of_each_at_a_node_that_keeps_none_of_them() {
    // Goal: what the node that keeps joins says of a device in parts reaches the other whole. Method: bob joins three times as many logs as
    // fit into a part, comes again at a follower, and alice publishes the sizes of all of them at the writer.
    let nats = Nats::on_a_free_port();
    let mut scene = Scene::at(Site::new().with("nats", "urls", &nats.url()));
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let (_site, other) = follower(&scene, &nats);
    let phone = Device::new(&bob.device.sign, bob.did);
    let logs: Vec<Log> = (0..150).map(|number| Log::new(&alice.name, &format!("logs/{number}"))).collect();
    let mut joining = Client::enter(&other, Form::Cbor, &phone).await;
    for (version, part) in (1..).zip(logs.chunks(NEWS_MAX)) {
        let join = |site: &Log| Change { what: What::Join, device: bob.device.sign.public(), site: site.clone() };
        let update = Frame::Update { id: version, version, changes: part.iter().map(join).collect() };
        let done = Frame::Ok { id: version, value: Some(Value::Uint(version)) };
        // Until the nodes are at the bus there is nobody who keeps it.
        let not_here = Frame::refused(Some(version), Refusal::NotHere);
        loop {
            joining.say(&update).await;
            let answer = |frame: &Frame| (frame.answers() == Some(version)).then(|| frame.clone());
            let answer = joining.until(answer).await;
            if answer == done {
                break;
            }
            assert_eq!(answer, not_here);
        }
    }
    drop(joining);
    let mut listening = Client::enter(&other, Form::Cbor, &phone).await;
    let mut host = Client::enter(&scene.server, Form::Cbor, &Device::new(&alice.device.sign, alice.did)).await;
    host.register(&alice.name, Visible::Public).await;
    for part in logs.chunks(NEWS_MAX) {
        let news = part.iter().map(|site| News { site: site.clone(), size: 7 }).collect();
        host.say(&Frame::Publish { id: 9, news }).await;
        host.until(|frame| (*frame == Frame::Ok { id: 9, value: None }).then_some(())).await;
    }
    let mut wanted: std::collections::BTreeSet<Log> = logs.into_iter().collect();
    while !wanted.is_empty() {
        let news = |frame: &Frame| if let Frame::Notify { news } = frame { Some(news.clone()) } else { None };
        for News { site, size } in listening.until(news).await {
            assert_eq!(size, 7);
            wanted.remove(&site);
        }
    }
}

/// Starts a server that follows the scene's, at the same bus, and returns once it shows what that shows.
fn follower(scene: &Scene, nats: &Nats) -> (Site, Server) {
    let shown = format!("dgns_log_size {}", scene.metric("dgns_log_size"));
    let follows = format!("\"{}\"", scene.server.url);
    let site = Site::new().with("follow", "url", &follows).with("nats", "urls", &nats.url());
    let other = site.start();
    wait::until("the follower is there", || other.get("/metrics").text().contains(&shown).then_some(()));
    (site, other)
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
