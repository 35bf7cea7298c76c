//! `grants`: signed grants kept for their subjects.

use identity::did::Did;
use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::GrantRow;

const TABLE: &str = "grants";

const INSERT: &str = "INSERT INTO grants (sid, issuer, subject, parent, until_s, revoked, envelope) \
                      VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT (sid) DO NOTHING";
const LOAD: &str = "SELECT sid, issuer, subject, parent, until_s, revoked, envelope FROM grants WHERE sid = $1";
const OF: &str = "SELECT sid, issuer, subject, parent, until_s, revoked, envelope FROM grants \
                  WHERE subject = $1 OR issuer = $1 ORDER BY until_s, sid";
const COUNT_ISSUER: &str = "SELECT count(*) FROM grants WHERE issuer = $1";
const COUNT_SUBJECT: &str = "SELECT count(*) FROM grants WHERE subject = $1";
const REVOKE: &str = "UPDATE grants SET revoked = 1 WHERE sid = $1";
const TRIM: &str =
    "DELETE FROM grants WHERE sid IN (SELECT sid FROM grants WHERE until_s <= $1 ORDER BY until_s LIMIT 64)";

/// Adds a grant; one that is there stays as it is.
pub(crate) async fn insert(conn: &mut Conn, row: &GrantRow) -> Result<(), StorageError> {
    let query = query(INSERT).bind(row.sid.as_slice()).bind(row.issuer.as_bytes().as_slice());
    let query = query.bind(row.subject.as_bytes().as_slice()).bind(row.parent.as_ref().map(Hash::as_slice));
    let query = query.bind(stored(row.until_s)).bind(row.envelope.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn load(conn: &mut Conn, sid: &Hash) -> Result<Option<GrantRow>, StorageError> {
    let row = query(LOAD).bind(sid.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.as_ref().map(read).transpose()
}

/// Returns the grants to and by a DID.
pub(crate) async fn of(conn: &mut Conn, did: &Did) -> Result<Vec<GrantRow>, StorageError> {
    let rows = query(OF).bind(did.as_bytes().as_slice()).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

/// Returns how many grants an issuer made and a subject has.
pub(crate) async fn counts(conn: &mut Conn, issuer: &Did, subject: &Did) -> Result<(u64, u64), StorageError> {
    let mut counts = [0; 2];
    for (count, (question, did)) in counts.iter_mut().zip([(COUNT_ISSUER, issuer), (COUNT_SUBJECT, subject)]) {
        let query = query(question).bind(did.as_bytes().as_slice());
        let row = query.fetch_one(&mut *conn).await.map_err(in_table(TABLE))?;
        *count = Cells::new(&row, TABLE).number(0)?;
    }
    Ok((counts[0], counts[1]))
}

pub(crate) async fn revoke(conn: &mut Conn, sid: &Hash) -> Result<(), StorageError> {
    query(REVOKE).bind(sid.as_slice()).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Deletes some of the grants that have ended; returns how many.
pub(crate) async fn trim(conn: &mut Conn, now_s: u64) -> Result<usize, StorageError> {
    let done = query(TRIM).bind(stored(now_s)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

fn read(row: &Row) -> Result<GrantRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(GrantRow {
        sid: cells.hash(0)?,
        issuer: Did::from_bytes(cells.fixed(1)?),
        subject: Did::from_bytes(cells.fixed(2)?),
        parent: cells.optional_fixed(3)?,
        until_s: cells.number(4)?,
        revoked: cells.number(5)? == 1,
        envelope: cells.bytes(6)?.to_vec(),
    })
}
