//! A cosigner's memory: the newest head of each log that it signed, in a database of its own.

use std::path::Path;

use crate::database::{self, Database, Schema, of_sql};
use crate::durable;
use crate::fault::{CommitError, Place, StorageError};
use crate::inject::{self, Failure, Plan, Step};
use crate::rows::CosignedRow;
use crate::storage::Options;
use crate::table;

/// The open database of one cosigner. One process at a time holds it.
pub struct Cosigned {
    database: Database,
    failures: Plan,
}

impl Cosigned {
    /// Opens `<dir>/<name>.db`, made if need be: one name for each key that cosigns. Errors: as [`crate::Storage::open`].
    pub async fn open(dir: &Path, name: &str) -> Result<Self, StorageError> {
        Self::open_with(dir, name, Options::default()).await
    }

    /// Opens `<dir>/<name>.db` in the way `options` say.
    pub async fn open_with(dir: &Path, name: &str, options: Options) -> Result<Self, StorageError> {
        if options.create {
            durable::create_dir(dir)?;
        }
        let database = Database::open(dir, name, &Schema::COSIGNED, options.create).await?;
        Ok(Self { database, failures: options.failures })
    }

    /// Returns the head of the log `origin` that was cosigned last; `None` if none was.
    pub async fn load(&self, origin: &str) -> Result<Option<CosignedRow>, StorageError> {
        table::cosigned::load(&mut *self.database.reader().await, origin).await
    }

    /// Puts `new` in the place of `old`, the very row [`Cosigned::load`] gave, durably.
    ///
    /// A signature on `new` may leave only after this. A crash inside leaves one or the other. Errors: [`CommitError::Lost`] if
    /// `old` is no longer what stands there or `new` is smaller; after [`CommitError::Unknown`] load again before anything else.
    pub async fn swap(&self, origin: &str, old: Option<&CosignedRow>, new: &CosignedRow) -> Result<(), CommitError> {
        let planned = self.failures.take(Step::Cosign);
        inject::refused(planned)?;
        let mut writer = self.database.writer().await;
        let mut tx = database::begin(&mut writer).await?;
        if !table::cosigned::swap(&mut tx, origin, old, new).await? {
            return Err(CommitError::Lost); // dropping `tx` rolls back
        }
        if planned == Some(Failure::DroppedOutcomeUnknown) {
            return Err(CommitError::Unknown(inject::planned()));
        }
        tx.commit().await.map_err(|error| CommitError::Unknown(of_sql(Place::Database, error)))?;
        self.database.wrote(1);
        planned.map_or(Ok(()), |_| Err(CommitError::Unknown(inject::planned())))
    }

    /// Closes the database in order. Dropping it instead loses nothing.
    pub async fn close(self) -> Result<(), StorageError> {
        self.database.close().await
    }
}
