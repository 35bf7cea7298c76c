//! The chain of a DID: its certificates with their places and proofs (PROTOCOL 11.5).

use std::ops::Range;

use identity::did::Did;
use storage::StorageError;
use storage::rows::{ChainRow as StoredRow, EpochRow};
use translog::resolution::{ChainRow, EpochProof};

use super::lookup;
use super::tiles::Tree;
use super::{damaged, live::PublicHead};
use crate::core::Core;

/// The certificates of one page.
pub const PAGE: u64 = 64;

/// Returns the rows of a chain from place `from` on, at most one page, as `head` has them.
pub async fn page(core: &Core, did: &Did, from: u64, head: &PublicHead) -> Result<Vec<ChainRow>, StorageError> {
    let label = translog::map::label_did(did);
    let mut rows = Vec::new();
    let mut epochs = Epochs { core, newest: head.epoch.k, last: None };
    for row in core.storage.log().chain(&label, from, PAGE).await? {
        if row.index < head.size() {
            rows.push(prove(core, &row, head, &mut epochs).await?);
        }
    }
    Ok(rows)
}

/// Proves one certificate: its place in the log, and the two Epochs around it.
async fn prove(
    core: &Core,
    row: &StoredRow,
    head: &PublicHead,
    epochs: &mut Epochs<'_>,
) -> Result<ChainRow, StorageError> {
    let Around { k, before, epoch, .. } = epochs.around(row.index).await?;
    Ok(ChainRow {
        index: row.index,
        path: lookup::inclusion(core, Tree::Log, row.index, head.size()).await?,
        envelope: lookup::certificate(core, row.index).await?.encode(),
        k,
        before,
        epoch,
    })
}

/// The Epochs around the certificates of one chain: what was posted together stands between the same two.
struct Epochs<'c> {
    core: &'c Core,
    newest: u64,
    last: Option<Around>,
}

/// An Epoch that covers certificates, the leaves the log had at it, and the Epoch before.
#[derive(Clone)]
struct Around {
    k: u64,
    sizes: Range<u64>,
    before: Option<EpochProof>,
    epoch: EpochProof,
}

impl Epochs<'_> {
    /// Returns the Epochs around the entry at `index`.
    async fn around(&mut self, index: u64) -> Result<Around, StorageError> {
        if let Some(last) = self.last.as_ref().filter(|last| last.sizes.contains(&index)) {
            return Ok(last.clone());
        }
        let log = self.core.storage.log();
        let EpochRow { k, size, .. } = log.epoch_covering(index).await?.ok_or_else(missing)?;
        let before = match k.checked_sub(1) {
            None => None,
            Some(before) => Some(log.epoch(before).await?.ok_or_else(missing)?.size),
        };
        let around = Around {
            k,
            sizes: before.unwrap_or(0)..size,
            before: match (k.checked_sub(1), before) {
                (Some(k), Some(size)) => Some(self.prove(k, size).await?),
                _ => None,
            },
            epoch: self.prove(k, size).await?,
        };
        Ok(self.last.insert(around).clone())
    }

    /// Proves Epoch `k`, the last of `size` leaves, in the history; the newest itself is proved by the head.
    async fn prove(&self, k: u64, size: u64) -> Result<EpochProof, StorageError> {
        let entry = self.core.tiles.entry(size - 1).await?.ok_or_else(missing)?;
        let path = match k < self.newest {
            true => lookup::inclusion(self.core, Tree::History, k, self.newest).await?,
            false => Vec::new(),
        };
        Ok(EpochProof { entry: entry.as_ref().try_into().map_err(|_| missing())?, path })
    }
}

fn missing() -> StorageError {
    damaged("epochs", "an Epoch is missing")
}
