//! The vectors of cards: one of each kind, and what is none.

use serde_json::json;

use super::*;
use crate::testing::{NOW, Who, origin, transport};
use crate::vectors::{hex, hold};

/// One of each kind.
fn samples() -> Vec<SignedCard> {
    let (client, host) = (Who::new(1), Who::new(2));
    let (sess, to) = ([7; 16], To::Device(host.device()));
    let offer = client.offer(sess, &host, NOW);
    let hash = offer.payload_hash();
    let mut cards = vec![offer.clone(), host.answer(&offer, NOW)];
    let transport = Transport { candidates: Vec::new(), last: true, ..transport(1) };
    let code = || "not_allowed".to_owned();
    let candidates = transport.clone().candidates;
    for body in [
        Body::Candidates { offer: hash, ufrag: "ufrg".to_owned(), candidates: super::tests::many(12), last: true },
        Body::Candidates { offer: hash, ufrag: "ufrg".to_owned(), candidates, last: false },
        Body::Deny { offer: hash, code: code() },
        Body::Bye { offer: hash, code: code() },
        Body::RestartOffer { offer: hash, transport: transport.clone() },
        Body::RestartAnswer { offer: hash, transport },
    ] {
        cards.push(client.card(sess, cards.len() as u64, to, body, NOW));
    }
    let mut with_head = offer.card().clone();
    with_head.head = Some(vec![0xaa; SHOWN_HEAD_BYTES_MAX]);
    cards.push(SignedCard::sign(&with_head, &origin(), &client.key).expect("a card with a head"));
    cards.push(Who::guest(3).offer(sess, &host, NOW));
    cards
}

/// Payloads that are no cards, each made of one that is.
fn wrong() -> Vec<(&'static str, Vec<u8>)> {
    let client = Who::new(1);
    let offer = samples()[0].card().clone();
    let changed = |change: &dyn Fn(&mut Card)| {
        let mut card = offer.clone();
        change(&mut card);
        card.encode()
    };
    fn transport(card: &mut Card) -> &mut Transport {
        match &mut card.body {
            Body::Offer { transport, .. } => transport,
            _ => unreachable!("an offer"),
        }
    }
    let deny = |code: &str| changed(&|card| card.body = Body::Deny { offer: [1; 32], code: code.to_owned() });
    let answer = changed(&|card| {
        let transport = crate::testing::transport(1);
        (card.body, card.to) = (Body::Answer { offer: [1; 32], transport }, To::Device(client.device()));
    });
    let replaced = |payload: &[u8], from: &[u8], to: &[u8]| {
        let at = payload.windows(from.len()).position(|window| window == from).expect("it is there");
        [&payload[..at], to, &payload[at + from.len()..]].concat()
    };
    let one_more = |payload: &[u8]| [&[payload[0] + 1], &payload[1..]].concat();
    let [silent, bye] = [3, 5].map(|n| samples()[n].card().encode());
    let payload = offer.encode();
    vec![
        ("bytes follow", [payload.clone(), vec![0]].concat()),
        (
            "what stands in for a DID, spelled out",
            replaced(&payload, client.did.as_bytes(), guest::stand_in(&client.device()).as_bytes()),
        ),
        ("version 2", replaced(&payload, &[0, 1, 1, 1], &[0, 2, 1, 1])),
        ("kind 0", replaced(&payload, &[0, 1, 1, 1], &[0, 1, 1, 0])),
        ("kind 8", replaced(&payload, &[0, 1, 1, 1], &[0, 1, 1, 8])),
        ("an answer to a DID", changed(&|card| card.body = Body::Deny { offer: [1; 32], code: "no".to_owned() })),
        ("an offer that answers", replaced(&payload, &[0x0d, 1, 0x0e], &[0x0d, 2, 0x0e])),
        ("an answer that offers", replaced(&answer, &[0x0d, 2, 0x0e], &[0x0d, 1, 0x0e])),
        ("a ufrag of 3", changed(&|card| transport(card).ufrag = "abc".to_owned())),
        ("a ufrag of 33", changed(&|card| transport(card).ufrag = "a".repeat(33))),
        ("a ufrag with a line break", changed(&|card| transport(card).ufrag = "abcd\r\na=x".to_owned())),
        ("a pwd of 21", changed(&|card| transport(card).pwd = "a".repeat(21))),
        ("a pwd of 65", changed(&|card| transport(card).pwd = "a".repeat(65))),
        ("13 candidates", changed(&|card| transport(card).candidates = super::tests::many(13))),
        ("port 80", changed(&|card| transport(card).candidates[0].port = 80)),
        (
            "a host name as address",
            changed(&|card| {
                transport(card).candidates[0].address = Address::Mdns("evil.example".to_owned());
            }),
        ),
        (
            "a name outside the grammar",
            changed(&|card| {
                let transport = transport(card).clone();
                card.body = Body::Offer { name: "Db.Alice".to_owned(), transport };
            }),
        ),
        ("a head of 601 bytes", changed(&|card| card.head = Some(vec![0; SHOWN_HEAD_BYTES_MAX + 1]))),
        ("a code with a capital", deny("No")),
        ("a code of 33", deny(&"n".repeat(33))),
        ("no code", deny("")),
        ("an empty list of candidates", one_more(&[&silent[..], &[0x0e, 0x80]].concat())),
        ("a last that is false", one_more(&[&silent[..], &[0x0f, 0xf4]].concat())),
        ("a bye that takes messages", one_more(&replaced(&bye, &[0x11, 0x6b], &[0x10, 1, 0x11, 0x6b]))),
    ]
}

