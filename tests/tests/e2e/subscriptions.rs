//! Subscription databases: each user proves what they are a member of and is sent invitations, and nobody else is shown any of it.

use dgns_api::path;
use dgns_api::problem::Problem;
use dgns_api::store::arrival::Arrival;
use dgns_api::store::content;
use dgns_api::store::control::{Control, DbKind};
use dgns_api::store::entry::{Class, Entry, Header, LogId, LogKind, encode_request};
use dgns_api::store::limits::PARTITION_REQUEST_BYTES_MAX;
use dgns_api::store::partition::{self, Membership, Proof, SealedInvitation};
use dgns_client::error::ClientError;
use dgns_client::home::{DeviceKeys, Home};
use dgns_client::session::{Session, Signer};
use dgns_client::store::database::OpenDb;
use dgns_tests::harness::journey::joins;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Ran, Server, Site, wait};
use identity::did::Did;
use identity::hash::Hash;
use identity::sealed::Sealed;
use identity::token::Rights;
use serde_json::Value;

const PLACE: &str = "news.olga";

fn db(person: &Person, server: &Server, arguments: &[&str]) -> Ran {
    person.dgns(server, &[&["db", arguments[0], PLACE], &arguments[1..]].concat())
}

fn log_of(place: &str, user: &str, kind: LogKind) -> LogId {
    partition::log_of(&place.parse().unwrap(), &user.parse().unwrap(), kind)
}

#[test]
fn users_prove_what_they_are_members_of_and_are_sent_invitations_that_nobody_else_sees() {
    // Goal: bob is invited to alice's database, is let in, and proves it for all of his devices; nobody else reads any of it, not even the owner; a revoke is
    // told from what was proved before. Method: three people and a second home of bob's, the real programs, files looked at in the end.
    let site = Site::new().with("storage", "anchor_s", "1");
    let server = site.start();
    let [olga, alice, bob] = ["olga", "alice", "bob"].map(|name| Person::with_name(&server, name));
    let made = olga.dgns(&server, &["db", "create", PLACE, "--kind", "subscription", "--no-words"]).exits(0).json();
    assert_eq!(made["kind"], "subscription");
    alice.dgns(&server, &["db", "create", "photos.alice", "--no-words"]).exits(0);
    alice.dgns_with_input(&server, &["db", "append", "photos.alice"], "a bridge").exits(0);

    let message = ["invite", "--to", "bob", "--database", "photos.alice", "--message", "Come to the lighthouse."];
    assert_eq!(db(&alice, &server, &message).exits(4).text("/code"), "not_found", "bob takes none");
    assert_eq!(db(&bob, &server, &["subscribe"]).exits(0).number("/added"), 1);
    assert_eq!(db(&bob, &server, &["subscribe"]).exits(0).number("/added"), 0);
    db(&alice, &server, &message).exits(0);
    let received = db(&bob, &server, &["invitations"]).exits(0).json()["invitations"].clone();
    let [first] = received.as_array().unwrap().as_slice() else { panic!("{received}") };
    assert_eq!((&first["text"], &first["from_name"]), (&"Come to the lighthouse.".into(), &"alice.dgns.test".into()));
    assert_eq!(first["database_name"], "photos.alice.dgns.test");
    assert_ne!(db(&bob, &server, &["subscribe", "photos.alice"]).code, Some(0), "an invitation lets nobody in");

    alice.dgns(&server, &["db", "grant", "photos.alice", "bob", "--read"]).exits(0);
    assert_eq!(db(&bob, &server, &["subscribe", "photos.alice"]).exits(0).number("/added"), 1);
    assert_eq!(db(&bob, &server, &["subscribe", "photos.alice"]).exits(0).number("/added"), 0);
    let second = copy_of(&bob);
    for device in [&bob, &second] {
        let said = db(device, &server, &["subscriptions"]).exits(0).json();
        assert_eq!(
            (&said["subscriptions"][0]["name"], &said["subscriptions"][0]["member"]),
            (&"photos.alice.dgns.test".into(), &true.into())
        );
    }
    assert_eq!(db(&second, &server, &["invitations"]).exits(0).json()["invitations"], received);
    alice.dgns(&server, &["db", "revoke", "photos.alice", "bob"]).exits(0);
    let said = db(&bob, &server, &["subscriptions"]).exits(0).json();
    assert_eq!(
        (&said["subscriptions"][0]["member"], &said["subscriptions"][0]["code"]),
        (&false.into(), &"not_reader".into())
    );
    assert_eq!(db(&bob, &server, &["unsubscribe", "photos.alice"]).exits(0).number("/added"), 1);
    assert!(db(&second, &server, &["subscriptions"]).exits(0).json()["subscriptions"].as_array().unwrap().is_empty());

    // Whoever asks for what is another's is told what they would be if there were none.
    for person in [&alice, &olga] {
        assert!(db(person, &server, &["invitations"]).exits(0).json()["invitations"].as_array().unwrap().is_empty());
        assert_eq!(db(person, &server, &["subscriptions"]).exits(0).json()["partition"], false);
    }
    for refused in [["grant", "alice", "--read"].as_slice(), &["append"]] {
        assert_ne!(db(&olga, &server, refused).code, Some(0), "{refused:?}");
    }
    assert_eq!(db(&olga, &server, &["owners"]).exits(0).json()["kind"], "subscription");
    wait::until("the partitions are anchored", || {
        let audited = Person::new().dgns(&server, &["audit"]);
        audited.exits(0);
        db(&bob, &server, &["invitations"]).exits(0);
        Some(())
    });
    let other =
        log_of(made["did"].as_str().unwrap(), &bob.dgns(&server, &["whoami"]).exits(0).text("/did"), LogKind::Proofs);
    let held = std::fs::read_to_string(bob.home().join("dgns.test/store").join(format!("{other}.json")));
    assert!(held.is_ok_and(|place| place.contains("\"next\":3") || place.contains("\"next\": 3")), "his own place");

    server.stop().exits(0);
    for name in ["store.db", "store.db-wal"] {
        let held = std::fs::read(site.data().join(name)).unwrap_or_default();
        assert!(!held.windows(10).any(|window| window == b"lighthouse"), "{name}");
    }
    site.dgnsd(&["fsck", "--json"]).exits(0);
}

