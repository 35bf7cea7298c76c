//! What only a DID's own devices may ask, and what anybody may leave for them: every way to be refused.

use dgns_tests::harness::device::Device;
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::{Person, Site, wait};
use identity::did::Did;
use identity::key::SigningKey;
use identity::wire::{Reader, Writer};

fn now_s() -> u64 {
    dgns_client::clock::now().as_ms() / 1_000
}

#[test]
fn requests_are_taken_from_live_devices_once_and_in_time() {
    let site = Site::new();
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let device = Device::of(&alice);
    let path = "/v1/labels";
    assert_eq!(device.asks(&server, "GET", path, b"").status, 200);
    let header = device.signed("GET", path, b"", now_s());
    assert_eq!(device.sends(&server, "GET", path, b"", &header).status, 200);
    assert_eq!(device.sends(&server, "GET", path, b"", &header).problem_code(), "request_replayed");
    let refused = |answer: Answer, status: u16, code: &str| {
        assert_eq!((answer.status, answer.problem_code().as_str()), (status, code));
    };
    refused(server.get(path), 401, "bad_authorization");
    refused(device.sends(&server, "GET", path, b"", "DGNS-Sig x"), 401, "bad_authorization");
    let old = device.signed("GET", path, b"", now_s() - 100);
    refused(device.sends(&server, "GET", path, b"", &old), 401, "request_time");
    let of_other_path = device.signed("GET", "/v1/events", b"", now_s());
    refused(device.sends(&server, "GET", path, b"", &of_other_path), 401, "bad_signature");
    let stranger = Device { sign: SigningKey::from_seed(&[9; 32]), ..Device::of(&alice) };
    refused(stranger.asks(&server, "GET", path, b""), 401, "unknown_signer");
    let nobody = Device { did: Did::from_bytes([9; 20]), ..Device::of(&alice) };
    refused(nobody.asks(&server, "GET", path, b""), 401, "unknown_signer");
    server.kill();
    let server = site.start();
    let device = Device::of(&alice);
    refused(device.sends(&server, "GET", path, b"", &header), 401, "request_time");
    assert_eq!(
        wait::until("requests after the start are taken", || Some(device.asks(&server, "GET", path, b""))
            .filter(|a| a.status == 200))
        .status,
        200
    );
}

#[test]
fn the_relay_takes_32_messages_and_forgets_none_when_killed() {
    let site =
        Site::new().with("limits", "pair_posts_per_hour_and_address", "40").with("limits", "pair_rings_per_hour", "1");
    let server = site.start();
    let session = "/v1/pair/000102030405060708090a0b0c0d0e0f";
    for place in 1..=32_u8 {
        let answer = server.post(session, &[place]);
        assert_eq!(Reader::new(&answer.body).uint().unwrap(), u64::from(place), "{}", answer.text());
    }
    assert_eq!(server.post(session, &[7]).body, [7], "the same message has the place it had");
    assert_eq!(server.post(session, &[33]).problem_code(), "pair_full");
    assert_eq!(server.post("/v1/pair/0001", &[1]).problem_code(), "bad_query");
    assert_eq!(server.post(session, &[]).problem_code(), "bad_post");
    assert_eq!(server.post(session, &[0; 4_097]).problem_code(), "too_large");
    let rings = format!("{session}?rings={}", Did::from_bytes([9; 20]).base32());
    assert_eq!(server.post(&rings, &[7]).problem_code(), "not_found");
    server.kill();
    let server = site.start();
    let answer = server.get(&format!("{session}?after=30"));
    let mut expected = Writer::new();
    expected.array(2).array(2).uint(31).bytes(&[31]).array(2).uint(32).bytes(&[32]);
    let expected = expected.finish();
    // The body comes in chunks: the answer may take its time.
    assert!(answer.body.windows(expected.len()).any(|bytes| bytes == expected), "{:?}", answer.body);
    let alice = Person::new();
    alice.up(&server, "alice");
    let rings = format!("{session}?rings={}", Device::of(&alice).did.base32());
    assert_eq!(server.post(&rings, &[7]).status, 200);
    assert_eq!(server.post(&rings, &[7]).problem_code(), "rate");
    for _ in 0..39 {
        assert_eq!(server.post(session, &[7]).status, 200);
    }
    assert_eq!(server.post(session, &[7]).problem_code(), "rate");
}

#[test]
fn mail_waits_for_its_device_and_goes_once_it_is_had() {
    let site = Site::new().with("limits", "envelopes_per_hour_and_address", "0");
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let device = Device::of(&alice);
    let mail = |did: &Did, key: &[u8; 32], ct: &[u8]| {
        let mut w = Writer::new();
        w.map(4).uint(1).bytes(did.as_bytes()).uint(2).bytes(key).uint(3).bytes(&[1; 32]).uint(4).bytes(ct);
        w.finish()
    };
    let key = device.sign.public();
    for number in 0..3_u8 {
        assert_eq!(server.post("/v1/envelopes", &mail(&device.did, &key, &[number])).status, 200);
    }
    assert_eq!(server.post("/v1/envelopes", &mail(&device.did, &key, &[2])).status, 200, "again: kept once");
    assert_eq!(server.post("/v1/envelopes", &mail(&device.did, &[9; 32], b"x")).problem_code(), "no_such_device");
    assert_eq!(
        server.post("/v1/envelopes", &mail(&Did::from_bytes([1; 20]), &key, b"x")).problem_code(),
        "no_such_device"
    );
    assert_eq!(server.post("/v1/envelopes", b"x").problem_code(), "bad_field");
    assert_eq!(server.post("/v1/envelopes", &mail(&device.did, &key, &[0; 4_200])).problem_code(), "too_large");
    server.kill();
    let server = site.start();
    let device = Device::of(&alice);
    let read = |after: u64| {
        let target = format!("/v1/envelopes?after={after}");
        let answer =
            wait::until("mail is read", || Some(device.asks(&server, "GET", &target, b"")).filter(|a| a.status == 200));
        let mut reader = Reader::new(&answer.body);
        let rows: Result<Vec<(u64, Vec<u8>)>, identity::wire::WireError> = reader.list(64, |r| {
            r.array_of(2)?;
            let id = r.uint()?;
            r.array_of(2)?;
            let _: [u8; 32] = r.fixed()?;
            Ok((id, r.bytes()?.to_vec()))
        });
        rows.unwrap()
    };
    let rows = read(0);
    assert_eq!(rows.iter().map(|(_, ct)| ct[0]).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(read(0), rows, "until it is had it stays");
    assert_eq!(read(rows[1].0), rows[2..]);
    assert_eq!(read(0), rows[2..], "what was had is gone");
    for number in 0..255_u16 {
        let ct = [&[9], &number.to_be_bytes()[..]].concat();
        assert_eq!(server.post("/v1/envelopes", &mail(&device.did, &key, &ct)).status, 200);
    }
    assert_eq!(server.post("/v1/envelopes", &mail(&device.did, &key, b"one more")).problem_code(), "mailbox_full");
}
