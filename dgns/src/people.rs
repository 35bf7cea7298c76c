//! What this server keeps of people, beside its log: the database and the key that blinds what stands in it.

pub mod aliases;
pub mod bells;
pub mod boxes;
pub mod events;
pub mod teller;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use identity::did::Did;
use rand_core::CryptoRng;
use storage::people::People as Store;
use tokio::sync::Notify;

use storage::StorageError;

use self::bells::Bells;
use self::events::{EventData, EventKind};
use crate::keys::{KeyFileError, PeopleKey};
use crate::server::ServerError;

/// `people.db` with its key. A server that follows another has none.
pub struct People {
    /// The tables.
    pub store: Store,
    /// What subjects and e-mail addresses are blinded with.
    pub key: PeopleKey,
    /// Who waits for news.
    pub bells: Bells,
    /// Rings when something waits to be pushed.
    pub pushes: Notify,
    told: AtomicU64,
}

impl People {
    /// Opens the database below `data` and reads its key; both are made at the first start.
    ///
    /// Errors: a database without its key, whose rows nobody could find again.
    pub async fn open(data: &Path, streams_max: usize, rng: &mut impl CryptoRng) -> Result<Self, ServerError> {
        let path = data.join("keys").join(PeopleKey::FILE);
        if Store::is_in(data) && !path.exists() {
            let error = std::io::Error::other("is missing, and people.db is of no use without it; put it back");
            return Err(KeyFileError::Io { path, error }.into());
        }
        // The key first: a crash in between leaves a key for a database still to be made.
        let key = PeopleKey::read_or_make(&path, rng)?;
        let (bells, told) = (Bells::new(streams_max), AtomicU64::new(0));
        Ok(Self { store: Store::open(data).await?, key, bells, pushes: Notify::new(), told })
    }

    /// Tells a DID's devices what is not in the log.
    pub async fn tell(&self, did: &Did, kind: EventKind, data: EventData) -> Result<(), StorageError> {
        self.store.put_event(did, kind as u8, &data.to_json(), data.at_ms).await?;
        self.told(std::iter::once(did));
        Ok(())
    }

    /// Wakes who listens to these DIDs: what they are told is kept.
    fn told<'a>(&self, dids: impl Iterator<Item = &'a Did>) {
        for did in dids {
            self.told.fetch_add(1, Ordering::Relaxed);
            self.bells.ring(did);
        }
    }

    /// Returns how much devices were told since the start.
    pub fn told_in_all(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }
}
