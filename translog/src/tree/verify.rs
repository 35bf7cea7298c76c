//! What a path proves.
//!
//! A path has two parts. While the leaf's subtree has right neighbours inside the tree, the bits of its index say on which
//! side each sibling lies (the *inner* part); above that it runs along the right edge, where every sibling lies left (the
//! *border*). Both lengths follow from index and size, so a path of any other length is refused before it is hashed.

use super::ProofError;
use crate::hash::{EMPTY_ROOT, Hash, node_hash};
use crate::limits::SIZE_MAX;

/// Returns the root to which `path` leads from leaf `index` of a tree of `size` leaves.
///
/// The path is in the order of RFC 9162 section 2.1.3: the leaf's sibling first.
pub fn inclusion_root(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Result<Hash, ProofError> {
    check_size(size)?;
    if index >= size {
        return Err(ProofError::Index);
    }
    let (inner, border) = parts(index, size);
    if path.len() != inner + border {
        return Err(ProofError::Length);
    }
    let (inner_path, border_path) = path.split_at(inner);
    Ok(climb_border(climb_inner(*leaf, index, inner_path), border_path))
}

/// Checks that the leaf with hash `leaf` is leaf `index` of the tree of `size` leaves with this root.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if inclusion_root(leaf, index, size, path)? == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `to` leaves begins with the tree of `from` leaves. Source: RFC 9162 section 2.1.4.2.
///
/// Equal sizes and the empty old tree need an empty path; then the roots must be equal, or `old_root` the empty one.
pub fn verify_consistency(
    from: u64,
    old_root: &Hash,
    to: u64,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    check_size(to)?;
    if from > to {
        return Err(ProofError::Order);
    }
    if from == 0 || from == to {
        return verify_without_path(from, old_root, to, new_root, path);
    }
    // The old tree's last full subtree, whose root the path gives unless it is the whole old tree.
    let (seed, path) = match (from.is_power_of_two(), path) {
        (true, _) => (*old_root, path),
        (false, [first, rest @ ..]) => (*first, rest),
        (false, []) => return Err(ProofError::Length),
    };
    let (old, new) = consistency_roots(from, to, seed, path)?;
    if old != *old_root {
        return Err(ProofError::OldRoot);
    }
    if new == *new_root { Ok(()) } else { Err(ProofError::Root) }
}

/// Returns the roots of the trees of `from` and of `to` leaves to which a consistency path leads.
///
/// `seed` is the root of the last full subtree of the smaller tree and `path` what follows it: RFC 9162 leaves the seed out
/// when it is the whole smaller tree, here it always stands. Errors: [`ProofError::Order`] unless `0 < from < to`.
pub fn consistency_roots(from: u64, to: u64, seed: Hash, path: &[Hash]) -> Result<(Hash, Hash), ProofError> {
    check_size(to)?;
    if from == 0 || from >= to {
        return Err(ProofError::Order);
    }
    let height = from.trailing_zeros();
    let place = (from - 1) >> height;
    let (inner, border) = parts(place, to_width(to, height));
    if path.len() != inner + border {
        return Err(ProofError::Length);
    }
    let (inner_path, border_path) = path.split_at(inner);
    let old = climb_border(climb_left_only(seed, place, inner_path), border_path);
    let new = climb_border(climb_inner(seed, place, inner_path), border_path);
    Ok((old, new))
}

/// The two cases of consistency that have no path.
fn verify_without_path(from: u64, old_root: &Hash, to: u64, new_root: &Hash, path: &[Hash]) -> Result<(), ProofError> {
    if !path.is_empty() {
        return Err(ProofError::Length);
    }
    if from == 0 && *old_root != EMPTY_ROOT {
        return Err(ProofError::OldRoot);
    }
    if from == to && old_root != new_root { Err(ProofError::Root) } else { Ok(()) }
}

/// Returns the lengths of the inner part and the border of the path of `index` in a tree of `size`.
fn parts(index: u64, size: u64) -> (usize, usize) {
    let inner = (u64::BITS - (index ^ (size - 1)).leading_zeros()) as usize;
    (inner, (index >> inner).count_ones() as usize)
}

/// Returns the number of nodes at `height` in a tree of `size` leaves, an incomplete last one counted.
fn to_width(size: u64, height: u32) -> u64 {
    ((size - 1) >> height) + 1
}

/// Climbs past siblings on the side the bits of `index` name.
fn climb_inner(node: Hash, index: u64, path: &[Hash]) -> Hash {
    path.iter().enumerate().fold(node, |node, (height, sibling)| match index >> height & 1 {
        0 => node_hash(&node, sibling),
        _ => node_hash(sibling, &node),
    })
}

/// As [`climb_inner`], leaving out siblings on the right: the old tree did not have them.
fn climb_left_only(node: Hash, index: u64, path: &[Hash]) -> Hash {
    path.iter().enumerate().fold(node, |node, (height, sibling)| match index >> height & 1 {
        0 => node,
        _ => node_hash(sibling, &node),
    })
}

/// Climbs the right edge, where siblings lie left.
fn climb_border(node: Hash, path: &[Hash]) -> Hash {
    path.iter().fold(node, |node, sibling| node_hash(sibling, &node))
}

/// Refuses sizes no reader can count.
fn check_size(size: u64) -> Result<(), ProofError> {
    if size > SIZE_MAX { Err(ProofError::Size) } else { Ok(()) }
}
