//! The DNS server over real sockets on port 0: what `dig` and `kdig` make of it, and clients that are slow, many or rude.
//!
//! A missing tool skips its test with a message; under `CI=true` it fails.

#![allow(missing_docs, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use dgns::clock::Clock;
use dgns::dns::cookie::Cookies;
use dgns::dns::settings::{Manner, ServerSettings};
use dgns::dns::{Change, Content, Makers, Metrics, Server, Settings, Zone};
use identity::cert::Row;
use identity::did::Did;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{SetOnce, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn dig_reads_what_certificates_say() {
    let server = start(|_| ()).await;
    for (question, wanted) in [
        (&["alice.dgns.test", "A"][..], "192.0.2.1"),
        (&["ALICE.dgns.test", "AAAA"], "2001:db8::1"),
        (&["alice.dgns.test", "CAA"], "0 issue \"ca.example\""),
        (&["alice.dgns.test", "SSHFP"], "4 2 0707070707070707070707070707070707070707070707070707070707070707"),
        (&["alice.dgns.test", "HTTPS"], "1 . alpn=\"h2\""),
        (&["_db._tcp.alice.dgns.test", "SRV"], "0 0 5432 alice.dgns.test."),
        (
            &["_443._tcp.alice.dgns.test", "TLSA"],
            "3 1 1 0909090909090909090909090909090909090909090909090909090909090909",
        ),
        (&["www.dgns.test", "A"], "alice.dgns.test.\n192.0.2.1"),
        (&["_did.alice.dgns.test", "TXT"], "\"did=did:dgns:a4dqobyha4dqobyha4dqobyha4dqobyh\""),
        (&["dgns.test", "NS"], "ns.dgns.test."),
        (&["dgns.test", "SOA"], "ns.dgns.test. hostmaster.dgns.test. 9 3600 600 1209600 5"),
        (&["big.dgns.test", "TXT", "+tcp"], &big_text()),
        (&["big.dgns.test", "TXT"], &big_text()),
    ] {
        // `+short` prints the records alone; without `+ignore` both ask again by TCP when the answer was truncated.
        for tool in ["dig", "kdig"] {
            let Some(said) = run(tool, &server, &[&["+short"], question].concat()).await else { return };
            let said = match question[1] {
                "SSHFP" | "TLSA" => one_digest(&said),
                _ => said,
            };
            assert_eq!(normal(&said), normal(wanted), "{tool} {question:?}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_sees_status_flags_and_sizes() {
    let server = start(|_| ()).await;
    for (question, wanted) in [
        (&["nobody.dgns.test", "A"][..], &["status: NXDOMAIN", "flags: qr aa rd;", "SOA", "AUTHORITY: 1"][..]),
        (&["bob.dgns.test", "A"], &["status: NOERROR", "ANSWER: 0", "AUTHORITY: 1"]),
        (&["_tcp.alice.dgns.test", "A"], &["status: NOERROR", "ANSWER: 0", "AUTHORITY: 1"]),
        (&["alice.dgns.test", "ANY", "+notcp"], &["status: NOERROR", "ANSWER: 1"]),
        (&["alice.example", "A"], &["status: REFUSED", "EDE: 20"]),
        (&["alice.dgns.test", "A", "+opcode=15"], &["status: NOTIMP"]),
        (&["alice.dgns.test", "A", "+opcode=notify"], &["status: NOTAUTH"]),
        (&["id.server", "TXT", "CH"], &["status: REFUSED"]),
        (&["alice.dgns.test", "A", "+edns=1", "+noednsneg"], &["status: BADVERS", "EDNS: version: 0"]),
        (&["alice.dgns.test", "A", "+ednsopt=65001:00"], &["status: NOERROR", "ANSWER: 1", "udp: 1232"]),
        (&["alice.dgns.test", "A", "+nsid", "+subnet=192.0.2.0/24"], &["status: NOERROR", "ANSWER: 1"]),
        (&["alice.dgns.test", "A", "+zflag", "+adflag", "+cdflag"], &["status: NOERROR", "flags: qr aa rd cd;"]),
        (&["alice.dgns.test", "A", "+dnssec"], &["status: NOERROR", "flags: do;"]),
        (&["big.dgns.test", "TXT", "+ignore"], &["status: NOERROR", "flags: qr aa tc rd;", "ANSWER: 0"]),
        (&["medium.dgns.test", "TXT", "+ignore"], &["flags: qr aa rd;", "ANSWER: 1"]),
        (&["medium.dgns.test", "TXT", "+ignore", "+noedns"], &["flags: qr aa tc rd;", "ANSWER: 0"]),
    ] {
        let Some(said) = run("dig", &server, question).await else { return };
        for part in wanted {
            assert!(said.contains(part), "dig {question:?}: {part} is not in\n{said}");
        }
        assert!(!said.contains("malformed"), "dig {question:?}\n{said}");
    }
    let Some(said) = run("dig", &server, &["dgns.test", "AXFR"]).await else { return };
    assert!(said.contains("Transfer failed"), "{said}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn change_is_seen_by_the_next_query() {
    let server = start(|_| ()).await;
    let socket = client(&server).await;
    let query = question(1, "carol.dgns.test", 1);
    assert_eq!(exchange(&socket, &query).await[3] & 15, 3, "carol is nobody's");
    server.zone.apply(vec![bound("carol", vec![row("", 1, &[192, 0, 2, 77])])], 10).unwrap();
    let answer = exchange(&socket, &query).await;
    assert_eq!((answer[3] & 15, &answer[answer.len() - 4..]), (0, &[192, 0, 2, 77][..]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn question_keeps_its_letter_case() {
    let server = start(|_| ()).await;
    let socket = client(&server).await;
    let query = question(7, "aLiCe.DgNs.TeSt", 1);
    let answer = exchange(&socket, &query).await;
    assert_eq!(answer[12..query.len()], query[12..]);
    assert_eq!(answer[..2], [0, 7]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_datagram_gets_no_answer_and_the_next_one_does() {
    let server = start(|settings| settings.udp_threads = 1).await;
    let socket = client(&server).await;
    let mut response = question(1, "alice.dgns.test", 1);
    response[2] |= 0x80;
    for rude in [&[][..], &[0; 11], &response] {
        socket.send(rude).await.unwrap();
    }
    let answer = exchange(&socket, &question(2, "alice.dgns.test", 1)).await;
    assert_eq!(answer[..2], [0, 2], "the only answer is that of the good query");
    let text = server.metrics.render(&server.zone);
    for line in ["dns_dropped_total{reason=\"short\"} 2", "dns_dropped_total{reason=\"response\"} 1", "dns_names 5"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_datagrams_is_answered_and_this_machine_is_not_limited() {
    // Goal: whatever batches the workers make of a burst, each query gets its own answer. Method: a burst of two batches and some.
    let server = start(|_| ()).await;
    let socket = client(&server).await;
    let ids: Vec<u16> = (0..75).collect();
    for id in &ids {
        socket.send(&question(*id, "alice.dgns.test", 1)).await.unwrap();
    }
    let mut answered = Vec::new();
    for _ in &ids {
        let mut answer = vec![0; 1_232];
        let length = timeout(PATIENCE, socket.recv(&mut answer)).await.unwrap().unwrap();
        assert_eq!((answer[3] & 15, length > 40), (0, true));
        answered.push(u16::from_be_bytes([answer[0], answer[1]]));
    }
    answered.sort_unstable();
    assert_eq!(answered, ids);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datagram_longer_than_any_query_is_not_read() {
    let server = start(|settings| settings.udp_threads = 1).await;
    let socket = client(&server).await;
    let plain = question(1, "alice.dgns.test", 1);
    let option = |length: u16| {
        let mut query = [&plain[..], &[0, 0, 41, 4, 208, 0, 0, 0, 0], &(length + 4).to_be_bytes()].concat();
        query[11] = 1;
        [&query[..], &[0xfd, 0xe9], &length.to_be_bytes(), &vec![0; usize::from(length)]].concat()
    };
    socket.send(&option(5_000)).await.unwrap();
    let answer = exchange(&socket, &option(4_000)).await;
    assert_eq!((answer[3] & 15, answer.len() > plain.len()), (0, true), "the one that is read");
    let text = server.metrics.render(&server.zone);
    assert!(text.contains("dns_dropped_total{reason=\"long\"} 1"), "{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_gets_a_cookie_that_is_good_and_the_name_of_the_server() {
    let server = start(|_| ()).await;
    for transport in ["+notcp", "+tcp"] {
        let asked = ["alice.dgns.test", "A", "+nsid", "+cookie", transport];
        let Some(said) = run("dig", &server, &asked).await else { return };
        assert!(said.contains("ns-of-tests"), "{said}");
        assert!(said.contains("(good)"), "{said}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_queries_are_answered_in_order() {
    // Goal: 1,000 frames written at once and cut anywhere come back complete and in order.
    let server = start(|_| ()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let frames: Vec<u8> = (0..1_000).flat_map(|id| framed(&question(id, "alice.dgns.test", 1))).collect();
    let (mut reading, mut writing) = stream.split();
    let write = async {
        for piece in frames.chunks(701) {
            writing.write_all(piece).await.unwrap();
        }
    };
    let read = async {
        for id in 0..1_000_u16 {
            let answer = read_frame(&mut reading).await.unwrap();
            assert_eq!((&answer[..2], answer[3] & 15), (&id.to_be_bytes()[..], 0));
        }
    };
    timeout(PATIENCE, async { tokio::join!(write, read) }).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_answer_is_whole_over_tcp() {
    let server = start(|_| ()).await;
    let query = question(3, "big.dgns.test", 16);
    let short = exchange(&client(&server).await, &query).await;
    assert!(short[2] & 2 != 0 && short.len() == query.len(), "TC = 1 and nothing but the question");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&framed(&query)).await.unwrap();
    let whole = read_frame(&mut stream).await.unwrap();
    assert!(whole[2] & 2 == 0 && whole.len() > 1_500);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_closed() {
    // Goal: who says nothing, and who begins a frame and does not end it, is closed in his time; dripping bytes does not help.
    let server = start(|settings| {
        settings.idle = Duration::from_millis(200);
        settings.partial = Duration::from_millis(300);
    })
    .await;
    let connect = || TcpStream::connect(server.address);
    closes(connect().await.unwrap(), &[], Duration::ZERO).await;
    let frame = framed(&question(1, "alice.dgns.test", 1));
    closes(connect().await.unwrap(), &frame[..9], Duration::ZERO).await;
    closes(connect().await.unwrap(), &frame, Duration::from_millis(40)).await;
    let text = server.metrics.render(&server.zone);
    assert!(text.contains("dns_dropped_total{reason=\"slow\"} 2"), "{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_takes_no_answers_is_closed() {
    // Goal: a client that only writes stops being read from, and ends. Method: large answers until a write fails.
    let server = start(|settings| settings.partial = Duration::from_millis(300)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let frames = framed(&question(1, "big.dgns.test", 16)).repeat(1_000);
    let writing = async { while stream.write_all(&frames).await.is_ok() {} };
    timeout(PATIENCE, writing).await.expect("the server closes the connection");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_cannot_take_every_connection() {
    let server = start(|settings| settings.streams_per_client_max = 2).await;
    let frame = framed(&question(1, "alice.dgns.test", 1));
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&frame).await.unwrap();
        read_frame(&mut stream).await.expect("within the limit");
        kept.push(stream);
    }
    closes(TcpStream::connect(server.address).await.unwrap(), &[], Duration::ZERO).await;
    kept[0].write_all(&frame).await.unwrap();
    read_frame(&mut kept[0]).await.expect("the others go on");
    drop(kept);
    let again = async {
        loop {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            if stream.write_all(&frame).await.is_ok() && read_frame(&mut stream).await.is_some() {
                break;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("a closed connection is free again");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_the_server_with_connections_open() {
    let server = start(|_| ()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&framed(&question(1, "alice.dgns.test", 1))).await.unwrap();
    read_frame(&mut stream).await.unwrap();
    let address = server.address;
    timeout(PATIENCE, server.stop()).await.expect("an idle connection does not hold the server");
    assert!(TcpStream::connect(address).await.is_err());
}

// --- a server with a small zone ---------------------------------------------------------------------------------------

struct Running {
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.send(true).unwrap();
        timeout(PATIENCE, self.task).await.expect("the server stops").unwrap();
    }
}

async fn start(change: impl FnOnce(&mut ServerSettings)) -> Running {
    let zone = Arc::new(Zone::new("dgns.test", &Settings::for_zone("dgns.test")).unwrap());
    zone.apply(names(), 9).unwrap();
    zone.set_ready();
    let metrics = Arc::new(Metrics::default());
    let mut settings = ServerSettings::on(vec!["127.0.0.1:0".parse().unwrap()]);
    change(&mut settings);
    let (clock, cookies) = (Clock::system(), Cookies::new([7; 32]));
    let manner = Manner {
        clock,
        cookies,
        nsid: Arc::from(*b"ns-of-tests"),
        answers_per_s: 1,
        answers_exempt: vec![dgns::cidr::Cidr::parse("127.0.0.0/8").unwrap()],
        place_key: [7; 16],
    };
    let server = Server::bind(zone.clone(), metrics.clone(), settings, manner).await.unwrap();
    let address = server.addresses().unwrap()[0];
    let (stop, stopped) = watch::channel(false);
    let makers = Makers::none(Clock::system(), metrics.clone());
    let task = tokio::spawn(server.run(Arc::new(SetOnce::new_with(Some(makers))), stopped));
    Running { zone, metrics, address, stop, task }
}

fn names() -> Vec<Change> {
    let svcb = [&[0, 1, 0, 0, 1, 0, 3, 2][..], b"h2"].concat();
    let srv = [&[0, 0, 0, 0, 0x15, 0x38][..], &wire("alice.dgns.test")].concat();
    let alice = vec![
        row("", 1, &[192, 0, 2, 1]),
        row("", 28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        row("", 44, &[&[4, 2][..], &[7; 32]].concat()),
        row("", 65, &svcb),
        row("", 257, b"\0\x05issueca.example"),
        row("_db._tcp", 33, &srv),
        row("_443._tcp", 52, &[&[3, 1, 1][..], &[9; 32]].concat()),
    ];
    let text = |size: usize| row("", 16, &[&[255][..], &[b'x'; 255]].concat().repeat(size / 256));
    vec![
        bound("alice", alice),
        bound("bob", vec![]),
        bound("www", vec![row("", 5, &wire("alice.dgns.test"))]),
        bound("big", vec![text(2_048)]),
        bound("medium", vec![text(1_024)]),
    ]
}

fn big_text() -> String {
    format!("\"{}\"", "x".repeat(8 * 255))
}

fn bound(name: &str, rows: Vec<Row>) -> Change {
    let content = Content { did: Some(Did::from_bytes([7; 20])), log_index: 1, flags: 0, rows, is_cut: false };
    Change { name: format!("{name}.dgns.test"), content: Some(content) }
}

fn row(owner: &str, rtype: u16, rdata: &[u8]) -> Row {
    Row { owner: owner.to_owned(), rtype, rdata: rdata.to_vec(), ttl: 60 }
}

// --- clients ----------------------------------------------------------------------------------------------------------

/// Runs a DNS tool against the server; `None` if it is not installed.
async fn run(tool: &'static str, server: &Running, question: &[&str]) -> Option<String> {
    let mut command = Command::new(tool);
    let port = server.address.port().to_string();
    command.args(["@127.0.0.1", "-p", &port]).args(question);
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    match ran {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{tool} cannot be run: {error}");
            println!("skipped: {tool} cannot be run: {error}");
            None
        }
    }
}

/// Removes what tools print differently: white space, letter case, quotes between the strings of a TXT and around values.
fn normal(said: &str) -> String {
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    words.replace("\" \"", "").replace('"', "").to_lowercase()
}

/// Joins the groups into which tools break a digest, which stands behind numbers of one digit.
fn one_digest(said: &str) -> String {
    let (numbers, digest): (Vec<&str>, Vec<&str>) = said.split_whitespace().partition(|word| word.len() == 1);
    format!("{} {}", numbers.join(" "), digest.concat())
}

fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.');
    let mut bytes: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn question(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &wire(name), &qtype.to_be_bytes(), &[0, 1]].concat()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

async fn client(server: &Running) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.address).await.unwrap();
    socket
}

async fn exchange(socket: &UdpSocket, query: &[u8]) -> Vec<u8> {
    let mut answer = vec![0; 2_000];
    socket.send(query).await.unwrap();
    let length = timeout(PATIENCE, socket.recv(&mut answer)).await.expect("an answer").unwrap();
    answer.truncate(length);
    answer
}

async fn read_frame(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Vec<u8>> {
    let length = stream.read_u16().await.ok()?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

/// Writes `bytes`, one each `pause` or all at once, and waits for the server to close without an answer.
async fn closes(mut stream: TcpStream, bytes: &[u8], pause: Duration) {
    let (mut reading, mut writing) = stream.split();
    let write = async {
        if pause.is_zero() {
            return writing.write_all(bytes).await.unwrap_or_default();
        }
        for byte in bytes {
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
    };
    let read = async { assert_eq!(reading.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed without an answer") };
    timeout(PATIENCE, async { tokio::join!(write, read) }).await.expect("the server closes the connection");
}
