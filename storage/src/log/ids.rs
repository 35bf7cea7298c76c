//! The numbers of labels: label -> row id, in memory.
//!
//! Labels are hashes: an index over them on disk would dirty a page for each label of a batch, and at a million names a
//! commit would take ten times as long. The rows are read again at each start. There are many small maps because a large
//! one, when it grows, would hold up the commit that makes it grow.

use std::collections::HashMap;

use data_encoding::HEXUPPER;
use identity::hash::Hash;
use sqlx::SqliteConnection;

use crate::fault::StorageError;
use crate::limits::ROWS_PER_SCAN;
use crate::rows::{ChainRow, CommitRows, LabelRow, NameRow};
use crate::table;

const SHARDS: usize = 256;

/// The id of every label: 1, 2, .. in the order in which they came. Between 40 and 80 bytes a label.
#[derive(Debug)]
pub(crate) struct Ids {
    shards: Vec<HashMap<Hash, u32>>,
    count: u32,
    stale: bool,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { shards: vec![HashMap::new(); SHARDS], count: 0, stale: false }
    }

    /// Returns the id of `label`.
    pub(crate) fn of(&self, label: &Hash) -> Option<i64> {
        self.shards[usize::from(label[0])].get(label).map(|id| i64::from(*id))
    }

    /// Returns how many labels there are, which is also the greatest id.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Returns whether a commit began whose end was not seen: labels may be missing here.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Notes that a commit is about to add labels.
    pub(crate) fn commit_begins(&mut self) {
        self.stale = true;
    }

    /// Takes up the labels with the ids after `after`, after a commit or from the table; those already known are passed over.
    pub(crate) fn extend(&mut self, after: u32, labels: &[Hash]) -> Result<(), StorageError> {
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
        Ok(())
    }

    /// Notes that every label of the table is here.
    pub(crate) fn is_complete(&mut self) {
        self.stale = false;
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
        let names = rows.names.iter().map(|row| Ok((id_of("names", &row.label)?, row))).collect::<Result<_, _>>()?;
        Ok(Self { labels, chain, names, new, after })
    }
}

/// Returns the labels with an id above `after`, in the order of ids.
pub(crate) async fn read(conn: &mut SqliteConnection, after: u32) -> Result<Vec<Hash>, StorageError> {
    let last = table::labels::last_id(conn).await?;
    let mut labels = Vec::with_capacity(usize::try_from(last - i64::from(after)).unwrap_or(0));
    let mut from = i64::from(after);
    while from < last {
        let until = last.min(from + ROWS_PER_SCAN);
        let text = table::labels::labels_hex(conn, from, until).await?;
        let bytes = HEXUPPER.decode(text.as_bytes()).unwrap_or_default();
        let (found, _) = bytes.as_chunks::<32>();
        if (found.len() as i64, bytes.len()) != (until - from, found.len() * 32) {
            let detail = format!("the rows after {from} have gaps, or labels of another length");
            return Err(StorageError::inconsistent("labels", detail));
        }
        labels.extend_from_slice(found);
        from = until;
    }
    Ok(labels)
}
