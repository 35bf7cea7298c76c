//! One proof for up to four labels, present or absent (PROTOCOL 10.4).
//!
//! ```text
//! per label: u8 kind, u8 depth, ceil(depth / 8) bitmap of non-empty siblings, for kind 2 label 32, commitment 32
//! then:      the non-empty siblings that no other label's path yields, 32 bytes each, from left to right
//! ```
//!
//! Proving and verifying walk the same way, from the root with all labels at once, so what one leaves out the other computes.
//! A map has exactly one proof for given labels: every bit and hash is determined by the tree.

use identity::hash::Hash;

use super::EMPTY;
use super::arena::{Link, Nodes, Target, bit, leaf_hash, parent_hash};
use crate::limits::LOOKUP_LABELS_MAX;

/// A proof that some labels are present in a map, or absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapProof {
    paths: Vec<Path>,
    siblings: Vec<Hash>,
}

/// The way from the root to where a label stands or would stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Path {
    depth: u8,
    /// Bit `i`, most significant first, is set if the sibling at depth `i + 1` is not empty; bits from `depth` on are 0.
    siblings: [u8; 32],
    end: End,
}

/// What stands at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Kind 1: the label's own leaf.
    Present,
    /// Kind 2: the leaf of another label.
    Beside { label: Hash, commitment: Hash },
    /// Kind 3: nothing.
    Empty,
}

/// Why a proof could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// Not 1 to 4 distinct labels. Fault: caller.
    #[error("a proof is about 1 to 4 distinct labels")]
    Labels,
    /// Two labels share 255 bits: not hashes. Fault: caller.
    #[error("labels share 255 bits")]
    TooDeep,
    /// The change was prepared from another state of the map. Fault: caller.
    #[error("the map changed since this change was prepared")]
    Stale,
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapProofError {
    /// The bytes have not the form of a proof for this number of labels.
    #[error("not a map proof")]
    Malformed,
    /// The number of labels differs, or a label occurs twice.
    #[error("labels do not match the proof")]
    Labels,
    /// A label is claimed present and proved absent, or the other way round.
    #[error("presence differs from what is claimed")]
    Presence,
    /// The paths contradict each other or the labels, or the hashes are too few or too many.
    #[error("the paths of the proof do not fit together")]
    Shape,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

impl MapProof {
    /// Returns whether each label is present, in the order of the labels.
    pub fn presence(&self) -> impl Iterator<Item = bool> + '_ {
        self.paths.iter().map(|path| path.end == End::Present)
    }

    /// Checks that under `root` each label has its commitment, or is absent (`None`).
    pub fn verify(&self, claims: &[(Hash, Option<Hash>)], root: &Hash) -> Result<(), MapProofError> {
        if self.root(claims)? == *root { Ok(()) } else { Err(MapProofError::Root) }
    }

    /// Returns the root under which each label has its commitment, or is absent (`None`).
    pub fn root(&self, claims: &[(Hash, Option<Hash>)]) -> Result<Hash, MapProofError> {
        if claims.len() != self.paths.len() || !distinct(claims.iter().map(|(label, _)| label)) {
            return Err(MapProofError::Labels);
        }
        let mut walks = Vec::with_capacity(claims.len());
        for ((label, commitment), path) in claims.iter().zip(&self.paths) {
            walks.push(Walk { label, path, end: end_hash(label, *commitment, path)? });
        }
        walks.sort_by_key(|walk| walk.label);
        let mut unused = self.siblings.iter();
        let root = fold(&walks, 0, &mut unused)?;
        if unused.next().is_some() { Err(MapProofError::Shape) } else { Ok(root) }
    }

    /// Returns the proof of two labels, made of a proof of each by itself under one root.
    ///
    /// Errors: [`MapProofError::Labels`] if they are equal or a proof is of several, [`MapProofError::Shape`] if a proof has too few or
    /// too many hashes. Proofs that contradict each other make one that does not verify.
    pub fn join(proofs: [(&Hash, &Self); 2]) -> Result<Self, MapProofError> {
        let mut branches = Vec::with_capacity(proofs.len());
        for (label, proof) in proofs {
            let [path] = proof.paths.as_slice() else { return Err(MapProofError::Labels) };
            branches.push(Branch { label, path, siblings: path.spread(label, &proof.siblings)? });
        }
        if proofs[0].0 == proofs[1].0 {
            return Err(MapProofError::Labels);
        }
        let paths = branches.iter().map(|branch| *branch.path).collect();
        branches.sort_by_key(|branch| branch.label);
        let mut siblings = Vec::new();
        gather(&branches, 0, &mut siblings);
        Ok(Self { paths, siblings })
    }

    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.paths.len() * 8 + self.siblings.len() * 32);
        for path in &self.paths {
            out.extend([path.end.kind(), path.depth]);
            out.extend(&path.siblings[..bitmap_bytes(path.depth)]);
            if let End::Beside { label, commitment } = &path.end {
                out.extend(label);
                out.extend(commitment);
            }
        }
        self.siblings.iter().for_each(|sibling| out.extend(sibling));
        out
    }

    /// Returns the proof that `bytes` hold, for this number of labels.
    ///
    /// Errors: [`MapProofError::Malformed`], also where a spare bit is set, an end has no sibling, or a sibling is empty.
    pub fn decode(bytes: &[u8], labels: usize) -> Result<Self, MapProofError> {
        if !(1..=LOOKUP_LABELS_MAX).contains(&labels) {
            return Err(MapProofError::Malformed);
        }
        let mut rest = bytes;
        let paths = (0..labels).map(|_| Path::decode(&mut rest)).collect::<Option<Vec<_>>>();
        let paths = paths.ok_or(MapProofError::Malformed)?;
        let (siblings, spare) = rest.as_chunks::<32>();
        if !spare.is_empty() || siblings.contains(&EMPTY) {
            return Err(MapProofError::Malformed);
        }
        Ok(Self { paths, siblings: siblings.to_vec() })
    }
}

