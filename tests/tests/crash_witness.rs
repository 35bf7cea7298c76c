//! `kill -9` of the real `dgnsd witness` under load, again and again, by a log that has three histories and signs them all.
//!
//! What counts as failure: two signed roots for one size; two signed heads that do not continue each other; a witness that
//! remembers less than it answered; one that starts on an older copy of its database; a start that does not come up.
//! `DGNS_CRASH_LOOPS` says how often it dies (8 unless said, 40 in the long rounds of `tests/run`), `DGNS_SEED` repeats a run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use data_encoding::HEXLOWER;
use dgns_tests::harness::http;
use dgns_tests::harness::opaque::OpaqueLog;
use dgns_tests::harness::witness::{Copied, WitnessSite, cosigned};
use dgns_tests::harness::{Seed, wait};
use identity::hash::{Hash, sha256};
use translog::note::VerifierKey;
use translog::witness::{conflict_size, cosignature_of};

const ORIGIN: &str = "a.example/log";

/// The histories that the log signs.
const BRANCHES: u8 = 3;

#[test]
fn no_two_heads_of_a_size_are_cosigned_however_often_the_witness_is_killed() {
    let mut seed = Seed::of_the_day();
    let site = WitnessSite::new();
    let log = OpaqueLog::new(ORIGIN);
    let vkey = log.vkey();
    let branches: Vec<OpaqueLog> = (0..BRANCHES).map(|branch| log.fork(branch)).collect();
    let mut signed: BTreeMap<u64, Hash> = BTreeMap::new();
    let mut old: Option<Copied> = None;
    for round in 0..loops() {
        let server = site.start(&[&vkey]);
        let copied = remembers_what_it_signed(&server, &branches, &signed);
        let heads = load(&server, &branches, &mut seed);
        server.kill();
        let answers = heads.len();
        for (size, root) in heads {
            let known = *signed.entry(size).or_insert(root);
            assert_eq!(known, root, "TWO HISTORIES: two cosigned roots for {size} leaves");
        }
        let newest = signed.keys().next_back().copied().unwrap_or(0);
        eprintln!("round {round}: {answers} cosignatures, {newest} leaves");
        match old.take() {
            // More may have been cosigned than was answered: what the copy holds is what this round began with.
            Some(copy) if copied < newest => refuses_an_older_database(&site, &vkey, &copy),
            _ => old = Some(site.database()),
        }
    }
    let server = site.start(&[&vkey]);
    remembers_what_it_signed(&server, &branches, &signed);
    let one = branches.iter().filter(|branch| signed.iter().all(|(size, root)| branch.root(*size) == *root));
    assert_eq!(one.count(), 1, "every cosigned head belongs to one history");
    assert!(!site.evidence().is_empty(), "the log's other histories convict it");
    server.stop().exits(0);
}

fn loops() -> u32 {
    let long = std::env::var_os("DGNS_TEST_ROUNDS").is_some_and(|rounds| rounds == "long");
    let given = std::env::var("DGNS_CRASH_LOOPS").ok().map(|text| text.parse().expect("DGNS_CRASH_LOOPS is a number"));
    given.unwrap_or(if long { 40 } else { 8 })
}

/// Lets one client a branch submit heads until the witness is gone, which is at a moment the seed chooses. Returns what was cosigned.
fn load(server: &dgns_tests::harness::Server, branches: &[OpaqueLog], seed: &mut Seed) -> Vec<(u64, Hash)> {
    let (enough, extra) = (1 + seed.below(40), Duration::from_micros(seed.below(20_000)));
    let (granted, steps) = (AtomicU64::new(0), seed.below(u64::MAX));
    thread::scope(|scope| {
        let clients: Vec<_> = branches
            .iter()
            .zip(0..)
            .map(|(branch, number)| {
                let (granted, seed) = (&granted, Seed::from(steps ^ number));
                scope.spawn(move || submit_until_it_fails(server, branch, seed, granted))
            })
            .collect();
        wait::until("heads are cosigned", || (granted.load(Ordering::Relaxed) >= enough).then_some(()));
        wait::let_pass(extra);
        server.kill_now();
        clients.into_iter().flat_map(|client| client.join().expect("a client does not fail")).collect()
    })
}

fn submit_until_it_fails(
    server: &dgns_tests::harness::Server,
    branch: &OpaqueLog,
    mut seed: Seed,
    granted: &AtomicU64,
) -> Vec<(u64, Hash)> {
    let key = VerifierKey::parse(server.vkey()).unwrap();
    let (mut known, mut heads) = (0, Vec::new());
    loop {
        // Now and then the size the witness is at, with this branch's root.
        let to = known + seed.below(4);
        let body = branch.request(known, to);
        let Ok(answer) = http::request(server.http, "POST", "/witness/add-checkpoint", &[], &body) else {
            return heads;
        };
        match answer.status {
            200 => {
                cosignature_of(&answer.body, branch.note(to).text(), &key).unwrap();
                heads.push((to, branch.root(to)));
                known = to;
                granted.fetch_add(1, Ordering::Relaxed);
            }
            409 => known = conflict_size(&answer.body).unwrap(),
            422 => {}
            other => panic!("{other}: {}", answer.text()),
        }
    }
}

/// The monitored head is at or beyond every one that was answered, and continues them: its branch holds them all. Returns its size.
fn remembers_what_it_signed(
    server: &dgns_tests::harness::Server,
    branches: &[OpaqueLog],
    signed: &BTreeMap<u64, Hash>,
) -> u64 {
    let path = format!("/witness/{}/checkpoint", HEXLOWER.encode(&sha256(&[ORIGIN.as_bytes()])));
    let shown = server.get(&path);
    let Some((newest, _)) = signed.last_key_value() else { return 0 };
    let (size, root) = cosigned(&shown.body, server.vkey());
    assert!(size >= *newest, "the witness answered {newest} and remembers {size}");
    let branch = branches.iter().find(|branch| branch.root(size) == root).expect("a head of one of the branches");
    assert!(signed.iter().all(|(size, root)| *size == 0 || branch.root(*size) == *root), "cosigned beside its past");
    size
}

fn refuses_an_older_database(site: &WitnessSite, vkey: &str, old: &Copied) {
    let newest = site.database();
    site.put_database(old);
    let refused = site.try_start(&[vkey], &[]).expect_err("an older database is refused");
    assert!(refused.exits(3).stderr.contains("rolled_back"), "{refused}");
    site.put_database(&newest);
}
