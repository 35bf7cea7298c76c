//! The story of README: from nothing to a name that is claimed, answered by DNS, proved, audited and watched.

use std::fs;
use std::process::Command;
use std::time::Duration;

use dgns_tests::harness::programs::run;
use dgns_tests::harness::{Person, Ran, Server, Site, wait};
use dgns_tests::skip::skip;

#[test]
fn one_command_claims_a_name_in_three_seconds_with_a_verified_proof() {
    // Goal: `up` alone leads from nothing to a proved name. Method: the server as it starts without arguments but for its
    // ports, with the work it asks by default.
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(dgns_tests::harness::programs::program("dgnsd"));
    command
        .args(["--json", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--data"])
        .arg(directory.path().join("data"));
    let server = Server::start(command, &directory.path().join("log")).unwrap_or_else(|ran| panic!("{ran}"));
    assert_eq!(server.ready["made"], true);
    assert_eq!(server.ready["origin"], "dgns.test/log");

    let alice = Person::new();
    let (ran, took) = wait::timed(|| alice.dgns(&server, &["up", "alice"]));
    let said = ran.exits(0).json();
    assert_eq!((&said["name"], &said["new"]), (&"alice.dgns.test".into(), &true.into()));
    assert_eq!(said["indexes"].as_array().map(Vec::len), Some(2), "genesis and claim: {ran}");
    assert_eq!(said["proof"]["log_keys"][0], server.vkey());
    assert_eq!(ran.text("/words").split(' ').count(), 12);
    // An unoptimised client takes as long as the work does: 2^18 hashes on average, now and then four times as many.
    assert!(cfg!(debug_assertions) || took < Duration::from_secs(3), "it took {took:?}");

    let again = alice.dgns(&server, &["up", "alice"]);
    assert_eq!(again.exits(0).json()["new"], false, "asked again it says so and changes nothing");
}

#[test]
fn records_are_answered_by_dns_and_proved_by_resolve() {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    assert_eq!(dig(&server, "alice.dgns.test", "A").as_deref().unwrap_or_default(), "", "no records yet");

    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1", "192.0.2.2"]).exits(0);
    alice.dgns(&server, &["records", "set", "alice", "TXT", "hello world", "--ttl", "300"]).exits(0);
    alice
        .dgns(&server, &["records", "set", "alice", "SRV", "0 0 5432 alice.dgns.test.", "--owner", "_db._tcp"])
        .exits(0);
    if let Some(answer) = dig(&server, "alice.dgns.test", "A") {
        // The write was answered, so the first query after it sees it.
        assert_eq!(answer, "192.0.2.1\n192.0.2.2");
        assert_eq!(dig(&server, "alice.dgns.test", "TXT").unwrap(), "\"hello world\"");
        assert_eq!(dig(&server, "_db._tcp.alice.dgns.test", "SRV").unwrap(), "0 0 5432 alice.dgns.test.");
    }
    alice.dgns(&server, &["records", "remove", "alice", "A", "192.0.2.1"]).exits(0);
    if let Some(answer) = dig(&server, "alice.dgns.test", "A") {
        assert_eq!(answer, "192.0.2.2");
    }
    let unchanged = alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.2"]);
    assert_eq!(unchanged.exits(0).json()["changed"], false, "what is there already needs no certificate");

    let stranger = Person::new();
    let seen = stranger.dgns(&server, &["resolve", "alice"]);
    let said = seen.exits(0).json();
    assert_eq!((&said["status"], &said["proof"]["continuity"]), (&"present".into(), &"first_contact".into()));
    let rows: Vec<_> = said["records"].as_array().unwrap().iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(rows, ["A", "TXT", "SRV"], "{seen}");
    let filtered = stranger.dgns(&server, &["resolve", "alice", "--type", "TXT"]);
    assert_eq!(filtered.exits(0).json()["records"].as_array().map(Vec::len), Some(1));
    let listed = stranger.dgns(&server, &["records", "list", "alice.dgns.test"]);
    assert_eq!(listed.exits(0).json()["records"][0]["value"], "192.0.2.2");
}

#[test]
fn proof_is_verified_with_the_server_gone() {
    // Goal: a proof file stands alone. Method: written while the server runs, verified after it was killed: by the home that
    // pinned the key, and by one that is given the key and never met a server.
    let (site, alice, stranger) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let file = alice.home().join("alice.proof");
    let file = file.to_str().unwrap();
    alice.dgns(&server, &["prove", "alice", "--out", file]).exits(0);
    let absent = alice.home().join("nobody.proof");
    let absent = absent.to_str().unwrap();
    alice.dgns(&server, &["prove", "nobody", "--out", absent]).exits(0);
    let (url, vkey) = (server.url.clone(), server.vkey().to_owned());
    server.kill();

    let said = alice.dgns_at(&url, &["verify", file], "");
    assert_eq!(said.exits(0).json()["records"][0]["value"], "192.0.2.1");
    stranger.dgns_at(&url, &["verify", file, "--vkey", &vkey], "").exits(0);
    stranger.dgns_at(&url, &["verify", absent, "--vkey", &vkey], "").exits(6);
    stranger.dgns_at(&url, &["verify", file], "").exits(2);

    let honest = fs::read(file).unwrap();
    for at in (0..honest.len()).step_by(honest.len() / 24) {
        let mut changed = honest.clone();
        changed[at] ^= 1;
        fs::write(file, changed).unwrap();
        let said = alice.dgns_at(&url, &["verify", file], "");
        assert_eq!(said.code, Some(3), "byte {at} of {}: {said}", honest.len());
    }
    for garbage in [&b""[..], b"no proof\n", &honest[..honest.len() / 2]] {
        fs::write(file, garbage).unwrap();
        let said = stranger.dgns_at(&url, &["verify", file], "");
        assert_eq!(said.exits(3).text("/code"), "bad_proof_file", "no server is asked what no file could say");
    }
}

#[test]
fn whole_log_is_audited_and_an_audit_goes_on_where_it_ended() {
    let (site, alice, auditor) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let state = auditor.home().join("audit");
    let state = state.to_str().unwrap();
    let first = auditor.dgns(&server, &["audit", "--state", state]);
    let size = first.exits(0).number("/size");
    assert_eq!(first.number("/entries"), size, "from nothing it reads everything");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let second = auditor.dgns(&server, &["audit", "--state", state]);
    assert_eq!(second.exits(0).number("/size"), size + 2, "a certificate and its Epoch");
    assert_eq!(second.number("/entries"), 2, "the rest it had read: {second}");
    for level in ["tree", "map", "full"] {
        auditor.dgns(&server, &["audit", "--level", level]).exits(0);
    }
    auditor.dgns(&server, &["audit", &format!("{}/log", server.url), "--strict"]).exits(0);
}

#[test]
fn names_below_an_owned_name_are_the_owners_to_claim() {
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    bob.up(&server, "bob");
    let claimed = alice.dgns(&server, &["claim", "db.alice"]);
    assert_eq!(claimed.exits(0).text("/name"), "db.alice.dgns.test");
    bob.dgns(&server, &["claim", "web.alice"]).exits(4);
    let deep = bob.dgns(&server, &["claim", "one.two.bob"]);
    assert_eq!(deep.exits(4).text("/code"), "no_parent", "{deep}");

    let me = alice.dgns(&server, &["whoami"]);
    let said = me.exits(0).json();
    assert_eq!(said["names"], serde_json::json!(["alice.dgns.test", "db.alice.dgns.test"]));
    assert_eq!(said["device"]["status"], "live");
    let looked = bob.dgns(&server, &["monitor", "db.alice"]);
    assert_eq!(looked.exits(0).json()["event"], "now");
}

#[test]
fn words_on_paper_are_checked_and_others_are_not_taken() {
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let words = alice.up(&server, "alice");
    let others = bob.up(&server, "bob");
    let verify = |input: &str| alice.dgns_with_input(&server, &["words", "verify"], input);
    verify(&format!("{words}\n")).exits(0);
    verify(&format!("  {}  ", words.to_uppercase().replace(' ', "  "))).exits(0);
    verify(&others).exits(1);
    verify(&words.replacen(words.split(' ').next().unwrap(), "dgns", 1)).exits(1);
    verify("").exits(1);
}

#[test]
fn a_second_name_of_the_same_person_is_claimed_by_up_and_by_claim() {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "zoe");
    alice.dgns(&server, &["up", "alice"]).exits(0);
    alice.dgns(&server, &["claim", "mallory"]).exits(0);
    let names = alice.dgns(&server, &["whoami"]).exits(0).json()["names"].clone();
    assert_eq!(names.as_array().map(Vec::len), Some(3), "{names}");
}

#[test]
fn what_people_read_says_what_was_proved_and_by_what() {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    let up = alice.dgns_in_text(&server, &["up", "alice"]);
    assert!(up.exits(0).stderr.contains("Your words."), "{up}");
    assert!(up.stdout.contains("alice.dgns.test is yours."), "{up}");
    let resolve = alice.dgns_in_text(&server, &["resolve", "alice"]);
    for part in ["is proved present", "proved by", "dgns.test/log", "unwitnessed"] {
        assert!(resolve.exits(0).stdout.contains(part), "{part} is missing: {resolve}");
    }
    let absent = alice.dgns_in_text(&server, &["resolve", "nobody"]);
    assert!(absent.exits(6).stdout.contains("is proved absent"), "{absent}");
}

/// Returns what `dig +short` prints, in order; `None` where there is no `dig`.
fn dig(server: &Server, name: &str, rtype: &str) -> Option<String> {
    let mut command = Command::new("dig");
    let port = server.dns.port().to_string();
    command.args(["@127.0.0.1", "-p", &port, "+short", "+tries=1", "+time=60", name, rtype]);
    if Command::new("dig").arg("-v").output().is_err() {
        skip("dig is not installed");
        return None;
    }
    let Ran { stdout, .. } = run(command, "").exits(0).clone();
    let mut lines: Vec<&str> = stdout.lines().collect();
    lines.sort_unstable();
    Some(lines.join("\n"))
}
