//! Two people who compare what they were shown: a server with a history for each is convicted, before anybody who believes neither.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Ran, Server, Site};
use serde_json::Value;

/// Writes the heads of a person to a file of theirs.
fn heads_of(person: &Person, server: &Server) -> PathBuf {
    let path = person.home().join("heads");
    person.dgns(server, &["trust", "exchange", "--out", path.to_str().unwrap()]).exits(0);
    path
}

fn exchange(person: &Person, url: &str, heads: &Path) -> Ran {
    person.dgns_at(url, &["trust", "exchange", heads.to_str().unwrap()], "")
}

/// Checks that what a fault left convicts before a stranger with an empty home and no server.
fn convicts(caught: &Ran, kind: &str) {
    let stranger = Person::new();
    let evidence = caught.text("/evidence");
    let judged = stranger.dgns_at("http://127.0.0.1:1", &["verify", &evidence], "");
    assert_eq!(judged.exits(3).text("/code"), kind, "{judged}");
    assert!(judged.text("/error").contains("two histories"), "{judged}");
}

#[test]
fn one_history_is_found_to_be_one() {
    // Goal: honest heads of any age agree, whoever is ahead. Method: alice and bob meet before, at, and after each other's head.
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let early = heads_of(&alice, &server);
    let nobody = exchange(&bob, &server.url, &early);
    assert_eq!(nobody.exits(0).text("/judged/0/verdict"), "unknown_log");
    bob.dgns(&server, &["resolve", "alice"]).exits(0);
    let same = exchange(&bob, &server.url, &early);
    assert_eq!(same.exits(0).number("/judged/0/theirs"), same.number("/judged/0/mine"));
    bob.up(&server, "bob");
    let behind = exchange(&bob, &server.url, &early);
    assert_eq!(behind.exits(0).text("/judged/0/verdict"), "one_history");
    assert_eq!(behind.number("/judged/0/newest"), behind.number("/judged/0/mine"));
    let late = heads_of(&bob, &server);
    let ahead = exchange(&alice, &server.url, &late);
    assert!(ahead.exits(0).number("/judged/0/theirs") > ahead.number("/judged/0/mine"), "{ahead}");
    let printed = alice.dgns_in_text(&server, &["trust", "exchange"]);
    assert!(printed.exits(0).stdout.starts_with("dgns.heads@v1\n") && printed.stdout.lines().nth(1).is_some());
    assert!(printed.stdout.lines().all(|line| line.len() <= 800), "600 bytes in base64");
    assert!(bob.evidence().is_empty() && alice.evidence().is_empty());
}

/// Shows alice one history and bob another, from 5 leaves on; each has a home that knows only theirs. The second is running.
fn forked(site: &Site, alice: &Person, bob: &Person, more: bool) -> (Server, PathBuf) {
    let server = site.start();
    server.get("/v1/info");
    server.stop().exits(0);
    let fork = site.snapshot();
    let server = site.start();
    alice.up(&server, "alice");
    let heads = heads_of(alice, &server);
    server.kill();
    site.restore(&fork, &[]);
    let server = site.start();
    bob.up(&server, "bob");
    if more {
        bob.dgns(&server, &["records", "set", "bob", "A", "192.0.2.2"]).exits(0);
    }
    (server, heads)
}

#[test]
fn two_histories_of_one_size_convict_before_a_third() {
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let (server, heads) = forked(&site, &alice, &bob, false);
    let caught = exchange(&bob, &server.url, &heads);
    assert_eq!(caught.exits(3).text("/code"), "fork");
    convicts(&caught, "same-size");
    // The log of the forked server itself may be made to say so.
    let told = bob.dgns(&server, &["trust", "report", &caught.text("/evidence")]);
    assert_eq!(told.exits(0).text("/origin"), "dgns.test/log");
}

#[test]
fn a_longer_second_history_convicts_itself() {
    // Goal: the server that shows the longer history proves its own fork. Method: alice saw 8 leaves, a power of two, which a proof
    // alone cannot convict; bob's history has more.
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let (server, heads) = forked(&site, &alice, &bob, true);
    let caught = exchange(&bob, &server.url, &heads);
    assert_eq!(caught.exits(3).text("/code"), "inconsistent");
    convicts(&caught, "prefix");
    // Alice, who now meets bob's server with bob's head, comes to the same end.
    let theirs = heads_of(&bob, &server);
    let caught = exchange(&alice, &server.url, &theirs);
    assert_eq!(caught.code, Some(3), "{caught}");
    convicts(&caught, "prefix");
}

