//! `tests/vectors/certificates.json`: a certificate of each type, and one for each way to be refused.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::cert::{
    AttestLogin, Authority, Body, Certificate, ChildLog, Delegate, Device, Glue, IdRotate, KeyBytes, Level, Payload,
    Recipient, RecipientKind, Records, Role, UserKey, signed_bytes,
};
use crate::did::Did;
use crate::key::SigningKey;
use crate::name::Origin;
use crate::testing::TORSIONED_KEY;
use crate::testing::samples::{
    all, attest, delegate, device, first, genesis, key, login, next, notary, origin, records, user_key, zone_authority,
};
use crate::vectors::{hex, hold};
use crate::wire::Writer;

const ABOUT: [&str; 5] = [
    "Certificates (PROTOCOL 4). Bytes are hexadecimal.",
    "in: origin of the log, candidates (the Ed25519 keys that could sign), envelope as received.",
    "out: type, sid, signers in the order of the signatures, and for a genesis the DID it creates.",
    "error: the code with which decoding (PROTOCOL 4.1, 4.2, 4.4) or checking the signatures (PROTOCOL 4.3) refuses it.",
    "Each case has one fault, but for the last three, which pin the order of the checks.",
];

#[test]
fn certificates_json_holds() {
    let mut cases: Vec<Value> =
        all().iter().map(|sample| accepted(sample.name, &sample.certificate(), &sample.candidates())).collect();
    cases.extend(undecodable());
    cases.extend(unverifiable());
    cases.extend(of_two_faults());
    hold("certificates", &ABOUT, &cases);
}

fn accepted(name: &str, certificate: &Certificate, signers: &[KeyBytes]) -> Value {
    let mut candidates = vec![key(77).public()];
    candidates.extend(signers);
    let verified = certificate.verify(&origin(), &candidates).expect(name);
    let mut out = json!({
        "type": certificate.kind(),
        "sid": hex(&certificate.sid()),
        "signers": verified.signers().iter().map(|key| hex(key)).collect::<Vec<_>>(),
    });
    if let Body::Genesis(_) = certificate.payload().body {
        out["did"] = json!(Did::of_genesis(&certificate.sid()).to_string());
    }
    json!({ "name": name, "in": given(&origin(), &certificate.encode(), &candidates), "out": out })
}

/// A case that is refused, by this code too.
fn refused(name: &str, origin: &Origin, envelope: &[u8], candidates: &[KeyBytes], error: &str) -> Value {
    let code = match Certificate::decode(envelope) {
        Err(refusal) => refusal.code(),
        Ok(certificate) => certificate.verify(origin, candidates).map_or_else(|refusal| refusal.code(), |_| "accepted"),
    };
    assert_eq!(code, error, "{name}");
    json!({ "name": name, "in": given(origin, envelope, candidates), "error": error })
}

fn given(origin: &Origin, envelope: &[u8], candidates: &[KeyBytes]) -> Value {
    let candidates: Vec<Value> = candidates.iter().map(|key| hex(key)).collect();
    json!({ "origin": origin.as_str(), "candidates": candidates, "envelope": hex(envelope) })
}

/// An envelope around any bytes, soundly signed by keys 1 and 2.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let message = signed_bytes(&origin(), payload);
    let mut signers = [key(1), key(2)];
    signers.sort_by_key(SigningKey::kid);
    let mut w = Writer::new();
    w.array(3).uint(1).bytes(payload).array(2);
    for signer in signers {
        w.array(2).bytes(&signer.kid().0).bytes(&signer.sign(&message));
    }
    w.finish()
}

fn both() -> [KeyBytes; 2] {
    [key(1).public(), key(2).public()]
}

/// The bytes of a tombstone: `a7 00 18 19 01 54 .. 02 07 03 58 20 .. 04 82 .. 05 1a .. 06 a0`.
fn tombstone() -> Vec<u8> {
    next(Body::Tombstone).encode()
}

