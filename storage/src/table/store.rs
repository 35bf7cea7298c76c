//! The tables of `store.db`.

pub(crate) mod account;
pub(crate) mod anchor;
pub(crate) mod chunk;
pub(crate) mod chunk_use;
pub(crate) mod cursor;
pub(crate) mod db;
pub(crate) mod dblog;
pub(crate) mod device;
pub(crate) mod entry;
pub(crate) mod equivocation;
pub(crate) mod grp;
pub(crate) mod inviter;
pub(crate) mod lapse_watch;
pub(crate) mod member;
pub(crate) mod node;
pub(crate) mod packed;
pub(crate) mod segment;
pub(crate) mod snapshot;
pub(crate) mod subscriber;

use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;

/// A local row key.
pub(crate) type RowId = i64;

/// Asks for the largest ids of all tables that have any.
const LAST_IDS: &str = "SELECT (SELECT coalesce(max(id), 0) FROM account), (SELECT coalesce(max(id), 0) FROM db), \
                        (SELECT coalesce(max(id), 0) FROM dblog), (SELECT coalesce(max(id), 0) FROM device)";

/// Returns the largest ids of accounts, databases, logs and devices.
pub(crate) async fn last_ids(conn: &mut Conn) -> Result<[RowId; 4], StorageError> {
    let row = query(LAST_IDS).fetch_one(conn).await.map_err(in_table("store"))?;
    let cells = Cells::new(&row, "store");
    Ok([cells.small(0)?, cells.small(1)?, cells.small(2)?, cells.small(3)?])
}
