//! Proofs that come as DNS records, from the server or through a real resolver, and through one that lies.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dgns_tests::harness::programs::run;
use dgns_tests::harness::secondary::dig;
use dgns_tests::harness::unbound::Unbound;
use dgns_tests::harness::{Person, Server, Site, ports};
use translog::pieces::{Piece, Question};

/// A URL at which nobody listens: whoever asks it over HTTP fails.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn a_name_is_proved_by_dns_alone() {
    // Goal: presence with records, absence, and a DID are proved without a word of HTTP, straight from the server, by datagrams and by
    // TCP, and through a real resolver; what was remembered is continued. Method: the reader knows the log by its key alone.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let did = alice.dgns(&server, &["whoami"]).exits(0).text("/did");
    let unbound = Unbound::before(server.dns, "dgns.test", None);
    for (address, by) in [(server.dns, &[][..]), (server.dns, &["--tcp"]), (unbound.address, &[])] {
        let reader = Person::new();
        let policy = policy(&reader, &server);
        let ask = |name: &str| {
            let address = address.to_string();
            let asked = [&["resolve", name, "--dns", &address, "--policy", &policy][..], by].concat();
            reader.dgns_at(NOBODY, &asked, "")
        };
        let said = ask("alice.dgns.test");
        let said = said.exits(0).json();
        assert_eq!((&said["status"], &said["records"][0]["value"]), (&"present".into(), &"192.0.2.1".into()));
        assert_eq!(said["proof"]["log_keys"][0], server.vkey());
        assert_eq!(ask("nobody.dgns.test").exits(6).json()["status"], "absent");
        assert_eq!(ask(&did).exits(0).json()["status"], "present");
        alice.dgns(&server, &["records", "set", "alice", "TXT", &format!("{address}{by:?}")]).exits(0);
        let size = alice.dgns(&server, &["resolve", "alice"]).exits(0).json()["proof"]["size"].clone();
        let said = dgns_tests::harness::wait::until("the resolver's cache is over", || {
            let said = ask("alice.dgns.test").exits(0).json();
            (said["proof"]["size"] == size).then_some(said)
        });
        assert_eq!(said["records"].as_array().map(Vec::len), Some(2));
        assert_ne!(said["proof"]["continuity"], "first_contact", "{said}");
    }
    let stranger = Person::new();
    let address = server.dns.to_string();
    stranger.dgns_at(NOBODY, &["resolve", "alice.dgns.test", "--dns", &address], "").exits(1);
    // Whoever met the server over HTTP needs no policy.
    alice.dgns(&server, &["resolve", "alice", "--dns", &address]).exits(0);
    let none = format!("127.0.0.1:{}", ports::free());
    alice.dgns(&server, &["resolve", "alice", "--dns", &none]).exits(2);
}

