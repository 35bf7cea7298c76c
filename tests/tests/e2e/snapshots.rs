//! Snapshots: what comes late reads in a few chunks what the log says, and who built them answers for what is in them.

use std::path::Path;
use std::process::Command;

use data_encoding::HEXLOWER;
use dgns_api::store::answer::{Range, encode_range};
use dgns_api::store::entry::{Class, Entry, Header, LogId, encode_request};
use dgns_api::store::record::Record;
use dgns_api::store::snapshot::{Manifest, Part, Row};
use dgns_client::home::Home;
use dgns_client::rng;
use dgns_client::session::{Session, Signer};
use dgns_client::store::database::{FIRST_GROUP, OpenDb};
use dgns_client::store::follow::Follower;
use dgns_client::store::seal::BodyPlace;
use dgns_client::store::snapshot::sealed::{Filling, seal_manifest};
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Ran, Server, Site};
use identity::did::Did;
use identity::hash::Hash;

const NAME: &str = "photos.alice";

fn append(person: &Person, server: &Server, records: &str) {
    person.dgns_with_input(server, &["db", "append", NAME], records).exits(0);
}

fn built(person: &Person, server: &Server) -> Ran {
    person.dgns(server, &["snapshot", "build", NAME])
}

fn restored(person: &Person, server: &Server) -> Ran {
    person.dgns(server, &["snapshot", "restore", NAME])
}

/// Holds what is restored against what the log says.
fn equal(person: &Person, server: &Server) {
    let read = person.dgns(server, &["db", "read", NAME]);
    let restored = restored(person, server);
    assert!(restored.exits(0).stdout == read.exits(0).stdout, "{restored}{read}");
    let text = |arguments: &[&str]| person.dgns_in_text(server, arguments).exits(0).stdout.clone();
    assert!(text(&["snapshot", "restore", NAME]) == text(&["db", "read", NAME]));
}

/// Lines of so many bytes in all, no two alike, as many as go into one entry.
fn lines(seed: u32, bytes: usize) -> String {
    let line = |number: u32| {
        let digits =
            (0..300).map(|i| char::from(b'a' + ((number ^ i).wrapping_mul(2_654_435_761 + seed) >> 27) as u8 % 26));
        format!("{seed} {number} {}\n", digits.collect::<String>())
    };
    (0..u32::try_from(bytes / 310).unwrap()).map(line).collect()
}

#[test]
fn a_snapshot_and_what_came_behind_it_are_what_the_log_says() {
    // Goal: who comes late reads the same from a snapshot as from the log. Method: records of every kind, snapshots that go on from
    // each other, output compared byte by byte; then someone who was let in last, and the comparison of every entry.
    let site = Site::new();
    let server = site.start();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    alice.dgns(&server, &["db", "grant", NAME, "bob", "--write"]).exits(0);
    let nothing = built(&alice, &server);
    assert_eq!(nothing.exits(0).json()["built"], false, "{nothing}");
    equal(&alice, &server);

    append(&alice, &server, "one\ntwo\n\n");
    append(&bob, &server, "three");
    let first = built(&alice, &server);
    assert_eq!((first.exits(0).number("/pos"), first.number("/size"), first.number("/records")), (2, 2, 4), "{first}");
    equal(&bob, &server);
    append(&bob, &server, "four");
    alice.dgns_with_input(&server, &["db", "append", NAME, "--whole"], &"y".repeat(70_000)).exits(0);
    append(&alice, &server, &lines(1, 600_000));
    equal(&bob, &server);
    let again = built(&alice, &server);
    assert_eq!(again.exits(0).number("/parts"), 1, "what is small goes with what follows: {again}");
    assert_eq!(built(&alice, &server).exits(0).json()["built"], false, "its own entry is no news");
    for seed in 2..5 {
        append(&bob, &server, &lines(seed, 700_000));
    }
    append(&bob, &server, "last");
    let third = built(&alice, &server);
    assert_eq!(third.exits(0).number("/parts"), 3, "{third}");
    equal(&bob, &server);

    // Somebody else's is another one, of the same chunks where the records are the same.
    let other = built(&bob, &server);
    assert_eq!(other.exits(0).number("/records"), third.number("/records"), "{other}");
    alice.dgns(&server, &["db", "grant", NAME, "carol", "--read"]).exits(0);
    append(&alice, &server, "behind it");
    equal(&carol, &server);
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let audited = carol.dgns(&server, &["snapshot", "restore", NAME, "--audit", "--out", out.to_str().unwrap()]);
    assert_eq!(audited.exits(0).json()["snapshot"]["audited"], true, "{audited}");
    assert!(!audited.stderr.contains("is the word of"), "{audited}");
    assert_eq!(audited.text("/snapshot/author"), bob.dgns(&server, &["whoami"]).exits(0).text("/did"));
    assert!(std::fs::read_to_string(&out).unwrap() == carol.dgns(&server, &["db", "read", NAME]).exits(0).stdout);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    alice.dgns(&server, &["db", "verify", NAME]).exits(0);

    // Who may not write builds none.
    let refused = built(&carol, &server);
    assert_eq!(refused.exits(4).text("/code"), "not_writer", "{refused}");
    // Who was revoked vouches for nothing any more; what was built before is passed over.
    alice.dgns(&server, &["db", "revoke", NAME, "bob"]).exits(0);
    let restored = restored(&carol, &server);
    assert!(restored.exits(0).stderr.contains("may not write any more"), "{restored}");
    equal(&carol, &server);
}

