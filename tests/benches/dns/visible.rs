//! How long a change is on its way into DNS: posted over HTTP, asked for by UDP until it is there, at the server and at two that copy its zone (NOTIFY and
//! IXFR, with TSIG).

use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dgns_client::home::Home;
use dgns_client::session::Session;
use dgns_tests::harness::wait;
use identity::cert::Certificate;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use crate::load::offered::{self, Until};
use crate::load::{self, Person, Signing};
use crate::servers::{Peer, at};
use crate::wire;

/// Between two looks at the server, and at a secondary.
const PAUSES: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(2)];

/// Longer than anybody may take; later is not seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where an answer may be late: only dgnsd's own is also counted from the post.
const ROWS: [&str; 4] =
    ["dgnsd, since its receipt", "dgnsd, since the post", "NSD, since the receipt", "Knot, since the receipt"];

/// A change that is posted: where it will be seen, and how.
struct Change {
    post: Vec<Certificate>,
    query: Vec<u8>,
    address: [u8; 4],
}

/// Measures alone, then while names are registered.
pub async fn run(directory: &Path, signing: &Signing) {
    let [count, rate, posts] = [("--changes", 300), ("--rate", 5), ("--posts", 1_000)]
        .map(|(name, otherwise)| load::argument(name, otherwise));
    let peers = Peer::with_secondaries(directory);
    let session = session(directory, &peers[0]).await;
    let (mut people, claims): (Vec<_>, Vec<_>) = signing.people(&load::labels("seen", count)).into_iter().unzip();
    offered::at_once(&session, claims).await;
    for (round, posts) in [(1, 0), (2, posts)] {
        let beside = signing.people(&load::labels("beside", posts * count / rate));
        let beside = beside.into_iter().map(|(_, certificates)| certificates).collect();
        let changes = people.iter_mut().enumerate().map(|(number, person)| Change::of(signing, person, round, number));
        println!("\n{count} changes, {rate} a second, beside {posts} registrations a second");
        let registering = {
            let session = session.clone();
            tokio::spawn(async move { offered::at_rate(&session, beside, posts.max(1), Until::Proved).await })
        };
        let seen = offer(&session, &peers, changes.collect(), rate).await;
        registering.await.expect("it does not panic");
        for (title, mut times) in ROWS.iter().zip(seen) {
            let unseen = count - times.len();
            if !times.is_empty() {
                println!("{title:<26} {}   not seen in {} s: {unseen}", load::spread(&mut times), PATIENCE.as_secs());
            }
        }
    }
}

/// Returns a session with a server.
pub async fn session(directory: &Path, dgnsd: &Peer) -> Arc<Session> {
    let home = Home::open(&directory.join("home")).expect("a home");
    Arc::new(Session::open(&home, &format!("http://{}", at(dgnsd.ports.http))).await.expect("it answers"))
}

impl Change {
    fn of(signing: &Signing, person: &mut Person, round: u8, number: usize) -> Self {
        let [.., middle, low] = number.to_be_bytes();
        let address = [203, round, middle, low];
        let post = vec![signing.records(person, address)];
        Self { post, query: wire::query(0, &person.name, wire::TYPE_A), address }
    }
}

/// Posts the changes at a fixed rate; returns the milliseconds of each row.
async fn offer(session: &Arc<Session>, peers: &[Peer], changes: Vec<Change>, rate: usize) -> [Vec<f64>; 4] {
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    for (place, Change { post, query, address }) in changes.into_iter().enumerate() {
        sleep_until(began + Duration::from_secs(1) * place as u32 / rate as u32).await;
        let begun = Instant::now();
        let watches = peers.iter().map(|peer| {
            let (port, query, pause) = (peer.ports.udp, query.clone(), PAUSES[usize::from(peer.name != "dgnsd")]);
            spawn_blocking(move || seen(port, &query, address, pause))
        });
        let (watches, session) = (watches.collect::<Vec<_>>(), session.clone());
        tasks.spawn(async move {
            session.post_unverified_for_load(&post).await.expect("it is taken");
            let receipt = Instant::now();
            let mut seen = Vec::new();
            for watch in watches {
                seen.push(watch.await.expect("it does not panic"));
            }
            let since = |from: Instant, place: usize| {
                let seen: Option<Instant> = seen[place];
                seen.map(|seen| seen.saturating_duration_since(from).as_secs_f64() * 1e3)
            };
            [since(receipt, 0), since(begun, 0), since(receipt, 1), since(receipt, 2)]
        });
    }
    let mut rows: [Vec<f64>; 4] = Default::default();
    for times in tasks.join_all().await {
        rows.iter_mut().zip(times).for_each(|(row, time)| row.extend(time));
    }
    rows
}

/// Asks until the address is answered; returns when it first was.
fn seen(port: u16, query: &[u8], address: [u8; 4], pause: Duration) -> Option<Instant> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(at(port)).expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket");
    let (begun, mut answer) = (Instant::now(), [0; 512]);
    while begun.elapsed() < PATIENCE {
        let bytes = socket.send(query).and_then(|_| socket.recv(&mut answer)).unwrap_or(0);
        if wire::first_address(&answer[..bytes], query) == Some(address) {
            return Some(Instant::now());
        }
        wait::let_pass(pause);
    }
    None
}
