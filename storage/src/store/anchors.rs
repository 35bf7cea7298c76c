//! What of the logs is said in the log of names (PROTOCOL 25.9).
//!
//! An anchor is durable here before it is posted: a crash between leaves one that is posted again as it is. So a store that lacks an
//! anchor which the log of names has was put back from an older copy, and nothing else.

use std::collections::HashMap;

use dgns_api::store::anchor::{AnchoredHead, Changes, label};
use dgns_api::store::control::Control;
use dgns_api::store::entry::LogId;
use dgns_api::store::partition;
use identity::hash::Hash;
use translog::entry::Anchor;

use super::rows::{GrownLog, LogRow};
use super::{Store, proof};
use crate::database::{Conn, begin_reading};
use crate::fault::StorageError;
use crate::inject::Step;
use crate::table::store as tables;

/// The anchors as they are kept: the tree some anchors ago, and what changed since.
#[derive(Clone, Debug, Default)]
pub struct AnchorRows {
    /// The anchor that `heads` is the tree of; none if there were fewer.
    pub base: Option<Anchor>,
    /// The heads in its tree, by label.
    pub heads: Vec<(Hash, AnchoredHead)>,
    /// The anchors after it, in order.
    pub since: Vec<Changes>,
}

impl Store {
    /// Returns the anchors, the newest `back` of them one by one.
    pub async fn anchors(&self, back: u64) -> Result<AnchorRows, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let mut tx = begin_reading(&mut reader).await?;
        let newest = tables::anchor::newest(&mut tx).await?;
        let base = newest.saturating_sub(back);
        let mut rows = AnchorRows::default();
        if base > 0 {
            rows.base = Some(body(&mut tx, base).await?.ok_or_else(|| lost("an anchor is missing"))?);
            rows.heads = tables::anchor::all_at(&mut tx, base).await?;
        }
        for k in base + 1..=newest {
            rows.since.push(changes(&mut tx, k).await?.ok_or_else(|| lost("an anchor is missing"))?);
        }
        Ok(rows)
    }

    /// Returns an anchor with the heads it changes.
    pub async fn anchor(&self, k: u64) -> Result<Option<Changes>, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let mut tx = begin_reading(&mut reader).await?;
        changes(&mut tx, k).await
    }

    /// Returns the head that anchor `k` has of a log, with the log's label there; `None` if there is no such log.
    pub async fn anchored(&self, log: &LogId, k: u64) -> Result<Option<(Hash, Option<AnchoredHead>)>, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let mut tx = begin_reading(&mut reader).await?;
        let Some(row) = tables::dblog::by_key(&mut tx, log).await? else { return Ok(None) };
        match tables::anchor::of_log(&mut tx, row.id, k).await? {
            Some((label, head)) => Ok(Some((label, Some(head)))),
            None => Ok(Some((label_of(&mut tx, &row).await?, None))),
        }
    }

    /// Returns the consistency path between two sizes of a log; `None` if it has not so many entries.
    pub async fn grown(&self, log: &LogId, from: u64, to: u64) -> Result<Option<Vec<Hash>>, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let mut tx = begin_reading(&mut reader).await?;
        let row = tables::dblog::by_key(&mut tx, log).await?;
        match row.filter(|row| from <= to && to <= row.edge.size()) {
            Some(row) => proof::consistency(&mut tx, &row.line, from, to).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns logs that grew since they were anchored, at most `limit`.
    pub async fn grown_logs(&self, limit: u64) -> Result<Vec<GrownLog>, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let mut tx = begin_reading(&mut reader).await?;
        let mut grown = Vec::new();
        for id in tables::anchor::grown(&mut tx, limit).await? {
            let row = tables::dblog::by_id(&mut tx, id).await?.ok_or_else(|| lost("a log is missing"))?;
            let label = match tables::anchor::label(&mut tx, id).await? {
                Some(label) => label,
                None => label_of(&mut tx, &row).await?,
            };
            grown.push(GrownLog { id, label, size: row.edge.size(), root: row.edge.root() });
        }
        Ok(grown)
    }

    /// Makes an anchor durable, which is posted after that. `logs` are those that [`Store::grown_logs`] gave.
    pub async fn put_anchor(&self, changes: &Changes, logs: &[GrownLog]) -> Result<(), StorageError> {
        let logs: HashMap<&Hash, &GrownLog> = logs.iter().map(|log| (&log.label, log)).collect();
        let heads = changes.heads.iter().map(|(label, head)| {
            let log =
                logs.get(label).copied().cloned().ok_or_else(|| lost("an anchored log is none of those that grew"))?;
            Ok((log, *head))
        });
        let heads = heads.collect::<Result<Vec<_>, StorageError>>()?;
        let mut tx = self.inner.database.write().await?;
        tables::anchor::insert(&mut tx, changes.anchor.k, &changes.anchor.encode(), &heads).await?;
        self.keep(Step::Anchor, tx, heads.len()).await
    }
}

async fn body(conn: &mut Conn, k: u64) -> Result<Option<Anchor>, StorageError> {
    let body = tables::anchor::body(conn, k).await?;
    body.map(|body| Anchor::decode(&body).map_err(|_| lost("an anchor does not decode"))).transpose()
}

async fn changes(conn: &mut Conn, k: u64) -> Result<Option<Changes>, StorageError> {
    let Some(anchor) = body(conn, k).await? else { return Ok(None) };
    Ok(Some(Changes { anchor, heads: tables::anchor::of_anchor(conn, k).await? }))
}

/// Returns the label of a log that no anchor has yet: its salt stands in the genesis of its database, or in the first entry of its partition.
async fn label_of(conn: &mut Conn, row: &LogRow) -> Result<Hash, StorageError> {
    let LogRow { key: log, db, .. } = row;
    if row.kind.is_of_user() {
        let user = partition::user_of(&row.label).ok_or_else(|| lost("a partition is nobody's"))?;
        let salt = tables::subscriber::salt(conn, *db, &user).await?;
        return Ok(label(log, &salt.ok_or_else(|| lost("a partition has no salt"))?));
    }
    let control =
        tables::dblog::said_of_db(conn, *db).await?.into_iter().next().ok_or_else(|| lost("no control log"))?;
    // A fork's own entries begin behind those of its source.
    let first = control.line.parts(0, 0, u64::MAX).last().map_or(0, |(_, from, _)| *from);
    let first = tables::entry::range(conn, &control.line, first, first + 1).await?.into_iter().next();
    match first.map(|entry| Control::decode(&entry.body)) {
        Some(Ok(Control::Genesis { salt, .. } | Control::Fork { salt, .. })) => Ok(label(log, &salt)),
        _ => Err(lost("a database has no genesis")),
    }
}

fn lost(what: &str) -> StorageError {
    StorageError::inconsistent("anchor", what)
}
