//! People found by an address that nobody is told; addresses bound after a sign-in, and forgotten.

use dgns_api::alias::Ask;
use dgns_api::signin::Finished;
use dgns_client::aliases::{self, Bound};
use dgns_client::draft::Place;
use dgns_client::error::ClientError;
use dgns_client::home::{DeviceKeys, Home};
use dgns_client::session::{Session, Signer};
use dgns_client::{clock, mail};
use dgns_tests::harness::issuer::{ADA, Issuer, lacks_issuers, sign_in, site};
use dgns_tests::harness::journey::{signs_in, visits};
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::needles::Needles;
use dgns_tests::harness::serve::Request;
use dgns_tests::harness::{Person, Server, Site, wait};
use identity::alias::{alias_id, commitment};
use identity::cert::{AliasBind, Body};
use identity::did::Did;
use identity::email::Email;
use identity::hash::sha256;
use identity::key::{KexSecret, SigningKey};
use identity::oprf;
use serde_json::Value;

/// Somebody else with the address of nobody here.
const BOB: [(&str, &str); 2] = [("x-subject", "bob"), ("x-email", "bob@mail.test")];

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
    // A device that signs has a limit of its own.
    alice.dgns(&server, &["find", "other@example.test"]).exits(4);
    alice.up(&server, "alice");
    alice.dgns(&server, &["find", "other@example.test", "--signed"]).exits(6);
    server.stop();
    assert_eq!(looked_for(&["nobody.atall", "somebody@else", "else.example"]).found_at(&site), []);
}

#[test]
fn the_alias_key_is_certified_once() {
    let site = Site::new().with("aliases", "evaluate", "true");
    let alice = Person::new();
    let size = |server: &Server| server.get("/v1/log/status").json()["size"].as_u64().unwrap();
    let server = site.start();
    let before = size(&server);
    alice.dgns(&server, &["find", "nobody@example.test"]).exits(6);
    server.stop();
    let server = site.start();
    assert!(size(&server) <= before + 1, "at most an Epoch more: the key is in the log already");
    alice.dgns(&server, &["find", "nobody@example.test"]).exits(6);
}

/// A server that knows issuers and addresses.
pub(crate) fn site_of(a: &Issuer) -> Site {
    let many = |site: Site, key| site.with("limits", key, "0");
    let site = site(&[a]).with("aliases", "evaluate", "true");
    many(many(site, "evaluations_per_hour_and_address"), "signin_starts_per_hour_and_address")
}

/// The device of a person, as a program of the person's own uses it.
pub(crate) struct Device {
    session: Session,
    keys: DeviceKeys,
    runtime: tokio::runtime::Runtime,
}

impl Device {
    pub(crate) fn of(person: &Person, server: &Server) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let session =
            runtime.block_on(async { Session::open(&Home::open(person.home()).unwrap(), &server.url).await.unwrap() });
        let keys = session.log().device().unwrap().unwrap();
        Self { session, keys, runtime }
    }

    fn signer(&self) -> Signer<'_> {
        Signer { did: self.keys.did.unwrap(), keys: &self.keys }
    }

    pub(crate) fn did(&self) -> Did {
        self.signer().did
    }

    fn signs_in(&self, server: &Server, a: &Issuer, person: &[(&str, &str)]) -> Finished {
        sign_in((server, ("a", a)), (&self.keys.sign, self.keys.kex.public()), person)
    }

    fn binds(&self, finished: &Finished, hidden: bool) -> Result<Bound, ClientError> {
        self.runtime.block_on(aliases::bind(&self.session, self.signer(), finished, hidden))
    }

    /// Puts a letter before a key that `find` listed, without asking what it may be taken for. Errors: the code.
    pub(crate) fn writes_to(&self, sign: [u8; 32], kex: [u8; 32]) -> Result<(), String> {
        let letter = identity::mail::Letter::new(b"x", None, 1).unwrap();
        let did = self.signer().did;
        let found = self.runtime.block_on(aliases::find(&self.session, &Email::parse("ada@mail.test").unwrap(), None));
        let alias = found.unwrap().resolved.alias().map(|alias| alias.alias);
        let to = mail::Address { recipient: identity::mail::Recipient { did, sign, kex }, alias };
        let delivered = self.runtime.block_on(mail::send(&self.session, letter, &[to], None));
        delivered[0].outcome.as_ref().copied().map_err(|error| error.code().to_owned())
    }

    fn kept(&self) -> (usize, u64, u64) {
        let kept = self.runtime.block_on(aliases::kept(&self.session, self.signer())).unwrap();
        (kept.aliases.len(), kept.accounts, kept.addresses)
    }
}

