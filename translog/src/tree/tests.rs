//! The tree against the definition, against `ct-merkle`, and at sizes no machine holds.

use ct_merkle::mem_backed_tree::MemoryBackedTree;

use super::oracle::{self, Oracle};
use super::*;
use crate::hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash};

const INCLUSION_SIZE_MAX: u64 = 1_100;
const CONSISTENCY_SIZE_MAX: u64 = 300;

#[test]
fn every_inclusion_path_to_1100_leaves_is_the_definitions() {
    // Goal: plan, path and check agree with RFC 6962 for each (index, size). Method: the memoised definition beside them.
    let leaves = oracle::leaves(INCLUSION_SIZE_MAX);
    let mut oracle = Oracle::new(&leaves);
    for size in 1..=INCLUSION_SIZE_MAX {
        let root = oracle.root(0, size as usize);
        for index in 0..size {
            let path = oracle.path(index as usize, size as usize);
            let leaf = &leaves[index as usize];
            assert_eq!(verify_inclusion(leaf, index, size, &path, &root), Ok(()), "{index} of {size}");
            // Plans are slower than checks; beyond a tile's width every fiftieth size suffices.
            if size % 50 == 0 || size < 270 {
                let plan = inclusion_plan(index, size).expect("index < size");
                assert_eq!(plan.path_hashes(), path.len());
                assert_eq!(plan.fold(|node| Ok::<_, ()>(stored(&mut oracle, node))), Ok(path), "{index} of {size}");
            }
        }
    }
}

#[test]
fn every_consistency_pair_to_300_leaves_is_the_definitions() {
    // Goal: as above for consistency. Method: every pair from <= to.
    let leaves = oracle::leaves(CONSISTENCY_SIZE_MAX);
    let mut oracle = Oracle::new(&leaves);
    for to in 1..=CONSISTENCY_SIZE_MAX {
        let new_root = oracle.root(0, to as usize);
        for from in 1..=to {
            let old_root = oracle.root(0, from as usize);
            let path = oracle.consistency(from as usize, to as usize);
            assert_eq!(verify_consistency(from, &old_root, to, &new_root, &path), Ok(()), "{from} to {to}");
            let plan = consistency_plan(from, to).expect("from <= to");
            assert_eq!(plan.fold(|node| Ok::<_, ()>(stored(&mut oracle, node))), Ok(path), "{from} to {to}");
        }
    }
}

#[test]
fn the_edge_is_the_tree_at_every_size() {
    // Goal: root, last path, peaks and parts of the edge. Method: append 1,100 leaves, compare after each.
    let leaves = oracle::leaves(INCLUSION_SIZE_MAX);
    let mut oracle = Oracle::new(&leaves);
    let mut edge = Edge::new();
    assert_eq!((edge.root(), edge.last_leaf(), edge.peaks()), (EMPTY_ROOT, None, Vec::new()));
    for size in 1..=INCLUSION_SIZE_MAX {
        let last = leaves[size as usize - 1];
        edge.append(last);
        assert_eq!(edge.size(), size);
        assert_eq!(edge.last_leaf(), Some(&last));
        assert_eq!(edge.root(), oracle.root(0, size as usize));
        let path = edge.last_leaf_path();
        assert_eq!(path, oracle.path(size as usize - 1, size as usize));
        assert_eq!(Edge::from_parts(size, last, &path), Ok(edge.clone()));
        assert_eq!(edge.verify_inclusion(&last, size - 1, &path), Ok(()));
        let peaks = root_plan(size).expect("small").nodes().map(|node| stored(&mut oracle, node)).collect::<Vec<_>>();
        assert_eq!(edge.peaks(), peaks);
    }
}

