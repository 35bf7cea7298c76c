//! A person under a quorum of witnesses: writes end witnessed, lookups without the quorum's recent word end with 3.

use std::path::{Path, PathBuf};

use dgns_tests::harness::party::{Manner, Party};
use dgns_tests::harness::{Person, Server, Site, wait};

/// A server that announces to these witnesses, and the policy file of its clients.
fn start(party: &Party, at: &Person) -> (Site, Server, PathBuf) {
    let path = format!("{:?}", party.policy_file().display().to_string());
    let site = Site::new().with("witnesses", "policy", &path).with("witnesses", "announce_ms", "20");
    let server = site.start();
    party.witnesses.iter().for_each(|witness| witness.watches(server.vkey()));
    let file = at.home().join("policy-file");
    std::fs::write(&file, format!("log {}\n{}", server.vkey(), party.policy())).unwrap();
    (site, server, file)
}

/// Meets the log under the policy once its first head has the quorum.
fn meet(person: &Person, server: &Server, policy: &Path) {
    wait::until("the first head is witnessed", || {
        let met = person.dgns(server, &["--policy", policy.to_str().unwrap(), "trust", "add"]);
        (met.code == Some(0)).then_some(())
    });
}

#[test]
fn what_a_person_writes_ends_with_a_witnessed_proof() {
    // Goal: under a quorum each command ends with a proof that the witnesses signed, the first included. Method: a new home with
    // --policy, then without: the policy is kept; one witness of three away changes nothing.
    let (party, alice) = (Party::new(3, 2), Person::new());
    let (_site, server, policy) = start(&party, &alice);
    meet(&alice, &server, &policy);
    let up = alice.dgns(&server, &["up", "alice"]);
    assert_eq!(up.exits(0).json()["proof"]["witnessed"], true, "{up}");
    party.witnesses[1].turns(Manner::Dead);
    for arguments in [&["records", "set", "alice", "A", "192.0.2.1"][..], &["claim", "db.alice"], &["resolve", "alice"]]
    {
        let ran = alice.dgns(&server, arguments);
        assert_eq!(ran.exits(0).json()["proof"]["witnessed"], true, "{ran}");
    }
    let shown = alice.dgns_in_text(&server, &["resolve", "alice"]);
    assert!(shown.exits(0).stdout.contains("cosigned by a quorum"), "{shown}");
    alice.dgns(&server, &["audit"]).exits(0);
}

#[test]
fn a_checkpoint_behind_the_newest_head_is_no_rollback_to_who_asks_for_no_witness() {
    // Goal: an honest log is not accused. Method: its witnesses are away, so its checkpoint stays; bob, who asks for no witness,
    // writes, knows a larger head than the checkpoint, and audits.
    let (party, alice, bob) = (Party::new(3, 2), Person::new(), Person::new());
    let (_site, server, policy) = start(&party, &alice);
    meet(&alice, &server, &policy);
    party.witnesses.iter().for_each(|witness| witness.turns(Manner::Dead));
    let none = bob.home().join("policy-file");
    std::fs::write(&none, format!("log {}\nquorum none\n", server.vkey())).unwrap();
    let none = none.to_str().unwrap();
    bob.dgns(&server, &["--policy", none, "up", "bob"]).exits(0);
    let audited = bob.dgns(&server, &["--policy", none, "audit"]);
    let resolved = bob.dgns(&server, &["--policy", none, "resolve", "bob"]);
    assert_eq!(audited.exits(0).json()["size"], resolved.exits(0).json()["proof"]["size"], "{audited}");
}

#[test]
fn a_quorum_that_grew_old_is_exit_3() {
    // Goal: when the witnesses are gone, a client says so and never succeeds in silence. Method: two of three die; a client that
    // takes heads of up to one second is refused, one that takes 300 is served the last witnessed head.
    let (party, alice, bob) = (Party::new(3, 2), Person::new(), Person::new());
    let (_site, server, policy) = start(&party, &alice);
    for person in [&alice, &bob] {
        meet(person, &server, &policy);
    }
    alice.dgns(&server, &["up", "alice"]).exits(0);
    party.witnesses[..2].iter().for_each(|witness| witness.turns(Manner::Dead));
    wait::until("the last quorum is older than a second", || {
        let strict = alice.dgns(&server, &["trust", "add", "--max-head-age-s", "1"]);
        (strict.code == Some(3)).then(|| assert_eq!(strict.text("/code"), "stale_head"))
    });
    assert_eq!(alice.dgns(&server, &["resolve", "alice"]).exits(3).text("/code"), "stale_head");
    assert_eq!(alice.dgns(&server, &["monitor", "alice"]).exits(3).text("/code"), "stale_head");
    bob.dgns(&server, &["resolve", "alice"]).exits(0);
    party.witnesses[0].turns(Manner::Honest);
    alice.dgns(&server, &["trust", "add", "--max-head-age-s", "300"]).exits(0);
    wait::until("the log goes on", || {
        let ran = alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]);
        (ran.code == Some(0)).then_some(())
    });
}

#[test]
fn a_watch_under_a_quorum_is_woken_by_the_witnessed_head() {
    // Goal: the stream tells what lookups show, which is the witnessed head. Method: no look but those the stream asks for.
    let (party, alice) = (Party::new(3, 2), Person::new());
    let (_site, server, policy) = start(&party, &alice);
    meet(&alice, &server, &policy);
    alice.dgns(&server, &["up", "alice"]).exits(0);
    let watching = alice.dgns_running(&server.url, &["monitor", "alice", "--follow", "--interval", "86400"]);
    assert_eq!(watching.event()["event"], "now");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let event = watching.event();
    assert_eq!((&event["event"], &event["by"]), (&"changed".into(), &"own".into()), "{event}");
    watching.interrupt().exits(0);
}