/// The same device again, with what it had until then and nothing that it remembers of databases.
fn copy_of(person: &Person) -> Person {
    let home = tempfile::tempdir().unwrap().keep().join("second");
    assert!(std::process::Command::new("cp").arg("-a").arg(person.home()).arg(&home).status().unwrap().success());
    let remembered = home.join("dgns.test/store");
    assert!(remembered.is_dir());
    std::fs::remove_dir_all(remembered).unwrap();
    Person::in_home(home)
}

#[test]
fn a_sender_is_held_to_twenty_invitations_an_hour() {
    let site = Site::new();
    let server = site.start();
    let [olga, alice, bob] = ["olga", "alice", "bob"].map(|name| Person::with_name(&server, name));
    let made = olga.dgns(&server, &["db", "create", PLACE, "--kind", "subscription", "--no-words"]).exits(0).json();
    db(&bob, &server, &["subscribe"]).exits(0);
    for number in 0..20 {
        db(&alice, &server, &["invite", "--to", "bob", "--message", &format!("{number}")]).exits(0);
    }
    let refused = db(&alice, &server, &["invite", "--to", "bob", "--message", "once more"]);
    assert_eq!(refused.text("/code"), "rate", "{refused}");
    assert!((1..=3_600_000).contains(&refused.number("/problem/retry_ms")), "{refused}");
    // What is no person's makes no second sender of its owner.
    let itself = Person::in_home(made["home"].as_str().unwrap().into());
    let refused = db(&itself, &server, &["invite", "--to", "bob", "--message", "once more"]);
    assert_eq!(refused.exits(4).text("/code"), "not_writer", "{refused}");
    db(&olga, &server, &["invite", "--to", "bob", "--message", "somebody else is not held up"]).exits(0);
    let received = db(&bob, &server, &["invitations"]).exits(0).json()["invitations"].clone();
    assert_eq!(received.as_array().unwrap().len(), 21);
    let long = "x".repeat(3_041);
    assert_ne!(db(&olga, &server, &["invite", "--to", "bob", "--message", &long]).code, Some(0));
    db(&olga, &server, &["invite", "--to", "bob", "--message", &long[1..]]).exits(0);
}

