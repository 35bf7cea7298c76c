//! Uploads of several pieces that are cut short: by a full account, by the end of the client, by the end of the server. The same command goes on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Server, Site, ports, wait};
use tempfile::TempDir;

use crate::large::{bytes, chunks};

/// The pieces of the file, the last one not full; the list of them is one chunk more, which lies in a row.
const PIECES: u64 = 10;

/// A file of so many pieces, and where it comes back to.
struct File {
    path: PathBuf,
    out: PathBuf,
    bytes: Vec<u8>,
    _directory: TempDir,
}

impl File {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (path, out) = (directory.path().join("file"), directory.path().join("out"));
        let bytes = bytes(PIECES as u32 * (1 << 20) - 77_777);
        std::fs::write(&path, &bytes).unwrap();
        Self { path, out, bytes, _directory: directory }
    }

    fn put(&self) -> [&str; 3] {
        ["chunk", "put", self.path.to_str().unwrap()]
    }

    /// Puts it whole, of which so many chunks were not there; it comes back as it was, and again nothing is sent.
    fn goes_on(&self, person: &Person, server: &Server, sent: u64) {
        let stored = person.dgns(server, &self.put()).exits(0).clone();
        assert_eq!((stored.number("/sent"), stored.number("/bytes")), (sent, self.bytes.len() as u64), "{stored}");
        let id = stored.text("/id");
        person.dgns(server, &["chunk", "get", &id, "--out", self.out.to_str().unwrap()]).exits(0);
        assert!(std::fs::read(&self.out).unwrap() == self.bytes);
        let again = person.dgns(server, &self.put()).exits(0).clone();
        assert_eq!((again.number("/sent"), again.text("/id")), (0, id));
    }
}

fn shown(person: &Person, server: &Server, what: &str) -> u64 {
    person.dgns(server, &["account", "show"]).exits(0).number(what)
}

#[test]
fn an_upload_that_fills_the_account_goes_on_where_it_was_once_there_is_more() {
    // Goal: what was stored before the account was full stays, is charged once and is not sent again. Method: room for three pieces and a half, in the middle of
    // what is asked for at once; more room twice, by the operator.
    let site = Site::new();
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    let (file, first) = (File::new(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(first.path(), bytes(30_000)).unwrap();
    let before = alice.dgns(&server, &["chunk", "put", first.path().to_str().unwrap()]).exits(0).text("/id");
    let did = alice.dgns(&server, &["account", "show"]).exits(0).text("/did");
    let used = shown(&alice, &server, "/used_bytes");
    let gives = |more: u64| {
        let quota = used + more;
        site.dgnsd(&["lease", &did, "--bytes", &quota.to_string()]).exits(0);
        wait::until("it is given", || (shown(&alice, &server, "/quota_bytes") == quota).then_some(()));
    };
    let full = |there: u64| {
        assert_eq!(alice.dgns(&server, &file.put()).exits(4).text("/code"), "quota");
        assert_eq!(chunks(site.data()) as u64, 1 + there);
        let per_piece = (shown(&alice, &server, "/used_bytes") - used) / there;
        assert!((1 << 20..(1 << 20) + 1_024).contains(&per_piece), "each is charged once: {per_piece}");
    };
    gives(3_700_000);
    full(3);
    full(3);
    gives(5_700_000);
    full(5);
    gives(50 << 20);
    file.goes_on(&alice, &server, PIECES + 1 - 5);
    assert_eq!(chunks(site.data()) as u64, 1 + PIECES);
    let out = file.out.to_str().unwrap();
    alice.dgns(&server, &["chunk", "get", &before, "--out", out]).exits(0);
    assert!(std::fs::read(out).unwrap() == bytes(30_000), "what was there before is there");
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

/// Somebody before a server who holds back the answer to the `held`-th upload of a chunk, which the server took. Says when that is so; the answer comes, or is
/// lost with the connection, once the sender is dropped.
fn holding(server: SocketAddr, held: u64) -> (Liar, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let ((tells, told), (lets_go, goes)) = (mpsc::channel(), mpsc::channel::<()>());
    let (count, tells, goes) = (AtomicU64::new(0), Mutex::new(tells), Arc::new(Mutex::new(goes)));
    let liar = Liar::before(server, move |line, answer| {
        if line.starts_with("PUT ") && count.fetch_add(1, Ordering::SeqCst) + 1 == held {
            assert_eq!(answer.status, 204);
            tells.lock().unwrap().send(()).unwrap();
            let _ = goes.lock().unwrap().recv();
            return None;
        }
        Some(answer)
    });
    (liar, told, lets_go)
}

#[test]
fn an_upload_whose_client_is_killed_goes_on_with_what_is_missing_alone() {
    // Goal: what the server took is not sent again, though the client never heard of it. Method: the client is killed behind the first upload of a chunk, the
    // fifth and the last, each time another person's.
    let site = Site::new();
    let server = site.start();
    let file = File::new();
    for (name, held) in [("alice", 1), ("bob", 5), ("carol", PIECES + 1)] {
        let person = Person::with_name(&server, name);
        let (liar, told, lets_go) = holding(server.http, held);
        let putting = person.dgns_running(&liar.url, &file.put());
        told.recv_timeout(wait::PATIENCE).expect("it is sent");
        putting.kill();
        drop(lets_go);
        file.goes_on(&person, &server, PIECES + 1 - held);
    }
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

#[test]
fn an_upload_whose_server_is_killed_goes_on_with_what_is_missing_alone() {
    // Goal: what the server took before it died is there after it. Method: it is killed when it has taken the first, the fifth and the last chunk, and started anew; the
    // client is told of none of that but a connection that ends.
    let at = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let site = Site::new().with("http", "listen", &format!("\"{at}\""));
    let file = File::new();
    let mut server = site.start();
    for (name, held) in [("alice", 1), ("bob", 5), ("carol", PIECES + 1)] {
        let person = Person::with_name(&server, name);
        let (liar, told, lets_go) = holding(server.http, held);
        let putting = person.dgns_running(&liar.url, &file.put());
        told.recv_timeout(wait::PATIENCE).expect("it is sent");
        server.kill();
        drop(lets_go);
        let cut = putting.ended();
        assert_eq!(cut.code, Some(2), "{cut}");
        server = site.start();
        file.goes_on(&person, &server, PIECES + 1 - held);
    }
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}
