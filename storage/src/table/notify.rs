//! `notify_versions`, `notify_joins`, `push_subscriptions`, `push_outbox`: who is told that a log grew, and how while it is not here.

use identity::cert::KeyBytes;
use identity::did::Did;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::{EventPush, JoinRow, OutboxRow, SealedRow};

const VERSIONS: &str = "notify_versions";
const JOINS: &str = "notify_joins";
const SUBSCRIPTIONS: &str = "push_subscriptions";
const OUTBOX: &str = "push_outbox";

const VERSION: &str = "SELECT version FROM notify_versions WHERE did = $1";
const SET_VERSION: &str = "INSERT INTO notify_versions (did, version) VALUES ($1, $2) \
                           ON CONFLICT (did) DO UPDATE SET version = excluded.version";
const JOIN: &str = "INSERT INTO notify_joins (device, name, log, did, muted_until_ms, sent_size, read_size) \
                    VALUES ($1, $2, $3, $4, 0, 0, 0) ON CONFLICT DO NOTHING";
const MUTE: &str = "UPDATE notify_joins SET muted_until_ms = $4 WHERE device = $1 AND name = $2 AND log = $3";
const READ: &str = "UPDATE notify_joins SET read_size = max(read_size, $4), sent_size = max(sent_size, $4) \
                    WHERE device = $1 AND name = $2 AND log = $3";
const LEAVE: &str = "DELETE FROM notify_joins WHERE device = $1 AND name = $2 AND log = $3";
const LEAVE_ALL: &str = "DELETE FROM notify_joins WHERE did = $1";
const OF_DID: &str = "SELECT device, name, log, did, muted_until_ms, sent_size, read_size FROM notify_joins \
                      WHERE did = $1 ORDER BY device, name, log";
const OF_DEVICE: &str = "SELECT device, name, log, did, muted_until_ms, sent_size, read_size FROM notify_joins \
                         WHERE device = $1 ORDER BY name, log";
const AWAITING: &str = "SELECT device, name, log, did, muted_until_ms, sent_size, read_size FROM notify_joins AS j \
                        WHERE name = $1 AND log = $2 AND muted_until_ms <= $3 AND sent_size < $4 \
                        AND EXISTS (SELECT 1 FROM push_subscriptions AS s WHERE s.device = j.device)";
const SENT: &str =
    "UPDATE notify_joins SET sent_size = max(sent_size, $4) WHERE device = $1 AND name = $2 AND log = $3";
const SUBSCRIBE: &str = "INSERT INTO push_subscriptions (device, did, enc, sealed) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (device) DO UPDATE SET did = excluded.did, enc = excluded.enc, sealed = excluded.sealed";
const UNSUBSCRIBE: &str = "DELETE FROM push_subscriptions WHERE device = $1";
const SUBSCRIPTION: &str = "SELECT did, enc, sealed FROM push_subscriptions WHERE device = $1";
const COUNT: &str = "SELECT count(*) FROM push_subscriptions";
const PUT: &str = "INSERT INTO push_outbox (device, name, log, size, due_ms, tries, from_ms) VALUES ($1, $2, $3, $4, $5, 0, $6) \
                   ON CONFLICT (device, name, log) DO UPDATE SET size = max(size, excluded.size)";
const PUT_EVENT: &str = "INSERT INTO push_outbox (device, name, log, size, due_ms, tries, from_ms) \
     SELECT device, '', $2, $3, $4, 0, $4 FROM push_subscriptions WHERE did = $1 \
     ON CONFLICT (device, name, log) DO UPDATE SET size = max(size, excluded.size)";
const DUE: &str = "SELECT device, name, log, size, due_ms, tries, from_ms FROM push_outbox \
                   WHERE due_ms <= $1 ORDER BY due_ms LIMIT $2";
const LATER: &str = "UPDATE push_outbox SET due_ms = $4, tries = $5 WHERE device = $1 AND name = $2 AND log = $3";
const DONE: &str = "DELETE FROM push_outbox WHERE device = $1 AND name = $2 AND log = $3 AND size <= $4";
const DROP_DEVICE: &str = "DELETE FROM push_outbox WHERE device = $1";
const FORGET_DEVICE: &str = "DELETE FROM notify_joins WHERE device = $1";
const WAITING: &str = "SELECT count(*) FROM push_outbox";

