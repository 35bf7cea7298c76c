//! Whom a client believes: on first use, once confirmed, and under a policy that asks for witnesses.

use std::path::PathBuf;

use dgns_client::clock;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Server, Site};
use identity::key::SigningKey;
use identity::name::Origin;
use translog::head::Cosignature;
use translog::note::Cosigner;
use translog::resolution::Resolution;

const ORIGIN: &str = "dgns.test/log";

/// Witnesses by number, each with the age of its cosignature in seconds.
type Cosigned = &'static [(u8, u64)];

fn witness(n: u8) -> Cosigner {
    Cosigner::new(&format!("w{n}.example"), SigningKey::from_seed(&[n; 32])).unwrap()
}

/// Writes a policy file with the server's log, three witnesses and what is given.
fn policy_file(of: &Person, server: &Server, quorum: &str) -> PathBuf {
    let mut text = format!("log {}\n", server.vkey());
    for n in 1..=3 {
        text.push_str(&format!("witness w{n} {}\n", witness(n).verifier_key()));
    }
    let path = of.home().join("policy-file");
    std::fs::write(&path, text + quorum).unwrap();
    path
}

/// A server whose heads have the cosignatures of these witnesses, made so many seconds ago.
fn witnessed(server: &Server, witnesses: Cosigned) -> Liar {
    Liar::before(server.http, move |request, mut answer| {
        if !request.starts_with("GET /v1/names/") && !request.starts_with("GET /v1/dids/") {
            return Some(answer);
        }
        let mut resolution = Resolution::decode(&answer.body).expect("an honest server's answer");
        let mut head = resolution.take_head().expect("a client that asks without `have` gets a head");
        let checkpoint = head.checkpoint(&Origin::parse(ORIGIN).unwrap());
        for (n, age_s) in witnesses {
            let time_s = clock::now().as_ms() / 1_000 - age_s;
            let line = witness(*n).cosign(&checkpoint, time_s);
            let signature = line.signature[8..].try_into().unwrap();
            head.cosignatures.push(Cosignature { id: line.id, time_s, signature });
        }
        answer.body = resolution.with_head(head).encode();
        Some(answer)
    })
}

#[test]
fn a_log_is_first_use_until_somebody_confirms_it() {
    // Goal: what rests on a server's word alone says so, until a person says otherwise. Method: add, list, pin, list.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    let nothing = alice.dgns(&server, &["trust", "list"]);
    assert_eq!(nothing.exits(0).json()["logs"].as_array().unwrap().len(), 0);
    alice.dgns(&server, &["trust", "pin", ORIGIN]).exits(1);

    let shown = alice.dgns_in_text(&server, &["trust", "add", &server.url]);
    assert!(shown.exits(0).stdout.contains(server.vkey()), "{shown}");
    assert!(shown.stdout.contains("quorum none") && shown.stdout.contains("first-use"), "{shown}");
    let listed = alice.dgns(&server, &["trust", "list"]);
    assert_eq!(listed.exits(0).text("/logs/0/state"), "first-use");
    assert_eq!(listed.text("/logs/0/quorum"), "none");
    assert!(listed.number("/logs/0/head/size") >= 3, "{listed}");
    assert_eq!(listed.text("/logs/0/servers/0"), server.url);

    alice.dgns(&server, &["trust", "pin", ORIGIN]).exits(0);
    alice.dgns(&server, &["resolve", "alice"]).exits(6);
    assert_eq!(alice.dgns(&server, &["trust", "list"]).text("/logs/0/state"), "pinned");
}

#[test]
fn any_first_command_says_what_it_believes_from_now_on() {
    // Goal: nothing is pinned in silence. Method: a lookup as the first command of a home.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    let first = alice.dgns_in_text(&server, &["resolve", "alice"]);
    assert!(first.stderr.contains("first contact") && first.stderr.contains(server.vkey()), "{first}");
    assert!(first.stdout.contains("unwitnessed"), "{first}");
    let second = alice.dgns_in_text(&server, &["resolve", "alice"]);
    assert!(!second.stderr.contains("first contact"), "{second}");
}

#[test]
fn a_policy_that_is_none_is_refused_by_its_line() {
    // Goal: a slip in a policy file never weakens it. Method: one slip at a time behind four good lines; exit 1, line and code.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    for (slip, line, code) in [
        ("witnes w4 x\nquorum none\n", 5, "policy_keyword"),
        ("witness w4\nquorum none\n", 5, "policy_form"),
        ("witness w4 nokey\nquorum none\n", 5, "policy_vkey"),
        ("group all any w1\ngroup two 2 w2\nquorum two\n", 6, "policy_threshold"),
        ("group two 2 w2 w9\nquorum two\n", 5, "policy_undefined"),
        ("group two 2 w2 w2\nquorum two\n", 5, "policy_member"),
        ("group w1 any w2\nquorum w1\n", 5, "policy_name"),
        ("quorum w1\nquorum w2\n", 6, "policy_quorum"),
        ("quorum \u{7}\n", 5, "policy_text"),
    ] {
        let file = policy_file(&alice, &server, slip);
        let refused = alice.dgns(&server, &["--policy", file.to_str().unwrap(), "resolve", "alice"]);
        let said = refused.exits(1).text("/error");
        assert!(said.contains(&format!("line {line}: ")) && said.contains(code), "{slip:?}: {said}");
    }
    let file = policy_file(&alice, &server, "");
    let refused = alice.dgns(&server, &["--policy", file.to_str().unwrap(), "resolve", "alice"]);
    assert!(refused.exits(1).text("/error").contains("policy_quorum"), "{refused}");
    let missing = alice.dgns(&server, &["--policy", "no-such-file", "resolve", "alice"]);
    assert!(missing.exits(1).text("/error").contains("no-such-file"), "{missing}");
    std::fs::write(&file, "quorum none\n").unwrap();
    let stranger = alice.dgns(&server, &["--policy", file.to_str().unwrap(), "resolve", "alice"]);
    assert!(stranger.exits(1).text("/error").contains("no log line"), "{stranger}");
}

