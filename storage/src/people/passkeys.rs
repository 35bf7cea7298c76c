//! The passkeys that people registered. Whose one is says the account it is of ([`super::AccountRow`]).

use identity::did::Did;
use identity::hash::Hash;

use super::{AccountRow, People};
use crate::fault::StorageError;
use crate::table::{accounts, passkeys};

/// A registered passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyRow {
    /// SHA-256 of the credential id.
    pub credential: Hash,
    /// The credential id.
    pub id: Vec<u8>,
    /// The account, blinded.
    pub account: Hash,
    /// Whose it is, as the authenticator knows it.
    pub handle: [u8; 16],
    /// The P-256 key: x and y.
    pub public: [u8; 64],
    /// The authenticator's counter at the last use; 0 if it has none.
    pub counter: u32,
    /// Whether it was backed up at the last use.
    pub backed_up: bool,
    /// The X25519 key made of its PRF, if one is known.
    pub recipient: Option<[u8; 32]>,
    /// When it was registered, in seconds since 1970.
    pub made_s: u64,
    /// When it was used last.
    pub used_s: u64,
}

/// What comes of adding a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is there.
    Yes,
    /// There is one with this credential id.
    Known,
    /// The DID has as many as one may have.
    TooMany,
}

/// What comes of using a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// It is noted.
    Yes,
    /// Its counter did not go on: there may be a copy of it.
    CounterBehind,
    /// It was removed.
    Gone,
}

impl People {
    /// Adds a passkey; with `pin` to a DID, which may have `most` of them. Those that led to no name for a day are forgotten by and
    /// by.
    pub async fn add_passkey(
        &self,
        row: &PasskeyRow,
        pin: Option<&AccountRow>,
        most: usize,
    ) -> Result<Added, StorageError> {
        let mut tx = self.database().write().await?;
        if passkeys::load(&mut tx, &row.credential).await?.is_some() {
            return Ok(Added::Known);
        }
        if let Some(pin) = pin {
            if passkeys::of_did(&mut tx, &pin.did).await?.len() >= most {
                return Ok(Added::TooMany);
            }
            accounts::pin(&mut tx, pin).await?;
        }
        let swept = passkeys::sweep(&mut tx, row.made_s.saturating_sub(UNCLAIMED_S)).await?;
        passkeys::insert(&mut tx, row).await?;
        tx.commit(2 + swept).await?;
        Ok(Added::Yes)
    }

    /// Returns a passkey.
    pub async fn passkey(&self, credential: &Hash) -> Result<Option<PasskeyRow>, StorageError> {
        passkeys::load(&mut *self.database().reader().await, credential).await
    }

    /// Returns the passkeys whose accounts lead to a DID, oldest first.
    pub async fn passkeys(&self, did: &Did) -> Result<Vec<PasskeyRow>, StorageError> {
        passkeys::of_did(&mut *self.database().reader().await, did).await
    }

    /// Notes that a passkey was used, if its counter went on: of two assertions with one counter one is taken.
    pub async fn use_passkey(
        &self,
        credential: &Hash,
        counter: u32,
        backed_up: bool,
        now_s: u64,
    ) -> Result<Used, StorageError> {
        let mut tx = self.database().write().await?;
        if passkeys::used(&mut tx, credential, counter, backed_up, now_s).await? {
            tx.commit(1).await?;
            return Ok(Used::Yes);
        }
        match passkeys::load(&mut tx, credential).await? {
            Some(_) => Ok(Used::CounterBehind),
            None => Ok(Used::Gone),
        }
    }

    /// Notes which key is made of the PRF of a passkey of `did`; `false` if it has none like it.
    pub async fn set_passkey_recipient(
        &self,
        did: &Did,
        credential: &Hash,
        recipient: Option<&[u8; 32]>,
    ) -> Result<bool, StorageError> {
        let mut tx = self.database().write().await?;
        let theirs = passkeys::of_did(&mut tx, did).await?.iter().any(|row| row.credential == *credential);
        if theirs {
            passkeys::set_recipient(&mut tx, credential, recipient).await?;
            tx.commit(1).await?;
        }
        Ok(theirs)
    }

    /// Removes a passkey of `did`, and with the last of an account where it led; `false` if it has none like it.
    pub async fn remove_passkey(&self, did: &Did, credential: &Hash) -> Result<bool, StorageError> {
        let mut tx = self.database().write().await?;
        let all = passkeys::of_did(&mut tx, did).await?;
        let Some(row) = all.iter().find(|row| row.credential == *credential) else { return Ok(false) };
        if all.iter().filter(|other| other.account == row.account).count() == 1 {
            accounts::remove(&mut tx, &row.account).await?;
        }
        passkeys::remove(&mut tx, credential).await?;
        tx.commit(2).await?;
        Ok(true)
    }
}

/// How long a passkey is kept whose account leads nowhere.
const UNCLAIMED_S: u64 = 86_400;
