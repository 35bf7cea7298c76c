//! The chain of LogConfs, proved under one head, for clients that know earlier keys (PROTOCOL 7.5).

use identity::cert::Body;
use identity::state::Subject;
use storage::StorageError;
use translog::entry::Entry;
use translog::map;
use translog::resolution::Resolution;
use translog::rotation::{ConfChain, ConfRow};

use super::damaged;
use super::lookup::{self, LookupError, Query};
use super::shown::Asked;
use super::tiles::Tree;
use crate::core::Core;

/// Proves every LogConf, the server's genesis and the rotations of its identity key; the bytes are a [`ConfChain`].
///
/// A witness asks for the newest head: the public one may wait for its own word.
pub async fn prove(core: &Core, head: Asked, from: Option<u64>) -> Result<Vec<u8>, LookupError> {
    let resolution = lookup::resolve(core, &Subject::LogConf, Query { head, from, ..Query::default() }).await?;
    let no_head = || damaged("heads", "our own answer has no head");
    let head = Resolution::decode(&resolution).ok().and_then(|mut resolution| resolution.take_head());
    let size = head.ok_or_else(no_head)?.size;
    let mut rows = Vec::new();
    for index in indexes(core).await? {
        if index < size {
            rows.push(row(core, index, size).await?);
        }
    }
    Ok(ConfChain { resolution, rows }.encode())
}

/// Returns the places of the entries that matter, ascending.
async fn indexes(core: &Core) -> Result<Vec<u64>, StorageError> {
    let log = core.storage.log();
    let everything = u64::MAX >> 1;
    let mut indexes = vec![0];
    indexes.extend(log.chain(&map::label(&Subject::LogConf), 0, everything).await?.iter().map(|row| row.index));
    for row in log.chain(&map::label(&Subject::Did(core.server)), 1, everything).await? {
        if let Body::IdRotate(_) = lookup::certificate(core, row.index).await?.payload().body {
            indexes.push(row.index);
        }
    }
    indexes.sort_unstable();
    Ok(indexes)
}

async fn row(core: &Core, index: u64, size: u64) -> Result<ConfRow, StorageError> {
    let missing = || damaged("entries", "an entry is missing or does not decode");
    let entry = core.tiles.entry(index).await?.ok_or_else(missing)?.to_vec();
    Entry::decode(&entry).map_err(|_| missing())?;
    Ok(ConfRow { index, path: lookup::inclusion(core, Tree::Log, index, size).await?, entry })
}
