//! The audit: every entry fetched, hashed, replayed through the rules, and held against the signed head (PROTOCOL 15).
//!
//! A conversation without I/O: [`Auditor::wants`] names what to fetch next, [`Auditor::feed`] takes the bytes, and
//! [`Auditor::take_checks`] hands out the signatures met meanwhile, to be verified on any thread. Whatever does not fit is an
//! [`AuditFault`] that names its place. An auditor that reached the head has recomputed the root, every Epoch's map root and
//! every decision of the rules from nothing but the entries.

mod checks;
mod fault;
mod incoming;
mod judge;
mod read;
mod replay;
mod roots;
mod saved;

use std::collections::VecDeque;

use identity::hash::Hash;
use identity::name::Origin;

use crate::entry::{Entry, EntryError, Epoch, Notice};
use crate::notice::Standing;
use crate::subtree::Subtree;
use crate::tile::{BundleId, RightTiles, Stack, Tile, TileId};

pub use checks::Checks;
pub use fault::AuditFault;
pub use incoming::{Incoming, Lacking};
pub use read::Received;
pub use replay::Replay;
pub use roots::{MapStep, Roots};
pub use saved::SavedError;

use read::{Content, Read, ReadLeaf};

/// How much an audit recomputes (PROTOCOL 15.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Hashes, tiles, batches, Epochs.
    Tree,
    /// Also the rules and every map root.
    Map,
    /// Also every signature.
    Full,
}

/// Which tree a tile belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// The log: `<prefix>/tile/...`.
    Log,
    /// The tree over all Epochs: `<prefix>/history/tile/...`.
    History,
}

/// Something to fetch, relative to the log's read prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// An entry bundle.
    Bundle(BundleId),
    /// A tile, to be held against what the entries give.
    Tile(Tree, TileId),
}

impl Want {
    /// Returns the path below the read prefix, such as `tile/entries/000` or `history/tile/0/000.p/3`.
    pub fn path(&self) -> String {
        match self {
            Self::Bundle(id) => id.to_string(),
            Self::Tile(Tree::Log, id) => id.to_string(),
            Self::Tile(Tree::History, id) => format!("history/{id}"),
        }
    }
}

/// The head an audit goes up to: a checkpoint whose signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The number of leaves.
    pub size: u64,
    /// The root hash.
    pub root: Hash,
}

/// An audit on its way.
#[derive(Debug)]
pub struct Auditor {
    target: Target,
    log: RightTiles,
    history: RightTiles,
    /// Tiles the entries gave, to be compared with the served ones.
    expected: VecDeque<(Tree, Tile)>,
    /// How many entries the open batch has so far.
    batch_len: usize,
    /// What they say, at [`Level::Map`] and above.
    batch: Vec<Result<Entry, EntryError>>,
    last_epoch: Option<Epoch>,
    replay: Option<Replay>,
    notices: Vec<Standing>,
    /// A head met in an earlier run, which this log must pass through.
    remembered: Option<Target>,
    ended: bool,
    /// A fault found while replaying; the tiles that still come may name its place better.
    suspicion: Option<AuditFault>,
}

impl Auditor {
    /// Starts at the first entry.
    pub fn new(origin: &Origin, level: Level, target: Target) -> Self {
        Self {
            target,
            log: RightTiles::new(),
            history: RightTiles::new(),
            expected: VecDeque::new(),
            batch_len: 0,
            batch: Vec::new(),
            last_epoch: None,
            replay: (level > Level::Tree).then(|| Replay::new(origin, level)),
            notices: Vec::new(),
            remembered: None,
            ended: false,
            suspicion: None,
        }
    }

    /// Also demands that the log passes through this head, met in an earlier run.
    pub fn remember(&mut self, head: Target) {
        self.remembered = Some(head);
    }

    /// Returns the entries replayed and the entries there are.
    pub fn progress(&self) -> (u64, u64) {
        (self.log.size(), self.target.size)
    }

