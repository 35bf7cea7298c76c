//! Who is let in: rules, their file, silence.

use std::fs;

use dgns_tests::harness::Person;

use crate::{NAME, Scene, text, told};

#[test]
fn silence_looks_like_nobody_and_an_answer_is_signed() {
    let scene = Scene::new();
    scene.write("a", b"a");
    let offline = scene.connect(&[]).exits(2).json();
    let rules = scene.beside("rules.toml");
    // The lobby lets everybody knock: it is the host that decides.
    fs::write(&rules, "allow = [\"device:0011223344556677\"]").unwrap();
    let host = scene.host(&["--rules", text(&rules)]);
    let silent = scene.connect(&[]).exits(2).json();
    assert_eq!(silent, offline, "nobody can tell a silent host from none");
    assert_eq!(told(&host, "knock")["verdict"], "denied");
    fs::write(&rules, "allow = [\"device:0011223344556677\"]\nrefuse = \"answer\"").unwrap();
    assert_eq!(told(&host, "rules")["ok"], true);
    let refused = scene.connect(&[]);
    assert_eq!(refused.exits(4).text("/code"), "denied");
    host.interrupt().exits(0);
}

#[test]
fn rules_are_read_again_and_whoever_they_leave_out_is_cut_off() {
    let scene = Scene::new();
    scene.write("public", b"p\n");
    scene.write("logs/private", b"x\n");
    let rules = scene.beside("rules.toml");
    fs::write(&rules, "allow = [{ who = \"bob\", paths = [\"public\"] }]").unwrap();
    let host = scene.host(&["--rules", text(&rules)]);
    let listed = scene.connect(&[]).exits(0).json();
    assert_eq!(listed["files"].as_array().unwrap().len(), 1, "what is not for bob is not there");
    scene.connect(&["--get", "logs/private", "--out", text(&scene.beside("x"))]).exits(1);
    scene.connect(&["--tail", "logs/private"]).exits(1);
    let tail = scene.bob.dgns_running(&scene.server.url, &["connect", NAME, "--tail", "public"]);
    assert_eq!(tail.event()["line"], "p");
    fs::write(&rules, "allow = [\"bob\"").unwrap();
    assert_eq!(told(&host, "rules")["ok"], false, "a faulty file keeps the rules before");
    scene.connect(&[]).exits(0);
    fs::write(&rules, "deny = [\"bob\"]").unwrap();
    assert_eq!(told(&host, "rules")["ok"], true);
    assert_eq!(tail.ended().exits(4).text("/code"), "denied");
    scene.connect(&[]).exits(2);
}

#[test]
fn a_name_means_whoever_has_it_and_certified_everybody() {
    let scene = Scene::new();
    scene.write("a", b"a");
    let carol = Person::new();
    carol.up(&scene.server, "carol");
    let host = scene.host(&["--allow", "carol"]);
    carol.dgns(&scene.server, &["connect", NAME]).exits(0);
    scene.alice.dgns(&scene.server, &["connect", NAME]).exits(0);
    scene.connect(&[]).exits(2);
    host.interrupt().exits(0);
    let _host = scene.host(&["--allow", "certified"]);
    scene.connect(&[]).exits(0);
}
