//! Chunks: immutable bytes by their BLAKE3 hash, counted for the account that pays for what they are kept for.

use std::collections::BTreeSet;

use bytes::Bytes;
use dgns_api::store::content::{self, ContentId};
use dgns_api::store::limits::{CHUNK_BYTES_MAX, ENTRY_CHUNK_BYTES_MAX};
use identity::did::Did;

use super::Store;
use super::rows::{AccountRow, ChunkRow, LogRow, UseRow};
use crate::database::{Conn, Write, begin_reading};
use crate::fault::StorageError;
use crate::inject::{self, Failure, Step};
use crate::limits::{CHUNK_IN_ROW_BYTES_MAX, CHUNK_NOTED_MS, CHUNK_OVERHEAD_BYTES, CHUNK_WRITINGS_MAX};
use crate::table::store::{self as tables, RowId};

/// What chunks are kept for: of those that are kept for something else nobody learns anything by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Files(Did),
    Entries(RowId),
}

impl Purpose {
    /// The files of an account, which pays for them.
    pub fn files(account: Did) -> Self {
        Self(Kind::Files(account))
    }

    /// What entries of the database of this log name; its account pays.
    pub fn entries(log: &LogRow) -> Self {
        Self(Kind::Entries(log.db))
    }

    fn bytes_max(&self) -> usize {
        match self.0 {
            Kind::Files(_) => CHUNK_BYTES_MAX,
            Kind::Entries(_) => ENTRY_CHUNK_BYTES_MAX,
        }
    }
}

/// What a chunk is stored for, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// What for.
    pub purpose: Purpose,
    /// The time, Unix milliseconds.
    pub now_ms: u64,
}

/// Why a chunk is not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkRefusal {
    /// More than 4 MiB, or than 1 MiB for entries. Code `too_large`.
    #[error("a chunk has at most 4 MiB, one that entries name 1 MiB")]
    TooLarge,
    /// The bytes have another hash than was said. Code `hash_mismatch`.
    #[error("the bytes that arrived are not those of this id")]
    Hash,
    /// The account is full. Code `quota`.
    #[error("the account is full")]
    Quota,
    /// The lease of the account is over. Code `lease_lapsed`.
    #[error("the lease of the account that would pay is over: it is read only")]
    LeaseLapsed,
    /// What is let go of takes the place of what is written, again and again. Code `busy`.
    #[error("too much is deleted at the moment to store this: try again")]
    Busy,
    /// The database or the disk failed. Code `internal`; `recovering` if it is only out of reach.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ChunkRefusal {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Hash => "hash_mismatch",
            Self::Quota => "quota",
            Self::LeaseLapsed => "lease_lapsed",
            Self::Busy => "busy",
            Self::Storage(error) if error.is_passing() => "recovering",
            Self::Storage(_) => "internal",
        }
    }
}

impl Store {
    /// Stores a chunk, durably. One that is there for the same purpose is not charged again.
    ///
    /// The bytes lie on disk before the row names them. A crash in between leaves a file without a row, which the same upload takes up
    /// again unless objects were let go of meanwhile (`collect`).
    pub async fn put_chunk(&self, id: &ContentId, bytes: Bytes, charge: Charge) -> Result<(), ChunkRefusal> {
        if bytes.len() > charge.purpose.bytes_max() {
            return Err(ChunkRefusal::TooLarge);
        }
        let named = *id;
        let (hash, bytes) = match bytes.len() {
            // Beside the tasks that answer: hashing a large one takes a millisecond.
            large if large > CHUNK_IN_ROW_BYTES_MAX => {
                let hashed = tokio::task::spawn_blocking(move || (content::id_of(&bytes), bytes));
                hashed.await.expect("hashing does not panic, and the runtime outlives its callers")
            }
            _ => (content::id_of(&bytes), bytes),
        };
        if hash != named {
            return Err(ChunkRefusal::Hash);
        }
        if bytes.len() > CHUNK_IN_ROW_BYTES_MAX {
            // Before the object is written for nothing; with its rows all of it is asked again.
            if !self.have_chunks(charge, std::slice::from_ref(id)).await?.is_empty() {
                return Ok(());
            }
            self.room_for(&charge, bytes.len() as u64 + CHUNK_OVERHEAD_BYTES).await?;
        }
        for _ in 0..CHUNK_WRITINGS_MAX {
            let writing = self.write_object(id, &bytes).await?;
            if self.put_rows(id, &bytes, writing, charge).await? {
                return Ok(());
            }
        }
        Err(ChunkRefusal::Busy)
    }

