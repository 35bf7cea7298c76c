//! `device`: keys that append, by a short id.

use identity::cert::KeyBytes;

use super::{RowId, last_id};
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "device";

const LAST: &str = "SELECT coalesce(max(id), 0) FROM device";
const ID: &str = "SELECT id FROM device WHERE key = $1";
static INSERT: ManyRows = ManyRows::new(TABLE, "INSERT INTO device (id, key) VALUES", 2, "");

pub(crate) async fn last(conn: &mut Conn) -> Result<RowId, StorageError> {
    last_id(conn, TABLE, LAST).await
}

pub(crate) async fn id(conn: &mut Conn, key: &KeyBytes) -> Result<Option<RowId>, StorageError> {
    let row = query(ID).bind(key.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Cells::new(&row, TABLE).small(0)).transpose()
}

pub(crate) async fn insert(conn: &mut Conn, rows: &[(RowId, KeyBytes)]) -> Result<(), StorageError> {
    INSERT.run(conn, rows, |query, (id, key)| query.bind(id).bind(key.as_slice())).await.map(drop)
}
