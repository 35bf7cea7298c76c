//! Whom a client believes, and what it remembers of them (PROTOCOL 11.3, 14.1).

mod memory;

pub(crate) use memory::Met;
pub use memory::{KnownDid, Memory, NotAMemory};

use identity::name::{Origin, Zone};

use crate::limits::{HEAD_AGE_S_MAX, LOG_KEYS_MAX};
use crate::note::{KeyKind, VerifierKey};
use crate::policy::Policy;

/// What a client knows of a log before it asks: its origin, its keys, and whose word counts beside the log's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    origin: Origin,
    zone: Zone,
    log_keys: Vec<VerifierKey>,
    retired: Vec<RetiredKey>,
    policy: Policy,
    head_age_ms_max: u64,
}

/// A log key that signs no more; heads it signed before stay checkable in proofs that were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredKey {
    /// The key.
    pub key: VerifierKey,
    /// The size of the largest head it may have signed.
    pub size: u64,
}

/// Keys that cannot be a log's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// None, or more than a log may have.
    #[error("a log has 1 to 7 keys")]
    KeyCount,
    /// A key that is not of the log kind, or has another name than the origin.
    #[error("a key is not one of this log")]
    Key,
}

impl Trust {
    /// Returns the trust in the log of `origin` with these keys, without witnesses; heads are at most 300 s old.
    pub fn new(origin: Origin, log_keys: Vec<VerifierKey>) -> Result<Self, TrustError> {
        if log_keys.is_empty() || log_keys.len() > LOG_KEYS_MAX {
            return Err(TrustError::KeyCount);
        }
        if log_keys.iter().any(|key| key.kind() != KeyKind::Log || key.name() != origin.as_str()) {
            return Err(TrustError::Key);
        }
        let (zone, policy) = (origin.zone(), Policy::none());
        let retired = Vec::new();
        Ok(Self { origin, zone, log_keys, retired, policy, head_age_ms_max: HEAD_AGE_S_MAX * 1_000 })
    }

    /// Returns the trust in the log of `origin` under a policy: its keys there, its quorum.
    ///
    /// Errors: [`TrustError::KeyCount`] if the policy has no line, or too many, for this log.
    pub fn from_policy(origin: Origin, policy: Policy) -> Result<Self, TrustError> {
        let log_keys = policy.log_keys(origin.as_str());
        Ok(Self { policy, ..Self::new(origin, log_keys)? })
    }

    /// Sets whose cosignatures a head needs. The log's keys stay those of this trust, whatever logs the policy names.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Sets the log's keys: those of a LogConf that was followed to, oldest first.
    ///
    /// Errors: as [`Trust::new`].
    pub fn with_log_keys(self, log_keys: Vec<VerifierKey>) -> Result<Self, TrustError> {
        let Self { log_keys, .. } = Self::new(self.origin.clone(), log_keys)?;
        Ok(Self { log_keys, ..self })
    }

    /// Sets the keys that signed earlier heads. Lookups never accept one; proofs that were kept do.
    #[must_use]
    pub fn with_retired(self, retired: Vec<RetiredKey>) -> Self {
        Self { retired, ..self }
    }

    /// Sets how old a head may be. `u64::MAX` accepts any age, as for a proof that was kept.
    #[must_use]
    pub fn with_head_age_s_max(self, seconds: u64) -> Self {
        Self { head_age_ms_max: seconds.saturating_mul(1_000), ..self }
    }

    /// Returns the log's origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the zone of the log's names.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Returns the log's keys.
    pub fn log_keys(&self) -> &[VerifierKey] {
        &self.log_keys
    }

    /// Returns the log's earlier keys.
    pub fn retired(&self) -> &[RetiredKey] {
        &self.retired
    }

    /// Returns every key that may have signed a head of this size, those of now first.
    pub fn keys_of_head(&self, size: u64) -> Vec<VerifierKey> {
        let retired = self.retired.iter().filter(|retired| size <= retired.size).map(|retired| &retired.key);
        self.log_keys.iter().chain(retired).cloned().collect()
    }

    /// Returns whose cosignatures a head needs.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the age beyond which a head is refused, in milliseconds.
    pub fn head_age_ms_max(&self) -> u64 {
        self.head_age_ms_max
    }
}
