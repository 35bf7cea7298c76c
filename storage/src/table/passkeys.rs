//! `passkeys`: registered passkeys by credential id.

use identity::hash::Hash;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::stored;
use crate::database::{Cells, in_table};
use crate::fault::StorageError;
use crate::people::PasskeyRow;

const TABLE: &str = "passkeys";

const INSERT: &str = "INSERT INTO passkeys (credential, handle, data, made_s, used_s) VALUES ($1, $2, $3, $4, $5)";
const LOAD: &str = "SELECT credential, handle, data, made_s, used_s FROM passkeys WHERE credential = $1";
const OF_HANDLE: &str =
    "SELECT credential, handle, data, made_s, used_s FROM passkeys WHERE handle = $1 ORDER BY made_s, credential";
const UPDATE: &str = "UPDATE passkeys SET data = $1, used_s = $2 WHERE credential = $3";
const REMOVE: &str = "DELETE FROM passkeys WHERE credential = $1 AND handle = $2";

pub(crate) async fn insert(conn: &mut SqliteConnection, row: &PasskeyRow) -> Result<(), StorageError> {
    let query = sqlx::query(INSERT).bind(row.credential.as_slice()).bind(row.handle.as_slice());
    let query = query.bind(row.data.as_slice()).bind(stored(row.made_s)).bind(stored(row.used_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn load(conn: &mut SqliteConnection, credential: &Hash) -> Result<Option<PasskeyRow>, StorageError> {
    let row = sqlx::query(LOAD).bind(credential.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| read(&row)).transpose()
}

pub(crate) async fn of_handle(conn: &mut SqliteConnection, handle: &[u8; 16]) -> Result<Vec<PasskeyRow>, StorageError> {
    let rows = sqlx::query(OF_HANDLE).bind(handle.as_slice()).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

pub(crate) async fn update(
    conn: &mut SqliteConnection,
    credential: &Hash,
    data: &[u8],
    now_s: u64,
) -> Result<bool, StorageError> {
    let query = sqlx::query(UPDATE).bind(data).bind(stored(now_s)).bind(credential.as_slice());
    Ok(query.execute(conn).await.map_err(in_table(TABLE))?.rows_affected() == 1)
}

pub(crate) async fn remove(
    conn: &mut SqliteConnection,
    handle: &[u8; 16],
    credential: &Hash,
) -> Result<bool, StorageError> {
    let query = sqlx::query(REMOVE).bind(credential.as_slice()).bind(handle.as_slice());
    Ok(query.execute(conn).await.map_err(in_table(TABLE))?.rows_affected() == 1)
}

fn read(row: &SqliteRow) -> Result<PasskeyRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(PasskeyRow {
        credential: cells.hash(0)?,
        handle: cells.fixed(1)?,
        data: cells.bytes(2)?.to_vec(),
        made_s: cells.number(3)?,
        used_s: cells.number(4)?,
    })
}
