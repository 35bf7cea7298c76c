//! What the table of keys says, held against the entries it was made of.

use storage::Storage;
use translog::bundle;
use translog::tile::BundleId;

use super::Report;
use super::shelf::{Shelf, Wrong};
use crate::log::damaged;
use crate::log::enrolled::of_entry;

/// Rows read at once.
const ROWS: u64 = 256;

/// Compares each row with its bundle. Rows may be missing at the end: a follower has none, and a start makes those that it lacks.
pub(super) async fn compare(storage: &Storage, shelf: &Shelf<'_>, report: &mut Report) -> Result<(), Wrong> {
    let mut next = 0;
    loop {
        let rows = storage.log().enrolled(next, ROWS).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        next = last.bundle + 1;
        for row in rows {
            let id = BundleId::new(row.bundle, 256).map_err(|_| damaged("enrolled", "no such bundle"))?;
            let bytes = shelf.bundle(id).await?;
            let entries = bundle::decode(id, &bytes).map_err(|_| damaged("objects", "a bundle does not decode"))?;
            let marks: Result<Vec<_>, _> = entries.into_iter().map(of_entry).collect();
            if marks?.concat() != row.marks {
                let what = format!("the keys of bundle {} in enrolled are not those of its certificates", row.bundle);
                report.faults.push(what);
            }
        }
    }
}
