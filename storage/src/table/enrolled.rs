//! `enrolled`: marks of the keys that entries brought, a row for each durable bundle.

use super::stored;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;
use crate::rows::EnrolledRow;

const TABLE: &str = "enrolled";

static INSERT: ManyRows = ManyRows::new(TABLE, "INSERT INTO enrolled (bundle, marks) VALUES", 2, "");
const FROM: &str = "SELECT bundle, marks FROM enrolled WHERE bundle >= $1 ORDER BY bundle LIMIT $2";

/// Adds rows; a bundle that has one already is a fault.
pub(crate) async fn insert(conn: &mut Conn, rows: &[EnrolledRow]) -> Result<(), StorageError> {
    INSERT.run(conn, rows, |query, row| query.bind(stored(row.bundle)).bind(row.marks.as_slice())).await?;
    Ok(())
}

/// Returns at most `limit` rows from `bundle` on, in order.
pub(crate) async fn from(conn: &mut Conn, bundle: u64, limit: u64) -> Result<Vec<EnrolledRow>, StorageError> {
    let query = query(FROM).bind(stored(bundle)).bind(stored(limit));
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter()
        .map(|row| {
            let cells = Cells::new(row, TABLE);
            Ok(EnrolledRow { bundle: cells.number(0)?, marks: cells.bytes(1)?.to_vec() })
        })
        .collect()
}
