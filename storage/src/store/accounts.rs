//! Accounts: what each may store, and until when.

use identity::did::Did;
use translog::limits::CLOCK_TOLERANCE_MS;

use super::rows::{AccountRow, DbRow};
use super::{FreeQuota, Store};
use crate::database::Conn;
use crate::fault::StorageError;
use crate::inject::Step;
use crate::table::store::{self as tables, RowId};

/// Until when a lease is that has no end: the latest time a row holds, Unix milliseconds.
pub const NO_END_MS: u64 = i64::MAX as u64;

/// What an operator gives an account; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Until when, Unix milliseconds.
    pub until_ms: Option<u64>,
    /// How many bytes; what it uses already stays within.
    pub bytes: Option<u64>,
    /// How many entries; what it uses already stays within.
    pub entries: Option<u64>,
}

impl AccountRow {
    /// Returns an account to which nobody gave more than everybody has.
    pub(super) fn free(id: RowId, did: Did, free: FreeQuota, now_ms: u64) -> Self {
        let lease_until_ms = free.lease_ms.map_or(NO_END_MS, |lease_ms| now_ms.saturating_add(lease_ms).min(NO_END_MS));
        let (quota_bytes, quota_entries) = (free.bytes, free.entries);
        let (used_bytes, used_entries, lapsed_bytes) = (0, 0, 0);
        Self { id, did, quota_bytes, used_bytes, quota_entries, used_entries, lease_until_ms, lapsed_bytes }
    }

    /// Returns whether nothing may be added to it any more.
    pub fn is_lapsed(&self, now_ms: u64) -> bool {
        self.lease_until_ms < NO_END_MS && self.lease_until_ms <= now_ms
    }
}

impl Store {
    /// Returns an account, as it would be if there is none yet.
    pub async fn account_or_free(&self, did: &Did, now_ms: u64) -> Result<AccountRow, StorageError> {
        let account = self.account(did).await?;
        Ok(account.unwrap_or_else(|| AccountRow::free(0, *did, self.inner.free, now_ms)))
    }

    /// Returns the databases that an account pays for, the oldest first, at most `limit`.
    pub async fn databases_of(&self, account: &AccountRow, limit: u64) -> Result<Vec<DbRow>, StorageError> {
        tables::db::of_account(&mut *self.inner.database.reader().await, account.id, limit).await
    }

    /// Gives an account its terms, durably; one that is not there is made. `given_ms` is when the operator said so, Unix milliseconds: of each
    /// term the newest order counts, whichever comes first, and however often. One from the future, by a clock that was wrong, is older than
    /// any other. Returns `None`, and changes nothing, if newer orders are known of all it says.
    ///
    /// A lease that goes on takes back that the one before was over: what is not gone of its databases stays, and they are written to again.
    /// Nobody is given less than they use, or what owners may always say had no room.
    pub async fn give(
        &self,
        did: &Did,
        terms: Terms,
        given_ms: u64,
        now_ms: u64,
    ) -> Result<Option<AccountRow>, StorageError> {
        let mut tx = self.inner.database.write().await?;
        let mut row = self.account_or_new(&mut tx, did, now_ms).await?;
        let known = tables::account::given(&mut tx, row.id).await?.map(|known_ms| {
            // What a clock said that was ahead would otherwise count until that time is reached.
            if known_ms > now_ms.saturating_add(CLOCK_TOLERANCE_MS) { 0 } else { known_ms }
        });
        let mut given = known;
        if let Some(until_ms) = newer(terms.until_ms, &mut given[0], given_ms) {
            row.lease_until_ms = until_ms;
            // Whatever the clock says now: if the lease is over all the same, its grace begins anew.
            tables::account::take_back(&mut tx, row.id).await?;
            tables::db::take_back(&mut tx, row.id).await?;
        }
        if let Some(bytes) = newer(terms.bytes, &mut given[1], given_ms) {
            row.quota_bytes = bytes.max(row.used_bytes);
        }
        if let Some(entries) = newer(terms.entries, &mut given[2], given_ms) {
            row.quota_entries = entries.max(row.used_entries);
        }
        if given == known {
            return Ok(None);
        }
        tables::account::give(&mut tx, &row, given).await?;
        self.keep(Step::Give, tx, 1).await?;
        Ok(Some(row))
    }

    pub(super) async fn account_or_new(
        &self,
        tx: &mut Conn,
        did: &Did,
        now_ms: u64,
    ) -> Result<AccountRow, StorageError> {
        if let Some(account) = tables::account::by_did(tx, did).await? {
            return Ok(account);
        }
        let id = tables::account::last(tx).await? + 1;
        let account = AccountRow::free(id, *did, self.inner.free, now_ms);
        tables::account::upsert(tx, std::slice::from_ref(&account)).await?;
        Ok(account)
    }
}

/// Returns what an order says of a term, unless one given later, or the same, was taken up.
fn newer(said: Option<u64>, newest_ms: &mut u64, given_ms: u64) -> Option<u64> {
    let said = said.filter(|_| *newest_ms < given_ms)?;
    *newest_ms = given_ms;
    Some(said.min(NO_END_MS))
}
