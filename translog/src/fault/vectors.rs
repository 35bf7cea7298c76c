//! tests/vectors/faults.json

use identity::hash::Hash;
use identity::state::Subject;
use serde_json::{Value, json};

use super::tests::{accuse, against_witness, cosigned, note, prefix, proof, proofs, rollback, same_size, signer};
use super::*;
use crate::batch::fixture::{Someone, TestLog};
use crate::entry::{Entry, Epoch};
use crate::hash::EMPTY_ROOT;
use crate::resolve::fixture::{TestLog as Lookups, name};
use crate::vectors::{hex, hold};

const ABOUT: [&str; 2] = [
    "Fault files (PROTOCOL 14.3). in: file, hexadecimal. out: key, heads [[origin, size, root], ...], says: the conviction in words.",
    "error: why it convicts nobody, or bad_fault_file.",
];

#[test]
fn fault_vectors_hold() {
    let (a, b) = (note(&signer(1), 5, [1; 32]), note(&signer(1), 5, [2; 32]));
    let of = |size, byte| cosigned(5, "example.com/log", size, [byte; 32]);
    let mut cases = vec![
        case("one size, two roots", &same_size(&a, &b), Ok(())),
        case("one head twice", &same_size(&a, &a), Err("no_contradiction")),
        case("two keys", &same_size(&a, &note(&signer(9), 5, [2; 32])), Err("fault_signature")),
        case("no note", &same_size(&a, b"no note"), Err("fault_part")),
        case("a tree that does not begin as before", &prefix(5, 12, false), Ok(())),
        case("the same of 4 leaves, a whole subtree", &prefix(4, 9, false), Ok(())),
        case("a tree that does", &prefix(5, 12, true), Err("no_contradiction")),
        case("a witness, one size, two roots", &against_witness(5, &of(5, 1), &of(5, 2)), Ok(())),
        case("another witness", &against_witness(6, &of(5, 1), &of(5, 2)), Err("fault_signature")),
        case("what a client was given", &same_size(&a, &b).of_kind(FaultKind::Answer), Err("proves_nothing")),
        case("what an audit found", &same_size(&a, &b).of_kind(FaultKind::Audit), Err("proves_nothing")),
    ];
    cases.extend(epochs());
    cases.extend(entries());
    cases.extend(rollbacks());
    let garbage = json!({"name": "another header", "in": {"file": hex(b"dgns.fault@v2\n")}, "error": "bad_fault_file"});
    assert_eq!(FaultFile::decode(b"dgns.fault@v2\n"), Err(NotAFaultFile { at: 0 }));
    cases.push(garbage);
    hold("faults", &ABOUT, &cases);
}

