//! What the benches share: a server in this process, people who sign, and figures with the processor time they cost.
#![allow(dead_code, reason = "each bench uses its part")]

pub mod memory;
pub mod offered;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dgns::app::App;
use dgns::clock::Clock;
use dgns::config::Config;
use dgns::server::Server;
use identity::cert::{
    Body, Certificate, Claim, ClaimProof, Device, DidKind, Genesis, KeyBytes, Level, Payload, Records, Row, Seen, Sid,
    Verified,
};
use identity::did::Did;
use identity::key::{KexSecret, SigningKey};
use identity::name::{Origin, Zone};
use identity::pow;
use identity::record::rtype;
use translog::batch::Post;

/// As in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The proof of work of the bench zone: the work is the client's, and none of it is measured here.
pub const WORK_BITS: u8 = 1;

/// Posts under way at once in a closed loop: enough that a batch under commit never leaves the publisher idle.
pub const AT_ONCE: usize = 512;

/// Returns the configuration of a server on `data` with ports of its own, little work asked and no limits an hour.
pub fn config(data: &Path) -> Config {
    let mut config = Config::defaults();
    config.data = data.to_owned();
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    config.dns.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.claims.work_bits = WORK_BITS;
    config.limits.certificates_per_hour = 0;
    config.limits.certificates_per_day = 0;
    config.limits.records_per_hour = 0;
    config
}

/// Starts a server of this configuration.
pub async fn start(data: &Path) -> Server {
    Server::start(config(data), Clock::system()).await.unwrap()
}

/// A person with one device and one name.
pub struct Person {
    pub name: String,
    /// The DID.
    pub did: Did,
    identity: SigningKey,
    /// The device's signing key.
    pub device: SigningKey,
    /// The device's sealing key.
    pub kex: KeyBytes,
    next_seq: u64,
    prev: Sid,
}

/// What signing needs to know of the log.
#[derive(Clone)]
pub struct Signing {
    zone: Zone,
    origin: Origin,
    seen: Seen,
}

impl Person {
    /// Returns the keys the person signs with.
    pub fn keys(&self) -> [KeyBytes; 2] {
        [self.identity.public(), self.device.public()]
    }
}

impl Signing {
    pub fn of(app: &App) -> Self {
        let head = app.core.live.head();
        let seen = Seen { size: head.size(), root: head.root() };
        Self { zone: app.core.zone.clone(), origin: app.core.origin.clone(), seen }
    }

    /// Makes a person who claims `label`: genesis and claim, signed.
    pub fn person(&self, label: &str) -> (Person, Vec<Certificate>) {
        self.person_by(label, |name, did| {
            let nonce = pow::solve(name, did, WORK_BITS, 0, |_| {});
            ClaimProof::Open { nonce, bits: WORK_BITS }
        })
    }

    /// As [`Signing::person`], by any road.
    pub fn person_by(&self, label: &str, proof: impl FnOnce(&str, &Did) -> ClaimProof) -> (Person, Vec<Certificate>) {
        let (mut person, genesis) = self.newcomer(label);
        let proof = proof(&person.name, &person.did);
        let claim = self.claim(&mut person, proof);
        (person, vec![genesis, claim])
    }

    /// Makes a person who will claim `label`, and the genesis.
    pub fn newcomer(&self, label: &str) -> (Person, Certificate) {
        self.newcomer_of(DidKind::User, label)
    }

    /// As [`Signing::newcomer`], of any kind.
    pub fn newcomer_of(&self, kind: DidKind, label: &str) -> (Person, Certificate) {
        let mut rng = dgns_client::rng::system();
        let (identity, device) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
        let kex = KexSecret::generate(&mut rng).public();
        let genesis = Genesis {
            kind,
            identity: identity.public(),
            words_box: KexSecret::generate(&mut rng).public(),
            device: Device { sign: device.public(), kex, level: Level::Admin, label_hash: [7; 32] },
            window_s: None,
            user_key: None,
        };
        let genesis = self.payload(None, 0, None, Body::Genesis(genesis));
        let genesis = Certificate::sign(&genesis, &self.origin, &[&identity, &device]).unwrap();
        let name = format!("{label}.{}", self.zone.as_str());
        let did = Did::of_genesis(&genesis.sid());
        (Person { name, did, identity, device, kex, next_seq: 1, prev: genesis.sid() }, genesis)
    }

