//! Exit codes of `dgns` are its interface for scripts: each is reached here, and `--json` prints one value whatever happens.

use dgns_tests::harness::{Person, Site};
use serde_json::Value;

#[test]
fn each_way_to_end_has_its_exit_code_and_one_json_value() {
    let (site, alice, nobody) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let out = alice.home().join("proof");
    let out = out.to_str().unwrap();
    for (arguments, code) in [
        (&["whoami"][..], 0),
        (&["resolve", "alice"], 0),
        (&["resolve", "did:dgns:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"], 6),
        (&["devices", "list"], 0),
        (&["records", "list", "alice"], 0),
        (&["records", "set", "alice", "A", "192.0.2.1"], 0),
        (&["records", "set", "alice", "A", "192.0.2.1"], 0),
        (&["records", "remove", "alice", "TXT"], 1),
        (&["records", "set", "alice", "A", "not an address"], 1),
        (&["records", "set", "alice", "NOTYPE", "x"], 1),
        (&["records", "set", "alice", "A", "192.0.2.1", "--ttl", "1"], 1),
        (&["records", "list", "nobody"], 6),
        (&["pending"], 0),
        (&["confirm", "abcdef"], 1),
        (&["veto", "abcdef"], 1),
        (&["audit"], 0),
        (&["monitor", "alice"], 0),
        (&["monitor", "alice", "nobody"], 0),
        (&["prove", "alice", "--out", out], 0),
        (&["verify", out], 0),
        (&["verify", "no-such-file"], 1),
        (&["resolve", "nobody"], 6),
        (&["resolve", "UPPER CASE"], 1),
        (&["resolve", "did:dgns:short"], 1),
        (&["up", "a"], 1),
        (&["claim", "www"], 4),
        (&["claim", "a.b.c.d.e"], 1),
        (&["devices", "approve", "request1.AAAA"], 1),
        (&["devices", "revoke", "ffff"], 1),
        (&["devices", "add", "--grant", "grant1.AAAA"], 1),
        (&["transfer", "alice", "not-a-did"], 1),
        (&["tombstone"], 1),
    ] {
        let ran = alice.dgns(&server, arguments);
        assert_eq!(ran.code, Some(code), "{ran}");
        let values: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let several = arguments[0] == "monitor" && arguments.len() > 2;
        assert!(values.len() == 1 || several, "one value, not {}: {ran}", values.len());
        assert_eq!(values[0]["ok"] == true, code == 0, "`ok` says what the exit code says: {ran}");
        assert!(ran.stderr.is_empty(), "with --json nothing is said beside: {ran}");
    }
    for arguments in [&["whoami"][..], &["devices", "list"], &["records", "set", "alice", "A", "192.0.2.1"]] {
        nobody.dgns(&server, arguments).exits(1);
    }
    // Whoever is no owner is refused by the rules, not by the client.
    let bob = Person::new();
    bob.up(&server, "bob");
    let refused = bob.dgns(&server, &["records", "set", "alice", "A", "192.0.2.6"]);
    assert_eq!(refused.exits(4).text("/code"), "not_name_owner");
    let taken = bob.dgns(&server, &["claim", "alice"]);
    assert_eq!(taken.exits(4).text("/code"), "name_taken");
    assert_eq!(taken.json()["problem"]["status"], 409, "{taken}");
}

#[test]
fn arguments_that_are_none_are_exit_1_and_help_is_0() {
    let site = Site::new();
    let (server, nobody) = (site.start(), Person::new());
    for arguments in
        [&["resolv"][..], &["up"], &["up", "alice", "--kind", "account"], &["devices", "forget"], &["--colour"]]
    {
        nobody.dgns(&server, arguments).exits(1);
    }
    for arguments in [&["--help"][..], &["--version"], &["devices", "--help"]] {
        nobody.dgns(&server, arguments).exits(0);
    }
}

#[test]
fn server_that_cannot_be_reached_is_exit_2() {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let url = server.url.clone();
    server.kill();
    for arguments in
        [&["resolve", "alice"][..], &["audit"], &["records", "set", "alice", "A", "192.0.2.1"], &["up", "bob"]]
    {
        let ran = alice.dgns_at(&url, arguments, "");
        assert_eq!(ran.exits(2).text("/code"), "network");
    }
    Person::new().dgns_at(&url, &["resolve", "alice"], "").exits(2);
    Person::new().dgns_at("http://no-such-host.invalid", &["resolve", "alice"], "").exits(2);
    Person::new().dgns_at("ftp://127.0.0.1", &["resolve", "alice"], "").exits(1);
    Person::new().dgns_at("nonsense", &["resolve", "alice"], "").exits(1);
}

#[test]
fn post_that_was_on_its_way_is_repeated_by_the_next_command() {
    // Goal: a write of unknown outcome is never lost by the client. Method: the server dies before the post; the next command
    // against a started one repeats it.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let gate =
        dgns_tests::harness::liar::Liar::before(server.http, |request, answer| match request.starts_with("POST") {
            true => None,
            false => Some(answer),
        });
    let lost = alice.dgns_at(&gate.url, &["records", "set", "alice", "A", "192.0.2.9"], "");
    lost.exits(2);
    let kept = alice.home().join("dgns.test/post");
    assert!(kept.is_file(), "the post is kept");
    alice.dgns(&server, &["pending"]).exits(0);
    assert!(!kept.exists(), "the post was answered");
    let listed = alice.dgns(&server, &["records", "list", "alice"]);
    assert_eq!(listed.exits(0).json()["records"][0]["value"], "192.0.2.9");
}
