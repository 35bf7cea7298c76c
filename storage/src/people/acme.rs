//! Accounts of the API of acme-dns: passwords, by which ACME clients write challenges.

use identity::did::Did;

use super::People;
use crate::fault::StorageError;
use crate::table::acme;

/// How many accounts may have a place of their own.
#[derive(Clone, Copy, Debug)]
pub struct AcmeRoom {
    /// In all.
    pub all: u64,
    /// Those that devices of one DID opened.
    pub of_did: u64,
}

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
    /// Keeps a new account; that of a device for a name takes the place of the one before. Forgets those not used after `before_s`. False: it would
    /// have a place of its own, and there is no room.
    pub async fn open_acme(&self, account: &AcmeAccount, room: AcmeRoom, before_s: u64) -> Result<bool, StorageError> {
        let mut tx = self.database().write().await?;
        let swept = acme::sweep(&mut tx, before_s).await?;
        let of_did = match &account.device {
            Some((did, _)) => acme::count_of(&mut tx, did).await?,
            None => 0,
        };
        let has_room = of_did < room.of_did && acme::count(&mut tx).await? < room.all;
        let is_kept = has_room || !account.name.is_empty();
        if is_kept {
            if let Some(device) = account.device.as_ref().filter(|_| !account.name.is_empty()) {
                acme::replace(&mut tx, &account.name, device).await?;
            }
            acme::put(&mut tx, account).await?;
        }
        tx.commit(2 + swept).await?;
        Ok(is_kept)
    }

    /// Returns an account.
    pub async fn acme(&self, username: &[u8; 16]) -> Result<Option<AcmeAccount>, StorageError> {
        acme::by_username(&mut *self.database().reader().await, username).await
    }

    /// Returns the accounts with a place of their own that devices of a DID opened.
    pub async fn acme_of(&self, did: &Did) -> Result<Vec<AcmeAccount>, StorageError> {
        acme::own_of(&mut *self.database().reader().await, did).await
    }

    /// Returns the accounts at whose own places something stands.
    pub async fn acme_shown(&self) -> Result<Vec<AcmeAccount>, StorageError> {
        acme::shown(&mut *self.database().reader().await).await
    }

    /// Returns those of them that were last written at `before_s` or earlier.
    pub async fn acme_shown_before(&self, before_s: u64) -> Result<Vec<AcmeAccount>, StorageError> {
        acme::shown_before(&mut *self.database().reader().await, before_s).await
    }

    /// Returns the DIDs whose devices have accounts with a place of their own.
    pub async fn acme_dids(&self) -> Result<Vec<Did>, StorageError> {
        acme::dids(&mut *self.database().reader().await).await
    }

    /// Notes that an account was used, and what stands at its own place. Durable once this returns.
    pub async fn write_acme(&self, username: &[u8; 16], texts: &[String], used_s: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        acme::write(&mut tx, username, texts, used_s).await?;
        tx.commit(1).await
    }

    /// Takes away what stands at the own places of accounts that were last written at `before_s` or earlier.
    pub async fn clear_acme(&self, before_s: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        let cleared = acme::clear(&mut tx, before_s).await?;
        tx.commit(cleared).await
    }

    /// Deletes the accounts with a place of their own that a device opened, by its DID and key.
    pub async fn remove_acme(&self, device: &([u8; 20], [u8; 32])) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        let removed = acme::remove(&mut tx, device).await?;
        tx.commit(removed).await
    }
}
