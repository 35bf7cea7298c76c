//! `anchor` and `anchor_head`: what of the logs is said in the log of names.

use dgns_api::store::anchor::AnchoredHead;
use identity::hash::Hash;

use super::RowId;
use crate::database::{Cells, Conn, ManyRows, Row, in_table, query};
use crate::fault::StorageError;
use crate::store::rows::GrownLog;
use crate::table::stored;

const TABLE: &str = "anchor";
const HEADS: &str = "anchor_head";

const INSERT: &str = "INSERT INTO anchor (k, body) VALUES ($1, $2)";
const NEWEST: &str = "SELECT coalesce(max(k), 0) FROM anchor";
const BODY: &str = "SELECT body FROM anchor WHERE k = $1";
const OF_ANCHOR: &str = "SELECT label, version, size, root, prev, k FROM anchor_head WHERE k = $1 ORDER BY label";
const OF_LOG: &str = "SELECT label, version, size, root, prev, k FROM anchor_head WHERE log = $1 AND k <= $2 \
                      ORDER BY version DESC LIMIT 1";
const ALL_AT: &str = "SELECT label, version, size, root, prev, k FROM anchor_head AS head WHERE version = \
                      (SELECT max(version) FROM anchor_head WHERE log = head.log AND k <= $1) ORDER BY label";
const LABEL: &str = "SELECT label FROM anchor_head WHERE log = $1 AND version = 1";
const GROWN: &str = "SELECT dblog.id FROM dblog JOIN db ON db.id = dblog.db \
                     WHERE dblog.size > dblog.anchored_size AND db.stage <> 5 ORDER BY dblog.id LIMIT $1";
const ANCHORED: &str = "UPDATE dblog SET anchored_size = \
                        (SELECT size FROM anchor_head WHERE anchor_head.k = $1 AND anchor_head.log = dblog.id) \
                        WHERE id IN (SELECT log FROM anchor_head WHERE k = $2)";
static INSERT_HEADS: ManyRows =
    ManyRows::new(HEADS, "INSERT INTO anchor_head (k, label, log, version, size, root, prev) VALUES", 7, "");

/// Adds an anchor with the heads it has first, and notes how far it has each log.
pub(crate) async fn insert(
    conn: &mut Conn,
    k: u64,
    body: &[u8],
    heads: &[(GrownLog, AnchoredHead)],
) -> Result<(), StorageError> {
    query(INSERT).bind(stored(k)).bind(body).execute(&mut *conn).await.map_err(in_table(TABLE))?;
    let bind = INSERT_HEADS.run(conn, heads, |query, (log, head)| {
        let query = query.bind(stored(head.k)).bind(log.label.as_slice()).bind(log.id).bind(stored(head.version));
        query.bind(stored(head.size)).bind(head.root.as_slice()).bind(head.prev.as_ref().map(<[u8; 32]>::as_slice))
    });
    bind.await?;
    let anchored = query(ANCHORED).bind(stored(k)).bind(stored(k));
    anchored.execute(conn).await.map_err(in_table("dblog")).map(drop)
}

/// Returns the number of the newest anchor; 0 is none.
pub(crate) async fn newest(conn: &mut Conn) -> Result<u64, StorageError> {
    let row = query(NEWEST).fetch_one(conn).await.map_err(in_table(TABLE))?;
    Cells::new(&row, TABLE).number(0)
}

/// Returns the body of an anchor.
pub(crate) async fn body(conn: &mut Conn, k: u64) -> Result<Option<Vec<u8>>, StorageError> {
    let row = query(BODY).bind(stored(k)).fetch_optional(conn).await.map_err(in_table(TABLE))?;
    row.map(|row| Ok(Cells::new(&row, TABLE).bytes(0)?.to_vec())).transpose()
}

/// Returns the heads that an anchor has first, by label.
pub(crate) async fn of_anchor(conn: &mut Conn, k: u64) -> Result<Vec<(Hash, AnchoredHead)>, StorageError> {
    let rows = query(OF_ANCHOR).bind(stored(k)).fetch_all(conn).await.map_err(in_table(HEADS))?;
    rows.iter().map(read).collect()
}

/// Returns the head that anchor `k` has of a log.
pub(crate) async fn of_log(conn: &mut Conn, log: RowId, k: u64) -> Result<Option<(Hash, AnchoredHead)>, StorageError> {
    let row = query(OF_LOG).bind(log).bind(stored(k)).fetch_optional(conn).await.map_err(in_table(HEADS))?;
    row.as_ref().map(read).transpose()
}

/// Returns the head that anchor `k` has of each log it has, by label.
pub(crate) async fn all_at(conn: &mut Conn, k: u64) -> Result<Vec<(Hash, AnchoredHead)>, StorageError> {
    let rows = query(ALL_AT).bind(stored(k)).fetch_all(conn).await.map_err(in_table(HEADS))?;
    rows.iter().map(read).collect()
}

/// Returns the label of a log that was anchored before.
pub(crate) async fn label(conn: &mut Conn, log: RowId) -> Result<Option<Hash>, StorageError> {
    let row = query(LABEL).bind(log).fetch_optional(conn).await.map_err(in_table(HEADS))?;
    row.map(|row| Cells::new(&row, HEADS).fixed(0)).transpose()
}

/// Returns logs that grew since they were anchored, at most `limit`; none that is on its way here, which may come to nothing.
pub(crate) async fn grown(conn: &mut Conn, limit: u64) -> Result<Vec<RowId>, StorageError> {
    let rows = query(GROWN).bind(stored(limit)).fetch_all(conn).await.map_err(in_table("dblog"))?;
    rows.iter().map(|row| Cells::new(row, "dblog").small(0)).collect()
}

fn read(row: &Row) -> Result<(Hash, AnchoredHead), StorageError> {
    let cells = Cells::new(row, HEADS);
    let version = cells.number(1)?;
    let prev = if version == 1 { None } else { Some(cells.fixed(4)?) };
    let head = AnchoredHead { version, size: cells.number(2)?, root: cells.fixed(3)?, prev, k: cells.number(5)? };
    Ok((cells.fixed(0)?, head))
}
