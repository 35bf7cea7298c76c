//! Forks of a database: under a name and owners of their own, read by who read the source then, proved to begin with it.

use dgns_tests::harness::{Person, Server, Site, wait};
use dgns_tests::skip::without_sqlite3;
use serde_json::Value;

use crate::owners::entries_kept;

const SOURCE: &str = "photos.alice";
const FORK: &str = "mine.alice";

fn append(person: &Person, server: &Server, name: &str, record: &str) {
    person.dgns_with_input(server, &["db", "append", name], record).exits(0);
}

fn texts(person: &Person, server: &Server, arguments: &[&str]) -> Vec<String> {
    let ran = person.dgns(server, &[&["db", "read"], arguments].concat());
    let lines = ran.exits(0).stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

fn people<const N: usize>(server: &Server, names: [&str; N]) -> [Person; N] {
    names.map(|name| {
        let person = Person::new();
        person.up(server, name);
        person
    })
}

#[test]
fn a_fork_goes_on_from_its_source_and_outlives_it() {
    // Goal: what was there then, readable by who could then; each goes on alone. Method: a fork of all and one of two entries; grants and
    // revokes on either side; the source deleted; a fork of the fork; a server started again.
    let site = Site::new().with("storage", "anchor_s", "1");
    let server = site.start();
    let [alice, bob, carol] = people(&server, ["alice", "bob", "carol"]);
    alice.dgns(&server, &["db", "create", SOURCE, "--no-words"]).exits(0);
    append(&alice, &server, SOURCE, "one");
    alice.dgns(&server, &["db", "grant", SOURCE, "bob", "--write"]).exits(0);
    append(&bob, &server, SOURCE, "two");
    append(&alice, &server, SOURCE, "three");
    bob.dgns(&server, &["db", "fork", SOURCE, "mine.bob", "--no-words"]).exits(1);

    let made = alice.dgns(&server, &["db", "fork", SOURCE, FORK, "--no-words"]).exits(0).json();
    assert_eq!((&made["at"], &made["new"]), (&3.into(), &true.into()));
    assert_eq!(alice.dgns(&server, &["db", "fork", SOURCE, FORK, "--no-words"]).exits(0).json()["new"], false);
    let early = alice.dgns(&server, &["db", "fork", SOURCE, "early.alice", "--at", "2", "--no-words"]);
    assert_eq!(early.exits(0).number("/at"), 2);
    alice.dgns(&server, &["db", "fork", SOURCE, "late.alice", "--at", "4", "--no-words"]).exits(1);
    assert_eq!(texts(&alice, &server, &[FORK]), ["one", "two", "three"]);
    assert_eq!(texts(&bob, &server, &["early.alice"]), ["one", "two"]);

    append(&bob, &server, FORK, "four of the fork");
    append(&alice, &server, SOURCE, "four");
    assert_eq!(texts(&bob, &server, &[FORK]), ["one", "two", "three", "four of the fork"]);
    assert_eq!(texts(&bob, &server, &[SOURCE]), ["one", "two", "three", "four"]);
    assert_eq!(texts(&alice, &server, &[FORK, "--from", "2"]), ["three", "four of the fork"]);
    alice.dgns(&server, &["db", "grant", SOURCE, "carol", "--read"]).exits(0);
    assert_eq!(carol.dgns(&server, &["db", "read", FORK]).exits(4).text("/code"), "not_reader");
    alice.dgns(&server, &["db", "revoke", SOURCE, "bob"]).exits(0);
    assert_eq!(texts(&bob, &server, &[FORK]).len(), 4, "whoever goes from the source stays in the fork");
    let tail = bob.dgns_running(&server.url, &["db", "tail", FORK, "--from", "3"]);
    assert_eq!(tail.event()["text"], "four of the fork");
    alice.dgns(&server, &["db", "rekey", FORK]).exits(0);
    append(&alice, &server, FORK, "five");
    assert_eq!(tail.event()["text"], "five");
    tail.kill();

    alice.dgns(&server, &["db", "delete", SOURCE, "--yes"]).exits(0);
    server.stop().exits(0);
    let server = site.start();
    assert_eq!(alice.dgns(&server, &["db", "read", SOURCE]).exits(6).text("/code"), "deleted");
    assert_eq!(
        alice.dgns(&server, &["db", "fork", SOURCE, "none.alice", "--no-words"]).exits(6).text("/code"),
        "deleted"
    );
    alice.dgns(&server, &["db", "fork", FORK, "again.alice", "--at", "4", "--no-words"]).exits(0);
    append(&alice, &server, "again.alice", "another five");
    assert_eq!(texts(&bob, &server, &["again.alice"]), ["one", "two", "three", "four of the fork", "another five"]);
    for name in [FORK, "early.alice", "again.alice"] {
        wait::until("every log is anchored", || {
            let verified = alice.dgns(&server, &["db", "verify", name]).exits(0).json();
            verified["logs"].as_array().unwrap().iter().all(|log| log["anchored"] == log["entries"]).then_some(())
        });
    }
    Person::new().dgns(&server, &["audit"]).exits(0);
    let history = alice.dgns(&server, &["db", "history", "again.alice"]).exits(0).json();
    let said: Vec<&Value> = history["history"].as_array().unwrap().iter().map(|row| &row["what"]).collect();
    assert_eq!(said.iter().filter(|what| **what == "fork").count(), 2);
}

#[test]
fn a_fork_that_is_killed_at_any_moment_is_there_or_not_and_the_command_goes_on() {
    // Method: the server killed as soon as the keys of the new name lie at home, and as soon as the fork is kept.
    if without_sqlite3() {
        return;
    }
    let site = Site::new();
    let mut server = site.start();
    let [alice] = people(&server, ["alice"]);
    alice.dgns(&server, &["db", "create", SOURCE, "--no-words"]).exits(0);
    append(&alice, &server, SOURCE, "kept");
    for is_kept in [false, true] {
        let name = format!("fork-{is_kept}.alice");
        let (before, held) = (entries_kept(&site), alice.home().join("held").join(format!("{name}.dgns.test")));
        let forking = alice.dgns_running(&server.url, &["db", "fork", SOURCE, &name, "--no-words"]);
        wait::until("the fork is begun", || match is_kept {
            true => (entries_kept(&site) > before).then_some(()),
            false => held.exists().then_some(()),
        });
        server.kill();
        drop(forking);
        server = site.start();
        alice.dgns(&server, &["db", "fork", SOURCE, &name, "--no-words"]).exits(0);
        assert_eq!(texts(&alice, &server, &[&name]), ["kept"]);
    }
}
