//! Chunks that were stored for entries and that no entry names: they go, and are given back to the account.
//!
//! In steps, each one commit and a bounded one, so that appends go on between them. One that nobody stored, asked for or named for a grace is
//! *condemned*; condemned for as long it is kept for its database no longer. Stored, asked for or named meanwhile it stays: whoever was told
//! that a chunk is there has a grace at least to name it, whatever their clock says. What is kept for nothing is removed, and its object is to
//! be deleted, which comes last, a grace later still: rows that are put back as they were a little before find what they keep. An entry names chunks for as long as its body is there: snapshots too, and what a fork goes on from.
//!
//! Every transaction that writes is the only one (`database`), so what a step finds in its own stands until its commit. Whoever is killed between
//! two steps leaves what the next one finds, on whichever node: a step looks at nothing but rows, and two nodes may do the same. What lies
//! outside of the rows, an object, has a name that no later writing of the same chunk has: the commit that lets go of objects also turns the
//! number of the writing, and an upload whose number was turned away meanwhile writes again. So a deletion that comes late, of a node that was
//! held up or of an object store that took its time, meets nothing that is kept, and no upload waits for one.
//!
//! What entries name that came before this is counted anew, from the entries: until all are, nothing is condemned or let go of.

use std::collections::BTreeMap;

use dgns_api::store::content::ContentId;
use dgns_api::store::entry::Header;

use super::chunks::path_of;
use super::rows::UseRow;
use super::{Grace, Store};
use crate::database::Conn;
use crate::fault::StorageError;
use crate::inject::{self, Failure, Step};
use crate::limits::{NAMED_PER_STEP, OBJECT_FAILURES_MAX, ROWS_PER_COLLECTION, ROWS_PER_SWEEP};
use crate::table::store::{self as tables, RowId};

/// What a step of letting go of chunks did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many chunks are kept for something no longer.
    pub chunks: u64,
    /// What was given back to accounts for them, bytes.
    pub bytes: u64,
    /// How many objects were deleted.
    pub objects: u64,
    /// Whether there may be another step.
    pub is_more: bool,
}

impl Store {
    /// Takes one step of letting go of chunks that no entry names.
    ///
    /// A crash before a step's commit leaves nothing of it, and the next one finds where it was. Errors: an object that is not deleted is tried
    /// again by a later call; what was let go of stays so.
    pub async fn collect(&self, grace: Grace) -> Result<Collected, StorageError> {
        let more = Collected { is_more: true, ..Collected::default() };
        let Some(before_ms) = grace.now_ms.checked_sub(grace.grace_ms) else { return Ok(Collected::default()) };
        if self.count_named().await? {
            return Ok(more);
        }
        if let Some(done) = self.let_go(grace.now_ms, before_ms).await? {
            return Ok(done);
        }
        if self.condemn(grace.now_ms, before_ms).await? || self.drop_old_segments(grace.now_ms, before_ms).await? {
            return Ok(more);
        }
        let objects = self.delete_objects(grace.now_ms, before_ms).await?;
        Ok(Collected { objects, is_more: objects > 0, ..Collected::default() })
    }

    /// Counts what entries name that came before that was done; returns whether there were any.
    pub(super) async fn count_named(&self) -> Result<bool, StorageError> {
        if tables::dblog::uncounted(&mut *self.inner.database.reader().await).await?.is_none() {
            return Ok(false);
        }
        let mut tx = self.inner.database.write().await?;
        let Some((log, from, end)) = tables::dblog::uncounted(&mut tx).await? else { return Ok(true) };
        let lost = || StorageError::inconsistent("dblog", "a log of no log or database");
        let row = tables::dblog::by_id(&mut tx, log).await?.ok_or_else(lost)?;
        let account = tables::db::by_id(&mut tx, row.db).await?.ok_or_else(lost)?.account;
        // What it goes on from is counted where it lies.
        let own = row.line.parts(0, 0, u64::MAX).last().map_or(0, |(_, from, _)| *from);
        let from = from.max(own).min(end);
        let to = end.min(from.saturating_add(ROWS_PER_SWEEP));
        let (mut at, mut named) = (from, Vec::new());
        for entry in tables::entry::naming(&mut tx, log, from, to).await? {
            let more = named_by(&entry)?;
            if at > from && named.len() + more.len() > NAMED_PER_STEP {
                break;
            }
            named.extend(more);
            at += 1;
        }
        if at == from && from < end {
            return Err(StorageError::inconsistent("entry", "a log has fewer entries than its size"));
        }
        recount(&mut tx, (account, row.db), &named, u64::saturating_add).await?;
        tables::dblog::count_to(&mut tx, log, at).await?;
        self.keep(Step::Collect, tx, named.len() + 1).await?;
        Ok(true)
    }

    /// Condemns chunks that nobody wanted since `before_ms`; returns whether there were any.
    async fn condemn(&self, now_ms: u64, before_ms: u64) -> Result<bool, StorageError> {
        if tables::chunk_use::unnamed(&mut *self.inner.database.reader().await, before_ms, 1).await?.is_empty() {
            return Ok(false);
        }
        let mut tx = self.inner.database.write().await?;
        if tables::dblog::uncounted(&mut tx).await?.is_some() {
            return Ok(true);
        }
        let mut rows = tables::chunk_use::unnamed(&mut tx, before_ms, ROWS_PER_COLLECTION).await?;
        rows.iter_mut().for_each(|row| row.marked_ms = now_ms.max(1));
        tables::chunk_use::upsert(&mut tx, &rows).await?;
        self.keep(Step::Collect, tx, rows.len()).await?;
        Ok(true)
    }

