//! A database that a host hands on (PROTOCOL 23.18): read, followed and appended to through it with the checks of the store's own readers.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dgns_api::problem::Problem;
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::liar::Liar as Between;
use dgns_tests::harness::programs::Ran;
use dgns_tests::harness::running::Running;
use dgns_tests::harness::{Person, Server};
use serde_json::Value;

use crate::liar::Liar;
use crate::{Scene, bytes, text, told};

const DB: &str = "photos.alice";

fn create(scene: &Scene, records: &str) {
    scene.alice.dgns(&scene.server, &["db", "create", DB, "--no-words"]).exits(0);
    scene.alice.dgns_with_input(&scene.server, &["db", "append", DB], records).exits(0);
}

/// Hosts the database, and no directory.
fn host(scene: &Scene, url: &str, arguments: &[&str]) -> Running {
    let host = scene.alice.dgns_running(url, &[&["host", "--name", "db.alice", "--db", DB], arguments].concat());
    told(&host, "online");
    host
}

/// Runs `dgns db WHAT` through the host.
fn db(person: &Person, server: &Server, what: &str, input: &str) -> Ran {
    person.dgns_with_input(server, &["db", what, DB, "--at", "db.alice"], input)
}

/// The records that a command printed.
fn records(ran: &Ran) -> Vec<String> {
    let lines = ran.exits(0).stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter_map(|line| Some(line["text"].as_str()?.to_owned())).collect()
}

#[test]
fn a_database_is_read_followed_and_appended_to_through_a_host() {
    let scene = Scene::new();
    create(&scene, "one\ntwo\n");
    let file = scene.beside("file");
    fs::write(&file, bytes(7, 1_500_000)).unwrap();
    let id = scene.alice.dgns(&scene.server, &["chunk", "put", text(&file)]).exits(0).text("/id");
    let host = host(&scene, &scene.server.url, &["--write", "owner", "--allow", "bob"]);

    let listed = scene.connect(&[]).exits(0).json();
    let rows: Vec<_> = listed["files"].as_array().unwrap().iter().map(|row| (&row["path"], &row["size"])).collect();
    let [control, main] = ["control", "logs/main"].map(|log| Value::from(format!("db/photos.alice.dgns.test/{log}")));
    assert_eq!(rows, [(&control, &Value::from(6)), (&main, &Value::from(1))]);

    // Whoever has the keys reads and appends; a record that fills many messages, too.
    assert_eq!(records(&db(&scene.alice, &scene.server, "read", "")), ["one", "two"]);
    let tail = scene.alice.dgns_running(&scene.server.url, &["db", "tail", DB, "--at", "db.alice", "--from", "0"]);
    assert_eq!((&tail.event()["text"], &tail.event()["text"]), (&"one".into(), &"two".into()));
    let long = "x".repeat(60_000);
    let appended = db(&scene.alice, &scene.server, "append", &format!("{long}\n")).exits(0).json();
    assert_eq!((&appended["pos"], &appended["size"]), (&1.into(), &2.into()));
    assert_eq!(tail.event()["text"], long.as_str());
    scene.alice.dgns_with_input(&scene.server, &["db", "append", DB], "at the server\n").exits(0);
    assert_eq!(tail.event()["text"], "at the server");
    let direct = scene.alice.dgns(&scene.server, &["db", "read", DB]);
    assert_eq!(records(&direct), ["one", "two", &long, "at the server"]);
    let out = scene.beside("out");
    scene.alice.dgns(&scene.server, &["chunk", "get", &id, "--out", text(&out), "--at", "db.alice"]).exits(0);
    assert_eq!(fs::read(&out).unwrap(), bytes(7, 1_500_000));

    // A record in chunks comes through the host too, from where the entry that names them comes; it is stored at the server alone.
    let whole = ["db", "append", DB, "--whole", text(&file)];
    scene.alice.dgns(&scene.server, &[&whole[..], &["--at", "db.alice"]].concat()).exits(1);
    let pos = scene.alice.dgns(&scene.server, &whole).exits(0).number("/pos").to_string();
    scene.alice.dgns(&scene.server, &["db", "get", DB, &pos, "--out", text(&out), "--at", "db.alice"]).exits(0);
    assert_eq!(fs::read(&out).unwrap(), bytes(7, 1_500_000));

    // Whoever is let in without them checks every entry, and opens none; the store itself shows him nothing.
    let verified = db(&scene.bob, &scene.server, "verify", "").exits(0).json();
    assert_eq!(verified["logs"][1]["entries"], 4);
    let sealed = db(&scene.bob, &scene.server, "read", "");
    assert!(sealed.exits(1).to_string().contains("sealed under a key"), "{sealed}");
    assert!(!sealed.stdout.contains("one"), "{sealed}");
    scene.bob.dgns(&scene.server, &["db", "read", DB]).exits(4);
    let carol = Person::new();
    carol.up(&scene.server, "carol");
    db(&carol, &scene.server, "verify", "").exits(2);
    assert!(told(&host, "opened")["path"].as_str().unwrap().starts_with("db/photos.alice.dgns.test/"));
}

