//! `member`: the members of groups, as the control log has them.

use identity::did::Did;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;
use crate::table::stored;

const TABLE: &str = "member";

const LOAD: &str = "SELECT rights, until_s FROM member WHERE db = $1 AND gid = $2 AND did = $3";
static MANY: ManyRows =
    ManyRows::new(TABLE, "SELECT db, gid, did, rights, until_s FROM member WHERE (db, gid, did) IN (VALUES", 3, ")");
const ANY: &str = "SELECT rights, until_s FROM member WHERE db = $1 AND did = $2";
const UPSERT: &str = "INSERT INTO member (db, gid, did, rights, until_s) VALUES ($1, $2, $3, $4, $5) \
                      ON CONFLICT (db, gid, did) DO UPDATE SET rights = excluded.rights, until_s = excluded.until_s";

/// Returns the rights of a member, and until when, Unix seconds; 0 is none any more.
pub(crate) async fn load(conn: &mut Conn, db: RowId, gid: u32, did: &Did) -> Result<Option<(u8, u64)>, StorageError> {
    let query = query(LOAD).bind(db).bind(i64::from(gid)).bind(did.as_bytes().as_slice());
    let row = query.fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| {
        let cells = Cells::new(&row, TABLE);
        Ok((cells.small(0)?, cells.number(1)?))
    })
    .transpose()
}

/// A member of a group.
pub(crate) type Member = (RowId, u32, Did);

/// As [`load`], of many: of those that are, or were, in no order.
pub(crate) async fn load_many(conn: &mut Conn, members: &[Member]) -> Result<Vec<(Member, (u8, u64))>, StorageError> {
    let rows = MANY.ask(conn, members, |query, (db, gid, did)| {
        query.bind(*db).bind(i64::from(*gid)).bind(did.as_bytes().as_slice())
    });
    let read = |row| {
        let cells = Cells::new(row, TABLE);
        let member = (cells.small(0)?, cells.small(1)?, Did::from_bytes(cells.fixed(2)?));
        Ok((member, (cells.small(3)?, cells.number(4)?)))
    };
    rows.await?.iter().map(read).collect()
}

/// Returns the rights of a member in each of its groups.
pub(crate) async fn of_any_group(conn: &mut Conn, db: RowId, did: &Did) -> Result<Vec<(u8, u64)>, StorageError> {
    let query = query(ANY).bind(db).bind(did.as_bytes().as_slice());
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    let read = |row| {
        let cells = Cells::new(row, TABLE);
        Ok((cells.small(0)?, cells.number(1)?))
    };
    rows.iter().map(read).collect()
}

pub(crate) async fn upsert(
    conn: &mut Conn,
    db: RowId,
    gid: u32,
    did: &Did,
    (rights, until_s): (u8, u64),
) -> Result<(), StorageError> {
    let query = query(UPSERT).bind(db).bind(i64::from(gid)).bind(did.as_bytes().as_slice());
    let query = query.bind(i64::from(rights)).bind(stored(until_s));
    query.execute(conn).await.map_err(in_table(TABLE)).map(drop)
}
