//! Anchors: the heads of all logs, said in the log of names (PROTOCOL 25.9).
//!
//! An anchor is durable in the store, then posted. What a crash leaves is posted again as it is; a store that lacks an anchor which
//! the log of names has was put back from an older copy: nothing is appended to it any more, and readers are told how far it is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dgns_api::store::anchor::{AnchorTree, AnchoredLog, Changes};
use dgns_api::store::entry::LogId;
use dgns_api::store::head::StoreHead;
use dgns_api::store::limits::ANCHOR_CHANGES_MAX;
use identity::state::{State, Subject};
use storage::StorageError;
use storage::store::Store;
use tokio::sync::watch;
use tracing::{error, info, warn};
use translog::batch::Post;
use translog::entry::Anchor;
use translog::map::{self, KeptRoot};

use super::{Databases, StoreRefusal, Who};
use crate::app::{App, Role};
use crate::core::Core;
use crate::log::damaged;
use crate::log::door::{Door, DoorError};
use crate::log::shown::Asked;
use crate::shutdown;

/// The anchors that are answered for one by one: as old as a head of the log of names may be that somebody asks under.
const ANSWERED_FOR: u64 = 64;

/// The tree of the anchors, with how far the log of names has them.
pub(super) struct Anchors {
    trees: Mutex<Trees>,
    /// The number of the newest anchor in the log of names.
    since: AtomicU64,
    /// The databases are not those that the log of names knows.
    rolled_back: AtomicBool,
}

/// The tree of the newest anchor, and the roots of those before.
struct Trees {
    tree: AnchorTree,
    kept: VecDeque<(Anchor, KeptRoot)>,
}

impl Trees {
    async fn read(store: &Store) -> Result<Self, StorageError> {
        let rows = store.anchors(ANSWERED_FOR).await?;
        let tree = AnchorTree::of_anchor(rows.base, rows.heads).map_err(|fault| damaged("anchor", fault.code()))?;
        let mut trees = Self { tree, kept: VecDeque::new() };
        trees.keep();
        for changes in &rows.since {
            trees.take(changes)?;
        }
        Ok(trees)
    }

    fn keep(&mut self) {
        let Some(anchor) = self.tree.newest().cloned() else { return };
        let root = self.tree.map_mut().keep_root();
        self.kept.push_back((anchor, root));
        if self.kept.len() as u64 > ANSWERED_FOR
            && let Some((_, oldest)) = self.kept.pop_front()
        {
            self.tree.map_mut().release_root(oldest);
        }
    }

    /// Takes an anchor; one that is here already changes nothing.
    fn take(&mut self, changes: &Changes) -> Result<(), StorageError> {
        if changes.anchor.k <= self.tree.newest().map_or(0, |newest| newest.k) {
            return Ok(());
        }
        self.tree.apply(changes).map_err(|fault| damaged("anchor", fault.code()))?;
        self.keep();
        Ok(())
    }
}

impl Anchors {
    /// Reads the anchors. How they stand to the log of names is not known yet.
    pub(super) async fn open(store: &Store) -> Result<Self, StorageError> {
        let trees = Mutex::new(Trees::read(store).await?);
        Ok(Self { trees, since: AtomicU64::new(0), rolled_back: AtomicBool::new(false) })
    }

    /// Returns the newest anchor that the log of names is known to have.
    pub(super) fn since(&self) -> u64 {
        self.since.load(Ordering::Acquire)
    }

    /// Notes an anchor that the log of names has.
    fn logged(&self, k: u64) {
        self.since.fetch_max(k, Ordering::AcqRel);
    }

    /// Returns whether the databases are older than what the log of names says of them.
    pub(super) fn are_rolled_back(&self) -> bool {
        self.rolled_back.load(Ordering::Acquire)
    }

    fn newest(&self) -> Option<Anchor> {
        self.trees.lock().expect("no holder panics").tree.newest().cloned()
    }
}

