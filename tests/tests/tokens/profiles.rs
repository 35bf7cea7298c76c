//! Sign-up and claim by number, and what a person keeps for its own devices.

use dgns_tests::harness::http;
use dgns_tests::harness::load::{Somebody, body};
use identity::wire::{Reader, Writer};

use super::asking::{Scene, refused};

fn change(version: u64, set: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(2).uint(1).uint(version).uint(2).array(set.len());
    for (key, value) in set {
        writer.array(2).text(key);
        match value {
            Some(value) => writer.bytes(value),
            None => writer.null(),
        };
    }
    writer.finish()
}

#[test]
fn a_sign_up_and_a_claim_are_answered_with_numbers_that_find_them() {
    let mut scene = Scene::new();
    let (_, certificates) = Somebody::new("alice", 1);
    let json = [("accept", "application/json")];
    let answer = http::request(scene.server.http, "POST", "/v1/signup", &json, &body(&certificates)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (id, uid) = (answer.json()["id"].as_u64().unwrap(), answer.json()["uid"].as_u64().unwrap());
    assert_eq!(id, uid + 1);
    assert_eq!(scene.server.get(&format!("/v1/ids/{uid}")).status, 200);
    let mut bob = scene.somebody("bob");
    let nonce = identity::pow::solve("bob2.dgns.test", &bob.did, 1, 0, |_| {});
    let proof = identity::cert::ClaimProof::Open { nonce, bits: 1 };
    let claim = bob.says(dgns_client::draft::claim("bob2.dgns.test", proof));
    let answer = scene.server.post("/v1/claim", &body(std::slice::from_ref(&claim)));
    let mut reader = Reader::new(&answer.body);
    let id = reader.fields().unwrap().required(1, Reader::uint).unwrap();
    assert_eq!(scene.server.get(&format!("/v1/ids/{id}")).status, 200);
    refused(&scene.server.post("/v1/claim", &body(&certificates)), 400, "bad_post");
    refused(&scene.server.post("/v1/signup", &body(std::slice::from_ref(&claim))), 400, "bad_post");
    refused(&scene.server.post("/v1/signup", &[0xff]), 400, "bad_post");
    refused(&scene.server.post("/v1/signup", &body(&Somebody::new("alice", 1).1)), 409, "name_taken");
}

#[test]
fn a_profile_changes_by_version_and_lies_in_the_database_unreadably() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.somebody("alice"), scene.somebody("bob"));
    let patch = |body: &[u8]| scene.signed(&alice.did, &alice.device.sign, "PATCH", "/v1/profile", body);
    let read = |answer: &http::Answer| -> (bool, u64, u64) {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut reader = Reader::new(&answer.body);
        let mut fields = reader.fields().unwrap();
        let ok = fields.required(1, Reader::bool).unwrap();
        let version = fields.required(2, Reader::uint).unwrap();
        (ok, version, fields.optional(3, Reader::array).unwrap().unwrap_or(0))
    };
    let name = b"Alice of the long and unlikely surname".as_slice();
    assert_eq!(read(&patch(&change(0, &[("name", Some(name)), ("colour", Some(b"blue"))]))), (true, 1, 1));
    assert_eq!(read(&patch(&change(0, &[("name", None)]))), (false, 1, 0), "of another version: nothing changed");
    assert_eq!(read(&patch(&change(1, &[("locale", Some(b"is"))]))), (true, 2, 0));
    let own = scene.signed(&alice.did, &alice.device.sign, "GET", "/v1/profile", b"");
    assert!(own.body.windows(name.len()).any(|window| window == name));
    let others = scene.signed(&bob.did, &bob.device.sign, "GET", "/v1/profile", b"");
    assert_eq!(others.body, [0xa2, 1, 0, 2, 0x80]);
    refused(&patch(&change(2, &[("name", Some(&[0; 1_025]))])), 400, "bad_field");
    refused(&patch(&[0xa0]), 400, "bad_field");
    refused(&scene.server.get("/v1/profile"), 401, "bad_authorization");
    let data = scene.site.data().to_owned();
    scene.server.stop().exits(0);
    for file in ["people.db", "people.db-wal"] {
        let bytes = std::fs::read(data.join(file)).unwrap_or_default();
        assert!(!bytes.windows(name.len()).any(|window| window == name), "{file}");
    }
}
