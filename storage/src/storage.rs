//! One data directory: `names.db` with its log and lock, and `objects/`.

use std::path::{Path, PathBuf};
use std::sync::RwLock;

use crate::database::{Database, Schema};
use crate::durable;
use crate::fault::StorageError;
use crate::inject::Plan;
use crate::log::{Ids, Log};
use crate::objects::Objects;

/// How to open a data directory.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether what is missing is made, and an older schema brought up to date. Without it nothing is changed.
    pub create: bool,
    /// Planned failures, for tests; empty otherwise.
    pub failures: Plan,
}

impl Default for Options {
    fn default() -> Self {
        Self { create: true, failures: Plan::default() }
    }
}

/// An open data directory. One process at a time holds it.
pub struct Storage {
    dir: PathBuf,
    names: Database,
    ids: RwLock<Ids>,
    objects: Objects,
    failures: Plan,
}

impl Storage {
    /// Opens the data directory `dir`, made if it does not exist.
    ///
    /// Errors: [`StorageError::Locked`] if another server holds it, [`StorageError::Corrupt`] if the database is truncated or not
    /// one, [`StorageError::WrongSchema`], [`StorageError::WrongSqlite`], [`StorageError::ReadOnly`].
    pub async fn open(dir: &Path) -> Result<Self, StorageError> {
        Self::open_with(dir, Options::default()).await
    }

    /// Opens the data directory `dir` in the way `options` say.
    pub async fn open_with(dir: &Path, options: Options) -> Result<Self, StorageError> {
        if options.create {
            durable::create_dir(dir)?;
        }
        let names = Database::open(dir, "names", &Schema::NAMES, options.create).await?;
        let objects = Objects::open(&dir.join("objects"), options.create, options.failures.clone())?;
        let ids = RwLock::new(Ids::new());
        Ok(Self { dir: dir.to_owned(), names, ids, objects, failures: options.failures })
    }

    /// Returns the name server's tables.
    pub fn log(&self) -> Log<'_> {
        Log::new(self)
    }

    /// Returns the immutable objects: tiles, bundles, the checkpoint.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Returns the data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn ids(&self) -> &RwLock<Ids> {
        &self.ids
    }

    pub(crate) fn failures(&self) -> &Plan {
        &self.failures
    }

    pub(crate) fn names(&self) -> &Database {
        &self.names
    }

    /// Closes the database in order. Dropping it instead loses nothing; the next start replays the write-ahead log.
    pub async fn close(self) -> Result<(), StorageError> {
        self.names.close().await
    }
}
