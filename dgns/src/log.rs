//! The log as a server runs it: the door judges what comes in, the publisher orders and commits it, lookups prove it.
//!
//! [`publisher`] holds the crash order; read it first.

pub mod announcer;
pub mod chain;
pub mod commit;
pub mod conf_chain;
pub mod did_document;
pub mod document;
pub mod door;
pub mod enrolled;
pub mod feed;
pub mod files;
pub mod heads;
pub mod live;
pub mod lookup;
pub mod notices;
pub mod publisher;
pub mod restart;
pub mod shown;
pub mod states;
pub mod tiles;
pub mod touched;
pub mod witnesses;

use storage::{Place, StorageError};

/// Returns the error of stored rows or objects that contradict the signed head.
pub(crate) fn damaged(table: &'static str, detail: &str) -> StorageError {
    StorageError::Inconsistent { place: Place::Table(table), detail: detail.to_owned() }
}
