//! tests/vectors/pieces.json

use identity::name::Zone;
use identity::time::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::resolve::fixture::{Alice, TestLog, name};
use crate::resolve::{self, VerifyError};
use crate::trust::Memory;
use crate::vectors::{hex, hold};

const ABOUT: [&str; 5] = [
    "Pieces of proofs as DNS carries them, and what a verifier makes of them (PROTOCOL 13.2). Bytes are hexadecimal.",
    "Of a question: in: zone, text, the labels below _proof.<zone>. out: kind, and what is asked; error: no_question.",
    "Of pieces: in: vkey, subject {name} or {did}, remembers: the head remembered or null, pieces {first, did, state, head, consistency,",
    "records} as their strings concatenated, now_ms. out: bytes: the answer they make, all of it believed, as in resolutions.json; status,",
    "size, records: whether there are. error: heads where pieces are of different heads, else a code of PROTOCOL 11.4.",
];

#[test]
fn piece_vectors_hold() {
    let mut cases = questions();
    cases.extend(answers());
    hold("pieces", &ABOUT, &cases);
}

fn questions() -> Vec<Value> {
    let zone = Zone::parse("dgns.test").unwrap();
    let did = "a".repeat(32);
    let sid = "a".repeat(52);
    let good = [
        "alice".to_owned(),
        "photos.alice".to_owned(),
        format!("{did}._did"),
        format!("{did}.12._did"),
        format!("{did}._state"),
        format!("{did}.12._state"),
        "12._head".to_owned(),
        "3.12._cons".to_owned(),
        format!("{sid}.7._cert"),
    ];
    let bad = [
        String::new(),
        "Alice".to_owned(),
        "al".to_owned(),
        "_did".to_owned(),
        "alice._did".to_owned(),
        format!("{}._did", "A".repeat(32)),
        format!("{did}.012._did"),
        format!("{did}.+1._did"),
        format!("{did}.1.2._did"),
        "._head".to_owned(),
        "18446744073709551616._head".to_owned(),
        "1.2._head".to_owned(),
        "3._cons".to_owned(),
        format!("{sid}._cert"),
        format!("{did}.7._cert"),
        "12._HEAD".to_owned(),
        "12._other".to_owned(),
    ];
    let case = |text: &String| {
        let given = json!({"zone": "dgns.test", "text": text});
        let title = format!("question {text}");
        match Question::parse(text, &zone) {
            Ok(question) => {
                assert_eq!(&question.to_string(), text);
                let kind = match &question {
                    Question::Name(_) => "name",
                    Question::Did(..) => "did",
                    Question::State(..) => "state",
                    Question::Head(_) => "head",
                    Question::Consistency(..) => "consistency",
                    Question::Certificate(..) => "certificate",
                };
                (true, json!({"name": title, "in": given, "out": {"kind": kind}}))
            }
            Err(NoQuestion) => (false, json!({"name": title, "in": given, "error": "no_question"})),
        }
    };
    let (good, bad): (Vec<_>, Vec<_>) = (good.iter().map(case).collect(), bad.iter().map(case).collect());
    assert!(good.iter().all(|(is_good, _)| *is_good) && bad.iter().all(|(is_good, _)| !is_good));
    good.into_iter().chain(bad).map(|(_, case)| case).collect()
}

/// The pieces that an honest server answers about `subject` to whoever remembers a head of size `from`.
fn pieces_of(log: &TestLog, subject: &Subject, alice: &Alice, from: Option<u64>) -> Pieces {
    let size = log.head.size;
    let one = |subject: &Subject, shows_state: bool| {
        let mut answer = log.answer(subject);
        answer.take_head();
        answer.answers.truncate(1);
        answer.map_proof = log.map.prove(&[label(subject)]).unwrap();
        if !shows_state {
            answer.answers[0].state = None;
        }
        Piece { size, body: answer.encode() }
    };
    let first = one(subject, matches!(subject, Subject::Name(_)));
    let Needed { did, records } = first.leads_to().unwrap();
    let body = |did: Did| log.states[&Subject::Did(did)].state.encode();
    Pieces {
        did: did.filter(|_| matches!(subject, Subject::Name(_))).map(|did| one(&Subject::Did(did), false)),
        state: did.map(|did| Piece { size, body: body(did) }),
        head: Piece::of_head(&log.head),
        consistency: from.map(|from| Piece { size, body: log.consistency(from).as_flattened().to_vec() }),
        records: records.map(|_| Piece { size: 0, body: alice.records.payload_bytes().to_vec() }),
        first,
    }
}

