//! `passkeys`: registered passkeys by credential id.

use identity::did::Did;
use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::PasskeyRow;

const TABLE: &str = "passkeys";

const INSERT: &str = "INSERT INTO passkeys (credential, id, account, handle, public, counter, backed_up, recipient, made_s, \
                      used_s) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const LOAD: &str = "SELECT credential, id, account, handle, public, counter, backed_up, recipient, made_s, used_s \
                    FROM passkeys WHERE credential = $1";
const OF_DID: &str = "SELECT p.credential, p.id, p.account, p.handle, p.public, p.counter, p.backed_up, p.recipient, \
                      p.made_s, p.used_s FROM accounts a JOIN passkeys p ON p.account = a.account WHERE a.did = $1 \
                      ORDER BY p.made_s, p.credential";
const USE: &str = "UPDATE passkeys SET counter = $1, backed_up = $2, used_s = $3 WHERE credential = $4 \
                   AND (counter < $1 OR counter = 0 AND $1 = 0)";
const SET_RECIPIENT: &str = "UPDATE passkeys SET recipient = $1 WHERE credential = $2";
const REMOVE: &str = "DELETE FROM passkeys WHERE credential = $1";
const SWEEP: &str = "DELETE FROM passkeys WHERE credential IN (SELECT credential FROM passkeys WHERE made_s < $1 AND \
                     NOT EXISTS (SELECT 1 FROM accounts a WHERE a.account = passkeys.account) ORDER BY made_s LIMIT 16)";

pub(crate) async fn insert(conn: &mut Conn, row: &PasskeyRow) -> Result<(), StorageError> {
    let query = query(INSERT).bind(row.credential.as_slice()).bind(row.id.as_slice());
    let query = query.bind(row.account.as_slice()).bind(row.handle.as_slice()).bind(row.public.as_slice());
    let query = query.bind(i64::from(row.counter)).bind(i64::from(row.backed_up));
    let query = query.bind(row.recipient.as_ref().map(<[u8; 32]>::as_slice));
    let query = query.bind(stored(row.made_s)).bind(stored(row.used_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn load(conn: &mut Conn, credential: &Hash) -> Result<Option<PasskeyRow>, StorageError> {
    let row = query(LOAD).bind(credential.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| read(&row)).transpose()
}

/// The passkeys of the accounts that lead to a DID, oldest first.
pub(crate) async fn of_did(conn: &mut Conn, did: &Did) -> Result<Vec<PasskeyRow>, StorageError> {
    let query = query(OF_DID).bind(did.as_bytes().as_slice());
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

/// Notes a use, if the counter went on, or is and was 0; returns whether a row was changed.
pub(crate) async fn used(
    conn: &mut Conn,
    credential: &Hash,
    counter: u32,
    backed_up: bool,
    now_s: u64,
) -> Result<bool, StorageError> {
    let query = query(USE).bind(i64::from(counter)).bind(i64::from(backed_up));
    let query = query.bind(stored(now_s)).bind(credential.as_slice());
    Ok(query.execute(conn).await.map_err(in_table(TABLE))?.rows_affected() == 1)
}

pub(crate) async fn set_recipient(
    conn: &mut Conn,
    credential: &Hash,
    recipient: Option<&[u8; 32]>,
) -> Result<(), StorageError> {
    let query = query(SET_RECIPIENT).bind(recipient.map(<[u8; 32]>::as_slice)).bind(credential.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn remove(conn: &mut Conn, credential: &Hash) -> Result<(), StorageError> {
    query(REMOVE).bind(credential.as_slice()).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Removes some of those that were made before `before_s` and whose account leads nowhere; returns how many.
pub(crate) async fn sweep(conn: &mut Conn, before_s: u64) -> Result<usize, StorageError> {
    let query = query(SWEEP).bind(stored(before_s));
    Ok(query.execute(conn).await.map_err(in_table(TABLE))?.rows_affected() as usize)
}

fn read(row: &Row) -> Result<PasskeyRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(PasskeyRow {
        credential: cells.hash(0)?,
        id: cells.bytes(1)?.to_vec(),
        account: cells.hash(2)?,
        handle: cells.fixed(3)?,
        public: cells.fixed(4)?,
        counter: cells.small(5)?,
        backed_up: cells.number(6)? != 0,
        recipient: cells.optional_fixed(7)?,
        made_s: cells.number(8)?,
        used_s: cells.number(9)?,
    })
}