#[test]
fn proofs_fit_one_datagram_and_strangers_get_none() {
    // Goal: PROTOCOL 13.2's sizes. Method: dig with and without a cookie of the server's; a name, a head, the checkpoint, absence.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let dig = |name: &str, options: &[&str]| {
        let mut command = Command::new("dig");
        let port = server.dns.port().to_string();
        command.args(["@127.0.0.1", "-p", &port, "+tries=1", "+time=60", name, "TXT"]).args(options);
        run(command, "").exits(0).stdout.clone()
    };
    let checkpoint = server.get("/log/checkpoint");
    let shown = dgns_tests::harness::wait::until("the checkpoint is shown", || {
        let shown = dig("_checkpoint.dgns.test", &["+short", "+tcp"]);
        (!shown.is_empty()).then_some(shown)
    });
    assert!(shown.starts_with("\"dgns.test/log\\010"), "{shown} {}", String::from_utf8_lossy(&checkpoint.body));
    for name in ["alice._proof.dgns.test", "nobody._proof.dgns.test"] {
        let said = dig(name, &["+bufsize=1232", "+ignore"]);
        assert!(said.contains("ANSWER: 1") && !said.contains(" tc"), "one datagram: {said}");
    }
    alice.dgns(&server, &["records", "set", "alice", "TXT", &"x".repeat(250), &"y".repeat(250)]).exits(0);
    let first = by_tcp(server.dns, &query("alice._proof.dgns.test"));
    let first = strings(&first[text_at(&first)..text_end(&first)]);
    let (index, sid) = Piece::decode(&first).unwrap().leads_to().unwrap().records.unwrap();
    let long = format!("{}._proof.dgns.test", Question::Certificate(sid, index));
    let plain = dig(&long, &["+nocookie", "+noedns", "+ignore"]);
    assert!(plain.contains(" tc") && plain.contains("ANSWER: 0"), "a stranger is sent to TCP: {plain}");
    let large = dig(&long, &["+nocookie", "+bufsize=1232", "+ignore"]);
    assert!(large.contains(" tc") && large.contains("ANSWER: 0"), "whatever size it offers: {large}");
    let first = dig(&long, &["+cookie=0123456789abcdef", "+bufsize=1232", "+ignore"]);
    let cookie = first.lines().find_map(|line| line.strip_prefix("; COOKIE: ")).expect("a cookie");
    let cookie = format!("+cookie={}", cookie.split(' ').next().unwrap());
    let known = dig(&long, &[&cookie, "+bufsize=1232", "+ignore"]);
    assert!(known.contains("ANSWER: 1") && !known.contains(" tc"), "one datagram: {known}");
    assert!(dig(&long, &[]).contains("ANSWER: 1"), "and TCP has it all");
    for (name, status) in [
        ("_did._proof.dgns.test", "NOERROR"),
        ("7._cons._proof.dgns.test", "NOERROR"),
        ("x._proof.dgns.test", "NXDOMAIN"),
        ("999._head._proof.dgns.test", "NXDOMAIN"),
        ("99.1._cons._proof.dgns.test", "NXDOMAIN"),
        ("a\\.b._proof.dgns.test", "NXDOMAIN"),
    ] {
        let said = dig(name, &[]);
        assert!(said.contains(&format!("status: {status}")) && said.contains("ANSWER: 0"), "{name}: {said}");
        assert!(said.contains("_proof.dgns.test.\t5\tIN\tSOA"), "{name}: {said}");
    }
}

#[test]
fn a_resolver_that_lies_is_found_out() {
    // Goal: whatever a resolver changes, keeps back, swaps or replays, the code is that of the same lie over HTTP. Method: one between
    // client and server, which tells one lie at a time.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let liar = Liar::before(server.dns);
    let reader = Person::new();
    let policy = policy(&reader, &server);
    let ask = || {
        let address = liar.address.to_string();
        reader.dgns_at(NOBODY, &["resolve", "alice.dgns.test", "--dns", &address, "--policy", &policy], "")
    };
    liar.tells(|_, answer| Some(answer));
    ask().exits(0);
    for (lie, piece, code) in [
        ("the name's proof is altered", "alice", "map_proof"),
        ("the owner's proof is altered", "_did", "map_proof"),
        ("the owner's state is altered", "_state", "map_proof"),
        ("the head is altered", "_head", "log_signature"),
        ("the records are altered", "_cert", "value"),
    ] {
        // The head is remembered, and not looked at again, unless the log goes on.
        alice.dgns(&server, &["records", "set", "alice", "TXT", lie]).exits(0);
        liar.tells(move |name, mut answer| {
            if name.contains(&format!("{piece}._proof")) {
                // Of a head its root, of all others what they end in, before an OPT with a cookie.
                let at = if piece == "_head" { text_at(&answer) + 20 } else { text_end(&answer) - 1 };
                answer[at] ^= 1;
            }
            Some(answer)
        });
        let said = ask();
        assert_eq!(said.exits(3).text("/code"), code, "{lie}: {said}");
        assert!(!reader.evidence().is_empty(), "{lie} leaves evidence");
    }
    liar.tells(|name, answer| (!name.contains("_state")).then_some(answer));
    assert_eq!(ask().exits(2).text("/code"), "network", "withheld");
    liar.tells(|name, mut answer| {
        if name.contains("_state") {
            answer.truncate(12);
            (answer[3], answer[7], answer[11]) = (3, 0, 0);
        }
        Some(answer)
    });
    assert_eq!(ask().exits(2).text("/code"), "network", "denied");

    // Another name's proof for the one asked.
    let bobby = Person::new();
    bobby.up(&server, "bobby");
    let dns = server.dns;
    liar.tells(move |name, answer| match name.starts_with("alice._proof") {
        false => Some(answer),
        true => {
            let mut other = by_tcp(dns, &query("bobby._proof.dgns.test"));
            other[..2].copy_from_slice(&answer[..2]);
            // The same length of name: the question is put right.
            other[13..18].copy_from_slice(b"alice");
            Some(other)
        }
    });
    assert_eq!(ask().exits(3).text("/code"), "subject");

    // Every piece of an older head, once a newer one is remembered.
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let keeps = kept.clone();
    liar.tells(move |name, answer| {
        keeps.lock().unwrap().push((name.to_owned(), answer.clone()));
        Some(answer)
    });
    ask().exits(0);
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.9"]).exits(0);
    liar.tells(|_, answer| Some(answer));
    ask().exits(0);
    liar.tells(move |name, answer| {
        let kept = kept.lock().unwrap();
        let old = kept.iter().find(|(known, _)| known == name);
        Some(old.map_or(answer.clone(), |(_, old)| [&answer[..2], &old[2..]].concat()))
    });
    assert_eq!(ask().exits(3).text("/code"), "rollback");
}

