//! A running dgnsd whose zone has all that a zone can have.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use dgns_tests::harness::load::{Poster, Somebody};
use dgns_tests::harness::secondary::dig;
use dgns_tests::harness::{Person, Server, Site, ports, wait};
use identity::cert::{Body, Records, Row};

use crate::questions::Question;

/// The operator's own records.
const OWN: &str = "$TTL 120
@ ALIAS alice.other.test.
@ MX 10 a.b.mail
@ TXT \"v=spf1 -all\"
@ CAA 0 issue \"ca.example\"
@ HTTPS 1 . alpn=h2
_dmarc TXT \"v=DMARC1; p=reject\"
_443._tcp TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000002
www CNAME dgns.test.
ns 3600 A 192.0.2.53
ns 3600 AAAA 2001:db8::53
a.b.mail A 192.0.2.25
";

/// The records of alice, by owner: all types that records can have, and aliases that lead everywhere.
const HERS: [(&str, &str, &[&str]); 19] = [
    ("", "A", &["192.0.2.1", "192.0.2.2"]),
    ("", "AAAA", &["2001:db8::1"]),
    ("", "TXT", &["one", "a \"second\" \\ one"]),
    ("", "HTTPS", &["1 . alpn=h2 ipv4hint=192.0.2.1"]),
    ("", "CAA", &["0 issue \"ca.example\""]),
    ("", "SSHFP", &["4 2 0000000000000000000000000000000000000000000000000000000000000003"]),
    ("_443._tcp", "TLSA", &["3 1 1 0000000000000000000000000000000000000000000000000000000000000004"]),
    ("_db._tcp", "SRV", &["0 0 5432 Alice.dgns.test.", "1 0 5432 bobby.dgns.test."]),
    ("_svc", "SVCB", &["1 alice.dgns.test. alpn=h3"]),
    ("_www", "CNAME", &["alice.dgns.test."]),
    ("_out", "CNAME", &["db.example.org."]),
    ("_gone", "CNAME", &["nobody.dgns.test."]),
    ("_hole", "CNAME", &["_tcp.alice.dgns.test."]),
    ("_cut", "CNAME", &["x.carol.dgns.test."]),
    ("_at", "CNAME", &["carol.dgns.test."]),
    ("_proved", "CNAME", &["alice._proof.dgns.test."]),
    ("_hid", "CNAME", &["secret.dgns.test."]),
    ("_round", "CNAME", &["_about.alice.dgns.test."]),
    ("_about", "CNAME", &["_round.alice.dgns.test."]),
];

/// The links of a chain of aliases: one more than an answer has.
const LINKS: usize = 10;

pub struct World {
    pub server: Server,
    _resolver: Server,
}

impl World {
    /// Returns a server whose zone stands still.
    pub fn new() -> Self {
        let elsewhere = std::net::SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let resolver = Site::new().with_zone("other.test").with("dns", "listen", &format!("[\"{elsewhere}\"]"));
        let resolver = resolver.start();
        let foreign = Person::with_name(&resolver, "alice");
        foreign.dgns(&resolver, &["records", "set", "alice", "A", "192.0.2.99", "--ttl", "300"]).exits(0);
        let site = Site::new();
        let file = site.file("apex", OWN).display().to_string();
        let site = site
            .with("dns", "apex_file", &format!("{file:?}"))
            .with("dns", "resolvers", &format!("[\"{elsewhere}\"]"))
            .with("dns", "peer", &format!("[{{ address = \"127.0.0.1:{}\" }}]", ports::free()))
            .with("log", "epoch_idle_s", "240");
        let server = site.start();
        populate(&server);
        let says = |words: &[&str]| dig(server.dns, words).stdout;
        wait::until("the zone is copied, with the note of its last head, and has its address", || {
            let copy = says(&["+tcp", "dgns.test", "AXFR"]);
            let size = says(&["+tcp", "+short", "_checkpoint.dgns.test", "TXT"]);
            let newest = server.get("/log/checkpoint").text();
            let newest = newest.lines().nth(1)?;
            (copy.contains("192.0.2.99") && size.contains(&format!("\\010{newest}\\010"))).then_some(())
        });
        Self { server, _resolver: resolver }
    }