#[test]
fn what_is_broken_off_goes_on_where_it_was() {
    // Goal: nothing is sent or fetched twice because a connection broke. Method: somebody in the way cuts the second chunk.
    let site = Site::new();
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    for seed in 0..6 {
        append(&alice, &server, &lines(seed, 700_000));
    }
    let one_chunk = |method: &'static str| {
        let done = std::sync::atomic::AtomicU32::new(0);
        Liar::before(server.http, move |line, answer| {
            let is_chunk = line.starts_with(method) && line.contains("/v1/chunks/") && !line.contains("/have");
            let cut = is_chunk && done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0;
            (!cut).then_some(answer)
        })
    };
    let build = ["snapshot", "build", NAME];
    alice.dgns_at(&one_chunk("PUT").url, &build, "").exits(2);
    let (listening, seen) = Liar::listening(server.http);
    let whole = alice.dgns_at(&listening.url, &build, "");
    let puts = seen.lock().unwrap().iter().filter(|request| request.line.starts_with("PUT")).count() as u64;
    assert_eq!(
        puts,
        whole.exits(0).number("/parts") - 2,
        "one was stored, one was stored and its answer was lost: {whole}"
    );

    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let restore = ["snapshot", "restore", NAME, "--out", out.to_str().unwrap()];
    alice.dgns_at(&one_chunk("GET").url, &restore, "").exits(2);
    assert!(!out.exists());
    let (listening, seen) = Liar::listening(server.http);
    alice.dgns_at(&listening.url, &restore, "").exits(0);
    let gets = seen.lock().unwrap().iter().filter(|request| request.line.starts_with("GET /v1/chunks/")).count() as u64;
    assert_eq!(gets, whole.number("/parts") - 1);
    assert!(std::fs::read_to_string(&out).unwrap() == alice.dgns(&server, &["db", "read", NAME]).exits(0).stdout);

    let liar = Liar::before(server.http, |line, mut answer| {
        if line.starts_with("GET /v1/chunks/") {
            answer.body[1_000] ^= 1;
        }
        Some(answer)
    });
    let caught = alice.dgns_at(&liar.url, &["snapshot", "restore", NAME], "");
    assert_eq!(caught.exits(3).text("/code"), "chunk_hash", "{caught}");
}

/// What a builder who lies makes of an honest snapshot.
struct Lie {
    head: (u64, Hash),
    parts: Vec<Part>,
}

