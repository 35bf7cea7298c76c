use identity::hash::Hash;
use identity::key::SigningKey;
use identity::state::Subject;

use super::*;
use crate::audit::AuditFault;
use crate::batch::fixture::Someone;
use crate::entry::{Entry, Epoch};
use crate::hash::leaf_hash;
use crate::note::{Checkpoint, Cosigner, LogSigner, Note};
use crate::proof_file::ProofFile;
use crate::resolve::fixture::{TestLog, name};
use crate::tree::Edge;
use crate::tree::oracle::{self, Oracle};

const ORIGIN: &str = "dgns.test/log";

pub(super) fn signer(seed: u8) -> LogSigner {
    LogSigner::new(ORIGIN, SigningKey::from_seed(&[seed; 32])).expect("a good name")
}

pub(super) fn note(signer: &LogSigner, size: u64, root: Hash) -> Vec<u8> {
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root };
    let note = Note::new(checkpoint.text(), vec![signer.sign(&checkpoint)]).expect("a note");
    note.to_string().into_bytes()
}

pub(super) fn same_size(first: &[u8], second: &[u8]) -> FaultFile {
    let keys = [signer(9).verifier_key().clone(), signer(1).verifier_key().clone()];
    FaultFile::new(FaultKind::SameSize, &keys).with_part("first", first).with_part("second", second)
}

/// Evidence that a tree whose leaf 0 was changed does not begin as the tree before it did.
pub(super) fn prefix(from: usize, to: usize, honest: bool) -> FaultFile {
    let old = oracle::leaves(from as u64);
    let mut new = oracle::leaves(to as u64);
    if !honest {
        new[0] = [0xee; 32];
    }
    let (mut old, mut new) = (Oracle::new(&old), Oracle::new(&new));
    let mut path = new.consistency(from, to);
    if from.is_power_of_two() {
        path.insert(0, new.root(0, from));
    }
    let notes = [note(&signer(1), from as u64, old.root(0, from)), note(&signer(1), to as u64, new.root(0, to))];
    let keys = [signer(1).verifier_key().clone()];
    FaultFile::new(FaultKind::Prefix, &keys)
        .with_part("first", &notes[0])
        .with_part("second", &notes[1])
        .with_part("path", path.as_flattened())
}

#[test]
fn two_roots_of_one_size_convict() {
    // Goal: the fault holds by the file alone. Method: two notes by one key; then equal roots, sizes, keys, and a bad signature.
    let (a, b) = (note(&signer(1), 5, [1; 32]), note(&signer(1), 5, [2; 32]));
    let conviction = same_size(&a, &b).check().expect("it holds");
    assert_eq!(&conviction.key, signer(1).verifier_key());
    assert!(conviction.to_string().ends_with(": two histories"), "{conviction}");
    assert_eq!(
        conviction.heads.iter().map(|head| (head.size, head.root)).collect::<Vec<_>>(),
        [(5, [1; 32]), (5, [2; 32])]
    );
    assert_eq!(same_size(&a, &a).check(), Err(NoConviction::Consistent));
    assert_eq!(same_size(&a, &note(&signer(1), 6, [2; 32])).check(), Err(NoConviction::Consistent));
    assert_eq!(same_size(&a, &note(&signer(9), 5, [2; 32])).check(), Err(NoConviction::Signature), "two keys");
    assert_eq!(same_size(&a, &note(&signer(7), 5, [2; 32])).check(), Err(NoConviction::Signature), "a key not named");
    let forged = String::from_utf8(b.clone()).expect("text").replace("\n5\n", "\n7\n");
    assert_eq!(same_size(&a, forged.as_bytes()).check(), Err(NoConviction::Signature));
    assert_eq!(same_size(&a, b"no note").check(), Err(NoConviction::Part));
}

#[test]
fn a_tree_that_does_not_begin_as_before_convicts() {
    // Goal: the prefix kind, for every shape of the smaller tree. Method: sizes about powers of two, honest and forged.
    for (from, to) in [(1, 2), (2, 3), (3, 7), (4, 9), (5, 8), (7, 13), (8, 16), (13, 21)] {
        assert!(prefix(from, to, false).check().is_ok(), "{from} to {to}");
        assert_eq!(prefix(from, to, true).check(), Err(NoConviction::Consistent), "{from} to {to}");
    }
}

