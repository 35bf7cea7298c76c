//! Old entries in segments: nobody who reads, proves, forks, trims or moves a database notices, whenever the server dies.

use std::time::Duration;

use dgns_tests::harness::{Person, Server, Site, wait};
use dgns_tests::s3::{S3, paths_below};
use dgns_tests::skip::without_sqlite3;

use crate::moves::{Two, number};
use crate::nodes::sharing;

const NAME: &str = "photos.alice";

/// A site that packs what is a second old, and deletes what went a second later.
fn packing(site: Site) -> Site {
    site.with("storage", "pack_after_s", "1").with("storage", "chunk_grace_s", "1").with("storage", "anchor_s", "1")
}

/// So many lines of a KiB each, no two alike.
fn lines(from: u32, count: u32) -> String {
    (from..from + count).map(|number| format!("{number:06} {}\n", "x".repeat(1_000))).collect()
}

fn text(person: &Person, server: &Server, arguments: &[&str]) -> String {
    person.dgns_in_text(server, arguments).exits(0).stdout.clone()
}

fn append(person: &Person, server: &Server, records: &str) {
    person.dgns_with_input(server, &["db", "append", NAME], records).exits(0);
}

/// Waits until no entry of data is in the rows.
fn packed(site: &Site) {
    let left = "SELECT count(*) FROM entry JOIN dblog ON dblog.id = entry.log WHERE dblog.kind > 0";
    wait::until("old entries are packed", || {
        (number(site, left) == 0 && number(site, "SELECT count(*) FROM segment") > 0).then_some(())
    });
}

