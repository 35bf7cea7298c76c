//! Leases and refreshes, and every way in which they are refused.

use dgns_tests::harness::Site;
use dgns_tests::harness::load::origin;
use identity::did::Did;
use identity::key::SigningKey;
use identity::token::{Refresh, Rights, Scope, TokenKey};
use zeroize::Zeroizing;

use super::asking::{Scene, lease_of, nobody, nonce, of_family, of_grant, pair, refused, said};

#[test]
fn a_device_leases_refreshes_and_ends_its_token() {
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let first = scene.lease(&alice);
    let token = said(&first);
    assert_eq!((token.kid, token.audience), (alice.device.sign.kid(), scene.server_did()));
    assert_eq!((token.exp_s - token.iat_s, token.scope.len()), (900, 0));
    let second = pair(&scene.refresh(&first, &alice.device.sign));
    assert_eq!((said(&second).rid, second.guard == first.guard), (token.rid, false));
    assert_eq!(pair(&scene.refresh(&first, &alice.device.sign)), second, "a lost answer comes again, byte by byte");
    let third = pair(&scene.refresh(&second, &alice.device.sign));
    assert!(scene.page(0).entries.is_empty());
    let ended = scene.signed(&alice.did, &alice.device.sign, "POST", "/v1/token/revoke", &of_family(&token.rid));
    assert_eq!(ended.status, 200, "{}", ended.text());
    refused(&scene.refresh(&third, &alice.device.sign), 410, "token_revoked");
    assert_eq!(scene.page(0).entries.len(), 1);
    let again = scene.signed(&alice.did, &alice.device.sign, "POST", "/v1/token/revoke", &of_family(&token.rid));
    refused(&again, 404, "no_such_family");
}

#[test]
fn a_guard_used_again_ends_the_family_everywhere() {
    // Goal: whoever copied a guard gains nothing, and everybody learns of it. Method: the first guard after the second was spent;
    // then the good one, which died with the family.
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let first = scene.lease(&alice);
    let second = pair(&scene.refresh(&first, &alice.device.sign));
    let third = pair(&scene.refresh(&second, &alice.device.sign));
    refused(&scene.refresh(&first, &alice.device.sign), 410, "guard_reused");
    refused(&scene.refresh(&third, &alice.device.sign), 410, "token_revoked");
    let page = scene.page(0);
    assert_eq!((page.newest, page.entries.len()), (1, 1));
    // The person's devices are told, those that were away too.
    drop(scene.told(&alice.did, &alice.device.sign, "event: guard_reused"));
    let metrics = scene.server.get("/metrics").text();
    assert!(metrics.contains("dgns_guards_reused_total 1\n"), "{metrics}");
}

#[test]
fn a_nonce_is_signed_once_and_every_wrong_lease_has_its_code() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let post = |body: &[u8]| scene.server.post("/v1/token/lease", body);
    let mut lease = lease_of(&alice);
    let first = post(&lease.encode());
    refused(&first, 401, "nonce_wanted");
    lease.prove(nonce(&first), &origin(), &alice.device.sign);
    pair(&post(&lease.encode()));
    refused(&post(&lease.encode()), 401, "nonce_wanted");
    lease.prove([7; 16], &origin(), &alice.device.sign);
    refused(&post(&lease.encode()), 401, "nonce_wanted");
    for path in ["/v1/token/lease", "/v1/lease", "/v1/login"] {
        pair(&scene.ask(path, &lease_of(&alice), &alice.device.sign));
    }
    let ask = |lease, key: &SigningKey| scene.ask("/v1/token/lease", &lease, key);
    refused(&ask(lease_of(&alice), &bob.device.sign), 401, "bad_signature");
    refused(&ask(lease_of(&nobody()), &bob.device.sign), 401, "unknown_signer");
    let mut other_kid = lease_of(&alice);
    other_kid.kid = bob.device.sign.kid();
    refused(&ask(other_kid, &bob.device.sign), 401, "unknown_signer");
    let mut nowhere = lease_of(&alice);
    nowhere.audience = Some(Did::from_bytes([9; 20]));
    refused(&ask(nowhere, &alice.device.sign), 404, "no_audience");
    let mut foreign = lease_of(&alice);
    foreign.scope = vec![Scope { site: bob.did, log: "".parse().unwrap(), rights: Rights::READ }];
    refused(&ask(foreign, &alice.device.sign), 403, "not_granted");
    let mut own = lease_of(&alice);
    own.scope = vec![Scope { site: alice.did, log: "photos".parse().unwrap(), rights: Rights::ALL }];
    (own.audience, own.life_s) = (Some(bob.did), Some(60));
    let token = said(&pair(&ask(own.clone(), &alice.device.sign)));
    assert_eq!((token.scope, token.exp_s - token.iat_s, token.audience), (own.scope.clone(), 60, bob.did));
    refused(&post(&[0xff]), 400, "bad_cbor");
    refused(&post(&[0xa0]), 400, "bad_field");
    refused(&post(&vec![0; 9_000]), 413, "too_large");
    refused(&scene.server.post("/v1/token/exchange", &lease_of(&alice).encode()), 400, "bad_field");
    own.chain = vec![vec![1]];
    refused(&post(&own.encode()), 400, "bad_field");
}

