//! `chunk`: immutable bytes by hash; small ones with their bytes.

use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;
use crate::store::rows::ChunkRow;
use crate::table::stored;

const TABLE: &str = "chunk";

const LOAD: &str = "SELECT size, body FROM chunk WHERE id = $1";
const INSERT: &str = "INSERT INTO chunk (id, size, since_ms, body) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING";

pub(crate) async fn load(conn: &mut Conn, id: &[u8; 32]) -> Result<Option<ChunkRow>, StorageError> {
    let row = query(LOAD).bind(id.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| {
        let cells = Cells::new(&row, TABLE);
        Ok(ChunkRow { size: cells.number(0)?, body: cells.optional_bytes(1)?.map(<[u8]>::to_vec) })
    })
    .transpose()
}

pub(crate) async fn insert(conn: &mut Conn, id: &[u8; 32], row: &ChunkRow, now_ms: u64) -> Result<(), StorageError> {
    let query = query(INSERT).bind(id.as_slice()).bind(stored(row.size)).bind(stored(now_ms));
    query.bind(row.body.as_deref()).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}
