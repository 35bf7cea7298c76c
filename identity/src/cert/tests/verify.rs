//! Whose signatures are accepted.

use data_encoding::HEXLOWER;

use crate::cert::{
    AttestLogin, Authority, Body, Certificate, Device, IdRotate, KeyBytes, Level, Payload, Role, SignatureRefusal,
};
use crate::key::{SigningKey, kid_of};
use crate::name::Origin;
use crate::testing::TORSIONED_KEY;
use crate::testing::samples::{self, all, attest, device, first, genesis, key, next, origin, sign, zone_authority};

fn torsioned() -> KeyBytes {
    HEXLOWER.decode(TORSIONED_KEY.as_bytes()).expect("hex").try_into().expect("32 bytes")
}

/// The code of verifying `payload`, signed by keys 1 and 2, with both as candidates.
fn code(payload: &Payload) -> &'static str {
    let signers = [key(1), key(2)];
    let candidates: Vec<KeyBytes> = signers.iter().map(SigningKey::public).collect();
    sign(payload, &signers).verify(&origin(), &candidates).map_or_else(|refusal| refusal.code(), |_| "ok")
}

#[test]
fn every_sample_verifies_and_names_its_signers() {
    for sample in all() {
        let certificate = sample.certificate();
        let mut candidates = sample.candidates();
        candidates.push(key(77).public());
        let verified = certificate.verify(&origin(), &candidates).expect(sample.name);
        assert_eq!(verified.certificate(), &certificate);
        let kids: Vec<_> = verified.signers().iter().map(kid_of).collect();
        assert_eq!(kids, certificate.signatures().iter().map(|(kid, _)| *kid).collect::<Vec<_>>(), "{}", sample.name);
        assert!(sample.signers.iter().all(|signer| verified.is_signed_by(&signer.public())));
        assert!(!verified.is_signed_by(&key(77).public()));
        assert_eq!(certificate.clone().with_signatures_unchecked(&candidates), Ok(verified.clone()));
        assert_eq!(verified.into_certificate(), certificate);
    }
}

#[test]
fn a_signature_is_for_one_log_alone() {
    let sample = &all()[0];
    let elsewhere = Origin::parse("dgns.example/log").expect("an origin");
    let refused = sample.certificate().verify(&elsewhere, &sample.candidates());
    assert!(matches!(refused, Err(SignatureRefusal::BadSignature(_))));
}

#[test]
fn one_wrong_signature_among_good_ones_is_enough() {
    let sample = all().into_iter().find(|s| s.name == "eight signatures").expect("a sample of that name");
    let certificate = sample.certificate();
    for i in 0..8 {
        let mut signatures = certificate.signatures().to_vec();
        signatures[i].1[0] ^= 1;
        let forged = Certificate::assemble(certificate.payload_bytes(), signatures).expect("well-formed");
        let refused = forged.verify(&origin(), &sample.candidates());
        assert_eq!(refused, Err(SignatureRefusal::BadSignature(certificate.signatures()[i].0)));
    }
}

#[test]
fn a_signer_must_be_exactly_one_candidate() {
    let sample = &all()[0];
    let certificate = sample.certificate();
    let code = |candidates: &[KeyBytes]| {
        certificate.verify(&origin(), candidates).map_or_else(|refusal| refusal.code(), |_| "ok")
    };
    let both = sample.candidates();
    assert_eq!(code(&[]), "unknown_signer");
    assert_eq!(code(&both[..1]), "unknown_signer");
    assert_eq!(code(&both), "ok");
    assert_eq!(code(&[both[0], both[1], both[0]]), "ok");
}

#[test]
fn no_body_brings_a_weak_key_into_a_chain() {
    // Goal: each place where an Ed25519 key enters is guarded. Method: small order, torsion, no point, in each of them.
    let mut not_canonical = [0xff; 32];
    not_canonical[31] = 0x7f;
    for weak in [[0; 32], torsioned(), not_canonical] {
        let bad_device = Device { sign: weak, ..device(2, Level::Admin) };
        let mut bad_identity = genesis();
        bad_identity.identity = weak;
        let mut bad_first_device = genesis();
        bad_first_device.device = bad_device;
        assert_eq!(code(&first(bad_identity)), "weak_key");
        assert_eq!(code(&first(bad_first_device)), "weak_key");
        assert_eq!(code(&next(Body::DeviceAdd(bad_device))), "weak_key");
        assert_eq!(code(&next(Body::IdRotate(IdRotate { identity: weak, words_box: [9; 32] }))), "weak_key");
        assert_eq!(code(&next(Body::NotaryAdd(Authority { key: weak, ..zone_authority() }))), "weak_key");
        let alias = Authority { role: Role::Alias, key: weak, scope: "dgns.test".into(), zone: None };
        let of_no_point = if weak == [0; 32] { "weak_key" } else { "ok" };
        assert_eq!(code(&next(Body::NotaryAdd(alias))), of_no_point);
        let login = AttestLogin { sign: weak, ..attest(31) };
        assert_eq!(code(&samples::login([1; 32], None, login)), "weak_key");
    }
    assert_eq!(code(&first(genesis())), "ok");
}

#[test]
fn no_body_brings_an_empty_sealing_key() {
    let mut words_box = genesis();
    words_box.words_box = [0; 32];
    let empty = Device { kex: [0; 32], ..device(2, Level::Admin) };
    assert_eq!(code(&first(words_box)), "weak_key");
    assert_eq!(code(&next(Body::DeviceAdd(empty))), "weak_key");
    assert_eq!(code(&next(Body::IdRotate(IdRotate { identity: key(5).public(), words_box: [0; 32] }))), "weak_key");
}

#[test]
fn auditors_meet_the_same_refusals_without_the_signatures() {
    let mut weak = genesis();
    weak.identity = torsioned();
    assert_eq!(first(weak).body.new_keys().admit(), Err(SignatureRefusal::WeakKey));
    let sample = &all()[0];
    assert!(matches!(sample.certificate().signers(&[]), Err(SignatureRefusal::UnknownSigner(_))));
    assert!(matches!(sample.certificate().with_signatures_unchecked(&[]), Err(SignatureRefusal::UnknownSigner(_))));
}