#[test]
fn what_was_on_its_way_arrives_once_and_what_is_held_back_is_told() {
    // Goal: whatever is lost on the way, each proof and invitation stands there once; that a server holds back what others sent is told by a device that never
    // saw any of it, too. Method: somebody in between who swallows answers; then one who says that there is no such log.
    let site = Site::new();
    let server = site.start();
    let [olga, alice, bob] = ["olga", "alice", "bob"].map(|name| Person::with_name(&server, name));
    let made = olga.dgns(&server, &["db", "create", PLACE, "--kind", "subscription", "--no-words"]).exits(0).json();
    let deaf = Liar::before(server.http, |line, answer| (!line.starts_with("POST /v1/databases/")).then_some(answer));
    bob.dgns_at(&deaf.url, &["db", "subscribe", PLACE], "").exits(2);
    assert_eq!(db(&bob, &server, &["subscribe"]).exits(0).number("/added"), 0);
    alice.dgns_at(&deaf.url, &["db", "invite", PLACE, "--to", "bob", "--message", "one"], "").exits(2);
    let sent = db(&alice, &server, &["invite", "--to", "bob", "--message", "two"]).exits(0).json();
    assert_eq!(sent["resent"], true, "{sent}");
    let received = db(&bob, &server, &["invitations"]).exits(0).json()["invitations"].clone();
    let texts: Vec<_> = received.as_array().unwrap().iter().map(|received| received["text"].clone()).collect();
    assert_eq!(texts, ["one", "two"]);

    // What was proved is acknowledged, though it holds no more.
    alice.dgns(&server, &["db", "create", "photos.alice", "--no-words"]).exits(0);
    alice.dgns(&server, &["db", "grant", "photos.alice", "bob", "--read"]).exits(0);
    bob.dgns_at(&deaf.url, &["db", "subscribe", PLACE, "photos.alice"], "").exits(2);
    alice.dgns(&server, &["db", "revoke", "photos.alice", "bob"]).exits(0);
    assert_eq!(db(&bob, &server, &["unsubscribe", "photos.alice"]).exits(0).number("/added"), 1);

    let second = copy_of(&bob);
    let user = bob.dgns(&server, &["whoami"]).exits(0).text("/did");
    let log = log_of(made["did"].as_str().unwrap(), &user, LogKind::Invitations);
    let holds_back = Liar::before(server.http, move |line, mut answer| {
        if line.contains(&format!("{log}/entries")) {
            let none = Problem::new(404, "not_found", "there is no such log");
            (answer.status, answer.body) = (404, serde_json::to_vec(&none).unwrap());
        }
        Some(answer)
    });
    for (device, code) in [(&second, "malformed"), (&bob, "store_rollback")] {
        let told = device.dgns_at(&holds_back.url, &["db", "invitations", PLACE], "");
        assert_eq!(told.exits(3).text("/code"), code, "{told}");
    }
}

#[test]
fn all_devices_of_a_person_have_one_partition_however_often_their_key_was_turned() {
    // Goal: whichever device begins it, the partition is the one that every other comes to, and what is sent later opens on those that are left. Method: two
    // devices; the second joined before the key was turned, and one that remembers nothing afterwards.
    let site = Site::new();
    let server = site.start();
    let [olga, alice, bob] = ["olga", "alice", "bob"].map(|name| Person::with_name(&server, name));
    olga.dgns(&server, &["db", "create", PLACE, "--kind", "subscription", "--no-words"]).exits(0);
    let [phone, lost] = [Person::new(), Person::new()];
    joins(&bob, &phone, &server, "bob");
    joins(&bob, &lost, &server, "bob");
    let kid = lost.dgns(&server, &["whoami"]).exits(0).text("/device/kid");
    bob.dgns(&server, &["devices", "revoke", &kid]).exits(0);
    assert_eq!(db(&phone, &server, &["subscribe"]).exits(0).number("/added"), 1);
    assert_eq!(db(&bob, &server, &["subscribe"]).exits(0).number("/added"), 0);
    db(&alice, &server, &["invite", "--to", "bob", "--message", "Come."]).exits(0);
    for device in [&bob, &phone, &copy_of(&phone)] {
        let received = db(device, &server, &["invitations"]).exits(0).json()["invitations"].clone();
        assert_eq!(received[0]["text"], "Come.");
    }
    assert_ne!(db(&lost, &server, &["invitations"]).code, Some(0));
}

