//! The numbers of labels: label -> row id, in memory.
//!
//! Labels are hashes: an index over them on disk would dirty a page for each label of a batch, and at a million names a
//! commit would take ten times as long. The rows are read again at each start. There are many small maps because a large
//! one, when it grows, would hold up the commit that makes it grow.

use std::collections::HashMap;

use identity::hash::Hash;

use crate::fault::StorageError;
use crate::rows::{ChainRow, CommitRows, LabelRow, NameRow};

const SHARDS: usize = 256;

/// The id of every label: 1, 2, .. in the order in which they came. Between 40 and 80 bytes a label.
#[derive(Debug)]
pub(crate) struct Ids {
    shards: Vec<HashMap<Hash, u32>>,
    count: u32,
    was_read: bool,
    may_lack_some: bool,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { shards: vec![HashMap::new(); SHARDS], count: 0, was_read: false, may_lack_some: true }
    }

    /// Returns the id of `label`.
    pub(crate) fn of(&self, label: &Hash) -> Option<i64> {
        self.shards[usize::from(label[0])].get(label).map(|id| i64::from(*id))
    }

    /// Returns how many labels there are, which is also the greatest id.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Returns whether labels of the table may be missing here: before the first reading, or because a commit began whose end
    /// was not seen.
    pub(crate) fn may_lack_some(&self) -> bool {
        self.may_lack_some
    }

    /// Returns whether the table has been read once. Reads wait for that alone: labels of a commit under way are not theirs yet.
    pub(crate) fn was_read(&self) -> bool {
        self.was_read
    }

    /// Notes that a commit is about to add labels.
    pub(crate) fn commit_begins(&mut self) {
        self.may_lack_some = true;
    }

    /// Takes up all labels of the table with ids above `after`, in order; those already known are passed over.
    pub(crate) fn complete<'h>(
        &mut self,
        after: u32,
        labels: impl Iterator<Item = &'h Hash>,
    ) -> Result<(), StorageError> {
        let share = labels.size_hint().0 / SHARDS;
        if share > 0 {
            self.shards.iter_mut().for_each(|shard| shard.reserve(share + share / 8));
        }
        let fault = |detail: &str| StorageError::inconsistent("labels", detail);
        for (offset, label) in (1..).zip(labels) {
            let id = after.checked_add(offset).ok_or_else(|| fault("more than 2^32 labels"))?;
            if id <= self.count {
                continue;
            }
            if self.shards[usize::from(label[0])].insert(*label, id).is_some() {
                return Err(fault("a label has two rows"));
            }
            self.count = id;
        }
        (self.was_read, self.may_lack_some) = (true, false);
        Ok(())
    }
}

/// The rows of a batch with their ids: a known label's own, the next free ones for new labels.
pub(super) struct Numbered<'r> {
    pub(super) labels: Vec<(i64, &'r LabelRow)>,
    pub(super) chain: Vec<(i64, &'r ChainRow)>,
    pub(super) names: Vec<(i64, &'r NameRow)>,
    /// The new labels in the order of their ids,
    pub(super) new: Vec<Hash>,
    /// which begin above this one.
    pub(super) after: u32,
}

impl<'r> Numbered<'r> {
    pub(super) fn new(rows: &'r CommitRows, known: &Ids) -> Result<Self, StorageError> {
        let (after, mut new, mut added) = (known.count(), Vec::new(), HashMap::new());
        let mut labels = Vec::with_capacity(rows.labels.len());
        for row in &rows.labels {
            let id = known.of(&row.label).unwrap_or_else(|| {
                *added.entry(row.label).or_insert_with(|| {
                    new.push(row.label);
                    i64::from(after) + new.len() as i64
                })
            });
            labels.push((id, row));
        }
        let id_of = |table, label: &Hash| {
            let id = added.get(label).copied().or_else(|| known.of(label));
            id.ok_or_else(|| StorageError::inconsistent(table, "a row of the batch belongs to no label"))
        };
        let chain = rows.chain.iter().map(|row| Ok((id_of("chain", &row.label)?, row))).collect::<Result<_, _>>()?;
        let names =
            rows.names.iter().map(|(label, row)| Ok((id_of("names", label)?, row))).collect::<Result<_, _>>()?;
        Ok(Self { labels, chain, names, new, after })
    }
}
