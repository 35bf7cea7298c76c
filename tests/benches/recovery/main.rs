//! Recovery as its servers pay for it, everything durable that they make durable.
//!
//! `cargo bench -p dgns-tests --bench recovery -- [--accounts 10000] [--journeys 5]`. First people come back by the real programs
//! ([`journey`]); 0 of either leaves it out. Then the server of names, its issuer and a recovery server share
//! this process, and so does who asks: a figure is of all of them together. First so many accounts are set up, each a name by a
//! sign-in, a share that the server has judged and kept, an enrolment in the log; then each account has an attempt in the log, and
//! its point is evaluated: the request opened, the chain read from its genesis and verified, the id_token judged, the attempt noted
//! durably, the point multiplied and proved. Then each answer is lost and asked for again. Beside it the library's own evaluation,
//! the store alone, and a PIN hardened. What an issuer does is not measured: its tokens are signed here.

mod journey;
#[path = "../load/mod.rs"]
mod load;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dgns::clock::Clock;
use dgns::config::IssuerConfig;
use dgns::recovery::{EvidenceIssuer, ReadLogConfig, RecoveryConfig, RecoveryServer};
use dgns_client::home::Home;
use dgns_client::rng;
use dgns_client::session::Session;
use dgns_tests::harness::http;
use dgns_tests::harness::token_issuer::{AUDIENCE, TokenIssuer};
use identity::cert::{
    Attempt, Body, Certificate, ClaimProof, Enrolment, RecoverOpen, RecoveryServer as Named, RecoverySet,
};
use identity::evidence::{Binding, Purpose, evidence_hash, issuer_hash};
use identity::hash::{Hash, sha256};
use identity::key::{KexSecret, SigningKey};
use identity::name::Origin;
use identity::oprf::{Blinded, Element, Server, WholeKey};
use identity::recovery::message::{Ask, Evaluate, Proof, Register, ServerInfo, seal_ask};
use identity::recovery::{Bundle, Hardened, Hardening, Pin, Scope, Share, sign_in_id};
use load::{Person, Signing, Stretch, offered};
use storage::people::AttestedRow;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Requests under way at once at the recovery server.
const AT_ONCE: usize = 64;

#[tokio::main]
async fn main() {
    let (accounts, journeys) = (load::argument("--accounts", 10_000), load::argument("--journeys", 5));
    bare();
    if journeys > 0 {
        tokio::task::spawn_blocking(move || journey::measure(journeys)).await.unwrap();
    }
    if accounts == 0 {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let issuer = Arc::new(TokenIssuer::start());
    let mut config = load::config(&directory.path().join("names"));
    config.signin.issuers = vec![IssuerConfig {
        id: "issuer".into(),
        name: "Issuer".into(),
        issuer: issuer.url.clone(),
        client_id: AUDIENCE.into(),
        client_secret_file: None,
    }];
    let server = dgns::server::Server::start(config, Clock::system()).await.unwrap();
    let recovery = start(directory.path(), &server, &issuer.url).await;
    let home = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.http);
    let session = Arc::new(Session::open(&Home::open(home.path()).unwrap(), &url).await.unwrap());
    let asks = tokio::task::spawn_blocking(move || http::request(recovery.http, "GET", "/r/v1/info", &[], b""));
    let origin = server.app.core.origin.clone();
    let info = ServerInfo::open(&asks.await.unwrap().unwrap().body, &origin).unwrap();
    let desk = Arc::new(Asking { at: recovery.http, info, origin, issuer, signing: Signing::of(&server.app) });

    let setting_up = Stretch::begin();
    let mut people = names(&server.app, &session, accounts, &desk).await;
    people = registered(people, &desk).await;
    put(&mut people, &session, "enrolments in the log", |account, desk| account.enrolment(desk), &desk).await;
    setting_up.report("accounts set up, all told", accounts);

    attested(&server.app, &people, &desk).await;
    put(&mut people, &session, "attempts in the log", |account, desk| account.attempt(desk), &desk).await;
    let requests = Arc::new(load::in_threads(people.iter().collect(), |account| account.evaluate(&desk)));
    for what in ["evaluated: all checks, noted durably", "evaluated again: the answers were lost"] {
        asked(what, "/r/v1/evaluate", requests.clone(), &desk).await;
    }
    let bytes = std::fs::metadata(directory.path().join("shares/recovery.db")).map_or(0, |file| file.len());
    println!("recovery.db: {:.0} bytes an account", bytes as f64 / accounts as f64);
    server.stop().await.unwrap();
}

