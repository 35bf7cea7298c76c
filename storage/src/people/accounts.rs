//! Sign-ins that were attested, and the DIDs that accounts lead to.

use identity::did::Did;
use identity::hash::{Hash, sha256};

use super::People;
use crate::fault::StorageError;
use crate::table::{accounts, attested};

/// A sign-in that was attested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestedRow {
    /// Its evidence hash.
    pub evidence: Hash,
    /// Issuer and subject, blinded.
    pub account: Hash,
    /// The verified e-mail address, blinded; passkeys have none.
    pub email: Option<Hash>,
    /// What the log calls the issuer.
    pub issuer: Hash,
    /// The device's signing key.
    pub sign: [u8; 32],
    /// The device's sealing key.
    pub kex: [u8; 32],
    /// Until when it is good for names, in seconds since 1970.
    pub until_s: u64,
}

/// An account and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Issuer and subject, blinded.
    pub account: Hash,
    /// The DID; of no meaning while the log does not have it.
    pub did: Did,
    /// The e-mail address at the last sign-in, blinded.
    pub email: Option<Hash>,
    /// When it was pinned, in seconds since 1970.
    pub since_s: u64,
}

/// An account of an issuer that leads to a DID, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Issuer and subject, blinded.
    pub account: Hash,
    /// What the log calls the issuer; absent if nobody noted it.
    pub issuer: Option<Hash>,
    /// When it was pinned, in seconds since 1970.
    pub since_s: u64,
    /// Whether an e-mail address is kept of it, blinded.
    pub has_email: bool,
    /// How many addresses it bound.
    pub addresses: u64,
}

/// What comes of taking an account away from a DID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinked {
    /// It leads nowhere, and nothing of it is kept.
    Yes,
    /// No such account leads to the DID.
    Unknown,
    /// An address is bound by it.
    Bound,
}

/// What comes of asking for a name on the strength of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The name may be claimed, and the account leads to the DID once the log has it; `before` is where it led until now.
    Yes {
        /// The account as it was.
        before: Option<AccountRow>,
    },
    /// The sign-in was used for as many names as one gives.
    Spent,
    /// The account leads to another DID.
    Other(Did),
}

impl People {
    /// Keeps an attested sign-in until it is too old. The e-mail address of its account follows.
    pub async fn put_attested(&self, row: &AttestedRow, now_s: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        let swept = attested::sweep(&mut tx, now_s).await?;
        attested::insert(&mut tx, row).await?;
        if row.email.is_some() {
            accounts::set_email(&mut tx, &row.account, row.email.as_ref()).await?;
        }
        tx.commit(2 + swept).await
    }

    /// Returns an attested sign-in that is not too old.
    pub async fn attested(&self, evidence: &Hash, now_s: u64) -> Result<Option<AttestedRow>, StorageError> {
        let row = attested::load(&mut *self.database().reader().await, evidence).await?;
        Ok(row.filter(|row| now_s < row.until_s))
    }

    /// Returns how many names were asked for on the strength of a sign-in.
    pub async fn attested_names(&self, evidence: &Hash) -> Result<u64, StorageError> {
        attested::names(&mut *self.database().reader().await, evidence).await
    }

    /// Asks for a name on the strength of a sign-in, and pins its account to `did`; `over` is the DID it was pinned to and that
    /// the log never had or has ended. Asking again for the same name changes nothing. Durable before the claim is posted: a
    /// crash in between leaves a pin to a DID that the log does not have, which counts for nothing.
    pub async fn reserve_name(
        &self,
        row: &AttestedRow,
        name: &str,
        did: Did,
        over: Option<Did>,
        (names_max, now_s): (u64, u64),
    ) -> Result<Reserved, StorageError> {
        let mut tx = self.database().write().await?;
        let pinned = accounts::load(&mut tx, &row.account).await?;
        if let Some(pinned) = &pinned
            && pinned.did != did
            && Some(pinned.did) != over
        {
            return Ok(Reserved::Other(pinned.did));
        }
        attested::add_name(&mut tx, &row.evidence, name).await?;
        if attested::names(&mut tx, &row.evidence).await? > names_max {
            return Ok(Reserved::Spent); // dropping `tx` rolls back
        }
        let pin = AccountRow { account: row.account, did, email: row.email, since_s: now_s };
        accounts::pin(&mut tx, &pin).await?;
        tx.commit(2).await?;
        Ok(Reserved::Yes { before: pinned })
    }

    /// Gives a name back that was asked for `did` and that the log refused. The account leads where it led `before`.
    pub async fn give_name_back(
        &self,
        row: &AttestedRow,
        name: &str,
        did: Did,
        before: Option<&AccountRow>,
    ) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        attested::remove_name(&mut tx, &row.evidence, name).await?;
        if accounts::load(&mut tx, &row.account).await?.is_some_and(|pinned| pinned.did == did) {
            match before {
                Some(before) => accounts::pin(&mut tx, before).await?,
                None => accounts::remove(&mut tx, &row.account).await?,
            }
        }
        tx.commit(2).await
    }

    /// Returns where an account leads.
    pub async fn account(&self, account: &Hash) -> Result<Option<AccountRow>, StorageError> {
        accounts::load(&mut *self.database().reader().await, account).await
    }

    /// Returns the accounts that had this e-mail address at their last sign-in.
    pub async fn accounts_of_email(&self, email: &Hash) -> Result<Vec<AccountRow>, StorageError> {
        accounts::of_email(&mut *self.database().reader().await, email).await
    }

    /// Pins an account to a DID, whatever it led to before.
    pub async fn pin_account(&self, pin: &AccountRow) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        accounts::pin(&mut tx, pin).await?;
        tx.commit(1).await
    }

    /// Returns the accounts of issuers that lead to the DID, oldest first.
    pub async fn links_of(&self, did: &Did) -> Result<Vec<LinkRow>, StorageError> {
        accounts::links(&mut *self.database().reader().await, did).await
    }

    /// Lets the account of an issuer, called by SHA-256 of what is kept of it, lead to the DID no more. All or nothing.
    pub async fn unlink(&self, did: &Did, id: &Hash) -> Result<Unlinked, StorageError> {
        let mut tx = self.database().write().await?;
        let links = accounts::links(&mut tx, did).await?;
        match links.iter().find(|link| sha256(&[&link.account]) == *id) {
            None => Ok(Unlinked::Unknown),
            Some(link) if link.addresses > 0 => Ok(Unlinked::Bound),
            Some(link) => {
                accounts::remove(&mut tx, &link.account).await?;
                tx.commit(1).await?;
                Ok(Unlinked::Yes)
            }
        }
    }
}
