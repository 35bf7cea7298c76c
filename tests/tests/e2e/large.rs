//! Records that no entry has room for: in chunks that the entry names, for who may read the entry and nobody else.

use std::path::Path;

use data_encoding::HEXLOWER;
use dgns_api::store::content;
use dgns_api::store::entry::{Class, Entry, Header, LogId, LogKind, encode_request};
use dgns_api::store::limits::ENTRY_CHUNK_BYTES_MAX;
use dgns_api::store::record::{Pieces, Record};
use dgns_client::error::ClientError;
use dgns_client::home::Home;
use dgns_client::rng;
use dgns_client::session::{Session, Signer};
use dgns_client::store::database::{FIRST_GROUP, OpenDb};
use dgns_client::store::seal::{self, BodyPlace};
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Server, Site, wait};

const NAME: &str = "photos.alice";

pub(crate) fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// How many large chunks a server keeps.
pub(crate) fn chunks(data: &Path) -> usize {
    let folders = std::fs::read_dir(data.join("chunks/c")).into_iter().flatten();
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

/// Asks the server for something in the name of a person.
fn asked(person: &Person, server: &Server, target: &str) -> Result<Vec<u8>, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let session = Session::open(&Home::open(person.home()).unwrap(), &server.url).await.unwrap();
        let keys = session.log().device().unwrap().expect("a device");
        session.get_signed(Signer { did: keys.did.expect("a DID"), keys: &keys }, target).await
    })
}

/// Stores a chunk in the name of a person.
fn put(person: &Person, server: &Server, target: &str, bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let session = Session::open(&Home::open(person.home()).unwrap(), &server.url).await.unwrap();
        let keys = session.log().device().unwrap().expect("a device");
        let signer = Signer { did: keys.did.expect("a DID"), keys: &keys };
        session.put_signed(signer, target, bytes).await.unwrap();
    });
}

fn code(answer: Result<Vec<u8>, ClientError>) -> String {
    answer.map(|bytes| format!("{} bytes", bytes.len())).unwrap_or_else(|error| error.code().to_owned())
}

/// Signs the first entry of a person's device, which names these chunks.
fn naming(person: &Person, server: &Server, refs: Vec<[u8; 32]>) -> (LogId, Entry) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let session = Session::open(&Home::open(person.home()).unwrap(), &server.url).await.unwrap();
        let keys = session.log().device().unwrap().expect("a device");
        let author = keys.did.expect("a DID");
        let db = OpenDb::open(&session, Signer { did: author, keys: &keys }, NAME).await.unwrap();
        let log = LogId::of(db.acl().did(), FIRST_GROUP, LogKind::Shared, "main");
        let (class, device, lsn, prev, epoch) = (Class::Data, keys.sign.public(), 0, None, 1);
        let (body_bytes, body, expect, unix_ms) = (0, [0; 32], None, 1);
        let header = Header { class, log, author, device, lsn, prev, epoch, refs, body_bytes, body, expect, unix_ms };
        (log, Entry::sign(header, vec![1; 64], db.acl().home(), &keys.sign).unwrap())
    })
}

