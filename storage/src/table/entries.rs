//! `entries`: the tail of the log, until its bundles and tiles are durable.

use core::ops::Range;

use bytes::Bytes;

use super::stored;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "entries";

static INSERT: ManyRows = ManyRows::new(TABLE, "INSERT INTO entries (idx, bytes) VALUES", 2, "");
const ONE: &str = "SELECT bytes FROM entries WHERE idx = $1";
const RANGE: &str = "SELECT idx, bytes FROM entries WHERE idx >= $1 AND idx < $2 ORDER BY idx";
const COUNT: &str = "SELECT count(*) FROM entries";
const DELETE_BELOW: &str = "DELETE FROM entries WHERE idx < $1";

pub(crate) async fn insert(conn: &mut Conn, first: u64, entries: &[Bytes]) -> Result<(), StorageError> {
    let rows: Vec<(u64, &Bytes)> = (first..).zip(entries).collect();
    INSERT.run(conn, &rows, |query, (index, bytes)| query.bind(stored(*index)).bind(bytes.as_ref())).await?;
    Ok(())
}

pub(crate) async fn one(conn: &mut Conn, index: u64) -> Result<Option<Bytes>, StorageError> {
    let row = query(ONE).bind(stored(index)).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Ok(Bytes::copy_from_slice(Cells::new(&row, TABLE).bytes(0)?))).transpose()
}

/// Returns the entries of `range` that are still here, in order.
pub(crate) async fn range(conn: &mut Conn, range: Range<u64>) -> Result<Vec<(u64, Bytes)>, StorageError> {
    let query = query(RANGE).bind(stored(range.start)).bind(stored(range.end));
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter()
        .map(|row| {
            let cells = Cells::new(row, TABLE);
            Ok((cells.number(0)?, Bytes::copy_from_slice(cells.bytes(1)?)))
        })
        .collect()
}

pub(crate) async fn delete_below(conn: &mut Conn, index: u64) -> Result<u64, StorageError> {
    let done = query(DELETE_BELOW).bind(stored(index)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(done.rows_affected())
}

pub(crate) async fn count(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(COUNT).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}
