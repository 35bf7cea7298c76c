//! `tests/vectors/recovery.json`: from a PIN to K and the key of the backup; bundles, ids of sign-ins, messages; what is refused.

use serde_json::{Value, json};

use super::message::*;
use super::*;
use crate::cert::RecoveryServer;
use crate::oprf::Server;
use crate::testing::CountingRng;
use crate::testing::samples::{key, origin};
use crate::vectors::{hex, hold};

const ABOUT: [&str; 5] = [
    "Recovery (PROTOCOL 24). Bytes are hexadecimal, from fixed seeds; pins are made up.",
    "op harden: pin, did, epoch, hardening [KiB, passes, lanes] -> input, what is blinded. op combine: input, factor, answers [point, element] -> sign (K) and, with d, backup.",
    "op shares: shares [point, value] -> secret. op bundle, op info: bytes -> what they say. op signin_id: issuer, subject, salt -> id.",
    "op register, op evaluate, op evaluated, op release: bytes -> what they say.",
    "error: bad_pin, bad_shares, bad_field, bad_signature.",
];

const SCOPE: Scope = Scope { did: Did::from_bytes([0xd1; 20]), epoch: 3 };

/// As little as a log may name: the vectors are about bytes.
const CHEAP: Hardening = Hardening { memory_kib: 8_192, passes: 1, lanes: 1 };

fn pin() -> Pin {
    Pin::choose("739164").unwrap()
}

fn hardened() -> Hardened {
    Hardened::new(&pin(), SCOPE, &CHEAP).unwrap()
}

fn enrolled() -> Enrolled {
    Enrolled::new(&hardened(), 2, 3, &mut CountingRng(60)).unwrap()
}

fn enrolment(of: &Enrolled) -> Enrolment {
    let server = |share: &crate::oprf::KeyShare| RecoveryServer {
        url: format!("https://recovery{}.example", share.index),
        operator: format!("Operator {}", share.index),
        key: key(70 + share.index).public(),
        oprf: Server::from_scalar(share.secret()).unwrap().public(),
    };
    Enrolment {
        servers: of.key_shares.iter().map(server).collect(),
        threshold: 2,
        sign: of.secret.key().public(),
        kex: of.backup,
        bundle: bundle().hash(),
        sign_ins: vec![sign_in_id("https://issuer.example", "ada", &[5; 16])],
        needed: 1,
    }
}

fn bundle() -> Bundle {
    Bundle { scope: SCOPE, hardening: CHEAP, words: false }
}

fn proof() -> Proof {
    let statement = Zeroizing::new(b"header.claims.signature".to_vec());
    Proof { issuer: "https://issuer.example".into(), statement, random: [1; 16], salt: [5; 16] }
}

fn register() -> Register {
    let enrolled = enrolled();
    Register {
        bundle: bundle(),
        key_share: Zeroizing::new(*enrolled.key_shares[0].secret()),
        backup_share: enrolled.backup_shares[0].clone(),
        sign_ins: vec![proof()],
        needed: 1,
        blinded: Server::from_seed(&[4; 32]).public(),
        sign: key(11).public(),
        kex: KexSecret::from_bytes([11; 32]).public(),
    }
}

fn info() -> ServerInfo {
    ServerInfo {
        key: key(71).public(),
        kex: KexSecret::from_bytes([71; 32]).public(),
        operator: "Operator 1".into(),
        domain: "one.example".into(),
        issuers: vec!["https://issuer.example".into()],
        witnessed: true,
    }
}

fn evaluate() -> Evaluate {
    Evaluate { scope: SCOPE, attempt: 4, sign_ins: vec![proof()] }
}

