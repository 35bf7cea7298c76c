//! The cases of `tests/vectors/tree.json`: paths another implementation must accept and refuse.

use serde_json::{Value, json};

use super::oracle::{self, Oracle};
use super::*;
use crate::hash::{EMPTY_ROOT, Hash, leaf_hash};
use crate::vectors::{hex, hold};

const SIZES: [u64; 12] = [1, 2, 3, 4, 5, 7, 8, 9, 37, 64, 255, 256];

#[test]
fn vectors_of_the_tree() {
    // Goal: another implementation takes and refuses the same. Method: tests/vectors/tree.json.
    let leaves = oracle::leaves(256);
    let mut oracle = Oracle::new(&leaves);
    let mut cases = hash_cases(&leaves);
    for size in SIZES {
        for index in sample(size) {
            let path = oracle.path(index as usize, size as usize);
            let root = oracle.root(0, size as usize);
            cases.push(inclusion(
                &format!("leaf {index} of {size}"),
                &leaves[index as usize],
                index,
                size,
                &path,
                &root,
            ));
        }
        for from in sample(size).into_iter().map(|index| index + 1) {
            let path = oracle.consistency(from as usize, size as usize);
            let roots = [oracle.root(0, from as usize), oracle.root(0, size as usize)];
            cases.push(consistency(&format!("{from} to {size}"), from, &roots[0], size, &roots[1], &path));
        }
    }
    cases.extend(refused_inclusions(&leaves, &mut oracle));
    cases.extend(refused_consistencies(&mut oracle));
    hold(
        "tree",
        &[
            "RFC 6962 trees (PROTOCOL 8). Hashes and bytes are hexadecimal, sizes and indexes decimal text.",
            "op leaf: in.entry -> hash. op node: in.left, in.right -> hash. op root: in.leaves (leaf hashes) -> root.",
            "op inclusion: in.leaf at in.index of in.size with in.path under in.root -> {} or an error.",
            "op consistency: in.from with in.old_root, in.to with in.new_root, in.path -> {} or an error.",
            "error: proof_size, proof_index, proof_order, proof_length, proof_old_root, proof_root.",
        ],
        &cases,
    );
}

/// First, last and two in between.
fn sample(size: u64) -> Vec<u64> {
    let mut indexes = vec![0, size / 3, size / 2, size - 1];
    indexes.dedup();
    indexes
}

fn hash_cases(leaves: &[Hash]) -> Vec<Value> {
    let mut cases = Vec::new();
    for entry in [&b""[..], b"\0", b"dgns"] {
        let name = format!("leaf of {} bytes", entry.len());
        cases.push(
            json!({"op": "leaf", "name": name, "in": {"entry": hex(entry)}, "out": {"hash": hex(&leaf_hash(entry))}}),
        );
    }
    let node = crate::hash::node_hash(&leaves[0], &leaves[1]);
    let given = json!({"left": hex(&leaves[0]), "right": hex(&leaves[1])});
    cases.push(json!({"op": "node", "name": "two leaves", "in": given, "out": {"hash": hex(&node)}}));
    for size in [0, 1, 2, 3, 5, 8, 13] {
        let given: Vec<Value> = leaves[..size].iter().map(|leaf| hex(leaf)).collect();
        let root = oracle::root(&leaves[..size]);
        cases.push(json!({"op": "root", "name": format!("{size} leaves"), "in": {"leaves": given}, "out": {"root": hex(&root)}}));
    }
    cases
}

