//! Guests as people meet them: a key that is in no log, at a host that lets it read, through a lobby that lets it in (PROTOCOL 23.17).

use std::fs;

use dgns_tests::harness::{Person, Site};
use serde_json::Value;

use crate::nodes::metric;
use crate::{NAME, Scene, text, told};

fn as_guest(scene: &Scene, person: &Person, arguments: &[&str]) -> dgns_tests::harness::programs::Ran {
    person.dgns_at(&scene.server.url, &[&["connect", NAME, "--guest"], arguments].concat(), "")
}

#[test]
fn a_guest_reads_what_guests_may_and_is_never_called_anything_else() {
    let scene = Scene::at(Site::new().with("lobby", "guests", "10"));
    fs::create_dir_all(scene.served().join("public")).unwrap();
    scene.write("public/a", b"for everybody\n");
    scene.write("private", b"for bob\n");
    let info: Value = serde_json::from_slice(&scene.server.get("/v1/info").body).unwrap();
    assert_eq!(info["lobby"]["guests"], true);
    let rules = scene.beside("rules.toml");
    let write = |text: &str| fs::write(&rules, text).unwrap();
    write("allow = [\"bob\", { who = \"guest\", paths = [\"public/\"] }]");
    let host = scene.host(&["--rules", text(&rules)]);

    // Somebody without a name, and bob who does not say who he is: both see what guests see.
    let nobody = Person::new();
    for person in [&nobody, &scene.bob] {
        let listed = as_guest(&scene, person, &[]).exits(0).json();
        let paths: Vec<_> = listed["files"].as_array().unwrap().iter().map(|file| file["path"].clone()).collect();
        assert_eq!(paths, ["public/a"]);
        let knock = told(&host, "knock");
        assert_eq!((&knock["guest"], &knock["did"], &knock["name"]), (&true.into(), &Value::Null, &Value::Null));
        assert_eq!(knock["verdict"], "let_in");
        let connected = told(&host, "connected");
        assert_eq!((&connected["guest"], &connected["did"]), (&true.into(), &Value::Null));
        assert_eq!(told(&host, "ended")["did"], Value::Null);
    }
    let out = scene.beside("a");
    as_guest(&scene, &nobody, &["--get", "public/a", "--out", text(&out)]).exits(0);
    assert_eq!(fs::read(&out).unwrap(), b"for everybody\n");
    as_guest(&scene, &nobody, &["--get", "private", "--out", text(&out)]).exits(1);
    scene.connect(&["--get", "private", "--out", text(&out)]).exits(0);
    assert_eq!(fs::read(&out).unwrap(), b"for bob\n");

    // A guest that follows a log is cut off when the rules let no guests in any more.
    let tail = nobody.dgns_running(&scene.server.url, &["connect", NAME, "--guest", "--tail", "public/a"]);
    loop {
        if told(&host, "leased")["log"] == "public/a" {
            break;
        }
    }
    write("allow = [\"bob\"]");
    assert_eq!(told(&host, "rules")["ok"], true);
    assert_eq!(told(&host, "ended")["code"], "denied");
    drop(tail);
    as_guest(&scene, &nobody, &[]).exits(2);
    scene.connect(&[]).exits(0);
    assert!(metric(&scene.server, "dgns_lobby_guests") > 0, "sessions wait for another socket for a while");
}

#[test]
fn a_lobby_lets_no_guests_in_unless_it_is_told_to_and_a_host_says_that() {
    let scene = Scene::new();
    scene.write("a", b"a");
    let host = scene.host(&["--allow", "guest"]);
    let refused = as_guest(&scene, &Person::new(), &[]);
    assert_eq!(refused.exits(4).text("/code"), "no_guests");
    let faulty =
        scene.alice.dgns(&scene.server, &["host", "--name", "db.alice", text(&scene.served()), "--write", "guest"]);
    assert!(faulty.exits(1).to_string().contains("read and no more"), "{faulty}");
    let hosted = host.interrupt();
    assert!(hosted.exits(0).to_string().contains("lets no guests in"), "{hosted}");
}