/// What the library takes for one evaluation with its proof, and a PIN for its hardening.
fn bare() {
    let rng = &mut rng::system();
    let shares = WholeKey::generate(rng).split(2, 3, rng).expect("two of three");
    let server = Server::from_scalar(shares[0].secret()).expect("a share");
    let point = *Blinded::new(b"a pin", rng).expect("an input").element();
    let stretch = Stretch::begin();
    for _ in 0..2_000 {
        server.evaluate(&[point], rng).expect("a point");
    }
    stretch.report("bare blind evaluation with its proof", 2_000);
    let pin = Pin::read("739164").expect("a PIN");
    let scope = Scope { did: identity::did::Did::from_bytes([1; 20]), epoch: 1 };
    let begun = Instant::now();
    Hardened::new(&pin, scope, &Hardening::DEFAULT).expect("64 MiB");
    println!("a PIN hardened: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
}

async fn start(at: &Path, server: &dgns::server::Server, issuer: &str) -> RecoveryServer {
    let policy = at.join("log.policy");
    std::fs::write(&policy, format!("log {}\nquorum none\n", server.app.core.vkey)).unwrap();
    let data = at.join("shares");
    let config = RecoveryConfig {
        key: data.join("recovery.key"),
        data,
        operator: "Operator".into(),
        domain: "operator.example".into(),
        http: server.app.config.http.clone(),
        log: ReadLogConfig { url: format!("http://{}", server.http), policy, head_age_s: 150 },
        issuers: vec![EvidenceIssuer { issuer: issuer.into(), audience: AUDIENCE.into() }],
        passkeys: None,
        outbound: server.app.config.outbound.clone(),
    };
    std::fs::create_dir_all(&config.data).unwrap();
    RecoveryServer::start(config, true, Clock::system()).await.unwrap()
}

/// What asking takes.
struct Asking {
    at: SocketAddr,
    info: ServerInfo,
    origin: Origin,
    issuer: Arc<TokenIssuer>,
    signing: Signing,
}

impl Asking {
    fn seal(&self, ask: Ask, request: &[u8]) -> Vec<u8> {
        seal_ask(ask, (&self.info.key, &self.info.kex), request, &mut rng::system()).unwrap()
    }
}

/// Somebody on the way from a name to an attempt.
struct Account {
    person: Person,
    /// The server's share and the points of the others' keys.
    share: Zeroizing<[u8; 32]>,
    publics: [Element; 3],
    blinded: Element,
    bundle: Bundle,
    salt: [u8; 16],
    /// The device that recovers.
    fresh: (SigningKey, KexSecret),
    /// The sign-in of the attempt.
    proof: Proof,
}

impl Account {
    fn new(person: Person, desk: &Asking) -> Self {
        let rng = &mut rng::system();
        let shares = WholeKey::generate(rng).split(2, 3, rng).unwrap();
        let publics = [0, 1, 2].map(|at: usize| Server::from_scalar(shares[at].secret()).unwrap().public());
        let bundle = Bundle { scope: Scope { did: person.did, epoch: 1 }, hardening: Hardening::DEFAULT, words: false };
        let blinded = *Blinded::new(person.name.as_bytes(), rng).unwrap().element();
        let (fresh, salt) = ((SigningKey::generate(rng), KexSecret::generate(rng)), [9; 16]);
        let binding = Binding {
            purpose: Purpose::Recovery,
            sign: fresh.0.public(),
            kex: fresh.1.public(),
            blinded: Some(blinded),
            random: [2; 16],
        };
        let statement = Zeroizing::new(desk.issuer.token(&person.name, &binding, |_| {}));
        let proof = Proof { issuer: desk.issuer.url.clone(), statement, random: [2; 16], salt: [3; 16] };
        Self { person, share: Zeroizing::new(*shares[0].secret()), publics, blinded, bundle, salt, fresh, proof }
    }

    fn evidence(&self) -> Hash {
        evidence_hash(&self.proof.statement, &self.proof.salt)
    }

    fn register(&self, desk: &Asking) -> Vec<u8> {
        let (sign, kex) = (self.person.device.public(), self.person.kex);
        let binding = Binding { purpose: Purpose::Enrolment, sign, kex, blinded: None, random: [1; 16] };
        let statement = Zeroizing::new(desk.issuer.token(&self.person.name, &binding, |_| {}));
        let register = Register {
            bundle: self.bundle,
            key_share: self.share.clone(),
            backup_share: Share::new(1, [7; 32]),
            sign_ins: vec![Proof { issuer: desk.issuer.url.clone(), statement, random: [1; 16], salt: self.salt }],
            needed: 1,
            blinded: self.blinded,
            sign,
            kex,
        };
        desk.seal(Ask::Register, &register.sign(&desk.origin, &self.person.device))
    }

    fn enrolment(&mut self, desk: &Asking) -> Certificate {
        let named = |at: usize, key| Named {
            url: format!("http://server-{at}.example"),
            operator: format!("Operator {at}"),
            key,
            oprf: self.publics[at],
        };
        let keys = [desk.info.key, SigningKey::from_seed(&[2; 32]).public(), SigningKey::from_seed(&[3; 32]).public()];
        let rng = &mut rng::system();
        let enrolment = Enrolment {
            servers: (0..3).zip(keys).map(|(at, key)| named(at, key)).collect(),
            threshold: 2,
            sign: SigningKey::generate(rng).public(),
            kex: KexSecret::generate(rng).public(),
            bundle: self.bundle.hash(),
            sign_ins: vec![sign_in_id(&desk.issuer.url, &self.person.name, &self.salt)],
            needed: 1,
        };
        desk.signing.next(&mut self.person, Body::RecoverySet(RecoverySet { epoch: 1, enrolment: Some(enrolment) }))
    }

    fn attempt(&mut self, desk: &Asking) -> Certificate {
        let open = RecoverOpen {
            attempt: Attempt { epoch: 1, number: 1 },
            sign: self.fresh.0.public(),
            kex: self.fresh.1.public(),
            blinded: self.blinded,
            evidence: vec![self.evidence()],
        };
        let key = self.fresh.0.clone();
        desk.signing.next_with(&mut self.person, Body::RecoverOpen(open), &key)
    }

    fn evaluate(&self, desk: &Asking) -> Vec<u8> {
        let ask = Evaluate { scope: self.bundle.scope, attempt: 1, sign_ins: vec![self.proof.clone()] };
        desk.seal(Ask::Evaluate, &ask.encode())
    }
}

async fn names(app: &Arc<dgns::app::App>, session: &Arc<Session>, count: usize, desk: &Arc<Asking>) -> Vec<Account> {
    let labels = load::labels("account", count);
    let evidence = |name: &str| sha256(&[name.as_bytes()]);
    let made = load::in_threads(labels.iter().collect(), |label| {
        desk.signing.person_by(label, |name, _| ClaimProof::Attested { evidence: evidence(name) })
    });
    let (people, posts): (Vec<Person>, Vec<Vec<Certificate>>) = made.into_iter().unzip();
    let accounts = load::in_threads(people, |person| Account::new(person, desk));
    for account in &accounts {
        let [_, sign] = account.person.keys();
        keep(app, &account.person, (evidence(&account.person.name), sign, account.person.kex), desk).await;
    }
    let stretch = Stretch::begin();
    offered::at_once(session, posts).await;
    stretch.report("names by a sign-in", count);
    accounts
}

/// Keeps a sign-in as the finish of one does.
async fn keep(
    app: &Arc<dgns::app::App>,
    person: &Person,
    (evidence, sign, kex): (Hash, [u8; 32], [u8; 32]),
    desk: &Asking,
) {
    let now_s = app.core.clock.now().as_ms() / 1_000;
    let account = sha256(&[b"account", person.name.as_bytes()]);
    let (issuer, until_s) = (issuer_hash(&desk.issuer.url), now_s + 3_600);
    let row = AttestedRow { evidence, account, email: None, issuer, sign, kex, until_s };
    app.people.as_deref().unwrap().store.put_attested(&row, now_s).await.unwrap();
}

async fn attested(app: &Arc<dgns::app::App>, accounts: &[Account], desk: &Asking) {
    for account in accounts {
        let keys = (account.evidence(), account.fresh.0.public(), account.fresh.1.public());
        keep(app, &account.person, keys, desk).await;
    }
}

async fn registered(people: Vec<Account>, desk: &Arc<Asking>) -> Vec<Account> {
    let requests = load::in_threads(people.iter().collect(), |account| account.register(desk));
    asked("shares judged and kept", "/r/v1/register", Arc::new(requests), desk).await;
    people
}

async fn put(
    people: &mut [Account],
    session: &Arc<Session>,
    what: &str,
    make: impl Fn(&mut Account, &Asking) -> Certificate + Sync,
    desk: &Arc<Asking>,
) {
    let posts = load::in_threads(people.iter_mut().collect(), |account| vec![make(account, desk)]);
    let stretch = Stretch::begin();
    let count = posts.len();
    offered::at_once(session, posts).await;
    stretch.report(what, count);
}

/// Asks the recovery server all of it, [`AT_ONCE`] at once.
async fn asked(what: &str, path: &'static str, requests: Arc<Vec<Vec<u8>>>, desk: &Arc<Asking>) {
    let (stretch, count, next) = (Stretch::begin(), requests.len(), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (requests, next, to) = (requests.clone(), next.clone(), desk.at);
            tokio::task::spawn_blocking(move || {
                let mut waits = Vec::new();
                while let Some(body) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let answer = http::request(to, "POST", path, &[], body).unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    waits.push(begun.elapsed().as_secs_f64() * 1e3);
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::with_capacity(count);
    for thread in threads {
        waits.extend(thread.await.unwrap());
    }
    stretch.report(what, count);
    println!("    {}", load::spread(&mut waits));
}
