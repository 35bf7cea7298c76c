//! `events`: what devices were told. `awaited`: acts that wait. `cursors`: how far the log was followed for either.

use identity::did::Did;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::{AwaitedRow, EventRow};

const TABLE: &str = "events";
const AWAITED: &str = "awaited";
const CURSORS: &str = "cursors";

const INSERT: &str = "INSERT INTO events (did, id, kind, data) SELECT $1, \
                      max($2, 1 + coalesce((SELECT max(id) FROM events WHERE did = $1), 0)), $3, $4";
const AFTER: &str = "SELECT id, kind, data FROM events WHERE did = $1 AND id > $2 ORDER BY id LIMIT $3";
const SWEEP: &str =
    "DELETE FROM events WHERE (did, id) IN (SELECT did, id FROM events WHERE id < $1 ORDER BY id LIMIT 1000)";
const CURSOR: &str = "SELECT idx FROM cursors WHERE name = $1";
const SET_CURSOR: &str = "INSERT INTO cursors (name, idx) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET idx = $2";
const AWAIT: &str = "INSERT INTO awaited (sid, did, due_ms, reminded) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (sid) DO UPDATE SET due_ms = $3, reminded = $4";
const FORGET: &str = "DELETE FROM awaited WHERE sid = $1";
const DUE: &str = "SELECT sid, did, due_ms, reminded FROM awaited WHERE due_ms <= $1 ORDER BY due_ms LIMIT 256";
const NEXT_DUE: &str = "SELECT min(due_ms) FROM awaited";

/// Adds an event behind those of its DID.
pub(crate) async fn insert(conn: &mut Conn, did: &Did, at_ms: u64, kind: u8, data: &str) -> Result<(), StorageError> {
    let query = query(INSERT).bind(did.as_bytes().as_slice()).bind(stored(at_ms)).bind(i64::from(kind));
    query.bind(data).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn after(conn: &mut Conn, did: &Did, id: u64, most: u64) -> Result<Vec<EventRow>, StorageError> {
    let query = query(AFTER).bind(did.as_bytes().as_slice()).bind(stored(id)).bind(stored(most));
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        Ok(EventRow { id: cells.number(0)?, kind: cells.small(1)?, data: cells.text(2)?.to_owned() })
    };
    query.fetch_all(conn).await.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Deletes some of the events told before `before_ms`; returns how many.
pub(crate) async fn sweep(conn: &mut Conn, before_ms: u64) -> Result<usize, StorageError> {
    let done = query(SWEEP).bind(stored(before_ms)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

pub(crate) async fn cursor(conn: &mut Conn, name: &str) -> Result<Option<u64>, StorageError> {
    let row = query(CURSOR).bind(name).fetch_optional(conn).await.map_err(in_table(CURSORS))?;
    row.map(|row| Cells::new(&row, CURSORS).number(0)).transpose()
}

pub(crate) async fn set_cursor(conn: &mut Conn, name: &str, index: u64) -> Result<(), StorageError> {
    let query = query(SET_CURSOR).bind(name).bind(stored(index));
    query.execute(conn).await.map_err(in_table(CURSORS)).map(drop)
}

pub(crate) async fn put_awaited(conn: &mut Conn, row: &AwaitedRow) -> Result<(), StorageError> {
    let query = query(AWAIT).bind(row.sid.as_slice()).bind(row.did.as_bytes().as_slice());
    let query = query.bind(stored(row.due_ms)).bind(i64::from(row.reminded));
    query.execute(conn).await.map_err(in_table(AWAITED)).map(drop)
}

pub(crate) async fn forget_awaited(conn: &mut Conn, sid: &[u8; 32]) -> Result<bool, StorageError> {
    let done = query(FORGET).bind(sid.as_slice()).execute(conn).await.map_err(in_table(AWAITED))?;
    Ok(done.rows_affected() > 0)
}

pub(crate) async fn awaited_by(conn: &mut Conn, now_ms: u64) -> Result<Vec<AwaitedRow>, StorageError> {
    let read = |row: &Row| {
        let cells = Cells::new(row, AWAITED);
        let did = Did::from_bytes(cells.fixed(1)?);
        Ok(AwaitedRow { sid: cells.hash(0)?, did, due_ms: cells.number(2)?, reminded: cells.number(3)? != 0 })
    };
    let rows = query(DUE).bind(stored(now_ms)).fetch_all(conn).await.map_err(in_table(AWAITED))?;
    rows.iter().map(read).collect()
}

/// Returns when the next act that waits is looked at.
pub(crate) async fn next_awaited_ms(conn: &mut Conn) -> Result<Option<u64>, StorageError> {
    let row = query(NEXT_DUE).fetch_one(conn).await.map_err(in_table(AWAITED))?;
    Cells::new(&row, AWAITED).optional_number(0)
}
