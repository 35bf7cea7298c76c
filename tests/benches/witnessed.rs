//! What witnesses and followers cost: how soon a post is cosigned, how far a follower is behind, what the log still takes.
//!
//! `cargo bench -p dgns-tests --bench witnessed -- [--names 10000] [--seconds 8] [--quorum 2]`. The origin, three witnesses and a
//! follower share this process, each with threads of its own, real storage and HTTP between them, so that none waits
//! for another's tasks; the generator has its own threads too, on the same cores. Each setting is measured on the same log, started
//! anew. Posts are signed before the clock runs.

mod load;

use std::sync::Arc;
use std::time::Duration;

use dgns::clock::Clock;
use dgns::config::{WITNESS_DEFAULTS, WitnessServerConfig};
use dgns::server::{Server, ServerError};
use dgns::witness::WitnessedLogs;
use dgns::witness::standalone::WitnessServer;
use dgns_client::home::Home;
use dgns_client::session::Session;
use identity::cert::Certificate;
use load::offered::{self, Until};
use load::{Person, Signing, Stretch};
use storage::{Options, StorageError};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use translog::note::VerifierKey;
use translog::policy::Policy;

/// Rates at which posts wait for their witnesses, in certificates a second.
const POSTED: [usize; 2] = [200, 1_000];

/// The rate at which the follower must keep up.
const FOLLOWED: usize = 2_000;

/// How long a follower may take to reach the end; nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let (names, seconds) = (load::argument("--names", 10_000), load::argument("--seconds", 8));
    let origin = Host::new();
    let server = origin.start(Policy::none(), 1_000);
    let (vkey, signing) = (server.app.core.vkey.clone(), Signing::of(&server.app));
    let (people, claims): (Vec<_>, Vec<_>) = signing.people(&load::labels("seen", names)).into_iter().unzip();
    let claims = claims.iter().map(|post| load::envelopes(post)).collect();
    origin.runtime.block_on(load::submit_all(&server, claims));
    let mut bench = Bench { origin, generator: threads(), crowd: Crowd { signing, people, round: 0 }, seconds };

    println!("quorum none");
    bench.takes(&server);
    let alone = format!("log {vkey}\nquorum none\n");
    bench.follow(&server, &alone, "by the stream");
    bench.origin.stop(server);

    let witnesses = Witnesses::start(&vkey, load::argument("--quorum", 2));
    for announce_ms in [1_000, 50] {
        println!("quorum {}, announce_ms = {announce_ms}", witnesses.quorum);
        let server = bench.origin.start(witnesses.policy().parse().unwrap(), announce_ms);
        let mut witnessed = server.app.core.live.witnessed_size();
        bench.origin.runtime.block_on(witnessed.wait_for(|size| *size > 0)).unwrap();
        for rate in POSTED {
            bench.wait_for_witnesses(&server, rate);
        }
        bench.takes(&server);
        bench.follow(&server, &alone, "by the stream");
        bench.follow(&server, &witnesses.policy(), "by polling");
        bench.origin.stop(server);
    }
    witnesses.stop();

    println!("quorum none again, on the log as it has become");
    let server = bench.origin.start(Policy::none(), 1_000);
    bench.takes(&server);
    bench.origin.stop(server);
}

/// What measures.
struct Bench {
    origin: Host,
    generator: Runtime,
    crowd: Crowd,
    seconds: usize,
}

impl Bench {
    /// How many certificates the server takes, without HTTP and with it.
    fn takes(&mut self, server: &Server) {
        for _ in 0..3 {
            let posts = self.crowd.records(usize::MAX);
            let (count, posts) = (posts.len(), posts.iter().map(|post| load::envelopes(post)).collect());
            let stretch = Stretch::begin();
            self.origin.runtime.block_on(load::submit_all(server, posts));
            stretch.report("  engine: records", count);
        }
        let session = session(server);
        for _ in 0..2 {
            let posts = self.crowd.records(usize::MAX);
            let (count, stretch) = (posts.len(), Stretch::begin());
            self.generator.block_on(offered::at_once(&session, posts));
            stretch.report("  HTTP: records", count);
        }
    }

    /// How soon a post is answered with a proof that the witnesses cosigned.
    fn wait_for_witnesses(&mut self, server: &Server, rate: usize) {
        let posts = self.crowd.records(rate * self.seconds);
        let session = session(server);
        let mut latencies = self.generator.block_on(offered::at_rate(&session, posts, rate, Until::Cosigned));
        println!(
            "  to the witnessed proof, {rate}/s offered: {}   load {}",
            load::spread(&mut latencies),
            load::load()
        );
    }

    /// How long after the origin a follower answers each head.
    fn follow(&mut self, server: &Server, policy: &str, how: &str) {
        let follower = Host::new();
        let following = follower.follow(&format!("http://{}", server.http), policy);
        // What the origin took before is no part of this.
        follower.reaches(&following, server.app.core.live.head().size());
        let there = Sightings::begin(&self.origin.runtime, server);
        let here = Sightings::begin(&follower.runtime, &following);
        let posts = self.crowd.records(FOLLOWED * self.seconds);
        let session = session(server);
        let mut latencies = self.generator.block_on(offered::at_rate(&session, posts, FOLLOWED, Until::Proved));
        let end = server.app.core.live.head().size();
        follower.reaches(&following, end);
        let (there, here) = (self.origin.runtime.block_on(there.end()), follower.runtime.block_on(here.end()));
        let behind = |(size, at): &(u64, Instant)| {
            let place = here.partition_point(|(reached, _)| reached < size);
            here.get(place).map(|(_, reached)| reached.saturating_duration_since(*at).as_secs_f64() * 1e3)
        };
        let mut lags: Vec<f64> = there.iter().filter_map(behind).collect();
        println!("  follower {how}, {FOLLOWED}/s offered, {} heads: {}", lags.len(), load::spread(&mut lags));
        println!("    posts meanwhile, to the final proof: {}   load {}", load::spread(&mut latencies), load::load());
        follower.stop(following);
    }
}

