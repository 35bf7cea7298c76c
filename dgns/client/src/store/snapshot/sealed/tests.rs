use dgns_api::store::entry::LogId;
use dgns_api::store::limits::{PIECE_BYTES, RECORD_BYTES_MAX};
use identity::did::Did;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::store::snapshot::build::FULL_BYTES;
use crate::vectors::{hex, hold};

fn row(pos: u64, records: Vec<Record>) -> Row {
    Row { pos, epoch: 1, author: Did::from_bytes([7; 20]), unix_ms: 1_700_000_000_000, records }
}

fn text(bytes: &[u8]) -> Record {
    Record::Bytes(bytes.to_vec())
}

fn place() -> BodyPlace {
    BodyPlace { log: LogId([3; 32]), device: [4; 32], lsn: 5, epoch: 2 }
}

fn group() -> GroupKey {
    Zeroizing::new([1; 32])
}

fn filled(rows: Vec<Row>) -> (Part, Vec<u8>) {
    let mut filling = Filling::default();
    rows.into_iter().for_each(|row| assert_eq!(filling.add(row), None));
    filling.seal(&group())
}

fn manifest_case(name: &str, place: &BodyPlace, refs: &[ContentId], body: &[u8]) -> Value {
    let BodyPlace { log, device, lsn, epoch } = place;
    let names: Vec<Value> = refs.iter().map(|id| hex(id)).collect();
    let given = json!({"key": hex(group().as_ref()), "log": hex(&log.0), "device": hex(device), "lsn": lsn, "epoch": epoch, "refs": names, "body": hex(body)});
    match open_manifest(&group(), place, refs, body) {
        Ok(Manifest { size, root, before, parts }) => {
            let parts: Vec<Value> = parts.iter().map(shown).collect();
            let out = json!({"size": size, "root": hex(&root), "before": before, "parts": parts});
            json!({"op": "manifest", "name": name, "in": given, "out": out})
        }
        Err(NotOpened) => json!({"op": "manifest", "name": name, "in": given, "error": "not_opened"}),
    }
}

fn shown(part: &Part) -> Value {
    json!({"at": part.at, "id": hex(&part.id), "key": hex(&part.key), "records": part.records, "bytes": part.bytes})
}

fn part_case(name: &str, part: &Part, chunk: &[u8]) -> Value {
    let given = json!({"part": shown(part), "chunk": hex(chunk)});
    match open_part(part, chunk) {
        Ok(rows) => {
            let row = |row: &Row| {
                let records = row.records.iter().map(|record| match record {
                    Record::Bytes(bytes) => hex(bytes),
                    Record::Pieces(record) => json!({"bytes": record.bytes, "pieces": record.pieces.len()}),
                });
                let records: Vec<Value> = records.collect();
                json!({"pos": row.pos, "epoch": row.epoch, "author": hex(row.author.as_bytes()), "unix_ms": row.unix_ms, "records": records})
            };
            json!({"op": "part", "name": name, "in": given, "out": {"rows": rows.iter().map(row).collect::<Vec<_>>()}})
        }
        Err(NotOpened) => json!({"op": "part", "name": name, "in": given, "error": "not_opened"}),
    }
}

/// A part whose plaintext is what it is.
fn raw(records: u64, plaintext: &[u8]) -> (Part, Vec<u8>) {
    let (key, chunk) = seal::seal_part(&group(), plaintext);
    (Part { at: None, id: content::id_of(&chunk), key, records, bytes: plaintext.len() as u64 }, chunk)
}

