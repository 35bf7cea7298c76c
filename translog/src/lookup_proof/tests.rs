use identity::key::SigningKey;
use identity::name::Zone;
use identity::state::Subject;
use serde_json::{Value, json};

use super::*;
use crate::note::LogSigner;
use crate::resolution::Answer;
use crate::resolve::fixture::{TestLog, name};
use crate::trust::RetiredKey;
use crate::vectors::{hex, hold};

/// The file that proves what an honest answer shows to a newcomer.
fn file(log: &TestLog, resolution: &Resolution) -> ProofFile {
    let bytes = resolution.encode();
    let mut memory = Memory::new(log.origin.clone());
    let resolved = resolve::verify(&log.trust(), &mut memory, resolution.subject(), &bytes, log.now()).unwrap();
    write(&log.trust(), &resolved, &bytes).unwrap()
}

#[test]
fn a_file_proves_what_the_answer_did() {
    let (log, alice) = TestLog::new();
    let answer = log.answer(&name("alice")).with_certificates([&alice.records]);
    let found = verify(&log.trust(), file(&log, &answer).to_string().as_bytes()).unwrap();
    assert_eq!(found.subject(), &name("alice"));
    assert_eq!(found.records().unwrap().rows[0].rdata, [192, 0, 2, 1]);
    assert_eq!(found.epoch(), &log.head.epoch().unwrap());
}

#[test]
fn a_file_made_of_an_update_stands_alone() {
    // Goal: what the asker kept himself is in the file, what only he could check is not. Method: an answer without head and
    // state; one with a consistency proof.
    let (mut log, alice) = TestLog::new();
    let mut memory = Memory::new(log.origin.clone());
    let trust = log.trust();
    let subject = name("alice");
    resolve::verify(&trust, &mut memory, &subject, &log.answer(&subject).encode(), log.now()).unwrap();
    let mut warm = log.answer(&subject);
    warm.take_head();
    warm.answers[1] = Answer::known(&log.states[&Subject::Did(alice.did)]);
    let resolved = resolve::verify(&trust, &mut memory, &subject, &warm.encode(), log.now()).unwrap();
    let text = write(&trust, &resolved, &warm.encode()).unwrap().to_string();
    assert_eq!(verify(&trust, text.as_bytes()).unwrap().did(), resolved.did());

    log.batch(&[], vec![]);
    let update = log.answer(&subject).with_consistency(log.consistency(5)).encode();
    let resolved = resolve::verify(&trust, &mut memory, &subject, &update, log.now()).unwrap();
    let text = write(&trust, &resolved, &update).unwrap().to_string();
    assert_eq!(verify(&trust, text.as_bytes()).unwrap().head(), &log.head);
}

#[test]
fn any_changed_byte_of_a_file_is_a_named_error() {
    // Goal: a file that was tampered with proves nothing. Method: every byte, one other bit each; base64 is exact.
    let (log, alice) = TestLog::new();
    let text = file(&log, &log.answer(&Subject::Did(alice.did))).to_string();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1 << (at % 8);
        assert!(verify(&log.trust(), &bytes).is_err(), "byte {at}");
    }
}

#[test]
fn lookup_proof_vectors_hold() {
    let (log, alice) = TestLog::new();
    let mut cases = Vec::new();
    let mut add = |title: &str, asked: &Subject, text: &str, expected: Result<(), &str>| {
        cases.push(case(title, &log.trust(), asked, text, expected));
    };
    let absent = log.absent_name(2);
    let (asked, did) = (name("alice"), Subject::Did(alice.did));
    let answer = log.answer(&asked).with_certificates([&alice.records]);
    let honest = file(&log, &answer);
    add("a live name", &asked, &honest.to_string(), Ok(()));
    add("a DID", &did, &file(&log, &log.answer(&did)).to_string(), Ok(()));
    add("an absent name", &absent, &file(&log, &log.answer(&absent)).to_string(), Ok(()));

    let mut bent = |title: &str, code: &str, bend: &dyn Fn(&mut ProofFile)| {
        let mut file = honest.clone();
        bend(&mut file);
        add(title, &asked, &file.to_string(), Err(code));
    };
    bent("no extra", "malformed", &|file| file.extra = None);
    bent("extra cut short", "malformed", &|file| file.extra.as_mut().unwrap().truncate(50));
    bent("a head beside the checkpoint", "malformed", &|file| {
        let extra = file.extra.as_mut().unwrap();
        extra.truncate(91);
        extra.extend(answer.encode());
    });
    bent("another index", "last_leaf", &|file| file.index -= 1);
    bent("another path", "last_leaf", &|file| file.path[0][0] ^= 1);
    bent("another Epoch", "last_leaf", &|file| file.extra.as_mut().unwrap()[50] ^= 1);
    bent("the state bent", "value", &|file| {
        let extra = file.extra.as_mut().unwrap();
        let at = extra.windows(5).position(|window| window == b"alice").unwrap();
        let later = extra[at + 5..].windows(5).position(|window| window == b"alice").unwrap();
        extra[at + 5 + later] = b'A';
    });
    let signed_by = |seed: u8, origin: &str| {
        let signer = LogSigner::new(origin, SigningKey::from_seed(&[seed; 32])).unwrap();
        let checkpoint = Checkpoint { origin: origin.into(), ..log.head.checkpoint(&log.origin) };
        let line = signer.sign(&checkpoint);
        crate::note::Note::new(checkpoint.text(), vec![line]).unwrap()
    };
    bent("signed by a stranger", "unknown_note_key", &|file| file.checkpoint = signed_by(7, "dgns.test/log"));
    let other = Zone::parse("other.test").unwrap().origin();
    bent("of another log", "unknown_note_key", &|file| file.checkpoint = signed_by(1, other.as_str()));
    add("not a proof file", &asked, &honest.to_string().replacen("@v1", "@v2", 1), Err("bad_proof_file"));
    cases.extend(witnessed());
    cases.extend(retired());
    hold(
        "lookup_proofs",
        &[
            "Proofs of lookups as files (PROTOCOL 14.2). in: trust {origin, vkeys, retired ([vkey, size of the largest head that counts]), policy (text or null)}, subject, file (text); memory and clock play no part.",
            "out: status, size, epoch_ms, name and did (their State's bytes in hexadecimal, or null).",
        ],
        &cases,
    );
}

