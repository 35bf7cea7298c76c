//! The HTTP side of a real `dgnsd` against clients that are wrong, slow or many (PROTOCOL 12).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use dgns_api::post;
use dgns_tests::harness::http::{self, connect, exchange, request};
use dgns_tests::harness::load::{Poster, Somebody, body};
use dgns_tests::harness::{Server, Site, wait};
use dgns_tests::skip::skip;
use rustix::process::{Resource, getrlimit, setrlimit};

/// The connections that sit idle while others are served.
const IDLE: u64 = 10_000;

#[test]
fn every_wrong_request_is_a_problem_with_a_stable_code() {
    let (site, long) = (Site::new(), "a".repeat(64));
    let server = site.start();
    for (method, path, status, code) in [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/names", 404, "not_found"),
        ("GET", "/v1/names/", 404, "not_found"),
        ("GET", "/v1/names/alice/more", 404, "not_found"),
        ("GET", "/log", 404, "not_found"),
        ("GET", "//log/checkpoint", 404, "not_found"),
        ("GET", "/log/checkpoint/", 404, "not_found"),
        ("GET", "/log/../keys/log.key", 404, "not_found"),
        ("GET", "/log/tile/../../keys/log.key", 404, "not_found"),
        ("GET", "/log/tile/%2e%2e/%2e%2e/keys/log.key", 404, "not_found"),
        ("POST", "/log/checkpoint", 405, "method_not_allowed"),
        ("DELETE", "/v1/names/alice", 405, "method_not_allowed"),
        ("GET", "/v1/certificates", 405, "method_not_allowed"),
        ("PUT", "/v1/certificates", 405, "method_not_allowed"),
        ("GET", "/v1/names/ALICE", 400, "bad_name"),
        ("GET", "/v1/names/a", 400, "bad_name"),
        ("GET", "/v1/names/al%00ice", 400, "bad_name"),
        ("GET", "/v1/names/al%2Fice", 400, "bad_name"),
        ("GET", "/v1/names/al%ffice", 400, "bad_query"),
        ("GET", &format!("/v1/names/{long}"), 400, "bad_name"),
        ("GET", "/v1/names/a.b.c.d.e.f", 400, "bad_name"),
        ("GET", "/v1/names/alice?from=-1", 400, "bad_query"),
        ("GET", "/v1/names/alice?from=x", 400, "bad_query"),
        ("GET", "/v1/names/alice?colour=blue", 400, "bad_query"),
        ("GET", "/v1/names/alice?with=everything", 400, "bad_query"),
        ("GET", "/v1/names/alice?from=1&from=2", 400, "bad_query"),
        ("GET", "/v1/names/alice?from=18446744073709551616", 400, "bad_query"),
        ("GET", "/v1/names/alice?from=18446744073709551615", 409, "unknown_head"),
        ("GET", "/v1/names/alice?have=999", 409, "unknown_head"),
        ("GET", "/v1/dids/did:dgns:short", 400, "bad_query"),
        ("GET", "/v1/dids/did:web:example", 400, "bad_query"),
        ("GET", "/v1/dids/did:dgns:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/did.json", 404, "not_found"),
        ("GET", "/dids/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/did.json", 404, "not_found"),
        ("GET", "/dids/alice/did.json", 400, "bad_query"),
        ("GET", "/v1/dids/did:dgns:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/chain?from=x", 400, "bad_query"),
        ("GET", "/v1/ids/999999", 404, "not_found"),
        ("GET", "/v1/ids/one", 400, "bad_query"),
        ("GET", "/v1/log/entries/999999", 404, "not_found"),
        ("GET", "/v1/log/entries/-1", 400, "bad_query"),
        ("GET", "/v1/log/entries/999999.tlog-proof", 404, "not_found"),
        ("GET", "/v1/log/proof", 400, "bad_query"),
        ("GET", "/v1/log/proof?index=0&size=0", 400, "bad_query"),
        ("GET", "/v1/log/proof?index=5&size=5", 400, "bad_query"),
        ("GET", "/v1/log/proof?from=0&to=3", 400, "bad_query"),
        ("GET", "/v1/log/proof?from=3&to=2", 400, "bad_query"),
        ("GET", "/v1/log/proof?from=1&to=18446744073709551615", 400, "bad_query"),
        ("GET", "/v1/log/proof?index=1&from=1", 400, "bad_query"),
        ("POST", "/v1/certificates?from=x", 400, "bad_query"),
        ("POST", "/v1/certificates?to=1", 400, "bad_query"),
    ] {
        let answer = request(server.http, method, path, &[], b"").unwrap();
        assert_eq!(
            (answer.status, answer.problem_code().as_str()),
            (status, code),
            "{method} {path}: {}",
            answer.text()
        );
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{method} {path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{method} {path}: a refusal is not kept");
    }
}

#[test]
fn every_wrong_post_is_a_problem_and_changes_nothing() {
    let site = Site::new();
    let server = site.start();
    let before = server.get("/log/checkpoint").body;
    let (_, birth) = Somebody::new("bob", 1);
    let whole = body(&birth);
    let envelopes: Vec<Vec<u8>> = birth.iter().map(|certificate| certificate.encode()).collect();
    let mut changed = envelopes.clone();
    *changed[1].last_mut().unwrap() ^= 1;
    let large = |bytes: usize| post::encode(&[vec![0xff; bytes]]);
    let crowd = post::encode(&vec![envelopes[0].clone(); post::CERTIFICATES_MAX + 1]);
    for (what, bytes, status, code) in [
        ("nothing", Vec::new(), 400, "bad_post"),
        ("text", b"hello".to_vec(), 400, "bad_post"),
        ("JSON", br#"{"1": []}"#.to_vec(), 400, "bad_post"),
        ("half a post", whole[..whole.len() / 2].to_vec(), 400, "bad_post"),
        ("a byte too many", [&whole[..], &[0]].concat(), 400, "bad_post"),
        ("no certificates", post::encode(&[]), 400, "bad_post"),
        ("seventeen certificates", crowd, 400, "bad_post"),
        ("an empty certificate", post::encode(&[Vec::new()]), 400, "bad_cbor"),
        ("a certificate of 4,097 bytes", large(4_097), 413, "too_large"),
        ("a certificate of 4,096 bytes", large(4_096), 400, "bad_cbor"),
        ("a claim without its genesis", post::encode(&envelopes[1..]), 0, ""),
        ("a changed signature", post::encode(&changed), 401, "bad_signature"),
        ("more than a post takes", vec![0; post::POST_BYTES_MAX + 1], 413, "too_large"),
    ] {
        let answer = server.post("/v1/certificates", &bytes);
        let said = answer.problem_code();
        if code.is_empty() {
            assert!((400..500).contains(&answer.status), "{what}: {}", answer.text());
            continue;
        }
        assert_eq!((answer.status, said.as_str()), (status, code), "{what}: {}", answer.text());
    }
    assert_eq!(server.get("/log/checkpoint").body, before, "nothing was written");
    assert_eq!(server.post("/v1/certificates", &whole).status, 200, "the honest post passes");
}

#[test]
fn body_of_unknown_length_is_bounded_too() {
    let site = Site::new();
    let server = site.start();
    let mut bytes =
        b"POST /v1/certificates HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    for _ in 0..=post::POST_BYTES_MAX / (16 << 10) {
        bytes.extend_from_slice(format!("{:x}\r\n", 16 << 10).as_bytes());
        bytes.extend_from_slice(&vec![0; 16 << 10]);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let answer = exchange(server.http, &bytes).unwrap();
    assert_eq!((answer.status, answer.problem_code().as_str()), (413, "too_large"));
}

#[test]
fn bytes_that_are_no_http_are_refused_and_the_server_lives() {
    let site = Site::new();
    let server = site.start();
    let endless = [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; 1 << 20]].concat();
    let many = [b"GET / HTTP/1.1\r\n".to_vec(), b"x: y\r\n".repeat(5_000)].concat();
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000)).into_bytes();
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/certificates HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/certificates HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"POST /v1/certificates HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST /v1/certificates HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        &endless,
        &many,
        &long_path,
    ] {
        let mut stream = connect(server.http).unwrap();
        // It may close before all is sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let status = String::from_utf8_lossy(&said).split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{}", String::from_utf8_lossy(&said));
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn client_that_dribbles_is_closed() {
    // Goal: nobody holds a place with a request that never arrives. Method: limits of one second; a client that sends nothing, one
    // that sends a head byte by byte, one that stops before its end, and one that never sends the body it promised.
    let site = Site::new().with("http", "idle_s", "1").with("http", "request_s", "1");
    let server = site.start();
    let dribble = b"GET /health HTTP/1.1\r\nhost: x\r\nx-long: ";
    let endings = thread::scope(|scope| {
        let silent = scope.spawn(|| closes(connect(server.http).unwrap(), b"", false));
        let stopped = scope.spawn(|| closes(connect(server.http).unwrap(), dribble, false));
        let slow = scope.spawn(|| closes(connect(server.http).unwrap(), dribble, true));
        let kept =
            scope.spawn(|| closes(connect(server.http).unwrap(), b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", false));
        let mut bodiless = connect(server.http).unwrap();
        bodiless.write_all(b"POST /v1/certificates HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc").unwrap();
        let answer = http::read_answer(&mut bodiless).unwrap();
        assert_eq!((answer.status, answer.problem_code().as_str()), (408, "timeout"));
        [silent.join().unwrap(), stopped.join().unwrap(), slow.join().unwrap(), kept.join().unwrap()]
    });
    assert_eq!(endings, [true; 4], "closed: silent, stopped, slow, kept alive");
}

#[test]
fn ten_thousand_idle_connections_do_not_hinder_the_next() {
    // Goal: a place is cheap. Method: as many connections as that, each having said a little; requests and posts go on between.
    let needed = IDLE + 500;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return skip(&format!("the hard limit of open files is below {needed}"));
    }
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(needed), ..limit }).unwrap();
    let site = Site::new().with("http", "idle_s", "600");
    let server = site.start();
    let (bob, birth) = Somebody::new("bob", 1);
    let mut poster = Poster::new(server.vkey());
    let mut idle: Vec<TcpStream> = Vec::new();
    while (idle.len() as u64) < IDLE {
        let mut stream = TcpStream::connect(server.http).unwrap();
        // One in three is silent, one in three in the middle of a head, one in three waits after a whole request.
        match idle.len() % 3 {
            0 => {}
            1 => stream.write_all(b"GET /health HTTP/1.1\r\nhost").unwrap(),
            _ => stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap(),
        }
        idle.push(stream);
    }
    wait::until("every connection is open", || (gauge(&server, "connections") >= IDLE).then_some(()));
    // Every idle connection outlasts the patience of these.
    poster.post(server.http, &birth, &bob.subject()).unwrap();
    assert_eq!(server.get("/v1/names/bob").status, 200);
    let mib = server.resident_bytes() >> 20;
    assert!(mib < 512, "the server takes {mib} MiB with {IDLE} connections");
    drop(idle);
    wait::until("the connections are closed", || (gauge(&server, "connections") < 100).then_some(()));
    assert_eq!(server.stop().exits(0).code, Some(0));
}

