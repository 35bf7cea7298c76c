//! `token_families` and `token_family_grants`: the families of tokens that live, and the grants they came of.

use identity::cert::Kid;
use identity::did::Did;
use identity::hash::Hash;
use identity::token::Rid;

use super::stored;
use crate::database::{Cells, Conn, Row, in_table, query};
use crate::fault::StorageError;
use crate::people::FamilyRow;

const TABLE: &str = "token_families";

const INSERT: &str = "INSERT INTO token_families (rid, did, kid, audience, scope, chain, life_s, turn, spent_ms, uid, iat_s, exp_s, \
                      seq, over_s) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
const INSERT_GRANT: &str = "INSERT INTO token_family_grants (sid, rid) VALUES ($1, $2)";
const LOAD: &str = "SELECT rid, did, kid, audience, scope, chain, life_s, turn, spent_ms, uid, iat_s, exp_s, seq, over_s \
                    FROM token_families WHERE rid = $1";
const OF_DID: &str = "SELECT rid, did, kid, audience, scope, chain, life_s, turn, spent_ms, uid, iat_s, exp_s, seq, over_s \
                      FROM token_families WHERE did = $1 ORDER BY rid";
const OF_GRANT: &str =
    "SELECT f.rid, f.over_s FROM token_family_grants g JOIN token_families f ON f.rid = g.rid WHERE g.sid = $1";
const COUNT: &str = "SELECT count(*) FROM token_families WHERE did = $1";
const DIDS: &str = "SELECT DISTINCT did FROM token_families";
const ADVANCE: &str = "UPDATE token_families SET turn = $1, spent_ms = $2, iat_s = $3, exp_s = $4, seq = $5, over_s = $6 \
                       WHERE rid = $7 AND turn = $8";
const DELETE: &str = "DELETE FROM token_families WHERE rid = $1";
const DELETE_GRANTS: &str = "DELETE FROM token_family_grants WHERE rid = $1";
/// A few at a time, so that no lease waits for a flood of old ones.
const IDLE: &str = "SELECT rid FROM token_families WHERE iat_s < $1 ORDER BY iat_s LIMIT 16";

pub(crate) async fn insert(conn: &mut Conn, row: &FamilyRow, grants: &[Hash]) -> Result<(), StorageError> {
    let insert = query(INSERT).bind(row.rid.as_slice()).bind(row.did.as_bytes().as_slice());
    let insert = insert.bind(row.kid.0.as_slice()).bind(row.audience.as_bytes().as_slice());
    let insert = insert.bind(row.scope.as_slice()).bind(row.chain.as_slice());
    let numbers = [row.life_s, row.turn, row.spent_ms, row.uid, row.iat_s, row.exp_s, row.seq, row.over_s];
    let insert = numbers.into_iter().fold(insert, |insert, number| insert.bind(stored(number)));
    insert.execute(&mut *conn).await.map_err(in_table(TABLE))?;
    for sid in grants {
        let query = query(INSERT_GRANT).bind(sid.as_slice()).bind(row.rid.as_slice());
        query.execute(&mut *conn).await.map_err(in_table(TABLE))?;
    }
    Ok(())
}

pub(crate) async fn load(conn: &mut Conn, rid: &Rid) -> Result<Option<FamilyRow>, StorageError> {
    let row = query(LOAD).bind(rid.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn of_did(conn: &mut Conn, did: &Did) -> Result<Vec<FamilyRow>, StorageError> {
    let rows = query(OF_DID).bind(did.as_bytes().as_slice()).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter().map(read).collect()
}

/// Returns the families that came of a grant, each with when all its tokens are over.
pub(crate) async fn of_grant(conn: &mut Conn, sid: &Hash) -> Result<Vec<(Rid, u64)>, StorageError> {
    let rows = query(OF_GRANT).bind(sid.as_slice()).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter()
        .map(|row| {
            let cells = Cells::new(row, TABLE);
            Ok((cells.fixed(0)?, cells.number(1)?))
        })
        .collect()
}

pub(crate) async fn count(conn: &mut Conn, did: &Did) -> Result<u64, StorageError> {
    let row = query(COUNT).bind(did.as_bytes().as_slice()).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}

/// Returns every DID that has a family.
pub(crate) async fn dids(conn: &mut Conn) -> Result<Vec<Did>, StorageError> {
    let rows = query(DIDS).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter()
        .map(|row| {
            let cells = Cells::new(row, TABLE);
            Ok(Did::from_bytes(cells.fixed(0)?))
        })
        .collect()
}

/// Writes what a refresh changes; false if another one was faster.
pub(crate) async fn advance(conn: &mut Conn, new: &FamilyRow, from: u64) -> Result<bool, StorageError> {
    let numbers = [new.turn, new.spent_ms, new.iat_s, new.exp_s, new.seq, new.over_s];
    let query = numbers.into_iter().fold(query(ADVANCE), |query, number| query.bind(stored(number)));
    let query = query.bind(new.rid.as_slice()).bind(stored(from));
    Ok(query.execute(conn).await.map_err(in_table(TABLE))?.rows_affected() == 1)
}

/// Deletes a family; false if there is none.
pub(crate) async fn delete(conn: &mut Conn, rid: &Rid) -> Result<bool, StorageError> {
    let done = query(DELETE).bind(rid.as_slice()).execute(&mut *conn).await.map_err(in_table(TABLE))?;
    query(DELETE_GRANTS).bind(rid.as_slice()).execute(conn).await.map_err(in_table(TABLE))?;
    Ok(done.rows_affected() == 1)
}

/// Returns some of the families whose newest token was minted before `before_s`.
pub(crate) async fn idle(conn: &mut Conn, before_s: u64) -> Result<Vec<Rid>, StorageError> {
    let rows = query(IDLE).bind(stored(before_s)).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter()
        .map(|row| {
            let cells = Cells::new(row, TABLE);
            cells.fixed(0)
        })
        .collect()
}

fn read(row: &Row) -> Result<FamilyRow, StorageError> {
    let cells = Cells::new(row, TABLE);
    Ok(FamilyRow {
        rid: cells.fixed(0)?,
        did: Did::from_bytes(cells.fixed(1)?),
        kid: Kid(cells.fixed(2)?),
        audience: Did::from_bytes(cells.fixed(3)?),
        scope: cells.bytes(4)?.to_vec(),
        chain: cells.bytes(5)?.to_vec(),
        life_s: cells.number(6)?,
        turn: cells.number(7)?,
        spent_ms: cells.number(8)?,
        uid: cells.number(9)?,
        iat_s: cells.number(10)?,
        exp_s: cells.number(11)?,
        seq: cells.number(12)?,
        over_s: cells.number(13)?,
    })
}
