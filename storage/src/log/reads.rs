//! The reads that answers are made of.

use core::ops::Range;
use std::collections::HashMap;

use bytes::Bytes;
use identity::hash::Hash;

use super::{Log, NameScan};
use crate::fault::StorageError;
use crate::rows::{ChainRow, DueRow, EnrolledRow, EpochRow, InviteState, LabelRow, NameRow};
use crate::table;

impl<'a> Log<'a> {
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
        match self.id_of(label).await? {
            Some(id) => table::chain::from(&mut *self.names.reader().await, (label, id), seq, limit).await,
            None => Ok(Vec::new()),
        }
    }

    /// Returns the certificate at `seq` in the chain of the DID with this label.
    pub async fn find(&self, label: &Hash, seq: u64) -> Result<Option<ChainRow>, StorageError> {
        match self.id_of(label).await? {
            Some(id) => table::chain::find(&mut *self.names.reader().await, (label, id), seq).await,
            None => Ok(None),
        }
    }

    /// Returns the rows of `labels`, each in the place of its label; `None` where there is none. Up to 64 are one snapshot.
    pub async fn labels(&self, labels: &[Hash]) -> Result<Vec<Option<LabelRow>>, StorageError> {
        self.read_ids_once().await?;
        let ids: Vec<i64> = {
            let known = self.ids();
            labels.iter().filter_map(|label| known.of(label)).collect()
        };
        if ids.is_empty() {
            return Ok(vec![None; labels.len()]);
        }
        let found = table::labels::load(&mut *self.names.reader().await, &ids).await?;
        let rows: HashMap<Hash, LabelRow> = found.into_iter().map(|row| (row.label, row)).collect();
        let asked: Vec<_> = labels.iter().map(|label| rows.get(label).cloned()).collect();
        if asked.iter().flatten().count() != ids.len() {
            return Err(StorageError::inconsistent("labels", "a row is gone or has another label"));
        }
        Ok(asked)
    }

    /// Returns the rows of the 64 oldest labels, in no order, while the ids of the others are not read yet: what a log was begun with is among them,
    /// unless a follower took more than that at once.
    pub async fn oldest_labels(&self) -> Result<Vec<LabelRow>, StorageError> {
        let ids: Vec<i64> = (1..=64).collect();
        table::labels::load(&mut *self.names.reader().await, &ids).await
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

    /// Returns what DNS knows of the name with this label.
    pub async fn name(&self, label: &Hash) -> Result<Option<NameRow>, StorageError> {
        match self.id_of(label).await? {
            Some(id) => table::names::load(&mut *self.names.reader().await, id).await,
            None => Ok(None),
        }
    }

    /// Starts to read every name, in no order. A name that changes meanwhile is seen before or after the change.
    pub fn all_names(&self) -> NameScan<'a> {
        NameScan::new(self.names)
    }

    /// Returns the size of the log above which [`Log::changed_names`] knows of every change.
    pub async fn changes_known_from(&self) -> Result<u64, StorageError> {
        table::changed::known_from(&mut *self.names.reader().await).await
    }

    /// Returns names that changed since the log had `after` leaves, as they are now, whole batches of them; and the size up to which these are all.
    /// `None` once there are no more up to `until`.
    pub async fn changed_names(&self, after: u64, until: u64) -> Result<Option<(Vec<NameRow>, u64)>, StorageError> {
        let mut reader = self.names.reader().await;
        let end = table::changed::page_end(&mut reader, after, until).await?;
        if end == 0 {
            return Ok(None);
        }
        Ok(Some((table::changed::names(&mut reader, after, end).await?, end)))
    }

    /// Returns whether the invite with this code hash may still be used. Using one is part of [`Log::commit`].
    pub async fn invite(&self, code: &Hash) -> Result<InviteState, StorageError> {
        table::invites::state(&mut *self.names.reader().await, code).await
    }

    /// Returns the log index of the Notice made of the evidence with this hash.
    pub async fn notice(&self, evidence_hash: &Hash) -> Result<Option<u64>, StorageError> {
        table::notices::index_of(&mut *self.names.reader().await, evidence_hash).await
    }

    /// Returns what the certificates of at most `limit` bundles say of keys, from number `bundle` on.
    pub async fn enrolled(&self, bundle: u64, limit: u64) -> Result<Vec<EnrolledRow>, StorageError> {
        table::enrolled::from(&mut *self.names.reader().await, bundle, limit).await
    }

    /// Returns every invite with the log index of the claim that used it.
    pub async fn invites(&self) -> Result<Vec<(Hash, Option<u64>)>, StorageError> {
        table::invites::list(&mut *self.names.reader().await).await
    }
}