#[test]
fn pages_of_any_origin_may_ask() {
    let site = Site::new();
    let server = site.start();
    let headers = [("origin", "https://example.org"), ("access-control-request-method", "POST")];
    let answer = request(server.http, "OPTIONS", "/v1/certificates", &headers, b"").unwrap();
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, "*"));
    assert!(answer.header("access-control-allow-methods").contains("POST"), "{:?}", answer.headers);
    for path in ["/log/checkpoint", "/v1/names/alice", "/v1/info", "/log/tile/0/000.p/5", "/health", "/metrics"] {
        assert_eq!(server.get(path).header("access-control-allow-origin"), "*", "{path}");
    }
}

/// Sends `first`, then nothing, or byte after byte; returns whether the server closes the connection.
fn closes(mut stream: TcpStream, first: &[u8], dribble: bool) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(first).unwrap();
    let (done, ended) = mpsc::channel::<()>();
    let mut writer = stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        while dribble
            && ended
                .recv_timeout(Duration::from_millis(50))
                .is_err_and(|error| error == mpsc::RecvTimeoutError::Timeout)
        {
            if writer.write_all(b"a").is_err() {
                break;
            }
        }
    });
    let mut said = Vec::new();
    let closed = match stream.read_to_end(&mut said) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    drop(done);
    sender.join().unwrap();
    closed
}

/// Returns a number that `/metrics` shows, of the first metric whose name contains `part`.
fn gauge(server: &Server, part: &str) -> u64 {
    let text = server.get("/metrics").text();
    let line = text.lines().find(|line| !line.starts_with('#') && line.contains(part));
    let line = line.unwrap_or_else(|| panic!("no metric {part} in\n{text}"));
    line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok()).expect(line) as u64
}