#[test]
fn vectors_of_snapshots() {
    let large = Record::Pieces(Pieces { bytes: 70_000, pieces: vec![([8; 32], [9; 32])] });
    let (part, chunk) = filled(vec![row(0, vec![text(b"one"), text(b"")]), row(3, vec![large])]);
    let older = Part { at: Some(4), id: [6; 32], key: [7; 32], records: 900, bytes: PIECE_BYTES as u64 };
    let manifest = Manifest { size: 9, root: [5; 32], before: Some(4), parts: vec![older.clone(), part.clone()] };
    let body = |manifest: &Manifest| seal::seal_snapshot(&group(), &place(), manifest.encode(), &[7; 24]);
    let raw_body = |said: &[u8]| seal::seal_snapshot(&group(), &place(), said.to_vec(), &[7; 24]);
    let (good, refs) = (body(&manifest), manifest.refs());
    let first = Manifest { before: None, parts: vec![part.clone()], ..manifest.clone() };
    let nothing = Manifest { before: None, parts: Vec::new(), ..manifest.clone() };
    let with = |part: Part| body(&Manifest { parts: vec![part], ..nothing.clone() });
    let case = |name: &str, body: &[u8]| manifest_case(name, &place(), &refs, body);
    let elsewhere = |name: &str, place: BodyPlace| manifest_case(name, &place, &refs, &good);
    let mut changed = good.clone();
    changed[30] ^= 1;
    let mut cases = vec![
        case("one that goes on from another", &good),
        case("the first", &body(&first)),
        case("one without records", &body(&nothing)),
        manifest_case("a part that its entry does not name", &place(), &[], &good),
        manifest_case("parts that others name alone", &place(), &[], &with(older.clone())),
        elsewhere("another log", BodyPlace { log: LogId([9; 32]), ..place() }),
        elsewhere("another device", BodyPlace { device: [9; 32], ..place() }),
        elsewhere("another place of the device", BodyPlace { lsn: 6, ..place() }),
        elsewhere("another epoch", BodyPlace { epoch: 1, ..place() }),
        case("other bytes", &changed),
        case("a part without records", &with(Part { records: 0, ..older.clone() })),
        case("a part without bytes", &with(Part { bytes: 0, ..older.clone() })),
        case("a part larger than any", &with(Part { bytes: PIECE_BYTES as u64 + 1, ..older })),
        case("padding that is none", &raw_body(&[&first.encode()[..], &[1]].concat())),
        case("half of it", &raw_body(&manifest.encode()[..60])),
        case("records", &seal::seal_records(&group(), &place(), &[text(b"one")], &mut Fixed)),
        part_case("records in an entry and in chunks", &part, &chunk),
    ];
    let wrong = |name: &str, part: Part| part_case(name, &part, &chunk);
    cases.extend([
        wrong("another key", Part { key: [2; 32], ..part.clone() }),
        wrong("more records than there are", Part { records: 4, ..part.clone() }),
        wrong("more bytes than there are", Part { bytes: part.bytes + 1, ..part.clone() }),
        wrong("fewer bytes than there are", Part { bytes: part.bytes - 1, ..part.clone() }),
        part_case("another chunk", &part, &filled(vec![row(0, vec![text(b"two")])]).1),
    ]);
    for (name, records, plaintext) in [
        ("entries in another order", 2, encode_rows(&[row(3, vec![text(b"a")]), row(2, vec![text(b"b")])])),
        ("an entry twice", 2, encode_rows(&[row(3, vec![text(b"a")]), row(3, vec![text(b"b")])])),
        ("an entry without records", 1, encode_rows(&[row(2, vec![]), row(3, vec![text(b"b")])])),
        ("a record larger than any", 1, encode_rows(&[row(3, vec![text(&[0; RECORD_BYTES_MAX + 1])])])),
        ("something behind it", 1, [&encode_rows(&[row(3, vec![text(b"a")])])[..], &[1]].concat()),
        ("nothing in it", 1, vec![0x80]),
    ] {
        let (part, chunk) = raw(records, &plaintext);
        cases.push(part_case(name, &part, &chunk));
    }
    hold(
        "snapshots",
        &[
            "Snapshots of logs (PROTOCOL 25.16). Bytes are hexadecimal.",
            "op manifest: in.key of the group, log, device, lsn, epoch, refs (key 9), body -> size, root, before, parts, or an error.",
            "op part: in.part, chunk -> its rows, of a record in chunks its bytes and how many pieces, or an error.",
        ],
        &cases,
    );
}

/// No randomness: vectors are the same again.
struct Fixed;

impl rand_core::TryRng for Fixed {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(7)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(7)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(7);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Fixed {}

#[test]
fn records_fill_parts_whole_and_come_out_in_order() {
    // Goal: a snapshot has no more parts than its bytes need, and says what its entries say. Method: entries of all sizes; what has no
    // room goes on in the next part; the rows that come out are put in again.
    let (mut rows, mut left) = (Vec::new(), Vec::new());
    for pos in 0..60_u64 {
        let records = (0..1 + pos % 9).map(|i| text(&vec![pos as u8; ((pos * 7_919 + i * 104_729) % 65_537) as usize]));
        rows.push(row(pos, records.collect()));
    }
    let parts_of = |rows: &[Row]| {
        let (mut filling, mut parts) = (Filling::default(), Vec::new());
        for row in rows {
            let mut next = Some(row.clone());
            while let Some(row) = next {
                next = filling.add(row);
                if next.is_some() {
                    parts.push(std::mem::take(&mut filling).seal(&group()));
                }
            }
        }
        parts.push(filling.seal(&group()));
        parts
    };
    let parts = parts_of(&rows);
    assert!(parts.len() > 4);
    for (part, chunk) in &parts {
        assert!(chunk.len() <= dgns_api::store::limits::ENTRY_CHUNK_BYTES_MAX);
        left.extend(open_part(part, chunk).unwrap());
    }
    let full = &parts[..parts.len() - 1];
    assert!(full.iter().all(|(part, _)| part.bytes as usize > PIECE_BYTES - RECORD_BYTES_MAX - 100));
    let flat = |rows: &[Row]| -> Vec<(u64, Record)> {
        rows.iter().flat_map(|row| row.records.iter().map(|record| (row.pos, record.clone()))).collect()
    };
    assert!(flat(&left) == flat(&rows));
    assert!(parts_of(&flat_rows(&left)) == parts, "the same chunks again");
}

#[test]
fn a_part_without_room_for_the_largest_record_is_full_however_small_its_rows_are() {
    // Goal: whoever builds does not put into one part what has no room there, again and again. Method: thousands of small rows, so many that
    // what is left takes every value, then the largest records there are, until one has no room.
    for small in (3_000..=5_000).step_by(50) {
        let mut filling = Filling::default();
        for pos in 0..small {
            assert_eq!(filling.add(row(pos, vec![text(b"a")])), None);
        }
        let left = (small..).find_map(|pos| filling.add(row(pos, vec![text(&[7; RECORD_BYTES_MAX])]))).unwrap();
        assert_eq!(left.records.len(), 1);
        let (counted, bytes) = (filling.bytes(), encode_rows(&filling.into_rows()).len());
        assert_eq!(bytes, counted + 3, "and the number of its rows");
        assert!(bytes as u64 >= FULL_BYTES, "{small} rows: {bytes}");
    }
}

/// Puts the rows of one entry together again.
fn flat_rows(rows: &[Row]) -> Vec<Row> {
    let mut whole: Vec<Row> = Vec::new();
    for row in rows {
        match whole.last_mut().filter(|last| last.pos == row.pos) {
            Some(last) => last.records.extend(row.records.clone()),
            None => whole.push(row.clone()),
        }
    }
    whole
}
