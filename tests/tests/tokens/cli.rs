//! The same journeys with `dgns`.

use dgns_tests::harness::{Person, Site};

#[test]
fn tokens_by_command_line() {
    let site = Site::new();
    let server = site.start();
    let (alice, bob) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    bob.up(&server, "bob");
    let leased = alice.dgns(&server, &["token", "lease", "--audience", "bob", "--scope", "photos:rw"]);
    let (token, rid) = (leased.exits(0).text("/token"), leased.text("/rid"));
    let kid = alice.dgns(&server, &["whoami"]).exits(0).text("/device/kid");
    let check = |token: &str, kid: &str| bob.dgns(&server, &["token", "check", token, "--kid", kid, "--write"]);
    let checked = check(&token, &kid);
    assert_eq!(checked.exits(0).text("/scope/0/rights"), "rw");
    assert_eq!(check(&token, "0000000000000000").exits(4).text("/code"), "token_device");
    assert_eq!(alice.dgns(&server, &["token", "check", &token, "--kid", &kid]).exits(4).text("/code"), "token_mac");
    assert_eq!(alice.dgns(&server, &["token", "list"]).exits(0).text("/tokens/0/rid"), rid);
    let refreshed = alice.dgns(&server, &["token", "refresh"]).exits(0).text("/tokens/0/token");
    check(&refreshed, &kid).exits(0);
    alice.dgns(&server, &["token", "revoke", &rid[..6]]).exits(0);
    assert_eq!(check(&refreshed, &kid).exits(4).text("/code"), "token_revoked");
    alice.dgns(&server, &["token", "revoke", &rid]).exits(1);
    alice.dgns(&server, &["token", "lease", "--audience", "nobody-there"]).exits(6);
    alice.dgns(&server, &["token", "lease", "--scope", "photos"]).exits(1);
    alice.dgns_in_text(&server, &["token", "lease"]).exits(0);
}

#[test]
fn grants_by_command_line() {
    let site = Site::new();
    let server = site.start();
    let people = [Person::new(), Person::new(), Person::new()];
    let [alice, bob, carol] = &people;
    for (person, name) in people.iter().zip(["alice", "bob", "carol"]) {
        person.up(&server, name);
    }
    let did = alice.dgns(&server, &["whoami"]).exits(0).text("/did");
    let resource = format!("{did}/photos");
    let first = alice.dgns(&server, &["grant", "bob", &resource, "--rights", "rg", "--until", "2d"]);
    let first_sid = first.exits(0).text("/sid");
    let resource = format!("{did}/photos/2026");
    let arguments = ["grant", "carol", &resource, "--rights", "r", "--until", "1d", "--by", &first_sid[..10]];
    let second = bob.dgns(&server, &arguments).exits(0).text("/grant");
    bob.dgns(&server, &["grant", "carol", &resource, "--rights", "r", "--until", "3d", "--by", &first_sid]).exits(4);
    assert_eq!(carol.dgns(&server, &["grants"]).exits(0).text("/grants/0/path"), "photos/2026");
    carol.dgns(&server, &["token", "exchange", &second, "--audience", "alice"]).exits(0);
    let wider = carol.dgns(&server, &["token", "exchange", &second, "--scope", "photos/2026:w"]);
    assert_eq!(wider.exits(4).text("/code"), "not_granted");
    alice.dgns(&server, &["token", "revoke", "--grant", &first_sid[..8]]).exits(0);
    let late = carol.dgns(&server, &["token", "exchange", &second]);
    assert_eq!(late.exits(4).text("/code"), "grant_revoked");
    assert_eq!(carol.dgns(&server, &["token", "refresh"]).exits(4).text("/code"), "token_revoked");
    alice.dgns(&server, &["grant", "bob", &did, "--until", "yesterday"]).exits(1);
    alice.dgns(&server, &["grant", "bob", &did, "--rights", "rg", "--depth", "0", "--until", "1d"]).exits(1);
}
