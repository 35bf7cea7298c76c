//! Includes tests/vectors/witness.json.

use identity::key::SigningKey;
use serde_json::{Value, json};

use super::*;
use crate::note::{Checkpoint, LogSigner};
use crate::tree::oracle::{self, Oracle};
use crate::vectors::{hex, hold};

const ORIGIN: &str = "dgns.test/log";
const FOREIGN: &str = "example.com/behind-the-sofa";

/// The request that the specification shows; the keys of its log are not published.
const PUBLISHED: &str = "old 20852014\n\
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
    jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
    5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
    /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
    \n\
    example.com/behind-the-sofa\n\
    20852163\n\
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
    \n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";

fn signer(origin: &str, seed: u8) -> LogSigner {
    LogSigner::new(origin, SigningKey::from_seed(&[seed; 32])).unwrap()
}

fn cosigner() -> Cosigner {
    Cosigner::new("w1.example", SigningKey::from_seed(&[101; 32])).unwrap()
}

/// The root of the first `size` leaves of the log; `fork` leads to another log.
fn root(size: u64, fork: bool) -> Hash {
    if size == 0 { EMPTY_ROOT } else { Oracle::new(&leaves(size, fork)).root(0, size as usize) }
}

fn leaves(size: u64, fork: bool) -> Vec<Hash> {
    let mut leaves = oracle::leaves(size);
    if fork {
        leaves[0] = [0xee; 32];
    }
    leaves
}

fn record(size: u64) -> WitnessRecord {
    WitnessRecord { size, root: root(size, false) }
}

/// A checkpoint of the log at this size, signed by its key.
fn note(size: u64, fork: bool) -> Note {
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root: root(size, fork) };
    Note::new(checkpoint.text(), vec![signer(ORIGIN, 1).sign(&checkpoint)]).unwrap()
}

fn proof(from: u64, to: u64) -> Vec<Hash> {
    match from {
        0 => Vec::new(),
        _ => Oracle::new(&leaves(to, false)).consistency(from as usize, to as usize),
    }
}

fn request(from: u64, to: u64) -> Request {
    Request::new(from, proof(from, to), note(to, false)).unwrap()
}

fn trusted() -> Vec<VerifierKey> {
    [signer(ORIGIN, 9), signer(FOREIGN, 1), signer(ORIGIN, 1)].map(|signer| signer.verifier_key().clone()).to_vec()
}

#[test]
fn whatever_continues_the_record_is_cosigned() {
    // Goal: every step between two sizes, from nothing, and none at all. Method: all pairs of a small log.
    for (from, to) in (0..10).flat_map(|to| (0..=to).map(move |from| (from, to))) {
        let request = request(from, to);
        assert_eq!(Request::decode(&request.encode()), Ok(request.clone()));
        let granted =
            decide(&record(from), &request, &trusted()).unwrap_or_else(|error| panic!("{from}, {to}: {error}"));
        assert_eq!(granted.record(), record(to));
        let line = granted.cosign(&cosigner(), 7);
        let text = request.note().text();
        let signed = cosignature_of(line.to_string().as_bytes(), text, cosigner().verifier_key()).unwrap();
        assert_eq!(signed.time_s, 7);
        let shown = granted.cosigned_note(line).unwrap();
        let keys = [cosigner().verifier_key().clone(), signer(ORIGIN, 1).verifier_key().clone()];
        assert_eq!(shown.verify(&keys).unwrap().len(), 2);
    }
}

#[test]
fn the_request_of_the_specification_is_read() {
    let request = Request::decode(PUBLISHED.as_bytes()).unwrap();
    assert_eq!((request.old_size(), request.proof().len(), request.checkpoint().size), (20_852_014, 4, 20_852_163));
    assert_eq!(request.checkpoint().origin, FOREIGN);
    assert_eq!(request.encode(), PUBLISHED.as_bytes());
    assert_eq!(decide(&WitnessRecord::NONE, &request, &trusted()), Err(WitnessRefusal::Signature));
}

#[test]
fn a_request_has_its_limit() {
    let long = format!("{PUBLISHED}{}", "— n AAAAAAA=\n".repeat(14_000));
    assert!(long.len() > 192 * 1_024);
    assert_eq!(Request::decode(long.as_bytes()), Err(BadRequest));
    let hashes = vec![[1; 32]; 64];
    assert_eq!(Request::new(3, hashes, note(7, false)), Err(BadRequest));
}

