//! `account`: what each account may use, until when, and uses.

use identity::did::Did;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::rows::AccountRow;
use crate::table::stored;

const TABLE: &str = "account";

const LAST: &str = "SELECT coalesce(max(id), 0) FROM account";
const BY_DID: &str = "SELECT id, did, quota_bytes, used_bytes, quota_entries, used_entries, lease_until_ms, lapsed_bytes \
                      FROM account WHERE did = $1";
const BY_ID: &str = "SELECT id, did, quota_bytes, used_bytes, quota_entries, used_entries, lease_until_ms, lapsed_bytes \
                     FROM account WHERE id = $1";
static UPSERT: ManyRows = ManyRows::new(
    TABLE,
    "INSERT INTO account \
     (id, did, quota_bytes, used_bytes, quota_entries, used_entries, lease_until_ms, lapsed_bytes) VALUES",
    8,
    "ON CONFLICT (id) DO UPDATE SET used_bytes = excluded.used_bytes, used_entries = excluded.used_entries, \
     lapsed_bytes = excluded.lapsed_bytes",
);

const GIVEN: &str = "SELECT until_given_ms, bytes_given_ms, entries_given_ms FROM account WHERE id = $1";
const GIVE: &str = "UPDATE account SET lease_until_ms = $1, quota_bytes = $2, quota_entries = $3, until_given_ms = $4, \
                    bytes_given_ms = $5, entries_given_ms = $6 WHERE id = $7";
const GIVE_BACK: &str = "UPDATE account SET used_bytes = CASE WHEN used_bytes > $1 THEN used_bytes - $1 ELSE 0 END \
                         WHERE id = $2";

const GIVE_BACK_ENTRIES: &str =
    "UPDATE account SET used_entries = CASE WHEN used_entries > $1 THEN used_entries - $1 ELSE 0 END WHERE id = $2";

const TO_NOTE: &str = "SELECT id FROM account WHERE lapse_seen_ms = 0 AND lease_until_ms <= $1 \
                       ORDER BY lease_until_ms LIMIT $2";
const PAID_AGAIN: &str = "SELECT id FROM account WHERE lapse_seen_ms > 0 AND lease_until_ms > $1 \
                          ORDER BY lease_until_ms LIMIT $2";
const WAITING: &str = "SELECT id FROM account WHERE lapse_seen_ms > 0 AND lapse_seen_ms < $1 LIMIT 1";
const DUE: &str = "SELECT lapse_seen_ms, id FROM account WHERE lapse_seen_ms > 0 AND (lapse_seen_ms, id) > ($1, $2) \
                   AND lapse_seen_ms <= $3 AND lease_until_ms <= $4 ORDER BY lapse_seen_ms, id LIMIT 1";
const NOTE: &str = "UPDATE account SET lapse_seen_ms = $1 WHERE id = $2";
const TAKE_BACK: &str = "UPDATE account SET lapse_seen_ms = 0, lapsed_bytes = 0 WHERE id = $1";

/// What `lapse_seen_ms` is of an account whose databases are all dropped.
const SWEPT: i64 = i64::MAX;

pub(crate) async fn last(conn: &mut Conn) -> Result<RowId, StorageError> {
    let row = query(LAST).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).small(0)
}

