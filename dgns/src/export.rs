//! `dgnsd export`: the log's stock read path as files, so that any file server can serve it (PROTOCOL 8, 12.1).
//!
//! The directory gets `log/checkpoint`, `log/tile/...` and `log/history/tile/...`, partial ones of the head included; the
//! checkpoint comes last, so that whoever reads meanwhile finds the older head whole. Files that are there already stay.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use dgns_api::path;
use storage::{Options, Storage, StorageError, durable};
use translog::note::{Checkpoint, Note};
use translog::tile::{bundles_for, tiles_for};

use crate::log::damaged;
use crate::log::live::Live;
use crate::log::restart::{self, RestartError};
use crate::log::tiles::{Tiles, Tree};

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The size of the head.
    pub size: u64,
    /// Files written.
    pub files: u64,
}

/// Writes the log of a data directory, up to the head that everyone is shown; no server may run on it.
pub async fn run(data: &Path, to: &Path) -> Result<Exported, RestartError> {
    let storage = Storage::open_with(data, Options { create: false, ..Options::default() }).await?;
    let missing = || RestartError::Storage(damaged("heads", "there is no log, or none that a key has signed"));
    let stored = storage.log().load_head().await?.ok_or_else(missing)?;
    let public = storage.log().load_public().await?;
    let found = restart::load(&storage, &stored, restart::signed).await?;
    let note = public.unwrap_or_else(|| found.inner.head.note.clone().into_bytes());
    let checkpoint =
        Note::parse(&note).ok().and_then(|note| Checkpoint::parse(note.text()).ok()).ok_or_else(missing)?;
    let size = checkpoint.size;
    let epochs = storage.log().epoch_covering(size - 1).await?.ok_or_else(missing)?.k + 1;
    let tiles = Tiles::new(Arc::new(storage), Arc::new(Live::new(found.inner)), 1 << 20);

    let to = to.join(path::LOG.trim_start_matches('/'));
    let mut files = 0;
    let lacking = || damaged("objects", "a tile or bundle of the log is missing");
    for id in bundles_for(0, size) {
        let bytes = tiles.bundle(id.index(), id.width()).await?.ok_or_else(lacking)?;
        files += write(&to.join(id.to_string()), &bytes)?;
    }
    for (tree, leaves) in [(Tree::Log, size), (Tree::History, epochs)] {
        for id in tiles_for(0, leaves) {
            let bytes = tiles.tile(tree, id.level(), id.index(), id.width()).await?.ok_or_else(lacking)?;
            files += write(&to.join(format!("{}{id}", tree.prefix())), &bytes)?;
        }
    }
    durable::replace(&to.join("checkpoint"), &Bytes::from(note))?;
    Ok(Exported { size, files: files + 1 })
}

/// Writes a file that never changes, unless it is there; returns how many were written.
fn write(path: &Path, bytes: &[u8]) -> Result<u64, StorageError> {
    if path.exists() {
        return Ok(0);
    }
    durable::create_dir(path.parent().expect("below the directory"))?;
    durable::replace(path, bytes).map(|()| 1)
}
