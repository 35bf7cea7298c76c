//! `chunk_hold`: which accounts have paid for which chunks.

use super::RowId;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "chunk_hold";

const HAS: &str = "SELECT count(*) FROM chunk_hold WHERE account = $1 AND chunk = $2";
const INSERT: &str = "INSERT INTO chunk_hold (account, chunk) VALUES ($1, $2) ON CONFLICT (account, chunk) DO NOTHING";

pub(crate) async fn has(conn: &mut Conn, account: RowId, id: &[u8; 32]) -> Result<bool, StorageError> {
    let query = query(HAS).bind(account).bind(id.as_slice());
    let row = query.fetch_one(conn).await.map_err(in_table(TABLE))?;
    Ok(Cells::new(&row, TABLE).number(0)? > 0)
}

pub(crate) async fn insert(conn: &mut Conn, account: RowId, id: &[u8; 32]) -> Result<(), StorageError> {
    let query = query(INSERT).bind(account).bind(id.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}
