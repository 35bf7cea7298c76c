//! `dblog`: the logs with the edges of their trees.

use dgns_api::store::entry::{LogId, LogKind};
use translog::tree::Edge;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::line::Line;
use crate::store::rows::LogRow;
use crate::table::stored;

const TABLE: &str = "dblog";

/// A question for whole rows, as [`read`] takes them.
macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, key, db, gid, kind, label, size, edge, time_ms, base, dropped_to, trimmed_to FROM dblog ",
            $which
        )
    };
}

const BY_KEY: &str = select!("WHERE key = $1");
const BY_ID: &str = select!("WHERE id = $1");
const OF_DB: &str = select!("WHERE db = $1 ORDER BY id");
const FORKS: &str = "SELECT id, base, dropped_to FROM dblog WHERE length(base) > 0 AND id > $1 ORDER BY id LIMIT $2";
const SAID_OF_DB: &str = select!("WHERE db = $1 AND kind <= 1 ORDER BY id");
const UNSWEPT: &str = select!("WHERE db = $1 AND kind IN (1, 5) AND dropped_to < size AND id > $2 ORDER BY id LIMIT 1");
const UNTRIMMED: &str = select!("WHERE dropped_to < trimmed_to AND dropped_to < size AND id > $1 ORDER BY id LIMIT 1");
const UNCOUNTED: &str = "SELECT id, counted, to_count FROM dblog WHERE counted < to_count ORDER BY id LIMIT 1";
const COUNT_TO: &str = "UPDATE dblog SET counted = $1 WHERE id = $2";
const DROP_TO: &str = "UPDATE dblog SET dropped_to = $1 WHERE id = $2";
const REMOVE: [(&str, &str); 5] = [
    ("node", "DELETE FROM node WHERE log IN (SELECT id FROM dblog WHERE db = $1)"),
    ("cursor", "DELETE FROM cursor WHERE log IN (SELECT id FROM dblog WHERE db = $1)"),
    ("equivocation", "DELETE FROM equivocation WHERE log IN (SELECT id FROM dblog WHERE db = $1)"),
    ("snapshot", "DELETE FROM snapshot WHERE log IN (SELECT id FROM dblog WHERE db = $1)"),
    ("dblog", "DELETE FROM dblog WHERE db = $1"),
];
static BY_KEYS: ManyRows = ManyRows::new(TABLE, select!("WHERE key IN ("), 1, ")");
static SIZES: ManyRows = ManyRows::new(TABLE, "SELECT key, size FROM dblog WHERE key IN (", 1, ")");
static UPSERT: ManyRows = ManyRows::new(
    TABLE,
    "INSERT INTO dblog (id, key, db, gid, kind, label, size, edge, time_ms, base, dropped_to, trimmed_to) VALUES",
    12,
    "ON CONFLICT (id) DO UPDATE SET size = excluded.size, edge = excluded.edge, time_ms = excluded.time_ms, \
     trimmed_to = excluded.trimmed_to",
);

