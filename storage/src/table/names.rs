//! `names`: what DNS reads, derived in the same commit as the labels.

use data_encoding::HEXUPPER;
use identity::did::Did;

use super::stored;
use crate::database::{Cells, Conn, ManyRows, in_table, query};
use crate::fault::{Place, StorageError};
use crate::rows::NameRow;

const TABLE: &str = "names";

static UPSERT: ManyRows = ManyRows::new(
    TABLE,
    "INSERT INTO names (id, name, did, status, claim_index, records) VALUES",
    6,
    "ON CONFLICT (id) DO UPDATE SET did = excluded.did, status = excluded.status, \
     claim_index = excluded.claim_index, records = excluded.records",
);
const ONE: &str = "SELECT name, did, status, claim_index, records FROM names WHERE id = $1";
const LAST_ID: &str = "SELECT coalesce(max(id), 0) FROM names";
const PAGE: &str = "SELECT group_concat(line, '|') FROM (SELECT status || ',' || claim_index || ',' || \
                    coalesce(hex(did), '') || ',' || hex(records) || ',' || name AS line FROM names \
                    WHERE id > $1 AND id <= $2) AS lines";

pub(crate) async fn upsert(conn: &mut Conn, rows: &[(i64, &NameRow)]) -> Result<(), StorageError> {
    UPSERT
        .run(conn, rows, |query, (id, row)| {
            query
                .bind(*id)
                .bind(row.name.as_str())
                .bind(row.did.as_ref().map(|did| did.as_bytes().as_slice()))
                .bind(i64::from(row.status))
                .bind(stored(row.index))
                .bind(row.records.as_slice())
        })
        .await?;
    Ok(())
}

pub(crate) async fn load(conn: &mut Conn, id: i64) -> Result<Option<NameRow>, StorageError> {
    let row = query(ONE).bind(id).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| name_row(&Cells::new(&row, TABLE))).transpose()
}

/// Returns the greatest row id.
pub(crate) async fn last_id(conn: &mut Conn) -> Result<i64, StorageError> {
    let row = query(LAST_ID).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).small(0)
}

/// Returns the rows with `after < id <= until`, in no order. They travel as one text: as a row of its own each would cost
/// several times as much.
pub(crate) async fn page(conn: &mut Conn, after: i64, until: i64) -> Result<Vec<NameRow>, StorageError> {
    let row = query(PAGE).bind(after).bind(until).fetch_one(conn).await.map_err(in_table(TABLE))?;
    let text = Cells::new(&row, TABLE).optional_text(0)?;
    let lines = text.into_iter().flat_map(|text| text.split('|'));
    lines.map(|line| parse(line).ok_or_else(|| StorageError::corrupt(Place::Table(TABLE), line))).collect()
}

/// Returns the row that `line` is: status, index, DID, records in hexadecimal, name.
fn parse(line: &str) -> Option<NameRow> {
    let mut cells = line.splitn(5, ',');
    let (status, index) = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
    let did = HEXUPPER.decode(cells.next()?.as_bytes()).ok()?;
    let did = if did.is_empty() { None } else { Some(Did::from_bytes(did.try_into().ok()?)) };
    let records = HEXUPPER.decode(cells.next()?.as_bytes()).ok()?;
    Some(NameRow { name: cells.next()?.to_owned(), did, status, index, records })
}

fn name_row(cells: &Cells<'_>) -> Result<NameRow, StorageError> {
    let did = cells.optional_fixed(1)?;
    Ok(NameRow {
        name: cells.text(0)?.to_owned(),
        did: did.map(Did::from_bytes),
        status: cells.small(2)?,
        index: cells.number(3)?,
        records: cells.bytes(4)?.to_vec(),
    })
}
