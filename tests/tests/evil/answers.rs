//! Whoever sits between client and server, or is the server: answers changed, cut, exchanged, or old. After the log was met once, no
//! such answer is believed.

use std::path::PathBuf;

use dgns_client::clock;
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Server, Site, load};
use identity::cert::{Certificate, Sid};
use identity::state::Subject;
use identity::time::Timestamp;
use translog::note::VerifierKey;
use translog::resolve::{self, Resolved, VerifyError};
use translog::trust::{Memory, Trust};

use super::export::{Export, spread};
use super::people::{Someone, ZONE, origin};

/// A client that has met the log: what it pinned, and what it remembers.
struct Client {
    trust: Trust,
    memory: Memory,
}

impl Client {
    fn of(server: &Server) -> Self {
        let key = VerifierKey::parse(server.vkey()).unwrap();
        Self { trust: Trust::new(origin(), vec![key]).unwrap(), memory: Memory::new(origin()) }
    }

    /// Asks as `dgns resolve` does.
    fn ask(&self, server: &Server, subject: &Subject) -> Vec<u8> {
        let path = match subject {
            Subject::Name(name) => format!("/v1/names/{name}"),
            Subject::Did(did) => format!("/v1/dids/{did}"),
            Subject::Alias(_) | Subject::LogConf | Subject::Anchors => panic!("nobody asks for it here"),
        };
        let from = self.memory.size().map_or(String::new(), |size| format!("&from={size}"));
        let answer = server.get(&format!("{path}?with=certs{from}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.body
    }

    /// Verifies and remembers.
    fn believe(&mut self, subject: &Subject, bytes: &[u8]) -> Resolved {
        resolve::verify(&self.trust, &mut self.memory, subject, bytes, clock::now()).unwrap()
    }

    /// Verifies bytes that must not be believed; the memory must stay as it was.
    fn refuse(&self, subject: &Subject, bytes: &[u8]) -> VerifyError {
        let mut memory = self.memory.clone();
        let refused = resolve::verify(&self.trust, &mut memory, subject, bytes, clock::now());
        assert_eq!(memory, self.memory, "what is refused is not remembered");
        refused.expect_err("a changed answer is not believed")
    }
}

fn post(server: &Server, certificates: &[Certificate]) -> Vec<u8> {
    let answer = server.post("/v1/certificates", &load::body(certificates));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body
}

/// A server with some names, and the owner of the first, which has records.
fn inhabited() -> (Site, Server, Someone) {
    let site = Site::new();
    let server = site.start();
    let (mut alice, mut certificates) = Someone::named(1, "alice");
    certificates.push(alice.points_to([192, 0, 2, 1]));
    post(&server, &certificates);
    for number in 2..12 {
        post(&server, &Someone::new(number).1);
    }
    (site, server, alice)
}

#[test]
fn no_flipped_byte_of_an_answer_is_believed() {
    // Goal: a server that flips any byte of any answer is caught. Method: a present name with records, an absent one, a DID;
    // for each the first answer and one with a consistency proof; every byte with a bit of its own flipped, and with all.
    let (_site, server, alice) = inhabited();
    let nobody = Subject::Name(format!("nobody.{ZONE}"));
    for subject in [alice.subject(), nobody, Subject::Did(alice.did)] {
        let mut client = Client::of(&server);
        for round in 0..2 {
            let bytes = client.ask(&server, &subject);
            for at in 0..bytes.len() {
                for mask in [1 << (at % 8), 0xff] {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= mask;
                    client.refuse(&subject, &flipped);
                }
            }
            client.believe(&subject, &bytes);
            post(&server, &Someone::new(100 + round + bytes.len() as u64).1);
        }
    }
}

#[test]
fn no_cut_or_lengthened_answer_is_believed() {
    // Goal: an answer is whole or nothing. Method: every beginning of it; bytes behind it.
    let (_site, server, alice) = inhabited();
    let client = Client::of(&server);
    let bytes = client.ask(&server, &alice.subject());
    for end in 0..bytes.len() {
        assert_eq!(client.refuse(&alice.subject(), &bytes[..end]), VerifyError::Malformed, "cut at {end}");
    }
    assert_eq!(client.refuse(&alice.subject(), &[&bytes[..], &[0]].concat()), VerifyError::Malformed);
}

#[test]
fn no_flipped_byte_of_the_answer_to_a_post_is_believed() {
    // Goal: "your certificate is in the log" is proved as all else. Method: every byte of such an answer.
    let (_site, server, mut alice) = inhabited();
    let client = Client::of(&server);
    let certificate = alice.points_to([192, 0, 2, 2]);
    let sids: Vec<Sid> = vec![certificate.sid()];
    let bytes = post(&server, &[certificate]);
    let judge = |bytes: &[u8]| {
        let mut memory = client.memory.clone();
        let resolved = resolve::verify(&client.trust, &mut memory, &alice.subject(), bytes, clock::now())?;
        resolved.verify_written(&sids)
    };
    assert!(judge(&bytes).is_ok());
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(judge(&flipped).is_err(), "byte {at}");
    }
    assert!(judge(&client.ask(&server, &alice.subject())).is_err(), "a lookup does not show the certificate");
}

#[test]
fn an_honest_answer_to_another_question_is_not_believed() {
    // Goal: true bytes do not lie by their place. Method: another name's answer; another log's; an old one; a stale one.
    let (_site, server, alice) = inhabited();
    let bob = Subject::Name(format!("n00002.{ZONE}"));
    let mut client = Client::of(&server);
    let old = client.ask(&server, &alice.subject());
    assert_eq!(client.refuse(&alice.subject(), &client.ask(&server, &bob)), VerifyError::Subject);
    let (_other_site, other, _) = inhabited();
    assert_eq!(client.refuse(&alice.subject(), &client.ask(&other, &alice.subject())), VerifyError::LogSignature);
    let late = Timestamp::from_ms(clock::now().as_ms() + 10 * 60_000);
    let stale = resolve::verify(&client.trust, &mut client.memory.clone(), &alice.subject(), &old, late);
    assert_eq!(stale.expect_err("ten minutes old"), VerifyError::StaleHead);
    let early = Timestamp::from_ms(clock::now().as_ms() - 10 * 60_000);
    let future = resolve::verify(&client.trust, &mut client.memory.clone(), &alice.subject(), &old, early);
    assert_eq!(future.expect_err("ten minutes ahead"), VerifyError::TimeBound);
    post(&server, &Someone::new(500).1);
    let new = client.ask(&server, &alice.subject());
    client.believe(&alice.subject(), &new);
    assert_eq!(client.refuse(&alice.subject(), &old), VerifyError::Rollback);
    // The newer one without the proof that it continues the one remembered.
    post(&server, &Someone::new(501).1);
    let unproved = Client::of(&server).ask(&server, &alice.subject());
    assert_eq!(client.refuse(&alice.subject(), &unproved), VerifyError::Inconsistent);
}

/// Whoever changes the body of answers to lookups and posts.
fn lying(server: &Server, lie: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Liar {
    Liar::before(server.http, move |request, answer| {
        let asked = request.split(' ').nth(1).unwrap_or_default();
        match asked.starts_with("/v1/names/") || asked.starts_with("/v1/dids/") || asked.starts_with("/v1/certificates")
        {
            true => Some(Answer { body: lie(asked, answer.body), ..answer }),
            false => Some(answer),
        }
    })
}

/// Returns the evidence a proof fault left, which must be one file more than before.
fn new_evidence(person: &Person, before: &mut usize) -> Vec<PathBuf> {
    let evidence = person.evidence();
    assert!(!evidence.is_empty() && evidence.len() >= *before);
    *before = evidence.len();
    evidence
}

#[test]
fn the_program_exits_3_for_any_flipped_byte() {
    // Goal: the same by the real program, which keeps evidence and goes on trusting the honest server. Method: a sample of bytes
    // of each answer, chosen by what the test says in a file only this process reads: the place to flip.
    let (_site, server, alice) = inhabited();
    let person = Person::new();
    let place = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(usize::MAX));
    let told = place.clone();
    let liar = lying(&server, move |_, mut body| {
        let place = told.load(std::sync::atomic::Ordering::SeqCst);
        if place != usize::MAX {
            let at = place * (body.len() - 1) / 1_000;
            body[at] ^= 1 << (at % 8);
        }
        body
    });
    let questions = ["alice".to_owned(), "nobody".to_owned(), alice.did.to_string()];
    for question in &questions {
        let honest = if question == "nobody" { 6 } else { 0 };
        place.store(usize::MAX, std::sync::atomic::Ordering::SeqCst);
        person.dgns_at(&liar.url, &["resolve", question], "").exits(honest);
        let mut kept = 0;
        for at in spread(9, 1_001) {
            place.store(at, std::sync::atomic::Ordering::SeqCst);
            let ran = person.dgns_at(&liar.url, &["resolve", question], "");
            ran.exits(3);
            assert_eq!(ran.json()["ok"], false, "{ran}");
            for file in new_evidence(&person, &mut kept) {
                // What was given shows what happened, and convicts nobody by itself.
                person.dgns_at(&liar.url, &["verify", &file.display().to_string()], "").exits(0);
            }
        }
        place.store(usize::MAX, std::sync::atomic::Ordering::SeqCst);
        person.dgns_at(&liar.url, &["resolve", question], "").exits(honest);
    }
}

#[test]
fn the_program_exits_3_for_a_flipped_answer_to_its_post() {
    // Goal: `up` and `records set` believe no changed answer. Method: flip one byte of answers to posts alone.
    let (_site, server, _) = inhabited();
    for at in [3, 200, 700] {
        let person = Person::new();
        let liar = lying(&server, move |asked, mut body| {
            if asked.starts_with("/v1/certificates") {
                body[at] ^= 4;
            }
            body
        });
        person.dgns_at(&liar.url, &["up", &format!("carol{at}"), "--no-words"], "").exits(3);
        // The name is in the log all the same: the honest server says so.
        person.dgns(&server, &["resolve", &format!("carol{at}")]).exits(0);
    }
}

#[test]
fn the_program_exits_3_for_old_and_foreign_answers() {
    // Goal: rollback, another log, a swapped key, by the real program. Method: recorded and exchanged answers.
    let (_site, server, alice) = inhabited();
    let person = Person::new();
    let old = server.get(&format!("/v1/names/{}?with=certs", alice.name)).body;
    post(&server, &Someone::new(500).1);
    let recorded = old.clone();
    let current = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let honest = current.clone();
    let liar = lying(&server, move |_, body| match honest.load(std::sync::atomic::Ordering::SeqCst) {
        true => body,
        false => recorded.clone(),
    });
    person.dgns_at(&liar.url, &["resolve", "alice"], "").exits(0);
    current.store(false, std::sync::atomic::Ordering::SeqCst);
    let ran = person.dgns_at(&liar.url, &["resolve", "alice"], "");
    assert_eq!(ran.exits(3).text("/code"), "rollback");

    let (_other_site, other, _) = inhabited();
    let foreign = other.get(&format!("/v1/names/{}?with=certs", alice.name)).body;
    let liar = lying(&server, move |_, _| foreign.clone());
    let ran = person.dgns_at(&liar.url, &["resolve", "alice"], "");
    assert_eq!(ran.exits(3).text("/code"), "log_signature");

    // A key that never signed, shown at first contact: pinned, and at once found to sign nothing.
    let (vkey, swapped) = (server.vkey().to_owned(), other.vkey().to_owned());
    let liar = Liar::before(server.http, move |_, answer| {
        let text = String::from_utf8(answer.body.clone()).map(|text| text.replace(&vkey, &swapped).into_bytes());
        Some(Answer { body: text.unwrap_or(answer.body.clone()), ..answer })
    });
    let stranger = Person::new();
    let ran = stranger.dgns_at(&liar.url, &["resolve", "alice"], "");
    assert_eq!(ran.exits(3).text("/code"), "log_signature");
    // And one home never takes two keys for one log.
    let ran = person.dgns_at(&liar.url, &["resolve", "alice"], "");
    assert_eq!(ran.exits(3).text("/code"), "log_key");
}

#[test]
fn two_histories_of_one_size_convict_the_log_by_a_file() {
    // Goal: an equivocating log is convicted by its own signatures, offline. Method: one data directory continued twice with the
    // same number of entries; a client of the first meets the second.
    let site = Site::new();
    site.start().stop().exits(0);
    let before = site.snapshot();
    let person = Person::new();
    let fork = |number: u64, question: &str, code: i32| {
        let server = site.start();
        post(&server, &Someone::new(number).1);
        let ran = person.dgns(&server, &["resolve", question]);
        ran.exits(code);
        let export = Export::of(&server);
        server.stop().exits(0);
        (ran, export)
    };
    let (_, first) = fork(1, "n00001", 0);
    site.restore(&before, &[]);
    let (ran, second) = fork(2, "n00002", 3);
    assert_eq!(first.size(), second.size());
    assert_eq!(ran.text("/code"), "fork");
    let evidence = ran.text("/evidence");
    let ran = person.dgns_at("http://127.0.0.1:1", &["verify", &evidence], "");
    assert_eq!(ran.exits(3).text("/code"), "same-size");
    assert!(ran.text("/error").contains(&first.vkey), "{ran}");
    // The file proves it to everybody: a home that knows nothing, no server.
    Person::new().dgns_at("http://127.0.0.1:1", &["verify", &evidence], "").exits(3);
    // Altered it proves nothing, cut it is none.
    let bytes = std::fs::read(&evidence).unwrap();
    let copy = person.home().join("copy.fault");
    let root = bytes.windows(6).position(|window| window == b"first ").unwrap() + 50;
    let mut altered = bytes.clone();
    altered[root] = if altered[root] == b'A' { b'B' } else { b'A' };
    std::fs::write(&copy, altered).unwrap();
    person.dgns_at("http://127.0.0.1:1", &["verify", &copy.display().to_string()], "").exits(0);
    std::fs::write(&copy, &bytes[..bytes.len() - 9]).unwrap();
    person.dgns_at("http://127.0.0.1:1", &["verify", &copy.display().to_string()], "").exits(1);
}
