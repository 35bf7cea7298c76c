//! Trimmed logs: an owner lets first entries go, a snapshot stands for them, and nobody else says so.

use std::sync::Mutex;

use dgns_tests::harness::http::Answer;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Ran, Server, Site, wait};

const NAME: &str = "photos.alice";

/// Runs `dgns db WHAT photos.alice ..`.
fn db(person: &Person, server: &Server, arguments: &[&str]) -> Ran {
    person.dgns(server, &[&["db", arguments[0], NAME], &arguments[1..]].concat())
}

fn append(person: &Person, server: &Server, records: &str) {
    person.dgns_with_input(server, &["db", "append", NAME], records).exits(0);
}

fn snapshot(person: &Person, server: &Server, what: &str) -> Ran {
    person.dgns(server, &["snapshot", what, NAME])
}

fn text(person: &Person, server: &Server, arguments: &[&str]) -> String {
    person.dgns_in_text(server, arguments).exits(0).stdout.clone()
}

fn used(person: &Person, server: &Server) -> u64 {
    person.dgns(server, &["account", "show"]).exits(0).number("/used_bytes")
}

/// A thousand lines of a KiB each, no two alike.
fn many_lines() -> String {
    (0..1_100).map(|number| format!("{number:06} {}\n", "x".repeat(1_000))).collect()
}

