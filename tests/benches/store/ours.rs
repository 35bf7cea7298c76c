//! dgnsd as a process of its own, with a database that 64 people write to, and entries signed beforehand: signing is the clients' work.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use dgns_api::path;
use dgns_api::store::answer::Receipts;
use dgns_api::store::control::{Control, DbKind, KeyBox};
use dgns_api::store::entry::{Class, Entry, Header, LogId, LogKind, encode_request};
use dgns_api::store::limits::ENTRIES_PER_REQUEST_MAX;
use dgns_api::store::watch::Ask;
use dgns_client::home::{DeviceKeys, Home};
use dgns_client::session::{Session, Signer};
use dgns_client::store::hints::Hints;
use dgns_tests::harness::{ports, wait};
use futures_util::{SinkExt as _, StreamExt as _};
use identity::cert::DidKind;
use identity::did::Did;
use identity::hash::Hash;
use identity::key::KexSecret;
use identity::name::Origin;
use identity::request::{Authorization, DID_HEADER, Request};
use identity::sealed::Sealed;
use identity::token::Rights;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use translog::batch::Post;

use super::load::{self, Signing};
use super::wire::Http;
use super::{CLIENTS, RECORD_BYTES};

/// Who watches: each with as many streams as a server gives a person, 10,000 at least.
const WATCHERS: usize = 160;

/// A server that runs, and who writes there.
pub struct Ours {
    config: PathBuf,
    address: String,
    process: Killed,
    session: Session,
    owner: Device,
    log: LogId,
    writers: Vec<Mutex<Device>>,
    watchers: Vec<Device>,
    _home: tempfile::TempDir,
}

/// A device, and how far it has come in one log.
struct Device {
    did: Did,
    keys: DeviceKeys,
    home: Origin,
    last: Option<(u64, Hash)>,
}

impl Device {
    /// Returns the header of a request that it signs now.
    fn signed(&self, method: &str, target: &str, body: &[u8]) -> String {
        let request = Request { origin: &self.home, did: &self.did, method, target, body };
        let now_s = dgns_client::clock::now().as_ms() / 1_000;
        let signed = Authorization::sign(&request, &self.keys.sign, now_s, &mut dgns_client::rng::system());
        signed.expect("a short path").to_string()
    }
}

/// A watch over a WebSocket.
pub type Socket = WebSocketStream<TcpStream>;

/// What is asked about a chunk, signed.
struct Asked {
    method: &'static str,
    id: String,
    headers: String,
    body: Vec<u8>,
}

/// dgnsd, which does not outlive its measurement.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Device {
    fn sign(&mut self, class: Class, log: LogId, body: Vec<u8>) -> Entry {
        let lsn = self.last.map_or(0, |(lsn, _)| lsn + 1);
        let header = Header {
            class,
            log,
            author: self.did,
            device: self.keys.sign.public(),
            lsn,
            prev: self.last.map(|(_, leaf)| leaf),
            epoch: u64::from(class == Class::Data),
            refs: Vec::new(),
            body_bytes: 0,
            body: [0; 32],
            expect: None,
            unix_ms: 0,
        };
        let entry = Entry::sign(header, body, &self.home, &self.keys.sign).expect("a small entry");
        self.last = Some((lsn, entry.leaf()));
        entry
    }

    fn signer(&self) -> Signer<'_> {
        Signer { did: self.did, keys: &self.keys }
    }
}

