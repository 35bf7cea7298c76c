//! Families of tokens, the revocation feed, grants: what must never be half done is one transaction.

use identity::cert::Kid;
use identity::did::Did;
use identity::hash::Hash;
use identity::token::{Revocation, Revoked, Rid};

use super::People;
use crate::database;
use crate::fault::StorageError;
use crate::table::{grants, profiles, revocations, token_families};

/// A family of tokens: one lease or exchange, and where its refreshes have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyRow {
    /// What names it.
    pub rid: Rid,
    /// Whose device.
    pub did: Did,
    /// The device.
    pub kid: Kid,
    /// For whom its tokens are.
    pub audience: Did,
    /// What they allow, CBOR.
    pub scope: Vec<u8>,
    /// The grants it came of, CBOR; empty for a lease.
    pub chain: Vec<u8>,
    /// The life asked for, in seconds; 0 for the audience's.
    pub life_s: u64,
    /// How many guards were spent.
    pub turn: u64,
    /// When the last was spent, in milliseconds; 0 if none was.
    pub spent_ms: u64,
    /// The uid of the newest token; this and the next three make it again byte by byte.
    pub uid: u64,
    /// When it was minted.
    pub iat_s: u64,
    /// When it ends.
    pub exp_s: u64,
    /// The length of the chain of its DID.
    pub seq: u64,
    /// When every token of the family is over, in seconds.
    pub over_s: u64,
}

/// A signed grant that is kept for its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    /// What names it.
    pub sid: Hash,
    /// Who granted.
    pub issuer: Did,
    /// To whom.
    pub subject: Did,
    /// The grant before it in its chain.
    pub parent: Option<Hash>,
    /// When it ends, in seconds.
    pub until_s: u64,
    /// Whether its issuer took it back.
    pub revoked: bool,
    /// The envelope.
    pub envelope: Vec<u8>,
}

