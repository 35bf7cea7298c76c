//! `inviter`: when somebody sent their newest invitations to users of a subscription database.

use identity::did::Did;

use super::RowId;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "inviter";

const SENT: &str = "SELECT sent FROM inviter WHERE db = $1 AND did = $2";
const UPSERT: &str = "INSERT INTO inviter (db, did, sent) VALUES ($1, $2, $3) \
                      ON CONFLICT (db, did) DO UPDATE SET sent = excluded.sent";

/// Returns when they sent, Unix milliseconds, the oldest first.
pub(crate) async fn sent(conn: &mut Conn, db: RowId, sender: &Did) -> Result<Vec<u64>, StorageError> {
    let query = query(SENT).bind(db).bind(sender.as_bytes().as_slice());
    let Some(row) = query.fetch_optional(conn).await.map_err(in_table(TABLE))? else { return Ok(Vec::new()) };
    let (times, rest) = Cells::new(&row, TABLE).bytes(0)?.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(StorageError::inconsistent(TABLE, "a time has eight bytes"));
    }
    Ok(times.iter().map(|time| u64::from_be_bytes(*time)).collect())
}

/// Writes when they sent.
pub(crate) async fn upsert(conn: &mut Conn, db: RowId, sender: &Did, sent: &[u64]) -> Result<(), StorageError> {
    let times: Vec<u8> = sent.iter().flat_map(|time| time.to_be_bytes()).collect();
    let query = query(UPSERT).bind(db).bind(sender.as_bytes().as_slice()).bind(times.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}
