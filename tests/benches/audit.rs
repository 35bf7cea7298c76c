//! How fast a log is audited, over HTTP from a server in this process, so both share the cores.
//!
//! `cargo bench -p dgns-tests --bench audit -- [--names 30000] [--records 60000]`. The log holds a genesis and a claim of each name,
//! and records one certificate each; it is audited from an empty directory at each level.

mod load;

use dgns_client::audit::{self, Options};
use dgns_client::home::Home;
use dgns_client::session::Session;
use load::{Signing, Stretch};
use translog::audit::Level;

#[tokio::main]
async fn main() {
    let (names, records) = (load::argument("--names", 30_000), load::argument("--records", 60_000));
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
    audit_all(&url, "the same with records", all).await;
    server.stop().await.unwrap();
}

async fn audit_all(url: &str, what: &str, entries: usize) {
    println!("{what}: {entries} entries");
    for (level, name) in [(Level::Tree, "tree"), (Level::Map, "map"), (Level::Full, "full")] {
        let home = tempfile::tempdir().unwrap();
        let session = Session::open(&Home::open(home.path()).unwrap(), url).await.unwrap();
        let options = Options { level, strict: false, state: None, evidence: None };
        let stretch = Stretch::begin();
        let clean = audit::run(&session, &options, |_, _| ()).await.unwrap();
        stretch.report(&format!("audit, level {name}"), clean.entries as usize);
    }
}
