//! A disk that forgets or a hand that helps it: `dgnsd fsck` names what is wrong, and the server does not sign over it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dgns_tests::harness::{Ran, Site, load};

use super::people::Someone;

/// A stopped site whose log has full tiles and a tail in SQL.
fn site() -> Site {
    let site = Site::new();
    let server = site.start();
    for group in (0..210_u64).collect::<Vec<_>>().chunks(7) {
        let certificates: Vec<_> = group.iter().flat_map(|number| Someone::new(*number).1).collect();
        let answer = server.post("/v1/certificates", &load::body(&certificates));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    server.stop().exits(0);
    site
}

fn fsck(site: &Site) -> Ran {
    site.dgnsd(&["fsck", "--json"])
}

/// Runs SQL in the stopped server's database.
fn sql(site: &Site, text: &str) -> String {
    let output = Command::new("sqlite3").arg(site.data().join("names.db")).arg(text).output().unwrap();
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Flips the last bit of a blob in the row that `place` finds.
fn flip_cell(site: &Site, table: &str, column: &str, place: &str) {
    let hex = sql(site, &format!("SELECT hex({column}) FROM {table} WHERE {place}"));
    let mut bytes = data_encoding::HEXUPPER.decode(hex.as_bytes()).unwrap();
    *bytes.last_mut().unwrap_or_else(|| panic!("no {column} in {table} where {place}")) ^= 1;
    sql(site, &format!("UPDATE {table} SET {column} = x'{}' WHERE {place}", data_encoding::HEXUPPER.encode(&bytes)));
}

/// Returns the file below the data directory whose path ends so.
fn file(site: &Site, end: &str) -> PathBuf {
    fn walk(at: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(site.data(), &mut found);
    let path = found.into_iter().find(|path| path.display().to_string().ends_with(end));
    path.unwrap_or_else(|| panic!("no file ends in {end}"))
}

fn clean(site: &Site) {
    let ran = fsck(site);
    ran.exits(0);
    assert_eq!(ran.json()["faults"].as_array().map(Vec::len), Some(0), "{ran}");
    assert_eq!(ran.number("/entries"), ran.number("/size"));
    site.dgnsd(&["fsck", "--json", "--deep"]).exits(0);
}

/// Damages a copy of the site, and holds fsck to what it must name; then the damage is undone.
fn named(site: &Site, what: &str, damage: impl FnOnce(&Site), names: &[&str]) {
    let before = site.snapshot();
    damage(site);
    let ran = fsck(site);
    assert_eq!(ran.code, Some(3), "{what}: {ran}");
    let faults = ran.json()["faults"].to_string();
    assert!(names.iter().any(|name| faults.contains(name)), "{what}: none of {names:?} in {faults}");
    site.restore(&before, &[]);
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn fsck_names_the_file_that_was_changed() {
    // Goal: tiles and bundles are held against the signed head. Method: one change at a time to a stopped server's files.
    let site = site();
    clean(&site);
    let (tile, bundle) = ("tile/0/000", "tile/entries/000");
    let flipped = |end, at| move |site: &Site| flip(&file(site, end), at);
    let gone = |end| move |site: &Site| fs::remove_file(file(site, end)).unwrap();
    let cut = |end| move |site: &Site| fs::write(file(site, end), [7; 100]).unwrap();
    named(&site, "a tile", flipped(tile, 100), &["tile/0/000 differs from the entries at hash 3 "]);
    named(&site, "an entry", flipped(bundle, 9_000), &["tile/0/000 differs from the entries at hash"]);
    named(&site, "the frame of a bundle", flipped(bundle, 0), &["tile/entries/000 is not a bundle"]);
    named(&site, "a missing tile", gone(tile), &["tile/0/000 is missing"]);
    named(&site, "a missing bundle", gone(bundle), &["tile/entries/000 is missing"]);
    named(&site, "a cut tile", cut(tile), &[tile]);
    named(&site, "a cut bundle", cut(bundle), &[bundle]);
    clean(&site);
}

#[test]
fn fsck_names_the_row_that_was_changed() {
    // Goal: whatever SQL keeps is held against the entries and the signed head. Method: one change at a time by `sqlite3`.
    if dgns_tests::skip::without_sqlite3() {
        return;
    }
    let site = site();
    clean(&site);
    let change = |what: &str, text: &str, names: &[&str]| named(&site, what, |site| drop(sql(site, text)), names);
    let flip = |what: &str, (table, column, place): (&str, &str, &str), names: &[&str]| {
        named(&site, what, |site| flip_cell(site, table, column, place), names);
    };

    let row = "id = (SELECT id FROM names WHERE name = 'n00005.dgns.test')";
    let label = sql(&site, &format!("SELECT lower(hex(label)) FROM labels WHERE {row}"));
    for column in ["state", "head_hash", "commitment"] {
        flip(column, ("labels", column, row), &[&label]);
    }
    change("a version", &format!("UPDATE labels SET version = version + 1 WHERE {row}"), &[&label]);
    change("flags", &format!("UPDATE labels SET flags = 256 WHERE {row}"), &[&label]);
    change("a due", &format!("UPDATE labels SET due_ms = 5 WHERE {row}"), &[&label]);
    change("a label row", &format!("DELETE FROM labels WHERE {row}"), &["table labels"]);

    let tail: u64 = sql(&site, "SELECT max(idx) - 1 FROM entries").parse().unwrap();
    let place = format!("idx = {tail}");
    change("an entry row", &format!("DELETE FROM entries WHERE {place}"), &["entries"]);
    // A signature is not replayed; the root of the batch it is in says where.
    flip("an entry", ("entries", "bytes", &place), &[&format!("to {} do not give the root", tail + 1)]);
    flip("the head's note", ("heads", "note", "id = 1"), &["the stored head is not signed"]);
    flip("the head's root", ("heads", "root", "id = 1"), &["the newest Epoch is not the head's"]);
    change("the head's size", "UPDATE heads SET size = size - 1", &["the newest Epoch is not the head's"]);
    change("an Epoch row", "DELETE FROM epochs WHERE k = 7", &["epochs"]);
    flip("the root of an Epoch", ("epochs", "root", "k = 7"), &["the root of Epoch 7 in epochs"]);
    flip("a right edge", ("edges", "hashes", "tree = 0 AND level = 1"), &["table edges"]);
    flip("a chain row", ("chain", "sid", "id = (SELECT max(id) FROM chain) AND seq = 1"), &["chain"]);
    change("a gap in a chain", "DELETE FROM chain WHERE id = (SELECT max(id) FROM chain) AND seq = 0", &["chain"]);
    flip("a key that stood", ("enrolled", "marks", "bundle = 0"), &["the keys of bundle 0 in enrolled"]);
    change("keys without their bundle", "UPDATE enrolled SET bundle = bundle + 1", &["there are marks of"]);
    let owner = "UPDATE names SET did = zeroblob(20) WHERE name = 'n00005.dgns.test'";
    change("an owner that DNS reads", owner, &["the row of n00005.dgns.test in names"]);
    let records = "UPDATE names SET records = x'00' WHERE name = 'n00005.dgns.test'";
    change("records that DNS reads", records, &["the row of n00005.dgns.test in names"]);
    clean(&site);
}

#[test]
fn fsck_finds_a_database_older_than_the_guard() {
    // Goal: a restored backup is told from the newest database. Method: the data of before, the guard of after.
    let site = Site::new();
    site.start().stop().exits(0);
    let before = site.snapshot();
    let server = site.start();
    let answer = server.post("/v1/certificates", &load::body(&Someone::new(1).1));
    assert_eq!(answer.status, 200, "{}", answer.text());
    server.stop().exits(0);
    fsck(&site).exits(0);
    site.restore(&before, &["keys/guard"]);
    let ran = fsck(&site);
    ran.exits(3);
    assert!(ran.json()["faults"].to_string().contains("guard"), "{ran}");
    site.start_in_vain().exits(3);
}