#[test]
fn recovery_json_holds() {
    let enrolled = enrolled();
    let rng = &mut CountingRng(61);
    let input = hardened().input;
    let mut cases = vec![json!({
        "name": "six digits", "op": "harden",
        "in": { "pin": "739164", "did": hex(SCOPE.did.as_bytes()), "epoch": SCOPE.epoch, "hardening": [8_192, 1, 1] },
        "out": { "salt": hex(&SCOPE.salt()), "input": hex(&input) },
    })];
    for (name, text) in [("too few digits", "12345"), ("three words", "zoo able zone"), ("a letter", "12345a")] {
        let refused = Pin::read(text).unwrap_err();
        cases.push(json!({ "name": name, "op": "harden", "in": { "pin": text }, "error": refused.code() }));
    }
    let blinded = hardened().blind(rng);
    let answer = |at: usize| {
        let share = &enrolled.key_shares[at];
        let server = Server::from_scalar(share.secret()).unwrap();
        (share.index, server.evaluate(&[*blinded.element()], &mut CountingRng(62)).unwrap().0[0])
    };
    let d = combine(&enrolled.backup_shares[1..]).unwrap();
    for some in [[0, 1], [0, 2], [2, 1]] {
        let answers: Vec<_> = some.iter().map(|at| answer(*at)).collect();
        let secret = hardened().combine(&blinded, &answers).unwrap();
        assert_eq!(secret.key().public(), enrolled.secret.key().public());
        assert_eq!(secret.backup(&d).public(), enrolled.backup);
        let rows: Vec<_> = answers.iter().map(|(index, element)| json!([index, hex(element)])).collect();
        cases.push(json!({
            "name": format!("servers {} and {}", answers[0].0, answers[1].0), "op": "combine",
            "in": { "did": hex(SCOPE.did.as_bytes()), "epoch": SCOPE.epoch, "input": hex(&input), "factor": hex(blinded.factor().as_slice()), "answers": rows, "d": hex(d.as_slice()) },
            "out": { "blinded": hex(blinded.element()), "rho": hex(secret.rho.as_slice()), "sign": hex(&secret.key().public()), "backup": hex(&secret.backup(&d).public()) },
        }));
    }
    cases.extend(shares(&enrolled.backup_shares, &d));
    let id = sign_in_id("https://issuer.example", "ada", &[5; 16]);
    cases.push(json!({
        "name": "a sign-in", "op": "signin_id",
        "in": { "issuer": "https://issuer.example", "subject": "ada", "salt": hex(&[5; 16]) },
        "out": { "id": hex(&id) },
    }));
    cases.extend(forms("bundle", &bundle().encode(), json!({ "hash": hex(&bundle().hash()) }), |bytes| {
        Bundle::decode(bytes).map(drop).map_err(MessageError::from)
    }));
    let told = json!({ "operator": "Operator 1", "domain": "one.example" });
    cases.extend(forms("info", &info().sign(&origin(), &key(71)), told, |bytes| {
        ServerInfo::open(bytes, &origin()).map(drop)
    }));
    let signed = register().sign(&origin(), &key(11));
    cases.extend(forms("register", &signed, json!({ "point": 1, "needed": 1 }), |bytes| {
        Register::open(bytes, &origin()).map(drop)
    }));
    cases.extend(forms("evaluate", &evaluate().encode(), json!({ "attempt": 4 }), |bytes| {
        Evaluate::decode(bytes).map(drop)
    }));
    let release = Release { scope: SCOPE, attempt: 4, server: key(71).public() };
    cases.extend(forms("release", &release.sign(&origin(), &key(80)), json!({ "attempt": 4 }), |bytes| {
        Release::open(bytes).and_then(|release| release.verify(&origin(), &key(80).public()))
    }));
    let evaluated = Evaluated { element: answer(0).1, proof: [7; 64] };
    cases.extend(forms("evaluated", &evaluated.encode(), json!({ "element": hex(&evaluated.element) }), |bytes| {
        Evaluated::decode(bytes).map(drop)
    }));
    hold("recovery", &ABOUT, &cases);
}

fn shares(all: &[Share], d: &[u8; 32]) -> Vec<Value> {
    let case = |name: &str, shares: &[Share], outcome: (&str, Value)| {
        let rows: Vec<_> = shares.iter().map(|share| json!([share.index, hex(share.value())])).collect();
        json!({ "name": name, "op": "shares", "in": { "shares": rows }, outcome.0: outcome.1 })
    };
    let made = |shares: &[Share]| match combine(shares) {
        Ok(secret) => ("out", json!({ "secret": hex(secret.as_slice()) })),
        Err(refused) => ("error", json!(refused.code())),
    };
    assert_eq!(*combine(&all[..2]).unwrap(), *d);
    let twice = [all[0].clone(), all[0].clone()];
    let zero = [Share::new(0, *all[0].value()), all[1].clone()];
    vec![
        case("two of three", &all[..2], made(&all[..2])),
        case("three of three", all, made(all)),
        case("one of three, another secret", &all[..1], made(&all[..1])),
        case("one twice", &twice, made(&twice)),
        case("a point 0", &zero, made(&zero)),
        case("no share", &[], made(&[])),
    ]
}