    /// Returns the claim of the person's name.
    pub fn claim(&self, person: &mut Person, proof: ClaimProof) -> Certificate {
        let name = person.name.clone();
        self.next(person, Body::Claim(Claim { name, proof }))
    }

    /// Makes people in as many threads as there are cores.
    pub fn people(&self, labels: &[String]) -> Vec<(Person, Vec<Certificate>)> {
        in_threads(labels.iter().collect(), |label| self.person(label))
    }

    /// Returns the certificate that points the person's name at an address.
    pub fn records(&self, person: &mut Person, address: [u8; 4]) -> Certificate {
        let rows = vec![Row { owner: String::new(), rtype: rtype::A, rdata: address.to_vec(), ttl: 60 }];
        let set = Records { name: person.name.clone(), rows, aliases: Vec::new(), flags: 0 };
        self.next(person, Body::Records(set))
    }

    /// Returns the certificate by which the person's identity key sets the window: it changes one label, the DID's.
    pub fn policy(&self, person: &mut Person, window_s: u64) -> Certificate {
        self.next_by(person, Body::Policy { window_s }, |person| &person.identity)
    }

    /// Returns the next certificate of the person's chain, signed by the device.
    pub fn next(&self, person: &mut Person, body: Body) -> Certificate {
        self.next_by(person, body, |person| &person.device)
    }

    fn next_by(&self, person: &mut Person, body: Body, key: fn(&Person) -> &SigningKey) -> Certificate {
        let key = key(person).clone();
        self.next_with(person, body, &key)
    }

    /// As [`Signing::next`], signed by any key.
    pub fn next_with(&self, person: &mut Person, body: Body, key: &SigningKey) -> Certificate {
        let payload = self.payload(Some(person.did), person.next_seq, Some(person.prev), body);
        let certificate = Certificate::sign(&payload, &self.origin, &[key]).unwrap();
        (person.next_seq, person.prev) = (person.next_seq + 1, certificate.sid());
        certificate
    }

    fn payload(&self, subject: Option<Did>, seq: u64, prev: Option<Sid>, body: Body) -> Payload {
        let subject = subject.map(Into::into);
        Payload { subject, seq, prev, seen: self.seen, unix_s: 1_800_000_000, body, critical: true, by: None }
    }
}

/// Applies `work` to all items in as many threads as there are cores; results come in the order of the items.
pub fn in_threads<I: Send, T: Send>(items: Vec<I>, work: impl Fn(I) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads).max(1);
    let mut items = items.into_iter();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        loop {
            let part: Vec<I> = items.by_ref().take(share).collect();
            if part.is_empty() {
                break;
            }
            let work = &work;
            running.push(scope.spawn(move || part.into_iter().map(work).collect::<Vec<T>>()));
        }
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Names made between two looks at the publisher's queue.
const PART: usize = 4_096;

/// Makes `names` names, past HTTP and past the door, but by the same publisher with real signatures. `certificates` makes those of one name, by its number.
pub async fn fill<M>(server: &Server, names: usize, certificates: M)
where
    M: Fn(&Signing, usize) -> Vec<Certificate> + Copy + Send + Sync + 'static,
{
    let signing = Signing::of(&server.app);
    let stretch = Stretch::begin();
    let mut posted = tokio::task::JoinSet::new();
    for first in (0..names).step_by(PART) {
        let numbers: Vec<usize> = (first..names.min(first + PART)).collect();
        let (app, signing) = (server.app.clone(), signing.clone());
        let posts = tokio::task::spawn_blocking(move || {
            in_threads(numbers, |number| countersigned(&app, certificates(&signing, number)))
        });
        let posts = posts.await.unwrap();
        // The part before was committed while this one was signed.
        while let Some(done) = posted.join_next().await {
            done.unwrap();
        }
        for certificates in posts {
            let app = server.app.clone();
            posted
                .spawn(async move { app.door().unwrap().publish_own(Post::certificates(certificates)).await.unwrap() });
        }
    }
    posted.join_all().await;
    stretch.report("names made", names);
}

/// Returns what makes a person with a name and an address.
pub fn somebody(signing: &Signing, number: usize) -> Vec<Certificate> {
    let (mut person, mut certificates) = signing.person(&label(number));
    certificates.push(signing.records(&mut person, address(number)));
    certificates
}

