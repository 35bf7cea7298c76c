//! Acts that change who rules a name: devices, windows, votes, transfers, new words, the end (PROTOCOL 5.3 to 5.6).
//!
//! The windows are seconds here, and time is the log's: an act is due when an Epoch says so, which the tests wait for.

use dgns_tests::harness::{Person, Ran, Server, Site, wait};

/// A window long enough to act within, short enough to wait for.
const SHORT: &str = "2";

/// A window that no test outlives.
const LONG: &str = "600";

#[test]
fn device_added_with_the_words_votes_at_once() {
    let (site, phone, laptop) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let words = up(&phone, &server, LONG);
    laptop.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &words).exits(0);
    let listed = laptop.dgns(&server, &["devices", "list"]);
    assert_eq!(listed.exits(0).json()["devices"].as_array().map(Vec::len), Some(2));
    assert_eq!(laptop.dgns(&server, &["whoami"]).json()["device"]["status"], "live");
    laptop.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    // A home belongs to one DID, and other words open nothing.
    laptop.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &words).exits(1);
    let bob = Person::new();
    let others = bob.up(&server, "bob");
    Person::new().dgns_with_input(&server, &["devices", "add", "alice", "--words"], &others).exits(1);
    Person::new().dgns_with_input(&server, &["devices", "add", "nobody", "--words"], &words).exits(6);
}

#[test]
fn device_approved_by_another_is_on_probation_first() {
    let (site, phone, tablet, other) = (Site::new(), Person::new(), Person::new(), Person::new());
    let server = site.start();
    up(&phone, &server, SHORT);
    let asked = tablet.dgns(&server, &["devices", "add", "alice", "--label", "tablet"]);
    let approved = phone.dgns(&server, &["devices", "approve", &asked.exits(0).text("/request")]);
    assert_eq!(approved.exits(0).text("/kid"), asked.text("/kid"), "both show the same kid to compare");
    let grant = approved.text("/grant");
    other.dgns(&server, &["devices", "add", "alice"]).exits(0);
    other.dgns(&server, &["devices", "add", "--grant", &grant]).exits(1);
    tablet.dgns(&server, &["devices", "add", "--grant", &grant]).exits(0);
    let fresh = tablet.dgns(&server, &["whoami"]).json()["device"]["status"].clone();
    assert!(fresh == "fresh" || fresh == "live", "{fresh}");
    wait::until("probation is over", || (status_of(&tablet, &server) == "live").then_some(()));
    tablet.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    phone.dgns(&server, &["audit"]).exits(0);
}

#[test]
fn member_is_no_voter() {
    let (site, phone, watch) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    up(&phone, &server, LONG);
    let asked = watch.dgns(&server, &["devices", "add", "alice", "--level", "member"]);
    let approved = phone.dgns(&server, &["devices", "approve", &asked.exits(0).text("/request")]);
    watch.dgns(&server, &["devices", "add", "--grant", &approved.exits(0).text("/grant")]).exits(0);
    assert_eq!(status_of(&watch, &server), "live");
    refused(&watch.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]), "not_allowed");
    refused(&watch.dgns(&server, &["claim", "db.alice"]), "not_allowed");
    // A voter ends it at once.
    phone.dgns(&server, &["devices", "revoke", &kid(&watch, &server)]).exits(0);
    assert!(status_of(&watch, &server).starts_with("not in the chain"));
    let ended = watch.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]);
    assert_eq!(ended.exits(4).text("/code"), "unknown_signer");
    assert!(ended.text("/problem/detail").contains("it was revoked"), "{ended}");
}

#[test]
fn suspended_device_is_powerless_for_a_window_and_live_after_it() {
    let (site, phone, laptop) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let words = up(&phone, &server, SHORT);
    laptop.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &words).exits(0);
    let kid = kid(&laptop, &server);
    phone.dgns(&server, &["devices", "suspend", &kid, "--reason", "lost"]).exits(0);
    let ran = laptop.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]);
    if status_of(&laptop, &server) == "suspended" {
        refused(&ran, "suspended");
    }
    wait::until("the suspension is over", || (status_of(&laptop, &server) == "live").then_some(()));
    laptop.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
}

