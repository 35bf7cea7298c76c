//! A log of anything: its leaves say nothing, its heads are signed. What a witness needs, and no more.

use std::collections::HashMap;
use std::sync::Mutex;

use identity::hash::{Hash, sha256};
use identity::key::SigningKey;
use translog::hash::node_hash;
use translog::note::{Checkpoint, LogSigner, Note};
use translog::tree::{Plan, consistency_plan, inclusion_plan};
use translog::witness::Request;

/// A log whose every head can be signed; leaf `n` follows from `n` and the branch.
#[derive(Debug)]
pub struct OpaqueLog {
    signer: LogSigner,
    branch: u8,
    /// Roots of full subtrees by first leaf and width, so that long rounds do not hash every leaf again for each head.
    subtrees: Mutex<HashMap<(u64, u64), Hash>>,
}

impl OpaqueLog {
    /// Returns the log of this origin.
    pub fn new(origin: &str) -> Self {
        let seed = sha256(&[origin.as_bytes()]);
        let signer = LogSigner::new(origin, SigningKey::from_seed(&seed)).expect("an origin is a name");
        Self { signer, branch: 0, subtrees: Mutex::default() }
    }

    /// Returns another history under the same key.
    #[must_use]
    pub fn fork(&self, branch: u8) -> Self {
        Self { branch, ..Self::new(self.origin()) }
    }

    /// Returns its origin.
    pub fn origin(&self) -> &str {
        self.signer.verifier_key().name()
    }

    /// Returns its key as policies write it.
    pub fn vkey(&self) -> String {
        self.signer.verifier_key().to_string()
    }

    /// Returns its signer.
    pub fn signer(&self) -> &LogSigner {
        &self.signer
    }

    /// Returns the root of the first `size` leaves.
    pub fn root(&self, size: u64) -> Hash {
        if size == 0 { translog::hash::EMPTY_ROOT } else { self.subtree(0, size) }
    }

    /// Returns the head of `size` leaves, signed.
    pub fn note(&self, size: u64) -> Note {
        self.note_with(size, self.root(size))
    }

    /// Returns a head of any root, signed.
    pub fn note_with(&self, size: u64, root: Hash) -> Note {
        let checkpoint = Checkpoint { origin: self.origin().to_owned(), size, root };
        Note::new(checkpoint.text(), vec![self.signer.sign(&checkpoint)]).expect("one line makes a note")
    }

    /// Returns the proof that `to` leaves continue `from`.
    pub fn proof(&self, from: u64, to: u64) -> Vec<Hash> {
        consistency_of(&|start, end| self.subtree(start, end), from, to)
    }

    /// Returns the body that asks to cosign `to` leaves after `from`.
    pub fn request(&self, from: u64, to: u64) -> Vec<u8> {
        Request::new(from, self.proof(from, to), self.note(to)).expect("a proof has few hashes").encode()
    }

    fn subtree(&self, start: u64, end: u64) -> Hash {
        let width = end - start;
        if width == 1 {
            return self.leaf(start);
        }
        let full = width.is_power_of_two() && start.is_multiple_of(width);
        let known = full.then(|| self.subtrees.lock().expect("no holder panics").get(&(start, width)).copied());
        known.flatten().unwrap_or_else(|| {
            let split = start + (width.next_power_of_two() / 2);
            let root = node_hash(&self.subtree(start, split), &self.subtree(split, end));
            if full {
                self.subtrees.lock().expect("no holder panics").insert((start, width), root);
            }
            root
        })
    }

    fn leaf(&self, index: u64) -> Hash {
        sha256(&[b"leaf", &[self.branch], &index.to_be_bytes()])
    }
}

/// Returns the proof that `to` leaves continue `from`.
pub fn consistency(leaf: &dyn Fn(u64) -> Hash, from: u64, to: u64) -> Vec<Hash> {
    consistency_of(&|start, end| subtree(leaf, start, end), from, to)
}

fn consistency_of(subtree: &dyn Fn(u64, u64) -> Hash, from: u64, to: u64) -> Vec<Hash> {
    if from == 0 || from >= to {
        return Vec::new();
    }
    fold(subtree, &consistency_plan(from, to).expect("0 < from < to"))
}

/// Returns the inclusion path of a leaf in the tree of `size` leaves.
pub fn inclusion(leaf: &dyn Fn(u64) -> Hash, index: u64, size: u64) -> Vec<Hash> {
    fold(&|start, end| subtree(leaf, start, end), &inclusion_plan(index, size).expect("index < size"))
}

fn fold(subtree: &dyn Fn(u64, u64) -> Hash, plan: &Plan) -> Vec<Hash> {
    let node = |node: translog::tree::Node| {
        let width = 1 << node.level;
        Ok::<Hash, std::convert::Infallible>(subtree(node.index * width, (node.index + 1) * width))
    };
    plan.fold(node).unwrap_or_else(|never| match never {})
}

fn subtree(leaf: &dyn Fn(u64) -> Hash, start: u64, end: u64) -> Hash {
    match end - start {
        1 => leaf(start),
        width => {
            let split = start + (width.next_power_of_two() / 2);
            node_hash(&subtree(leaf, start, split), &subtree(leaf, split, end))
        }
    }
}
