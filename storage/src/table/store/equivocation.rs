//! `equivocation`: two entries of one device at one place of a log, each with its signature. The first pair is kept.

use super::RowId;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::rows::EquivocationRow;
use crate::table::stored;

const TABLE: &str = "equivocation";

const INSERT: &str = "INSERT INTO equivocation (log, device, lsn, header_a, sig_a, header_b, sig_b) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (log, device, lsn) DO NOTHING";
const OF: &str = "SELECT header_a, sig_a, header_b, sig_b FROM equivocation WHERE log = $1 \
                  ORDER BY device, lsn LIMIT 64";

pub(crate) async fn insert(
    conn: &mut Conn,
    (log, device, lsn): (RowId, RowId, u64),
    row: &EquivocationRow,
) -> Result<(), StorageError> {
    let query = query(INSERT).bind(log).bind(device).bind(stored(lsn)).bind(row.a.0.as_slice());
    let query = query.bind(row.a.1.as_slice()).bind(row.b.0.as_slice()).bind(row.b.1.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Returns the first 64 of a log.
pub(crate) async fn of(conn: &mut Conn, log: RowId) -> Result<Vec<EquivocationRow>, StorageError> {
    let rows = query(OF).bind(log).fetch_all(conn).await.map_err(in_table(TABLE))?;
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        Ok(EquivocationRow {
            a: (cells.bytes(0)?.to_vec(), cells.fixed(1)?),
            b: (cells.bytes(2)?.to_vec(), cells.fixed(3)?),
        })
    };
    rows.iter().map(read).collect()
}
