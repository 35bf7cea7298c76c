//! What an audit can find wrong, each with its place (PROTOCOL 15.2).

use identity::rules::Refusal;

/// A log that is not what its signed head says, or a history the rules do not allow. Exit code 3.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditFault {
    /// A bundle does not decode into its entries. Code `bundle`.
    #[error("{path} is not a bundle of its width")]
    Bundle {
        /// Its path below the read prefix.
        path: String,
    },
    /// A served tile differs from the one the entries give. Code `tile`.
    #[error("{path} differs from the entries{}", .hash.map(|place| format!(" at hash {place} of its level")).unwrap_or_default())]
    Tile {
        /// Its path below the read prefix.
        path: String,
        /// The first hash that differs, counted in its level; absent if the tile has another length.
        hash: Option<u64>,
    },
    /// An entry that no log may hold: not decodable, not canonical, of unknown type, or out of place. Code `entry`.
    #[error("entry {index} is no valid entry ({code})")]
    Entry {
        /// Its log index.
        index: u64,
        /// Why.
        code: &'static str,
    },
    /// A certificate the rules refuse at its place. Code `refused`.
    #[error("entry {index} is refused by the rules ({}): {refusal}", .refusal.code())]
    Refused {
        /// Its log index.
        index: u64,
        /// Why.
        refusal: Refusal,
    },
    /// A signature that does not verify, or by no key that may sign. Code `signature`.
    #[error("entry {index} has a bad signature ({code})")]
    Signature {
        /// Its log index.
        index: u64,
        /// Why.
        code: &'static str,
    },
    /// A certificate that names a head this log never had: it shows another version of the log. Code `seen`.
    #[error("entry {index} was signed over a head of {size} leaves that this log never had")]
    Seen {
        /// Its log index.
        index: u64,
        /// The size of that head.
        size: u64,
    },
    /// An Epoch whose field does not follow from the log before it. Code `epoch`.
    #[error("Epoch {k} at entry {index} has a wrong {code}")]
    Epoch {
        /// Its number as it says.
        k: u64,
        /// Its log index.
        index: u64,
        /// Which field: `covers`, `k`, `time_ms`, `history_root`.
        code: &'static str,
    },
    /// The map root of an Epoch is not what the entries imply. Code `map_root`.
    #[error("Epoch {k} at entry {index} commits to another map than the entries before it make")]
    MapRoot {
        /// The Epoch's number.
        k: u64,
        /// Its log index.
        index: u64,
    },
    /// The entries give another root than the signed one. Code `root`.
    #[error("the entries do not give the signed root of {size} leaves")]
    Root {
        /// The signed size.
        size: u64,
    },
    /// The head does not end in an Epoch. Code `last_leaf`.
    #[error("the head of {size} leaves does not end in an Epoch")]
    LastLeaf {
        /// The signed size.
        size: u64,
    },
    /// The log does not pass through a head met earlier. Code `inconsistent`.
    #[error("the log does not pass through the head of {size} leaves met earlier: it is another history")]
    Inconsistent {
        /// The size of that head.
        size: u64,
    },
    /// The head is smaller than one met earlier. Code `rollback`.
    #[error("the head has {size} leaves, an earlier one had {known}")]
    Shrunk {
        /// The signed size.
        size: u64,
        /// The size met earlier.
        known: u64,
    },
}

impl AuditFault {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bundle { .. } => "bundle",
            Self::Tile { .. } => "tile",
            Self::Entry { .. } => "entry",
            Self::Refused { .. } => "refused",
            Self::Signature { .. } => "signature",
            Self::Seen { .. } => "seen",
            Self::Epoch { .. } => "epoch",
            Self::MapRoot { .. } => "map_root",
            Self::Root { .. } => "root",
            Self::LastLeaf { .. } => "last_leaf",
            Self::Inconsistent { .. } => "inconsistent",
            Self::Shrunk { .. } => "rollback",
        }
    }
}
