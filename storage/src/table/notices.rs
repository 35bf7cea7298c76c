//! `notices`: where the Notice of each piece of evidence stands, so that none is made twice.

use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "notices";

const INSERT: &str = "INSERT INTO notices (evidence_hash, idx) VALUES ($1, $2) ON CONFLICT (evidence_hash) DO NOTHING";
const INDEX_OF: &str = "SELECT idx FROM notices WHERE evidence_hash = $1";

/// Adds Notices by evidence and log index; evidence that has one keeps it.
pub(crate) async fn insert(conn: &mut Conn, notices: &[(Hash, u64)]) -> Result<(), StorageError> {
    for (evidence_hash, index) in notices {
        let query = query(INSERT).bind(evidence_hash.as_slice()).bind(stored(*index));
        query.execute(&mut *conn).await.map_err(in_table(TABLE))?;
    }
    Ok(())
}

pub(crate) async fn index_of(conn: &mut Conn, evidence_hash: &Hash) -> Result<Option<u64>, StorageError> {
    let row = query(INDEX_OF).bind(evidence_hash.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Cells::new(&row, TABLE).number(0)).transpose()
}
