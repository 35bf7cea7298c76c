//! Further logs of a database, for the same people or for others: who has one reads nothing of the rest.

use dgns_tests::harness::{Person, Ran, Server, Site};

const NAME: &str = "team.alice";

/// Runs `dgns db WHAT team.alice ..`.
fn db(person: &Person, server: &Server, arguments: &[&str]) -> Ran {
    person.dgns(server, &[&["db", arguments[0], NAME], &arguments[1..]].concat())
}

fn append(person: &Person, server: &Server, log: &str, record: &str) -> Ran {
    person.dgns_with_input(server, &["db", "append", NAME, "--log", log], record)
}

fn read(person: &Person, server: &Server, log: &str) -> String {
    person.dgns_in_text(server, &["db", "read", NAME, "--log", log]).exits(0).stdout.clone()
}

#[test]
fn a_log_has_people_of_its_own_and_each_reads_what_they_were_let_into() {
    // Goal: bob has the first log, carol another one, dan a third of the first one's people: each reads and writes theirs alone; a revoke takes one log away and
    // turns its key; all of it is checked by who may read it.
    let site = Site::new();
    let server = site.start();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    db(&alice, &server, &["grant", "bob", "--write"]).exits(0);
    assert_eq!(db(&alice, &server, &["log", "money", "--apart"]).exits(0).number("/statements"), 3);
    assert_eq!(db(&alice, &server, &["log", "money", "--apart"]).exits(0).number("/statements"), 0, "said once");
    db(&alice, &server, &["grant", "carol", "--write", "--log", "money"]).exits(0);
    assert_eq!(db(&bob, &server, &["log", "notes"]).exits(4).text("/code"), "not_allowed");
    assert_eq!(db(&alice, &server, &["log", "notes"]).exits(0).number("/statements"), 1);
    db(&alice, &server, &["log", "money"]).exits(1);
    db(&alice, &server, &["log", "notes", "--apart"]).exits(1);
    db(&alice, &server, &["log", "money", "--apart"]).exits(1);
    db(&alice, &server, &["grant", "bob", "--log", "nothing", "--read"]).exits(1);

    for (person, log, record) in
        [(&alice, "main", "hello"), (&bob, "notes", "a note"), (&alice, "money", "a bill"), (&carol, "money", "paid")]
    {
        append(person, &server, log, record).exits(0);
    }
    assert_eq!(read(&bob, &server, "main") + &read(&bob, &server, "notes"), "hello\na note\n");
    assert_eq!(read(&carol, &server, "money"), "a bill\npaid\n");
    for (person, log) in [(&bob, "money"), (&carol, "main"), (&carol, "notes")] {
        assert_eq!(db(person, &server, &["read", "--log", log]).exits(4).text("/code"), "not_reader", "{log}");
        assert_ne!(append(person, &server, log, "x").code, Some(0), "{log}");
    }
    let logs = |person: &Person| -> Vec<(String, bool, u64)> {
        let said = db(person, &server, &["logs"]).exits(0).json();
        let row = |log: &serde_json::Value| {
            let (name, reads) = (log["log"].as_str().unwrap().to_owned(), log["reads"].as_bool().unwrap());
            (name, reads, log["members"].as_u64().unwrap())
        };
        let mut rows: Vec<_> = said["logs"].as_array().unwrap().iter().map(row).collect();
        rows.sort();
        rows
    };
    let row = |log: &str, reads| (log.to_owned(), reads, 2);
    assert_eq!(logs(&bob), [row("main", true), row("money", false), row("notes", true)]);
    assert_eq!(logs(&carol), [row("main", false), row("money", true), row("notes", false)]);
    let members = |log: &str| db(&alice, &server, &["members", "--log", log]).exits(0).json();
    let carols = carol.dgns(&server, &["whoami"]).exits(0).text("/did");
    let has = |log: &str| members(log)["members"].as_array().unwrap().iter().any(|member| member["did"] == carols[..]);
    assert!(has("money") && !has("main") && !has("notes"));

    db(&alice, &server, &["revoke", "carol", "--log", "money"]).exits(0);
    assert_eq!(members("money")["epoch"], 3);
    assert_eq!(members("main")["epoch"], 2, "the others' key is theirs");
    append(&alice, &server, "money", "another bill").exits(0);
    assert_eq!(db(&carol, &server, &["read", "--log", "money"]).exits(4).text("/code"), "not_reader");
    assert_eq!(read(&alice, &server, "money"), "a bill\npaid\nanother bill\n");
    let checked = db(&alice, &server, &["verify"]).exits(0).json();
    assert_eq!(checked["logs"].as_array().unwrap().len(), 4, "the control log, and three");
    db(&bob, &server, &["verify"]).exits(0);
    db(&alice, &server, &["rekey", "--log", "money"]).exits(0);
    assert_eq!(members("money")["epoch"], 4);
}