/// Threads and a directory for a server.
struct Host {
    runtime: Runtime,
    directory: TempDir,
}

impl Host {
    fn new() -> Self {
        Self { runtime: threads(), directory: tempfile::tempdir().unwrap() }
    }

    fn start(&self, policy: Policy, announce_ms: u64) -> Server {
        let mut config = load::config(self.directory.path());
        (config.witnesses.policy, config.witnesses.announce_ms) = (policy, announce_ms);
        loop {
            match self.runtime.block_on(Server::start(config.clone(), Clock::system())) {
                // The last task of the server before still holds the directory.
                Err(ServerError::Storage(StorageError::Locked { .. })) => std::thread::yield_now(),
                started => return started.unwrap(),
            }
        }
    }

    /// Starts a server that follows the one at `url`; under a quorum it polls, otherwise it reads the stream.
    fn follow(&self, url: &str, policy: &str) -> Server {
        let mut config = load::config(&self.directory.path().join("data"));
        let file = self.directory.path().join("policy");
        std::fs::write(&file, policy).unwrap();
        (config.follow.url, config.follow.policy) = (Some(url.to_owned()), Some(file));
        self.runtime.block_on(Server::start(config, Clock::system())).unwrap()
    }

    /// Waits until a server answers a head of `end` leaves.
    fn reaches(&self, server: &Server, end: u64) {
        let mut size = server.app.core.live.moved();
        let reached = async { tokio::time::timeout(PATIENCE, size.wait_for(|size| *size >= end)).await.is_ok() };
        assert!(self.runtime.block_on(reached), "a server stays behind");
    }

    fn stop(&self, server: Server) {
        self.runtime.block_on(server.stop()).unwrap();
    }
}

/// Three witnesses of one log.
struct Witnesses {
    log: VerifierKey,
    hosts: Vec<(Host, WitnessServer)>,
    quorum: usize,
}

impl Witnesses {
    fn start(log: &VerifierKey, quorum: usize) -> Self {
        let logs = WitnessedLogs::parse(&format!("log {log}\n")).unwrap();
        let hosts = (1..=3).map(|number| {
            let host = Host::new();
            let mut config = WitnessServerConfig::from_toml(WITNESS_DEFAULTS).unwrap();
            config.data = host.directory.path().to_owned();
            config.http.listen = "127.0.0.1:0".parse().unwrap();
            config.witness.name = format!("w{number}.example/witness");
            let started = WitnessServer::start_with(config, &logs, Clock::system(), Options::default());
            let witness = host.runtime.block_on(started).unwrap();
            (host, witness)
        });
        Self { log: log.clone(), hosts: hosts.collect(), quorum }
    }

    /// The policy that names the log and the witnesses, as text.
    fn policy(&self) -> String {
        let (mut text, mut names) = (format!("log {}\n", self.log), String::new());
        for (place, (_, witness)) in self.hosts.iter().enumerate() {
            let vkey = witness.roles.cosigners().next().unwrap().vkey().clone();
            text.push_str(&format!("witness w{place} {vkey} http://{}/witness\n", witness.http));
            names.push_str(&format!(" w{place}"));
        }
        format!("{text}group enough {}{names}\nquorum enough\n", self.quorum)
    }

    fn stop(self) {
        for (host, witness) in self.hosts {
            host.runtime.block_on(witness.stop()).unwrap();
        }
    }
}

/// People with a name each.
struct Crowd {
    signing: Signing,
    people: Vec<Person>,
    round: u8,
}

impl Crowd {
    /// Returns `count` posts of new records, at most one a person: posts under way do not wait for one another.
    fn records(&mut self, count: usize) -> Vec<Vec<Certificate>> {
        self.round += 1;
        let (signing, round) = (&self.signing, self.round);
        let people = self.people.iter_mut().take(count).collect();
        load::in_threads(people, |person| vec![signing.records(person, [10, 0, round, 1])])
    }
}

/// When a server first answered each of its heads.
struct Sightings {
    end: watch::Sender<bool>,
    seen: JoinHandle<Vec<(u64, Instant)>>,
}

impl Sightings {
    fn begin(runtime: &Runtime, server: &Server) -> Self {
        let (mut moved, (end, mut ended)) = (server.app.core.live.moved(), watch::channel(false));
        let seen = runtime.spawn(async move {
            let mut seen = Vec::new();
            loop {
                tokio::select! {
                    changed = moved.changed() => match changed {
                        Ok(()) => seen.push((*moved.borrow_and_update(), Instant::now())),
                        Err(_) => return seen,
                    },
                    _ = ended.changed() => return seen,
                }
            }
        });
        Self { end, seen }
    }

    async fn end(self) -> Vec<(u64, Instant)> {
        self.end.send_replace(true);
        self.seen.await.unwrap()
    }
}

fn threads() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn session(server: &Server) -> Arc<Session> {
    let home = tempfile::tempdir().unwrap();
    let (home, url) = (Home::open(home.path()).unwrap(), format!("http://{}", server.http));
    Arc::new(Session::open_pinned(&home, &url, &server.app.core.vkey).unwrap())
}
