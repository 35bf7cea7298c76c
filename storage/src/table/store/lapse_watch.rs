//! `lapse_watch`: for how long servers watched leases that are over.

use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;
use crate::table::stored;

const TABLE: &str = "lapse_watch";

const LOAD: &str = "SELECT watched_ms FROM lapse_watch WHERE id = 1";
const SET: &str = "UPDATE lapse_watch SET watched_ms = $1 WHERE id = 1";

pub(crate) async fn load(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(LOAD).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}

pub(crate) async fn set(conn: &mut Conn, watched_ms: u64) -> Result<(), StorageError> {
    query(SET).bind(stored(watched_ms)).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}
