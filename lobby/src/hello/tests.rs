//! Hellos: their form, their signature, the chain.

use serde_json::json;

use super::*;
use crate::testing::{Who, origin};
use crate::vectors::{hex, hold};

fn samples() -> Vec<Hello> {
    let who = Who::new(1);
    let hello = |resume| Hello {
        challenge: [3; 32],
        url: "wss://dgns.test/v1/lobby".to_owned(),
        device: who.device(),
        did: who.did,
        instance: [4; 8],
        resume,
        unix_s: 1_700_000_000,
    };
    let guest = Hello { did: guest::stand_in(&who.device()), ..hello(None) };
    vec![hello(None), hello(Some(Received { sid: [5; 16], n: 300, hash: [6; 32] })), guest]
}

#[test]
fn a_hello_is_believed_of_its_device_alone() {
    // Goal: neither another key nor a changed byte passes. Method: the key that signs is not the one named; every byte flipped.
    let (who, other) = (Who::new(1), Who::new(2));
    for hello in samples() {
        let signed = SignedHello::sign(&hello, &origin(), &who.key).unwrap();
        assert_eq!((signed.verify(&origin()), signed.hello()), (Ok(()), &hello));
        assert!(signed.verify(&Origin::parse("other.test/log").unwrap()).is_err());
        assert!(SignedHello::sign(&hello, &origin(), &other.key).unwrap().verify(&origin()).is_err());
        for at in 0..signed.as_bytes().len() {
            let mut bytes = signed.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(!SignedHello::decode(&bytes).is_ok_and(|signed| signed.verify(&origin()).is_ok()), "byte {at}");
        }
    }
}

#[test]
fn vectors_of_hellos() {
    let key = Who::new(1).key;
    let mut cases: Vec<_> = samples()
        .iter()
        .map(|hello| {
            let signed = SignedHello::sign(hello, &origin(), &key).unwrap();
            json!({"seed": hex(&[1; 32]), "origin": origin().as_str(), "payload": hex(&hello.encode()), "envelope": hex(signed.as_bytes())})
        })
        .collect();
    let payload = samples()[1].encode();
    let mut refuse = |what: &str, payload: &[u8]| {
        let envelope = Signed::sign(DOMAIN, &origin(), payload, &key);
        let error = SignedHello::decode(envelope.as_bytes()).expect_err(what);
        cases.push(json!({"what": what, "envelope": hex(envelope.as_bytes()), "refused": error.code()}));
    };
    refuse("bytes follow", &[payload.clone(), vec![0]].concat());
    refuse("a resume without its hash", &{
        let mut hello = Writer::new();
        hello.map(8).uint(0).bytes(&[3; 32]).uint(1).text("u").uint(2).bytes(&[1; 32]).uint(3).bytes(&[1; 20]);
        hello.uint(4).bytes(&[4; 8]).uint(5).bytes(&[5; 16]).uint(6).uint(1).uint(8).uint(0);
        hello.finish()
    });
    refuse("a challenge of 31 bytes", &{
        let mut hello = Writer::new();
        hello.map(6).uint(0).bytes(&[3; 31]).uint(1).text("u").uint(2).bytes(&[1; 32]).uint(3).bytes(&[1; 20]);
        hello.uint(4).bytes(&[4; 8]).uint(8).uint(0);
        hello.finish()
    });
    refuse("what stands in for a DID, spelled out", &{
        let device = Who::new(1).device();
        let mut hello = Writer::new();
        hello
            .map(6)
            .uint(0)
            .bytes(&[3; 32])
            .uint(1)
            .text("u")
            .uint(2)
            .bytes(&device)
            .uint(3)
            .bytes(guest::stand_in(&device).as_bytes());
        hello.uint(4).bytes(&[4; 8]).uint(8).uint(0);
        hello.finish()
    });
    let long = Hello { url: "u".repeat(URL_BYTES_MAX + 1), ..samples()[0].clone() };
    refuse("a URL of 256 bytes", &long.encode());
    let mut hash = HOP_START;
    for message in [&b"first"[..], b"", b"third"] {
        let before = hash;
        hash = hop(&before, message);
        cases.push(json!({"before": hex(&before), "message": hex(message), "after": hex(&hash)}));
    }
    let about = [
        "Hellos (PROTOCOL 23.2): payload and envelope signed with the key of the seed; what is refused; the chain, step by step.",
    ];
    hold("lobby_hellos", &about, &cases);
}
