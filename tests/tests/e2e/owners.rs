//! Owners of a database: equals, half of whom delete it, and nobody undoes that unnoticed.

use dgns_tests::harness::http::Answer;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Ran, Server, Site, wait};
use dgns_tests::skip::without_sqlite3;

const NAME: &str = "photos.alice";

fn people<const N: usize>(server: &Server, names: [&str; N]) -> [Person; N] {
    names.map(|name| {
        let person = Person::new();
        person.up(server, name);
        person
    })
}

/// Runs `dgns db WHAT photos.alice ..`.
fn db(person: &Person, server: &Server, arguments: &[&str]) -> Ran {
    person.dgns(server, &[&["db", arguments[0], NAME], &arguments[1..]].concat())
}

fn append(person: &Person, server: &Server, record: &str) -> Ran {
    person.dgns_with_input(server, &["db", "append", NAME], record)
}

/// Deletes the database as its one owner, and waits until an anchor has the tombstone.
fn delete_and_anchor(person: &Person, server: &Server) {
    db(person, server, &["delete", "--yes"]).exits(0);
    wait::until("the tombstone is anchored", || {
        let said = db(person, server, &["read"]).exits(6).json();
        said["tombstone"]["anchor"].as_u64()
    });
}

#[test]
fn a_database_is_deleted_by_half_of_its_owners_and_everybody_is_shown_why() {
    // Goal: four owners; one is not enough, two are; then nobody reads or appends, each is shown the proof, nobody says anything more.
    let site = Site::new();
    let server = site.start();
    let [alice, bob, carol, dan] = people(&server, ["alice", "bob", "carol", "dan"]);
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    append(&alice, &server, "one").exits(0);
    db(&alice, &server, &["grant", "bob", "--write"]).exits(0);

    let owners = db(&alice, &server, &["owners"]).exits(0).json();
    assert_eq!((owners["owners"].as_array().unwrap().len(), &owners["lacking"]), (1, &1.into()));
    assert_eq!(db(&bob, &server, &["owners", "--add", "bob"]).exits(4).text("/code"), "not_allowed");
    assert_eq!(db(&bob, &server, &["delete", "--yes"]).exits(4).text("/code"), "not_allowed");
    assert_eq!(db(&alice, &server, &["owners", "--leave"]).exits(4).text("/code"), "last_owner");
    db(&alice, &server, &["owners", "--add", "bob"]).exits(0);
    let asked = db(&alice, &server, &["owners", "--add", "carol"]).exits(0).json();
    assert_eq!((asked["owners"].as_array().unwrap().len(), asked["asked"].as_array().unwrap().len()), (2, 1));
    assert_eq!(db(&carol, &server, &["owners"]).exits(4).text("/code"), "not_reader", "not one yet");
    db(&bob, &server, &["owners", "--add", "carol"]).exits(0);
    db(&carol, &server, &["owners"]).exits(0);
    db(&alice, &server, &["owners", "--add", "dan"]).exits(0);
    let four = db(&carol, &server, &["owners", "--add", "dan"]).exits(0).json();
    assert_eq!(four["owners"].as_array().unwrap().len(), 4);
    // An owner rules, without being a member, and is not kept from it.
    db(&dan, &server, &["revoke", "bob"]).exits(0);
    assert_ne!(append(&bob, &server, "no").code, Some(0), "an owner who is no member rules, and does not write");
    db(&alice, &server, &["grant", "bob", "--write"]).exits(0);

    db(&alice, &server, &["delete"]).exits(1);
    let waits = db(&alice, &server, &["delete", "--yes"]).exits(5).json();
    assert_eq!((&waits["lacking"], &waits["deleted"]), (&1.into(), &false.into()));
    db(&alice, &server, &["delete", "--yes"]).exits(5);
    append(&bob, &server, "two").exits(0);
    let back = db(&alice, &server, &["delete", "--take-back"]).exits(0).json();
    assert_eq!(back["lacking"], 2);
    db(&dan, &server, &["delete", "--yes"]).exits(5);
    let tail = alice.dgns_running(&server.url, &["db", "tail", NAME, "--from", "0"]);
    assert_eq!((&tail.event()["text"], &tail.event()["text"]), (&"one".into(), &"two".into()));
    let done = db(&carol, &server, &["delete", "--yes"]).exits(0).json();
    assert_eq!((&done["tombstone"]["owners"], &done["tombstone"]["deleting"]), (&4.into(), &2.into()));
    let told = tail.ended();
    assert_eq!(
        (told.code, told.json()["code"].as_str()),
        (Some(6), Some("deleted")),
        "whoever follows is told: {told}"
    );

    for person in [&alice, &bob, &dan] {
        for command in ["read", "tail", "verify", "members"] {
            let told = db(person, &server, &[command]).exits(6).json();
            assert_eq!((&told["code"], &told["tombstone"]["deleting"]), (&"deleted".into(), &2.into()), "{command}");
        }
    }
    assert_eq!(append(&bob, &server, "three").exits(6).text("/code"), "deleted");
    assert_eq!(db(&alice, &server, &["grant", "dan", "--read"]).exits(6).text("/code"), "deleted");
    db(&bob, &server, &["delete", "--yes"]).exits(0);
    let history = db(&alice, &server, &["history"]).exits(0).json();
    let last = history["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["what"], &last["logs"]), (&"deleted".into(), &1.into()));
    assert_eq!(db(&alice, &server, &["owners"]).exits(0).json()["deleted"], true);
}

/// Returns how many entries the store of a running server keeps.
pub(crate) fn entries_kept(site: &Site) -> u64 {
    let count = std::process::Command::new("sqlite3")
        .args(["-readonly", "-cmd", ".timeout 10000"])
        .arg(site.data().join("store.db"))
        .arg("SELECT count(*) FROM entry")
        .output()
        .unwrap();
    String::from_utf8(count.stdout).unwrap().trim().parse().expect("sqlite3 counts entries")
}

#[test]
fn a_deletion_that_is_killed_at_any_moment_goes_on_where_it_was() {
    // Goal: voice, tombstone and acknowledgement each stand or do not. Method: the server killed while an owner deletes, as soon as none,
    // one and both of the statements are kept, and the command said again; each round another database.
    if without_sqlite3() {
        return;
    }
    let site = Site::new();
    let mut server = site.start();
    let [alice] = people(&server, ["alice"]);
    for kept in 0..3 {
        let name = format!("db{kept}.alice");
        alice.dgns(&server, &["db", "create", &name, "--no-words"]).exits(0);
        alice.dgns_with_input(&server, &["db", "append", &name], "kept").exits(0);
        let before = entries_kept(&site);
        let deleting = alice.dgns_running(&server.url, &["db", "delete", &name, "--yes"]);
        wait::until("so many statements are kept", || (entries_kept(&site) >= before + kept).then_some(()));
        server.kill();
        drop(deleting);
        server = site.start();
        let said = alice.dgns(&server, &["db", "delete", &name, "--yes"]).exits(0).json();
        assert_eq!(said["tombstone"]["deleting"], 1);
        assert_eq!(alice.dgns(&server, &["db", "read", &name]).exits(6).text("/code"), "deleted");
    }
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--json"]).exits(0);
}

#[test]
fn a_tombstone_that_is_anchored_is_undone_by_no_server() {
    // Goal: a server that puts the database back from before its end is caught by somebody who never read it. Method: `store.db` of before
    // put back under the log of names of after.
    let site = Site::new().with("storage", "anchor_s", "1");
    let server = site.start();
    let [alice] = people(&server, ["alice"]);
    let home = tempfile::tempdir().unwrap();
    let copied = home.path().join("fresh");
    assert!(std::process::Command::new("cp").arg("-a").arg(alice.home()).arg(&copied).status().unwrap().success());
    let fresh = Person::in_home(copied);
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    append(&alice, &server, "one").exits(0);
    wait::until("all is anchored", || {
        let logs = db(&alice, &server, &["verify"]).exits(0).json()["logs"].clone();
        logs.as_array().unwrap().iter().all(|log| log["anchored"] == log["entries"]).then_some(())
    });
    server.stop().exits(0);
    let before = std::fs::read(site.data().join("store.db")).unwrap();
    let server = site.start();
    delete_and_anchor(&alice, &server);
    server.stop().exits(0);
    for name in ["store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(site.data().join(name));
    }
    std::fs::write(site.data().join("store.db"), before).unwrap();
    let server = site.start();
    for command in ["read", "tail", "verify"] {
        let caught = db(&fresh, &server, &[command]);
        assert_eq!(caught.exits(3).text("/code"), "store_rollback", "{command}");
    }
}

#[test]
fn a_server_that_says_deleted_of_a_database_that_is_not_is_caught() {
    // Goal: the word of a server is no proof. Method: every answer of a log of data replaced by `deleted`; the control log shown as it is.
    let site = Site::new();
    let server = site.start();
    let [alice] = people(&server, ["alice"]);
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    append(&alice, &server, "one").exits(0);
    let control = std::sync::Mutex::new(None::<String>);
    let liar = Liar::before(server.http, move |line, answer| {
        let Some((_, log)) = line.split_once("/v1/logs/") else { return Some(answer) };
        let log = log.split('/').next().unwrap_or_default().to_owned();
        // The control log is the first that anybody asks for.
        let mut control = control.lock().unwrap();
        if *control.get_or_insert_with(|| log.clone()) == log {
            return Some(answer);
        }
        let body = br#"{"type":"about:blank","title":"deleted","status":410,"code":"deleted","detail":"gone"}"#;
        Some(Answer { status: 410, body: body.to_vec(), ..answer })
    });
    for command in ["read", "tail"] {
        let caught = alice.dgns_at(&liar.url, &["db", command, NAME], "");
        assert_eq!(caught.exits(3).text("/code"), "no_tombstone", "{command}");
    }
    db(&alice, &server, &["read"]).exits(0);
}