#[test]
fn rules_say_who_reads_a_database_and_a_refused_entry_is_never_another_one() {
    // Goal: what rules do not give is refused by name; an entry that a host refuses keeps its number. Method: the owner may read alone, then
    // not even that; what was refused is appended by the next command, once.
    let scene = Scene::new();
    create(&scene, "one\n");
    let rules = scene.beside("rules.toml");
    let rule = |text: &str| fs::write(&rules, text).unwrap();
    rule("allow = [\"bob\"]");
    let host = host(&scene, &scene.server.url, &["--rules", text(&rules)]);
    assert_eq!(db(&scene.alice, &scene.server, "append", "two\n").exits(4).text("/code"), "no_right");
    let appended = scene.alice.dgns_with_input(&scene.server, &["db", "append", DB], "three\n").exits(0).json();
    assert_eq!(appended["size"], 3);
    assert_eq!(records(&db(&scene.alice, &scene.server, "read", "")), ["one", "two", "three"]);

    rule("allow = [{ who = \"bob\", paths = [\"db/photos.alice.dgns.test/control\"] }]");
    assert_eq!(told(&host, "rules")["ok"], true);
    let verified = db(&scene.bob, &scene.server, "verify", "").exits(7).json();
    assert_eq!((&verified["ok"], &verified["logs"][1]["code"]), (&false.into(), &"not_reader".into()));
    db(&scene.bob, &scene.server, "history", "").exits(0);
    rule("allow = [{ who = \"bob\", paths = [\"elsewhere/\"] }]");
    assert_eq!(told(&host, "rules")["ok"], true);
    assert_eq!(db(&scene.bob, &scene.server, "verify", "").exits(4).text("/code"), "not_reader");
    let other = scene.alice.dgns(&scene.server, &["db", "read", "other.alice", "--at", "db.alice"]);
    other.exits(6);
}

#[test]
fn a_host_that_changes_what_the_store_says_is_caught_and_its_no_is_not_the_stores() {
    // Goal: bytes of the store that were changed on their way never pass; that it has nothing, as a host says, convicts nobody. Method: the
    // host asks by way of somebody who flips one byte of each answer of a log's entries, a different one each time, or answers 404.
    let scene = Scene::new();
    create(&scene, "one\ntwo\n");
    let lies = Arc::new(Mutex::new(None::<bool>));
    let (lying, turns) = (lies.clone(), AtomicUsize::new(0));
    let between = Between::before(scene.server.http, move |line, mut answer| {
        let lie = *lying.lock().unwrap();
        match lie {
            Some(flips) if line.contains("/v1/logs/") && line.contains("/entries") => {
                if !flips {
                    let gone = serde_json::to_vec(&Problem::new(404, "not_found", "no such log")).unwrap();
                    return Some(Answer { status: 404, headers: vec![], body: gone });
                }
                let turn = turns.fetch_add(1, Ordering::Relaxed);
                let at = (turn * 97 + 40) % answer.body.len();
                answer.body[at] ^= 1;
                Some(answer)
            }
            _ => Some(answer),
        }
    });
    let way = Liar::of(between.url.strip_prefix("http://").unwrap().parse().unwrap(), scene.server.http);
    let _host = host(&scene, &way.url, &["--allow", "bob"]);
    assert_eq!(db(&scene.bob, &scene.server, "verify", "").exits(0).json()["logs"][1]["entries"], 1);

    *lies.lock().unwrap() = Some(true);
    for turn in 0..2 {
        let ran = db(&scene.bob, &scene.server, "verify", "");
        assert_eq!(ran.code, Some(3), "{turn}: {ran}");
    }
    *lies.lock().unwrap() = Some(false);
    db(&scene.bob, &scene.server, "verify", "").exits(2);
    *lies.lock().unwrap() = None;
    db(&scene.bob, &scene.server, "verify", "").exits(0);
    scene.connect(&["--get", "db/photos.alice.dgns.test/logs/main", "--out", text(&scene.beside("x"))]).exits(1);
}

#[test]
fn what_a_host_says_was_refused_is_never_signed_again_as_another_entry() {
    // Goal: no host makes an honest device sign two entries with one number. Method: the entry reaches the store, and the host says that its
    // key is not the newest; the next command finds the entry in the log, and the store has no second one.
    let scene = Scene::new();
    create(&scene, "one\n");
    let lies = Arc::new(Mutex::new(true));
    let (lying, logs) = (lies.clone(), Arc::new(Mutex::new(Vec::new())));
    let posted = logs.clone();
    let between = Between::before(scene.server.http, move |line, answer| {
        if *lying.lock().unwrap() && line.starts_with("POST /v1/logs/") {
            posted.lock().unwrap().push(answer.status);
            let conflict = Problem::new(409, "epoch_conflict", "another key came first");
            return Some(Answer { status: 409, headers: vec![], body: serde_json::to_vec(&conflict).unwrap() });
        }
        Some(answer)
    });
    let way = Liar::of(between.url.strip_prefix("http://").unwrap().parse().unwrap(), scene.server.http);
    let _host = host(&scene, &way.url, &["--write", "owner"]);
    let refused = db(&scene.alice, &scene.server, "append", "two\n");
    assert_eq!(refused.exits(4).text("/code"), "epoch_conflict");
    assert_eq!(*logs.lock().unwrap(), [200], "one entry was signed, and the store took it");
    *lies.lock().unwrap() = false;
    let appended = db(&scene.alice, &scene.server, "append", "three\n").exits(0).json();
    assert_eq!(appended["size"], 3);
    let direct = scene.alice.dgns(&scene.server, &["db", "read", DB]);
    assert_eq!(records(&direct), ["one", "two", "three"]);
}
