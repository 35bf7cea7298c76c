//! The heads that certificates name as seen: their roots by size, a bounded cache in front of SQL.

use identity::hash::Hash;
use quick_cache::sync::Cache;
use storage::{Storage, StorageError};

use super::live::Live;

/// Heads remembered at most, about 1 MiB: those that clients got lately. An older one costs a read of SQL.
const HEADS_MAX: usize = 16_384;

/// The roots of this log's heads, by size.
#[derive(Debug)]
pub struct Heads {
    roots: Cache<u64, Hash>,
}

impl Heads {
    /// Returns an empty cache.
    pub fn new() -> Self {
        Self { roots: Cache::new(HEADS_MAX) }
    }

    /// Returns the root of the head of `size` leaves; `None` if this log never had one of that size.
    pub async fn root_at(&self, live: &Live, storage: &Storage, size: u64) -> Result<Option<Hash>, StorageError> {
        let head = live.head();
        if size >= head.size() {
            return Ok((size == head.size()).then(|| head.root()));
        }
        if let Some(root) = self.roots.get(&size) {
            return Ok(Some(root));
        }
        let root = storage.log().root_at(size).await?;
        if let Some(root) = root {
            self.roots.insert(size, root);
        }
        Ok(root)
    }
}

impl Default for Heads {
    fn default() -> Self {
        Self::new()
    }
}
