//! Records that devices put into DNS without a certificate.

use super::People;
use crate::fault::StorageError;
use crate::table::dns;

/// A record that a device put into DNS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolatileRow {
    /// The claimed name, absolute.
    pub name: String,
    /// Labels below it; empty for itself.
    pub owner: String,
    /// The type.
    pub rtype: u16,
    /// Wire form.
    pub rdata: Vec<u8>,
    /// How long resolvers may keep it.
    pub ttl_s: u32,
    /// Whose the name was.
    pub did: [u8; 20],
    /// The device that wrote it.
    pub key: [u8; 32],
    /// When it lapses, in seconds since 1970.
    pub until_s: u64,
}

/// An update that a device signed and that was judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedUpdate {
    /// The SHA-256 of what was signed.
    pub signed: [u8; 32],
    /// Whose device signed.
    pub did: [u8; 20],
    /// When it is forgotten, in seconds since 1970.
    pub until_s: u64,
}

impl People {
    /// Returns every record, those of one name together, the one that lapses first in front.
    pub async fn volatile(&self) -> Result<Vec<VolatileRow>, StorageError> {
        dns::all(&mut *self.database().reader().await).await
    }

    /// Returns every update that is remembered, the one that is forgotten first in front.
    pub async fn signed_updates(&self) -> Result<Vec<SignedUpdate>, StorageError> {
        dns::signed(&mut *self.database().reader().await).await
    }

    /// Remembers an update that changed nothing, and forgets those that are over at `now_s`. Durable once this returns.
    pub async fn remember_update(&self, update: &SignedUpdate, now_s: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        dns::forget(&mut tx, now_s).await?;
        dns::remember(&mut tx, update).await?;
        tx.commit(2).await
    }

    /// Puts `rows` in the place of all records of a name, and with them remembers the update that wrote them, if one did; forgets updates that
    /// are over at `now_s`. Durable, all or nothing, once this returns.
    pub async fn set_volatile(
        &self,
        name: &str,
        rows: &[VolatileRow],
        update: Option<&SignedUpdate>,
        now_s: u64,
    ) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        dns::forget(&mut tx, now_s).await?;
        if let Some(update) = update {
            dns::remember(&mut tx, update).await?;
        }
        dns::clear(&mut tx, name).await?;
        for row in rows {
            dns::put(&mut tx, row).await?;
        }
        tx.commit(3 + rows.len()).await
    }
}
