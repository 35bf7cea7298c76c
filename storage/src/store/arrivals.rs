//! What was begun to be brought here and came to nothing: it goes as if it had never been here, in steps, each one commit and a bounded one.
//!
//! Nothing of it was ever shown to anybody, signed or anchored, so that whoever begins anew may bring something else. A crash before a
//! step's commit leaves nothing of it; from the first step on nothing is added, and any later call finds where it was.

use dgns_api::store::acl::Stage;

use super::rows::{DbRow, Dropped};
use super::{Store, collect};
use crate::fault::StorageError;
use crate::inject::Step;
use crate::limits::{ENTRY_OVERHEAD_BYTES, ROWS_PER_COLLECTION, ROWS_PER_SWEEP};
use crate::table::store as tables;

impl Store {
    /// Returns a database that is on its way here and was begun by `begun_ms`, Unix milliseconds, or that is to go.
    pub async fn overdue(&self, begun_ms: u64) -> Result<Option<DbRow>, StorageError> {
        tables::db::overdue(&mut *self.inner.database.reader().await, begun_ms).await
    }

    /// Takes one step of removing a database that is on its way here; returns whether there is another one. One that is here stays.
    pub async fn forget(&self, db: &DbRow, now_ms: u64) -> Result<bool, StorageError> {
        let mut tx = self.inner.database.write().await?;
        let row = tables::db::by_id(&mut tx, db.id).await?;
        let Some(db) = row.filter(|row| (row.stage, row.did) == (Stage::Arriving, db.did)) else { return Ok(false) };
        tables::db::to_dropped(&mut tx, db.id, Dropped::Gone).await?;
        let uses = tables::chunk_use::of_db(&mut tx, (db.account, db.id), ROWS_PER_COLLECTION).await?;
        if !uses.is_empty() {
            collect::release(&mut tx, &uses, now_ms).await?;
            self.keep(Step::Collect, tx, uses.len() * 4).await?;
            return Ok(true);
        }
        for log in tables::dblog::of_db(&mut tx, db.id).await? {
            let (bytes, entries) = tables::entry::remove_last(&mut tx, log.id, ROWS_PER_SWEEP).await?;
            if entries > 0 {
                let bytes = bytes.saturating_add(entries.saturating_mul(ENTRY_OVERHEAD_BYTES));
                tables::account::give_back(&mut tx, db.account, bytes).await?;
                tables::account::give_back_entries(&mut tx, db.account, entries).await?;
                self.keep(Step::Collect, tx, entries as usize).await?;
                return Ok(true);
            }
        }
        tables::dblog::remove(&mut tx, db.id).await?;
        tables::db::remove(&mut tx, db.id).await?;
        self.keep(Step::Collect, tx, 1).await?;
        Ok(false)
    }
}
