//! Inclusion and consistency proofs, each way, by `ct-merkle`.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use dgns_tests::harness::Site;
use sha2::Sha256;
use translog::bundle;
use translog::hash::{Hash, leaf_hash};
use translog::note::{Checkpoint, Note};
use translog::tile::BundleId;
use translog::tree::{Edge, Node, consistency_plan, inclusion_plan, verify_consistency, verify_inclusion};

/// Sizes about the powers of two, and one in between.
const SIZES: [usize; 12] = [1, 2, 3, 4, 7, 8, 9, 33, 255, 256, 257, 300];

#[test]
fn ct_merkle_and_this_project_verify_each_other() {
    // Goal: neither side's verifier takes or refuses what the other's does not. Method: every index of each size and every pair of
    // sizes, both ways; then each hash of a proof bent.
    let leaves: Vec<[u8; 8]> = (0..300_u64).map(u64::to_be_bytes).collect();
    let trees = SIZES.map(|size| Both::of(&leaves[..size]));
    for tree in &trees {
        for index in 0..tree.size {
            let (ours, leaf) = (tree.path(index), &leaves[index as usize]);
            tree.root.verify_inclusion(leaf, index, &InclusionProof::from_bytes(ours.concat())).unwrap();
            let theirs = tree.theirs.prove_inclusion(index as usize);
            let path = theirs.as_bytes().as_chunks::<32>().0;
            verify_inclusion(&leaf_hash(leaf), index, tree.size, path, &tree.ours.root()).unwrap();
            for at in 0..ours.len() {
                let mut bent = ours.clone();
                bent[at][at] ^= 1;
                let bent = InclusionProof::from_bytes(bent.concat());
                assert!(tree.root.verify_inclusion(leaf, index, &bent).is_err(), "{index} of {}", tree.size);
            }
        }
    }
    for (at, new) in trees.iter().enumerate() {
        for old in &trees[..at] {
            let path = new.consistency(old.size);
            let ours = ConsistencyProof::<Sha256>::try_from_bytes(path.concat()).unwrap();
            new.root.verify_consistency(&old.root, &ours).unwrap();
            let theirs = new.theirs.prove_consistency((new.size - old.size) as usize);
            let path = theirs.as_bytes().as_chunks::<32>().0;
            verify_consistency(old.size, &old.ours.root(), new.size, &new.ours.root(), path).unwrap();
            let fork = RootHash::new([0; 32].into(), old.size);
            assert!(new.root.verify_consistency(&fork, &ours).is_err(), "{} to {}", old.size, new.size);
        }
    }
}

#[test]
fn ct_merkle_verifies_the_proofs_of_a_live_log() {
    // Goal: what a server serves holds for the crate. Method: its tree over all entries has the checkpoint's root; proofs of every
    // 20th entry, and between heads of many sizes.
    let site = Site::new();
    let server = site.start();
    super::fill(&server);
    let note = Note::parse(&server.get("/log/checkpoint").body).unwrap();
    let Checkpoint { size, root, .. } = Checkpoint::parse(note.text()).unwrap();
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut roots = Vec::new();
    for first in (0..size).step_by(256) {
        let id = BundleId::of_entry(first, size).unwrap();
        let body = server.get(&format!("/log/{id}")).body;
        for entry in bundle::decode(id, &body).unwrap() {
            tree.push(entry.to_vec());
            roots.push(tree.root());
        }
    }
    assert_eq!((tree.root().as_bytes().as_slice(), tree.len()), (&root[..], size));
    let served = |query: String| server.get(&format!("/v1/log/proof?{query}")).body;
    for index in (0..size).step_by(20) {
        let proof = InclusionProof::try_from_bytes(served(format!("index={index}&size={size}"))).unwrap();
        tree.root().verify_inclusion(&tree.items()[index as usize], index, &proof).unwrap();
    }
    for from in (1..size).step_by(20) {
        let proof = ConsistencyProof::try_from_bytes(served(format!("from={from}&to={size}"))).unwrap();
        tree.root().verify_consistency(&roots[from as usize - 1], &proof).unwrap();
    }
}

/// The same leaves in the crate's tree and in ours.
struct Both {
    size: u64,
    theirs: MemoryBackedTree<Sha256, [u8; 8]>,
    root: RootHash<Sha256>,
    ours: Edge,
    leaves: Vec<Hash>,
}

impl Both {
    fn of(leaves: &[[u8; 8]]) -> Self {
        let mut theirs = MemoryBackedTree::new();
        leaves.iter().for_each(|leaf| theirs.push(*leaf));
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let mut ours = Edge::new();
        ours.extend(&hashes);
        let root = RootHash::new(ours.root().into(), leaves.len() as u64);
        assert!(root == theirs.root());
        Self { size: leaves.len() as u64, theirs, root, ours, leaves: hashes }
    }

    fn path(&self, index: u64) -> Vec<Hash> {
        inclusion_plan(index, self.size).unwrap().fold(|node| self.node(node)).unwrap()
    }

    fn consistency(&self, from: u64) -> Vec<Hash> {
        consistency_plan(from, self.size).unwrap().fold(|node| self.node(node)).unwrap()
    }

    /// The root of the full subtree at `node`.
    fn node(&self, node: Node) -> Result<Hash, std::convert::Infallible> {
        let (width, mut edge) = (1 << node.level, Edge::new());
        let first = node.index as usize * width;
        edge.extend(&self.leaves[first..first + width]);
        Ok(edge.root())
    }
}
