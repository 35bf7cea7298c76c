//! Many logs watched on one connection (PROTOCOL 25.14): read from the wire of a real `dgnsd`, and by `dgns db tail` of several names.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use dgns_api::path;
use dgns_api::store::entry::{LogId, LogKind};
use dgns_api::store::watch::{Ask, encode_watch};
use dgns_client::clock;
use dgns_tests::harness::device::Device;
use dgns_tests::harness::http::connect;
use dgns_tests::harness::{Person, Ran, Server, Site, ports, wait};
use identity::did::Did;
use identity::request::DID_HEADER;
use tokio_tungstenite::tungstenite::client::{IntoClientRequest as _, client};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{HandshakeError, Message, WebSocket};

/// A stream being read.
pub(crate) struct Stream {
    stream: TcpStream,
    read: String,
}

impl Stream {
    pub(crate) fn post(server: &Server, device: &Device, logs: &[(LogId, u64)]) -> Self {
        let mut logs = logs.to_vec();
        logs.sort_unstable();
        Self::ask(server, device, "POST", path::WATCH, &encode_watch(&logs))
    }

    fn ask(server: &Server, device: &Device, method: &str, target: &str, body: &[u8]) -> Self {
        let signed = device.signed(method, target, body, clock::now().as_ms() / 1_000);
        let mut stream = connect(server.http).unwrap();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: dgns.test\r\nconnection: close\r\ncontent-length: {}\r\nauthorization: {signed}\r\n{DID_HEADER}: {}\r\n\r\n",
            body.len(),
            device.did
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        Self { stream, read: String::new() }
    }

