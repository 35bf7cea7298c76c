//! Lookups in a map of many labels: proofs, their size, and what a client does with them.

use std::hint::black_box;
use std::time::Instant;

use identity::cert::{DidKind, Level};
use identity::did::Did;
use identity::hash::{Hash, sha256};
use identity::key::{SigningKey, kid_of};
use identity::name::{Origin, Zone};
use identity::state::{ChainHead, DeviceState, DeviceStatus, DidState, Leaf, NameState, NameStatus, State};
use identity::time::Timestamp;
use translog::entry::Epoch;
use translog::head::{Cosignature, Head};
use translog::map::{Map, commitment, label};
use translog::note::{Cosigner, LogSigner};
use translog::resolution::{Answer, Resolution};
use translog::resolve;
use translog::tree::Edge;
use translog::trust::{Memory, Trust};

use crate::directory;
use crate::load;
use crate::table::{Table, Unit};

/// Cosignatures on the head, all of which the policy asks for.
const COSIGNERS: u8 = 3;

/// The time of the head, ms.
const NOW_MS: u64 = 1_790_000_000_000;

/// Proves pairs of labels, as of a name and its DID, and verifies the lookup of one such name.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn measure(table: &mut Table, built: Built, akd: &directory::Figures) {
    let each_us = |count: usize, began: Instant| began.elapsed().as_secs_f64() * 1e6 / count as f64;
    let Built { map, bytes_a_label } = built;
    let labels = map.len();
    let pairs = 200_000;
    let pair = |n: usize| [n * 2_654_435_761, n * 2_654_435_761 + 1].map(|n| row_label(n % labels));
    let began = Instant::now();
    let bytes: usize = (0..pairs).map(|n| map.prove(&pair(n)).unwrap().encode().len()).sum();
    let proved_us = each_us(pairs, began) - pair_us(pairs, pair);

    let lookup = Lookup::of(map);
    let (cold, warm) = (lookup.answer(true), lookup.answer(false));
    let began = Instant::now();
    let rounds = 5_000;
    for _ in 0..rounds {
        black_box(lookup.verify(&mut Memory::new(lookup.origin.clone()), &cold));
    }
    let cold_us = each_us(rounds, began);
    let mut memory = Memory::new(lookup.origin.clone());
    lookup.verify(&mut memory, &cold);
    let began = Instant::now();
    for _ in 0..4 * rounds {
        black_box(lookup.verify(&mut memory, &warm));
    }
    let warm_us = each_us(4 * rounds, began);

    let row = |what: &str| format!("map of {labels} labels: {what}");
    let proof_bytes = bytes as f64 / pairs as f64;
    table.row(&row("memory a label"), Unit::Bytes, Some(130.0), bytes_a_label, None);
    let (per_second, peer) = (1e6 / proved_us, Some(("akd", akd.lookups)));
    table.row(&row("proofs of two labels, one core"), Unit::PerSecond, Some(150_000.0), per_second, peer);
    let peer = Some(("akd", akd.proof_bytes));
    table.row(&row("bytes of such a proof"), Unit::Bytes, None, proof_bytes, peer);
    let row = |what: &str| format!("lookup, {COSIGNERS} cosignatures: {what}");
    table.row(&row("bytes, cold"), Unit::Bytes, Some(3_000.0), cold.len() as f64, peer);
    table.row(&row("bytes, warm (head known)"), Unit::Bytes, Some(2_000.0), warm.len() as f64, peer);
    let peer = Some(("akd", akd.verify_us));
    table.row(&row("verified, cold"), Unit::Microseconds, Some(300.0), cold_us, peer);
    table.row(&row("verified, warm"), Unit::Microseconds, Some(40.0), warm_us, peer);
}

/// A map of many labels.
pub struct Built {
    map: Map,
    /// What the process gained by it.
    bytes_a_label: f64,
}

/// Builds the map of `labels` labels.
pub fn build(labels: usize) -> Built {
    let mut rows: Vec<(Hash, Hash)> = (0..labels).map(|n| (row_label(n), sha256(&[b"c", &n.to_be_bytes()]))).collect();
    rows.sort_unstable();
    let before_kib = load::memory_kib("VmRSS");
    let map = Map::from_sorted(rows.iter().copied()).unwrap();
    let gained_kib = load::memory_kib("VmRSS") - before_kib;
    Built { map, bytes_a_label: (gained_kib * 1_024) as f64 / labels as f64 }
}

fn row_label(n: usize) -> Hash {
    sha256(&[&n.to_be_bytes()])
}

/// The time it takes to make the labels asked for, which is not the map's.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn pair_us(pairs: usize, pair: impl Fn(usize) -> [Hash; 2]) -> f64 {
    let began = Instant::now();
    for n in 0..pairs {
        black_box(pair(n));
    }
    began.elapsed().as_secs_f64() * 1e6 / pairs as f64
}

