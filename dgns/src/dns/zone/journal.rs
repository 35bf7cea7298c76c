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
    touched_bytes: usize,
    touched_records: usize,
    serial: u32,
    /// More was touched than is kept: nobody knows what the last edition was.
    is_lost: bool,
}

/// What changed since an edition.
#[derive(Debug)]
pub(crate) struct Changes {
    /// What some owners had at the last edition, by sort key, of those that were touched since.
    touched: Vec<(Vec<u8>, Vec<Record>)>,
    /// The editions up to that one.
    editions: Vec<Arc<Edition>>,
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

    /// Returns whether the last edition is not known any more; the next one is the first again.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Forgets every edition, the last one too, and keeps nothing until the next.
    pub(crate) fn lose(&mut self) {
        *self = Self { serial: self.serial, is_lost: true, ..Self::default() };
    }

    /// Keeps what an owner, by its sort key, has before it changes, unless it did so since the last edition. Beyond the bounds everything is lost.
    pub(crate) fn touch(&mut self, key: &[u8], records: impl FnOnce() -> Vec<Record>) {
        if self.is_lost || self.touched.contains_key(key) {
            return;
        }
        let records = records();
        self.touched_bytes += key.len() + records.iter().map(Record::bytes).sum::<usize>();
        self.touched_records += records.len().max(1);
        self.touched.insert(key.to_vec(), records);
        if self.touched_bytes > JOURNAL_BYTES_MAX || self.touched_records > JOURNAL_RECORDS_MAX {
            self.lose();
        }
    }

    /// Returns whether what was touched is other than it was, or nobody knows what it was.
    pub(crate) fn is_changed(&mut self, now: impl Fn(&[u8]) -> Vec<Record>) -> bool {
        self.touched.retain(|key, before| sorted(before.clone()) != sorted(now(key)));
        if self.touched.is_empty() {
            (self.touched_bytes, self.touched_records) = (0, 0);
        }
        self.is_lost || !self.touched.is_empty()
    }

    /// Makes the edition of what was touched, as it is `now`, under another serial; the first one again, if the last one was lost.
    pub(crate) fn cut(&mut self, serial: u32, now: impl Fn(&[u8]) -> Vec<Record>) {
        if self.is_lost {
            *self = Self::new(serial);
            return;
        }
        (self.touched_bytes, self.touched_records) = (0, 0);
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
        if self.is_lost {
            return None;
        }
        if serial == self.serial {
            return Some(Vec::new());
        }
        let first = self.editions.iter().position(|edition| edition.from == serial)?;
        Some(self.editions.range(first..).cloned().collect())
    }

    /// Returns what changed since `serial`, of owners by their sort keys that `is_theirs` takes; `None` if that serial is not known any more.
    pub(crate) fn changes_since(&self, serial: u32, is_theirs: impl Fn(&[u8]) -> bool) -> Option<Changes> {
        let editions = self.since(serial)?;
        let touched = self.touched.iter().filter(|(key, _)| is_theirs(key));
        Some(Changes { touched: touched.map(|(key, before)| (key.clone(), before.clone())).collect(), editions })
    }
}

impl Changes {
    /// Makes `records`, those that some owners have now, those that they had then; `is_theirs` says of labels whether they are one of the owners.
    pub(crate) fn undo(
        self,
        records: Vec<Record>,
        is_theirs: impl Fn(&[u8]) -> bool,
        labels_of: impl Fn(&[u8]) -> Vec<u8>,
    ) -> BTreeSet<Record> {
        let mut records = sorted(records);
        let touched: BTreeMap<Vec<u8>, Vec<Record>> =
            self.touched.into_iter().map(|(key, before)| (labels_of(&key), before)).collect();
        records.retain(|record| !touched.contains_key(&*record.owner));
        records.extend(touched.into_values().flatten());
        for edition in self.editions.iter().rev() {
            for record in edition.added.iter().filter(|record| is_theirs(&record.owner)) {
                records.remove(record);
            }
            records.extend(edition.removed.iter().filter(|record| is_theirs(&record.owner)).cloned());
        }
        records
    }
}

fn sorted(records: Vec<Record>) -> BTreeSet<Record> {
    records.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32) -> Record {
        Record::new(b"\x01a", 1, 60, &[&number.to_be_bytes()])
    }

    #[test]
    fn what_is_too_much_is_lost_and_begins_anew() {
        // Goal: while no edition can be made, memory stays bounded, nobody is told of an edition that is not known, and the next one is the first.
        for records_of_one in [0, 1_000] {
            let mut journal = Journal::new(7);
            journal.touch(b"a", || vec![record(1)]);
            journal.cut(8, |_| vec![record(2)]);
            assert_eq!(journal.since(7).unwrap().len(), 1);
            let mut touched = 0_u32;
            while !journal.is_lost() {
                assert!(touched as usize <= JOURNAL_RECORDS_MAX, "bounded");
                journal.touch(&touched.to_be_bytes(), || (0..records_of_one).map(record).collect());
                touched += 1;
            }
            assert!(touched as usize > JOURNAL_RECORDS_MAX / 1_001);
            journal.touch(b"b", || panic!("nothing is kept"));
            assert_eq!((journal.touched.len(), journal.bytes(), journal.serial()), (0, 0, 8));
            assert!(
                journal.since(8).is_none()
                    && journal.since(7).is_none()
                    && journal.changes_since(8, |_| true).is_none()
            );
            assert!(journal.is_changed(|_| Vec::new()), "the next edition is made");
            journal.cut(9, |_| Vec::new());
            assert!(!journal.is_lost() && journal.since(8).is_none() && journal.since(9).unwrap().is_empty());
            journal.touch(b"a", || vec![record(2)]);
            journal.cut(10, |_| vec![record(3)]);
            assert_eq!(journal.since(9).unwrap()[0].removed, [record(2)]);
        }
    }
}