#[test]
fn what_was_added_proves_itself_from_every_size_on() {
    // Goal: each node that a proof from some size on needs is known without the tree before it, and is the definition's; also once the
    // older part was let go of. Method: every size to grow from up to 70, 40 leaves behind it, in two halves.
    let leaves = oracle::leaves(120);
    let mut oracle = Oracle::new(&leaves);
    for from in 0..=70_u64 {
        let mut edge = Edge::new();
        edge.extend(&leaves[..from as usize]);
        let mut growth = Growth::new(&edge);
        assert_eq!((growth.from(), growth.size(), growth.last_leaf()), (from, from, None));
        for (added, leaf) in leaves[from as usize..][..40].iter().enumerate() {
            growth.append(*leaf);
            assert_eq!(growth.last_leaf(), Some(leaf));
            if added == 20 {
                growth.forget(from + 9);
                assert_eq!((growth.from(), growth.size()), (from + 9, from + 21));
                growth.forget(from);
                growth.forget(from + 22);
                assert_eq!(growth.from(), from + 9, "neither older nor beyond the tree");
            }
            let size = growth.size();
            let known = |node| growth.node(node).ok_or(node);
            assert_eq!(root_plan(size).unwrap().fold(known), Ok(vec![oracle.root(0, size as usize)]), "{from} {size}");
            for first in growth.from()..size {
                let path = oracle.path(first as usize, size as usize);
                assert_eq!(inclusion_plan(first, size).unwrap().fold(known), Ok(path), "{first} of {size} from {from}");
                if first > 0 {
                    let path = oracle.consistency(first as usize, size as usize);
                    assert_eq!(consistency_plan(first, size).unwrap().fold(known), Ok(path), "{first} to {size}");
                }
            }
        }
        // What is older is not made up.
        if from > 1 {
            assert!(inclusion_plan(0, growth.size()).unwrap().fold(|node| growth.node(node).ok_or(node)).is_err());
        }
        assert_eq!(growth.node(Node { level: 63, index: 1 }), None);
        assert_eq!(growth.node(Node { level: 0, index: growth.size() }), None);
    }
}

#[test]
fn ct_merkle_builds_the_same_proofs() {
    // Goal: an implementation by others agrees. Method: its proofs for sizes around the powers of two, byte for byte.
    let leaves = oracle::leaves(600);
    let mut oracle = Oracle::new(&leaves);
    let mut theirs = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    for size in 1..=600_u64 {
        theirs.push((size - 1).to_be_bytes().to_vec());
        if size > 70 && !(250..260).contains(&size) && !(510..515).contains(&size) && size < 598 {
            continue;
        }
        let root = oracle.root(0, size as usize);
        assert_eq!(theirs.root().as_bytes().as_slice(), root);
        for index in 0..size {
            let proof = theirs.prove_inclusion(index as usize);
            assert_eq!(proof.as_bytes(), oracle.path(index as usize, size as usize).concat());
        }
        for from in 1..size {
            let proof = theirs.prove_consistency((size - from) as usize);
            let (path, _) = proof.as_bytes().as_chunks::<32>();
            let old_root = oracle.root(0, from as usize);
            assert_eq!(verify_consistency(from, &old_root, size, &root, path), Ok(()), "{from} to {size}");
        }
    }
}

#[test]
fn sizes_to_2_to_the_40_are_planned_and_checked() {
    // Goal: nothing depends on a tree that fits memory. Method: a tree of equal leaves but one, whose nodes are computable.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 20) % bound
    };
    for exponent in 10..=40 {
        for _ in 0..6 {
            let size = (1 << exponent) - 3 + next(1 << (exponent - 2));
            let index = next(size);
            let tree = Synthetic::new(index);
            let root = tree.root(size);
            let path = inclusion_plan(index, size).expect("index < size").fold(|node| tree.node(node)).expect("pure");
            assert_eq!(verify_inclusion(&tree.special, index, size, &path, &root), Ok(()), "{index} of {size}");
            assert_eq!(verify_inclusion(&tree.special, index ^ 1, size, &path, &root).is_ok(), path.is_empty());
            let from = 1 + next(size);
            let path = consistency_plan(from, size).expect("from <= size").fold(|node| tree.node(node)).expect("pure");
            assert_eq!(verify_consistency(from, &tree.root(from), size, &root, &path), Ok(()), "{from} to {size}");
        }
    }
}

