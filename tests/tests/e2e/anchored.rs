//! Databases whose heads stand in the log of names: who puts an older copy back is caught by readers who never saw more, and by audits.

use std::path::{Path, PathBuf};
use std::process::Command;

use dgns_api::store::anchor::AnchorTree;
use dgns_tests::harness::{Person, Server, Site, wait};
use dgns_tests::postgres::Postgres;
use dgns_tests::s3::S3;
use storage::Options;
use storage::store::{DatabaseUrl, FreeQuota, Home, Store};

use crate::nodes::sharing;

const NAME: &str = "photos.alice";

fn site() -> Site {
    Site::new().with("storage", "anchor_s", "1")
}

fn append(person: &Person, server: &Server, records: &str) {
    person.dgns_with_input(server, &["db", "append", NAME], records).exits(0);
}

/// Waits until an anchor has every entry of every log; returns its number.
fn anchored(person: &Person, server: &Server) -> u64 {
    wait::until("every log is anchored", || {
        let verified = person.dgns(server, &["db", "verify", NAME]).exits(0).json();
        let logs = verified["logs"].as_array().unwrap();
        assert_eq!(logs.len(), 2, "the control log and main");
        let all = logs.iter().all(|log| log["anchored"] == log["size"] && log["entries"] == log["size"]);
        // An anchor may come between the logs.
        let newest = logs.iter().filter_map(|log| log["anchor"].as_u64()).max();
        all.then_some(newest).flatten()
    })
}

/// Copies a directory as `cp -a` does.
fn copied(from: &Path) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("copy");
    cp(from, &to);
    (directory, to)
}

fn cp(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Puts the databases of a copy of the data back, and leaves the log of names as it is.
fn put_databases_back(site: &Site, copy: &Path) {
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(site.data().join(name));
        if copy.join(name).exists() {
            cp(&copy.join(name), &site.data().join(name));
        }
    }
    std::fs::remove_dir_all(site.data().join("chunks")).unwrap();
    cp(&copy.join("chunks"), &site.data().join("chunks"));
}

#[test]
fn databases_put_back_from_yesterday_are_caught_by_who_never_saw_today_and_by_an_audit() {
    // Goal: the third promise of databases. Method: a server stopped, its data copied with `cp -a`, more appended, the databases put
    // back, started. A device that never read the database, and an auditor who never met the server, end with 3, and their evidence
    // convicts with nothing else at hand. What is in the log of names is untouched.
    let site = site();
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let (_fresh, never_read) = copied(alice.home());
    let fresh = Person::in_home(never_read);
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    append(&alice, &server, "monday");
    let monday = anchored(&alice, &server);
    let clean = Person::new().dgns(&server, &["audit"]).exits(0).json();
    assert!(clean["databases"]["anchors"].as_u64().unwrap() >= monday);
    assert_eq!(clean["databases"]["logs"], 2);
    server.stop().exits(0);
    let (_yesterday, copy) = copied(site.data());

    let server = site.start();
    append(&alice, &server, "tuesday");
    assert!(anchored(&alice, &server) > monday);
    server.stop().exits(0);
    put_databases_back(&site, &copy);
    let server = site.start();
    let mut evidence = Vec::new();
    for command in ["tail", "read", "verify"] {
        let caught = fresh.dgns(&server, &["db", command, NAME]);
        assert_eq!(caught.exits(3).text("/code"), "store_rollback", "{command}");
        evidence.push(caught.text("/evidence"));
    }
    let auditor = Person::new();
    let caught = auditor.dgns(&server, &["audit"]);
    assert_eq!(caught.exits(3).text("/code"), "store_rollback");
    evidence.push(caught.text("/evidence"));
    let refused = alice.dgns_with_input(&server, &["db", "append", NAME], "wednesday");
    assert_eq!(refused.exits(3).text("/code"), "store_rollback", "who appends opens the database first");
    assert!(server.get("/metrics").text().contains("dgns_store_rolled_back 1"));
    let stopped = "http://127.0.0.1:1".to_owned();
    server.stop().exits(0);
    for file in evidence {
        let judged = Person::new().dgns_at(&stopped, &["verify", &file], "");
        assert_eq!(judged.exits(3).text("/code"), "store", "{file}");
    }
}

