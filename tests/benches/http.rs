//! The server over HTTP, with the generator on the same cores: posts, their latency at a fixed rate, lookups with proof.
//!
//! `cargo bench -p dgns-tests --bench http -- [--names 10000] [--lookups 50000] [--rate 2000]`. Client and server share this process,
//! so the processor time shown is that of both. Posts are signed before the clock runs.

mod load;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dgns_client::home::Home;
use dgns_client::session::Session;
use identity::state::Subject;
use load::offered::{self, Until};
use load::{Signing, Stretch};
use tokio::task::JoinSet;

/// Lookups at once: fewer, for each of them is verified, and that is the generator's work.
const READERS: usize = 16;

#[tokio::main]
async fn main() {
    let names = load::argument("--names", 10_000);
    let directory = tempfile::tempdir().unwrap();
    let server = load::start(directory.path()).await;
    let home = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.http);
    let session = Arc::new(Session::open(&Home::open(home.path()).unwrap(), &url).await.unwrap());
    let signing = Signing::of(&server.app);

    let (mut people, claims): (Vec<_>, Vec<_>) = signing.people(&load::labels("http", names)).into_iter().unzip();
    let stretch = Stretch::begin();
    offered::at_once(&session, claims).await;
    stretch.report("HTTP: genesis + claim", 2 * names);

    let items = people.iter_mut().collect();
    let records = load::in_threads(items, |person| vec![signing.records(person, [10, 0, 0, 1])]);
    let stretch = Stretch::begin();
    offered::at_once(&session, records).await;
    stretch.report("HTTP: records", names);

    let rate = load::argument("--rate", 2_000);
    let items = people.iter_mut().collect();
    let records = load::in_threads(items, |person| vec![signing.records(person, [10, 0, 0, 2])]);
    let stretch = Stretch::begin();
    let mut latencies = offered::at_rate(&session, records, rate, Until::Proved).await;
    stretch.report(&format!("HTTP: records, {rate}/s offered"), names);
    println!("  from the intended start to the final proof: {}", load::spread(&mut latencies));

    let subjects: Arc<Vec<_>> = Arc::new(people.into_iter().map(|person| Subject::Name(person.name)).collect());
    let lookups = load::argument("--lookups", 50_000);
    for verified in [false, true] {
        let stretch = Stretch::begin();
        let bytes = look_up(&session, &subjects, lookups, verified).await;
        let what = if verified { "HTTP: lookups, each verified" } else { "HTTP: lookups, proof fetched" };
        stretch.report(what, lookups);
        println!("  {} bytes each", bytes / lookups);
    }
    server.stop().await.unwrap();
}

/// Looks up `count` names, in a scattered order, and returns the bytes of the answers.
async fn look_up(session: &Arc<Session>, subjects: &Arc<Vec<Subject>>, count: usize, verified: bool) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..READERS {
        let (session, subjects, next) = (session.clone(), subjects.clone(), next.clone());
        tasks.spawn(async move {
            let mut bytes = 0;
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= count {
                    return bytes;
                }
                let subject = &subjects[place.wrapping_mul(2_654_435_761) % subjects.len()];
                let Subject::Name(name) = subject else { unreachable!("names alone are looked up") };
                bytes += match verified {
                    true => session.resolve_apart(subject).await.unwrap() as usize,
                    false => session.get(&format!("{}{name}", dgns_api::path::NAMES)).await.unwrap().len(),
                };
            }
        });
    }
    tasks.join_all().await.into_iter().sum()
}