#[test]
fn a_bound_address_is_found_by_everybody_and_given_up_without_a_trace() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site_of(&a);
    let server = site.start();
    let (alice, bob, carol) = (Person::new(), Person::new(), Person::new());
    let words = alice.up(&server, "alice");
    bob.up(&server, "bob");
    let device = Device::of(&alice, &server);
    let bound = device.binds(&device.signs_in(&server, &a, &ADA), false).unwrap();
    assert_eq!(device.kept(), (1, 1, 1));

    let found = carol.dgns(&server, &["find", " Ada@MAIL.test"]);
    let found = found.exits(0).json();
    assert_eq!((&found["status"], &found["names"][0]), (&"present".into(), &"alice.dgns.test".into()));
    assert_eq!(found["proof"]["chain"], "genesis", "keys are proved before anything is shared");
    bob.dgns(&server, &["send", "ada@mail.test", "-m", "found you"]).exits(0);
    assert_eq!(alice.dgns(&server, &["inbox"]).exits(0).json()["letters"].as_array().unwrap().len(), 1);
    bob.dgns(&server, &["send", "bob@mail.test", "-m", "found you"]).exits(6);

    // Nobody else binds it, and not twice.
    let bobs = Device::of(&bob, &server);
    let refused = bobs.binds(&bobs.signs_in(&server, &a, &ADA), false).unwrap_err();
    assert_eq!(refused.code(), "account_bound");
    let again = device.binds(&device.signs_in(&server, &a, &ADA), false).unwrap_err();
    assert_eq!(again.code(), "alias_bound");

    let body = Body::AliasUnbind { alias: bound.alias };
    let unbound = unbind(&device, &words, &body);
    wait::until("what was kept is erased", || Some(()).filter(|()| device.kept() == (0, 1, 0)));
    assert!(unbound > bound.posted.indexes[0]);
    let said = carol.dgns(&server, &["find", "ada@mail.test"]);
    assert_eq!(said.exits(6).json()["status"], "absent");
    carol.dgns(&server, &["audit"]).exits(0);
    // Free again, for whoever signs in with it.
    device.binds(&device.signs_in(&server, &a, &ADA), false).unwrap();
    carol.dgns(&server, &["find", "ada@mail.test"]).exits(0);
}

/// Posts what the words of the person sign.
fn unbind(device: &Device, words: &str, body: &Body) -> u64 {
    let identity = identity::seed::Words::parse(words).unwrap().identity();
    device.runtime.block_on(async {
        let (session, did) = (&device.session, device.signer().did);
        let resolved = session.resolve_did(&did).await.unwrap();
        let place = Place::after(did, &resolved.did().unwrap().head, resolved.head(), clock::now());
        let certificate = place.sign(body.clone(), None, session.trust().origin(), &[&identity]).unwrap();
        let subject = identity::state::Subject::Did(did);
        session.post(std::slice::from_ref(&certificate), &subject).await.unwrap().indexes[0]
    })
}