    /// Writes the object of a large chunk, unless there is one; returns the number of the writing, 0 for a small one.
    pub(super) async fn write_object(&self, id: &ContentId, bytes: &Bytes) -> Result<u64, StorageError> {
        if bytes.len() <= CHUNK_IN_ROW_BYTES_MAX {
            return Ok(0);
        }
        let (row, writing) = {
            let mut reader = self.inner.database.reader().await;
            let mut tx = begin_reading(&mut reader).await?;
            (tables::chunk::load(&mut tx, id).await?, tables::chunk::writing(&mut tx).await?)
        };
        match row {
            Some(row) => Ok(row.writing),
            None => self.inner.objects.put_new(&path_of(id, writing), bytes.clone()).await.map(|()| writing),
        }
    }

    /// Adds the rows of a chunk whose object was written under the number `writing`, if it is a large one; returns whether there are rows of it
    /// now. An object that the rows do not name is noted as one that is to be deleted.
    async fn put_rows(
        &self,
        id: &ContentId,
        bytes: &Bytes,
        writing: u64,
        charge: Charge,
    ) -> Result<bool, ChunkRefusal> {
        let size = bytes.len() as u64;
        let body = if bytes.len() <= CHUNK_IN_ROW_BYTES_MAX { Some(bytes.to_vec()) } else { None };
        let mut tx = self.inner.database.write().await?;
        // Which files name a chunk the server does not see: it takes each for named.
        let (account, db, refs) = match charge.purpose.0 {
            Kind::Files(did) => (self.account_or_new(&mut tx, &did, charge.now_ms).await?, 0, 1),
            Kind::Entries(db) => (payer(&mut tx, db).await?, db, 0),
        };
        let there = tables::chunk::load(&mut tx, id).await?;
        let current = match &there {
            _ if body.is_some() => writing,
            Some(row) => row.writing,
            // What was let go of before this has a lower number.
            None => tables::chunk::writing(&mut tx).await?,
        };
        let is_unused = current != writing;
        if is_unused {
            // No row has this number, nor will one again, but one that is put back: the object goes no sooner than what was let go of.
            tables::chunk::to_delete(&mut tx, id, writing, charge.now_ms).await?;
        }
        if let Some(mut row) = tables::chunk_use::load(&mut tx, (account.id, db), &[*id]).await?.pop() {
            row.touch(charge.now_ms);
            tables::chunk_use::upsert(&mut tx, &[row]).await?;
            return Ok(self.keep(Step::PutChunk, tx, 2).await.map(|()| true)?);
        }
        if is_unused && there.is_none() {
            tx.commit(1).await?;
            return Ok(false);
        }
        let cost = size + CHUNK_OVERHEAD_BYTES;
        let used_bytes = match charged(&account, cost, charge.now_ms) {
            Ok(used_bytes) => used_bytes,
            Err(refusal) => {
                if is_unused {
                    tx.commit(1).await?;
                }
                return Err(refusal);
            }
        };
        tables::account::upsert(&mut tx, &[AccountRow { used_bytes, ..account.clone() }]).await?;
        if there.is_none() {
            tables::chunk::insert(&mut tx, id, &ChunkRow { size, body, writing }, charge.now_ms).await?;
        }
        let (account, since_ms) = (account.id, charge.now_ms);
        let row = UseRow { account, db, chunk: *id, size: cost, refs, since_ms, marked_ms: 0 };
        tables::chunk_use::upsert(&mut tx, &[row]).await?;
        Ok(self.keep(Step::PutChunk, tx, 4).await.map(|()| true)?)
    }

    /// Commits a transaction, unless a test plans otherwise.
    pub(super) async fn keep(&self, step: Step, tx: Write<'_>, rows: usize) -> Result<(), StorageError> {
        let planned = self.inner.failures.take(step);
        inject::refused(planned)?;
        if planned.is_some_and(|failure| failure != Failure::KeptButReportedFailed) {
            return Err(inject::planned());
        }
        tx.commit(rows).await?;
        planned.map_or(Ok(()), |_| Err(inject::planned()))
    }

    /// Returns which of these chunks are there for a purpose, in no order. Of those that no entry names yet it is noted that somebody is
    /// about to.
    pub async fn have_chunks(&self, charge: Charge, ids: &[ContentId]) -> Result<Vec<ContentId>, StorageError> {
        // Once each: no statement touches a row twice.
        let ids: Vec<ContentId> = ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let (holder, rows) = {
            let mut reader = self.inner.database.reader().await;
            let Some(holder) = holder(&mut reader, &charge.purpose).await? else { return Ok(Vec::new()) };
            (holder, tables::chunk_use::load(&mut reader, holder, &ids).await?)
        };
        let (old, fresh): (Vec<UseRow>, _) = rows.into_iter().partition(|row| is_old(row, charge.now_ms));
        let mut there: Vec<ContentId> = fresh.iter().map(|row| row.chunk).collect();
        if !old.is_empty() {
            let old: Vec<ContentId> = old.iter().map(|row| row.chunk).collect();
            let mut tx = self.inner.database.write().await?;
            let mut rows = tables::chunk_use::load(&mut tx, holder, &old).await?;
            rows.iter_mut().for_each(|row| row.touch(charge.now_ms));
            tables::chunk_use::upsert(&mut tx, &rows).await?;
            self.keep(Step::Note, tx, rows.len()).await?;
            there.extend(rows.iter().map(|row| row.chunk));
        }
        Ok(there)
    }