#[test]
fn vectors_of_whole_logs_hold() {
    // Goal: what a log convicts itself of by its entries together. Method: tests/vectors/fault_logs.json: one lie a log, and what an
    // accuser of an honest one might try.
    let honest = TestLog::new();
    let lie = |bend: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut entries = honest.entries.clone();
        bend(&mut entries);
        entries
    };
    let epoch = |entries: &mut Vec<Vec<u8>>, bend: &dyn Fn(&mut Epoch)| {
        let last = entries.last_mut().unwrap();
        let mut epoch = Epoch::decode(last).unwrap();
        bend(&mut epoch);
        *last = epoch.encode().to_vec();
    };
    let map_root = lie(&|entries| epoch(entries, &|epoch| epoch.map_root[0] ^= 1));
    let unsigned = lie(&|entries| *entries[3].last_mut().unwrap() ^= 1);
    let twice = lie(&|entries| {
        entries.insert(4, entries[3].clone());
        epoch(entries, &|epoch| epoch.covers = 5);
    });
    let newer = lie(&|entries| {
        entries.insert(4, vec![9, 1]);
        epoch(entries, &|epoch| epoch.covers = 5);
    });
    let no_epoch = lie(&|entries| drop(entries.pop()));
    let whole = |entries: &[Vec<u8>]| log_file(entries, entries, &[]);
    // Proved under a head of more leaves; the path is the tail of a tree of 5 in one of 6.
    let longer = [map_root.clone(), vec![vec![4, 0xa0]]].concat();
    let path = [root_of(&longer[4..5]), root_of(&longer[5..]), root_of(&longer[..4])];
    let cases = [
        case("an honest log", &whole(&honest.entries), Err("no_contradiction")),
        case("a map root that the entries do not make", &whole(&map_root), Ok(())),
        case("the same under a later head", &log_file(&map_root, &longer, &path), Ok(())),
        case("a signature bent", &whole(&unsigned), Ok(())),
        case("a certificate twice", &whole(&twice), Ok(())),
        case("a head that ends in no Epoch", &whole(&no_epoch), Ok(())),
        case("an unknown type", &whole(&newer), Err("no_contradiction")),
        case(
            "an honest log, cut in a batch",
            &log_file(&honest.entries[..4], &honest.entries, &[root_of(&honest.entries[4..])]),
            Err("no_contradiction"),
        ),
        case("another log's entries", &log_file(&map_root, &honest.entries, &[]), Err("fault_proof")),
        case("no entries", &log_file(&[], &honest.entries, &[]), Err("fault_part")),
        case("entries cut short", &cut(&whole(&map_root)), Err("fault_part")),
        case(
            "signed by another key",
            &FaultFile::new(FaultKind::Map, &[signer(9).verifier_key().clone()])
                .with_part("second", whole(&map_root).part("second").unwrap()),
            Err("fault_signature"),
        ),
    ];
    hold("fault_logs", &ABOUT, &cases);
}

/// What lookups leave of a log that goes back on a name, a DID, or its own absence proof.
fn rollbacks() -> Vec<Value> {
    let (mut log, alice) = Lookups::new();
    let (did, known, unknown) = (Subject::Did(alice.did), name("alice"), name("dora"));
    let [first_did, first_name, absent] = [&did, &known, &unknown].map(|subject| proof(&log, subject));
    log.batch(&[], vec![alice.leaf(1, 1, &alice.genesis)]);
    let [older_did, older_name] = [&did, &known].map(|subject| proof(&log, subject));
    log.batch(&[], vec![alice.leaf(3, 3, &alice.records)]);
    let [later_did, still_absent] = [&did, &unknown].map(|subject| proof(&log, subject));
    let mut emptied = Lookups::new().0;
    emptied.map = crate::map::Map::new();
    emptied.states.clear();
    emptied.batch(&[], Vec::new());
    let gone = proof(&emptied, &name("carol"));
    let carol = proof(&Lookups::new().0, &name("carol"));
    let of = |first: &[u8], second: &[u8]| rollback(&log.signer, first, second);
    vec![
        case("an older state of a DID", &of(&first_did, &older_did), Ok(())),
        case("an older state of a name's owner", &of(&first_name, &older_name), Ok(())),
        case("a name that is gone from the map", &of(&carol, &gone), Ok(())),
        case("a DID that went on", &of(&first_did, &later_did), Err("no_contradiction")),
        case("absent, and absent again", &of(&absent, &still_absent), Err("no_contradiction")),
        case("the later one first", &of(&later_did, &first_did), Err("fault_part")),
        case("lookups of two subjects", &of(&first_did, &older_name), Err("fault_part")),
        case("lookups of another key's log", &rollback(&signer(9), &first_did, &older_did), Err("fault_signature")),
    ]
}

/// Evidence of kind `map`: these entries, under a head of the log `signed`.
fn log_file(entries: &[Vec<u8>], signed: &[Vec<u8>], path: &[Hash]) -> FaultFile {
    let note = note(&signer(1), signed.len() as u64, root_of(signed));
    let file = FaultFile::new(FaultKind::Map, &[signer(1).verifier_key().clone()]).with_part("second", &note);
    let file = if path.is_empty() { file } else { file.with_part("path", path.as_flattened()) };
    file.with_part("log", &crate::bundle::encode(entries.iter().map(Vec::as_slice)))
}

