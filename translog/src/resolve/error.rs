//! Why an answer proves nothing.

/// The first check that failed. Nothing in the answer may be acted on; the memory is as before.
///
/// Each but [`VerifyError::StaleHead`] is a fault of the log or of whoever carried the answer. PROTOCOL 11.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Not the bytes of a Resolution, or without a head where none is remembered. Code `malformed`.
    #[error("not the bytes of a resolution")]
    Malformed,
    /// An answer to another question, or a name that is none of this zone. Code `subject`.
    #[error("an answer about another subject")]
    Subject,
    /// The memory or the proof is of another log. Code `origin`.
    #[error("of another log")]
    Origin,
    /// No trusted log key signed the head. Code `log_signature`.
    #[error("the head is not signed by a trusted log key")]
    LogSignature,
    /// The witnesses whose word is asked for did not sign, or one of their signatures fails. Code `quorum`.
    #[error("the head lacks the cosignatures the policy asks for")]
    Quorum,
    /// Older than the reader allows: perhaps withheld news. Code `stale_head`.
    #[error("the head is too old")]
    StaleHead,
    /// The Epoch's time lies too far from the witnesses', or in the reader's future. Code `time_bound`.
    #[error("the time of the head's Epoch cannot be right")]
    TimeBound,
    /// The head does not end in an Epoch that covers it. Code `epoch`.
    #[error("the head does not end in its Epoch")]
    Epoch,
    /// The path of that Epoch does not lead to the root. Code `last_leaf`.
    #[error("the Epoch is not the last leaf of the tree")]
    LastLeaf,
    /// Not the answers that this subject, and the owner its state names, call for. Code `binding`.
    #[error("the answers do not belong together")]
    Binding,
    /// The map proof does not lead to the Epoch's map root, or shows otherwise than claimed. Code `map_proof`.
    #[error("the map proof does not hold")]
    MapProof,
    /// A state, its opened leaf and its records disagree. Code `value`.
    #[error("a state disagrees with its map value")]
    Value,
    /// A certificate said to be written is not in the log. Code `written`.
    #[error("a certificate just written is not in the log")]
    Written,
    /// The head is larger than the one remembered and does not continue it. Code `inconsistent`.
    #[error("the head does not continue the one met before")]
    Inconsistent,
    /// The head, or the version of a DID, is older than one met before. Code `rollback`.
    #[error("older than what was met before")]
    Rollback,
    /// The size of the head remembered, with another root: two logs under one name. Keep both. Code `fork`.
    #[error("another root at the size met before: the log has been forked")]
    Fork,
    /// The state of a DID does not follow from the one met before by the certificates of its chain. Code `chain`.
    #[error("the state of the DID does not follow, by its own certificates, from the one met before")]
    Chain,
}

impl VerifyError {
    /// Returns the stable code that vectors and output name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Subject => "subject",
            Self::Origin => "origin",
            Self::LogSignature => "log_signature",
            Self::Quorum => "quorum",
            Self::StaleHead => "stale_head",
            Self::TimeBound => "time_bound",
            Self::Epoch => "epoch",
            Self::LastLeaf => "last_leaf",
            Self::Binding => "binding",
            Self::MapProof => "map_proof",
            Self::Value => "value",
            Self::Written => "written",
            Self::Inconsistent => "inconsistent",
            Self::Rollback => "rollback",
            Self::Fork => "fork",
            Self::Chain => "chain",
        }
    }
}
