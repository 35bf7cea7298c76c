//! Planned failures, for tests: each durable step can be refused, or done and reported as failed.
//!
//! Without the feature `fault-injection` a [`Plan`] is empty and cannot be filled.

use crate::fault::{Place, StorageError};

/// A durable step that a plan can make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The COMMIT of a batch.
    Commit,
    /// The transaction that moves `tiled`.
    SaveTiled,
    /// The write of new objects.
    PutObjects,
    /// The COMMIT of a cosigned head.
    Cosign,
    /// The COMMIT of entries of databases.
    Append,
    /// The COMMIT of a chunk whose object is there.
    PutChunk,
    /// Each COMMIT of letting go of chunks.
    Collect,
    /// Each COMMIT of letting go of what was trimmed.
    Trim,
    /// Each COMMIT of packing old entries, and of merging segments.
    Pack,
    /// Each COMMIT of watching leases that are over, and of dropping what nobody pays for.
    Sweep,
    /// The COMMIT of what an account is given.
    Give,
    /// The COMMIT of an anchor.
    Anchor,
    /// The COMMIT that somebody asked for chunks which no entry names yet.
    Note,
    /// The deletion of an object that is kept for nothing.
    DeleteObject,
}

/// How a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing happens, and the caller is told so.
    Refused,
    /// It happens, and the caller is told it failed.
    KeptButReportedFailed,
    /// Nothing happens, and the caller is told that the outcome is unknown.
    DroppedOutcomeUnknown,
    /// Nothing happens, for want of space.
    DiskFull,
    /// Nothing happens, and the caller is told that it did: a bug, that a check has to find. Entries of databases alone fail so.
    ToldKept,
}

/// Which of the next steps fail. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    #[cfg(feature = "fault-injection")]
    failures: std::sync::Arc<std::sync::Mutex<std::collections::VecDeque<(Step, Failure)>>>,
}

impl Plan {
    /// Makes the next `step` that is not yet planned for fail in this way.
    #[cfg(feature = "fault-injection")]
    pub fn fail_next(&self, step: Step, failure: Failure) {
        self.failures.lock().expect("no holder panics").push_back((step, failure));
    }

    /// Plans nothing any more; returns how many steps had not come that were to fail.
    #[cfg(feature = "fault-injection")]
    pub fn forget(&self) -> usize {
        std::mem::take(&mut *self.failures.lock().expect("no holder panics")).len()
    }

    #[cfg(feature = "fault-injection")]
    pub(crate) fn take(&self, step: Step) -> Option<Failure> {
        let mut failures = self.failures.lock().expect("no holder panics");
        let at = failures.iter().position(|(planned, _)| *planned == step)?;
        failures.remove(at).map(|(_, failure)| failure)
    }

    #[cfg(not(feature = "fault-injection"))]
    #[inline]
    pub(crate) fn take(&self, _step: Step) -> Option<Failure> {
        None
    }
}

/// Returns the fault of a step that is planned to be refused before it begins, if it is.
pub(crate) fn refused(planned: Option<Failure>) -> Result<(), StorageError> {
    match planned {
        Some(Failure::Refused) => Err(self::planned()),
        Some(Failure::DiskFull) => Err(StorageError::DiskFull { place: Place::Database }),
        _ => Ok(()),
    }
}

/// Returns the fault that planned failures report, but for a full disk.
pub(crate) fn planned() -> StorageError {
    StorageError::Io { place: Place::Database, detail: "planned failure".into() }
}
