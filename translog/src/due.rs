//! What falls due, and when: one entry for each label that has something to settle (PROTOCOL 5.6).

use std::collections::{BTreeMap, HashMap};

use identity::hash::Hash;
use identity::state::Subject;

/// The labels with something to settle, by time and then by label.
///
/// A label stands here once, at its earliest due. What is due at one time in one label is settled in the order of the sids,
/// which the state itself gives.
#[derive(Clone, Debug, Default)]
pub struct DueQueue {
    by_time: BTreeMap<(u64, Hash), Subject>,
    by_label: HashMap<Hash, u64>,
}

impl DueQueue {
    /// Returns an empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets when `subject`, whose label is `label`, is due next; `None` takes it out.
    pub fn set(&mut self, label: Hash, subject: &Subject, due_ms: Option<u64>) {
        if let Some(before_ms) = self.by_label.remove(&label) {
            self.by_time.remove(&(before_ms, label));
        }
        if let Some(due_ms) = due_ms {
            self.by_label.insert(label, due_ms);
            self.by_time.insert((due_ms, label), subject.clone());
        }
    }

    /// Returns what is due at or before `epoch_ms`, in the order in which it is settled.
    pub fn due(&self, epoch_ms: u64) -> impl Iterator<Item = (u64, Hash, &Subject)> {
        self.by_time.range(..=(epoch_ms, [0xff; 32])).map(|((due_ms, label), subject)| (*due_ms, *label, subject))
    }

    /// Returns the earliest due, epoch milliseconds.
    pub fn earliest_ms(&self) -> Option<u64> {
        self.by_time.first_key_value().map(|((due_ms, _), _)| *due_ms)
    }

    /// Returns the number of labels with something to settle.
    pub fn len(&self) -> usize {
        self.by_label.len()
    }

    /// Returns whether nothing is to be settled.
    pub fn is_empty(&self) -> bool {
        self.by_label.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stands_once_at_its_newest_due() {
        // Goal: moving a due forgets the old one. Method: set one label twice and another once, then read at several times.
        let mut queue = DueQueue::new();
        let (a, b) = (Subject::Name("a.dgns.test".into()), Subject::Name("b.dgns.test".into()));
        queue.set([1; 32], &a, Some(50));
        queue.set([1; 32], &a, Some(20));
        queue.set([0; 32], &b, Some(20));
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.due(19).count(), 0);
        let due: Vec<_> = queue.due(20).map(|(_, label, _)| label[0]).collect();
        assert_eq!(due, [0, 1], "same time: by label");
        queue.set([0; 32], &b, None);
        queue.set([1; 32], &a, None);
        assert!(queue.is_empty());
        assert_eq!(queue.earliest_ms(), None);
    }
}