#[test]
fn a_path_that_leads_nowhere_convicts_nobody() {
    // Goal: who holds honest notes cannot convict with a made-up path. Method: each byte of the path changed; other lengths.
    let honest = prefix(5, 12, true);
    let path = honest.part("path").expect("it has one").to_vec();
    let with_path = |path: &[u8]| {
        let file = FaultFile::new(FaultKind::Prefix, honest.log_keys());
        let part = |name: &str| honest.part(name).expect("it has one").to_vec();
        file.with_part("first", &part("first")).with_part("second", &part("second")).with_part("path", path)
    };
    for at in 0..path.len() {
        let mut path = path.clone();
        path[at] ^= 1;
        assert_eq!(with_path(&path).check(), Err(NoConviction::Consistent), "byte {at}");
    }
    for path in [&path[..path.len() - 32], &path[..path.len() - 1], &[]] {
        assert_eq!(with_path(path).check(), Err(NoConviction::Part));
    }
    let swapped = FaultFile::new(FaultKind::Prefix, honest.log_keys())
        .with_part("first", honest.part("second").expect("a note"))
        .with_part("second", honest.part("first").expect("a note"))
        .with_part("path", &path);
    assert_eq!(swapped.check(), Err(NoConviction::Part), "the smaller head comes first");
}

/// A checkpoint of any log, cosigned by witness `seed`.
pub(super) fn cosigned(seed: u8, origin: &str, size: u64, root: Hash) -> Vec<u8> {
    let checkpoint = Checkpoint { origin: origin.into(), size, root };
    let line = witness(seed).cosign(&checkpoint, 1_700_000_000 + size);
    Note::new(checkpoint.text(), vec![line]).expect("a note").to_string().into_bytes()
}

fn witness(seed: u8) -> Cosigner {
    Cosigner::new("w.example", SigningKey::from_seed(&[seed; 32])).expect("a good name")
}

pub(super) fn against_witness(seed: u8, first: &[u8], second: &[u8]) -> FaultFile {
    let key = witness(seed).verifier_key().to_string();
    FaultFile::new(FaultKind::Cosigner, &[signer(1).verifier_key().clone()])
        .with_part("cosigner", key.as_bytes())
        .with_part("first", first)
        .with_part("second", second)
}

#[test]
fn a_witness_is_convicted_by_what_it_cosigned() {
    // Goal: both contradictions, of any log, but only within one log. Method: two sizes, two roots, two logs, two witnesses.
    let of = |size, byte| cosigned(5, "example.com/log", size, [byte; 32]);
    let conviction = against_witness(5, &of(5, 1), &of(5, 2)).check().expect("it holds");
    assert_eq!(&conviction.key, witness(5).verifier_key());
    assert_eq!(against_witness(5, &of(5, 1), &of(5, 1)).check(), Err(NoConviction::Consistent));
    assert_eq!(against_witness(6, &of(5, 1), &of(5, 2)).check(), Err(NoConviction::Signature));
    let elsewhere = cosigned(5, "example.org/log", 5, [2; 32]);
    assert_eq!(against_witness(5, &of(5, 1), &elsewhere).check(), Err(NoConviction::Part), "two logs");
    assert_eq!(against_witness(5, &of(5, 1), &of(6, 2)).check(), Err(NoConviction::Part), "a path is needed");

    for honest in [false, true] {
        let log = prefix(5, 12, honest);
        let head = |part: &str| {
            let note = Note::parse(log.part(part).expect("it has one")).expect("a note");
            let Checkpoint { origin, size, root } = Checkpoint::parse(note.text()).expect("a checkpoint");
            cosigned(5, &origin, size, root)
        };
        let path = log.part("path").expect("it has one");
        let file = against_witness(5, &head("first"), &head("second")).with_part("path", path);
        assert_eq!(file.check().is_ok(), !honest);
    }
}

