//! `enrolments` and `logs`: what a recovery server keeps.

use identity::did::Did;
use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::recovery::EnrolmentRow;

const TABLE: &str = "enrolments";
const LOGS: &str = "logs";

const OF_DID: &str = "SELECT did, epoch, public, point, salt, secrets, bundle, attempt, blinded, made_s FROM enrolments \
                      WHERE did = $1 ORDER BY made_s, epoch, public";
const PUT: &str = "INSERT INTO enrolments (did, epoch, public, point, salt, secrets, bundle, bundle_hash, attempt, blinded, \
                   made_s) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, NULL, $9) ON CONFLICT (did, epoch, public) DO NOTHING";
/// A row never goes back: of two who mark, the higher attempt stays.
const MARK: &str = "UPDATE enrolments SET attempt = $4, blinded = $5 \
                    WHERE did = $1 AND epoch = $2 AND public = $3 AND attempt < $4";
const ERASE: &str = "DELETE FROM enrolments WHERE did = $1 AND epoch = $2 AND public = $3";
const BUNDLE: &str = "SELECT bundle FROM enrolments WHERE bundle_hash = $1 LIMIT 1";
const DIDS: &str = "SELECT DISTINCT did FROM enrolments WHERE did > $1 ORDER BY did LIMIT $2";
const COUNT: &str = "SELECT count(*) FROM enrolments";
const HEAD: &str = "SELECT memory FROM logs WHERE origin = $1";
const KEEP_HEAD: &str = "INSERT INTO logs (origin, size, memory) VALUES ($1, $2, $3) \
                         ON CONFLICT (origin) DO UPDATE SET size = $2, memory = $3 WHERE size <= $2";

/// Has pages that rows were deleted from overwritten.
pub(crate) async fn delete_securely(conn: &mut Conn) -> Result<(), StorageError> {
    conn.run("PRAGMA secure_delete = ON").await.map_err(in_table(TABLE))
}

pub(crate) async fn of_did(conn: &mut Conn, did: &Did) -> Result<Vec<EnrolmentRow>, StorageError> {
    let rows = query(OF_DID).bind(did.as_bytes().as_slice()).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

pub(crate) async fn put(conn: &mut Conn, row: &EnrolmentRow, bundle_hash: &Hash) -> Result<(), StorageError> {
    let query = query(PUT).bind(row.did.as_bytes().as_slice()).bind(i64::from(row.epoch));
    let query = query.bind(row.public.as_slice()).bind(i64::from(row.point)).bind(row.salt.as_slice());
    let query = query.bind(row.secrets.as_slice()).bind(row.bundle.as_slice()).bind(bundle_hash.as_slice());
    query.bind(stored(row.made_s)).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Whether the row had a lower attempt before.
pub(crate) async fn mark(
    conn: &mut Conn,
    (did, epoch, public): (&Did, u32, &[u8; 32]),
    attempt: u8,
    blinded: &[u8; 32],
) -> Result<bool, StorageError> {
    let query = query(MARK).bind(did.as_bytes().as_slice()).bind(i64::from(epoch)).bind(public.as_slice());
    let done = query.bind(i64::from(attempt)).bind(blinded.as_slice()).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn erase(
    conn: &mut Conn,
    (did, epoch, public): (&Did, u32, &[u8; 32]),
) -> Result<usize, StorageError> {
    let query = query(ERASE).bind(did.as_bytes().as_slice()).bind(i64::from(epoch)).bind(public.as_slice());
    let done = query.execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

pub(crate) async fn bundle(conn: &mut Conn, hash: &Hash) -> Result<Option<Vec<u8>>, StorageError> {
    let row = query(BUNDLE).bind(hash.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Ok(Cells::new(&row, TABLE).bytes(0)?.to_vec())).transpose()
}

pub(crate) async fn dids(conn: &mut Conn, after: &Did, most: u32) -> Result<Vec<Did>, StorageError> {
    let query = query(DIDS).bind(after.as_bytes().as_slice()).bind(i64::from(most));
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(|row| Ok(Did::from_bytes(Cells::new(row, TABLE).fixed(0)?))).collect()
}

pub(crate) async fn count(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(COUNT).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}

pub(crate) async fn head(conn: &mut Conn, origin: &str) -> Result<Option<Vec<u8>>, StorageError> {
    let row = query(HEAD).bind(origin).fetch_optional(conn).await.map_err(in_table(LOGS))?;
    row.map(|row| Ok(Cells::new(&row, LOGS).bytes(0)?.to_vec())).transpose()
}

pub(crate) async fn keep_head(conn: &mut Conn, origin: &str, size: u64, memory: &[u8]) -> Result<(), StorageError> {
    let query = query(KEEP_HEAD).bind(origin).bind(stored(size)).bind(memory);
    query.execute(conn).await.map_err(in_table(LOGS)).map(drop)
}

fn read(row: &Row) -> Result<EnrolmentRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(EnrolmentRow {
        did: Did::from_bytes(cells.fixed(0)?),
        epoch: cells.small(1)?,
        public: cells.fixed(2)?,
        point: cells.small(3)?,
        salt: cells.fixed(4)?,
        secrets: cells.bytes(5)?.to_vec(),
        bundle: cells.bytes(6)?.to_vec(),
        attempt: cells.small(7)?,
        blinded: cells.optional_fixed(8)?,
        made_s: cells.number(9)?,
    })
}
