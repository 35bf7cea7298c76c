//! Why a witness does not cosign.

/// Why a checkpoint is not cosigned. The witness's record is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessRefusal {
    /// No trusted key is of the checkpoint's origin. Code `unknown_log`.
    #[error("the log is not witnessed here")]
    UnknownLog,
    /// No trusted key signed, or the line of one does not verify. Code `log_signature`.
    #[error("not signed by a trusted key of the log")]
    Signature,
    /// The old size is above the checkpoint's. Code `old_size`.
    #[error("the old size is larger than the checkpoint's")]
    OldSize,
    /// The old size is not that of the checkpoint cosigned last. Code `conflict`.
    #[error("the checkpoint cosigned last has size {size}")]
    Conflict {
        /// The size cosigned last.
        size: u64,
    },
    /// A checkpoint of size 0 with another root than the empty tree's. Code `empty_root`.
    #[error("the empty tree has another root")]
    EmptyRoot,
    /// The size cosigned last, with another root: the log's own signatures convict it. Code `fork`.
    #[error("another root was cosigned at this size")]
    Fork,
    /// The proof does not lead from the checkpoint cosigned last to this one, or none was due. Code `consistency`.
    #[error("the consistency proof does not hold")]
    Proof,
}

impl WitnessRefusal {
    /// Returns the stable code that vectors and logs name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownLog => "unknown_log",
            Self::Signature => "log_signature",
            Self::OldSize => "old_size",
            Self::Conflict { .. } => "conflict",
            Self::EmptyRoot => "empty_root",
            Self::Fork => "fork",
            Self::Proof => "consistency",
        }
    }

    /// Returns the status the specification gives to it; a body that is no request has 400.
    pub const fn status(&self) -> u16 {
        match self {
            Self::OldSize => 400,
            Self::Signature => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::EmptyRoot | Self::Fork | Self::Proof => 422,
        }
    }
}
