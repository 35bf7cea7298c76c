//! Measures the map and the verifier: `cargo run --release -p translog --example map_speed [LABELS]` (2,000,000).
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use identity::cert::DidKind;
use identity::did::Did;
use identity::hash::{Hash, sha256};
use identity::key::SigningKey;
use identity::name::Zone;
use identity::state::{ChainHead, DeviceState, DeviceStatus, DidState, Leaf, NameState, NameStatus, State, Subject};
use identity::time::Timestamp;
use translog::entry::Epoch;
use translog::head::Head;
use translog::map::{Map, commitment, label};
use translog::note::LogSigner;
use translog::resolution::{Answer, Resolution};
use translog::resolve;
use translog::tree::Edge;
use translog::trust::{Memory, Trust};

fn main() {
    let labels: u64 = std::env::args().nth(1).map_or(2_000_000, |text| text.parse().expect("a number of labels"));
    let mut rows: Vec<(Hash, Hash)> = (0..labels).map(|n| (row_label(n), sha256(&[b"c", &n.to_be_bytes()]))).collect();
    rows.sort_unstable();

    let start = Instant::now();
    let mut map = Map::from_sorted(rows.iter().copied()).expect("rows are sorted");
    println!("build of {labels} labels from sorted rows: {:.2} s", start.elapsed().as_secs_f64());

    let pairs: Vec<[Hash; 2]> =
        (0..200_000).map(|n| [row_label(n * 7 % labels), row_label(n * 13 % labels + 1)]).collect();
    let start = Instant::now();
    let bytes: usize = pairs.iter().map(|pair| map.prove(pair).expect("two labels").encode().len()).sum();
    report("proof of 2 labels, encoded", start.elapsed(), pairs.len());
    println!("  mean {} bytes", bytes / pairs.len());

    for batch in [1_u64, 64, 4_096] {
        let rounds = 40_960 / batch.max(4);
        let start = Instant::now();
        for round in 0..rounds {
            let updates: Vec<_> = (0..batch).map(|n| (row_label(round * batch + n), [round as u8; 32])).collect();
            let delta = map.prepare(&updates);
            map.apply(delta).expect("prepared from this map");
        }
        report(&format!("label updated in batches of {batch}"), start.elapsed(), (rounds * batch) as usize);
    }
    lookups(map);
}

/// A lookup of a live name with its DID of two devices, cold and warm.
fn lookups(mut map: Map) {
    let origin = Zone::parse("dgns.test").expect("a zone").origin();
    let signer = LogSigner::new(origin.as_str(), SigningKey::from_seed(&[1; 32])).expect("an origin is a key name");
    let (did, name) = (did_leaf(), name_leaf());
    let subjects = [&name, &did].map(|leaf| leaf.state.subject());
    let updates = [&name, &did].map(|leaf| (label(&leaf.state.subject()), commitment(leaf)));
    let delta = map.prepare(&updates);
    map.apply(delta).expect("prepared from this map");

    let mut edge = Edge::new();
    (0..3_999_999_u64 % 100_003).for_each(|n| edge.append(sha256(&[&n.to_be_bytes()])));
    let epoch =
        Epoch { k: 9, covers: edge.size(), time_ms: 1_790_000_000_000, map_root: map.root(), history_root: [0; 32] };
    edge.append(epoch.leaf_hash());
    let head = Head::sign(&edge, &epoch, &signer).expect("the Epoch is the last leaf");
    let trust = Trust::new(origin.clone(), vec![signer.verifier_key().clone()]).expect("a log key");
    let now = Timestamp::from_ms(epoch.time_ms + 1_000);

    let answer = |leaf: fn(&Leaf) -> Answer| {
        let proof = map.prove(&subjects.each_ref().map(label)).expect("two labels");
        Resolution::new(subjects[0].clone(), vec![Answer::present(&name), leaf(&did)], proof)
    };
    let cold = answer(Answer::present).with_head(head).encode();
    let warm = answer(Answer::present).encode();
    println!("lookup: cold {} bytes, warm {} bytes", cold.len(), warm.len());
    let mut memory = Memory::new(origin.clone());
    resolve::verify(&trust, &mut memory, &subjects[0], &cold, now).expect("an honest answer");

    let start = Instant::now();
    for _ in 0..5_000 {
        let mut memory = Memory::new(origin.clone());
        black_box(resolve::verify(&trust, &mut memory, &subjects[0], &cold, now)).expect("an honest answer");
    }
    report("verify, cold", start.elapsed(), 5_000);
    let start = Instant::now();
    for _ in 0..20_000 {
        black_box(resolve::verify(&trust, &mut memory, &subjects[0], &warm, now)).expect("an honest answer");
    }
    report("verify, warm", start.elapsed(), 20_000);
}

fn report(what: &str, elapsed: Duration, count: usize) {
    let each_us = elapsed.as_secs_f64() * 1e6 / count as f64;
    println!("{what}: {each_us:.2} us, {:.0} a second", 1e6 / each_us);
}

fn row_label(n: u64) -> Hash {
    sha256(&[&n.to_be_bytes()])
}

fn name_leaf() -> Leaf {
    let state = NameState {
        version: 1,
        name: "alice.dgns.test".into(),
        did: Some(Did::from_bytes([7; 20])),
        status: NameStatus::Live,
        claim_index: 1,
        held_until_ms: 0,
        records: Some((2, [8; 32])),
        delegate: None,
        children: 0,
    };
    Leaf { head_index: 2, head_hash: [8; 32], state: State::Name(state) }
}

fn did_leaf() -> Leaf {
    let mut devices: Vec<DeviceState> = [[1; 32], [2; 32]]
        .map(|seed| DeviceState {
            sign: SigningKey::from_seed(&seed).public(),
            kex: seed,
            level: identity::cert::Level::Admin,
            status: DeviceStatus::Live,
            index: 1,
            until_ms: 0,
        })
        .to_vec();
    devices.sort_by_key(|device| identity::key::kid_of(&device.sign));
    let state = DidState {
        version: 3,
        did: Did::from_bytes([7; 20]),
        kind: DidKind::User,
        flags: 0,
        head: ChainHead { seq: 2, sid: [8; 32], index: 2 },
        identity: [3; 32],
        words_box: [4; 32],
        devices,
        user_key: None,
        window_s: 259_200,
        pending: vec![],
        recovery: None,
        names: vec!["alice.dgns.test".into()],
        authorities: vec![],
        uid: 1,
        born_ms: 1_780_000_000_000,
    };
    let leaf = Leaf { head_index: 2, head_hash: [8; 32], state: State::Did(state) };
    assert_eq!(leaf.state.subject(), Subject::Did(Did::from_bytes([7; 20])));
    leaf
}
