//! The states behind the map's labels: a bounded cache in front of SQL, held to the map by commitment.

use std::sync::Arc;
use std::time::Duration;

use identity::hash::Hash;
use identity::name::Zone;
use identity::rules::{self, World};
use identity::state::{Leaf, Subject};
use quick_cache::sync::Cache;
use storage::rows::LabelRow;
use storage::{Storage, StorageError};
use translog::batch::Change;
use translog::map::{self, LabelKind, OpenedLeaf};

use super::damaged;
use super::live::Live;
use super::shown::Asked;

/// One label's state with what the map says of it.
#[derive(Clone, Debug)]
pub struct Held {
    /// The map's commitment to it.
    pub commitment: Hash,
    /// The state.
    pub leaf: Arc<Leaf>,
}

/// The states of labels, by label.
#[derive(Debug)]
pub struct States {
    cache: Cache<Hash, Arc<Held>>,
}

/// The bytes a cached state takes, on average, with its place in the cache: a DID with two devices and its name.
const HELD_BYTES: u64 = 900;

/// How long a committed batch may take to be shown: the guard's fdatasync, with a slow disk's margin.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

impl States {
    /// Returns an empty cache of at most about `bytes` bytes.
    pub fn new(bytes: u64) -> Self {
        Self { cache: Cache::new(usize::try_from(bytes / HELD_BYTES).unwrap_or(usize::MAX).max(64)) }
    }

    /// Remembers the states a batch made; the batch is shown next.
    pub fn remember<'a>(&self, changes: impl Iterator<Item = &'a Change>) {
        for change in changes {
            let held = Held { commitment: change.commitment, leaf: change.leaf.clone() };
            self.cache.insert(change.label, Arc::new(held));
        }
    }

    /// Returns the state of each label that the map under the head asked for holds; `None` where it holds none.
    ///
    /// SQL holds the newest states alone; older ones that a head shown commits to are in memory. SQL runs ahead of the map
    /// between the commit of a batch and the moment it is shown. What SQL gives then does not meet the commitment, and both
    /// are read again once the map moved: what is returned is what the map committed to at some moment of the call. A mismatch
    /// that no batch explains is damage.
    pub async fn load(
        &self,
        live: &Live,
        storage: &Storage,
        labels: &[Hash],
        asked: Asked,
    ) -> Result<Vec<Option<Arc<Held>>>, StorageError> {
        let mut moved = live.moved();
        loop {
            moved.mark_unchanged();
            let wanted = commitments(live, labels, asked);
            let mut found = self.in_memory(live, labels, &wanted);
            let missing: Vec<Hash> = (0..labels.len())
                .filter(|place| wanted[*place].is_some() && found[*place].is_none())
                .map(|place| labels[place])
                .collect();
            if missing.is_empty() {
                return Ok(found);
            }
            for row in storage.log().labels(&missing).await?.into_iter().flatten() {
                let leaf = Arc::new(leaf_of(&row)?);
                let held = Arc::new(Held { commitment: map::commitment(&leaf), leaf });
                for place in (0..labels.len()).filter(|place| labels[*place] == row.label) {
                    if wanted[place] == Some(held.commitment) {
                        self.cache.insert(row.label, held.clone());
                        found[place] = Some(held.clone());
                    }
                }
            }
            if found.iter().zip(&wanted).all(|(held, wanted)| held.is_some() == wanted.is_some()) {
                return Ok(found);
            }
            if commitments(live, labels, asked) != wanted {
                continue; // another head is shown since; what the one before needed may be gone
            }
            if tokio::time::timeout(SHOWN_WITHIN, moved.changed()).await.is_err() {
                return Err(damaged("labels", "a state is missing or is not the one the map commits to"));
            }
        }
    }

    /// Puts the newest states of `subjects` into `world`, absent ones as `None`.
    pub async fn fill(
        &self,
        live: &Live,
        storage: &Storage,
        world: &mut World,
        subjects: Vec<Subject>,
    ) -> Result<(), StorageError> {
        let labels: Vec<Hash> = subjects.iter().map(map::label).collect();
        let held = self.load(live, storage, &labels, Asked::Newest).await?;
        for (subject, held) in subjects.into_iter().zip(held) {
            world.insert(subject, held.map(|held| held.leaf.clone()));
        }
        Ok(())
    }

    /// Forgets every state: the database was read again from the start.
    pub fn clear(&self) {
        self.cache.clear();
    }

    /// The states that are in memory: cached because they are the newest, or kept because a head shown commits to them.
    fn in_memory(&self, live: &Live, labels: &[Hash], wanted: &[Option<Hash>]) -> Vec<Option<Arc<Held>>> {
        let held = |label: &Hash, wanted: Option<Hash>| {
            let cached = self.cache.get(label).filter(|held| Some(held.commitment) == wanted);
            cached.or_else(|| live.read().shown.replaced(label, &wanted?))
        };
        labels.iter().zip(wanted).map(|(label, wanted)| held(label, *wanted)).collect()
    }
}

/// What the map under the head asked for holds of these labels.
fn commitments(live: &Live, labels: &[Hash], asked: Asked) -> Vec<Option<Hash>> {
    let inner = live.read();
    let map = inner.map_at(asked);
    labels.iter().map(|label| map.get(label)).collect()
}

/// Returns an empty world of this zone and server.
pub fn world(zone: &Zone, server: Option<identity::did::Did>) -> World {
    World::new(zone.clone(), zone.origin(), server)
}

/// Returns the leaf of a row.
pub fn leaf_of(row: &LabelRow) -> Result<Leaf, StorageError> {
    let kind = match row.kind {
        1 => LabelKind::Name,
        2 => LabelKind::Did,
        3 => LabelKind::Alias,
        4 => LabelKind::LogConf,
        5 => LabelKind::Anchors,
        _ => return Err(damaged("labels", "a label of unknown kind")),
    };
    let state = kind.decode_state(&row.state).map_err(|_| damaged("labels", "a state does not decode"))?;
    Ok(Leaf { head_index: row.head_index, head_hash: row.head_hash, state })
}

/// Returns the row of a changed label.
pub fn row_of(subject: &Subject, change: &Change) -> LabelRow {
    let opened = OpenedLeaf::of(&change.leaf);
    LabelRow {
        label: change.label,
        kind: LabelKind::of(subject) as u8,
        version: opened.version,
        head_index: opened.head_index,
        head_hash: opened.head_hash,
        flags: opened.flags,
        due_ms: rules::due_ms(&change.leaf),
        commitment: change.commitment,
        state: change.state.clone(),
    }
}
