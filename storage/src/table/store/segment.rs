//! `segment`: which objects have the old entries of a log. `segment_old`: objects that others took the place of.

use dgns_api::store::content::ContentId;

use super::RowId;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::rows::SegmentRow;
use crate::table::stored;

const TABLE: &str = "segment";
const OLD: &str = "segment_old";

const INSERT: &str =
    "INSERT INTO segment (log, first, count, level, bytes, dead, chunk) VALUES ($1, $2, $3, $4, $5, $6, $7)";
const DELETE: &str = "DELETE FROM segment WHERE log = $1 AND first = $2";
const RANGE: &str = "SELECT log, first, count, level, bytes, dead, chunk FROM segment \
                     WHERE log = $1 AND first < $3 AND first + count > $2 \
                     AND first >= coalesce((SELECT max(first) FROM segment WHERE log = $1 AND first <= $2), 0) ORDER BY first";
const NEWEST: &str =
    "SELECT log, first, count, level, bytes, dead, chunk FROM segment WHERE log = $1 ORDER BY first DESC LIMIT $2";
const DEAD: &str = "SELECT log, first, count, level, bytes, dead, chunk FROM segment \
                    WHERE dead > 0 AND dead >= bytes / $3 AND (log > $1 OR log = $1 AND first > $2) ORDER BY log, first LIMIT 1";
const ADD_DEAD: &str = "UPDATE segment SET dead = dead + $1 WHERE log = $2 AND first = $3";
const INSERT_OLD: &str = "INSERT INTO segment_old (chunk, since_ms) VALUES ($1, $2) ON CONFLICT (chunk) DO UPDATE \
                          SET since_ms = excluded.since_ms";
const LOAD_OLD: &str = "SELECT chunk FROM segment_old WHERE since_ms <= $1 ORDER BY since_ms LIMIT $2";
const DELETE_OLD: &str = "DELETE FROM segment_old WHERE chunk = $1";

pub(crate) async fn insert(conn: &mut Conn, row: &SegmentRow) -> Result<(), StorageError> {
    let query = query(INSERT).bind(row.log).bind(stored(row.first)).bind(stored(row.count)).bind(stored(row.level));
    let query = query.bind(stored(row.bytes)).bind(stored(row.dead)).bind(row.chunk.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Removes a segment whose entries lie in another one now, and notes since when its object is kept for that no longer.
pub(crate) async fn retire(conn: &mut Conn, row: &SegmentRow, now_ms: u64) -> Result<(), StorageError> {
    let gone = query(DELETE).bind(row.log).bind(stored(row.first));
    gone.execute(&mut *conn).await.map_err(in_table(TABLE))?;
    let old = query(INSERT_OLD).bind(row.chunk.as_slice()).bind(stored(now_ms));
    old.execute(conn).await.map_err(in_table(OLD)).map(drop)
}

/// Returns the segments of a row of logs that have any of the entries `from..to`, in order.
pub(crate) async fn range(conn: &mut Conn, log: RowId, from: u64, to: u64) -> Result<Vec<SegmentRow>, StorageError> {
    let rows = query(RANGE).bind(log).bind(stored(from)).bind(stored(to)).fetch_all(conn).await;
    rows.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Returns the newest segments of a row of logs, the newest first.
pub(crate) async fn newest(conn: &mut Conn, log: RowId, limit: u64) -> Result<Vec<SegmentRow>, StorageError> {
    let rows = query(NEWEST).bind(log).bind(stored(limit)).fetch_all(conn).await;
    rows.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Returns the first segment behind `after`, log and place, of which bodies were dropped that are one part in `part` of it, or more.
pub(crate) async fn dead(conn: &mut Conn, after: (RowId, u64), part: u64) -> Result<Option<SegmentRow>, StorageError> {
    let row = query(DEAD).bind(after.0).bind(stored(after.1)).bind(stored(part)).fetch_optional(conn).await;
    row.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

/// Notes that bodies were dropped, by place and bytes, of entries of a row of logs that lie in segments.
pub(crate) async fn add_dead(conn: &mut Conn, log: RowId, dropped: &[(u64, u64)]) -> Result<(), StorageError> {
    let (Some((from, _)), Some((last, _))) = (dropped.first(), dropped.last()) else { return Ok(()) };
    for segment in range(conn, log, *from, last + 1).await? {
        let is_in = |pos: &u64| (segment.first..segment.end()).contains(pos);
        let bytes = dropped.iter().filter(|(pos, _)| is_in(pos)).map(|(_, bytes)| bytes).sum();
        let query = query(ADD_DEAD).bind(stored(bytes)).bind(log).bind(stored(segment.first));
        query.execute(&mut *conn).await.map_err(in_table(TABLE))?;
    }
    Ok(())
}

/// Returns objects that others took the place of by `before_ms`.
pub(crate) async fn old(conn: &mut Conn, before_ms: u64, limit: u64) -> Result<Vec<ContentId>, StorageError> {
    let rows = query(LOAD_OLD).bind(stored(before_ms)).bind(stored(limit)).fetch_all(conn).await;
    rows.map_err(in_table(OLD))?.iter().map(|row| Cells::new(row, OLD).fixed(0)).collect()
}

/// Forgets that an object was a segment.
pub(crate) async fn forget_old(conn: &mut Conn, chunk: &ContentId) -> Result<(), StorageError> {
    query(DELETE_OLD).bind(chunk.as_slice()).execute(conn).await.map_err(in_table(OLD)).map(drop)
}

fn read(row: &Row) -> Result<SegmentRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(SegmentRow {
        log: cells.small(0)?,
        first: cells.number(1)?,
        count: cells.number(2)?,
        level: cells.number(3)?,
        bytes: cells.number(4)?,
        dead: cells.number(5)?,
        chunk: cells.fixed(6)?,
    })
}