#[test]
fn hidden_and_never_registered_look_the_same_and_what_leaves_cannot_be_tested() {
    // Goal: neither the answers nor the questions tell a hidden address from one that never was, and nothing in them can be held against a
    // list of addresses. Method: every byte of both searches written down by somebody in between.
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site_of(&a);
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let device = Device::of(&alice, &server);
    device.binds(&device.signs_in(&server, &a, &ADA), true).unwrap();

    let (between, seen) = Liar::listening(server.http);
    let mut asked = Vec::new();
    let mut said = Vec::new();
    for address in ["ada@mail.test", "ada@mail.test", "abc@mail.test"] {
        let carol = Person::new();
        let ran = carol.dgns_at(&between.url, &["find", address], "");
        said.push(ran.exits(6).json());
        asked.push(std::mem::take(&mut *seen.lock().unwrap()));
    }
    let shape = |requests: &[Request]| {
        let one = |request: &Request| {
            let path = request.path().split(|c: char| "?&".contains(c)).next().unwrap_or_default().to_owned();
            (path.len(), path.rsplit_once('/').map(|(way, _)| way.to_owned()), request.bytes.len())
        };
        requests.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(shape(&asked[0]), shape(&asked[2]), "the same questions, of the same lengths");
    let told = |said: &Value| {
        let mut told = said.clone();
        for own in ["subject", "proof"] {
            told.as_object_mut().unwrap().remove(own);
        }
        told
    };
    assert_eq!(told(&said[0]), told(&said[2]), "the same answer");

    let elements: Vec<Vec<u8>> = asked.iter().map(|requests| body_of(requests, "/v1/alias/evaluate")).collect();
    assert!(
        elements.iter().all(|body| body.len() == 37 && body[..4] == [0xa1, 0x01, 0x81, 0x58]),
        "one element, no more"
    );
    assert_ne!(elements[0], elements[1], "the same address is another point each time");
    let everything: Vec<u8> = asked.concat().into_iter().flat_map(|request| request.bytes).collect();
    assert_eq!(testable("ada@mail.test").found_in(&everything), Vec::<&str>::new());
}

fn body_of(requests: &[Request], path: &str) -> Vec<u8> {
    let request = requests.iter().find(|request| request.path() == path).expect("it was asked");
    let end = request.bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    request.bytes[end + 4..].to_vec()
}

/// What somebody who guesses the address could look for: it, its parts, and what hashes make of it without the server.
fn testable(address: &str) -> Needles {
    let mut needles = looked_for(&[address, address.split('@').next().unwrap(), "mail.test"]);
    for (name, hash) in [
        ("its hash", sha256(&[address.as_bytes()])),
        ("a commitment to it", commitment(address, &[0; 32])),
        (
            "what a hash of its own key would be",
            alias_id(&oprf::Server::from_seed(&[0; 32]).output(address.as_bytes()).unwrap(), None),
        ),
    ] {
        needles.add(name, &hash);
    }
    needles
}

fn looked_for(words: &[&str]) -> Needles {
    let mut needles = Needles::default();
    words.iter().for_each(|word| needles.add(word, word.as_bytes()));
    needles
}

#[test]
fn an_address_is_added_listed_hidden_and_removed_on_the_command_line() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site_of(&a);
    let server = site.start();
    let (alice, bob, carol, at) = (Person::new(), Person::new(), Person::new(), (&server, &a));
    let words = alice.up(&server, "alice");
    let wrong = signs_in(&alice, &BOB, at, &["alias", "add", "ada@mail.test"], 1);
    assert!(wrong["error"].as_str().unwrap().contains("another address"), "{wrong}");
    signs_in(&alice, &ADA, at, &["alias", "add", "Ada@mail.test"], 0);
    let listed = || alice.dgns(&server, &["alias", "list"]).exits(0).json();
    let said = listed();
    let one = &said["aliases"][0];
    assert_eq!(
        (&one["address"], &one["hidden"], &one["bound"]),
        (&"ada@mail.test".into(), &false.into(), &true.into())
    );
    carol.dgns(&server, &["find", "ada@mail.test"]).exits(0);
    turned(&alice, at, &words, "show", 1);
    turned(&alice, at, &words, "hide", 0);
    assert_eq!(
        (listed()["aliases"].as_array().map(Vec::len), &listed()["aliases"][0]["hidden"]),
        (Some(1), &true.into())
    );
    carol.dgns(&server, &["find", "ada@mail.test"]).exits(6);
    bob.dgns(&server, &["send", "ada@mail.test", "-m", "not to be found"]).exits(6);
    turned(&alice, at, &words, "hide", 1);
    turned(&alice, at, &words, "show", 0);
    assert_eq!(
        (listed()["aliases"].as_array().map(Vec::len), &listed()["aliases"][0]["hidden"]),
        (Some(1), &false.into())
    );
    let found = carol.dgns(&server, &["find", "ada@mail.test"]).exits(0).json();
    assert_eq!(found["names"][0], "alice.dgns.test");
    alice.dgns(&server, &["alias", "remove", "bob@mail.test"]).exits(1);
    let removed = alice.dgns_with_input(&server, &["alias", "remove", "ada@mail.test", "--words"], &words);
    assert_eq!(removed.exits(0).json()["erased"], true);
    assert_eq!((listed()["aliases"].as_array().map(Vec::len), &listed()["addresses"]), (Some(0), &0.into()));
    carol.dgns(&server, &["find", "ada@mail.test"]).exits(6);
    signs_in(&alice, &ADA, at, &["alias", "add", "ada@mail.test", "--hidden"], 0);
    assert_eq!(listed()["aliases"][0]["hidden"], true);
    carol.dgns(&server, &["find", "ada@mail.test"]).exits(6);
    server.stop();
    assert_eq!(looked_for(&["ada@mail", "mail.test"]).found_at(&site), []);
}

