//! `cosigned`: the newest head of each log that a cosigner signed.

use super::stored;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;
use crate::rows::CosignedRow;

const TABLE: &str = "cosigned";

const LOAD: &str = "SELECT size, root, note FROM cosigned WHERE origin = $1";
const FIRST: &str = "INSERT INTO cosigned (origin, size, root, note) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (origin) DO NOTHING";
const SWAP: &str = "UPDATE cosigned SET size = $2, root = $3, note = $4 \
                    WHERE origin = $1 AND size = $5 AND root = $6 AND size <= $2";

pub(crate) async fn load(conn: &mut Conn, origin: &str) -> Result<Option<CosignedRow>, StorageError> {
    let row = query(LOAD).bind(origin).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| {
        let cells = Cells::new(&row, TABLE);
        Ok(CosignedRow { size: cells.number(0)?, root: cells.hash(1)?, note: cells.bytes(2)?.to_vec() })
    })
    .transpose()
}

/// Replaces `old` by `new`; false if `old` is no longer what stands there, or `new` is smaller.
pub(crate) async fn swap(
    conn: &mut Conn,
    origin: &str,
    old: Option<&CosignedRow>,
    new: &CosignedRow,
) -> Result<bool, StorageError> {
    let query = query(if old.is_some() { SWAP } else { FIRST })
        .bind(origin)
        .bind(stored(new.size))
        .bind(new.root.as_slice())
        .bind(new.note.as_slice());
    let query = match old {
        Some(old) => query.bind(stored(old.size)).bind(old.root.as_slice()),
        None => query,
    };
    let done = query.execute(conn).await.map_err(in_table(TABLE))?;
    Ok(done.rows_affected() == 1)
}
