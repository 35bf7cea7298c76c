//! Signing in at real issuers: npm `oidc-provider` on loopback, twice, and a browser played by plain HTTP.

use dgns_api::signin::{Branch, Finish, Finished, Start, Started};
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::issuer::{
    ADA, Issuer, KEX, code, finish, lacks_issuers, sign_in, site, start, start_body, start_of,
};
use dgns_tests::harness::load::origin;
use dgns_tests::harness::{Server, wait};
use identity::evidence::{evidence_hash, sign_finish, state_hash};
use identity::key::SigningKey;
use identity::name::{Origin, Zone};
use storage::people::{People, StartKind, StartRow};

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

/// Begins a sign-in and lets the person go through it, up to the code.
fn begun(server: &Server, a: &Issuer, device: &SigningKey, person: &[(&str, &str)]) -> (Started, String) {
    let started = start(server, device, "a");
    let code = code(server, &a.visit(&started.go, person));
    (started, code)
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
    let unverified = [ADA.as_slice(), &[("x-unverified", "1")]].concat();
    let (three, code_3) = begun(&server, &a, &device, &unverified);
    assert_eq!(finish(&server, &three, &device, &code_3).problem_code(), "email_unverified");
    let nobody = start_body(&device, "z").encode();
    assert_eq!(server.post("/v1/signin/oidc/start", &nobody).problem_code(), "unknown_issuer");
    let weak = Start { sign: [0; 32], ..start_body(&device, "a") }.encode();
    assert_eq!(server.post("/v1/signin/oidc/start", &weak).problem_code(), "weak_key");
    assert_eq!(server.post("/v1/signin/oidc/start", b"x").problem_code(), "bad_post");
}

#[test]
fn a_thousand_starts_at_once_from_one_address_are_limited_and_hold_nobody_else_up() {
    // Goal: a flood of sign-ins costs the server thirty rows. Method: a thousand starts by sixteen at once; others are answered meanwhile, and
    // one of those that were taken is finished afterwards.
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]);
    let server = site.start();
    let body = start_body(&key(1), "a").encode();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let flood = |_| {
            let (server, body) = (&server, &body);
            scope.spawn(move || {
                (0..1_000 / 16 + 1).map(|_| server.post("/v1/signin/oidc/start", body)).collect::<Vec<_>>()
            })
        };
        let flood: Vec<_> = (0..16).map(flood).collect();
        while flood.iter().any(|thread| !thread.is_finished()) {
            assert_eq!(server.get("/health").status, 200);
            assert_eq!(server.get("/v1/names/nobody.dgns.test").status, 200);
        }
        flood.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(taken.len(), 30);
    for answer in refused {
        assert_eq!((answer.status, answer.problem_code().as_str()), (429, "rate"));
        assert!(answer.json()["retry_ms"].as_u64() > Some(0), "{}", answer.text());
    }
    let started = Started::decode(&taken[29].body).unwrap();
    let code = code(&server, &a.visit(&started.go, &ADA));
    assert_eq!(finish(&server, &started, &key(1), &code).status, 200);
}

#[test]
fn each_step_out_of_its_place_or_time_is_refused_and_leaves_nothing_behind() {
    // Goal: a step too early, too late, at another door, for another log, is refused by name, and gives no sign-in. Method: one wrong thing
    // at a time; where it must not end the sign-in, the right step follows.
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]).with("signin", "passkeys", "true").with("limits", "signin_starts_per_hour_and_address", "0");
    let server = site.start();
    let device = key(1);
    let post = |path: &str, started: &Started, origin: &Origin, code: &str| {
        let signature = sign_finish(origin, &started.state, &device);
        server.post(path, &Finish { state: started.state, signature, answer: code.into() }.encode())
    };
    let (own, oidc) = (origin(), "/v1/signin/oidc/finish");

    let (started, code) = begun(&server, &a, &device, &ADA);
    let other_log = Zone::parse("other.test").unwrap().origin();
    assert_eq!(post(oidc, &started, &other_log, &code).problem_code(), "bad_signature", "signed for another log");
    for elsewhere in ["/v1/signin/passkey/finish", "/v1/passkeys/finish"] {
        assert_eq!(post(elsewhere, &started, &own, &code).problem_code(), "signin_expired", "{elsewhere}");
    }
    assert_eq!(post(oidc, &started, &own, &code).status, 200, "none of it ended the sign-in");
    assert_eq!(server.get(&format!("/v1/signin/oidc/callback?code={code}&state={}", text(&started))).status, 303);

    let early = start(&server, &device, "a");
    assert_eq!(
        post(oidc, &early, &own, "not-yet").problem_code(),
        "signin_refused",
        "before anybody was at the issuer"
    );
    let code = brought(&server, &a, &early);
    assert!(code.is_none(), "it is over: the browser that comes back is told so");
    assert_eq!(post(oidc, &early, &own, "not-yet").problem_code(), "signin_expired");

    // Ten minutes later: the same start, as it lies in the database, but with an earlier end.
    let (late, code) = begun(&server, &a, &device, &ADA);
    server.stop().exits(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let people = People::open(site.data()).await.unwrap();
        let (state, kind) = (state_hash(&late.state), StartKind::Oidc);
        let data = people.take_start(&state, kind, 0).await.unwrap().unwrap();
        people.put_start(&StartRow { state, kind, data, until_s: 1 }, 0).await.unwrap();
        people.close().await.unwrap();
    });
    let server = site.start();
    assert_eq!(finish(&server, &late, &device, &code).problem_code(), "signin_expired");
    sign_in((&server, ("a", &a)), (&device, KEX), &ADA);
}

/// Returns the state as it stands in a URL.
fn text(started: &Started) -> String {
    data_encoding::BASE64URL_NOPAD.encode(&started.state)
}

/// Returns the code that a browser brings back; nothing if it is led on with an error.
fn brought(server: &Server, a: &Issuer, started: &Started) -> Option<String> {
    let to = server.get(&a.visit(&started.go, &ADA)).header("location").to_owned();
    to.split("code=").nth(1).map(str::to_owned)
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
        let (started, code) = begun(&server, &a, &device, &ADA);
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
        let (started, code) = begun(&server, &a, &device, &ADA);
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
    let state = text(&started);
    error(&format!("/v1/signin/oidc/callback?error=access_denied&state={state}"), "signin_refused");
    error(&format!("/v1/signin/oidc/callback?code=x&state={state}&iss=http%3A%2F%2Fevil.test"), "issuer");

    // A program is led to its own port on loopback, and nowhere else.
    let program = start_of(&server, &Start { port: Some(8_400), ..start_body(&device, "a") });
    let led = to(&a.visit(&program.go, &ADA));
    assert!(led.starts_with("http://127.0.0.1:8400/?state="), "{led}");
    assert_eq!(finish(&server, &started, &device, &code(&server, &callback)).status, 200);
    error(&callback, "signin_expired");
}
