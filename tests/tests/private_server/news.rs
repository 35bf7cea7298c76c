//! Who is told that a file grew: by the socket while here, through a push service while not (PROTOCOL 23.14). The push service is one of
//! the test's: it reads what the real server posts, and opens it as a browser does.

use std::fs;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::nats::Nats;
use dgns_tests::harness::serve::{Request, Told, serve};
use dgns_tests::harness::{Person, Site, wait};
use identity::wire::Reader;
use lobby::news;
use lobby::push::Opener;
use serde_json::Value;

use crate::nodes::{follower, metric};
use crate::standing::{kid_of, second_device};
use crate::{NAME, Scene};

/// A push service with one subscription.
struct PushService {
    url: String,
    opener: Arc<Opener>,
    status: Arc<Mutex<u16>>,
    posted: Arc<Mutex<Vec<Push>>>,
}

/// A push as it arrived: of a log, or of an event.
#[derive(Clone, Debug, Default, PartialEq)]
struct Push {
    log: [u8; 16],
    size: u64,
    event: String,
    index: u64,
    urgency: String,
    topic: String,
}

impl PushService {
    fn new() -> Self {
        let opener = Arc::new(Opener::from_secrets(&[9; 32], [7; 16]).unwrap());
        let status = Arc::new(Mutex::new(201));
        let posted: Arc<Mutex<Vec<Push>>> = Arc::default();
        let (opens, answers, arrives) = (opener.clone(), status.clone(), posted.clone());
        let url = serve(move |request| {
            arrives.lock().unwrap().push(received(request, &opens));
            Told::Answer(Answer { status: *answers.lock().unwrap(), headers: vec![], body: vec![] })
        });
        Self { url, opener, status, posted }
    }

    fn authority(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    fn answers(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    fn posted(&self) -> Vec<Push> {
        self.posted.lock().unwrap().clone()
    }

    /// Subscribes bob's device.
    fn subscribe(&self, scene: &Scene) {
        self.subscribe_as(scene, &scene.bob);
    }

    /// Subscribes somebody's device.
    fn subscribe_as(&self, scene: &Scene, person: &Person) {
        let (key, auth) = (BASE64URL_NOPAD.encode(&self.opener.public()), BASE64URL_NOPAD.encode(&[7; 16]));
        let endpoint = format!("{}/send/bob", self.url);
        let arguments = ["notify", "push", "--endpoint", &endpoint, "--p256dh", &key, "--auth", &auth];
        person.dgns(&scene.server, &arguments).exits(0);
    }
}

/// Reads a push as RFC 8030, 8188, 8291 and 8292 say.
fn received(request: &Request, opener: &Opener) -> Push {
    let end = request.bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(request.bytes[..end].to_vec()).unwrap();
    let header = |name: &str| {
        let line =
            head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        line.unwrap_or_else(|| panic!("{name} is missing: {head}")).1.to_owned()
    };
    assert!(request.line.starts_with("POST /send/bob "), "{head}");
    assert_eq!((header("content-encoding").as_str(), header("ttl").as_str()), ("aes128gcm", "86400"));
    let word = header("authorization");
    let token = word.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap().0.to_owned();
    let claims = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], format!("http://{}", header("host")));
    assert!(claims["sub"].as_str().unwrap().starts_with("mailto:"));
    let message = opener.open(&request.bytes[end + 4..]).expect("sealed to this subscription");
    let mut reader = Reader::new(&message);
    let mut fields = reader.fields().unwrap();
    let (urgency, topic) = (header("urgency"), header("topic"));
    let push = match fields.optional(1, Reader::fixed).unwrap() {
        Some(log) => Push { log, size: fields.required(2, Reader::uint).unwrap(), urgency, topic, ..Push::default() },
        None => {
            let event = fields.required(3, |reader| reader.text().map(str::to_owned)).unwrap();
            Push { event, index: fields.required(4, Reader::uint).unwrap(), urgency, topic, ..Push::default() }
        }
    };
    fields.end().unwrap();
    push
}

fn scene_with(service: &PushService) -> Scene {
    Scene::at(site_with(service))
}

fn site_with(service: &PushService) -> Site {
    Site::new()
        .with("push", "allow", &format!("[\"{}\"]", service.authority()))
        .with("push", "subject", "\"mailto:op@dgns.test\"")
        .with("push", "grace_s", "0")
        .with("push", "retry_s", "1")
}