impl Ours {
    /// Makes people and the names they need in `data`, starts the server there, and makes the database.
    pub async fn start(data: &Path) -> Self {
        let server = load::start(data).await;
        let (signing, home) = (Signing::of(&server.app), server.app.core.origin.clone());
        let (mut devices, mut posted) = (Vec::new(), Vec::new());
        for (number, label) in load::labels("person", CLIENTS + 2 + WATCHERS).iter().enumerate() {
            let kind = if number == 0 { DidKind::Database } else { DidKind::User };
            let (person, genesis) = signing.newcomer_of(kind, label);
            let keys = DeviceKeys {
                did: None,
                sign: person.device.clone(),
                kex: KexSecret::generate(&mut dgns_client::rng::system()),
            };
            devices.push(Device { did: person.did, keys, home: home.clone(), last: None });
            posted.push(load::countersigned(&server.app, vec![genesis]));
        }
        for certificates in posted {
            server
                .app
                .door()
                .expect("it writes")
                .publish_own(Post::certificates(certificates))
                .await
                .expect("a genesis");
        }
        server.stop().await.expect("it stops");

        let (config, address) = (data.join("dgnsd.toml"), format!("127.0.0.1:{}", ports::free()));
        let text = format!(
            "data = {:?}\nhttp.listen = \"{address}\"\ndns.listen = [\"127.0.0.1:{}\"]\n[storage]\nfree_mib = 100000\nfree_entries = 1000000000\nwatchers_max = 20000\n",
            data.display().to_string(),
            ports::free()
        );
        std::fs::write(&config, text).expect("the directory takes files");
        let process = spawn(&config, &address);
        let own = tempfile::tempdir().expect("a directory");
        let session = Session::open(&Home::open(own.path()).expect("a home"), &format!("http://{address}")).await;
        let mut itself = devices.remove(0);
        let log = LogId::of(&itself.did, 1, LogKind::Shared, "main");
        let people: Vec<Did> = devices.iter().map(|device| device.did).collect();
        let entries = control(&mut itself, &people);
        let session = session.expect("a session");
        let (first, more) = entries.split_at(ENTRIES_PER_REQUEST_MAX);
        session.post_signed(devices[0].signer(), path::DATABASES, &encode_request(first)).await.expect("a database");
        let target = format!("{}{}/entries", path::LOGS, LogId::control(&itself.did));
        for more in more.chunks(ENTRIES_PER_REQUEST_MAX) {
            let (status, body) = Http::to(&address).await.ask("POST", &target, &encode_request(more)).await;
            assert_eq!(status, 200, "the rest of the control log: {}", String::from_utf8_lossy(&body));
        }
        let owner = devices.remove(0);
        let watchers = devices.split_off(CLIENTS);
        let writers = devices.into_iter().map(Mutex::new).collect();
        Self { config, address, process, session, owner, log, writers, watchers, _home: own }
    }

    /// One client that appends a record and waits, so often: milliseconds of each.
    pub async fn alone(&self, count: usize) -> Vec<f64> {
        let entries = self.entries(0, count, 1);
        let (mut http, mut took) = (Http::to(&self.address).await, Vec::with_capacity(count));
        for entry in &entries {
            took.push(milliseconds(self.append(&mut http, entry)).await);
        }
        took
    }

    /// Entries a second of 64 clients, each appending one of so many records and waiting for it.
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    pub async fn at_once(&self, records: usize, each: usize) -> f64 {
        let numbers: Vec<usize> = (0..self.writers.len()).collect();
        let signed = load::in_threads(numbers, |number| self.entries(number, each, records));
        let began = Instant::now();
        let clients = signed.iter().map(async |entries| {
            let mut http = Http::to(&self.address).await;
            for entry in entries {
                self.append(&mut http, entry).await;
            }
        });
        futures_util::future::join_all(clients).await;
        (self.writers.len() * each) as f64 / began.elapsed().as_secs_f64()
    }

    /// The time from the start of a killed server to its first receipt, in milliseconds.
    pub async fn again(&mut self) -> f64 {
        let entry = self.entries(0, 1, 1).remove(0);
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
        let begun = async {
            self.process = spawn(&self.config, &self.address);
            self.append(&mut Http::to(&self.address).await, &entry).await;
        };
        milliseconds(begun).await
    }

    /// Stores `each` chunks of so many bytes by each of some clients: chunks a second, and their ids. Who asks makes and signs them beforehand.
    pub async fn put(&self, bytes: usize, (clients, each): (usize, usize), seed: u64) -> (f64, Vec<String>) {
        self.past_the_start().await;
        let asked = load::in_threads((0..clients).collect(), |number| {
            let mut state = seed ^ (number as u64 + 1) << 32;
            let chunks = (0..each).map(|_| random(bytes, &mut state));
            let asked = chunks.map(|chunk| {
                let id = data_encoding::HEXLOWER.encode(&dgns_api::store::content::id_of(&chunk));
                self.asked("PUT", id, chunk)
            });
            asked.collect::<Vec<_>>()
        });
        let rate = self.all(&asked, 204).await;
        (rate, asked.into_iter().flatten().map(|asked| asked.id).collect())
    }

