//! Both verifiers over one whole lookup as a server gives it: an address, its owner with a user key and two devices, every certificate
//! from the genesis on, who signed in. No byte of it can be changed, and both say of each the same.

use std::process::Command;

use data_encoding::HEXLOWER;
use dgns_api::known::Known;
use dgns_client::clock;
use dgns_client::draft::Place;
use dgns_client::home::{DeviceKeys, Home};
use dgns_client::session::Session;
use dgns_tests::harness::journey::joins;
use dgns_tests::harness::load::{NOTHING_SEEN, body, origin};
use dgns_tests::harness::programs::run;
use dgns_tests::harness::{Person, Server, Site};
use dgns_tests::skip::skip;
use identity::alias::issuer_hash;
use identity::cert::{AliasBind, AttestLogin, Body, Certificate, ChainId, Payload};
use identity::did::Did;
use identity::key::{KexSecret, SigningKey};
use identity::state::Subject;
use serde_json::json;
use translog::note::VerifierKey;
use translog::resolve::{self, Footing};
use translog::trust::{Memory, Trust};

const ALIAS: [u8; 32] = [0xa1; 32];

/// Returns the key of the notary for passkeys: this test is the operator.
fn notary(site: &Site) -> SigningKey {
    let line = std::fs::read_to_string(site.data().join("keys/notary-passkey.key")).expect("it was made");
    let seed = line.trim().strip_prefix("dgns-key notary ").expect("the form of key files").to_owned();
    SigningKey::from_seed(&HEXLOWER.decode(seed.as_bytes()).unwrap().try_into().unwrap())
}

fn posted(server: &Server, certificate: &Certificate) {
    let answer = server.post("/v1/certificates", &body(std::slice::from_ref(certificate)));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Binds the alias to the DID of these keys, and lets somebody sign in for it.
fn binds(server: &Server, home: &Person, keys: &DeviceKeys, notary: &SigningKey) -> Did {
    let did = keys.did.unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let resolved = runtime.block_on(async {
        let session = Session::open(&Home::open(home.home()).unwrap(), &server.url).await.unwrap();
        session.resolve_did(&did).await.unwrap()
    });
    let state = resolved.did().unwrap();
    assert!(state.user_key.is_some() && state.devices.len() == 2);
    let place = Place::after(did, &state.head, resolved.head(), clock::now());
    let bind = Body::AliasBind(AliasBind { alias: ALIAS, commitment: [2; 32], evidence: [3; 32] });
    posted(server, &place.sign(bind, None, &origin(), &[&keys.sign, notary]).unwrap());
    let (sign, kex) = (SigningKey::from_seed(&[5; 32]).public(), KexSecret::from_bytes([6; 32]).public());
    let login = AttestLogin { sign, kex, issuer: issuer_hash("passkey:dgns.test"), evidence: [4; 32] };
    let payload = Payload {
        subject: Some(ChainId::Alias(ALIAS)),
        seq: 0,
        prev: None,
        seen: NOTHING_SEEN,
        unix_s: 0,
        body: Body::AttestLogin(login),
        critical: true,
        by: None,
    };
    posted(server, &Certificate::sign(&payload, &origin(), &[notary]).unwrap());
    did
}

#[test]
fn both_verifiers_refuse_a_whole_lookup_by_an_address_with_any_byte_changed() {
    // Goal: nothing in what is shown before something is sealed to a person can be changed unnoticed, in Rust or in a browser. Method: the
    // real answer of a real server, from the genesis; a bit of each byte, one after the other; the codes of both beside each other.
    if Command::new("node").arg("--version").output().is_err() {
        return skip("node is not installed");
    }
    let site = Site::new().with("signin", "passkeys", "true").with("signin", "public_url", "\"http://localhost:5380\"");
    let server = site.start();
    let (ada, phone) = (Person::new(), Person::new());
    ada.up(&server, "ada");
    joins(&ada, &phone, &server, "ada");
    let keys = Home::open(ada.home()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let keys = runtime.block_on(Session::open(&keys, &server.url)).unwrap().log().device().unwrap().unwrap();
    let did = binds(&server, &ada, &keys, &notary(&site));

    let known = Known { did, next: 0, mark: None };
    let bytes = server.get(&format!("/v1/aliases/{}?with=certs&known={known}", HEXLOWER.encode(&ALIAS))).body;
    let (now, subject) = (clock::now(), Subject::Alias(ALIAS));
    let trust = Trust::new(origin(), vec![VerifierKey::parse(server.vkey()).unwrap()]).unwrap();
    let verify = |bytes: &[u8]| resolve::verify(&trust, &mut Memory::new(origin()), &subject, bytes, now);
    let resolved = verify(&bytes).unwrap();
    assert_eq!(resolved.footing(), Some(Footing::Genesis));
    assert_eq!(resolved.alias().map(|alias| alias.attested.len()), Some(1));
    let steps = resolved.chain().len();
    assert!(steps >= 5, "genesis, claim, device, its user key, binding: {steps}");

    let ours: Vec<&str> = (0..bytes.len())
        .map(|at| {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            verify(&flipped).map_or_else(|error| error.code(), |_| "believed")
        })
        .collect();
    let believed: Vec<usize> = (0..ours.len()).filter(|at| ours[*at] == "believed").collect();
    assert_eq!(believed, Vec::<usize>::new(), "of {} bytes", bytes.len());

    let mut command = Command::new("node");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/js/every_byte.mjs"));
    let given = json!({
        "origin": origin().as_str(),
        "vkeys": [server.vkey()],
        "subject": HEXLOWER.encode(&ALIAS),
        "bytes": HEXLOWER.encode(&bytes),
        "nowMs": now.as_ms(),
    });
    let said = run(command, &given.to_string()).exits(0).json();
    assert_eq!((&said["status"], &said["footing"]), (&json!("present"), &json!("genesis")));
    assert_eq!(said["steps"], steps);
    let theirs = said["codes"].as_array().unwrap();
    assert_eq!(theirs.len(), bytes.len());
    let differ: Vec<_> =
        (0..ours.len()).filter(|at| theirs[*at] != ours[*at]).map(|at| (at, ours[at], &theirs[at])).collect();
    assert!(differ.is_empty(), "{} of {} bytes: {:?}", differ.len(), ours.len(), &differ[..differ.len().min(9)]);
}
