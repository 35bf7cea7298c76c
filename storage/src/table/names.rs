//! `names`: what DNS reads, derived in the same commit as the labels.

use identity::did::Did;
use sqlx::SqliteConnection;

use super::stored;
use crate::database::{Cells, ManyRows, in_table};
use crate::fault::StorageError;
use crate::rows::NameRow;

const TABLE: &str = "names";

static UPSERT: ManyRows = ManyRows::new(
    TABLE,
    "INSERT INTO names (id, name, did, status, claim_index, records) VALUES",
    6,
    "ON CONFLICT (id) DO UPDATE SET did = excluded.did, status = excluded.status, \
     claim_index = excluded.claim_index, records = excluded.records",
);
const ONE: &str = "SELECT names.id, label, name, did, status, claim_index, records FROM names \
                   JOIN labels ON labels.id = names.id WHERE names.id = $1";
const PAGE: &str = "SELECT names.id, label, name, did, status, claim_index, records FROM names \
                    JOIN labels ON labels.id = names.id WHERE names.id > $1 ORDER BY names.id LIMIT $2";

pub(crate) async fn upsert(conn: &mut SqliteConnection, rows: &[(i64, &NameRow)]) -> Result<(), StorageError> {
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

pub(crate) async fn load(conn: &mut SqliteConnection, id: i64) -> Result<Option<NameRow>, StorageError> {
    let row = sqlx::query(ONE).bind(id).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| name_row(&Cells::new(&row, TABLE))).transpose()
}

/// Returns at most `limit` rows with an id above `after`, and the last of those ids.
pub(crate) async fn page(
    conn: &mut SqliteConnection,
    after: u64,
    limit: u64,
) -> Result<(Vec<NameRow>, u64), StorageError> {
    let query = sqlx::query(PAGE).bind(stored(after)).bind(stored(limit));
    let rows = query.fetch_all(conn).await.map_err(in_table(TABLE))?;
    let last = rows.last().map_or(Ok(after), |row| Cells::new(row, TABLE).number(0))?;
    let names = rows.iter().map(|row| name_row(&Cells::new(row, TABLE))).collect::<Result<_, _>>()?;
    Ok((names, last))
}

fn name_row(cells: &Cells<'_>) -> Result<NameRow, StorageError> {
    let did = cells.optional_bytes(3)?.map(|bytes| cells.array(3, bytes)).transpose()?;
    Ok(NameRow {
        label: cells.hash(1)?,
        name: cells.text(2)?.to_owned(),
        did: did.map(Did::from_bytes),
        status: cells.small(4)?,
        index: cells.number(5)?,
        records: cells.bytes(6)?.to_vec(),
    })
}
