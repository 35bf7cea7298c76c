//! `signin_starts`: sign-ins that were begun and not finished.

use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::{StartKind, StartRow};

const TABLE: &str = "signin_starts";

const INSERT: &str = "INSERT INTO signin_starts (state, kind, data, until_s) VALUES ($1, $2, $3, $4)";
const TAKE: &str = "DELETE FROM signin_starts WHERE state = $1 AND kind = $2 RETURNING data, until_s";
const PEEK: &str = "SELECT data, until_s FROM signin_starts WHERE state = $1 AND kind = $2";
/// A few at a time, so that no start waits for a flood of old ones.
const SWEEP: &str = "DELETE FROM signin_starts WHERE state IN \
                     (SELECT state FROM signin_starts WHERE until_s <= $1 ORDER BY until_s LIMIT 16)";

pub(crate) async fn insert(conn: &mut Conn, start: &StartRow) -> Result<(), StorageError> {
    let query = query(INSERT).bind(start.state.as_slice()).bind(start.kind as i64);
    let query = query.bind(start.data.as_slice()).bind(stored(start.until_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Deletes the row and returns its data and its end.
pub(crate) async fn take(
    conn: &mut Conn,
    state: &Hash,
    kind: StartKind,
) -> Result<Option<(Vec<u8>, u64)>, StorageError> {
    let query = query(TAKE).bind(state.as_slice()).bind(kind as i64);
    read(query.fetch_optional(conn).await.map_err(in_table(TABLE))?)
}

pub(crate) async fn peek(
    conn: &mut Conn,
    state: &Hash,
    kind: StartKind,
) -> Result<Option<(Vec<u8>, u64)>, StorageError> {
    let query = query(PEEK).bind(state.as_slice()).bind(kind as i64);
    read(query.fetch_optional(conn).await.map_err(in_table(TABLE))?)
}

/// Deletes some of the rows that are too old; returns how many.
pub(crate) async fn sweep(conn: &mut Conn, now_s: u64) -> Result<usize, StorageError> {
    let done = query(SWEEP).bind(stored(now_s)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

fn read(row: Option<Row>) -> Result<Option<(Vec<u8>, u64)>, StorageError> {
    let Some(row) = row else { return Ok(None) };
    let cells = Cells::new(&row, TABLE);
    Ok(Some((cells.bytes(0)?.to_vec(), cells.number(1)?)))
}
