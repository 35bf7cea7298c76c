//! Databases: made with two commands, appended to and followed from anywhere, past a server that reads nothing and cannot go back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Running, Server, Site, ports, wait};
use serde_json::Value;

fn lines(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts(person: &Person, server: &Server, arguments: &[&str]) -> Vec<String> {
    let ran = person.dgns(server, arguments);
    ran.exits(0);
    lines(&ran.stdout).iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

fn append(person: &Person, server: &Server, records: &str) -> Value {
    person.dgns_with_input(server, &["db", "append", "photos.alice"], records).exits(0).json()
}

#[test]
fn a_database_is_made_appended_to_and_followed_and_its_server_reads_nothing() {
    let site = Site::new();
    let server = site.start();
    let (alice, bob) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    bob.up(&server, "bob");
    let made = alice.dgns(&server, &["db", "create", "photos.alice"]).exits(0).json();
    assert_eq!(made["name"], "photos.alice.dgns.test");
    alice.dgns(&server, &["db", "create", "photos.alice"]).exits(0);
    assert!(texts(&alice, &server, &["db", "read", "photos.alice"]).is_empty());

    let tail = alice.dgns_running(&server.url, &["db", "tail", "photos.alice", "--from", "0"]);
    let appended = append(&alice, &server, "a bridge in the fog\nthe same bridge\n");
    assert_eq!((&appended["records"], &appended["size"]), (&2.into(), &1.into()), "two records, one signature");
    append(&alice, &server, "a lighthouse");
    let seen = [tail.event(), tail.event(), tail.event()].map(|line| line["text"].as_str().unwrap().to_owned());
    assert_eq!(seen, ["a bridge in the fog", "the same bridge", "a lighthouse"]);
    tail.kill();
    assert_eq!(texts(&alice, &server, &["db", "read", "photos.alice"]), seen);
    assert_eq!(texts(&alice, &server, &["db", "read", "photos.alice", "--from", "1"]), ["a lighthouse"]);
    let plain = alice.dgns_in_text(&server, &["db", "read", "photos.alice"]);
    assert_eq!(plain.exits(0).stdout, "a bridge in the fog\nthe same bridge\na lighthouse\n");
    let history = alice.dgns(&server, &["db", "history", "photos.alice"]).exits(0).json();
    let said: Vec<_> = history["history"].as_array().unwrap().iter().map(|row| row["what"].clone()).collect();
    assert_eq!(said, ["genesis", "owner", "grant", "key", "log", "leave"]);

    let mismatch = ["db", "append", "photos.alice", "--expect", "1"];
    assert_eq!(alice.dgns_with_input(&server, &mismatch, "x").exits(4).text("/code"), "head_mismatch");
    let expected = ["db", "append", "photos.alice", "--expect", "2"];
    assert_eq!(alice.dgns_with_input(&server, &expected, "third").exits(0).number("/size"), 3);

    assert_eq!(bob.dgns(&server, &["db", "read", "photos.alice"]).exits(4).text("/code"), "not_reader");
    bob.dgns(&server, &["db", "read", "bob"]).exits(1);
    bob.dgns(&server, &["db", "read", "nobody-here"]).exits(6);
    alice.dgns(&server, &["db", "read", "photos.alice", "--log", "other"]).exits(1);
    let too_far = alice.dgns(&server, &["db", "read", "photos.alice", "--from", "99"]);
    assert_ne!(too_far.code, Some(0), "a place from the future");
    server.stop().exits(0);
    for name in ["store.db", "store.db-wal"] {
        let held = std::fs::read(site.data().join(name)).unwrap_or_default();
        assert!(!held.windows(10).any(|window| window == b"lighthouse"), "{name}");
    }
}

#[test]
fn a_database_is_shared_with_others_and_who_is_revoked_reads_and_writes_no_more() {
    // Goal: rights and keys follow the control log. Method: three people; bob reads, then writes, then is revoked and comes back.
    let site = Site::new();
    let server = site.start();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", "photos.alice"]).exits(0);
    append(&alice, &server, "before bob");
    let read = ["db", "read", "photos.alice"];
    let says = |person: &Person, line: &str| person.dgns_with_input(&server, &["db", "append", "photos.alice"], line);
    let said = |person: &Person, arguments: &[&str]| {
        person.dgns(&server, &[&["db", arguments[0], "photos.alice"][..], &arguments[1..]].concat())
    };
    assert_eq!(bob.dgns(&server, &read).exits(4).text("/code"), "not_reader");

    let granted = said(&alice, &["grant", "bob", "--read"]).exits(0).json();
    assert_eq!((&granted["rights"], &granted["epoch"], &granted["statements"]), (&"r".into(), &2.into(), &2.into()));
    assert_eq!(said(&alice, &["grant", "bob", "--read"]).exits(0).number("/statements"), 0, "it is so already");
    append(&alice, &server, "hello bob");
    assert_eq!(texts(&bob, &server, &read), ["before bob", "hello bob"]);
    assert_eq!(says(&bob, "no").exits(4).text("/code"), "not_writer");
    assert_eq!(said(&bob, &["grant", "carol", "--read"]).exits(4).text("/code"), "not_allowed");

    said(&alice, &["grant", "bob", "--write"]).exits(0);
    says(&bob, "from bob").exits(0);
    let members = said(&bob, &["members"]).exits(0).json();
    let rights: Vec<_> = members["members"].as_array().unwrap().iter().map(|row| row["rights"].clone()).collect();
    assert!(rights.len() == 2 && rights.contains(&"rw".into()) && rights.contains(&"rwg".into()), "{members}");
    let tail = alice.dgns_running(&server.url, &["db", "tail", "photos.alice", "--from", "3"]);

    let gone = said(&alice, &["revoke", "bob"]).exits(0).json();
    assert_eq!((&gone["epoch"], &gone["rekey_due"]), (&3.into(), &false.into()));
    assert_eq!(said(&alice, &["revoke", "bob"]).exits(0).number("/statements"), 0);
    assert_eq!(bob.dgns(&server, &read).exits(4).text("/code"), "not_reader");
    assert_ne!(says(&bob, "still me").code, Some(0));
    append(&alice, &server, "without bob");
    assert_eq!(tail.event()["text"], "without bob", "whoever follows goes on under the new key");
    tail.kill();
    assert_eq!(texts(&alice, &server, &read), ["before bob", "hello bob", "from bob", "without bob"]);
    said(&alice, &["verify"]).exits(0);

    said(&alice, &["grant", "carol", "--grant"]).exits(0);
    assert_eq!(said(&carol, &["grant", "bob", "--write"]).exits(4).text("/code"), "grant_wider");
    said(&carol, &["grant", "bob", "--read"]).exits(0);
    assert_eq!(texts(&bob, &server, &read).len(), 4);
    let left = said(&bob, &["revoke", "bob"]).exits(0).json();
    assert_eq!(left["rekey_due"], true, "who leaves has no right to turn the key");
    append(&alice, &server, "whoever may turns it before they append");
    let now = said(&alice, &["members"]).exits(0).json();
    assert_eq!((&now["rekey_due"], now["members"].as_array().unwrap().len()), (&false.into(), 2));
    let epoch = now["epoch"].as_u64().unwrap();
    assert_eq!(said(&alice, &["rekey"]).exits(0).number("/epoch"), epoch + 1);
    said(&alice, &["grant", "nobody-here", "--read"]).exits(6);
    assert_eq!(texts(&carol, &server, &read).len(), 5);
    server.stop().exits(0);
}

#[test]
fn a_server_whose_databases_were_restored_from_yesterday_is_caught() {
    // Goal: a rollback, and a second history on top of it, end commands with code 3 and signed evidence. Method: a copy of the store
    // put back; then another device of the same person appends to it.
    let site = Site::new();
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["db", "create", "photos.alice"]).exits(0);
    append(&alice, &server, "monday");
    server.stop().exits(0);
    let yesterday = std::fs::read(site.data().join("store.db")).unwrap();

    let server = site.start();
    append(&alice, &server, "tuesday");
    texts(&alice, &server, &["db", "read", "photos.alice"]);
    server.stop().exits(0);
    put_back(&site, &yesterday);
    let server = site.start();
    for command in ["read", "tail"] {
        let caught = alice.dgns(&server, &["db", command, "photos.alice"]);
        assert_eq!(caught.exits(3).text("/code"), "store_rollback", "{command}");
        assert!(Path::new(&caught.text("/evidence")).is_file());
    }
    let caught = alice.dgns_with_input(&server, &["db", "append", "photos.alice"], "wednesday");
    assert_ne!(caught.code, Some(0), "{caught}");
}

fn put_back(site: &Site, store: &[u8]) {
    for name in ["store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(site.data().join(name));
    }
    std::fs::write(site.data().join("store.db"), store).unwrap();
}

#[test]
fn a_file_is_stored_in_pieces_goes_on_where_it_was_and_comes_back_whole() {
    let site = Site::new();
    let server = site.start();
    let (alice, bob) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    bob.up(&server, "bob");
    let directory = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..3_500_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (file, half) = (directory.path().join("file"), directory.path().join("half"));
    std::fs::write(&file, &bytes).unwrap();
    std::fs::write(&half, &bytes[..2_097_072]).unwrap();
    let put = |path: &Path| alice.dgns(&server, &["chunk", "put", path.to_str().unwrap()]).exits(0).json();
    assert_eq!(put(&half)["sent"], 3, "two pieces and their list");
    let stored = put(&file);
    assert_eq!((&stored["sent"], &stored["bytes"]), (&3.into(), &3_500_000.into()), "the first two were there");
    let again = put(&file);
    assert_eq!((&again["sent"], &again["id"]), (&0.into(), &stored["id"]), "the same file has the same id");
    let id = stored["id"].as_str().unwrap();
    let text = alice.dgns_in_text(&server, &["chunk", "put", file.to_str().unwrap()]);
    assert_eq!(text.exits(0).stdout.lines().last(), Some(id));

    let out = directory.path().join("out");
    let get = ["chunk", "get", id, "--out", out.to_str().unwrap()];
    // Downloads that were interrupted left: the first pieces of this file; another file, which is longer; this one with a bit that changed.
    let mut bent = bytes.clone();
    bent[1_200_000] ^= 1;
    for left in [bytes[..1_500_000].to_vec(), vec![7; 4_000_000], bent] {
        std::fs::write(directory.path().join("out.part"), left).unwrap();
        alice.dgns(&server, &get).exits(0);
        assert!(std::fs::read(&out).unwrap() == bytes);
    }
    let only_first = Liar::before(server.http, {
        let fetched = AtomicUsize::new(0);
        move |line, answer| {
            (!line.starts_with("GET /v1/chunks/") || fetched.fetch_add(1, Ordering::Relaxed) < 3).then_some(answer)
        }
    });
    alice.dgns_at(&only_first.url, &get, "").exits(2);
    let left = std::fs::read(directory.path().join("out.part")).unwrap();
    assert!(left == bytes[..2_097_072], "the list and two pieces");
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Liar::before(server.http, {
        let asked = asked.clone();
        move |line, answer| {
            asked.fetch_add(usize::from(line.starts_with("GET /v1/chunks/")), Ordering::Relaxed);
            Some(answer)
        }
    });
    alice.dgns_at(&counts.url, &get, "").exits(0);
    assert!(std::fs::read(&out).unwrap() == bytes);
    assert_eq!(asked.load(Ordering::Relaxed), 3, "the list and what was missing");
    assert_eq!(bob.dgns(&server, &get).exits(4).text("/code"), "not_found", "no oracle for others");
    alice.dgns(&server, &["chunk", "get", "../../etc/passwd", "--out", out.to_str().unwrap()]).exits(1);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_amid_appends() {
    // Goal: every record is there once, in order, whatever moment the server dies. Method: a file of records appended by a command while
    // the server is killed; the command fails or not; the rest is appended after the restart, which sends again what was on its way.
    let site = Site::new();
    let mut server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["db", "create", "photos.alice"]).exits(0);
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let url = server.url.clone();
        let mut typing = alice.dgns_running(&url, &["db", "append", "photos.alice"]);
        for number in 0..20 {
            typing.types(&format!("{round}-{number}"));
        }
        // Each round dies a little later: before, amid and after the commits.
        wait::let_pass(std::time::Duration::from_millis(150 + 120 * round));
        server.kill();
        drop(typing);
        server = site.start();
        let line = format!("after-{round}");
        append(&alice, &server, &line);
        acknowledged.push(line);
        let read = texts(&alice, &server, &["db", "read", "photos.alice"]);
        let after: Vec<_> = read.iter().filter(|text| text.starts_with("after")).cloned().collect();
        assert_eq!(after, acknowledged);
        for round in 0..=round {
            let of_round: Vec<_> = read.iter().filter(|text| text.starts_with(&format!("{round}-"))).cloned().collect();
            let typed: Vec<_> = (0..of_round.len()).map(|number| format!("{round}-{number}")).collect();
            assert_eq!(of_round, typed, "a prefix, each once");
        }
    }
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--json"]).exits(0);
}