impl Path {
    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let [kind, depth] = *take::<2>(rest)?;
        let (bitmap, tail) = rest.split_at_checked(bitmap_bytes(depth))?;
        *rest = tail;
        let mut siblings = [0; 32];
        siblings[..bitmap.len()].copy_from_slice(bitmap);
        let end = match kind {
            1 => End::Present,
            2 => End::Beside { label: *take(rest)?, commitment: *take(rest)? },
            3 => End::Empty,
            _ => return None,
        };
        let path = Self { depth, siblings, end };
        // A leaf or an empty child below the root has company: with none, the leaf would stand one level higher.
        let alone = depth > 0 && !path.has_sibling(usize::from(depth) - 1);
        let spare_bits = (usize::from(depth)..bitmap.len() * 8).any(|at| path.has_sibling(at));
        (!alone && !spare_bits).then_some(path)
    }

    /// Returns the siblings of the path alone, by depth, empty where there is none: from left to right those on its left come from the
    /// root down, then those on its right from its end up.
    fn spread(&self, label: &Hash, siblings: &[Hash]) -> Result<Vec<Hash>, MapProofError> {
        let mut spread = vec![EMPTY; usize::from(self.depth)];
        let mut rest = siblings.iter();
        let depths = 0..usize::from(self.depth);
        let left = depths.clone().filter(|at| bit(label, *at));
        let right = depths.rev().filter(|at| !bit(label, *at));
        for at in left.chain(right).filter(|at| self.has_sibling(*at)) {
            spread[at] = *rest.next().ok_or(MapProofError::Shape)?;
        }
        if rest.next().is_none() { Ok(spread) } else { Err(MapProofError::Shape) }
    }

    /// Returns whether the sibling at depth `at + 1` is not empty.
    fn has_sibling(&self, at: usize) -> bool {
        bit(&self.siblings, at)
    }
}

impl End {
    fn kind(&self) -> u8 {
        match self {
            Self::Present => 1,
            Self::Beside { .. } => 2,
            Self::Empty => 3,
        }
    }
}

/// A path while it is joined with another: its label, and its siblings by depth.
struct Branch<'a> {
    label: &'a Hash,
    path: &'a Path,
    siblings: Vec<Hash>,
}

/// Adds the siblings, from left to right, that hang off these branches below the node at `depth` that all of them pass.
fn gather(branches: &[Branch<'_>], depth: usize, siblings: &mut Vec<Hash>) {
    if branches.iter().any(|branch| usize::from(branch.path.depth) == depth) {
        return;
    }
    let (left, right) = branches.split_at(branches.partition_point(|branch| !bit(branch.label, depth)));
    for (side, others) in [(left, right), (right, left)] {
        if !side.is_empty() {
            gather(side, depth + 1, siblings);
        } else if let Some(other) = others.first().filter(|other| other.path.has_sibling(depth)) {
            siblings.push(other.siblings[depth]);
        }
    }
}

/// A path while it is verified: its label, and the hash at its end.
struct Walk<'a> {
    label: &'a Hash,
    path: &'a Path,
    end: Hash,
}

/// Returns the hash at the end of a path, if it shows what is claimed of the label.
fn end_hash(label: &Hash, commitment: Option<Hash>, path: &Path) -> Result<Hash, MapProofError> {
    match (&path.end, commitment) {
        (End::Present, Some(commitment)) => Ok(leaf_hash(label, &commitment)),
        (End::Empty, None) => Ok(EMPTY),
        (End::Beside { label: other, commitment }, None) => {
            let mut shared = (0..usize::from(path.depth)).map(|at| bit(label, at) == bit(other, at));
            if other == label || !shared.all(|equal| equal) {
                return Err(MapProofError::Shape);
            }
            Ok(leaf_hash(other, commitment))
        }
        _ => Err(MapProofError::Presence),
    }
}

