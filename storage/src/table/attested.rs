//! `attested` and `attested_names`: sign-ins, and the names that were asked for on their strength.

use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;
use crate::people::AttestedRow;

const TABLE: &str = "attested";
const NAMES_TABLE: &str = "attested_names";

const INSERT: &str = "INSERT INTO attested (evidence, account, email, issuer, sign, kex, until_s) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";
const LOAD: &str = "SELECT account, email, issuer, sign, kex, until_s FROM attested WHERE evidence = $1";
const SWEEP_NAMES: &str = "DELETE FROM attested_names WHERE evidence IN \
                           (SELECT evidence FROM attested WHERE until_s <= $1 ORDER BY until_s, evidence LIMIT 16)";
const SWEEP: &str = "DELETE FROM attested WHERE evidence IN \
                     (SELECT evidence FROM attested WHERE until_s <= $1 ORDER BY until_s, evidence LIMIT 16)";
const ADD_NAME: &str =
    "INSERT INTO attested_names (evidence, name) VALUES ($1, $2) ON CONFLICT (evidence, name) DO NOTHING";
const NAMES: &str = "SELECT count(*) FROM attested_names WHERE evidence = $1";
const REMOVE_NAME: &str = "DELETE FROM attested_names WHERE evidence = $1 AND name = $2";

pub(crate) async fn insert(conn: &mut Conn, row: &AttestedRow) -> Result<(), StorageError> {
    let query = query(INSERT).bind(row.evidence.as_slice()).bind(row.account.as_slice());
    let query = query.bind(row.email.as_ref().map(Hash::as_slice)).bind(row.issuer.as_slice());
    let query = query.bind(row.sign.as_slice()).bind(row.kex.as_slice()).bind(stored(row.until_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn load(conn: &mut Conn, evidence: &Hash) -> Result<Option<AttestedRow>, StorageError> {
    let row = query(LOAD).bind(evidence.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    let Some(row) = row else { return Ok(None) };
    let cells = Cells::new(&row, TABLE);
    Ok(Some(AttestedRow {
        evidence: *evidence,
        account: cells.hash(0)?,
        email: cells.optional_fixed(1)?,
        issuer: cells.hash(2)?,
        sign: cells.hash(3)?,
        kex: cells.hash(4)?,
        until_s: cells.number(5)?,
    }))
}

/// Deletes some of the sign-ins that are too old, with their names; returns how many.
pub(crate) async fn sweep(conn: &mut Conn, now_s: u64) -> Result<usize, StorageError> {
    query(SWEEP_NAMES).bind(stored(now_s)).execute(&mut *conn).await.map_err(in_table(NAMES_TABLE))?;
    let done = query(SWEEP).bind(stored(now_s)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

pub(crate) async fn add_name(conn: &mut Conn, evidence: &Hash, name: &str) -> Result<(), StorageError> {
    let query = query(ADD_NAME).bind(evidence.as_slice()).bind(name);
    query.execute(conn).await.map_err(in_table(NAMES_TABLE)).map(drop)
}

pub(crate) async fn names(conn: &mut Conn, evidence: &Hash) -> Result<u64, StorageError> {
    let row = query(NAMES).bind(evidence.as_slice()).fetch_one(conn).await.map_err(in_table(NAMES_TABLE))?;
    Cells::new(&row, NAMES_TABLE).number(0)
}

pub(crate) async fn remove_name(conn: &mut Conn, evidence: &Hash, name: &str) -> Result<(), StorageError> {
    let query = query(REMOVE_NAME).bind(evidence.as_slice()).bind(name);
    query.execute(conn).await.map_err(in_table(NAMES_TABLE)).map(drop)
}