impl Databases {
    /// Compares the anchors kept here with the newest in the log of names; returns the one that is still to be posted.
    pub async fn compare_anchors(&self, core: &Core) -> Result<Option<Anchor>, StorageError> {
        let logged = logged(core).await?;
        let there = logged.as_ref().map_or(0, |anchor| anchor.k);
        self.anchors.logged(there);
        let mut here = self.anchors.newest();
        if here != logged && here.as_ref().is_none_or(|here| here.follows(logged.as_ref()).is_err()) {
            // Another node of the same databases may have anchored meanwhile: what is kept decides.
            let kept = self.store.anchor(there).await?.map(|changes| changes.anchor);
            *self.anchors.trees.lock().expect("no holder panics") = Trees::read(&self.store).await?;
            here = self.anchors.newest();
            if kept != logged && !self.anchors.rolled_back.swap(true, Ordering::AcqRel) {
                let here = here.as_ref().map_or(0, |anchor| anchor.k);
                let what =
                    "the databases are not those that the log of names knows: nothing is appended until they are";
                error!(here, there, what);
            }
        }
        let waits = here.as_ref().is_some_and(|here| here.follows(logged.as_ref()).is_ok());
        Ok(here.filter(|_| waits))
    }

    /// Takes over what other nodes of the same databases anchored, and compares it with the newest that came with the log of names.
    pub async fn follow_anchors(&self, core: &Core) -> Result<(), StorageError> {
        // An anchor is in the databases before it is in the log.
        let Some(logged) = logged(core).await? else { return self.take_anchors().await };
        self.take_anchors().await?;
        let contradicted = {
            let trees = self.anchors.trees.lock().expect("no holder panics");
            match trees.kept.iter().find(|(anchor, _)| anchor.k == logged.k) {
                Some((anchor, _)) => *anchor != logged,
                None => trees.tree.newest().is_none_or(|newest| newest.k < logged.k),
            }
        };
        self.anchors.logged(logged.k);
        if contradicted && !self.anchors.rolled_back.swap(true, Ordering::AcqRel) {
            error!(
                there = logged.k,
                "the databases are not those that the log of names knows: nothing is appended here"
            );
        }
        Ok(())
    }

    /// Takes over what another node anchored.
    async fn take_anchors(&self) -> Result<(), StorageError> {
        loop {
            let next = self.anchors.newest().map_or(1, |anchor| anchor.k + 1);
            let Some(changes) = self.store.anchor(next).await? else { return Ok(()) };
            self.anchors.trees.lock().expect("no holder panics").take(&changes)?;
        }
    }

    /// Says in the log of names how far the logs are, if one grew; returns the anchor's number.
    pub async fn anchor(&self, core: &Core, door: &Door) -> Result<Option<u64>, AnchorError> {
        let anchor = match self.compare_anchors(core).await? {
            Some(waiting) => waiting,
            None if self.anchors.are_rolled_back() => return Ok(None),
            None => match self.next_anchor().await? {
                Some(anchor) => anchor,
                None => return Ok(None),
            },
        };
        let k = anchor.k;
        door.publish_own(Post::anchor(anchor)).await?;
        self.anchors.logged(k);
        Ok(Some(k))
    }

    /// Makes the anchor over what grew, durably; or returns the one that is there already.
    async fn next_anchor(&self) -> Result<Option<Anchor>, StorageError> {
        let next = self.anchors.newest().map_or(1, |anchor| anchor.k + 1);
        // One whose commit was never heard of.
        if let Some(kept) = self.store.anchor(next).await? {
            self.anchors.trees.lock().expect("no holder panics").take(&kept)?;
            return Ok(Some(kept.anchor));
        }
        let logs = self.store.grown_logs(ANCHOR_CHANGES_MAX as u64).await?;
        if logs.is_empty() {
            return Ok(None);
        }
        let newer = logs.iter().map(|log| (log.label, log.size, log.root));
        let changes = self.anchors.trees.lock().expect("no holder panics").tree.next(newer);
        self.store.put_anchor(&changes, &logs).await?;
        self.anchors.trees.lock().expect("no holder panics").take(&changes)?;
        Ok(Some(changes.anchor))
    }