/// Judges pieces, and what that comes to as a case.
fn judged(title: &str, log: &TestLog, subject: &Subject, known: &Memory, pieces: &Pieces, expected: &str) -> Value {
    let hexed = |piece: &Option<Piece>| piece.as_ref().map_or(Value::Null, |piece| hex(&piece.encode()));
    let given = json!({
        "vkey": log.signer.verifier_key().to_string(),
        "subject": match subject {
            Subject::Did(did) => json!({"did": hex(did.as_bytes())}),
            subject => json!({"name": format!("{}", crate::pieces::tests::text(subject))}),
        },
        "remembers": known.head().map(|head| hex(&head.encode())),
        "pieces": {
            "first": hex(&pieces.first.encode()),
            "did": hexed(&pieces.did),
            "state": hexed(&pieces.state),
            "head": hex(&pieces.head.encode()),
            "consistency": hexed(&pieces.consistency),
            "records": hexed(&pieces.records),
        },
        "now_ms": log.now().as_ms(),
    });
    let found = verdict(log, subject, known, pieces, log.now());
    let code = found.as_ref().map_or_else(|code| *code, |_| "ok");
    assert_eq!(code, expected, "{title}");
    match found {
        Ok((bytes, resolved)) => json!({"name": title, "in": given, "out": {
            "bytes": hex(&bytes),
            "status": format!("{:?}", resolved.status()).split([' ', '{']).next().unwrap_or_default().to_lowercase(),
            "size": resolved.head().size,
            "records": resolved.records().is_some(),
        }}),
        Err(code) => json!({"name": title, "in": given, "error": code}),
    }
}

fn text(subject: &Subject) -> &str {
    match subject {
        Subject::Name(name) => name,
        _ => "",
    }
}

fn verdict(
    log: &TestLog,
    subject: &Subject,
    known: &Memory,
    pieces: &Pieces,
    now: Timestamp,
) -> Result<(Vec<u8>, resolve::Resolved), &'static str> {
    let joined = pieces.join(subject).map_err(|error| match error {
        PieceError::Malformed => VerifyError::Malformed.code(),
        PieceError::Maps => VerifyError::MapProof.code(),
        PieceError::Heads => "heads",
    })?;
    let bytes = joined.encode();
    let resolved = resolve::verify(&log.trust(), &mut known.clone(), subject, &bytes, now);
    resolved.map(|resolved| (bytes, resolved)).map_err(|error| error.code())
}