pub(crate) async fn by_did(conn: &mut Conn, did: &Did) -> Result<Option<AccountRow>, StorageError> {
    let query = query(BY_DID).bind(did.as_bytes().as_slice());
    query.fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

pub(crate) async fn by_id(conn: &mut Conn, id: RowId) -> Result<Option<AccountRow>, StorageError> {
    query(BY_ID).bind(id).fetch_optional(conn).await.map_err(in_table(TABLE))?.as_ref().map(read).transpose()
}

/// Adds accounts, or writes what they use.
pub(crate) async fn upsert(conn: &mut Conn, rows: &[AccountRow]) -> Result<(), StorageError> {
    let bind = UPSERT.run(conn, rows, |query, row| {
        let query = query.bind(row.id).bind(row.did.as_bytes().as_slice());
        let query = query.bind(stored(row.quota_bytes)).bind(stored(row.used_bytes));
        let query = query.bind(stored(row.quota_entries)).bind(stored(row.used_entries));
        query.bind(stored(row.lease_until_ms)).bind(stored(row.lapsed_bytes))
    });
    bind.await.map(drop)
}

/// Returns when the newest orders were given of its lease, its bytes and its entries.
pub(crate) async fn given(conn: &mut Conn, id: RowId) -> Result<[u64; 3], StorageError> {
    let row = query(GIVEN).bind(id).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    let Some(row) = row else { return Ok([0; 3]) };
    let cells = Cells::new(&row, TABLE);
    Ok([cells.number(0)?, cells.number(1)?, cells.number(2)?])
}

/// Writes until when an account is paid for and what it may use, with when that was given.
pub(crate) async fn give(conn: &mut Conn, row: &AccountRow, given: [u64; 3]) -> Result<(), StorageError> {
    let query = query(GIVE).bind(stored(row.lease_until_ms));
    let query = query.bind(stored(row.quota_bytes)).bind(stored(row.quota_entries));
    let query = given.iter().fold(query, |query, given_ms| query.bind(stored(*given_ms)));
    query.bind(row.id).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Counts bytes that an account uses no more.
pub(crate) async fn give_back(conn: &mut Conn, id: RowId, bytes: u64) -> Result<(), StorageError> {
    let query = query(GIVE_BACK).bind(stored(bytes)).bind(id);
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Counts entries that an account has no more.
pub(crate) async fn give_back_entries(conn: &mut Conn, id: RowId, entries: u64) -> Result<(), StorageError> {
    let query = query(GIVE_BACK_ENTRIES).bind(stored(entries)).bind(id);
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Returns accounts whose lease is over at a time, Unix milliseconds, which is not noted yet.
pub(crate) async fn to_note(conn: &mut Conn, now_ms: u64, limit: u64) -> Result<Vec<RowId>, StorageError> {
    // A lease without an end has the latest time there is.
    ids(&query(TO_NOTE)
        .bind(stored(now_ms).min(i64::MAX - 1))
        .bind(stored(limit))
        .fetch_all(conn)
        .await
        .map_err(in_table(TABLE))?)
}

/// Returns accounts of which it is noted that their lease is over, and it is not.
pub(crate) async fn paid_again(conn: &mut Conn, now_ms: u64, limit: u64) -> Result<Vec<RowId>, StorageError> {
    ids(&query(PAID_AGAIN)
        .bind(stored(now_ms).min(i64::MAX - 1))
        .bind(stored(limit))
        .fetch_all(conn)
        .await
        .map_err(in_table(TABLE))?)
}

/// Returns whether an account's lease is noted as over whose databases are not all dropped.
pub(crate) async fn is_any_waiting(conn: &mut Conn) -> Result<bool, StorageError> {
    let row = query(WAITING).bind(SWEPT).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    Ok(row.is_some())
}

/// Returns the account behind `past` whose lapse was noted first, with when that was, if it was before `seen_ms` of the watch and its lease ended
/// before `ended_ms`, Unix milliseconds.
pub(crate) async fn due(
    conn: &mut Conn,
    past: (u64, RowId),
    (seen_ms, ended_ms): (u64, u64),
) -> Result<Option<(u64, RowId)>, StorageError> {
    // All that is swept has the latest time there is.
    let query =
        query(DUE).bind(stored(past.0)).bind(past.1).bind(stored(seen_ms).min(SWEPT - 1)).bind(stored(ended_ms));
    let row = query.fetch_optional(conn).await.map_err(in_table(TABLE))?;
    let read = |cells: Cells<'_>| Ok((cells.number(0)?, cells.small(1)?));
    row.as_ref().map(|row| read(Cells::new(row, TABLE))).transpose()
}

/// Notes that the lease of an account is over, seen so far into the watch.
pub(crate) async fn note(conn: &mut Conn, id: RowId, seen_ms: u64) -> Result<(), StorageError> {
    query(NOTE).bind(stored(seen_ms).min(SWEPT - 1)).bind(id).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Notes that all its databases are dropped.
pub(crate) async fn swept(conn: &mut Conn, id: RowId) -> Result<(), StorageError> {
    query(NOTE).bind(SWEPT).bind(id).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Forgets that its lease was over.
pub(crate) async fn take_back(conn: &mut Conn, id: RowId) -> Result<(), StorageError> {
    query(TAKE_BACK).bind(id).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

fn ids(rows: &[Row]) -> Result<Vec<RowId>, StorageError> {
    rows.iter().map(|row| Cells::new(row, TABLE).small(0)).collect()
}

fn read(row: &Row) -> Result<AccountRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(AccountRow {
        id: cells.small(0)?,
        did: Did::from_bytes(cells.fixed(1)?),
        quota_bytes: cells.number(2)?,
        used_bytes: cells.number(3)?,
        quota_entries: cells.number(4)?,
        used_entries: cells.number(5)?,
        lease_until_ms: cells.number(6)?,
        lapsed_bytes: cells.number(7)?,
    })
}
