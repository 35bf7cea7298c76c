//! What a host serves: listed, fetched, gone on with, followed.

use std::fs;
use std::io::Write as _;

use crate::{NAME, Scene, bytes, text, told};

#[test]
fn a_file_comes_whole_from_the_host_to_whom_it_lets_in() {
    let scene = Scene::new();
    let content = bytes(1, 300_001);
    scene.write("big.bin", &content);
    scene.write("empty", b"");
    scene.write(".hidden", b"no");
    let host = scene.host(&["--allow", "bob"]);
    let listed = scene.connect(&[]).exits(0).json();
    let paths: Vec<_> = listed["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!((paths, listed["name"].as_str()), (vec!["big.bin", "empty"], Some(NAME)));
    let knock = told(&host, "knock");
    assert_eq!((knock["verdict"].as_str(), knock["name"].as_str()), (Some("let_in"), Some("bob.dgns.test")));
    for (path, expected) in [("big.bin", content.as_slice()), ("empty", b"")] {
        let out = scene.beside(path);
        let got = scene.connect(&["--get", path, "--out", text(&out)]).exits(0).json();
        assert_eq!((got["size"].as_u64(), got["kept"].as_u64()), (Some(expected.len() as u64), Some(0)));
        assert_eq!(fs::read(&out).unwrap(), expected, "{path}");
    }
    scene.connect(&["--get", ".hidden", "--out", text(&scene.beside("h"))]).exits(1);
    scene.connect(&["--get", "../secret", "--out", text(&scene.beside("s"))]).exits(1);
    assert!(!scene.beside("h").exists() && !scene.beside("s").exists());
    host.interrupt().exits(0);
    assert!(scene.connect(&[]).exits(2).stdout.contains("does not answer"), "it is offline");
}

#[test]
fn what_an_attempt_before_left_is_checked_and_used() {
    // Goal: only what is right is kept, and only what is missing comes. Method: beside the file lies one with a damaged chunk and
    // without its end.
    let scene = Scene::new();
    let content = bytes(2, 5 * 65_536 + 17);
    scene.write("f.bin", &content);
    let _host = scene.host(&["--allow", "bob"]);
    let (out, part) = (scene.beside("f.bin"), scene.beside("f.bin.part"));
    let mut before = content[..3 * 65_536].to_vec();
    before[65_536 + 5] ^= 1;
    fs::write(&part, &before).unwrap();
    let got = scene.connect(&["--get", "f.bin", "--out", text(&out)]).exits(0).json();
    assert_eq!(got["kept"].as_u64(), Some(2 * 65_536), "two of three chunks were right");
    assert_eq!(fs::read(&out).unwrap(), content);
    assert!(!part.exists());
}

#[test]
fn a_log_is_followed_as_it_grows() {
    let scene = Scene::new();
    scene.write("logs/today.log", b"one\ntwo\n");
    let _host = scene.host(&["--allow", "bob"]);
    let tail = scene.bob.dgns_running(&scene.server.url, &["connect", NAME, "--tail", "logs/today.log", "--from", "4"]);
    assert_eq!((tail.event()["line"].as_str()), Some("two"));
    let mut log = fs::OpenOptions::new().append(true).open(scene.served().join("logs/today.log")).unwrap();
    log.write_all(b"three\nfo").unwrap();
    let event = tail.event();
    assert_eq!((event["line"].as_str(), event["offset"].as_u64()), (Some("three"), Some(8)));
    log.write_all(b"ur\n").unwrap();
    let event = tail.event();
    assert_eq!((event["line"].as_str(), event["offset"].as_u64()), (Some("four"), Some(14)));
    tail.interrupt().exits(0);
}

#[test]
fn a_name_is_hosted_by_its_owner_alone() {
    let scene = Scene::new();
    let host = |name: &str| {
        let ran = scene.bob.dgns(&scene.server, &["host", "--name", name, text(&scene.served())]);
        ran.exits(1).text("/error")
    };
    assert!(host("db.alice").contains("belongs to did:dgns:"));
    assert!(host("db.bob").contains("dgns claim db.bob"), "what to do is said");
    scene.connect(&[]).exits(2);
    scene.bob.dgns(&scene.server, &["connect", "nobody"]).exits(6);
}