    /// Returns how the zone says of which size the newest head is.
    pub fn newest(&self) -> String {
        let note = self.server.get("/log/checkpoint").text();
        format!("\"dgns.test/log\\n{}\\n", note.lines().nth(1).expect("a note has a size"))
    }

    /// Returns the answer to each question, over one connection.
    pub fn ask(&self, questions: &[Question]) -> Vec<Vec<u8>> {
        let mut stream = TcpStream::connect(self.server.dns).expect("the server listens");
        let mut frames = Vec::new();
        for (id, question) in (0..).zip(questions) {
            let query = question.with_id(id);
            frames.extend((query.len() as u16).to_be_bytes());
            frames.extend(query);
        }
        let mut reader = stream.try_clone().expect("a socket");
        let mut answers = vec![Vec::new(); questions.len()];
        std::thread::scope(|scope| {
            scope.spawn(|| stream.write_all(&frames).expect("the server reads"));
            for _ in questions {
                let mut length = [0; 2];
                reader.read_exact(&mut length).expect("every question has an answer");
                let mut answer = vec![0; u16::from_be_bytes(length).into()];
                reader.read_exact(&mut answer).expect("an answer comes whole");
                let id = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
                assert!(answers[id].is_empty(), "one answer each");
                answers[id] = answer;
            }
        });
        answers
    }
}

fn populate(server: &Server) {
    let (alice, bobby, carol, davey) = (Person::new(), Person::new(), Person::new(), Person::new());
    for (person, name) in [(&alice, "alice"), (&bobby, "bobby"), (&carol, "carol"), (&davey, "davey")] {
        person.up(server, name);
    }
    for (owner, rtype, values) in HERS {
        alice.dgns(server, &[&["records", "set", "alice", rtype, "--owner", owner], values].concat()).exits(0);
    }
    alice.dgns(server, &["claim", "db.alice"]).exits(0);
    alice.dgns(server, &["records", "set", "db.alice", "A", "192.0.2.3"]).exits(0);
    bobby.dgns(server, &["records", "set", "bobby", "CNAME", "_www.alice.dgns.test."]).exits(0);
    for link in 1..LINKS {
        let target = format!("_c{}.bobby.dgns.test.", link + 1);
        bobby.dgns(server, &["records", "set", "bobby", "CNAME", &target, "--owner", &format!("_c{link}")]).exits(0);
    }
    bobby.dgns(server, &["records", "set", "bobby", "TXT", "the end", "--owner", &format!("_c{LINKS}")]).exits(0);
    let digest = format!("1 13 2 {}", "AB".repeat(32));
    let servers =
        ["--ns", "ns.carol.dgns.test=192.0.2.7", "--ns", "ns.carol.dgns.test=2001:db8::7", "--ns", "ns.example"];
    carol.dgns(server, &[&["delegate", "carol", "--ds", &digest], &servers[..]].concat()).exits(0);
    davey.dgns(server, &["delegate", "davey", "--ns", "davey.dgns.test=192.0.2.8"]).exits(0);
    let mut poster = Poster::new(server.vkey());
    for (label, flags) in [("secret", 1), ("quiet", 2)] {
        let (mut somebody, mut certificates) = Somebody::new(label, 1);
        let row = Row { owner: String::new(), rtype: 1, rdata: vec![192, 0, 2, 66], ttl: 60 };
        let body = Records { name: somebody.name.clone(), rows: vec![row], aliases: Vec::new(), flags };
        certificates.push(somebody.says(Body::Records(body)));
        poster.post(server.http, &certificates, &somebody.subject()).expect("it is posted");
    }
    for number in 0..12 {
        let (mut somebody, mut certificates) = Somebody::new(&format!("filler{number}"), 1);
        certificates.push(somebody.points_to([198, 51, 100, number]));
        poster.post(server.http, &certificates, &somebody.subject()).expect("it is posted");
    }
}