#[test]
fn who_appends_goes_on_past_a_restart_and_is_told_where_they_were_cut_off() {
    // Goal: every line is there once, in order, of a command that outlives its server, and of one that does not with the one after it. Method: lines are typed
    // around a kill; the second time nobody comes back before the command gives up.
    let site = Site::new().with("http", "listen", &format!("\"127.0.0.1:{}\"", ports::free()));
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    alice.dgns(&server, &["db", "create", "photos.alice", "--no-words"]).exits(0);
    let read = |server: &Server| texts(&alice, server, &["db", "read", "photos.alice"]);
    let mut typed: Vec<String> = Vec::new();
    let types = |typing: &mut Running, typed: &mut Vec<String>, count: usize| {
        for _ in 0..count {
            typed.push(format!("line {}", typed.len()));
            typing.types(typed.last().unwrap());
        }
    };
    let mut typing = alice.dgns_running(&server.url, &["db", "append", "photos.alice"]);
    types(&mut typing, &mut typed, 3);
    wait::until("three are there", || (read(&server) == typed).then_some(()));
    server.kill();
    types(&mut typing, &mut typed, 1);
    typing.note(|line| line.contains("trying for").then_some(()));
    let server = site.start();
    types(&mut typing, &mut typed, 2_000);
    typing.closes();
    assert_eq!(typing.ended().exits(0).number("/records"), 2_004);
    assert_eq!(read(&server), typed);

    let mut typing = alice.dgns_running(&server.url, &["db", "append", "photos.alice"]);
    types(&mut typing, &mut typed, 2);
    wait::until("two more are there", || (read(&server) == typed).then_some(()));
    server.kill();
    types(&mut typing, &mut typed, 1);
    typing.note(|line| line.contains("trying for").then_some(()));
    types(&mut typing, &mut typed, 2);
    typing.closes();
    let cut = typing.ended();
    assert_eq!((cut.exits(2).number("/records"), cut.number("/waiting")), (2, 1), "{cut}");
    let server = site.start();
    append(&alice, &server, &typed[2_007..].join("\n"));
    assert_eq!(read(&server), typed);
}
