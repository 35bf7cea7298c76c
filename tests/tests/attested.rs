//! Names on the strength of a sign-in: from a real issuer into the log, and everything that is refused on the way.

use std::time::Duration;

use dgns_api::signin::{Branch, Finished, Link, Start};
use dgns_client::{clock, rng};
use dgns_tests::harness::http::{self, Answer};
use dgns_tests::harness::issuer::{
    ADA, Issuer, code, finish, issuers, lacks_issuers, sign_in, site, start_body, start_of,
};
use dgns_tests::harness::load::{Poster, Somebody, body, origin};
use dgns_tests::harness::operator::{by_the_operator, notary_kid};
use dgns_tests::harness::witness::{WitnessSite, submit};
use dgns_tests::harness::{Person, Seed, Server, wait};
use identity::cert::{Body, Certificate, ClaimProof};
use identity::did::Did;
use identity::hash::Hash;
use identity::request::Authorization;
use translog::note::Note;
use translog::witness::Request;

/// A person as an issuer knows him; he has the address of nobody else.
const BOB: [(&str, &str); 2] = [("x-subject", "bob"), ("x-email", "bob@mail.test")];

/// Signs the person in on the device of `somebody`.
fn signed_in(server: &Server, issuer: (&str, &Issuer), somebody: &Somebody, person: &[(&str, &str)]) -> Finished {
    sign_in((server, issuer), (&somebody.device.sign, somebody.device.kex.public()), person)
}

/// Returns the claim by road 2.
fn claim(somebody: &mut Somebody, evidence: Hash) -> Certificate {
    somebody.claims(ClaimProof::Attested { evidence })
}

fn post(server: &Server, certificates: &[Certificate]) -> Answer {
    server.post("/v1/certificates", &body(certificates))
}

