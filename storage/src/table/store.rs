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
pub(crate) mod lapse_watch;
pub(crate) mod member;
pub(crate) mod node;
pub(crate) mod snapshot;

use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;

/// A local row key.
pub(crate) type RowId = i64;

/// Returns the largest id of a table; `question` asks for it.
async fn last_id(conn: &mut Conn, table: &'static str, question: &'static str) -> Result<RowId, StorageError> {
    let row = query(question).fetch_one(conn).await.map_err(in_table(table))?;
    Cells::new(&row, table).small(0)
}
