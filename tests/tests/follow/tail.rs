//! The stream of batches, read as bytes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use dgns_tests::harness::{Person, Server, Site, http, wait};
use translog::hash::leaf_hash;
use translog::note::{Checkpoint, Note};
use translog::stream::{Batches, Decoder, Record};
use translog::tree::Edge;

/// A reader of the stream.
struct Reader {
    stream: TcpStream,
    decoder: Decoder,
}

impl Reader {
    /// Asks over HTTP/1.0, so that the body is the stream itself.
    fn open(server: &Server, from: u64) -> Self {
        let mut stream = http::connect(server.http).unwrap();
        stream.write_all(format!("GET /v1/log/tail?from={from} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&head));
        Self { stream, decoder: Decoder::new() }
    }

    /// Returns the next batches; `None` if the server ends the stream.
    fn next(&mut self) -> Option<Batches> {
        loop {
            match self.decoder.next_record().unwrap() {
                Some(Record::Batches(batches)) => return Some(batches),
                Some(Record::Alive) => {}
                None => {
                    let mut piece = [0; 4_096];
                    match self.stream.read(&mut piece).unwrap() {
                        0 => return None,
                        read => self.decoder.push(&piece[..read]),
                    }
                }
            }
        }
    }
}

fn head(server: &Server) -> Checkpoint {
    Checkpoint::parse(Note::parse(&server.get("/log/checkpoint").body).unwrap().text()).unwrap()
}

#[test]
fn every_batch_comes_with_the_head_that_signs_it() {
    // Goal: whoever reads has the log, batch for batch. Method: two readers, one that begins before the first post and one after it,
    // hash what they get and compare with each note; the stream ends with the server.
    let site = Site::new();
    let server = site.start();
    let first = head(&server);
    let mut early = Reader::open(&server, first.size);
    Person::new().up(&server, "alice");
    let mut late = Reader::open(&server, first.size);
    Person::new().up(&server, "bobby");
    let last = head(&server);
    for reader in [&mut early, &mut late] {
        let mut at = first.size;
        while at < last.size {
            let batches = reader.next().unwrap();
            assert_eq!(batches.first_index, at);
            at += batches.entries.len() as u64;
            let checkpoint = Checkpoint::parse(Note::parse(&batches.note).unwrap().text()).unwrap();
            assert_eq!((checkpoint.size, batches.entries.last().unwrap()[0]), (at, 2), "each ends in its Epoch");
        }
        assert_eq!(at, last.size);
    }
    let entries = server.get(&format!("/log/tile/entries/000.p/{}", last.size));
    let mut edge = Edge::new();
    translog::bundle::split(&entries.body).for_each(|entry| edge.append(leaf_hash(entry.unwrap())));
    assert_eq!(edge.root(), last.root);
    server.stop().exits(0);
    assert_eq!(early.next(), None);
}

#[test]
fn a_stream_that_cannot_begin_says_why() {
    let server_site = Site::new();
    let server = server_site.start();
    let newest = head(&server).size;
    let code = |query: &str| server.get(&format!("/v1/log/tail{query}")).problem_code();
    assert_eq!(code(""), "bad_query");
    assert_eq!(code("?from=x"), "bad_query");
    assert_eq!(code("?from=3&to=9"), "bad_query");
    assert_eq!(code("?from=0"), "not_in_tail");
    assert_eq!(code("?from=1"), "not_in_tail");
    assert_eq!(server.get("/v1/log/tail?from=1").status, 410);
    let beyond = server.get(&format!("/v1/log/tail?from={}", newest + 1));
    assert_eq!(beyond.problem_code(), "unknown_head");
    assert!(beyond.json()["checkpoint"].is_string());
}

#[test]
fn a_reader_that_takes_nothing_holds_up_nobody() {
    // Goal: the publisher never waits for a reader. Method: one that never reads, while posts go on; then it is gone, or still
    // gets whole records.
    let server_site = Site::new();
    let server = server_site.start();
    let mut asleep = Reader::open(&server, head(&server).size);
    for number in 0..8 {
        Person::new().up(&server, &format!("name{number}"));
    }
    let size = head(&server).size;
    let last = wait::until("the sleeper reads on, or is told to go", || match asleep.next() {
        Some(batches) => (batches.first_index + batches.entries.len() as u64 == size).then_some(size),
        None => Some(size),
    });
    assert_eq!(last, size);
}
