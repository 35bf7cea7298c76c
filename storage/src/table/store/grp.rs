//! `grp`: the groups of a database with the newest epoch of their keys.

use super::RowId;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;
use crate::table::stored;

const TABLE: &str = "grp";

const EPOCH: &str = "SELECT key_epoch FROM grp WHERE db = $1 AND gid = $2";
const UPSERT: &str = "INSERT INTO grp (db, gid, key_epoch) VALUES ($1, $2, $3) \
                      ON CONFLICT (db, gid) DO UPDATE SET key_epoch = excluded.key_epoch";

/// Returns the newest epoch of a group; `None` if there is no such group.
pub(crate) async fn epoch(conn: &mut Conn, db: RowId, gid: u32) -> Result<Option<u64>, StorageError> {
    let query = query(EPOCH).bind(db).bind(i64::from(gid));
    let row = query.fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Cells::new(&row, TABLE).number(0)).transpose()
}

pub(crate) async fn upsert(conn: &mut Conn, db: RowId, gid: u32, epoch: u64) -> Result<(), StorageError> {
    let query = query(UPSERT).bind(db).bind(i64::from(gid)).bind(stored(epoch));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}
