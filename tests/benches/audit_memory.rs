//! How fast a log is audited whose files are at hand: no server, no HTTP, nothing to wait for.
//!
//! `cargo bench -p dgns-tests --bench audit_memory -- [--names 30000] [--records 60000] [--rounds 3] [--levels 3]`. The log holds a genesis and a
//! claim of each name, and records one certificate each, in batches of 512 posts, about what a busy server commits at once. An auditor
//! is fed from bundles and tiles in memory; bundles are read, signatures checked and the map made on other threads, as in the client.

mod load;

use std::collections::HashMap;
use std::sync::Arc;

use dgns_client::audit::Jobs;
use load::Stretch;
use load::memory::MemoryLog;
use translog::audit::{Auditor, Level, Received, Target, Tree, Want};
use translog::bundle;
use translog::entry::EntryKind;
use translog::hash::leaf_hash;
use translog::tile::{RightTiles, Tile, bundles_for};

/// Bundles read ahead of the one being replayed, as in the client.
const AHEAD: usize = 16;

/// Posts of one batch.
const BATCH: usize = 512;

/// The first `--levels` of these are audited.
const LEVELS: [(Level, &str); 3] = [(Level::Tree, "tree"), (Level::Map, "map"), (Level::Full, "full")];

#[tokio::main]
async fn main() {
    let (names, records) = (load::argument("--names", 30_000_usize), load::argument("--records", 60_000_usize));
    let rounds = load::argument("--rounds", 3);
    let mut log = MemoryLog::open();
    let signing = log.signing();
    let (mut people, claims): (Vec<_>, Vec<_>) = signing.people(&load::labels("audit", names)).into_iter().unzip();
    for (people, claims) in people.chunks(BATCH).zip(claims.chunks(BATCH)) {
        let posts = people.iter().zip(claims).map(|(person, claim)| log.post(claim, &person.keys()));
        log.append(&posts.collect::<Vec<_>>());
    }
    Served::new(&log).audit_all("two claim certificates a name", rounds).await;
    for round in 0..records.div_ceil(names) as u8 {
        let signed = load::in_threads(people.iter_mut().collect(), |person| {
            let certificate = signing.records(person, [10, 0, 0, round]);
            (certificate, person.keys())
        });
        for part in signed.chunks(BATCH) {
            let posts = part.iter().map(|(certificate, keys)| log.post(std::slice::from_ref(certificate), keys));
            log.append(&posts.collect::<Vec<_>>());
        }
    }
    Served::new(&log).audit_all("the same with records", rounds).await;
}

/// The files of a log.
struct Served<'l> {
    log: &'l MemoryLog,
    files: Arc<HashMap<String, Vec<u8>>>,
}

impl<'l> Served<'l> {
    fn new(log: &'l MemoryLog) -> Self {
        let (mut right, mut history) = (RightTiles::new(), RightTiles::new());
        let mut tiles: Vec<(Tree, Tile)> = Vec::new();
        let entries = log.entries();
        for entry in &entries {
            let hash = leaf_hash(entry);
            tiles.extend(right.append(hash).into_iter().map(|tile| (Tree::Log, tile)));
            if entry[0] == EntryKind::Epoch as u8 {
                tiles.extend(history.append(hash).into_iter().map(|tile| (Tree::History, tile)));
            }
        }
        tiles.extend(right.partials().map(|tile| (Tree::Log, tile)));
        tiles.extend(history.partials().map(|tile| (Tree::History, tile)));
        let tiles = tiles.into_iter().map(|(tree, tile)| (Want::Tile(tree, tile.id()).path(), tile.encode()));
        let mut files: HashMap<_, _> = tiles.collect();
        files.extend(bundles_for(0, log.edge.size()).map(|id| {
            let entries = &entries[id.first_entry() as usize..][..usize::from(id.width())];
            (id.to_string(), bundle::encode(entries.iter().copied()))
        }));
        Self { log, files: Arc::new(files) }
    }

    async fn audit_all(&self, what: &str, rounds: usize) {
        println!("{what}: {} entries", self.log.edge.size());
        for (level, name) in LEVELS.into_iter().take(load::argument("--levels", 3)) {
            for _ in 0..rounds {
                let stretch = Stretch::begin();
                self.audit(level).await;
                stretch.report(&format!("audit in memory, level {name}"), self.log.edge.size() as usize);
            }
        }
    }

    async fn audit(&self, level: Level) {
        let target = Target { size: self.log.edge.size(), root: self.log.edge.root() };
        let mut auditor = Auditor::new(&self.log.origin, level, target);
        let mut jobs = Jobs::of(&mut auditor, false);
        let mut running = HashMap::new();
        loop {
            let wants = auditor.wants(AHEAD);
            for want in &wants {
                running.entry(want.path()).or_insert_with_key(|path| {
                    let (files, path, want) = (self.files.clone(), path.clone(), want.clone());
                    tokio::task::spawn_blocking(move || Received::of(&want, &files[&path], level))
                });
            }
            let Some(first) = wants.first() else { break };
            let received = running.remove(&first.path()).unwrap().await.unwrap();
            auditor.feed_received(received).unwrap();
            jobs.take(&mut auditor).await.unwrap();
        }
        jobs.finish().await.unwrap();
        assert!(auditor.is_through());
    }
}