fn answers() -> Vec<Value> {
    let (mut log, alice) = TestLog::new();
    let did = Subject::Did(alice.did);
    let nobody = Memory::new(log.origin.clone());
    let mut remembers = nobody.clone();
    let honest = log.answer(&name("carol")).encode();
    resolve::verify(&log.trust(), &mut remembers, &name("carol"), &honest, log.now()).unwrap();
    let old = (log.head.size, pieces_of(&log, &name("alice"), &alice, None));
    log.batch(&[], vec![]);
    let mut cases = Vec::new();
    let absent = [log.absent_name(2), log.absent_name(3)];
    let unknown = Subject::Did(Did::from_bytes([9; 20]));
    for (title, subject) in [
        ("a live name with its records", &name("alice")),
        ("a held name", &name("bob")),
        ("a name that is free again", &name("carol")),
        ("a name absent beside another leaf", &absent[0]),
        ("a name absent at an empty child", &absent[1]),
        ("a DID", &did),
        ("a DID that does not exist", &unknown),
    ] {
        let pieces = pieces_of(&log, subject, &alice, None);
        // What the pieces make is what the server answers over HTTP, byte for byte.
        let mut whole = log.answer(subject);
        if pieces.records.is_some() {
            whole = whole.with_certificates([&alice.records]);
        }
        assert_eq!(pieces.join(subject).unwrap().encode(), whole.encode(), "{title}");
        cases.push(judged(title, &log, subject, &nobody, &pieces, "ok"));
        let continued = pieces_of(&log, subject, &alice, Some(old.0));
        cases.push(judged(&format!("{title}, head remembered"), &log, subject, &remembers, &continued, "ok"));
    }

    let asked = name("alice");
    let whole = pieces_of(&log, &asked, &alice, None);
    let mut refuse = |title: &str, pieces: &Pieces, known: &Memory, code: &str| {
        cases.push(judged(title, &log, &asked, known, pieces, code));
    };
    let bent = |bend: &dyn Fn(&mut Pieces)| {
        let mut pieces = whole.clone();
        bend(&mut pieces);
        pieces
    };
    refuse("the name's piece is another's", &pieces_of(&log, &name("bob"), &alice, None), &nobody, "subject");
    refuse(
        "a bit of the name's proof is flipped",
        &bent(&|p| *p.first.body.last_mut().unwrap() ^= 1),
        &nobody,
        "map_proof",
    );
    refuse("the name's piece is cut", &bent(&|p| p.first.body.truncate(40)), &nobody, "malformed");
    refuse("the owner is withheld", &bent(&|p| p.did = None), &nobody, "binding");
    refuse("the owner's State is withheld", &bent(&|p| p.state = None), &nobody, "value");
    refuse(
        "a bit of the owner's State is flipped",
        &bent(&|p| *p.state.as_mut().unwrap().body.last_mut().unwrap() ^= 1),
        &nobody,
        "map_proof",
    );
    refuse(
        "a bit of the owner's proof is flipped",
        &bent(&|p| *p.did.as_mut().unwrap().body.last_mut().unwrap() ^= 1),
        &nobody,
        "map_proof",
    );
    refuse("the head's root is another", &bent(&|p| p.head.body[0] ^= 1), &nobody, "log_signature");
    refuse("the head is cut", &bent(&|p| p.head.body.truncate(100)), &nobody, "malformed");
    refuse(
        "the records are another certificate",
        &bent(&|p| p.records.as_mut().unwrap().body = alice.genesis.payload_bytes().to_vec()),
        &nobody,
        "value",
    );
    refuse("the pieces are of two heads", &bent(&|p| p.head = old.1.head.clone()), &nobody, "heads");
    refuse("the path from the head remembered is withheld", &whole, &remembers, "inconsistent");
    let mut newest = remembers.clone();
    resolve::verify(
        &log.trust(),
        &mut newest,
        &asked,
        &{
            let mut answer = log.answer(&asked);
            answer.consistency = log.consistency(old.0);
            answer.encode()
        },
        log.now(),
    )
    .unwrap();
    refuse("every piece is of an older head", &old.1, &newest, "rollback");
    refuse(
        "a path where the head is the one remembered",
        &pieces_of(&log, &asked, &alice, Some(old.0)),
        &newest,
        "inconsistent",
    );
    cases
}

#[test]
fn a_piece_is_read_back_and_nothing_shorter() {
    let piece = Piece { size: 9, body: vec![1, 2] };
    let bytes = piece.encode();
    assert_eq!(Piece::decode(&bytes), Ok(piece));
    for end in 0..9 {
        assert_eq!(Piece::decode(&bytes[..end]), Err(PieceError::Malformed));
    }
    assert_eq!(Piece::decode(&[&[2], &bytes[1..]].concat()), Err(PieceError::Malformed));
}

#[test]
fn every_pair_of_labels_is_joined_as_it_is_proved_together() {
    // Goal: joining two proofs gives the one proof of both labels. Method: all pairs of 44 names, present and absent.
    let (log, _) = TestLog::new();
    let names: Vec<_> =
        (0..44).map(|n| label(&name(&format!("{}{n}", if n < 30 { "filler" } else { "who" })))).collect();
    for first in &names {
        for second in names.iter().filter(|second| *second != first) {
            let [one, other] = [first, second].map(|label| log.map.prove(&[*label]).unwrap());
            let joined = MapProof::join([(first, &one), (second, &other)]).unwrap();
            assert_eq!(joined, log.map.prove(&[*first, *second]).unwrap());
        }
    }
}