pub(crate) async fn version(conn: &mut Conn, did: &Did) -> Result<u64, StorageError> {
    let query = query(VERSION).bind(did.as_bytes().as_slice());
    let row = query.fetch_optional(conn).await.map_err(in_table(VERSIONS))?;
    row.map_or(Ok(0), |row| Cells::new(&row, VERSIONS).number(0))
}

pub(crate) async fn set_version(conn: &mut Conn, did: &Did, version: u64) -> Result<(), StorageError> {
    let query = query(SET_VERSION).bind(did.as_bytes().as_slice()).bind(stored(version));
    query.execute(conn).await.map_err(in_table(VERSIONS)).map(drop)
}

/// Which log at which device.
pub(crate) type Key<'k> = (&'k KeyBytes, &'k str, &'k [u8; 16]);

pub(crate) async fn join(conn: &mut Conn, (device, name, log): Key<'_>, did: &Did) -> Result<(), StorageError> {
    let query = query(JOIN).bind(device.as_slice()).bind(name).bind(log.as_slice()).bind(did.as_bytes().as_slice());
    query.execute(conn).await.map_err(in_table(JOINS)).map(drop)
}

pub(crate) async fn mute(conn: &mut Conn, key: Key<'_>, until_ms: u64) -> Result<(), StorageError> {
    with_number(conn, MUTE, JOINS, key, until_ms).await
}

pub(crate) async fn read(conn: &mut Conn, key: Key<'_>, size: u64) -> Result<(), StorageError> {
    with_number(conn, READ, JOINS, key, size).await
}

pub(crate) async fn sent(conn: &mut Conn, key: Key<'_>, size: u64) -> Result<(), StorageError> {
    with_number(conn, SENT, JOINS, key, size).await
}

pub(crate) async fn leave(conn: &mut Conn, (device, name, log): Key<'_>) -> Result<(), StorageError> {
    let query = query(LEAVE).bind(device.as_slice()).bind(name).bind(log.as_slice());
    query.execute(conn).await.map_err(in_table(JOINS)).map(drop)
}

pub(crate) async fn leave_all(conn: &mut Conn, did: &Did) -> Result<(), StorageError> {
    let query = query(LEAVE_ALL).bind(did.as_bytes().as_slice());
    query.execute(conn).await.map_err(in_table(JOINS)).map(drop)
}

pub(crate) async fn of_did(conn: &mut Conn, did: &Did) -> Result<Vec<JoinRow>, StorageError> {
    let query = query(OF_DID).bind(did.as_bytes().as_slice());
    query.fetch_all(conn).await.map_err(in_table(JOINS))?.iter().map(join_row).collect()
}

pub(crate) async fn of_device(conn: &mut Conn, device: &KeyBytes) -> Result<Vec<JoinRow>, StorageError> {
    let query = query(OF_DEVICE).bind(device.as_slice());
    query.fetch_all(conn).await.map_err(in_table(JOINS))?.iter().map(join_row).collect()
}

/// Returns who joined a log, is not muted, can be pushed to and was not sent this size yet.
pub(crate) async fn awaiting(
    conn: &mut Conn,
    name: &str,
    log: &[u8; 16],
    size: u64,
    now_ms: u64,
) -> Result<Vec<JoinRow>, StorageError> {
    let query = query(AWAITING).bind(name).bind(log.as_slice()).bind(stored(now_ms)).bind(stored(size));
    query.fetch_all(conn).await.map_err(in_table(JOINS))?.iter().map(join_row).collect()
}

pub(crate) async fn subscribe(conn: &mut Conn, device: &KeyBytes, row: &SealedRow) -> Result<(), StorageError> {
    let query = query(SUBSCRIBE).bind(device.as_slice()).bind(row.did.as_bytes().as_slice());
    let query = query.bind(row.enc.as_slice()).bind(row.sealed.as_slice());
    query.execute(conn).await.map_err(in_table(SUBSCRIPTIONS)).map(drop)
}

/// Takes a subscription away, with what waits for it.
pub(crate) async fn unsubscribe(conn: &mut Conn, device: &KeyBytes) -> Result<(), StorageError> {
    let gone = query(UNSUBSCRIBE).bind(device.as_slice()).execute(&mut *conn).await;
    gone.map_err(in_table(SUBSCRIPTIONS))?;
    query(DROP_DEVICE).bind(device.as_slice()).execute(conn).await.map_err(in_table(OUTBOX)).map(drop)
}

/// Takes away what a device joined.
pub(crate) async fn forget(conn: &mut Conn, device: &KeyBytes) -> Result<(), StorageError> {
    query(FORGET_DEVICE).bind(device.as_slice()).execute(conn).await.map_err(in_table(JOINS)).map(drop)
}