#[test]
fn a_database_whose_entries_are_packed_is_read_proved_forked_and_trimmed_as_before() {
    // Goal: as the title says, and after kill -9 too. Method: 2,000 records, all of them packed; every command that reads, before and after; then a fork, a
    // snapshot and a trim of what is packed, and what becomes of the objects.
    if without_sqlite3() {
        return;
    }
    let site = packing(Site::new());
    let server = site.start();
    let [alice, bob] = ["alice", "bob"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    alice.dgns(&server, &["db", "grant", NAME, "bob", "--write"]).exits(0);
    append(&alice, &server, &lines(0, 1_000));
    append(&bob, &server, &lines(1_000, 1_000));
    let all = lines(0, 2_000);
    assert_eq!(text(&alice, &server, &["db", "read", NAME]), all);
    packed(&site);
    let metrics = server.get("/metrics").text();
    assert!(!metrics.contains("dgns_store_packed_entries_total 0\n"), "{metrics}");
    assert!(metrics.contains("dgns_store_packings_failed_total 0\n"), "{metrics}");
    for person in [&alice, &bob] {
        assert_eq!(text(person, &server, &["db", "read", NAME]), all);
        person.dgns(&server, &["db", "verify", NAME]).exits(0);
    }
    server.kill();
    site.dgnsd(&["fsck", "--json"]).exits(0);

    let server = site.start();
    assert_eq!(text(&bob, &server, &["db", "read", NAME]), all, "and so does a server that read none of them yet");
    append(&bob, &server, "on");
    let all = format!("{all}on\n");
    assert_eq!(text(&alice, &server, &["db", "read", NAME]), all);
    alice.dgns(&server, &["db", "fork", NAME, "mine.alice", "--no-words"]).exits(0);
    assert_eq!(text(&alice, &server, &["db", "read", "mine.alice"]), all);
    alice.dgns(&server, &["snapshot", "build", NAME]).exits(0);
    alice.dgns(&server, &["db", "trim", NAME, "--to-snapshot"]).exits(0);
    assert_eq!(text(&bob, &server, &["snapshot", "restore", NAME]), all);
    wait::until("segments are written without what went", || {
        (number(&site, "SELECT count(*) FROM segment WHERE dead > 0") == 0).then_some(())
    });
    bob.dgns(&server, &["db", "verify", NAME]).exits(0);
    assert_eq!(text(&bob, &server, &["snapshot", "restore", NAME, "--audit"]), all);
    assert_eq!(text(&alice, &server, &["db", "read", "mine.alice"]), all, "what a fork holds stays");
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--json"]).exits(0);
}

#[test]
fn a_server_that_is_killed_while_it_packs_has_every_entry_once() {
    // Goal: nothing acknowledged is lost or doubled. Method: kill -9 again and again while records come and go into segments, a log is read whole at
    // each start.
    if without_sqlite3() {
        return;
    }
    let site = packing(Site::new());
    let mut server = site.start();
    let alice = Person::with_name(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    let mut all = String::new();
    for round in 0..6 {
        let more = lines(round * 400, 400);
        append(&alice, &server, &more);
        all += &more;
        // Some die before entries are old, some while they go, some after.
        wait::let_pass(Duration::from_millis(u64::from(round) * 450));
        server.kill();
        server = site.start();
        assert_eq!(text(&alice, &server, &["db", "read", NAME]), all, "round {round}");
    }
    packed(&site);
    assert_eq!(text(&alice, &server, &["db", "read", NAME]), all);
    alice.dgns(&server, &["db", "verify", NAME]).exits(0);
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--json"]).exits(0);

    // What nothing names goes when that is asked, once it is old.
    let left = |number: u64| site.data().join("chunks/c/ab").join(format!("{}.{number}", "cd".repeat(31)));
    std::fs::create_dir_all(site.data().join("chunks/c/ab")).unwrap();
    let before = paths_below(&site.data().join("chunks"));
    for number in [7, 8] {
        std::fs::write(left(number), b"left over").unwrap();
    }
    std::fs::File::open(left(7)).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    site.dgnsd(&["fsck"]).exits(0);
    assert!(left(7).exists(), "a check deletes nothing");
    let repaired = site.dgnsd(&["fsck", "--repair", "--json"]).exits(0).json();
    assert_eq!(repaired["deleted"], serde_json::json!([1, 9]));
    assert!(!left(7).exists() && left(8).exists(), "a new one stays");
    std::fs::remove_file(left(8)).unwrap();
    assert_eq!(paths_below(&site.data().join("chunks")), before, "and so does all that is named");

    // A byte of a segment, then all of it: a check names it.
    let named = "SELECT count(*) FROM segment WHERE hex(chunk) = '";
    let objects = paths_below(&site.data().join("chunks"));
    let is_segment = |path: &String| {
        let name = path.split('/').skip(1).collect::<String>();
        number(&site, &format!("{named}{}'", name.split('.').next().unwrap().to_uppercase())) == 1
    };
    let path = site.data().join("chunks").join(objects.iter().find(|path| is_segment(path)).expect("a segment"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let checked = site.dgnsd(&["fsck"]);
    assert!(checked.exits(3).stdout.contains("has other bytes than its id"), "{checked}");
    std::fs::remove_file(&path).unwrap();
    let checked = site.dgnsd(&["fsck"]);
    assert!(checked.exits(3).stdout.contains("has no object"), "{checked}");
}

#[test]
fn a_check_misses_and_deletes_nothing_where_rows_and_objects_lie_apart() {
    // Goal: as the title says. Method: a server that has `chunks/` is given a bucket; entries are packed into that, and an old object that nothing names lies
    // in `chunks/`.
    if without_sqlite3() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let s3 = runtime.block_on(S3::start());
    let site = packing(Site::new());
    site.start().stop().exits(0);
    assert!(site.data().join("chunks").is_dir());
    let site = sharing(site, "", &s3);
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    append(&alice, &server, &lines(0, 400));
    packed(&site);
    assert_eq!(text(&alice, &server, &["db", "read", NAME]), lines(0, 400));
    server.stop().exits(0);
    assert!(!runtime.block_on(s3.paths()).is_empty());
    site.dgnsd(&["fsck"]).exits(0);
    let left = site.data().join("chunks/c/ab").join("cd".repeat(31));
    std::fs::create_dir_all(left.parent().unwrap()).unwrap();
    std::fs::write(&left, b"left over").unwrap();
    std::fs::File::open(&left).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let repaired = site.dgnsd(&["fsck", "--repair"]);
    assert!(repaired.exits(1).stdout.contains("none is deleted"), "{repaired}");
    assert!(left.exists());
}

#[test]
fn a_database_whose_entries_are_packed_moves_with_all_it_had() {
    // Goal: entries arrive as they stood, wherever they lay; the copy is packed there in its turn. Method: 600 records, packed, then moved.
    if without_sqlite3() {
        return;
    }
    let two = Two::with(packing);
    let alice = Person::new();
    alice.up(two.from(), "alice");
    alice.dgns(two.from(), &["db", "create", NAME, "--no-words"]).exits(0);
    let all = lines(0, 600);
    append(&alice, two.from(), &all);
    packed(&two.from_site);
    two.moves(&alice, NAME);
    assert_eq!(text(&alice, two.from(), &["db", "read", NAME]), all);
    packed(&two.to_site);
    append(&alice, two.from(), "on");
    assert_eq!(text(&alice, two.from(), &["db", "read", NAME]), format!("{all}on\n"));
    alice.dgns(two.from(), &["db", "verify", NAME]).exits(0);
}
