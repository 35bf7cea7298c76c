//! Uploads and paths that no client of ours sends, from the wire of a real `dgnsd`: each has its answer, and leaves nothing.

use std::io::Write as _;
use std::net::Shutdown;

use data_encoding::{HEXLOWER, HEXUPPER};
use dgns_api::path;
use dgns_api::store::content::{self, ContentId};
use dgns_client::clock;
use dgns_tests::harness::device::Device;
use dgns_tests::harness::http::{self, Answer};
use dgns_tests::harness::{Person, Server, Site};
use identity::request::DID_HEADER;

use crate::large::{bytes, chunks};

/// What an upload says of itself, and what is sent.
struct Upload<'a> {
    /// The body that is signed, whose id is in the path.
    signed: &'a [u8],
    /// What the head says of its length.
    announced: u64,
    /// What follows the head.
    sent: &'a [u8],
    /// Whether the client then says no more, rather than wait for an answer with its side open.
    ends: bool,
}

impl Upload<'_> {
    /// Sends it; `None`: the server closed without an answer.
    fn send(&self, server: &Server, device: &Device) -> Option<Answer> {
        let target = target_of(&content::id_of(self.signed));
        let signed = device.signed("PUT", &target, self.signed, clock::now().as_ms() / 1_000);
        let head = format!(
            "PUT {target} HTTP/1.1\r\nhost: dgns.test\r\nconnection: close\r\ncontent-length: {}\r\nauthorization: {signed}\r\n{DID_HEADER}: {}\r\n\r\n",
            self.announced, device.did
        );
        let mut stream = http::connect(server.http).unwrap();
        // The server may have closed before all is sent.
        let _ = stream.write_all(&[head.as_bytes(), self.sent].concat());
        if self.ends {
            let _ = stream.shutdown(Shutdown::Write);
        }
        http::read_answer(&mut stream).ok()
    }
}

fn target_of(id: &ContentId) -> String {
    format!("{}{}", path::CHUNKS, HEXLOWER.encode(id))
}

/// What the account of a device uses, and the large chunks of the server.
fn kept(site: &Site, person: &Person, server: &Server) -> (u64, usize) {
    let account = person.dgns(server, &["account", "show"]);
    (account.exits(0).number("/used_bytes"), chunks(site.data()))
}

#[test]
fn an_upload_that_is_not_what_it_says_is_answered_and_leaves_nothing() {
    // Goal: a body that is cut off, longer or other than was said is never stored, one that is too large is refused before it is sent, and the server
    // takes the next. Method: heads and bodies by hand, each signed as it should be; what the account uses and the objects on disk after each.
    let site = Site::new();
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    let device = Device::of(&alice);
    let (small, large) = (bytes(1_024), bytes(3_000_000));
    let other = vec![7; large.len()];
    alice.dgns(&server, &["account", "show"]).exits(0);
    let before = kept(&site, &alice, &server);
    let whole = |signed| Upload { signed, announced: signed.len() as u64, sent: signed, ends: false };

    for sent in [&large[..0], &large[..1_000_000], &large[..large.len() - 1]] {
        let cut = Upload { sent, ends: true, ..whole(&large) };
        let answer = cut.send(&server, &device);
        assert!(answer.is_none_or(|answer| answer.problem_code() == "bad_post"), "cut off at {}", sent.len());
        assert_eq!(kept(&site, &alice, &server), before, "cut off at {}", sent.len());
    }
    let swapped = Upload { sent: &other, ..whole(&large) };
    assert_eq!(swapped.send(&server, &device).unwrap().problem_code(), "bad_signature", "another body is signed");
    let target = target_of(&content::id_of(&large));
    let wrong = device.asks(&server, "PUT", &target, &other);
    assert_eq!((wrong.status, wrong.problem_code().as_str()), (422, "hash_mismatch"));
    assert_eq!(kept(&site, &alice, &server), before, "other bytes");

    let memory = server.resident_bytes();
    for announced in [10 << 30, (4 << 20) + 1_000_000, 1 << 62] {
        let huge = Upload { announced, sent: &small, ..whole(&small) };
        let answer = huge.send(&server, &device).expect("an answer, though nothing was sent");
        assert_eq!((answer.status, answer.problem_code().as_str()), (413, "too_large"), "{announced}");
    }
    let just_above = vec![1; (4 << 20) + 1];
    let answer = whole(&just_above).send(&server, &device).expect("an answer");
    assert_eq!((answer.status, answer.problem_code().as_str()), (413, "too_large"));
    assert!(server.resident_bytes() < memory + (64 << 20), "nothing is made ready for what is announced");
    assert_eq!(kept(&site, &alice, &server), before, "announced");

    // What follows the body is no part of it.
    let longer = Upload { announced: 1_024, sent: &[&small[..], &[b'x'; 4_096]].concat(), ends: true, ..whole(&small) };
    let answer = longer.send(&server, &device);
    assert!(answer.is_some_and(|answer| answer.status == 204), "the first KiB is what was signed");
    let stored = kept(&site, &alice, &server);
    assert!(stored.0 > before.0 && stored.0 < before.0 + 2_048, "and nothing else: {before:?}, {stored:?}");
    assert_eq!(device.asks(&server, "GET", &target_of(&content::id_of(&small)), b"").body, small);
    let lie = Upload { announced: 1_024, sent: &large, ends: true, ..whole(&large) };
    assert!(
        lie.send(&server, &device).is_none_or(|answer| answer.status >= 400),
        "it says a KiB and is signed for more"
    );
    assert_eq!(kept(&site, &alice, &server), stored, "said to be a KiB");

    assert_eq!(device.asks(&server, "PUT", &target, &large).status, 204);
    assert_eq!(device.asks(&server, "GET", &target, b"").body, large);
    assert_eq!(kept(&site, &alice, &server).1, 1);
    server.stop().exits(0);
}