/// Says something as a snapshot of the log `main`, in the name of a person, as the next entry of their device.
fn says(person: &Person, server: &Server, lie: impl FnOnce(LogId, (u64, Hash), Honest) -> (Lie, Vec<Vec<u8>>)) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (log, entry) = runtime.block_on(async {
        let session = Session::open(&Home::open(person.home()).unwrap(), &server.url).await.unwrap();
        let keys = session.log().device().unwrap().expect("a device");
        let (author, device) = (keys.did.expect("a DID"), keys.sign.public());
        let signer = Signer { did: author, keys: &keys };
        let db = OpenDb::open(&session, signer, NAME).await.unwrap();
        let (log, _) = db.log("main").unwrap();
        let (mut follower, mut last) = (Follower::from(log, 0), None);
        loop {
            let (entries, size) = follower.read(&session, signer, 1_024, 0).await.unwrap();
            let mut own = entries.iter().filter(|entry| entry.header().device == device);
            last = own.next_back().map(|entry| (entry.header().lsn, entry.leaf())).or(last);
            if follower.next() >= size {
                break;
            }
        }
        let (epoch, key) = db.newest_key(FIRST_GROUP).unwrap();
        let honest = Honest {
            author,
            seal: &|rows: Vec<Row>| {
                let mut filling = Filling::default();
                rows.into_iter().for_each(|row| assert_eq!(filling.add(row), None));
                filling.seal(key)
            },
        };
        let (Lie { head: (size, root), parts }, chunks) = lie(log, (follower.next(), follower.root().unwrap()), honest);
        for chunk in chunks {
            let id = HEXLOWER.encode(&dgns_api::store::content::id_of(&chunk));
            session.put_signed(signer, &format!("/v1/chunks/{id}?log={log}"), &chunk).await.unwrap();
        }
        let manifest = Manifest { size, root, before: None, parts };
        let (lsn, prev) = last.map_or((0, None), |(lsn, leaf)| (lsn + 1, Some(leaf)));
        let body = seal_manifest(&manifest, key, &BodyPlace { log, device, lsn, epoch }, &mut rng::system());
        let (class, refs, expect, unix_ms) = (Class::Snapshot, manifest.refs(), None, 1);
        let (body_bytes, hash) = (0, [0; 32]);
        let header =
            Header { class, log, author, device, lsn, prev, epoch, refs, body_bytes, body: hash, expect, unix_ms };
        (log, Entry::sign(header, body, db.acl().home(), &keys.sign).unwrap())
    });
    server.post(&format!("/v1/logs/{log}/entries"), &encode_request(&[entry])).status
}

/// What who builds has at hand.
struct Honest<'k> {
    author: Did,
    seal: &'k dyn Fn(Vec<Row>) -> (Part, Vec<u8>),
}

impl Honest<'_> {
    /// A row of the entry at a place, whatever stands there.
    fn row(&self, pos: u64, text: &str) -> Row {
        Row { pos, epoch: 1, author: self.author, unix_ms: 1, records: vec![Record::Bytes(text.as_bytes().to_vec())] }
    }
}

fn caught(person: &Person, server: &Server, more: &[&str]) -> String {
    let ran = person.dgns(server, &[&["snapshot", "restore", NAME], more].concat());
    let line = ran.exits(3).stdout.lines().last().unwrap();
    let said: serde_json::Value = serde_json::from_str(line).unwrap();
    let code = said["code"].as_str().unwrap().to_owned();
    if code.starts_with("snapshot_") {
        assert!(
            line.contains("`dgns db read`") && said["evidence"].is_string(),
            "what else there is, and what is kept: {ran}"
        );
    }
    code
}

