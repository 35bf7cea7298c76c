//! Chunks: immutable bytes by their BLAKE3 hash, counted for the account that stores them.

use bytes::Bytes;
use dgns_api::store::content::{self, ContentId};
use dgns_api::store::limits::CHUNK_BYTES_MAX;
use identity::did::Did;

use super::Store;
use super::rows::{AccountRow, ChunkRow};
use crate::database::Conn;
use crate::fault::StorageError;
use crate::limits::CHUNK_IN_ROW_BYTES_MAX;
use crate::table::store as tables;

/// Who pays for a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The account.
    pub account: Did,
    /// The time, Unix milliseconds.
    pub now_ms: u64,
}

/// Why a chunk is not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkRefusal {
    /// More than 4 MiB. Code `too_large`.
    #[error("a chunk has at most 4 MiB")]
    TooLarge,
    /// The bytes have another hash than was said. Code `hash_mismatch`.
    #[error("the bytes that arrived are not those of this id")]
    Hash,
    /// The account is full. Code `quota`.
    #[error("the account is full")]
    Quota,
    /// The database or the disk failed. Code `internal`; `recovering` if it is only out of reach.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ChunkRefusal {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Hash => "hash_mismatch",
            Self::Quota => "quota",
            Self::Storage(error) if error.is_passing() => "recovering",
            Self::Storage(_) => "internal",
        }
    }
}

impl Store {
    /// Stores a chunk, durably. One that the account has already is not charged again.
    ///
    /// The bytes lie on disk before the row names them. A crash in between leaves a file without a row, which the same upload takes up
    /// again.
    pub async fn put_chunk(&self, id: &ContentId, bytes: Bytes, charge: Charge) -> Result<(), ChunkRefusal> {
        if bytes.len() > CHUNK_BYTES_MAX {
            return Err(ChunkRefusal::TooLarge);
        }
        let named = *id;
        let (hash, bytes) = match bytes.len() {
            // Beside the tasks that answer: hashing a large one takes a millisecond.
            large if large > CHUNK_IN_ROW_BYTES_MAX => {
                let hashed = tokio::task::spawn_blocking(move || (content::id_of(&bytes), bytes));
                hashed.await.expect("hashing does not panic, and the runtime outlives its callers")
            }
            _ => (content::id_of(&bytes), bytes),
        };
        if hash != named {
            return Err(ChunkRefusal::Hash);
        }
        if self.has_chunk(id, &charge.account).await? {
            return Ok(());
        }
        let size = bytes.len() as u64;
        self.room_for(&charge.account, size).await?;
        let body = if bytes.len() <= CHUNK_IN_ROW_BYTES_MAX { Some(bytes.to_vec()) } else { None };
        if body.is_none() {
            self.inner.objects.put_new(&path_of(id), bytes).await?;
        }
        let mut tx = self.inner.database.write().await?;
        let account = self.account_or_new(&mut tx, &charge.account).await?;
        if tables::chunk_hold::has(&mut tx, account.id, id).await? {
            return Ok(tx.commit(0).await?);
        }
        let used_bytes = account.used_bytes.saturating_add(size);
        if used_bytes > account.quota_bytes {
            return Err(ChunkRefusal::Quota);
        }
        tables::account::upsert(&mut tx, &[AccountRow { used_bytes, ..account.clone() }]).await?;
        tables::chunk::insert(&mut tx, id, &ChunkRow { size, body }, charge.now_ms).await?;
        tables::chunk_hold::insert(&mut tx, account.id, id).await?;
        Ok(tx.commit(4).await?)
    }

    /// Returns whether an account has paid for a chunk. Of others it learns nothing.
    pub async fn has_chunk(&self, id: &ContentId, account: &Did) -> Result<bool, StorageError> {
        let mut reader = self.inner.database.reader().await;
        match tables::account::by_did(&mut reader, account).await? {
            Some(account) => tables::chunk_hold::has(&mut reader, account.id, id).await,
            None => Ok(false),
        }
    }

    /// Returns a chunk, compared with its hash; `None` if there is none.
    pub async fn chunk(&self, id: &ContentId) -> Result<Option<Bytes>, StorageError> {
        let row = tables::chunk::load(&mut *self.inner.database.reader().await, id).await?;
        let bytes = match row {
            None => return Ok(None),
            Some(ChunkRow { body: Some(body), .. }) => Bytes::from(body),
            Some(ChunkRow { body: None, .. }) => {
                let missing = || StorageError::inconsistent("chunk", "a chunk has no object");
                self.inner.objects.get(&path_of(id)).await?.ok_or_else(missing)?
            }
        };
        match content::id_of(&bytes) == *id {
            true => Ok(Some(bytes)),
            false => {
                let place = self.inner.objects.place(&path_of(id));
                Err(StorageError::Corrupt { place, detail: "a chunk has other bytes than its id".into() })
            }
        }
    }

    /// Refuses what the account has no room for, before anything is written.
    async fn room_for(&self, account: &Did, bytes: u64) -> Result<(), ChunkRefusal> {
        let account = self.account(account).await?;
        let (used, quota) = account.map_or((0, self.inner.free.bytes), |row| (row.used_bytes, row.quota_bytes));
        if used.saturating_add(bytes) > quota { Err(ChunkRefusal::Quota) } else { Ok(()) }
    }

    async fn account_or_new(&self, tx: &mut Conn, did: &Did) -> Result<AccountRow, StorageError> {
        if let Some(account) = tables::account::by_did(tx, did).await? {
            return Ok(account);
        }
        let id = tables::account::last(tx).await? + 1;
        let (quota_bytes, quota_entries) = (self.inner.free.bytes, self.inner.free.entries);
        let account = AccountRow { id, did: *did, quota_bytes, used_bytes: 0, quota_entries, used_entries: 0 };
        tables::account::upsert(tx, std::slice::from_ref(&account)).await?;
        Ok(account)
    }
}

/// Returns where the bytes of a large chunk lie: `c/<2 hex>/<62 hex>`.
fn path_of(id: &ContentId) -> String {
    let hex = data_encoding::HEXLOWER.encode(id);
    format!("c/{}/{}", &hex[..2], &hex[2..])
}
