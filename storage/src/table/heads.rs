//! `heads`: one row, the newest signed head.

use super::stored;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;
use crate::rows::StoredHead;

const TABLE: &str = "heads";

const LOAD: &str = "SELECT size, root, k, time_ms, note FROM heads WHERE id = 1";
const FIRST: &str = "INSERT INTO heads (id, size, root, k, time_ms, note) VALUES (1, $1, $2, $3, $4, $5) \
                     ON CONFLICT (id) DO NOTHING";
const SWAP: &str = "UPDATE heads SET size = $1, root = $2, k = $3, time_ms = $4, note = $5 WHERE id = 1 AND note = $6";
const TILED: &str = "SELECT tiled FROM heads WHERE id = 1";
const SET_TILED: &str = "UPDATE heads SET tiled = $1 WHERE id = 1 AND tiled <= $1 AND size >= $1";
const PUBLIC: &str = "SELECT public_note FROM heads WHERE id = 1";
const SET_PUBLIC: &str = "UPDATE heads SET public_note = $1 WHERE id = 1";

pub(crate) async fn load(conn: &mut Conn) -> Result<Option<StoredHead>, StorageError> {
    let row = query(LOAD).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| {
        let cells = Cells::new(&row, TABLE);
        Ok(StoredHead {
            size: cells.number(0)?,
            root: cells.hash(1)?,
            k: cells.number(2)?,
            time_ms: cells.number(3)?,
            note: cells.bytes(4)?.to_vec(),
        })
    })
    .transpose()
}

/// Replaces `old` by `new`; false if `old` is no longer the head.
pub(crate) async fn swap(conn: &mut Conn, old: Option<&StoredHead>, new: &StoredHead) -> Result<bool, StorageError> {
    let query = query(if old.is_some() { SWAP } else { FIRST })
        .bind(stored(new.size))
        .bind(new.root.as_slice())
        .bind(stored(new.k))
        .bind(stored(new.time_ms))
        .bind(new.note.as_slice());
    let query = match old {
        Some(old) => query.bind(old.note.as_slice()),
        None => query,
    };
    let done = query.execute(conn).await.map_err(in_table(TABLE))?;
    Ok(done.rows_affected() == 1)
}

/// Returns how many leaves stand in durable tiles; 0 without a head.
pub(crate) async fn tiled(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(TILED).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map_or(Ok(0), |row| Cells::new(&row, TABLE).number(0))
}

/// Moves `tiled` forward; false if it would go back or past the head.
pub(crate) async fn set_tiled(conn: &mut Conn, tiled: u64) -> Result<bool, StorageError> {
    let done = query(SET_TILED).bind(stored(tiled)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(done.rows_affected() == 1)
}

/// Returns the last note that was shown under a quorum.
pub(crate) async fn public_note(conn: &mut Conn) -> Result<Option<Vec<u8>>, StorageError> {
    let row = query(PUBLIC).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map_or(Ok(None), |row| Ok(Cells::new(&row, TABLE).optional_bytes(0)?.map(<[u8]>::to_vec)))
}

/// Replaces it; false without a head.
pub(crate) async fn set_public_note(conn: &mut Conn, note: &[u8]) -> Result<bool, StorageError> {
    let done = query(SET_PUBLIC).bind(note).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(done.rows_affected() == 1)
}
