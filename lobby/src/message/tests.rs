//! Frames in both forms, and what is none.

use identity::did::Did;
use serde_json::json;

use super::*;
use crate::news::{Site, What};
use crate::vectors::{hex, hold, ordered};

/// One of each type, with everything a type may leave out there and not there.
fn samples() -> Vec<Frame> {
    let bytes = |n: u8, length: usize| Bytes::from(vec![n; length]);
    let guard = Guard::listed([9; 16], &[Did::from_bytes([1; 20]), Did::from_bytes([2; 20])]);
    let ice = vec![
        IceServer { urls: vec!["stun:192.0.2.1:3478".to_owned()], ..IceServer::default() },
        IceServer {
            urls: vec!["turn:192.0.2.1:3478?transport=tcp".to_owned()],
            user: "1700000600:0011223344556677".to_owned(),
            credential: "c2VjcmV0".to_owned(),
        },
    ];
    let name = || "db.alice.dgns.test".to_owned();
    let knock = |proof| Frame::Knock { id: 7, name: name(), card: bytes(5, 40), proof };
    let signal = |proof| Signal { peer: [3; 32], sess: [4; 16], seq: 1, card: bytes(6, 30), proof };
    let welcome = |head| Welcome {
        sid: [8; 16],
        resumed: true,
        next: 300,
        heartbeat_ms: 25_000,
        ice: ice.clone(),
        ttl_s: 600,
        head,
    };
    let site = || Site::new("db.alice.dgns.test", "logs/today");
    let news = || vec![News { site: site(), size: 70_000 }, News { site: Site::new("a.b", ""), size: 0 }];
    let change = |what| Change { what, device: [3; 32], site: site() };
    let changes = || [What::Join, What::Mute(3_600_000), What::Unmute, What::Leave].map(change).to_vec();
    let endpoint = "https://push.example/send/abc".to_owned();
    let subscription = Subscription { endpoint, p256dh: [4; 65], auth: [5; 16] };
    vec![
        Frame::Challenge(Challenge {
            challenge: [1; 32],
            url: "ws://127.0.0.1:5380/v1/lobby".to_owned(),
            node: "node".to_owned(),
            time_ms: 1_700_000_000_000,
            features: vec!["lobby".to_owned()],
            limits: vec![16_384, 3_072, 64],
        }),
        Frame::Hello { envelope: vec![2; 50], token: None, head: None },
        Frame::Hello { envelope: vec![2; 50], token: Some("dgt1.a.b".to_owned()), head: Some(vec![3; 20]) },
        Frame::Welcome(welcome(None)),
        Frame::Welcome(welcome(Some(vec![1, 2]))),
        Frame::Seen { n: 70_000 },
        Frame::Ping { id: 0 },
        Frame::Pong { id: u64::MAX },
        Frame::Restarting { in_ms: 500, try_ms: 3_999 },
        Frame::Ok { id: 1, value: None },
        Frame::Ok { id: 1, value: Some(Value::List(vec![Value::Uint(1), Value::Bool(false)])) },
        Frame::refused(None, crate::Refusal::BadFrame),
        Frame::Err { id: Some(1), code: "rate".to_owned(), retry_ms: Some(900), sess: Some([4; 16]) },
        Frame::Register { id: 2, name: name(), visible: Visible::Hidden, guard: None },
        Frame::Register { id: 2, name: name(), visible: Visible::Authorised, guard: Some(Guard::Certified) },
        Frame::Register { id: 2, name: name(), visible: Visible::Authorised, guard: Some(Guard::Guests) },
        Frame::Register { id: 2, name: name(), visible: Visible::Public, guard: Some(guard) },
        Frame::Renew { id: 3, name: name() },
        Frame::Unregister { id: 4, name: name() },
        knock(None),
        knock(Some(bytes(7, 10))),
        Frame::Signal(signal(None)),
        Frame::Signal(signal(Some(bytes(7, 10)))),
        Frame::Ack { peer: [3; 32], sess: [4; 16], seq: 1 },
        Frame::Watch { id: 5, names: vec![name(), "a.b".to_owned()] },
        Frame::Unwatch { id: 6, names: Vec::new() },
        Frame::Presence { name: name(), state: Presence::Online, epoch: 1_700_000_000_001 },
        Frame::Ice { id: 8 },
        Frame::Update { id: 9, version: 3, changes: changes() },
        Frame::Update { id: 9, version: 0, changes: Vec::new() },
        Frame::Notify { news: news() },
        Frame::ReadTo { id: 10, news: news() },
        Frame::Push { id: 11, subscription: None },
        Frame::Push { id: 11, subscription: Some(subscription) },
        Frame::Joined { id: 12 },
        Frame::Publish { id: 13, news: news() },
        Frame::Attest { id: 14, envelope: vec![6; 90] },
        Frame::Redirect { id: 14, url: "https://id.example".to_owned() },
        Frame::Lease { id: 15, site: "dgns.test/log".to_owned(), log: String::new(), rights: 1 },
        Frame::Handle { id: 15, handle: 3, rights: 1, size: 77, until_s: 1_700_003_600 },
        Frame::Write { id: 18, handle: 3, lsn: 1, entries: vec![vec![5; 9]] },
        Frame::Read { id: 16, handle: 1, from: 70 },
        Frame::Data { id: 16, from: 70, entries: vec![vec![1, 2], vec![3]] },
        Frame::Data { id: 16, from: 71, entries: Vec::new() },
        Frame::Revoke { name: None, code: "revoked".to_owned(), handle: None },
        Frame::Revoke { name: None, code: "lease_over".to_owned(), handle: Some(3) },
        Frame::Revoke { name: Some(name()), code: "not_host".to_owned(), handle: None },
    ]
}