/// Returns the address of a name by its number.
pub fn address(number: usize) -> [u8; 4] {
    let [_, high, middle, low] = (number as u32).to_be_bytes();
    [198, 18 + high % 2, middle, low]
}

/// Returns the label of a name by its number.
pub fn label(number: usize) -> String {
    format!("name-{number:07}")
}

/// Returns `count` labels that begin with `prefix`.
pub fn labels(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

pub fn envelopes(certificates: &[Certificate]) -> Vec<Vec<u8>> {
    certificates.iter().map(Certificate::encode).collect()
}

/// Returns the certificates as the door would pass them on, the zone's signature on claims, without checking their own.
pub fn countersigned(app: &App, certificates: Vec<Certificate>) -> Vec<Verified> {
    let (core, zone_key) = (&app.core, app.door().unwrap().zone_key());
    let device = certificates[0].payload().body.new_keys().signing;
    let candidates: Vec<KeyBytes> = device.into_iter().chain([zone_key.public()]).collect();
    let signed = certificates.into_iter().map(|certificate| match certificate.payload().body {
        Body::Claim(_) => zone_key.countersign(&certificate, &core.origin).unwrap(),
        _ => certificate,
    });
    signed.map(|certificate| certificate.with_signatures_unchecked(&candidates).unwrap()).collect()
}

/// Takes each post through the door, [`AT_ONCE`] at once. Every one must be accepted.
pub async fn submit_all(server: &Server, posts: Vec<Vec<Vec<u8>>>) {
    let posts = std::sync::Arc::new(Mutex::new(posts.into_iter()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (app, posts) = (server.app.clone(), posts.clone());
        tasks.spawn(async move {
            loop {
                let Some(envelopes) = posts.lock().unwrap().next() else { return };
                let post = dgns_api::post::Post { envelopes, attachments: Vec::new() };
                app.door().unwrap().submit(&app.core, app.people.as_deref(), &post, LOOPBACK).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Wall and processor time of one stretch of work.
pub struct Stretch {
    began: Instant,
    cpu: Duration,
}

impl Stretch {
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    pub fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu() }
    }

    pub fn began(&self) -> Instant {
        self.began
    }

    pub fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    /// Prints `count` things done since the beginning, and returns them a second.
    pub fn report(&self, what: &str, count: usize) -> f64 {
        let (wall, cpu) = (self.wall().as_secs_f64(), (cpu() - self.cpu).as_secs_f64());
        let (rate, each) = (count as f64 / wall, cpu / count as f64 * 1e6);
        println!(
            "{what:<44} {rate:>9.0}/s   {count} in {wall:.2} s, cpu {cpu:.2} s = {each:.1} us each   load {}",
            load()
        );
        rate
    }
}

/// Returns the processor time this process has used, user and system, in ticks of 10 ms.
pub fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks = |place: usize| stat.rsplit(')').next().unwrap().split(' ').nth(place).unwrap().parse::<u64>().unwrap();
    // Counted from the space after the name: utime is the 14th field of the line, stime the 15th.
    Duration::from_millis((ticks(12) + ticks(13)) * 10)
}

/// Returns the load average of the last minute: what else the machine did.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// Returns a figure of `/proc/self/status`, in KiB.
pub fn memory_kib(key: &str) -> u64 {
    memory_kib_of(std::process::id(), key)
}

/// Returns what `/proc` says of a process under `key`, KiB; 0 if nothing.
pub fn memory_kib_of(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap_or("0 0");
    line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Returns a process and all that it started.
pub fn family(pid: u32) -> impl Iterator<Item = u32> {
    let mut left = vec![pid];
    std::iter::from_fn(move || {
        let pid = left.pop()?;
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        left.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        Some(pid)
    })
}

/// Returns `p50 .. p99 .. max .. ms` of latencies in milliseconds.
pub fn spread(latencies: &mut [f64]) -> String {
    latencies.sort_by(f64::total_cmp);
    let at = |part: usize| latencies[(latencies.len() - 1) * part / 100];
    format!("p50 {:.2} ms   p99 {:.2} ms   max {:.2} ms", at(50), at(99), at(100))
}

/// Returns the argument `--name value` of this bench, or `otherwise`.
pub fn argument<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name} {value}")))
}