#[test]
fn revocation_waits_can_be_contested_and_is_decided_by_the_words() {
    let (site, phone, laptop) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let words = up(&phone, &server, LONG);
    laptop.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &words).exits(0);
    let laptop_kid = kid(&laptop, &server);
    let opened = phone.dgns(&server, &["devices", "revoke", &laptop_kid, "--reason", "stolen"]);
    let act = opened.exits(5).text("/act");
    assert_eq!(opened.json()["pending"]["type"], "device_revoke");
    assert_eq!(status_of(&laptop, &server), "suspended", "at once");
    refused(&phone.dgns(&server, &["policy", "--window-s", "700"]), "act_open");

    // The target speaks against it: nobody rules until the words decide.
    laptop.dgns(&server, &["veto", &act[..8]]).exits(0);
    let seen = Person::new().dgns(&server, &["resolve", "alice"]);
    assert_eq!(seen.exits(0).json()["frozen"], true, "{seen}");
    refused(&phone.dgns(&server, &["claim", "db.alice"]), "suspended");
    let listed = phone.dgns(&server, &["pending"]).exits(0).json();
    assert_eq!((&listed["frozen"], &listed["pending"][0]["act"]), (&true.into(), &act.as_str().into()));
    phone.dgns_with_input(&server, &["confirm", &act[..8], "--words"], &words).exits(0);
    assert_eq!(Person::new().dgns(&server, &["resolve", "alice"]).json()["frozen"], false);
    assert!(status_of(&laptop, &server).starts_with("not in the chain"));
    phone.dgns(&server, &["claim", "db.alice"]).exits(0);
    phone.dgns(&server, &["audit"]).exits(0);
}

#[test]
fn second_voter_completes_what_one_alone_must_wait_for() {
    let (site, phone, laptop) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let words = up(&phone, &server, LONG);
    laptop.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &words).exits(0);
    let opened = phone.dgns(&server, &["policy", "--window-s", "900"]);
    let act = opened.exits(5).text("/act");
    assert_eq!(window(&phone, &server), 600);
    laptop.dgns(&server, &["confirm", &act[..6]]).exits(0);
    assert_eq!(window(&phone, &server), 900, "two of two voters are a majority");
    refused(&laptop.dgns(&server, &["confirm", &act[..6]]), "unable");
    phone.dgns_with_input(&server, &["policy", "--window-s", "800", "--words"], &words).exits(0);
    assert_eq!(window(&phone, &server), 800, "the words need nobody");
    let short = phone.dgns(&server, &["policy", "--window-s", "0"]);
    assert!(matches!(short.code, Some(1 | 4)), "below the zone's floor: {short}");
}

#[test]
fn name_is_transferred_when_its_receiver_accepts_and_the_window_is_over() {
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    up(&alice, &server, SHORT);
    bob.up(&server, "bob");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let bobs = bob.dgns(&server, &["whoami"]).text("/did");
    let file = alice.home().join("alice.transfer");
    let file = file.to_str().unwrap();
    alice.dgns(&server, &["transfer", "alice", &bobs, "--out", file]).exits(0);
    Person::new().dgns(&server, &["transfer", "alice", "--accept", file]).exits(1);
    alice.dgns(&server, &["transfer", "alice", "--accept", file]).exits(1);
    bob.dgns(&server, &["transfer", "bob", "--accept", file]).exits(1);
    bob.dgns(&server, &["transfer", "alice", "--accept", file]).exits(5);
    wait::until("the name is bob's", || {
        (Person::new().dgns(&server, &["resolve", "alice"]).text("/did") == bobs).then_some(())
    });
    refused(&alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.2"]), "not_name_owner");
    let records = bob.dgns(&server, &["records", "set", "alice", "A", "192.0.2.3"]);
    records.exits(0);
    assert_eq!(bob.dgns(&server, &["whoami"]).json()["names"].as_array().map(Vec::len), Some(2));
    bob.dgns(&server, &["audit"]).exits(0);
}

#[test]
fn released_name_is_held_and_a_withdrawn_release_never_happened() {
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let words = up(&alice, &server, LONG);
    alice.dgns(&server, &["claim", "db.alice"]).exits(0);
    refused(&alice.dgns(&server, &["release", "alice"]), "has_children");
    let act = alice.dgns(&server, &["release", "db.alice"]).exits(5).text("/act");
    alice.dgns(&server, &["veto", &act[..6]]).exits(0);
    assert_eq!(alice.dgns(&server, &["pending"]).json()["pending"].as_array().map(Vec::len), Some(0));
    alice.dgns_with_input(&server, &["release", "db.alice", "--words"], &words).exits(0);
    alice.dgns_with_input(&server, &["release", "alice", "--words"], &words).exits(0);
    let held = bob.dgns(&server, &["resolve", "alice"]);
    assert_eq!(held.exits(0).json()["status"], "held", "{held}");
    refused(&bob.dgns(&server, &["up", "alice"]), "name_taken");
    refused(&alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]), "not_name_owner");
}

