use identity::key::SigningKey;

use super::*;
use crate::entry::Entry;
use crate::note::{Checkpoint, Cosigner, LogSigner, Note, SignatureLine};

const ORIGIN: &str = "other.test/log";

fn log() -> LogSigner {
    LogSigner::new(ORIGIN, SigningKey::from_seed(&[1; 32])).unwrap()
}

fn witness() -> Cosigner {
    Cosigner::new("w.example", SigningKey::from_seed(&[2; 32])).unwrap()
}

fn note(root: u8, line: &dyn Fn(&Checkpoint) -> SignatureLine) -> Note {
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 5, root: [root; 32] };
    Note::new(checkpoint.text(), vec![line(&checkpoint)]).unwrap()
}

fn keys() -> Vec<VerifierKey> {
    vec![log().verifier_key().clone(), witness().verifier_key().clone()]
}

/// The fork of a log, and that of a witness.
fn evidence() -> [Vec<u8>; 2] {
    let signed = [1, 2].map(|root| note(root, &|checkpoint| log().sign(checkpoint)));
    let cosigned = [1, 2].map(|root| note(root, &|checkpoint| witness().cosign(checkpoint, 7)));
    let log_keys = &keys()[..1];
    let of_log = FaultFile::contradiction(log_keys, [&signed[0], &signed[1]], &[]).unwrap();
    let notes = [&cosigned[0], &cosigned[1]];
    let of_witness = FaultFile::contradiction_of_witness(witness().verifier_key(), log_keys, notes, &[]).unwrap();
    [of_log.encode(), of_witness.encode()]
}

#[test]
fn forks_are_noted_with_their_evidence() {
    let kinds = [(NoticeKind::LogFork, ORIGIN), (NoticeKind::CosignerFork, "w.example")];
    for (file, (kind, origin)) in evidence().iter().zip(kinds) {
        let sound = SoundNotice::of_evidence(file, &keys()).unwrap();
        let notice = sound.notice();
        assert_eq!((notice.kind, notice.origin.as_str()), (kind, origin));
        assert_eq!(notice.evidence.as_deref(), Some(file.as_slice()));
        assert_eq!(fault_of(notice), None);
        let entry = Entry::Notice(notice.clone());
        assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }
}

#[test]
fn what_proves_no_fork_is_not_noted() {
    let [of_log, _] = evidence();
    assert_eq!(SoundNotice::of_evidence(b"words", &keys()), Err(NoticeRefusal::Evidence));
    let answer = FaultFile::decode(&of_log).unwrap().of_kind(FaultKind::Answer).encode();
    assert_eq!(SoundNotice::of_evidence(&answer, &keys()), Err(NoticeRefusal::Evidence));
    assert_eq!(SoundNotice::of_evidence(&of_log, &keys()[1..]), Err(NoticeRefusal::UnknownKey));
    let nameless = SoundNotice::statement(StatementKind::Operator, "", "words");
    assert_eq!(nameless.map_err(|refusal| refusal.code()), Err("bad_field"));
    let codes = [NoticeRefusal::Evidence, NoticeRefusal::UnknownKey, NoticeRefusal::Name].map(|refusal| refusal.code());
    assert_eq!(codes, ["bad_evidence", "unknown_key", "bad_field"]);
}

#[test]
fn long_evidence_stands_by_its_hash() {
    let [of_log, _] = evidence();
    let long = FaultFile::decode(&of_log).unwrap().with_part("answer", &[0; 4_000]).encode();
    let sound = SoundNotice::of_evidence(&long, &keys()).unwrap();
    assert_eq!((sound.notice().evidence.as_ref(), sound.notice().evidence_hash), (None, sha256(&[&long])));
    let words = SoundNotice::statement(StatementKind::ConsistencyRefused, ORIGIN, &"x".repeat(5_000)).unwrap();
    assert_eq!((words.notice().kind, words.notice().evidence.as_ref()), (NoticeKind::ConsistencyRefused, None));
    let words = SoundNotice::statement(StatementKind::Operator, ORIGIN, "maintenance").unwrap();
    assert_eq!(words.notice().evidence.as_deref(), Some(&b"maintenance"[..]));
    assert_eq!(fault_of(words.notice()), None);
}

#[test]
fn a_notice_whose_evidence_does_not_hold_is_a_fault_of_the_log() {
    let [of_log, _] = evidence();
    let good = SoundNotice::of_evidence(&of_log, &keys()).unwrap().notice().clone();
    let wrong_hash = Notice { evidence_hash: [1; 32], ..good.clone() };
    assert_eq!(fault_of(&wrong_hash), Some("evidence_hash"));
    let other_kind = Notice { kind: NoticeKind::CosignerFork, ..good.clone() };
    assert_eq!(fault_of(&other_kind), Some("bad_evidence"));
    let other_name = Notice { origin: "dgns.test/log".into(), ..good.clone() };
    assert_eq!(fault_of(&other_name), Some("bad_evidence"));
    let words = Notice { evidence_hash: sha256(&[b"words"]), evidence: Some(b"words".to_vec()), ..good };
    assert_eq!(fault_of(&words), Some("bad_evidence"));
}
