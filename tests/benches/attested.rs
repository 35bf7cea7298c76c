//! Names on the strength of sign-ins, over HTTP, everything durable that the server makes durable.
//!
//! `cargo bench -p dgns-tests --bench attested -- [--names 10000] [--passkeys 2000]`. Client and server share this process. First
//! claims: the sign-in kept, its name spent and its account pinned, four signatures and two of the server's own each; what an issuer
//! does is not measured, sign-ins are put where a finish puts them, in `people.db`. Then newcomers with passkeys, from the first
//! request to the name: start, the passkey's answer judged, genesis and claim. What the browser and its authenticator do in between
//! is not measured.

#[path = "../tests/passkeys/authenticator.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod authenticator;
mod load;

use std::sync::Arc;
use std::time::Duration;

use authenticator::Soft;
use dgns::config::IssuerConfig;
use dgns_api::path;
use dgns_api::signin::{Finish, Finished, Start, Started};
use dgns_client::home::Home;
use dgns_client::session::Session;
use identity::cert::{Certificate, ClaimProof};
use identity::evidence::{Purpose, issuer_hash, sign_finish};
use identity::hash::sha256;
use load::{Person, Signing, Stretch, offered};
use storage::people::AttestedRow;
use tokio::task::JoinSet;

const ISSUER: &str = "https://issuer.example";

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = load::config(directory.path());
    config.limits.signin_starts_per_hour_and_address = 0;
    config.signin.issuers = vec![IssuerConfig {
        id: "issuer".into(),
        name: "Issuer".into(),
        issuer: ISSUER.into(),
        client_id: "dgns".into(),
        client_secret_file: None,
    }];
    let pages = config.signin.public_url.clone();
    let server = dgns::server::Server::start(config, dgns::clock::Clock::system()).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.http);
    let session = Arc::new(Session::open(&Home::open(home.path()).unwrap(), &url).await.unwrap());
    claims(&server.app, &session, load::argument("--names", 10_000)).await;
    passkeys(&server.app, &session, &pages, load::argument("--passkeys", 2_000)).await;
    server.stop().await.unwrap();
}

async fn claims(app: &Arc<dgns::app::App>, session: &Arc<Session>, names: usize) {
    let (signing, labels) = (Signing::of(app), load::labels("attested", names));
    let made = load::in_threads(labels.iter().collect(), |label| {
        signing.person_by(label, |name, _| ClaimProof::Attested { evidence: sha256(&[name.as_bytes()]) })
    });
    let (people, posts): (Vec<Person>, Vec<Vec<Certificate>>) = made.into_iter().unzip();
    let stretch = Stretch::begin();
    keep(app, people).await;
    stretch.report("sign-ins kept", names);
    offered::at_once(session, posts).await;
    stretch.report("HTTP: sign-in kept, genesis + attested claim", names);
}

/// Keeps a sign-in of each person's device, as the finish of one does.
async fn keep(app: &Arc<dgns::app::App>, people: Vec<Person>) {
    let now_s = app.core.clock.now().as_ms() / 1_000;
    let mut tasks = JoinSet::new();
    for person in people {
        let app = app.clone();
        let [_, sign] = person.keys();
        let account = sha256(&[b"account", person.name.as_bytes()]);
        let row = AttestedRow {
            evidence: sha256(&[person.name.as_bytes()]),
            account,
            email: Some(account),
            issuer: issuer_hash(ISSUER),
            sign,
            kex: person.kex,
            until_s: now_s + 3_600,
        };
        tasks.spawn(async move { app.people.as_deref().unwrap().store.put_attested(&row, now_s).await.unwrap() });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

async fn passkeys(app: &Arc<dgns::app::App>, session: &Arc<Session>, pages: &str, count: usize) {
    let (signing, labels) = (Signing::of(app), load::labels("passkey", count));
    let people = load::in_threads(labels.iter().collect(), |label| signing.newcomer(label));
    let begins = people.iter().map(|(person, _)| {
        let (purpose, sign) = (Purpose::Enrolment, person.device.public());
        Start { purpose, sign, kex: person.kex, issuer: String::new(), port: None, blinded: None }.encode()
    });
    let mut wall = Duration::ZERO;
    let stretch = Stretch::begin();
    let started = asked(session, path::PASSKEYS_START, begins.collect()).await;
    wall += stretch.wall();
    stretch.report("HTTP: passkeys, registration begun", count);

    let origin = session.trust().origin();
    let finishes = load::in_threads(started.iter().zip(&people).collect(), |(started, (person, _))| {
        let Started { state, go, .. } = Started::decode(started).unwrap();
        let answer = Soft::new().create(pages, &go).to_string();
        Finish { state, signature: sign_finish(origin, &state, &person.device), answer }.encode()
    });
    let stretch = Stretch::begin();
    let finished = asked(session, path::PASSKEYS_FINISH, finishes).await;
    wall += stretch.wall();
    stretch.report("HTTP: passkeys, judged, kept and attested", count);

    let posts = load::in_threads(finished.into_iter().zip(people).collect(), |(finished, (mut person, genesis))| {
        let evidence = Finished::decode(&finished).unwrap().evidence;
        vec![genesis, signing.claim(&mut person, ClaimProof::Attested { evidence })]
    });
    let stretch = Stretch::begin();
    offered::at_once(session, posts).await;
    wall += stretch.wall();
    stretch.report("HTTP: passkeys, genesis + attested claim", count);
    println!("passkey newcomers, from the first request to the name: {:.0}/s", count as f64 / wall.as_secs_f64());
}

/// Posts bodies of a sign-in.
async fn asked(session: &Arc<Session>, path: &'static str, bodies: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let ask = |session: Arc<Session>, body| async move { session.post_signin(path, body).await.unwrap() };
    offered::answers(session, bodies, ask).await
}
