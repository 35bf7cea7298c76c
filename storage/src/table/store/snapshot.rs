//! `snapshot`: which entries of a log are snapshots, by place.

use dgns_api::store::limits::SNAPSHOTS_PER_ANSWER_MAX;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;
use crate::store::line::Line;
use crate::table::stored;

const TABLE: &str = "snapshot";

static INSERT: ManyRows = ManyRows::new(TABLE, "INSERT INTO snapshot (log, pos) VALUES", 2, "");
const NEWEST: &str = "SELECT pos FROM snapshot WHERE log = $1 AND pos >= $2 AND pos < $3 ORDER BY pos DESC LIMIT $4";

pub(crate) async fn insert(conn: &mut Conn, rows: &[(RowId, u64)]) -> Result<(), StorageError> {
    let bind = INSERT.run(conn, rows, |query, (log, pos)| query.bind(*log).bind(stored(*pos)));
    bind.await.map(drop)
}

/// Returns the places of the newest [`SNAPSHOTS_PER_ANSWER_MAX`] among the entries `from..to`, the newest first, wherever they lie.
pub(crate) async fn newest(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<Vec<u64>, StorageError> {
    let mut places = Vec::new();
    for (log, from, to) in line.parts(0, from, to).into_iter().rev() {
        let left = (SNAPSHOTS_PER_ANSWER_MAX - places.len()) as u64;
        let query = query(NEWEST).bind(log).bind(stored(from)).bind(stored(to)).bind(stored(left));
        for row in query.fetch_all(&mut *conn).await.map_err(in_table(TABLE))? {
            places.push(Cells::new(&row, TABLE).number(0)?);
        }
    }
    Ok(places)
}