#[test]
fn an_id_that_is_none_names_nothing_whatever_is_written_in_it() {
    // Goal: what stands in a path is an id or refused, before anything is looked up, and no file is touched. Method: each trick at each place of a path, signed
    // by a device that may do what it asks; then the id itself.
    let site = Site::new();
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    let device = Device::of(&alice);
    let body = bytes(20_000);
    let id = content::id_of(&body);
    let hex = HEXLOWER.encode(&id);
    assert_eq!(device.asks(&server, "PUT", &target_of(&id), &body).status, 204);
    let before = kept(&site, &alice, &server);
    // The log of names writes its own files whenever it likes.
    let places = ["chunks", "keys"].map(|directory| site.data().join(directory));
    let files = everything(&places);
    let tricks = [
        ("..%2f..%2fkeys%2flog.key".to_owned(), "out of the directory"),
        ("%2e%2e%2fc".to_owned(), "the same, spelled out"),
        ("..%5c..%5cstore.db".to_owned(), "of another system"),
        ("%2fetc%2fpasswd".to_owned(), "from the root"),
        (HEXUPPER.encode(&id), "upper case"),
        (hex[..62].to_owned(), "too short"),
        (format!("{hex}00"), "too long"),
        ("a".repeat(900), "far too long"),
        (format!("{}%00", &hex[..63]), "NUL"),
        (format!("{hex}%00.tmp"), "NUL behind it"),
        (format!("{}%ef%bc%81", &hex[..61]), "a wide digit"),
        ("%f0%9f%94%91".to_owned(), "a picture"),
        (format!("{hex}%20"), "a space"),
        ("%ff%fe".to_owned(), "no text"),
        (format!("0x{}", &hex[2..]), "a prefix"),
        (".tmp".to_owned(), "where objects are staged"),
    ];
    for (trick, what) in &tricks {
        for (method, target) in [
            ("GET", format!("/v1/chunks/{trick}")),
            ("PUT", format!("/v1/chunks/{trick}")),
            ("PUT", format!("/v1/chunks/{hex}?log={trick}")),
            ("GET", format!("/v1/chunks/{hex}?log={trick}&pos=0")),
            ("GET", format!("/v1/logs/{trick}/entries")),
            ("POST", format!("/v1/logs/{trick}/entries")),
            ("GET", format!("/v1/logs/{trick}/cursor?device={hex}")),
            ("GET", format!("/v1/logs/{trick}/snapshots")),
            ("POST", format!("/v1/databases/{trick}/proofs")),
            ("POST", format!("/v1/databases/{}/invitations/{trick}", device.did)),
        ] {
            let sent = if method == "GET" { &b""[..] } else { &body[..] };
            let answer = device.asks(&server, method, &target, sent);
            assert_eq!(answer.status, 400, "{what}: {method} {target}: {}", answer.text());
            let code = answer.problem_code();
            assert!(
                ["bad_query", "bad_field", "wrong_type", "truncated"].contains(&code.as_str()),
                "{what}: {method} {target}: {code}"
            );
        }
    }
    // As they stand they are other paths, and none of ours; the server climbs nowhere.
    for target in
        ["/v1/chunks/../../keys/log.key", "/v1/chunks/", "/v1/chunks/./", "/v1/logs//entries", "/v1/chunks//etc/passwd"]
    {
        let answer = device.asks(&server, "GET", target, b"");
        assert!(answer.status == 404 || answer.status == 400, "{target}: {}", answer.text());
        answer.problem_code();
    }
    assert_eq!(everything(&places), files, "no file came or went");
    assert_eq!(kept(&site, &alice, &server), before);
    assert_eq!(device.asks(&server, "GET", &target_of(&id), b"").body, body);
    server.stop().exits(0);
}

/// The paths of all files below some directories.
fn everything(directories: &[std::path::PathBuf]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in directories.iter().flat_map(|directory| std::fs::read_dir(directory).unwrap()) {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(everything(&[path])),
            false => found.push(path),
        }
    }
    found.sort();
    found
}
