//! Signing in at real issuers: npm `oidc-provider` on loopback, twice, and a browser played by plain HTTP.

use dgns_api::signin::{Branch, Finished, Start, Started};
use dgns_tests::harness::issuer::{ADA, Issuer, code, finish, lacks_issuers, site, start, start_body};
use identity::evidence::evidence_hash;
use identity::key::SigningKey;

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

#[test]
fn a_person_signs_in_once_and_a_replay_a_thief_and_another_issuer_get_nothing() {
    if lacks_issuers() {
        return;
    }
    let (a, b) = (Issuer::start(), Issuer::start());
    let site = site(&[&a, &b]);
    let server = site.start();
    let device = key(1);
    let started = start(&server, &device, "a");
    let code_a = code(&server, &a.visit(&started.go, &ADA));
    assert_eq!(finish(&server, &started, &key(2), &code_a).problem_code(), "bad_signature", "another device");
    let other = start(&server, &device, "b");
    assert_eq!(finish(&server, &other, &device, &code_a).problem_code(), "signin_refused", "another issuer's code");
    let answer = finish(&server, &started, &device, &code_a);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let finished = Finished::decode(&answer.body).unwrap();
    assert_eq!((finished.branch, finished.issuer.as_str(), finished.names), (Branch::New, a.url.as_str(), 5));
    assert_eq!(finished.evidence, evidence_hash(&finished.statement, &finished.random));
    assert_eq!(finish(&server, &started, &device, &code_a).problem_code(), "signin_expired", "a replay");
    let never = Started { state: [9; 32], ..started };
    assert_eq!(finish(&server, &never, &device, &code_a).problem_code(), "signin_expired", "a state of nobody");
}

#[test]
fn swapped_codes_unverified_addresses_and_unknown_issuers_are_refused() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]);
    let server = site.start();
    let device = key(1);
    let (one, two) = (start(&server, &device, "a"), start(&server, &device, "a"));
    let codes = [&one, &two].map(|started| code(&server, &a.visit(&started.go, &ADA)));
    assert_eq!(finish(&server, &one, &device, &codes[1]).problem_code(), "signin_refused", "PKCE ties code to start");
    let three = start(&server, &device, "a");
    let unverified = [ADA.as_slice(), &[("x-unverified", "1")]].concat();
    let code_3 = code(&server, &a.visit(&three.go, &unverified));
    assert_eq!(finish(&server, &three, &device, &code_3).problem_code(), "email_unverified");
    let nobody = start_body(&device, "z").encode();
    assert_eq!(server.post("/v1/signin/oidc/start", &nobody).problem_code(), "unknown_issuer");
    let weak = Start { sign: [0; 32], ..start_body(&device, "a") }.encode();
    assert_eq!(server.post("/v1/signin/oidc/start", &weak).problem_code(), "weak_key");
    assert_eq!(server.post("/v1/signin/oidc/start", b"x").problem_code(), "bad_post");
}

#[test]
fn a_thousand_starts_from_one_address_are_limited() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]);
    let server = site.start();
    let body = start_body(&key(1), "a").encode();
    let statuses: Vec<u16> = (0..1_000).map(|_| server.post("/v1/signin/oidc/start", &body).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 30);
    assert!(statuses[30..].iter().all(|status| *status == 429));
}
