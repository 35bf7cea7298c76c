//! What devices are told of their DID, and how far the log was read for it.

use identity::did::Did;
use identity::hash::Hash;

use super::{People, Word};
use crate::fault::StorageError;
use crate::table::{events, notary_words, notify};

/// Events read at once.
const PAGE: u64 = 256;

/// Something told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Ascending for each DID.
    pub id: u64,
    /// What happened.
    pub kind: u8,
    /// Where to look, JSON.
    pub data: String,
}

/// An act that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedRow {
    /// The act.
    pub sid: Hash,
    /// In whose chain.
    pub did: Did,
    /// When it is looked at again, epoch ms.
    pub due_ms: u64,
    /// Whether its end was announced.
    pub reminded: bool,
}

/// What one reading of the log brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Events: whose, kind, data.
    pub events: Vec<(Did, u8, String)>,
    /// Acts that wait from now on, or are looked at at another time.
    pub awaited: Vec<AwaitedRow>,
    /// Acts that no longer wait.
    pub settled: Vec<Hash>,
    /// What notaries said, and what became of it.
    pub words: Vec<Word>,
    /// What is to be pushed.
    pub pushes: Vec<EventPush>,
    /// The log index to go on from.
    pub cursor: Option<u64>,
}

/// Something told that is also pushed, to every device of the DID that has a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPush {
    /// Whose devices.
    pub did: Did,
    /// What happened.
    pub kind: u8,
    /// The log index to look at.
    pub index: Option<u64>,
}

impl People {
    /// Keeps what a reading of the log brought, all of it or nothing: a crash before reads the same entries again.
    pub async fn put_told(&self, cursor: &str, told: &Told, now_ms: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        for (did, kind, data) in &told.events {
            events::insert(&mut tx, did, now_ms, *kind, data).await?;
        }
        for row in &told.awaited {
            events::put_awaited(&mut tx, row).await?;
        }
        for sid in &told.settled {
            events::forget_awaited(&mut tx, sid).await?;
        }
        for word in &told.words {
            notary_words::count(&mut tx, word).await?;
        }
        for push in &told.pushes {
            notify::put_event(&mut tx, push, now_ms).await?;
        }
        if let Some(index) = told.cursor {
            events::set_cursor(&mut tx, cursor, index).await?;
        }
        let rows =
            told.events.len() + told.awaited.len() + told.settled.len() + 2 * told.words.len() + told.pushes.len() + 1;
        tx.commit(rows).await
    }

    /// Tells a DID's devices one thing that is not in the log.
    pub async fn put_event(&self, did: &Did, kind: u8, data: &str, now_ms: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        events::insert(&mut tx, did, now_ms, kind, data).await?;
        tx.commit(1).await
    }

    /// Returns what a DID was told after `id`, the oldest first, 256 at most.
    pub async fn events_after(&self, did: &Did, id: u64) -> Result<Vec<EventRow>, StorageError> {
        events::after(&mut *self.database().reader().await, did, id, PAGE).await
    }

    /// Forgets some of what was told before `before_ms`; returns how much.
    pub async fn sweep_events(&self, before_ms: u64) -> Result<usize, StorageError> {
        let mut tx = self.database().write().await?;
        let swept = events::sweep(&mut tx, before_ms).await?;
        tx.commit(swept).await?;
        Ok(swept)
    }

    /// Returns the log index from which `cursor` goes on; `None` before it began.
    pub async fn cursor(&self, cursor: &str) -> Result<Option<u64>, StorageError> {
        events::cursor(&mut *self.database().reader().await, cursor).await
    }

    /// Returns acts to be looked at by `now_ms`, 256 at most.
    pub async fn awaited_by(&self, now_ms: u64) -> Result<Vec<AwaitedRow>, StorageError> {
        events::awaited_by(&mut *self.database().reader().await, now_ms).await
    }

    /// Returns when the next act is to be looked at.
    pub async fn next_awaited_ms(&self) -> Result<Option<u64>, StorageError> {
        events::next_awaited_ms(&mut *self.database().reader().await).await
    }
}
