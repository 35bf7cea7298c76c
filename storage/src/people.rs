//! `people.db`: what a server keeps of people and never shows; beside the log, and in no way part of it.
//!
//! A database of its own, so that no sign-in waits for the log's writer. Each area is a file below with its methods on
//! [`People`]; each table has its file in `table`. What must follow the log reads committed entries by their index and keeps a
//! cursor here.

mod accounts;
mod acme;
mod aliases;
mod devices;
mod dns;
mod events;
mod notaries;
mod notify;
mod passkeys;
mod signin;
mod tokens;

use std::path::Path;

use crate::database::{Database, Schema};
use crate::durable;
use crate::fault::StorageError;
use crate::storage::Options;

pub use accounts::{AccountRow, AttestedRow, LinkRow, Reserved, Unlinked};
pub use acme::{AcmeAccount, AcmeRoom};
pub use aliases::{ALIASES_OF_DID_MAX, AliasRow, Erased};
pub use devices::{AttachmentRow, ENVELOPES_MAX, PAIR_MESSAGES_MAX};
pub use dns::{SignedUpdate, VolatileRow};
pub use events::{AwaitedRow, EventPush, EventRow, Told};
pub use notaries::{NotaryCount, Word};
pub use notify::{JOINS_OF_DID_MAX, JoinChange, JoinRow, JoinWhat, OutboxRow, SealedRow, Updated};
pub use passkeys::{Added, PasskeyRow, Used};
pub use signin::{StartKind, StartRow};
pub use tokens::{FamilyRow, GrantRow, KeepError};

/// The open database. One process at a time holds it.
pub struct People {
    database: Database,
}

impl People {
    /// The name of the database's file, without its suffix.
    pub const NAME: &'static str = "people";

    /// Opens `<dir>/people.db`, made if need be. Errors: as [`crate::Storage::open`].
    pub async fn open(dir: &Path) -> Result<Self, StorageError> {
        Self::open_with(dir, Options::default()).await
    }

    /// Opens `<dir>/people.db` in the way `options` say.
    pub async fn open_with(dir: &Path, options: Options) -> Result<Self, StorageError> {
        if options.create {
            durable::create_dir(dir)?;
        }
        Ok(Self { database: Database::open(dir, Self::NAME, &Schema::PEOPLE, options.create).await? })
    }

    /// Returns whether `dir` has such a database: only a server that keeps its log itself makes one.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(format!("{}.db", Self::NAME)).is_file()
    }

    /// Closes the database in order. Dropping it instead loses nothing.
    pub async fn close(self) -> Result<(), StorageError> {
        self.database.close().await
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }
}
