//! The log's stock read path as files, for any file server (PROTOCOL 8, 12.1): `log/checkpoint`, `log/tile/...` and
//! `log/history/tile/...`, the partial ones of each shown head included.
//!
//! The checkpoint comes last, so that whoever reads meanwhile finds the older head whole. Files never change.
//! Where they are kept in step, the partial ones of a tile go when the tile behind it is full: tlog-tiles has readers take the full one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dgns_api::path;
use storage::{Storage, StorageError, durable};
use tokio::sync::watch;
use tracing::warn;
use translog::note::{Checkpoint, Note};
use translog::tile::{BundleId, TileId, bundles_for, tiles_for};

use super::damaged;
use super::live::Live;
use super::tiles::{Tiles, Tree};
use crate::core::Core;
use crate::shutdown;

/// How often the files are written anew, at most.
const PACE: Duration = Duration::from_secs(1);

/// A directory of the log's files.
pub struct LogFiles {
    log: PathBuf,
    /// Leaves and Epochs whose files are there.
    done: (u64, u64),
    /// Whether partial files go some time after the full ones came.
    thins: bool,
}

/// Returns the checkpoint that everyone is shown; `None` while none has its quorum.
pub fn shown_checkpoint(live: &Live) -> Option<String> {
    let inner = live.read();
    match inner.shown.asks_witnesses() {
        false => Some(inner.head.note.clone()),
        true => inner.shown.last().map(|witnessed| witnessed.note.clone()),
    }
}

/// Keeps the files in step with what everyone is shown, until `stop` turns true. A disk that is full or away stops nothing else.
pub async fn keep(directory: PathBuf, core: Arc<Core>, mut stop: watch::Receiver<bool>) {
    let mut files = LogFiles { thins: true, ..LogFiles::new(&directory) };
    let mut written = None;
    loop {
        let shown = shown_checkpoint(&core.live).filter(|_| core.live.head().size() > 0);
        if let Some(note) = shown.filter(|note| written.as_ref() != Some(note)) {
            match files.write(&core.storage, &core.tiles, &note).await {
                Ok(_) => written = Some(note),
                Err(error) => warn!(%error, directory = %directory.display(), "the log's files are not written"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PACE) => {}
            () = shutdown::requested(&mut stop) => return,
        }
    }
}

impl LogFiles {
    /// Returns the files below `directory`/log, of which nothing is known yet.
    pub fn new(directory: &Path) -> Self {
        Self { log: directory.join(path::LOG.trim_start_matches('/')), done: (0, 0), thins: false }
    }

    /// Writes what this checkpoint of ours needs and is not there, then the checkpoint; returns the number of files written.
    pub async fn write(&mut self, storage: &Storage, tiles: &Tiles, note: &str) -> Result<u64, StorageError> {
        let lacking = || damaged("objects", "a tile or bundle of the log is missing");
        let missing = || damaged("heads", "there is no log, or none that a key has signed");
        let parsed = Note::parse(note.as_bytes()).ok().and_then(|note| Checkpoint::parse(note.text()).ok());
        let size = parsed.filter(|checkpoint| checkpoint.size > 0).ok_or_else(missing)?.size;
        let epochs = storage.log().epoch_covering(size - 1).await?.ok_or_else(missing)?.k + 1;
        let mut files = 1;
        for id in bundles_for(self.done.0, size) {
            let place = self.log.join(id.to_string());
            if !place.exists() {
                let bytes = tiles.bundle(id.index(), id.width()).await?.ok_or_else(lacking)?;
                put(place, bytes).await?;
                files += 1;
                self.thin("tile/entries/", id.tile());
            }
        }
        for (tree, from, leaves) in [(Tree::Log, self.done.0, size), (Tree::History, self.done.1, epochs)] {
            for id in tiles_for(from, leaves) {
                let place = self.log.join(format!("{}{id}", tree.prefix()));
                if !place.exists() {
                    let bytes = tiles.tile(tree, id.level(), id.index(), id.width()).await?.ok_or_else(lacking)?;
                    put(place, bytes).await?;
                    files += 1;
                    self.thin(&format!("{}tile/{}/", tree.prefix(), id.level()), id);
                }
            }
        }
        put(self.log.join("checkpoint"), note.as_bytes().into()).await?;
        self.done = (size, epochs);
        Ok(files)
    }

    /// Takes the partial files of the tile before this one away, if this one is full.
    fn thin(&self, below: &str, full: TileId) {
        let before = full.index().checked_sub(1).filter(|_| self.thins && full.width() == 256);
        let Some(before) = before.and_then(|index| BundleId::new(index, 256).ok()) else { return };
        let partial = self.log.join(format!("{}.p", before.to_string().replacen("tile/entries/", below, 1)));
        match std::fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => warn!(%error, "partial files stay"),
            _ => {}
        }
    }
}

/// Writes one file whole.
async fn put(place: PathBuf, bytes: Arc<[u8]>) -> Result<(), StorageError> {
    let write = move || {
        durable::create_dir(place.parent().expect("below the directory"))?;
        durable::replace(&place, &bytes)
    };
    tokio::task::spawn_blocking(write).await.expect("writing a file does not panic")
}
