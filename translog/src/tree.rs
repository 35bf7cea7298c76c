//! The RFC 6962/9162 tree: right edge, proofs and their plans (PROTOCOL 8.1, 8.4).
//!
//! Four stories, one each file. [`Edge`] grows a tree and knows its root without holding it. A [`Plan`] names the nodes a
//! proof needs, so that whoever stores tiles can fetch them; [`Growth`] has those of what was added of late. The `verify_*`
//! functions need none of them. The log and the history of its Epochs are both such trees.

mod edge;
mod growth;
mod plan;
mod verify;

pub use edge::Edge;
pub use growth::Growth;
pub use plan::{Node, Plan, consistency_plan, inclusion_plan, root_plan};
pub use verify::{consistency_roots, inclusion_root, verify_consistency, verify_inclusion};

/// Why a path proves nothing, or cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// A size beyond 2^63 - 1. Code `proof_size`.
    #[error("a tree has at most 2^63 - 1 leaves")]
    Size,
    /// The index is not below the size. Code `proof_index`.
    #[error("the tree has no leaf of this index")]
    Index,
    /// The older size is above the newer one. Code `proof_order`.
    #[error("the older tree is larger than the newer one")]
    Order,
    /// The path has not the one number of hashes these sizes allow. Code `proof_length`.
    #[error("the path has the wrong number of hashes")]
    Length,
    /// The path leads to another root of the older tree. Code `proof_old_root`.
    #[error("the path does not lead to the older root")]
    OldRoot,
    /// The path leads to another root. Code `proof_root`.
    #[error("the path does not lead to the root")]
    Root,
}

impl ProofError {
    /// Returns the stable code that vectors and problem answers name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Size => "proof_size",
            Self::Index => "proof_index",
            Self::Order => "proof_order",
            Self::Length => "proof_length",
            Self::OldRoot => "proof_old_root",
            Self::Root => "proof_root",
        }
    }
}

#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
