//! What people may store, and until when: leases that the operator gives, and the end of what nobody pays for.

use dgns_tests::harness::{Person, Server, Site, wait};
use serde_json::Value;

fn shown(person: &Person, server: &Server) -> Value {
    person.dgns(server, &["account", "show"]).exits(0).json()
}

/// Waits until the account of somebody is in a state.
fn becomes(person: &Person, server: &Server, state: &str) -> Value {
    wait::until(state, || Some(shown(person, server)).filter(|shown| shown["state"] == state))
}

fn append_whole(person: &Person, server: &Server, record: &str) -> dgns_tests::harness::Ran {
    person.dgns_with_input(server, &["db", "append", "photos.alice", "--whole"], record)
}

fn append(person: &Person, server: &Server, record: &str) -> dgns_tests::harness::Ran {
    person.dgns_with_input(server, &["db", "append", "photos.alice"], record)
}

#[test]
fn a_lease_that_is_over_makes_an_account_read_only_and_then_its_data_is_deleted() {
    // Goal: as the operator says, while the server runs and before it starts; nobody else's data is touched. Method: alice's lease ends, is
    // given anew, and ends for good under a server that waits no more; bob's does not.
    let site = Site::new();
    let server = site.start();
    let [alice, bob] = ["alice", "bob"].map(|name| {
        let person = Person::new();
        person.up(&server, name);
        person.dgns(&server, &["db", "create", &format!("photos.{name}")]).exits(0);
        person
    });
    append(&alice, &server, "one").exits(0);
    alice.dgns(&server, &["db", "grant", "photos.alice", "bob", "--read"]).exits(0);
    bob.dgns_with_input(&server, &["db", "append", "photos.bob"], "bob's").exits(0);
    let account = shown(&alice, &server);
    assert_eq!((&account["state"], &account["until_ms"]), (&"leased".into(), &Value::Null));
    assert_eq!((&account["quota_bytes"], &account["databases"][0]["dropped"]), (&(1 << 30).into(), &"no".into()));
    assert!(account["used_entries"].as_u64() > Some(6), "{account}");
    let did = account["did"].as_str().unwrap().to_owned();
    let gives = |site: &Site, arguments: &[&str]| site.dgnsd(&[&["lease", &did][..], arguments].concat());
    gives(&site, &[]).exits(1);
    gives(&site, &["--days", "1", "--until", "5"]).exits(2);
    gives(&site, &["--days", "0"]).exits(0);
    becomes(&alice, &server, "lapsed");
    assert_eq!(append(&alice, &server, "two").exits(4).text("/code"), "lease_lapsed");
    let file = tempfile::NamedTempFile::new().unwrap();
    let put = alice.dgns(&server, &["chunk", "put", file.path().to_str().unwrap()]);
    assert_eq!(put.exits(4).text("/code"), "lease_lapsed");
    let large = "large".repeat(20_000);
    assert_eq!(append_whole(&alice, &server, &large).exits(4).text("/code"), "lease_lapsed", "its chunks");
    assert_eq!(alice.dgns(&server, &["db", "create", "more.alice"]).exits(4).text("/code"), "lease_lapsed");
    assert_eq!(alice.dgns_in_text(&server, &["db", "read", "photos.alice"]).exits(0).stdout, "one\n");
    gives(&site, &["--days", "2", "--bytes", "5000000"]).exits(0);
    assert_eq!(becomes(&alice, &server, "leased")["quota_bytes"], 5_000_000);
    append(&alice, &server, "three").exits(0);
    server.stop().exits(0);

    // While one order cannot be read nothing is deleted, and the others are taken up.
    gives(&site, &["--days", "0"]).exits(0);
    let bad = site.data().join("leases/from an editor~");
    std::fs::write(&bad, "{").unwrap();
    let site = site.with("storage", "grace_days", "0");
    let server = site.start();
    becomes(&alice, &server, "lapsed");
    wait::until("the bad one is counted", || {
        server.get("/metrics").text().contains("dgns_store_bad_lease_orders 1\n").then_some(())
    });
    assert_eq!(shown(&alice, &server)["databases"][0]["dropped"], "no");
    assert_eq!(alice.dgns_in_text(&server, &["db", "read", "photos.alice"]).exits(0).stdout, "one\nthree\n");
    server.kill();
    std::fs::remove_file(bad).unwrap();
    let server = site.start();
    let dropped = |what: &str| {
        wait::until(what, || Some(()).filter(|()| shown(&alice, &server)["databases"][0]["dropped"] == what));
    };
    dropped("yes");
    for command in ["read", "tail"] {
        let told = alice.dgns(&server, &["db", command, "photos.alice"]);
        assert_eq!(told.exits(4).text("/code"), "dropped", "{command}");
    }
    assert_eq!(append_whole(&alice, &server, &large).exits(4).text("/code"), "dropped", "its chunks");
    assert!(alice.dgns(&server, &["db", "history", "photos.alice"]).exits(0).stdout.contains("genesis"));
    assert_eq!(bob.dgns_in_text(&server, &["db", "read", "photos.bob"]).exits(0).stdout, "bob's\n");
    assert_eq!(shown(&bob, &server)["state"], "leased");
    // Who rules it goes on ruling it: what they need to know of its logs is not dropped.
    alice.dgns(&server, &["db", "revoke", "photos.alice", "bob"]).exits(0);
    let text = alice.dgns_in_text(&server, &["account", "show"]);
    assert!(text.exits(0).stdout.contains("its data was deleted, the server says"), "{text}");

    // Paid for again it is written to again; what went is gone, and is said.
    gives(&site, &["--for-ever"]).exits(0);
    dropped("before");
    append(&alice, &server, "four").exits(0);
    let told = alice.dgns(&server, &["db", "read", "photos.alice"]);
    assert_eq!(told.exits(4).text("/code"), "dropped");
    assert_eq!(alice.dgns_in_text(&server, &["db", "read", "photos.alice", "--from", "2"]).exits(0).stdout, "four\n");
    alice.dgns(&server, &["db", "delete", "photos.alice", "--yes"]).exits(0);
    server.stop().exits(0);
}

#[test]
fn what_everybody_has_is_had_for_so_many_days_from_its_first_use_on() {
    let site = Site::new().with("storage", "free_days", "3");
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let before = shown(&alice, &server)["until_ms"].as_u64().unwrap();
    alice.dgns(&server, &["db", "create", "photos.alice"]).exits(0);
    let (account, again) = (shown(&alice, &server), shown(&alice, &server));
    assert!(account["until_ms"].as_u64() > Some(before), "its first use begins it");
    assert_eq!(account["until_ms"], again["until_ms"]);
    assert_eq!(server.get("/v1/account").problem_code(), "bad_authorization");
}
