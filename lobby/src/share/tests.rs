//! Messages of a channel: every kind, what is none, and the vectors of both.

use identity::token::Token;
use serde_json::json;

use super::*;
use crate::limits::{
    ASKED_BYTES_MAX, CHUNK_BYTES, CREDENTIAL_BYTES_MAX, ENTRIES_MAX, ENVELOPE_BYTES_MAX, IDS_MAX, PIECE_BYTES_MAX,
    SHOWN_HEAD_BYTES_MAX, TARGET_BYTES_MAX, WRITTEN_BYTES_MAX,
};
use crate::vectors::{hex, hold};

fn samples() -> Vec<Said> {
    let (id, root, path) = (7, [5; 32], "logs/2026.log".to_owned());
    let (site, writes) = ("db.alice.dgns.test".to_owned(), Rights::READ.and(Rights::WRITE));
    let file = |path: &str| Listed { path: path.to_owned(), size: 65_537, modified_s: 1_700_000_000 };
    vec![
        Said::Hello { envelope: vec![1; 100], head: Some(vec![2; SHOWN_HEAD_BYTES_MAX]), token: None },
        Said::Hello { envelope: vec![1; 100], head: None, token: None },
        Said::Hello { envelope: vec![1; 100], head: Some(vec![2; 9]), token: Some("dgt1.a.b".to_owned()) },
        Said::Welcome,
        Said::Err { id, code: "not_found".to_owned() },
        Said::List { id, after: String::new() },
        Said::Open { id, path: path.clone() },
        Said::Ids { id, root, from: 400 },
        Said::Chunk { id, root, index: 3 },
        Said::Lease { id, site: site.clone(), log: path.clone(), rights: Rights::READ, credential: None },
        Said::Lease { id, site, log: path, rights: writes, credential: Some(vec![9; 70]) },
        Said::Handle {
            id,
            handle: 9,
            rights: Rights::READ,
            size: 1 << 33,
            until_s: 1_700_003_600,
            head: None,
            lsn: None,
        },
        Said::Handle { id, handle: 9, rights: writes, size: 0, until_s: 1, head: Some(root), lsn: Some(0) },
        Said::NeedProof { id, nonce: [4; 32] },
        Said::Redirect { id, to: "other.alice.dgns.test".to_owned() },
        Said::Read { id, handle: 9, from: 1 << 33 },
        Said::Stop { id },
        Said::Write { id, handle: 9, lsn: 1, entries: vec![b"one".to_vec(), vec![]], expect: None },
        Said::Write { id, handle: 9, lsn: 1 << 40, entries: vec![vec![8; WRITTEN_BYTES_MAX - 1]], expect: Some(root) },
        Said::Receipt { id, position: 3, size: 8, head: root },
        Said::Attest { id, envelope: vec![6; 300] },
        Said::Ok { id, index: Some(77) },
        Said::Ok { id, index: None },
        Said::Revoke { handle: 9, code: "lease_over".to_owned() },
        Said::Ask { id, target: format!("/v1/logs/{}/entries?from=0&limit=1", "a".repeat(64)), body: None },
        Said::Ask { id, target: "/v1/logs/a/entries".to_owned(), body: Some(4_259_840) },
        Said::Listing { id, files: vec![file("a"), file("b/ü.txt")], more: true },
        Said::Listing { id, files: vec![], more: false },
        Said::Opened { id, root, size: 9, modified_s: 1 },
        Said::IdsAre { id, ids: vec![[1; 32], [2; 32]] },
        Said::Piece { id, offset: 15_360, last: true, bytes: Bytes::from_static(&[3; 10]) },
        Said::Bye { code: "revoked".to_owned() },
    ]
}

