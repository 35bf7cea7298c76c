//! Who must not become a device: the 33rd, one whose keys the relay put in another's place, one let in by a suspended device; and
//! boxes that do not fit their certificate.

use std::fs;
use std::sync::Mutex;

use data_encoding::HEXLOWER;
use dgns_api::post;
use dgns_client::home::DeviceKeys;
use dgns_tests::harness::http::{self, Answer};
use dgns_tests::harness::journey::{digits, told, watching};
use dgns_tests::harness::load::{Poster, Somebody, body, origin};
use dgns_tests::harness::serve::{Request, Told, serve};
use dgns_tests::harness::{Person, Site};
use identity::cert::{Body, Certificate, Device, Level, UserKey};
use identity::key::{KexSecret, SigningKey};
use identity::limits::DEVICES_MAX;
use identity::pair::{self, Message, SessionId};
use identity::user_key::{Boxes, UserSeed};

/// A device with keys made of a number.
fn numbered(number: u8, level: Level) -> (Device, SigningKey) {
    let sign = SigningKey::from_seed(&[number; 32]);
    let kex = KexSecret::from_bytes([number; 32]).public();
    (Device { sign: sign.public(), kex, level, label_hash: [number; 32] }, sign)
}

/// Somebody's next certificate, that adds a device.
fn adds(somebody: &mut Somebody, number: u8) -> Certificate {
    let (device, key) = numbered(number, Level::Member);
    let place = somebody.next;
    let keys = [&somebody.device.sign, &key];
    let certificate = place.sign(Body::DeviceAdd(device), None, &origin(), &keys).unwrap();
    somebody.next = place.next(&certificate);
    certificate
}

/// A home of `dgns` with somebody's device keys.
fn home_of(device: &DeviceKeys) -> Person {
    let person = Person::new();
    let directory = person.home().join("dgns.test");
    fs::create_dir_all(&directory).unwrap();
    let file = serde_json::json!({
        "did": device.did.map(|did| did.to_string()),
        "sign": HEXLOWER.encode(&*device.sign.seed()),
        "kex": HEXLOWER.encode(&*device.kex.to_bytes()),
    });
    let path = directory.join("device.json");
    fs::write(&path, file.to_string()).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    person
}

#[test]
fn the_33rd_device_is_refused_by_the_log_and_told_so_by_the_old_one() {
    // Goal: nobody fills a DID beyond its state, on no road. Method: 32 devices; one more is posted straight, asks by digits, and
    // comes with a secret.
    let site = Site::new();
    let server = site.start();
    let (mut alice, certificates) = Somebody::new("alice", 1);
    let mut poster = Poster::new(server.vkey());
    poster.post(server.http, &certificates, &alice.subject()).unwrap();
    let rest: Vec<_> = (1..DEVICES_MAX).map(|number| adds(&mut alice, u8::try_from(number).unwrap())).collect();
    for posted in rest.chunks(16) {
        poster.post(server.http, posted, &identity::state::Subject::Did(alice.did)).unwrap();
    }
    let one_more = adds(&mut alice, 99);
    let answer = server.post("/v1/certificates", &body(&[one_more]));
    assert_eq!((answer.status, answer.problem_code().as_str()), (422, "too_many"));

    let old = home_of(&alice.device);
    let listed = old.dgns(&server, &["devices", "list"]).exits(0).json();
    assert_eq!(listed["devices"].as_array().map(Vec::len), Some(DEVICES_MAX));
    let watch = watching(&old, &server);
    let join = Person::new().dgns_running(&server.url, &["join", "alice"]);
    assert_eq!(join.ended().exits(4).text("/code"), "too_many");
    assert_eq!(told(&watch, "pair")["refused"], "too_many");
    watch.ended().exits(0);
    let pairing = old.dgns_running(&server.url, &["pair", "--words"]);
    let words = pairing.note(|line| Some(line.trim().strip_prefix("dgns join ")?.to_owned()));
    let join: Vec<&str> = ["join"].into_iter().chain(words.split(' ')).collect();
    assert_eq!(Person::new().dgns(&server, &join).exits(4).text("/code"), "too_many");
    assert_eq!(pairing.ended().exits(4).text("/code"), "too_many");
}

