//! `edges`: the right-edge tiles as of `tiled`.

use super::stored;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;
use crate::rows::EdgeRow;

const TABLE: &str = "edges";

static INSERT: ManyRows = ManyRows::new(TABLE, "INSERT INTO edges (tree, level, start, hashes) VALUES", 4, "");
const CLEAR: &str = "DELETE FROM edges";
const ALL: &str = "SELECT tree, level, start, hashes FROM edges ORDER BY tree, level";

pub(crate) async fn load(conn: &mut Conn) -> Result<Vec<EdgeRow>, StorageError> {
    let rows = query(ALL).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter()
        .map(|row| {
            let cells = Cells::new(row, TABLE);
            Ok(EdgeRow {
                tree: cells.small(0)?,
                level: cells.small(1)?,
                start: cells.number(2)?,
                hashes: cells.bytes(3)?.to_vec(),
            })
        })
        .collect()
}

/// Puts `rows` in the place of all there are.
pub(crate) async fn replace(conn: &mut Conn, rows: &[EdgeRow]) -> Result<(), StorageError> {
    query(CLEAR).execute(&mut *conn).await.map_err(in_table(TABLE))?;
    INSERT
        .run(conn, rows, |query, row| {
            let query = query.bind(i64::from(row.tree)).bind(i64::from(row.level));
            query.bind(stored(row.start)).bind(row.hashes.as_slice())
        })
        .await?;
    Ok(())
}
