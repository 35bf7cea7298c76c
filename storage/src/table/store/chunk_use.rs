//! `chunk_use`: what each chunk is kept for, and how many entries or files name it.

use dgns_api::store::content::ContentId;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::rows::UseRow;
use crate::table::stored;

const TABLE: &str = "chunk_use";

static LOAD: ManyRows = ManyRows::new(
    TABLE,
    "SELECT account, db, chunk, size, refs, since_ms, marked_ms FROM chunk_use WHERE (account, db, chunk) IN (VALUES",
    3,
    ")",
);
const UNNAMED: &str = "SELECT account, db, chunk, size, refs, since_ms, marked_ms FROM chunk_use \
                       WHERE refs = 0 AND marked_ms = 0 AND since_ms <= $1 ORDER BY since_ms LIMIT $2";
const CONDEMNED: &str = "SELECT account, db, chunk, size, refs, since_ms, marked_ms FROM chunk_use \
                         WHERE refs = 0 AND marked_ms > 0 AND marked_ms <= $1 ORDER BY marked_ms LIMIT $2";
const OF_DB: &str = "SELECT account, db, chunk, size, refs, since_ms, marked_ms FROM chunk_use \
                     WHERE account = $1 AND db = $2 LIMIT $3";
const DELETE: &str = "DELETE FROM chunk_use WHERE account = $1 AND db = $2 AND chunk = $3";
const KEPT: &str =
    "SELECT size FROM chunk_use WHERE chunk = $1 UNION ALL SELECT bytes FROM segment WHERE chunk = $1 LIMIT 1";
static UPSERT: ManyRows = ManyRows::new(
    TABLE,
    "INSERT INTO chunk_use (account, db, chunk, size, refs, since_ms, marked_ms) VALUES",
    7,
    "ON CONFLICT (account, db, chunk) DO UPDATE SET \
     refs = excluded.refs, since_ms = excluded.since_ms, marked_ms = excluded.marked_ms",
);

/// Returns which of these chunks are kept for the entries of a database, or with 0 for the files of the account, in no order.
pub(crate) async fn load(
    conn: &mut Conn,
    (account, db): (RowId, RowId),
    ids: &[ContentId],
) -> Result<Vec<UseRow>, StorageError> {
    let rows = LOAD.ask(conn, ids, |query, id| query.bind(account).bind(db).bind(id.as_slice())).await?;
    rows.iter().map(read).collect()
}

/// Adds rows, or writes what names them, and since when.
pub(crate) async fn upsert(conn: &mut Conn, rows: &[UseRow]) -> Result<(), StorageError> {
    let bind = UPSERT.run(conn, rows, |query, row| {
        let query = query.bind(row.account).bind(row.db).bind(row.chunk.as_slice()).bind(stored(row.size));
        query.bind(stored(row.refs)).bind(stored(row.since_ms)).bind(stored(row.marked_ms))
    });
    bind.await.map(drop)
}

/// Returns chunks that no entry names, that nobody stored or asked for since `before_ms`, and that are not condemned.
pub(crate) async fn unnamed(conn: &mut Conn, before_ms: u64, limit: u64) -> Result<Vec<UseRow>, StorageError> {
    let rows = query(UNNAMED).bind(stored(before_ms)).bind(stored(limit)).fetch_all(conn).await;
    rows.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Returns chunks that are condemned since `before_ms` or longer.
pub(crate) async fn condemned(conn: &mut Conn, before_ms: u64, limit: u64) -> Result<Vec<UseRow>, StorageError> {
    let rows = query(CONDEMNED).bind(stored(before_ms)).bind(stored(limit)).fetch_all(conn).await;
    rows.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Returns some of the chunks that are kept for the entries of a database.
pub(crate) async fn of_db(
    conn: &mut Conn,
    (account, db): (RowId, RowId),
    limit: u64,
) -> Result<Vec<UseRow>, StorageError> {
    let rows = query(OF_DB).bind(account).bind(db).bind(stored(limit)).fetch_all(conn).await;
    rows.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Keeps a chunk no longer for this.
pub(crate) async fn delete(conn: &mut Conn, row: &UseRow) -> Result<(), StorageError> {
    let query = query(DELETE).bind(row.account).bind(row.db).bind(row.chunk.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Returns whether a chunk is kept for anything: for somebody, or as a segment of a log.
pub(crate) async fn is_kept(conn: &mut Conn, id: &ContentId) -> Result<bool, StorageError> {
    let row = query(KEPT).bind(id.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    Ok(row.is_some())
}

fn read(row: &Row) -> Result<UseRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(UseRow {
        account: cells.small(0)?,
        db: cells.small(1)?,
        chunk: cells.fixed(2)?,
        size: cells.number(3)?,
        refs: cells.number(4)?,
        since_ms: cells.number(5)?,
        marked_ms: cells.number(6)?,
    })
}
