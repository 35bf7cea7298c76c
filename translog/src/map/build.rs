//! The bottom-up build of a whole map from sorted rows: what a server does at start.

use core::ops::Range;

use identity::hash::Hash;

use super::arena::{Arena, Leaf, Link, Store, bit};
use super::{EMPTY, NotSorted};

/// Returns the nodes and the root of the map of `rows`, strictly ascending by label.
pub(super) fn from_sorted(rows: impl IntoIterator<Item = (Hash, Hash)>) -> Result<(Arena, Link), NotSorted> {
    let mut nodes = Store::default();
    let mut before: Option<Hash> = None;
    for (label, commitment) in rows {
        if before.is_some_and(|before| before >= label) {
            return Err(NotSorted { at: nodes.leaves.len() });
        }
        before = Some(label);
        nodes.leaves.push(Leaf { label, commitment });
    }
    let all = 0..nodes.leaves.len();
    let (root, _) = subtree(&mut nodes, all, 0);
    Ok((Arena { nodes, ..Arena::default() }, root))
}

/// Adds the inner nodes of the subtree of the leaves at these positions, which share their first `depth` bits.
fn subtree(nodes: &mut Store, leaves: Range<usize>, depth: usize) -> (Link, Hash) {
    match leaves.len() {
        0 => (Link::EMPTY, EMPTY),
        1 => (Link::leaf(leaves.start), nodes.leaves.at(leaves.start).hash()),
        _ => {
            let split = first_right(nodes, leaves.clone(), depth);
            let (left, left_hash) = subtree(nodes, leaves.start..split, depth + 1);
            let (right, right_hash) = subtree(nodes, split..leaves.end, depth + 1);
            let node = Store::inner_node(left, &left_hash, right, &right_hash);
            (Link::inner(nodes.inner.push(node)), node.hash)
        }
    }
}

/// Returns the position of the first leaf that goes right at `depth`, or the end.
fn first_right(nodes: &Store, leaves: Range<usize>, depth: usize) -> usize {
    let Range { mut start, mut end } = leaves;
    while start < end {
        let middle = start.midpoint(end);
        if bit(&nodes.leaves.at(middle).label, depth) { end = middle } else { start = middle + 1 }
    }
    start
}
