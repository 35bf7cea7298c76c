//! The client of the pages (`dgns/web/client.js`), run by node, against a real `dgnsd`: what it writes the log takes, what it proves the
//! Rust client proves too, and it follows a log whose keys change.

use std::process::Command;

use dgns_tests::harness::programs::run;
use dgns_tests::harness::{Person, Ran, Server, Site};
use dgns_tests::skip::skip;
use serde_json::{Value, json};

/// Returns whether there is no node to run pages' code; says so.
fn lacks_node() -> bool {
    let missing = Command::new("node").arg("--version").output().is_err();
    if missing {
        skip("node is not installed");
    }
    missing
}

/// A visit of `tests/js/journey.mjs`, which keeps its store in `home`.
fn visit(what: &str, server: &Server, home: &Person) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/js/journey.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(what).arg(&server.url).arg(home.home().join("store"));
    run(command, "").exits(0).json()
}

#[test]
fn pages_write_what_the_log_takes_and_prove_what_we_prove() {
    // Goal: the second implementation speaks with the first. Method: a newcomer's journey in JavaScript; the name it made, followed
    // from the genesis in Rust; its proof file, verified in Rust; and the audit of the log.
    if lacks_node() {
        return;
    }
    let (site, browser, alice) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let made = visit("newcomer", &server, &browser);
    assert_eq!((made["before"].as_str(), made["taken"].as_str()), (Some("absent"), Some("believed")), "{made}");
    assert_eq!(made["summary"], "alice.dgns.test is proved present");
    assert_eq!(made["footings"], json!(["genesis", "genesis", "genesis", "genesis"]));
    assert_eq!((&made["fresh"], &made["identity"], &made["type"]), (&json!(true), &json!(true), &json!(7)), "{made}");
    assert_eq!((&made["pending"], &made["stale"], &made["devices"]), (&json!(0), &json!("stale_prev"), &json!(2)));
    assert_eq!((&made["whole"], &made["certificates"]), (&json!("genesis"), &json!(7)), "a stranger follows all seven");
    assert_eq!((&made["offline"], &made["records"]), (&json!("present"), &json!(1)));

    let resolved = alice.dgns(&server, &["resolve", "alice", "--genesis"]);
    assert_eq!(resolved.exits(0).text("/proof/chain"), "genesis");
    assert_eq!(resolved.text("/records/0/value"), "192.0.2.7");
    let proof = browser.home().join("store.proof");
    let verified = alice.dgns(&server, &["verify", proof.to_str().expect("a path of ours")]);
    assert_eq!(verified.exits(0).text("/status"), "present");
    alice.dgns(&server, &["audit"]).exits(0);

    let codes = visit("liar", &server, &Person::new());
    let codes = codes["codes"].as_array().expect("a list");
    assert!(codes.len() >= 5 && !codes.contains(&json!("believed")), "no flipped byte is believed: {codes:?}");
}

#[test]
fn pages_follow_a_log_whose_keys_change() {
    // Goal: PROTOCOL 7.5 in a browser. Method: a key added, then the old one dropped; the name is looked up after each with what the
    // browser kept.
    if lacks_node() {
        return;
    }
    let (site, browser) = (Site::new(), Person::new());
    let server = site.start();
    let first = server.vkey().to_owned();
    visit("newcomer", &server, &browser);
    server.stop().exits(0);
    let second = rotate(&site, &[]).exits(0).text("/vkeys/1");
    let server = site.start();
    let seen = visit("return", &server, &browser);
    assert_eq!((&seen["continuity"], &seen["footing"]), (&json!("extends"), &json!("genesis")), "{seen}");
    server.stop().exits(0);
    rotate(&site, &["--drop-old", "--force"]).exits(0);
    let server = site.start();
    let seen = visit("return", &server, &browser);
    assert_eq!((&seen["vkeys"], &seen["retired"]), (&json!([second]), &json!([first])), "{seen}");
}

#[test]
fn pages_leave_it_to_a_person_when_keys_were_replaced_without_the_old_ones() {
    // Goal: whoever took the data, or lost the key, takes no browser along. Method: the log key is lost and another one made.
    if lacks_node() {
        return;
    }
    let (site, browser) = (Site::new(), Person::new());
    let server = site.start();
    visit("newcomer", &server, &browser);
    server.stop().exits(0);
    std::fs::remove_file(site.data().join("keys/log.key")).expect("the key is there");
    rotate(&site, &["--old-key-lost"]).exits(0);
    let server = site.start();
    assert_eq!(visit("return", &server, &browser)["code"], "repin");
}

/// Runs `dgnsd logconf rotate` with the operator's words.
fn rotate(site: &Site, arguments: &[&str]) -> Ran {
    let words = site.data().join("keys/operator-words");
    let fixed = ["logconf", "rotate", "--json", "--words-file", words.to_str().expect("a path of ours")];
    site.dgnsd(&[&fixed[..], arguments].concat())
}
