//! The bottom-up build of a whole map from sorted rows: what a server does at start.

use identity::hash::Hash;

use super::arena::{Arena, Leaf, Link, Store, bit};
use super::{EMPTY, NotSorted};

/// Returns the nodes and the root of the map of `rows`, strictly ascending by label.
pub(super) fn from_sorted(rows: impl IntoIterator<Item = (Hash, Hash)>) -> Result<(Arena, Link), NotSorted> {
    let leaves: Vec<Leaf> = rows.into_iter().map(|(label, commitment)| Leaf { label, commitment }).collect();
    if let Some(at) = leaves.windows(2).position(|pair| pair[0].label >= pair[1].label) {
        return Err(NotSorted { at: at + 1 });
    }
    let mut nodes = Store { inner: Vec::with_capacity(leaves.len() + leaves.len() / 2), leaves: Vec::new() };
    let (root, _) = subtree(&mut nodes, &leaves, 0, 0);
    nodes.inner.shrink_to_fit();
    nodes.leaves = leaves;
    Ok((Arena { nodes, ..Arena::default() }, root))
}

/// Adds the inner nodes of the subtree of `leaves`, which share their first `depth` bits and of which the first is number
/// `first` of all.
fn subtree(nodes: &mut Store, leaves: &[Leaf], first: usize, depth: usize) -> (Link, Hash) {
    match leaves {
        [] => (Link::EMPTY, EMPTY),
        [leaf] => (Link::leaf(first), leaf.hash()),
        _ => {
            let split = leaves.partition_point(|leaf| !bit(&leaf.label, depth));
            let (left, left_hash) = subtree(nodes, &leaves[..split], first, depth + 1);
            let (right, right_hash) = subtree(nodes, &leaves[split..], first + split, depth + 1);
            let node = Store::inner_node(left, &left_hash, right, &right_hash);
            nodes.inner.push(node);
            (Link::inner(nodes.inner.len() - 1), node.hash)
        }
    }
}
