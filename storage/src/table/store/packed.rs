//! `packed`: what stays of entries that lie in segments, by blocks; `packed_device`: which block has the entries of a device.

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, Row, in_table, query};
use crate::fault::StorageError;
use crate::limits::BLOCK_ENTRIES;
use crate::store::block::{Block, Mark};
use crate::table::stored;

const TABLE: &str = "packed";
const DEVICES: &str = "packed_device";

static INSERT: ManyRows = ManyRows::new(TABLE, "INSERT INTO packed (log, first, leaves, marks) VALUES", 4, "");
static INSERT_DEVICES: ManyRows =
    ManyRows::new(DEVICES, "INSERT INTO packed_device (log, device, lsn, first) VALUES", 4, "");
static DELETE_DEVICES: ManyRows =
    ManyRows::new(DEVICES, "DELETE FROM packed_device WHERE (log, device, lsn) IN (VALUES", 3, ")");
const RANGE: &str =
    "SELECT first, leaves, marks FROM packed WHERE log = $1 AND first > $2 AND first < $3 ORDER BY first";
const MARKS: &str = "UPDATE packed SET marks = $1 WHERE log = $2 AND first = $3";
const DELETE: &str = "DELETE FROM packed WHERE log = $1 AND first = $2";
const BLOCK_OF: &str =
    "SELECT first FROM packed_device WHERE log = $1 AND device = $2 AND lsn <= $3 ORDER BY lsn DESC LIMIT 1";

pub(crate) async fn insert(conn: &mut Conn, log: RowId, blocks: &[Block]) -> Result<(), StorageError> {
    let rows: Vec<_> = blocks.iter().map(|block| (block.first, block.leaves(), block.stored())).collect();
    let bind = INSERT.run(conn, &rows, |query, (first, leaves, marks)| {
        query.bind(log).bind(stored(*first)).bind(leaves.as_slice()).bind(marks.as_slice())
    });
    bind.await?;
    let of_block = |block: &Block| block.devices().into_iter().map(|one| (one, block.first)).collect::<Vec<_>>();
    let devices: Vec<_> = blocks.iter().flat_map(of_block).collect();
    let bind = INSERT_DEVICES.run(conn, &devices, |query, ((device, lsn), first)| {
        query.bind(log).bind(*device).bind(stored(*lsn)).bind(stored(*first))
    });
    bind.await.map(drop)
}

/// Returns the blocks of a row of logs that have any of the entries `from..to`, in order.
pub(crate) async fn blocks(conn: &mut Conn, log: RowId, from: u64, to: u64) -> Result<Vec<Block>, StorageError> {
    let before = stored(from) - stored(BLOCK_ENTRIES);
    let rows = query(RANGE).bind(log).bind(before).bind(stored(to)).fetch_all(conn).await.map_err(in_table(TABLE))?;
    let read = |row: &Row| {
        let cells = Cells::new(row, TABLE);
        Block::read(cells.number(0)?, cells.bytes(1)?, cells.bytes(2)?)
    };
    let blocks = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(blocks.into_iter().filter(|block| block.end() > from).collect())
}

/// Returns what is kept of the entries `from..to` of a row of logs: of those that are packed, from the first on without a gap.
pub(crate) async fn marks(conn: &mut Conn, log: RowId, from: u64, to: u64) -> Result<Vec<Mark>, StorageError> {
    let mut marks = Vec::new();
    for block in blocks(conn, log, from, to).await? {
        if block.first > from + marks.len() as u64 {
            break;
        }
        let skip = (from + marks.len() as u64 - block.first) as usize;
        marks.extend_from_slice(block.marks.get(skip..).unwrap_or_default());
    }
    marks.truncate((to - from) as usize);
    Ok(marks)
}

/// Returns place and mark of what a device appended as its entry `lsn`, if that is packed.
pub(crate) async fn by_lsn(
    conn: &mut Conn,
    log: RowId,
    device: RowId,
    lsn: u64,
) -> Result<Option<(u64, Mark)>, StorageError> {
    let asked = query(BLOCK_OF).bind(log).bind(device).bind(stored(lsn));
    let Some(row) = asked.fetch_optional(&mut *conn).await.map_err(in_table(DEVICES))? else { return Ok(None) };
    let first = Cells::new(&row, DEVICES).number(0)?;
    let blocks = blocks(conn, log, first, first + 1).await?;
    let marks = blocks.iter().flat_map(|block| (block.first..).zip(&block.marks));
    Ok(marks.map(|(pos, mark)| (pos, *mark)).find(|(_, mark)| (mark.device, mark.lsn) == (device, lsn)))
}

/// Notes that the bodies of the entries `from..to` are dropped; returns of each that had one how many bytes, by place.
pub(crate) async fn drop_bodies(
    conn: &mut Conn,
    log: RowId,
    from: u64,
    to: u64,
) -> Result<Vec<(u64, u64)>, StorageError> {
    let mut dropped = Vec::new();
    for mut block in blocks(conn, log, from, to).await? {
        let before = dropped.len();
        for (pos, mark) in (block.first..).zip(&mut block.marks) {
            if (from..to).contains(&pos) && mark.body_bytes > 0 {
                dropped.push((pos, mark.body_bytes));
                mark.body_bytes = 0;
            }
        }
        if dropped.len() > before {
            let query = query(MARKS).bind(block.stored()).bind(log).bind(stored(block.first));
            query.execute(&mut *conn).await.map_err(in_table(TABLE))?;
        }
    }
    Ok(dropped)
}

/// Puts blocks of the same entries in the place of others; those that are there already stay.
pub(crate) async fn replace(conn: &mut Conn, log: RowId, old: &[Block], new: &[Block]) -> Result<(), StorageError> {
    let others = |blocks: &[Block], than: &[Block]| -> Vec<Block> {
        blocks.iter().filter(|block| !than.contains(block)).cloned().collect()
    };
    let mut devices = Vec::new();
    for block in others(old, new) {
        let gone = query(DELETE).bind(log).bind(stored(block.first));
        gone.execute(&mut *conn).await.map_err(in_table(TABLE))?;
        devices.extend(block.devices());
    }
    let gone =
        DELETE_DEVICES.run(conn, &devices, |query, (device, lsn)| query.bind(log).bind(*device).bind(stored(*lsn)));
    gone.await?;
    insert(conn, log, &others(new, old)).await
}
