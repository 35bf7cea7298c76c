//! `device`: keys that append, by a short id.

use identity::cert::KeyBytes;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "device";

const ID: &str = "SELECT id FROM device WHERE key = $1";
static IDS: ManyRows = ManyRows::new(TABLE, "SELECT id, key FROM device WHERE key IN (", 1, ")");
static INSERT: ManyRows = ManyRows::new(TABLE, "INSERT INTO device (id, key) VALUES", 2, "");

pub(crate) async fn id(conn: &mut Conn, key: &KeyBytes) -> Result<Option<RowId>, StorageError> {
    let row = query(ID).bind(key.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Cells::new(&row, TABLE).small(0)).transpose()
}

/// Returns the ids of these keys, of those that are known, in no order.
pub(crate) async fn ids(conn: &mut Conn, keys: &[KeyBytes]) -> Result<Vec<(KeyBytes, RowId)>, StorageError> {
    let rows = IDS.ask(conn, keys, |query, key| query.bind(key.as_slice())).await?;
    let read = |row| {
        let cells = Cells::new(row, TABLE);
        Ok((cells.fixed(1)?, cells.small(0)?))
    };
    rows.iter().map(read).collect()
}

pub(crate) async fn insert(conn: &mut Conn, rows: &[(RowId, KeyBytes)]) -> Result<(), StorageError> {
    INSERT.run(conn, rows, |query, (id, key)| query.bind(id).bind(key.as_slice())).await.map(drop)
}
