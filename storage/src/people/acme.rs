//! Accounts of the API of acme-dns: passwords, by which ACME clients write challenges.

use identity::did::Did;

use super::People;
use crate::fault::StorageError;
use crate::table::acme;

/// An account of the API of acme-dns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeAccount {
    /// Who asks, random.
    pub username: [u8; 16],
    /// The SHA-256 of the password, which is random too.
    pub password: [u8; 32],
    /// What the client calls the place it writes, random.
    pub subdomain: [u8; 16],
    /// The claimed name whose challenges it writes, absolute; empty: it has a place of its own.
    pub name: String,
    /// The DID and device that opened it, if any did.
    pub device: Option<([u8; 20], [u8; 32])>,
    /// The networks that may use it; empty: all.
    pub allow: Vec<String>,
    /// What stands at its own place, the newest last, without spaces.
    pub texts: Vec<String>,
    /// When it was opened or last written, in seconds since 1970.
    pub used_s: u64,
}

impl People {
    /// Keeps a new account; that of a device for a name takes the place of the one before. Forgets those not used after `before_s`. False: `most`
    /// accounts have a place of their own already, and this one would, too.
    pub async fn open_acme(&self, account: &AcmeAccount, most: u64, before_s: u64) -> Result<bool, StorageError> {
        let mut tx = self.database().write().await?;
        let swept = acme::sweep(&mut tx, before_s).await?;
        let has_room = !account.name.is_empty() || acme::count(&mut tx).await? < most;
        if has_room {
            if let Some(device) = account.device.as_ref().filter(|_| !account.name.is_empty()) {
                acme::replace(&mut tx, &account.name, device).await?;
            }
            acme::put(&mut tx, account).await?;
        }
        tx.commit(2 + swept).await?;
        Ok(has_room)
    }

    /// Returns an account.
    pub async fn acme(&self, username: &[u8; 16]) -> Result<Option<AcmeAccount>, StorageError> {
        acme::by_username(&mut *self.database().reader().await, username).await
    }

    /// Returns the accounts that devices of a DID opened.
    pub async fn acme_of(&self, did: &Did) -> Result<Vec<AcmeAccount>, StorageError> {
        acme::of_did(&mut *self.database().reader().await, did).await
    }

    /// Returns the accounts at whose own places something stands.
    pub async fn acme_shown(&self) -> Result<Vec<AcmeAccount>, StorageError> {
        acme::shown(&mut *self.database().reader().await).await
    }

    /// Notes that an account was used, and what stands at its own place. Durable once this returns.
    pub async fn write_acme(&self, username: &[u8; 16], texts: &[String], used_s: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        acme::write(&mut tx, username, texts, used_s).await?;
        tx.commit(1).await
    }

    /// Takes away what stands at an account's own place.
    pub async fn clear_acme(&self, username: &[u8; 16]) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        acme::clear(&mut tx, username).await?;
        tx.commit(1).await
    }

    /// Deletes an account.
    pub async fn remove_acme(&self, username: &[u8; 16]) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        acme::remove(&mut tx, username).await?;
        tx.commit(1).await
    }
}
