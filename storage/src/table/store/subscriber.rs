//! `subscriber`: who has a partition of a subscription database.

use identity::did::Did;

use super::RowId;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "subscriber";

const SALT: &str = "SELECT salt FROM subscriber WHERE db = $1 AND did = $2";
const INSERT: &str = "INSERT INTO subscriber (db, did, salt) VALUES ($1, $2, $3)";

/// Returns the salt of a partition; `None` if there is no such partition.
pub(crate) async fn salt(conn: &mut Conn, db: RowId, user: &Did) -> Result<Option<[u8; 16]>, StorageError> {
    let query = query(SALT).bind(db).bind(user.as_bytes().as_slice());
    let row = query.fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Cells::new(&row, TABLE).fixed(0)).transpose()
}

/// Adds a partition.
pub(crate) async fn insert(conn: &mut Conn, db: RowId, user: &Did, salt: &[u8; 16]) -> Result<(), StorageError> {
    let query = query(INSERT).bind(db).bind(user.as_bytes().as_slice()).bind(salt.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}
