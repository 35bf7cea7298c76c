//! Measures the tree: `cargo run --release -p translog --example tree_speed [LEAVES]` (1,000,000).
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use translog::bundle;
use translog::hash::{Hash, leaf_hash};
use translog::subtree::{self, Subtree};
use translog::tile::{BundleId, RightTiles, Stack};
use translog::tree::{Edge, verify_inclusion};

/// The bytes of an entry with a certificate of mean size.
const ENTRY_BYTES: usize = 331;

fn main() {
    let leaves: u64 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of leaves"));
    audit(leaves.div_ceil(256));
    tiles(leaves.div_ceil(256));
    proofs(leaves);
}

/// What an auditor of the tree alone does: every entry hashed and appended, one thread.
fn audit(bundles: u64) {
    let entry = [1; ENTRY_BYTES];
    let bytes = bundle::encode([&entry[..]; 256]);
    let id = BundleId::new(0, 256).expect("in range");
    let mut edge = Edge::new();
    let start = Instant::now();
    for _ in 0..bundles {
        edge.extend(&bundle::leaf_hashes(id, &bytes).expect("256 entries"));
    }
    black_box(edge.root());
    report("audit of the tree, entries of 331 bytes", bundles * 256, start);
}

/// One tile: its root by the loop and by `rs_merkle`.
fn tiles(count: u64) {
    let leaves: Vec<Hash> = (0..256_u64).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let start = Instant::now();
    (0..count).for_each(|_| {
        black_box(subtree::root(black_box(&leaves)).is_ok());
    });
    report("roots of full tiles", count, start);
    let start = Instant::now();
    (0..count).for_each(|_| drop(black_box(Subtree::new(black_box(&leaves)))));
    report("subtrees built", count, start);
}

/// Paths from subtrees kept in memory, and their check.
fn proofs(leaves: u64) {
    let (mut right, mut full) = (RightTiles::new(), HashMap::new());
    for n in 0..leaves {
        for tile in right.append(leaf_hash(&n.to_be_bytes())) {
            full.insert(tile.id(), Subtree::new(tile.hashes()).expect("256 leaves"));
        }
    }
    let stack = Stack::new(&right);
    let path = |n: u64| stack.path(n, |id| full.get(&id).ok_or(id)).expect("every tile is kept").expect("n < leaves");
    let place = |n: u64| n * 2_654_435_761 % leaves;
    let start = Instant::now();
    (0..leaves).for_each(|n| drop(black_box(path(place(n)))));
    report("inclusion paths", leaves, start);
    let checked = leaves / 10;
    let start = Instant::now();
    for n in (0..checked).map(place) {
        let leaf = leaf_hash(&n.to_be_bytes());
        verify_inclusion(&leaf, n, leaves, &path(n), &stack.root()).expect("an honest path");
    }
    report("inclusion paths made and verified", checked, start);
}

fn report(what: &str, count: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {:.0} /s, {:.2} us each", count as f64 / seconds, seconds * 1e6 / count as f64);
}