/// Hides or shows ada's address by the words. One that is so already is refused before anybody signs in.
fn turned(alice: &Person, at: (&Server, &Issuer), words: &str, turn: &str, exit: i32) {
    let mut running = alice.dgns_running(&at.0.url, &["alias", turn, "ada@mail.test", "--words"]);
    if exit == 0 {
        running.types(words);
        visits(&running, at.0, at.1, &ADA);
    }
    let ran = running.ended();
    assert_eq!(
        ran.exits(exit).json()["hidden"],
        if exit == 0 { (turn == "hide").into() } else { Value::Null },
        "{ran}"
    );
}

#[test]
fn a_notary_signs_for_the_address_that_signed_in_and_for_nothing_else() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site_of(&a);
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let device = Device::of(&alice, &server);
    let finished = device.signs_in(&server, &a, &ADA);
    let (nonce, address) = ([7; 32], "ada@mail.test");
    let evaluation = |address: &str| {
        device.runtime.block_on(async {
            let state = aliases::server_state(&device.session).await.unwrap();
            aliases::evaluation(&device.session, &state, &Email::parse(address).unwrap(), None).await.unwrap()
        })
    };
    let (adas, bobs) = (evaluation(address), evaluation("bob@mail.test"));
    let sound = AliasBind {
        alias: alias_id(&adas, None),
        commitment: commitment(address, &nonce),
        evidence: finished.evidence,
    };
    let signed = |body: Body, key: &SigningKey| {
        device.runtime.block_on(async {
            let resolved = device.session.resolve_did(&device.signer().did).await.unwrap();
            let head = resolved.did().unwrap().head;
            let place = Place::after(device.signer().did, &head, resolved.head(), clock::now());
            place.sign(body, None, device.session.trust().origin(), &[key]).unwrap().as_bytes().to_vec()
        })
    };
    let own = &device.keys.sign;
    let ask = |certificate: Vec<u8>| Ask {
        certificate,
        statement: finished.statement.clone(),
        random: finished.random,
        nonce,
        tag: None,
        sealed: Vec::new(),
    };
    let bind = |bind: AliasBind| ask(signed(Body::AliasBind(bind), own));
    let code = |ask: Ask| server.post("/v1/alias/notarize", &ask.encode()).problem_code();
    let other_token = finished.statement.iter().map(|byte| byte ^ 1).collect();
    for (what, ask, expected) in [
        ("another's alias", bind(AliasBind { alias: alias_id(&bobs, None), ..sound }), "bad_opening"),
        (
            "an alias that is hidden by a tag that is not shown",
            bind(AliasBind { alias: alias_id(&adas, Some(&[1; 16])), ..sound }),
            "bad_opening",
        ),
        (
            "a commitment to another address",
            bind(AliasBind { commitment: commitment("bob@mail.test", &nonce), ..sound }),
            "bad_opening",
        ),
        ("another statement", Ask { statement: other_token, ..bind(sound) }, "bad_opening"),
        ("another opening of the evidence", Ask { random: [0; 16], ..bind(sound) }, "bad_opening"),
        ("a sign-in of nobody", bind(AliasBind { evidence: [9; 32], ..sound }), "signin_expired"),
        ("another device", ask(signed(Body::AliasBind(sound), &SigningKey::from_seed(&[3; 32]))), "unknown_signer"),
        ("no binding", ask(signed(Body::AliasUnbind { alias: sound.alias }, own)), "bad_field"),
        ("no certificate", ask(vec![0]), "bad_field"),
    ] {
        assert_eq!(code(ask), expected, "{what}");
    }
    assert_eq!(server.post("/v1/alias/notarize", b"x").problem_code(), "bad_post");
    assert_eq!(server.post("/v1/alias/notarize", &[0; 30_000]).problem_code(), "too_large");
    assert_eq!(server.get("/v1/alias/mine").problem_code(), "bad_authorization");
    // A binding that no notary signed is nothing, whoever posts it.
    let bare = dgns_api::post::encode(&[signed(Body::AliasBind(sound), own)]);
    assert_eq!(server.post("/v1/certificates", &bare).problem_code(), "not_allowed");
    assert_eq!(server.post("/v1/alias/notarize", &bind(sound).encode()).status, 200);
    assert_eq!(device.kept(), (1, 1, 1), "kept for a day, and bound by nobody");
    Person::new().dgns(&server, &["find", address]).exits(6);
}