fn append(scene: &Scene, bytes: &[u8]) {
    let mut log = fs::OpenOptions::new().append(true).open(scene.served().join("logs/x")).unwrap();
    log.write_all(bytes).unwrap();
}

#[test]
fn who_is_here_is_told_by_the_socket_and_who_is_not_by_a_push() {
    let service = PushService::new();
    let scene = scene_with(&service);
    scene.write("logs/x", b"12345");
    let log = news::Site::new(NAME, "logs/x").log;
    let _host = scene.host(&["--allow", "bob", "--publish"]);
    let join = scene.bob.dgns(&scene.server, &["notify", "join", "db.alice", "logs/x"]);
    assert_eq!(join.exits(0).number("/version"), 1);
    service.subscribe(&scene);

    let listening = scene.bob.dgns_running(&scene.server.url, &["notify", "listen"]);
    assert_eq!(listening.event()["event"], "listening");
    let told = listening.event();
    assert_eq!((told["log"].as_str(), told["size"].as_u64()), (Some(HEXLOWER.encode(&log).as_str()), Some(5)));
    append(&scene, b"6789");
    assert_eq!(listening.event()["size"], 9);
    listening.interrupt().exits(0);

    append(&scene, b"0");
    let push = wait::until("a push", || service.posted().iter().find(|push| push.size == 10).cloned());
    assert_eq!((push.log, push.topic.len(), push.urgency.as_str()), (log, 32, "normal"));
    let listed = scene.bob.dgns(&scene.server, &["notify", "list"]).exits(0).json();
    assert_eq!(listed["joined"][0]["sent"], 10);

    // Muted: nothing is said; the next after it is.
    scene.bob.dgns(&scene.server, &["notify", "mute", "db.alice", "logs/x", "--for-s", "3600"]).exits(0);
    append(&scene, b"a");
    scene.bob.dgns(&scene.server, &["notify", "read", "db.alice", "logs/x", "--to", "11"]).exits(0);
    scene.bob.dgns(&scene.server, &["notify", "unmute", "db.alice", "logs/x"]).exits(0);
    append(&scene, b"b");
    wait::until("the next push", || service.posted().iter().find(|push| push.size == 12).cloned());
    assert!(service.posted().iter().all(|push| push.size != 11), "{:?}", service.posted());
    scene.bob.dgns(&scene.server, &["notify", "leave", "db.alice", "logs/x"]).exits(0);
    let listed = scene.bob.dgns(&scene.server, &["notify", "list"]).exits(0).json();
    assert_eq!((listed["joined"].as_array().unwrap().len(), listed["version"].as_u64()), (0, Some(4)));
}

#[test]
fn news_of_a_host_at_another_node_is_told_and_pushed() {
    let (service, nats) = (PushService::new(), Nats::on_a_free_port());
    let scene = Scene::at(site_with(&service).with("nats", "urls", &nats.url()));
    scene.write("logs/x", b"12345");
    let (_site, other) = follower(&scene, &nats);
    let _host = scene.host_at(&other.url, &["--allow", "bob", "--publish"]);
    scene.bob.dgns(&scene.server, &["notify", "join", "db.alice", "logs/x"]).exits(0);
    service.subscribe(&scene);
    let listening = scene.bob.dgns_running(&scene.server.url, &["notify", "listen"]);
    assert_eq!(listening.event()["event"], "listening");
    // What was published before anybody listened is asked for.
    assert_eq!(listening.event()["size"], 5);
    append(&scene, b"6");
    assert_eq!(listening.event()["size"], 6);
    listening.interrupt().exits(0);
    append(&scene, b"7");
    wait::until("a push", || service.posted().iter().find(|push| push.size == 7).cloned());
}