#[test]
fn a_proof_that_is_refused_is_recorded() {
    // Goal: silence about a head the log signed is shown, not taken for consent. Method: a server that answers proofs with an
    // error, with nothing, with another proof; one that hides that its log went on; one that cannot be reached.
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    bob.dgns(&server, &["trust", "add"]).exits(0);
    let small = server.get("/log/checkpoint").body;
    alice.up(&server, "alice");
    bob.dgns(&server, &["resolve", "alice"]).exits(0);
    let heads = heads_of(&alice, &server);
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    bob.dgns(&server, &["resolve", "alice"]).exits(0);
    for lie in ["refused", "empty", "wrong", "hidden"] {
        let small = small.clone();
        let liar = Liar::before(server.http, move |request, mut answer| {
            match lie {
                "hidden" if request.contains("/log/checkpoint") => answer.body.clone_from(&small),
                "refused" if request.contains("/v1/log/proof") => {
                    answer.status = 404;
                    answer.body =
                        br#"{"type":"about:blank#not_found","status":404,"code":"not_found","detail":"no"}"#.to_vec();
                }
                "empty" if request.contains("/v1/log/proof") => answer.body.clear(),
                "wrong" if request.contains("/v1/log/proof") => answer.body.iter_mut().for_each(|byte| *byte ^= 1),
                _ => {}
            }
            Some(answer)
        });
        bob.dgns_at(&liar.url, &["resolve", "alice"], "").exits(0);
        let before = bob.evidence().len();
        let told = exchange(&bob, &liar.url, &heads);
        assert_eq!(told.exits(3).text("/code"), "unproved", "{lie}: {told}");
        let kept = told.text("/evidence");
        assert!(bob.evidence().len() >= before && bob.evidence().contains(&kept.clone().into()), "{lie}");
        assert_eq!(bob.dgns(&server, &["verify", &kept]).exits(0).text("/code"), "proves_nothing", "{lie}");
    }
    exchange(&bob, &server.url, &heads).exits(0);
    let url = server.url.clone();
    server.kill();
    exchange(&bob, &url, &heads).exits(2);
}

#[test]
fn nobody_is_accused_with_made_up_heads() {
    // Goal: a file of heads can neither accuse nor break. Method: a head of another log by the same name; damaged files.
    let (site, other, alice, bob) = (Site::new(), Site::new(), Person::new(), Person::new());
    let (server, stranger) = (site.start(), other.start());
    bob.dgns(&server, &["trust", "add"]).exits(0);
    alice.dgns(&stranger, &["trust", "add"]).exits(0);
    let heads = heads_of(&alice, &stranger);
    let refused = exchange(&bob, &server.url, &heads);
    assert!(refused.exits(1).text("/error").contains("log_signature"), "{refused}");
    std::fs::write(&heads, "dgns.heads@v1\nAAAA\n").unwrap();
    let damaged = exchange(&bob, &server.url, &heads);
    assert!(damaged.exits(1).text("/error").contains("line 2"), "{damaged}");
    assert!(bob.evidence().is_empty());
}

#[test]
fn every_kind_of_evidence_is_judged_by_anybody() {
    // Goal: `dgns verify` says 3 for what convicts, 0 for what does not, 1 for what is no evidence; with an empty home, without a
    // server. Method: each fault file of the vectors, those against witnesses included.
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/faults.json");
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(vectors).unwrap()).unwrap();
    let stranger = Person::new();
    let file = stranger.home().join("evidence.fault");
    let mut convicted = Vec::new();
    for case in vectors["cases"].as_array().unwrap() {
        std::fs::write(&file, HEXLOWER.decode(case["in"]["file"].as_str().unwrap().as_bytes()).unwrap()).unwrap();
        let judged = stranger.dgns_at("http://127.0.0.1:1", &["verify", file.to_str().unwrap()], "");
        match case["error"].as_str() {
            None => convicted.push(judged.exits(3).text("/code")),
            Some("bad_fault_file") => {
                judged.exits(1);
            }
            Some(why) => assert_eq!(judged.exits(0).text("/code"), why, "{}", case["name"]),
        }
    }
    convicted.sort_unstable();
    convicted.dedup();
    assert!(convicted.len() >= 5, "{convicted:?}");
}