#[test]
fn extension_lines_of_other_logs_are_cosigned_as_they_stand() {
    let text = format!("{FOREIGN}\n0\n{}\nan extension\n", crate::base64::encode(&EMPTY_ROOT));
    assert!(Checkpoint::parse(&text).is_err());
    let signature = SigningKey::from_seed(&[1; 32]).sign(text.as_bytes()).to_vec();
    let (key, name) = (signer(FOREIGN, 1).verifier_key().clone(), FOREIGN.to_owned());
    let note = Note::new(text.clone(), vec![SignatureLine { name, id: key.id(), signature }]).unwrap();
    let request = Request::new(0, Vec::new(), note).unwrap();
    let line = decide(&WitnessRecord::NONE, &request, &[key]).unwrap().cosign(&cosigner(), 7);
    assert!(cosignature_of(line.to_string().as_bytes(), &text, cosigner().verifier_key()).is_ok());
}

#[test]
fn witness_vectors_hold() {
    let mut cases = vec![decided("the first checkpoint of a log", None, &request(0, 3), Ok(()))];
    let conflict = Err(WitnessRefusal::Conflict { size: 5 });
    cases.extend([
        decided("the next checkpoint", Some(3), &request(3, 7), Ok(())),
        decided("the same checkpoint again", Some(7), &request(7, 7), Ok(())),
        decided("the empty tree", None, &request(0, 0), Ok(())),
        decided("an old size that was not cosigned last", Some(5), &request(3, 7), conflict),
        decided("an old size of 0, to be told", Some(5), &request(0, 7), conflict),
        decided("a size below the one cosigned last", Some(5), &request(3, 4), conflict),
        decided("nothing was cosigned yet", None, &request(3, 7), Err(WitnessRefusal::Conflict { size: 0 })),
    ]);
    let bent = |from, proof: Vec<Hash>, note| Request::new(from, proof, note).unwrap();
    let refused = |name: &str, size, request: &Request, refusal| decided(name, size, request, Err(refusal));
    let mut wrong = proof(3, 7);
    wrong[0][0] ^= 1;
    let empty = |root| {
        let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 0, root };
        Note::new(checkpoint.text(), vec![signer(ORIGIN, 1).sign(&checkpoint)]).unwrap()
    };
    let signed_by = |origin: &str, seed| {
        let checkpoint = Checkpoint { origin: origin.into(), size: 7, root: root(7, false) };
        bent(3, proof(3, 7), Note::new(checkpoint.text(), vec![signer(origin, seed).sign(&checkpoint)]).unwrap())
    };
    let mut failing = note(7, false).lines().to_vec();
    failing[0].signature[0] ^= 1;
    let failing = bent(3, proof(3, 7), Note::new(note(7, false).text().into(), failing).unwrap());
    cases.extend([
        refused("a wrong proof", Some(3), &bent(3, wrong, note(7, false)), WitnessRefusal::Proof),
        refused("no proof", Some(3), &bent(3, vec![], note(7, false)), WitnessRefusal::Proof),
        refused("a proof from nothing", None, &bent(0, vec![[1; 32]], note(7, false)), WitnessRefusal::Proof),
        refused("a proof between equals", Some(7), &bent(7, vec![[1; 32]], note(7, false)), WitnessRefusal::Proof),
        refused("another root at the size cosigned", Some(7), &bent(7, vec![], note(7, true)), WitnessRefusal::Fork),
        refused("another log's continuation", Some(3), &bent(3, proof(3, 7), note(7, true)), WitnessRefusal::Proof),
        refused("an empty tree with a root", None, &bent(0, vec![], empty([1; 32])), WitnessRefusal::EmptyRoot),
        refused(
            "an old size above the checkpoint's",
            Some(9),
            &bent(9, vec![], note(7, false)),
            WitnessRefusal::OldSize,
        ),
        refused("a log nobody knows", None, &signed_by("other.test/log", 1), WitnessRefusal::UnknownLog),
        refused("a key nobody trusts", Some(3), &signed_by(ORIGIN, 7), WitnessRefusal::Signature),
        refused("a trusted key whose line fails", Some(3), &failing, WitnessRefusal::Signature),
    ]);
    cases.extend(malformed());
    cases.extend(answers());
    let about = [
        "Requests to witnesses and their answers (PROTOCOL 9.7). op decide: in body (text), trusted (vkeys), record: {size, root} of the",
        "head cosigned last, or null; out size, root; error: the code, and status. op cosign: in text (a checkpoint), name, seed, time_s;",
        "out line. op answer: in body, text, vkey; out time_s. op conflict: in body; out size.",
    ];
    hold("witness", &about, &cases);
}

fn decided(name: &str, size: Option<u64>, request: &Request, expected: Result<(), WitnessRefusal>) -> Value {
    let held = size.map(record);
    let found = decide(&held.unwrap_or(WitnessRecord::NONE), request, &trusted());
    assert_eq!(found.clone().map(drop), expected, "{name}");
    let body = String::from_utf8(request.encode()).unwrap();
    let record_json = held.map(|held| json!({"size": held.size, "root": hex(&held.root)}));
    let keys: Vec<String> = trusted().iter().map(ToString::to_string).collect();
    let given = json!({"body": body, "trusted": keys, "record": record_json});
    match found.map(|granted| granted.record()) {
        Ok(WitnessRecord { size, root }) => {
            json!({"name": name, "op": "decide", "in": given, "out": {"size": size, "root": hex(&root)}})
        }
        Err(refusal) => {
            let (error, status) = (refusal.code(), refusal.status());
            json!({"name": name, "op": "decide", "in": given, "error": error, "status": status})
        }
    }
}

