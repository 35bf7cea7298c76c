//! Knocks of real clients while the real server is killed at random: each is answered once, or reported to whoever knocked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dgns_client::attach::{Attached, Event, Who, attach};
use dgns_client::home::Home;
use dgns_client::prover::Prover;
use dgns_client::session::Session;
use dgns_tests::harness::load::Somebody;
use dgns_tests::harness::seed::Seed;
use dgns_tests::harness::{Site, ports};
use lobby::Sess;
use lobby::card::{Body, SignedCard, To};
use lobby::guard::Guard;
use lobby::message::{Frame, Signal, Visible};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::Scene;
use crate::ends::{bytes, card, offer, transport};

/// Knocks of one client that wait at once; the lobby lets eight.
const AT_ONCE: usize = 6;

/// Each client knocks at each name so often; the lobby lets six a minute.
const AT_EACH: usize = 5;

/// Whoever is told that too many of its knocks wait knocks no more for so long.
const UNCROWDED: Duration = Duration::from_secs(1);

/// How long a knock may take, all told: ten seconds, and the way back to a lobby that was away.
const OUTCOME: Duration = Duration::from_secs(60);

/// What became of the knocks, as both sides saw it.
#[derive(Default)]
struct Seen {
    at_hosts: Mutex<HashMap<Sess, usize>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn knocks_under_kills_are_answered_once_or_reported_and_never_twice() {
    // Goal: no knock reaches a host twice, none is answered twice, none vanishes. Method: `dgns`'s own clients over WebSocket; the server is
    // killed with -9 at random times and started again on its data. 10,000 with DGNS_TEST_ROUNDS=long.
    let long = std::env::var("DGNS_TEST_ROUNDS").is_ok_and(|value| value == "long");
    let (hosts, clients) = if long { (20, 100) } else { (5, 20) };
    let mut seed = Seed::of_the_day();
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let mut scene = Scene::at(Site::new().with("http", "listen", &format!("\"{at}\"")));
    let hosts: Vec<Arc<Somebody>> = (0..hosts).map(|n| Arc::new(scene.somebody(&format!("host-{n}")))).collect();
    let clients: Vec<Somebody> = (0..clients).map(|n| scene.somebody(&format!("client-{n}"))).collect();
    let home = tempfile::tempdir().unwrap();
    let session = Session::open(&Home::open(home.path()).unwrap(), &scene.server.url).await.unwrap();
    let prover = Prover::new(session);
    let seen = Arc::new(Seen::default());
    let (registered, mut registrations) = mpsc::channel(1_000);
    for host in &hosts {
        tokio::spawn(serve(prover.clone(), host.clone(), seen.clone(), registered.clone()));
    }
    for _ in &hosts {
        registrations.recv().await.expect("every host registers");
    }
    let mut knocking: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::spawn(knock_at_all(prover.clone(), client, hosts.clone(), seed.below(u64::MAX))))
        .collect();

    let Scene { mut server, site, .. } = scene;
    let mut kills = 0;
    while knocking.iter().any(|client| !client.is_finished()) {
        sleep(Duration::from_millis(500 + seed.below(2_500))).await;
        server.kill();
        kills += 1;
        server = site.start();
    }
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for client in &mut knocking {
        for (outcome, times) in client.await.expect("a client does not fail") {
            *outcomes.entry(outcome).or_default() += times;
        }
    }
    let all = hosts.len() * knocking.len() * AT_EACH;
    println!("{all} knocks, {kills} kills: {outcomes:?}");
    let answered = outcomes.get(ANSWERED).copied().unwrap_or(0);
    assert_eq!(outcomes.values().sum::<usize>(), all, "none is lost in silence");
    let honest = [ANSWERED, "unavailable", "expired"];
    assert!(outcomes.keys().all(|outcome| honest.contains(&outcome.as_str())), "{outcomes:?}");
    assert!(seen.at_hosts.lock().unwrap().values().all(|times| *times == 1), "no host is asked twice");
    assert!(answered > all / 4 && kills > 2, "{answered} of {all} answered, {kills} kills");
}

