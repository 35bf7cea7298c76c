//! Addresses that DIDs bound: for whom a later sign-in is news, and what opens a binding, which only its owner reads.

use identity::did::Did;
use identity::hash::Hash;

use super::People;
use crate::fault::StorageError;
use crate::table::{accounts, aliases};

/// The aliases of a DID that are kept at most.
pub const ALIASES_OF_DID_MAX: u64 = 32;

/// How long a row waits for the log to bind what it is about, in seconds: a day.
const WAITING_S: u64 = 86_400;

/// An alias that a notary signed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasRow {
    /// Whose.
    pub did: Did,
    /// What the log calls it.
    pub alias: Hash,
    /// The account that signed in for it, blinded.
    pub account: Hash,
    /// What opens the binding, sealed to the owner; empty if there is nothing.
    pub sealed: Vec<u8>,
    /// Whether the log bound it to the DID.
    pub bound: bool,
    /// When a notary signed, in seconds since 1970.
    pub since_s: u64,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Rows of aliases, each with what was sealed in it.
    pub aliases: u64,
    /// Addresses, blinded, of the accounts that had signed in for them.
    pub addresses: u64,
}

impl People {
    /// Keeps an alias that a notary is about to sign for; false if the DID has as many as are kept. It counts once the log binds it.
    pub async fn put_alias(&self, row: &AliasRow) -> Result<bool, StorageError> {
        let mut tx = self.database().write().await?;
        let swept = aliases::sweep(&mut tx, row.since_s.saturating_sub(WAITING_S)).await?;
        let fits = aliases::others(&mut tx, &row.did, &row.alias).await? < ALIASES_OF_DID_MAX;
        if fits {
            aliases::put(&mut tx, row).await?;
        }
        tx.commit(1 + swept).await?;
        Ok(fits)
    }

    /// Returns the aliases kept of a DID, oldest first.
    pub async fn aliases_of(&self, did: &Did) -> Result<Vec<AliasRow>, StorageError> {
        aliases::of_did(&mut *self.database().reader().await, did).await
    }

    /// Returns the aliases that an account signed in for.
    pub async fn aliases_of_account(&self, account: &Hash) -> Result<Vec<AliasRow>, StorageError> {
        aliases::of_account(&mut *self.database().reader().await, account).await
    }

    /// Notes that the log bound an alias.
    pub async fn alias_was_bound(&self, did: &Did, alias: &Hash) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        aliases::set_bound(&mut tx, did, alias).await?;
        tx.commit(1).await
    }

    /// Deletes what is kept of an alias, and the blinded address of the account that signed in for it.
    pub async fn erase_alias(&self, did: &Did, alias: &Hash) -> Result<Erased, StorageError> {
        let mut tx = self.database().write().await?;
        let Some(account) = aliases::remove(&mut tx, did, alias).await? else {
            tx.commit(0).await?;
            return Ok(Erased::default());
        };
        let had = accounts::load(&mut tx, &account).await?.is_some_and(|row| row.email.is_some());
        accounts::set_email(&mut tx, &account, None).await?;
        tx.commit(2).await?;
        Ok(Erased { aliases: 1, addresses: had.into() })
    }

    /// Returns how many accounts lead to a DID, and of how many an address is kept, blinded.
    pub async fn accounts_of_did(&self, did: &Did) -> Result<(u64, u64), StorageError> {
        accounts::counts_of_did(&mut *self.database().reader().await, did).await
    }
}
