//! `accounts`: where an issuer's account leads.

use identity::did::Did;
use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::{AccountRow, LinkRow};

const TABLE: &str = "accounts";

const LOAD: &str = "SELECT account, did, email, since_s FROM accounts WHERE account = $1";
const OF_EMAIL: &str = "SELECT account, did, email, since_s FROM accounts WHERE email = $1 ORDER BY since_s LIMIT 16";
const PIN: &str = "INSERT INTO accounts (account, did, email, since_s, issuer) VALUES ($1, $2, $3, $4, \
                   (SELECT issuer FROM attested WHERE account = $1 LIMIT 1)) ON CONFLICT (account) DO \
                   UPDATE SET since_s = CASE did WHEN excluded.did THEN since_s ELSE excluded.since_s END, \
                   did = excluded.did, email = excluded.email, issuer = coalesce(excluded.issuer, issuer)";
const LINKS: &str = "SELECT account, issuer, since_s, email IS NOT NULL, (SELECT count(*) FROM aliases WHERE \
                     aliases.account = accounts.account AND bound = 1) FROM accounts WHERE did = $1 AND NOT EXISTS \
                     (SELECT 1 FROM passkeys WHERE passkeys.account = accounts.account) ORDER BY since_s, account";
const COUNTS: &str = "SELECT count(*), count(email) FROM accounts WHERE did = $1";
const REMOVE: &str = "DELETE FROM accounts WHERE account = $1";
const SET_EMAIL: &str = "UPDATE accounts SET email = $1 WHERE account = $2";

pub(crate) async fn load(conn: &mut Conn, account: &Hash) -> Result<Option<AccountRow>, StorageError> {
    let row = query(LOAD).bind(account.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| read(&row)).transpose()
}

pub(crate) async fn of_email(conn: &mut Conn, email: &Hash) -> Result<Vec<AccountRow>, StorageError> {
    let rows = query(OF_EMAIL).bind(email.as_slice()).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

/// Lets the account lead to this DID.
pub(crate) async fn pin(conn: &mut Conn, row: &AccountRow) -> Result<(), StorageError> {
    let query = query(PIN).bind(row.account.as_slice()).bind(row.did.as_bytes().as_slice());
    let query = query.bind(row.email.as_ref().map(Hash::as_slice)).bind(stored(row.since_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn remove(conn: &mut Conn, account: &Hash) -> Result<(), StorageError> {
    query(REMOVE).bind(account.as_slice()).execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

pub(crate) async fn set_email(conn: &mut Conn, account: &Hash, email: Option<&Hash>) -> Result<(), StorageError> {
    let query = query(SET_EMAIL).bind(email.map(Hash::as_slice)).bind(account.as_slice());
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}

/// Returns how many accounts lead to the DID, and how many of them have an address.
pub(crate) async fn counts_of_did(conn: &mut Conn, did: &Did) -> Result<(u64, u64), StorageError> {
    let row = query(COUNTS).bind(did.as_bytes().as_slice()).fetch_one(conn).await.map_err(in_table(TABLE))?;
    let cells = Cells::new(&row, TABLE);
    Ok((cells.number(0)?, cells.number(1)?))
}

/// Returns the accounts that lead to the DID and are no passkeys', oldest first.
pub(crate) async fn links(conn: &mut Conn, did: &Did) -> Result<Vec<LinkRow>, StorageError> {
    let query = query(LINKS).bind(did.as_bytes().as_slice());
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        Ok(LinkRow {
            account: cells.hash(0)?,
            issuer: cells.optional_fixed(1)?,
            since_s: cells.number(2)?,
            has_email: cells.number(3)? != 0,
            addresses: cells.number(4)?,
        })
    };
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<AccountRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(AccountRow {
        account: cells.hash(0)?,
        did: Did::from_bytes(cells.fixed(1)?),
        email: cells.optional_fixed(2)?,
        since_s: cells.number(3)?,
    })
}