/// Files whose checkpoint two witnesses cosigned, read under policies that ask for them, for another, and for none.
fn witnessed() -> Vec<Value> {
    let (mut log, _) = TestLog::new();
    log.cosign(1, 0);
    log.cosign(2, 1_000);
    let (asked, trust) = (name("alice"), log.trust_under("group g all w1 w2\nquorum g"));
    let bytes = log.answer(&asked).encode();
    let mut memory = Memory::new(log.origin.clone());
    let resolved = resolve::verify(&trust, &mut memory, &asked, &bytes, log.now()).unwrap();
    let text = write(&trust, &resolved, &bytes).unwrap().to_string();
    let bare = write(&log.trust(), &resolved, &bytes).unwrap().to_string();
    vec![
        case("with the witnesses of the policy", &trust, &asked, &text, Ok(())),
        case("with witnesses nobody asks for", &log.trust(), &asked, &text, Ok(())),
        case("without the witness of the policy", &log.trust_under("quorum w3"), &asked, &text, Err("quorum")),
        case("made by one who knows no witness", &trust, &asked, &bare, Err("quorum")),
    ]
}

/// A file whose head is signed by a key that signs no more, read by those who know until when it did, and by others.
fn retired() -> Vec<Value> {
    let (log, _) = TestLog::new();
    let asked = name("alice");
    let (text, size) = (file(&log, &log.answer(&asked)).to_string(), log.head.size);
    let old = log.signer.verifier_key().clone();
    let newer = LogSigner::new(log.origin.as_str(), SigningKey::from_seed(&[2; 32])).unwrap().verifier_key().clone();
    let known = |retired: &[u64]| {
        let retired = retired.iter().map(|size| RetiredKey { key: old.clone(), size: *size }).collect();
        Trust::new(log.origin.clone(), vec![newer.clone()]).unwrap().with_retired(retired)
    };
    vec![
        case("signed by a retired key, of its last head", &known(&[size]), &asked, &text, Ok(())),
        case("signed by a retired key, of an earlier head", &known(&[size + 100]), &asked, &text, Ok(())),
        case("signed by a key retired before", &known(&[size - 1]), &asked, &text, Err("unknown_note_key")),
        case("signed by a key that is not known as retired", &known(&[]), &asked, &text, Err("unknown_note_key")),
        case(
            "with a retired key nobody needs",
            &log.trust().with_retired(known(&[size]).retired().to_vec()),
            &asked,
            &text,
            Ok(()),
        ),
    ]
}

fn case(title: &str, trust: &Trust, asked: &Subject, text: &str, expected: Result<(), &str>) -> Value {
    let found = verify(trust, text.as_bytes());
    assert_eq!(found.as_ref().map(|_| ()).map_err(LookupProofError::code), expected, "{title}");
    let subject = match asked {
        Subject::Name(name) => json!({"name": name}),
        Subject::Did(did) => json!({"did": hex(did.as_bytes())}),
        Subject::Alias(alias) => json!({"alias": hex(alias)}),
        Subject::LogConf => Value::Null,
        Subject::Anchors => json!({"anchors": true}),
    };
    let vkeys: Vec<String> = trust.log_keys().iter().map(ToString::to_string).collect();
    let policy = (!trust.policy().is_none()).then(|| trust.policy().to_string());
    let retired: Vec<Value> = trust.retired().iter().map(|old| json!([old.key.to_string(), old.size])).collect();
    let trust = json!({"origin": trust.origin().as_str(), "vkeys": vkeys, "retired": retired, "policy": policy});
    let given = json!({"trust": trust, "subject": subject, "file": text});
    match found {
        Ok(found) => json!({"name": title, "in": given, "out": {
            "status": if found.status() == resolve::Status::Absent { "absent" } else { "present" },
            "size": found.head().size,
            "epoch_ms": found.epoch().time_ms,
            "name": found.name().map(|name| hex(&name.encode())),
            "did": found.did().map(|did| hex(&did.encode())),
        }}),
        Err(error) => json!({"name": title, "in": given, "error": error.code()}),
    }
}