pub(crate) async fn subscription(conn: &mut Conn, device: &KeyBytes) -> Result<Option<SealedRow>, StorageError> {
    let row = query(SUBSCRIPTION).bind(device.as_slice()).fetch_optional(conn).await;
    let read = |row: Row| {
        let cells = Cells::new(&row, SUBSCRIPTIONS);
        Ok(SealedRow { did: Did::from_bytes(cells.fixed(0)?), enc: cells.fixed(1)?, sealed: cells.bytes(2)?.to_vec() })
    };
    row.map_err(in_table(SUBSCRIPTIONS))?.map(read).transpose()
}

pub(crate) async fn subscriptions(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(COUNT).fetch_one(conn).await.map_err(in_table(SUBSCRIPTIONS))?;
    Cells::new(&row, SUBSCRIPTIONS).number(0)
}

pub(crate) async fn put(
    conn: &mut Conn,
    (device, name, log): Key<'_>,
    size: u64,
    (due_ms, now_ms): (u64, u64),
) -> Result<(), StorageError> {
    let query = query(PUT).bind(device.as_slice()).bind(name).bind(log.as_slice()).bind(stored(size));
    query.bind(stored(due_ms)).bind(stored(now_ms)).execute(conn).await.map_err(in_table(OUTBOX)).map(drop)
}

/// Has every device of a DID that has a subscription pushed to: due at once, the newest of each kind.
pub(crate) async fn put_event(conn: &mut Conn, push: &EventPush, now_ms: u64) -> Result<(), StorageError> {
    let mut log = [0; 16];
    log[15] = push.kind;
    let query = query(PUT_EVENT).bind(push.did.as_bytes().as_slice()).bind(log.to_vec());
    let query = query.bind(stored(push.index.map_or(0, |index| index + 1))).bind(stored(now_ms));
    query.execute(conn).await.map_err(in_table(OUTBOX)).map(drop)
}

pub(crate) async fn due(conn: &mut Conn, now_ms: u64, most: u64) -> Result<Vec<OutboxRow>, StorageError> {
    let read = |row: &Row| {
        let cells = Cells::new(row, OUTBOX);
        Ok(OutboxRow {
            device: cells.fixed(0)?,
            name: cells.text(1)?.to_owned(),
            log: cells.fixed(2)?,
            size: cells.number(3)?,
            tries: cells.small(5)?,
            from_ms: cells.number(6)?,
        })
    };
    let query = query(DUE).bind(stored(now_ms)).bind(stored(most));
    query.fetch_all(conn).await.map_err(in_table(OUTBOX))?.iter().map(read).collect()
}

pub(crate) async fn later(
    conn: &mut Conn,
    (device, name, log): Key<'_>,
    due_ms: u64,
    tries: u32,
) -> Result<(), StorageError> {
    let query = query(LATER).bind(device.as_slice()).bind(name).bind(log.as_slice()).bind(stored(due_ms));
    query.bind(i64::from(tries)).execute(conn).await.map_err(in_table(OUTBOX)).map(drop)
}

/// Deletes a row, unless a larger size came to it meanwhile.
pub(crate) async fn done(conn: &mut Conn, key: Key<'_>, size: u64) -> Result<(), StorageError> {
    with_number(conn, DONE, OUTBOX, key, size).await
}

pub(crate) async fn waiting(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(WAITING).fetch_one(conn).await.map_err(in_table(OUTBOX))?;
    Cells::new(&row, OUTBOX).number(0)
}

async fn with_number(
    conn: &mut Conn,
    statement: &'static str,
    table: &'static str,
    (device, name, log): Key<'_>,
    number: u64,
) -> Result<(), StorageError> {
    let query = query(statement).bind(device.as_slice()).bind(name).bind(log.as_slice()).bind(stored(number));
    query.execute(conn).await.map_err(in_table(table)).map(drop)
}

fn join_row(row: &Row) -> Result<JoinRow, StorageError> {
    let cells = Cells::new(row, JOINS);
    Ok(JoinRow {
        device: cells.fixed(0)?,
        name: cells.text(1)?.to_owned(),
        log: cells.fixed(2)?,
        did: Did::from_bytes(cells.fixed(3)?),
        muted_until_ms: cells.number(4)?,
        sent_size: cells.number(5)?,
        read_size: cells.number(6)?,
    })
}
