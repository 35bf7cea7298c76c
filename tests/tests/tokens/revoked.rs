//! What the log revokes is revoked at every audience: within moments, and after a crash.

use std::time::Duration;

use dgns_client::audience::Audience;
use dgns_client::home::Home;
use dgns_client::session::Session;
use dgns_tests::harness::load::{Somebody, origin};
use dgns_tests::harness::wait;
use identity::cert::Body;
use identity::token::{Access, Checker, FeedPage, Lease, Pair, Revoked, SealedKeys, TokenRefusal};

use super::asking::{Scene, end_of, lease_of, pair, refused, said};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Leases a token of alice's second device for bob.
fn leased(scene: &mut Scene, alice: &mut Somebody, bob: &Somebody) -> (Pair, identity::key::SigningKey) {
    let key = scene.device_of(alice, 40);
    let lease = Lease { kid: key.kid(), audience: Some(bob.did), ..lease_of(alice) };
    (pair(&scene.ask("/v1/token/lease", &lease, &key)), key)
}

#[test]
fn an_audience_refuses_the_tokens_of_a_suspended_device_as_soon_as_it_hears() {
    let mut scene = Scene::new();
    let (mut alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let (held, key) = leased(&mut scene, &mut alice, &bob);
    let directory = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let session = runtime.block_on(Session::open(&Home::open(directory.path()).unwrap(), &scene.server.url)).unwrap();
    let audience = runtime.block_on(Audience::open(&session, &bob.device, Some(3_600))).unwrap();
    let check = |audience: &Audience, access| audience.check(&held.token, &key.kid(), access);
    assert_eq!(check(&audience, Access::Write).map(|token| token.rid), Ok(said(&held).rid));
    assert_eq!(audience.check(&held.token, &bob.device.sign.kid(), Access::Read), Err(TokenRefusal::Device));
    assert!(!audience.is_stale());
    // Somebody waits for news while the log suspends the device; the page comes at once.
    let waiting = {
        let (http, key) = (scene.server.http, scene.feed_key());
        std::thread::spawn(move || {
            let path = "/v1/revocations?since=0&wait=10";
            let answer = dgns_tests::harness::http::request(http, "GET", path, &[], b"").unwrap();
            FeedPage::verify(&answer.body, &origin(), &key, 0).unwrap()
        })
    };
    let body = Body::DeviceSuspend(end_of(&key));
    scene.says(&mut alice, body);
    let page = waiting.join().unwrap();
    assert!(
        matches!(page.entries[..], [entry] if matches!(entry.what, Revoked::Device { kid, .. } if kid == key.kid()))
    );
    runtime.block_on(audience.hear(&session, &bob.device)).unwrap();
    assert_eq!(check(&audience, Access::Read), Err(TokenRefusal::Revoked));
    refused(&scene.refresh(&held, &key), 410, "token_revoked");
    let lease = Lease { kid: key.kid(), ..lease_of(&alice) };
    refused(&scene.ask("/v1/token/lease", &lease, &key), 403, "suspended");
    // The life that the audience asked for holds for the next token.
    let lease = Lease { audience: Some(bob.did), ..lease_of(&alice) };
    let token = said(&pair(&scene.ask("/v1/token/lease", &lease, &alice.device.sign)));
    assert_eq!(token.exp_s - token.iat_s, 3_600);
}

#[test]
fn a_did_that_ends_takes_its_tokens_with_it() {
    let mut scene = Scene::new();
    let mut alice = scene.somebody("alice");
    let held = scene.lease(&alice);
    let identity = alice.words.identity();
    for body in [Body::Policy { window_s: 1 }, Body::Tombstone] {
        let certificate = alice.next.sign(body, None, &origin(), &[&identity]).unwrap();
        alice.next = alice.next.next(&certificate);
        scene.post(&certificate, &alice);
    }
    // It waits for a second: until then tokens are given, and none outlives it.
    wait::until("the feed says so", || (!scene.page(0).entries.is_empty()).then_some(()));
    refused(&scene.refresh(&held, &alice.device.sign), 410, "token_revoked");
    refused(&scene.ask("/v1/token/lease", &lease_of(&alice), &alice.device.sign), 410, "ended");
}

#[test]
fn what_the_log_revoked_just_before_a_crash_is_in_the_feed_afterwards() {
    // Goal: no revocation is lost between the log's commit and the feed's. Method: killed the moment the suspension is
    // acknowledged; the feed of the next start, before anything else is posted.
    let mut scene = Scene::new();
    let (mut alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let (_, key) = leased(&mut scene, &mut alice, &bob);
    scene.says(&mut alice, Body::DeviceSuspend(end_of(&key)));
    let Scene { site, server, .. } = scene;
    server.kill();
    let scene = Scene::at(site);
    let page = wait::until("the feed opens", || {
        let answer = scene.server.get("/v1/revocations");
        match answer.status {
            200 => Some(FeedPage::verify(&answer.body, &origin(), &scene.feed_key(), 0).unwrap()),
            status => {
                assert_eq!((status, answer.problem_code().as_str()), (503, "busy"));
                None
            }
        }
    });
    assert!(
        matches!(page.entries[..], [entry] if matches!(entry.what, Revoked::Device { kid, .. } if kid == key.kid()))
    );
}

#[test]
fn an_audience_that_is_shown_old_pages_lets_nobody_write_after_a_minute() {
    // Goal: whoever stands before the server cannot hide a revocation by bringing the same page again and again. Method: keys and pages as
    // they come over HTTP, a checker of its own, and its clock a minute later.
    let mut scene = Scene::new();
    let (mut alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let (held, key) = leased(&mut scene, &mut alice, &bob);
    let answer = scene.signed(&bob.did, &bob.device.sign, "POST", "/v1/token/keys", &[0xa0]);
    let sealed = SealedKeys::verify(&answer.body, &origin(), &scene.feed_key()).unwrap();
    let mut checker = Checker::new(bob.did);
    let old = scene.page(0);
    checker.learn_keys(sealed.open(&bob.device.kex).unwrap(), old.time_s);
    let write = |checker: &Checker, now_s| {
        let checked = checker.check(&held.token, &key.kid(), Access::Write, now_s);
        checked.map(|token| token.rid).map_err(|refusal| refusal.code())
    };
    assert_eq!(write(&checker, old.time_s), Err("feed_stale"), "nothing was heard yet");
    assert!(checker.learn_news(&old, old.time_s));
    assert_eq!(write(&checker, old.time_s + 60), Ok(said(&held).rid));
    scene.says(&mut alice, Body::DeviceSuspend(end_of(&key)));
    for late_s in [61, 600] {
        let now_s = old.time_s + late_s;
        assert!(checker.learn_news(&old, now_s), "it holds, and is old");
        assert_eq!(write(&checker, now_s), Err("feed_stale"));
        assert!(checker.check(&held.token, &key.kid(), Access::Read, now_s).is_ok(), "who only reads is let in");
    }
    let page = wait::until("the feed says it", || Some(scene.page(0)).filter(|page| !page.entries.is_empty()));
    assert!(checker.learn_news(&page, page.time_s));
    assert_eq!(write(&checker, page.time_s), Err("token_revoked"));
}

#[test]
fn an_empty_page_is_waited_with_and_says_when_it_was_true() {
    let scene = Scene::new();
    let (answer, took) = wait::timed(|| scene.server.get("/v1/revocations?since=0&wait=1"));
    assert!(took >= Duration::from_millis(900), "{took:?}");
    let page = FeedPage::verify(&answer.body, &origin(), &scene.feed_key(), 0).unwrap();
    assert_eq!((page.newest, page.entries.len(), page.more), (0, 0, false));
    // An audience that knows more than the server has is told at once, so that it begins anew.
    assert_eq!(scene.page(9).newest, 0);
}