#[test]
fn new_words_replace_the_old_ones_and_programs_get_them_too() {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    let old = up(&alice, &server, LONG);
    let rotated = alice.dgns_with_input(&server, &["rotate", "--words"], &old);
    let new = rotated.exits(0).text("/words");
    assert!(rotated.stderr.contains(&new), "they are shown before they count: {rotated}");
    alice.dgns_with_input(&server, &["words", "verify"], &new).exits(0);
    alice.dgns_with_input(&server, &["words", "verify"], &old).exits(1);
    let stale = alice.dgns_with_input(&server, &["policy", "--window-s", "700", "--words"], &old);
    stale.exits(4);
    alice.dgns_with_input(&server, &["policy", "--window-s", "700", "--words"], &new).exits(0);
    alice.dgns(&server, &["rotate"]).exits(5);
}

#[test]
fn tombstone_waits_and_then_nothing_follows() {
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    up(&alice, &server, SHORT);
    alice.dgns(&server, &["tombstone"]).exits(1);
    alice.dgns(&server, &["tombstone", "--yes"]).exits(5);
    let me = alice.dgns(&server, &["whoami"]).text("/did");
    wait::until("it is over", || (bob.dgns(&server, &["resolve", &me]).text("/status") == "ended").then_some(()));
    assert_eq!(bob.dgns(&server, &["resolve", "alice"]).exits(0).text("/status"), "held");
    let after = alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]);
    assert!(matches!(after.code, Some(4 | 6)), "{after}");
    alice.dgns(&server, &["claim", "carol"]).exits(4);
    bob.dgns(&server, &["audit"]).exits(0);
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

#[test]
fn act_falls_due_while_the_server_is_down_and_settles_at_its_start() {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    up(&alice, &server, SHORT);
    alice.dgns(&server, &["policy", "--window-s", "30"]).exits(5);
    server.kill();
    let server = site.start();
    wait::until("the policy is in force", || (window(&alice, &server) == 30).then_some(()));
    alice.dgns(&server, &["audit"]).exits(0);
}

#[test]
fn limits_of_a_busy_hour_are_refused_with_a_time_to_come_back() {
    let site = Site::new().with("limits", "certificates_per_hour", "3").with("limits", "records_per_hour", "1");
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["claim", "db.alice"]).exits(0);
    let over = alice.dgns(&server, &["claim", "web.alice"]);
    refused(&over, "rate");
    assert!(over.number("/problem/retry_ms") > 3_000_000, "{over}");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    refused(&alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.2"]), "rate");
}

/// Claims `alice` with this window, in seconds. Returns the words.
fn up(person: &Person, server: &Server, window_s: &str) -> String {
    person.dgns(server, &["up", "alice", "--window-s", window_s]).exits(0).text("/words")
}

fn status_of(person: &Person, server: &Server) -> String {
    person.dgns(server, &["whoami"]).exits(0).text("/device/status")
}

fn kid(person: &Person, server: &Server) -> String {
    person.dgns(server, &["whoami"]).exits(0).text("/device/kid")
}

fn window(person: &Person, server: &Server) -> u64 {
    person.dgns(server, &["whoami"]).exits(0).number("/window_s")
}

/// Asserts that a command was refused by the rules with this code, or, `unable`, not even tried.
fn refused(ran: &Ran, code: &str) {
    ran.exits(if code == "unable" { 1 } else { 4 });
    assert_eq!(ran.text("/code"), code, "{ran}");
}