    /// Returns the tree of the entries taken in so far, its size and root: the one at fault is the last of them.
    pub fn tree(&self) -> (u64, Hash) {
        (self.log.size(), self.log.root())
    }

    /// Returns what to feed next, and what will likely be wanted after it; empty once the audit is through.
    ///
    /// Only the first is to be fed: a tile of the history may come between. The rest, at most `bundles` bundles with their
    /// tiles, is named so that a caller can fetch ahead.
    pub fn wants(&self, bundles: usize) -> Vec<Want> {
        let mut wants: Vec<Want> = self.expected.iter().map(|(tree, tile)| Want::Tile(*tree, tile.id())).collect();
        if self.suspicion.is_some() {
            return wants;
        }
        let mut next = self.log.size();
        for _ in 0..bundles {
            let Ok(id) = BundleId::of_entry(next, self.target.size) else { break };
            wants.push(Want::Bundle(id));
            if id.tile().is_full() {
                wants.push(Want::Tile(Tree::Log, id.tile()));
            }
            next = (id.index() + 1) * 256;
        }
        wants
    }

    /// Returns the fault that was found while tiles are still compared to name its place.
    ///
    /// A caller that cannot get those tiles reports this fault.
    pub fn suspicion(&self) -> Option<&AuditFault> {
        self.suspicion.as_ref()
    }

    /// Takes the bytes of the first thing that [`Auditor::wants`] named.
    pub fn feed(&mut self, want: &Want, bytes: &[u8]) -> Result<(), AuditFault> {
        self.feed_received(Received::of(want, bytes, self.level()))
    }

    /// As [`Auditor::feed`], of what was read before, for this level or a higher one.
    pub fn feed_received(&mut self, Received(read): Received) -> Result<(), AuditFault> {
        match read {
            Read::Bundle(id, level, leaves) => {
                assert!(level >= self.level(), "a bundle is read for the level of its audit");
                self.feed_bundle(id, leaves)
            }
            Read::Tile(tree, id, tile) => self.feed_tile(tree, id, tile),
        }
    }

    /// Leaves out the comparison of the tile wanted first, for a caller that keeps no such tile; nothing if none is wanted.
    pub fn skip_tile(&mut self) -> Result<(), AuditFault> {
        match self.expected.pop_front() {
            Some(_) => self.judge(),
            None => Ok(()),
        }
    }

    /// Returns the signatures met since the last call, to be verified; empty below [`Level::Full`].
    pub fn take_checks(&mut self) -> Checks {
        self.replay.as_mut().map(Replay::take_checks).unwrap_or_default()
    }

    /// Hands the map out, to be rebuilt on another thread: from now on [`Auditor::take_steps`] says what to do to it.
    ///
    /// `None` below [`Level::Map`], or if it was handed out before. A fault found there goes to [`Auditor::suspect`]; a save is
    /// worth what the steps taken by then have proved.
    pub fn part_map(&mut self) -> Option<Roots> {
        self.replay.as_mut().and_then(Replay::part_map)
    }

    /// Returns the steps of a map handed out since the last call, in their order.
    pub fn take_steps(&mut self) -> Vec<MapStep> {
        self.replay.as_mut().map(Replay::take_steps).unwrap_or_default()
    }

    /// Takes a fault in that was found beside the replay, earlier in the log than any it found itself.
    ///
    /// Replays nothing more: the tiles still to be compared may name its place better. Errors: the fault, if there are none.
    pub fn suspect(&mut self, fault: AuditFault) -> Result<(), AuditFault> {
        self.suspicion = Some(fault);
        self.judge()
    }

    /// Returns the replayed states, at [`Level::Map`] and above.
    pub fn replay(&self) -> Option<&Replay> {
        self.replay.as_ref()
    }

