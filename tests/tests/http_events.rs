//! Streams that say when something of a name changed (PROTOCOL 12.5), read from the wire of a real `dgnsd`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use dgns_tests::harness::http::connect;
use dgns_tests::harness::{Person, Server, Site, wait};

/// A stream being read.
struct Events {
    stream: TcpStream,
    read: String,
}

impl Events {
    fn of(server: &Server, path: &str) -> Self {
        let mut stream = connect(server.http).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: dgns.test\r\n\r\n").unwrap();
        Self { stream, read: String::new() }
    }

    /// Reads on until the text has come; panics if the stream ends before.
    fn until(&mut self, text: &str) -> &str {
        self.until_times(text, 1)
    }

    fn until_times(&mut self, text: &str, times: usize) -> &str {
        let mut chunk = [0; 1024];
        while self.read.matches(text).count() < times {
            let read = self.stream.read(&mut chunk).expect("the stream goes on");
            assert!(read > 0, "the stream ended: {}", self.read);
            self.read.push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
        &self.read
    }

    /// Reads to the end of the stream.
    fn read_to_the_end(mut self) -> String {
        let _ = self.stream.read_to_string(&mut self.read);
        self.read
    }
}

#[test]
fn a_stream_says_that_a_name_or_its_owner_changed() {
    // Goal: whoever waits for a name hears of it, its claim and its owner's keys included, and of nobody else's. Method: streams
    // of a name not yet claimed, of another one, and of the DID.
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    let mut name = Events::of(&server, "/v1/names/alice/events");
    let mut other = Events::of(&server, "/v1/names/carol/events");
    let head = name.until("event: now\ndata: {\"size\":");
    assert!(head.contains("content-type: text/event-stream") && head.contains("cache-control: no-store"), "{head}");
    other.until("event: now");
    bob.up(&server, "bob");
    alice.up(&server, "alice");
    name.until("event: changed\ndata: {\"size\":");
    assert_eq!(name.read.matches("event: changed").count(), 1, "bob's claim is not alice's: {}", name.read);
    let did = alice.dgns(&server, &["whoami"]).text("/did");
    let mut owner = Events::of(&server, &format!("/v1/dids/{did}/events"));
    owner.until("event: now");
    alice.dgns(&server, &["policy", "--window-s", "7200"]);
    owner.until("event: changed");
    name.until_times("event: changed", 2);
    assert!(!other.read.contains("event: changed"));
    server.stop().exits(0);
    assert!(!other.read_to_the_end().contains("event: changed"), "a stop ends the streams");
}

#[test]
fn streams_are_bounded_and_give_their_places_back() {
    // Goal: readers who wait cannot take the server. Method: one stream more than there are places; then some go away.
    let site = Site::new();
    let server = site.start();
    let mut open: Vec<Events> = (0..256).map(|_| Events::of(&server, "/v1/names/alice/events")).collect();
    for events in &mut open {
        events.until("event: now");
    }
    let refused = server.get("/v1/names/alice/events");
    assert_eq!((refused.status, refused.problem_code().as_str()), (503, "busy"));
    assert_eq!(server.get("/health").status, 200);
    drop(open);
    wait::until("a place is free again", || {
        let mut events = Events::of(&server, "/v1/names/alice/events");
        let mut first = [0; 12];
        events.stream.read_exact(&mut first).unwrap();
        (first == *b"HTTP/1.1 200").then_some(())
    });
}

#[test]
fn a_stream_of_what_is_no_name_is_refused() {
    let site = Site::new();
    let server = site.start();
    assert_eq!(server.get("/v1/names/UPPER/events").problem_code(), "bad_name");
    assert_eq!(server.get("/v1/dids/x/events").problem_code(), "bad_query");
}
