//! DNS over TLS, HTTPS and QUIC as stock clients and one of one's own speak it: what is answered, by which certificate, and what becomes of everybody else who connects.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use dgns_tests::harness::certificate::{Authority, Certificate};
use dgns_tests::harness::programs::{Ran, run};
use dgns_tests::harness::secondary::{Primary, Secondary, dig};
use dgns_tests::harness::{Person, Server, Site, ports, wait};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::dns_transfers::{KEY, ZONE, counter};
use crate::dns_updates::{key_of, record, sent, signed};

const HOST: &str = "ns.dgns.test";

/// What answers over an encrypted transport are padded to.
const BLOCK: usize = 468;

/// More queries at once than a server answers before it writes.
const QUERIES: u16 = 300;

/// The connections that one client may have.
const CONNECTIONS: usize = 32;

/// A site that speaks encrypted DNS.
struct Encrypted {
    authority: Authority,
    /// Where the server reads them.
    served: Certificate,
    site: Site,
}

impl Encrypted {
    fn new() -> Self {
        let authority = Authority::new();
        let served = authority.signs("served", HOST);
        let site = Self::site(&served);
        Self { authority, served, site }
    }

    fn site(Certificate { certificate, key }: &Certificate) -> Site {
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let any = "[\"127.0.0.1:0\"]";
        let site = Site::new().with("dns", "dot", any).with("dns", "doh", any).with("dns", "doq", any);
        site.with("dns.tls", "certificate", &quoted(certificate)).with("dns.tls", "key", &quoted(key))
    }

    /// Puts another certificate where the server reads it.
    fn renew(&self, Certificate { certificate, key }: &Certificate) {
        fs::copy(certificate, &self.served.certificate).unwrap();
        fs::copy(key, &self.served.key).unwrap();
    }

    /// Returns a connection that offers these protocols.
    fn connect(&self, address: SocketAddr, protocols: &[&str], version: &'static SupportedProtocolVersion) -> Talk {
        connect(address, self.client(protocols, version))
    }

    /// Returns the settings of clients that offer these protocols, and know each other's tickets.
    fn client(&self, protocols: &[&str], version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.authority.root()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(&[version]).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Runs kdig, which checks the certificate.
    fn kdig(&self, address: SocketAddr, options: &[&str]) -> Ran {
        kdig(&self.authority, address, HOST, options)
    }
}

/// A client's end of a connection.
type Talk = StreamOwned<ClientConnection, TcpStream>;

fn connect(address: SocketAddr, client: Arc<ClientConfig>) -> Talk {
    let connection = ClientConnection::new(client, ServerName::try_from(HOST).unwrap()).unwrap();
    StreamOwned::new(connection, tcp(address))
}

/// Returns a connection over which nothing is waited for any longer than a test waits.
fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    stream
}

fn dot(server: &Server) -> SocketAddr {
    address(server, "dot")
}

fn doh(server: &Server) -> SocketAddr {
    address(server, "doh")
}

fn doq(server: &Server) -> SocketAddr {
    address(server, "doq")
}

fn address(server: &Server, over: &str) -> SocketAddr {
    server.ready[over][0].as_str().and_then(|address| address.parse().ok()).expect("the ready line says where")
}

fn kdig(authority: &Authority, address: SocketAddr, host: &str, options: &[&str]) -> Ran {
    let mut command = Command::new("kdig");
    command.arg("@127.0.0.1").arg("-p").arg(address.port().to_string()).arg("+retry=0");
    command.arg(format!("+tls-ca={}", authority.root().display())).arg(format!("+tls-hostname={host}"));
    command.args(options);
    run(command, "")
}

