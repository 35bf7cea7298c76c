//! Why a checkpoint was not cosigned: the witness's refusals, and what keeps a cosigner from signing at all.

use storage::{CommitError, StorageError};
use translog::witness::{BadRequest, WitnessRefusal};

/// Why there is no cosignature. The record is as before, or further on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Declined {
    /// The body is no request. Code `bad_request`.
    #[error(transparent)]
    BadRequest(#[from] BadRequest),
    /// The checkpoint does not continue what was cosigned. Codes of PROTOCOL 9.7.
    #[error(transparent)]
    Refused(#[from] WitnessRefusal),
    /// The verifier has not replayed the log so far yet. Code `behind`.
    #[error("replayed {replayed} of {size} entries; ask again")]
    Behind {
        /// The entries replayed.
        replayed: u64,
        /// The size asked for.
        size: u64,
    },
    /// The time of the head's Epoch is more than 300 s from this clock. Code `head_time`.
    #[error("the head's time is more than 300 s from this witness's clock")]
    HeadTime,
    /// The verifier found the log at fault and signs nothing of it until its operator says so. Code `held_up`.
    #[error("this log is at fault ({code}); nothing of it is cosigned until the operator has looked")]
    HeldUp {
        /// The fault's own code.
        code: String,
    },
    /// The database is older than what was signed. Code `rolled_back`.
    #[error("this witness remembers less than it has signed, and signs nothing")]
    RolledBack,
    /// What should have become durable did not. Code `internal`.
    #[error("{0}")]
    Storage(#[from] StorageError),
}

impl Declined {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(error) => error.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::Behind { .. } => dgns_api::code::BEHIND,
            Self::HeadTime => dgns_api::code::HEAD_TIME,
            Self::HeldUp { .. } => dgns_api::code::HELD_UP,
            Self::RolledBack => dgns_api::code::ROLLED_BACK,
            Self::Storage(_) => dgns_api::code::INTERNAL,
        }
    }

    /// Returns whether the cosigner itself is unwell, which is its operator's to mend.
    pub fn is_own_failure(&self) -> bool {
        matches!(self, Self::RolledBack | Self::Storage(_))
    }
}

impl From<CommitError> for Declined {
    /// Of unknown outcome or not, nothing was signed; the next request reads again what stands there.
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Definite(error) | CommitError::Unknown(error) => Self::Storage(error),
            // One request at a time has the record, so nobody moved it but another process.
            _ => Self::RolledBack,
        }
    }
}