/// What is no frame: a form, the bytes, the code.
fn wrong() -> Vec<(Form, Vec<u8>, FrameError)> {
    let cbor =
        |text: &str| (Form::Cbor, data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap(), FrameError::BadFrame);
    let json = |text: &str| (Form::Json, text.as_bytes().to_vec(), FrameError::BadFrame);
    let unknown = |case: (Form, Vec<u8>, FrameError), id| (case.0, case.1, FrameError::UnknownType { id });
    vec![
        cbor(""),
        cbor("80"),
        cbor("a0"),
        cbor("a10104"),                     // no type
        cbor("a10004"),                     // seen, without n
        cbor("a200040161"),                 // cut short
        cbor("a20004014101"),               // n as bytes
        cbor("a2000401190001"),             // n in a long spelling
        cbor("a201010004"),                 // keys out of order
        cbor("bf000401ff"),                 // of no definite length
        cbor("a20004010100"),               // something follows
        cbor("a200160281f6"),               // a list of null
        cbor("a300160101028181818181810a"), // lists too deep
        unknown(cbor("a20018640105"), Some(5)),
        unknown(cbor("a1001840"), None),
        cbor("a30014010902004003"),         // news that is no list
        cbor("a3001820010902000381850502"), // a change cut short
        json("{\"t\":\"update\",\"id\":1,\"version\":1,\"changes\":[[4,\"\",\"a\",\"\",0]]}"),
        json("{\"t\":\"push\",\"id\":1,\"endpoint\":\"https://a\"}"),
        json(""),
        json("[]"),
        json("{\"n\":1}"),
        json("{\"t\":4,\"n\":1}"),
        json("{\"t\":\"seen\"}"),
        json("{\"t\":\"seen\",\"n\":-1}"),
        json("{\"t\":\"seen\",\"n\":1.5}"),
        json("{\"t\":\"seen\",\"n\":null}"),
        json("{\"t\":\"ack\",\"peer\":\"AA==\",\"sess\":\"AA\",\"seq\":0}"),
        unknown(json("{\"t\":\"dance\",\"id\":5}"), Some(5)),
    ]
}

#[test]
fn frames_read_as_they_were_written() {
    for frame in samples() {
        for form in [Form::Cbor, Form::Json] {
            let bytes = frame.encode(form);
            assert_eq!(Frame::decode(&bytes, form).as_ref(), Ok(&frame), "{form:?} {frame:?}");
            let other = if form == Form::Cbor { Form::Json } else { Form::Cbor };
            assert!(Frame::decode(&bytes, other).is_err());
        }
    }
}

#[test]
fn frames_cut_short_or_flipped_are_refused_or_are_others() {
    // Goal: no input panics, and none is read as the frame it was made of. Method: every prefix, every byte changed.
    for frame in samples() {
        for form in [Form::Cbor, Form::Json] {
            let bytes = frame.encode(form);
            for length in 0..bytes.len() {
                assert!(Frame::decode(&bytes[..length], form).is_err());
                let mut flipped = bytes.to_vec();
                flipped[length] ^= 1;
                assert_ne!(Frame::decode(&flipped, form).as_ref(), Ok(&frame));
            }
        }
    }
    assert_eq!(Frame::decode(&vec![0; FRAME_BYTES_MAX + 1], Form::Cbor), Err(FrameError::TooLarge));
}

#[test]
fn keys_that_nobody_knows_are_passed_over() {
    // Goal: a later version may say more. Method: a key and a name that this version does not have.
    let cbor = data_encoding::HEXLOWER.decode(b"a30004010518636161").unwrap();
    assert_eq!(Frame::decode(&cbor, Form::Cbor), Ok(Frame::Seen { n: 5 }));
    assert_eq!(Frame::decode(b"{\"t\":\"seen\",\"n\":5,\"mood\":\"fine\"}", Form::Json), Ok(Frame::Seen { n: 5 }));
}

#[test]
fn vectors_of_frames() {
    let code = |error: &FrameError| match error {
        FrameError::BadFrame => "bad_frame",
        FrameError::TooLarge => "too_large",
        FrameError::UnknownType { .. } => "unknown_type",
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let right = samples().into_iter().map(|frame| {
        let (cbor, json) = (frame.encode(Form::Cbor), frame.encode(Form::Json));
        let json = ordered(&serde_json::from_slice(&json).unwrap()).to_string();
        json!({"cbor": hex(&cbor), "json": json, "counts": frame.counts()})
    });
    let refused = wrong().into_iter().map(|(form, bytes, error)| {
        assert_eq!(Frame::decode(&bytes, form), Err(error), "{}", data_encoding::HEXLOWER.encode(&bytes));
        match form {
            Form::Cbor => json!({"cbor": hex(&bytes), "refused": code(&error)}),
            Form::Json => json!({"json": text(&bytes), "refused": code(&error)}),
        }
    });
    let about = [
        "Frames of the lobby (PROTOCOL 23.1) in both forms; whether each counts in a session's chain;",
        "what is refused.",
    ];
    hold("lobby_frames", &about, &right.chain(refused).collect::<Vec<_>>());
}
