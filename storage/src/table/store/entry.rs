//! `entry`: the entries of logs, by place; old ones lie in segments, and what stays of them is in `packed`.

use dgns_api::store::content::ContentId;
use identity::hash::Hash;

use super::{RowId, packed, segment};
use crate::database::{Cells, Conn, ManyRows, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::block::Mark;
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
const SIZES: &str = "SELECT length(header) + length(body) FROM entry \
                     WHERE log = $1 AND pos >= $2 AND pos < $3 ORDER BY pos";
const NAMING: &str = "SELECT header, length(body) FROM entry WHERE log = $1 AND pos >= $2 AND pos < $3 ORDER BY pos";
const BODY_BYTES: &str = "SELECT coalesce(sum(length(body)), 0) FROM entry WHERE log = $1 AND pos >= $2 AND pos < $3";
const DROP_BODIES: &str = "UPDATE entry SET body = $1 WHERE log = $2 AND pos >= $3 AND pos < $4 AND length(body) > 0";
const END: &str = "SELECT coalesce(max(pos) + 1, 0) FROM entry WHERE log = $1";
const CHARGED: &str =
    "SELECT coalesce(sum(length(header) + length(body)), 0), count(*) FROM entry WHERE log = $1 AND pos >= $2";
const REMOVE: &str = "DELETE FROM entry WHERE log = $1 AND pos >= $2";
// From the end of the last segment on: what was removed before it may lie in the index for a while.
const COLD: &str = "SELECT id FROM dblog WHERE id > $1 AND id <= $2 AND kind > 0 AND counted >= to_count \
                    AND (SELECT time_ms FROM entry WHERE entry.log = dblog.id AND pos >= coalesce((SELECT first + count FROM segment \
                    WHERE segment.log = dblog.id ORDER BY first DESC LIMIT 1), 0) ORDER BY pos LIMIT 1) <= $3 ORDER BY id LIMIT 1";
const OLDEST: &str = "SELECT pos, time_ms, length(header) + length(body) FROM entry WHERE log = $1 AND pos >= coalesce((SELECT \
                      first + count FROM segment WHERE log = $1 ORDER BY first DESC LIMIT 1), 0) ORDER BY pos LIMIT $2";
const WHOLE: &str = "SELECT leaf, device, lsn, head_size, time_ms, header, sig, body FROM entry \
                     WHERE log = $1 AND pos >= $2 AND pos < $3 ORDER BY pos";
const THERE: &str = "SELECT count(*), coalesce(sum(length(header) + length(body)), 0) FROM entry WHERE log = $1 AND pos >= $2 AND pos < $3";
const PACK: &str = "DELETE FROM entry WHERE log = $1 AND pos >= $2 AND pos < $3";
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
    let Some(row) = query.fetch_optional(&mut *conn).await.map_err(in_table(TABLE))? else {
        let found = packed::by_lsn(conn, log, device, lsn).await?;
        return Ok(found.map(|(pos, Mark { leaf, head_size, time_ms, .. })| PlacedRow {
            pos,
            leaf,
            head_size,
            time_ms,
            signed: None,
        }));
    };
    let cells = Cells::new(&row, TABLE);
    Ok(Some(PlacedRow {
        pos: cells.number(0)?,
        leaf: cells.hash(1)?,
        head_size: cells.number(2)?,
        time_ms: cells.number(3)?,
        signed: Some((cells.bytes(4)?.to_vec(), cells.fixed(5)?)),
    }))
}

/// An entry, or where it lies.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// In the table.
    Here(EntryRow),
    /// In a segment.
    Packed {
        /// The object.
        chunk: ContentId,
        /// Of the object.
        bytes: u64,
        /// Its place in the log.
        pos: u64,
        /// What stays of it here.
        mark: Mark,
    },
}

