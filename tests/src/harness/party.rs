//! Witnesses in the test's own process: honest ones, and every kind that is not.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use dgns_client::clock;
use identity::key::SigningKey;
use tempfile::TempDir;
use translog::note::{Checkpoint, Cosigner, VerifierKey};
use translog::policy::Policy;
use translog::witness::{Request, WitnessRecord, WitnessRefusal, conflict_body, decide};

use super::http::read_request;
use super::wait;

/// How a witness answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As the specification says.
    Honest,
    /// It takes the request and never answers.
    Hangs,
    /// It closes the connection unanswered.
    Dead,
    /// 200 and something else than signature lines.
    Garbage,
    /// A line by a key that nobody knows.
    OtherKey,
    /// A line of its own key for the head of another log.
    OtherLog,
    /// A cosignature of this many seconds ago.
    Late(u64),
    /// 409 with another size each time.
    ConflictLoop,
    /// 409 that is no size.
    ConflictGarbage,
    /// A body without an end.
    Huge,
    /// Another status.
    Status(u16),
    /// 409 with a size above every head there is.
    Ahead,
}

/// A witness at work, until the test's process ends.
#[derive(Clone, Debug)]
pub struct TestWitness {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    cosigner: Cosigner,
    log_key: Option<VerifierKey>,
    record: WitnessRecord,
    manner: Manner,
    asked: u64,
}

/// Some witnesses and a policy that names them, as a file.
#[derive(Debug)]
pub struct Party {
    directory: TempDir,
    /// The witnesses, `w1` and so on.
    pub witnesses: Vec<TestWitness>,
    threshold: usize,
}

impl Party {
    /// Returns `count` honest witnesses, of whom `threshold` make the quorum.
    pub fn new(count: u8, threshold: usize) -> Self {
        let witnesses = (1..=count).map(TestWitness::new).collect();
        Self { directory: tempfile::tempdir().expect("temporary directories can be made"), witnesses, threshold }
    }

    /// Returns the policy without a log line.
    pub fn policy(&self) -> Policy {
        self.text().parse().expect("a policy")
    }

    /// Writes the policy and returns the file.
    pub fn policy_file(&self) -> PathBuf {
        let path = self.directory.path().join("policy");
        std::fs::write(&path, self.text()).expect("the file can be written");
        path
    }

    /// Sets the manner of all witnesses.
    pub fn all(&self, manner: Manner) {
        self.witnesses.iter().for_each(|witness| witness.turns(manner));
    }

    fn text(&self) -> String {
        let names: Vec<String> = (1..=self.witnesses.len()).map(|n| format!("w{n}")).collect();
        let mut text = String::new();
        for (name, witness) in names.iter().zip(&self.witnesses) {
            text.push_str(&format!("witness {name} {} {}\n", witness.lock().cosigner.verifier_key(), witness.url));
        }
        format!("{text}group enough {} {}\nquorum enough\n", self.threshold, names.join(" "))
    }
}

impl TestWitness {
    /// Returns an honest witness that never cosigned; `n` is its key. It trusts the first log key it is told.
    pub fn new(n: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/witness", listener.local_addr().expect("it is bound"));
        let name = format!("w{n}.example");
        let shared = Arc::new(Mutex::new(Shared {
            cosigner: Cosigner::new(&name, SigningKey::from_seed(&[n; 32])).expect("a name"),
            log_key: None,
            record: WitnessRecord::NONE,
            manner: Manner::Honest,
            asked: 0,
        }));
        let witness = Self { url, shared };
        let serving = witness.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let serving = serving.clone();
                // A connection that breaks is the server's to report.
                std::thread::spawn(move || drop(serving.serve(client)));
            }
        });
        witness
    }

    /// Changes how it answers from now on.
    pub fn turns(&self, manner: Manner) {
        self.lock().manner = manner;
    }

    /// Returns what it cosigned last.
    pub fn record(&self) -> WitnessRecord {
        self.lock().record
    }

    /// Returns how often it was asked.
    pub fn asked(&self) -> u64 {
        self.lock().asked
    }

    /// Tells it which log it watches.
    pub fn watches(&self, vkey: &str) {
        self.lock().log_key = Some(VerifierKey::parse(vkey).expect("a key"));
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no holder panics")
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let whole = read_request(&mut client)?;
        let end = whole.windows(4).position(|window| window == b"\r\n\r\n").expect("a request has a head") + 4;
        let manner = {
            let mut shared = self.lock();
            shared.asked += 1;
            shared.manner
        };
        match manner {
            Manner::Dead => return Ok(()),
            Manner::Hangs => {
                let gone = || (self.lock().manner != Manner::Hangs).then_some(());
                wait::until("the witness is told to do something else", gone);
                return Ok(());
            }
            Manner::Huge => {
                client.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
                loop {
                    client.write_all(&[b'a'; 1 << 16])?;
                }
            }
            _ => {}
        }
        let (status, body) = self.answer(manner, &whole[end..]);
        let head = format!("HTTP/1.1 {status} said\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        client.write_all(&[head.as_bytes(), body.as_bytes()].concat())
    }

    fn answer(&self, manner: Manner, body: &[u8]) -> (u16, String) {
        let mut shared = self.lock();
        let request = match Request::decode(body) {
            Ok(request) => request,
            Err(_) => return (400, String::new()),
        };
        let size = request.checkpoint().size;
        match manner {
            Manner::Garbage => return (200, "\u{2014} half a line\n".into()),
            Manner::ConflictLoop => return (409, conflict_body(size - 1 - shared.asked % 2)),
            Manner::ConflictGarbage => return (409, "many\n".into()),
            Manner::Status(status) => return (status, String::new()),
            Manner::Ahead => return (409, conflict_body(size + 1_000_000)),
            Manner::OtherKey => {
                let stranger = Cosigner::new("w9.example", SigningKey::from_seed(&[9; 32])).expect("a name");
                return (200, stranger.cosign(request.checkpoint(), now_s()).to_string());
            }
            Manner::OtherLog => {
                let other = Checkpoint { origin: "other.test/log".into(), ..request.checkpoint().clone() };
                return (200, shared.cosigner.cosign(&other, now_s()).to_string());
            }
            _ => {}
        }
        let keys: Vec<VerifierKey> = shared.log_key.iter().cloned().collect();
        match decide(&shared.record, &request, &keys) {
            Ok(to_cosign) => {
                shared.record = to_cosign.record();
                let late = if let Manner::Late(late_s) = manner { late_s } else { 0 };
                (200, to_cosign.cosign(&shared.cosigner, now_s() - late).to_string())
            }
            Err(refusal @ WitnessRefusal::Conflict { size }) => (refusal.status(), conflict_body(size)),
            Err(refusal) => (refusal.status(), String::new()),
        }
    }
}

fn now_s() -> u64 {
    clock::now().as_ms() / 1_000
}
