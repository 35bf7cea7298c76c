//! How long a person waits: from the digits typed on the old device to the keys on the new one, and from a revocation until nobody
//! takes the device any more. Prints; judges nothing.
//!
//! `cargo bench -p dgns-tests --bench devices -- [--rounds 20]`, after `cargo build --release --workspace`. The real `dgnsd` and `dgns`
//! on loopback.

#[path = "../tests/tokens/asking.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod asking;

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use asking::{Scene, end_of, lease_of, pair};
use dgns_client::audience::Audience;
use dgns_client::home::Home;
use dgns_client::session::Session;
use dgns_tests::harness::journey::digits;
use dgns_tests::harness::{Person, Server, Site};
use identity::cert::Body;
use identity::key::SigningKey;
use identity::token::{Access, Lease, TokenRefusal};
use tokio::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--rounds").skip(1);
    let rounds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(20);
    approvals(rounds);
    revocations(rounds);
}

fn approvals(rounds: usize) {
    let site = Site::new().with("limits", "pair_posts_per_hour_and_address", "0");
    let server = site.start();
    let (mut joined, mut opened) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (took, read) = approval(&server, &format!("alice{round}"));
        joined.push(took);
        opened.push(read);
    }
    show("digits typed -> the new device is proved, its keys opened", &mut joined);
    show("digits typed -> a file sealed before is read on it, by a further command", &mut opened);
}

fn approval(server: &Server, name: &str) -> (Duration, Duration) {
    let (old, new, somebody) = (Person::new(), Person::new(), Person::new());
    old.up(server, name);
    let file = somebody.home().join("letter");
    std::fs::write(&file, "sealed before").expect("a temporary file");
    let sealed = somebody.dgns(server, &["seal", name, file.to_str().expect("text")]).exits(0).text("/file");
    let mut watch = old.dgns_running(&server.url, &["devices", "watch", "--once"]);
    watch.event();
    let join = new.dgns_running(&server.url, &["join", name]);
    let shown = join.note(digits);
    while watch.event()["asks"] != "digits" {}
    let begun = Instant::now();
    watch.types(&shown);
    join.ended().exits(0);
    let joined = begun.elapsed();
    new.dgns(server, &["open", &sealed]).exits(0);
    (joined, begun.elapsed())
}

fn revocations(rounds: usize) {
    let mut scene = Scene::at(Site::new().with("limits", "token_leases_per_hour", "0"));
    let bob = scene.somebody("bob");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let home = tempfile::tempdir().expect("a directory");
    let opened = Home::open(home.path()).expect("a home");
    let session = Arc::new(runtime.block_on(Session::open(&opened, &scene.server.url)).expect("a session"));
    let audience = Arc::new(runtime.block_on(Audience::open(&session, &bob.device, None)).expect("an audience"));
    let names = ["request signed by it", "lease", "refresh", "its stream of events ends", "token at an audience"];
    let mut took: [Vec<Duration>; 5] = Default::default();
    let mut answered = Vec::new();
    for round in 0..rounds {
        let mut alice = scene.somebody(&format!("alice{round}"));
        let key = scene.device_of(&mut alice, u8::try_from(round % 200).expect("it fits") + 1);
        let lease = Lease { kid: key.kid(), audience: Some(bob.did), ..lease_of(&alice) };
        let held = pair(&scene.ask("/v1/token/lease", &lease, &key));
        audience.check(&held.token, &key.kid(), Access::Write).expect("it is good until now");
        let mut stream = scene.told(&alice.did, &key, "event: now");
        let certificate = alice.says(Body::DeviceRevoke(end_of(&key)));
        let begun = Instant::now();
        let ended = std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            begun.elapsed()
        });
        let (hearing, hears, token, kid) = (audience.clone(), session.clone(), held.token.clone(), key.kid());
        let device = dgns_client::home::DeviceKeys {
            did: bob.device.did,
            sign: SigningKey::from_seed(&bob.device.sign.seed()),
            kex: bob.device.kex.clone(),
        };
        let told = runtime.spawn(async move {
            while hearing.check(&token, &kid, Access::Read) != Err(TokenRefusal::Revoked) {
                hearing.hear(&hears, &device).await.expect("the feed is read");
            }
            begun.elapsed()
        });
        scene.post(&certificate, &alice);
        answered.push(begun.elapsed());
        let until = |refused: &dyn Fn() -> bool| {
            while !refused() {
                assert!(begun.elapsed() < Duration::from_secs(30), "it is taken for ever");
            }
            begun.elapsed()
        };
        took[0].push(until(&|| scene.signed(&alice.did, &key, "GET", "/v1/labels", b"").status == 401));
        took[1].push(until(&|| scene.ask("/v1/token/lease", &lease, &key).status == 401));
        took[2].push(until(&|| scene.refresh(&held, &key).status == 410));
        took[3].push(ended.join().expect("the reader ends"));
        took[4].push(runtime.block_on(told).expect("the audience hears"));
    }
    show("revocation posted -> answered", &mut answered);
    for (name, took) in names.iter().zip(&mut took) {
        show(&format!("revocation posted -> refused: {name}"), took);
    }
}

/// Prints the median and the worst.
fn show(what: &str, took: &mut [Duration]) {
    took.sort_unstable();
    let ms = |at: usize| took.get(at).map_or(0, Duration::as_millis);
    println!(
        "{what}: p50 {} ms, max {} ms ({} times)",
        ms(took.len() / 2),
        ms(took.len().saturating_sub(1)),
        took.len()
    );
}