    /// Reads on until the text has come; panics if the stream ends before.
    pub(crate) fn until(&mut self, text: &str) -> &mut Self {
        let mut chunk = [0; 1024];
        while !self.read.contains(text) {
            let read = self.stream.read(&mut chunk).expect("the stream goes on");
            assert!(read > 0, "the stream ended without {text:?}: {}", self.read);
            self.read.push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
        self
    }

    /// Reads to the end of the stream.
    fn read_to_the_end(mut self) -> String {
        self.stream.read_to_string(&mut self.read).expect("the stream ends");
        self.read
    }
}

/// A watch over a WebSocket.
pub(crate) struct Socket(pub(crate) WebSocket<TcpStream>);

impl Socket {
    /// Opens one; or returns the status it is refused with.
    pub(crate) fn open(server: &Server, device: &Device, subprotocol: &'static str) -> Result<Self, u16> {
        let signed = device.signed("GET", path::WATCH_SOCKET, b"", clock::now().as_ms() / 1_000);
        let mut request = format!("ws://{}{}", server.http, path::WATCH_SOCKET).into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(subprotocol));
        headers.insert("authorization", signed.parse().unwrap());
        headers.insert(DID_HEADER, device.did.to_string().parse().unwrap());
        match client(request, connect(server.http).unwrap()) {
            Ok((mut socket, _)) => {
                assert_eq!(socket.read().unwrap(), Message::text("now"));
                Ok(Self(socket))
            }
            Err(HandshakeError::Failure(tokio_tungstenite::tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn asks(&mut self, ask: &Ask) -> &mut Self {
        self.says(Message::binary(ask.encode()))
    }

    fn says(&mut self, message: Message) -> &mut Self {
        self.0.send(message).expect("the socket stands");
        self
    }

    /// Returns the lines of the next message.
    pub(crate) fn told(&mut self) -> Vec<String> {
        loop {
            match self.0.read().expect("the socket stands") {
                Message::Text(text) => return text.lines().map(str::to_owned).collect(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Returns the code and reason that the server ends with.
    fn ended(&mut self) -> (u16, String) {
        loop {
            match self.0.read().expect("an end that says why") {
                Message::Close(Some(end)) => return (end.code.into(), end.reason.to_string()),
                Message::Close(None) => return (0, String::new()),
                _ => {}
            }
        }
    }
}

pub(crate) fn create(person: &Person, server: &Server, name: &str) -> Did {
    person.dgns(server, &["db", "create", name]).exits(0).text("/did").parse().unwrap()
}

pub(crate) fn append(person: &Person, server: &Server, name: &str, record: &str) {
    person.dgns_with_input(server, &["db", "append", name], record).exits(0);
}

pub(crate) fn main_of(db: &Did) -> LogId {
    LogId::of(db, 1, LogKind::Shared, "main")
}

pub(crate) fn grown(log: LogId, size: u64) -> String {
    format!("event: grown\ndata: {log} {size}\n\n")
}

fn over(log: LogId, code: &str) -> String {
    format!("event: over\ndata: {log} {code}\n\n")
}

pub(crate) fn person(server: &Server, name: &str) -> (Person, Device) {
    let person = Person::new();
    person.up(server, name);
    let device = Device::of(&person);
    (person, device)
}

#[test]
fn one_stream_tells_which_of_many_logs_grow_from_the_sizes_on_that_are_known() {
    // Goal: each log is told of from its own size on; what cannot be watched is named with the code that reading has. Method: two logs of
    // one's own, one from the future, one of somebody else, one that is not there; then a second stream from where the first one was.
    let site = Site::new();
    let server = site.start();
    let ((alice, device), (bob, _)) = (person(&server, "alice"), person(&server, "bob"));
    let [photos, notes, late] = ["photos.alice", "notes.alice", "late.alice"].map(|name| create(&alice, &server, name));
    let others = create(&bob, &server, "own.bob");
    append(&alice, &server, "photos.alice", "one");
    let none = LogId([9; 32]);
    let logs = [(main_of(&photos), 0), (main_of(&notes), 0), (main_of(&late), 7), (main_of(&others), 0), (none, 0)];
    let mut stream = Stream::post(&server, &device, &logs);
    stream.until("content-type: text/event-stream").until("event: now\n");
    stream.until(&grown(main_of(&photos), 1));
    stream.until(&over(main_of(&late), "range"));
    stream.until(&over(main_of(&others), "not_reader")).until(&over(none, "not_found"));
    append(&alice, &server, "notes.alice", "first");
    stream.until(&grown(main_of(&notes), 1));
    append(&alice, &server, "photos.alice", "two");
    stream.until(&grown(main_of(&photos), 2));
    append(&bob, &server, "own.bob", "nobody else's");
    append(&alice, &server, "late.alice", "not watched");

    let query: Vec<String> = [&photos, &notes].map(|db| format!("{}:1", main_of(db))).into();
    let target = format!("{}?logs={}", path::WATCH, query.join(","));
    let mut second = Stream::ask(&server, &device, "GET", &target, b"");
    second.until(&grown(main_of(&photos), 2));
    append(&alice, &server, "photos.alice", "three");
    second.until(&grown(main_of(&photos), 3));
    stream.until(&grown(main_of(&photos), 3));
    assert!(!second.read.contains(&main_of(&notes).to_string()), "it is known to have one: {}", second.read);
    server.stop().exits(0);
    let told = stream.read_to_the_end();
    assert_eq!(told.matches(&main_of(&others).to_string()).count(), 1, "{told}");
    assert_eq!(told.matches(&main_of(&late).to_string()).count(), 1, "{told}");
}

#[test]
fn who_may_not_read_any_more_is_told_nothing_more() {
    // Goal: a revocation, and the end of a database, end what is told of its logs, at once. Method: bob watches two databases that he was let
    // into; he is revoked from one, the other is deleted.
    let site = Site::new();
    let server = site.start();
    let ((alice, _), (bob, device)) = (person(&server, "alice"), person(&server, "bob"));
    let dbs = ["photos.alice", "notes.alice"].map(|name| {
        let db = create(&alice, &server, name);
        alice.dgns(&server, &["db", "grant", name, "bob", "--read"]).exits(0);
        main_of(&db)
    });
    let mut stream = Stream::post(&server, &device, &dbs.map(|log| (log, 0)));
    append(&alice, &server, "photos.alice", "for bob");
    stream.until(&grown(dbs[0], 1));
    alice.dgns(&server, &["db", "revoke", "photos.alice", "bob"]).exits(0);
    stream.until(&over(dbs[0], "not_reader"));
    wait::until("its place is given back", || {
        server.get("/metrics").text().contains("dgns_store_watched_logs 1\n").then_some(())
    });
    append(&alice, &server, "photos.alice", "not for bob");
    append(&alice, &server, "notes.alice", "for bob still");
    stream.until(&grown(dbs[1], 1));
    alice.dgns(&server, &["db", "delete", "notes.alice", "--yes"]);
    let told = stream.read_to_the_end();
    assert!(told.contains(&over(dbs[1], "deleted")), "{told}");
    assert!(!told.contains(&grown(dbs[0], 2)), "{told}");
    assert!(Stream::post(&server, &device, &[(dbs[0], 0)]).read_to_the_end().contains(&over(dbs[0], "not_reader")));
    drop(bob);
}

#[test]
fn what_is_no_question_is_refused_and_places_are_bounded_and_come_back() {
    let site = Site::new().with("storage", "watchers_max", "2");
    let server = site.start();
    let (alice, device) = person(&server, "alice");
    let log = main_of(&create(&alice, &server, "photos.alice"));
    let asks = |method: &str, target: &str, body: &[u8]| device.asks(&server, method, target, body).problem_code();
    let at = |number: usize| LogId([&[0; 30][..], &(number as u16).to_be_bytes()].concat().try_into().unwrap());
    let many = |count: usize| (0..count).map(|number| (at(number), 0)).collect::<Vec<_>>();
    assert_eq!(asks("POST", path::WATCH, &encode_watch(&[])), "bad_field");
    assert_eq!(asks("POST", path::WATCH, &encode_watch(&[(log, 0), (log, 1)])), "not_canonical");
    assert_eq!(asks("POST", path::WATCH, &encode_watch(&many(1_001))), "bad_field");
    assert_eq!(asks("POST", path::WATCH, b"no"), "bad_field");
    let in_path = |logs: &[(LogId, u64)]| {
        let logs: Vec<String> = logs.iter().map(|(log, size)| format!("{log}:{size}")).collect();
        format!("{}?logs={}", path::WATCH, logs.join(","))
    };
    for target in [in_path(&many(21)), in_path(&[(log, 0), (log, 1)]), in_path(&[]), path::WATCH.to_owned()] {
        assert_eq!(asks("GET", &target, b""), "bad_query", "{target}");
    }
    assert_eq!(server.post(path::WATCH, &encode_watch(&[(log, 0)])).problem_code(), "bad_authorization");
    // Nothing of these thousand is there: the stream says so and ends.
    assert_eq!(Stream::post(&server, &device, &many(1_000)).read_to_the_end().matches("not_found").count(), 1_000);

    let mut open = [0, 1].map(|_| Stream::post(&server, &device, &[(log, 0)]));
    for stream in &mut open {
        stream.until("event: now");
    }
    let watched = |server: &Server| server.get("/metrics").text();
    assert!(watched(&server).contains("dgns_store_watchers 2\n"));
    assert_eq!(asks("POST", path::WATCH, &encode_watch(&[(log, 0)])), "busy");
    // Neither reads on while the log grows; who comes for the next place is told all the same.
    (0..5).for_each(|number| append(&alice, &server, "photos.alice", &number.to_string()));
    drop(open);
    wait::until("the places are free again", || watched(&server).contains("dgns_store_watchers 0\n").then_some(()));
    assert!(watched(&server).contains("dgns_store_watched_logs 0\n"));
    Stream::post(&server, &device, &[(log, 4)]).until(&grown(log, 5));
}

#[test]
fn several_databases_are_followed_at_once_and_on_after_the_server_was_away() {
    // Goal: `db tail A B C` prints what each gets, by name, once; a restart of the server loses and repeats nothing; the end of one of them
    // ends it. Method: records before, while, and after the server is killed.
    let at = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let site = Site::new().with("http", "listen", &format!("\"{at}\""));
    let server = site.start();
    let (alice, _) = person(&server, "alice");
    let names = ["photos.alice", "notes.alice", "empty.alice"];
    for name in names {
        create(&alice, &server, name);
    }
    append(&alice, &server, "photos.alice", "before");
    let from = alice.dgns(&server, &["db", "tail", "photos.alice", "notes.alice", "--from", "0"]);
    from.exits(1);
    let tail = alice.dgns_running(&server.url, &[&["db", "tail", "photos.alice.dgns.test"][..], &names].concat());
    let follows = |server: &Server| {
        wait::until("it follows", || {
            server.get("/metrics").text().contains("dgns_store_watched_logs 3\n").then_some(())
        })
    };
    let next = || {
        let line = tail.event();
        (
            line["name"].as_str().unwrap().to_owned(),
            line["pos"].as_u64().unwrap(),
            line["text"].as_str().unwrap().to_owned(),
        )
    };
    let is = |name: &str, pos: u64, text: &str| assert_eq!(next(), (name.to_owned(), pos, text.to_owned()));
    follows(&server);
    append(&alice, &server, "notes.alice", "one");
    is("notes.alice", 0, "one");
    append(&alice, &server, "photos.alice", "two");
    is("photos.alice.dgns.test", 1, "two");
    server.kill();
    let server = site.start();
    append(&alice, &server, "notes.alice", "three");
    is("notes.alice", 1, "three");
    follows(&server);
    append(&alice, &server, "photos.alice", "four");
    is("photos.alice.dgns.test", 2, "four");
    alice.dgns(&server, &["db", "delete", "empty.alice", "--yes"]);
    let ended: Ran = tail.ended();
    assert_eq!(ended.code, Some(6), "{ended}");
    assert!(ended.stderr.contains("empty.alice: "), "{ended}");
    assert!(!ended.stdout.contains("before"), "{ended}");
}

#[test]
fn logs_come_and_go_on_a_socket() {
    // Goal: one connection is told of what it asks, from then until it says otherwise, as far as it may read. Method: a log of one's own, one of somebody
    // else; another one that comes later, the first that goes; then an end by the server.
    let site = Site::new();
    let server = site.start();
    let ((alice, device), (bob, _)) = (person(&server, "alice"), person(&server, "bob"));
    let [photos, notes] = ["photos.alice", "notes.alice"].map(|name| main_of(&create(&alice, &server, name)));
    let others = main_of(&create(&bob, &server, "own.bob"));
    append(&alice, &server, "photos.alice", "one");
    let mut socket = Socket::open(&server, &device, "dgns.watch.v1").ok().unwrap();
    let mut first = vec![(photos, 0), (others, 0)];
    first.sort_unstable();
    let mut told = socket.asks(&Ask::Watch(first)).told();
    told.sort_unstable();
    assert_eq!(told, [format!("grown {photos} 1"), format!("over {others} not_reader")]);
    append(&alice, &server, "photos.alice", "two");
    assert_eq!(socket.told(), [format!("grown {photos} 2")]);
    assert!(server.get("/metrics").text().contains("dgns_store_watched_logs 1\n"));
    socket.asks(&Ask::Watch(vec![(photos, 0)])).asks(&Ask::Leave(vec![photos])).asks(&Ask::Watch(vec![(notes, 0)]));
    append(&alice, &server, "photos.alice", "three");
    append(&alice, &server, "notes.alice", "first");
    assert_eq!(
        socket.told(),
        [format!("grown {notes} 1")],
        "what is watched already is not told of from the start, and what was left not at all"
    );
    let mut both = vec![photos, notes];
    both.sort_unstable();
    socket.asks(&Ask::Watch(vec![(photos, 3)])).asks(&Ask::Leave(both));
    wait::until("both places are free", || {
        server.get("/metrics").text().contains("dgns_store_watched_logs 0\n").then_some(())
    });
    assert_eq!(server.stop().exits(0).code, Some(0));
    assert_eq!(socket.ended().0, 1001);
}

#[test]
fn who_may_not_read_any_more_is_told_nothing_more_on_a_socket_too() {
    let site = Site::new();
    let server = site.start();
    let ((alice, _), (bob, device)) = (person(&server, "alice"), person(&server, "bob"));
    let log = main_of(&create(&alice, &server, "photos.alice"));
    alice.dgns(&server, &["db", "grant", "photos.alice", "bob", "--read"]).exits(0);
    let mut socket = Socket::open(&server, &device, "dgns.watch.v1").ok().unwrap();
    socket.asks(&Ask::Watch(vec![(log, 0)]));
    append(&alice, &server, "photos.alice", "for bob");
    assert_eq!(socket.told(), [format!("grown {log} 1")]);
    alice.dgns(&server, &["db", "revoke", "photos.alice", "bob"]).exits(0);
    append(&alice, &server, "photos.alice", "not for bob");
    assert_eq!(socket.told(), [format!("over {log} not_reader")]);
    assert_eq!(socket.asks(&Ask::Watch(vec![(log, 0)])).told(), [format!("over {log} not_reader")]);
    drop(bob);
}

#[test]
fn what_a_socket_does_not_take_ends_it_with_a_code() {
    let site = Site::new().with("storage", "watchers_max", "1");
    let server = site.start();
    let (alice, device) = person(&server, "alice");
    let log = main_of(&create(&alice, &server, "photos.alice"));
    let at = |number: usize| LogId([&[0; 30][..], &(number as u16).to_be_bytes()].concat().try_into().unwrap());
    let many = |from: usize, count: usize| (from..from + count).map(|number| (at(number), 0)).collect::<Vec<_>>();
    assert_eq!(Socket::open(&server, &device, "dgns.lobby.v1+cbor").err(), Some(400));
    assert_eq!(server.get(path::WATCH_SOCKET).problem_code(), "upgrade_wanted");
    let stranger = Device { did: Did::from_bytes([7; Did::BYTES]), ..Device::of(&alice) };
    assert_eq!(Socket::open(&server, &stranger, "dgns.watch.v1").err(), Some(401));
    let ends = |message: Message| {
        let socket = wait::until("the place before is free", || Socket::open(&server, &device, "dgns.watch.v1").ok());
        { socket }.says(message).ended()
    };
    let refused = |code: &str| (1008, code.to_owned());
    assert_eq!(ends(Message::text("no")), refused("bad_field"));
    assert_eq!(ends(Message::binary(b"no".as_slice())), refused("bad_field"));
    assert_eq!(ends(Message::binary(Ask::Leave(Vec::new()).encode())), refused("bad_field"));
    assert_eq!(ends(Message::binary(Ask::Leave(vec![log, log]).encode())), refused("not_canonical"));
    assert_eq!(ends(Message::binary(vec![0; 20_000])), (1009, String::new()));
    let socket = wait::until("the place is free", || Socket::open(&server, &device, "dgns.watch.v1").ok());
    assert_eq!(Socket::open(&server, &device, "dgns.watch.v1").err(), Some(503), "one is open");
    drop(socket);
    // None of these is there, so each gives its place back once that was told: only as many as come at once are too many.
    let end = wait::until("more than a thousand at once are refused", || {
        let mut socket = Socket::open(&server, &device, "dgns.watch.v1").ok()?;
        for part in 0..5 {
            socket.0.write(Message::binary(Ask::Watch(many(part * 250, 250)).encode())).ok()?;
        }
        socket.0.flush().ok()?;
        let mut told = 0;
        while told < 1_250 {
            match socket.0.read().ok()? {
                Message::Text(lines) => told += lines.lines().filter(|line| line.ends_with(" not_found")).count(),
                Message::Close(end) => return end,
                _ => {}
            }
        }
        None
    });
    assert_eq!((u16::from(end.code), end.reason.as_str()), (1008, "busy"));
}
