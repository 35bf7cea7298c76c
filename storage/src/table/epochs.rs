//! `epochs`: every head there was, by the number and size of the Epoch that ends it.

use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;
use crate::rows::{EpochRow, StoredHead};

const TABLE: &str = "epochs";

const INSERT: &str = "INSERT INTO epochs (k, size, root, time_ms) VALUES ($1, $2, $3, $4)";
const ROOT_AT: &str = "SELECT root FROM epochs WHERE size = $1";
const BY_NUMBER: &str = "SELECT k, size, root, time_ms FROM epochs WHERE k = $1";
const COVERING: &str = "SELECT k, size, root, time_ms FROM epochs WHERE size > $1 ORDER BY size LIMIT 1";
const FROM: &str = "SELECT k, size, root, time_ms FROM epochs WHERE k >= $1 ORDER BY k LIMIT $2";

/// Adds the heads passed on the way to `head`, and `head`.
pub(crate) async fn insert(conn: &mut Conn, passed: &[EpochRow], head: &StoredHead) -> Result<(), StorageError> {
    let head = EpochRow { k: head.k, size: head.size, root: head.root, time_ms: head.time_ms };
    for epoch in passed.iter().chain([&head]) {
        let query = query(INSERT).bind(stored(epoch.k)).bind(stored(epoch.size));
        let query = query.bind(epoch.root.as_slice()).bind(stored(epoch.time_ms));
        query.execute(&mut *conn).await.map_err(in_table(TABLE))?;
    }
    Ok(())
}

pub(crate) async fn root_at(conn: &mut Conn, size: u64) -> Result<Option<Hash>, StorageError> {
    let row = query(ROOT_AT).bind(stored(size)).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Cells::new(&row, TABLE).hash(0)).transpose()
}

pub(crate) async fn by_number(conn: &mut Conn, k: u64) -> Result<Option<EpochRow>, StorageError> {
    one(conn, BY_NUMBER, k).await
}

/// Returns the Epoch whose batch holds the entry at `index`.
pub(crate) async fn covering(conn: &mut Conn, index: u64) -> Result<Option<EpochRow>, StorageError> {
    one(conn, COVERING, index).await
}

/// Returns at most `limit` Epochs from number `k` on.
pub(crate) async fn from(conn: &mut Conn, k: u64, limit: u64) -> Result<Vec<EpochRow>, StorageError> {
    let rows = query(FROM).bind(stored(k)).bind(stored(limit)).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(|row| epoch(&Cells::new(row, TABLE))).collect()
}

async fn one(conn: &mut Conn, text: &'static str, key: u64) -> Result<Option<EpochRow>, StorageError> {
    let row = query(text).bind(stored(key)).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| epoch(&Cells::new(&row, TABLE))).transpose()
}

fn epoch(cells: &Cells<'_>) -> Result<EpochRow, StorageError> {
    Ok(EpochRow { k: cells.number(0)?, size: cells.number(1)?, root: cells.hash(2)?, time_ms: cells.number(3)? })
}
