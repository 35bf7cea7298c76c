//! Notifications: what devices joined, how they are reached while they are not here, and what waits to be pushed.

use identity::cert::KeyBytes;
use identity::did::Did;

use super::People;
use crate::database;
use crate::fault::StorageError;
use crate::table::notify;

/// Logs that the devices of one DID joined.
pub const JOINS_OF_DID_MAX: usize = 1_024;

/// A log that a device joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRow {
    /// The device.
    pub device: KeyBytes,
    /// Whose host publishes it.
    pub name: String,
    /// Which of its logs.
    pub log: [u8; 16],
    /// The device's DID.
    pub did: Did,
    /// Until when nothing is said of it, ms; 0: now too.
    pub muted_until_ms: u64,
    /// What was pushed last.
    pub sent_size: u64,
    /// What the device read.
    pub read_size: u64,
}

/// How a device is reached, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRow {
    /// The device's DID.
    pub did: Did,
    /// The box.
    pub enc: [u8; 32],
    /// The rest of it.
    pub sealed: Vec<u8>,
}

/// What waits to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// To which device.
    pub device: KeyBytes,
    /// Whose log; empty: an event of the device's DID.
    pub name: String,
    /// Which of them; of an event its kind, in the last byte.
    pub log: [u8; 16],
    /// Its size; of an event 1 more than the log index to look at, 0 if there is none.
    pub size: u64,
    /// How often it was tried.
    pub tries: u32,
    /// Since when it waits, ms.
    pub from_ms: u64,
}

impl OutboxRow {
    /// Returns kind and index of an event; `None`: it is about a log.
    pub fn event(&self) -> Option<(u8, Option<u64>)> {
        self.name.is_empty().then(|| (self.log[15], self.size.checked_sub(1)))
    }
}

/// A change of what a device joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinChange {
    /// The device, one of the DID's.
    pub device: KeyBytes,
    /// Whose host publishes.
    pub name: String,
    /// Which of its logs.
    pub log: [u8; 16],
    /// What becomes of it.
    pub what: JoinWhat,
}

/// What becomes of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinWhat {
    /// It begins, if it has not.
    Join,
    /// Nothing is said of it before this time, ms.
    Mute(u64),
    /// It is spoken of again.
    Unmute,
    /// It ends.
    Leave,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// Done; this is the version now.
    Version(u64),
    /// It was made for another version than this one.
    Other(u64),
    /// The DID would have joined too much.
    TooMany,
}

impl People {
    /// Changes what the devices of a DID joined. `version` is the one it becomes, the stored one plus 1; 0 replaces everything by
    /// these changes.
    pub async fn update_joins(&self, did: &Did, version: u64, changes: &[JoinChange]) -> Result<Updated, StorageError> {
        let mut tx = self.database().write().await?;
        let stored = notify::version(&mut tx, did).await?;
        if version == 0 {
            notify::leave_all(&mut tx, did).await?;
        } else if version != stored + 1 {
            tx.commit(0).await?;
            return Ok(Updated::Other(stored));
        }
        for change in changes {
            let key = (&change.device, change.name.as_str(), &change.log);
            match change.what {
                JoinWhat::Join => notify::join(&mut tx, key, did).await?,
                JoinWhat::Mute(until_ms) => {
                    if version == 0 {
                        notify::join(&mut tx, key, did).await?;
                    }
                    notify::mute(&mut tx, key, until_ms).await?;
                }
                JoinWhat::Unmute => notify::mute(&mut tx, key, 0).await?,
                JoinWhat::Leave => notify::leave(&mut tx, key).await?,
            }
        }
        if notify::of_did(&mut tx, did).await?.len() > JOINS_OF_DID_MAX {
            return Ok(Updated::TooMany);
        }
        notify::set_version(&mut tx, did, stored + 1).await?;
        tx.commit(changes.len() + 1).await?;
        Ok(Updated::Version(stored + 1))
    }

    /// Returns the version of what a DID's devices joined, and all of it.
    pub async fn joins_of_did(&self, did: &Did) -> Result<(u64, Vec<JoinRow>), StorageError> {
        let mut reader = self.database().reader().await;
        let mut tx = database::begin_reading(&mut reader).await?;
        Ok((notify::version(&mut tx, did).await?, notify::of_did(&mut tx, did).await?))
    }

