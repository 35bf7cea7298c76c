use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey as P256SigningKey};
use serde_json::{Value, json};

use super::*;
use crate::testing::samples::{key, origin};
use crate::vectors::{hex, hold};

const ABOUT: [&str; 5] = [
    "What ties sign-ins to keys (PROTOCOL 19). Bytes are hexadecimal.",
    "kind nonce: in purpose, sign, kex, blinded (null = none), random; out the nonce and its text.",
    "kind evidence: in statement, random; out the hash. kind issuer: in issuer; out the hash.",
    "kind salt: in origin; out the hash. kind prf: in output, of a passkey's PRF; out secret and key of the recipient it makes.",
    "kind finish: in origin, state, key, signature; out true, or error bad_signature.",
];

const ABOUT_ASSERTIONS: [&str; 3] = [
    "Judged assertions of passkeys (PROTOCOL 19.5). Bytes are hexadecimal.",
    "in: authenticator_data, client_data (text), signature, x, y, challenge, origin, rp_id; out counter, backed_up and bytes,",
    "what the evidence hash is made of; or error, the code, and reason.",
];

const ORIGIN: &str = "https://id.dgns.test";

fn passkey(seed: u8) -> P256SigningKey {
    P256SigningKey::from_slice(&[seed; 32]).expect("a scalar below the order")
}

fn coordinates(key: &P256SigningKey) -> ([u8; 32], [u8; 32]) {
    let point = key.verifying_key().to_sec1_point(false);
    let bytes = point.as_bytes();
    (bytes[1..33].try_into().expect("65 bytes"), bytes[33..].try_into().expect("65 bytes"))
}

fn der_of(signature: &Signature) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let digits: Vec<u8> = number.iter().copied().skip_while(|digit| *digit == 0).collect();
        let sign = if digits[0] >= 0x80 { vec![0] } else { vec![] };
        let body = [sign, digits].concat();
        [vec![2, body.len() as u8], body].concat()
    };
    let (r, s) = signature.split_bytes();
    let body = [integer(&r), integer(&s)].concat();
    [vec![0x30, body.len() as u8], body].concat()
}

/// An assertion as a case states it, with what it is judged by.
#[derive(Clone)]
struct Answered {
    rp_id: &'static str,
    flags: u8,
    after: Vec<u8>,
    kind: &'static str,
    said_origin: &'static str,
    more: &'static str,
    challenge: Hash,
    asked: Hash,
    signer: u8,
    signature: fn(Vec<u8>) -> Vec<u8>,
}

impl Answered {
    fn well() -> Self {
        Self {
            rp_id: "id.dgns.test",
            flags: USER,
            after: Vec::new(),
            kind: "webauthn.get",
            said_origin: ORIGIN,
            more: ",\"crossOrigin\":false",
            challenge: [5; 32],
            asked: [5; 32],
            signer: 1,
            signature: |der| der,
        }
    }

    fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    fn assertion(&self) -> Assertion {
        let rp = sha256(&[self.rp_id.as_bytes()]);
        let authenticator_data = [rp.as_slice(), &[self.flags], &7_u32.to_be_bytes(), &self.after].concat();
        let challenge = BASE64URL_NOPAD.encode(&self.challenge);
        let client_data = format!(
            "{{\"type\":\"{}\",\"challenge\":\"{challenge}\",\"origin\":\"{}\"{}}}",
            self.kind, self.said_origin, self.more
        )
        .into_bytes();
        let message = [authenticator_data.as_slice(), &sha256(&[&client_data])].concat();
        let signature: Signature = passkey(self.signer).sign(&message);
        Assertion { authenticator_data, client_data, signature: (self.signature)(der_of(&signature)) }
    }

    fn judge(&self) -> Result<Asserted, AssertionRefusal> {
        let (x, y) = coordinates(&passkey(1));
        let expected = Expected { challenge: &self.asked, origin: ORIGIN, rp_id: "id.dgns.test" };
        self.assertion().judge(&expected, &P256Key::from_coordinates(&x, &y).expect("a point"))
    }

    fn given(&self) -> Value {
        let (assertion, (x, y)) = (self.assertion(), coordinates(&passkey(1)));
        json!({
            "authenticator_data": hex(&assertion.authenticator_data), "signature": hex(&assertion.signature),
            "client_data": String::from_utf8_lossy(&assertion.client_data), "x": hex(&x), "y": hex(&y),
            "challenge": hex(&self.asked), "origin": ORIGIN, "rp_id": "id.dgns.test",
        })
    }

