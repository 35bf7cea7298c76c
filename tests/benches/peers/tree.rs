//! Inclusion proofs of one tree, from nodes in memory.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use translog::hash::leaf_hash;
use translog::subtree::Subtree;
use translog::tile::{RightTiles, Stack};
use translog::tree::verify_inclusion;

use crate::table::{Table, Unit};

/// Proofs compared byte for byte.
const COMPARED: usize = 1_000;

/// Builds the tree twice, and proves every leaf in an order that jumps.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn measure(table: &mut Table, leaves: usize) {
    let leaf = |n: usize| n.to_be_bytes();
    let place = |n: usize| n * 2_654_435_761 % leaves;
    let rate = |count: usize, began: Instant| count as f64 / began.elapsed().as_secs_f64();

    let began = Instant::now();
    let (mut right, mut full) = (RightTiles::new(), HashMap::new());
    for n in 0..leaves {
        for tile in right.append(leaf_hash(&leaf(n))) {
            full.insert(tile.id(), Subtree::new(tile.hashes()).unwrap());
        }
    }
    let stack = Stack::new(&right);
    let ours_built = rate(leaves, began);
    let began = Instant::now();
    let mut theirs = MemoryBackedTree::<sha2::Sha256, _>::new();
    (0..leaves).for_each(|n| theirs.push(leaf(n)));
    let theirs_built = rate(leaves, began);

    let path = |n: usize| stack.path(n as u64, |id| full.get(&id).ok_or(id)).unwrap().unwrap();
    for n in (0..COMPARED).map(place) {
        assert_eq!(path(n).concat(), theirs.prove_inclusion(n).as_bytes());
    }
    let began = Instant::now();
    (0..leaves).for_each(|n| drop(black_box(path(place(n)))));
    let ours = rate(leaves, began);
    let began = Instant::now();
    (0..leaves).for_each(|n| drop(black_box(theirs.prove_inclusion(place(n)))));
    let peers = rate(leaves, began);

    let checked = leaves.min(100_000);
    let paths: Vec<_> = (0..checked).map(|n| path(place(n))).collect();
    let began = Instant::now();
    for (n, path) in (0..checked).map(place).zip(&paths) {
        verify_inclusion(&leaf_hash(&leaf(n)), n as u64, leaves as u64, path, &stack.root()).unwrap();
    }
    let ours_checked = rate(checked, began);
    let (root, proofs) = (theirs.root(), (0..checked).map(|n| theirs.prove_inclusion(place(n))).collect::<Vec<_>>());
    let began = Instant::now();
    for (n, proof) in (0..checked).map(place).zip(&proofs) {
        root.verify_inclusion(&leaf(n), n as u64, proof).unwrap();
    }
    let peers_checked = rate(checked, began);

    let row = |what: &str| format!("tree of {leaves} leaves: {what}");
    let peer = |figure| Some(("ct-merkle", figure));
    table.row(&row("appended"), Unit::PerSecond, None, ours_built, peer(theirs_built));
    table.row(&row("inclusion proofs made, one core"), Unit::PerSecond, Some(400_000.0), ours, peer(peers));
    table.row(&row("inclusion proofs verified, one core"), Unit::PerSecond, None, ours_checked, peer(peers_checked));
}