/// Why something is not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// There are as many as there may be.
    #[error("there are too many already")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl People {
    /// Keeps a new family, with the sids of the grants it came of, unless its DID has `limit` of them.
    ///
    /// Families not refreshed since `idle_s` are forgotten on the way. A crash before leaves nothing: whoever asked asks again.
    pub async fn add_family(
        &self,
        family: &FamilyRow,
        grants: &[Hash],
        limit: u64,
        idle_s: u64,
    ) -> Result<(), KeepError> {
        let mut tx = self.database().write().await?;
        let idle = token_families::idle(&mut tx, idle_s).await?;
        for rid in &idle {
            token_families::delete(&mut tx, rid).await?;
        }
        if token_families::count(&mut tx, &family.did).await? >= limit {
            return Err(KeepError::TooMany);
        }
        token_families::insert(&mut tx, family, grants).await?;
        Ok(tx.commit(1 + grants.len() + idle.len()).await?)
    }

    /// Returns a family.
    pub async fn family(&self, rid: &Rid) -> Result<Option<FamilyRow>, StorageError> {
        token_families::load(&mut *self.database().reader().await, rid).await
    }

    /// Returns the families of a DID.
    pub async fn families(&self, did: &Did) -> Result<Vec<FamilyRow>, StorageError> {
        token_families::of_did(&mut *self.database().reader().await, did).await
    }

    /// Returns every DID that has a family.
    pub async fn family_dids(&self) -> Result<Vec<Did>, StorageError> {
        token_families::dids(&mut *self.database().reader().await).await
    }

    /// Spends a guard: puts `new` in the place of the family whose `turn` was one less. False if that guard was spent meanwhile.
    ///
    /// What answers may leave only after this. A crash before it leaves the guard unspent; one after it is a lost answer.
    pub async fn advance_family(&self, new: &FamilyRow) -> Result<bool, StorageError> {
        let mut tx = self.database().write().await?;
        let done = token_families::advance(&mut tx, new, new.turn - 1).await?;
        tx.commit(1).await?;
        Ok(done)
    }

    /// Ends families, and says so in the feed, in one transaction; those that are gone already are left out. `devices` are kids
    /// whose tokens minted before a time are meant too, each with when the last of them is over.
    pub async fn end_families(
        &self,
        families: &[(Rid, u64)],
        devices: &[(Kid, u64, u64)],
        now_s: u64,
    ) -> Result<u64, StorageError> {
        let mut tx = self.database().write().await?;
        let (mut newest, mut rows) = (revocations::head(&mut tx).await?.0, devices.len());
        for (rid, over_s) in families {
            if token_families::delete(&mut tx, rid).await? && devices.is_empty() {
                newest = revocations::add(&mut tx, &Revoked::Family(*rid), *over_s).await?;
                rows += 2;
            }
        }
        for (kid, not_before_s, until_s) in devices {
            let what = Revoked::Device { kid: *kid, not_before_s: *not_before_s };
            newest = revocations::add(&mut tx, &what, *until_s).await?;
        }
        let trimmed = revocations::trim(&mut tx, now_s).await?;
        tx.commit(rows + trimmed).await?;
        Ok(newest)
    }

    /// Takes a grant back: every family that came of it ends, and it stands in the feed itself.
    pub async fn revoke_grant(&self, sid: &Hash, until_s: u64, now_s: u64) -> Result<u64, StorageError> {
        let mut tx = self.database().write().await?;
        grants::revoke(&mut tx, sid).await?;
        let families = token_families::of_grant(&mut tx, sid).await?;
        for (rid, over_s) in &families {
            token_families::delete(&mut tx, rid).await?;
            revocations::add(&mut tx, &Revoked::Family(*rid), *over_s).await?;
        }
        let newest = revocations::add(&mut tx, &Revoked::Grant(*sid), until_s).await?;
        let trimmed = revocations::trim(&mut tx, now_s).await?;
        tx.commit(2 + 2 * families.len() + trimmed).await?;
        Ok(newest)
    }

    /// Returns the newest place of the feed and at most `limit` entries behind `since`, as they stood at one moment.
    pub async fn revocations(
        &self,
        since: u64,
        now_s: u64,
        limit: u64,
    ) -> Result<(u64, Vec<Revocation>), StorageError> {
        let mut reader = self.database().reader().await;
        let mut tx = database::begin_reading(&mut reader).await?;
        let (newest, _) = revocations::head(&mut tx).await?;
        let entries = revocations::since(&mut tx, since, now_s, limit).await?;
        Ok((newest, entries))
    }

    /// Returns up to which size of the log the devices behind the families were looked at.
    pub async fn revocation_cursor(&self) -> Result<u64, StorageError> {
        Ok(revocations::head(&mut *self.database().reader().await).await?.1)
    }

    /// Notes that they were looked at up to `size`.
    pub async fn set_revocation_cursor(&self, size: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        revocations::set_cursor(&mut tx, size).await?;
        tx.commit(1).await
    }

    /// Returns how long the tokens of an audience live, in seconds; `None` if it never said.
    pub async fn audience_life(&self, audience: &Did) -> Result<Option<u64>, StorageError> {
        profiles::life(&mut *self.database().reader().await, audience).await
    }

    /// Sets how long the tokens of an audience live from now on.
    pub async fn set_audience_life(&self, audience: &Did, life_s: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        profiles::set_life(&mut tx, audience, life_s).await?;
        tx.commit(1).await
    }

    /// Keeps the grants of a chain, unless the last one's issuer or subject has `limit` of them.
    pub async fn keep_grants(&self, chain: &[GrantRow], limit: u64, now_s: u64) -> Result<(), KeepError> {
        let Some(last) = chain.last() else { return Ok(()) };
        let mut tx = self.database().write().await?;
        let trimmed = grants::trim(&mut tx, now_s).await?;
        let (issued, received) = grants::counts(&mut tx, &last.issuer, &last.subject).await?;
        if issued.max(received) >= limit {
            return Err(KeepError::TooMany);
        }
        for row in chain {
            grants::insert(&mut tx, row).await?;
        }
        Ok(tx.commit(chain.len() + trimmed).await?)
    }

    /// Returns a grant that is kept.
    pub async fn grant(&self, sid: &Hash) -> Result<Option<GrantRow>, StorageError> {
        grants::load(&mut *self.database().reader().await, sid).await
    }

    /// Returns the grants to and by a DID.
    pub async fn grants(&self, did: &Did) -> Result<Vec<GrantRow>, StorageError> {
        grants::of(&mut *self.database().reader().await, did).await
    }

    /// Returns the version of a profile and what it says, sealed.
    pub async fn profile(&self, did: &Did) -> Result<Option<(u64, Vec<u8>)>, StorageError> {
        profiles::load(&mut *self.database().reader().await, did).await
    }

    /// Puts a profile in the place of the one with this version, 0 for none; false if that is another by now.
    pub async fn swap_profile(&self, did: &Did, version: u64, sealed: &[u8]) -> Result<bool, StorageError> {
        let mut tx = self.database().write().await?;
        let done = profiles::swap(&mut tx, did, version, sealed).await?;
        tx.commit(1).await?;
        Ok(done)
    }
}
