//! `dns_volatile`: records that devices put into DNS.

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::VolatileRow;

const TABLE: &str = "dns_volatile";

const ALL: &str = "SELECT name, owner, rtype, rdata, ttl_s, did, key, until_s FROM dns_volatile ORDER BY name";
const CLEAR: &str = "DELETE FROM dns_volatile WHERE name = $1";
const PUT: &str = "INSERT INTO dns_volatile (name, owner, rtype, rdata, ttl_s, did, key, until_s) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

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