    fn accepted(&self, name: &str) -> Value {
        let asserted = self.judge().expect(name);
        let bytes = self.assertion().bytes();
        let out = json!({ "counter": asserted.counter, "backed_up": asserted.backed_up, "bytes": hex(&bytes) });
        json!({ "name": name, "in": self.given(), "out": out })
    }

    fn refused(&self, name: &str, reason: &str) -> Value {
        let refusal = self.judge().expect_err(name);
        assert_eq!((refusal.code(), refusal.reason()), ("assertion", reason), "{name}");
        json!({ "name": name, "in": self.given(), "error": "assertion", "reason": reason })
    }
}

/// Present and verified.
const USER: u8 = 0x05;

fn assertions() -> Vec<Value> {
    let well = Answered::well();
    vec![
        well.accepted("an assertion"),
        well.but(|a| a.flags = USER | 0x18).accepted("by a passkey that is backed up"),
        well.but(|a| (a.flags, a.after) = (USER | 0x80, vec![0xa0])).accepted("with extensions"),
        well.but(|a| a.more = "").accepted("of a browser that does not say crossOrigin"),
        well.but(|a| a.more = ",\"crossOrigin\":false,\"other_keys_can_be_added_here\":\"x\"")
            .accepted("with more members"),
        well.but(|a| a.kind = "webauthn.create").refused("a registration", "type"),
        well.but(|a| a.challenge = [6; 32]).refused("another challenge", "challenge"),
        well.but(|a| a.asked = [6; 32]).refused("a challenge answered before", "challenge"),
        well.but(|a| a.said_origin = "https://id.dgns.tesu").refused("another origin", "origin"),
        well.but(|a| a.said_origin = "http://id.dgns.test").refused("without TLS", "origin"),
        well.but(|a| a.said_origin = "https://id.dgns.test:8443").refused("another port", "origin"),
        well.but(|a| a.said_origin = "https://www.id.dgns.test").refused("a name below", "origin"),
        well.but(|a| a.more = ",\"crossOrigin\":true").refused("inside a page of another origin", "origin"),
        well.but(|a| a.more = ",\"origin\":\"https://id.dgns.test\"").refused("an origin twice", "form"),
        well.but(|a| a.more = ",\"crossOrigin\":0").refused("a number for a truth", "form"),
        well.but(|a| a.more = ",").refused("no JSON", "form"),
        well.but(|a| a.rp_id = "dgns.test").refused("another relying party", "rp_id"),
        well.but(|a| a.flags = 0x04).refused("nobody present", "presence"),
        well.but(|a| a.flags = 0x01).refused("nobody verified", "verification"),
        well.but(|a| a.after = vec![0]).refused("bytes after the data", "form"),
        well.but(|a| a.signer = 2).refused("another key", "signature"),
        well.but(|a| a.signature = |_| Vec::new()).refused("no signature", "signature"),
        well.but(|a| a.signature = |der| [der, vec![0]].concat()).refused("a byte after the signature", "signature"),
        well.but(|a| a.signature = |der| padded(&der)).refused("a number with a zero too many", "signature"),
        well.but(|a| a.signature = |_| vec![0x30, 6, 2, 1, 0, 2, 1, 0]).refused("zeros for a signature", "signature"),
        well.but(|a| a.signature = |_| vec![0x30, 6, 2, 1, 1, 2, 1, 1]).refused("ones for a signature", "signature"),
    ]
}

/// The signature with a zero before its first number.
fn padded(der: &[u8]) -> Vec<u8> {
    let (length, first) = (der[1], usize::from(der[3]));
    [&[0x30, length + 1, 2, der[3] + 1, 0], &der[4..4 + first], &der[4 + first..]].concat()
}

