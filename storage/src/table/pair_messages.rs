//! `pair_messages`: what new and old devices leave for each other while they pair.

use super::stored;
use crate::database::{self, Cells, Conn, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "pair_messages";

const INSERT: &str = "INSERT INTO pair_messages (session, place, body, until_s) VALUES ($1, $2, $3, $4)";
const OF_SESSION: &str =
    "SELECT place, body, until_s FROM pair_messages WHERE session = $1 AND place > $2 AND until_s > $3 ORDER BY place";
const SWEEP: &str = "DELETE FROM pair_messages WHERE session IN \
                     (SELECT session FROM pair_messages WHERE until_s <= $1 ORDER BY until_s LIMIT 64)";
const COUNT: &str = "SELECT count(*) FROM pair_messages";

/// A message with its place and its end.
pub(crate) struct Row {
    pub(crate) place: u64,
    pub(crate) body: Vec<u8>,
    pub(crate) until_s: u64,
}

pub(crate) async fn insert(conn: &mut Conn, session: &[u8; 16], row: &Row) -> Result<(), StorageError> {
    let query = query(INSERT).bind(session.as_slice()).bind(stored(row.place)).bind(row.body.as_slice());
    query.bind(stored(row.until_s)).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn after(
    conn: &mut Conn,
    session: &[u8; 16],
    after: u64,
    now_s: u64,
) -> Result<Vec<Row>, StorageError> {
    let read = |row: &database::Row| {
        let cells = Cells::new(row, TABLE);
        Ok(Row { place: cells.number(0)?, body: cells.bytes(1)?.to_vec(), until_s: cells.number(2)? })
    };
    let query = query(OF_SESSION).bind(session.as_slice()).bind(stored(after)).bind(stored(now_s));
    query.fetch_all(conn).await.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Deletes sessions that are over; returns how many messages.
pub(crate) async fn sweep(conn: &mut Conn, now_s: u64) -> Result<usize, StorageError> {
    let done = query(SWEEP).bind(stored(now_s)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

pub(crate) async fn count(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(COUNT).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}