#[test]
fn a_record_of_megabytes_is_kept_in_chunks_for_who_may_read_its_entry_alone() {
    let site = Site::new();
    let server = site.start();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    alice.dgns(&server, &["db", "grant", NAME, "bob", "--write"]).exits(0);
    let directory = tempfile::tempdir().unwrap();
    let (file, out) = (directory.path().join("file"), directory.path().join("out"));
    std::fs::write(&file, bytes(3_500_000)).unwrap();

    // What no line can be is one record all the same, and stays where it was when it is appended again.
    let line = alice.dgns_with_input(&server, &["db", "append", NAME], &"x".repeat(70_000));
    assert!(line.exits(1).to_string().contains("--whole"), "{line}");
    let whole = ["db", "append", NAME, "--whole", file.to_str().unwrap()];
    for pos in 0..2 {
        assert_eq!(bob.dgns(&server, &whole).exits(0).number("/pos"), pos);
        assert_eq!(chunks(site.data()), 4, "three of a MiB, and the last one padded");
    }
    let small = ["db", "append", NAME, "--whole"];
    alice.dgns_with_input(&server, &small, "two\nlines").exits(0);
    alice.dgns_with_input(&server, &small, &"y".repeat(70_000)).exits(0);
    assert_eq!(chunks(site.data()), 5);

    // Nothing is stored for what will not be taken: too much for a record, or for a log that went on.
    for (bytes, more) in [((48 << 20) + 1, &[][..]), (70_001, &["--expect", "1"][..])] {
        std::fs::write(&out, vec![3; bytes]).unwrap();
        let whole = ["db", "append", NAME, "--whole", out.to_str().unwrap()];
        alice.dgns(&server, &[&whole[..], more].concat()).exits(1);
        assert_eq!(chunks(site.data()), 5);
    }

    // It is told of among the others without being fetched, and fetched, checked and written as it was.
    let read = alice.dgns(&server, &["db", "read", NAME]).exits(0).stdout.clone();
    let rows: Vec<serde_json::Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let large = |bytes: u64, chunks: u64| (serde_json::json!(bytes), serde_json::json!(chunks));
    let told = |row: &serde_json::Value| (row["bytes"].clone(), row["chunks"].clone());
    assert_eq!((told(&rows[0]), told(&rows[3])), (large(3_500_000, 4), large(70_000, 1)));
    assert_eq!((&rows[2]["text"], rows[0].get("base64")), (&"two\nlines".into(), None));
    let get = |pos: &'static str| ["db", "get", NAME, pos, "--out", out.to_str().unwrap()];
    assert_eq!(alice.dgns(&server, &get("0")).exits(0).number("/bytes"), 3_500_000);
    assert!(std::fs::read(&out).unwrap() == bytes(3_500_000));
    alice.dgns(&server, &get("4")).exits(1);
    alice.dgns(&server, &get("99")).exits(1);

    // Its chunks are nobody's files; strangers learn nothing, not even whether they are there.
    let log = rows_log(&alice, &server);
    let id = first_chunk(site.data());
    let named = format!("/v1/chunks/{id}?log={log}&pos=0");
    let by_another = format!("/v1/chunks/{id}?log={log}&pos=2");
    assert_eq!(code(asked(&alice, &server, &named)), "1048576 bytes");
    for (person, target, refused) in [
        (&alice, format!("/v1/chunks/{id}"), "not_found"),
        (&bob, format!("/v1/chunks/{id}"), "not_found"),
        (&alice, by_another, "not_found"),
        (&alice, format!("/v1/chunks/{id}?log={log}&pos=99"), "not_found"),
        (&carol, named.clone(), "not_reader"),
        (&carol, format!("/v1/chunks/{id}?log={}&pos=0", "0".repeat(64)), "not_found"),
        (&alice, format!("/v1/chunks/{id}?log={log}"), "bad_query"),
    ] {
        assert_eq!(code(asked(person, &server, &target)), refused, "{target}");
    }

    // A server that gives other bytes is told.
    let liar = Liar::before(server.http, |line, mut answer| {
        if line.contains("/v1/chunks/") {
            answer.body[1_000] ^= 1;
        }
        Some(answer)
    });
    let read = alice.dgns_at(&liar.url, &get("0"), "");
    assert_eq!(read.exits(3).text("/code"), "chunk_hash", "{read}");
}

#[test]
fn an_entry_that_names_chunks_which_are_not_there_is_refused_and_says_which() {
    let site = Site::new();
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    let (log, entry) = naming(&alice, &server, vec![[1; 32], [2; 32]]);
    let answer = server.post(&format!("/v1/logs/{log}/entries"), &encode_request(&[entry]));
    let problem: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!((answer.status, &problem["code"]), (424, &"chunk_missing".into()));
    assert_eq!(problem["missing"], serde_json::json!([HEXLOWER.encode(&[1; 32]), HEXLOWER.encode(&[2; 32])]));
    alice.dgns_with_input(&server, &["db", "append", NAME], "its lsn is free").exits(0);
}