#[test]
fn a_contradiction_is_put_together_by_whoever_meets_it() {
    let parse = |bytes: Vec<u8>| Note::parse(&bytes).expect("a note");
    let keys = [signer(1).verifier_key().clone()];
    let (a, b) = (parse(note(&signer(1), 5, [1; 32])), parse(note(&signer(1), 5, [2; 32])));
    let of_log = |notes| FaultFile::contradiction(&keys, notes, &[]).map(|file| file.kind());
    assert_eq!(of_log([&a, &b]), Some(FaultKind::SameSize));
    assert_eq!(of_log([&a, &a]), None);
    let key = witness(5).verifier_key().clone();
    let [one, two] = [1, 2].map(|byte| parse(cosigned(5, ORIGIN, 5, [byte; 32])));
    let of_witness = |notes| FaultFile::contradiction_of_witness(&key, &keys, notes, &[]).map(|file| file.kind());
    assert_eq!(of_witness([&one, &two]), Some(FaultKind::Cosigner));
    assert_eq!((of_witness([&a, &b]), of_log([&one, &two])), (None, None));

    let log = prefix(5, 12, false);
    let part = |name: &str| log.part(name).expect("it has one").to_vec();
    let path = part("path").as_chunks::<32>().0.to_vec();
    let notes = [&parse(part("second")), &parse(part("first"))];
    let file = FaultFile::contradiction(&keys, notes, &path).expect("whichever comes first");
    assert_eq!(file.kind(), FaultKind::Prefix);
}

/// Proofs of these entries under one head of the log.
pub(super) fn proofs(entries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let mut tree = Oracle::new(&leaves);
    let root = tree.root(0, leaves.len());
    let checkpoint = note(&signer(1), leaves.len() as u64, root);
    let proof = |(index, entry): (usize, &Vec<u8>)| {
        let (path, extra) = (tree.path(index, leaves.len()), Some(entry.clone()));
        let checkpoint = Note::parse(&checkpoint).expect("a note");
        ProofFile { extra, index: index as u64, path, checkpoint }.to_string().into_bytes()
    };
    entries.iter().enumerate().map(proof).collect()
}

pub(super) fn accuse(kind: FaultKind, entry: &[u8], before: Option<&[u8]>) -> FaultFile {
    let file = FaultFile::new(kind, &[signer(9).verifier_key().clone(), signer(1).verifier_key().clone()]);
    let file = file.with_part("entry", entry);
    before.map_or(file.clone(), |before| file.with_part("before", before))
}

