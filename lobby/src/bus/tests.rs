use serde_json::json;

use super::*;
use crate::vectors::{hex, hold};

fn there(guard: Guard) -> HostedThere {
    let did = Did::from_bytes([2; 20]);
    HostedThere { did, visible: Visible::Public, state: Presence::Online, epoch: 1_700, guard }
}

fn samples() -> Vec<BusMessage> {
    let bytes = |n: u8| Bytes::from(vec![n; 40]);
    let (device, did) = ([1; 32], Did::from_bytes([2; 20]));
    let signal = |proof| Signal { peer: [3; 32], sess: [4; 16], seq: 5, card: bytes(6), proof };
    vec![
        BusMessage::Knock { device, did, name: "db.alice.dgns.test".to_owned(), card: bytes(6), proof: None },
        BusMessage::Knock { device, did, name: "a.b".to_owned(), card: bytes(6), proof: Some(bytes(7)) },
        BusMessage::Signal { device, did, signal: signal(None) },
        BusMessage::Signal { device, did, signal: signal(Some(bytes(7))) },
        BusMessage::Ack { device, peer: [3; 32], sess: [4; 16], seq: 5 },
        BusMessage::Ask { name: "db.alice.dgns.test".to_owned() },
        BusMessage::Hosts { name: "a.b".to_owned(), hosts: Vec::new() },
        BusMessage::Hosts {
            name: "a.b".to_owned(),
            hosts: vec![there(Guard::Certified), there(Guard::listed([8; 16], &[did])), there(Guard::Guests)],
        },
        BusMessage::Sizes { name: "a.b".to_owned(), sizes: vec![([1; 16], 2), ([3; 16], 400)] },
        BusMessage::Grown(Grown {
            news: News { site: Site { name: "a.b".to_owned(), log: [1; 16] }, size: 7 },
            owner: did,
            visible: Visible::Authorised,
            guard: Guard::listed([8; 16], &[did]),
        }),
    ]
}

#[test]
fn vectors_of_the_bus() {
    // Goal: what one node writes another reads, and nothing else. Method: each kind; every prefix and every byte of it changed.
    let from = [9; 8];
    let mut cases = Vec::new();
    for message in samples() {
        let bytes = message.encode(&from);
        assert_eq!(BusMessage::decode(&bytes), Ok((from, message.clone())));
        for at in 0..bytes.len() {
            assert!(BusMessage::decode(&bytes[..at]).is_err());
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_ne!(BusMessage::decode(&flipped), Ok((from, message.clone())));
        }
        cases.push(json!({ "message": hex(&bytes) }));
    }
    for bad in ["", "a0", "a100187f", "a3000401480909090909090909025820"] {
        assert!(BusMessage::decode(&data_encoding::HEXLOWER.decode(bad.as_bytes()).unwrap()).is_err());
        cases.push(json!({ "message": bad, "refused": true }));
    }
    let alive = Alive { node: from, url: "https://id.example".to_owned() };
    assert_eq!(Alive::decode(&alive.encode()), Ok(alive.clone()));
    cases.push(json!({ "alive": hex(&alive.encode()) }));
    for url in ["ftp://id.example", "https://id.example/", &format!("https://{}", "x".repeat(250))] {
        let bytes = Alive { node: from, url: url.to_owned() }.encode();
        assert!(Alive::decode(&bytes).is_err());
        cases.push(json!({ "alive": hex(&bytes), "refused": true }));
    }
    let errand = |wanted| Errand { device: [1; 32], did: Did::from_bytes([2; 20]), wanted };
    let after = Site { name: "db.alice.dgns.test".to_owned(), log: [4; 16] };
    for wanted in [Wanted::Done(Bytes::from_static(&[7; 9])), Wanted::Joined(None), Wanted::Joined(Some(after))] {
        let errand = errand(wanted);
        let bytes = errand.encode();
        assert_eq!(Errand::decode(&bytes), Ok(errand));
        assert!((0..bytes.len()).all(|at| Errand::decode(&bytes[..at]).is_err()));
        cases.push(json!({ "errand": hex(&bytes) }));
    }
    let long = errand(Wanted::Done(Bytes::from(vec![0; FRAME_BYTES_MAX + 1])));
    assert!(Errand::decode(&long.encode()).is_err());
    let badly_named = errand(Wanted::Joined(Some(Site { name: "..".to_owned(), log: [4; 16] })));
    assert!(Errand::decode(&badly_named.encode()).is_err());
    cases.push(json!({ "device": hex(&[1; 32]), "hash": hex(&device_hash(&[1; 32])) }));
    cases.push(json!({ "name": "db.alice.dgns.test", "hash": hex(&name_hash("db.alice.dgns.test")) }));
    hold(
        "lobby_bus",
        &["What nodes of a lobby hand each other (PROTOCOL 23.16); what a name is called there."],
        &cases,
    );
}
