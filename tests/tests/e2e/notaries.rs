//! Notaries listed, revoked and replaced by their operator, and what everybody makes of a revoked one.

use dgns_api::signin::Branch;
use dgns_tests::harness::issuer::{ADA, Issuer, issuers, lacks_issuers, sign_in, site};
use dgns_tests::harness::journey::signs_in;
use dgns_tests::harness::{Person, Server, Site};
use identity::key::{KexSecret, SigningKey};
use serde_json::Value;

use crate::aliases::{Device, site_of};

/// Other people with addresses of nobody else here.
const BOB: [(&str, &str); 2] = [("x-subject", "bob"), ("x-email", "bob@mail.test")];
const CAROL: [(&str, &str); 2] = [("x-subject", "carol"), ("x-email", "carol@mail.test")];

/// Returns the notaries as their operator sees them.
fn listed(site: &Site, server: &Server) -> Vec<Value> {
    let ran = site.notary(server, &["list"], "");
    ran.exits(0).json()["notaries"].as_array().unwrap().clone()
}

fn of_issuer<'r>(rows: &'r [Value], id: &str) -> Vec<(&'r str, bool)> {
    let rows = rows.iter().filter(|row| row["id"] == id);
    rows.map(|row| (row["standing"].as_str().unwrap(), row["key_is_here"].as_bool().unwrap())).collect()
}

fn size(server: &Server) -> u64 {
    server.get("/v1/log/status").json()["size"].as_u64().unwrap()
}

#[test]
fn a_notary_revoked_while_the_server_runs_is_believed_by_nobody_from_then_on() {
    // Goal: what a revoked notary attested gives no name, no address, no letter and no entry, and a person is told why; another key
    // makes all of it work again without a restart. Method: real programs throughout; ada has an address and a second browser that
    // only signed in, bob a sign-in that he has not used yet.
    if lacks_issuers() {
        return;
    }
    let (a, b) = (Issuer::start(), Issuer::start());
    let site = site_of(&a).with("signin", "issuers", &issuers(&[&a, &b]));
    let server = site.start();
    let (ada, bob, carol) = (Person::new(), Person::new(), Person::new());
    let (at_a, at_b) = ((&server, &a), (&server, &b));
    ada.up(&server, "ada");
    signs_in(&ada, &ADA, at_a, &["alias", "add", "ada@mail.test", "--oidc", "a"], 0);
    let (browser, kex) = (SigningKey::from_seed(&[5; 32]), KexSecret::from_bytes([6; 32]));
    sign_in((&server, ("a", &a)), (&browser, kex.public()), &ADA);
    let found = || carol.dgns(&server, &["find", "ada@mail.test"]).exits(0).json()["attested"][0].clone();
    assert_eq!((&found()["standing"], &found()["may_receive"]), (&"signed_in".into(), &true.into()));
    let delivered = |message: &str| {
        carol.dgns(&server, &["send", "ada@mail.test", "-m", message]).exits(0).json()["delivered"].clone()
    };
    assert_eq!(delivered("to the device and to the browser"), 2);
    signs_in(&bob, &BOB, at_a, &["login", "--oidc", "a", "--no-browser"], 0);

    assert_eq!(of_issuer(&listed(&site, &server), "a"), [("speaks", true)]);
    let revoked = site.notary(&server, &["revoke", "a"], "").exits(0).json()["notaries"].clone();
    assert_eq!((&revoked[0]["standing"], &revoked[0]["issuer"]), (&"revoked".into(), &a.url.as_str().into()));
    site.notary(&server, &["revoke", "a"], "").exits(1);
    assert_eq!(of_issuer(&listed(&site, &server), "b"), [("speaks", true)], "the other is another's");

    // Claim.
    let refused = bob.dgns(&server, &["up", "bob", "--signin", "a"]);
    assert_eq!(refused.exits(4).text("/code"), "notary_revoked", "{refused}");
    carol.dgns(&server, &["resolve", "bob"]).exits(6);
    // Find and send: nothing is shared on the revoked notary's word, whoever asks, and whoever does not.
    assert_eq!((&found()["standing"], &found()["may_receive"]), (&"notary_revoked".into(), &false.into()));
    let shown = carol.dgns_in_text(&server, &["find", "ada@mail.test"]);
    assert!(shown.exits(0).stdout.contains("REVOKED"), "{shown}");
    assert_eq!(delivered("to the device alone"), 1);
    let device = Device::of(&ada, &server);
    assert_eq!(device.writes_to(browser.public(), kex.public()), Err("no_such_device".to_owned()));
    // Login: nothing is said in the log, and the person learns that it is good for nothing.
    let before = size(&server);
    let other = SigningKey::from_seed(&[7; 32]);
    let signed = sign_in((&server, ("a", &a)), (&other, kex.public()), &ADA);
    assert_eq!((signed.branch, signed.names), (Branch::Existing(device.did()), 0));
    assert!(size(&server) <= before + 1, "at most an Epoch: no attest_login");
    assert_eq!(found()["kid"], serde_json::json!(data_encoding::HEXLOWER.encode(&browser.kid().0)));
    // Addresses.
    carol.up(&server, "carol");
    let refused = signs_in(&carol, &CAROL, at_a, &["alias", "add", "carol@mail.test", "--oidc", "a"], 4);
    assert_eq!(refused["code"], "notary_revoked", "{refused}");
    Person::new().dgns(&server, &["find", "carol@mail.test"]).exits(6);
    // The other issuer's notary speaks on, and what was said before stands.
    signs_in(&carol, &CAROL, at_b, &["alias", "add", "carol@mail.test", "--oidc", "b"], 0);
    bob.dgns(&server, &["find", "carol@mail.test"]).exits(0);
    carol.dgns(&server, &["resolve", "ada"]).exits(0);

    // A start changes none of it; a new key does, without one.
    server.stop().exits(0);
    let server = site.start();
    assert_eq!(of_issuer(&listed(&site, &server), "a"), [("revoked", true)]);
    let refused = bob.dgns(&server, &["up", "bob", "--signin", "a"]);
    assert_eq!(refused.exits(4).text("/code"), "notary_revoked", "{refused}");
    let added = site.notary(&server, &["add", "a"], "").exits(0).json()["notaries"].clone();
    assert_eq!(added[0]["standing"], "speaks", "the words lie beside the keys");
    assert_eq!(of_issuer(&listed(&site, &server), "a"), [("revoked", false), ("speaks", true)]);
    bob.dgns(&server, &["up", "bob", "--signin", "a"]).exits(0);
    let found = carol.dgns(&server, &["find", "ada@mail.test"]).exits(0).json()["attested"][0].clone();
    assert_eq!(found["standing"], "notary_revoked", "what the old key said is not said by the new one");
    sign_in((&server, ("a", &a)), (&browser, kex.public()), &ADA);
    let found = carol.dgns(&server, &["find", "ada@mail.test"]).exits(0).json()["attested"][0].clone();
    assert_eq!(found["standing"], "signed_in", "until the browser signs in again");
    carol.dgns(&server, &["audit", "--strict"]).exits(0);
}

