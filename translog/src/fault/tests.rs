use identity::key::SigningKey;

use super::*;
use crate::note::LogSigner;
use crate::tree::oracle::{self, Oracle};

const ORIGIN: &str = "dgns.test/log";

fn signer(seed: u8) -> LogSigner {
    LogSigner::new(ORIGIN, SigningKey::from_seed(&[seed; 32])).expect("a good name")
}

fn note(signer: &LogSigner, size: u64, root: Hash) -> Vec<u8> {
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root };
    let note = Note::new(checkpoint.text(), vec![signer.sign(&checkpoint)]).expect("a note");
    note.to_string().into_bytes()
}

fn same_size(first: &[u8], second: &[u8]) -> FaultFile {
    let keys = [signer(9).verifier_key().clone(), signer(1).verifier_key().clone()];
    FaultFile::new(FaultKind::SameSize, &keys).with_part("first", first).with_part("second", second)
}

/// Evidence that a tree whose leaf 0 was changed does not begin as the tree before it did.
fn prefix(from: usize, to: usize, honest: bool) -> FaultFile {
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
    assert_eq!(&conviction.log_key, signer(1).verifier_key());
    assert_eq!(conviction.heads.map(|head| (head.size, head.root)), [(5, [1; 32]), (5, [2; 32])]);
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
    let codes = [Kind, Part, Signature, Consistent].map(|why| why.code());
    assert_eq!(codes, ["proves_nothing", "fault_part", "fault_signature", "no_contradiction"]);
}