/// Writes the policy of the server's log, without witnesses, for a reader who met nobody.
fn policy(reader: &Person, server: &Server) -> String {
    let path = reader.home().join("trusted.policy");
    std::fs::write(&path, format!("log {}\nquorum none\n", server.vkey())).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Answers by the name that was asked.
type Kept = Vec<(String, Vec<u8>)>;

type Tale = Box<dyn Fn(&str, Vec<u8>) -> Option<Vec<u8>> + Send>;

/// A server of DNS that passes questions on and changes answers.
pub(crate) struct Liar {
    pub(crate) address: SocketAddr,
    tale: Arc<Mutex<Tale>>,
    over: Arc<AtomicBool>,
}

impl Liar {
    pub(crate) fn before(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let address = socket.local_addr().unwrap();
        let tale: Arc<Mutex<Tale>> = Arc::new(Mutex::new(Box::new(|_, answer| Some(answer))));
        let over = Arc::new(AtomicBool::new(false));
        let (tells, ends) = (tale.clone(), over.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while !ends.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
                let answer = by_tcp(server, &buffer[..length]);
                let told = tells.lock().unwrap()(&asked(&buffer), answer);
                if let Some(told) = told {
                    socket.send_to(&told, client).unwrap();
                }
            }
        });
        Self { address, tale, over }
    }

    pub(crate) fn tells(&self, tale: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>> + Send + 'static) {
        *self.tale.lock().unwrap() = Box::new(tale);
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn by_tcp(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], query].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    answer
}

fn query(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat());
    [&[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &labels.collect::<Vec<u8>>(), &[0, 0, 16, 0, 1]].concat()
}

/// The name a query asks for.
fn asked(query: &[u8]) -> String {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        name += &String::from_utf8_lossy(&query[at + 1..end]);
        name.push('.');
        at = end;
    }
    name
}

/// The strings of a TXT record, concatenated.
fn strings(mut data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some((&length, rest)) = data.split_first() {
        bytes.extend_from_slice(&rest[..usize::from(length)]);
        data = &rest[usize::from(length)..];
    }
    bytes
}

/// Where the data of the first record of an answer begins, and ends.
fn text_at(answer: &[u8]) -> usize {
    12 + asked(answer).len() + 1 + 4 + 12
}

fn text_end(answer: &[u8]) -> usize {
    let at = text_at(answer);
    at + usize::from(u16::from_be_bytes([answer[at - 2], answer[at - 1]]))
}

#[test]
fn who_asks_for_what_is_logged_only_for_an_operator_who_looks_for_it() {
    let quiet = Site::new().with_logging("debug");
    let site = Site::new().with_logging("warn,dns_queries=debug");
    let (silent, server) = (quiet.start(), site.start());
    let asked: [&[&str]; 4] = [
        &["ns.dgns.test", "A"],
        &["nobody.dgns.test", "AAAA", "+tcp"],
        &["alice._proof.dgns.test", "TXT", "+tcp"],
        &["example.org", "TYPE65280"],
    ];
    for options in asked {
        dig(server.dns, options);
        dig(silent.dns, options);
    }
    let expected = [
        "udp 127.0.0.1 ns.dgns.test A NOERROR",
        "tcp 127.0.0.1 nobody.dgns.test AAAA NXDOMAIN",
        "tcp 127.0.0.1 alice._proof.dgns.test TXT NOERROR",
        "udp 127.0.0.1 example.org TYPE65280 REFUSED",
    ];
    let said = std::fs::read_to_string(site.log()).unwrap();
    for line in expected {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    let said = std::fs::read_to_string(quiet.log()).unwrap();
    assert!(!said.contains("dns_queries") && !said.contains("nobody.dgns"), "{said}");
}