#[test]
fn without_the_words_a_notary_is_revoked_at_once_and_another_waits() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]);
    let server = site.start();
    let file = site.data().join("keys/operator-words");
    let words = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    site.notary(&server, &["revoke", &a.url], "").exits(0);
    let added = site.notary(&server, &["add", "a"], "").exits(0).json()["notaries"].clone();
    assert!(added[0]["standing"] == "waits" && added[0]["due_ms"].as_u64() > Some(0), "{added}");
    let again = site.notary(&server, &["add", "a"], "").exits(0).json()["notaries"].clone();
    assert_eq!(again, added, "asked again it says so and changes nothing");
    let said = signs_in(&Person::new(), &BOB, (&server, &a), &["login", "--oidc", "a", "--no-browser"], 0);
    assert_eq!(said["names"], 0, "until then it gives no name");
    // Withdrawn, and with the words there is no window.
    let kid = added[0]["kid"].as_str().unwrap().to_owned();
    site.notary(&server, &["revoke", &kid], "").exits(0);
    assert_eq!(of_issuer(&listed(&site, &server), "a"), [("revoked", false)]);
    let added = site.notary(&server, &["add", "a", "--words"], &words).exits(0).json()["notaries"].clone();
    assert_eq!(added[0]["standing"], "speaks");
    assert_ne!(added[0]["kid"], kid.as_str(), "the key that waited is gone");
    let said = signs_in(&Person::new(), &BOB, (&server, &a), &["login", "--oidc", "a", "--no-browser"], 0);
    assert_eq!(said["names"], 5);
    Person::new().dgns(&server, &["audit", "--strict"]).exits(0);
    server.stop().exits(0);
    site.start().stop().exits(0);
}

#[test]
fn notaries_are_changed_with_the_right_keys_of_the_right_server_alone() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let (own, other) = (site(&[&a]), site(&[&a]));
    let (server, others) = (own.start(), other.start());
    let ran = own.notary(&others, &["revoke", "a"], "");
    assert!(ran.exits(1).stderr.contains("another log key"), "{ran}");
    assert_eq!(of_issuer(&listed(&other, &others), "a"), [("speaks", true)]);
    let ran = own.notary(&server, &["add", "z"], "");
    assert!(ran.exits(1).stderr.contains("there are: a"), "{ran}");
    own.notary(&server, &["revoke", "z"], "").exits(1);
    let wrong = std::fs::read_to_string(other.data().join("keys/operator-words")).unwrap();
    let ran = own.notary(&server, &["revoke", "a", "--words"], &wrong);
    assert!(ran.exits(1).stderr.contains("not the words of this server"), "{ran}");
    own.notary(&server, &["revoke", "a", "--words"], "no words at all").exits(1);
    assert_eq!(of_issuer(&listed(&own, &server), "a"), [("speaks", true)], "nothing of it did anything");
    let known = own.notary(&server, &["add", "a"], "").exits(0).json()["notaries"][0]["standing"].clone();
    assert_eq!(known, "speaks");
    let url = server.url.clone();
    server.stop().exits(0);
    let ran = own.dgnsd(&["notary", "list", "--server", &url]);
    assert!(ran.exits(1).stderr.contains("must be running"), "{ran}");
}