/// Signs the person in on a device of its own, which takes the name on the strength of it.
fn settled(server: &Server, issuer: (&str, &Issuer), label: &str, person: &[(&str, &str)]) -> Somebody {
    let (mut somebody, genesis) = Somebody::without_name(label);
    let finished = signed_in(server, issuer, &somebody, person);
    let answer = post(server, &[genesis, claim(&mut somebody, finished.evidence)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    somebody
}

/// Holds that a post is refused with `code`, and that nothing of it is in the log.
fn check_refused(server: &Server, did: Did, certificates: &[Certificate], code: &str) {
    assert_eq!(post(server, certificates).problem_code(), code);
    let answer = server.get(&format!("/v1/dids/{did}/did.json"));
    assert_eq!(answer.status, 404, "{code}: the DID must not be there: {}", answer.text());
}

#[test]
fn a_sign_in_gives_a_name_that_anyone_can_check() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let server = site(&[&a]).start();
    let (mut ada, genesis) = Somebody::without_name("ada");
    let finished = signed_in(&server, ("a", &a), &ada, &ADA);
    assert_eq!((finished.branch, finished.names), (Branch::New, 5));
    let certificates = [genesis, claim(&mut ada, finished.evidence)];
    let mut poster = Poster::new(server.vkey());
    let (indexes, resolved) = poster.post(server.http, &certificates, &ada.subject()).unwrap();
    let name = resolved.name().expect("a name was asked for");
    assert_eq!((name.did, name.claim_index), (Some(ada.did), indexes[1]));
    let (again, _) = poster.post(server.http, &certificates, &ada.subject()).unwrap();
    assert_eq!(again, indexes, "the same post again is the same claim");
    Person::new().dgns(&server, &["audit"]).exits(0);

    // The account leads to the DID from then on: signing in elsewhere gives no second one.
    let (mut second, genesis) = Somebody::without_name("ada-2");
    let finished = signed_in(&server, ("a", &a), &second, &ADA);
    assert_eq!(finished.branch, Branch::Existing(ada.did));
    let certificates = [genesis, claim(&mut second, finished.evidence)];
    check_refused(&server, second.did, &certificates, "account_bound");
}

#[test]
fn a_sign_in_is_for_one_device_one_person_and_so_many_names() {
    if lacks_issuers() {
        return;
    }
    let (a, b) = (Issuer::start(), Issuer::start());
    let server = site(&[&a, &b]).with("signin", "names_per_signin", "2").start();
    let (mut ada, genesis) = Somebody::without_name("ada");
    let (mut thief, genesis_of_thief) = Somebody::without_name("mallory");
    let start = thief.next;
    let finished = signed_in(&server, ("a", &a), &ada, &ADA);

    let stolen = [genesis_of_thief.clone(), claim(&mut thief, finished.evidence)];
    check_refused(&server, thief.did, &stolen, "signin_device");
    let (mut dreamer, genesis_of_dreamer) = Somebody::without_name("dream");
    let invented = [genesis_of_dreamer, claim(&mut dreamer, [9; 32])];
    check_refused(&server, dreamer.did, &invented, "signin_expired");

    assert_eq!(post(&server, &[genesis, claim(&mut ada, finished.evidence)]).status, 200);
    ada.name = "mallory.dgns.test".into();
    assert_eq!(post(&server, &[claim(&mut ada, finished.evidence)]).status, 200);
    let before = ada.next;
    ada.name = "third.dgns.test".into();
    assert_eq!(post(&server, &[claim(&mut ada, finished.evidence)]).problem_code(), "signin_spent");
    ada.next = before;

    // What the log refuses is not used up: both names of the sign-in are still to be had.
    let own = signed_in(&server, ("b", &b), &thief, &BOB);
    thief.next = start;
    check_refused(&server, thief.did, &[genesis_of_thief.clone(), claim(&mut thief, own.evidence)], "name_taken");
    thief.next = start;
    thief.name = "bob.dgns.test".into();
    assert_eq!(post(&server, &[genesis_of_thief, claim(&mut thief, own.evidence)]).status, 200);
    thief.name = "robert.dgns.test".into();
    assert_eq!(post(&server, &[claim(&mut thief, own.evidence)]).status, 200);

    // Another subject with the same address is another account: nobody's keys are taken over by an address.
    let (fresh, _) = Somebody::without_name("ada-again");
    let other = [("x-subject", "ada-at-her-new-job"), ADA[1]];
    assert_eq!(signed_in(&server, ("a", &a), &fresh, &other).branch, Branch::NewSubject);
    assert_eq!(signed_in(&server, ("b", &b), &fresh, &ADA).branch, Branch::NewSubject, "another issuer's ada");
}

#[test]
fn a_revoked_notary_gives_no_name_and_its_earlier_word_stays() {
    if lacks_issuers() {
        return;
    }
    let (a, b) = (Issuer::start(), Issuer::start());
    let site = site(&[&a, &b]);
    let server = site.start();
    settled(&server, ("a", &a), "ada", &ADA);
    let (mut bob, genesis_of_bob) = Somebody::without_name("bob");
    let by_a = signed_in(&server, ("a", &a), &bob, &BOB);

    let revoke = by_the_operator(&site, &server, &Body::NotaryRevoke { kid: notary_kid(&site, "a") });
    assert_eq!(post(&server, &[revoke]).status, 200);
    let before = bob.next;
    check_refused(&server, bob.did, &[genesis_of_bob.clone(), claim(&mut bob, by_a.evidence)], "notary_revoked");
    bob.next = before;
    assert_eq!(signed_in(&server, ("a", &a), &bob, &BOB).names, 0, "and a client is told so");
    let by_b = signed_in(&server, ("b", &b), &bob, &BOB);
    assert_eq!(post(&server, &[genesis_of_bob, claim(&mut bob, by_b.evidence)]).status, 200, "the other still speaks");
    Person::new().dgns(&server, &["audit"]).exits(0);

    // A start does not make it speak again; erasing its key file has another key made.
    server.stop();
    let server = site.start();
    assert_eq!(signed_in(&server, ("a", &a), &bob, &BOB).names, 0);
    server.stop();
    std::fs::remove_file(site.data().join("keys/notary-a.key")).unwrap();
    let server = site.start();
    assert_eq!(signed_in(&server, ("a", &a), &bob, &BOB).names, 5);
}

#[test]
fn a_notary_without_the_operators_words_waits_for_its_window() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let without = site(&[]);
    without.start().stop();
    std::fs::remove_file(without.data().join("keys/operator-words")).unwrap();
    let site = without.with("signin", "issuers", &issuers(&[&a]));
    for start in 1..=2 {
        let server = site.start();
        let (mut ada, genesis) = Somebody::without_name("ada");
        let finished = signed_in(&server, ("a", &a), &ada, &ADA);
        assert_eq!(finished.names, 0, "start {start}");
        let certificates = [genesis, claim(&mut ada, finished.evidence)];
        check_refused(&server, ada.did, &certificates, "notary_pending");
        let retry_ms = post(&server, &certificates).json()["retry_ms"].as_u64().unwrap();
        assert!((1..=3_600_000).contains(&retry_ms), "a server younger than a day waits an hour: {retry_ms}");
        server.stop();
    }
}