#[test]
fn a_log_is_trimmed_by_an_owner_and_whoever_comes_later_has_its_records() {
    // Goal: what is trimmed is gone from the log and its bytes come back, its records are in the snapshot for who comes later, the log goes on, and
    // what stays is proved. Method: a database of two writers, with a snapshot whose parts an older one names; each command after the trim.
    let site = Site::new();
    let server = site.start();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    db(&alice, &server, &["grant", "bob", "--write"]).exits(0);
    append(&alice, &server, "one\ntwo");
    append(&bob, &server, "three");
    db(&alice, &server, &["trim"]).exits(1);
    db(&alice, &server, &["trim", "--to", "0"]).exits(1);
    assert_eq!(db(&alice, &server, &["trim", "--to-snapshot"]).exits(4).text("/code"), "trim_unsafe", "there is none");
    append(&bob, &server, &many_lines());
    let first = snapshot(&bob, &server, "build").exits(0).number("/pos");
    append(&alice, &server, "four");
    let second = snapshot(&bob, &server, "build").exits(0).json();
    let (pos, size) = (second["pos"].as_u64().unwrap(), second["size"].as_u64().unwrap());
    append(&bob, &server, "five");
    let all = text(&alice, &server, &["db", "read", NAME]);
    let before = used(&alice, &server);

    assert_eq!(db(&bob, &server, &["trim", "--to-snapshot"]).exits(4).text("/code"), "not_allowed");
    let beyond = (size + 1).to_string();
    assert_eq!(db(&alice, &server, &["trim", "--to", &beyond]).exits(4).text("/code"), "trim_unsafe");
    let trimmed = db(&alice, &server, &["trim", "--to-snapshot"]).exits(0).json();
    let stands = trimmed["snapshot"].as_u64().unwrap();
    assert_eq!((&trimmed["to"], &trimmed["new"]), (&size.into(), &true.into()));
    assert!(first < size && stands > pos, "a part that the first one named is named anew: {trimmed}");
    for again in [vec!["trim", "--to-snapshot"], vec!["trim", "--to", "2"]] {
        assert_eq!(db(&alice, &server, &again).exits(0).json()["new"], false, "{again:?}");
    }
    wait::until("the bytes come back", || (used(&alice, &server) + 1_000_000 < before).then_some(()));

    for person in [&alice, &bob] {
        let left = db(person, &server, &["read"]);
        assert_eq!(left.exits(0).json()["text"], "five", "{left}");
        assert!(left.stderr.contains("trimmed"), "who reads is told what is missing: {left}");
        for arguments in [["read", "--from", "1"], ["tail", "--from", "0"], ["get", "1", "--out=never"]] {
            assert_eq!(db(person, &server, &arguments).exits(4).text("/code"), "trimmed", "{arguments:?}");
        }
        assert_eq!(text(person, &server, &["snapshot", "restore", NAME]), all);
        let checked = db(person, &server, &["verify"]).exits(0).json();
        assert_eq!(checked["logs"][1]["trimmed"], size, "{checked}");
    }
    let history = db(&alice, &server, &["history"]).exits(0).json();
    let said = history["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&said["what"], &said["to"], &said["snapshot"]), (&"trim".into(), &size.into(), &stands.into()));

    // Who comes later reads all of it, and builds on it; who built the snapshot may leave.
    db(&alice, &server, &["grant", "carol", "--write"]).exits(0);
    db(&alice, &server, &["revoke", "bob"]).exits(0);
    append(&carol, &server, "six");
    let all = format!("{all}six\n");
    assert_eq!(text(&carol, &server, &["snapshot", "restore", NAME]), all);
    assert_eq!(text(&carol, &server, &["snapshot", "restore", NAME, "--audit"]), all);
    let built = snapshot(&carol, &server, "build").exits(0).json();
    append(&carol, &server, "seven");
    let all = format!("{all}seven\n");
    assert_eq!(text(&alice, &server, &["snapshot", "restore", NAME, "--audit"]), all);
    let size = built["size"].as_u64().unwrap();
    let trimmed = db(&alice, &server, &["trim", "--to", &(size - 1).to_string()]).exits(0).json();
    assert_eq!((&trimmed["to"], &trimmed["new"]), (&(size - 1).into(), &true.into()));
    assert_eq!(text(&carol, &server, &["snapshot", "restore", NAME, "--audit"]), all);

    // Whoever goes on from it has the snapshot, too.
    alice.dgns(&server, &["db", "fork", NAME, "mine.alice", "--no-words", "--at", "3"]).exits(4);
    alice.dgns(&server, &["db", "fork", NAME, "other.alice", "--no-words"]).exits(0);
    assert_eq!(text(&alice, &server, &["snapshot", "restore", "other.alice"]), all);
    let end = db(&alice, &server, &["verify"]).exits(0).json()["logs"][1]["entries"].to_string();
    assert_eq!(
        alice.dgns_with_input(&server, &["db", "append", NAME, "--expect", &end], "eight").exits(0).json()["records"],
        1
    );
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--json"]).exits(0);
}

#[test]
fn a_record_in_chunks_is_trimmed_by_nobody() {
    // Goal: what no snapshot keeps does not go. Method: a record of 70,000 bytes between two others.
    let site = Site::new();
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    append(&alice, &server, "one");
    alice.dgns_with_input(&server, &["db", "append", NAME, "--whole"], &"y".repeat(70_000)).exits(0);
    append(&alice, &server, "two");
    snapshot(&alice, &server, "build").exits(0);
    let refused = db(&alice, &server, &["trim", "--to-snapshot"]);
    assert_eq!(refused.exits(4).text("/code"), "trim_unsafe");
    assert!(refused.stdout.contains("--to 1 at most"), "{refused}");
    assert_eq!(db(&alice, &server, &["trim", "--to", "1"]).exits(0).json()["to"], 1);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("record");
    db(&alice, &server, &["get", "1", "--out", file.to_str().unwrap()]).exits(0);
    assert_eq!(std::fs::read(file).unwrap().len(), 70_000);
}

#[test]
fn a_server_that_says_trimmed_where_no_owner_did_is_caught() {
    // Goal: the word of a server is no proof, nor is it further than an owner said. Method: entries of the log of data withheld; the control log
    // shown as it is.
    let site = Site::new();
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    append(&alice, &server, "one");
    append(&alice, &server, "two");
    snapshot(&alice, &server, "build").exits(0);
    let http = server.http;
    let lies = move || {
        let control = Mutex::new(None::<String>);
        Liar::before(http, move |line, answer| {
            let Some((_, log)) = line.split_once("/v1/logs/") else { return Some(answer) };
            let log = log.split('/').next().unwrap_or_default().to_owned();
            // The control log is the first that anybody asks for; heads alone are no entries.
            let mut control = control.lock().unwrap();
            let is_control = *control.get_or_insert_with(|| log.clone()) == log;
            if is_control || !line.contains("/entries?") || line.contains("limit=0&") || line.contains("limit=0 ") {
                return Some(answer);
            }
            let body = br#"{"type":"about:blank","title":"trimmed","status":410,"code":"trimmed","detail":"gone"}"#;
            Some(Answer { status: 410, body: body.to_vec(), ..answer })
        })
    };
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("record").to_str().unwrap().to_owned();
    let caught = || {
        let liar = lies();
        for arguments in [vec!["read"], vec!["tail", "--from", "1"], vec!["get", "1", "--out", &file], vec!["verify"]] {
            let command = [&["db", arguments[0], NAME], &arguments[1..]].concat();
            let caught = alice.dgns_at(&liar.url, &command, "");
            assert_eq!(caught.exits(3).text("/code"), "no_trim", "{arguments:?}");
        }
        let caught = alice.dgns_at(&liar.url, &["snapshot", "restore", NAME], "");
        assert_eq!(caught.exits(3).text("/code"), "no_trim");
    };
    caught();
    db(&alice, &server, &["trim", "--to", "1"]).exits(0);
    caught();
    assert_eq!(db(&alice, &server, &["read"]).exits(0).json()["text"], "two");
}