#[test]
fn who_signs_in_elsewhere_is_listed_beside_the_address_and_receives_until_it_is_disputed() {
    if lacks_issuers() {
        return;
    }
    let a = Issuer::start();
    let site = site_of(&a);
    let server = site.start();
    let (alice, bob) = (Person::new(), Person::new());
    let words = alice.up(&server, "alice");
    let device = Device::of(&alice, &server);
    let bound = device.binds(&device.signs_in(&server, &a, &ADA), false).unwrap();
    let attested = || {
        let said = bob.dgns(&server, &["find", "ada@mail.test"]);
        said.exits(0).json()["attested"].as_array().unwrap().clone()
    };
    assert!(attested().is_empty(), "a device needs no notary");
    // Another browser, which nobody let in yet.
    let (sign, kex) = (SigningKey::from_seed(&[5; 32]), KexSecret::from_bytes([6; 32]));
    sign_in((&server, ("a", &a)), (&sign, kex.public()), &ADA);
    sign_in((&server, ("a", &a)), (&SigningKey::from_seed(&[8; 32]), kex.public()), &BOB);
    let rows = attested();
    assert_eq!((rows.len(), &rows[0]["standing"]), (1, &"signed_in".into()), "bob's sign-in is none of ada's");
    let sent = bob.dgns(&server, &["send", "ada@mail.test", "-m", "both"]);
    assert_eq!(sent.exits(0).json()["delivered"], 2);
    let sent = bob.dgns(&server, &["send", "ada@mail.test", "-m", "one", "--devices-only"]);
    assert_eq!(sent.exits(0).json()["delivered"], 1);
    let sent = bob.dgns(&server, &["send", "alice", "-m", "by name"]);
    assert_eq!(sent.exits(0).json()["delivered"], 1, "who asks by name asks for devices");

    let login = data_encoding::HEXLOWER.decode(rows[0]["sid"].as_str().unwrap().as_bytes()).unwrap();
    let dispute = identity::cert::Dispute { login: login.try_into().unwrap(), alias: bound.alias };
    unbind(&device, &words, &Body::Dispute(dispute));
    let rows = attested();
    assert_eq!((&rows[0]["standing"], &rows[0]["may_receive"]), (&"disputed".into(), &false.into()));
    let sent = bob.dgns(&server, &["send", "ada@mail.test", "-m", "after"]);
    assert_eq!(sent.exits(0).json()["delivered"], 1);
    // The server holds the same against who does not ask first.
    assert_eq!(device.writes_to(sign.public(), kex.public()), Err("no_such_device".to_owned()));
    // How often a notary's word is disputed is everybody's to know.
    let counted = wait::until("the dispute is counted", || {
        let said = bob.dgns(&server, &["notaries"]).exits(0).json();
        (said["notaries"][0]["disputed"] == 1).then(|| said["notaries"].clone())
    });
    assert_eq!((&counted[0]["sign_ins"], &counted[0]["issuer"]), (&1.into(), &a.url.as_str().into()), "{counted}");
    let metrics = server.get("/metrics").text();
    let line = format!("dgns_notary_disputed_total{{notary={:?}}} 1\n", counted[0]["kid"].as_str().unwrap());
    assert!(metrics.contains(&line), "{metrics}");
    bob.dgns(&server, &["audit"]).exits(0);
}
