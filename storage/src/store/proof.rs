//! Proofs of a log's tree, put together from the rows that are kept of it.

use std::collections::HashMap;

use crate::database::Conn;
use identity::hash::Hash;
use translog::hash::node_hash;
use translog::tree::{self, Edge, Node, Plan};

use super::line::Line;
use crate::fault::StorageError;
use crate::table::store as tables;

/// Between two levels that are kept.
const KEPT_EVERY: u8 = 8;

/// Returns the path of leaf `pos` in the tree of `size` leaves; both are below what the log has.
pub(super) async fn inclusion(conn: &mut Conn, line: &Line, pos: u64, size: u64) -> Result<Vec<Hash>, StorageError> {
    path(conn, line, tree::inclusion_plan(pos, size).map_err(impossible)?).await
}

/// Returns the path that shows the tree of `to` leaves to begin with that of `from`.
pub(super) async fn consistency(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<Vec<Hash>, StorageError> {
    path(conn, line, tree::consistency_plan(from, to).map_err(impossible)?).await
}

/// Returns the root of the tree of the first `size` leaves.
pub(super) async fn root(conn: &mut Conn, line: &Line, size: u64) -> Result<Hash, StorageError> {
    let roots = path(conn, line, tree::root_plan(size).map_err(impossible)?).await?;
    Ok(roots.first().copied().unwrap_or(translog::hash::EMPTY_ROOT))
}

/// Returns the edge of the tree of the first `size` leaves.
pub(super) async fn edge(conn: &mut Conn, line: &Line, size: u64) -> Result<Edge, StorageError> {
    let Some(last) = size.checked_sub(1) else { return Ok(Edge::new()) };
    let leaves = tables::entry::leaves(conn, line, last, size).await?;
    let leaf = leaves.first().ok_or_else(|| StorageError::inconsistent("entry", "an entry is missing"))?;
    Edge::from_parts(size, *leaf, &inclusion(conn, line, last, size).await?).map_err(impossible)
}

fn impossible(error: tree::ProofError) -> StorageError {
    StorageError::inconsistent("dblog", error.to_string())
}

async fn path(conn: &mut Conn, line: &Line, plan: Plan) -> Result<Vec<Hash>, StorageError> {
    let mut nodes = HashMap::new();
    for node in plan.nodes() {
        nodes.insert(node, subtree(conn, line, node).await?);
    }
    plan.fold(|node| nodes.get(&node).copied().ok_or_else(|| StorageError::inconsistent("node", "a node is missing")))
}

/// Returns the root of a full subtree: from the nodes of the nearest level below that is kept.
async fn subtree(conn: &mut Conn, line: &Line, node: Node) -> Result<Hash, StorageError> {
    let mut level = node.level - node.level % KEPT_EVERY;
    loop {
        let height = node.level - level;
        let (from, to) = (node.index << height, (node.index + 1) << height);
        let hashes = match level {
            0 => tables::entry::leaves(conn, line, from, to).await?,
            _ => tables::node::range(conn, line, level, from, to).await?,
        };
        if hashes.len() as u64 == to - from {
            return Ok(root_of(hashes));
        }
        // The last node of a level is written with the entry after it.
        level =
            level.checked_sub(KEPT_EVERY).ok_or_else(|| StorageError::inconsistent("entry", "an entry is missing"))?;
    }
}

/// Returns the root of a full tree over `hashes`, whose number is a power of two.
fn root_of(mut hashes: Vec<Hash>) -> Hash {
    while hashes.len() > 1 {
        hashes = hashes.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    hashes[0]
}
