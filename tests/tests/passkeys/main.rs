//! Passkeys end to end: the real server, and an authenticator of software (`passkey` of 1Password) in front of it.

mod authenticator;
mod recovery;

use authenticator::Soft;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use dgns_api::signin::{Branch, Finish, Finished, Start, Started};
use dgns_tests::harness::device::Device;
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::load::{Poster, Somebody, body as body_of};
use dgns_tests::harness::{Person, Server, Site};
use identity::cert::ClaimProof;
use identity::evidence::{Binding, Purpose, evidence_hash, sign_finish, state_hash};
use identity::hash::{Hash, sha256};
use identity::key::SigningKey;
use identity::name::Zone;
use identity::wire::Reader;
use serde_json::{Value, json};
use storage::people::{People, StartKind, StartRow};

/// Where the pages are, as browsers see it; the tests' server listens on a port that nobody knows before.
const PAGES: &str = "http://localhost:5380";

const KEX: [u8; 32] = [2; 32];

fn site() -> Site {
    limited().with("limits", "signin_starts_per_hour_and_address", "0")
}

fn limited() -> Site {
    Site::new().with("signin", "passkeys", "true").with("signin", "public_url", &format!("\"{PAGES}\""))
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn start_body(device: &SigningKey, purpose: Purpose) -> Vec<u8> {
    let sign = device.public();
    Start { purpose, sign, kex: KEX, issuer: String::new(), port: None, blinded: None }.encode()
}

/// Reads what a start answers, and holds that the challenge is the device's own.
fn started(answer: &Answer, device: &SigningKey, purpose: Purpose) -> Started {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let started = Started::decode(&answer.body).unwrap();
    let binding = Binding { purpose, sign: device.public(), kex: KEX, blinded: None, random: started.random };
    let options: Value = serde_json::from_str(&started.go).unwrap();
    assert_eq!(options["challenge"], binding.nonce_text(), "the challenge is the device's own");
    started
}

fn start(server: &Server, device: &SigningKey) -> Started {
    let answer = server.post("/v1/signin/passkey/start", &start_body(device, Purpose::SignIn));
    started(&answer, device, Purpose::SignIn)
}

fn start_newcomer(server: &Server, device: &SigningKey) -> Started {
    let answer = server.post("/v1/passkeys/start", &start_body(device, Purpose::Enrolment));
    started(&answer, device, Purpose::Enrolment)
}

fn finish_body(state: &[u8; 32], device: &SigningKey, answer: &Value) -> Vec<u8> {
    let origin = Zone::parse("dgns.test").unwrap().origin();
    Finish { state: *state, signature: sign_finish(&origin, state, device), answer: answer.to_string() }.encode()
}

fn finish(server: &Server, started: &Started, device: &SigningKey, answer: &Value) -> Answer {
    server.post("/v1/signin/passkey/finish", &finish_body(&started.state, device, answer))
}

fn finish_registration(server: &Server, started: &Started, device: &SigningKey, answer: &Value) -> Answer {
    server.post("/v1/passkeys/finish", &finish_body(&started.state, device, answer))
}

fn finished(answer: &Answer) -> Finished {
    assert_eq!(answer.status, 200, "{}", answer.text());
    Finished::decode(&answer.body).unwrap()
}

/// Registers a passkey as somebody who has no account.
fn newcomer(server: &Server, soft: &mut Soft, device: &SigningKey) -> Finished {
    let begun = start_newcomer(server, device);
    let answer = soft.create(PAGES, &begun.go);
    finished(&finish_registration(server, &begun, device, &answer))
}

/// Signs in.
fn sign_in(server: &Server, soft: &mut Soft, device: &SigningKey) -> Answer {
    let begun = start(server, device);
    let answer = soft.get(PAGES, &begun.go);
    finish(server, &begun, device, &answer)
}

/// Holds that an answer is a refusal of this code, and of this reason if there is one.
fn refused(answer: &Answer, status: u16, code: &str, reason: Option<&str>) {
    assert_eq!((answer.status, answer.problem_code().as_str()), (status, code), "{}", answer.text());
    assert_eq!(answer.json()["reason"].as_str(), reason, "{}", answer.text());
}

/// Returns the bytes of a part of an answer.
fn part(answer: &Value, name: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(answer["response"][name].as_str().unwrap().as_bytes()).unwrap()
}

/// Returns the answer with a part of it changed.
fn changed(answer: &Value, name: &str, change: impl Fn(&mut Vec<u8>)) -> Value {
    let mut bytes = part(answer, name);
    change(&mut bytes);
    let mut answer = answer.clone();
    answer["response"][name] = json!(BASE64URL_NOPAD.encode(&bytes));
    answer
}

fn start_for(device: &Device, server: &Server) -> Answer {
    let (purpose, sign) = (Purpose::Enrolment, device.sign.public());
    let start = Start { purpose, sign, kex: device.kex, issuer: String::new(), port: None, blinded: None };
    device.asks(server, "POST", "/v1/passkeys/start", &start.encode())
}

/// Registers a passkey for its account.
fn register(device: &Device, server: &Server, soft: &mut Soft) -> Answer {
    let answer = start_for(device, server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let begun = Started::decode(&answer.body).unwrap();
    finish_registration(server, &begun, &device.sign, &soft.create(PAGES, &begun.go))
}

/// Returns the ids of the account's passkeys.
fn passkeys(device: &Device, server: &Server) -> Vec<Hash> {
    let answer = device.asks(server, "GET", "/v1/passkeys", b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut reader = Reader::new(&answer.body);
    reader
        .list(100, |r| {
            r.array_of(6)?;
            let id = r.fixed()?;
            r.bytes()?;
            r.or_null(|r| r.fixed::<32>())?;
            r.uint()?;
            r.uint()?;
            r.bool()?;
            Ok::<_, identity::wire::WireError>(id)
        })
        .unwrap()
}

#[test]
fn a_newcomer_makes_a_passkey_and_is_known_by_it_again() {
    let site = site();
    let server = site.start();
    let mut soft = Soft::new();
    let made = newcomer(&server, &mut soft, &key(1));
    assert_eq!((made.branch, made.issuer.as_str(), made.boxes), (Branch::New, "passkey:dgns.test", None));
    assert_eq!(made.evidence, evidence_hash(&made.statement, &made.random));
    let again = finished(&sign_in(&server, &mut soft, &key(2)));
    assert_eq!((again.branch, again.issuer.as_str()), (Branch::New, "passkey:dgns.test"));
    assert_ne!(again.evidence, made.evidence);
}

#[test]
fn a_newcomers_passkey_gives_a_name_that_anyone_can_check_and_finds_the_account_elsewhere() {
    let site = site();
    let server = site.start();
    assert_eq!(server.get("/v1/info").json()["signin"]["passkeys"], true);
    let (mut ada, genesis) = Somebody::without_name("ada");
    let (sign, kex) = (ada.device.sign.public(), ada.device.kex.public());
    let (purpose, issuer) = (Purpose::Enrolment, String::new());
    let body = Start { purpose, sign, kex, issuer, port: None, blinded: None }.encode();
    let answer = server.post("/v1/passkeys/start", &body);
    let begun = Started::decode(&answer.body).unwrap();
    let mut soft = Soft::new();
    let made = soft.create(PAGES, &begun.go);
    let made = finished(&finish_registration(&server, &begun, &ada.device.sign, &made));
    assert_eq!((made.branch, made.names), (Branch::New, 5));
    let evidence = made.evidence;
    let certificates = [genesis, ada.claims(ClaimProof::Attested { evidence })];
    let mut poster = Poster::new(server.vkey());
    let (_, resolved) = poster.post(server.http, &certificates, &ada.subject()).unwrap();
    assert_eq!(resolved.name().expect("a name was asked for").did, Some(ada.did));
    Person::new().dgns(&server, &["audit"]).exits(0);

    // On a browser that knows nothing the passkey leads to the account; it gives no second one.
    let (mut other, genesis) = Somebody::without_name("ada-2");
    let elsewhere = finished(&sign_in(&server, &mut soft, &key(2)));
    assert_eq!(elsewhere.branch, Branch::Existing(ada.did));
    let claim = other.claims(ClaimProof::Attested { evidence: elsewhere.evidence });
    assert_eq!(server.post("/v1/certificates", &body_of(&[genesis, claim])).problem_code(), "signin_device");
    let (mut thief, genesis) = Somebody::without_name("ada-3");
    let (sign, kex) = (thief.device.sign.public(), thief.device.kex.public());
    let body = Start { purpose: Purpose::SignIn, sign, kex, issuer: String::new(), port: None, blinded: None }.encode();
    let begun = Started::decode(&server.post("/v1/signin/passkey/start", &body).body).unwrap();
    let again = finished(&finish(&server, &begun, &thief.device.sign, &soft.get(PAGES, &begun.go)));
    let claim = thief.claims(ClaimProof::Attested { evidence: again.evidence });
    assert_eq!(server.post("/v1/certificates", &body_of(&[genesis, claim])).problem_code(), "account_bound");
}

#[test]
fn a_device_registers_lists_and_removes_the_passkeys_of_its_account() {
    let site = site().with("limits", "passkeys_per_person", "2");
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let device = Device::of(&alice);
    let mut soft = [Soft::new(), Soft::new(), Soft::new()];
    let made = finished(&register(&device, &server, &mut soft[0]));
    assert_eq!(made.branch, Branch::Existing(device.did));
    assert_eq!(
        finished(&sign_in(&server, &mut soft[0], &key(7))).branch,
        Branch::Existing(device.did),
        "on any browser"
    );
    assert_eq!(finished(&register(&device, &server, &mut soft[1])).branch, Branch::Existing(device.did));
    refused(&start_for(&device, &server), 409, "passkeys_full", None);
    let ids = passkeys(&device, &server);
    assert_eq!(ids.len(), 2);

    // What a passkey makes of its PRF is noted for its account alone.
    let path = |id: &Hash| format!("/v1/passkeys/{}", HEXLOWER.encode(id));
    let note = [&[0x81, 0x58, 32], [9; 32].as_slice()].concat();
    assert_eq!(device.asks(&server, "POST", &path(&ids[0]), &note).status, 200);
    refused(&device.asks(&server, "POST", &path(&[0; 32]), &note), 404, "unknown_passkey", None);
    refused(&device.asks(&server, "POST", &path(&ids[0]), b"\x81\x01"), 400, "bad_field", None);

    // Nobody else removes them.
    let bob = Person::new();
    bob.up(&server, "bob");
    refused(&Device::of(&bob).asks(&server, "DELETE", &path(&ids[0]), b""), 404, "unknown_passkey", None);
    assert_eq!(device.asks(&server, "DELETE", &path(&ids[0]), b"").status, 200);
    refused(&device.asks(&server, "DELETE", &path(&ids[0]), b""), 404, "unknown_passkey", None);
    refused(&device.asks(&server, "DELETE", "/v1/passkeys/UP", b""), 400, "bad_query", None);
    assert_eq!(passkeys(&device, &server), ids[1..]);
    let [removed, left] = &mut soft[..2] else { unreachable!("three were made") };
    if left.ids().contains(&ids[0]) {
        std::mem::swap(removed, left);
    }
    refused(&sign_in(&server, removed, &key(8)), 404, "unknown_passkey", None);
    assert_eq!(finished(&sign_in(&server, left, &key(8))).branch, Branch::Existing(device.did));
    assert_eq!(
        finished(&register(&device, &server, &mut soft[2])).branch,
        Branch::Existing(device.did),
        "there is room"
    );
}

#[test]
fn what_an_authenticator_did_not_say_to_this_page_now_is_refused_and_its_start_is_gone() {
    let site = site();
    let server = site.start();
    let mut soft = Soft::new();
    newcomer(&server, &mut soft, &key(1));
    let check = |reason: &str, answer: &dyn Fn(&Started) -> Value| {
        let begun = start(&server, &key(2));
        let answer = answer(&begun);
        refused(&finish(&server, &begun, &key(2), &answer), 401, "assertion", Some(reason));
        refused(&finish(&server, &begun, &key(2), &answer), 410, "signin_expired", None);
    };
    let well = |begun: &Started| soft.clone().get(PAGES, &begun.go);
    check("origin", &|begun| soft.clone().get("http://localhost:5381", &begun.go));
    check("challenge", &|_| well(&start(&server, &key(2))));
    check("challenge", &|_| well(&start(&server, &key(3))));
    check("rp_id", &|begun| changed(&well(begun), "authenticatorData", |bytes| bytes[0] ^= 1));
    check("presence", &|begun| changed(&well(begun), "authenticatorData", |bytes| bytes[32] &= !1));
    check("verification", &|begun| {
        let careless = begun.go.replace("\"required\"", "\"discouraged\"");
        Soft { verifies: false, ..soft.clone() }.get(PAGES, &careless)
    });
    check("signature", &|begun| changed(&well(begun), "authenticatorData", |bytes| bytes[36] ^= 1));
    check("signature", &|begun| changed(&well(begun), "signature", |bytes| *bytes.last_mut().unwrap() ^= 1));
    check("form", &|begun| changed(&well(begun), "authenticatorData", |bytes| bytes.truncate(36)));
    check("form", &|begun| changed(&well(begun), "clientDataJSON", |bytes| bytes.truncate(9)));
    check("form", &|_| json!({ "id": "x" }));
    check("type", &|begun| {
        changed(&well(begun), "clientDataJSON", |bytes| {
            *bytes = String::from_utf8_lossy(bytes).replace("webauthn.get", "webauthn.create").into_bytes();
        })
    });
    assert_eq!(finished(&sign_in(&server, &mut soft.clone(), &key(2))).branch, Branch::New, "nothing was broken");
}

#[test]
fn an_answer_serves_once_in_time_and_the_device_that_began() {
    let site = site();
    let server = site.start();
    let mut soft = Soft::new();
    newcomer(&server, &mut soft, &key(1));
    let begun = start(&server, &key(2));
    let answer = soft.get(PAGES, &begun.go);
    refused(&finish(&server, &begun, &key(3), &answer), 401, "bad_signature", None);
    assert_eq!(finish(&server, &begun, &key(2), &answer).status, 200);
    refused(&finish(&server, &begun, &key(2), &answer), 410, "signin_expired", None);
    refused(&finish(&server, &Started { state: [9; 32], ..begun }, &key(2), &answer), 410, "signin_expired", None);

    // The start of one kind is none of another.
    let begun = start(&server, &key(2));
    let answer = soft.get(PAGES, &begun.go);
    refused(&finish_registration(&server, &begun, &key(2), &answer), 410, "signin_expired", None);
    assert_eq!(finish(&server, &begun, &key(2), &answer).status, 200);

    // Ten minutes later: the same start, as it lies in the database, but with an earlier end.
    let begun = start(&server, &key(2));
    let answer = soft.get(PAGES, &begun.go);
    assert_eq!(server.stop().code, Some(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let people = People::open(site.data()).await.unwrap();
        let (state, kind) = (state_hash(&begun.state), StartKind::Passkey);
        let data = people.take_start(&state, kind, 0).await.unwrap().unwrap();
        people.put_start(&StartRow { state, kind, data, until_s: 1 }, 0).await.unwrap();
        people.close().await.unwrap();
    });
    let server = site.start();
    refused(&finish(&server, &begun, &key(2), &answer), 410, "signin_expired", None);

    // A start outlives the server that took it.
    let begun = start(&server, &key(2));
    server.kill();
    let server = site.start();
    let answer = soft.get(PAGES, &begun.go);
    assert_eq!(finish(&server, &begun, &key(2), &answer).status, 200);
}

#[test]
fn a_copy_of_a_passkey_that_counts_is_found_out() {
    let site = site();
    let server = site.start();
    let mut soft = Soft { counts: true, ..Soft::new() };
    newcomer(&server, &mut soft, &key(1));
    assert_eq!(sign_in(&server, &mut soft, &key(2)).status, 200);
    let mut copy = soft.clone();
    assert_eq!(sign_in(&server, &mut soft, &key(2)).status, 200);
    refused(&sign_in(&server, &mut copy, &key(2)), 401, "passkey_counter", None);
    assert_eq!(
        sign_in(&server, &mut copy, &key(2)).status,
        200,
        "it counts on; which of the two is the copy nobody knows"
    );
    refused(&sign_in(&server, &mut soft, &key(2)), 401, "passkey_counter", None);
}

#[test]
fn a_passkey_of_nobody_and_one_of_somebody_else_lead_nowhere() {
    let site = site();
    let server = site.start();
    let mut soft = Soft::new();
    newcomer(&server, &mut soft, &key(1));
    let begun = start(&server, &key(2));
    let mut answer = soft.get(PAGES, &begun.go);
    answer["response"]["userHandle"] = json!(BASE64URL_NOPAD.encode(&[7; 16]));
    refused(&finish(&server, &begun, &key(2), &answer), 404, "unknown_passkey", None);
    let begun = start(&server, &key(2));
    let mut answer = soft.get(PAGES, &begun.go);
    answer["rawId"] = json!(BASE64URL_NOPAD.encode(&sha256(&[b"another"])));
    refused(&finish(&server, &begun, &key(2), &answer), 404, "unknown_passkey", None);
}

#[test]
fn registrations_of_other_pages_other_keys_and_careless_authenticators_are_refused() {
    let site = site();
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let device = Device::of(&alice);
    let check = |reason: &str, make: &dyn Fn(&Started) -> Value| {
        let begun = start_newcomer(&server, &key(1));
        let answer = make(&begun);
        refused(&finish_registration(&server, &begun, &key(1), &answer), 401, "assertion", Some(reason));
        refused(&finish_registration(&server, &begun, &key(1), &answer), 410, "signin_expired", None);
    };
    check("origin", &|begun| Soft::new().create("http://localhost:5381", &begun.go));
    check("challenge", &|_| Soft::new().create(PAGES, &start_newcomer(&server, &key(1)).go));
    check("verification", &|begun| {
        let careless = begun.go.replace("\"userVerification\":\"required\"", "\"userVerification\":\"discouraged\"");
        Soft { verifies: false, ..Soft::new() }.create(PAGES, &careless)
    });
    check("rp_id", &|begun| {
        changed(&Soft::new().create(PAGES, &begun.go), "attestationObject", |bytes| {
            let at = bytes.windows(32).position(|window| window == sha256(&[b"localhost"])).unwrap();
            bytes[at] ^= 1;
        })
    });
    check("form", &|begun| {
        changed(&Soft::new().create(PAGES, &begun.go), "attestationObject", |bytes| bytes.truncate(60))
    });
    check("form", &|_| json!("x"));
    let assertion = |begun: &Started| {
        let mut soft = Soft::new();
        newcomer(&server, &mut soft, &key(5));
        soft.get(PAGES, &begun.go.replace("\"rp\"", "\"rpId\":\"localhost\",\"rp\""))
    };
    check("form", &assertion);

    // Not twice, whoever's it is; and a device that is none of the account begins nothing.
    let begun = [start_newcomer(&server, &key(1)), start_newcomer(&server, &key(1))];
    let mut soft = Soft::new();
    let answer = soft.create(PAGES, &begun[0].go);
    assert_eq!(finish_registration(&server, &begun[0], &key(1), &answer).status, 200);
    refused(&finish_registration(&server, &begun[1], &key(1), &answer), 401, "assertion", Some("challenge"));
    let stranger = Device { sign: key(9), ..Device::of(&alice) };
    refused(&start_for(&stranger, &server), 401, "unknown_signer", None);
    let others = start_body(&key(9), Purpose::Enrolment);
    refused(&device.asks(&server, "POST", "/v1/passkeys/start", &others), 403, "not_allowed", None);
    refused(&server.get("/v1/passkeys"), 401, "bad_authorization", None);

    // The forms of starts.
    for purpose in [Purpose::SignIn, Purpose::Recovery] {
        refused(&server.post("/v1/passkeys/start", &start_body(&key(1), purpose)), 400, "bad_post", None);
    }
    let weak =
        Start { sign: [0; 32], purpose: Purpose::SignIn, kex: KEX, issuer: String::new(), port: None, blinded: None };
    refused(&server.post("/v1/signin/passkey/start", &weak.encode()), 401, "weak_key", None);
    refused(&server.post("/v1/signin/passkey/finish", &vec![0; 32_769]), 413, "too_large", None);
}

#[test]
fn a_server_without_passkeys_says_so_and_one_where_browsers_have_none_does_not_start_with_them() {
    let server = limited().with("signin", "passkeys", "false").start();
    assert_eq!(server.get("/v1/info").json()["signin"]["passkeys"], false);
    let answer = server.post("/v1/signin/passkey/start", &start_body(&key(1), Purpose::SignIn));
    refused(&answer, 404, "unknown_issuer", None);
    drop(server);
    for elsewhere in ["http://192.0.2.1", "https://[2001:db8::1]", "http://id.dgns.test"] {
        let ran = limited().with("signin", "public_url", &format!("{elsewhere:?}")).start_in_vain();
        assert!(ran.stderr.contains("signin.passkeys"), "{}", ran.stderr);
    }
}

#[test]
fn a_thousand_starts_from_one_address_are_limited() {
    let server = limited().start();
    let body = start_body(&key(1), Purpose::SignIn);
    let statuses: Vec<u16> = (0..1_000).map(|_| server.post("/v1/signin/passkey/start", &body).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 30);
    assert!(statuses[30..].iter().all(|status| *status == 429));
}