    /// Returns how much this audit recomputes.
    pub fn level(&self) -> Level {
        self.replay.as_ref().map_or(Level::Tree, Replay::level)
    }

    /// Returns the newest Epoch replayed.
    pub fn epoch(&self) -> Option<&Epoch> {
        self.last_epoch.as_ref()
    }

    /// Returns what the newest Epoch's own history root is made of, for evidence: the leaf hash of the Epoch before it, then
    /// that leaf's path. Empty for Epoch 0; `None` where the hashes are no longer at hand, after one Epoch in 128.
    pub fn history_of_newest(&self) -> Option<Vec<Hash>> {
        let count = self.history.size().checked_sub(1)?;
        if count == 0 {
            return Some(Vec::new());
        }
        let mut levels = self.history.parts().to_vec();
        levels.first_mut()?.pop()?;
        let before = RightTiles::from_parts(count, levels).ok()?;
        let last = *before.parts().first()?.last()?;
        let path = Stack::new(&before).path(count - 1, |_| Err::<Subtree, ()>(())).ok()??;
        Some([vec![last], path].concat())
    }

    /// Returns the Notices met since this auditor was made, in log order: a resumed audit names those of its own run.
    pub fn notices(&self) -> &[Standing] {
        &self.notices
    }

    /// Goes on to another head of the same log: a newer one, or the one at which this audit stands.
    pub fn follow(&mut self, target: Target) -> Result<(), AuditFault> {
        if target.size < self.log.size() {
            return Err(AuditFault::Shrunk { size: target.size, known: self.log.size() });
        }
        if target.size == self.log.size() && target.root != self.log.root() {
            return Err(AuditFault::Inconsistent { size: target.size });
        }
        self.ended = target.size == self.log.size();
        self.target = target;
        Ok(())
    }

    /// Returns whether everything up to the target was replayed and compared.
    pub fn is_through(&self) -> bool {
        self.ended && self.expected.is_empty()
    }

