//! `account`: what each account may use, and uses.

use identity::did::Did;

use super::{RowId, last_id};
use crate::database::{Cells, Conn, ManyRows, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::rows::AccountRow;
use crate::table::stored;

const TABLE: &str = "account";

const LAST: &str = "SELECT coalesce(max(id), 0) FROM account";
const BY_DID: &str = "SELECT id, did, quota_bytes, used_bytes, quota_entries, used_entries FROM account WHERE did = $1";
const BY_ID: &str = "SELECT id, did, quota_bytes, used_bytes, quota_entries, used_entries FROM account WHERE id = $1";
static UPSERT: ManyRows = ManyRows::new(
    TABLE,
    "INSERT INTO account (id, did, quota_bytes, used_bytes, quota_entries, used_entries) VALUES",
    6,
    "ON CONFLICT (id) DO UPDATE SET used_bytes = excluded.used_bytes, used_entries = excluded.used_entries",
);

pub(crate) async fn last(conn: &mut Conn) -> Result<RowId, StorageError> {
    last_id(conn, TABLE, LAST).await
}

pub(crate) async fn by_did(conn: &mut Conn, did: &Did) -> Result<Option<AccountRow>, StorageError> {
    let query = query(BY_DID).bind(did.as_bytes().as_slice());
    query.fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

pub(crate) async fn by_id(conn: &mut Conn, id: RowId) -> Result<Option<AccountRow>, StorageError> {
    query(BY_ID).bind(id).fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

/// Adds accounts, or writes what they use.
pub(crate) async fn upsert(conn: &mut Conn, rows: &[AccountRow]) -> Result<(), StorageError> {
    let bind = UPSERT.run(conn, rows, |query, row| {
        let query = query.bind(row.id).bind(row.did.as_bytes().as_slice());
        let query = query.bind(stored(row.quota_bytes)).bind(stored(row.used_bytes));
        query.bind(stored(row.quota_entries)).bind(stored(row.used_entries))
    });
    bind.await.map(drop)
}

fn read(row: &Row) -> Result<AccountRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(AccountRow {
        id: cells.small(0)?,
        did: Did::from_bytes(cells.fixed(1)?),
        quota_bytes: cells.number(2)?,
        used_bytes: cells.number(3)?,
        quota_entries: cells.number(4)?,
        used_entries: cells.number(5)?,
    })
}
