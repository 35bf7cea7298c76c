//! `envelopes`: sealed mail that waits for a device.

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "envelopes";

const INSERT: &str = "INSERT INTO envelopes (recipient, id, body, until_s) SELECT $1, \
                      max($2, 1 + coalesce((SELECT max(id) FROM envelopes WHERE recipient = $1), 0)), $3, $4";
const WAITING: &str = "SELECT count(*) FROM envelopes WHERE recipient = $1 AND until_s > $2";
const IS_THERE: &str = "SELECT count(*) FROM envelopes WHERE recipient = $1 AND body = $2 AND until_s > $3";
const AFTER: &str =
    "SELECT id, body FROM envelopes WHERE recipient = $1 AND id > $2 AND until_s > $3 ORDER BY id LIMIT 64";
const TAKE: &str = "DELETE FROM envelopes WHERE recipient = $1 AND id <= $2";
const SWEEP: &str = "DELETE FROM envelopes WHERE (recipient, id) IN \
                     (SELECT recipient, id FROM envelopes WHERE until_s <= $1 ORDER BY until_s LIMIT 256)";

pub(crate) async fn insert(
    conn: &mut Conn,
    recipient: &[u8; 32],
    at_ms: u64,
    body: &[u8],
    until_s: u64,
) -> Result<(), StorageError> {
    let query = query(INSERT).bind(recipient.as_slice()).bind(stored(at_ms)).bind(body).bind(stored(until_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn waiting(conn: &mut Conn, recipient: &[u8; 32], now_s: u64) -> Result<u64, StorageError> {
    let query = query(WAITING).bind(recipient.as_slice()).bind(stored(now_s));
    let row = query.fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}

/// Returns whether this very envelope waits already.
pub(crate) async fn is_there(
    conn: &mut Conn,
    recipient: &[u8; 32],
    body: &[u8],
    now_s: u64,
) -> Result<bool, StorageError> {
    let query = query(IS_THERE).bind(recipient.as_slice()).bind(body).bind(stored(now_s));
    let row = query.fetch_one(conn).await.map_err(in_table(TABLE))?;
    Ok(Cells::new(&row, TABLE).number(0)? > 0)
}

pub(crate) async fn after(
    conn: &mut Conn,
    recipient: &[u8; 32],
    id: u64,
    now_s: u64,
) -> Result<Vec<(u64, Vec<u8>)>, StorageError> {
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        Ok((cells.number(0)?, cells.bytes(1)?.to_vec()))
    };
    let query = query(AFTER).bind(recipient.as_slice()).bind(stored(id)).bind(stored(now_s));
    query.fetch_all(conn).await.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Deletes what its recipient has.
pub(crate) async fn take(conn: &mut Conn, recipient: &[u8; 32], id: u64) -> Result<usize, StorageError> {
    let query = query(TAKE).bind(recipient.as_slice()).bind(stored(id));
    let done = query.execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

pub(crate) async fn sweep(conn: &mut Conn, now_s: u64) -> Result<usize, StorageError> {
    let done = query(SWEEP).bind(stored(now_s)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}
