//! Which of the DIDs that somebody watches the log changed since they looked. Whoever commits notes them and never waits.

use std::collections::HashSet;
use std::sync::Mutex;

use identity::did::Did;
use identity::state::Subject;
use tokio::sync::Notify;
use translog::batch::Batch;

/// The DIDs watched, and those of them that changed.
#[derive(Debug, Default)]
pub struct Touched {
    lists: Mutex<Lists>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Lists {
    /// The size of the newest head that was noted.
    size: u64,
    watched: HashSet<Did>,
    changed: HashSet<Did>,
}

impl Touched {
    /// Notes what the batch changed whose head has `size` leaves. Called once it is shown.
    pub fn note(&self, size: u64, dids: Vec<Did>) {
        let mut lists = self.lock();
        lists.size = size;
        let touched: Vec<Did> = dids.into_iter().filter(|did| lists.watched.contains(did)).collect();
        if !touched.is_empty() {
            lists.changed.extend(touched);
            self.changed.notify_one();
        }
    }

    /// Returns the DIDs whose states a batch changed.
    pub fn dids(batch: &Batch) -> impl Iterator<Item = Did> {
        batch.changes.keys().filter_map(|subject| match subject {
            Subject::Did(did) => Some(*did),
            _ => None,
        })
    }

    /// Wants to know of changes of a DID from now on.
    pub fn watch(&self, did: Did) {
        self.lock().watched.insert(did);
    }

    /// Waits for changes, and takes them.
    pub async fn next(&self) -> HashSet<Did> {
        loop {
            let changed = std::mem::take(&mut self.lock().changed);
            if !changed.is_empty() {
                return changed;
            }
            self.changed.notified().await;
        }
    }

    /// Returns up to which size of the log nothing is left to be taken; `None` while something is, or before the first batch.
    pub fn taken_up_to(&self) -> Option<u64> {
        let lists = self.lock();
        (lists.changed.is_empty() && lists.size > 0).then_some(lists.size)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lists> {
        self.lists.lock().expect("no holder of the lock panics: it guards plain sets")
    }
}