#[test]
fn every_wrong_refresh_has_its_code() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let held = scene.lease(&alice);
    let key = &alice.device.sign;
    refused(&scene.refresh(&held, &bob.device.sign), 401, "bad_signature");
    let mut copy = held.clone();
    copy.guard[31] ^= 1;
    refused(&scene.refresh(&copy, key), 401, "guard_wrong");
    copy.guard = Zeroizing::new([0; 32]);
    refused(&scene.refresh(&copy, key), 401, "guard_wrong");
    copy.guard = held.guard.clone();
    copy.guard[3] = 9; // of a turn to come
    refused(&scene.refresh(&copy, key), 401, "guard_wrong");
    let forged = said(&held).mint(&TokenKey::from_bytes([1; 32]));
    let ask = Refresh::sign(forged, held.guard.clone(), &origin(), key);
    refused(&scene.server.post("/v1/refresh", &ask.encode()), 401, "token_mac");
    let ask = Refresh::sign("dgt1.x".into(), held.guard.clone(), &origin(), key);
    refused(&scene.server.post("/v1/refresh", &ask.encode()), 401, "bad_token");
    refused(&scene.server.post("/v1/refresh", &[0xa0]), 400, "bad_field");
    pair(&scene.refresh(&held, key));
    let revoke = |body: &[u8]| scene.signed(&bob.did, &bob.device.sign, "POST", "/v1/token/revoke", body);
    refused(&revoke(&of_family(&said(&held).rid)), 404, "no_such_family");
    refused(&revoke(&of_grant(&[1; 32])), 404, "no_such_grant");
    refused(&revoke(&[0xa0]), 400, "bad_field");
    refused(&scene.server.post("/v1/token/revoke", &[0xa0]), 401, "bad_authorization");
    refused(&scene.server.get("/v1/revocations?wait=11"), 400, "bad_query");
    refused(&scene.server.get("/v1/revocations?since=-1"), 400, "bad_query");
}

#[test]
fn leases_are_bounded_in_number_and_rate() {
    let mut scene = Scene::at(Site::new().with("tokens", "families_max", "2"));
    let alice = scene.somebody("alice");
    let held = [scene.lease(&alice), scene.lease(&alice)];
    let ask = |scene: &Scene| scene.ask("/v1/token/lease", &lease_of(&alice), &alice.device.sign);
    refused(&ask(&scene), 422, "too_many");
    scene.signed(&alice.did, &alice.device.sign, "POST", "/v1/token/revoke", &of_family(&said(&held[0]).rid));
    pair(&ask(&scene));
    let mut scene = Scene::at(Site::new().with("limits", "token_leases_per_hour", "2"));
    let alice = scene.somebody("alice");
    scene.lease(&alice);
    scene.lease(&alice);
    let third = scene.ask("/v1/token/lease", &lease_of(&alice), &alice.device.sign);
    refused(&third, 429, "rate");
    assert!(third.json()["retry_ms"].as_u64().is_some());
}

#[test]
fn nothing_secret_is_in_the_database_or_the_log() {
    // Goal: who reads people.db has no token and no guard. Method: both in every spelling, sought in every file of the data.
    let mut scene = Scene::new();
    let alice = scene.somebody("alice");
    let held = scene.lease(&alice);
    let next = pair(&scene.refresh(&held, &alice.device.sign));
    let tag = next.token.rsplit('.').next().unwrap().to_owned();
    let raw_tag = data_encoding::BASE64URL_NOPAD.decode(tag.as_bytes()).unwrap();
    let secrets = [next.guard.to_vec(), next.guard[4..].to_vec(), tag.into_bytes(), raw_tag];
    let data = scene.site.data().to_owned();
    scene.server.stop().exits(0);
    for file in ["people.db", "people.db-wal", "names.db", "names.db-wal"] {
        let bytes = std::fs::read(data.join(file)).unwrap_or_default();
        for secret in &secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{file}");
        }
    }
    assert!(data.join("people.db").is_file());
}