#[test]
fn a_snapshot_that_is_not_what_was_signed_names_who_built_it() {
    // Goal: what a builder signs about the log is proved or is its lie. Method: a writer signs each kind of false snapshot, and who may
    // read restores it.
    let site = Site::new();
    let server = site.start();
    let [alice, bob] = ["alice", "bob"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    alice.dgns(&server, &["db", "grant", NAME, "bob", "--write"]).exits(0);
    append(&bob, &server, "one\ntwo");
    append(&bob, &server, "three");
    let part = |honest: &Honest<'_>, rows: Vec<Row>| (honest.seal)(rows);

    let of_another_log = says(&bob, &server, |_, (size, _), _| (Lie { head: (size, [9; 32]), parts: vec![] }, vec![]));
    assert_eq!((of_another_log, caught(&alice, &server, &[])), (200, "snapshot_head".to_owned()));
    says(&bob, &server, |_, (size, root), _| (Lie { head: (size + 7, root), parts: vec![] }, vec![]));
    assert_eq!(caught(&alice, &server, &[]), "snapshot_head", "a head that the log does not have yet");
    says(&bob, &server, |_, head, honest| {
        let (one, chunk) = part(&honest, vec![honest.row(0, "one")]);
        (Lie { head, parts: vec![Part { records: 2, ..one }] }, vec![chunk])
    });
    assert_eq!(caught(&alice, &server, &[]), "snapshot_part", "fewer records than it says");
    says(&bob, &server, |_, head, honest| {
        let [(one, first), (two, second)] = ["one", "two"].map(|text| part(&honest, vec![honest.row(0, text)]));
        (Lie { head, parts: vec![Part { id: two.id, ..one.clone() }, Part { id: one.id, ..two }] }, vec![first, second])
    });
    assert_eq!(caught(&alice, &server, &[]), "snapshot_part", "two parts in each other's place");
    says(&bob, &server, |_, head, honest| {
        let (late, first) = part(&honest, vec![honest.row(1, "three")]);
        let (early, second) = part(&honest, vec![honest.row(0, "one")]);
        (Lie { head, parts: vec![late, early] }, vec![first, second])
    });
    assert_eq!(caught(&alice, &server, &[]), "snapshot_part", "entries in another order");
    says(&bob, &server, |_, head, honest| {
        let (beyond, chunk) = part(&honest, vec![honest.row(head.0, "beyond")]);
        (Lie { head, parts: vec![beyond] }, vec![chunk])
    });
    assert_eq!(caught(&alice, &server, &[]), "snapshot_part", "an entry that it does not cover");
    says(&bob, &server, |_, head, honest| {
        let row = Row { author: Did::from_bytes([5; 20]), ..honest.row(0, "a stranger's") };
        let (forged, chunk) = part(&honest, vec![row]);
        (Lie { head, parts: vec![forged] }, vec![chunk])
    });
    assert_eq!(caught(&alice, &server, &[]), "snapshot_part", "an entry by somebody who could not write");
    says(&bob, &server, |_, head, honest| {
        let records = vec![Record::Bytes(b"one".to_vec()); 600];
        let (many, chunk) = part(&honest, vec![Row { records, ..honest.row(0, "") }]);
        (Lie { head, parts: vec![many.clone(), many] }, vec![chunk])
    });
    assert_eq!(caught(&alice, &server, &[]), "snapshot_part", "more of an entry than one has");
    assert_eq!(caught(&alice, &server, &["--audit"]), "snapshot_part", "and nobody holds all of it to compare it");
    says(&bob, &server, |_, head, honest| {
        let (both, chunk) = part(&honest, vec![honest.row(0, "one"), honest.row(1, "three")]);
        (Lie { head, parts: vec![both.clone(), both] }, vec![chunk])
    });
    assert_eq!(caught(&alice, &server, &[]), "snapshot_part", "a part twice");
    says(&bob, &server, |_, head, honest| {
        let (one, first) = part(&honest, vec![honest.row(0, "one")]);
        let (two, second) = part(&honest, vec![Row { unix_ms: 2, ..honest.row(0, "two") }]);
        (Lie { head, parts: vec![one, two] }, vec![first, second])
    });
    assert_eq!(caught(&alice, &server, &[]), "snapshot_part", "an entry that goes on at another time");
    for at in [0, 1_000] {
        says(&bob, &server, |_, head, honest| {
            let (one, chunk) = part(&honest, vec![honest.row(0, "one")]);
            (Lie { head, parts: vec![Part { at: Some(at), ..one }] }, vec![chunk])
        });
        assert_eq!(caught(&alice, &server, &[]), "snapshot_part", "a chunk that entry {at} does not name");
    }

    // What the records are is the word of who built it, until somebody compares.
    for rows in [vec![(0, "never said")], vec![(0, "one"), (0, "two")], vec![]] {
        says(&bob, &server, |_, head, honest| {
            let (mut parts, mut chunks) = (vec![], vec![]);
            let records = rows.iter().map(|(_, text)| Record::Bytes(text.as_bytes().to_vec())).collect::<Vec<_>>();
            if !records.is_empty() {
                let (part, chunk) = part(&honest, vec![Row { records, ..honest.row(0, "") }]);
                (parts, chunks) = (vec![part], vec![chunk]);
            }
            (Lie { head, parts }, chunks)
        });
        let believed = restored(&alice, &server);
        assert_eq!(believed.exits(0).stdout.lines().count(), rows.len(), "{believed}");
        assert!(believed.stderr.contains("is the word of"), "beside lines of JSON, too: {believed}");
        let text = alice.dgns_in_text(&server, &["snapshot", "restore", NAME]);
        let bob_did = bob.dgns(&server, &["whoami"]).exits(0).text("/did");
        assert!(text.exits(0).stderr.contains(&format!("is the word of {bob_did}")), "{text}");
        assert_eq!(caught(&alice, &server, &["--audit"]), "snapshot_content", "{rows:?}");
    }
    assert!(!alice.evidence().is_empty(), "what was signed is kept");

    // Somebody who is honest builds one, and it is the newest.
    built(&alice, &server).exits(0);
    equal(&bob, &server);

    // Under the key of before, or by who was revoked, none is taken.
    let homes = tempfile::tempdir().unwrap();
    let copy = homes.path().join("copy");
    assert!(Command::new("cp").arg("-a").arg(bob.home()).arg(&copy).status().unwrap().success());
    alice.dgns(&server, &["db", "revoke", NAME, "bob"]).exits(0);
    let refused = built(&Person::in_home(copy), &server);
    assert!([3, 4].contains(&refused.code.unwrap()), "{refused}");
    equal(&alice, &server);
}

/// Runs SQL in the databases of a stopped server.
fn sql(data: &Path, text: &str) {
    let output = Command::new("sqlite3").arg(data.join("store.db")).arg(text).output().unwrap();
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_snapshot_by_who_may_not_write_convinces_nobody_whatever_the_server_takes() {
    // Goal: the right to build is judged by the reader. Method: a server that forgets what the control log says takes a reader's snapshot.
    let site = Site::new();
    let server = site.start();
    let [alice, bob] = ["alice", "bob"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    alice.dgns(&server, &["db", "grant", NAME, "bob", "--read"]).exits(0);
    append(&alice, &server, "one\ntwo");
    let honest = |_, head, _: Honest<'_>| (Lie { head, parts: vec![] }, vec![]);
    assert_eq!(says(&bob, &server, honest), 403);
    server.stop().exits(0);
    sql(site.data(), "UPDATE member SET rights = 7");
    let server = site.start();
    assert_eq!(says(&bob, &server, honest), 200);
    assert_eq!(caught(&alice, &server, &[]), "not_writer");
}

/// Returns the log `main` and its entry at a place.
fn entry_at(person: &Person, server: &Server, pos: u64) -> (LogId, Entry) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let session = Session::open(&Home::open(person.home()).unwrap(), &server.url).await.unwrap();
        let keys = session.log().device().unwrap().expect("a device");
        let signer = Signer { did: keys.did.expect("a DID"), keys: &keys };
        let (log, _) = OpenDb::open(&session, signer, NAME).await.unwrap().log("main").unwrap();
        let (mut entries, _) = Follower::from(log, pos).read(&session, signer, 1, 0).await.unwrap();
        (log, entries.remove(0))
    })
}

