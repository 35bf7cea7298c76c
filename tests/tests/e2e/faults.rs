//! A log that goes back, forks or lies is exit 3 for whoever remembers, with evidence kept; and the server itself refuses to sign
//! where that would make a second history.

use std::fs;

use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Ran, Seed, Server, Site};

#[test]
fn server_on_an_older_copy_of_its_database_refuses_to_sign() {
    // Goal: a restored backup cannot fork the log. Method: the database of yesterday beside the guard of today.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    server.stop().exits(0);
    let old = site.snapshot();
    let server = site.start();
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    server.stop().exits(0);
    let newest = site.snapshot();

    site.restore(&old, &["keys/guard"]);
    let refused = site.start_in_vain();
    assert!(refused.exits(3).stderr.contains("rolled back: the guard saw a signed head of 10 leaves"), "{refused}");
    site.dgnsd(&["fsck"]).exits(3);
    fs::remove_file(site.data().join("keys/guard")).unwrap();
    let refused = site.start_in_vain();
    assert!(refused.exits(3).stderr.contains("keys/guard is missing"), "{refused}");

    site.restore(&newest, &[]);
    let server = site.start();
    let seen = alice.dgns(&server, &["resolve", "alice"]);
    assert_eq!(seen.exits(0).json()["records"][0]["value"], "192.0.2.1");
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

#[test]
fn log_that_went_back_is_caught_by_whoever_saw_more() {
    // Goal: even with the guard rolled back too, clients notice. Method: everything of yesterday put back, keys included.
    let (site, alice, newcomer) = (Site::new(), Person::new(), Person::new());
    let old = old_and_one_more(&site, &alice, "192.0.2.1");
    site.restore(&old, &[]);
    let server = site.start();
    newcomer.dgns(&server, &["resolve", "alice"]).exits(0);
    for arguments in
        [&["resolve", "alice"][..], &["whoami"], &["audit"], &["records", "set", "alice", "A", "192.0.2.2"]]
    {
        let caught = alice.dgns(&server, arguments);
        assert_eq!(caught.code, Some(3), "{arguments:?} goes on with a log that went back: {caught}");
    }
    let caught = alice.dgns(&server, &["resolve", "alice"]);
    assert_eq!(caught.exits(3).text("/code"), "rollback");
    assert_evidence(&alice, &caught, "answer");
}

#[test]
fn log_that_forked_is_caught_at_the_same_size_and_beyond() {
    // Goal: two histories by one key convict it. Method: after going back, the server takes other certificates, first as many as
    // it had, then more.
    let (site, alice, mallory) = (Site::new(), Person::new(), Person::new());
    let old = old_and_one_more(&site, &alice, "192.0.2.1");
    site.restore(&old, &[]);
    let server = site.start();
    let forked = mallory.dgns(&server, &["up", "mallory"]);
    let size = forked.exits(0).number("/proof/size");
    assert_eq!(size, 11, "genesis, claim and Epoch upon 8 leaves: {forked}");
    let beyond = alice.dgns(&server, &["resolve", "alice"]);
    assert_eq!(beyond.exits(3).text("/code"), "inconsistent");
    assert_evidence(&alice, &beyond, "prefix");
    alice.dgns(&server, &["audit"]).exits(3);
    server.kill();

    // Once more, now with one certificate and its Epoch upon 8 leaves as alice saw: her own device in a home that knows less.
    site.restore(&old, &[]);
    let server = site.start();
    let forgetful = Person::new();
    forgetful.dgns(&server, &["resolve", "alice"]).exits(0);
    fs::copy(alice.home().join("dgns.test/device.json"), forgetful.home().join("dgns.test/device.json")).unwrap();
    let forked = forgetful.dgns(&server, &["records", "set", "alice", "A", "192.0.2.66"]);
    assert_eq!(forked.exits(0).number("/proof/size"), 10);
    let convicted = alice.dgns(&server, &["resolve", "alice"]);
    assert_eq!(convicted.exits(3).text("/code"), "fork");
    assert_evidence(&alice, &convicted, "same-size");
}

#[test]
fn any_byte_changed_in_an_answer_is_a_proof_fault() {
    // Goal: nothing that a server says is taken unproved. Method: one byte of the answer to a lookup changed on its way, at places
    // that a seed chooses and at both ends; every second one by a client that has seen the log before.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let length = server.get("/v1/names/alice?with=certs").body.len() as u64;
    let mut seed = Seed::of_the_day();
    let places: Vec<u64> = (0..24).map(|_| seed.below(length)).chain([0, length - 1]).collect();
    for (n, place) in places.into_iter().enumerate() {
        let bit = 1 << seed.below(8);
        let liar = Liar::before(server.http, move |request, mut answer| {
            // Who has met the owner is told less.
            let told = answer.body.len();
            if request.starts_with("GET /v1/names/")
                && let Some(byte) = answer.body.get_mut(place as usize % told)
            {
                *byte ^= bit;
            }
            Some(answer)
        });
        let someone = if n % 2 == 0 { &alice } else { &Person::new() };
        let fooled = someone.dgns_at(&liar.url, &["resolve", "alice"], "");
        assert_eq!(fooled.code, Some(3), "bit {bit} of byte {place} of {length}: {fooled}");
        assert!(!someone.evidence().is_empty(), "the answer is kept");
    }
    alice.dgns(&server, &["resolve", "alice"]).exits(0);
}

#[test]
fn old_answer_shown_again_is_a_fault_for_whoever_saw_a_newer_head() {
    // Goal: a replayed answer is not the present. Method: an honest answer is kept, a record is changed, the old answer comes back.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let old = server.get("/v1/names/alice?with=certs");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let liar = Liar::before(server.http, move |request, answer| match request.starts_with("GET /v1/names/") {
        true => Some(old.clone()),
        false => Some(answer),
    });
    let fooled = alice.dgns_at(&liar.url, &["resolve", "alice"], "");
    assert_eq!(fooled.exits(3).text("/code"), "rollback");
}

