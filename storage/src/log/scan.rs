//! Reading whole tables at start.

use std::collections::VecDeque;

use data_encoding::HEXUPPER;
use identity::hash::Hash;

use crate::database::Database;
use crate::fault::StorageError;
use crate::limits::ROWS_PER_SCAN;
use crate::rows::NameRow;
use crate::table;

/// Label and commitment of every leaf of the map, in the order of labels.
#[derive(Debug)]
pub struct LeafScan {
    leaves: Vec<(Hash, Hash)>,
}

impl LeafScan {
    /// Returns the number of leaves.
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Returns whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }
}

impl IntoIterator for LeafScan {
    type Item = (Hash, Hash);
    type IntoIter = std::vec::IntoIter<(Hash, Hash)>;

    fn into_iter(self) -> Self::IntoIter {
        self.leaves.into_iter()
    }
}

/// Reads all leaves in the order of their rows, which is how they lie on disk, and sorts them here: following the label
/// index would touch a page a row.
pub(super) async fn leaves(names: &Database) -> Result<LeafScan, StorageError> {
    let last = table::labels::last_id(&mut *names.reader().await).await?;
    let middle = last / 2;
    let (lower, upper) = tokio::join!(leaves_between(names, 0, middle), leaves_between(names, middle, last));
    let (mut leaves, mut upper) = (lower?, upper?);
    leaves.append(&mut upper);
    leaves.sort_unstable_by_key(|leaf| leaf.0);
    Ok(LeafScan { leaves })
}

async fn leaves_between(names: &Database, after: i64, last: i64) -> Result<Vec<(Hash, Hash)>, StorageError> {
    let mut reader = names.reader().await;
    let mut leaves = Vec::with_capacity(usize::try_from(last - after).unwrap_or(0));
    let mut from = after;
    while from < last {
        let until = last.min(from + ROWS_PER_SCAN);
        let text = table::labels::leaves_hex(&mut reader, from, until).await?;
        decode(&text, &mut leaves)?;
        from = until;
    }
    Ok(leaves)
}

fn decode(text: &str, leaves: &mut Vec<(Hash, Hash)>) -> Result<(), StorageError> {
    let fault = || StorageError::inconsistent("labels", "a label or commitment has not 32 bytes");
    let bytes = HEXUPPER.decode(text.as_bytes()).map_err(|_| fault())?;
    let (pairs, rest) = bytes.as_chunks::<64>();
    if !rest.is_empty() {
        return Err(fault());
    }
    leaves.extend(pairs.iter().map(|pair| {
        let (label, commitment) = pair.split_at(32);
        let whole = "half of 64 bytes";
        (label.try_into().expect(whole), commitment.try_into().expect(whole))
    }));
    Ok(())
}

/// Every name, page by page.
pub struct NameScan<'a> {
    names: &'a Database,
    page: VecDeque<NameRow>,
    after: u64,
    done: bool,
}

impl<'a> NameScan<'a> {
    pub(super) fn new(names: &'a Database) -> Self {
        Self { names, page: VecDeque::new(), after: 0, done: false }
    }

    /// Returns the next name; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<NameRow>, StorageError> {
        if self.page.is_empty() && !self.done {
            let limit = ROWS_PER_SCAN.unsigned_abs();
            let (page, last) = table::names::page(&mut *self.names.reader().await, self.after, limit).await?;
            self.done = (page.len() as u64) < limit;
            (self.page, self.after) = (page.into(), last);
        }
        Ok(self.page.pop_front())
    }
}
