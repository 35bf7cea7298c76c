//! Letters: from one person to each device of another, past a server that reads none.

use dgns_api::envelope::Envelope;
use dgns_client::home::Home;
use dgns_tests::harness::{Person, Server, Site};
use identity::did::Did;
use identity::key::{KexSecret, SigningKey};
use identity::mail::{Letter, Recipient};
use identity::name::Origin;
use serde_json::Value;

fn letters(person: &Person, server: &Server) -> Vec<Value> {
    let said = person.dgns(server, &["inbox"]);
    said.exits(0).json()["letters"].as_array().unwrap().clone()
}

fn open(person: &Person, server: &Server, letter: &Value) -> Value {
    person.dgns(server, &["inbox", "open", letter["id"].as_str().unwrap()]).exits(0).json()
}

#[test]
fn a_letter_reaches_each_device_and_is_forgotten_by_the_server() {
    let site = Site::new();
    let server = site.start();
    let (alice, phone, bob) = (Person::new(), Person::new(), Person::new());
    let words = alice.up(&server, "alice");
    bob.up(&server, "bob");
    phone.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &words).exits(0);
    assert!(letters(&alice, &server).is_empty());

    let said = bob.dgns(&server, &["send", "alice", "--message", "Bring the key under the bridge."]);
    assert_eq!((&said.exits(0).json()["delivered"], &said.json()["signed"]), (&2.into(), &true.into()));
    bob.dgns_with_input(&server, &["send", "alice", "--anonymous"], "a secret friend").exits(0);
    server.kill();
    let server = site.start();
    for device in [&alice, &phone] {
        let listed = letters(device, &server);
        let from: Vec<_> = listed.iter().map(|letter| letter["from"]["name"].clone()).collect();
        assert_eq!((listed.len(), &from[..]), (2, &["bob.dgns.test".into(), Value::Null][..]));
        assert!(listed.iter().all(|letter| letter["new"] == true && letter["doubtful"] == false));
        let texts: Vec<_> = listed.iter().map(|letter| open(device, &server, letter)["text"].clone()).collect();
        assert_eq!(texts, ["Bring the key under the bridge.", "a secret friend"]);
        let again = letters(device, &server);
        assert!(again.len() == 2 && again.iter().all(|letter| letter["new"] == false), "kept on the device");
    }
    let device = server_keeps(&alice, &server);
    assert_eq!(device, [0x80], "the server keeps nothing that its device has");
    let doomed = letters(&alice, &server)[0]["id"].as_str().unwrap().to_owned();
    alice.dgns(&server, &["inbox", "delete", &doomed]).exits(0);
    alice.dgns(&server, &["inbox", "delete", &doomed]).exits(1);
    assert_eq!(letters(&alice, &server).len(), 1);
    assert_eq!(alice.dgns(&server, &["inbox", "delete", "--all"]).exits(0).json()["deleted"], 1);
    assert!(letters(&alice, &server).is_empty());
    server.stop();
    let held = std::fs::read(site.data().join("people.db")).unwrap();
    assert!(!held.windows(6).any(|window| window == b"bridge"));
}

/// What the server answers to this device's own request for its mail.
fn server_keeps(person: &Person, server: &Server) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let home = Home::open(person.home()).unwrap();
        let session = dgns_client::session::Session::open(&home, &server.url).await.unwrap();
        let keys = session.log().device().unwrap().unwrap();
        let signer = dgns_client::session::Signer { did: keys.did.unwrap(), keys: &keys };
        session.get_signed(signer, "/v1/envelopes?after=0").await.unwrap()
    })
}

#[test]
fn files_go_whole_and_what_cannot_be_sent_says_why() {
    let site = Site::new();
    let server = site.start();
    let (alice, bob) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    let (small, large) = (site.file("small.bin", "\u{0}x"), site.file("large.bin", &"y".repeat(3_585)));
    let (small, large) = (small.display().to_string(), large.display().to_string());
    // Bob has no name: his letters are nobody's.
    let said = bob.dgns(&server, &["send", "alice", &small]);
    assert_eq!(said.exits(0).json()["signed"], false);
    let came = letters(&alice, &server);
    assert_eq!((&came[0]["name"], &came[0]["bytes"]), (&"small.bin".into(), &2.into()));
    let out = site.data().with_file_name("out.bin").display().to_string();
    alice.dgns(&server, &["inbox", "open", came[0]["id"].as_str().unwrap(), "--out", &out]).exits(0);
    assert_eq!(std::fs::read(&out).unwrap(), b"\x00x");

    assert!(bob.dgns(&server, &["send", "alice", &large]).exits(1).text("/error").contains("dgns seal"));
    bob.dgns(&server, &["send", "alice"]).exits(1);
    bob.dgns(&server, &["send", "alice", "/no/such/file"]).exits(1);
    bob.dgns(&server, &["send", "nobody", "-m", "x"]).exits(6);
    bob.dgns(&server, &["send", "no@address", "-m", "x"]).exits(1);
    bob.dgns(&server, &["inbox"]).exits(1);
}

#[test]
fn who_wrote_is_what_the_log_says_and_not_what_the_letter_says() {
    // Goal: neither another's name nor another's letter passes. Method: letters made by hand, one signed by a stranger in bob's name, one
    // that bob wrote to somebody else, one sealed to another key.
    let site = Site::new();
    let server = site.start();
    let (alice, bob) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    bob.up(&server, "bob");
    let keys = |person: &Person| {
        let home = Home::open(person.home()).unwrap().log_of(&server.url).unwrap().unwrap();
        home.device().unwrap().unwrap()
    };
    let (alices, bobs) = (keys(&alice), keys(&bob));
    let origin = Origin::parse("dgns.test/log").unwrap();
    let to = Recipient { did: alices.did.unwrap(), sign: alices.sign.public(), kex: alices.kex.public() };
    let put = |letter: &Letter, sealed_to: &Recipient| {
        let sealed = letter.seal(sealed_to, &mut dgns_client::rng::system()).unwrap();
        let envelope = Envelope { did: to.did, device: to.sign, sealed, alias: None };
        assert_eq!(server.post("/v1/envelopes", &envelope.encode()).status, 200);
    };
    let letter = || Letter::new(b"I am bob", None, 5).unwrap();
    put(&letter().signed(&origin, &to.did, bobs.did.unwrap(), &SigningKey::from_seed(&[7; 32])), &to);
    put(&letter().signed(&origin, &Did::from_bytes([9; 20]), bobs.did.unwrap(), &bobs.sign), &to);
    put(&letter(), &Recipient { kex: KexSecret::from_bytes([8; 32]).public(), ..to });
    let said = alice.dgns(&server, &["inbox"]);
    let said = said.exits(0).json();
    assert_eq!((said["letters"].as_array().unwrap().len(), &said["unreadable"]), (1, &2.into()));
    assert_eq!((&said["letters"][0]["doubtful"], &said["letters"][0]["from"]), (&true.into(), &Value::Null));
    let shown = alice.dgns_in_text(&server, &["inbox"]);
    assert!(shown.stdout.contains("nobody's"), "{}", shown.stdout);
}

#[test]
fn a_follower_of_the_inbox_is_told_as_letters_come() {
    let site = Site::new();
    let server = site.start();
    let (alice, bob) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    bob.dgns(&server, &["send", "alice", "-m", "before"]).exits(0);
    let following = alice.dgns_running(&server.url, &["inbox", "--follow"]);
    assert_eq!(following.event()["bytes"], 6);
    bob.dgns(&server, &["send", "alice", "-m", "afterwards"]).exits(0);
    assert_eq!(following.event()["bytes"], 10);
}
