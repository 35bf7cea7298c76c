//! The passkeys that people registered.

use identity::hash::Hash;

use super::People;
use crate::database;
use crate::fault::StorageError;
use crate::table::passkeys;

/// A registered passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyRow {
    /// SHA-256 of the credential id.
    pub credential: Hash,
    /// Whose it is, as the authenticator knows it.
    pub handle: [u8; 16],
    /// The public key and what the authenticator said of itself.
    pub data: Vec<u8>,
    /// When it was registered, in seconds since 1970.
    pub made_s: u64,
    /// When it was used last.
    pub used_s: u64,
}

impl People {
    /// Adds a passkey; `false` if there is one with this credential id, or the person has `most` of them.
    pub async fn add_passkey(&self, row: &PasskeyRow, most: usize) -> Result<bool, StorageError> {
        let mut writer = self.database().writer().await;
        let mut tx = database::begin(&mut writer).await?;
        let known = passkeys::load(&mut tx, &row.credential).await?.is_some();
        if known || passkeys::of_handle(&mut tx, &row.handle).await?.len() >= most {
            return Ok(false);
        }
        passkeys::insert(&mut tx, row).await?;
        self.database().commit(tx, 1).await?;
        Ok(true)
    }

    /// Returns a passkey.
    pub async fn passkey(&self, credential: &Hash) -> Result<Option<PasskeyRow>, StorageError> {
        passkeys::load(&mut *self.database().reader().await, credential).await
    }

    /// Returns the passkeys of a person, oldest first.
    pub async fn passkeys(&self, handle: &[u8; 16]) -> Result<Vec<PasskeyRow>, StorageError> {
        passkeys::of_handle(&mut *self.database().reader().await, handle).await
    }

    /// Notes that a passkey was used; `false` if it was removed meanwhile.
    pub async fn use_passkey(&self, credential: &Hash, data: &[u8], now_s: u64) -> Result<bool, StorageError> {
        let mut writer = self.database().writer().await;
        let mut tx = database::begin(&mut writer).await?;
        let there = passkeys::update(&mut tx, credential, data, now_s).await?;
        self.database().commit(tx, 1).await?;
        Ok(there)
    }

    /// Removes a passkey of a person; `false` if it has none like it.
    pub async fn remove_passkey(&self, handle: &[u8; 16], credential: &Hash) -> Result<bool, StorageError> {
        let mut writer = self.database().writer().await;
        let mut tx = database::begin(&mut writer).await?;
        let removed = passkeys::remove(&mut tx, handle, credential).await?;
        self.database().commit(tx, 1).await?;
        Ok(removed)
    }
}