/// What the relay's owner knows who stands between: the session and her nonce.
type Between = Mutex<Option<(SessionId, pair::Nonce)>>;

/// Passes a request on to the server; whoever asks to belong to somebody does so with Mallory's keys from here on.
fn swapped(server: std::net::SocketAddr, between: &Between, request: &Request) -> Option<Answer> {
    let head = request.bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let mut body = request.bytes[head..].to_vec();
    let method = request.line.split(' ').next()?;
    let session = request.path().strip_prefix("/v1/pair/").and_then(|rest| SessionId::from_hex(rest.get(..32)?));
    if let (Some(session), "POST") = (session, method) {
        let mut known = between.lock().unwrap();
        let (_, nonce) = *known.get_or_insert((session, [0x66; 32]));
        body = match Message::decode(&body).ok()? {
            Message::Ask { did, device, commitment: Some(_) } => {
                let (mallory, _) = numbered(0x66, device.level);
                let commitment = Some(pair::commitment(&session, &mallory, &nonce));
                Message::Ask { did, device: mallory, commitment }.encode()
            }
            Message::Reveal { .. } => Message::Reveal { nonce }.encode(),
            _ => body,
        };
    }
    let headers = [("content-type", "application/cbor")];
    http::request(server, method, request.path(), &headers, &body).ok()
}

#[test]
fn keys_put_in_anothers_place_show_other_digits_and_come_to_nothing() {
    // Goal: a relay that pairs the old device with keys of its own is caught by the digits. Method: the new device's server is a
    // man in the middle who commits to keys and a nonce of Mallory's; both halves of the protocol run to their end.
    let site = Site::new();
    let server = site.start();
    let (alice, phone) = (Person::new(), Person::new());
    alice.up(&server, "alice");
    let (between, at) = (Between::default(), server.http);
    let relay = serve(move |request| swapped(at, &between, request).map_or(Told::Cut, Told::Answer));
    let mut watch = watching(&alice, &server);
    let join = phone.dgns_running(&relay, &["join", "alice"]);
    let shown = join.note(digits);
    let asked = told(&watch, "pair");
    assert_eq!(asked["asks"], "digits");
    let mallory = HEXLOWER.encode(&numbered(0x66, Level::Admin).1.kid().0);
    assert_eq!(asked["kid"], mallory, "Mallory stands between");
    for left in [2, 1] {
        watch.types(&shown);
        assert_eq!(told(&watch, "pair")["left"], left, "what the new device shows is not what the old one computed");
    }
    watch.types(&shown);
    assert_eq!(told(&watch, "pair")["refused"], "pair_digits");
    watch.ended().exits(0);
    assert_eq!(join.ended().exits(4).text("/code"), "pair_digits");
    let listed = alice.dgns(&server, &["devices", "list"]).exits(0).json();
    assert_eq!(listed["devices"].as_array().map(Vec::len), Some(1), "nobody was let in");
}