#[test]
fn a_lookup_without_the_quorum_is_exit_3() {
    // Goal: fewer, older or other witnesses than asked for are never a success. Method: a quorum of two of three, met by a server
    // that passes on the cosignatures of none, one, two, two of whom one is old, a stranger.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.dgns(&server, &["trust", "add"]).exits(0);
    let file = policy_file(&alice, &server, "group two 2 w1 w2 w3\nquorum two\n");
    let policy = ["--policy", file.to_str().unwrap()];
    let ask = |url: &str| alice.dgns_at(url, &[&policy[..], &["resolve", "alice"]].concat(), "");
    assert_eq!(ask(&server.url).exits(3).text("/code"), "quorum");
    let cases: [(Cosigned, i32, &str); 6] = [
        (&[(1, 0)], 3, "quorum"),
        (&[(1, 0), (9, 0)], 3, "quorum"),
        (&[(1, 0), (1, 0)], 3, "quorum"),
        (&[(1, 0), (2, 400)], 3, "stale_head"),
        (&[(2, 400), (3, 400)], 3, "stale_head"),
        (&[(1, 0), (3, 10)], 6, ""),
    ];
    for (witnesses, exit, code) in cases {
        let told = ask(&witnessed(&server, witnesses).url);
        assert_eq!(told.code, Some(exit), "{witnesses:?}: {told}");
        match exit {
            3 => assert_eq!(told.text("/code"), code, "{witnesses:?}"),
            _ => assert_eq!(told.json()["proof"]["witnessed"], true, "{told}"),
        }
    }
    let unwitnessed = alice.dgns(&server, &["resolve", "alice"]);
    assert_eq!(unwitnessed.exits(6).json()["proof"]["witnessed"], false, "the file held for its command alone");
    let audited = alice.dgns(&server, &[&policy[..], &["audit"]].concat());
    assert_eq!(audited.exits(3).text("/code"), "quorum", "an audit asks for it too");
}

#[test]
fn a_policy_given_at_first_contact_is_kept() {
    // Goal: a home begun under a policy never asks for less. Method: the first lookup with --policy, the second without.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    let file = policy_file(&alice, &server, "quorum w1\n");
    let liar = witnessed(&server, &[(1, 5)]);
    alice.dgns_at(&liar.url, &["--policy", file.to_str().unwrap(), "resolve", "alice"], "").exits(6);
    alice.dgns_at(&liar.url, &["resolve", "alice"], "").exits(6);
    let listed = alice.dgns(&server, &["trust", "list"]);
    assert_eq!(listed.exits(0).text("/logs/0/quorum"), "w1");
    assert_eq!(listed.text("/logs/0/state"), "pinned", "no server's word is in it");
    assert_eq!(alice.dgns(&server, &["resolve", "alice"]).exits(3).text("/code"), "quorum", "under another URL too");

    // What is kept changes only when asked for; how old a head may be, too.
    alice.dgns(&server, &["trust", "add"]).exits(3);
    assert_eq!(alice.dgns(&server, &["trust", "list"]).text("/logs/0/quorum"), "w1");
    let replaced = alice.dgns(&server, &["trust", "add", "--replace", "--max-head-age-s", "60"]);
    assert_eq!(replaced.exits(0).text("/quorum"), "none");
    let listed = alice.dgns(&server, &["trust", "list"]);
    assert_eq!(listed.text("/logs/0/state"), "first-use", "now it is the server's word");
    assert_eq!(listed.number("/logs/0/max_head_age_s"), 60);
}

#[test]
fn other_keys_than_pinned_are_not_taken() {
    // Goal: neither a server nor a policy file exchanges a log's key unseen. Method: another server behind a known URL's log.
    let (site, other_site, alice) = (Site::new(), Site::new(), Person::new());
    let (server, other) = (site.start(), other_site.start());
    alice.dgns(&server, &["trust", "add"]).exits(0);
    assert_eq!(alice.dgns(&other, &["trust", "add"]).exits(3).text("/code"), "log_key");
    let file = policy_file(&alice, &other, "quorum none\n");
    let replaced = alice.dgns(&server, &["trust", "add", "--replace", "--policy", file.to_str().unwrap()]);
    assert_eq!(replaced.exits(3).text("/code"), "log_key", "{replaced}");
    alice.dgns(&server, &["trust", "add"]).exits(0);
}