fn malformed() -> Vec<Value> {
    let good = String::from_utf8(request(3, 7).encode()).unwrap();
    let first_hash = good.lines().nth(1).unwrap();
    let hashes = |n: usize| good.replacen(&format!("{first_hash}\n"), &format!("{first_hash}\n").repeat(n), 1);
    [
        ("nothing", String::new()),
        ("no old size", good.replacen("old 3\n", "", 1)),
        ("an old size with a leading zero", good.replacen("old 3", "old 03", 1)),
        ("an old size below 0", good.replacen("old 3", "old -3", 1)),
        ("an old size beyond 64 bits", good.replacen("old 3", "old 18446744073709551616", 1)),
        ("two spaces before the old size", good.replacen("old 3", "old  3", 1)),
        ("a carriage return", good.replacen("old 3\n", "old 3\r\n", 1)),
        ("a hash of 31 bytes", good.replacen(first_hash, &crate::base64::encode(&[1; 31]), 1)),
        ("a hash without padding", good.replacen(first_hash, first_hash.trim_end_matches('='), 1)),
        ("64 hashes", hashes(65 - proof(3, 7).len())),
        ("no empty line before the checkpoint", good.replacen("\n\n", "\n", 1)),
        ("no checkpoint", good.split("\n\n").next().unwrap().to_owned() + "\n\n"),
        ("a checkpoint without signature", good.rsplit_once("\n\n").unwrap().0.to_owned() + "\n\n"),
        ("a note that is no checkpoint", good.replacen("\n7\n", "\nseven\n", 1)),
        ("no newline at the end", good.trim_end().to_owned()),
    ]
    .map(|(name, body)| {
        let error = Request::decode(body.as_bytes()).expect_err(name);
        let given = json!({"body": body, "trusted": [], "record": null});
        json!({"name": name, "op": "decide", "in": given, "error": error.code(), "status": 400})
    })
    .to_vec()
}

fn answers() -> Vec<Value> {
    let text = note(7, false).text().to_owned();
    let (witness, checkpoint) = (cosigner(), Checkpoint::parse(&text).unwrap());
    let line = witness.cosign(&checkpoint, 1_700_000_000).to_string();
    let other = Cosigner::new("w2.example", SigningKey::from_seed(&[102; 32])).unwrap();
    let others = other.cosign(&checkpoint, 1_700_000_001).to_string();
    let elsewhere = Checkpoint { size: 8, ..checkpoint.clone() };
    let given = json!({"text": text, "name": "w1.example", "seed": hex(&[101; 32]), "time_s": 1_700_000_000});
    let mut cases = vec![json!({"name": "a cosignature", "op": "cosign", "in": given, "out": {"line": line}})];
    let mut answer = |name: &str, body: String| {
        let given = json!({"body": body, "text": text, "vkey": witness.verifier_key().to_string()});
        let case = match cosignature_of(body.as_bytes(), &text, witness.verifier_key()) {
            Ok(signed) => json!({"name": name, "op": "answer", "in": given, "out": {"time_s": signed.time_s}}),
            Err(error) => json!({"name": name, "op": "answer", "in": given, "error": error.code()}),
        };
        cases.push(case);
    };
    answer("its line", line.clone());
    answer("its line among others", format!("{others}{line}"));
    answer("another witness's line", others.clone());
    answer("its line for another checkpoint", witness.cosign(&elsewhere, 1_700_000_000).to_string());
    answer("its line with time 0", witness.cosign(&checkpoint, 0).to_string());
    answer("nothing", String::new());
    answer("a page", "<html>\n".to_owned());
    answer("an empty line before it", format!("\n{line}"));
    answer("a whole note", format!("{text}\n{line}"));
    let mut conflict = |name: &str, body: &str| {
        cases.push(match conflict_size(body.as_bytes()) {
            Ok(size) => {
                json!({"name": name, "op": "conflict", "in": {"body": body}, "out": {"size": size.to_string()}})
            }
            Err(error) => json!({"name": name, "op": "conflict", "in": {"body": body}, "error": error.code()}),
        });
    };
    conflict("the size cosigned last", &conflict_body(20_852_014));
    conflict("nothing cosigned yet", "0\n");
    conflict("no newline", "5");
    conflict("two lines", "5\n6\n");
    conflict("a leading zero", "05\n");
    conflict("a word", "five\n");
    cases
}
