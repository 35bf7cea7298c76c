//! What can go wrong below, and which file or table is wrong.

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The thing a [`StorageError`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file or directory.
    File(PathBuf),
    /// A table of the database.
    Table(&'static str),
    /// The database as a whole.
    Database,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Table(table) => write!(f, "table {table}"),
            Self::Database => f.write_str("the database"),
        }
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

/// Why something could not be read or made durable. `detail` is for the operator, never for a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The bytes there are not what was written: truncated, overwritten, or another kind of file. Code `corrupt`.
    #[error("{place} is damaged: {detail}")]
    Corrupt {
        /// What is damaged.
        place: Place,
        /// What was met.
        detail: String,
    },
    /// Rows contradict each other or the head above them. Code `inconsistent`.
    #[error("{place} contradicts the rest: {detail}")]
    Inconsistent {
        /// Where it shows.
        place: Place,
        /// What contradicts what.
        detail: String,
    },
    /// No space is left, or a quota is used up. Code `disk_full`.
    #[error("no space left for {place}")]
    DiskFull {
        /// What could not grow.
        place: Place,
    },
    /// Another process holds it. Code `locked`.
    #[error("{place} is in use by another process")]
    Locked {
        /// What is held.
        place: Place,
    },
    /// It may not be written here. Code `read_only`.
    #[error("{place} cannot be written: read-only or not ours")]
    ReadOnly {
        /// What may not be written.
        place: Place,
    },
    /// The database was made by another version of the program. Code `wrong_schema`.
    #[error("the database has a schema this program does not know: {detail}")]
    WrongSchema {
        /// Which.
        detail: String,
    },
    /// The SQLite inside is too old to be trusted. Code `wrong_sqlite`.
    #[error("SQLite {found} is older than the version this program trusts")]
    WrongSqlite {
        /// Its version.
        found: String,
    },
    /// The database server is set up so that it may lose what it committed. Code `unsafe_settings`.
    #[error("the database server would lose commits in a crash: {detail}")]
    UnsafeSettings {
        /// Which setting.
        detail: String,
    },
    /// An object exists with other bytes. Code `object_differs`.
    #[error("{place} exists with other bytes")]
    ObjectDiffers {
        /// The object.
        place: Place,
    },
    /// An object's path is not one: empty, too long, or not `[a-z0-9._-]` between single slashes. Code `bad_path`.
    #[error("not an object path: {path:?}")]
    BadPath {
        /// The path.
        path: String,
    },
    /// The guard stands above what is to be raised, or has another root at the same size. Code `rolled_back`.
    #[error("the guard is at size {guard_size}, above or beside {size}: this history is not the one that was signed")]
    RolledBack {
        /// The guard's size.
        guard_size: u64,
        /// The size asked for.
        size: u64,
    },
    /// A server that the database or the objects are at does not answer, or has ended the connection. Code `unreachable`.
    #[error("{place} is out of reach: {detail}")]
    Unreachable {
        /// What.
        place: Place,
        /// What was met.
        detail: String,
    },
    /// Any other failure of the file system or the engine. Code `io`.
    #[error("{place}: {detail}")]
    Io {
        /// Where.
        place: Place,
        /// What the system said.
        detail: String,
    },
}

impl StorageError {
    /// Returns the stable name of this fault.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } => "corrupt",
            Self::Inconsistent { .. } => "inconsistent",
            Self::DiskFull { .. } => "disk_full",
            Self::Locked { .. } => "locked",
            Self::ReadOnly { .. } => "read_only",
            Self::WrongSchema { .. } => "wrong_schema",
            Self::WrongSqlite { .. } => "wrong_sqlite",
            Self::UnsafeSettings { .. } => "unsafe_settings",
            Self::ObjectDiffers { .. } => "object_differs",
            Self::BadPath { .. } => "bad_path",
            Self::RolledBack { .. } => "rolled_back",
            Self::Unreachable { .. } => "unreachable",
            Self::Io { .. } => "io",
        }
    }

    /// Returns whether what is stored is wrong, rather than out of reach for now.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Corrupt { .. } | Self::Inconsistent { .. } | Self::ObjectDiffers { .. } | Self::RolledBack { .. }
        )
    }

    /// Returns whether the same may succeed in a moment.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Returns whether rows contradict each other: trying again changes nothing, and what else there is may be well.
    pub fn is_inconsistent(&self) -> bool {
        matches!(self, Self::Inconsistent { .. })
    }

    /// Returns the fault for a failed call on `path`.
    pub(crate) fn of_file(path: &Path, error: &io::Error) -> Self {
        let place = Place::from(path);
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { place }
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly { place },
            _ => Self::Io { place, detail: error.to_string() },
        }
    }

    pub(crate) fn corrupt(place: impl Into<Place>, detail: impl Into<String>) -> Self {
        Self::Corrupt { place: place.into(), detail: detail.into() }
    }

    pub(crate) fn inconsistent(table: &'static str, detail: impl Into<String>) -> Self {
        Self::Inconsistent { place: Place::Table(table), detail: detail.into() }
    }
}

/// Why a commit did not end well. Whoever gets one must not let the new head's signature leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The head is not the one this batch was built on: another writer lives. Nothing changed. Stop and reload.
    #[error("another writer has moved the head")]
    Lost,
    /// Nothing changed, for this reason.
    #[error("nothing was committed: {0}")]
    Definite(#[source] StorageError),
    /// The batch may or may not be durable. Reload the head and compare; never guess.
    #[error("it is unknown whether the batch was committed: {0}")]
    Unknown(#[source] StorageError),
}

impl CommitError {
    /// Returns the stable name of this fault.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Lost => "commit_lost",
            Self::Definite(_) => "commit_refused",
            Self::Unknown(_) => "commit_unknown",
        }
    }
}

impl From<StorageError> for CommitError {
    /// Everything before the COMMIT statement is definite: the transaction is rolled back.
    fn from(error: StorageError) -> Self {
        Self::Definite(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable() {
        let (place, detail) = (Place::Database, String::new());
        for (error, code) in [
            (StorageError::Corrupt { place: place.clone(), detail: detail.clone() }, "corrupt"),
            (StorageError::Inconsistent { place: place.clone(), detail: detail.clone() }, "inconsistent"),
            (StorageError::DiskFull { place: place.clone() }, "disk_full"),
            (StorageError::Locked { place: place.clone() }, "locked"),
            (StorageError::ReadOnly { place: place.clone() }, "read_only"),
            (StorageError::WrongSchema { detail: detail.clone() }, "wrong_schema"),
            (StorageError::WrongSqlite { found: detail.clone() }, "wrong_sqlite"),
            (StorageError::UnsafeSettings { detail: detail.clone() }, "unsafe_settings"),
            (StorageError::ObjectDiffers { place: place.clone() }, "object_differs"),
            (StorageError::BadPath { path: detail.clone() }, "bad_path"),
            (StorageError::RolledBack { guard_size: 2, size: 1 }, "rolled_back"),
            (StorageError::Unreachable { place: place.clone(), detail: detail.clone() }, "unreachable"),
            (StorageError::Io { place, detail }, "io"),
        ] {
            assert_eq!(error.code(), code);
            assert_eq!(CommitError::Definite(error.clone()).code(), "commit_refused");
            assert_eq!(CommitError::Unknown(error).code(), "commit_unknown");
        }
        assert_eq!(CommitError::Lost.code(), "commit_lost");
    }
}
