//! Session verbs inside a channel: leases, writes, proofs, their ends, and what nobody may say (PROTOCOL 23.15). The client is the
//! library's own connection, which says whatever it is told.

use std::fs;

use dgns_client::attach::Who;
use dgns_client::connect::{Connection, connect};
use dgns_client::error::ClientError;
use dgns_client::home::{DeviceKeys, Home};
use dgns_client::prover::Prover;
use dgns_client::session::Session;
use dgns_tests::harness::Person;
use dgns_tests::harness::load::origin;
use dgns_tests::harness::running::Running;
use identity::cert::{Body, Device, Level};
use identity::did::Did;
use identity::key::{KexSecret, SigningKey};
use identity::token::Rights;
use lobby::guest::stand_in;
use lobby::limits::{HANDLES_MAX, WRITTEN_BYTES_MAX};
use lobby::share::{Credential, Said, Shown};

use crate::{NAME, Scene, text, told};

pub(crate) const WRITES: Rights = Rights::READ.and(Rights::WRITE);

/// Somebody's connection, who speaks for himself.
pub(crate) struct Speaker {
    runtime: tokio::runtime::Runtime,
    connection: Connection,
    key: SigningKey,
    ids: u64,
}

impl Speaker {
    pub(crate) fn new(scene: &Scene, person: &Person) -> Self {
        Self::with(scene, person, None).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn with(scene: &Scene, person: &Person, token: Option<&str>) -> Result<Self, ClientError> {
        Self::being(scene, person, token, |keys| Who { key: keys.sign, did: keys.did.expect("a DID") })
    }

    /// Connects as a guest by a key that `person` has: the device's own, or one that nobody knows.
    pub(crate) fn as_guest(
        scene: &Scene,
        person: &Person,
        token: Option<&str>,
        key: impl FnOnce(DeviceKeys) -> SigningKey,
    ) -> Result<Self, ClientError> {
        Self::being(scene, person, token, |keys| {
            let key = key(keys);
            Who { did: stand_in(&key.public()), key }
        })
    }

    fn being(
        scene: &Scene,
        person: &Person,
        token: Option<&str>,
        who: impl FnOnce(DeviceKeys) -> Who,
    ) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (connection, key) = runtime.block_on(async {
            let session = Session::open(&Home::open(person.home())?, &scene.server.url).await?;
            let who = who(session.log().device()?.expect("a device"));
            Ok::<_, ClientError>((connect(&Prover::new(session), &who, NAME, token, true).await?, who.key))
        })?;
        Ok(Self { runtime, connection, key, ids: 1_000 })
    }

    /// Returns the paths that are listed.
    pub(crate) fn listed(&mut self) -> Vec<String> {
        let files = self.runtime.block_on(self.connection.list()).expect("a list");
        files.into_iter().map(|file| file.path).collect()
    }

    /// Says something and returns what it is answered with; a handle that ends meanwhile is passed over.
    pub(crate) fn ask(&mut self, said: impl FnOnce(u64) -> Said) -> Said {
        self.ids += 1;
        let (id, said) = (self.ids, said(self.ids));
        self.runtime.block_on(async {
            self.connection.say(&said).await.expect("it is said");
            loop {
                let said = self.connection.hear().await.expect("it is answered");
                if said.answers() == Some(id) {
                    return said;
                }
            }
        })
    }

    pub(crate) fn lease(&mut self, log: &str, rights: Rights, credential: Option<Vec<u8>>) -> Said {
        let (site, log) = (NAME.to_owned(), log.to_owned());
        self.ask(|id| Said::Lease { id, site, log, rights, credential })
    }

    fn handle(&mut self, log: &str, rights: Rights) -> u64 {
        match self.lease(log, rights, None) {
            Said::Handle { handle, .. } => handle,
            other => panic!("no handle: {other:?}"),
        }
    }

    /// Shows something for the nonce that a lease is answered with.
    pub(crate) fn shows(&mut self, log: &str, rights: Rights, shown: Shown) -> Said {
        let Said::NeedProof { nonce, .. } = self.lease(log, rights, None) else { panic!("no nonce") };
        let credential = Credential::sign(shown, nonce, &origin(), &self.key);
        self.lease(log, rights, Some(credential.encode()))
    }

    pub(crate) fn write(&mut self, handle: u64, lsn: u64, line: &str, expect: Option<[u8; 32]>) -> Said {
        let entries = vec![line.as_bytes().to_vec()];
        self.ask(|id| Said::Write { id, handle, lsn, entries, expect })
    }

