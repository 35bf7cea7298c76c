//! `profiles` and `token_audiences`: what a DID sets about itself at this server.

use identity::did::Did;

use super::stored;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "profiles";
const AUDIENCES: &str = "token_audiences";

const LOAD: &str = "SELECT version, sealed FROM profiles WHERE did = $1";
const INSERT: &str = "INSERT INTO profiles (did, version, sealed) VALUES ($1, 1, $2) ON CONFLICT (did) DO NOTHING";
const UPDATE: &str = "UPDATE profiles SET version = version + 1, sealed = $1 WHERE did = $2 AND version = $3";
const LIFE: &str = "SELECT life_s FROM token_audiences WHERE did = $1";
const SET_LIFE: &str = "INSERT INTO token_audiences (did, life_s) VALUES ($1, $2) \
                        ON CONFLICT (did) DO UPDATE SET life_s = excluded.life_s";

pub(crate) async fn load(conn: &mut Conn, did: &Did) -> Result<Option<(u64, Vec<u8>)>, StorageError> {
    let query = query(LOAD).bind(did.as_bytes().as_slice());
    let Some(row) = query.fetch_optional(conn).await.map_err(in_table(TABLE))? else { return Ok(None) };
    let cells = Cells::new(&row, TABLE);
    Ok(Some((cells.number(0)?, cells.bytes(1)?.to_vec())))
}

/// Puts a profile in the place of the one with this version, 0 for none; false if that is another by now.
pub(crate) async fn swap(conn: &mut Conn, did: &Did, version: u64, sealed: &[u8]) -> Result<bool, StorageError> {
    let query = match version {
        0 => query(INSERT).bind(did.as_bytes().as_slice()).bind(sealed),
        _ => query(UPDATE).bind(sealed).bind(did.as_bytes().as_slice()).bind(stored(version)),
    };
    Ok(query.execute(conn).await.map_err(in_table(TABLE))?.rows_affected() == 1)
}

/// Returns how long the tokens of an audience live; `None` if it never said.
pub(crate) async fn life(conn: &mut Conn, audience: &Did) -> Result<Option<u64>, StorageError> {
    let query = query(LIFE).bind(audience.as_bytes().as_slice());
    let row = query.fetch_optional(conn).await.map_err(in_table(AUDIENCES))?;
    row.map(|row| Cells::new(&row, AUDIENCES).number(0)).transpose()
}

pub(crate) async fn set_life(conn: &mut Conn, audience: &Did, life_s: u64) -> Result<(), StorageError> {
    let query = query(SET_LIFE).bind(audience.as_bytes().as_slice()).bind(stored(life_s));
    query.execute(conn).await.map_err(in_table(AUDIENCES)).map(drop)
}
