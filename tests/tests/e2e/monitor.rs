//! An owner who watches a name: told of each change and whose keys signed it, through restarts and without the stream.

use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Running, Server, Site, wait};
use serde_json::Value;

/// Long enough that no look but those the stream asks for happens in a test.
const NEVER: &str = "86400";

fn follow(person: &Person, url: &str, interval: &str, names: &[&str]) -> Running {
    let running = person.dgns_running(url, &[&["monitor", "--follow", "--interval", interval], names].concat());
    for _ in names {
        assert_eq!(running.event()["event"], "now");
    }
    running
}

/// Checks an event: one act, of this type, signed by such a key.
fn told(event: &Value, by: &str, kind: &str, who: &str) {
    assert_eq!((&event["event"], &event["by"]), (&"changed".into(), &by.into()), "{event}");
    assert_eq!(event["acts"][0]["type"], kind, "{event}");
    assert!(event["acts"][0]["signers"].as_array().unwrap().iter().any(|signer| signer["who"] == who), "{event}");
}

fn point(person: &Person, server: &Server, address: &str) {
    person.dgns(server, &["records", "set", "alice", "A", address]).exits(0);
}

#[test]
fn a_change_is_told_with_its_signer_as_soon_as_the_server_says_so() {
    // Goal: own changes are told from those by a key that came later; the stream wakes. Method: no look but those the stream asks
    // for; a change by this device, a device added, a change by that device; an interrupt ends it well.
    let (site, alice, phone) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let words = alice.up(&server, "alice");
    let watching = follow(&alice, &server.url, NEVER, &["alice"]);
    point(&alice, &server, "192.0.2.1");
    told(&watching.event(), "own", "records", "this device");
    phone.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &words).exits(0);
    told(&watching.event(), "foreign", "device_add", "foreign");
    point(&phone, &server, "192.0.2.66");
    let event = watching.event();
    told(&event, "foreign", "records", "foreign");
    assert_eq!(event["records"][0]["value"], "192.0.2.66");
    assert_eq!(event["between"], "nothing");
    watching.interrupt().exits(0);
}

#[test]
fn a_watch_goes_on_where_it_was_left() {
    // Goal: what happened while nobody watched is told at the next look, whatever other commands of the home saw meanwhile.
    // Method: single looks; between them changes, a device of others, and lookups.
    let (site, alice, phone) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let words = alice.up(&server, "alice");
    let look = |arguments: &[&str]| alice.dgns(&server, &[&["monitor", "alice"], arguments].concat()).exits(0).json();
    assert_eq!(look(&[])["event"], "now");
    assert_eq!(look(&[])["event"], "now");
    point(&alice, &server, "192.0.2.1");
    phone.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &words).exits(0);
    point(&phone, &server, "192.0.2.2");
    alice.dgns(&server, &["resolve", "alice"]).exits(0);
    let event = look(&[]);
    let kinds: Vec<&Value> = event["acts"].as_array().unwrap().iter().map(|act| &act["type"]).collect();
    assert_eq!(kinds, ["records", "device_add", "records"], "{event}");
    assert_eq!((&event["by"], &event["acts"][0]["signers"][0]["who"]), (&"foreign".into(), &"this device".into()));
    assert_eq!(event["acts"][2]["signers"][0]["who"], "foreign");
    assert_eq!(look(&[])["event"], "now");
    assert_eq!(look(&["--anew"])["event"], "now");
    point(&phone, &server, "192.0.2.3");
    assert_eq!(look(&[])["by"], "own", "known since the watch began anew");
}

#[test]
fn a_name_that_is_claimed_given_away_or_given_up_is_told() {
    // Goal: the changes of owner that rules allow are no alarm. Method: a watch by a third party, from before the claim to after
    // a transfer and a release.
    let (site, alice, bob, carol) = (Site::new(), Person::new(), Person::new(), Person::new());
    let server = site.start();
    let watching = follow(&carol, &server.url, "1", &["alice"]);
    alice.dgns(&server, &["up", "alice", "--window-s", "2"]).exits(0);
    let claimed = watching.event();
    assert_eq!((&claimed["event"], &claimed["status"]), (&"changed".into(), &"present".into()), "{claimed}");
    bob.dgns(&server, &["up", "bob", "--window-s", "2"]).exits(0);
    let bobs = bob.dgns(&server, &["whoami"]).text("/did");
    let file = alice.home().join("alice.transfer");
    let file = file.to_str().unwrap();
    alice.dgns(&server, &["transfer", "alice", &bobs, "--out", file]).exits(0);
    bob.dgns(&server, &["transfer", "alice", "--accept", file]).exits(5);
    let owner = wait::until("the transfer is over", || {
        let event = watching.event();
        (event["did"] == bobs).then(|| event["event"].clone())
    });
    assert_eq!(owner, "changed");
    bob.dgns(&server, &["release", "alice"]).exits(5);
    wait::until("the release is over", || (watching.event()["status"] == "held").then_some(()));
    watching.interrupt().exits(0);
}

#[test]
fn without_the_stream_the_interval_remains() {
    // Goal: the stream is a hint. Method: a server in the way that cuts every stream.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let liar = Liar::before(server.http, |_, answer| Some(answer));
    let watching = follow(&alice, &liar.url, "1", &["alice", "bob"]);
    point(&alice, &server, "192.0.2.1");
    told(&watching.event(), "own", "records", "this device");
    watching.interrupt().exits(0);
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    // Goal: a restart does not end the watch, and what happened meanwhile is told. Method: killed, started elsewhere behind the
    // same URL, as a liar that first leads to nothing.
    let (site, alice) = (Site::new().with("http", "listen", "\"127.0.0.1:0\""), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let address = server.http;
    let watching = follow(&alice, &server.url, "1", &["alice"]);
    server.kill();
    assert_eq!(watching.event()["event"], "unreachable");
    let site = site.with("http", "listen", &format!("\"{address}\""));
    let server = site.start();
    point(&alice, &server, "192.0.2.1");
    told(&watching.event(), "own", "records", "this device");
    watching.interrupt().exits(0);
}

#[test]
fn a_command_gets_each_event() {
    // Goal: --exec is how a watch reaches a person. Method: a command that appends to a file; one that fails does not end it.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let file = alice.home().join("events");
    let append = format!("cat >> {}", file.display());
    let look = |command: &str| alice.dgns(&server, &["monitor", "alice", "--exec", command]);
    look(&append).exits(0);
    point(&alice, &server, "192.0.2.1");
    look(&append).exits(0);
    let events = std::fs::read_to_string(&file).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["event"], &events[1]["event"]), (&"now".into(), &"changed".into()));
    let failed = look("exit 7");
    assert!(failed.exits(0).stderr.contains("--exec"), "{failed}");
}

#[test]
fn what_is_covered_between_two_looks_is_said_first() {
    // Goal: nobody takes a poll for more than it is. Method: nothing, an audit, a policy with verifiers.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let look = |arguments: &[&str]| alice.dgns_in_text(&server, &[&["monitor", "alice"], arguments].concat());
    assert!(look(&[]).exits(0).stderr.contains("nothing is covered"));
    let audited = look(&["--audit"]);
    assert!(audited.exits(0).stderr.contains("every entry is audited"), "{audited}");
    look(&["--audit"]).exits(0);
}
