//! Why a recovery server does not do what it is asked. Nothing private stands in it, and nothing changed.

use dgns_api::code;
use identity::evidence::AssertionRefusal;
use identity::recovery::gate::GateRefusal;
use identity::recovery::message::MessageError;
use storage::StorageError;
use translog::resolve::VerifyError;

use crate::auth::oidc::OidcError;
use crate::follow::standing::Fault;
use crate::outbound::OutboundError;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The bytes are no such message, or not sealed or signed as they should be.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// This server keeps no share of this epoch. Code `no_row`.
    #[error("this server keeps no share of this DID and epoch")]
    NoRow,
    /// What the log says does not allow it.
    #[error(transparent)]
    Gate(#[from] GateRefusal),
    /// The signer is no device with a vote. Code `not_allowed`.
    #[error("the log has no such live device of level admin of this DID")]
    NotAllowed,
    /// Not the epoch that is next. Code `bad_epoch`.
    #[error("the next epoch is {next}")]
    BadEpoch {
        /// The next.
        next: u32,
    },
    /// No scalar, or no point. Code `bad_point`.
    #[error("not a share, or not a point of ristretto255")]
    BadPoint,
    /// An issuer whose word this server does not take. Code `unknown_issuer`.
    #[error("this server takes no sign-ins of this issuer; GET /r/v1/info lists those it takes")]
    UnknownIssuer,
    /// The statement does not hold.
    #[error(transparent)]
    Statement(#[from] OidcError),
    /// A passkey's answer does not hold. Code `assertion`.
    #[error("the passkey's answer does not hold: {0}")]
    Assertion(AssertionRefusal),
    /// A passkey answered another challenge than that of these keys, this purpose and this point. Code `nonce`.
    #[error("the passkey signed in for something else")]
    Nonce,
    /// The server of names does not answer. Code `log_unavailable`.
    #[error("the log cannot be read now: {0}")]
    LogSilent(OutboundError),
    /// The server of names answers with a status. Code `log_unavailable`.
    #[error("the log cannot be read now: answered with status {0}")]
    LogStatus(u16),
    /// What the server of names shows is not proved. Code `log_proof`.
    #[error("what the server of names shows of the log is not proved: {0} ({code})", code = .0.code())]
    LogProof(VerifyError),
    /// The log signed two histories: nothing of it is read any more. Code `log_fault`.
    #[error("the log signed two histories ({code}): {what}; this server does nothing more for it until its operator has looked", code = .0.code, what = .0.what)]
    LogFault(Fault),
    /// Evidence of a fault of the log cannot be kept. Code `internal`.
    #[error("evidence cannot be kept: {0}")]
    Evidence(std::io::Error),
    /// Too much to do. Code `busy`.
    #[error("too many requests at once; try again")]
    Busy,
    /// The database failed, or a row in it is damaged. Code `internal`.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl RecoveryError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Message(error) => error.code(),
            Self::NoRow => code::NO_ROW,
            Self::Gate(refusal) => refusal.code(),
            Self::NotAllowed => "not_allowed",
            Self::BadEpoch { .. } => "bad_epoch",
            Self::BadPoint => "bad_point",
            Self::UnknownIssuer => code::UNKNOWN_ISSUER,
            Self::Statement(error) => error.code(),
            Self::Assertion(refusal) => refusal.code(),
            Self::Nonce => OidcError::Nonce.code(),
            Self::LogSilent(_) | Self::LogStatus(_) => code::LOG_UNAVAILABLE,
            Self::LogProof(_) => code::LOG_PROOF,
            Self::LogFault(_) => code::LOG_FAULT,
            Self::Busy => code::BUSY,
            Self::Evidence(_) | Self::Storage(_) => code::INTERNAL,
        }
    }

    /// Returns after how long a repeat may be taken.
    pub fn retry_ms(&self) -> Option<u64> {
        match self {
            Self::LogSilent(_) | Self::LogStatus(_) | Self::Statement(OidcError::Unavailable) => Some(2_000),
            Self::Busy => Some(200),
            _ => None,
        }
    }
}
