//! `dns_volatile`, `dns_signed`: records that devices put into DNS, and the updates that did or would have.

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::{SignedUpdate, VolatileRow};

const TABLE: &str = "dns_volatile";

const ALL: &str = "SELECT name, owner, rtype, rdata, ttl_s, did, key, until_s FROM dns_volatile ORDER BY name, until_s";
const CLEAR: &str = "DELETE FROM dns_volatile WHERE name = $1";
const PUT: &str = "INSERT INTO dns_volatile (name, owner, rtype, rdata, ttl_s, did, key, until_s) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

const SIGNED: &str = "dns_signed";

const ALL_SIGNED: &str = "SELECT signed, did, until_s FROM dns_signed ORDER BY until_s";
const FORGET: &str = "DELETE FROM dns_signed WHERE until_s < $1";
const REMEMBER: &str = "INSERT INTO dns_signed (signed, did, until_s) VALUES ($1, $2, $3)";

pub(crate) async fn all(conn: &mut Conn) -> Result<Vec<VolatileRow>, StorageError> {
    query(ALL).fetch_all(conn).await.map_err(in_table(TABLE))?.iter().map(read).collect()
}

pub(crate) async fn clear(conn: &mut Conn, name: &str) -> Result<(), StorageError> {
    query(CLEAR).bind(name).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn put(conn: &mut Conn, row: &VolatileRow) -> Result<(), StorageError> {
    let query = query(PUT).bind(row.name.as_str()).bind(row.owner.as_str()).bind(i64::from(row.rtype));
    let query = query.bind(row.rdata.as_slice()).bind(i64::from(row.ttl_s));
    let query = query.bind(row.did.as_slice()).bind(row.key.as_slice()).bind(stored(row.until_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn signed(conn: &mut Conn) -> Result<Vec<SignedUpdate>, StorageError> {
    query(ALL_SIGNED).fetch_all(conn).await.map_err(in_table(SIGNED))?.iter().map(read_signed).collect()
}

pub(crate) async fn forget(conn: &mut Conn, now_s: u64) -> Result<(), StorageError> {
    query(FORGET).bind(stored(now_s)).execute(conn).await.map_err(in_table(SIGNED)).map(drop)
}

pub(crate) async fn remember(conn: &mut Conn, update: &SignedUpdate) -> Result<(), StorageError> {
    let query = query(REMEMBER).bind(update.signed.as_slice()).bind(update.did.as_slice());
    query.bind(stored(update.until_s)).execute(conn).await.map_err(in_table(SIGNED)).map(drop)
}

fn read_signed(row: &Row) -> Result<SignedUpdate, StorageError> {
    let cells = Cells::new(row, SIGNED);
    Ok(SignedUpdate { signed: cells.fixed(0)?, did: cells.fixed(1)?, until_s: cells.number(2)? })
}

fn read(row: &Row) -> Result<VolatileRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(VolatileRow {
        name: cells.text(0)?.to_owned(),
        owner: cells.text(1)?.to_owned(),
        rtype: cells.small(2)?,
        rdata: cells.bytes(3)?.to_vec(),
        ttl_s: cells.small(4)?,
        did: cells.fixed(5)?,
        key: cells.fixed(6)?,
        until_s: cells.number(7)?,
    })
}
