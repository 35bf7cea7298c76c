//! `changed`: which names changed since when.

use super::{names, stored};
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;
use crate::limits::CHANGED_AT_ONCE;
use crate::rows::NameRow;

const TABLE: &str = "changed";

static INSERT: ManyRows =
    ManyRows::new(TABLE, "INSERT INTO changed (size, id) VALUES", 2, "ON CONFLICT (size, id) DO NOTHING");
const UNTIL: &str = "SELECT coalesce(max(size), 0) FROM \
                     (SELECT size FROM changed WHERE size > $1 AND size <= $2 ORDER BY size LIMIT $3) AS page";
const IDS: &str = "SELECT DISTINCT id FROM changed WHERE size > $1 AND size <= $2";
const FORGET: &str = "DELETE FROM changed WHERE size <= $1";
const FROM: &str = "SELECT changed_from FROM heads WHERE id = 1";
const SET_FROM: &str = "UPDATE heads SET changed_from = $1 WHERE id = 1 AND changed_from < $1 AND size >= $1";

/// Notes that the batch which ends a log of `size` changed these names.
pub(crate) async fn insert(conn: &mut Conn, size: u64, rows: &[(i64, &NameRow)]) -> Result<(), StorageError> {
    INSERT.run(conn, rows, |query, (id, _)| query.bind(stored(size)).bind(*id)).await?;
    Ok(())
}

/// Returns where a page of changes above `after` ends, by the size of the log: about [`CHANGED_AT_ONCE`] of them, whole batches, and none above
/// `until`. 0: there are none.
pub(crate) async fn page_end(conn: &mut Conn, after: u64, until: u64) -> Result<u64, StorageError> {
    let query = query(UNTIL).bind(stored(after)).bind(stored(until)).bind(stored(CHANGED_AT_ONCE));
    let row = query.fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}

/// Returns the names that changed above the size `after` and up to `until`, as they are now.
pub(crate) async fn names(conn: &mut Conn, after: u64, until: u64) -> Result<Vec<NameRow>, StorageError> {
    let query = query(IDS).bind(stored(after)).bind(stored(until));
    let ids = query.fetch_all(&mut *conn).await.map_err(in_table(TABLE))?;
    let mut rows = Vec::with_capacity(ids.len());
    for id in &ids {
        let row = names::load(&mut *conn, Cells::new(id, TABLE).small(0)?).await?;
        rows.push(row.ok_or_else(|| StorageError::inconsistent(TABLE, "a name that changed is gone"))?);
    }
    Ok(rows)
}

/// Deletes the changes up to a size.
pub(crate) async fn forget(conn: &mut Conn, until: u64) -> Result<u64, StorageError> {
    let done = query(FORGET).bind(stored(until)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(done.rows_affected())
}

/// Returns the size above which every change is here.
pub(crate) async fn known_from(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(FROM).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map_or(Ok(0), |row| Cells::new(&row, TABLE).number(0))
}

/// Notes that changes up to a size are here no longer; nothing if they were not, or the log is not that large.
pub(crate) async fn set_known_from(conn: &mut Conn, size: u64) -> Result<(), StorageError> {
    query(SET_FROM).bind(stored(size)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(())
}
