//! `recovery.db`: what a recovery server keeps, in a database of its own: shares, and the newest attempt of each that was answered.

use std::path::Path;

use identity::did::Did;
use identity::hash::{Hash, sha256};

use crate::database::{Database, Schema};
use crate::durable;
use crate::fault::StorageError;
use crate::table::recovery;

/// What is kept of one enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentRow {
    /// Whose.
    pub did: Did,
    /// Which epoch.
    pub epoch: u32,
    /// The public key of the share.
    pub public: [u8; 32],
    /// Where the shares lie.
    pub point: u8,
    /// What the secrets are masked with, beside the master key.
    pub salt: [u8; 32],
    /// The shares and the ids of sign-ins, masked.
    pub secrets: Vec<u8>,
    /// How the PIN is hardened.
    pub bundle: Vec<u8>,
    /// The newest attempt that was answered; 0 = none.
    pub attempt: u8,
    /// Its point.
    pub blinded: Option<[u8; 32]>,
    /// When it was made, in seconds since 1970.
    pub made_s: u64,
}

/// A log's newest head as it is kept: origin, size, bytes.
pub type KeptHead<'a> = (&'a str, u64, &'a [u8]);

/// The open database. One process at a time holds it.
pub struct Recovery {
    database: Database,
}

impl Recovery {
    /// The name of the database's file, without its suffix.
    pub const NAME: &'static str = "recovery";

    /// Opens `<dir>/recovery.db`, made if need be. Errors: as [`crate::Storage::open`].
    pub async fn open(dir: &Path) -> Result<Self, StorageError> {
        durable::create_dir(dir)?;
        let database = Database::open(dir, Self::NAME, &Schema::RECOVERY, true).await?;
        recovery::delete_securely(&mut *database.writer().await).await?;
        Ok(Self { database })
    }

    /// Returns every row of a DID, the oldest first.
    pub async fn of_did(&self, did: &Did) -> Result<Vec<EnrolmentRow>, StorageError> {
        recovery::of_did(&mut *self.database.reader().await, did).await
    }

    /// Keeps a new row and erases others of its DID, by epoch and public key. A row that is there already stays as it is.
    pub async fn put(&self, row: &EnrolmentRow, instead_of: &[(u32, [u8; 32])]) -> Result<(), StorageError> {
        let mut tx = self.database.write().await?;
        for (epoch, public) in instead_of {
            recovery::erase(&mut tx, (&row.did, *epoch, public)).await?;
        }
        recovery::put(&mut tx, row, &sha256(&[&row.bundle])).await?;
        tx.commit(1 + instead_of.len()).await
    }

    /// Notes that an attempt is answered, durably; the head that says so is kept already ([`Self::keep_head`]). An answer may leave only
    /// after this.
    ///
    /// False if the row is gone, or had this attempt or a later one: look again. A crash inside leaves the attempt as it was, or
    /// noted: the client repeats, and gets the same answer.
    pub async fn mark(
        &self,
        row: (&Did, u32, &[u8; 32]),
        attempt: u8,
        blinded: &[u8; 32],
    ) -> Result<bool, StorageError> {
        let mut tx = self.database.write().await?;
        let marked = recovery::mark(&mut tx, row, attempt, blinded).await?;
        tx.commit(1).await?;
        Ok(marked)
    }

    /// Erases rows of a DID, by epoch and public key; returns how many there were.
    pub async fn erase(&self, did: &Did, rows: &[(u32, [u8; 32])]) -> Result<usize, StorageError> {
        let mut tx = self.database.write().await?;
        let mut erased = 0;
        for (epoch, public) in rows {
            erased += recovery::erase(&mut tx, (did, *epoch, public)).await?;
        }
        tx.commit(erased).await?;
        Ok(erased)
    }

    /// Returns the bundle with this hash.
    pub async fn bundle(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StorageError> {
        recovery::bundle(&mut *self.database.reader().await, hash).await
    }

    /// Returns the DIDs behind `after` that have rows, so many at most, ascending.
    pub async fn dids(&self, after: &Did, most: u32) -> Result<Vec<Did>, StorageError> {
        recovery::dids(&mut *self.database.reader().await, after, most).await
    }

    /// Returns how many rows there are.
    pub async fn count(&self) -> Result<u64, StorageError> {
        recovery::count(&mut *self.database.reader().await).await
    }

    /// Returns the newest head of a log that was kept.
    pub async fn head(&self, origin: &str) -> Result<Option<Vec<u8>>, StorageError> {
        recovery::head(&mut *self.database.reader().await, origin).await
    }

    /// Keeps the newest head of a log; a smaller one than is kept changes nothing.
    pub async fn keep_head(&self, (origin, size, memory): KeptHead<'_>) -> Result<(), StorageError> {
        let mut tx = self.database.write().await?;
        recovery::keep_head(&mut tx, origin, size, memory).await?;
        tx.commit(1).await
    }

    /// Closes the database in order. Dropping it instead loses nothing.
    pub async fn close(self) -> Result<(), StorageError> {
        self.database.close().await
    }
}