pub(crate) async fn by_key(conn: &mut Conn, key: &LogId) -> Result<Option<LogRow>, StorageError> {
    let query = query(BY_KEY).bind(key.0.as_slice());
    query.fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

/// As [`by_key`], of many: of those that are there, in no order.
pub(crate) async fn by_keys(conn: &mut Conn, keys: &[LogId]) -> Result<Vec<LogRow>, StorageError> {
    let rows = BY_KEYS.ask(conn, keys, |query, key| query.bind(key.0.as_slice())).await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn by_id(conn: &mut Conn, id: RowId) -> Result<Option<LogRow>, StorageError> {
    let query = query(BY_ID).bind(id);
    query.fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

/// Returns the logs of a database, the oldest first.
pub(crate) async fn of_db(conn: &mut Conn, db: RowId) -> Result<Vec<LogRow>, StorageError> {
    let rows = query(OF_DB).bind(db).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

/// Returns the control log of a database, and those that it says: not those of its users, which are many.
pub(crate) async fn said_of_db(conn: &mut Conn, db: RowId) -> Result<Vec<LogRow>, StorageError> {
    let rows = query(SAID_OF_DB).bind(db).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

/// Returns where the entries lie of logs that go on from others, with the first entry that each has not let go of: those behind the row
/// `after`, in order.
pub(crate) async fn forks(conn: &mut Conn, after: RowId, limit: u64) -> Result<Vec<(Line, u64)>, StorageError> {
    let rows = query(FORKS).bind(after).bind(stored(limit)).fetch_all(conn).await.map_err(in_table(TABLE))?;
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        Ok((Line::read(cells.small(0)?, cells.optional_bytes(1)?)?, cells.number(2)?))
    };
    rows.iter().map(read).collect()
}

/// Returns the first log of a database behind the row `after`, but its control log and what its users prove, that has not let go of all its entries. These say
/// what the others are: whoever pays again has them.
pub(crate) async fn unswept(conn: &mut Conn, db: RowId, after: RowId) -> Result<Option<LogRow>, StorageError> {
    query(UNSWEPT)
        .bind(db)
        .bind(after)
        .fetch_optional(conn)
        .await
        .map_err(in_table(TABLE))?
        .as_ref()
        .map(read)
        .transpose()
}

/// Returns the first log behind the row `after` that has not let go of all that was trimmed of it.
pub(crate) async fn untrimmed(conn: &mut Conn, after: RowId) -> Result<Option<LogRow>, StorageError> {
    query(UNTRIMMED).bind(after).fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

/// Returns a log with entries that are not counted: from where, and to where.
pub(crate) async fn uncounted(conn: &mut Conn) -> Result<Option<(RowId, u64, u64)>, StorageError> {
    let row = query(UNCOUNTED).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| {
        let cells = Cells::new(&row, TABLE);
        Ok((cells.small(0)?, cells.number(1)?, cells.number(2)?))
    })
    .transpose()
}

/// Writes the first entry of a log that is not counted.
pub(crate) async fn count_to(conn: &mut Conn, id: RowId, pos: u64) -> Result<(), StorageError> {
    query(COUNT_TO).bind(stored(pos)).bind(id).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Removes the logs of a database that came to nothing, with all that is kept of them but their entries.
pub(crate) async fn remove(conn: &mut Conn, db: RowId) -> Result<(), StorageError> {
    for (table, statement) in REMOVE {
        query(statement).bind(db).execute(&mut *conn).await.map_err(in_table(table))?;
    }
    Ok(())
}

/// Writes the first entry that a log has not let go of.
pub(crate) async fn drop_to(conn: &mut Conn, id: RowId, pos: u64) -> Result<(), StorageError> {
    query(DROP_TO).bind(stored(pos)).bind(id).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Returns how many entries each of these logs has, in no order; those that are not there are left out.
pub(crate) async fn sizes(conn: &mut Conn, keys: &[LogId]) -> Result<Vec<(LogId, u64)>, StorageError> {
    let rows = SIZES.ask(conn, keys, |query, key| query.bind(key.0.as_slice())).await?;
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        Ok((LogId(cells.fixed(0)?), cells.number(1)?))
    };
    rows.iter().map(read).collect()
}

/// Adds logs, or writes how far they got.
pub(crate) async fn upsert(conn: &mut Conn, rows: &[LogRow]) -> Result<(), StorageError> {
    let bind = UPSERT.run(conn, rows, |query, row| {
        let last = row.edge.last_leaf().into_iter().copied();
        let edge: Vec<u8> = last.chain(row.edge.last_leaf_path()).flatten().collect();
        let query = query.bind(row.id).bind(row.key.0.as_slice()).bind(row.db).bind(i64::from(row.gid));
        let query = query.bind(row.kind as i64).bind(row.label.as_str()).bind(stored(row.edge.size()));
        query
            .bind(edge)
            .bind(stored(row.time_ms))
            .bind(row.line.stored())
            .bind(stored(row.dropped_to))
            .bind(stored(row.trimmed_to))
    });
    bind.await.map(drop)
}

fn read(row: &Row) -> Result<LogRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    let wrong = |what: &str| StorageError::inconsistent(TABLE, what);
    let (hashes, rest) = cells.bytes(7)?.as_chunks::<32>();
    let edge = match (cells.number(6)?, hashes) {
        (0, []) => Edge::new(),
        (size, [last, path @ ..]) if rest.is_empty() => {
            Edge::from_parts(size, *last, path).map_err(|_| wrong("an edge does not fit its size"))?
        }
        _ => return Err(wrong("an edge does not fit its size")),
    };
    Ok(LogRow {
        id: cells.small(0)?,
        line: Line::read(cells.small(0)?, cells.optional_bytes(9)?)?,
        key: LogId(cells.fixed(1)?),
        db: cells.small(2)?,
        gid: cells.small(3)?,
        kind: LogKind::from_number(cells.number(4)?).ok_or_else(|| wrong("a kind of log that is none"))?,
        label: cells.text(5)?.to_owned(),
        edge,
        time_ms: cells.number(8)?,
        dropped_to: cells.number(10)?,
        trimmed_to: cells.number(11)?,
    })
}
