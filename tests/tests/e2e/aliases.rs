//! People looked for by an address that nobody is told.

use dgns_tests::harness::{Person, Site};

#[test]
fn an_address_nobody_has_is_proved_absent_and_told_to_nobody() {
    // Goal: `find` ends in a proof of absence, and the server's log and data hold nothing of the address. Method: the real programs,
    // then every file of the server searched for both parts of the address.
    let site = Site::new().with("aliases", "evaluate", "true").with("limits", "evaluations_per_hour_and_address", "3");
    let (server, alice) = (site.start(), Person::new());
    for address in ["Nobody.Atall@Example.test", "somebody@else.example"] {
        let said = alice.dgns(&server, &["find", address]);
        let said = said.exits(6).json();
        assert_eq!((&said["ok"], &said["status"]), (&false.into(), &"absent".into()));
        assert_eq!(said["attested"].as_array().map(Vec::len), Some(0));
    }
    alice.dgns(&server, &["find", "no address"]).exits(1);

    assert_eq!(server.post("/v1/alias/evaluate", b"nobody.atall@example.test").problem_code(), "bad_post");
    let identity_point = dgns_api::evaluate::encode_question(&[[0; 32]]);
    assert_eq!(server.post("/v1/alias/evaluate", &identity_point).problem_code(), "bad_post");
    assert_eq!(server.post("/v1/alias/evaluate", &identity_point).problem_code(), "rate");
    server.stop();
    for word in ["nobody.atall", "somebody@else", "else.example"] {
        let held = files_below(site.data()).into_iter().chain([site.log()]);
        for file in held {
            let bytes = std::fs::read(&file).unwrap().to_ascii_lowercase();
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word} stands in {}", file.display());
        }
    }
}

#[test]
fn the_alias_key_is_certified_once() {
    let site = Site::new().with("aliases", "evaluate", "true");
    let alice = Person::new();
    let size = |server: &dgns_tests::harness::Server| server.get("/v1/log/status").json()["size"].as_u64().unwrap();
    let server = site.start();
    let before = size(&server);
    alice.dgns(&server, &["find", "nobody@example.test"]).exits(6);
    server.stop();
    let server = site.start();
    assert!(size(&server) <= before + 1, "at most an Epoch more: the key is in the log already");
    alice.dgns(&server, &["find", "nobody@example.test"]).exits(6);
}

fn files_below(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