fn cut(file: &FaultFile) -> FaultFile {
    let log = file.part("log").unwrap();
    let shorter = FaultFile::new(FaultKind::Map, file.log_keys()).with_part("second", file.part("second").unwrap());
    shorter.with_part("log", &log[..log.len() - 1])
}

fn root_of(entries: &[Vec<u8>]) -> Hash {
    let mut edge = crate::tree::Edge::new();
    entries.iter().for_each(|entry| edge.append(crate::hash::leaf_hash(entry)));
    edge.root()
}

fn epochs() -> Vec<Value> {
    let first = Epoch { k: 0, covers: 0, time_ms: 5_000, map_root: [0; 32], history_root: EMPTY_ROOT };
    let mut history = crate::tree::Edge::new();
    history.append(first.leaf_hash());
    let second = Epoch { k: 1, covers: 1, time_ms: 5_000, map_root: [1; 32], history_root: history.root() };
    let accused = |name: &str, second: Epoch, expected| {
        let proofs = proofs(&[first.encode().to_vec(), second.encode().to_vec()]);
        case(name, &accuse(FaultKind::Epoch, &proofs[1], Some(&proofs[0])), expected)
    };
    let alone = |name: &str, entry: Vec<u8>, expected| {
        let proofs = proofs(&[first.encode().to_vec(), entry]);
        case(name, &accuse(FaultKind::Epoch, &proofs[1], None), expected)
    };
    vec![
        accused("two Epochs that follow", second, Err("no_contradiction")),
        accused("time goes back", Epoch { time_ms: 4_999, ..second }, Ok(())),
        accused("an Epoch number twice", Epoch { k: 0, ..second }, Ok(())),
        accused("an Epoch number left out", Epoch { k: 2, ..second }, Ok(())),
        accused("another history", Epoch { history_root: EMPTY_ROOT, ..second }, Ok(())),
        alone("an Epoch of another index", Epoch { covers: 2, ..second }.encode().to_vec(), Ok(())),
        alone("a head that ends in no Epoch", vec![4, 0xa0], Ok(())),
        alone("a head that ends in its Epoch", second.encode().to_vec(), Err("no_contradiction")),
    ]
}

fn entries() -> Vec<Value> {
    let (_, certificates) = Someone::new(1);
    let [genesis, claim] = [0, 1].map(|at: usize| Entry::Certificate(certificates[at].clone()).encode());
    let proofs = proofs(&[genesis.clone(), claim, genesis, vec![2; 88], vec![9, 1]]);
    let mut moved = accuse(FaultKind::Entry, &proofs[0], None).part("entry").unwrap().to_vec();
    let index = moved.windows(7).position(|window| window == b"index 0").unwrap();
    moved[index + 6] = b'1';
    vec![
        case("a certificate twice", &accuse(FaultKind::Entry, &proofs[2], Some(&proofs[0])), Ok(())),
        case("a chain in order", &accuse(FaultKind::Entry, &proofs[1], Some(&proofs[0])), Err("no_contradiction")),
        case("an Epoch of 88 bytes", &accuse(FaultKind::Entry, &proofs[3], None), Ok(())),
        case("an unknown type", &accuse(FaultKind::Entry, &proofs[4], None), Err("no_contradiction")),
        case("an entry at another place", &accuse(FaultKind::Entry, &moved, None), Err("fault_proof")),
    ]
}

fn case(name: &str, file: &FaultFile, expected: Result<(), &str>) -> Value {
    let found = file.check();
    assert_eq!(found.as_ref().map(drop).map_err(NoConviction::code), expected, "{name}");
    let given = json!({"file": hex(&file.encode())});
    match found {
        Ok(conviction) => {
            let heads =
                conviction.heads.iter().map(|head| json!([head.origin, head.size.to_string(), hex(&head.root)]));
            let out = json!({
                "key": conviction.key.to_string(),
                "heads": heads.collect::<Vec<_>>(),
                "says": conviction.to_string(),
            });
            json!({"name": name, "in": given, "out": out})
        }
        Err(why) => json!({"name": name, "in": given, "error": why.code()}),
    }
}
