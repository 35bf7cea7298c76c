//! Signing in at real issuers: npm `oidc-provider` on loopback, twice, and a browser played by plain HTTP.

use dgns_api::signin::{Branch, Finished, Start, Started};
use dgns_tests::harness::issuer::{
    ADA, Issuer, KEX, code, finish, lacks_issuers, sign_in, site, start, start_body, start_of,
};
use dgns_tests::harness::wait;
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

#[test]
fn a_token_that_is_wrong_in_any_way_is_refused_by_name() {
    // Goal: each check of an id_token is made. Method: the issuer tells one lie at a time; after each, the truth is believed again.
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]).with("limits", "signin_starts_per_hour_and_address", "0");
    let server = site.start();
    let device = key(1);
    let expected = [
        ("nonce", "nonce"),
        ("audience", "audience"),
        ("party", "audience"),
        ("issuer", "issuer"),
        ("expired", "expired"),
        ("early", "expired"),
        ("none", "algorithm"),
        ("hmac", "algorithm"),
        ("key", "id_token"),
        ("unknown", "id_token"),
        ("changed", "id_token"),
    ];
    for (lie, refusal) in expected {
        let started = start(&server, &device, "a");
        let code = code(&server, &a.visit(&started.go, &ADA));
        a.told(&format!("/lie?{lie}"));
        assert_eq!(finish(&server, &started, &device, &code).problem_code(), refusal, "{lie}");
        assert_eq!(finish(&server, &started, &device, &code).problem_code(), "signin_expired", "{lie}: it is over");
    }
    sign_in((&server, ("a", &a)), (&device, KEX), &ADA);
}

#[test]
fn an_issuer_that_changes_its_keys_is_believed_again_and_the_old_key_no_more() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]).with("limits", "signin_starts_per_hour_and_address", "0");
    let server = site.start();
    let device = key(1);
    sign_in((&server, ("a", &a)), (&device, KEX), &ADA);
    a.told("/keys");
    // What was published is read again at once, but not more often than every ten seconds.
    wait::until("the new key is known", || {
        let started = start(&server, &device, "a");
        let code = code(&server, &a.visit(&started.go, &ADA));
        let answer = finish(&server, &started, &device, &code);
        assert!(answer.status == 200 || answer.problem_code() == "id_token", "{}", answer.text());
        (answer.status == 200).then_some(())
    });
}

#[test]
fn a_callback_leads_on_only_what_began_here_and_as_often_as_it_is_loaded() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]);
    let server = site.start();
    let device = key(1);
    let started = start(&server, &device, "a");
    let callback = a.visit(&started.go, &ADA);
    let to = |path: &str| {
        let answer = server.get(path);
        assert_eq!(answer.status, 303, "{path}");
        answer.header("location").to_owned()
    };
    assert_eq!(to(&callback), to(&callback), "a page that is loaded again leads to the same place");
    let error = |path: &str, code: &str| assert!(to(path).ends_with(&format!("error={code}")), "{path}");
    error("/v1/signin/oidc/callback?code=x", "signin_expired");
    error(&format!("/v1/signin/oidc/callback?code=x&state={}", "A".repeat(43)), "signin_expired");
    let state = data_encoding::BASE64URL_NOPAD.encode(&started.state);
    error(&format!("/v1/signin/oidc/callback?error=access_denied&state={state}"), "signin_refused");
    error(&format!("/v1/signin/oidc/callback?code=x&state={state}&iss=http%3A%2F%2Fevil.test"), "issuer");

    // A program is led to its own port on loopback, and nowhere else.
    let program = start_of(&server, &Start { port: Some(8_400), ..start_body(&device, "a") });
    let led = to(&a.visit(&program.go, &ADA));
    assert!(led.starts_with("http://127.0.0.1:8400/?state="), "{led}");
    assert_eq!(finish(&server, &started, &device, &code(&server, &callback)).status, 200);
    error(&callback, "signin_expired");
}
