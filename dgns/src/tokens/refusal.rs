//! Why nobody gets a token.

use dgns_api::code;
use identity::grant::GrantRefusal;
use identity::token::TokenRefusal;
use identity::wire::WireError;
use storage::StorageError;
use storage::people::KeepError;

use crate::limits::TooMany;

/// Why a lease, exchange, refresh or revocation is refused. Whoever gets one has no token; a family may have ended.
#[derive(Debug, thiserror::Error)]
pub enum TokensRefusal {
    /// The body.
    #[error("the body is not what this path takes: {0}")]
    Wire(#[from] WireError),
    /// No nonce of this server's last minute, unspent.
    #[error("sign the nonce of this answer and ask again within a minute")]
    NonceWanted([u8; 16]),
    /// The device's signature.
    #[error("the device's signature does not hold for this request")]
    Signature,
    /// The DID is not in the log, or has no such device.
    #[error("this DID has no such device")]
    UnknownDevice,
    /// The device is suspended.
    #[error("this device is suspended")]
    Suspended,
    /// The DID has ended.
    #[error("this DID has ended")]
    Ended,
    /// Nobody to mint for.
    #[error("the audience is not in the log, or has ended")]
    NoAudience,
    /// A scope beyond what may be had.
    #[error("a scope goes beyond what this DID owns or the grant allows")]
    NotGranted,
    /// The chain of grants.
    #[error(transparent)]
    Grant(#[from] GrantRefusal),
    /// A grant was taken back.
    #[error("a grant of the chain was revoked by its issuer")]
    GrantRevoked,
    /// The token of a refresh.
    #[error("the token was not minted here: {0}")]
    Token(TokenRefusal),
    /// The guard is none of the family's.
    #[error("this is not the guard that came with the token")]
    GuardWrong,
    /// The guard was spent before; the family has ended.
    #[error("this guard was used before: somebody has a copy. Every token of this lease is revoked; lease anew")]
    GuardReused,
    /// The family has ended.
    #[error("this lease was revoked, or not refreshed for too long: lease anew")]
    Revoked,
    /// No such family of this DID.
    #[error("no lease of yours has this name")]
    NoSuchFamily,
    /// No such grant by this DID.
    #[error("no grant of yours has this name")]
    NoSuchGrant,
    /// As many as there may be.
    #[error("there are too many of them already: revoke some")]
    TooMany,
    /// Too many an hour.
    #[error("too many leases; try again later")]
    Rate(TooMany),
    /// The server does too much at once, or looks through what the log changed while it was away.
    #[error("the server is busy; try again")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl TokensRefusal {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Wire(error) => error.code(),
            Self::NonceWanted(_) => code::NONCE_WANTED,
            Self::Signature => "bad_signature",
            Self::UnknownDevice => "unknown_signer",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
            Self::NoAudience => code::NO_AUDIENCE,
            Self::NotGranted => code::NOT_GRANTED,
            Self::Grant(refusal) => refusal.code(),
            Self::GrantRevoked => code::GRANT_REVOKED,
            Self::Token(refusal) => refusal.code(),
            Self::GuardWrong => code::GUARD_WRONG,
            Self::GuardReused => code::GUARD_REUSED,
            Self::Revoked => TokenRefusal::Revoked.code(),
            Self::NoSuchFamily => code::NO_SUCH_FAMILY,
            Self::NoSuchGrant => code::NO_SUCH_GRANT,
            Self::TooMany => "too_many",
            Self::Rate(_) => code::RATE,
            Self::Busy => code::BUSY,
            Self::Storage(_) => code::INTERNAL,
        }
    }
}

impl From<KeepError> for TokensRefusal {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::TooMany => Self::TooMany,
            KeepError::Storage(error) => Self::Storage(error),
        }
    }
}
