//! `invites`: which invite codes were issued, by hash, and which claim used each.

use identity::hash::Hash;

use super::stored;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::{Place, StorageError};
use crate::rows::InviteState;

const TABLE: &str = "invites";

static ADD: ManyRows =
    ManyRows::new(TABLE, "INSERT INTO invites (code_hash) VALUES", 1, "ON CONFLICT (code_hash) DO NOTHING");
const STATE: &str = "SELECT used_index FROM invites WHERE code_hash = $1";
const LIST: &str = "SELECT code_hash, used_index FROM invites ORDER BY code_hash";
const USE: &str = "UPDATE invites SET used_index = $1 WHERE code_hash = $2 AND used_index IS NULL";

/// Adds codes; returns how many are new.
pub(crate) async fn add(conn: &mut Conn, codes: &[Hash]) -> Result<u64, StorageError> {
    ADD.run(conn, codes, |query, code| query.bind(code.as_slice())).await
}

pub(crate) async fn state(conn: &mut Conn, code: &Hash) -> Result<InviteState, StorageError> {
    let row = query(STATE).bind(code.as_slice()).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    let Some(row) = row else { return Ok(InviteState::Unknown) };
    Ok(Cells::new(&row, TABLE).optional_number(0)?.map_or(InviteState::Open, InviteState::Used))
}

/// Returns every code with the log index of the claim that used it.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<(Hash, Option<u64>)>, StorageError> {
    let rows = query(LIST).fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter()
        .map(|row| {
            let cells = Cells::new(row, TABLE);
            Ok((cells.hash(0)?, cells.optional_number(1)?))
        })
        .collect()
}

/// Marks codes as used; refused if one is unknown or used.
pub(crate) async fn mark_used(conn: &mut Conn, used: &[(Hash, u64)]) -> Result<(), StorageError> {
    for (code, index) in used {
        let query = query(USE).bind(stored(*index)).bind(code.as_slice());
        if query.execute(&mut *conn).await.map_err(in_table(TABLE))?.rows_affected() != 1 {
            let detail = format!("the claim at {index} uses an invite that is unknown or used");
            return Err(StorageError::Inconsistent { place: Place::Table(TABLE), detail });
        }
    }
    Ok(())
}
