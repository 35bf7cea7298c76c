//! Names on the strength of sign-ins, over HTTP: the sign-in kept, its name spent and its account pinned, all durable, four signatures
//! and two of the server's own a claim.
//!
//! `cargo bench -p dgns-tests --bench attested -- [--names 10000]`. Client and server share this process. What an issuer does is not
//! measured: sign-ins are put where a finish puts them, in `people.db`.

mod load;

use std::sync::Arc;

use dgns::config::IssuerConfig;
use dgns_client::home::Home;
use dgns_client::session::Session;
use identity::cert::{Certificate, ClaimProof};
use identity::evidence::issuer_hash;
use identity::hash::sha256;
use load::offered;
use load::{Person, Signing, Stretch};
use storage::people::AttestedRow;
use tokio::task::JoinSet;

const ISSUER: &str = "https://issuer.example";

#[tokio::main]
async fn main() {
    let names = load::argument("--names", 10_000);
    let directory = tempfile::tempdir().unwrap();
    let mut config = load::config(directory.path());
    config.signin.issuers = vec![IssuerConfig {
        id: "issuer".into(),
        name: "Issuer".into(),
        issuer: ISSUER.into(),
        client_id: "dgns".into(),
        client_secret_file: None,
    }];
    let server = dgns::server::Server::start(config, dgns::clock::Clock::system()).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.http);
    let session = Arc::new(Session::open(&Home::open(home.path()).unwrap(), &url).await.unwrap());
    let signing = Signing::of(&server.app);

    let labels = load::labels("attested", names);
    let made = load::in_threads(labels.iter().collect(), |label| {
        signing.person_by(label, |name, _| ClaimProof::Attested { evidence: sha256(&[name.as_bytes()]) })
    });
    let (people, posts): (Vec<Person>, Vec<Vec<Certificate>>) = made.into_iter().unzip();

    let stretch = Stretch::begin();
    keep(&server.app, people).await;
    stretch.report("sign-ins kept", names);
    offered::at_once(&session, posts).await;
    stretch.report("HTTP: sign-in kept, genesis + attested claim", names);
    server.stop().await.unwrap();
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
