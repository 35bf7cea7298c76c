//! `chunk`: immutable bytes by hash; small ones with their bytes. `chunk_gone`: objects that are to be deleted. `chunk_writing`: the number
//! of the objects that are written now.

use dgns_api::store::content::ContentId;

use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::rows::ChunkRow;
use crate::table::stored;

const TABLE: &str = "chunk";
const GONE: &str = "chunk_gone";
const WRITINGS: &str = "chunk_writing";

const LOAD: &str = "SELECT size, body, writing FROM chunk WHERE id = $1";
const INSERT: &str = "INSERT INTO chunk (id, size, stored_ms, body, writing) VALUES ($1, $2, $3, $4, $5)";
const LARGE: &str = "SELECT writing FROM chunk WHERE id = $1 AND body IS NULL";
const DELETE: &str = "DELETE FROM chunk WHERE id = $1";
const LOAD_GONE: &str = "SELECT id, writing, since_ms FROM chunk_gone WHERE since_ms <= $1 ORDER BY since_ms LIMIT $2";
const INSERT_GONE: &str = "INSERT INTO chunk_gone (id, writing, since_ms) VALUES ($1, $2, $3) ON CONFLICT (id, writing) DO UPDATE \
                           SET since_ms = CASE WHEN excluded.since_ms > chunk_gone.since_ms \
                           THEN excluded.since_ms ELSE chunk_gone.since_ms + 1 END";
const IS_GONE: &str = "SELECT since_ms FROM chunk_gone WHERE id = $1 AND writing = $2";
const DELAY_GONE: &str = "UPDATE chunk_gone SET since_ms = $1 WHERE id = $2 AND writing = $3";
const DELETE_GONE: &str = "DELETE FROM chunk_gone WHERE id = $1 AND writing = $2 AND since_ms = $3";
const WRITING: &str = "SELECT writing FROM chunk_writing WHERE id = 1";
const NEXT_WRITING: &str = "UPDATE chunk_writing SET writing = writing + 1 WHERE id = 1";

pub(crate) async fn load(conn: &mut Conn, id: &ContentId) -> Result<Option<ChunkRow>, StorageError> {
    let row = query(LOAD).bind(id.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| {
        let cells = Cells::new(&row, TABLE);
        let body = cells.optional_bytes(1)?.map(<[u8]>::to_vec);
        Ok(ChunkRow { size: cells.number(0)?, body, writing: cells.number(2)? })
    })
    .transpose()
}

/// Adds a chunk that is not there.
pub(crate) async fn insert(conn: &mut Conn, id: &ContentId, row: &ChunkRow, now_ms: u64) -> Result<(), StorageError> {
    let query = query(INSERT).bind(id.as_slice()).bind(stored(row.size)).bind(stored(now_ms));
    let query = query.bind(row.body.as_deref()).bind(stored(row.writing));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Removes a chunk that is kept for nothing; returns whether it has an object, which then is to be deleted.
pub(crate) async fn remove(conn: &mut Conn, id: &ContentId, now_ms: u64) -> Result<bool, StorageError> {
    let large = query(LARGE).bind(id.as_slice()).fetch_optional(&mut *conn).await.map_err(in_table(TABLE))?;
    query(DELETE).bind(id.as_slice()).execute(&mut *conn).await.map_err(in_table(TABLE))?;
    let Some(row) = large else { return Ok(false) };
    to_delete(conn, id, Cells::new(&row, TABLE).number(0)?, now_ms).await.map(|()| true)
}

/// Notes that an object is to be deleted; again, if it was written since that was noted.
pub(crate) async fn to_delete(conn: &mut Conn, id: &ContentId, writing: u64, now_ms: u64) -> Result<(), StorageError> {
    let query = query(INSERT_GONE).bind(id.as_slice()).bind(stored(writing)).bind(stored(now_ms));
    query.execute(conn).await.map_err(in_table(GONE)).map(drop)
}

/// An object that is to be deleted.
pub(crate) struct Gone {
    pub(crate) id: ContentId,
    pub(crate) writing: u64,
    /// Since when, Unix milliseconds.
    since_ms: u64,
}

/// Returns objects that are to be deleted since `before_ms` or longer.
pub(crate) async fn gone(conn: &mut Conn, before_ms: u64, limit: u64) -> Result<Vec<Gone>, StorageError> {
    let rows =
        query(LOAD_GONE).bind(stored(before_ms)).bind(stored(limit)).fetch_all(conn).await.map_err(in_table(GONE))?;
    let read = |row: &Row| {
        let cells = Cells::new(row, GONE);
        Ok(Gone { id: cells.fixed(0)?, writing: cells.number(1)?, since_ms: cells.number(2)? })
    };
    rows.iter().map(read).collect()
}

/// Returns whether an object is to be deleted.
pub(crate) async fn is_gone(conn: &mut Conn, id: &ContentId, writing: u64) -> Result<bool, StorageError> {
    let query = query(IS_GONE).bind(id.as_slice()).bind(stored(writing));
    Ok(query.fetch_optional(conn).await.map_err(in_table(GONE))?.is_some())
}

/// Puts an object that could not be deleted behind the others.
pub(crate) async fn delay_gone(conn: &mut Conn, gone: &Gone, now_ms: u64) -> Result<(), StorageError> {
    let query = query(DELAY_GONE).bind(stored(now_ms)).bind(gone.id.as_slice()).bind(stored(gone.writing));
    query.execute(conn).await.map_err(in_table(GONE)).map(drop)
}

/// Notes that an object is deleted, unless it was noted anew meanwhile.
pub(crate) async fn delete_gone(conn: &mut Conn, gone: &Gone) -> Result<(), StorageError> {
    let query = query(DELETE_GONE).bind(gone.id.as_slice()).bind(stored(gone.writing)).bind(stored(gone.since_ms));
    query.execute(conn).await.map_err(in_table(GONE)).map(drop)
}

/// Returns the number of the objects that are written now.
pub(crate) async fn writing(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(WRITING).fetch_one(conn).await.map_err(in_table(WRITINGS))?;
    Cells::new(&row, WRITINGS).number(0)
}

/// Turns the number: what is written from now on has other names than what is to be deleted.
pub(crate) async fn next_writing(conn: &mut Conn) -> Result<(), StorageError> {
    query(NEXT_WRITING).execute(conn).await.map_err(in_table(WRITINGS)).map(drop)
}
