//! Whether a fault file convicts, by nothing but the signatures in it (PROTOCOL 14.3).

use core::fmt;

use super::{FaultFile, FaultKind};
use crate::audit::AuditFault;
use crate::lookup_proof::LookupProofError;
use crate::note::{Checkpoint, VerifierKey};
use crate::proof_file::ProofFileError;

/// A log, or a witness, convicted by a key's own signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conviction {
    /// The key that signed it.
    pub key: VerifierKey,
    /// What it signed: one head or two, the smaller first.
    pub heads: Vec<Checkpoint>,
    /// What is wrong with it.
    pub proved: Proved,
}

/// What a conviction proves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proved {
    /// No one log can have both heads.
    TwoHistories,
    /// The log of the head holds what no log may hold.
    Fault(AuditFault),
    /// The later head shows an older state of this subject than the earlier one, or another at the same version.
    WentBack {
        /// A name or DID.
        subject: String,
    },
}

/// Why a fault file convicts nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoConviction {
    /// The kind shows what a client met and proves nothing to others. Code `proves_nothing`.
    #[error("evidence of this kind shows what a client met; it proves nothing by itself")]
    Kind,
    /// Who checks knows no databases, or replays no logs. Code `needs_replay`.
    #[error("evidence of this kind is judged by who knows databases")]
    Replay,
    /// A part that the kind needs is missing or malformed. Code `fault_part`.
    #[error("a part that the kind needs is missing or malformed")]
    Part,
    /// No one key of the file signed all of it. Code `fault_signature`.
    #[error("no one key of the file signed all of it")]
    Signature,
    /// An entry or state is not what the signed head commits to. Code `fault_proof`.
    #[error("what is shown is not under the signed head")]
    Proof,
    /// What was signed does not contradict itself. Code `no_contradiction`.
    #[error("what was signed does not contradict itself")]
    Consistent,
}

impl NoConviction {
    /// Returns why a part that should prove a lookup does not.
    pub const fn of_lookup(error: LookupProofError) -> Self {
        match error {
            LookupProofError::File(ProofFileError::Note(_)) => Self::Signature,
            LookupProofError::File(_) => Self::Part,
            LookupProofError::Lookup(_) => Self::Proof,
        }
    }

    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Kind => "proves_nothing",
            Self::Replay => "needs_replay",
            Self::Part => "fault_part",
            Self::Signature => "fault_signature",
            Self::Proof => "fault_proof",
            Self::Consistent => "no_contradiction",
        }
    }
}

impl FaultFile {
    /// Checks the evidence by its own keys: whether somebody signed what nobody honest can.
    ///
    /// The file names the keys, so whoever acts on a conviction compares [`Conviction::key`] with the key they pinned.
    pub fn check(&self) -> Result<Conviction, NoConviction> {
        match self.kind() {
            FaultKind::SameSize | FaultKind::Prefix | FaultKind::Cosigner => self.check_heads(),
            FaultKind::Epoch => self.check_epoch(),
            FaultKind::Entry => self.check_entry(),
            FaultKind::Map => self.check_map(),
            FaultKind::Rollback => self.check_rollback(),
            FaultKind::Store => Err(NoConviction::Replay),
            FaultKind::Answer | FaultKind::Audit => Err(NoConviction::Kind),
        }
    }
}

/// The conviction in words, for those who read it.
impl fmt::Display for Conviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} signed", self.key)?;
        for (at, head) in self.heads.iter().enumerate() {
            let and = if at == 0 { "" } else { " and one" };
            let root = data_encoding::HEXLOWER.encode(&head.root);
            write!(f, "{and}{} of {} leaves with root {root}", if at == 0 { " a head" } else { "" }, head.size)?;
        }
        match &self.proved {
            Proved::TwoHistories => write!(f, ": two histories"),
            Proved::Fault(fault) => write!(f, ": {fault}"),
            Proved::WentBack { subject } => write!(f, ": {subject} went back"),
        }
    }
}
