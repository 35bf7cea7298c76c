//! `kill -9` of the real `dgnsd` under load, again and again: what was acknowledged stays, and there is one history.
//!
//! What counts as failure: an acknowledged post that is missing, or gets another index when it is repeated; two roots for one size
//! among all heads ever seen; a repeat of a post of unknown outcome that is refused; an `fsck` or an audit that is not clean; a
//! start that does not come up. `DGNS_CRASH_LOOPS` says how often the server dies (8 unless said, 40 in the long rounds of
//! `tests/run`), `DGNS_SEED` repeats a run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use dgns_tests::harness::load::{Poster, Somebody};
use dgns_tests::harness::{Person, Seed, Server, Site, wait};
use identity::cert::Certificate;
use identity::hash::Hash;
use identity::state::Subject;
use translog::bundle;
use translog::entry::Entry;
use translog::hash::leaf_hash;
use translog::note::{Checkpoint, Note};
use translog::tile::BundleId;
use translog::tree::Edge;

/// Clients that post at the same time.
const CLIENTS: u64 = 3;

/// A client makes a new person after this many changes of the last one's records.
const CHANGES: u8 = 12;

#[test]
fn nothing_acknowledged_is_lost_and_history_is_one_however_often_the_server_is_killed() {
    let loops = loops();
    let mut seed = Seed::of_the_day();
    let site = Site::new();
    let mut clients: Vec<Client> = Vec::new();
    let mut heads = Heads::default();
    for round in 0..loops {
        let server = site.start();
        if clients.is_empty() {
            clients = (0..CLIENTS).map(|number| Client::new(number, server.vkey())).collect();
        }
        for client in &mut clients {
            client.repeat_what_was_under_way(server.http);
            client.repeat_some(server.http, &mut seed);
        }
        let before: usize = clients.iter().map(|client| client.acknowledged.len()).sum();
        load(server.http, &mut clients, &mut heads, &mut seed, || server.kill());
        let after: usize = clients.iter().map(|client| client.acknowledged.len()).sum();
        eprintln!("round {round}: {} posts acknowledged, {} heads seen", after - before, heads.0.len());
        let checked = site.dgnsd(&["fsck", "--json"]);
        assert_eq!(checked.code, Some(0), "round {round}: {checked}");
    }
    let server = site.start();
    for client in &mut clients {
        client.repeat_what_was_under_way(server.http);
        client.repeat_all(server.http);
    }
    let log = Log::read(&server);
    log.holds(&clients, &heads);
    Person::new().dgns(&server, &["audit", "--strict"]).exits(0);
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

#[test]
fn first_start_can_be_killed_at_any_moment_and_the_next_one_goes_on() {
    // Goal: half-made keys, a log without its terms, a head without its guard: every start goes on from there. Method: killed
    // within the first tenth of a second, the same data each time until one start comes up; then another directory.
    let mut seed = Seed::of_the_day();
    for _ in 0..6 {
        let site = Site::new();
        for _ in 0..4 {
            let mut child = site.start_blindly();
            wait::let_pass(Duration::from_micros(seed.below(120_000)));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let server = site.start();
        let alice = Person::new();
        alice.up(&server, "alice");
        alice.dgns(&server, &["audit"]).exits(0);
        server.kill();
        site.dgnsd(&["fsck", "--deep"]).exits(0);
    }
}

#[test]
fn acknowledged_posts_survive_a_stop_in_the_middle_of_the_load() {
    // Goal: a graceful stop answers what it took and refuses the rest. Method: as above, with SIGTERM.
    let mut seed = Seed::of_the_day();
    let site = Site::new();
    let mut heads = Heads::default();
    let server = site.start();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|number| Client::new(number, server.vkey())).collect();
    load(server.http, &mut clients, &mut heads, &mut seed, || {
        server.stop().exits(0);
    });
    site.dgnsd(&["fsck", "--deep"]).exits(0);
    let server = site.start();
    for client in &mut clients {
        client.repeat_what_was_under_way(server.http);
        client.repeat_all(server.http);
    }
    Log::read(&server).holds(&clients, &heads);
}

fn loops() -> u32 {
    let long = std::env::var_os("DGNS_TEST_ROUNDS").is_some_and(|rounds| rounds == "long");
    let given = std::env::var("DGNS_CRASH_LOOPS").ok().map(|text| text.parse().expect("DGNS_CRASH_LOOPS is a number"));
    given.unwrap_or(if long { 40 } else { 8 })
}

/// Lets every client post until the server is gone; `end` makes it go, at a moment that the seed chooses.
fn load(http: SocketAddr, clients: &mut [Client], heads: &mut Heads, seed: &mut Seed, end: impl FnOnce()) {
    let (enough, extra) = (1 + seed.below(60), Duration::from_micros(seed.below(30_000)));
    let acknowledged = AtomicU64::new(0);
    let watched = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(http));
        for client in clients.iter_mut() {
            scope.spawn(|| client.post_until_it_fails(http, &acknowledged));
        }
        wait::until("posts are acknowledged", || (acknowledged.load(Ordering::Relaxed) >= enough).then_some(()));
        wait::let_pass(extra);
        end();
        watcher.join().expect("the watcher does not fail")
    });
    for (size, root) in watched.into_iter().chain(clients.iter_mut().flat_map(|client| client.heads.drain(..))) {
        heads.add(size, root);
    }
}

