//! Accounts: how they stand, the leases that the operator gives, and the end of what nobody pays for any more, or names (PROTOCOL 25.15); old entries, which are packed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dgns_api::store::account::{Dropped, Standing};
use dgns_api::store::limits::ACCOUNT_DATABASES_MAX;
use storage::StorageError;
use storage::store::rows;
use storage::store::{Age, Grace, NO_END_MS, Packing, Sweep};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};
use translog::limits::CLOCK_TOLERANCE_MS;

use super::{Databases, StoreRefusal, Who};
use crate::app::{App, Role};
use crate::core::Core;
use crate::leases::Orders;
use crate::limits::ARRIVAL_MS_MAX;
use crate::shutdown;

/// Between two looks for orders of the operator.
const LOOK: Duration = Duration::from_secs(1);

/// Between two looks for leases that are over, and for chunks that nothing names, unless the grace is shorter.
const WATCH: Duration = Duration::from_secs(60);

/// Between two looks for old entries, at most; the age from which on they are packed, if that is shorter.
const PACK: Duration = Duration::from_secs(600);

/// Between two steps of packing: whoever appends goes first.
const PACK_PAUSE: Duration = Duration::from_millis(10);

/// The most that one look counts of the time since the one before.
const WATCHED_MAX: Duration = Duration::from_secs(300);

impl Databases {
    /// Returns how the account of a DID stands.
    pub async fn account(&self, core: &Core, who: &Who) -> Result<Vec<u8>, StoreRefusal> {
        who.is_local()?;
        let account = self.store.account_or_free(&who.did, core.clock.now().as_ms()).await?;
        let databases = self.store.databases_of(&account, ACCOUNT_DATABASES_MAX as u64).await?;
        let dropped = |dropped| match dropped {
            rows::Dropped::No => Dropped::No,
            rows::Dropped::Going | rows::Dropped::Gone => Dropped::Yes,
            rows::Dropped::PaidAgain => Dropped::Before,
        };
        let standing = Standing {
            quota_bytes: account.quota_bytes,
            used_bytes: account.used_bytes,
            quota_entries: account.quota_entries,
            used_entries: account.used_entries,
            until_ms: Some(account.lease_until_ms).filter(|until_ms| *until_ms < NO_END_MS),
            grace_ms: self.grace_ms,
            databases: databases.into_iter().map(|db| (db.did, dropped(db.dropped))).collect(),
        };
        Ok(standing.encode())
    }
}

/// What looks after the accounts of a server.
struct Keeper {
    app: Arc<App>,
    databases: Arc<Databases>,
    orders: Orders,
    /// The files that were said to be bad.
    bad: Vec<PathBuf>,
    sweep: Sweep,
    /// Since when lapses are watched without a doubt, as far as that is counted.
    since: Option<Instant>,
    /// Whether it is this server that watches them, as far as the last look knew.
    is_ours: bool,
    /// Whether there may be chunks to let go of.
    collects: bool,
    /// Whether there may be arrivals that came to nothing.
    forgets: bool,
    /// How far the look for old entries got.
    packing: Packing,
    /// Since when there was none, as far as that is known.
    packed: Option<Instant>,
}

impl Keeper {
    /// Takes up leases, then a step of dropping what nobody pays for; returns whether there may be another one.
    async fn look(&mut self) -> Result<bool, StorageError> {
        // What was put back from an older copy may not know who paid since, and what it is told now is lost with it: orders wait.
        if self.databases.anchors.are_rolled_back() {
            self.doubt();
            return Ok(false);
        }
        let are_all_read = self.take_orders().await?;
        let now_ms = self.app.core.clock.now().as_ms();
        // One server has the log that says what time it is.
        let is_writer = matches!(self.app.role, Role::Writer(_));
        if !are_all_read || !is_writer || !agree(now_ms, self.app.core.live.head().epoch.time_ms) {
            self.doubt();
            return Ok(false);
        }
        let grace_ms = self.databases.grace_ms;
        let every = WATCH.min(Duration::from_millis(grace_ms.min(self.databases.chunk_grace_ms)));
        let ran = self.since.map(|since| since.elapsed());
        if ran.is_none_or(|ran| ran >= every) {
            let ran_ms = ran.unwrap_or_default().min(WATCHED_MAX).as_millis() as u64;
            self.since = Some(Instant::now());
            self.is_ours = self.databases.store.watch_lapses(&mut self.sweep, ran_ms, now_ms).await?;
            (self.collects, self.forgets) = (true, true);
        }
        if self.forgets && self.forget(now_ms).await? {
            return Ok(true);
        }
        if self.is_ours && self.databases.store.sweep(&mut self.sweep, Grace { now_ms, grace_ms }).await? {
            self.databases.broken.store(self.sweep.broken() as u64, Ordering::Relaxed);
            return Ok(true);
        }
        self.collects = self.collects && self.collect(now_ms).await;
        Ok(self.collects || self.pack(now_ms).await)
    }

    /// Takes a step of packing old entries, and of ridding packed ones of what was dropped, when it is time; returns whether there may be another one. What
    /// fails is tried at a later look, and holds up nothing else.
    async fn pack(&mut self, now_ms: u64) -> bool {
        let after_ms = self.databases.pack_after_ms;
        if self.packed.is_some_and(|since| since.elapsed() < PACK.min(Duration::from_millis(after_ms))) {
            return false;
        }
        let ([entries, merged, failed], before) = (&self.databases.packed, self.packing.clone());
        let is_more = match self.databases.store.pack(&mut self.packing, Age { now_ms, after_ms }).await {
            Ok(done) => {
                entries.fetch_add(done.entries, Ordering::Relaxed);
                merged.fetch_add(done.merged, Ordering::Relaxed);
                done.is_more
            }
            Err(error) => {
                failed.fetch_add(1, Ordering::Relaxed);
                warn!(%error, "old entries of a log are not packed for now");
                // What is damaged was passed over, if it is one log's; what is out of reach is so for the next one too.
                error.is_damage() && self.packing != before
            }
        };
        match is_more {
            true => tokio::time::sleep(PACK_PAUSE).await,
            false => self.packed = Some(Instant::now()),
        }
        is_more
    }