    /// Waits until a handle ends; with which code.
    fn revoked(&mut self, handle: u64) -> String {
        self.runtime.block_on(async {
            loop {
                match self.connection.hear().await.expect("the connection stands") {
                    Said::Revoke { handle: of, code } if of == handle => return code,
                    _ => {}
                }
            }
        })
    }

    /// Sends bytes, and returns with which code the connection ends.
    fn ended_by(self, bytes: &[u8]) -> String {
        let error = self.runtime.block_on(async {
            self.connection.say_bytes(bytes).await.expect("it is said");
            loop {
                if let Err(error) = self.connection.hear().await {
                    return error;
                }
            }
        });
        error.to_string()
    }
}

pub(crate) fn code(said: &Said) -> &str {
    match said {
        Said::Err { code, .. } => code,
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) fn did_of(scene: &Scene, person: &Person) -> String {
    person.dgns(&scene.server, &["whoami"]).exits(0).text("/did")
}

/// A host under rules of a file.
fn ruled(scene: &Scene, rules: &str) -> Running {
    let file = scene.beside("rules.toml");
    fs::write(&file, rules).unwrap();
    scene.host(&["--rules", text(&file)])
}

fn now_ruled(scene: &Scene, host: &Running, rules: &str) {
    fs::write(scene.beside("rules.toml"), rules).unwrap();
    assert_eq!(told(host, "rules")["ok"], true);
}

#[test]
fn a_write_is_answered_by_name_whatever_is_wrong_with_it() {
    let scene = Scene::new();
    scene.write("logs/x", b"theirs\n");
    let rules = |rows: &str| format!("allow = [{rows}]\nlog_bytes_max = 100");
    let _host = ruled(&scene, &rules(r#"{ who = "bob", rights = "rw", logs = ["logs/"] }"#));
    let mut bob = Speaker::new(&scene, &scene.bob);
    let Said::Handle { handle, rights, size, head: Some(head), lsn, until_s, .. } = bob.lease("logs/x", WRITES, None)
    else {
        panic!("a handle to write")
    };
    assert_eq!((rights, size, lsn), (WRITES, 7, Some(0)));
    assert!(until_s > 0);
    let Said::Receipt { position, size, head: after, .. } = bob.write(handle, 1, "one", Some(head)) else {
        panic!("a receipt")
    };
    assert_eq!((position, size, after), (7, 11, identity::hash::sha256(&[b"theirs\none\n"])));
    let again = bob.write(handle, 1, "one", None);
    assert!(matches!(again, Said::Receipt { position: 7, size: 11, head, .. } if head == after), "{again:?}");
    let long = "x".repeat(100);
    for (lsn, line, expect, refused) in [
        (1, "other", None, "lsn_conflict"),
        (3, "three", None, "lsn_gap"),
        (0, "none", None, "lsn_conflict"),
        (2, "two", Some(head), "head_mismatch"),
        (2, long.as_str(), None, "quota"),
    ] {
        assert_eq!(code(&bob.write(handle, lsn, line, expect)), refused, "{lsn} {line}");
    }
    // Another connection's handle, one that nobody has, one to read, and what is not for him.
    let mut alice = Speaker::new(&scene, &scene.alice);
    let foreign = alice.handle("logs/x", Rights::READ);
    for handle in [foreign, 0, u64::MAX] {
        assert_eq!(code(&bob.write(handle, 2, "two", None)), "bad_handle");
        assert_eq!(code(&bob.ask(|id| Said::Read { id, handle, from: 0 })), "bad_handle");
    }
    assert_eq!(code(&alice.write(foreign, 1, "mine", None)), "no_right");
    assert!(
        matches!(alice.lease("logs/x", WRITES, None), Said::NeedProof { .. }),
        "the owner reads, unless told otherwise"
    );
    let reads = bob.handle("logs/x", Rights::READ);
    assert_eq!(code(&bob.write(reads, 2, "two", None)), "no_right");
    assert_eq!(code(&bob.lease("logs/none", Rights::READ, None)), "not_found");
    assert_eq!(code(&bob.lease("../secret", WRITES, None)), "not_found");
    assert!(matches!(bob.lease("other", WRITES, None), Said::NeedProof { .. }));
    let elsewhere = |id| Said::Lease {
        id,
        site: "other.test".to_owned(),
        log: "logs/x".to_owned(),
        rights: Rights::READ,
        credential: None,
    };
    assert_eq!(code(&bob.ask(elsewhere)), "not_here");
    assert_eq!(code(&bob.lease("logs/x", WRITES, Some(vec![0x80]))), "bad_proof");
    let mut last = Said::Welcome;
    for _ in 0..HANDLES_MAX {
        last = bob.lease("logs/x", Rights::READ, None);
    }
    assert_eq!(code(&last), "quota");
    assert_eq!(fs::read(scene.served().join("logs/x")).unwrap(), b"theirs\none\n", "nothing else was written");
    // The file is not what the journal says any more.
    fs::write(scene.served().join("logs/x"), b"th").unwrap();
    assert_eq!(code(&bob.write(handle, 2, "two", None)), "changed");
}

#[test]
fn what_is_no_message_ends_the_connection_and_writes_nothing() {
    let scene = Scene::new();
    let _host = scene.host(&["--write", "bob"]);
    let write = |handle, entries| Said::Write { id: 1, handle, lsn: 1, entries, expect: None }.encode();
    for (what, ends) in [("large", "bad_frame"), ("lines", "bad_frame"), ("type", "unknown_type"), ("host", "closed")] {
        let mut bob = Speaker::new(&scene, &scene.bob);
        let handle = bob.handle("x", WRITES);
        let bytes = match what {
            "large" => write(handle, vec![vec![7; WRITTEN_BYTES_MAX]]),
            "lines" => write(handle, vec![b"a\nb".to_vec()]),
            "type" => vec![0xa1, 0, 0x18, 0x77],
            _ => Said::Revoke { handle, code: "x".to_owned() }.encode(),
        };
        let ended = bob.ended_by(&bytes);
        assert!(ended.contains(ends), "{what}: {ended}");
    }
    assert_eq!(fs::read(scene.served().join("x")).unwrap(), b"");
}

#[test]
fn a_handle_ends_by_name_and_the_connection_goes_on() {
    let scene = Scene::new();
    scene.write("logs/x", b"first\n");
    scene.write("logs/y", b"y\n");
    let writes = "allow = [\"group:w\", \"bob\"]\n[groups]\nw = []".to_owned();
    let host = ruled(
        &scene,
        r#"allow = [{ who = "group:w", rights = "rw" }]
        [groups]
        w = ["bob"]"#,
    );
    let mut bob = Speaker::new(&scene, &scene.bob);
    let (reads, write) = (bob.handle("logs/x", Rights::READ), bob.handle("logs/x", WRITES));
    // He leaves the group: he may read, and write no more.
    now_ruled(&scene, &host, &writes);
    assert_eq!(bob.revoked(write), "rights_changed");
    assert_eq!(code(&bob.write(write, 1, "one", None)), "bad_handle");
    now_ruled(&scene, &host, "allow = [{ who = \"bob\", paths = [\"logs/y\"] }]\nlease_s = 1");
    assert_eq!(bob.revoked(reads), "rights_changed");
    let short = bob.handle("logs/y", Rights::READ);
    assert_eq!(bob.revoked(short), "lease_over");
    now_ruled(&scene, &host, "allow = [\"bob\"]\nlease_s = 60");
    let moves = bob.handle("logs/y", Rights::READ);
    now_ruled(&scene, &host, "allow = [\"bob\"]\n[redirect]\n\"logs/y\" = \"archive.alice\"");
    assert_eq!(bob.revoked(moves), "moved");
    let elsewhere = bob.lease("logs/y", Rights::READ, None);
    assert!(matches!(&elsewhere, Said::Redirect { to, .. } if to == "archive.alice.dgns.test"), "{elsewhere:?}");
    let files = bob.runtime.block_on(bob.connection.list()).expect("the connection stands");
    assert_eq!(files.len(), 2);
}

#[test]
fn grants_and_tokens_open_what_rules_alone_do_not_until_they_are_taken_back() {
    let scene = Scene::new();
    scene.write("logs/x", b"first\n");
    let did = did_of(&scene, &scene.alice);
    let _host = scene.host(&["--proof"]);
    let grant = |log: &str, rights: &str| {
        let resource = format!("{did}/{log}");
        let ran = scene.alice.dgns(&scene.server, &["grant", "bob", &resource, "--rights", rights, "--until", "1d"]);
        (ran.exits(0).text("/grant"), ran.text("/sid"))
    };
    let (chain, sid) = grant("logs", "rw");
    let envelope = data_encoding::BASE64URL_NOPAD.decode(chain.strip_prefix("dgg1.").unwrap().as_bytes()).unwrap();
    let grants = Shown::Grants(vec![envelope.clone()]);

    // A grant, shown for a nonce: of this device, once, and only as far as it goes.
    let mut bob = Speaker::new(&scene, &scene.bob);
    let Said::Handle { handle, .. } = bob.shows("logs/x", WRITES, grants.clone()) else { panic!("a handle") };
    assert!(matches!(bob.write(handle, 1, "by grant", None), Said::Receipt { .. }));
    assert_eq!(code(&bob.shows("other", Rights::READ, grants.clone())), "not_granted");
    let Said::NeedProof { nonce, .. } = bob.lease("logs/x", WRITES, None) else { panic!("a nonce") };
    let credential = Credential::sign(grants.clone(), nonce, &origin(), &bob.key).encode();
    let by_another = Credential::sign(grants, nonce, &origin(), &SigningKey::from_seed(&[9; 32])).encode();
    assert_eq!(code(&bob.lease("logs/x", WRITES, Some(by_another))), "bad_proof");
    let second = match bob.lease("logs/x", WRITES, Some(credential.clone())) {
        Said::Handle { handle, .. } => handle,
        other => panic!("no handle: {other:?}"),
    };
    assert_eq!(code(&bob.lease("logs/x", WRITES, Some(credential))), "bad_proof", "a nonce is spent");

    // A token, made of the grant; and one that is for somebody else.
    let exchange = ["token", "exchange", &chain, "--audience", &did, "--scope", "logs/x:r"];
    let held = scene.bob.dgns(&scene.server, &exchange);
    let (token, rid) = (held.exits(0).text("/token"), held.text("/rid"));
    let Said::Handle { handle: by_token, .. } = bob.shows("logs/x", Rights::READ, Shown::Token(token.clone())) else {
        panic!("a handle")
    };
    assert_eq!(code(&bob.shows("logs/x", WRITES, Shown::Token(token.clone()))), "token_scope");
    assert_eq!(code(&bob.shows("logs/x", Rights::READ, Shown::Token("dgt1.x".to_owned()))), "bad_token");
    let for_server = scene.bob.dgns(&scene.server, &["token", "lease"]).exits(0).text("/token");
    assert_eq!(code(&bob.shows("logs/x", Rights::READ, Shown::Token(for_server.clone()))), "token_mac");

    // In the hello: what it gives is there at once; what counts for nothing ends the connection by name.
    let mut with_token = Speaker::with(&scene, &scene.bob, Some(&token)).unwrap_or_else(|error| panic!("{error}"));
    let files = with_token.runtime.block_on(with_token.connection.list()).expect("a list");
    assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["logs/x"]);
    let read_by_token = with_token.handle("logs/x", Rights::READ);
    let carol = Person::new();
    carol.up(&scene.server, "carol");
    for (person, shown, refused) in [
        (&scene.bob, "dgt1.x", "bad_token"),
        (&scene.bob, for_server.as_str(), "token_mac"),
        (&carol, token.as_str(), "token_device"),
    ] {
        let Err(error) = Speaker::with(&scene, person, Some(shown)) else { panic!("{refused}: let in") };
        assert_eq!(error.code(), refused);
    }

    // Taken back: each handle ends by its own reason, both connections go on.
    scene.bob.dgns(&scene.server, &["token", "revoke", &rid]).exits(0);
    assert_eq!(bob.revoked(by_token), "token_revoked");
    assert_eq!(with_token.revoked(read_by_token), "token_revoked");
    assert!(with_token.runtime.block_on(with_token.connection.list()).expect("it goes on").is_empty());
    let Err(error) = Speaker::with(&scene, &scene.bob, Some(&token)) else { panic!("a revoked token lets in") };
    assert_eq!(error.code(), "token_revoked");
    scene.alice.dgns(&scene.server, &["token", "revoke", "--grant", &sid]).exits(0);
    assert_eq!(bob.revoked(handle), "grant_revoked");
    assert_eq!(bob.revoked(second), "grant_revoked");
    assert_eq!(code(&bob.shows("logs/x", WRITES, Shown::Grants(vec![envelope]))), "grant_revoked");
    assert_eq!(fs::read(scene.served().join("logs/x")).unwrap(), b"first\nby grant\n");
}

#[test]
fn what_a_device_holds_is_shown_by_itself() {
    let scene = Scene::new();
    let _host = scene.host(&["--proof"]);
    let append = |more: &[&str], input: &str| {
        let arguments = [&["connect", NAME, "--append", "x"], more].concat();
        scene.bob.dgns_at(&scene.server.url, &arguments, input)
    };
    assert_eq!(append(&[], "a\n").exits(4).text("/code"), "needproof");
    let resource = format!("{}/x", did_of(&scene, &scene.alice));
    let granted = scene.alice.dgns(&scene.server, &["grant", "bob", &resource, "--rights", "rw", "--until", "1d"]);
    let (grant, sid) = (granted.exits(0).text("/grant"), granted.text("/sid"));
    append(&[], "a\n").exits(0);
    append(&["--grant", &grant], "b\n").exits(0);
    let held = scene.bob.dgns(&scene.server, &["token", "exchange", &grant, "--audience", "alice"]);
    append(&["--token", &held.exits(0).text("/rid")[..8]], "c\n").exits(0);
    scene.alice.dgns(&scene.server, &["token", "revoke", "--grant", &sid]).exits(0);
    append(&[], "d\n").exits(4);
    assert_eq!(fs::read(scene.served().join("x")).unwrap(), b"a\nb\nc\n");
}

#[test]
fn certificates_are_passed_on_and_attested_grants_count() {
    let scene = Scene::new();
    let _host = scene.host(&["--proof"]);
    let mut bob = Speaker::new(&scene, &scene.bob);
    let attest = |bob: &mut Speaker, envelope: Vec<u8>| bob.ask(|id| Said::Attest { id, envelope });

    // A device of bob's, that the log then has.
    let (certificate, new) = device_certificate(&scene, &scene.bob);
    let mut cut = certificate.clone();
    cut.pop();
    assert_eq!(code(&attest(&mut bob, cut)), "not_taken");
    let Said::Ok { index: Some(index), .. } = attest(&mut bob, certificate.clone()) else { panic!("an index") };
    assert!(matches!(attest(&mut bob, certificate), Said::Ok { index: Some(again), .. } if again == index));
    let listed = scene.bob.dgns(&scene.server, &["devices", "list"]).exits(0).stdout.clone();
    assert!(listed.contains(&data_encoding::HEXLOWER.encode(&new.kid().0)), "{listed}");

    // A grant of alice's; bob's own on her DID is none, and one on somebody else's is not for this host.
    let grant = |by: &Person, resource: &Person| {
        let resource = did_of(&scene, resource);
        let ran = by.dgns(&scene.server, &["grant", "bob", &resource, "--rights", "rw", "--until", "1d"]);
        let text = ran.exits(0).text("/grant");
        data_encoding::BASE64URL_NOPAD.decode(text.strip_prefix("dgg1.").unwrap().as_bytes()).unwrap()
    };
    assert!(matches!(bob.lease("x", WRITES, None), Said::NeedProof { .. }));
    let carol = Person::new();
    carol.up(&scene.server, "carol");
    assert_eq!(code(&attest(&mut bob, grant(&carol, &carol))), "not_taken");
    assert_eq!(attest(&mut bob, grant(&scene.alice, &scene.alice)), Said::Ok { id: bob.ids, index: None });
    let handle = bob.handle("x", WRITES);
    assert!(matches!(bob.write(handle, 1, "one", None), Said::Receipt { .. }));
}

/// A certificate that adds a device to somebody, whom nobody posted it for; with its key.
fn device_certificate(scene: &Scene, person: &Person) -> (Vec<u8>, SigningKey) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let session = Session::open(&Home::open(person.home()).unwrap(), &scene.server.url).await.unwrap();
        let keys = session.log().device().unwrap().expect("a device");
        let did: Did = keys.did.expect("a DID");
        let resolved = session.resolve_did(&did).await.unwrap();
        let place = dgns_client::draft::Place::after(
            did,
            &resolved.did().unwrap().head,
            resolved.head(),
            dgns_client::clock::now(),
        );
        let key = SigningKey::from_seed(&[78; 32]);
        let kex = KexSecret::from_bytes([78; 32]).public();
        let body = Body::DeviceAdd(Device { sign: key.public(), kex, level: Level::Service, label_hash: [0; 32] });
        let certificate = place.sign(body, None, &origin(), &[&keys.sign, &key]).unwrap();
        (certificate.encode(), key)
    })
}
