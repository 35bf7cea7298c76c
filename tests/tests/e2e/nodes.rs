//! Databases on two servers that share PostgreSQL and an object store: either answers, and one that is killed stops nobody.

use dgns_tests::harness::device::Device;
use dgns_tests::harness::{Person, Running, Server, Site, wait};
use dgns_tests::postgres::Postgres;
use dgns_tests::s3::S3;
use serde_json::Value;

use crate::watching::{Stream, grown, main_of};

/// A site whose databases lie in `database` and in the bucket of `s3`.
pub(crate) fn sharing(site: Site, database: &str, s3: &S3) -> Site {
    let bucket = s3.bucket();
    let credentials = site.file("s3.credentials", &format!("{}\n{}\n", bucket.key_id, bucket.secret));
    let text = |text: &str| format!("{text:?}");
    site.with("storage", "database", &text(database))
        .with("storage", "bucket", &text(&bucket.name))
        .with("storage", "s3_url", &text(&bucket.url))
        .with("storage", "s3_credentials_file", &text(&credentials.display().to_string()))
}

fn append(person: &Person, server: &Server, record: &str) -> Value {
    person.dgns_with_input(server, &["db", "append", "photos.alice"], record).exits(0).json()
}

#[test]
fn databases_lie_in_an_object_store_that_others_wrote() {
    // Goal: chunks and what entries say come back as they were, over an S3 server of another make, part of whose requests fail. Method: `moto_server`;
    // every fifth request fails; a restart in between.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let Some(s3) = runtime.block_on(S3::moto()) else { return };
    s3.fail_every(5);
    let site = sharing(Site::new(), &Postgres::shared().new_database(), &s3);
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["db", "create", "photos.alice"]).exits(0);
    append(&alice, &server, "monday");
    let directory = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..2_500_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let file = directory.path().join("file");
    std::fs::write(&file, &bytes).unwrap();
    let file = file.to_str().unwrap();
    let stored = alice.dgns(&server, &["chunk", "put", file]).exits(0).json();
    alice.dgns(&server, &["db", "append", "photos.alice", file, "--whole"]).exits(0);
    server.stop().exits(0);

    let server = site.start();
    append(&alice, &server, "tuesday");
    let out = directory.path().join("out");
    let out = out.to_str().unwrap();
    alice.dgns(&server, &["chunk", "get", stored["id"].as_str().unwrap(), "--out", out]).exits(0);
    assert_eq!(std::fs::read(out).unwrap(), bytes);
    std::fs::remove_file(out).unwrap();
    alice.dgns(&server, &["db", "get", "photos.alice", "1", "--out", out]).exits(0);
    assert_eq!(std::fs::read(out).unwrap(), bytes);
    assert!(s3.failed() > 2 && runtime.block_on(s3.paths()).len() > 2, "it was asked, and it holds the chunks");
}

/// Returns the text of the next record that a tail prints.
fn text(tail: &Running) -> String {
    let event = tail.event();
    event["text"].as_str().unwrap_or_else(|| panic!("no record: {event}")).to_owned()
}

/// Waits until a follower shows the head of the server it follows.
fn caught_up(follower: &Server, writer: &Server) {
    let head = |server: &Server| server.get("/checkpoint").text();
    wait::until("the follower catches up", || (head(follower) == head(writer)).then_some(()));
}

#[test]
fn databases_go_on_at_the_other_server_when_one_is_killed() {
    // Goal: `db append`, `db tail` and `chunk put` go on, and nothing acknowledged is lost. Method: the second server follows the first
    // and shares its databases; each is killed in turn, the second while a tail runs at it and entries come in at both.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let s3 = runtime.block_on(S3::start());
    let database = Postgres::shared().new_database();
    let first_site = sharing(Site::new(), &database, &s3);
    let first = first_site.start();
    let key = first_site.data().join("keys/server.key");
    let follows = Site::new().with("follow", "url", &format!("{:?}", first.url));
    let second_site =
        sharing(follows, &database, &s3).with("storage", "server_key", &format!("{:?}", key.display().to_string()));
    let second = second_site.start();
    let alice = Person::new();
    alice.up(&first, "alice");
    alice.dgns(&first, &["db", "create", "photos.alice"]).exits(0);
    append(&alice, &first, "monday");

    caught_up(&second, &first);
    let tail = alice.dgns_running(&second.url, &["db", "tail", "photos.alice", "--from", "0"]);
    assert_eq!(text(&tail), "monday");
    append(&alice, &first, "tuesday");
    assert_eq!(text(&tail), "tuesday", "what the other server took");
    let db = alice.dgns(&first, &["db", "create", "photos.alice"]).exits(0).text("/did").parse().unwrap();
    let mut told = Stream::post(&second, &Device::of(&alice), &[(main_of(&db), 2)]);
    told.until("event: now");
    append(&alice, &first, "at the first");
    told.until(&grown(main_of(&db), 3));
    assert_eq!(text(&tail), "at the first");
    assert_eq!(append(&alice, &second, "wednesday")["size"], 4);
    let directory = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..2_500_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let file = directory.path().join("file");
    std::fs::write(&file, &bytes[..1_500_000]).unwrap();
    alice.dgns(&first, &["chunk", "put", file.to_str().unwrap()]).exits(0);

    // What the second takes none of goes on to the first.
    let bob = Person::new();
    bob.up(&second, "bob");
    bob.dgns(&second, &["db", "create", "notes.bob", "--no-words"]).exits(0);
    bob.dgns_with_input(&second, &["db", "append", "notes.bob"], "a note").exits(0);
    alice.dgns(&second, &["db", "grant", "photos.alice", "bob", "--read"]).exits(0);
    assert_eq!(bob.dgns(&first, &["resolve", "notes.bob"]).exits(0).json()["status"], "present");

    first.kill();
    assert_eq!(text(&tail), "wednesday");
    append(&alice, &second, "thursday");
    assert_eq!(text(&tail), "thursday", "the tail goes on");
    tail.kill();
    std::fs::write(&file, &bytes).unwrap();
    let stored = alice.dgns(&second, &["chunk", "put", file.to_str().unwrap()]).exits(0).json();
    assert_eq!(stored["sent"], 3, "the first piece was there");
    let out = directory.path().join("out");
    let get = ["chunk", "get", stored["id"].as_str().unwrap(), "--out", out.to_str().unwrap()];
    alice.dgns(&second, &get).exits(0);
    assert_eq!(std::fs::read(&out).unwrap(), bytes);

    let first = first_site.start();
    caught_up(&second, &first);
    second.kill();
    assert_eq!(append(&alice, &first, "friday")["size"], 6);
    let read = alice.dgns_in_text(&first, &["db", "read", "photos.alice"]);
    assert_eq!(read.exits(0).stdout, "monday\ntuesday\nat the first\nwednesday\nthursday\nfriday\n");
}

#[test]
fn a_follower_with_the_key_of_another_server_does_not_start() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let s3 = runtime.block_on(S3::start());
    let database = Postgres::shared().new_database();
    let first_site = sharing(Site::new(), &database, &s3);
    let first = first_site.start();
    let other = Site::new();
    other.start().stop().exits(0);
    let key = other.data().join("keys/server.key").display().to_string();
    let follows = Site::new().with("follow", "url", &format!("{:?}", first.url));
    let second = sharing(follows, &database, &s3).with("storage", "server_key", &format!("{key:?}"));
    let said = second.start_in_vain();
    assert!(said.stderr.contains("another server key than the log names"), "{said}");
}
