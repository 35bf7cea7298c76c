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

impl People {
    /// Returns every record, those of one name together.
    pub async fn volatile(&self) -> Result<Vec<VolatileRow>, StorageError> {
        dns::all(&mut *self.database().reader().await).await
    }

    /// Puts `rows` in the place of all records of a name. Durable once this returns.
    pub async fn set_volatile(&self, name: &str, rows: &[VolatileRow]) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        dns::clear(&mut tx, name).await?;
        for row in rows {
            dns::put(&mut tx, row).await?;
        }
        tx.commit(1 + rows.len()).await
    }
}