/// The lookup of a live name with records whose DID has two devices.
struct Lookup {
    origin: Origin,
    trust: Trust,
    map: Map,
    head: Head,
    name: Leaf,
    did: Leaf,
}

impl Lookup {
    /// Puts the name and its DID into the map, and signs the head of a log of 4 M entries.
    fn of(mut map: Map) -> Self {
        let origin = Zone::parse("dgns.test").unwrap().origin();
        let signer = LogSigner::new(origin.as_str(), SigningKey::from_seed(&[1; 32])).unwrap();
        let cosigners: Vec<Cosigner> = (1..=COSIGNERS)
            .map(|n| Cosigner::new(&format!("w{n}.example"), SigningKey::from_seed(&[100 + n; 32])).unwrap())
            .collect();
        let (name, did) = (name_leaf(), did_leaf());
        let updates = [&name, &did].map(|leaf| (label(&leaf.state.subject()), commitment(leaf)));
        let delta = map.prepare(&updates);
        map.apply(delta).unwrap();

        // The mean path of a last leaf among 4 M has 11 hashes.
        let covers = (4_000_000_u64..).find(|index| index.count_ones() == 11).unwrap();
        let epoch = Epoch { k: 9, covers, time_ms: NOW_MS, map_root: map.root(), history_root: [0; 32] };
        let path: Vec<Hash> = (0..11).map(row_label).collect();
        let edge = Edge::from_parts(covers + 1, epoch.leaf_hash(), &path).unwrap();
        let mut head = Head::sign(&edge, &epoch, &signer).unwrap();
        for cosigner in &cosigners {
            let time_s = NOW_MS / 1_000;
            let line = cosigner.cosign(&head.checkpoint(&origin), time_s);
            let signature = line.signature[8..].try_into().unwrap();
            head.cosignatures.push(Cosignature { id: line.id, time_s, signature });
        }
        let witnesses = cosigners.iter().zip(1..).map(|(c, n)| format!("witness w{n} {}\n", c.verifier_key()));
        let names: Vec<String> = (1..=COSIGNERS).map(|n| format!("w{n}")).collect();
        let policy = format!("{}group all all {}\nquorum all\n", witnesses.collect::<String>(), names.join(" "));
        let trust = Trust::new(origin.clone(), vec![signer.verifier_key().clone()]).unwrap();
        let trust = trust.with_policy(policy.parse().unwrap());
        Self { origin, trust, map, head, name, did }
    }

    fn answer(&self, with_head: bool) -> Vec<u8> {
        let leaves = [&self.name, &self.did];
        let proof = self.map.prove(&leaves.map(|leaf| label(&leaf.state.subject()))).unwrap();
        let answers = leaves.map(Answer::present).to_vec();
        let resolution = Resolution::new(self.name.state.subject(), answers, proof);
        if with_head { resolution.with_head(self.head.clone()).encode() } else { resolution.encode() }
    }

    fn verify(&self, memory: &mut Memory, answer: &[u8]) -> resolve::Resolved {
        let now = Timestamp::from_ms(NOW_MS + 1_000);
        resolve::verify(&self.trust, memory, &self.name.state.subject(), answer, now).unwrap()
    }
}

fn name_leaf() -> Leaf {
    let state = NameState {
        version: 1,
        name: "alice.dgns.test".into(),
        did: Some(Did::from_bytes([7; 20])),
        status: NameStatus::Live,
        claim_index: 3_000_001,
        held_until_ms: 0,
        records: Some((3_000_002, [8; 32])),
        delegate: None,
        children: 0,
    };
    Leaf { head_index: 3_000_002, head_hash: [8; 32], state: State::Name(state) }
}

fn did_leaf() -> Leaf {
    let device = |seed: u8| DeviceState {
        sign: SigningKey::from_seed(&[seed; 32]).public(),
        kex: [seed; 32],
        level: Level::Admin,
        status: DeviceStatus::Live,
        index: 3_000_000,
        until_ms: 0,
    };
    let mut devices: Vec<DeviceState> = [1, 2].map(device).to_vec();
    devices.sort_by_key(|device| kid_of(&device.sign));
    let state = DidState {
        version: 3,
        did: Did::from_bytes([7; 20]),
        kind: DidKind::User,
        flags: 0,
        head: ChainHead { seq: 2, sid: [8; 32], index: 3_000_002 },
        identity: [3; 32],
        words_box: [4; 32],
        devices,
        user_key: None,
        window_s: 259_200,
        pending: vec![],
        recovery: None,
        names: vec!["alice.dgns.test".into()],
        authorities: vec![],
        uid: 3_000_000,
        born_ms: NOW_MS - 1_000_000,
    };
    Leaf { head_index: 3_000_002, head_hash: [8; 32], state: State::Did(state) }
}