#[test]
fn everything_put_back_from_yesterday_is_caught_by_who_saw_more_of_the_log_of_names() {
    // Goal: the log of names is held fast by its own means; who puts all back goes back in it. Method: the whole data directory from
    // before, guard and all; somebody who read today, and an auditor who goes on from today.
    let site = site();
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    append(&alice, &server, "monday");
    anchored(&alice, &server);
    server.stop().exits(0);
    let yesterday = site.snapshot();
    let server = site.start();
    append(&alice, &server, "tuesday");
    anchored(&alice, &server);
    let auditor = Person::new();
    auditor.dgns(&server, &["audit"]).exits(0);
    auditor.dgns(&server, &["resolve", "alice"]).exits(0);
    server.stop().exits(0);
    site.restore(&yesterday, &[]);
    let server = site.start();
    alice.dgns(&server, &["db", "tail", NAME]).exits(3);
    auditor.dgns(&server, &["audit"]).exits(3);
}

#[test]
fn an_anchor_that_a_killed_server_had_not_posted_is_posted_by_the_next() {
    // Goal: a crash at any step of an anchor is no rollback. Method: the server killed at once after each append, at ever other moments.
    let site = site();
    let mut server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    for round in 0..4 {
        append(&alice, &server, &format!("{round}"));
        wait::let_pass(std::time::Duration::from_millis(300 * round));
        server.kill();
        server = site.start();
    }
    anchored(&alice, &server);
    Person::new().dgns(&server, &["audit"]).exits(0);
    assert!(server.get("/metrics").text().contains("dgns_store_rolled_back 0"));
}

#[test]
fn what_is_said_of_databases_in_public_tells_nobody_which() {
    let site = site();
    let server = site.start();
    let (alice, bob) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    bob.up(&server, "bob");
    assert_eq!(bob.dgns(&server, &["audit"]).exits(0).json()["databases"], serde_json::Value::Null);
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    anchored(&alice, &server);
    let changes = server.get("/v1/anchors/1/changes");
    assert_eq!(changes.status, 200);
    assert_eq!(server.get("/v1/anchors/99/changes").problem_code(), "not_found");
    assert_eq!(server.get("/v1/anchors/x/changes").problem_code(), "bad_query");
    assert_eq!(server.get("/v1/anchors/stand").status, 200);
    let log = "00".repeat(32);
    assert_eq!(server.get(&format!("/v1/logs/{log}/anchor?k=1")).status, 401, "to a signed request alone");
}

#[test]
fn an_anchor_whose_commit_its_server_never_heard_of_is_posted_and_others_follow() {
    // Goal: the connection to PostgreSQL may end amid the commit of an anchor: what is there then is posted, and is in nobody's way. Method: the anchor is made in the
    // database beside the server, which is as if it had asked for it and was not told.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (database, s3) = (Postgres::shared().new_database(), runtime.block_on(S3::start()));
    let site = sharing(site(), &database, &s3);
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    append(&alice, &server, "monday");
    let monday = anchored(&alice, &server);

    let made = runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let home = Home { database: Some(DatabaseUrl(database)), bucket: Some(s3.bucket()) };
        let free = FreeQuota { bytes: 0, entries: 0, lease_ms: None };
        let store = Store::open_at(directory.path(), &home, Options::default(), free).await.unwrap();
        loop {
            append(&alice, &server, "tuesday");
            let mut tree = AnchorTree::default();
            store.anchors(u64::MAX).await.unwrap().since.iter().for_each(|changes| tree.apply(changes).unwrap());
            let grown = store.grown_logs(10).await.unwrap();
            let changes = tree.next(grown.iter().map(|log| (log.label, log.size, log.root)));
            // The server may have been faster.
            if !grown.is_empty() && store.put_anchor(&changes, &grown).await.is_ok() {
                store.close().await.unwrap();
                return changes.anchor.k;
            }
        }
    });
    assert!(made > monday && anchored(&alice, &server) >= made);
    append(&alice, &server, "wednesday");
    assert!(anchored(&alice, &server) > made);
    server.stop().exits(0);
}
