//! What the newest commits added to logs, so that a receipt takes no look at the tables.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dgns_api::store::entry::LogId;
use identity::hash::Hash;
use translog::tree::{Edge, Growth, consistency_plan, inclusion_plan, root_plan};

use super::read::ReceiptRows;
use crate::limits::{RECENT_LEAVES, RECENT_LOGS};

/// The newest part of the trees of logs that grew of late. It holds what was committed alone, and is never needed.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<LogId, Growth>>);

impl Recent {
    /// Notes that a log of this edge got these leaves, in a commit that stands.
    pub(super) fn grew(&self, log: LogId, before: &Edge, leaves: impl IntoIterator<Item = Hash>) {
        let mut logs = self.lock();
        if logs.len() >= RECENT_LOGS && !logs.contains_key(&log) {
            logs.clear();
        }
        let growth = logs.entry(log).or_insert_with(|| Growth::new(before));
        // Another node may have appended since, or what this one knows is of a database that was put back.
        if growth.size() != before.size() || growth.last_leaf().is_some_and(|last| Some(last) != before.last_leaf()) {
            *growth = Growth::new(before);
        }
        leaves.into_iter().for_each(|leaf| growth.append(leaf));
        if growth.size() - growth.from() > 2 * RECENT_LEAVES {
            growth.forget(growth.size() - RECENT_LEAVES);
        }
    }

    /// Returns what proves that the entries at `places` stand in the head of `size`, and that it goes on from `old`; `None` if some of it is
    /// not of late.
    pub(super) fn receipt(&self, log: &LogId, places: &[u64], size: u64, old: Option<u64>) -> Option<ReceiptRows> {
        let logs = self.lock();
        let growth = logs.get(log)?;
        if size > growth.size() || size < growth.from() {
            return None;
        }
        let known = |node| growth.node(node).ok_or(());
        let root = *root_plan(size).ok()?.fold(known).ok()?.first()?;
        let path = |pos: &u64| inclusion_plan(*pos, size).ok()?.fold(known).ok();
        let paths = places.iter().map(path).collect::<Option<_>>()?;
        let consistency = match old {
            Some(old) => consistency_plan(old, size).ok()?.fold(known).ok()?,
            None => Vec::new(),
        };
        Some(ReceiptRows { root, paths, consistency })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LogId, Growth>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
