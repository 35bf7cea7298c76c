//! Session verbs over the server's own log: leased, read, written; at a follower told where to write (PROTOCOL 23.15).

use dgns_client::home::Home;
use dgns_client::session::Session;
use dgns_tests::harness::load::origin;
use dgns_tests::harness::wait;
use dgns_tests::harness::{Person, Site};
use identity::cert::{Body, Device as NewDevice, Level};
use identity::key::{KexSecret, SigningKey};
use lobby::message::{Form, Frame, Value};
use translog::entry::Entry;

use crate::Scene;
use crate::client::{Client, Device};

/// Asks, and returns the answer.
async fn ask(client: &mut Client, frame: Frame) -> Frame {
    let id = frame.id();
    client.say(&frame).await;
    client.until(|answer| (answer.answers() == id).then(|| answer.clone())).await
}

fn refused(frame: &Frame) -> &str {
    match frame {
        Frame::Err { code, .. } => code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_leased_read_and_written_over_one_socket() {
    let mut scene = tokio::task::block_in_place(Scene::new);
    let alice = tokio::task::block_in_place(|| scene.somebody("alice"));
    for form in [Form::Cbor, Form::Json] {
        let mut client = Client::enter(&scene.server, form, &Device::new(&alice.device.sign, alice.did)).await;
        let log = origin().as_str().to_owned();
        let lease = |id, site: &str, log: &str, rights| {
            let (site, log) = (site.to_owned(), log.to_owned());
            Frame::Lease { id, site, log, rights }
        };
        let leased = ask(&mut client, lease(1, &log, "", 1)).await;
        let Frame::Handle { handle, size, rights: 1, .. } = &leased else { panic!("{leased:?}") };
        let mut entries = Vec::new();
        while (entries.len() as u64) < *size {
            let read = Frame::Read { id: 2, handle: *handle, from: entries.len() as u64 };
            let Frame::Data { from, entries: more, .. } = ask(&mut client, read).await else { panic!("data") };
            assert!(from == entries.len() as u64 && !more.is_empty());
            entries.extend(more);
        }
        let decoded = entries.iter().map(|entry| Entry::decode(entry).expect("an entry of the log"));
        assert!(decoded.filter(|entry| matches!(entry, Entry::Certificate(_))).count() > 1);
        let end = ask(&mut client, Frame::Read { id: 3, handle: *handle, from: 1 << 40 }).await;
        assert!(matches!(end, Frame::Data { entries, .. } if entries.is_empty()), "nothing is behind the newest");
        assert_eq!(refused(&ask(&mut client, Frame::Read { id: 4, handle: 77, from: 0 }).await), "bad_handle");
        let write = Frame::Write { id: 4, handle: *handle, lsn: 1, entries: vec![vec![1]] };
        assert_eq!(refused(&ask(&mut client, write).await), "no_right", "certificates are attested");
        assert_eq!(refused(&ask(&mut client, lease(5, "elsewhere.test/log", "", 1)).await), "not_here");
        assert_eq!(refused(&ask(&mut client, lease(6, &log, "part", 1)).await), "not_here");
        assert_eq!(refused(&ask(&mut client, lease(7, &log, "", 3)).await), "no_right");
        drop(client);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_attested_is_in_the_log_under_its_rules_and_a_follower_says_where() {
    let mut scene = tokio::task::block_in_place(Scene::new);
    let alice = tokio::task::block_in_place(|| scene.somebody("alice"));
    let key = SigningKey::from_seed(&[77; 32]);
    let kex = KexSecret::from_bytes([77; 32]).public();
    let body = Body::DeviceAdd(NewDevice { sign: key.public(), kex, level: Level::Service, label_hash: [0; 32] });
    let certificate = alice.next.sign(body, None, &origin(), &[&alice.device.sign, &key]).unwrap();
    let who = Device::new(&alice.device.sign, alice.did);

    let site = Site::new().with("follow", "url", &format!("\"{}\"", scene.server.url));
    let follower = tokio::task::block_in_place(|| site.start());
    let mut there = tokio::task::block_in_place(|| {
        wait::until("the follower knows alice", || {
            let path = format!("/v1/dids/{}", alice.did);
            (follower.get(&path).status == 200).then_some(())
        });
        tokio::runtime::Handle::current().block_on(Client::enter(&follower, Form::Cbor, &who))
    });
    let attest = || Frame::Attest { id: 1, envelope: certificate.as_bytes().to_vec() };
    let answer = ask(&mut there, attest()).await;
    assert_eq!(answer, Frame::Redirect { id: 1, url: scene.server.url.clone() });
    let joined = ask(&mut there, Frame::Joined { id: 2 }).await;
    assert_eq!(refused(&joined), "not_here");

    let mut here = Client::enter(&scene.server, Form::Cbor, &who).await;
    let mut cut = certificate.as_bytes().to_vec();
    cut.pop();
    assert_eq!(refused(&ask(&mut here, Frame::Attest { id: 1, envelope: cut }).await), "not_taken");
    let Frame::Ok { value: Some(Value::Uint(index)), .. } = ask(&mut here, attest()).await else { panic!("an index") };
    let Frame::Ok { value: Some(Value::Uint(again)), .. } = ask(&mut here, attest()).await else { panic!("an index") };
    assert_eq!(index, again, "the same bytes have the same place");
    let mut added = Client::open(&scene.server, Form::Cbor).await;
    added.hello(&Device::new(&key, alice.did), None).await;
    added.welcomed().await;
}

#[test]
fn a_token_in_the_hello_holds_or_is_refused_by_name_and_leases_end_with_it() {
    let site = Site::new();
    let server = site.start();
    let (alice, bob) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    bob.up(&server, "bob");
    let lease = |more: &[&str]| {
        let held = alice.dgns(&server, &[&["token", "lease"], more].concat());
        (held.exits(0).text("/token"), held.text("/rid"))
    };
    let ((good, rid), (ended, ended_rid), (elsewhere, _)) = (lease(&[]), lease(&[]), lease(&["--audience", "bob"]));
    alice.dgns(&server, &["token", "revoke", &ended_rid]).exits(0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let device = |person: &Person| {
        let session = runtime.block_on(Session::open(&Home::open(person.home()).unwrap(), &server.url)).unwrap();
        let keys = session.log().device().unwrap().expect("a device");
        Device::new(&keys.sign, keys.did.expect("a DID"))
    };
    let (of_alice, of_bob) = (device(&alice), device(&bob));
    let mut changed = good.clone();
    let tag = good.rfind('.').expect("a tag") + 1;
    changed.replace_range(tag..=tag, if &good[tag..=tag] == "A" { "B" } else { "A" });
    let too_long = "a".repeat(4_000);
    for (who, token, code) in [
        (&of_alice, "dgt1.x", "bad_token"),
        (&of_alice, too_long.as_str(), "bad_frame"),
        (&of_alice, changed.as_str(), "token_mac"),
        (&of_alice, ended.as_str(), "token_revoked"),
        (&of_alice, elsewhere.as_str(), "token_audience"),
        (&of_bob, good.as_str(), "token_device"),
    ] {
        let refused = runtime.block_on(async {
            let mut client = Client::open(&server, Form::Cbor).await;
            client.hello_with(who, token).await;
            client.ended().await
        });
        assert_eq!(refused.0, code);
    }
    let mut client = runtime.block_on(async {
        let mut client = Client::open(&server, Form::Cbor).await;
        client.hello_with(&of_alice, &good).await;
        client.welcomed().await;
        client
    });
    let site = origin().as_str().to_owned();
    let leased = ask(&mut client, Frame::Lease { id: 1, site, log: String::new(), rights: 1 });
    let Frame::Handle { handle, .. } = runtime.block_on(leased) else { panic!("a handle") };
    alice.dgns(&server, &["token", "revoke", &rid]).exits(0);
    let ends = |frame: &Frame| match frame {
        Frame::Revoke { handle: Some(of), code, .. } if *of == handle => Some(code.clone()),
        _ => None,
    };
    assert_eq!(runtime.block_on(client.until(ends)), "token_revoked");
    let read = ask(&mut client, Frame::Read { id: 2, handle, from: 0 });
    assert_eq!(refused(&runtime.block_on(read)), "bad_handle");
    runtime.block_on(async { drop(client) });
}
