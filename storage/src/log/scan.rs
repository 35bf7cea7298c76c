//! Reading whole tables at start, in the order of their rows, which is how they lie on disk.

use std::collections::VecDeque;

use data_encoding::HEXUPPER;
use identity::hash::Hash;

use crate::database::Database;
use crate::fault::StorageError;
use crate::limits::ROWS_PER_SCAN;
use crate::rows::NameRow;
use crate::table;

/// Returns label and commitment of every leaf with an id above `after`, in the order of ids, which have no gaps.
pub(super) async fn leaves(names: &Database, after: u32) -> Result<Vec<(Hash, Hash)>, StorageError> {
    let after = i64::from(after);
    let last = table::labels::last_id(&mut *names.reader().await).await?.max(after);
    let middle = after.midpoint(last);
    let (lower, upper) = tokio::join!(leaves_between(names, after, middle), leaves_between(names, middle, last));
    let (mut leaves, mut upper) = (lower?, upper?);
    leaves.append(&mut upper);
    Ok(leaves)
}

async fn leaves_between(names: &Database, after: i64, last: i64) -> Result<Vec<(Hash, Hash)>, StorageError> {
    let mut scanner = names.scanner().await?;
    let mut leaves = Vec::with_capacity(usize::try_from(last - after).unwrap_or(0));
    let mut from = after;
    while from < last {
        let until = last.min(from + ROWS_PER_SCAN);
        let text = table::labels::leaves_hex(&mut scanner, from, until).await?;
        let bytes = HEXUPPER.decode(text.as_bytes()).unwrap_or_default();
        let (pairs, _) = bytes.as_chunks::<64>();
        if (pairs.len() as i64, bytes.len()) != (until - from, pairs.len() * 64) {
            let detail = format!("the rows after {from} have gaps, or hashes of another length");
            return Err(StorageError::inconsistent("labels", detail));
        }
        leaves.extend(pairs.iter().map(halves));
        from = until;
    }
    Ok(leaves)
}

fn halves(pair: &[u8; 64]) -> (Hash, Hash) {
    let (mut label, mut commitment) = ([0; 32], [0; 32]);
    label.copy_from_slice(&pair[..32]);
    commitment.copy_from_slice(&pair[32..]);
    (label, commitment)
}

/// Every name, page by page.
pub struct NameScan<'a> {
    names: &'a Database,
    page: VecDeque<NameRow>,
    after: i64,
    last: Option<i64>,
}

impl<'a> NameScan<'a> {
    pub(super) fn new(names: &'a Database) -> Self {
        Self { names, page: VecDeque::new(), after: 0, last: None }
    }

    /// Returns the next name; `None` after the last of those there were at the first call.
    pub async fn next(&mut self) -> Result<Option<NameRow>, StorageError> {
        let last = match self.last {
            Some(last) => last,
            None => *self.last.insert(table::names::last_id(&mut *self.names.reader().await).await?),
        };
        while self.page.is_empty() && self.after < last {
            let until = last.min(self.after + ROWS_PER_SCAN);
            let page = table::names::page(&mut *self.names.reader().await, self.after, until).await?;
            (self.page, self.after) = (page.into(), until);
        }
        Ok(self.page.pop_front())
    }
}