fn fault(file: &FaultFile) -> Result<AuditFault, NoConviction> {
    let conviction = file.check()?;
    assert_eq!(FaultFile::decode(&file.encode()).as_ref(), Ok(file), "it reads back");
    match conviction.proved {
        Proved::Fault(fault) => Ok(fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_epoch_that_does_not_follow_convicts() {
    // Goal: each field of an Epoch, by itself or against the one before. Method: three Epochs of a log, the last one bent.
    let epochs = |bend: &dyn Fn(&mut Epoch)| {
        let mut history = Edge::new();
        let mut made = Vec::new();
        for k in 0..3 {
            let mut epoch = Epoch { k, covers: k, time_ms: 5_000 + k, map_root: [0; 32], history_root: history.root() };
            if k == 2 {
                bend(&mut epoch);
            }
            history.append(epoch.leaf_hash());
            made.push(epoch);
        }
        made
    };
    let accused = |bend: &dyn Fn(&mut Epoch)| {
        let epochs = epochs(bend);
        let proofs = proofs(&epochs.iter().map(|epoch| epoch.encode().to_vec()).collect::<Vec<_>>());
        let file = accuse(FaultKind::Epoch, &proofs[2], Some(&proofs[1]));
        fault(&file.with_part("history", &epochs[0].leaf_hash()))
    };
    let skipped = |bend: &dyn Fn(&mut Epoch)| {
        let epochs = epochs(&|epoch| {
            (epoch.k, epoch.covers) = (3, 3);
            bend(epoch);
        });
        let mut entries: Vec<Vec<u8>> = epochs.iter().map(|epoch| epoch.encode().to_vec()).collect();
        entries.insert(2, vec![4, 0xa0]);
        let proofs = proofs(&entries);
        let file = accuse(FaultKind::Epoch, &proofs[3], Some(&proofs[1]));
        [file.clone(), file.with_part("history", &epochs[0].leaf_hash())].map(|file| fault(&file))
    };
    let gap = Ok(AuditFault::Epoch { k: 3, index: 3, code: "k" });
    assert_eq!(skipped(&|_| ()), [Err(NoConviction::Consistent), gap], "a number skipped, the history not");
    assert_eq!(skipped(&|epoch| epoch.history_root[0] ^= 1), [(); 2].map(|()| Err(NoConviction::Consistent)));
    let wrong = |code| Ok(AuditFault::Epoch { k: 2, index: 2, code });
    assert_eq!(accused(&|_| ()), Err(NoConviction::Consistent));
    assert_eq!(accused(&|epoch| epoch.time_ms = 5_000), wrong("time_ms"));
    assert_eq!(accused(&|epoch| epoch.history_root[0] ^= 1), wrong("history_root"));
    assert_eq!(accused(&|epoch| epoch.k = 1), Ok(AuditFault::Epoch { k: 1, index: 2, code: "k" }));
    assert_eq!(accused(&|epoch| epoch.k = 3), Ok(AuditFault::Epoch { k: 3, index: 2, code: "k" }));

    let alone = |entries: &[Vec<u8>], at: usize| fault(&accuse(FaultKind::Epoch, &proofs(entries)[at], None));
    let entries =
        |bend: &dyn Fn(&mut Epoch)| epochs(bend).iter().map(|epoch| epoch.encode().to_vec()).collect::<Vec<_>>();
    assert_eq!(alone(&entries(&|_| ()), 2), Err(NoConviction::Consistent));
    assert_eq!(alone(&entries(&|epoch| epoch.covers = 7), 2), wrong("covers"));
    let other = [entries(&|_| ()), vec![vec![4, 0xa0]]].concat();
    assert_eq!(alone(&other, 3), Ok(AuditFault::LastLeaf { size: 4 }));
    let within = [other, entries(&|_| ())].concat();
    assert_eq!(alone(&within, 3), Err(NoConviction::Consistent), "within the log another entry may stand");
}

#[test]
fn epochs_convict_nobody_by_parts_that_were_made_up() {
    // Goal: an honest log is never convicted. Method: honest Epochs with a wrong history edge, order, key and entry.
    let mut history = Edge::new();
    let epochs: Vec<Epoch> = (0..3)
        .map(|k| {
            let epoch = Epoch { k, covers: k, time_ms: 5_000, map_root: [0; 32], history_root: history.root() };
            history.append(epoch.leaf_hash());
            epoch
        })
        .collect();
    let proofs = proofs(&epochs.iter().map(|epoch| epoch.encode().to_vec()).collect::<Vec<_>>());
    let accused = |entry: &[u8], before: &[u8], history: &[u8]| {
        accuse(FaultKind::Epoch, entry, Some(before)).with_part("history", history).check().map(drop)
    };
    let edge = epochs[0].leaf_hash();
    assert_eq!(accused(&proofs[2], &proofs[1], &edge), Err(NoConviction::Consistent));
    assert_eq!(accused(&proofs[1], &proofs[0], b""), Err(NoConviction::Consistent), "nothing lies before Epoch 0");
    assert_eq!(accused(&proofs[2], &proofs[1], &[1; 32]), Err(NoConviction::Proof));
    assert_eq!(accused(&proofs[2], &proofs[1], &[]), Err(NoConviction::Part));
    assert_eq!(accused(&proofs[1], &proofs[2], &edge), Err(NoConviction::Part), "the earlier comes first");
    assert_eq!(accused(b"no proof", &proofs[1], &edge), Err(NoConviction::Part));
    let text = String::from_utf8(proofs[2].clone()).expect("text");
    let moved = text.replace("index 2", "index 1");
    assert_eq!(accused(moved.as_bytes(), &proofs[0], &edge), Err(NoConviction::Proof), "another place");
    let keys = [signer(9).verifier_key().clone()];
    let stranger = FaultFile::new(FaultKind::Epoch, &keys).with_part("entry", &proofs[2]);
    assert_eq!(stranger.check(), Err(NoConviction::Signature));
}

#[test]
fn an_entry_that_no_log_may_hold_convicts() {
    // Goal: what cannot be read, and a chain out of order. Method: entries of a log, one by one and in pairs.
    let (mut alice, certificates) = Someone::new(1);
    let chain: Vec<Vec<u8>> =
        certificates.into_iter().chain([alice.points_to(1)]).map(|c| Entry::Certificate(c).encode()).collect();
    let (_, other) = Someone::new(2);
    let stranger = Entry::Certificate(other[0].clone()).encode();
    let entries = [&chain[..], &[chain[1].clone(), stranger, vec![2; 88], Vec::new(), vec![9, 1]]].concat();
    let proofs = proofs(&entries);
    let alone = |at: usize| fault(&accuse(FaultKind::Entry, &proofs[at], None));
    assert_eq!(alone(0), Err(NoConviction::Consistent));
    assert_eq!(alone(5), Ok(AuditFault::Entry { index: 5, code: "bad_entry" }), "an Epoch of 88 bytes");
    assert_eq!(alone(6), Ok(AuditFault::Entry { index: 6, code: "bad_entry" }), "no byte");
    assert_eq!(alone(7), Err(NoConviction::Consistent), "a type that a later format may have");
    let pair = |before: usize, at: usize| fault(&accuse(FaultKind::Entry, &proofs[at], Some(&proofs[before])));
    let refused =
        |index| Ok(AuditFault::Refused { index, refusal: identity::rules::Refusal::StalePrev { head: None } });
    assert_eq!(pair(0, 2), Err(NoConviction::Consistent));
    assert_eq!(pair(1, 3), refused(3), "one certificate twice");
    assert_eq!(pair(2, 3), refused(3), "the second behind the third");
    assert_eq!(pair(3, 1), Err(NoConviction::Part));
    assert_eq!(pair(0, 4), Err(NoConviction::Part), "of two chains");
    assert_eq!(pair(0, 5), Err(NoConviction::Part), "no certificate");
}

/// What a lookup of `subject` leaves behind.
pub(super) fn proof(log: &TestLog, subject: &Subject) -> Vec<u8> {
    let bytes = log.answer(subject).encode();
    let mut memory = crate::trust::Memory::new(log.origin.clone());
    let resolved = crate::resolve::verify(&log.trust(), &mut memory, subject, &bytes, log.now()).expect("it holds");
    crate::lookup_proof::write(&log.trust(), &resolved, &bytes).expect("a file").to_string().into_bytes()
}

/// Evidence that the second of two lookups shows less than the first.
pub(super) fn rollback(signer: &LogSigner, first: &[u8], second: &[u8]) -> FaultFile {
    let keys = [signer.verifier_key().clone()];
    FaultFile::new(FaultKind::Rollback, &keys).with_part("first", first).with_part("second", second)
}

#[test]
fn a_state_that_goes_back_convicts() {
    // Goal: a name or DID shown older under a later head convicts the log, and nothing else does. Method: a log whose states are
    // set by hand, and the proofs that two lookups leave.
    let (mut log, alice) = TestLog::new();
    let (did, signer) = (Subject::Did(alice.did), TestLog::new().0.signer);
    let accused =
        |first: &[u8], second: &[u8]| rollback(&signer, first, second).check().map(|conviction| conviction.proved);
    let back = |subject: String| Ok(Proved::WentBack { subject });
    let (first_did, first_name, absent) = (proof(&log, &did), proof(&log, &name("alice")), proof(&log, &name("dora")));
    log.batch(&[], vec![alice.leaf(1, 1, &alice.genesis)]);
    assert_eq!(accused(&first_did, &proof(&log, &did)), back(alice.did.to_string()), "an older version");
    assert_eq!(accused(&first_name, &proof(&log, &name("alice"))), back("alice.dgns.test".into()), "its owner's");
    log.batch(&[], vec![alice.leaf(2, 1, &alice.genesis)]);
    assert_eq!(accused(&first_did, &proof(&log, &did)), back(alice.did.to_string()), "another at that version");
    log.batch(&[], vec![alice.leaf(3, 3, &alice.records)]);
    let later = proof(&log, &did);
    assert_eq!(accused(&first_did, &later), Err(NoConviction::Consistent));
    assert_eq!(accused(&later, &first_did), Err(NoConviction::Part), "the earlier comes first");
    assert_eq!(accused(&first_did, &proof(&log, &name("alice"))), Err(NoConviction::Part), "of two subjects");
    assert_eq!(accused(&absent, &proof(&log, &name("dora"))), Err(NoConviction::Consistent));
    assert_eq!(accused(b"no proof", &later), Err(NoConviction::Part));
    let bent = String::from_utf8(later.clone()).expect("text").replace("index 7", "index 6");
    assert_eq!(accused(&first_did, bent.as_bytes()), Err(NoConviction::Proof));

    let (mut emptied, _) = TestLog::new();
    emptied.map = crate::map::Map::new();
    emptied.states.clear();
    emptied.batch(&[], Vec::new());
    let gone = proof(&emptied, &name("carol"));
    let (whole, _) = TestLog::new();
    assert_eq!(accused(&proof(&whole, &name("carol")), &gone), back("carol.dgns.test".into()), "a label removed");
}

#[test]
fn what_a_client_met_convicts_nobody_by_itself() {
    // Goal: no file a stranger can make up says a log is guilty. Method: the two kinds without signatures of their own.
    let keys = [signer(1).verifier_key().clone()];
    for kind in [FaultKind::Answer, FaultKind::Audit] {
        assert_eq!(FaultFile::new(kind, &keys).with_part("answer", b"x").check(), Err(NoConviction::Kind));
    }
}

#[test]
fn a_fault_file_reads_back_and_nothing_else_does() {
    // Goal: the form is exact. Method: a file with every byte value in a part; all truncations; broken lines.
    let all: Vec<u8> = (0..=255).collect();
    let file = same_size(&all, b"").with_part("path", b"\npart x 1\n");
    let bytes = file.encode();
    assert_eq!(FaultFile::decode(&bytes), Ok(file));
    // Cut where a part ends it is a shorter file, anywhere else none.
    let whole = (0..bytes.len()).filter(|end| FaultFile::decode(&bytes[..*end]).is_ok()).count();
    assert_eq!(whole, 3, "without parts, with one, with two");
    let key = signer(1).verifier_key().to_string();
    let head = format!("{HEADER}\nlog {key}\nkind answer\n");
    assert!(FaultFile::decode(head.as_bytes()).is_ok());
    for broken in [
        String::new(),
        "dgns.fault@v2\n".into(),
        format!("{HEADER}\nkind answer\n"),
        format!("{HEADER}\nlog {key}x\nkind answer\n"),
        format!("{HEADER}\nlog {key}\nkind other\n"),
        format!("{HEADER}\n{}kind answer\n", format!("log {key}\n").repeat(8)),
        format!("{head}part a 1\nx"),
        format!("{head}part a 1\nxy\n"),
        format!("{head}part a 01\nx\n"),
        format!("{head}part a +1\nx\n"),
        format!("{head}part A 1\nx\n"),
        format!("{head}part a 99999999999999999999\nx\n"),
        format!("{head}part a 1\nx\npart a 1\nx\n"),
        format!("{head}{}", (0..17).map(|n| format!("part {} 0\n\n", "a".repeat(n + 1))).collect::<String>()),
    ] {
        assert!(FaultFile::decode(broken.as_bytes()).is_err(), "{broken:?}");
    }
}

#[test]
fn each_code_is_pinned() {
    // Goal: codes are for good. Method: all of them.
    use NoConviction::*;
    let codes = [Kind, Part, Signature, Proof, Consistent].map(|why| why.code());
    assert_eq!(codes, ["proves_nothing", "fault_part", "fault_signature", "fault_proof", "no_contradiction"]);
}