    /// Keeps chunks no longer that are condemned since `before_ms`, and gives their bytes back, in one commit; returns what it did, if there
    /// were any.
    async fn let_go(&self, now_ms: u64, before_ms: u64) -> Result<Option<Collected>, StorageError> {
        if tables::chunk_use::condemned(&mut *self.inner.database.reader().await, before_ms, 1).await?.is_empty() {
            return Ok(None);
        }
        let mut done = Collected { is_more: true, ..Collected::default() };
        let mut tx = self.inner.database.write().await?;
        if tables::dblog::uncounted(&mut tx).await?.is_some() {
            return Ok(Some(done));
        }
        // Whoever stored, asked for or named one since has lifted that.
        let rows = tables::chunk_use::condemned(&mut tx, before_ms, ROWS_PER_COLLECTION).await?;
        release(&mut tx, &rows, now_ms).await?;
        done.chunks = rows.len() as u64;
        done.bytes = rows.iter().fold(0, |bytes, row| bytes.saturating_add(row.size));
        self.keep(Step::Collect, tx, rows.len() * 4).await?;
        Ok(Some(done))
    }

    /// Deletes objects that are kept for nothing since `before_ms`, and returns how many. Killed in between, it finds the rows again, and nothing
    /// where an object was. One that cannot be deleted is tried again a grace later; a store that fails often is asked no further.
    async fn delete_objects(&self, now_ms: u64, before_ms: u64) -> Result<u64, StorageError> {
        let gone =
            tables::chunk::gone(&mut *self.inner.database.reader().await, before_ms, ROWS_PER_COLLECTION).await?;
        let (mut deleted, mut kept, mut failed) = (Vec::new(), Vec::new(), None);
        for object in gone {
            match self.delete_object(&path_of(&object.id, object.writing)).await {
                Ok(()) => deleted.push(object),
                Err(error) => {
                    failed = Some(error);
                    kept.push(object);
                    if kept.len() == OBJECT_FAILURES_MAX {
                        break;
                    }
                }
            }
        }
        if !deleted.is_empty() || !kept.is_empty() {
            let mut tx = self.inner.database.write().await?;
            for object in &deleted {
                tables::chunk::delete_gone(&mut tx, object).await?;
            }
            for object in &kept {
                tables::chunk::delay_gone(&mut tx, object, now_ms).await?;
            }
            self.keep(Step::Collect, tx, deleted.len() + kept.len()).await?;
        }
        failed.map_or(Ok(deleted.len() as u64), Err)
    }

    async fn delete_object(&self, path: &str) -> Result<(), StorageError> {
        let planned = self.inner.failures.take(Step::DeleteObject);
        inject::refused(planned)?;
        if planned.is_some_and(|failure| failure != Failure::KeptButReportedFailed) {
            return Err(inject::planned());
        }
        self.inner.objects.delete(path).await?;
        planned.map_or(Ok(()), |_| Err(inject::planned()))
    }
}

/// Keeps chunks no longer for this, and gives their bytes back; what is kept for nothing goes.
pub(super) async fn release(conn: &mut Conn, rows: &[UseRow], now_ms: u64) -> Result<(), StorageError> {
    let mut has_objects = false;
    for row in rows {
        tables::chunk_use::delete(conn, row).await?;
        tables::account::give_back(conn, row.account, row.size).await?;
        if !tables::chunk_use::is_kept(conn, &row.chunk).await? {
            has_objects |= tables::chunk::remove(conn, &row.chunk, now_ms).await?;
        }
    }
    if has_objects {
        tables::chunk::next_writing(conn).await?;
    }
    Ok(())
}

/// Returns the chunks that an entry names: none once its body is dropped.
pub(super) fn named_by((header, body_bytes): &(Vec<u8>, u64)) -> Result<Vec<ContentId>, StorageError> {
    let broken = |_| StorageError::inconsistent("entry", "a header does not decode");
    let header = Header::decode(header).map_err(broken)?;
    Ok(if header.body_bytes == *body_bytes { header.refs } else { Vec::new() })
}

/// Counts chunks that entries of a database name, each as often as it is there in `named`, or that they name no longer.
pub(super) async fn recount(
    conn: &mut Conn,
    (account, db): (RowId, RowId),
    named: &[ContentId],
    count: impl Fn(u64, u64) -> u64,
) -> Result<(), StorageError> {
    let mut times = BTreeMap::<ContentId, u64>::new();
    named.iter().for_each(|id| *times.entry(*id).or_default() += 1);
    let ids: Vec<ContentId> = times.keys().copied().collect();
    let mut uses = tables::chunk_use::load(conn, (account, db), &ids).await?;
    for row in &mut uses {
        (row.refs, row.marked_ms) = (count(row.refs, times.get(&row.chunk).copied().unwrap_or(0)), 0);
    }
    tables::chunk_use::upsert(conn, &uses).await
}
