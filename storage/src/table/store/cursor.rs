//! `cursor`: how far each device got in each log.

use identity::hash::Hash;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows};
use crate::fault::StorageError;
use crate::table::stored;

const TABLE: &str = "cursor";

static LOAD: ManyRows =
    ManyRows::new(TABLE, "SELECT log, device, last_lsn, last_leaf FROM cursor WHERE (log, device) IN (VALUES", 2, ")");
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

/// Returns how far devices got, each in a log: those that began, in no order.
pub(crate) async fn load(conn: &mut Conn, places: &[(RowId, RowId)]) -> Result<Vec<CursorRow>, StorageError> {
    let rows = LOAD.ask(conn, places, |query, (log, device)| query.bind(*log).bind(*device)).await?;
    let read = |row| {
        let cells = Cells::new(row, TABLE);
        Ok(CursorRow { log: cells.small(0)?, device: cells.small(1)?, last: (cells.number(2)?, cells.hash(3)?) })
    };
    rows.iter().map(read).collect()
}

pub(crate) async fn upsert(conn: &mut Conn, rows: &[CursorRow]) -> Result<(), StorageError> {
    let bind = UPSERT.run(conn, rows, |query, row| {
        query.bind(row.log).bind(row.device).bind(stored(row.last.0)).bind(row.last.1.as_slice())
    });
    bind.await.map(drop)
}