#[test]
fn evidence_json_holds() {
    let binding =
        Binding { purpose: Purpose::SignIn, sign: key(2).public(), kex: [3; 32], blinded: None, random: [4; 16] };
    let mut cases = Vec::new();
    for (name, binding) in [
        ("a sign-in", binding),
        ("a recovery", Binding { purpose: Purpose::Recovery, blinded: Some([9; 32]), ..binding }),
        ("an enrolment", Binding { purpose: Purpose::Enrolment, ..binding }),
        ("other keys", Binding { sign: key(3).public(), ..binding }),
    ] {
        let given = json!({
            "purpose": binding.purpose as u8, "sign": hex(&binding.sign), "kex": hex(&binding.kex),
            "blinded": binding.blinded.map(|blinded| hex(&blinded)), "random": hex(&binding.random),
        });
        let out = json!({ "nonce": hex(&binding.nonce()), "text": binding.nonce_text() });
        cases.push(json!({ "name": name, "kind": "nonce", "in": given, "out": out }));
    }
    for (name, statement) in [("an id_token", b"eyJhbGciOiJFUzI1NiJ9.e30.c2ln".as_slice()), ("nothing", b"")] {
        let given = json!({ "statement": hex(statement), "random": hex(&[4; 16]) });
        let out = json!({ "hash": hex(&evidence_hash(statement, &[4; 16])) });
        cases.push(json!({ "name": name, "kind": "evidence", "in": given, "out": out }));
    }
    for issuer in ["https://accounts.example".to_owned(), passkey_issuer("dgns.test")] {
        let out = json!({ "hash": hex(&issuer_hash(&issuer)) });
        cases.push(json!({ "name": issuer, "kind": "issuer", "in": { "issuer": issuer }, "out": out }));
    }
    let out = json!({ "hash": hex(&passkey_salt(&origin())) });
    cases.push(json!({ "name": "what a PRF is asked over", "kind": "salt", "in": { "origin": origin().as_str() }, "out": out }));
    for (name, output) in [("the output of a PRF", [6; 32]), ("another output", [7; 32])] {
        let secret = passkey_recipient(&output);
        let out = json!({ "secret": hex(secret.to_bytes().as_ref()), "key": hex(&secret.public()) });
        cases.push(json!({ "name": name, "kind": "prf", "in": { "output": hex(&output) }, "out": out }));
    }
    let (state, signature) = ([8; 32], sign_finish(&origin(), &[8; 32], &key(2)));
    for (name, state, by) in [
        ("by the device that began", state, key(2)),
        ("by another device", state, key(3)),
        ("of another sign-in", [7; 32], key(2)),
    ] {
        let given = json!({
            "origin": origin().as_str(), "state": hex(&state), "key": hex(&by.public()), "signature": hex(&signature),
        });
        let holds = finish_is_by(&origin(), &state, &by.public(), &signature);
        assert_eq!(holds, name == "by the device that began");
        cases.push(match holds {
            true => json!({ "name": name, "kind": "finish", "in": given, "out": true }),
            false => json!({ "name": name, "kind": "finish", "in": given, "error": "bad_signature" }),
        });
    }
    hold("evidence", &ABOUT, &cases);
}

#[test]
fn assertions_json_holds() {
    hold("assertions", &ABOUT_ASSERTIONS, &assertions());
}

#[test]
fn no_bit_of_an_assertion_may_change() {
    // Goal: what is signed is what is judged. Method: flip every bit of data, client data and signature in turn.
    let well = Answered::well();
    let (x, y) = coordinates(&passkey(1));
    let key = P256Key::from_coordinates(&x, &y).expect("a point");
    let expected = Expected { challenge: &well.asked, origin: ORIGIN, rp_id: "id.dgns.test" };
    let whole = well.assertion();
    let lengths = [whole.authenticator_data.len(), whole.client_data.len(), whole.signature.len()];
    for (part, length) in lengths.into_iter().enumerate() {
        for bit in 0..length * 8 {
            let mut changed = whole.clone();
            let bytes = [&mut changed.authenticator_data, &mut changed.client_data, &mut changed.signature];
            bytes.into_iter().nth(part).expect("three parts")[bit / 8] ^= 1 << (bit % 8);
            assert!(changed.judge(&expected, &key).is_err(), "part {part}, bit {bit}");
        }
    }
}

#[test]
fn a_point_off_the_curve_is_no_key() {
    let (x, y) = coordinates(&passkey(1));
    assert!(P256Key::from_coordinates(&x, &x).is_none());
    assert!(P256Key::from_coordinates(&[0; 32], &[0; 32]).is_none());
    assert!(P256Key::from_coordinates(&[0xff; 32], &y).is_none());
}
