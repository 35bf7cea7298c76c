//! A DID met before is followed by its own certificates; one never met is from its genesis, if asked (PROTOCOL 11.5).

use dgns_tests::harness::http::request;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Ran, Server, Site};

/// What the keys shown rest on.
fn footing(person: &Person, server: &Server, arguments: &[&str]) -> String {
    person.dgns(server, &[&["resolve"], arguments].concat()).exits(0).text("/proof/chain")
}

/// Adds a device, suspends it, sets records and claims a name.
fn a_busy_day(phone: &Person, laptop: &Person, server: &Server, words: &str) {
    laptop.dgns_with_input(server, &["devices", "add", "alice", "--words"], words).exits(0);
    let kid = laptop.dgns(server, &["whoami"]).exits(0).text("/device/kid");
    phone.dgns(server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    phone.dgns(server, &["claim", "db.alice"]).exits(0);
    let suspended: Ran = phone.dgns(server, &["devices", "suspend", &kid, "--reason", "lost"]);
    suspended.exits(0);
}

#[test]
fn did_met_before_is_followed_to_what_it_became() {
    let (site, phone, laptop, friend) = (Site::new(), Person::new(), Person::new(), Person::new());
    let server = site.start();
    let words = phone.up(&server, "alice");
    assert_eq!(footing(&friend, &server, &["alice"]), "map");
    a_busy_day(&phone, &laptop, &server, &words);
    assert_eq!(footing(&friend, &server, &["alice"]), "remembered");
    // Once from the genesis, increments after; under another of her names too.
    assert_eq!(footing(&friend, &server, &["alice", "--genesis"]), "genesis");
    phone.dgns(&server, &["records", "set", "alice", "A", "192.0.2.2"]).exits(0);
    assert_eq!(footing(&friend, &server, &["db.alice"]), "genesis");
    assert_eq!(footing(&Person::new(), &server, &["alice", "--genesis"]), "genesis");
    let said = friend.dgns_in_text(&server, &["resolve", "alice"]);
    assert!(said.exits(0).to_string().contains("proved from genesis"), "{said}");
    phone.dgns(&server, &["audit"]).exits(0);
}

#[test]
fn server_that_shows_a_state_and_not_what_made_it_is_at_fault() {
    // Goal: a client that has met a DID believes no state that no certificates lead to. Method: whatever the client says it
    // knows, the answer is the one to who knows nothing.
    let (site, phone, laptop, friend) = (Site::new(), Person::new(), Person::new(), Person::new());
    let server = site.start();
    let words = phone.up(&server, "alice");
    friend.dgns(&server, &["resolve", "alice"]).exits(0);
    a_busy_day(&phone, &laptop, &server, &words);
    let address = server.http;
    let liar = Liar::before(server.http, move |asked, answer| {
        let path = asked.split(' ').nth(1)?;
        let Some((asked, _)) = path.split_once("&known=") else { return Some(answer) };
        request(address, "GET", asked, &[], &[]).ok()
    });
    for arguments in [&["resolve", "alice"][..], &["resolve", "alice", "--genesis"]] {
        let fooled = friend.dgns_at(&liar.url, arguments, "");
        assert_eq!(fooled.exits(3).text("/code"), "chain");
    }
    assert!(!friend.evidence().is_empty(), "the answer is kept");
    assert_eq!(footing(&friend, &server, &["alice"]), "remembered");
    let newcomer = Person::new();
    newcomer.dgns_at(&liar.url, &["resolve", "alice"], "").exits(0);
    assert_eq!(newcomer.dgns_at(&liar.url, &["resolve", "alice", "--genesis"], "").exits(3).text("/code"), "chain");
}
