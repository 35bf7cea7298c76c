//! Who is let in: rules, their file, silence.

use std::fs;
use std::sync::{Arc, Mutex};

use dgns_tests::harness::Person;
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::serve::{Told, serve};
use serde_json::Value;

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
    scene.connect(&["--tail", "logs/private"]).exits(4);
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

/// What a hook says next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Yes,
    Part,
    No,
    Fails,
    Silent,
}

/// A program of the host's owner: it says what it is told to, and keeps what it was asked.
struct HookProgram {
    url: String,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl HookProgram {
    fn new() -> Self {
        let says = Arc::new(Mutex::new(Says::Yes));
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (saying, asking) = (says.clone(), asked.clone());
        let url = serve(move |request| {
            let body = request.bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| &request.bytes[at + 4..]);
            asking.lock().unwrap().push(serde_json::from_slice(body.unwrap()).unwrap());
            let (status, body) = match *saying.lock().unwrap() {
                Says::Yes => (200, r#"{"allow":true,"ttl_s":0}"#),
                Says::Part => (200, r#"{"allow":true,"paths":["public"],"ttl_s":0}"#),
                Says::No => (200, r#"{"allow":false,"ttl_s":0}"#),
                Says::Fails => (500, r#"{"allow":true}"#),
                Says::Silent => return Told::Never,
            };
            Told::Answer(Answer { status, headers: vec![], body: body.into() })
        });
        Self { url: format!("{url}/knock"), says, asked }
    }

    fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[test]
fn a_hook_is_asked_about_whoever_no_row_is_about_and_only_a_clear_yes_lets_in() {
    let scene = Scene::new();
    scene.write("public", b"p\n");
    scene.write("logs/private", b"x\n");
    let hook = HookProgram::new();
    let offline = scene.connect(&[]).exits(2).json();
    let host = scene.host(&["--hook", &hook.url]);
    scene.connect(&[]).exits(0);
    let asked = hook.asked.lock().unwrap()[0].clone();
    assert_eq!((asked["v"].as_u64(), asked["name"].as_str()), (Some(1), Some(NAME)));
    assert_eq!(asked["names"][0], "bob.dgns.test");
    assert_eq!(asked["did"], scene.bob.dgns(&scene.server, &["whoami"]).exits(0).text("/did"));
    let before = hook.asked();
    scene.alice.dgns(&scene.server, &["connect", NAME]).exits(0);
    assert_eq!(hook.asked(), before, "the owner is let in by a row");

    // Six knocks a minute are let through: each of these counts.
    hook.says(Says::Part);
    let listed = scene.connect(&[]).exits(0).json();
    assert_eq!(listed["files"].as_array().unwrap().len(), 1);
    assert_eq!(listed["files"][0]["path"], "public");
    for says in [Says::No, Says::Fails, Says::Silent] {
        hook.says(says);
        assert_eq!(scene.connect(&[]).exits(2).json(), offline, "{says:?} looks like nobody");
    }
    drop(host);
}

#[test]
fn whom_a_hook_lets_in_no_longer_is_cut_off() {
    let scene = Scene::new();
    scene.write("logs/x", b"first\n");
    let hook = HookProgram::new();
    let _host = scene.host(&["--hook", &hook.url]);
    let tail = scene.bob.dgns_running(&scene.server.url, &["connect", NAME, "--tail", "logs/x"]);
    assert_eq!(tail.event()["line"], "first");
    hook.says(Says::No);
    assert_eq!(tail.ended().exits(4).text("/code"), "denied");
}

#[test]
fn groups_are_changed_in_the_file_while_the_host_runs() {
    let scene = Scene::new();
    scene.write("a", b"a");
    let rules = scene.beside("rules.toml");
    fs::write(&rules, "allow = [\"group:friends\"]\n[groups]\nfriends = [\"carol\"]\n").unwrap();
    Person::new().up(&scene.server, "carol");
    let host = scene.host(&["--rules", text(&rules)]);
    scene.connect(&[]).exits(2);
    fs::write(&rules, "allow = [\"group:friends\"]\n[groups]\nfriends = [\"carol\", \"bob\"]\n").unwrap();
    assert_eq!(told(&host, "rules")["ok"], true);
    scene.connect(&[]).exits(0);
}