    /// Fetches `each` chunks by each of some clients: chunks a second.
    pub async fn get(&self, ids: &[String], (clients, each): (usize, usize)) -> f64 {
        let asked = load::in_threads((0..clients).collect(), |number| {
            let ids = (0..each).map(|count| ids[(number * 17 + count) % ids.len()].clone());
            ids.map(|id| self.asked("GET", id, Vec::new())).collect::<Vec<_>>()
        });
        self.all(&asked, 200).await
    }

    /// Asks it all, each client one after the other: questions a second.
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    async fn all(&self, asked: &[Vec<Asked>], expected: u16) -> f64 {
        let began = Instant::now();
        let clients = asked.iter().map(async |asked| {
            let mut http = Http::to(&self.address).await;
            for Asked { method, id, headers, body } in asked {
                let (status, said) = http.ask_with(method, &format!("{}{id}", path::CHUNKS), headers, body).await;
                assert_eq!(status, expected, "{}", String::from_utf8_lossy(&said));
            }
        });
        futures_util::future::join_all(clients).await;
        asked.iter().map(Vec::len).sum::<usize>() as f64 / began.elapsed().as_secs_f64()
    }

    fn asked(&self, method: &'static str, id: String, body: Vec<u8>) -> Asked {
        let signed = self.owner.signed(method, &format!("{}{id}", path::CHUNKS), &body);
        let headers = format!("authorization: {signed}\r\n{DID_HEADER}: {}\r\n", self.owner.did);
        Asked { method, id, headers, body }
    }

    /// Waits until the server takes what is signed now: one that just started takes nothing that was signed before.
    async fn past_the_start(&self) {
        let target = format!("{}{}/entries?from=0&limit=0", path::LOGS, self.log);
        self.session.get_signed(self.owner.signer(), &target).await.expect("an answer");
    }

    /// Opens streams of the one log until there are so many in all, each from what it has now; a person has as many as a server gives.
    pub async fn watch(&self, streams: &mut Vec<Hints>, count: usize) {
        self.past_the_start().await;
        let size = self.append(&mut Http::to(&self.address).await, &self.entries(0, 1, 1)[0]).await;
        while streams.len() < count {
            let some = (streams.len()..count.min(streams.len() + CLIENTS)).map(|number| {
                let watcher = &self.watchers[number % self.watchers.len()];
                Hints::open(&self.session, watcher.signer(), vec![(self.log, size)])
            });
            let some = futures_util::future::join_all(some).await;
            streams.extend(some.into_iter().map(|open| open.expect("a stream")));
        }
    }

    /// Opens sockets that watch the one log until there are so many in all, as [`Ours::watch`] opens streams.
    pub async fn watch_by_sockets(&self, sockets: &mut Vec<Socket>, count: usize) {
        self.past_the_start().await;
        let size = self.append(&mut Http::to(&self.address).await, &self.entries(0, 1, 1)[0]).await;
        let config = WebSocketConfig::default().read_buffer_size(1 << 10).write_buffer_size(0);
        let open = async |number: usize| {
            let watcher = &self.watchers[number % self.watchers.len()];
            let url = format!("ws://{}{}", self.address, path::WATCH_SOCKET);
            let mut request = url.into_client_request().expect("a URL");
            let said = [
                ("sec-websocket-protocol", "dgns.watch.v1".to_owned()),
                ("authorization", watcher.signed("GET", path::WATCH_SOCKET, b"")),
                (DID_HEADER, watcher.did.to_string()),
            ];
            for (name, value) in said {
                request.headers_mut().insert(name, value.parse().expect("of visible characters"));
            }
            let stream = TcpStream::connect(&self.address).await.expect("it listens");
            let (mut socket, _) = client_async_with_config(request, stream, Some(config)).await.expect("a socket");
            socket.send(Message::binary(Ask::Watch(vec![(self.log, size)]).encode())).await.expect("it stands");
            assert_eq!(socket.next().await.expect("it stands").expect("it stands"), Message::text("now"));
            socket
        };
        while sockets.len() < count {
            let some = (sockets.len()..count.min(sockets.len() + CLIENTS)).map(open);
            sockets.extend(futures_util::future::join_all(some).await);
        }
    }