#[test]
fn an_issuer_that_is_not_believed_any_more_gives_no_name() {
    if lacks_issuers() {
        return;
    }
    let (a, b) = (Issuer::start(), Issuer::start());
    let both = site(&[&a, &b]);
    let server = both.start();
    let (mut ada, genesis) = Somebody::without_name("ada");
    let finished = signed_in(&server, ("b", &b), &ada, &ADA);
    server.stop();
    let server = both.with("signin", "issuers", &issuers(&[&a])).start();
    let certificates = [genesis, claim(&mut ada, finished.evidence)];
    check_refused(&server, ada.did, &certificates, "unknown_issuer");
}

#[test]
fn killed_between_any_two_steps_a_sign_in_goes_on() {
    // Goal: a crash costs nobody the name, and nobody gets two. Method: one name a sign-in; kill -9 after the start, after the finish,
    // and while the claim is on its way, at a moment that the seed chooses; each time the same step again.
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site(&[&a]).with("signin", "names_per_signin", "1");
    let mut seed = Seed::of_the_day();
    let mut server = site.start();
    for round in 0..4 {
        let again = |server: Server| {
            server.kill();
            site.start()
        };
        let (mut ada, genesis) = Somebody::without_name(&format!("ada-{round}"));
        let (subject, email) = (format!("ada-{round}"), format!("ada-{round}@mail.test"));
        let person = [("x-subject", subject.as_str()), ("x-email", email.as_str())];
        let started = start_of(&server, &Start { kex: ada.device.kex.public(), ..start_body(&ada.device.sign, "a") });
        let callback = a.visit(&started.go, &person);
        server = again(server);
        let answer = finish(&server, &started, &ada.device.sign, &code(&server, &callback));
        let finished = Finished::decode(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()));
        server = again(server);
        let certificates = [genesis, claim(&mut ada, finished.evidence)];
        let (to, bytes) = (server.http, body(&certificates));
        let posted = std::thread::spawn(move || http::request(to, "POST", "/v1/certificates", &[], &bytes));
        wait::let_pass(Duration::from_micros(seed.below(12_000)));
        server = again(server);
        let acknowledged = posted.join().unwrap().is_ok_and(|answer| answer.status == 200);
        let before = server.get(&format!("/v1/dids/{}/did.json", ada.did)).status;
        assert!(!acknowledged || before == 200, "round {round}: what was acknowledged is there");
        let (_, resolved) = Poster::new(server.vkey()).post(server.http, &certificates, &ada.subject()).unwrap();
        assert_eq!(resolved.name().and_then(|name| name.did), Some(ada.did), "round {round}");
        ada.name = format!("second-{round}.dgns.test");
        assert_eq!(post(&server, &[claim(&mut ada, finished.evidence)]).problem_code(), "signin_spent");
        let (other, _) = Somebody::without_name("other");
        assert_eq!(signed_in(&server, ("a", &a), &other, &person).branch, Branch::Existing(ada.did), "round {round}");
    }
    Person::new().dgns(&server, &["audit", "--strict"]).exits(0);
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