    /// Returns what a device joined.
    pub async fn joins_of_device(&self, device: &KeyBytes) -> Result<Vec<JoinRow>, StorageError> {
        notify::of_device(&mut *self.database().reader().await, device).await
    }

    /// Notes what a device read.
    pub async fn note_read(&self, device: &KeyBytes, read: &[(String, [u8; 16], u64)]) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        for (name, log, size) in read {
            notify::read(&mut tx, (device, name, log), *size).await?;
            notify::done(&mut tx, (device, name, log), *size).await?;
        }
        tx.commit(2 * read.len()).await
    }

    /// Returns who is to be pushed to when a log has this size.
    pub async fn awaiting(
        &self,
        name: &str,
        log: &[u8; 16],
        size: u64,
        now_ms: u64,
    ) -> Result<Vec<JoinRow>, StorageError> {
        notify::awaiting(&mut *self.database().reader().await, name, log, size, now_ms).await
    }

    /// Puts pushes where they wait until `due_ms`: device, name, log, size. What waits already keeps its time and has the larger size.
    pub async fn put_pushes(
        &self,
        pushes: &[(KeyBytes, String, [u8; 16], u64)],
        due_ms: u64,
        now_ms: u64,
    ) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        for (device, name, log, size) in pushes {
            notify::put(&mut tx, (device, name, log), *size, (due_ms, now_ms)).await?;
        }
        tx.commit(pushes.len()).await
    }

    /// Returns what is due, and has it due again only at `again_ms`: whoever crashes in between tries again then.
    pub async fn claim_pushes(&self, now_ms: u64, again_ms: u64, most: u64) -> Result<Vec<OutboxRow>, StorageError> {
        if notify::due(&mut *self.database().reader().await, now_ms, 1).await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.database().write().await?;
        let due = notify::due(&mut tx, now_ms, most).await?;
        for row in &due {
            notify::later(&mut tx, (&row.device, &row.name, &row.log), again_ms, row.tries + 1).await?;
        }
        tx.commit(due.len()).await?;
        Ok(due)
    }

    /// Ends a push: it was taken, or is wanted no more.
    pub async fn push_done(&self, row: &OutboxRow, taken: bool) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        let key = (&row.device, row.name.as_str(), &row.log);
        if taken {
            notify::sent(&mut tx, key, row.size).await?;
        }
        notify::done(&mut tx, key, row.size).await?;
        // What grew meanwhile is due at once, as if it were new.
        notify::later(&mut tx, key, 0, 0).await?;
        tx.commit(2).await
    }

    /// Has a push tried again at `due_ms`.
    pub async fn push_later(&self, row: &OutboxRow, due_ms: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        notify::later(&mut tx, (&row.device, &row.name, &row.log), due_ms, row.tries + 1).await?;
        tx.commit(1).await
    }

    /// Keeps how a device is reached; `None` takes it away, with what waits.
    pub async fn put_subscription(&self, device: &KeyBytes, row: Option<&SealedRow>) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        match row {
            Some(row) => notify::subscribe(&mut tx, device, row).await?,
            None => notify::unsubscribe(&mut tx, device).await?,
        }
        tx.commit(1).await
    }

    /// Returns how a device is reached.
    pub async fn subscription(&self, device: &KeyBytes) -> Result<Option<SealedRow>, StorageError> {
        notify::subscription(&mut *self.database().reader().await, device).await
    }

    /// Forgets a device that the log has no more.
    pub async fn forget_device(&self, device: &KeyBytes) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        notify::unsubscribe(&mut tx, device).await?;
        notify::forget(&mut tx, device).await?;
        tx.commit(3).await
    }

    /// Returns how many subscriptions there are, and how many pushes wait.
    pub async fn push_counts(&self) -> Result<(u64, u64), StorageError> {
        let reader = &mut *self.database().reader().await;
        Ok((notify::subscriptions(reader).await?, notify::waiting(reader).await?))
    }
}
