//! A thousand sign-ins at once from one address: what an hour permits is begun, the rest is refused by name, and the server serves on.

use std::sync::atomic::{AtomicUsize, Ordering};

use dgns_api::signin::Start;
use dgns_tests::harness::http::request;
use dgns_tests::harness::{Person, Site, wait};
use identity::evidence::Purpose;
use identity::key::{KexSecret, SigningKey};

/// Sign-ins, and how many are asked for at once.
const ASKED: usize = 1_000;
const AT_ONCE: usize = 8;

/// What an hour and address permits here.
const PERMITTED: usize = 30;

#[test]
fn a_thousand_sign_ins_from_one_address_are_refused_by_name_and_harm_nobody() {
    // The issuer does not answer: a start that is let through ends at it, so it is told apart from one that is refused.
    let issuer = r#"[{ id = "gone", name = "Gone", issuer = "http://127.0.0.1:9", client_id = "dgns" }]"#;
    let site = Site::new().with("signin", "issuers", issuer).with(
        "limits",
        "signin_starts_per_hour_and_address",
        &PERMITTED.to_string(),
    );
    let server = site.start();
    let start = Start {
        purpose: Purpose::SignIn,
        sign: SigningKey::from_seed(&[1; 32]).public(),
        kex: KexSecret::from_bytes([2; 32]).public(),
        issuer: "gone".into(),
        port: None,
        blinded: None,
    };
    let body = start.encode();
    let (begun, refused, next) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let ((), took) = wait::timed(|| {
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while next.fetch_add(1, Ordering::Relaxed) < ASKED {
                        let answer = request(server.http, "POST", "/v1/signin/oidc/start", &[], &body).unwrap();
                        match (answer.status, answer.problem_code().as_str()) {
                            (503, "issuer_unavailable") => begun.fetch_add(1, Ordering::Relaxed),
                            (429, "rate") => {
                                assert!(answer.json()["retry_ms"].as_u64().is_some_and(|ms| ms <= 3_600_000));
                                refused.fetch_add(1, Ordering::Relaxed)
                            }
                            (status, code) => panic!("{status} {code}"),
                        };
                    }
                });
            }
        });
    });
    eprintln!("{ASKED} sign-ins asked for in {took:?}");
    assert_eq!((begun.into_inner(), refused.into_inner()), (PERMITTED, ASKED - PERMITTED));
    assert_eq!(server.get("/ready").status, 200);
    Person::new().up(&server, "alice");
    server.stop().exits(0);
    site.dgnsd(&["fsck"]).exits(0);
}