/// A message as it is, and every way in which its bytes are none.
fn forms(op: &str, bytes: &[u8], out: Value, read: impl Fn(&[u8]) -> Result<(), MessageError>) -> Vec<Value> {
    read(bytes).unwrap();
    let mut cases = vec![json!({ "name": op, "op": op, "in": { "bytes": hex(bytes) }, "out": out })];
    let mut refuse = |name: &str, bytes: &[u8]| {
        let refused = read(bytes).unwrap_err();
        let name = format!("{op}: {name}");
        cases.push(json!({ "name": name, "op": op, "in": { "bytes": hex(bytes) }, "error": refused.code() }));
    };
    refuse("cut", &bytes[..bytes.len() - 1]);
    refuse("a byte too many", &[bytes, &[0]].concat());
    refuse("nothing", &[]);
    if matches!(op, "info" | "register" | "release") {
        let mut flipped = bytes.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        refuse("another signature", &flipped);
    }
    for end in 0..bytes.len() {
        assert!(read(&bytes[..end]).is_err(), "{op} cut at {end}");
    }
    cases
}

#[test]
fn what_is_asked_opens_at_its_server_for_its_purpose_alone() {
    let (kex, other) = (KexSecret::from_bytes([71; 32]), KexSecret::from_bytes([72; 32]));
    let server = key(71).public();
    let body = seal_ask(Ask::Evaluate, (&server, &kex.public()), b"asked", &mut CountingRng(1)).unwrap();
    assert_eq!(open_ask(Ask::Evaluate, &server, &kex, &body).unwrap().as_slice(), b"asked");
    let sealed = Err(MessageError::Sealed);
    assert_eq!(open_ask(Ask::Release, &server, &kex, &body), sealed);
    assert_eq!(open_ask(Ask::Evaluate, &key(72).public(), &kex, &body), sealed);
    assert_eq!(open_ask(Ask::Evaluate, &server, &other, &body), sealed);
    assert_eq!(open_ask(Ask::Evaluate, &server, &kex, &body[1..]), Err(MessageError::Form));
    let share = Share::new(2, [9; 32]);
    let to = KexSecret::from_bytes([80; 32]);
    let bytes = seal_share(&share, &SCOPE, &server, &to.public(), &mut CountingRng(2)).unwrap();
    assert_eq!(open_share(&bytes, &SCOPE, &server, &to), Ok(share));
    assert_eq!(open_share(&bytes, &Scope { epoch: 4, ..SCOPE }, &server, &to), Err(MessageError::Sealed));
    assert_eq!(open_share(&bytes, &SCOPE, &server, &kex), Err(MessageError::Sealed));
}

#[test]
fn another_pin_leads_to_another_key() {
    let (enrolled, rng) = (enrolled(), &mut CountingRng(63));
    for (text, right) in [("739164", true), ("739165", false), ("7391640", false), ("zoo able zone able", false)] {
        let hardened = Hardened::new(&Pin::read(text).unwrap(), SCOPE, &CHEAP).unwrap();
        let blinded = hardened.blind(rng);
        let answers = enrolled.key_shares[..2].iter().map(|share| {
            let server = Server::from_scalar(share.secret()).unwrap();
            (share.index, server.evaluate(&[*blinded.element()], &mut CountingRng(64)).unwrap().0[0])
        });
        let secret = hardened.combine(&blinded, &answers.collect::<Vec<_>>()).unwrap();
        assert_eq!(secret.key().public() == enrolled.secret.key().public(), right, "{text}");
    }
    let later = Hardened::new(&pin(), Scope { epoch: 4, ..SCOPE }, &CHEAP).unwrap();
    assert_ne!(later.input, hardened().input);
}