/// The tombstone with `from` replaced once by `to`.
fn edited(from: &[u8], to: &[u8]) -> Vec<u8> {
    let bytes = tombstone();
    let at = bytes.windows(from.len()).position(|window| window == from).expect("the tombstone holds it");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

/// The tombstone with one more entry behind its last.
fn continued(entry: &[u8]) -> Vec<u8> {
    let bytes = tombstone();
    [&[bytes[0] + 1], &bytes[1..], entry].concat()
}

fn undecodable() -> Vec<Value> {
    let mut cases = not_cbor();
    cases.extend(not_canonical());
    cases.extend(not_its_fields());
    cases
}

fn not_cbor() -> Vec<Value> {
    let bytes = tombstone();
    let name_is_not_utf8 = || {
        let mut w = Writer::new();
        next(Body::Transfer { name: "alice.dgns.test".into(), to: None }).encode().into_iter().for_each(|b| {
            w.raw(&[if b == b'a' { 0xff } else { b }]);
        });
        w.finish()
    };
    let payloads = [
        ("payload cut short", bytes[..bytes.len() - 1].to_vec()),
        ("bytes behind the payload", [&bytes[..], &[0]].concat()),
        ("empty payload", vec![]),
        ("negative seq", edited(&[0x02, 0x07], &[0x02, 0x20])),
        ("seq as a float", edited(&[0x02, 0x07], &[0x02, 0xf9, 0x47, 0x00])),
        ("tagged time", edited(&[0x05, 0x1a], &[0x05, 0xc1, 0x1a])),
        ("undefined for critical", continued(&[0x07, 0xf7])),
        ("a map key that is text", continued(&[0x61, 0x37, 0xf4])),
        ("a name that is not UTF-8", name_is_not_utf8()),
        ("a list longer than the bytes", edited(&[0x04, 0x82], &[0x04, 0x9b, 0, 0, 1, 0, 0, 0, 0, 0])),
    ];
    let mut cases: Vec<Value> =
        payloads.iter().map(|(name, payload)| refuse_payload(name, payload, "bad_cbor")).collect();
    let whole = sealed(&bytes);
    cases.push(refuse("envelope cut short", &whole[..whole.len() - 1], "bad_cbor"));
    cases.push(refuse("bytes behind the envelope", &[&whole[..], &[0]].concat(), "bad_cbor"));
    cases.push(refuse("no bytes", &[], "bad_cbor"));
    cases
}

fn not_canonical() -> Vec<Value> {
    let name = "alice.dgns.test";
    let mut empty_aliases = Writer::new();
    empty_aliases.map(3).uint(1).text(name).uint(2).array(0).uint(3).array(0);
    let mut zero_flags = Writer::new();
    zero_flags.map(3).uint(1).text(name).uint(2).array(0).uint(4).uint(0);
    let mut empty_owner = Writer::new();
    empty_owner.map(2).uint(1).text(name).uint(2).array(1).array(4).uint(1).uint(60).bytes(&[192, 0, 2, 1]).text("");
    let payloads = [
        ("seq in two bytes", edited(&[0x02, 0x07], &[0x02, 0x18, 0x07])),
        ("type in three bytes", edited(&[0x18, 0x19], &[0x19, 0x00, 0x19])),
        ("length of the subject in two bytes", edited(&[0x01, 0x54], &[0x01, 0x58, 0x14])),
        ("indefinite body", edited(&[0x06, 0xa0], &[0x06, 0xbf, 0xff])),
        ("indefinite seen", edited(&[0x04, 0x82], &[0x04, 0x9f])),
        ("keys out of order", continued(&[0x01, 0x54])),
        ("a key twice", continued(&[0x06, 0xa0])),
        ("critical spelled out", continued(&[0x07, 0xf5])),
        ("no aliases spelled out", with_body(11, &empty_aliases.finish())),
        ("no flags spelled out", with_body(11, &zero_flags.finish())),
        ("no servers spelled out", with_body(13, &no_servers())),
        ("no owner spelled out", with_body(11, &empty_owner.finish())),
    ];
    let mut cases: Vec<Value> =
        payloads.iter().map(|(name, payload)| refuse_payload(name, payload, "not_canonical")).collect();
    let whole = sealed(&tombstone());
    cases.push(refuse("envelope format in two bytes", &[&[0x83, 0x18], &whole[1..]].concat(), "not_canonical"));
    cases.push(refuse("signatures out of order", &signatures_swapped(&whole), "not_canonical"));
    cases
}

fn not_its_fields() -> Vec<Value> {
    let with_rdata = |len| {
        let mut records = records();
        records.rows[0].rdata = vec![0; len];
        sealed(&next(Body::Records(records.in_order())).encode())
    };
    let too_large = with_rdata(4_097 + 1_000 - with_rdata(1_000).len());
    assert_eq!(too_large.len(), 4_097);
    let by = Some(Did::from_bytes([0xd2; 20]));
    let transfer = |name: &str| next(Body::Transfer { name: name.into(), to: None }).encode();
    let mut unsorted: Records = records();
    unsorted.rows.swap(0, 1);
    let mut unsorted_extras = user_key(2);
    unsorted_extras.extras.reverse();
    let recipient = |n| Recipient { kind: RecipientKind::Passkey, kex: [n; 32] };
    let five_extras = UserKey { extras: (1..=5).map(recipient).collect(), ..user_key(2) };
    let payloads = [
        ("a type that no rule admits", edited(&[0x00, 0x18, 0x19], &[0x00, 0x18, 0x1e]), "unknown_type"),
        ("an unknown type that is not critical", edit(&continued(&[0x07, 0xf4]), 3, 0x1e), "unknown_type"),
        ("a reserved type", edited(&[0x00, 0x18, 0x19], &[0x00, 0x0c]), "unknown_type"),
        ("a type over 255", edited(&[0x00, 0x18, 0x19], &[0x00, 0x19, 0x01, 0x19]), "unknown_type"),
        ("a name in upper case", transfer("Alice.dgns.test"), "bad_name"),
        ("a name with a final dot", transfer("alice.dgns.test."), "bad_name"),
        ("a name over 100 bytes", transfer(&format!("{}.{}.dgns.test", "a".repeat(50), "b".repeat(40))), "bad_name"),
        ("a name of one label", transfer("alice"), "bad_name"),
        ("seq missing", edit(&edited(&[0x02, 0x07], &[]), 0, 0xa6), "bad_field"),
        ("seq as text", edited(&[0x02, 0x07], &[0x02, 0x61, 0x37]), "bad_field"),
        ("a key nobody knows", continued(&[0x09, 0x00]), "bad_field"),
        ("a body key nobody knows", edited(&[0x06, 0xa0], &[0x06, 0xa1, 0x01, 0x00]), "bad_field"),
        ("a genesis with a subject", Payload { subject: by.map(Into::into), ..first(genesis()) }.encode(), "bad_field"),
        ("a genesis with seq 1", Payload { seq: 1, ..first(genesis()) }.encode(), "bad_field"),
        ("a second certificate without prev", Payload { prev: None, ..next(Body::Tombstone) }.encode(), "bad_field"),
        ("a second certificate with seq 0", Payload { seq: 0, ..next(Body::Tombstone) }.encode(), "bad_field"),
        ("a second party where none signs", Payload { by, ..next(Body::Tombstone) }.encode(), "bad_field"),
        ("rows out of order", next(Body::Records(unsorted)).encode(), "bad_field"),
        ("an alias id as subject", with_subject(&[0xd1; 32]), "bad_field"),
        (
            "a sign-in in the chain of a DID",
            Payload { subject: by.map(Into::into), ..login([1; 32], Some([2; 32]), attest(31)) }.encode(),
            "bad_field",
        ),
        (
            "a first sign-in with prev",
            Payload { seq: 0, ..login([1; 32], Some([2; 32]), attest(31)) }.encode(),
            "bad_field",
        ),
        ("a later sign-in without prev", Payload { seq: 1, ..login([1; 32], None, attest(31)) }.encode(), "bad_field"),
        ("servers out of order", delegated(|d| d.servers.reverse()), "bad_field"),
        ("a server twice", delegated(|d| d.servers = vec!["ns.example".into(); 2]), "bad_field"),
        ("nine servers", delegated(|d| d.servers = (0..9).map(|n| format!("ns{n}.example")).collect()), "bad_field"),
        ("digests out of order", delegated(|d| d.ds.reverse()), "bad_field"),
        ("five digests", delegated(|d| d.ds = (0..5).map(|n| vec![n; 36]).collect()), "bad_field"),
        ("addresses of servers out of order", delegated(|d| d.glue.reverse()), "bad_field"),
        ("seventeen addresses of servers", delegated(|d| d.glue = (0..17).map(glue).collect()), "bad_field"),
        ("digests without servers", delegated(|d| d.servers.clear()), "bad_field"),
        ("a log's URL without its key", with_body(13, &url_without_key()), "bad_field"),
        ("a policy of 1,025 bytes", delegated(|d| log_of(d).policy = Some("a".repeat(1_025))), "bad_field"),
        ("a policy that is no text of lines", delegated(|d| log_of(d).policy = Some("\t".into())), "bad_field"),
        ("a log's URL of 129 bytes", delegated(|d| log_of(d).url = Some("a".repeat(129))), "bad_field"),
        ("a log's URL with a space", delegated(|d| log_of(d).url = Some("https://a b".into())), "bad_field"),
        ("extra recipients out of order", next(Body::UserKey(unsorted_extras)).encode(), "bad_field"),
        ("five extra recipients", next(Body::UserKey(five_extras)).encode(), "bad_field"),
        (
            "an alias key of no zone",
            next(Body::NotaryAdd(Authority { scope: String::new(), ..notary(Role::Alias, "", 8) })).encode(),
            "bad_field",
        ),
    ];
    let mut cases: Vec<Value> =
        payloads.iter().map(|(name, payload, code)| refuse_payload(name, payload, code)).collect();
    cases.push(refuse("4,097 bytes", &too_large, "too_large"));
    cases.push(refuse("envelope of another format", &edit(&sealed(&tombstone()), 1, 0x02), "bad_field"));
    cases.push(refuse(
        "no signature",
        &[&sealed(&tombstone())[..4 + tombstone().len()], &[0x80]].concat(),
        "bad_field",
    ));
    cases
}

/// The delegation of the samples, changed.
fn delegated(change: impl FnOnce(&mut Delegate)) -> Vec<u8> {
    let mut changed = delegate();
    change(&mut changed);
    next(Body::Delegate(changed)).encode()
}

fn log_of(delegate: &mut Delegate) -> &mut ChildLog {
    delegate.log.as_mut().expect("the sample has a log")
}

fn glue(number: u8) -> Glue {
    Glue { host: "ns.alice.dgns.test".into(), address: vec![192, 0, 2, number] }
}

fn url_without_key() -> Vec<u8> {
    let mut w = Writer::new();
    w.map(3).uint(1).text("alice.dgns.test").uint(2).array(1).text("ns.example").uint(4).text("https://alice.example");
    w.finish()
}

fn no_servers() -> Vec<u8> {
    let mut w = Writer::new();
    w.map(2).uint(1).text("alice.dgns.test").uint(2).array(0);
    w.finish()
}

fn unverifiable() -> Vec<Value> {
    let whole = sealed(&tombstone());
    let both = both();
    let flipped = |at: usize| edit(&whole, at, whole[at] ^ 1);
    let mut cases = vec![
        refuse("a signature with a wrong bit in R", &flipped(whole.len() - 64), "bad_signature"),
        refuse("a signature with a wrong bit in S", &flipped(whole.len() - 32), "bad_signature"),
        refuse("S + L instead of S", &malleated(&whole), "bad_signature"),
        refuse("another payload under the same signatures", &edit(&whole, 14, 0xd0), "bad_signature"),
        refused(
            "signed for another log",
            &Origin::parse("dgns.example/log").expect("an origin"),
            &whole,
            &both,
            "bad_signature",
        ),
        refused("no candidate has the kid", &origin(), &whole, &both[..1], "unknown_signer"),
        refused("no candidates", &origin(), &whole, &[], "unknown_signer"),
    ];
    let weak_keys = [
        ("of order 1", "0100000000000000000000000000000000000000000000000000000000000000"),
        ("of order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ("not reduced", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("not reduced, of large order", "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("no point", "0202020202020202020202020202020202020202020202020202020202020202"),
        ("with torsion", TORSIONED_KEY),
    ];
    for (what, weak) in weak_keys {
        let weak: KeyBytes = HEXLOWER.decode(weak.as_bytes()).expect("hex").try_into().expect("32 bytes");
        let payload = next(Body::NotaryAdd(Authority { key: weak, ..zone_authority() })).encode();
        cases.push(refuse_payload(&format!("a new key {what}"), &payload, "weak_key"));
    }
    let torsioned: KeyBytes = HEXLOWER.decode(TORSIONED_KEY.as_bytes()).expect("hex").try_into().expect("32 bytes");
    let mut identity = genesis();
    identity.identity = torsioned;
    let mut empty = genesis();
    empty.words_box = [0; 32];
    let sign = Device { sign: torsioned, ..device(3, Level::Admin) };
    let rotate = IdRotate { identity: torsioned, words_box: [5; 32] };
    cases.push(refuse_payload("a torsioned identity key in a genesis", &first(identity).encode(), "weak_key"));
    cases.push(refuse_payload("a torsioned device key", &next(Body::DeviceAdd(sign)).encode(), "weak_key"));
    cases.push(refuse_payload("a torsioned new identity key", &next(Body::IdRotate(rotate)).encode(), "weak_key"));
    let login_key = AttestLogin { sign: torsioned, ..attest(31) };
    let zeros = UserKey { key: [0; 32], ..user_key(2) };
    let alias_key = Authority { key: [0; 32], ..notary(Role::Alias, "dgns.test", 8) };
    cases.push(refuse_payload("a torsioned key that signed in", &login([1; 32], None, login_key).encode(), "weak_key"));
    cases.push(refuse_payload("a user key of 32 zeros", &next(Body::UserKey(zeros)).encode(), "weak_key"));
    cases.push(refuse_payload("an alias key of 32 zeros", &next(Body::NotaryAdd(alias_key)).encode(), "weak_key"));
    cases.push(refuse_payload("a sealing key of 32 zeros", &first(empty).encode(), "weak_key"));
    cases
}

/// Two faults at once: a weak key is seen before an unknown signer, and that before a bad signature.
fn of_two_faults() -> Vec<Value> {
    let weak = next(Body::NotaryAdd(Authority { key: [0; 32], ..zone_authority() })).encode();
    let whole = sealed(&weak);
    let broken = edit(&whole, whole.len() - 1, whole[whole.len() - 1] ^ 1);
    let tombstone = sealed(&tombstone());
    let broken_tombstone = edit(&tombstone, tombstone.len() - 1, tombstone[tombstone.len() - 1] ^ 1);
    vec![
        refused("a weak key and no candidates", &origin(), &whole, &[], "weak_key"),
        refused("a weak key and a bad signature", &origin(), &broken, &both(), "weak_key"),
        refused("no candidates and a bad signature", &origin(), &broken_tombstone, &[], "unknown_signer"),
    ]
}

fn refuse(name: &str, envelope: &[u8], error: &str) -> Value {
    refused(name, &origin(), envelope, &both(), error)
}

fn refuse_payload(name: &str, payload: &[u8], error: &str) -> Value {
    refuse(name, &sealed(payload), error)
}

fn edit(bytes: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut edited = bytes.to_vec();
    edited[at] = value;
    edited
}

/// The tombstone as another type, with this body.
fn with_body(kind: u8, body: &[u8]) -> Vec<u8> {
    let bytes = tombstone();
    [&[bytes[0], 0x00, kind], &bytes[3 + 1..bytes.len() - 1], body].concat()
}

fn with_subject(subject: &[u8; 32]) -> Vec<u8> {
    let subject_now = [&[0x01, 0x54][..], &[0xd1; 20]].concat();
    edited(&subject_now, &[&[0x01, 0x58, 0x20][..], subject].concat())
}

/// The last two items of an envelope, which are 76 bytes each, in each other's place.
fn signatures_swapped(envelope: &[u8]) -> Vec<u8> {
    let (front, signatures) = envelope.split_at(envelope.len() - 2 * 76);
    let (one, two) = signatures.split_at(76);
    [front, two, one].concat()
}

/// Adds the group order to the last signature's S: without the range check it would still hold.
fn malleated(envelope: &[u8]) -> Vec<u8> {
    let order = HEXLOWER.decode(b"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").expect("hex");
    let mut out = envelope.to_vec();
    let at = out.len() - 32;
    let mut carry = 0_u16;
    for (s, l) in out[at..].iter_mut().zip(order) {
        carry += u16::from(*s) + u16::from(l);
        *s = carry as u8;
        carry >>= 8;
    }
    out
}
