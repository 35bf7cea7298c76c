//! `labels`: the map's leaves with their States.

use super::stored;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::StorageError;
use crate::rows::{DueRow, LabelRow};

const TABLE: &str = "labels";

static UPSERT: ManyRows = ManyRows::new(
    TABLE,
    "INSERT INTO labels (id, label, commitment, kind, version, head_index, head_hash, flags, due_ms, state) VALUES",
    10,
    "ON CONFLICT (id) DO UPDATE SET commitment = excluded.commitment, kind = excluded.kind, \
     version = excluded.version, head_index = excluded.head_index, head_hash = excluded.head_hash, \
     flags = excluded.flags, due_ms = excluded.due_ms, state = excluded.state WHERE labels.label = excluded.label",
);
const ONE: &str = "SELECT label, commitment, kind, version, head_index, head_hash, flags, due_ms, state FROM labels \
                   WHERE id = $1";
const FOUR: &str = "SELECT label, commitment, kind, version, head_index, head_hash, flags, due_ms, state FROM labels \
                    WHERE id IN (?, ?, ?, ?)";
const MANY: &str = "SELECT label, commitment, kind, version, head_index, head_hash, flags, due_ms, state FROM labels \
                    WHERE id IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
                    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const MANY_WIDTH: usize = 64;
const DUES: &str = "SELECT due_ms, label FROM labels WHERE due_ms <= $1 ORDER BY due_ms LIMIT $2";
const LAST_ID: &str = "SELECT coalesce(max(id), 0) FROM labels";
const LEAVES: &str = "SELECT group_concat(leaf, '') FROM (SELECT hex(label) || hex(commitment) AS leaf FROM labels \
                      WHERE id > $1 AND id <= $2 ORDER BY id) AS leaves";

pub(crate) async fn upsert(conn: &mut Conn, rows: &[(i64, &LabelRow)]) -> Result<(), StorageError> {
    let touched = UPSERT
        .run(conn, rows, |query, (id, row)| {
            query
                .bind(*id)
                .bind(row.label.as_slice())
                .bind(row.commitment.as_slice())
                .bind(i64::from(row.kind))
                .bind(stored(row.version))
                .bind(stored(row.head_index))
                .bind(row.head_hash.as_slice())
                .bind(i64::from(row.flags))
                .bind(row.due_ms.map(stored))
                .bind(row.state.as_slice())
        })
        .await?;
    match touched == rows.len() as u64 {
        true => Ok(()),
        false => Err(StorageError::inconsistent(TABLE, "a label of the batch has the id of another")),
    }
}

/// Returns the rows with these ids, in no order.
pub(crate) async fn load(conn: &mut Conn, ids: &[i64]) -> Result<Vec<LabelRow>, StorageError> {
    let mut found = Vec::with_capacity(ids.len());
    let mut rest = ids;
    while !rest.is_empty() {
        let (text, width) = match rest.len() {
            1 => (ONE, 1),
            2..=4 => (FOUR, 4),
            _ => (MANY, MANY_WIDTH),
        };
        let (now, later) = rest.split_at(width.min(rest.len()));
        // Marks without a value are null, which no id equals.
        let query = now.iter().fold(query(text), |query, id| query.bind(*id));
        let rows = query.fetch_all(&mut *conn).await.map_err(in_table(TABLE))?;
        for row in &rows {
            found.push(label_row(&Cells::new(row, TABLE))?);
        }
        rest = later;
    }
    Ok(found)
}

/// Returns at most `limit` labels that are due at or before `until_ms`, the earliest first.
pub(crate) async fn dues(conn: &mut Conn, until_ms: u64, limit: u64) -> Result<Vec<DueRow>, StorageError> {
    let query = query(DUES).bind(stored(until_ms)).bind(stored(limit));
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    rows.iter()
        .map(|row| {
            let cells = Cells::new(row, TABLE);
            Ok(DueRow { due_ms: cells.number(0)?, label: cells.hash(1)? })
        })
        .collect()
}

/// Returns the greatest row id; ids start at 1.
pub(crate) async fn last_id(conn: &mut Conn) -> Result<i64, StorageError> {
    let row = query(LAST_ID).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).small(0)
}

/// Returns label and commitment of the rows with `after < id <= until`, in the order of ids, as one text of 128 upper-case
/// hexadecimal digits a row: as a row of its own each would cost several times as much.
pub(crate) async fn leaves_hex(conn: &mut Conn, after: i64, until: i64) -> Result<String, StorageError> {
    let row = query(LEAVES).bind(after).bind(until).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Ok(Cells::new(&row, TABLE).optional_text(0)?.unwrap_or_default().to_owned())
}

fn label_row(cells: &Cells<'_>) -> Result<LabelRow, StorageError> {
    Ok(LabelRow {
        label: cells.hash(0)?,
        commitment: cells.hash(1)?,
        kind: cells.small(2)?,
        version: cells.number(3)?,
        head_index: cells.number(4)?,
        head_hash: cells.hash(5)?,
        flags: cells.small(6)?,
        due_ms: cells.optional_number(7)?,
        state: cells.bytes(8)?.to_vec(),
    })
}
