//! Guests as people meet them: a key that is in no log, at a host that lets it read, through a lobby that lets it in (PROTOCOL 23.17).

use std::fs;

use dgns_tests::harness::{Person, Site};
use identity::key::SigningKey;
use identity::token::Rights;
use lobby::share::{Said, Shown};
use serde_json::Value;

use crate::nodes::metric;
use crate::verbs::{Speaker, WRITES, code, did_of};
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

#[test]
fn what_a_guest_shows_does_not_count_whosever_it_is() {
    // Goal: a token and a grant that open a log to bob's device open nothing to a guest, not even where the guest has that device's key.
    // Method: the same token in the hello and for a nonce, and the same grant attested, by bob and by guests.
    let scene = Scene::at(Site::new().with("lobby", "guests", "10"));
    fs::create_dir_all(scene.served().join("public")).unwrap();
    scene.write("public/a", b"for everybody\n");
    scene.write("logs/x", b"for who proves\n");
    let rules = scene.beside("rules.toml");
    let text_of_rules = r#"allow = [{ who = "guest", paths = ["public/"] }, { who = "certified", rights = "proof" }]"#;
    fs::write(&rules, text_of_rules).unwrap();
    let _host = scene.host(&["--rules", text(&rules)]);
    let did = did_of(&scene, &scene.alice);
    let granted =
        scene.alice.dgns(&scene.server, &["grant", "bob", &format!("{did}/logs"), "--rights", "rw", "--until", "1d"]);
    let grant = granted.exits(0).text("/grant");
    let envelope = data_encoding::BASE64URL_NOPAD.decode(grant.strip_prefix("dgg1.").unwrap().as_bytes()).unwrap();
    let held = scene.bob.dgns(&scene.server, &["token", "exchange", &grant, "--audience", &did, "--scope", "logs/x:r"]);
    let token = held.exits(0).text("/token");

    let mut bob = Speaker::with(&scene, &scene.bob, Some(&token)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(bob.listed(), ["logs/x"], "what the token gives; the rows of guests are not his");
    let device_key: fn(dgns_client::home::DeviceKeys) -> SigningKey = |keys| keys.sign;
    for key in [device_key, |_| SigningKey::from_seed(&[3; 32])] {
        let guest = Speaker::as_guest(&scene, &scene.bob, Some(&token), key);
        let mut guest = guest.unwrap_or_else(|error| panic!("a guest is let in: {error}"));
        assert_eq!(guest.listed(), ["public/a"]);
        assert!(matches!(guest.lease("public/a", Rights::READ, None), Said::Handle { .. }));
        assert!(matches!(guest.lease("public/a", WRITES, None), Said::NeedProof { .. }));
        for (rights, shown) in [
            (Rights::READ, Shown::Token(token.clone())),
            (Rights::READ, Shown::Grants(vec![envelope.clone()])),
            (WRITES, Shown::Grants(vec![envelope.clone()])),
        ] {
            assert_eq!(code(&guest.shows("logs/x", rights, shown)), "no_right");
        }
        let attest = envelope.clone();
        assert_eq!(code(&guest.ask(|id| Said::Attest { id, envelope: attest })), "no_right");
        assert!(matches!(guest.lease("logs/x", Rights::READ, None), Said::NeedProof { .. }));
    }
    assert_eq!(fs::read(scene.served().join("logs/x")).unwrap(), b"for who proves\n");
}