/// Returns the entries `from..to`, all of which are in the table.
pub(crate) async fn range(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<Vec<EntryRow>, StorageError> {
    let found = found(conn, line, from, to).await?.into_iter();
    let here = found.map(|found| match found {
        Found::Here(row) => Ok(row),
        Found::Packed { .. } => Err(StorageError::inconsistent(TABLE, "an entry is packed that never is")),
    });
    here.collect()
}

/// Returns the entries `from..to`, or where they lie.
pub(crate) async fn found(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<Vec<Found>, StorageError> {
    let mut all = Vec::new();
    for (log, from, to) in line.parts(0, from, to) {
        let (marks, rows) = part(conn, RANGE, log, from, to).await?;
        if !marks.is_empty() {
            let segments = segment::range(conn, log, from, from + marks.len() as u64).await?;
            for (pos, mark) in (from..).zip(marks) {
                let of = segments.iter().find(|segment| (segment.first..segment.end()).contains(&pos));
                let of = of.ok_or_else(|| StorageError::inconsistent("segment", "a packed entry is in no segment"))?;
                all.push(Found::Packed { chunk: of.chunk, bytes: of.bytes, pos, mark });
            }
        }
        for row in &rows {
            let cells = Cells::new(row, TABLE);
            let body = cells.bytes(2)?.to_vec();
            all.push(Found::Here(EntryRow { header: cells.bytes(0)?.to_vec(), sig: cells.fixed(1)?, body }));
        }
    }
    Ok(all)
}

/// Returns the headers of the entries `from..to` of a row of logs that never packed any, each with how many bytes of its body are there.
pub(crate) async fn naming(
    conn: &mut Conn,
    log: RowId,
    from: u64,
    to: u64,
) -> Result<Vec<(Vec<u8>, u64)>, StorageError> {
    let query = query(NAMING).bind(log).bind(stored(from)).bind(stored(to));
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    let read = |row: &Row| Ok((Cells::new(row, TABLE).bytes(0)?.to_vec(), Cells::new(row, TABLE).number(1)?));
    rows.iter().map(read).collect()
}

/// Returns the bytes of header and body of the entries `from..to`.
pub(crate) async fn sizes(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<Vec<u64>, StorageError> {
    let mut sizes = Vec::new();
    for (log, from, to) in line.parts(0, from, to) {
        let (marks, rows) = part(conn, SIZES, log, from, to).await?;
        sizes.extend(marks.iter().map(|mark| mark.header_bytes + mark.body_bytes));
        for row in &rows {
            sizes.push(Cells::new(row, TABLE).number(0)?);
        }
    }
    Ok(sizes)
}

/// Returns the leaves `from..to`.
pub(crate) async fn leaves(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<Vec<Hash>, StorageError> {
    let mut leaves = Vec::new();
    for (log, from, to) in line.parts(0, from, to) {
        let (marks, rows) = part(conn, LEAVES, log, from, to).await?;
        leaves.extend(marks.iter().map(|mark| mark.leaf));
        for row in &rows {
            leaves.push(Cells::new(row, TABLE).hash(0)?);
        }
    }
    Ok(leaves)
}

/// Asks for entries of a row of logs: what is kept of those that are packed, which are the first ones, and the rows of all others.
async fn part(
    conn: &mut Conn,
    question: &'static str,
    log: RowId,
    from: u64,
    to: u64,
) -> Result<(Vec<Mark>, Vec<Row>), StorageError> {
    let query = query(question).bind(log).bind(stored(from)).bind(stored(to));
    let rows = query.fetch_all(&mut *conn).await.map_err(in_table(TABLE))?;
    let packed = (to - from).saturating_sub(rows.len() as u64);
    let marks = match packed {
        0 => Vec::new(),
        _ => packed::marks(conn, log, from, from + packed).await?,
    };
    Ok((marks, rows))
}

/// An entry that is to be packed.
pub(crate) struct Whole {
    pub(crate) mark: Mark,
    pub(crate) entry: EntryRow,
}

/// Returns the first log of those behind the row `after` up to `last`, but control logs, whose oldest entry in the table is of `before_ms` or older.
pub(crate) async fn cold(
    conn: &mut Conn,
    after: RowId,
    last: RowId,
    before_ms: u64,
) -> Result<Option<RowId>, StorageError> {
    let query = query(COLD).bind(after).bind(last).bind(stored(before_ms));
    let row = query.fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Cells::new(&row, TABLE).small(0)).transpose()
}

/// Returns place, time and bytes of the first entries of a row of logs that are in the table.
pub(crate) async fn oldest(conn: &mut Conn, log: RowId, limit: u64) -> Result<Vec<(u64, u64, u64)>, StorageError> {
    let rows = query(OLDEST).bind(log).bind(stored(limit)).fetch_all(conn).await.map_err(in_table(TABLE))?;
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        Ok((cells.number(0)?, cells.number(1)?, cells.number(2)?))
    };
    rows.iter().map(read).collect()
}

/// Returns all that is in the table of the entries `from..to` of a row of logs.
pub(crate) async fn whole(conn: &mut Conn, log: RowId, from: u64, to: u64) -> Result<Vec<Whole>, StorageError> {
    let query = query(WHOLE).bind(log).bind(stored(from)).bind(stored(to));
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        let (header, body) = (cells.bytes(5)?.to_vec(), cells.bytes(7)?.to_vec());
        let mark = Mark {
            leaf: cells.hash(0)?,
            device: cells.small(1)?,
            lsn: cells.number(2)?,
            head_size: cells.number(3)?,
            time_ms: cells.number(4)?,
            header_bytes: header.len() as u64,
            body_bytes: body.len() as u64,
        };
        Ok(Whole { mark, entry: EntryRow { header, sig: cells.fixed(6)?, body } })
    };
    rows.iter().map(read).collect()
}

/// Returns how many of the entries `from..to` of a row of logs are in the table, and the bytes of their headers and bodies.
pub(crate) async fn there(conn: &mut Conn, log: RowId, from: u64, to: u64) -> Result<(u64, u64), StorageError> {
    let query = query(THERE).bind(log).bind(stored(from)).bind(stored(to));
    let row = query.fetch_one(conn).await.map_err(in_table(TABLE))?;
    Ok((Cells::new(&row, TABLE).number(0)?, Cells::new(&row, TABLE).number(1)?))
}

/// Removes the entries `from..to` of a row of logs, which are packed now.
pub(crate) async fn remove_packed(conn: &mut Conn, log: RowId, from: u64, to: u64) -> Result<(), StorageError> {
    let query = query(PACK).bind(log).bind(stored(from)).bind(stored(to));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
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

/// Drops the bodies of the entries `from..to` of a row of logs, and returns how many bytes these were; all else of them stays. What lies in segments
/// is not there any more from then on, and goes when they are written anew.
pub(crate) async fn drop_bodies(conn: &mut Conn, log: RowId, from: u64, to: u64) -> Result<u64, StorageError> {
    let asked = query(BODY_BYTES).bind(log).bind(stored(from)).bind(stored(to));
    let row = asked.fetch_one(&mut *conn).await.map_err(in_table(TABLE))?;
    let here = Cells::new(&row, TABLE).number(0)?;
    if here > 0 {
        let query = query(DROP_BODIES).bind([].as_slice()).bind(log).bind(stored(from)).bind(stored(to));
        query.execute(&mut *conn).await.map_err(in_table(TABLE))?;
    }
    let packed = packed::drop_bodies(conn, log, from, to).await?;
    segment::add_dead(conn, log, &packed).await?;
    Ok(packed.iter().fold(here, |sum, (_, bytes)| sum + bytes))
}