#[test]
fn a_suspended_device_lets_nobody_in_and_is_told_nothing() {
    let site = Site::new();
    let server = site.start();
    let (alice, laptop) = (Person::new(), Person::new());
    let words = alice.up(&server, "alice");
    laptop.dgns_with_input(&server, &["devices", "add", "alice", "--words"], &words).exits(0);
    let kid = laptop.dgns(&server, &["whoami"]).text("/device/kid");
    let rules = alice.dgns(&server, &["devices", "list"]).exits(0).json();
    assert_eq!((&rules["voters"], &rules["majority"], &rules["pending"]), (&2.into(), &2.into(), &0.into()));
    let shown = alice.dgns_in_text(&server, &["devices", "list"]);
    assert!(
        shown.exits(0).stdout.contains("2 of your 2 full devices together too; one device alone waits 3 days"),
        "{shown}"
    );
    alice.dgns(&server, &["devices", "suspend", &kid, "--reason", "stolen"]).exits(0);
    for arguments in [&["devices", "watch", "--once"][..], &["token", "lease"], &["policy", "--window-s", "7200"]] {
        let ran = laptop.dgns_running(&server.url, arguments).ended();
        assert_eq!(ran.exits(4).text("/code"), "suspended", "{arguments:?}");
    }
    let asked = Person::new();
    let request = asked.dgns(&server, &["devices", "add", "alice"]).text("/request");
    let refused = laptop.dgns(&server, &["devices", "approve", &request]);
    assert_eq!(refused.exits(4).text("/code"), "suspended");
    // Its own last word is the contest, and that freezes what it cannot take over.
    let act = alice.dgns(&server, &["pending"]).json()["pending"][0]["act"].as_str().unwrap().to_owned();
    laptop.dgns(&server, &["veto", &act]).exits(0);
    assert_eq!(alice.dgns(&server, &["devices", "list"]).exits(0).json()["frozen"], true);
}

#[test]
fn boxes_that_do_not_fit_are_refused_and_leave_the_key_as_it_is() {
    // Goal: no user key whose boxes nobody has, and none that leaves a device out. Method: one certificate, with no boxes, others,
    // boxes for a stranger, boxes without the words; then the right ones.
    let site = Site::new();
    let server = site.start();
    let (mut alice, certificates) = Somebody::new("alice", 1);
    Poster::new(server.vkey()).post(server.http, &certificates, &alice.subject()).unwrap();
    let rng = &mut dgns_client::rng::system();
    let words_box = alice.words.words_box().public();
    let (own, stranger) = (alice.device.kex.public(), KexSecret::from_bytes([7; 32]).public());
    let seed = UserSeed::generate(rng);
    let mut sealed = |to: &[[u8; 32]]| Boxes::seal(&alice.did, 1, &seed, None, to, rng).unwrap().encode();
    let right = sealed(&[own, words_box]);
    let turned = |boxes: &[u8]| {
        let body = UserKey { key: seed.public(), boxes: Boxes::hash_of(boxes), generation: 1, extras: Vec::new() };
        alice.next.sign(Body::UserKey(body), None, &origin(), &[&alice.device.sign]).unwrap()
    };
    let post = |certificate: &Certificate, attachments: &[Vec<u8>]| {
        server.post("/v1/certificates", &post::encode_with(&[certificate.encode()], attachments))
    };
    for (what, named, brought) in [
        ("no boxes", right.clone(), vec![]),
        ("others than named", right.clone(), vec![sealed(&[own, words_box])]),
        ("one for a stranger", sealed(&[own, words_box, stranger]), vec![]),
        ("none for the words", sealed(&[own]), vec![]),
        ("none for the device", sealed(&[words_box]), vec![]),
        ("no boxes at all", b"\x82\x80\xf6".to_vec(), vec![]),
    ] {
        let brought = if brought.is_empty() && what != "no boxes" { vec![named.clone()] } else { brought };
        let answer = post(&turned(&named), &brought);
        assert_eq!((answer.status, answer.problem_code().as_str()), (422, "bad_boxes"), "{what}");
    }
    let both = [right.clone(), b"\x82\x80\xf6".to_vec()];
    assert_eq!(post(&turned(&right), &both).problem_code(), "bad_post", "boxes that no certificate names");
    let of_it = |pointer: &str| {
        let headers = [("accept", "application/json")];
        let view = http::request(server.http, "GET", &format!("/v1/dids/{}", alice.did), &headers, b"").unwrap();
        view.json().pointer(pointer).cloned().unwrap_or_default()
    };
    assert!(of_it("/did/user_key").is_null(), "nothing changed");
    assert_eq!(post(&turned(&right), std::slice::from_ref(&right)).status, 200);
    assert_eq!(of_it("/did/user_key/generation"), 1);
    alice.next = alice.next.next(&turned(&right));
}
