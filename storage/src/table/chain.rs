//! `chain`: where each certificate of a DID stands in the log.

use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;
use crate::rows::ChainRow;

const TABLE: &str = "chain";

static INSERT: ManyRows = ManyRows::new(TABLE, "INSERT INTO chain (id, seq, idx, sid) VALUES", 4, "");
const FIND: &str = "SELECT seq, idx, sid FROM chain WHERE id = $1 AND seq = $2";
const FROM: &str = "SELECT seq, idx, sid FROM chain WHERE id = $1 AND seq >= $2 ORDER BY seq LIMIT $3";

pub(crate) async fn insert(conn: &mut Conn, rows: &[(i64, &ChainRow)]) -> Result<(), StorageError> {
    INSERT
        .run(conn, rows, |query, (id, row)| {
            query.bind(*id).bind(stored(row.seq)).bind(stored(row.index)).bind(row.sid.as_slice())
        })
        .await?;
    Ok(())
}

pub(crate) async fn find(
    conn: &mut Conn,
    (label, id): (&Hash, i64),
    seq: u64,
) -> Result<Option<ChainRow>, StorageError> {
    let query = query(FIND).bind(id).bind(stored(seq));
    let row = query.fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| chain_row(*label, &Cells::new(&row, TABLE))).transpose()
}

/// Returns at most `limit` certificates of the chain from `seq` on, in order.
pub(crate) async fn from(
    conn: &mut Conn,
    (label, id): (&Hash, i64),
    seq: u64,
    limit: u64,
) -> Result<Vec<ChainRow>, StorageError> {
    let query = query(FROM).bind(id).bind(stored(seq)).bind(stored(limit));
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(|row| chain_row(*label, &Cells::new(row, TABLE))).collect()
}

fn chain_row(label: Hash, cells: &Cells<'_>) -> Result<ChainRow, StorageError> {
    Ok(ChainRow { label, seq: cells.number(0)?, index: cells.number(1)?, sid: cells.hash(2)? })
}
