//! `entry`: every entry ever appended, by place.

use identity::hash::Hash;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::line::Line;
use crate::store::rows::{EntryRow, PlacedRow};
use crate::table::stored;

const TABLE: &str = "entry";

static INSERT: ManyRows = ManyRows::new(
    TABLE,
    "INSERT INTO entry (log, pos, device, lsn, leaf, head_size, time_ms, header, sig, body) VALUES",
    10,
    "",
);
const BY_LSN: &str = "SELECT pos, leaf, head_size, time_ms, header, sig FROM entry \
                      WHERE log = $1 AND device = $2 AND lsn = $3";
const RANGE: &str = "SELECT header, sig, body FROM entry WHERE log = $1 AND pos >= $2 AND pos < $3 ORDER BY pos";
const HEADERS: &str = "SELECT header FROM entry WHERE log = $1 AND pos >= $2 AND pos < $3 ORDER BY pos";
const SIZES: &str = "SELECT length(header) + length(body) FROM entry \
                     WHERE log = $1 AND pos >= $2 AND pos < $3 ORDER BY pos";
const NAMING: &str = "SELECT header, length(body) FROM entry WHERE log = $1 AND pos >= $2 AND pos < $3 ORDER BY pos";
const BODY_BYTES: &str = "SELECT coalesce(sum(length(body)), 0) FROM entry WHERE log = $1 AND pos >= $2 AND pos < $3";
const DROP_BODIES: &str = "UPDATE entry SET body = $1 WHERE log = $2 AND pos >= $3 AND pos < $4 AND length(body) > 0";
const END: &str = "SELECT coalesce(max(pos) + 1, 0) FROM entry WHERE log = $1";
const CHARGED: &str =
    "SELECT coalesce(sum(length(header) + length(body)), 0), count(*) FROM entry WHERE log = $1 AND pos >= $2";
const REMOVE: &str = "DELETE FROM entry WHERE log = $1 AND pos >= $2";
const LEAVES: &str = "SELECT leaf FROM entry WHERE log = $1 AND pos >= $2 AND pos < $3 ORDER BY pos";

/// A new row.
pub(crate) struct NewEntry {
    pub(crate) log: RowId,
    pub(crate) pos: u64,
    pub(crate) device: RowId,
    pub(crate) lsn: u64,
    pub(crate) leaf: Hash,
    pub(crate) head_size: u64,
    pub(crate) time_ms: u64,
    pub(crate) header: Vec<u8>,
    pub(crate) sig: [u8; 64],
    pub(crate) body: Vec<u8>,
}

pub(crate) async fn insert(conn: &mut Conn, rows: &[NewEntry]) -> Result<(), StorageError> {
    let bind = INSERT.run(conn, rows, |query, row| {
        let query = query.bind(row.log).bind(stored(row.pos)).bind(row.device).bind(stored(row.lsn));
        let query = query.bind(row.leaf.as_slice()).bind(stored(row.head_size)).bind(stored(row.time_ms));
        query.bind(row.header.as_slice()).bind(row.sig.as_slice()).bind(row.body.as_slice())
    });
    bind.await.map(drop)
}

/// Returns what a device appended as its entry `lsn`.
pub(crate) async fn by_lsn(
    conn: &mut Conn,
    log: RowId,
    device: RowId,
    lsn: u64,
) -> Result<Option<PlacedRow>, StorageError> {
    let query = query(BY_LSN).bind(log).bind(device).bind(stored(lsn));
    let row = query.fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| {
        let cells = Cells::new(&row, TABLE);
        Ok(PlacedRow {
            pos: cells.number(0)?,
            leaf: cells.hash(1)?,
            head_size: cells.number(2)?,
            time_ms: cells.number(3)?,
            header: cells.bytes(4)?.to_vec(),
            sig: cells.fixed(5)?,
        })
    })
    .transpose()
}

/// Returns the entries `from..to`.
pub(crate) async fn range(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<Vec<EntryRow>, StorageError> {
    let rows = in_line(conn, RANGE, line, from, to).await?;
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        Ok(EntryRow { header: cells.bytes(0)?.to_vec(), sig: cells.fixed(1)?, body: cells.bytes(2)?.to_vec() })
    };
    rows.iter().map(read).collect()
}

/// Returns the headers of the entries `from..to`.
pub(crate) async fn headers(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<Vec<Vec<u8>>, StorageError> {
    let rows = in_line(conn, HEADERS, line, from, to).await?;
    rows.iter().map(|row| Ok(Cells::new(row, TABLE).bytes(0)?.to_vec())).collect()
}

/// Returns the headers of the entries `from..to`, each with how many bytes of its body are there.
pub(crate) async fn naming(
    conn: &mut Conn,
    line: &Line,
    from: u64,
    to: u64,
) -> Result<Vec<(Vec<u8>, u64)>, StorageError> {
    let rows = in_line(conn, NAMING, line, from, to).await?;
    let read = |row: &Row| Ok((Cells::new(row, TABLE).bytes(0)?.to_vec(), Cells::new(row, TABLE).number(1)?));
    rows.iter().map(read).collect()
}

/// Returns the bytes of header and body of the entries `from..to`.
pub(crate) async fn sizes(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<Vec<u64>, StorageError> {
    let rows = in_line(conn, SIZES, line, from, to).await?;
    rows.iter().map(|row| Cells::new(row, TABLE).number(0)).collect()
}

/// Returns the leaves `from..to`.
pub(crate) async fn leaves(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<Vec<Hash>, StorageError> {
    let rows = in_line(conn, LEAVES, line, from, to).await?;
    rows.iter().map(|row| Cells::new(row, TABLE).hash(0)).collect()
}

/// Asks for a range wherever it lies.
async fn in_line(
    conn: &mut Conn,
    question: &'static str,
    line: &Line,
    from: u64,
    to: u64,
) -> Result<Vec<Row>, StorageError> {
    let mut rows = Vec::new();
    for (log, from, to) in line.parts(0, from, to) {
        let query = query(question).bind(log).bind(stored(from)).bind(stored(to));
        rows.append(&mut query.fetch_all(&mut *conn).await.map_err(in_table(TABLE))?);
    }
    Ok(rows)
}

/// Returns how many bytes the bodies of the entries `from..to` of a row of logs have.
pub(crate) async fn body_bytes(conn: &mut Conn, log: RowId, from: u64, to: u64) -> Result<u64, StorageError> {
    let query = query(BODY_BYTES).bind(log).bind(stored(from)).bind(stored(to));
    let row = query.fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}

/// Removes the last `limit` entries of a log that comes to nothing; returns the bytes of header and body, and how many they were.
pub(crate) async fn remove_last(conn: &mut Conn, log: RowId, limit: u64) -> Result<(u64, u64), StorageError> {
    let row = query(END).bind(log).fetch_one(&mut *conn).await.map_err(in_table(TABLE))?;
    let from = Cells::new(&row, TABLE).number(0)?.saturating_sub(limit);
    let row = query(CHARGED).bind(log).bind(stored(from)).fetch_one(&mut *conn).await.map_err(in_table(TABLE))?;
    let removed = (Cells::new(&row, TABLE).number(0)?, Cells::new(&row, TABLE).number(1)?);
    query(REMOVE).bind(log).bind(stored(from)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(removed)
}

/// Drops the bodies of the entries `from..to`; all else of them stays.
pub(crate) async fn drop_bodies(conn: &mut Conn, log: RowId, from: u64, to: u64) -> Result<(), StorageError> {
    let query = query(DROP_BODIES).bind([].as_slice()).bind(log).bind(stored(from)).bind(stored(to));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}
