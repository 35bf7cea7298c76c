//! `attachments`: what certificates name by hash and only a DID's own devices may read. `labels`: what it calls its devices.

use identity::did::Did;
use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "attachments";
const LABELS: &str = "labels";

const INSERT: &str = "INSERT INTO attachments (hash, did, generation, body, kept_s) VALUES ($1, $2, $3, $4, $5) \
                      ON CONFLICT (hash) DO UPDATE SET kept_s = $5";
const BODY: &str = "SELECT body FROM attachments WHERE hash = $1 AND did = $2";
const LIST: &str = "SELECT generation, hash FROM attachments WHERE did = $1 AND generation <= $2 ORDER BY generation";
const FORGET: &str = "DELETE FROM attachments WHERE did = $1 AND generation = $2 AND hash <> $3 AND kept_s < $4";
const PUT_LABEL: &str =
    "INSERT INTO labels (did, kid, sealed) VALUES ($1, $2, $3) ON CONFLICT (did, kid) DO UPDATE SET sealed = $3";
const LABELS_OF: &str = "SELECT kid, sealed FROM labels WHERE did = $1 ORDER BY kid";
const DROP_LABEL: &str = "DELETE FROM labels WHERE did = $1 AND kid = $2";

pub(crate) async fn insert(
    conn: &mut Conn,
    did: &Did,
    generation: u64,
    hash: &Hash,
    body: &[u8],
    now_s: u64,
) -> Result<(), StorageError> {
    let query = query(INSERT).bind(hash.as_slice()).bind(did.as_bytes().as_slice()).bind(stored(generation));
    query.bind(body).bind(stored(now_s)).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn body(conn: &mut Conn, did: &Did, hash: &Hash) -> Result<Option<Vec<u8>>, StorageError> {
    let query = query(BODY).bind(hash.as_slice()).bind(did.as_bytes().as_slice());
    let row = query.fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Ok(Cells::new(&row, TABLE).bytes(0)?.to_vec())).transpose()
}

pub(crate) async fn list(conn: &mut Conn, did: &Did, newest: u64) -> Result<Vec<(u64, Hash)>, StorageError> {
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        Ok((cells.number(0)?, cells.hash(1)?))
    };
    let query = query(LIST).bind(did.as_bytes().as_slice()).bind(stored(newest));
    query.fetch_all(conn).await.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Deletes other attachments of a generation that came before `before_s`: their certificates were never taken.
pub(crate) async fn forget_others(
    conn: &mut Conn,
    did: &Did,
    generation: u64,
    hash: &Hash,
    before_s: u64,
) -> Result<(), StorageError> {
    let query = query(FORGET).bind(did.as_bytes().as_slice()).bind(stored(generation)).bind(hash.as_slice());
    query.bind(stored(before_s)).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn put_label(conn: &mut Conn, did: &Did, kid: &[u8; 8], sealed: &[u8]) -> Result<(), StorageError> {
    let query = query(PUT_LABEL).bind(did.as_bytes().as_slice()).bind(kid.as_slice()).bind(sealed);
    query.execute(conn).await.map_err(in_table(LABELS)).map(drop)
}

pub(crate) async fn drop_label(conn: &mut Conn, did: &Did, kid: &[u8; 8]) -> Result<(), StorageError> {
    let query = query(DROP_LABEL).bind(did.as_bytes().as_slice()).bind(kid.as_slice());
    query.execute(conn).await.map_err(in_table(LABELS)).map(drop)
}

pub(crate) async fn labels(conn: &mut Conn, did: &Did) -> Result<Vec<([u8; 8], Vec<u8>)>, StorageError> {
    let read = |row: &Row| {
        let cells = Cells::new(row, LABELS);
        Ok((cells.fixed(0)?, cells.bytes(1)?.to_vec()))
    };
    let query = query(LABELS_OF).bind(did.as_bytes().as_slice());
    query.fetch_all(conn).await.map_err(in_table(LABELS))?.iter().map(read).collect()
}