fn refused_inclusions(leaves: &[Hash], oracle: &mut Oracle<'_>) -> Vec<Value> {
    let (path, root) = (oracle.path(20, 37), oracle.root(0, 37));
    let changed = |at: usize| {
        let mut path = path.clone();
        path[at][31] ^= 1;
        path
    };
    let swapped = [&[path[1], path[0]], &path[2..]].concat();
    let longer = [&path[..], &[root]].concat();
    let leaf = &leaves[20];
    vec![
        inclusion("another leaf", &leaves[21], 20, 37, &path, &root),
        inclusion("another index", leaf, 21, 37, &path, &root),
        inclusion("another root", leaf, 20, 37, &path, &EMPTY_ROOT),
        inclusion("another size, as many hashes", leaf, 20, 38, &path, &root),
        inclusion("another size, fewer hashes", leaf, 20, 32, &path, &root),
        inclusion("first hash changed", leaf, 20, 37, &changed(0), &root),
        inclusion("last hash changed", leaf, 20, 37, &changed(path.len() - 1), &root),
        inclusion("two hashes swapped", leaf, 20, 37, &swapped, &root),
        inclusion("a hash too few", leaf, 20, 37, &path[1..], &root),
        inclusion("a hash too many", leaf, 20, 37, &longer, &root),
        inclusion("no path", leaf, 20, 37, &[], &root),
        inclusion("a path in a tree of one leaf", leaf, 0, 1, &path[..1], &root),
        inclusion("index = size", leaf, 37, 37, &path, &root),
        inclusion("the empty tree", leaf, 0, 0, &[], &EMPTY_ROOT),
        inclusion("size beyond 2^63 - 1", leaf, 20, 1 << 63, &path, &root),
        inclusion("the largest size, a short path", leaf, 20, (1 << 63) - 1, &path, &root),
    ]
}

fn refused_consistencies(oracle: &mut Oracle<'_>) -> Vec<Value> {
    let (old, new, path) = (oracle.root(0, 20), oracle.root(0, 37), oracle.consistency(20, 37));
    let power = (oracle.root(0, 16), oracle.consistency(16, 37));
    let mut changed = path.clone();
    changed[0][0] ^= 0x80;
    let mut right_only = path.clone();
    right_only[2][0] ^= 0x80;
    let longer = [&path[..], &[new]].concat();
    vec![
        consistency("old root of another tree", 20, &EMPTY_ROOT, 37, &new, &path),
        consistency("new root of another tree", 20, &old, 37, &EMPTY_ROOT, &path),
        consistency("first hash changed", 20, &old, 37, &new, &changed),
        consistency("third hash changed", 20, &old, 37, &new, &right_only),
        consistency("another old size", 21, &old, 37, &new, &path),
        consistency("a hash too few", 20, &old, 37, &new, &path[1..]),
        consistency("a hash too many", 20, &old, 37, &new, &longer),
        consistency("no path", 20, &old, 37, &new, &[]),
        consistency("from a power of two", 16, &power.0, 37, &new, &power.1),
        consistency("from a power of two, another old root", 16, &old, 37, &new, &power.1),
        consistency("from larger than to", 38, &old, 37, &new, &path),
        consistency("size beyond 2^63 - 1", 20, &old, u64::MAX, &new, &path),
        consistency("equal sizes", 37, &new, 37, &new, &[]),
        consistency("equal sizes, other roots", 37, &old, 37, &new, &[]),
        consistency("equal sizes with a path", 37, &new, 37, &new, &path),
        consistency("from the empty tree", 0, &EMPTY_ROOT, 37, &new, &[]),
        consistency("from the empty tree, another old root", 0, &old, 37, &new, &[]),
        consistency("from the empty tree with a path", 0, &EMPTY_ROOT, 37, &new, &path),
        consistency("from empty to empty", 0, &EMPTY_ROOT, 0, &EMPTY_ROOT, &[]),
        consistency("from empty to empty, another new root", 0, &EMPTY_ROOT, 0, &new, &[]),
    ]
}

fn inclusion(name: &str, leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> Value {
    let given = json!({
        "leaf": hex(leaf), "index": index.to_string(), "size": size.to_string(), "path": hashes(path), "root": hex(root),
    });
    outcome("inclusion", name, given, verify_inclusion(leaf, index, size, path, root))
}

fn consistency(name: &str, from: u64, old: &Hash, to: u64, new: &Hash, path: &[Hash]) -> Value {
    let given = json!({
        "from": from.to_string(), "old_root": hex(old), "to": to.to_string(), "new_root": hex(new), "path": hashes(path),
    });
    outcome("consistency", name, given, verify_consistency(from, old, to, new, path))
}

fn outcome(op: &str, name: &str, given: Value, result: Result<(), ProofError>) -> Value {
    match result {
        Ok(()) => json!({"op": op, "name": name, "in": given, "out": {}}),
        Err(error) => json!({"op": op, "name": name, "in": given, "error": error.code()}),
    }
}

fn hashes(path: &[Hash]) -> Vec<Value> {
    path.iter().map(|hash| hex(hash)).collect()
}
