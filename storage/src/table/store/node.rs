//! `node`: roots of full subtrees of 256, 256 x 256, .. leaves, so that no proof reads more than a few hundred rows.

use identity::hash::Hash;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;
use crate::store::line::Line;
use crate::table::stored;

const TABLE: &str = "node";

const RANGE: &str = "SELECT hash FROM node WHERE log = $1 AND level = $2 AND idx >= $3 AND idx < $4 ORDER BY idx";
static INSERT: ManyRows = ManyRows::new(TABLE, "INSERT INTO node (log, level, idx, hash) VALUES", 4, "");

/// A node of a log's tree.
pub(crate) struct NodeRow {
    pub(crate) log: RowId,
    pub(crate) level: u8,
    pub(crate) index: u64,
    pub(crate) hash: Hash,
}

/// Returns the nodes `from..to` of a level, as far as they are kept.
pub(crate) async fn range(
    conn: &mut Conn,
    line: &Line,
    level: u8,
    from: u64,
    to: u64,
) -> Result<Vec<Hash>, StorageError> {
    let mut hashes = Vec::new();
    for (log, from, to) in line.parts(level, from, to) {
        let query = query(RANGE).bind(log).bind(i64::from(level)).bind(stored(from)).bind(stored(to));
        for row in query.fetch_all(&mut *conn).await.map_err(in_table(TABLE))? {
            hashes.push(Cells::new(&row, TABLE).hash(0)?);
        }
    }
    Ok(hashes)
}

pub(crate) async fn insert(conn: &mut Conn, rows: &[NodeRow]) -> Result<(), StorageError> {
    let bind = INSERT.run(conn, rows, |query, row| {
        query.bind(row.log).bind(i64::from(row.level)).bind(stored(row.index)).bind(row.hash.as_slice())
    });
    bind.await.map(drop)
}