fn query(id: u16, name: &str, edns: bool) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    let name: Vec<u8> = labels.chain([0]).collect();
    let opt: &[u8] = if edns { b"\0\0\x29\x04\xd0\0\0\0\0\0\0" } else { b"" };
    [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, edns.into()], &name, &[0, 1, 0, 1], opt].concat()
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn read_frame(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// Returns the answer to one query over a connection.
fn asked(talk: &mut Talk, message: &[u8]) -> std::io::Result<Vec<u8>> {
    talk.write_all(&frame(message))?;
    read_frame(talk)
}

/// Returns whether the other side closes, whatever it says before.
fn is_closed(mut stream: impl Read) -> bool {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn stock_clients_ask_over_tls() {
    // Goal: kdig, which checks the certificate, gets what it gets over TCP; with another name or authority it gets nothing.
    let encrypted = Encrypted::new();
    let server = encrypted.site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.7"]).exits(0);
    for name in ["alice.dgns.test", "nobody.dgns.test", "alice._proof.dgns.test"] {
        let said = encrypted.kdig(dot(&server), &[name, "TXT", "+padding", "+dnssec"]);
        assert!(said.stdout.contains("TLS session (TLS1.3)"), "{said}");
        assert!(said.stdout.contains("PADDING: "), "{said}");
        let received = said.stdout.split("Received ").nth(1).and_then(|rest| rest.split(" B").next());
        let bytes: usize = received.and_then(|bytes| bytes.parse().ok()).unwrap_or_else(|| panic!("{said}"));
        assert!(bytes.is_multiple_of(BLOCK), "{said}");
    }
    let said = encrypted.kdig(dot(&server), &["+short", "alice.dgns.test", "A"]);
    assert_eq!(said.stdout.trim(), "192.0.2.7", "{said}");
    assert!(counter(&server, "dns_queries_total{transport=\"tls\"}") >= 4);
    let refused = counter(&server, "dns_dropped_total{reason=\"handshake\"}");
    let another = kdig(&encrypted.authority, dot(&server), "ns.example.com", &["+short", "alice.dgns.test", "A"]);
    let believed = kdig(&Authority::new(), dot(&server), HOST, &["+short", "alice.dgns.test", "A"]);
    assert_eq!((another.stdout.contains("192.0.2.7"), believed.stdout.contains("192.0.2.7")), (false, false));
    wait::until("clients that left within the handshake are counted", || {
        (counter(&server, "dns_dropped_total{reason=\"handshake\"}") == refused + 2).then_some(())
    });
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn many_queries_go_over_one_connection_and_are_padded() {
    // Goal: RFC 7858 section 3.3 and RFC 8467 section 4.1. Method: hundreds of queries at once, then what they are answered, in their order.
    let encrypted = Encrypted::new();
    let server = encrypted.site.start();
    let mut talk = encrypted.connect(dot(&server), &["dot"], &rustls::version::TLS13);
    let queries: Vec<u8> =
        (0..QUERIES).flat_map(|id| frame(&query(id, &format!("n{id}.dgns.test"), id % 2 == 0))).collect();
    talk.write_all(&queries).unwrap();
    assert_eq!(talk.conn.alpn_protocol(), Some(b"dot".as_slice()));
    for id in 0..QUERIES {
        let answer = read_frame(&mut talk).unwrap();
        assert_eq!((&answer[..2], answer[3] & 15), (&id.to_be_bytes()[..], 3));
        assert_eq!(
            answer.len().is_multiple_of(BLOCK),
            id % 2 == 0,
            "padded where the query has an OPT, and only there: {}",
            answer.len()
        );
    }
    assert_eq!(counter(&server, "dns_queries_total{transport=\"tls\"}"), u64::from(QUERIES));
    // A stop says good-bye.
    assert_eq!(server.stop().code, Some(0));
    let mut rest = Vec::new();
    assert_eq!(talk.read_to_end(&mut rest).map_err(|error| error.kind()), Ok(0), "TLS is ended, not torn");
}

#[test]
fn who_speaks_something_else_is_let_go() {
    // Goal: no client that speaks no TLS, an old one, another protocol, or nothing, is waited for; all count as connections of one client.
    let encrypted = Encrypted::new();
    let server = encrypted.site.start();
    let address = dot(&server);
    let refused = || counter(&server, "dns_dropped_total{reason=\"handshake\"}");
    let mut plain = tcp(address);
    plain.write_all(&frame(&query(1, "alice.dgns.test", false))).unwrap();
    assert!(is_closed(plain));
    wait::until("it is counted", || (refused() == 1).then_some(()));
    for (protocols, version) in
        [(&["h2"][..], &rustls::version::TLS13), (&["dot"], &rustls::version::TLS12), (&[], &rustls::version::TLS12)]
    {
        let mut talk = encrypted.connect(address, protocols, version);
        assert!(asked(&mut talk, &query(1, "alice.dgns.test", false)).is_err(), "{protocols:?}");
    }
    wait::until("each is counted", || (refused() == 4).then_some(()));
    let mut unnamed = encrypted.connect(address, &[], &rustls::version::TLS13);
    assert_eq!(asked(&mut unnamed, &query(1, "alice.dgns.test", false)).unwrap()[3] & 15, 3);

    let slow = counter(&server, "dns_dropped_total{reason=\"slow\"}");
    assert!(is_closed(tcp(address)), "who says nothing");
    let mut half = tcp(address);
    half.write_all(b"\x16\x03\x01\x02").unwrap();
    assert!(is_closed(half), "who says half of a hello");
    wait::until("both are counted", || {
        (counter(&server, "dns_dropped_total{reason=\"slow\"}") == slow + 2).then_some(())
    });

    let held: Vec<_> = (0..20).flat_map(|_| [server.dns, address]).map(tcp).collect();
    wait::until("connections of both kinds are counted together", || {
        (counter(&server, "dns_dropped_total{reason=\"connections\"}") >= 1).then_some(())
    });
    drop(held);
}

/// What an HTTP client was answered.
#[derive(Debug)]
struct Response {
    status: u16,
    version: String,
    content_type: String,
    caching: String,
    body: Vec<u8>,
}

impl Encrypted {
    /// Asks by curl; `options` come before the URL of the server's own path, to which `rest` is added.
    fn curl(&self, server: &Server, options: &[&str], rest: &str) -> Response {
        let (port, body) = (doh(server).port(), self.authority.root().with_file_name("body"));
        let mut command = Command::new("curl");
        command.args(["-s", "-S", "--max-time", "100", "--resolve", &format!("{HOST}:{port}:127.0.0.1"), "--cacert"]);
        command.arg(self.authority.root()).arg("-o").arg(&body);
        command.args(["-w", "%{http_code}|%{http_version}|%{content_type}|%header{cache-control}"]).args(options);
        command.arg(format!("https://{HOST}:{port}{rest}"));
        let _of_the_request_before = fs::remove_file(&body);
        let ran = run(command, "");
        let [status, version, content_type, caching] = ran.stdout.split('|').collect::<Vec<_>>()[..] else {
            panic!("{ran}")
        };
        Response {
            status: status.parse().unwrap(),
            version: version.into(),
            content_type: content_type.into(),
            caching: caching.into(),
            body: fs::read(body).unwrap_or_default(),
        }
    }

    /// Posts a body.
    fn post(&self, server: &Server, content_type: &str, body: &[u8], options: &[&str]) -> Response {
        let file = self.authority.root().with_file_name("request");
        fs::write(&file, body).unwrap();
        let (header, data) = (format!("Content-Type: {content_type}"), format!("@{}", file.display()));
        self.curl(server, &[&["-H", &header, "--data-binary", &data], options].concat(), "/dns-query")
    }
}

#[test]
fn messages_are_asked_over_https() {
    // Goal: RFC 8484: GET and POST, HTTP/2 and HTTP/1.1, how long an answer may be kept, and the status of each request that is none. Method: kdig, and
    // curl as the client.
    let encrypted = Encrypted::new();
    let server = encrypted.site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.7", "--ttl", "77"]).exits(0);
    for method in ["+https", "+https-get"] {
        let said = encrypted.kdig(doh(&server), &[method, "alice.dgns.test", "A", "+padding"]);
        assert!(said.stdout.contains("192.0.2.7") && said.stdout.contains("HTTP session (HTTP/2"), "{said}");
        assert!(said.stdout.contains("PADDING: "), "{said}");
    }
    let (asked, media) = (query(0, "alice.dgns.test", true), "application/dns-message");
    let text = data_encoding::BASE64URL_NOPAD.encode(&asked);
    for (version, wanted) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let got = encrypted.curl(&server, &[version], &format!("/dns-query?dns={text}"));
        let posted = encrypted.post(&server, media, &asked, &[version]);
        for Response { status, version, content_type, caching, body } in [&got, &posted] {
            let said = (*status, &**version, &**content_type, &**caching);
            assert_eq!(said, (200, wanted, media, "max-age=77"), "{got:?} {posted:?}");
            assert!(body.windows(4).any(|bytes| bytes == [192, 0, 2, 7]) && body.len() == BLOCK, "{body:?}");
        }
    }
    let absent = encrypted.post(&server, media, &query(0, "nobody.dgns.test", false), &[]);
    assert_eq!((absent.status, &*absent.caching, absent.body[3] & 15), (200, "max-age=5", 3));
    let foreign = encrypted.post(&server, media, &query(0, "alice.example", false), &[]);
    assert_eq!((foreign.status, &*foreign.caching, foreign.body[3] & 15), (200, "no-store", 5));
    let count = || counter(&server, "dns_queries_total{transport=\"https\"}");
    assert_eq!(count(), 8);

    let refused = counter(&server, "dns_dropped_total{reason=\"request\"}");
    let long = vec![0; 4_097];
    let cases = [
        ("another path", encrypted.curl(&server, &[], &format!("/?dns={text}")), 404),
        ("no message", encrypted.curl(&server, &[], "/dns-query"), 400),
        ("no base64url", encrypted.curl(&server, &[], "/dns-query?dns=A+A"), 400),
        ("another method", encrypted.curl(&server, &["-X", "PUT"], "/dns-query"), 405),
        ("JSON", encrypted.post(&server, "application/json", &asked, &[]), 415),
        ("a long body", encrypted.post(&server, media, &long, &[]), 413),
        (
            "a long body in pieces",
            encrypted.post(&server, media, &long, &["-H", "Transfer-Encoding: chunked", "--http1.1"]),
            413,
        ),
    ];
    let update = [&[0, 0, 0x28], &query(0, "dgns.test", false)[3..]].concat();
    let update = format!("/dns-query?dns={}", data_encoding::BASE64URL_NOPAD.encode(&update));
    let cases = cases.into_iter().chain([("an update by GET", encrypted.curl(&server, &[], &update), 405)]);
    let cases: Vec<_> = cases.collect();
    let counted = cases.len() as u64;
    for (what, response, wanted) in cases {
        assert_eq!((response.status, response.body.len()), (wanted, 0), "{what}: {response:?}");
    }
    assert_eq!(counter(&server, "dns_dropped_total{reason=\"request\"}"), refused + counted);
    assert_eq!(count(), 8, "none of them is a query");
    for (what, message) in [("nothing", &[][..]), ("an answer", &[0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0])] {
        assert_eq!(encrypted.post(&server, media, message, &[]).status, 400, "{what}");
    }
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn a_connection_of_https_that_asks_nothing_is_closed() {
    // Goal: neither a client that says nothing after its handshake, nor one that keeps HTTP/2 open, nor one that ends no request, is waited for.
    let encrypted = Encrypted::new();
    let server = encrypted.site.start();
    let connect = |protocol| encrypted.connect(doh(&server), &[protocol], &rustls::version::TLS13);
    let mut silent = connect("h2");
    silent.conn.complete_io(&mut silent.sock).unwrap();
    let mut greeted = connect("h2");
    greeted.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut slow = connect("http/1.1");
    slow.write_all(b"GET /dns-query HTTP/1.1\r\nHost").unwrap();
    let mut held_back = connect("http/1.1");
    let head =
        "POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/dns-message\r\nContent-Length: 9\r\n\r\nab";
    held_back.write_all(head.as_bytes()).unwrap();
    let mut said = Vec::new();
    let _until_it_is_closed = held_back.read_to_end(&mut said);
    assert!(said.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&said));
    for (what, talk) in [("silent", silent), ("HTTP/2 alone", greeted), ("half a head", slow)] {
        assert!(is_closed(talk), "{what}");
    }
}

/// Returns the settings of a client of QUIC that offers this protocol.
fn quic(authority: &Authority, protocol: &str) -> quinn::ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.root()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    quinn::ClientConfig::new(Arc::new(crypto))
}

/// Sends bytes on a stream of its own; returns what comes back. Errors: why the connection is closed.
async fn told(connection: &quinn::Connection, bytes: &[u8]) -> Result<Vec<u8>, quinn::ConnectionError> {
    let (mut send, mut receive) = connection.open_bi().await?;
    // Whoever is closed meanwhile learns why from the connection.
    let _sent = (send.write_all(bytes).await, send.finish());
    match receive.read_to_end(65_537).await {
        Ok(answer) => Ok(answer),
        Err(_) => Err(connection.closed().await),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_asked_over_quic() {
    // Goal: RFC 9250: kdig, which checks the certificate; many queries at once on one connection; who breaks the rules, says nothing or speaks another
    // protocol is let go. Method: kdig, and quinn as a client.
    let encrypted = Encrypted::new();
    let server = encrypted.site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.7"]).exits(0);
    let said = encrypted.kdig(doq(&server), &["+quic", "alice.dgns.test", "A", "+padding"]);
    assert!(said.stdout.contains("192.0.2.7") && said.stdout.contains("QUIC session"), "{said}");
    assert!(said.stdout.contains("PADDING: "), "{said}");

    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let connect = async |protocol| {
        let config = quic(&encrypted.authority, protocol);
        endpoint.connect_with(config, doq(&server), HOST).unwrap().await.map_err(|error| error.to_string())
    };
    let connection = connect("doq").await.unwrap();
    let asked: Vec<_> = (0..QUERIES)
        .map(|number| {
            let (connection, name) = (connection.clone(), format!("n{number}.dgns.test"));
            tokio::spawn(async move { told(&connection, &frame(&query(0, &name, true))).await })
        })
        .collect();
    for answer in asked {
        let answer = answer.await.unwrap().unwrap();
        assert_eq!((answer.len(), answer[5] & 15), (2 + BLOCK, 3));
    }
    assert_eq!(counter(&server, "dns_queries_total{transport=\"quic\"}"), 1 + u64::from(QUERIES));
    for (what, bytes) in [
        ("an id", frame(&query(7, "alice.dgns.test", false))),
        ("nothing", Vec::new()),
        ("less than its length", vec![0, 40, 0, 0, 1]),
        ("two messages", frame(&query(0, "alice.dgns.test", false)).repeat(2)),
        ("a long message", frame(&[0; 4_097])),
    ] {
        let connection = connect("doq").await.unwrap();
        let closed = told(&connection, &bytes).await;
        let Err(quinn::ConnectionError::ApplicationClosed(why)) = closed else { panic!("{what}: {closed:?}") };
        assert_eq!(why.error_code, quinn::VarInt::from_u32(2), "{what}");
    }
    assert!(connect("h3").await.is_err(), "another protocol");
    let answer = told(&connection, &frame(&query(0, "alice.dgns.test", false))).await.unwrap();
    assert_eq!(answer[answer.len() - 4..], [192, 0, 2, 7], "others are not concerned");

    let slow = counter(&server, "dns_dropped_total{reason=\"slow\"}");
    let held_back = connect("doq").await.unwrap();
    let (mut send, mut receive) = held_back.open_bi().await.unwrap();
    send.write_all(&[0, 40]).await.unwrap();
    assert!(receive.read_to_end(9).await.is_err(), "a stream that is not ended");
    assert_eq!(counter(&server, "dns_dropped_total{reason=\"slow\"}"), slow + 1);
    held_back.closed().await;
    let stopped = tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    assert_eq!(stopped.code, Some(0));
}

#[test]
fn whoever_takes_no_answer_over_https_is_cut_off() {
    // Goal: what a client asks and does not take is not kept for him, however often he says something else. Method: HTTP/2 by hand, with no room for bodies.
    let encrypted = Encrypted::new();
    let server = encrypted.site.start();
    let mut talk = encrypted.connect(doh(&server), &["h2"], &rustls::version::TLS13);
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&[0, (payload.len() >> 8) as u8, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let text = data_encoding::BASE64URL_NOPAD.encode(&query(0, "alice.dgns.test", true));
    let path = format!("/dns-query?dns={text}");
    // GET, https, a path, an authority (RFC 7541 appendix A).
    let head = [&[0x82, 0x87, 0x04, path.len() as u8], path.as_bytes(), &[0x01, 1, b'x']].concat();
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let asked = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings, frame(1, 5, 1, &head)].concat();
    talk.write_all(&asked).unwrap();
    assert!(is_closed(talk));
    wait::until("it is counted", || (counter(&server, "dns_dropped_total{reason=\"slow\"}") == 1).then_some(()));
    assert_eq!(counter(&server, "dns_queries_total{transport=\"https\"}"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_write_over_every_stream_and_once() {
    // Goal: PROTOCOL 13.3 over TLS, HTTPS and QUIC; what came over one of them comes again over none. Method: an update over each, then each over each.
    let encrypted = Encrypted::new();
    let server = encrypted.site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let key = key_of(&alice, &server);
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let send = async |over: &str, message: &[u8]| match over {
        "tcp" => sent(&server, message),
        "tls" => {
            let mut talk = encrypted.connect(dot(&server), &["dot"], &rustls::version::TLS13);
            asked(&mut talk, message).unwrap()[3] & 15
        }
        "https" => {
            let response = encrypted.post(&server, "application/dns-message", message, &[]);
            assert_eq!((response.status, &*response.caching), (200, "no-store"), "{response:?}");
            response.body[3] & 15
        }
        _ => {
            let config = quic(&encrypted.authority, "doq");
            let connection = endpoint.connect_with(config, doq(&server), HOST).unwrap().await.unwrap();
            told(&connection, &frame(message)).await.unwrap()[5] & 15
        }
    };
    let ways = ["tcp", "tls", "https", "quic"];
    let message = |last: u8| signed(&key, 0, &[], &[record(1, 1, 60, &[192, 0, 2, last])]);
    let messages = [1, 2, 3, 4].map(message);
    for (over, message) in ways.iter().zip(&messages) {
        assert_eq!(send(over, message).await, 0, "{over}");
    }
    for (first, message) in ways.iter().zip(&messages) {
        for over in ways {
            assert_eq!(send(over, message).await, 5, "{first}, then {over}");
        }
    }
    let said = dig(server.dns, &["+short", "alice.dgns.test", "A"]).stdout;
    let mut shown: Vec<_> = said.lines().collect();
    shown.sort_unstable();
    assert_eq!(shown, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_of_encrypted_connections_come_back() {
    // Goal: connections of every kind count, and no longer than they last, nor do handshakes that fail. Method: all of a client's, one more, and one more
    // when they have gone.
    let encrypted = Encrypted::new();
    let server = encrypted.site.start();
    let full = || counter(&server, "dns_dropped_total{reason=\"connections\"}");
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let connect_quic = async |protocol| {
        let config = quic(&encrypted.authority, protocol);
        endpoint.connect_with(config, doq(&server), HOST).unwrap().await
    };
    for _ in 0..CONNECTIONS {
        assert!(connect_quic("h3").await.is_err());
        let mut plain = tcp(doh(&server));
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert!(is_closed(plain));
    }
    let connect_https = || {
        let mut talk = encrypted.connect(doh(&server), &["http/1.1"], &rustls::version::TLS13);
        talk.conn.complete_io(&mut talk.sock).map(|_| talk)
    };
    let works = || {
        wait::until("there is a seat again", || {
            (encrypted.curl(&server, &[], "/dns-query").status == 400).then_some(())
        });
    };
    works();
    wait::until("no seat is taken", || {
        let before = full();
        let held: Result<Vec<_>, _> = (0..CONNECTIONS).map(|_| connect_https()).collect();
        (held.is_ok() && full() == before).then_some(())
    });
    works();
    let mut held = Vec::new();
    while let Ok(connection) = connect_quic("doq").await {
        assert!(held.len() < CONNECTIONS, "a client has more than its seats");
        held.push(connection);
    }
    let mut others = Vec::new();
    while let Ok(talk) = connect_https() {
        others.push(talk);
        assert!(held.len() + others.len() <= CONNECTIONS, "connections of all kinds count together");
    }
    drop(others);
    held.iter().for_each(|connection| connection.close(quinn::VarInt::from_u32(0), b""));
    works();
    wait::until("a seat for QUIC", || {
        let connecting =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(connect_quic("doq")));
        connecting.ok()
    });
}

#[test]
fn a_renewed_certificate_is_served_without_a_restart() {
    // Goal: what is renewed is served; files that do not fit leave the one before. Method: files are replaced under
    // a running server.
    let encrypted = Encrypted::new();
    let server = encrypted.site.start();
    let served = |wanted: &Certificate| {
        let mut talk = encrypted.connect(dot(&server), &["dot"], &rustls::version::TLS13);
        asked(&mut talk, &query(1, "alice.dgns.test", false)).unwrap();
        let wanted = CertificateDer::from_pem_file(&wanted.certificate).unwrap();
        talk.conn.peer_certificates().unwrap()[0] == wanted
    };
    let (first, second) = (encrypted.authority.signs("first", HOST), encrypted.authority.signs("second", HOST));
    encrypted.renew(&first);
    wait::until("the renewed certificate is served", || served(&first).then_some(()));
    fs::copy(&second.certificate, &encrypted.served.certificate).unwrap();
    wait::until("the server says what is wrong", || {
        let log = fs::read_to_string(encrypted.site.log()).unwrap();
        log.contains("is not the key of the first certificate").then_some(())
    });
    assert!(served(&first), "half of a renewal changes nothing");
    encrypted.renew(&second);
    wait::until("the whole of it does", || served(&second).then_some(()));
    // The metrics say until when it is good, as openssl does.
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in"]).arg(&second.certificate);
    let end = run(command, "").exits(0).stdout.trim().trim_start_matches("notAfter=").to_owned();
    let mut command = Command::new("date");
    command.args(["-u", "+%s", "-d", &end]);
    let end_s: u64 = run(command, "").exits(0).stdout.trim().parse().unwrap();
    wait::until("the metrics say so", || (counter(&server, "dns_certificate_end_seconds") == end_s).then_some(()));
}

#[test]
fn a_secondary_copies_over_tls_alone() {
    // Goal: RFC 9103: a stock NSD, which checks the certificate, loads the zone and follows it over TLS; whoever has its key gets nothing without TLS, and
    // nobody without it anything over TLS. Method: NSD, and kdig in its place.
    let (authority, dot) = (Authority::new(), ports::free());
    let at = SocketAddr::from(([127, 0, 0, 1], dot));
    let secondary = Secondary::place();
    let site = Encrypted::site(&authority.signs("served", HOST)).with("dns", "dot", &format!("[\"{at}\"]"));
    let key = site.file("peer.tsig", &format!("{KEY}\n"));
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let peer = format!("[{{ address = \"{secondary}\", key = {:?}, tls = true }}]", key.display().to_string());
    let server = site.with("dns", "peer", &peer).with("log", "epoch_idle_s", "240").start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.8"]).exits(0);
    let root = authority.root();
    let tls = Some((at, root.as_path(), HOST));
    let nsd = Secondary::nsd(secondary, Primary { address: server.dns, zone: ZONE, key: KEY, tls });
    let has = |address: &str| {
        wait::until("the secondary has the newest address", || {
            let said = dig(nsd.address, &["+short", "alice.dgns.test", "A"]).stdout;
            (said.trim() == address).then_some(())
        });
    };
    has("192.0.2.8");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.9"]).exits(0);
    has("192.0.2.9");
    assert!(counter(&server, "dns_transfers_total{kind=\"axfr\"}") >= 1, "{}", nsd.log());
    assert!(counter(&server, "dns_queries_total{transport=\"tls\"}") >= 2, "{}", nsd.log());

    let copy = |options: &[&str]| kdig(&authority, at, HOST, &[options, &[ZONE, "AXFR"]].concat()).stdout;
    assert!(copy(&["-y", KEY]).contains("192.0.2.9"), "kdig believes every message");
    let nothing = |said: &str| !["192.0.2.9", "DNSKEY", "RRSIG"].iter().any(|part| said.contains(part));
    assert!(nothing(&copy(&[])), "without the key");
    for options in [&["-y", KEY, ZONE, "AXFR"][..], &["-y", KEY, ZONE, "IXFR=1"]] {
        let refused = counter(&server, "dns_transfers_total{kind=\"refused\"}");
        let said = dig(server.dns, options);
        assert!(nothing(&said.stdout) && said.stdout.contains("Transfer failed"), "without TLS: {said}");
        assert_eq!(counter(&server, "dns_transfers_total{kind=\"refused\"}"), refused + 1);
    }
}

#[test]
fn a_certificate_that_cannot_be_served_is_named_at_the_start() {
    let authority = Authority::new();
    let (good, other) = (authority.signs("good", HOST), authority.signs("other", HOST));
    let garbage = good.key.with_file_name("garbage");
    fs::write(&garbage, "no PEM").unwrap();
    fs::set_permissions(&garbage, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let public = good.key.with_file_name("public.key");
    fs::copy(&good.key, &public).unwrap();
    fs::set_permissions(&public, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let missing = good.key.with_file_name("missing");
    for (certificate, key, wanted) in [
        (&missing, &good.key, "missing: No such file"),
        (&good.certificate, &missing, "missing: No such file"),
        (&garbage, &good.key, "garbage holds no certificate in PEM"),
        (&good.certificate, &garbage, "garbage holds no private key in PEM"),
        (&good.certificate, &other.key, "other.key is not the key of the first certificate in"),
        (&good.certificate, &public, "chmod o-rwx"),
    ] {
        let site = Encrypted::site(&Certificate { certificate: certificate.clone(), key: key.clone() });
        let ran = site.start_in_vain();
        assert!(ran.code == Some(1) && ran.stderr.contains(wanted), "{wanted}: {ran}");
    }
    let ran = Site::new().with("dns", "dot", "[\"127.0.0.1:0\"]").start_in_vain();
    assert!(ran.stderr.contains("dns.tls.certificate: is missing") && ran.stderr.contains("dns.tls.key"), "{ran}");
}
