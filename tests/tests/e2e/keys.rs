//! A key enters one chain, once: whoever brings it again is refused, after a restart and after a kill as before (PROTOCOL 12.17).

use std::process::Command;
use std::thread;

use dgns_client::rng;
use dgns_tests::harness::load::{NOTHING_SEEN, Poster, Somebody, body, origin};
use dgns_tests::harness::{Person, Server, Site, wait};
use dgns_tests::skip::without_sqlite3;
use identity::cert::{
    Body, Certificate, Device, DeviceEnd, DidKind, EndReason, Genesis, IdRotate, KeyBytes, Level, Payload,
};
use identity::key::{KexSecret, SigningKey};

/// The keys of a newcomer, each made anew unless a test takes an old one.
struct Fresh {
    identity: SigningKey,
    words_box: KeyBytes,
    sign: SigningKey,
    kex: KeyBytes,
}

impl Fresh {
    fn new() -> Self {
        let rng = &mut rng::system();
        Self {
            identity: SigningKey::generate(rng),
            words_box: KexSecret::generate(rng).public(),
            sign: SigningKey::generate(rng),
            kex: KexSecret::generate(rng).public(),
        }
    }

    fn genesis(&self) -> Certificate {
        let body = Body::Genesis(Genesis {
            kind: DidKind::User,
            identity: self.identity.public(),
            words_box: self.words_box,
            device: self.device(),
            window_s: None,
            user_key: None,
        });
        let payload = Payload {
            subject: None,
            seq: 0,
            prev: None,
            seen: NOTHING_SEEN,
            unix_s: 0,
            body,
            critical: true,
            by: None,
        };
        Certificate::sign(&payload, &origin(), &[&self.identity, &self.sign]).unwrap()
    }

    fn device(&self) -> Device {
        Device { sign: self.sign.public(), kex: self.kex, level: Level::Admin, label_hash: [7; 32] }
    }

    fn device_add(&self, somebody: &Somebody) -> Certificate {
        let device = self.device();
        let keys = [&somebody.device.sign, &self.sign];
        somebody.next.sign(Body::DeviceAdd(device), None, &origin(), &keys).unwrap()
    }

    fn rotation(&self, somebody: &Somebody) -> Certificate {
        let words = somebody.words.identity();
        let body = Body::IdRotate(IdRotate { identity: self.identity.public(), words_box: self.words_box });
        somebody.next.sign(body, None, &origin(), &[&words, &self.identity]).unwrap()
    }
}

/// Returns the status and code of a post.
fn posted(server: &Server, certificates: &[Certificate]) -> (u16, String) {
    let answer = server.post("/v1/certificates", &body(certificates));
    match answer.status {
        200 => (200, String::new()),
        status => (status, answer.problem_code()),
    }
}

fn refused(server: &Server, what: &str, certificates: &[Certificate]) {
    assert_eq!(posted(server, certificates), (409, "key_reused".to_owned()), "{what}");
}

/// Somebody who stands in the log, with a device that was revoked and words that were rotated.
struct Old {
    bob: Somebody,
    gone: Fresh,
    words_before: SigningKey,
    words_now: SigningKey,
}

impl Old {
    fn new(server: &Server, label: &str) -> Self {
        let (mut bob, birth) = Somebody::new(label, 1);
        assert_eq!(posted(server, &birth), (200, String::new()));
        let words_before = bob.words.identity();
        let gone = Fresh::new();
        let added = gone.device_add(&bob);
        bob.next = bob.next.next(&added);
        let revoked = bob.says(Body::DeviceRevoke(DeviceEnd { kid: gone.sign.kid(), reason: EndReason::Lost }));
        assert_eq!(posted(server, &[added, revoked]), (200, String::new()));
        // New words at once: the old ones sign for them.
        let new = Fresh::new();
        let rotated = new.rotation(&bob);
        bob.next = bob.next.next(&rotated);
        assert_eq!(posted(server, &[rotated]), (200, String::new()));
        Self { bob, gone, words_before, words_now: new.identity }
    }

    /// Brings each of these keys again wherever keys come in.
    fn comes_back_nowhere(&self, server: &Server) {
        let bob = &self.bob;
        let (carol, birth) = Somebody::new(&format!("c{}", server.get("/v1/log/status").json()["size"]), 1);
        assert_eq!(posted(server, &birth), (200, String::new()));
        let signing = [
            ("the identity key", self.words_now.clone()),
            ("an identity key of before", self.words_before.clone()),
            ("a device", bob.device.sign.clone()),
            ("a revoked device", self.gone.sign.clone()),
        ];
        for (what, old) in signing {
            refused(server, what, &[Fresh { identity: old.clone(), ..Fresh::new() }.genesis()]);
            refused(server, what, &[Fresh { sign: old.clone(), ..Fresh::new() }.genesis()]);
            refused(server, what, &[Fresh { sign: old.clone(), ..Fresh::new() }.device_add(&carol)]);
            refused(server, what, &[Fresh { identity: old.clone(), ..Fresh::new() }.rotation(&carol)]);
        }
        let sealing = [
            ("the words box", bob.words.words_box().public()),
            ("a device's kex", bob.device.kex.public()),
            ("a revoked device's kex", self.gone.kex),
        ];
        for (what, old) in sealing {
            refused(server, what, &[Fresh { words_box: old, ..Fresh::new() }.genesis()]);
            refused(server, what, &[Fresh { kex: old, ..Fresh::new() }.genesis()]);
            refused(server, what, &[Fresh { kex: old, ..Fresh::new() }.device_add(&carol)]);
            refused(server, what, &[Fresh { words_box: old, ..Fresh::new() }.rotation(&carol)]);
            refused(server, what, &[Fresh { kex: old, ..Fresh::new() }.device_add(bob)]);
        }
        refused(server, "its own revoked device", &[self.gone.device_add(bob)]);
        let again = Fresh { sign: bob.device.sign.clone(), ..Fresh::new() }.device_add(bob);
        assert_eq!(posted(server, &[again]), (422, "kid_taken".to_owned()), "the rules speak first");
    }
}