#[test]
fn a_device_joins_and_listens_at_any_node_and_is_not_pushed_to_meanwhile() {
    // Goal: what devices joined is kept by one node and asked for at any. Method: bob joins and listens at a follower, alice hosts at the
    // writer; the follower dies once the writer knows that bob was told there, and then bob is pushed to.
    let (service, nats) = (PushService::new(), Nats::on_a_free_port());
    let scene = Scene::at(site_with(&service).with("nats", "urls", &nats.url()));
    scene.write("logs/x", b"1");
    let (_site, other) = follower(&scene, &nats);
    wait::until("the nodes are at the bus", || {
        let ran = scene.bob.dgns(&other, &["notify", "join", "db.alice", "logs/x"]);
        (ran.code == Some(0)).then_some(())
    });
    service.subscribe(&scene);
    let posted = |size| service.posted().into_iter().find(|push| push.size == size);
    let told = || metric(&scene.server, "dgns_push_told_total");
    let listening = scene.bob.dgns_running(&other.url, &["notify", "listen"]);
    assert_eq!(listening.event()["event"], "listening");
    let _host = scene.host(&["--allow", "bob", "--publish"]);
    assert_eq!(listening.event()["size"], 1);
    wait::until("the first size is judged", || (told() > 0 || posted(1).is_some()).then_some(()));
    let before = told();
    append(&scene, b"2");
    assert_eq!(listening.event()["size"], 2);
    wait::until("the second is told by the socket", || (told() > before).then_some(()));
    other.kill();
    drop(listening);
    append(&scene, b"3");
    wait::until("a push", || posted(3));
    assert_eq!(posted(2), None, "it was told by the socket");
}

#[test]
fn what_happens_to_an_account_is_pushed_at_once_and_says_where_to_look() {
    // Goal: a device that is added, and one that is removed, are told of to the account's device that is not here. Method: alice subscribes; a
    // device of hers comes and goes.
    let service = PushService::new();
    let scene = scene_with(&service);
    service.subscribe_as(&scene, &scene.alice);
    let fresh = second_device(&scene.alice, &scene.server);
    let pushed =
        |event: &str| wait::until("a push", || service.posted().iter().find(|push| push.event == event).cloned());
    let added = pushed("device_added");
    assert_eq!((added.urgency.as_str(), added.topic.len()), ("high", 32));
    let entry = scene.server.get(&format!("/v1/log/entries/{}", added.index));
    assert_eq!(entry.status, 200);
    let kid = kid_of(&fresh, &scene.server);
    scene.alice.dgns(&scene.server, &["devices", "revoke", &kid]).exits(0);
    assert!(pushed("revoked").index > added.index);
    assert!(service.posted().iter().all(|push| push.log == [0; 16]), "nothing but events");
}

#[test]
fn a_push_is_tried_again_and_a_dead_subscription_is_removed() {
    let service = PushService::new();
    let scene = scene_with(&service);
    scene.write("logs/x", b"1");
    let _host = scene.host(&["--allow", "bob", "--publish"]);
    scene.bob.dgns(&scene.server, &["notify", "join", "db.alice", "logs/x"]).exits(0);
    service.answers(503);
    service.subscribe(&scene);
    append(&scene, b"2");
    wait::until("a second try", || (service.posted().len() >= 2).then_some(()));
    service.answers(410);
    let gone = "dgns_push_gone_total 1";
    wait::until("the subscription is gone", || scene.server.get("/metrics").text().contains(gone).then_some(()));
    let before = service.posted().len();
    append(&scene, b"3");
    // What was published reaches whoever is here: so it was looked at, and nobody was left to be pushed to.
    let listening = scene.bob.dgns_running(&scene.server.url, &["notify", "listen"]);
    loop {
        if listening.event()["size"] == 3 {
            break;
        }
    }
    assert_eq!(service.posted().len(), before);
    let kept = fs::read(scene.site.data().join("people.db")).unwrap();
    let endpoint = service.authority().as_bytes();
    assert!(!kept.windows(endpoint.len()).any(|part| part == endpoint), "endpoints are not kept in the clear");
}

#[test]
fn what_is_no_push_service_is_not_pushed_to() {
    let service = PushService::new();
    let scene = scene_with(&service);
    let key = BASE64URL_NOPAD.encode(&service.opener.public());
    let refused = |endpoint: &str, key: &str| {
        let auth = BASE64URL_NOPAD.encode(&[7; 16]);
        let arguments = ["notify", "push", "--endpoint", endpoint, "--p256dh", key, "--auth", &auth];
        scene.bob.dgns(&scene.server, &arguments).exits(4).text("/code")
    };
    for endpoint in [
        "http://push.example/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://169.254.169.254/latest",
        "https://push.example:8443/x",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
    ] {
        assert_eq!(refused(endpoint, &key), "bad_endpoint", "{endpoint}");
    }
    let no_point = BASE64URL_NOPAD.encode(&[4; 65]);
    assert_eq!(refused(&format!("{}/x", service.url), &no_point), "bad_endpoint");
    assert_eq!(service.posted(), []);
}
