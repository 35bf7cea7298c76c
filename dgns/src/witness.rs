//! The witness: cosigns a log's checkpoint if it continues the one cosigned last (PROTOCOL 9.7, 12.6).
//!
//! A [`Cosigner`] is one key with its memory: `witness` looks at heads alone, `verifier` cosigns only what it has replayed
//! ([`verifier`]). Whatever races or crashes, the memory moves forward alone: the record is swapped in one SQL transaction, then
//! the guard beside the key is raised, and only then the signature leaves. [`Roles`] is what a process runs, inside the name
//! server or as [`standalone`].

pub mod cosigner;
mod declined;
mod evidence;
mod forks;
pub mod logs;
mod metrics;
pub mod reports;
pub mod roles;
pub mod standalone;
pub mod verifier;
pub mod watched;

pub use cosigner::{Cosigner, CosignerError};
pub use declined::Declined;
pub use logs::WitnessedLogs;
pub use roles::Roles;
pub use watched::Watched;

#[cfg(test)]
mod tests;