    /// Takes a step of removing a database that was begun to be brought here and came to nothing; returns whether there was one.
    async fn forget(&mut self, now_ms: u64) -> Result<bool, StorageError> {
        let store = &self.databases.store;
        match store.overdue(now_ms.saturating_sub(ARRIVAL_MS_MAX)).await? {
            Some(db) => {
                if !store.forget(&db, now_ms).await? {
                    info!(db = %db.did, "a database that was begun to be brought here is not whole, and went");
                }
            }
            None => self.forgets = false,
        }
        Ok(self.forgets)
    }

    /// Takes a step of letting go of chunks that no entry names; returns whether there may be another one. What fails is tried at the next look
    /// for them: leases do not wait for an object store.
    async fn collect(&self, now_ms: u64) -> bool {
        let grace = Grace { now_ms, grace_ms: self.databases.chunk_grace_ms };
        let [chunks, objects, failed] = &self.databases.collected;
        match self.databases.store.collect(grace).await {
            Ok(done) => {
                chunks.fetch_add(done.chunks, Ordering::Relaxed);
                objects.fetch_add(done.objects, Ordering::Relaxed);
                if done.chunks > 0 {
                    info!(chunks = done.chunks, bytes = done.bytes, "chunks that no entry names were let go of");
                }
                done.is_more
            }
            Err(error) => {
                failed.fetch_add(1, Ordering::Relaxed);
                warn!(%error, "chunks that no entry names are not let go of for now");
                false
            }
        }
    }

    /// Takes up what the operator ordered, and returns whether that was all. A crash in between takes an order up again, which changes nothing.
    async fn take_orders(&mut self) -> Result<bool, StorageError> {
        let now_ms = self.app.core.clock.now().as_ms();
        let mut waiting = match self.orders.waiting(now_ms) {
            Ok(waiting) => waiting,
            Err(error) => {
                self.report(vec![(PathBuf::from("leases"), error.to_string())]);
                return Ok(false);
            }
        };
        for order in &waiting.orders {
            let given = self.databases.store.give(&order.did, order.terms, order.given_ms, now_ms).await?;
            match given {
                Some(given) => info!(
                    until_ms = given.lease_until_ms,
                    bytes = given.quota_bytes,
                    entries = given.quota_entries,
                    "a lease was given: an account has these terms, of each the newest"
                ),
                None if self.bad.iter().any(|path| path == order.path()) => {}
                None => warn!(
                    given_ms = order.given_ms,
                    "an order of a lease is older than what counts, and changes nothing"
                ),
            }
            if let Err(error) = self.orders.done(order) {
                waiting.bad.push((order.path().to_owned(), format!("taken up, and it stays: {error}")));
            }
        }
        let are_all_read = waiting.bad.is_empty() && !waiting.is_more;
        self.report(waiting.bad);
        Ok(are_all_read)
    }

    /// Says which orders are bad, once.
    fn report(&mut self, bad: Vec<(PathBuf, String)>) {
        self.databases.bad_orders.store(bad.len() as u64, Ordering::Relaxed);
        for (path, why) in &bad {
            if !self.bad.contains(path) {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                error!(%file, %why, "an order of a lease cannot be read: nothing is deleted while it is there");
            }
        }
        self.bad = bad.into_iter().map(|(path, _)| path).collect();
    }

    /// Counts nothing until all is well again.
    fn doubt(&mut self) {
        (self.sweep, self.since, self.is_ours) = (Sweep::default(), None, false);
        (self.collects, self.forgets) = (false, false);
    }
}

/// Returns whether a clock is that of the newest Epoch, as far as they may differ.
fn agree(now_ms: u64, epoch_ms: u64) -> bool {
    now_ms.abs_diff(epoch_ms) <= CLOCK_TOLERANCE_MS
}

/// Takes up leases and drops what nobody pays for, until the server stops.
pub async fn keep(app: Arc<App>, databases: Arc<Databases>, mut stopping: watch::Receiver<bool>) {
    let orders = Orders::at(&app.config.data);
    let (bad, sweep, since) = (Vec::new(), Sweep::default(), None);
    let (packing, packed) = (Packing::default(), None);
    let is_ours = false;
    let mut keeper =
        Keeper { app, databases, orders, bad, sweep, since, is_ours, collects: false, forgets: false, packing, packed };
    loop {
        let pause = match keeper.look().await {
            Ok(true) => Duration::ZERO,
            Ok(false) => LOOK,
            Err(error) => {
                warn!(%error, "leases are not looked after for now");
                keeper.doubt();
                LOOK
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown::requested(&mut stopping) => {
                info!("leases are looked after no more");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_trusted_near_the_newest_epoch_and_nowhere_else() {
        const EPOCH_MS: u64 = 1_000_000_000;
        for off_ms in [0, 1, CLOCK_TOLERANCE_MS] {
            assert!(agree(EPOCH_MS + off_ms, EPOCH_MS) && agree(EPOCH_MS - off_ms, EPOCH_MS), "{off_ms}");
        }
        for off_ms in [CLOCK_TOLERANCE_MS + 1, 86_400_000] {
            assert!(!agree(EPOCH_MS + off_ms, EPOCH_MS) && !agree(EPOCH_MS - off_ms, EPOCH_MS), "{off_ms}");
        }
        assert!(!agree(u64::MAX, 0) && !agree(0, u64::MAX));
    }
}