    /// Returns whether a chunk is there for a purpose; nothing is noted.
    pub async fn has_chunk(&self, purpose: Purpose, id: &ContentId) -> Result<bool, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let Some(holder) = holder(&mut reader, &purpose).await? else { return Ok(false) };
        Ok(!tables::chunk_use::load(&mut reader, holder, &[*id]).await?.is_empty())
    }

    /// Returns a chunk, compared with its hash; `None` if there is none.
    pub async fn chunk(&self, id: &ContentId) -> Result<Option<Bytes>, StorageError> {
        let mut read = None;
        loop {
            let row = tables::chunk::load(&mut *self.inner.database.reader().await, id).await?;
            let Some(row) = row else { return Ok(None) };
            let path = path_of(id, row.writing);
            let bytes = match row.body {
                Some(body) => Some(Bytes::from(body)),
                None => self.inner.objects.get(&path).await?,
            };
            match bytes {
                Some(bytes) if content::id_of(&bytes) == *id => return Ok(Some(bytes)),
                Some(_) => {
                    let place = self.inner.objects.place(&path);
                    return Err(StorageError::Corrupt { place, detail: "a chunk has other bytes than its id".into() });
                }
                None if read == Some(row.writing) => {
                    return Err(StorageError::inconsistent("chunk", "a chunk has no object"));
                }
                // It may have been let go of since, and stored again.
                None => read = Some(row.writing),
            }
        }
    }

    /// Refuses what the account has no room for, before anything is written.
    async fn room_for(&self, charge: &Charge, bytes: u64) -> Result<(), ChunkRefusal> {
        let account = match charge.purpose.0 {
            Kind::Files(did) => self.account_or_free(&did, charge.now_ms).await?,
            Kind::Entries(db) => payer(&mut *self.inner.database.reader().await, db).await?,
        };
        charged(&account, bytes, charge.now_ms).map(drop)
    }
}

/// Returns what an account uses that takes so many bytes more.
fn charged(account: &AccountRow, bytes: u64, now_ms: u64) -> Result<u64, ChunkRefusal> {
    let used = account.used_bytes.saturating_add(bytes);
    match account.is_lapsed(now_ms) {
        true => Err(ChunkRefusal::LeaseLapsed),
        false if used > account.quota_bytes => Err(ChunkRefusal::Quota),
        false => Ok(used),
    }
}

/// Returns account and database, 0 for files, of what chunks are kept for; `None`: nothing is.
async fn holder(conn: &mut Conn, purpose: &Purpose) -> Result<Option<(RowId, RowId)>, StorageError> {
    match purpose.0 {
        Kind::Files(did) => Ok(tables::account::by_did(conn, &did).await?.map(|account| (account.id, 0))),
        Kind::Entries(db) => Ok(Some((payer(conn, db).await?.id, db))),
    }
}

/// Returns the account of a database.
async fn payer(conn: &mut Conn, db: RowId) -> Result<AccountRow, StorageError> {
    let lost = |what: &'static str| StorageError::inconsistent("db", what);
    let db = tables::db::by_id(conn, db).await?.ok_or_else(|| lost("a log of no database"))?;
    tables::account::by_id(conn, db.account).await?.ok_or_else(|| lost("a database of no account"))
}

/// Returns whether it is to be noted that somebody wants a chunk still.
fn is_old(row: &UseRow, now_ms: u64) -> bool {
    row.refs == 0 && (row.marked_ms > 0 || row.since_ms.saturating_add(CHUNK_NOTED_MS) <= now_ms)
}

/// Returns where the bytes of a large chunk lie: `c/<2 hex>/<62 hex>`, and the number of the writing behind it but for 0.
pub(crate) fn path_of(id: &ContentId, writing: u64) -> String {
    let hex = data_encoding::HEXLOWER.encode(id);
    let (folder, name) = hex.split_at(2);
    match writing {
        0 => format!("c/{folder}/{name}"),
        _ => format!("c/{folder}/{name}.{writing}"),
    }
}

#[cfg(test)]
mod tests;