/// Reads the checkpoint until nobody answers.
fn watch(http: SocketAddr) -> Vec<(u64, Hash)> {
    let mut seen = Vec::new();
    while let Ok(answer) = dgns_tests::harness::http::request(http, "GET", "/log/checkpoint", &[], b"") {
        let checkpoint = Checkpoint::parse(Note::parse(&answer.body).unwrap().text()).unwrap();
        seen.push((checkpoint.size, checkpoint.root));
    }
    seen
}

/// One client: claims names, changes records, and keeps what was promised to it.
struct Client {
    number: u64,
    poster: Poster,
    somebody: Option<Somebody>,
    people: u64,
    changes: u8,
    acknowledged: Vec<(Post, Vec<u64>)>,
    under_way: Option<Post>,
    heads: Vec<(u64, Hash)>,
}

/// Certificates that go in together, and what they are about.
#[derive(Clone)]
struct Post {
    certificates: Vec<Certificate>,
    subject: Subject,
}

impl Client {
    fn new(number: u64, vkey: &str) -> Self {
        let poster = Poster::new(vkey);
        let (acknowledged, heads) = (Vec::new(), Vec::new());
        Self { number, poster, somebody: None, people: 0, changes: 0, acknowledged, under_way: None, heads }
    }

    fn post_until_it_fails(&mut self, http: SocketAddr, acknowledged: &AtomicU64) {
        loop {
            self.under_way = Some(self.next_post());
            if !self.finish(http) {
                return;
            }
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn next_post(&mut self) -> Post {
        if let Some(somebody) = &mut self.somebody
            && self.changes < CHANGES
        {
            self.changes += 1;
            let change = somebody.points_to([192, 0, 2, self.changes]);
            return Post { certificates: vec![change], subject: somebody.subject() };
        }
        self.people += 1;
        self.changes = 0;
        let (somebody, certificates) = Somebody::new(&format!("c{}-{}", self.number, self.people), 1);
        let subject = somebody.subject();
        self.somebody = Some(somebody);
        Post { certificates, subject }
    }

    /// Posts what is under way; returns whether it was acknowledged.
    fn finish(&mut self, http: SocketAddr) -> bool {
        let Some(post) = &self.under_way else { return true };
        let Ok((indexes, resolved)) = self.poster.post(http, &post.certificates, &post.subject) else { return false };
        self.heads.push((resolved.head().size, resolved.head().root));
        self.acknowledged.extend(self.under_way.take().map(|post| (post, indexes)));
        true
    }

    /// Posts again what had no answer: it is in the log, or goes in now.
    fn repeat_what_was_under_way(&mut self, http: SocketAddr) {
        assert!(self.finish(http), "the started server answers");
    }

    /// Posts again the newest of what was acknowledged, and some of the rest.
    fn repeat_some(&mut self, http: SocketAddr, seed: &mut Seed) {
        let count = self.acknowledged.len() as u64;
        let chosen = (0..4).filter(|_| count > 0).map(|_| seed.below(count.max(1))).chain(count.checked_sub(1));
        for place in chosen.collect::<Vec<_>>() {
            self.repeat(http, place as usize);
        }
    }

    fn repeat_all(&mut self, http: SocketAddr) {
        for place in 0..self.acknowledged.len() {
            self.repeat(http, place);
        }
    }

    fn repeat(&mut self, http: SocketAddr, place: usize) {
        let (post, indexes) = self.acknowledged[place].clone();
        let (again, resolved) = self.poster.post(http, &post.certificates, &post.subject).expect("the server answers");
        assert_eq!(again, indexes, "a repeat has the answer of the first time");
        self.heads.push((resolved.head().size, resolved.head().root));
    }
}

/// Every head that anybody saw.
#[derive(Default)]
struct Heads(BTreeMap<u64, Hash>);

impl Heads {
    fn add(&mut self, size: u64, root: Hash) {
        let known = *self.0.entry(size).or_insert(root);
        assert_eq!(known, root, "TWO HISTORIES: two roots for {size} leaves");
    }
}

/// The whole log, read by its bundles.
struct Log {
    entries: Vec<Vec<u8>>,
    /// The root of the first n entries, at n.
    roots: Vec<Hash>,
}

impl Log {
    fn read(server: &Server) -> Self {
        let note = Note::parse(&server.get("/log/checkpoint").body).unwrap();
        let size = Checkpoint::parse(note.text()).unwrap().size;
        let mut edge = Edge::new();
        let mut log = Self { entries: Vec::new(), roots: vec![edge.root()] };
        while edge.size() < size {
            let id = BundleId::new(edge.size() / 256, (size - edge.size()).min(256) as u16).unwrap();
            for entry in bundle::decode(id, &server.get(&format!("/log/{id}")).body).unwrap() {
                edge.append(leaf_hash(entry));
                log.entries.push(entry.to_vec());
                log.roots.push(edge.root());
            }
        }
        log
    }

    /// Asserts that every promise is kept: each certificate at its index, each head a prefix of this log.
    fn holds(&self, clients: &[Client], heads: &Heads) {
        for (post, indexes) in clients.iter().flat_map(|client| &client.acknowledged) {
            for (certificate, index) in post.certificates.iter().zip(indexes) {
                let Ok(Entry::Certificate(found)) = Entry::decode(&self.entries[*index as usize]) else {
                    panic!("entry {index} is no certificate");
                };
                assert_eq!(found.sid(), certificate.sid(), "another certificate at {index}");
            }
        }
        for (size, root) in &heads.0 {
            assert_eq!(self.roots[*size as usize], *root, "the head of {size} leaves is no prefix of the log");
        }
    }
}