#[test]
fn no_key_enters_a_second_chain_nor_comes_back_whatever_became_of_the_server() {
    // Goal: keys of live and of revoked devices, words and words boxes, in every certificate that brings keys: at first, after a
    // restart, after a kill, and once their entries left the database for a bundle.
    let site = Site::new();
    let server = site.start();
    let old = Old::new(&server, "bob");
    old.comes_back_nowhere(&server);
    server.kill();
    let server = site.start();
    old.comes_back_nowhere(&server);
    fill(&server);
    server.stop().exits(0);
    let server = site.start();
    old.comes_back_nowhere(&server);
    Person::new().dgns(&server, &["audit"]).exits(0);
    server.stop().exits(0);
    site.dgnsd(&["fsck"]).exits(0);
}

#[test]
fn a_database_that_lacks_the_keys_is_filled_from_the_log() {
    // Goal: a log that was made before keys were noted knows them after one start. Method: the rows taken away by `sqlite3`.
    if without_sqlite3() {
        return;
    }
    let site = Site::new();
    let server = site.start();
    let old = Old::new(&server, "bob");
    fill(&server);
    server.stop().exits(0);
    let sql = |text: &str| {
        let ran = Command::new("sqlite3").arg(site.data().join("names.db")).arg(text).output().unwrap();
        assert!(ran.status.success(), "{text}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    };
    let kept = sql("SELECT hex(marks) FROM enrolled ORDER BY bundle");
    assert!(kept.len() > 100, "a bundle is durable, and its keys are kept: {kept}");
    sql("DROP TABLE enrolled; DROP TABLE changed; ALTER TABLE heads DROP COLUMN changed_from; PRAGMA user_version = 2");
    site.dgnsd(&["fsck"]).exits(1);
    let server = site.start();
    old.comes_back_nowhere(&server);
    server.stop().exits(0);
    assert_eq!(sql("SELECT hex(marks) FROM enrolled WHERE bundle = 0"), kept.lines().next().unwrap_or_default());
    site.dgnsd(&["fsck"]).exits(0);
}

#[test]
fn of_posts_that_race_with_one_key_one_gets_it() {
    // Goal: no key enters two chains, whoever comes at the same moment. Method: four newcomers with one device, eight times over;
    // the same post by four at once is one post.
    let site = Site::new();
    let server = site.start();
    for _ in 0..8 {
        let shared = SigningKey::generate(&mut rng::system());
        let posts: Vec<_> = (0..4).map(|_| vec![Fresh { sign: shared.clone(), ..Fresh::new() }.genesis()]).collect();
        let outcomes = at_once(&server, &posts);
        assert_eq!(outcomes.iter().filter(|(status, _)| *status == 200).count(), 1, "{outcomes:?}");
        let lost = outcomes.iter().filter(|outcome| **outcome == (409, "key_reused".to_owned())).count();
        assert_eq!(lost, 3, "{outcomes:?}");
        let one = vec![Fresh::new().genesis()];
        let outcomes = at_once(&server, &[one.clone(), one.clone(), one.clone(), one]);
        assert!(outcomes.iter().all(|(status, _)| *status == 200), "{outcomes:?}");
    }
}

#[test]
fn what_was_refused_leaves_its_keys_free() {
    let site = Site::new();
    let server = site.start();
    let (_, first) = Somebody::new("bob", 1);
    assert_eq!(posted(&server, &first), (200, String::new()));
    // The claim is refused, and the genesis with it.
    let (carol, birth) = Somebody::new("bob", 1);
    assert_eq!(posted(&server, &birth), (409, "name_taken".to_owned()));
    let mut poster = Poster::new(server.vkey());
    poster.post(server.http, &birth[..1], &identity::state::Subject::Did(carol.did)).unwrap();
}

fn at_once(server: &Server, posts: &[Vec<Certificate>]) -> Vec<(u16, String)> {
    thread::scope(|scope| {
        let posts: Vec<_> = posts.iter().map(|post| scope.spawn(|| posted(server, post))).collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    })
}

/// Adds so much that the first bundle is durable, and waits for it.
fn fill(server: &Server) {
    let (mut dora, birth) = Somebody::new("dora", 1);
    assert_eq!(posted(server, &birth), (200, String::new()));
    let changes: Vec<_> = (0..=255).map(|last| dora.points_to([192, 0, 2, last])).collect();
    for part in changes.chunks(16) {
        assert_eq!(posted(server, part), (200, String::new()));
    }
    wait::until("the first bundle is durable", || (server.get("/log/tile/entries/000").status == 200).then_some(()));
}
