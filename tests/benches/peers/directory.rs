//! The peer `akd`: a directory in its in-memory database, as its own benches set it up.

use std::hint::black_box;
use std::time::Instant;

use akd::append_only_zks::AzksParallelismConfig;
use akd::client::lookup_verify;
use akd::directory::Directory;
use akd::ecvrf::HardCodedAkdVRF;
use akd::storage::StorageManager;
use akd::storage::memory::AsyncInMemoryDatabase;
use akd::{AkdLabel, AkdValue, AzksElement, EpochHash, LookupProof, MembershipProof, NodeLabel};

type Config = akd::ExperimentalConfiguration<akd::ExampleLabel>;

/// Labels published together, as many as one of our batches may hold.
const BATCH: usize = 4_096;

/// What `akd` needs.
pub struct Figures {
    /// Labels updated a second, over all cores.
    pub updates: f64,
    /// Lookups with proof a second.
    pub lookups: f64,
    /// The bytes of a lookup proof, its fields alone.
    pub proof_bytes: f64,
    /// The time of a verification.
    pub verify_us: f64,
}

/// Publishes `labels` labels twice, each once more than a directory that was filled, and looks some of them up.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub async fn measure(labels: usize) -> Figures {
    let storage = StorageManager::new_no_cache(AsyncInMemoryDatabase::new());
    let directory = Directory::<Config, _, _>::new(storage, HardCodedAkdVRF {}, AzksParallelismConfig::default());
    let directory = directory.await.unwrap();
    let name = |n: usize| AkdLabel::from(&format!("name-{n:07}.dgns.test"));
    let publish = async |round: u8| {
        let began = Instant::now();
        for first in (0..labels).step_by(BATCH) {
            let part = (first..labels.min(first + BATCH)).map(|n| (name(n), AkdValue(vec![round; 84])));
            directory.publish(part.collect()).await.unwrap();
        }
        labels as f64 / began.elapsed().as_secs_f64()
    };
    let inserts = publish(1).await;
    let updates = publish(2).await;
    println!("akd, {labels} labels in publications of {BATCH}: {inserts:.0} inserts/s, {updates:.0} updates/s");

    let places: Vec<usize> = (0..1_000).map(|n| n * 2_654_435_761 % labels).collect();
    let began = Instant::now();
    let mut proofs = Vec::with_capacity(places.len());
    for place in &places {
        proofs.push(directory.lookup(name(*place)).await.unwrap());
    }
    let lookups = places.len() as f64 / began.elapsed().as_secs_f64();
    let proof_bytes = proofs.iter().map(|(proof, _)| size(proof)).sum::<usize>() as f64 / places.len() as f64;

    let key = directory.get_public_key().await.unwrap();
    let began = Instant::now();
    for (place, (proof, EpochHash(epoch, root))) in places.iter().zip(proofs) {
        let verified = lookup_verify::<Config>(key.as_bytes(), root, epoch, name(*place), proof);
        black_box(verified).unwrap();
    }
    let verify_us = began.elapsed().as_secs_f64() * 1e6 / places.len() as f64;
    Figures { updates, lookups, proof_bytes, verify_us }
}

/// Adds the fields of a proof up, without any framing: the least a wire form could need.
fn size(proof: &LookupProof) -> usize {
    let freshness = &proof.freshness_proof;
    let vrf_proofs = [&proof.existence_vrf_proof, &proof.marker_vrf_proof, &proof.freshness_vrf_proof];
    let members =
        [&proof.existence_proof, &proof.marker_proof, &freshness.longest_prefix_membership_proof].map(membership_size);
    16 + proof.value.len()
        + vrf_proofs.iter().map(|proof| proof.len()).sum::<usize>()
        + members.iter().sum::<usize>()
        + 2 * size_of::<NodeLabel>()
        + size_of_val(&freshness.longest_prefix_children)
        + proof.commitment_nonce.len()
}

fn membership_size(proof: &MembershipProof) -> usize {
    let sibling = size_of::<NodeLabel>() + size_of::<AzksElement>() + 1;
    size_of::<NodeLabel>() + size_of_val(&proof.hash_val) + proof.sibling_proofs.len() * sibling
}