/// A person who asks as no client would.
struct Asker {
    session: Session,
    keys: DeviceKeys,
    did: Did,
}

impl Asker {
    async fn new(person: &Person, server: &Server) -> Self {
        let session = Session::open(&Home::open(person.home()).unwrap(), &server.url).await.unwrap();
        let keys = session.log().device().unwrap().expect("a device");
        let did = keys.did.expect("a DID");
        Self { session, keys, did }
    }

    fn signer(&self) -> Signer<'_> {
        Signer { did: self.did, keys: &self.keys }
    }

    /// Returns the code that a question is refused with.
    async fn asks(&self, target: &str) -> Option<String> {
        code(self.session.get_signed(self.signer(), target).await)
    }

    /// Signs an entry of this device.
    fn signs(&self, class: Class, log: LogId, (lsn, prev): (u64, Option<Hash>), body: Vec<u8>) -> Entry {
        let header = Header {
            class,
            log,
            author: self.did,
            device: self.keys.sign.public(),
            lsn,
            prev,
            epoch: 0,
            refs: Vec::new(),
            body_bytes: 0,
            body: [0; 32],
            expect: None,
            unix_ms: 5,
        };
        Entry::sign(header, body, self.session.trust().origin(), &self.keys.sign).unwrap()
    }

    async fn posts(&self, target: &str, entry: &Entry) -> Option<String> {
        code(self.session.post_signed(self.signer(), target, &encode_request(std::slice::from_ref(entry))).await)
    }
}

