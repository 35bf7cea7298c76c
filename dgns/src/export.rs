//! `dgnsd export`: the log's stock read path as files, so that any file server can serve it (PROTOCOL 8, 12.1).
//!
//! [`LogFiles`] says which files, and in which order. Those that are there already stay.

use std::path::Path;
use std::sync::Arc;

use storage::{Options, Storage};
use translog::note::{Checkpoint, Note};

use crate::log::damaged;
use crate::log::files::LogFiles;
use crate::log::live::Live;
use crate::log::restart::{self, RestartError};
use crate::log::tiles::Tiles;

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
    let storage = Arc::new(Storage::open_with(data, Options { create: false, ..Options::default() }).await?);
    let missing = || RestartError::Storage(damaged("heads", "there is no log, or none that a key has signed"));
    let stored = storage.log().load_head().await?.ok_or_else(missing)?;
    let public = storage.log().load_public().await?;
    let found = restart::load(&storage, &stored, restart::signed).await?;
    let note = public.unwrap_or_else(|| found.inner.head.note.clone().into_bytes());
    let checkpoint =
        Note::parse(&note).ok().and_then(|note| Checkpoint::parse(note.text()).ok()).ok_or_else(missing)?;
    let tiles = Tiles::new(storage.clone(), Arc::new(Live::new(found.inner)), 1 << 20);
    let files = LogFiles::new(to).write(&storage, &tiles, &String::from_utf8_lossy(&note)).await?;
    Ok(Exported { size: checkpoint.size, files })
}
