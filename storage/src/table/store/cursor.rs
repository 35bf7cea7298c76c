//! `cursor`: how far each device got in each log.

use identity::hash::Hash;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;
use crate::table::stored;

const TABLE: &str = "cursor";

const LOAD: &str = "SELECT last_lsn, last_leaf FROM cursor WHERE log = $1 AND device = $2";
static UPSERT: ManyRows = ManyRows::new(
    TABLE,
    "INSERT INTO cursor (log, device, last_lsn, last_leaf) VALUES",
    4,
    "ON CONFLICT (log, device) DO UPDATE SET last_lsn = excluded.last_lsn, last_leaf = excluded.last_leaf",
);

/// A device in a log: its newest lsn and leaf.
pub(crate) struct CursorRow {
    pub(crate) log: RowId,
    pub(crate) device: RowId,
    pub(crate) last: (u64, Hash),
}

pub(crate) async fn load(conn: &mut Conn, log: RowId, device: RowId) -> Result<Option<(u64, Hash)>, StorageError> {
    let query = query(LOAD).bind(log).bind(device);
    let row = query.fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| {
        let cells = Cells::new(&row, TABLE);
        Ok((cells.number(0)?, cells.hash(1)?))
    })
    .transpose()
}

pub(crate) async fn upsert(conn: &mut Conn, rows: &[CursorRow]) -> Result<(), StorageError> {
    let bind = UPSERT.run(conn, rows, |query, row| {
        query.bind(row.log).bind(row.device).bind(stored(row.last.0)).bind(row.last.1.as_slice())
    });
    bind.await.map(drop)
}
