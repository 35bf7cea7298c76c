//! `aliases`: addresses that DIDs bound, by alias id.

use identity::did::Did;
use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::AliasRow;

const TABLE: &str = "aliases";

const PUT: &str = "INSERT INTO aliases (did, alias, account, sealed, bound, since_s) VALUES ($1, $2, $3, $4, 0, $5) \
                   ON CONFLICT (did, alias) DO UPDATE SET account = excluded.account, sealed = excluded.sealed, \
                   since_s = excluded.since_s";
const COUNT: &str = "SELECT count(*) FROM aliases WHERE did = $1 AND alias <> $2";
const OF_DID: &str =
    "SELECT did, alias, account, sealed, bound, since_s FROM aliases WHERE did = $1 ORDER BY since_s, alias";
const OF_ACCOUNT: &str = "SELECT did, alias, account, sealed, bound, since_s FROM aliases WHERE account = $1 ORDER BY since_s, alias LIMIT 16";
const SET_BOUND: &str = "UPDATE aliases SET bound = 1 WHERE did = $1 AND alias = $2 AND bound = 0";
const REMOVE: &str = "DELETE FROM aliases WHERE did = $1 AND alias = $2 RETURNING account";
const SWEEP: &str = "DELETE FROM aliases WHERE (did, alias) IN \
                     (SELECT did, alias FROM aliases WHERE bound = 0 AND since_s <= $1 ORDER BY since_s LIMIT 16)";

pub(crate) async fn put(conn: &mut Conn, row: &AliasRow) -> Result<(), StorageError> {
    let query = query(PUT).bind(row.did.as_bytes().as_slice()).bind(row.alias.as_slice());
    let query = query.bind(row.account.as_slice()).bind(row.sealed.as_slice()).bind(stored(row.since_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Returns how many aliases the DID has besides this one.
pub(crate) async fn others(conn: &mut Conn, did: &Did, alias: &Hash) -> Result<u64, StorageError> {
    let query = query(COUNT).bind(did.as_bytes().as_slice()).bind(alias.as_slice());
    let row = query.fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}

pub(crate) async fn of_did(conn: &mut Conn, did: &Did) -> Result<Vec<AliasRow>, StorageError> {
    let rows = query(OF_DID).bind(did.as_bytes().as_slice()).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

pub(crate) async fn of_account(conn: &mut Conn, account: &Hash) -> Result<Vec<AliasRow>, StorageError> {
    let rows = query(OF_ACCOUNT).bind(account.as_slice()).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

pub(crate) async fn set_bound(conn: &mut Conn, did: &Did, alias: &Hash) -> Result<(), StorageError> {
    let query = query(SET_BOUND).bind(did.as_bytes().as_slice()).bind(alias.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Deletes a row; returns the account it was of.
pub(crate) async fn remove(conn: &mut Conn, did: &Did, alias: &Hash) -> Result<Option<Hash>, StorageError> {
    let query = query(REMOVE).bind(did.as_bytes().as_slice()).bind(alias.as_slice());
    let row = query.fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Cells::new(&row, TABLE).hash(0)).transpose()
}

/// Deletes some of those that the log never bound.
pub(crate) async fn sweep(conn: &mut Conn, before_s: u64) -> Result<usize, StorageError> {
    let done = query(SWEEP).bind(stored(before_s)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

fn read(row: &Row) -> Result<AliasRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(AliasRow {
        did: Did::from_bytes(cells.fixed(0)?),
        alias: cells.hash(1)?,
        account: cells.hash(2)?,
        sealed: cells.bytes(3)?.to_vec(),
        bound: cells.number(4)? != 0,
        since_s: cells.number(5)?,
    })
}
