//! How fast a log is audited, over HTTP from a server in this process, so both share the cores.
//!
//! `cargo bench -p dgns-tests --bench audit -- [--names 30000] [--records 60000]`. The log holds a genesis and a claim of each name,
//! and records one certificate each; it is audited from an empty directory at each level, and replayed by a verifying witness.

mod load;

use std::time::Duration;

use dgns::clock::Clock;
use dgns::config::{WITNESS_DEFAULTS, WitnessServerConfig};
use dgns::outbound::{Bounds, Outbound};
use dgns::witness::WitnessedLogs;
use dgns::witness::standalone::WitnessServer;
use dgns_client::audit;
use dgns_client::home::Home;
use dgns_client::session::Session;
use load::{Signing, Stretch};
use storage::Options;
use translog::audit::Level;
use translog::note::Note;
use translog::witness::Request;

#[tokio::main]
async fn main() {
    let (names, records) = (load::argument("--names", 30_000_usize), load::argument("--records", 60_000_usize));
    let directory = tempfile::tempdir().unwrap();
    let server = load::start(directory.path()).await;
    let url = format!("http://{}", server.http);
    let signing = Signing::of(&server.app);
    let (mut people, claims): (Vec<_>, Vec<_>) = signing.people(&load::labels("audit", names)).into_iter().unzip();
    load::submit_all(&server, claims.iter().map(|post| load::envelopes(post)).collect()).await;
    let claimed = server.app.core.live.head().size() as usize;
    audit_all(&url, "two claim certificates a name", claimed).await;

    for round in 0..records.div_ceil(names) as u8 {
        let items = people.iter_mut().collect();
        let posts = load::in_threads(items, |person| vec![signing.records(person, [10, 0, 0, round]).encode()]);
        load::submit_all(&server, posts).await;
    }
    let all = server.app.core.live.head().size() as usize;
    if all > claimed {
        audit_all(&url, "the same with records", all).await;
    }
    server.stop().await.unwrap();
}

async fn audit_all(url: &str, what: &str, entries: usize) {
    println!("{what}: {entries} entries");
    for (level, name) in [(Level::Tree, "tree"), (Level::Map, "map"), (Level::Full, "full")] {
        let home = tempfile::tempdir().unwrap();
        let session = Session::open(&Home::open(home.path()).unwrap(), url).await.unwrap();
        let options = audit::Options { level, strict: false, state: None, evidence: None };
        let stretch = Stretch::begin();
        let clean = audit::run(&session, &options, |_, _| ()).await.unwrap();
        stretch.report(&format!("audit, level {name}"), clean.entries as usize);
    }
    verify(url, entries).await;
}

/// Lets a verifying witness catch up from nothing: every signature strictly.
async fn verify(url: &str, entries: usize) {
    let data = tempfile::tempdir().unwrap();
    let outbound = Outbound::new(false);
    let bounds = Bounds { deadline: Duration::from_secs(10), body_bytes_max: 1 << 20 };
    let note = outbound.get(&format!("{url}/log/checkpoint"), bounds).await.unwrap().body;
    let note = Note::parse(&note).unwrap();
    let info = outbound.get(&format!("{url}/v1/info"), bounds).await.unwrap().body;
    let info: dgns_api::info::Info = serde_json::from_slice(&info).unwrap();
    let logs = WitnessedLogs::parse(&format!("log {} {url}/log\n", info.vkey)).unwrap();
    let mut config = WitnessServerConfig::from_toml(WITNESS_DEFAULTS).unwrap();
    config.data = data.path().to_owned();
    config.http.listen = "127.0.0.1:0".parse().unwrap();
    config.witness.verifier = true;
    let witness = WitnessServer::start_with(config, &logs, Clock::system(), Options::default()).await.unwrap();
    let url = format!("http://{}/verifier/add-checkpoint", witness.http);
    let request = Request::new(0, Vec::new(), note).unwrap().encode();
    let stretch = Stretch::begin();
    loop {
        match outbound.post(&url, "text/plain", request.clone(), bounds).await.unwrap().status {
            200 => break,
            503 => {}
            other => panic!("the verifier answers {other}"),
        }
    }
    stretch.report("verifying witness, from nothing", entries);
    witness.stop().await.unwrap();
}