/// Returns the hash of the node at `depth` that all `walks`, sorted and at least one, pass through or end at.
fn fold(walks: &[Walk<'_>], depth: usize, siblings: &mut core::slice::Iter<'_, Hash>) -> Result<Hash, MapProofError> {
    let first = &walks[0];
    if walks.iter().any(|walk| usize::from(walk.path.depth) == depth) {
        let together = walks.iter().all(|walk| usize::from(walk.path.depth) == depth && walk.end == first.end);
        return if together { Ok(first.end) } else { Err(MapProofError::Shape) };
    }
    let (left, right) = walks.split_at(walks.partition_point(|walk| !bit(walk.label, depth)));
    let left_hash = side(left, right, depth, siblings)?;
    let right_hash = side(right, left, depth, siblings)?;
    let agreed = |walks: &[Walk<'_>], sibling: &Hash| {
        walks.iter().all(|walk| walk.path.has_sibling(depth) == (*sibling != EMPTY))
    };
    if !agreed(left, &right_hash) || !agreed(right, &left_hash) {
        return Err(MapProofError::Shape);
    }
    Ok(parent_hash(&left_hash, &right_hash))
}

/// Returns the hash of one child: computed if a path leads there, else the next sibling, or none if the others say so.
fn side(
    walks: &[Walk<'_>],
    others: &[Walk<'_>],
    depth: usize,
    siblings: &mut core::slice::Iter<'_, Hash>,
) -> Result<Hash, MapProofError> {
    if !walks.is_empty() {
        fold(walks, depth + 1, siblings)
    } else if others[0].path.has_sibling(depth) {
        siblings.next().copied().ok_or(MapProofError::Shape)
    } else {
        Ok(EMPTY)
    }
}

/// See [`super::Map::prove`].
pub(super) fn prove(nodes: Nodes<'_>, root: Link, labels: &[Hash]) -> Result<MapProof, ProveError> {
    if !(1..=LOOKUP_LABELS_MAX).contains(&labels.len()) || !distinct(labels.iter()) {
        return Err(ProveError::Labels);
    }
    let mut sorted: Vec<(usize, &Hash)> = labels.iter().enumerate().collect();
    sorted.sort_by_key(|(_, label)| **label);
    let start = Path { depth: 0, siblings: [0; 32], end: End::Empty };
    let mut prover =
        Prover { nodes, paths: vec![start; labels.len()], siblings: Vec::with_capacity(labels.len() * 24) };
    prover.descend(root, 0, &sorted)?;
    Ok(MapProof { paths: prover.paths, siblings: prover.siblings })
}

/// A proof in the making.
struct Prover<'a> {
    nodes: Nodes<'a>,
    paths: Vec<Path>,
    siblings: Vec<Hash>,
}

impl Prover<'_> {
    /// Follows `labels`, sorted, each with its number, below the node at `depth` that all of them pass.
    fn descend(&mut self, link: Link, depth: usize, labels: &[(usize, &Hash)]) -> Result<(), ProveError> {
        let node = match self.nodes.at(link) {
            Target::Empty => return self.end(depth, labels, |_| End::Empty),
            Target::Leaf(leaf) => {
                let (own, commitment) = (leaf.label, leaf.commitment);
                return self.end(depth, labels, |label| match *label == own {
                    true => End::Present,
                    false => End::Beside { label: own, commitment },
                });
            }
            Target::Inner(node) => *node,
        };
        let (left, right) = labels.split_at(labels.partition_point(|(_, label)| !bit(label, depth)));
        self.child(node.left, depth, left, right)?;
        self.child(node.right, depth, right, left)
    }

    /// Follows the labels that lead to this child of a node at `depth`; to the others it is a sibling.
    fn child(
        &mut self,
        link: Link,
        depth: usize,
        labels: &[(usize, &Hash)],
        others: &[(usize, &Hash)],
    ) -> Result<(), ProveError> {
        if !link.is_empty() {
            others.iter().for_each(|(number, _)| self.paths[*number].siblings[depth / 8] |= 0x80 >> (depth % 8));
        }
        if !labels.is_empty() {
            self.descend(link, depth + 1, labels)?;
        } else if !link.is_empty() {
            self.siblings.push(self.nodes.hash(link));
        }
        Ok(())
    }

    fn end(&mut self, depth: usize, labels: &[(usize, &Hash)], end: impl Fn(&Hash) -> End) -> Result<(), ProveError> {
        let depth = u8::try_from(depth).map_err(|_| ProveError::TooDeep)?;
        for (number, label) in labels {
            self.paths[*number].depth = depth;
            self.paths[*number].end = end(label);
        }
        Ok(())
    }
}

/// Returns whether no label occurs twice.
fn distinct<'a>(labels: impl Iterator<Item = &'a Hash> + Clone) -> bool {
    let mut rest = labels;
    while let Some(label) = rest.next() {
        if rest.clone().any(|other| other == label) {
            return false;
        }
    }
    true
}

fn bitmap_bytes(depth: u8) -> usize {
    usize::from(depth).div_ceil(8)
}

/// Takes `N` bytes off the front.
fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(head)
}
