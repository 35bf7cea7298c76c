//! The name server's log: one commit, and the reads that answers are made of.

mod scan;

use core::ops::Range;

use bytes::Bytes;
use identity::hash::Hash;

use crate::database::{self, Database, of_sql};
use crate::fault::{CommitError, Place, StorageError};
use crate::inject::{self, Failure, Plan, Step};
use crate::rows::{ChainRow, CommitRows, DueRow, EpochRow, InviteState, LabelRow, NameRow, StoredHead, Tiled};
use crate::table;

pub use scan::{LeafScan, NameScan};

/// The tables of the name server. Reads see the newest commit; none waits for the writer.
#[derive(Clone, Copy)]
pub struct Log<'a> {
    names: &'a Database,
    failures: &'a Plan,
}

impl<'a> Log<'a> {
    pub(crate) fn new(names: &'a Database, failures: &'a Plan) -> Self {
        Self { names, failures }
    }

    /// Replaces the head `old` by `new` and writes everything the batch changes, in ONE durable transaction.
    ///
    /// THE commit point of the server: before it nothing of the batch is durable, after it everything is. A crash inside
    /// leaves one or the other. `old` is `None` for the first head alone. On [`CommitError::Unknown`] load the head and
    /// compare its note: the batch is there, whole, or not at all.
    pub async fn commit(
        &self,
        old: Option<&StoredHead>,
        new: &StoredHead,
        rows: &CommitRows,
    ) -> Result<(), CommitError> {
        let first = old.map_or(0, |old| old.size);
        if first + rows.entries.len() as u64 != new.size {
            let detail = format!("{} entries from {first} do not end at {}", rows.entries.len(), new.size);
            return Err(StorageError::inconsistent("entries", detail).into());
        }
        let planned = self.failures.take(Step::Commit);
        if planned == Some(Failure::Refused) {
            return Err(inject::planned().into());
        }
        let mut writer = self.names.writer().await;
        let mut tx = database::begin(&mut writer).await?;
        if !table::heads::swap(&mut tx, old, new).await? {
            return Err(CommitError::Lost); // dropping `tx` rolls back
        }
        table::entries::insert(&mut tx, first, &rows.entries).await?;
        table::epochs::insert(&mut tx, new).await?;
        table::chain::insert(&mut tx, &rows.chain).await?;
        table::labels::upsert(&mut tx, &rows.labels).await?;
        table::names::upsert(&mut tx, &rows.names).await?;
        table::invites::mark_used(&mut tx, &rows.invites).await?;
        if planned == Some(Failure::DroppedOutcomeUnknown) {
            return Err(CommitError::Unknown(inject::planned()));
        }
        tx.commit().await.map_err(|error| CommitError::Unknown(of_sql(Place::Database, error)))?;
        self.names.wrote(rows.entries.len() + rows.chain.len() + rows.labels.len() + rows.names.len());
        match planned {
            Some(_) => Err(CommitError::Unknown(inject::planned())),
            None => Ok(()),
        }
    }

    /// Returns the newest signed head; `None` before the first commit.
    pub async fn load_head(&self) -> Result<Option<StoredHead>, StorageError> {
        table::heads::load(&mut *self.names.reader().await).await
    }

    /// Returns the entries of `range` that are not yet left to the bundles, with their indexes, in order.
    pub async fn entries(&self, range: Range<u64>) -> Result<Vec<(u64, Bytes)>, StorageError> {
        table::entries::range(&mut *self.names.reader().await, range).await
    }

    /// Returns the entry at `index`; `None` if it is left to the bundles, or not there yet.
    pub async fn entry(&self, index: u64) -> Result<Option<Bytes>, StorageError> {
        table::entries::one(&mut *self.names.reader().await, index).await
    }

    /// Returns at most `limit` certificates of the chain of the DID with this label, from `seq` on.
    pub async fn chain(&self, label: &Hash, seq: u64, limit: u64) -> Result<Vec<ChainRow>, StorageError> {
        table::chain::from(&mut *self.names.reader().await, label, seq, limit).await
    }

    /// Returns the certificate at `seq` in the chain of the DID with this label.
    pub async fn find(&self, label: &Hash, seq: u64) -> Result<Option<ChainRow>, StorageError> {
        table::chain::find(&mut *self.names.reader().await, label, seq).await
    }

    /// Returns the rows of `labels`, each in the place of its label; `None` where there is none. One snapshot up to four.
    pub async fn labels(&self, labels: &[Hash]) -> Result<Vec<Option<LabelRow>>, StorageError> {
        let found = table::labels::load(&mut *self.names.reader().await, labels).await?;
        Ok(in_order(labels, found))
    }

    /// Starts to read label and commitment of every leaf of the map, in the order of labels.
    pub async fn all_leaves(&self) -> Result<LeafScan, StorageError> {
        scan::leaves(self.names).await
    }

