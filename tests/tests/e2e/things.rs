//! Databases and servers have names as people do: DIDs of their own kinds, with keys of their own.

use dgns_tests::harness::{Person, Server, Site, http};

/// What a lookup says of a name: its kind and its owner.
fn shown(who: &Person, server: &Server, name: &str) -> (String, String) {
    let ran = who.dgns(server, &["resolve", name, "--genesis"]);
    ran.exits(0);
    (ran.text("/kind"), ran.text("/did"))
}

/// The home of what somebody claimed for something else.
fn held(by: &Person, name: &str) -> Person {
    Person::in_home(by.home().join("held").join(name))
}

#[test]
fn a_database_below_a_persons_name_has_keys_of_its_own_and_acts_with_them() {
    let (site, alice, stranger) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let claimed = alice.dgns(&server, &["claim", "db.alice", "--kind", "database"]);
    let said = claimed.exits(0).json();
    assert_eq!((&said["name"], &said["new"]), (&"db.alice.dgns.test".into(), &true.into()), "{claimed}");
    assert_eq!(claimed.text("/words").split(' ').count(), 12, "words of its own");

    let (kind, did) = shown(&stranger, &server, "db.alice");
    let (person, owner) = shown(&stranger, &server, "alice");
    assert_eq!((kind.as_str(), person.as_str()), ("database", "person"));
    assert_ne!(did, owner, "it is somebody else than alice");
    let accept = [("accept", "application/json")];
    let view = http::request(server.http, "GET", "/v1/names/db.alice", &accept, b"").unwrap().json();
    assert_eq!(view["did"]["kind"], "database");

    let database = held(&alice, "db.alice.dgns.test");
    database.dgns(&server, &["records", "set", "db.alice", "A", "192.0.2.7"]).exits(0);
    assert_eq!(database.dgns(&server, &["whoami"]).text("/kind"), "database");
    let again = alice.dgns(&server, &["claim", "db.alice", "--kind", "database"]);
    assert_eq!(again.exits(0).json()["new"], false, "asked again it says so and changes nothing");
    // The name stands below alice's: she may take it back.
    assert_eq!(
        alice.dgns(&server, &["records", "set", "db.alice", "A", "192.0.2.8"]).exits(4).text("/code"),
        "not_name_owner"
    );
    stranger.dgns(&server, &["audit"]).exits(0);
}

#[test]
fn nobody_claims_for_a_database_below_anothers_name() {
    let (site, alice, mallory) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    mallory.up(&server, "mallory");
    for (name, code) in [("db.alice", "not_allowed"), ("db.nobody", "no_parent")] {
        let ran = mallory.dgns(&server, &["claim", name, "--kind", "database"]);
        assert_eq!(ran.exits(4).text("/code"), code, "{name}");
        assert_eq!(mallory.dgns(&server, &["claim", name]).exits(4).text("/code"), code, "{name} for herself");
        assert!(!held(&mallory, &format!("{name}.dgns.test")).home().exists(), "nothing half done");
    }
    mallory.dgns(&server, &["resolve", "db.alice"]).exits(6);
}

#[test]
fn a_server_begins_in_a_home_of_its_own_and_a_home_stays_what_it_is() {
    let (site, host, alice) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    host.dgns(&server, &["up", "host1", "--kind", "server"]).exits(0);
    assert_eq!(shown(&alice, &server, "host1").0, "server");
    host.dgns(&server, &["up", "host2"]).exits(0);
    assert_eq!(shown(&alice, &server, "host2").0, "server", "a further name is for the same DID");
    host.dgns(&server, &["up", "host3", "--kind", "database"]).exits(1);
    host.dgns(&server, &["up", "host3", "--kind", "account"]).exits(1);
    alice.dgns(&server, &["resolve", "host3"]).exits(6);
    // Needs no name and no keys of the one who asks.
    alice.dgns(&server, &["claim", "host4", "--kind", "server", "--no-words"]).exits(0);
    assert_eq!(shown(&alice, &server, "host4").0, "server");
    alice.dgns(&server, &["whoami"]).exits(1);
}
