//! Session verbs over the server's own log: leased, read, written; at a follower told where to write (PROTOCOL 23.15).

use dgns_tests::harness::Site;
use dgns_tests::harness::load::origin;
use dgns_tests::harness::wait;
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
        let Frame::Ok { value: Some(leased), .. } = ask(&mut client, Frame::Lease { id: 1, site: log }).await else {
            panic!("a lease")
        };
        let [Value::Uint(handle), Value::Uint(size)] = leased.list().unwrap() else { panic!("{leased:?}") };
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
        let elsewhere = Frame::Lease { id: 5, site: "elsewhere.test/log".to_owned() };
        assert_eq!(refused(&ask(&mut client, elsewhere).await), "not_here");
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
