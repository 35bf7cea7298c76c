//! `db`: the databases.

use dgns_api::store::acl::Stage;
use identity::did::Did;

use super::{RowId, last_id};
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::rows::DbRow;
use crate::table::stored;

const TABLE: &str = "db";

const LAST: &str = "SELECT coalesce(max(id), 0) FROM db";
const BY_DID: &str = "SELECT id, did, account, kind, created_ms, stage FROM db WHERE did = $1";
const BY_ID: &str = "SELECT id, did, account, kind, created_ms, stage FROM db WHERE id = $1";
const INSERT: &str = "INSERT INTO db (id, did, account, kind, created_ms, stage) VALUES ($1, $2, $3, $4, $5, $6)";
const TO_STAGE: &str = "UPDATE db SET stage = $1 WHERE id = $2";

pub(crate) async fn last(conn: &mut Conn) -> Result<RowId, StorageError> {
    last_id(conn, TABLE, LAST).await
}

pub(crate) async fn by_did(conn: &mut Conn, did: &Did) -> Result<Option<DbRow>, StorageError> {
    let query = query(BY_DID).bind(did.as_bytes().as_slice());
    query.fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

pub(crate) async fn by_id(conn: &mut Conn, id: RowId) -> Result<Option<DbRow>, StorageError> {
    query(BY_ID).bind(id).fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

pub(crate) async fn insert(conn: &mut Conn, row: &DbRow) -> Result<(), StorageError> {
    let query = query(INSERT).bind(row.id).bind(row.did.as_bytes().as_slice()).bind(row.account);
    let query = query.bind(i64::from(row.kind)).bind(stored(row.created_ms)).bind(row.stage as i64);
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Writes what a database has come to.
pub(crate) async fn to_stage(conn: &mut Conn, id: RowId, stage: Stage) -> Result<(), StorageError> {
    let query = query(TO_STAGE).bind(stage as i64).bind(id);
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

fn read(row: &Row) -> Result<DbRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(DbRow {
        id: cells.small(0)?,
        did: Did::from_bytes(cells.fixed(1)?),
        account: cells.small(2)?,
        kind: cells.small(3)?,
        created_ms: cells.number(4)?,
        stage: Stage::from_number(cells.small(5)?)
            .ok_or_else(|| StorageError::inconsistent(TABLE, "a database is in no stage"))?,
    })
}