#[test]
fn a_changed_bit_anywhere_is_refused() {
    // Goal: no hash of a path is decoration. Method: flip one bit in each hash, root and leaf of proofs in a tree of 37.
    let leaves = oracle::leaves(37);
    let mut oracle = Oracle::new(&leaves);
    let root = oracle.root(0, 37);
    for index in 0..37 {
        let path = oracle.path(index as usize, 37);
        for at in 0..path.len() {
            let mut bad = path.clone();
            bad[at][7] ^= 4;
            assert_eq!(verify_inclusion(&leaves[index as usize], index, 37, &bad, &root), Err(ProofError::Root));
        }
        assert_eq!(verify_inclusion(&[9; 32], index, 37, &path, &root), Err(ProofError::Root));
        if index > 0 {
            let old_root = oracle.root(0, index as usize);
            let path = oracle.consistency(index as usize, 37);
            for at in 0..path.len() {
                let mut bad = path.clone();
                bad[at][7] ^= 4;
                assert!(verify_consistency(index, &old_root, 37, &root, &bad).is_err(), "{index}, hash {at}");
            }
            assert!(verify_consistency(index, &[9; 32], 37, &root, &path).is_err());
            assert_eq!(verify_consistency(index, &old_root, 37, &[9; 32], &path), Err(ProofError::Root));
        }
    }
}

#[test]
fn each_refusal_has_its_code() {
    // Goal: what a caller did wrong is named. Method: one case for each variant.
    let leaves = oracle::leaves(8);
    let mut oracle = Oracle::new(&leaves);
    let (root, path) = (oracle.root(0, 8), oracle.path(3, 8));
    let long = [path.clone(), vec![[0; 32]]].concat();
    let include = |index, size, path: &[Hash]| verify_inclusion(&leaves[3], index, size, path, &root);
    let consist = |from, old: &Hash, to, path: &[Hash]| verify_consistency(from, old, to, &root, path);
    for (result, code) in [
        (include(3, 1 << 63, &path), "proof_size"),
        (include(8, 8, &path), "proof_index"),
        (include(0, 0, &[]), "proof_index"),
        (include(3, 8, &path[1..]), "proof_length"),
        (include(3, 8, &long), "proof_length"),
        (include(2, 8, &path), "proof_root"),
        (consist(1, &root, u64::MAX, &[]), "proof_size"),
        (consist(9, &root, 8, &[]), "proof_order"),
        (consist(8, &root, 8, &path), "proof_length"),
        (consist(3, &root, 8, &[]), "proof_length"),
        (consist(4, &root, 8, &[]), "proof_length"),
        (consist(0, &root, 8, &[]), "proof_old_root"),
        (consist(0, &EMPTY_ROOT, 8, &path), "proof_length"),
        (consist(3, &root, 8, &oracle.consistency(3, 8)), "proof_old_root"),
        (consist(8, &EMPTY_ROOT, 8, &[]), "proof_root"),
        (Edge::from_parts(0, root, &[]).map(drop), "proof_size"),
        (Edge::from_parts(8, root, &path[1..]).map(drop), "proof_length"),
        (inclusion_plan(8, 8).map(drop), "proof_index"),
        (inclusion_plan(0, u64::MAX).map(drop), "proof_size"),
        (consistency_plan(9, 8).map(drop), "proof_order"),
    ] {
        assert_eq!(result.map_err(|error| error.code()), Err(code));
    }
    assert_eq!(consist(0, &EMPTY_ROOT, 8, &[]), Ok(()));
    assert_eq!(consist(8, &root, 8, &[]), Ok(()));
}

/// The hash of a full subtree, from the definition.
fn stored(oracle: &mut Oracle<'_>, node: Node) -> Hash {
    oracle.root((node.index << node.level) as usize, ((node.index + 1) << node.level) as usize)
}

/// A tree of any size in which every leaf is equal but one.
struct Synthetic {
    special: Hash,
    index: u64,
    /// The full subtree of each level over equal leaves.
    plain: Vec<Hash>,
}

impl Synthetic {
    fn new(index: u64) -> Self {
        let mut plain = vec![leaf_hash(b"plain")];
        for level in 1..63 {
            plain.push(node_hash(&plain[level - 1], &plain[level - 1]));
        }
        Self { special: leaf_hash(b"special"), index, plain }
    }

    fn node(&self, node: Node) -> Result<Hash, ()> {
        if self.index >> node.level != node.index {
            return Ok(self.plain[usize::from(node.level)]);
        }
        if node.level == 0 {
            return Ok(self.special);
        }
        let child = |side| self.node(Node { level: node.level - 1, index: 2 * node.index + side });
        Ok(node_hash(&child(0)?, &child(1)?))
    }

    fn root(&self, size: u64) -> Hash {
        root_plan(size).expect("small").fold(|node| self.node(node)).expect("pure")[0]
    }
}