    /// Shows a reader how anchor `k` has a log, and how the log stands now.
    pub async fn anchored(
        &self,
        core: &Core,
        log: &LogId,
        reader: &Who,
        k: u64,
        old: Option<u64>,
    ) -> Result<Vec<u8>, StoreRefusal> {
        // Whoever read the log of names may have met an anchor before this looked for it.
        if self.anchors.since() < k {
            self.follow_anchors(core).await?;
        }
        // What the head is not older than is read before the head.
        let since = self.anchors.since();
        let row = self.known(core, log, reader).await?.0.row;
        let size = row.edge.size();
        if old.is_some_and(|old| old > size) {
            return Err(StoreRefusal::Range);
        }
        let (label, anchored) = self.store.anchored(log, k).await?.ok_or(StoreRefusal::NotFound)?;
        let (anchor, proof) = {
            let trees = self.anchors.trees.lock().expect("no holder panics");
            let kept = trees.kept.iter().find(|(anchor, _)| anchor.k == k);
            let (anchor, root) = kept.ok_or(match self.anchors.are_rolled_back() {
                true => StoreRefusal::RolledBack,
                false => StoreRefusal::NotFound,
            })?;
            let proof = trees.tree.map().at(root).prove(&[label]);
            (anchor.clone(), proof.map_err(|_| damaged("anchor", "its tree gives no proof"))?)
        };
        let path = async |from: Option<u64>| match from {
            Some(from) => self.store.grown(log, from, size).await?.ok_or(StoreRefusal::Range),
            None => Ok(Vec::new()),
        };
        let grown = path(anchored.map(|head| head.size)).await?;
        let consistency = path(old).await?;
        let head = self.signed(core, StoreHead { since: Some(since), ..super::head_of(core, &row) });
        Ok(AnchoredLog { anchor, anchored, proof, head, grown, consistency }.encode())
    }

    /// Returns what an anchor changes: to anybody, since it does not say which logs.
    pub async fn anchor_changes(&self, k: u64) -> Result<Vec<u8>, StoreRefusal> {
        Ok(self.store.anchor(k).await?.ok_or(StoreRefusal::NotFound)?.encode())
    }

    /// Returns how far the databases are, signed: the number and root of their newest anchor, and the newest that the log of names has.
    pub async fn stand(&self, core: &Core) -> Result<Vec<u8>, StoreRefusal> {
        self.follow_anchors(core).await?;
        let newest = self.anchors.newest();
        let (size, root) = newest.map_or((0, map::EMPTY), |anchor| (anchor.k, anchor.root));
        let time_ms = core.clock.now().as_ms();
        let since = Some(self.anchors.since());
        let stand = StoreHead { log: LogId::STAND, size, root, time_ms, store: core.server, since };
        Ok(self.signed(core, stand).as_bytes().to_vec())
    }
}

/// Why nothing was anchored now. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The databases or the log of names cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log of names does not take it now.
    #[error(transparent)]
    Door(#[from] DoorError),
}

/// How often a follower looks for anchors of the server it follows.
const FOLLOWED_EVERY: Duration = Duration::from_secs(1);

/// Anchors what grew, or at a follower takes over what was anchored, until the server stops.
pub async fn keep(app: Arc<App>, databases: Arc<Databases>, every: Duration, mut stopping: watch::Receiver<bool>) {
    loop {
        let (every, anchored) = match &app.role {
            Role::Writer(door) => (every, databases.anchor(&app.core, door).await),
            Role::Follower(_) => {
                let followed = databases.follow_anchors(&app.core).await;
                (FOLLOWED_EVERY, followed.map(|()| None).map_err(AnchorError::from))
            }
        };
        match anchored {
            Ok(Some(k)) => info!(k, "the heads of databases are anchored"),
            Ok(None) => {}
            Err(error) => warn!(%error, "the heads of databases are not anchored yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = shutdown::requested(&mut stopping) => return,
        }
    }
}

/// Returns the newest anchor in the log of names.
async fn logged(core: &Core) -> Result<Option<Anchor>, StorageError> {
    let held = core.states.load(&core.live, &core.storage, &[map::label(&Subject::Anchors)], Asked::Newest).await?;
    match held[0].as_deref().map(|held| &held.leaf.state) {
        Some(State::Anchors { payload, .. }) => {
            Anchor::decode(payload).map(Some).map_err(|_| damaged("labels", "an anchor does not decode"))
        }
        _ => Ok(None),
    }
}