    /// Returns at most `limit` labels that are due at or before `until_ms`, the earliest first. Pass `u64::MAX` for all.
    pub async fn dues(&self, until_ms: u64, limit: u64) -> Result<Vec<DueRow>, StorageError> {
        table::labels::dues(&mut *self.names.reader().await, until_ms, limit).await
    }

    /// Returns the root of the head of this size; `None` if no head ever had it.
    pub async fn root_at(&self, size: u64) -> Result<Option<Hash>, StorageError> {
        table::epochs::root_at(&mut *self.names.reader().await, size).await
    }

    /// Returns the Epoch with this number.
    pub async fn epoch(&self, k: u64) -> Result<Option<EpochRow>, StorageError> {
        table::epochs::by_number(&mut *self.names.reader().await, k).await
    }

    /// Returns the Epoch that closed the batch with the entry at `index`.
    pub async fn epoch_covering(&self, index: u64) -> Result<Option<EpochRow>, StorageError> {
        table::epochs::covering(&mut *self.names.reader().await, index).await
    }

    /// Returns at most `limit` Epochs from number `k` on.
    pub async fn epochs(&self, k: u64, limit: u64) -> Result<Vec<EpochRow>, StorageError> {
        table::epochs::from(&mut *self.names.reader().await, k, limit).await
    }

    /// Returns what DNS knows of `name`.
    pub async fn name(&self, name: &str) -> Result<Option<NameRow>, StorageError> {
        table::names::load(&mut *self.names.reader().await, name).await
    }

    /// Starts to read every name, in no order. A name that changes meanwhile is seen before or after the change.
    pub fn all_names(&self) -> NameScan<'a> {
        NameScan::new(self.names)
    }

    /// Returns how far the tiles have got, with their right edges.
    pub async fn load_tiled(&self) -> Result<Tiled, StorageError> {
        let mut writer = self.names.writer().await;
        let mut tx = database::begin(&mut writer).await?;
        Ok(Tiled { size: table::heads::tiled(&mut tx).await?, edges: table::edges::load(&mut tx).await? })
    }

    /// Notes that tiles and bundles up to `tiled.size` are durable, and deletes the entries below `entries_below`, whose
    /// full bundles are; in one transaction. Call it after the objects are durable: a crash before it writes them again.
    ///
    /// [`StorageError::Inconsistent`] if `tiled` would go back or past the head.
    pub async fn save_tiled(&self, tiled: &Tiled, entries_below: u64) -> Result<(), StorageError> {
        let planned = self.failures.take(Step::SaveTiled);
        if planned == Some(Failure::Refused) {
            return Err(inject::planned());
        }
        let mut writer = self.names.writer().await;
        let mut tx = database::begin(&mut writer).await?;
        if entries_below > tiled.size || !table::heads::set_tiled(&mut tx, tiled.size).await? {
            let detail = format!("tiles to {} and no entries below {entries_below}", tiled.size);
            return Err(StorageError::inconsistent("heads", detail));
        }
        table::edges::replace(&mut tx, &tiled.edges).await?;
        let deleted = table::entries::delete_below(&mut tx, entries_below).await?;
        if planned == Some(Failure::DroppedOutcomeUnknown) {
            return Err(inject::planned());
        }
        tx.commit().await.map_err(|error| of_sql(Place::Database, error))?;
        // Neighbouring entries share their pages: a dozen to one.
        self.names.wrote(usize::try_from(deleted / 12).unwrap_or(usize::MAX));
        planned.map_or(Ok(()), |_| Err(inject::planned()))
    }

    /// Issues invites by the hashes of their codes; returns how many are new.
    pub async fn add_invites(&self, codes: &[Hash]) -> Result<u64, StorageError> {
        let mut writer = self.names.writer().await;
        let mut tx = database::begin(&mut writer).await?;
        let added = table::invites::add(&mut tx, codes).await?;
        tx.commit().await.map_err(|error| of_sql(Place::Database, error))?;
        Ok(added)
    }

    /// Returns whether the invite with this code hash may still be used. Using one is part of [`Log::commit`].
    pub async fn invite(&self, code: &Hash) -> Result<InviteState, StorageError> {
        table::invites::state(&mut *self.names.reader().await, code).await
    }

    /// Returns every invite with the log index of the claim that used it.
    pub async fn invites(&self) -> Result<Vec<(Hash, Option<u64>)>, StorageError> {
        table::invites::list(&mut *self.names.reader().await).await
    }
}

/// Returns `found` in the order of `labels`.
fn in_order(labels: &[Hash], found: Vec<LabelRow>) -> Vec<Option<LabelRow>> {
    let mut by_label: std::collections::HashMap<Hash, LabelRow> =
        found.into_iter().map(|row| (row.label, row)).collect();
    labels.iter().map(|label| by_label.remove(label)).collect()
}
