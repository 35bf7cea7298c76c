//! Messages of a channel: every kind, what is none, and the vectors of both.

use serde_json::json;

use super::*;
use crate::limits::CHUNK_BYTES;
use crate::vectors::{hex, hold};

fn samples() -> Vec<Said> {
    let (id, root, path) = (7, [5; 32], "logs/2026.log".to_owned());
    let file = |path: &str| Listed { path: path.to_owned(), size: 65_537, modified_s: 1_700_000_000 };
    vec![
        Said::Hello { envelope: vec![1; 100], head: Some(vec![2; SHOWN_HEAD_BYTES_MAX]) },
        Said::Hello { envelope: vec![1; 100], head: None },
        Said::Welcome,
        Said::Err { id, code: "not_found".to_owned() },
        Said::List { id, after: String::new() },
        Said::Open { id, path: path.clone() },
        Said::Ids { id, root, from: 400 },
        Said::Chunk { id, root, index: 3 },
        Said::Tail { id, path, from: 1 << 33 },
        Said::Stop { id },
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
    vec![
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
            Said::Hello { envelope: vec![], head: Some(vec![0; SHOWN_HEAD_BYTES_MAX + 1]) }.encode(),
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
