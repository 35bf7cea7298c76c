//! `acme_accounts`: accounts of the API of acme-dns.

use identity::did::Did;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::AcmeAccount;

const TABLE: &str = "acme_accounts";

const PUT: &str = "INSERT INTO acme_accounts (username, password, subdomain, name, did, key, allow, texts, used_s) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const COUNT: &str = "SELECT count(*) FROM acme_accounts WHERE name = ''";
const COUNT_OF: &str = "SELECT count(*) FROM acme_accounts WHERE name = '' AND did = $1";
const BY_NAME: &str =
    "SELECT username, password, subdomain, name, did, key, allow, texts, used_s FROM acme_accounts WHERE username = $1";
const OWN_OF: &str = "SELECT username, password, subdomain, name, did, key, allow, texts, used_s FROM acme_accounts \
                      WHERE name = '' AND did = $1";
const DIDS: &str = "SELECT DISTINCT did FROM acme_accounts WHERE name = '' AND did IS NOT NULL";
const SHOWN: &str =
    "SELECT username, password, subdomain, name, did, key, allow, texts, used_s FROM acme_accounts WHERE texts <> ''";
const SHOWN_BEFORE: &str = "SELECT username, password, subdomain, name, did, key, allow, texts, used_s FROM acme_accounts \
                            WHERE texts <> '' AND used_s <= $1";
const WRITE: &str = "UPDATE acme_accounts SET texts = $2, used_s = $3 WHERE username = $1";
const CLEAR: &str = "UPDATE acme_accounts SET texts = '' WHERE texts <> '' AND used_s <= $1";
const REPLACE: &str = "DELETE FROM acme_accounts WHERE name = $1 AND did = $2 AND key = $3";
const REMOVE: &str = "DELETE FROM acme_accounts WHERE name = '' AND did = $1 AND key = $2";
const SWEEP: &str = "DELETE FROM acme_accounts WHERE used_s <= $1 AND texts = ''";

pub(crate) async fn put(conn: &mut Conn, account: &AcmeAccount) -> Result<(), StorageError> {
    let (did, key) = account.device.as_ref().map(|(did, key)| (did.as_slice(), key.as_slice())).unzip();
    let (allow, texts) = (account.allow.join(" "), account.texts.join(" "));
    let query = query(PUT).bind(account.username.as_slice()).bind(account.password.as_slice());
    let query = query.bind(account.subdomain.as_slice()).bind(account.name.as_str()).bind(did).bind(key);
    let query = query.bind(allow.as_str()).bind(texts.as_str()).bind(stored(account.used_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Returns how many accounts have a place of their own.
pub(crate) async fn count(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(COUNT).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}

/// Returns how many of them the devices of a DID opened.
pub(crate) async fn count_of(conn: &mut Conn, did: &[u8; 20]) -> Result<u64, StorageError> {
    let row = query(COUNT_OF).bind(did.as_slice()).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}

pub(crate) async fn by_username(conn: &mut Conn, username: &[u8; 16]) -> Result<Option<AcmeAccount>, StorageError> {
    let row = query(BY_NAME).bind(username.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.as_ref().map(read).transpose()
}

/// Returns the accounts with a place of their own that devices of a DID opened.
pub(crate) async fn own_of(conn: &mut Conn, did: &Did) -> Result<Vec<AcmeAccount>, StorageError> {
    let rows = query(OWN_OF).bind(did.as_bytes().as_slice()).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

/// Returns the DIDs whose devices have accounts with a place of their own.
pub(crate) async fn dids(conn: &mut Conn) -> Result<Vec<Did>, StorageError> {
    let rows = query(DIDS).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(|row| Cells::new(row, TABLE).fixed(0).map(Did::from_bytes)).collect()
}

/// Returns the accounts at whose places something stands.
pub(crate) async fn shown(conn: &mut Conn) -> Result<Vec<AcmeAccount>, StorageError> {
    query(SHOWN).fetch_all(conn).await.map_err(in_table(TABLE))?.iter().map(read).collect()
}

/// Returns those of them that were last written at `before_s` or earlier.
pub(crate) async fn shown_before(conn: &mut Conn, before_s: u64) -> Result<Vec<AcmeAccount>, StorageError> {
    let rows = query(SHOWN_BEFORE).bind(stored(before_s)).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

pub(crate) async fn write(
    conn: &mut Conn,
    username: &[u8; 16],
    texts: &[String],
    used_s: u64,
) -> Result<(), StorageError> {
    let texts = texts.join(" ");
    let query = query(WRITE).bind(username.as_slice()).bind(texts.as_str()).bind(stored(used_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Takes away what stands at the places of accounts that were last written at `before_s` or earlier.
pub(crate) async fn clear(conn: &mut Conn, before_s: u64) -> Result<usize, StorageError> {
    let done = query(CLEAR).bind(stored(before_s)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

/// Deletes the account that a device has for the challenges of a name.
pub(crate) async fn replace(
    conn: &mut Conn,
    name: &str,
    (did, key): &([u8; 20], [u8; 32]),
) -> Result<(), StorageError> {
    let query = query(REPLACE).bind(name).bind(did.as_slice()).bind(key.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Deletes the accounts with a place of their own that a device opened.
pub(crate) async fn remove(conn: &mut Conn, (did, key): &([u8; 20], [u8; 32])) -> Result<usize, StorageError> {
    let done = query(REMOVE).bind(did.as_slice()).bind(key.as_slice()).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

/// Deletes accounts that were not used after `before_s`.
pub(crate) async fn sweep(conn: &mut Conn, before_s: u64) -> Result<usize, StorageError> {
    let done = query(SWEEP).bind(stored(before_s)).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

fn read(row: &Row) -> Result<AcmeAccount, StorageError> {
    let cells = Cells::new(row, TABLE);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    Ok(AcmeAccount {
        username: cells.fixed(0)?,
        password: cells.fixed(1)?,
        subdomain: cells.fixed(2)?,
        name: cells.text(3)?.to_owned(),
        device: cells.optional_fixed(4)?.zip(cells.optional_fixed(5)?),
        allow: words(cells.text(6)?),
        texts: words(cells.text(7)?),
        used_s: cells.number(8)?,
    })
}