fn code<T>(answer: Result<T, ClientError>) -> Option<String> {
    match answer {
        Ok(_) => None,
        Err(ClientError::Refused(problem)) => Some(problem.code),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_is_anothers_is_answered_as_what_there_is_not_and_what_proves_nothing_is_refused() {
    // Goal: in whatever is asked, a partition of somebody else looks like none; nobody writes there; a grant that stands in no control log, or at another place, is no
    // proof, and nobody else learns whether one is; what does not open hides nothing else. Method: the questions and entries of two people by hand.
    let site = Site::new();
    let server = site.start();
    let [olga, alice, bob] = ["olga", "alice", "bob"].map(|name| Person::with_name(&server, name));
    olga.dgns(&server, &["db", "create", PLACE, "--kind", "subscription", "--no-words"]).exits(0);
    alice.dgns(&server, &["db", "create", "photos.alice", "--no-words"]).exits(0);
    alice.dgns(&server, &["db", "grant", "photos.alice", "bob", "--read"]).exits(0);
    db(&bob, &server, &["subscribe"]).exits(0);
    db(&alice, &server, &["invite", "--to", "bob", "--message", "Come."]).exits(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut mallory = Asker::new(&alice, &server).await;
        let (olga, alice, bob) =
            (Asker::new(&olga, &server).await, Asker::new(&alice, &server).await, Asker::new(&bob, &server).await);
        let place = *OpenDb::open(&bob.session, bob.signer(), PLACE).await.unwrap().acl().did();
        let device = data_encoding::HEXLOWER.encode(&bob.keys.sign.public());
        for kind in [LogKind::Proofs, LogKind::Invitations] {
            // Of alice there is no partition, of bob there is.
            for (user, who) in [(&bob, &olga), (&bob, &alice), (&alice, &olga)] {
                let log = partition::log_of(&place, &user.did, kind);
                for what in ["entries?from=0", "entries?limit=0", "snapshots", "equivocations", "anchor?k=1"]
                    .map(str::to_owned)
                    .into_iter()
                    .chain([format!("cursor?device={device}")])
                {
                    let target = format!("{}{log}/{what}", path::LOGS);
                    assert_eq!(who.asks(&target).await.as_deref(), Some("not_found"), "{kind:?} {what}");
                }
            }
        }
        // Nor does any other question tell which of the two is there.
        let id = data_encoding::HEXLOWER.encode(&content::id_of(b"x"));
        let home = olga.session.trust().origin().clone();
        let begins = Control::Genesis { did: olga.did, kind: DbKind::General, home, salt: [3; 16] }.encode();
        for kind in [LogKind::Proofs, LogKind::Invitations] {
            let mut told = Vec::new();
            for user in [&bob, &alice] {
                let log = partition::log_of(&place, &user.did, kind);
                let begins = olga.signs(Class::Control, log, (0, None), begins.clone());
                let request = encode_request(std::slice::from_ref(&begins));
                let arrives = Arrival { entries: vec![begins], proof: None }.encode();
                let arrivals = format!("{}{log}/arrivals", path::LOGS);
                let signed = olga.signer();
                let posted =
                    async |target: &str, body: &[u8]| code(olga.session.post_signed(signed, target, body).await);
                let chunk = format!("{}{id}?log={log}", path::CHUNKS);
                told.push([
                    code(olga.session.put_signed(signed, &chunk, b"x").await),
                    posted(&format!("{}?log={log}", path::CHUNKS_HAVE), &content::encode_ids(&[])).await,
                    posted(path::DATABASES, &request).await,
                    posted(&format!("{}{log}/entries", path::LOGS), &request).await,
                    posted(&arrivals, &arrives).await,
                    olga.asks(&arrivals).await,
                    code(olga.session.delete_signed(signed, &arrivals).await),
                ]);
            }
            assert_eq!(told[0], told[1], "{kind:?}");
            assert!(told[0].iter().all(Option::is_some), "{told:?}");
        }
        // The same device says the same, whoever shows it another partition of its user.
        let log = partition::log_of(&place, &alice.did, LogKind::Proofs);
        let another = alice.signs(Class::Plain, log, (0, None), Proof::Open { salt: [1; 16] }.encode());
        assert_eq!(alice.posts(&format!("{}/{place}/proofs", path::DATABASES), &another).await, None);
        let own = data_encoding::HEXLOWER.encode(&alice.keys.sign.public());
        let log = partition::log_of(&place, &bob.did, LogKind::Invitations);
        assert_eq!(alice.asks(&format!("{}{log}/cursor?device={own}", path::LOGS)).await, None, "her own");

        let proofs = format!("{}/{place}/proofs", path::DATABASES);
        let log = partition::log_of(&place, &bob.did, LogKind::Proofs);
        let left = Proof::Left { db: place }.encode();
        let forged = alice.signs(Class::Plain, log, (0, None), left.clone());
        assert_eq!(alice.posts(&proofs, &forged).await.as_deref(), Some("not_found"));
        assert_eq!(alice.posts(&format!("{}{log}/entries", path::LOGS), &forged).await.as_deref(), Some("not_found"));

        let (first, _) =
            dgns_client::store::follow::Follower::from(log, 0).read(&bob.session, bob.signer(), 1, 0).await.unwrap();
        let next = (1, Some(first[0].leaf()));
        let photos = OpenDb::open(&bob.session, bob.signer(), "photos.alice").await.unwrap();
        let control = LogId::control(photos.acl().did());
        let (said, _) = dgns_client::store::follow::Follower::from(control, 0)
            .read(&bob.session, bob.signer(), 64, 0)
            .await
            .unwrap();
        let is_to_bob =
            |entry: &&Entry| matches!(Control::decode(entry.body()), Ok(Control::Grant { did, .. }) if did == bob.did);
        let pos = said.iter().position(|entry| is_to_bob(&entry)).unwrap();
        let member = |pos: usize, epoch: u64, grant: Entry, db: Did| {
            let proof = Membership { db, pos: pos as u64, epoch, grant };
            bob.signs(Class::Plain, log, next, Proof::Member(Box::new(proof)).encode())
        };
        let granted = Control::Grant { gid: 1, did: bob.did, rights: Rights::READ, until_s: u64::MAX };
        let by_himself = bob.signs(Class::Control, control, (0, None), granted.encode());
        let photos = *photos.acl().did();
        for (what, proof) in [
            ("another place", member(pos - 1, 1, said[pos].clone(), photos)),
            ("a key that there is not", member(pos, 9, said[pos].clone(), photos)),
            ("a grant to somebody else", member(2, 1, said[2].clone(), photos)),
            ("a grant by himself", member(pos, 1, by_himself.clone(), photos)),
            ("a grant in another database, which is not here", member(pos, 1, by_himself, alice.did)),
        ] {
            assert_eq!(bob.posts(&proofs, &proof).await.as_deref(), Some("bad_proof"), "{what}");
        }
        mallory.did = bob.did;
        for pos in [pos, pos - 1] {
            let proof = Membership { db: photos, pos: pos as u64, epoch: 2, grant: said[pos].clone() };
            let in_his_name = mallory.signs(Class::Plain, log, next, Proof::Member(Box::new(proof)).encode());
            assert_eq!(alice.posts(&proofs, &in_his_name).await.as_deref(), Some("unknown_device"), "{pos}");
        }
        assert_eq!(bob.posts(&proofs, &member(pos, 2, said[pos].clone(), photos)).await, None);
        assert_eq!(bob.posts(&format!("{}/x/proofs", path::DATABASES), &forged).await.as_deref(), Some("bad_query"));

        let invitations = format!("{}/{place}/invitations/{}", path::DATABASES, bob.did);
        let log = partition::log_of(&place, &bob.did, LogKind::Invitations);
        let (mut sent, mut next) = (Vec::new(), (0, None));
        for generation in [0, 1, u64::MAX] {
            let sealed = Sealed { enc: [4; 32], ct: vec![5; 1_040] };
            sent.push(olga.signs(Class::Plain, log, next, SealedInvitation { generation, sealed }.encode()));
            next = (next.0 + 1, sent.last().map(Entry::leaf));
        }
        for (body, expected) in [
            (encode_request(&sent), "bad_query"),
            (vec![0; PARTITION_REQUEST_BYTES_MAX + 1], "too_large"),
            (b"x".to_vec(), "bad_field"),
        ] {
            let refused = olga.session.post_signed(olga.signer(), &invitations, &body).await;
            assert_eq!(code(refused).as_deref(), Some(expected));
        }
        for entry in &sent {
            assert_eq!(olga.posts(&invitations, entry).await, None);
        }
    });
    let received = db(&bob, &server, &["invitations"]).exits(0).json()["invitations"].clone();
    let texts: Vec<_> = received.as_array().unwrap().iter().map(|received| received["text"].as_str()).collect();
    assert_eq!(texts, [Some("Come."), None, None, None]);
    let received = db(&bob, &server, &["invitations", "--from", "3"]).exits(0).json()["invitations"].clone();
    assert_eq!(received.as_array().unwrap().len(), 1);
    let told = db(&alice, &server, &["subscriptions"]);
    assert_eq!(told.exits(3).text("/code"), "bad_proof", "{told}");
}

#[test]
fn what_came_before_a_lapse_is_told_to_be_gone_and_what_came_after_it_is_shown() {
    let site = Site::new().with("storage", "grace_days", "0");
    let server = site.start();
    let [olga, alice, bob] = ["olga", "alice", "bob"].map(|name| Person::with_name(&server, name));
    olga.dgns(&server, &["db", "create", PLACE, "--kind", "subscription", "--no-words"]).exits(0);
    db(&bob, &server, &["subscribe"]).exits(0);
    let sends = |text: &str| {
        db(&alice, &server, &["invite", "--to", "bob", "--message", text]).exits(0);
    };
    let becomes = |what: &str| {
        let shown = || olga.dgns(&server, &["account", "show"]).exits(0).json();
        wait::until(what, || Some(()).filter(|()| shown()["databases"][0]["dropped"] == what));
    };
    let received = |arguments: &[&str]| db(&bob, &server, &[&["invitations"], arguments].concat());
    let payer = olga.dgns(&server, &["whoami"]).exits(0).text("/did");
    sends("one");
    assert_eq!(received(&[]).exits(0).json()["dropped_to"], Value::Null);
    site.dgnsd(&["lease", &payer, "--days", "0"]).exits(0);
    becomes("yes");
    assert_eq!(received(&[]).exits(4).text("/code"), "dropped");
    site.dgnsd(&["lease", &payer, "--for-ever"]).exits(0);
    becomes("before");
    for texts in [&[][..], &["two"], &["two", "three"]] {
        if let Some(text) = texts.last() {
            sends(text);
        }
        let said = received(&[]).exits(0).json();
        let shown: Vec<_> = said["invitations"].as_array().unwrap().iter().map(|one| one["text"].clone()).collect();
        assert_eq!((shown, &said["dropped_to"]), (texts.iter().map(|text| Value::from(*text)).collect(), &1.into()));
    }
    let refused = received(&["--from", "0"]).exits(4).json();
    assert_eq!((&refused["code"], &refused["problem"]["first"]), (&"dropped".into(), &1.into()));
}