#[test]
fn an_entry_whose_piece_has_another_length_is_left_to_its_author_and_the_log_goes_on_behind_it() {
    let site = Site::new();
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (log, entry) = runtime.block_on(async {
        let session = Session::open(&Home::open(alice.home()).unwrap(), &server.url).await.unwrap();
        let keys = session.log().device().unwrap().expect("a device");
        let (author, device) = (keys.did.expect("a DID"), keys.sign.public());
        let signer = Signer { did: author, keys: &keys };
        let db = OpenDb::open(&session, signer, NAME).await.unwrap();
        let log = LogId::of(db.acl().did(), FIRST_GROUP, LogKind::Shared, "main");
        // No reader is made to fetch more than a piece.
        let put = async |chunk: &[u8]| {
            let id = content::id_of(chunk);
            let target = format!("/v1/chunks/{}?log={log}", HEXLOWER.encode(&id));
            session.put_signed(signer, &target, chunk).await.map(|()| id).map_err(|error| error.code().to_owned())
        };
        assert_eq!(put(&vec![1; ENTRY_CHUNK_BYTES_MAX + 1]).await, Err("too_large".to_owned()));
        let (epoch, group) = db.newest_key(FIRST_GROUP).unwrap();
        let (key, sealed) = seal::seal_record_piece(group, &[0; 2_000]);
        let id = put(&sealed).await.unwrap();
        // It opens by its key, but is too long for a record of five bytes.
        let place = BodyPlace { log, device, lsn: 0, epoch };
        let record = Record::Pieces(Pieces { bytes: 5, pieces: vec![(id, key)] });
        let body = seal::seal_records(group, &place, &[record], &mut rng::system());
        let (class, lsn, prev, refs) = (Class::Data, 0, None, vec![id]);
        let (expect, unix_ms) = (None, 1);
        let (body_bytes, hash) = (0, [0; 32]);
        let header =
            Header { class, log, author, device, lsn, prev, epoch, refs, body_bytes, body: hash, expect, unix_ms };
        (log, Entry::sign(header, body, db.acl().home(), &keys.sign).unwrap())
    });
    let answer = server.post(&format!("/v1/logs/{log}/entries"), &encode_request(&[entry]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    alice.dgns_with_input(&server, &["db", "append", NAME], "behind").exits(0);
    let read = alice.dgns(&server, &["db", "read", NAME]).exits(0).stdout.clone();
    let rows: Vec<serde_json::Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), &rows[0]["bytes"], &rows[1]["text"]), (2, &5.into(), &"behind".into()), "{read}");
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let got = alice.dgns(&server, &["db", "get", NAME, "0", "--out", out.to_str().unwrap()]);
    assert!(got.exits(1).to_string().contains("does not open"), "{got}");
}

/// The log `main`.
fn rows_log(person: &Person, server: &Server) -> LogId {
    naming(person, server, Vec::new()).0
}

/// The id of a chunk of a MiB that a server keeps.
fn first_chunk(data: &Path) -> String {
    let folders = std::fs::read_dir(data.join("chunks/c")).unwrap().map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(Result::unwrap);
    let file = files.into_iter().find(|file| file.metadata().unwrap().len() == 1 << 20).expect("a whole piece").path();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    format!("{}{}", name(file.parent().unwrap()), name(&file))
}

#[test]
fn chunks_that_no_entry_names_go_and_are_given_back_and_those_of_records_stay() {
    // Goal: an upload that never comes to an entry is charged for a time and no longer. Method: one as it is left by whoever stops before the
    // append, beside a record of chunks and a file, with a grace of a second.
    let site = Site::new().with("storage", "chunk_grace_s", "1");
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    let directory = tempfile::tempdir().unwrap();
    let (file, out) = (directory.path().join("file"), directory.path().join("out"));
    std::fs::write(&file, bytes(200_000)).unwrap();
    let (path, out_path) = (file.to_str().unwrap(), out.to_str().unwrap());
    let used = || alice.dgns(&server, &["account", "show"]).exits(0).json()["used_bytes"].as_u64().unwrap();
    let id = alice.dgns(&server, &["chunk", "put", path]).exits(0).text("/id");
    let metric = |name: &str| {
        let text = server.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    let (before, objects) = (used(), chunks(site.data()));

    let stored = bytes(300_000);
    let (log, _) = naming(&alice, &server, vec![content::id_of(&stored)]);
    let target = format!("/v1/chunks/{}?log={log}", HEXLOWER.encode(&content::id_of(&stored)));
    put(&alice, &server, &target, &stored);
    wait::until("it is let go of", || (metric("dgns_store_chunks_let_go_total ") == 1).then_some(()));
    wait::until("its object is deleted", || (metric("dgns_store_objects_deleted_total ") == 1).then_some(()));
    assert_eq!((used(), chunks(site.data())), (before, objects), "given back, all of it");
    assert_eq!(metric("dgns_store_collections_failed_total "), 0);

    // A client that is overtaken stores again what it is told is missing, until it names it.
    wait::until("a record is taken", || {
        let appended = alice.dgns(&server, &["db", "append", NAME, path, "--whole"]);
        (appended.code == Some(0)).then_some(())
    });
    let gone = metric("dgns_store_chunks_let_go_total ");
    put(&alice, &server, &target, &stored);
    wait::until("another one goes", || (metric("dgns_store_chunks_let_go_total ") > gone).then_some(()));
    alice.dgns(&server, &["db", "get", NAME, "0", "--out", out_path]).exits(0);
    assert_eq!(std::fs::read(&out).unwrap(), bytes(200_000), "what an entry names stays");
    std::fs::remove_file(&out).unwrap();
    alice.dgns(&server, &["chunk", "get", &id, "--out", out_path]).exits(0);
    assert_eq!(std::fs::read(&out).unwrap(), bytes(200_000), "and a file");
    server.stop().exits(0);
}
