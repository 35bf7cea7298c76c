//! The name server's log: one commit, and the reads that answers are made of.

mod ids;
mod reads;
mod scan;

use std::sync::{RwLockReadGuard, RwLockWriteGuard};

use identity::hash::Hash;

use crate::database::{self, Database, of_sql};
use crate::fault::{CommitError, Place, StorageError};
use crate::inject::{self, Failure, Step};
use crate::rows::{CommitRows, EnrolledRow, StoredHead, Tiled};
use crate::storage::Storage;
use crate::table;

use ids::Numbered;

pub(crate) use ids::Ids;
pub use scan::NameScan;

/// The tables of the name server. Reads see the newest commit; none waits for the writer.
#[derive(Clone, Copy)]
pub struct Log<'a> {
    storage: &'a Storage,
    names: &'a Database,
}

impl<'a> Log<'a> {
    pub(crate) fn new(storage: &'a Storage) -> Self {
        Self { storage, names: storage.names() }
    }

    /// Replaces the head `old` by `new` and writes everything the batch changes, in ONE durable transaction.
    ///
    /// THE commit point of the server: before it nothing of the batch is durable, after it everything is. A crash inside
    /// leaves one or the other. `old` is `None` for the first head alone. On [`CommitError::Unknown`] load the head and
    /// compare its note: the batch is there, whole, or not at all.
    pub async fn commit(
        &self,
        old: Option<&StoredHead>,
        new: &StoredHead,
        rows: &CommitRows,
    ) -> Result<(), CommitError> {
        let first = old.map_or(0, |old| old.size);
        if first + rows.entries.len() as u64 != new.size {
            let detail = format!("{} entries from {first} do not end at {}", rows.entries.len(), new.size);
            return Err(StorageError::inconsistent("entries", detail).into());
        }
        let planned = self.storage.failures().take(Step::Commit);
        inject::refused(planned)?;
        let mut writer = self.names.writer().await;
        self.catch_up().await?;
        let numbered = Numbered::new(rows, &self.ids())?;
        let mut tx = database::begin(&mut writer).await?;
        if !table::heads::swap(&mut tx, old, new).await? {
            return Err(CommitError::Lost); // dropping `tx` rolls back
        }
        table::entries::insert(&mut tx, first, &rows.entries).await?;
        table::epochs::insert(&mut tx, &rows.passed, new).await?;
        table::labels::upsert(&mut tx, &numbered.labels).await?;
        table::chain::insert(&mut tx, &numbered.chain).await?;
        table::names::upsert(&mut tx, &numbered.names).await?;
        table::changed::insert(&mut tx, new.size, &numbered.names).await?;
        table::invites::mark_used(&mut tx, &rows.invites).await?;
        table::notices::insert(&mut tx, &rows.notices).await?;
        if planned == Some(Failure::DroppedOutcomeUnknown) {
            return Err(CommitError::Unknown(inject::planned()));
        }
        self.ids_mut().commit_begins();
        tx.commit().await.map_err(|error| CommitError::Unknown(of_sql(Place::Database, error)))?;
        self.names.wrote(rows.entries.len() + rows.chain.len() + rows.labels.len() + rows.names.len());
        if planned.is_some() {
            return Err(CommitError::Unknown(inject::planned()));
        }
        self.ids_mut().complete(numbered.after, numbered.new.iter()).map_err(CommitError::Unknown)
    }

    /// Returns the newest signed head; `None` before the first commit. After a commit of unknown outcome, call this before
    /// anything else.
    pub async fn load_head(&self) -> Result<Option<StoredHead>, StorageError> {
        // Before the first reading nothing is known that a commit of unknown outcome could have changed.
        let lacks_some = self.ids().was_read() && self.ids().may_lack_some();
        if lacks_some {
            let _no_commit_is_running = self.names.writer().await;
            self.catch_up().await?;
        }
        table::heads::load(&mut *self.names.reader().await).await
    }

    /// Returns how far the tiles have got, with their right edges.
    pub async fn load_tiled(&self) -> Result<Tiled, StorageError> {
        let mut reader = self.names.reader().await;
        let mut tx = database::begin_reading(&mut reader).await?;
        Ok(Tiled { size: table::heads::tiled(&mut tx).await?, edges: table::edges::load(&mut tx).await? })
    }

    /// Notes that tiles and bundles up to `tiled.size` are durable, adds what their certificates say of keys, and deletes the
    /// entries below `entries_below`, whose full bundles are; in one transaction. Call it after the objects are durable: a crash
    /// before it writes them again.
    ///
    /// [`StorageError::Inconsistent`] if `tiled` would go back or past the head.
    pub async fn save_tiled(
        &self,
        tiled: &Tiled,
        entries_below: u64,
        enrolled: &[EnrolledRow],
    ) -> Result<(), StorageError> {
        let planned = self.storage.failures().take(Step::SaveTiled);
        inject::refused(planned)?;
        let mut writer = self.names.writer().await;
        let mut tx = database::begin(&mut writer).await?;
        if entries_below > tiled.size || !table::heads::set_tiled(&mut tx, tiled.size).await? {
            let detail = format!("tiles to {} and no entries below {entries_below}", tiled.size);
            return Err(StorageError::inconsistent("heads", detail));
        }
        table::edges::replace(&mut tx, &tiled.edges).await?;
        table::enrolled::insert(&mut tx, enrolled).await?;
        let deleted = table::entries::delete_below(&mut tx, entries_below).await?;
        if planned == Some(Failure::DroppedOutcomeUnknown) {
            return Err(inject::planned());
        }
        tx.commit().await.map_err(|error| of_sql(Place::Database, error))?;
        // Neighbouring entries share their pages: a dozen to one.
        self.names.wrote(usize::try_from(deleted / 12).unwrap_or(usize::MAX));
        planned.map_or(Ok(()), |_| Err(inject::planned()))
    }

