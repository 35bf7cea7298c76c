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
    let mut leaves = vec![([0; 32], [0; 32]); usize::try_from(last - after).unwrap_or(0)];
    let (lower, upper) = leaves.split_at_mut(usize::try_from(middle - after).unwrap_or(0));
    tokio::try_join!(read_leaves(names, after, lower), read_leaves(names, middle, upper))?;
    Ok(leaves)
}

/// Fills `leaves` with those whose ids follow `after`.
async fn read_leaves(names: &Database, mut after: i64, leaves: &mut [(Hash, Hash)]) -> Result<(), StorageError> {
    let mut reader = names.reader().await;
    for page in leaves.chunks_mut(ROWS_PER_SCAN as usize) {
        let until = after + page.len() as i64;
        let text = table::labels::leaves_hex(&mut reader, after, until).await?;
        let bytes = HEXUPPER.decode(text.as_bytes()).unwrap_or_default();
        let (pairs, _) = bytes.as_chunks::<64>();
        if (pairs.len(), bytes.len()) != (page.len(), page.len() * 64) {
            let detail = format!("the rows after {after} have gaps, or hashes of another length");
            return Err(StorageError::inconsistent("labels", detail));
        }
        page.iter_mut().zip(pairs).for_each(|(leaf, pair)| *leaf = halves(pair));
        after = until;
    }
    Ok(())
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
