//! `revocations` and `revocation_feed`: what is worth nothing any more, and how far that list has come.

use identity::cert::Kid;
use identity::token::{Revocation, Revoked};

use super::stored;
use crate::database::{Cells, Conn, in_table, query};
use crate::fault::StorageError;

const TABLE: &str = "revocations";
const FEED: &str = "revocation_feed";

const NEXT: &str = "UPDATE revocation_feed SET newest = newest + 1 WHERE one = 1 RETURNING newest";
const INSERT: &str = "INSERT INTO revocations (seq, kind, id, not_before_s, until_s) VALUES ($1, $2, $3, $4, $5)";
const SINCE: &str = "SELECT seq, kind, id, not_before_s, until_s FROM revocations WHERE seq > $1 AND until_s > $2 \
                     ORDER BY seq LIMIT $3";
const HEAD: &str = "SELECT newest, cursor FROM revocation_feed WHERE one = 1";
const SET_CURSOR: &str = "UPDATE revocation_feed SET cursor = $1 WHERE one = 1";
const TRIM: &str =
    "DELETE FROM revocations WHERE seq IN (SELECT seq FROM revocations WHERE until_s <= $1 ORDER BY until_s LIMIT 256)";

/// Adds an entry and returns its place.
pub(crate) async fn add(conn: &mut Conn, what: &Revoked, until_s: u64) -> Result<u64, StorageError> {
    let row = query(NEXT).fetch_one(&mut *conn).await.map_err(in_table(FEED))?;
    let seq = Cells::new(&row, FEED).number(0)?;
    let (kind, id, not_before_s): (i64, &[u8], u64) = match what {
        Revoked::Family(rid) => (1, rid, 0),
        Revoked::Device { kid, not_before_s } => (2, &kid.0, *not_before_s),
        Revoked::Grant(sid) => (3, sid, 0),
    };
    let query = query(INSERT).bind(stored(seq)).bind(kind).bind(id).bind(stored(not_before_s));
    query.bind(stored(until_s)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(seq)
}

/// Returns at most `limit` entries behind `since` whose time is not over.
pub(crate) async fn since(
    conn: &mut Conn,
    since: u64,
    now_s: u64,
    limit: u64,
) -> Result<Vec<Revocation>, StorageError> {
    let query = query(SINCE).bind(stored(since)).bind(stored(now_s)).bind(stored(limit));
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter()
        .map(|row| {
            let cells = Cells::new(row, TABLE);
            let what = match cells.number(1)? {
                1 => Revoked::Family(cells.fixed(2)?),
                2 => Revoked::Device { kid: Kid(cells.fixed(2)?), not_before_s: cells.number(3)? },
                3 => Revoked::Grant(cells.fixed(2)?),
                kind => return Err(StorageError::inconsistent(TABLE, format!("kind {kind} is unknown"))),
            };
            Ok(Revocation { seq: cells.number(0)?, what, until_s: cells.number(4)? })
        })
        .collect()
}

/// Returns the newest place, and up to which size the log was looked at.
pub(crate) async fn head(conn: &mut Conn) -> Result<(u64, u64), StorageError> {
    let row = query(HEAD).fetch_one(conn).await.map_err(in_table(FEED))?;
    let cells = Cells::new(&row, FEED);
    Ok((cells.number(0)?, cells.number(1)?))
}

pub(crate) async fn set_cursor(conn: &mut Conn, size: u64) -> Result<(), StorageError> {
    query(SET_CURSOR).bind(stored(size)).execute(conn).await.map_err(in_table(FEED)).map(drop)
}

/// Deletes some of the entries whose time is over; returns how many.
pub(crate) async fn trim(conn: &mut Conn, now_s: u64) -> Result<usize, StorageError> {
    let done = query(TRIM).bind(stored(now_s)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}
