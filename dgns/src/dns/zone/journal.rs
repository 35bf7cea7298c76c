//! How the zone came to be what it is: its last editions, each with the records it took away and put in; and what changes now.
//!
//! Whoever is about to change an owner says so first, and the records it has are kept. An edition is the difference between those and what
//! the owners have when it is made: whatever came and went in between is in none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::record::Record;
use crate::dns::limits::{JOURNAL_BYTES_MAX, JOURNAL_RECORDS_MAX};

/// What one serial changed of the one before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edition {
    /// The serial before.
    pub(crate) from: u32,
    /// Its own.
    pub(crate) serial: u32,
    /// Records of the one before that it has not, its SOA first.
    pub(crate) removed: Vec<Record>,
    /// Records that the one before had not, the SOA first.
    pub(crate) added: Vec<Record>,
}

/// The last editions, within [`JOURNAL_BYTES_MAX`] and [`JOURNAL_RECORDS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Journal {
    editions: VecDeque<Arc<Edition>>,
    bytes: usize,
    records: usize,
    /// What owners had before they changed, by sort key, since the last edition.
    touched: BTreeMap<Vec<u8>, Vec<Record>>,
    serial: u32,
}

impl Edition {
    fn records(&self) -> impl Iterator<Item = &Record> {
        self.removed.iter().chain(&self.added)
    }
}

impl Journal {
    /// Returns an empty one that begins with this serial.
    pub(crate) fn new(serial: u32) -> Self {
        Self { serial, ..Self::default() }
    }

    /// Returns the serial of the last edition.
    pub(crate) fn serial(&self) -> u32 {
        self.serial
    }

    /// Returns the bytes that its editions take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns whether owners were touched since the last edition.
    pub(crate) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Keeps what an owner, by its sort key, has before it changes, unless it did so since the last edition.
    pub(crate) fn touch(&mut self, key: &[u8], records: impl FnOnce() -> Vec<Record>) {
        if !self.touched.contains_key(key) {
            self.touched.insert(key.to_vec(), records());
        }
    }

    /// Returns whether what was touched is other than it was; what is not is forgotten.
    pub(crate) fn is_changed(&mut self, now: impl Fn(&[u8]) -> Vec<Record>) -> bool {
        self.touched.retain(|key, before| sorted(before.clone()) != sorted(now(key)));
        self.is_touched()
    }

    /// Makes the edition of what was touched, as it is `now`, under another serial.
    pub(crate) fn cut(&mut self, serial: u32, now: impl Fn(&[u8]) -> Vec<Record>) {
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for (key, before) in std::mem::take(&mut self.touched) {
            let (before, after) = (sorted(before), sorted(now(&key)));
            removed.extend(before.difference(&after).cloned());
            added.extend(after.difference(&before).cloned());
        }
        removed.sort();
        added.sort();
        let edition = Edition { from: self.serial, serial, removed, added };
        self.bytes += edition.records().map(Record::bytes).sum::<usize>();
        self.records += edition.records().count();
        self.editions.push_back(Arc::new(edition));
        self.serial = serial;
        while self.bytes > JOURNAL_BYTES_MAX || self.records > JOURNAL_RECORDS_MAX {
            let Some(first) = self.editions.pop_front() else { break };
            self.bytes -= first.records().map(Record::bytes).sum::<usize>();
            self.records -= first.records().count();
        }
    }

    /// Returns the editions that lead from `serial` to the newest; `None` if it is not known any more, or never was.
    pub(crate) fn since(&self, serial: u32) -> Option<Vec<Arc<Edition>>> {
        if serial == self.serial {
            return Some(Vec::new());
        }
        let first = self.editions.iter().position(|edition| edition.from == serial)?;
        Some(self.editions.range(first..).cloned().collect())
    }

    /// Makes `records`, those that some owners have now, those that they had at `serial`; `is_theirs` says of labels whether they are one of
    /// the owners. `None` if that serial is not known any more.
    pub(crate) fn undo(
        &self,
        serial: u32,
        records: Vec<Record>,
        is_theirs: impl Fn(&[u8]) -> bool,
        labels_of: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Option<BTreeSet<Record>> {
        let mut records = sorted(records);
        let touched = self.touched.iter().map(|(key, before)| (labels_of(key), before));
        let touched: BTreeMap<Vec<u8>, &Vec<Record>> = touched.filter(|(labels, _)| is_theirs(labels)).collect();
        records.retain(|record| !touched.contains_key(&*record.owner));
        records.extend(touched.into_values().flatten().cloned());
        for edition in self.since(serial)?.iter().rev() {
            for record in edition.added.iter().filter(|record| is_theirs(&record.owner)) {
                records.remove(record);
            }
            records.extend(edition.removed.iter().filter(|record| is_theirs(&record.owner)).cloned());
        }
        Some(records)
    }
}

fn sorted(records: Vec<Record>) -> BTreeSet<Record> {
    records.into_iter().collect()
}
