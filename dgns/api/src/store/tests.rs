//! The formats of databases against vectors: what another implementation has to take, and to refuse with which code.

use identity::did::Did;
use identity::key::SigningKey;
use identity::name::Origin;
use identity::sealed::Sealed;
use identity::token::Rights;
use serde_json::{Value, json};

use super::acl::{Acl, AclRefusal, Standing};
use super::anchor::{AnchorTree, AnchoredHead, Changes, label};
use super::answer::{Cursor, Range, Receipts, encode_range};
use super::content;
use super::control::{Control, DbKind, KeyBox};
use super::entry::{Class, Entry, EntryError, Header, LogId, LogKind, decode_request, encode_request, parse_id};
use super::head::{SignedHead, StoreHead};
use super::place::Place;
use crate::vectors::{hex, hold};

mod forks;
mod owners;
mod partitions;

fn home() -> Origin {
    Origin::parse("dgns.test/log").unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn db() -> Did {
    Did::from_bytes([7; 20])
}

fn person() -> Did {
    Did::from_bytes([8; 20])
}

fn header() -> Header {
    Header {
        class: Class::Data,
        log: LogId::of(&db(), 1, LogKind::Shared, "main"),
        author: person(),
        device: key().public(),
        lsn: 3,
        prev: Some([5; 32]),
        epoch: 1,
        refs: Vec::new(),
        body_bytes: 0,
        body: [0; 32],
        expect: None,
        unix_ms: 1_700_000_000_000,
    }
}

fn signed(header: Header, body: &[u8]) -> Entry {
    Entry::sign(header, body.to_vec(), &home(), &key()).unwrap()
}

fn statements() -> Vec<(&'static str, Control)> {
    let sealed = || Sealed { enc: [1; 32], ct: vec![2; 48] };
    let boxes = vec![KeyBox { did: person(), generation: 2, sealed: sealed() }];
    vec![
        ("genesis", Control::Genesis { did: db(), kind: DbKind::General, home: home(), salt: [9; 16] }),
        ("grant", Control::Grant { gid: 1, did: person(), rights: Rights::ALL, until_s: 2_000_000_000 }),
        ("first key", Control::KeyEpoch { gid: 1, epoch: 1, boxes: boxes.clone(), previous: None }),
        ("next key", Control::KeyEpoch { gid: 1, epoch: 2, boxes, previous: Some(sealed()) }),
        ("log", Control::Log { gid: 1, kind: LogKind::Shared, label: "main".into() }),
        ("revoke", revoke(person(), 4)),
        ("revoke of a group that has no log", Control::Revoke { gid: 1, did: person(), cuts: Vec::new() }),
        ("owner", Control::Owner { did: person(), yes: true }),
        ("owner no more wanted", Control::Owner { did: person(), yes: false }),
        ("leave", Control::Leave),
        ("for deleting", Control::Delete { yes: true }),
        ("not for deleting any more", Control::Delete { yes: false }),
        ("tombstone", Control::Tombstone { ends: vec![(LogId([1; 32]), 4), (LogId([2; 32]), 0)] }),
        ("trim", Control::Trim { log: LogId([1; 32]), to: 4, snapshot: 9 }),
        ("tombstone of a database without logs", Control::Tombstone { ends: Vec::new() }),
        ("fork", fork_of([[1; 32], [2; 32]])),
        (
            "fork of a database without logs",
            Control::Fork { source: db(), did: person(), salt: [9; 16], base: Vec::new() },
        ),
        ("moved", moved_to("https://other.example", [[1; 32], [2; 32]])),
        ("moved, a database without logs", Control::Moved { to: place("http://127.0.0.1:1"), heads: Vec::new() }),
        ("genesis of a profile", Control::Genesis { did: db(), kind: DbKind::Profile, home: home(), salt: [9; 16] }),
        (
            "genesis of a subscription database",
            Control::Genesis { did: db(), kind: DbKind::Subscription, home: home(), salt: [9; 16] },
        ),
    ]
}

/// Revokes somebody behind so many entries of the log `main`.
fn revoke(did: Did, size: u64) -> Control {
    Control::Revoke { gid: 1, did, cuts: vec![(LogId::of(&db(), 1, LogKind::Shared, "main"), size)] }
}

#[test]
fn vectors_of_databases() {
    let mut cases = Vec::new();
    for (gid, kind, label) in
        [(0, LogKind::Control, ""), (1, LogKind::Shared, "main"), (70_000, LogKind::Shared, "a.b-c_9")]
    {
        let given = json!({"db": hex(db().as_bytes()), "gid": gid, "kind": kind as u8, "label": label});
        let id = LogId::of(&db(), gid, kind, label);
        cases.push(json!({"op": "log", "name": format!("log {label}"), "in": given, "out": {"id": hex(&id.0)}}));
    }
    let first = Header { lsn: 0, prev: None, ..header() };
    let control = Header { class: Class::Control, log: LogId::control(&db()), author: db(), epoch: 0, ..header() };
    let good = signed(header(), b"sealed");
    for (name, entry) in [
        ("data", good.clone()),
        ("the first of a device", signed(first, b"")),
        ("one that must follow a head", signed(Header { expect: Some((4, [6; 32])), ..header() }, b"sealed")),
        ("one of a partition", signed(Header { class: Class::Plain, epoch: 0, ..header() }, b"plain")),
        ("control", signed(control, &statements()[0].1.encode())),
        ("a snapshot", signed(Header { class: Class::Snapshot, refs: vec![[1; 32]], ..header() }, b"sealed")),
        ("one that names two chunks", signed(Header { refs: vec![[1; 32], [2; 32]], ..header() }, b"sealed")),
        ("one that names as many chunks as may be", signed(Header { refs: chunks(48), ..header() }, b"sealed")),
    ] {
        cases.push(entry_case(name, &entry.encode()));
    }
    cases.extend(refused_entries(&good));
    for (name, statement) in statements() {
        cases.push(control_case(name, &statement.encode()));
    }
    for (name, bytes) in [
        ("a group that has no members", Control::Revoke { gid: 0, did: person(), cuts: Vec::new() }.encode()),
        ("a revoke that says nothing of the logs", revoke_without_cuts()),
        ("a revoke that names a log twice", revoke_of([[1; 32], [1; 32]]).encode()),
        ("a revoke that names logs in another order", revoke_of([[2; 32], [1; 32]]).encode()),
        ("a first key with one before", vec![0x85, 4, 1, 1, 0x80, 0x82]),
        ("a genesis of no kind", [[0x85, 1, 0x54].as_slice(), db().as_bytes(), &[9, 0x60, 0x40]].concat()),
        ("a label in capitals", Control::Log { gid: 1, kind: LogKind::Shared, label: "Main".into() }.encode()),
        ("a log of somebody's proofs", Control::Log { gid: 1, kind: LogKind::Proofs, label: "x".into() }.encode()),
        ("a second control log", Control::Log { gid: 1, kind: LogKind::Control, label: "x".into() }.encode()),
        ("a tombstone that names a log twice", tombstone_of([[1; 32], [1; 32]]).encode()),
        ("a tombstone that names logs in another order", tombstone_of([[2; 32], [1; 32]]).encode()),
        ("a tombstone that says nothing of the logs", vec![0x81, 14]),
        ("a fork that names a log twice", fork_of([[1; 32], [1; 32]]).encode()),
        ("a fork that names logs in another order", fork_of([[2; 32], [1; 32]]).encode()),
        ("half a fork", fork_of([[1; 32], [2; 32]]).encode()[..60].to_vec()),
        ("moved with a log twice", moved_to("https://other.example", [[1; 32], [1; 32]]).encode()),
        ("moved with logs in another order", moved_to("https://other.example", [[2; 32], [1; 32]]).encode()),
        ("moved to nowhere", moved_to("", [[1; 32], [2; 32]]).encode()),
        ("moved to a URL with a space", moved_to("https://other.example/ x", [[1; 32], [2; 32]]).encode()),
        ("moved to a URL of 256 bytes", moved_to(&"x".repeat(256), [[1; 32], [2; 32]]).encode()),
        ("half a move", moved_to("https://other.example", [[1; 32], [2; 32]]).encode()[..60].to_vec()),
        ("a trim that names no snapshot", [[0x83, 7, 0x58, 32].as_slice(), &[1; 32], &[4]].concat()),
        ("two times for deleting", vec![0x82, 13, 2]),
        ("for deleting in words", vec![0x82, 13, 0xf5]),
        ("a leave of somebody else", vec![0x82, 12, 0x41, 0]),
        ("an unknown statement", vec![0x81, 0x18, 0x63]),
        ("nothing", Vec::new()),
    ] {
        cases.push(control_case(name, &bytes));
    }
    let head =
        StoreHead { log: header().log, size: 9, root: [4; 32], time_ms: 1_700_000_000_000, store: db(), since: None };
    let envelope = SignedHead::sign(&head, &home(), &key());
    cases.push(head_case("a head", envelope.as_bytes()));
    let mut changed = envelope.as_bytes().to_vec();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    cases.push(head_case("a head with another signature", &changed));
    cases.push(head_case("half a head", &envelope.as_bytes()[..40]));
    let anchored = StoreHead { since: Some(12), ..head };
    cases.push(head_case("a head behind an anchor", SignedHead::sign(&anchored, &home(), &key()).as_bytes()));
    cases.extend(anchors());
    cases.extend(owners::cases());
    cases.extend(forks::cases());
    cases.extend(partitions::cases());
    hold(
        "databases",
        &[
            "Entries, control statements and heads of databases (PROTOCOL 25). Bytes are hexadecimal.",
            "The home is dgns.test/log, the key of heads and entries that of the seed 01 x 32.",
            "op log: in.db, gid, kind, label -> id. op entry: in.entry -> leaf or an error. op control: in.body -> {} or an error.",
            "op head: in.head -> size, root or an error. op anchored: in.log, salt, head -> label, hash or an error.",
            "op changes: in.changes -> the root of the tree after them, alone, or an error.",
            "op fork: in.db, said [[author, body], ...] -> db, and by log its parts [[log, size, root], ...], after them, or the error of the last; standings of in.asked [[log, place, author, epoch], ...].",
            "op proof: in.body, user -> salt, or db, pos, epoch and to, [gid, until s] of a grant to the user or null, or left; or an error.",
            "op sealed_invitation: in.body -> generation, bytes of the box, or an error. op invitation: in.plain -> db or null, text, or an error.",
            "op owners: in.db, said [[author, body], ...] -> owners, lacking, stage, tombstone after them, or in.said and the error of the last.",
        ],
        &cases,
    );
}

fn revoke_of(logs: [[u8; 32]; 2]) -> Control {
    Control::Revoke { gid: 1, did: person(), cuts: logs.map(|log| (LogId(log), 4)).to_vec() }
}

fn tombstone_of(logs: [[u8; 32]; 2]) -> Control {
    Control::Tombstone { ends: logs.map(|log| (LogId(log), 4)).to_vec() }
}

fn fork_of(logs: [[u8; 32]; 2]) -> Control {
    let base = logs.map(|log| (LogId(log), 4, [5; 32])).to_vec();
    Control::Fork { source: db(), did: person(), salt: [9; 16], base }
}

fn place(url: &str) -> Place {
    let origin = Origin::parse("other.test/log").unwrap();
    Place { server: Did::from_bytes([6; 20]), url: url.to_owned(), origin, key: [3; 32] }
}

fn moved_to(url: &str, logs: [[u8; 32]; 2]) -> Control {
    Control::Moved { to: place(url), heads: logs.map(|log| (LogId(log), 4, [5; 32])).to_vec() }
}

fn revoke_without_cuts() -> Vec<u8> {
    let mut writer = identity::wire::Writer::new();
    writer.array(3).uint(3).uint(1).bytes(person().as_bytes());
    writer.finish()
}

/// Heads as anchors have them, and what an anchor changes.
fn anchors() -> Vec<Value> {
    let first = AnchoredHead { version: 1, size: 4, root: [4; 32], prev: None, k: 2 };
    let second = AnchoredHead { version: 2, size: 9, prev: Some(first.hash()), ..first };
    let changes = AnchorTree::default().next([([1; 32], 4, [4; 32]), ([2; 32], 1, [5; 32])]);
    let mut bytes = changes.encode();
    let mut cases = vec![
        anchored_case("the first head of a log in an anchor", &first.encode()),
        anchored_case("the second", &second.encode()),
        anchored_case("version 1 behind another", &AnchoredHead { version: 1, ..second }.encode()),
        anchored_case("version 2 behind none", &AnchoredHead { version: 2, ..first }.encode()),
        anchored_case("a head of no entry", &AnchoredHead { size: 0, ..first }.encode()),
        changes_case("the first anchor", &bytes),
        changes_case("half of it", &bytes[..bytes.len() / 2]),
    ];
    bytes.push(0);
    cases.push(changes_case("a byte more behind it", &bytes));
    let twice = Changes { heads: vec![changes.heads[0]; 2], ..changes };
    cases.push(changes_case("one label twice", &twice.encode()));
    cases
}

fn anchored_case(name: &str, bytes: &[u8]) -> Value {
    let (log, salt) = (LogId([7; 32]), [8; 16]);
    let given = json!({"log": hex(&log.0), "salt": hex(&salt), "head": hex(bytes)});
    match AnchoredHead::decode(bytes) {
        Ok(head) => {
            let out = json!({"label": hex(&label(&log, &salt)), "hash": hex(&head.hash())});
            json!({"name": name, "op": "anchored", "in": given, "out": out})
        }
        Err(error) => json!({"name": name, "op": "anchored", "in": given, "error": error.code()}),
    }
}

fn changes_case(name: &str, bytes: &[u8]) -> Value {
    let given = json!({"changes": hex(bytes)});
    match Changes::decode(bytes) {
        Ok(changes) => {
            let mut tree = AnchorTree::default();
            tree.apply(&changes).unwrap();
            json!({"name": name, "op": "changes", "in": given, "out": {"root": hex(&tree.map().root())}})
        }
        Err(error) => json!({"name": name, "op": "changes", "in": given, "error": error.code()}),
    }
}

fn refused_entries(good: &Entry) -> Vec<Value> {
    let bytes = good.encode();
    let mut signature = bytes.clone();
    let at = good.header_bytes().len() + 10;
    signature[at] ^= 1;
    let mut body = bytes.clone();
    let last = body.len() - 1;
    body[last] ^= 1;
    let raw = |header: &Header| {
        let mut writer = identity::wire::Writer::new();
        super::entry::write_parts(&mut writer, &header.encode(), good.signature(), good.body());
        writer.finish()
    };
    let of_body = Header { body_bytes: 6, body: content::id_of(b"sealed"), ..header() };
    vec![
        entry_case("another signature", &signature),
        entry_case("another body", &body),
        entry_case("a byte more", &[&bytes[..], &[0]].concat()),
        entry_case("a byte less", &bytes[..bytes.len() - 1]),
        entry_case("a first entry that names one before", &raw(&Header { lsn: 0, ..of_body.clone() })),
        entry_case("a later entry that names none", &raw(&Header { prev: None, ..of_body.clone() })),
        entry_case("data without a key", &raw(&Header { epoch: 0, ..of_body.clone() })),
        entry_case("of a partition, under a key", &raw(&Header { class: Class::Plain, ..of_body.clone() })),
        entry_case("of a partition, behind a head", &{
            let refs = Vec::new();
            raw(&Header { class: Class::Plain, epoch: 0, refs, expect: Some((3, [7; 32])), ..of_body.clone() })
        }),
        entry_case("control under a key", &raw(&Header { class: Class::Control, ..of_body.clone() })),
        entry_case("a chunk named twice", &raw(&Header { refs: vec![[1; 32]; 2], ..of_body.clone() })),
        entry_case("chunks in another order", &raw(&Header { refs: vec![[2; 32], [1; 32]], ..of_body.clone() })),
        entry_case("more chunks than may be", &raw(&Header { refs: chunks(49), ..of_body.clone() })),
        entry_case("no chunks, spelled out", &spelled_out(&Header { refs: vec![[1; 32]], ..of_body.clone() }, good)),
        entry_case(
            "control that names a chunk",
            &raw(&Header { class: Class::Control, epoch: 0, refs: vec![[1; 32]], ..of_body }),
        ),
    ]
}

/// So many chunks, ascending.
fn chunks(count: u8) -> Vec<content::ContentId> {
    (0..count).map(|number| [number; 32]).collect()
}

/// An entry whose list of one chunk is an empty one.
fn spelled_out(header: &Header, good: &Entry) -> Vec<u8> {
    let bytes = header.encode();
    let one = [&[9, 0x81, 0x58, 32][..], &[1; 32]].concat();
    let at = bytes.windows(one.len()).position(|window| window == one).unwrap();
    let bytes = [&bytes[..at], &[9, 0x80], &bytes[at + one.len()..]].concat();
    let mut writer = identity::wire::Writer::new();
    super::entry::write_parts(&mut writer, &bytes, good.signature(), good.body());
    writer.finish()
}

fn entry_case(name: &str, bytes: &[u8]) -> Value {
    let given = json!({"entry": hex(bytes)});
    let read = Entry::decode(bytes).and_then(|entry| entry.verify(&home()).map(|()| entry));
    if let Ok(entry) = &read {
        assert_eq!(entry.encode(), bytes);
    }
    outcome("entry", name, given, read.map(|entry| json!({"leaf": hex(&entry.leaf())})).map_err(EntryError::code))
}

fn control_case(name: &str, bytes: &[u8]) -> Value {
    let read = Control::decode(bytes);
    if let Ok(control) = &read {
        assert_eq!(control.encode(), bytes);
    }
    outcome("control", name, json!({"body": hex(bytes)}), read.map(|_| json!({})).map_err(|error| error.code()))
}

fn head_case(name: &str, bytes: &[u8]) -> Value {
    let read = SignedHead::decode(bytes).map_err(|error| error.code());
    let read = read.and_then(|head| {
        head.verify(&home(), &key().public()).map_err(|_| "bad_signature")?;
        Ok(json!({"size": head.head().size, "root": hex(&head.head().root)}))
    });
    outcome("head", name, json!({"head": hex(bytes)}), read)
}

fn outcome(op: &str, name: &str, given: Value, result: Result<Value, &str>) -> Value {
    match result {
        Ok(out) => json!({"op": op, "name": name, "in": given, "out": out}),
        Err(code) => json!({"op": op, "name": name, "in": given, "error": code}),
    }
}

#[test]
fn requests_and_answers_are_read_as_they_were_written() {
    let entries = [signed(header(), b"one"), signed(Header { lsn: 4, ..header() }, b"two")];
    assert_eq!(decode_request(&encode_request(&entries)).as_deref(), Ok(&entries[..]));
    assert_eq!(decode_request(&encode_request(&[])).map_err(EntryError::code), Err("bad_field"));
    let many = vec![entries[0].clone(); 65];
    assert_eq!(decode_request(&encode_request(&many)).map_err(EntryError::code), Err("too_large"));
    let elsewhere = signed(Header { log: LogId([1; 32]), ..header() }, b"one");
    let mixed = [entries[0].clone(), elsewhere];
    assert_eq!(decode_request(&encode_request(&mixed)).map_err(EntryError::code), Err("bad_field"));

    let head = StoreHead { log: header().log, size: 9, root: [4; 32], time_ms: 5, store: db(), since: None };
    let head = SignedHead::sign(&head, &home(), &key());
    let receipts = Receipts { places: vec![(8, vec![[1; 32]])], head: head.clone(), consistency: vec![[2; 32]; 3] };
    assert_eq!(Receipts::decode(&receipts.encode()), Ok(receipts));
    let bytes: Vec<Vec<u8>> = entries.iter().map(Entry::encode).collect();
    let (edge, rest) = (vec![[3; 32]], Vec::new());
    let range =
        Range { from: 7, entries: entries.to_vec(), head: head.clone(), edge, consistency: vec![[2; 32]], rest };
    let paths = [&range.edge[..], &range.consistency, &range.rest];
    assert_eq!(Range::decode(&encode_range(7, &bytes, &head, paths)), Ok(range.clone()));
    for cursor in [Cursor { next: 0, last: None }, Cursor { next: 4, last: Some([1; 32]) }] {
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
    }
    assert!(Cursor::decode(&Cursor { next: 4, last: None }.encode()).is_err());
    assert!(parse_id(&"0a".repeat(32)).is_ok());
    for wrong in ["", "../../etc/passwd", &"0A".repeat(32), &"0a".repeat(33), &"é".repeat(32)] {
        assert!(parse_id(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_who_may_says_who_may() {
    let log = LogId::control(&db());
    let (stranger, reader) = (Did::from_bytes([1; 20]), Did::from_bytes([2; 20]));
    let all = statements();
    let genesis = &all[0].1;
    assert_eq!(Acl::begin(&log, &person(), genesis), Err(AclRefusal::Genesis), "by another");
    assert_eq!(Acl::begin(&LogId([0; 32]), &db(), genesis), Err(AclRefusal::Genesis), "in another log");
    assert_eq!(Acl::begin(&log, &db(), &all[1].1), Err(AclRefusal::Genesis), "none");
    let mut acl = Acl::begin(&log, &db(), genesis).unwrap();
    let grant = |did, rights, until_s| Control::Grant { gid: 1, did, rights, until_s };
    let turn = |epoch, dids: &[Did]| {
        let sealed = || Sealed { enc: [1; 32], ct: vec![2; 48] };
        let boxes = dids.iter().map(|did| KeyBox { did: *did, generation: 1, sealed: sealed() }).collect();
        Control::KeyEpoch { gid: 1, epoch, boxes, previous: (epoch > 1).then(sealed) }
    };
    let steps = [
        (db(), genesis.clone(), Err(AclRefusal::Genesis)),
        (person(), grant(person(), Rights::READ, 9), Err(AclRefusal::NotAllowed)),
        (db(), all[4].1.clone(), Err(AclRefusal::NotAllowed)),
        (db(), grant(person(), Rights::READ.and(Rights::GRANT), 100), Ok(())),
        (person(), grant(reader, Rights::READ, 101), Err(AclRefusal::Wider)),
        (person(), grant(reader, Rights::WRITE, 100), Err(AclRefusal::Wider)),
        (person(), grant(reader, Rights::READ, 100), Ok(())),
        (reader, grant(stranger, Rights::READ, 100), Err(AclRefusal::NotAllowed)),
        (stranger, turn(1, &[reader, person()]), Err(AclRefusal::NotAllowed)),
        (db(), turn(2, &[reader, person()]), Err(AclRefusal::Epoch)),
        (db(), turn(1, &[person()]), Err(AclRefusal::Boxes)),
        (db(), turn(1, &[stranger, reader, person()]), Err(AclRefusal::Boxes)),
        (db(), turn(1, &[reader, person()]), Ok(())),
        (person(), all[4].1.clone(), Ok(())),
        (person(), all[4].1.clone(), Err(AclRefusal::LogExists)),
        (person(), grant(reader, Rights::READ, 99), Err(AclRefusal::Narrower)),
        (db(), grant(person(), Rights::READ, 100), Err(AclRefusal::Narrower)),
        (stranger, revoke(reader, 0), Err(AclRefusal::NotAllowed)),
        (reader, revoke(person(), 0), Err(AclRefusal::NotAllowed)),
        (reader, Control::Revoke { gid: 1, did: reader, cuts: Vec::new() }, Err(AclRefusal::Cuts)),
        (reader, revoke_of_both(reader), Err(AclRefusal::Cuts)),
        (reader, revoke(reader, 0), Ok(())),
        (db(), revoke(reader, 0), Err(AclRefusal::NotAllowed)),
        (db(), turn(2, &[person()]), Ok(())),
    ];
    for (number, (author, statement, expected)) in steps.into_iter().enumerate() {
        let before = acl.clone();
        assert_eq!(acl.apply(&author, &statement), expected, "step {number}");
        assert!(expected.is_ok() || acl == before, "step {number} changed something");
    }
    assert!(acl.may(&person(), 1, Rights::READ, 99) && !acl.may(&person(), 1, Rights::READ, 100));
    assert!(acl.may(&db(), 1, Rights::WRITE, 1_000) && !acl.may(&reader, 1, Rights::READ, 1));
    assert_eq!(acl.log_of("main").map(|(_, gid)| gid), Some(1));
}

fn revoke_of_both(did: Did) -> Control {
    let logs = ["main", "other"].map(|label| (LogId::of(&db(), 1, LogKind::Shared, label), 0));
    let mut cuts = logs.to_vec();
    cuts.sort_unstable();
    Control::Revoke { gid: 1, did, cuts }
}

#[test]
fn what_a_writer_wrote_counts_while_it_could_and_no_further() {
    // Goal: a reader alone tells what a server must not have taken. Method: a writer in epoch 2, revoked behind entry 5, back in epoch 4.
    let main = LogId::of(&db(), 1, LogKind::Shared, "main");
    let (owner, writer, reader) = (person(), Did::from_bytes([1; 20]), Did::from_bytes([2; 20]));
    let mut acl = Acl::begin(&LogId::control(&db()), &db(), &statements()[0].1).unwrap();
    let sealed = || Sealed { enc: [1; 32], ct: vec![2; 48] };
    let turn = |epoch, dids: &[Did]| {
        let boxes = dids.iter().map(|did| KeyBox { did: *did, generation: 1, sealed: sealed() }).collect();
        Control::KeyEpoch { gid: 1, epoch, boxes, previous: (epoch > 1).then(sealed) }
    };
    let grant = |did, rights| Control::Grant { gid: 1, did, rights, until_s: 100 };
    let writes = Rights::READ.and(Rights::WRITE);
    for said in [
        grant(owner, Rights::ALL),
        grant(reader, Rights::READ),
        turn(1, &[reader, owner]),
        Control::Log { gid: 1, kind: LogKind::Shared, label: "main".into() },
        turn(2, &[reader, owner]),
        grant(writer, writes),
        revoke(writer, 5),
        turn(3, &[reader, owner]),
        turn(4, &[reader, owner]),
        grant(writer, writes),
    ] {
        acl.apply(&db(), &said).unwrap();
    }
    let cases = [
        (0, owner, 1, Standing::Counts),
        (9, db(), 4, Standing::Counts),
        (0, writer, 1, Standing::Forged),
        (4, writer, 2, Standing::Counts),
        (5, writer, 2, Standing::Void),
        (5, writer, 3, Standing::Forged),
        (9, writer, 4, Standing::Counts),
        (9, writer, 5, Standing::Forged),
        (9, owner, 0, Standing::Forged),
        (1, reader, 1, Standing::Forged),
        (1, Did::from_bytes([3; 20]), 1, Standing::Forged),
    ];
    for (number, (pos, author, epoch, expected)) in cases.into_iter().enumerate() {
        assert_eq!(acl.standing(&main, pos, &author, epoch), expected, "case {number}");
    }
    assert_eq!(acl.standing(&LogId([0; 32]), 0, &owner, 1), Standing::Forged, "a log that nobody made");
}

#[test]
fn sizes_are_few_and_never_smaller() {
    let mut sizes = std::collections::BTreeSet::new();
    for bytes in (0..=1_048_576).step_by(7) {
        let padded = content::padded(bytes);
        assert!(padded >= bytes && padded >= 256 && (bytes <= 256 || padded <= bytes * 2));
        assert!(bytes <= 65_536 || padded * 4 <= bytes * 5 + 4);
        sizes.insert(padded);
    }
    assert!(sizes.len() <= 33, "{} sizes", sizes.len());
}

#[test]
fn ids_of_chunks_are_blake3() {
    // Of the published test vectors: no bytes, and one zero byte.
    let of = |bytes: &[u8]| data_encoding::HEXLOWER.encode(&content::id_of(bytes));
    assert_eq!(of(b""), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    assert_eq!(of(&[0]), "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213");
}