#[test]
fn a_verifying_witness_replays_what_notaries_said() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let server = site(&[&a]).start();
    settled(&server, ("a", &a), "ada", &ADA);
    let site = WitnessSite::new();
    let witness = site.start_verifier(&[&format!("{} {}/log", server.vkey(), server.url)]);
    let note = Note::parse(&server.get("/log/checkpoint").body).unwrap();
    let request = Request::new(0, Vec::new(), note).unwrap().encode();
    wait::until("it has replayed the claim", || {
        let answer = submit(&witness, "verifier", &request);
        assert!(answer.status == 200 || answer.problem_code() == "behind", "{}", answer.text());
        (answer.status == 200).then_some(())
    });
    assert_eq!(site.evidence(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn an_account_leads_to_a_did_that_has_a_name_already_if_its_own_device_signed_in() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let server = site(&[&a]).start();
    let (ada, certificates) = Somebody::new("ada", 1);
    assert_eq!(post(&server, &certificates).status, 200);
    let link = |by: &Somebody, finished: &Finished| {
        let body = Link { evidence: finished.evidence }.encode();
        let request = identity::request::Request {
            origin: &origin(),
            did: &by.did,
            method: "POST",
            target: "/v1/signin/link",
            body: &body,
        };
        wait::until("a second began since the server did", || {
            let now_s = clock::now().as_ms() / 1_000;
            let signed = Authorization::sign(&request, &by.device.sign, now_s, &mut rng::system()).unwrap();
            let (did, signed) = (by.did.to_string(), signed.to_string());
            let headers = [("authorization", signed.as_str()), ("dgns-did", did.as_str())];
            let answer = http::request(server.http, "POST", "/v1/signin/link", &headers, &body).unwrap();
            (answer.status == 204 || answer.problem_code() != "request_time").then_some(answer)
        })
    };
    let finished = signed_in(&server, ("a", &a), &ada, &ADA);
    assert_eq!(finished.branch, Branch::New);
    let (bob, certificates) = Somebody::new("bob", 1);
    assert_eq!(post(&server, &certificates).status, 200);
    assert_eq!(link(&bob, &finished).problem_code(), "signin_device", "on another's device");
    assert_eq!(link(&ada, &finished).status, 204);
    assert_eq!(link(&ada, &finished).status, 204, "again changes nothing");
    let by_bob = signed_in(&server, ("a", &a), &bob, &ADA);
    assert_eq!(by_bob.branch, Branch::Existing(ada.did));
    assert_eq!(link(&bob, &by_bob).problem_code(), "account_bound");
    assert_eq!(link(&bob, &Finished { evidence: [9; 32], ..by_bob }).problem_code(), "signin_expired");
    assert_eq!(server.post("/v1/signin/link", b"x").status, 401, "nobody signed it");

    // Listed for its owner alone, and taken away by its owner alone.
    let asks = |by: &Somebody, method: &str, target: &str| {
        let request = identity::request::Request { origin: &origin(), did: &by.did, method, target, body: b"" };
        let signed =
            Authorization::sign(&request, &by.device.sign, clock::now().as_ms() / 1_000, &mut rng::system()).unwrap();
        let (did, signed) = (by.did.to_string(), signed.to_string());
        let headers = [("authorization", signed.as_str()), ("dgns-did", did.as_str())];
        http::request(server.http, method, target, &headers, b"").unwrap()
    };
    let listed = asks(&ada, "GET", "/v1/signin/links").body;
    assert_eq!(listed.len(), 1 + 1 + 34 + 34 + 5 + 1 + 1, "one row: id, issuer, since, address, bound: {listed:x?}");
    assert_eq!((&listed[..4], asks(&bob, "GET", "/v1/signin/links").body), (&[0x81, 0x85, 0x58, 0x20][..], vec![0x80]));
    let one = format!("/v1/signin/links/{}", data_encoding::HEXLOWER.encode(&listed[4..36]));
    assert_eq!(asks(&bob, "DELETE", &one).problem_code(), "no_such_signin");
    assert_eq!(asks(&ada, "DELETE", "/v1/signin/links/xyz").problem_code(), "bad_query");
    assert_eq!(server.get("/v1/signin/links").status, 401, "nobody signed it");
    assert_eq!(asks(&ada, "DELETE", &one).status, 204);
    assert_eq!(asks(&ada, "DELETE", &one).problem_code(), "no_such_signin");
    assert_eq!(signed_in(&server, ("a", &a), &bob, &ADA).branch, Branch::New, "it leads nowhere");
}