#[test]
fn an_entry_that_a_snapshot_covers_is_shown_again_to_nobody_who_audits() {
    // Goal: behind a snapshot that was compared, a log is read as if from its first entry. Method: a server that forgets what a device
    // appended takes its first entry again, behind the snapshot.
    let site = Site::new();
    let server = site.start();
    let [alice, bob] = ["alice", "bob"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    alice.dgns(&server, &["db", "grant", NAME, "bob", "--write"]).exits(0);
    append(&bob, &server, "pay 100");
    built(&alice, &server).exits(0);
    alice.dgns(&server, &["snapshot", "restore", NAME, "--audit"]).exits(0);
    let (log, entry) = entry_at(&bob, &server, 0);
    server.stop().exits(0);
    sql(site.data(), "UPDATE entry SET lsn = lsn + 1000; DELETE FROM cursor");
    let server = site.start();
    let again = server.post(&format!("/v1/logs/{log}/entries"), &encode_request(std::slice::from_ref(&entry)));
    assert_eq!(again.status, 200);
    assert!(entry_at(&bob, &server, 2).1 == entry, "it is there twice");
    assert_eq!(caught(&alice, &server, &["--audit"]), "lsn_gap");
}

#[test]
fn a_root_that_a_server_makes_up_is_no_lie_of_who_built() {
    // Goal: nobody is blamed for a root that no head proves. Method: somebody in the way changes the tree before the entry behind an honest
    // snapshot.
    let site = Site::new();
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    append(&alice, &server, "one");
    append(&alice, &server, "two");
    let mut honest = None;
    for _ in 0..2 {
        says(&alice, &server, |_, now, _| (Lie { head: *honest.get_or_insert(now), parts: vec![] }, vec![]));
    }
    restored(&alice, &server).exits(0);
    let liar = Liar::before(server.http, |line, mut answer| {
        if line.contains("/entries?from=2&limit=0&") {
            let Range { from, entries, head, mut edge, consistency, rest } = Range::decode(&answer.body).unwrap();
            edge.last_mut().unwrap()[0] ^= 1;
            let entries: Vec<Vec<u8>> = entries.iter().map(Entry::encode).collect();
            answer.body = encode_range(from, &entries, &head, [&edge, &consistency, &rest]);
        }
        Some(answer)
    });
    let told = alice.dgns_at(&liar.url, &["snapshot", "restore", NAME], "");
    assert_eq!(told.exits(3).text("/code"), "store_root", "{told}");
}
