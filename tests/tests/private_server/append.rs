//! Lines added to a log from elsewhere: seen at once, there once whatever is killed, and followed to where the log is.

use std::fs;

use dgns_tests::harness::wait;

use crate::{NAME, Scene, text, told};

/// Numbered lines.
fn lines(from: u64, count: u64) -> String {
    (from..from + count).map(|number| format!("line {number}\n")).collect()
}

#[test]
fn a_line_is_seen_by_whoever_follows_and_a_file_is_added_whole() {
    let scene = Scene::new();
    let _host = scene.host(&["--write", "bob", "--write", "owner"]);
    let input = "one\n\nlast";
    let added = scene.bob.dgns_at(&scene.server.url, &["connect", NAME, "--append", "logs/x"], input).exits(0).json();
    assert_eq!((added["lines"].as_u64(), added["receipt"]["size"].as_u64()), (Some(3), Some(10)));
    let tail = scene.alice.dgns_running(&scene.server.url, &["connect", NAME, "--tail", "logs/x"]);
    for expected in ["one", "", "last"] {
        assert_eq!(tail.event()["line"], expected);
    }
    let mut typing = scene.bob.dgns_running(&scene.server.url, &["connect", NAME, "--append", "logs/x"]);
    for line in ["typed", "and more"] {
        typing.types(line);
        assert_eq!(tail.event()["line"], line, "it is there before the next one is typed");
    }
    let file = scene.beside("lines");
    fs::write(&file, lines(0, 2_000)).unwrap();
    let ran = scene.alice.dgns(&scene.server, &["connect", NAME, "--append", "logs/x", "--file", text(&file)]);
    assert_eq!(ran.exits(0).json()["lines"], 2_000);
    let whole = fs::read_to_string(scene.served().join("logs/x")).unwrap();
    assert_eq!(whole, format!("one\n\nlast\ntyped\nand more\n{}", lines(0, 2_000)));
    let listed = scene.connect(&[]).exits(0).json();
    assert_eq!(listed["files"].as_array().unwrap().len(), 1, "the journal is nobody's to see");
    let head = identity::hash::sha256(&[whole.as_bytes()]);
    assert_eq!(ran.text("/receipt/head"), data_encoding::HEXLOWER.encode(&head));
    let long = format!("ok\n{}\n", "x".repeat(20_000));
    let refused = scene.bob.dgns_at(&scene.server.url, &["connect", NAME, "--append", "logs/y"], &long);
    assert!(refused.exits(1).text("/error").contains("at most"));
    scene.connect(&["--append", "../x"]).exits(1);
    scene.connect(&["--append", "logs/x", "--file", "/nowhere"]).exits(1);
}

#[test]
fn whoever_is_killed_each_line_is_there_once() {
    // Goal: nothing acknowledged is lost, nothing doubled. Method: bob adds a file; its host is killed twice, and he himself once, as
    // power cuts would, each time after more lines came; the same command goes on.
    let scene = Scene::new();
    let count = 20_000;
    let file = scene.beside("lines");
    fs::write(&file, lines(0, count)).unwrap();
    let log = scene.served().join("logs/x");
    let there = || fs::metadata(&log).map_or(0, |metadata| metadata.len());
    let grows = |from: u64| wait::until("lines come", || (there() > from).then_some(()));
    let arguments = ["connect", NAME, "--append", "logs/x", "--file", text(&file)];
    let mut host = scene.host(&["--write", "bob"]);
    let mut bob = scene.bob.dgns_running(&scene.server.url, &arguments);
    for killed in ["host", "bob", "host"] {
        grows(there() + 5_000);
        if killed == "bob" {
            bob.kill();
            bob = scene.bob.dgns_running(&scene.server.url, &arguments);
        } else {
            host.kill();
            host = scene.host(&["--write", "bob"]);
        }
    }
    let ended = bob.ended();
    let added = ended.exits(0).json();
    assert_eq!(added["lines"].as_u64().unwrap() + added["lines_before"].as_u64().unwrap(), count);
    assert!(fs::read_to_string(&log).unwrap() == lines(0, count), "each line once, in order");
    let again =
        scene.bob.dgns_at(&scene.server.url, &["connect", NAME, "--append", "logs/x"], "more\n").exits(0).json();
    assert_eq!(again["receipt"]["lsn"].as_u64(), Some(count + 1));
}

#[test]
fn a_log_that_is_elsewhere_is_followed_there_and_not_in_circles() {
    let scene = Scene::new();
    scene.alice.dgns(&scene.server, &["claim", "archive.alice"]).exits(0);
    let archive = scene.beside("archive");
    fs::create_dir_all(archive.join("logs")).unwrap();
    fs::write(archive.join("logs/old"), "old\n").unwrap();
    let rules = scene.beside("rules.toml");
    let far = "[redirect]\n\"logs/old\" = \"archive.alice\"\n\"logs/far\" = \"https://far.example/\"\n\"round\" = \"archive.alice\"";
    fs::write(&rules, format!("allow = [{{ who = \"bob\", rights = \"rw\" }}]\n{far}")).unwrap();
    let _host = scene.host(&["--rules", text(&rules)]);
    let back = scene.beside("back.toml");
    fs::write(&back, "allow = [{ who = \"bob\", rights = \"rw\" }]\n[redirect]\nround = \"db.alice\"").unwrap();
    let arguments = ["host", "--name", "archive.alice", text(&archive), "--rules", text(&back)];
    let other = scene.alice.dgns_running(&scene.server.url, &arguments);
    told(&other, "online");
    let added =
        scene.bob.dgns_at(&scene.server.url, &["connect", NAME, "--append", "logs/old"], "new\n").exits(0).json();
    assert_eq!(added["name"], "archive.alice.dgns.test");
    let tail = scene.bob.dgns_running(&scene.server.url, &["connect", NAME, "--tail", "logs/old"]);
    assert_eq!((tail.event()["line"].clone(), tail.event()["line"].clone()), ("old".into(), "new".into()));
    drop(tail);
    assert!(scene.connect(&["--tail", "logs/far"]).exits(1).text("/error").contains("https://far.example/"));
    assert!(scene.connect(&["--tail", "round"]).exits(1).text("/error").contains("more than 4 hosts"));
}