fn wrong() -> Vec<(&'static str, Vec<u8>, SaidError)> {
    use SaidError::{BadFrame, UnknownType};
    let listing = |path: &str| {
        let files = vec![Listed { path: path.to_owned(), size: 1, modified_s: 1 }];
        Said::Listing { id: 1, files, more: false }.encode()
    };
    let open = |length: usize| Said::Open { id: 1, path: "a".repeat(length) }.encode();
    let piece = |length: usize| Said::Piece { id: 1, offset: 0, last: false, bytes: vec![0; length].into() }.encode();
    let token = |text: String| Said::Hello { envelope: vec![], head: None, token: Some(text) }.encode();
    let lease = |rights, credential: usize| {
        let (site, log) = ("a.test".to_owned(), "l".to_owned());
        Said::Lease { id: 1, site, log, rights, credential: Some(vec![0; credential]) }.encode()
    };
    let write = |entries: Vec<Vec<u8>>| Said::Write { id: 1, handle: 1, lsn: 1, entries, expect: None }.encode();
    let elsewhere = |to: String| Said::Redirect { id: 1, to }.encode();
    vec![
        ("a token of no length", token(String::new()), BadFrame),
        ("a token too long", token("a".repeat(Token::TEXT_BYTES_MAX + 1)), BadFrame),
        ("a lease to write alone", lease(Rights::WRITE, 1), BadFrame),
        ("a lease to grant", lease(Rights::ALL, 1), BadFrame),
        ("a credential too long", lease(Rights::READ, CREDENTIAL_BYTES_MAX + 1), BadFrame),
        ("no entry", write(vec![]), BadFrame),
        ("entries too many", write(vec![vec![]; ENTRIES_MAX + 1]), BadFrame),
        ("entries too long", write(vec![vec![0; WRITTEN_BYTES_MAX - 1], vec![]]), BadFrame),
        ("an entry of two lines", write(vec![b"a\nb".to_vec()]), BadFrame),
        ("a place of no length", elsewhere(String::new()), BadFrame),
        (
            "a certificate too long",
            Said::Attest { id: 1, envelope: vec![0; ENVELOPE_BYTES_MAX + 1] }.encode(),
            BadFrame,
        ),
        (
            "a target too long",
            Said::Ask { id: 1, target: "a".repeat(TARGET_BYTES_MAX + 1), body: None }.encode(),
            BadFrame,
        ),
        (
            "more to post than is taken",
            Said::Ask { id: 1, target: "a".to_owned(), body: Some(ASKED_BYTES_MAX as u64 + 1) }.encode(),
            BadFrame,
        ),
        ("nothing", vec![], BadFrame),
        ("no map", vec![0x80], BadFrame),
        ("a type that is not known", vec![0xa1, 0, 0x18, 0x77], UnknownType),
        ("no id", vec![0xa1, 0, 0x18, 0x45], BadFrame),
        ("a key too many", vec![0xa3, 0, 0x18, 0x45, 1, 1, 9, 9], BadFrame),
        ("a longer spelling", vec![0xa2, 0, 0x18, 0x45, 1, 0x18, 1], BadFrame),
        ("bytes follow", vec![0xa1, 0, 3, 0], BadFrame),
        ("a path too long", open(PATH_BYTES_MAX + 1), BadFrame),
        ("a piece too long", piece(PIECE_BYTES_MAX + 1), BadFrame),
        ("ids too many", Said::IdsAre { id: 1, ids: vec![[0; 32]; IDS_MAX + 1] }.encode(), BadFrame),
        (
            "a head too long",
            Said::Hello { envelope: vec![], head: Some(vec![0; SHOWN_HEAD_BYTES_MAX + 1]), token: None }.encode(),
            BadFrame,
        ),
        ("a code with a capital", Said::Bye { code: "No".to_owned() }.encode(), BadFrame),
        ("a path that climbs", listing("../secret"), BadFrame),
        ("a path from the top", listing("/etc/passwd"), BadFrame),
        ("a path with a line break", listing("a\nb"), BadFrame),
    ]
}

#[test]
fn vectors_of_messages_in_a_channel() {
    let mut cases = Vec::new();
    for said in samples() {
        let message = said.encode();
        assert_eq!(Said::decode(&message).as_ref(), Ok(&said));
        assert!(message.len() <= 16_384);
        cases.push(json!({ "message": hex(&message) }));
    }
    for (what, message, error) in wrong() {
        assert_eq!(Said::decode(&message), Err(error), "{what}");
        cases.push(json!({ "what": what, "message": hex(&message), "refused": error.code() }));
    }
    let chunk = vec![7; CHUNK_BYTES];
    for size in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES] {
        let bytes = chunk.iter().cycle().take(size).copied().collect::<Vec<_>>();
        let ids: Vec<Hash> = bytes.chunks(CHUNK_BYTES).map(Contents::id_of).collect();
        let contents = Contents::new(size as u64, ids.clone()).expect("as many chunks as it has");
        let ids: Vec<_> = ids.iter().map(|id| hex(id)).collect();
        cases.push(json!({ "sevens": size, "ids": ids, "root": hex(&contents.root()) }));
    }
    let about = [
        "Messages inside a channel (PROTOCOL 23.12), and what is refused; then contents: so many bytes 07, the ids of their",
        "chunks, and the root.",
    ];
    hold("peer_messages", &about, &cases);
}

#[test]
fn the_largest_messages_fit_a_browsers_channel() {
    let piece = Said::Piece { id: u64::MAX, offset: u64::MAX, last: true, bytes: vec![0; PIECE_BYTES_MAX].into() };
    let ids = Said::IdsAre { id: u64::MAX, ids: vec![[0; 32]; IDS_MAX] };
    assert!(piece.encode().len() <= 16_384 && ids.encode().len() <= 16_384);
    let lines = vec![vec![7; WRITTEN_BYTES_MAX / ENTRIES_MAX - 1]; ENTRIES_MAX];
    let write =
        Said::Write { id: u64::MAX, handle: u64::MAX, lsn: u64::MAX, entries: lines, expect: Some([0; 32]) }.encode();
    assert!(write.len() <= 16_384 && Said::decode(&write).is_ok());
}

#[test]
fn paths_stay_below_what_is_served() {
    for good in ["a", "a/b", "a b/ü", "x.y"] {
        assert!(is_path(good), "{good}");
    }
    for bad in ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", ".git/config", "a\0b", "a\\b", "a\nb", "a/..b"] {
        assert!(!is_path(bad), "{bad}");
    }
    assert!(is_path(&"a".repeat(PATH_BYTES_MAX)) && !is_path(&"a".repeat(PATH_BYTES_MAX + 1)));
}