    /// Adds what certificates in durable bundles say of keys, where it was not kept with them.
    pub async fn add_enrolled(&self, rows: &[EnrolledRow]) -> Result<(), StorageError> {
        let mut writer = self.names.writer().await;
        let mut tx = database::begin(&mut writer).await?;
        table::enrolled::insert(&mut tx, rows).await?;
        self.names.commit(tx, rows.len()).await
    }

    /// Lets the changes of names up to a log of `size` be forgotten: something durable has them. A crash inside leaves rows that nobody asks for,
    /// and the next call deletes them.
    pub async fn forget_changed(&self, size: u64) -> Result<(), StorageError> {
        {
            let mut writer = self.names.writer().await;
            let mut tx = database::begin(&mut writer).await?;
            table::changed::set_known_from(&mut tx, size).await?;
            self.names.commit(tx, 1).await?;
        }
        let mut after = 0;
        loop {
            // Some at a time: commits come in between.
            let mut writer = self.names.writer().await;
            after = table::changed::page_end(&mut writer, after, size).await?;
            if after == 0 {
                return Ok(());
            }
            let mut tx = database::begin(&mut writer).await?;
            let deleted = table::changed::forget(&mut tx, after).await?;
            self.names.commit(tx, usize::try_from(deleted / 64).unwrap_or(usize::MAX)).await?;
        }
    }

    /// Returns the note saved last by [`Log::save_public`].
    pub async fn load_public(&self) -> Result<Option<Vec<u8>>, StorageError> {
        table::heads::public_note(&mut *self.names.reader().await).await
    }

    /// Makes durable which signed note is about to be shown under a quorum. A crash before it leaves the one before.
    pub async fn save_public(&self, note: &[u8]) -> Result<(), StorageError> {
        let mut writer = self.names.writer().await;
        let mut tx = database::begin(&mut writer).await?;
        if !table::heads::set_public_note(&mut tx, note).await? {
            return Err(StorageError::inconsistent("heads", "a public head before the first one"));
        }
        tx.commit().await.map_err(|error| of_sql(Place::Database, error))?;
        self.names.wrote(1);
        Ok(())
    }

    /// Issues invites by the hashes of their codes; returns how many are new.
    pub async fn add_invites(&self, codes: &[Hash]) -> Result<u64, StorageError> {
        let mut writer = self.names.writer().await;
        let mut tx = database::begin(&mut writer).await?;
        let added = table::invites::add(&mut tx, codes).await?;
        tx.commit().await.map_err(|error| of_sql(Place::Database, error))?;
        Ok(added)
    }

    /// Returns label and commitment of every leaf of the map, in the order of labels. A start should do this first: it is the
    /// one scan of the table that everything else that asks for labels needs too.
    pub async fn all_leaves(&self) -> Result<Vec<(Hash, Hash)>, StorageError> {
        let _no_commit_is_running = self.names.writer().await;
        let mut leaves = scan::leaves(self.names, 0).await?;
        self.ids_mut().complete(0, leaves.iter().map(|(label, _)| label))?;
        leaves.sort_unstable_by_key(|leaf| leaf.0);
        Ok(leaves)
    }

    /// Reads the ids of the labels that may be missing in memory. The caller holds the writer, so no commit is running.
    async fn catch_up(&self) -> Result<(), StorageError> {
        let (lacking, after) = (self.ids().may_lack_some(), self.ids().count());
        if lacking {
            let leaves = scan::leaves(self.names, after).await?;
            self.ids_mut().complete(after, leaves.iter().map(|(label, _)| label))?;
        }
        Ok(())
    }

    /// Returns the id of `label`, reading all of them if that has not been done.
    async fn id_of(&self, label: &Hash) -> Result<Option<i64>, StorageError> {
        self.read_ids_once().await?;
        Ok(self.ids().of(label))
    }

    async fn read_ids_once(&self) -> Result<(), StorageError> {
        if self.ids().was_read() {
            return Ok(());
        }
        let _no_commit_is_running = self.names.writer().await;
        self.catch_up().await
    }

    fn ids(&self) -> RwLockReadGuard<'a, Ids> {
        self.storage.ids().read().expect("no holder panics")
    }

    fn ids_mut(&self) -> RwLockWriteGuard<'a, Ids> {
        self.storage.ids().write().expect("no holder panics")
    }
}
