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
            // Any one makes room: with so many that grow, few are asked for what is older than their newest commit.
            let one = logs.keys().next().copied();
            one.and_then(|one| logs.remove(&one));
        }
        let growth = logs.entry(log).or_insert_with(|| Growth::new(before));
        // Another node may have appended since, or what this one knows is of a database that was put back.
        if !is_of(growth, before) {
            *growth = Growth::new(before);
        }
        leaves.into_iter().for_each(|leaf| growth.append(leaf));
        if growth.size() - growth.from() > 2 * RECENT_LEAVES {
            growth.forget(growth.size() - RECENT_LEAVES);
        }
    }

    /// Returns what proves that the entries at `places` stand in the head of `size`, and that it goes on from `old`; `None` if some of it is
    /// not of late, or the tree is another one than `now`, the edge that other nodes may have written since.
    pub(super) fn receipt(
        &self,
        log: &LogId,
        (places, size, old): (&[u64], u64, Option<u64>),
        now: Option<&Edge>,
    ) -> Option<ReceiptRows> {
        let logs = self.lock();
        let growth = logs.get(log).filter(|growth| now.is_none_or(|now| is_of(growth, now)))?;
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

/// Returns whether a tree is the one of this edge.
fn is_of(growth: &Growth, edge: &Edge) -> bool {
    let root = || root_plan(growth.size()).ok()?.fold(|node| growth.node(node).ok_or(())).ok()?.first().copied();
    growth.size() == edge.size() && (edge.size() == 0 || root() == Some(edge.root()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId([1; 32]);

    fn edge(leaves: &[u8]) -> Edge {
        let mut edge = Edge::new();
        leaves.iter().for_each(|leaf| edge.append([*leaf; 32]));
        edge
    }

    #[test]
    fn memory_answers_for_the_tree_that_it_saw_and_for_no_other() {
        // Goal: a tree of the same size, with the same last leaf, is not taken for another; what is older is left to the tables. Method: a log
        // that grows, and the same as a database put back has it.
        let recent = Recent::default();
        let root =
            |size, now: Option<&Edge>| recent.receipt(&LOG, (&[size - 1], size, None), now).map(|rows| rows.root);
        assert!(recent.receipt(&LOG, (&[], 0, None), None).is_none(), "nothing is known of it");
        recent.grew(LOG, &edge(&[1, 2]), [[3; 32], [4; 32]]);
        assert_eq!(root(4, None), Some(edge(&[1, 2, 3, 4]).root()));
        assert_eq!(root(4, Some(&edge(&[1, 2, 3, 4]))), Some(edge(&[1, 2, 3, 4]).root()));
        assert_eq!(root(4, Some(&edge(&[1, 3, 2, 4]))), None, "another tree");
        assert_eq!(root(4, Some(&edge(&[1, 2, 3, 4, 5]))), None, "others appended");
        assert_eq!(root(5, None), None, "beyond what it saw");
        assert!(recent.receipt(&LOG, (&[1], 4, None), None).is_none(), "older than what it saw");
        assert!(recent.receipt(&LOG, (&[3], 4, Some(1)), None).is_none(), "older than what it saw");
        assert!(recent.receipt(&LOG, (&[3], 4, Some(3)), None).is_some());

        recent.grew(LOG, &edge(&[1, 3, 2, 4]), [[5; 32]]);
        assert_eq!(root(5, None), Some(edge(&[1, 3, 2, 4, 5]).root()), "it begins anew at what it is told");
        recent.grew(LOG, &edge(&[1, 3, 2, 4, 5]), [[6; 32]]);
        assert_eq!(root(6, None), Some(edge(&[1, 3, 2, 4, 5, 6]).root()));
        assert_eq!(root(5, None), Some(edge(&[1, 3, 2, 4, 5]).root()));
    }

    #[test]
    fn it_holds_so_much_and_no_more() {
        let (recent, mut edge) = (Recent::default(), Edge::new());
        for _ in 0..10 * RECENT_LEAVES {
            recent.grew(LOG, &edge, [[7; 32]]);
            edge.append([7; 32]);
        }
        let kept = recent.lock().get(&LOG).map(|growth| growth.size() - growth.from()).unwrap();
        assert!((RECENT_LEAVES..=2 * RECENT_LEAVES).contains(&kept), "{kept}");
        for number in 0..=u8::MAX {
            recent.grew(LogId([number; 32]), &Edge::new(), [[7; 32]]);
            recent.grew(LogId([!number; 32]), &Edge::new(), [[7; 32]]);
        }
        assert!(recent.lock().len() <= RECENT_LOGS);
    }
}