/// Hosts a name and answers whoever knocks, as often as the knock is handed on.
async fn serve(prover: Prover, host: Arc<Somebody>, seen: Arc<Seen>, registered: mpsc::Sender<()>) {
    let (attached, mut events) = attached(prover, &host);
    attached.register(&host.name, Visible::Authorised, Guard::Certified).await;
    while let Some(event) = events.recv().await {
        match event {
            Event::Registered(_) => {
                let _ = registered.try_send(());
            }
            Event::Signal(signal) => {
                let asked = SignedCard::decode(&signal.card).expect("a card");
                *seen.at_hosts.lock().unwrap().entry(signal.sess).or_default() += 1;
                let answer = Body::Answer { offer: asked.payload_hash(), transport: transport(2) };
                let card = bytes(&card(&host, signal.sess, To::Device(signal.peer), answer));
                let answer = Signal { peer: signal.peer, sess: signal.sess, seq: 0, card, proof: None };
                attached.post(signal.sess, 0, Frame::Signal(answer)).await;
            }
            Event::Over { code, what } => panic!("a host is sent away: {code}: {what}"),
            _ => {}
        }
    }
}

/// Knocks at every name, and waits for what becomes of each; returns how often each outcome came. Whoever knocks too often is told so, and knocks
/// again when it may: that is no outcome.
async fn knock_at_all(
    prover: Prover,
    client: Somebody,
    hosts: Vec<Arc<Somebody>>,
    seed: u64,
) -> BTreeMap<String, usize> {
    let (attached, mut events) = attached(prover, &client);
    let mut seed = Seed::from(seed);
    let mut left: Vec<Arc<Somebody>> = hosts.iter().flat_map(|host| vec![host.clone(); AT_EACH]).collect();
    // When each was sent, and its outcome.
    let mut knocks: HashMap<Sess, Knock> = HashMap::new();
    let waiting = |knocks: &HashMap<Sess, Knock>| knocks.values().filter(|knock| knock.outcome.is_none()).count();
    let mut again_at = Instant::now();
    while !left.is_empty() || waiting(&knocks) > 0 {
        if again_at > Instant::now() && waiting(&knocks) == 0 {
            sleep_until(again_at).await;
        }
        while again_at <= Instant::now() && waiting(&knocks) < AT_ONCE && !left.is_empty() {
            let host = left.swap_remove(seed.below(left.len() as u64) as usize);
            let mut sess = [0; 16];
            sess[..8].copy_from_slice(&seed.below(u64::MAX).to_be_bytes());
            sess[8..].copy_from_slice(&client.did.as_bytes()[..8]);
            let card = bytes(&offer(&client, sess, &host));
            knocks.insert(sess, Knock { since: Instant::now(), host: host.clone(), outcome: None });
            attached.post(sess, 0, Frame::Knock { id: 1, name: host.name.clone(), card, proof: None }).await;
        }
        let (sess, outcome) = match timeout(OUTCOME, events.recv()).await {
            Ok(Some(Event::Signal(signal))) => {
                attached.answered(signal.sess).await;
                (signal.sess, ANSWERED.to_owned())
            }
            // A lobby that was started again takes what is sent again, and what was given up meanwhile still waits there for 5 s.
            Ok(Some(Event::Refused { sess: Some(sess), code, retry_ms, .. })) if code == "rate" || code == "quota" => {
                let knock = knocks.remove(&sess).expect("a refusal is of a knock");
                left.push(knock.host);
                again_at = Instant::now() + retry_ms.map_or(UNCROWDED, Duration::from_millis);
                continue;
            }
            Ok(Some(Event::Refused { sess: Some(sess), code, .. })) => (sess, code),
            Ok(Some(Event::Expired(sess))) => (sess, "expired".to_owned()),
            Ok(Some(Event::Over { code, what })) => panic!("a client is sent away: {code}: {what}"),
            Ok(Some(_)) => continue,
            Ok(None) | Err(_) => panic!("{} knocks vanished", waiting(&knocks)),
        };
        let Knock { since, outcome: known, .. } = knocks.get_mut(&sess).expect("an answer is to a knock");
        assert!(since.elapsed() < OUTCOME, "an outcome after {:?}", since.elapsed());
        assert!(!(outcome == ANSWERED && known.as_deref() == Some(ANSWERED)), "answered twice");
        // An answer that comes after a report is of no use to anybody, and harms nobody.
        known.get_or_insert(outcome);
    }
    let mut outcomes = BTreeMap::new();
    for outcome in knocks.into_values().filter_map(|knock| knock.outcome) {
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

/// A knock of a client.
struct Knock {
    since: Instant,
    host: Arc<Somebody>,
    /// What became of it: [`ANSWERED`], or a code.
    outcome: Option<String>,
}

/// The outcome that is no code.
const ANSWERED: &str = "answered";

fn attached(prover: Prover, of: &Somebody) -> (Attached, mpsc::Receiver<Event>) {
    let server = prover.session().server().to_owned();
    attach(prover, Who { key: of.device.sign.clone(), did: of.did }, &server)
}
