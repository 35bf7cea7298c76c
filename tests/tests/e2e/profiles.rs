//! Profiles: one person writes, from every device, whoever is let in reads, and another server takes it over as it is.

use dgns_tests::harness::{Person, Ran, Server, Site, ports, wait};
use serde_json::Value;

const NAME: &str = "me.alice";

fn db(person: &Person, server: &Server, arguments: &[&str]) -> Ran {
    person.dgns(server, &[&["db", arguments[0], NAME], &arguments[1..]].concat())
}

fn append(person: &Person, server: &Server, record: &str) -> Ran {
    person.dgns_with_input(server, &["db", "append", NAME], record)
}

fn texts(person: &Person, server: &Server) -> Vec<String> {
    let ran = db(person, server, &["read"]);
    let lines = ran.exits(0).stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_profile_is_written_by_its_person_alone_and_moves_as_it_is() {
    // Goal: bob is let in to read and to nothing else, by whatever is said; the keys of the database itself write nothing; the kind stands in what
    // everybody replays; after a move all of it holds at the other server. Method: two people, two servers, the real programs.
    let site = Site::new().with("storage", "anchor_s", "1");
    let server = site.start();
    let [alice, bob] = ["alice", "bob"].map(|name| Person::with_name(&server, name));
    let made = alice.dgns(&server, &["db", "create", NAME, "--kind", "profile", "--no-words"]).exits(0).json();
    assert_eq!(made["kind"], "profile");
    alice.dgns(&server, &["db", "create", NAME, "--kind", "profile", "--no-words"]).exits(0);
    let other = alice.dgns(&server, &["db", "create", NAME, "--no-words"]);
    assert_eq!(other.code, Some(1), "its kind is for ever: {other}");
    append(&alice, &server, "I am Alice").exits(0);

    for more in ["--write", "--grant"] {
        assert_eq!(db(&alice, &server, &["grant", "bob", more]).exits(4).text("/code"), "single_writer", "{more}");
    }
    db(&alice, &server, &["grant", "bob", "--read"]).exits(0);
    assert_eq!(db(&alice, &server, &["owners", "--add", "bob"]).exits(4).text("/code"), "single_writer");
    assert_eq!(texts(&bob, &server), ["I am Alice"]);
    assert_ne!(append(&bob, &server, "I am Bob").code, Some(0));
    // The keys of the database are a home of their own: whoever has them rules its name, and writes nothing.
    let itself = Person::in_home(made["home"].as_str().unwrap().into());
    assert_ne!(append(&itself, &server, "I am the database").code, Some(0));
    let members = db(&bob, &server, &["members"]).exits(0).json();
    assert_eq!((&members["kind"], members["members"].as_array().unwrap().len()), (&"profile".into(), 2));
    let said = alice.dgns_in_text(&server, &["db", "members", NAME]);
    assert!(said.exits(0).stdout.contains("whose devices alone write it"), "{said}");
    let history = db(&bob, &server, &["history"]).exits(0).json();
    assert_eq!(
        (&history["history"][0]["what"], &history["history"][0]["kind"]),
        (&"genesis".into(), &"profile".into())
    );

    let there = Site::new().with_zone("other.test").with("storage", "anchor_s", "1");
    let there = there.with("storage", "homes", &format!("[{:?}]", server.vkey()));
    let there = there.with("http", "listen", &format!("\"127.0.0.1:{}\"", ports::free()));
    let to = there.start();
    db(&alice, &server, &["move", "--to", &to.url]).exits(0);
    append(&alice, &server, "I moved").exits(0);
    assert_eq!(texts(&bob, &server), ["I am Alice", "I moved"]);
    assert_ne!(append(&bob, &server, "I am Bob").code, Some(0));
    assert_ne!(append(&itself, &server, "I am the database").code, Some(0));
    assert_eq!(db(&alice, &server, &["grant", "bob", "--write"]).exits(4).text("/code"), "single_writer");
    wait::until("every log is anchored there", || {
        let verified = db(&bob, &server, &["verify"]).exits(0).json();
        assert_eq!((&verified["kind"], &verified["url"]), (&"profile".into(), &to.url.clone().into()));
        verified["logs"].as_array().unwrap().iter().all(|log| log["anchored"] == log["entries"]).then_some(())
    });
    db(&alice, &server, &["revoke", "bob"]).exits(0);
    assert_eq!(db(&bob, &server, &["read"]).exits(4).text("/code"), "not_reader");
}