#[test]
fn audit_names_what_was_altered_on_its_way() {
    // Goal: no file of the log can be other than the head says. Method: a byte of each kind of file changed for an auditor who
    // comes for the first time.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    for part in ["GET /log/checkpoint", "GET /log/tile/entries/", "GET /log/tile/0/", "GET /log/history/tile/0/"] {
        let liar = Liar::before(server.http, move |request, mut answer| {
            let last = answer.body.len().saturating_sub(9);
            if request.starts_with(part)
                && let Some(byte) = answer.body.get_mut(last)
            {
                *byte ^= 1;
            }
            Some(answer)
        });
        let caught = Person::new().dgns_at(&liar.url, &["audit"], "");
        assert_eq!(caught.code, Some(3), "{part}: {caught}");
        assert!(!caught.text("/error").is_empty() && !caught.text("/code").is_empty(), "{part}: it is named: {caught}");
    }
    Person::new().dgns(&server, &["audit"]).exits(0);
}

#[test]
fn another_key_for_a_pinned_log_is_a_fault() {
    // Goal: a key pinned at first use is not replaced by who answers next. Method: another server with the same zone.
    let (site, other, alice) = (Site::new(), Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let impostor = other.start();
    let caught = alice.dgns(&impostor, &["resolve", "alice"]);
    assert_eq!(caught.exits(3).text("/code"), "log_key");
}

/// Lets alice claim her name and stop the server; then one record more. Returns the data from before the record.
fn old_and_one_more(site: &Site, alice: &Person, address: &str) -> dgns_tests::harness::site::Snapshot {
    let server = site.start();
    alice.up(&server, "alice");
    server.stop().exits(0);
    let old = site.snapshot();
    let server: Server = site.start();
    alice.dgns(&server, &["records", "set", "alice", "A", address]).exits(0);
    server.stop().exits(0);
    old
}

/// Asserts that a fault names its evidence, that the file shows both heads, is of this kind, and is judged so by a stranger.
fn assert_evidence(who: &Person, caught: &Ran, kind: &str) {
    let path = caught.text("/evidence");
    let kept = fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&kept);
    assert!(text.starts_with("dgns.fault@v1\nlog dgns.test/log+"), "{text}");
    let code = caught.text("/code");
    for part in [format!("kind {kind}\n"), format!("\n{code}\n"), "\npart first ".into(), "\npart second ".into()] {
        assert!(text.contains(&part), "{part} is not in the evidence: {text}");
    }
    assert!(who.evidence().iter().any(|known| known.display().to_string() == path));
    // Anyone can judge it, without a server: two heads that contradict each other convict, one that went back does not.
    let judged = Person::new().dgns_at("http://127.0.0.1:9", &["verify", &path], "");
    let convicts = matches!(kind, "same-size" | "prefix");
    assert_eq!(judged.code, Some(if convicts { 3 } else { 0 }), "{judged}");
    assert!(judged.text(if convicts { "/code" } else { "/kind" }) == kind, "{judged}");
}