#[test]
fn what_is_read_has_one_spelling() {
    // Goal: no two payloads are the same card. Method: every byte of one card of each kind changed, cut out and doubled; what is still
    // read is written as it was.
    let mut read = 0;
    for payload in samples().iter().map(|signed| signed.card().encode()) {
        let changed = (0..payload.len()).flat_map(|at| {
            let (before, after) = (&payload[..at], &payload[at + 1..]);
            let others = [1, 2, 0x10, 0x20, 0x80].map(|bit| [before, &[payload[at] ^ bit], after].concat());
            let lengths = [[before, after].concat(), [before, &[payload[at]; 2], after].concat()];
            others.into_iter().chain(lengths)
        });
        for changed in changed {
            if let Ok(card) = Card::decode(&changed) {
                assert_eq!(card.encode(), changed);
                read += 1;
            }
        }
    }
    assert!(read > 1_000, "{read} are read");
}

#[test]
fn vectors_of_cards() {
    let mut cases = Vec::new();
    for signed in samples() {
        let key = (1..4_u8).find(|key| Who::new(*key).device() == signed.card().from).expect("one of three");
        assert_eq!(signed.verify(&origin()), Ok(()));
        assert_eq!(SignedCard::decode(signed.as_bytes()).as_ref(), Ok(&signed));
        let (glance, card) = (Glance::of(signed.as_bytes()).expect("it is a card"), signed.card());
        assert_eq!(
            (glance.sess, glance.seq, glance.from, glance.from_did, glance.to, glance.expires_s, glance.head),
            (card.sess, card.seq, card.from, card.from_did, card.to, card.expires_s, card.head.as_deref()),
        );
        assert_eq!(glance.body.kind(), card.body.kind());
        cases.push(json!({
            "kind": signed.card().body.kind(),
            "seed": hex(&[key; 32]),
            "origin": origin().as_str(),
            "payload": hex(&signed.card().encode()),
            "envelope": hex(signed.as_bytes()),
            "payload_hash": hex(&signed.payload_hash()),
        }));
    }
    for (what, payload) in wrong() {
        let envelope = Signed::sign(DOMAIN, &origin(), &payload, &Who::new(1).key);
        let error = SignedCard::decode(envelope.as_bytes()).expect_err(what);
        assert_eq!(Glance::of(envelope.as_bytes()), Err(error), "{what}");
        cases.push(json!({"what": what, "envelope": hex(envelope.as_bytes()), "refused": error.code()}));
    }
    let about = [
        "Cards (PROTOCOL 23.3): payload, envelope signed with the key of the seed, SHA-256 of the payload; what is refused, and how.",
    ];
    hold("lobby_cards", &about, &cases);
}