    /// Appends one entry: how long after its receipt each stream told of it, in milliseconds; 0 for those that were faster.
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    pub async fn fan_out<S>(&self, streams: &mut [S], next: impl AsyncFn(&mut S)) -> Vec<f64> {
        let entry = self.entries(0, 1, 1).remove(0);
        let told = futures_util::future::join_all(streams.iter_mut().map(async |stream| {
            next(stream).await;
            Instant::now()
        }));
        let mut http = Http::to(&self.address).await;
        let appended = async {
            self.append(&mut http, &entry).await;
            Instant::now()
        };
        let (told, appended) = futures_util::future::join(told, appended).await;
        told.into_iter().map(|told| told.saturating_duration_since(appended).as_secs_f64() * 1e3).collect()
    }

    /// What the process holds in memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).expect("Linux tells it");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a figure")
    }

    /// Returns entries of a writer, each of so many records.
    fn entries(&self, writer: usize, count: usize, records: usize) -> Vec<Entry> {
        let mut device = self.writers[writer].lock().expect("nobody panics");
        (0..count).map(|_| device.sign(Class::Data, self.log, vec![7; RECORD_BYTES * records])).collect()
    }

    /// Appends an entry, and returns the size of the log that the receipt is of.
    async fn append(&self, http: &mut Http, entry: &Entry) -> u64 {
        let target = format!("{}{}/entries", path::LOGS, self.log);
        let (status, body) = http.ask("POST", &target, &encode_request(std::slice::from_ref(entry))).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        Receipts::decode(&body).expect("a receipt").head.head().size
    }
}

/// Returns the control log of a database that these people write to; the first of them owns it.
fn control(itself: &mut Device, people: &[Did]) -> Vec<Entry> {
    let log = LogId::control(&itself.did);
    let mut said =
        vec![Control::Genesis { did: itself.did, kind: DbKind::General, home: itself.home.clone(), salt: [5; 16] }];
    said.extend(people.iter().map(|did| Control::Grant {
        gid: 1,
        did: *did,
        rights: Rights::ALL,
        until_s: u64::MAX >> 1,
    }));
    let sealed = || Sealed { enc: [1; 32], ct: vec![2; 48] };
    let mut boxes: Vec<_> = people.iter().map(|did| KeyBox { did: *did, generation: 1, sealed: sealed() }).collect();
    boxes.sort_unstable_by_key(|of| of.did);
    said.push(Control::KeyEpoch { gid: 1, epoch: 1, boxes, previous: None });
    said.push(Control::Log { gid: 1, kind: LogKind::Shared, label: "main".into() });
    said.push(Control::Owner { did: people[0], yes: true });
    said.push(Control::Leave);
    said.iter().map(|said| itself.sign(Class::Control, log, said.encode())).collect()
}

fn spawn(config: &Path, address: &str) -> Killed {
    let exe = std::env::current_exe().expect("a process knows its executable");
    let dgnsd = exe.ancestors().nth(2).expect("a bench lies in target/<profile>/deps").join("dgnsd");
    let mut command = Command::new(dgnsd);
    command.args(["serve", "--config"]).arg(config).env("DGNS_LOG", "error").stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = Killed(command.spawn().expect("cargo build --release --workspace --bins"));
    wait::until("it listens", || {
        let ended = child.0.try_wait().expect("a child can be waited for");
        assert!(
            ended.is_none(),
            "dgnsd ended, {ended:?}; is it of this tree? cargo build --release --workspace --bins"
        );
        std::net::TcpStream::connect(address).ok()
    });
    child
}

fn random(bytes: usize, state: &mut u64) -> Vec<u8> {
    let mut chunk = Vec::with_capacity(bytes);
    while chunk.len() < bytes {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chunk.extend_from_slice(&(*state ^ *state >> 29).to_le_bytes());
    }
    chunk
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
async fn milliseconds<T>(done: impl Future<Output = T>) -> f64 {
    let began = Instant::now();
    done.await;
    began.elapsed().as_secs_f64() * 1e3
}