#[test]
fn one_server_cannot_test_a_single_pin() {
    // Goal: t - 1 servers with all they keep, the bundle and the log learn nothing of the PIN. Method: for each of 200 PINs, the
    // right one among them, there is a share of the missing server that leads to a K; none of what the colluders hold tells which
    // K is the one in the log. What they can make alone, from their share as if it were enough, is never the K in the log.
    let (enrolled, blinded_by) = (enrolled(), &mut CountingRng(65));
    let logged = enrolled.secret.key().public();
    let colluder = Server::from_scalar(enrolled.key_shares[0].secret()).unwrap();
    let mut keys = std::collections::BTreeSet::new();
    for number in 739_000..739_200_u32 {
        let scope_input = |pw: [u8; 32]| SCOPE.input(&pw);
        // The hardening only makes this slower: any function of the PIN will do.
        let input = match number {
            739_164 => hardened().input,
            _ => scope_input(crate::hash::sha256(&[&number.to_be_bytes()])),
        };
        let hardened = Hardened { scope: SCOPE, input };
        let blinded = hardened.blind(blinded_by);
        let own = colluder.evaluate(&[*blinded.element()], &mut CountingRng(66)).unwrap().0[0];
        for point in [1, 2, 3] {
            let alone = hardened.combine(&blinded, &[(point, own)]).unwrap();
            assert_ne!(alone.key().public(), logged, "a PIN was tested alone");
            keys.insert(alone.key().public());
        }
        // Any point may be the other server's answer: each fits the colluder's view as well as every other.
        let other =
            Server::from_seed(&[(number % 251) as u8; 32]).evaluate(&[*blinded.element()], &mut CountingRng(67));
        let guess = hardened.combine(&blinded, &[(1, own), (2, other.unwrap().0[0])]).unwrap();
        assert_ne!(guess.key().public(), logged);
    }
    assert!(keys.len() >= 200, "every PIN leads to a key of its own: {}", keys.len());
    // Their shares of the backup are any 32 bytes too (shamir: fewer shares fit every secret).
    assert!(enrolled.secret.open_backup(&enrolment(&enrolled), &enrolled.backup_shares[..1]).is_none());
}

#[test]
fn as_many_servers_as_are_needed_try_pins_without_the_log_and_one_fewer_does_not() {
    // Goal: the limit that is stated is the limit there is. Method: the shares of two of three servers, put together, try PINs until one
    // makes the K in the log, and open the backup; nobody asked the log. With one share twice none of them does.
    let enrolled = enrolled();
    let logged = enrolled.secret.key().public();
    let tried = |servers: [usize; 2], text: &str| {
        let hardened = Hardened::new(&Pin::read(text).unwrap(), SCOPE, &CHEAP).unwrap();
        let blinded = hardened.blind(&mut CountingRng(68));
        let answers = servers.map(|at| {
            let share = &enrolled.key_shares[at];
            let server = Server::from_scalar(share.secret()).unwrap();
            (share.index, server.evaluate(&[*blinded.element()], &mut CountingRng(69)).unwrap().0[0])
        });
        hardened.combine(&blinded, &answers).ok().filter(|secret| secret.key().public() == logged)
    };
    let guesses = ["739162", "739163", "739164", "739165"];
    let found: Vec<_> = guesses.iter().filter_map(|text| Some((*text, tried([0, 2], text)?))).collect();
    let [(text, secret)] = &found[..] else { panic!("one PIN of these is hers") };
    assert_eq!(*text, "739164");
    let shares = [enrolled.backup_shares[0].clone(), enrolled.backup_shares[2].clone()];
    assert!(
        secret.open_backup(&enrolment(&enrolled), &shares).is_some(),
        "with the boxes they read what is sealed to her"
    );
    assert!(guesses.iter().all(|text| tried([1, 1], text).is_none()));
}

#[test]
fn a_server_that_releases_a_false_share_is_named_and_skipped() {
    let enrolled = enrolled();
    let enrolment = enrolment(&enrolled);
    let opened = |shares: &[Share]| {
        let opened = enrolled.secret.open_backup(&enrolment, shares);
        opened.map(|(secret, liars)| (secret.public() == enrolment.kex, liars))
    };
    let good = &enrolled.backup_shares;
    let false_share = |index| Share::new(index, [0xfa; 32]);
    assert_eq!(opened(good), Some((true, vec![])));
    assert_eq!(opened(&good[1..]), Some((true, vec![])));
    assert_eq!(opened(&[good[0].clone(), false_share(2), good[2].clone()]), Some((true, vec![2])));
    assert_eq!(opened(&[false_share(1), good[1].clone(), good[2].clone()]), Some((true, vec![1])));
    assert_eq!(opened(&[good[0].clone(), false_share(1), good[2].clone()]), Some((true, vec![1])), "another's point");
    assert_eq!(opened(&[good[0].clone(), false_share(2)]), None);
    assert_eq!(opened(&good[..1]), None);
}
