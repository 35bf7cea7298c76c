//! `db`: the databases.

use dgns_api::store::acl::Stage;
use dgns_api::store::control::DbKind;
use identity::did::Did;
use identity::name::Origin;

use super::RowId;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::rows::{DbRow, Dropped};
use crate::table::stored;

const TABLE: &str = "db";

const BY_DID: &str = "SELECT id, did, account, kind, created_ms, stage, dropped, home FROM db WHERE did = $1";
const BY_ID: &str = "SELECT id, did, account, kind, created_ms, stage, dropped, home FROM db WHERE id = $1";
const INSERT: &str =
    "INSERT INTO db (id, did, account, kind, created_ms, stage, home) VALUES ($1, $2, $3, $4, $5, $6, $7)";
const OF_ACCOUNT: &str =
    "SELECT id, did, account, kind, created_ms, stage, dropped, home FROM db WHERE account = $1 ORDER BY id LIMIT $2";
const UNSWEPT: &str = "SELECT id, did, account, kind, created_ms, stage, dropped, home FROM db \
                       WHERE account = $1 AND dropped <> 2 ORDER BY id LIMIT 1";
const OVERDUE: &str = "SELECT id, did, account, kind, created_ms, stage, dropped, home FROM db \
                       WHERE stage = 5 AND (created_ms <= $1 OR dropped <> 0) ORDER BY created_ms LIMIT 1";
const REMOVE: [(&str, &str); 3] = [
    ("member", "DELETE FROM member WHERE db = $1"),
    ("grp", "DELETE FROM grp WHERE db = $1"),
    (TABLE, "DELETE FROM db WHERE id = $1"),
];
const DROP: &str = "UPDATE db SET dropped = $1 WHERE id = $2";
const TAKE_BACK: &str = "UPDATE db SET dropped = 3 WHERE account = $1 AND (dropped = 1 OR dropped = 2)";
const TO_STAGE: &str = "UPDATE db SET stage = $1 WHERE id = $2";

pub(crate) async fn by_did(conn: &mut Conn, did: &Did) -> Result<Option<DbRow>, StorageError> {
    let query = query(BY_DID).bind(did.as_bytes().as_slice());
    query.fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

pub(crate) async fn by_id(conn: &mut Conn, id: RowId) -> Result<Option<DbRow>, StorageError> {
    query(BY_ID).bind(id).fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

pub(crate) async fn insert(conn: &mut Conn, row: &DbRow) -> Result<(), StorageError> {
    let query = query(INSERT).bind(row.id).bind(row.did.as_bytes().as_slice()).bind(row.account);
    let query = query.bind(row.kind as i64).bind(stored(row.created_ms)).bind(row.stage as i64);
    let query = query.bind(row.home.as_ref().map(Origin::as_str));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Writes what a database has come to.
pub(crate) async fn to_stage(conn: &mut Conn, id: RowId, stage: Stage) -> Result<(), StorageError> {
    let query = query(TO_STAGE).bind(stage as i64).bind(id);
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Returns the databases of an account, the oldest first.
pub(crate) async fn of_account(conn: &mut Conn, account: RowId, limit: u64) -> Result<Vec<DbRow>, StorageError> {
    let query = query(OF_ACCOUNT).bind(account).bind(stored(limit));
    query.fetch_all(conn).await.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Returns the first database of an account whose bodies are not all gone.
pub(crate) async fn unswept(conn: &mut Conn, account: RowId) -> Result<Option<DbRow>, StorageError> {
    query(UNSWEPT).bind(account).fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

/// Returns a database on its way here that was begun by a time, Unix milliseconds, or is dropped.
pub(crate) async fn overdue(conn: &mut Conn, begun_ms: u64) -> Result<Option<DbRow>, StorageError> {
    let query = query(OVERDUE).bind(stored(begun_ms));
    query.fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

/// Removes a database that came to nothing, and who was something in it.
pub(crate) async fn remove(conn: &mut Conn, id: RowId) -> Result<(), StorageError> {
    for (table, statement) in REMOVE {
        query(statement).bind(id).execute(&mut *conn).await.map_err(in_table(table))?;
    }
    Ok(())
}

/// Writes whether its data is dropped.
pub(crate) async fn to_dropped(conn: &mut Conn, id: RowId, dropped: Dropped) -> Result<(), StorageError> {
    query(DROP).bind(dropped as i64).bind(id).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Lets the databases of an account go on that were dropped, or are being.
pub(crate) async fn take_back(conn: &mut Conn, account: RowId) -> Result<(), StorageError> {
    query(TAKE_BACK).bind(account).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

fn read(row: &Row) -> Result<DbRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(DbRow {
        id: cells.small(0)?,
        did: Did::from_bytes(cells.fixed(1)?),
        account: cells.small(2)?,
        kind: DbKind::from_number(cells.number(3)?)
            .ok_or_else(|| StorageError::inconsistent(TABLE, "a database is of no kind"))?,
        created_ms: cells.number(4)?,
        stage: Stage::from_number(cells.small(5)?)
            .ok_or_else(|| StorageError::inconsistent(TABLE, "a database is in no stage"))?,
        dropped: match cells.number(6)? {
            0 => Dropped::No,
            1 => Dropped::Going,
            2 => Dropped::Gone,
            3 => Dropped::PaidAgain,
            _ => return Err(StorageError::inconsistent(TABLE, "a database is dropped in no way")),
        },
        home: match cells.optional_text(7)? {
            None => None,
            Some(home) => {
                Some(Origin::parse(home).map_err(|_| StorageError::inconsistent(TABLE, "a home is no origin"))?)
            }
        },
    })
}
