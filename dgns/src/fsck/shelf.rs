//! The log as it is stored: full bundles and tiles as objects, the tail as rows.

use storage::{Storage, StorageError};
use translog::audit::{AuditFault, Tree};
use translog::bundle;
use translog::tile::{BundleId, TileId};

use crate::log::damaged;

/// Reads what is stored, and nothing that is derived from it.
pub(super) struct Shelf<'s> {
    storage: &'s Storage,
    /// How many leaves stand in objects.
    tiled: u64,
}

/// Why the replay of what is stored ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    /// What is stored is no honest log.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// A row or file cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// An object that must be there is not.
    #[error("{0} is missing")]
    Missing(String),
}

impl<'s> Shelf<'s> {
    pub(super) async fn of(storage: &'s Storage) -> Result<Self, StorageError> {
        Ok(Self { storage, tiled: storage.log().load_tiled().await?.size })
    }

    /// Returns a bundle: the object, or its entries out of the tail.
    pub(super) async fn bundle(&self, id: BundleId) -> Result<Vec<u8>, Wrong> {
        let first = id.first_entry();
        let end = first + u64::from(id.width());
        if end <= self.tiled {
            return self.object(id.to_string()).await;
        }
        let rows = self.storage.log().entries(first..end).await?;
        if !rows.iter().map(|(index, _)| *index).eq(first..end) {
            return Err(damaged("entries", "an entry of the tail is missing").into());
        }
        Ok(bundle::encode(rows.iter().map(|(_, entry)| entry.as_ref())))
    }

    /// Returns a tile; `None` if it is not stored, as it is not full or was completed by the tail.
    ///
    /// `entries` is how many entries were replayed when the tile was wanted: the one that completed it is among the last 256.
    pub(super) async fn tile(&self, tree: Tree, id: TileId, entries: u64) -> Result<Option<Vec<u8>>, Wrong> {
        if !id.is_full() || entries > self.tiled {
            return Ok(None);
        }
        let path = match tree {
            Tree::Log => id.to_string(),
            Tree::History => format!("history/{id}"),
        };
        self.object(path).await.map(Some)
    }

    /// Returns one entry.
    pub(super) async fn entry(&self, index: u64) -> Result<Vec<u8>, Wrong> {
        if index >= self.tiled {
            let row = self.storage.log().entry(index).await?;
            return Ok(row.ok_or_else(|| damaged("entries", "an entry of the tail is missing"))?.to_vec());
        }
        let id = BundleId::of_entry(index, self.tiled).map_err(|_| damaged("entries", "no such entry"))?;
        let path = id.to_string();
        let bytes = self.object(path.clone()).await?;
        let entries = bundle::decode(id, &bytes).map_err(|_| AuditFault::Bundle { path })?;
        Ok(entries[(index % 256) as usize].to_vec())
    }

    async fn object(&self, path: String) -> Result<Vec<u8>, Wrong> {
        let bytes = self.storage.objects().get(&path).await?;
        Ok(bytes.ok_or(Wrong::Missing(path))?.to_vec())
    }
}