    fn feed_bundle(&mut self, id: BundleId, leaves: Option<Vec<ReadLeaf>>) -> Result<(), AuditFault> {
        let leaves = leaves.ok_or_else(|| AuditFault::Bundle { path: id.to_string() })?;
        let skip = usize::try_from(self.log.size() - id.index() * 256).expect("less than one bundle");
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf.hash).collect();
        let replayed = leaves.into_iter().skip(skip).try_for_each(|leaf| self.feed_leaf(leaf));
        if let Err(fault) = replayed {
            // Were the entries changed on their way, or does the log say so? The tile of this bundle tells.
            let tile = Tile::new(id.tile(), hashes).expect("a bundle has as many entries as its tile has hashes");
            self.expected = VecDeque::from([(Tree::Log, tile)]);
            self.suspicion = Some(fault);
            return Ok(());
        }
        if self.log.size() == self.target.size {
            self.end()?;
        }
        Ok(())
    }

    fn feed_leaf(&mut self, leaf: ReadLeaf) -> Result<(), AuditFault> {
        let index = self.log.size();
        for tile in self.log.append(leaf.hash) {
            self.expected.push_back((Tree::Log, tile));
        }
        match leaf.content {
            Content::Epoch(epoch) => {
                let epoch = epoch.map_err(|_| AuditFault::Entry { index, code: "epoch" })?;
                self.close_batch(epoch, index)?;
                for tile in self.history.append(leaf.hash) {
                    self.expected.push_back((Tree::History, tile));
                }
            }
            content => {
                self.batch_len += 1;
                if let Content::Entry(entry) = content {
                    self.hold(entry, index);
                }
                if self.batch_len > crate::limits::BATCH_ENTRIES_MAX {
                    return Err(AuditFault::Entry { index, code: "batch_too_long" });
                }
            }
        }
        self.check_remembered()
    }

    /// Holds what an entry says until its batch is closed, and keeps what a Notice says. One that does not decode is the replay's
    /// to name.
    fn hold(&mut self, entry: Result<Entry, EntryError>, index: u64) {
        if let Ok(Entry::Notice(Notice { kind, origin, .. })) = &entry {
            self.notices.push(Standing { index, kind: *kind, origin: origin.clone() });
        }
        if self.replay.is_some() {
            self.batch.push(entry);
        }
    }

    /// Checks an Epoch against the batch it closes (PROTOCOL 7.2, 7.4).
    fn close_batch(&mut self, epoch: Epoch, index: u64) -> Result<(), AuditFault> {
        let before = EpochRule {
            k: self.history.size(),
            time_ms: self.last_epoch.as_ref().map_or(0, |last| last.time_ms),
            history_root: self.history.root(),
        };
        before.check(&epoch, index)?;
        let (batch, len) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.batch_len));
        if let Some(replay) = &mut self.replay {
            replay.batch(batch, index - len as u64, &epoch)?;
            replay.head(self.log.size(), self.log.root());
        }
        self.last_epoch = Some(epoch);
        Ok(())
    }

    fn check_remembered(&mut self) -> Result<(), AuditFault> {
        let Some(known) = &self.remembered else { return Ok(()) };
        if known.size != self.log.size() {
            return Ok(());
        }
        match known.root == self.log.root() {
            true => self.remembered = None,
            false => return Err(AuditFault::Inconsistent { size: known.size }),
        }
        Ok(())
    }

    /// Checks the end: the root, the last leaf, and the partial tiles, which may say where a wrong root comes from.
    fn end(&mut self) -> Result<(), AuditFault> {
        if self.log.root() != self.target.root {
            self.suspicion = Some(AuditFault::Root { size: self.target.size });
        } else if self.batch_len > 0 {
            return Err(AuditFault::LastLeaf { size: self.target.size });
        } else if let Some(known) = &self.remembered {
            return Err(AuditFault::Shrunk { size: self.target.size, known: known.size });
        }
        self.expected.extend(self.log.partials().map(|tile| (Tree::Log, tile)));
        self.expected.extend(self.history.partials().map(|tile| (Tree::History, tile)));
        self.ended = true;
        self.judge()
    }

    /// Reports a suspicion once no tile is left that could name the place.
    fn judge(&mut self) -> Result<(), AuditFault> {
        match self.expected.is_empty() {
            true => self.suspicion.take().map_or(Ok(()), Err),
            false => Ok(()),
        }
    }

    fn feed_tile(&mut self, tree: Tree, id: TileId, served: Option<Tile>) -> Result<(), AuditFault> {
        let Some((_, expected)) = self.expected.pop_front() else { return Ok(()) };
        debug_assert_eq!(expected.id(), id, "tiles are fed in the order they are wanted");
        let wrong = match &served {
            None => Some(None),
            Some(served) => served.hashes().iter().zip(expected.hashes()).position(|(a, b)| a != b).map(Some),
        };
        match wrong {
            None => self.judge(),
            Some(place) => Err(AuditFault::Tile {
                path: Want::Tile(tree, id).path(),
                hash: place.map(|place| id.index() * 256 + place as u64),
            }),
        }
    }
}

/// What the log before it demands of an Epoch (PROTOCOL 7.2).
struct EpochRule {
    /// How many Epochs there are.
    k: u64,
    /// The time of the last one.
    time_ms: u64,
    /// The root over them.
    history_root: Hash,
}

impl EpochRule {
    /// Holds the Epoch at `index` against it.
    fn check(&self, epoch: &Epoch, index: u64) -> Result<(), AuditFault> {
        let fault = |code| Err(AuditFault::Epoch { k: epoch.k, index, code });
        if epoch.covers != index {
            fault("covers")
        } else if epoch.k != self.k {
            fault("k")
        } else if epoch.time_ms < self.time_ms {
            fault("time_ms")
        } else if epoch.history_root != self.history_root {
            fault("history_root")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
