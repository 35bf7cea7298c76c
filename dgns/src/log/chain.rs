//! The chain of a DID: its certificates with their places and proofs (PROTOCOL 11.5).

use identity::did::Did;
use storage::StorageError;
use storage::rows::ChainRow as StoredRow;
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
    for row in core.storage.log().chain(&label, from, PAGE).await? {
        if row.index < head.size() {
            rows.push(prove(core, &row, head).await?);
        }
    }
    Ok(rows)
}

/// Proves one certificate: its place in the log, and the two Epochs around it.
async fn prove(core: &Core, row: &StoredRow, head: &PublicHead) -> Result<ChainRow, StorageError> {
    let missing = || damaged("epochs", "an Epoch is missing");
    let k = core.storage.log().epoch_covering(row.index).await?.ok_or_else(missing)?.k;
    let before = match k.checked_sub(1) {
        None => None,
        Some(before) => Some(epoch(core, before, head.epoch.k).await?),
    };
    Ok(ChainRow {
        index: row.index,
        path: lookup::inclusion(core, Tree::Log, row.index, head.size()).await?,
        envelope: lookup::certificate(core, row.index).await?.encode(),
        k,
        before,
        epoch: epoch(core, k, head.epoch.k).await?,
    })
}

/// Proves Epoch `k` in the history of `newest` Epochs; the newest itself is proved by the head.
async fn epoch(core: &Core, k: u64, newest: u64) -> Result<EpochProof, StorageError> {
    let missing = || damaged("epochs", "an Epoch is missing");
    let row = core.storage.log().epoch(k).await?.ok_or_else(missing)?;
    let entry = core.tiles.entry(row.size - 1).await?.ok_or_else(missing)?;
    let path = match k < newest {
        true => lookup::inclusion(core, Tree::History, k, newest).await?,
        false => Vec::new(),
    };
    Ok(EpochProof { entry: entry.as_ref().try_into().map_err(|_| missing())?, path })
}
