//! Replays batches through the rules and rebuilds the map (PROTOCOL 15.1, levels `map` and `full`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use identity::hash::Hash;
use identity::name::Origin;
use identity::rules::{self, World};
use identity::state::{Leaf, State, Subject};

use super::judge::{self, Judge, Progress};
use super::roots::Update;
use super::{AuditFault, Checks, Level, MapStep, Roots};
use crate::due::DueQueue;
use crate::entry::{Entry, EntryError, Epoch};
use crate::logconf::{Conf, Succession};
use crate::map::{self, LabelKind, OpenedLeaf};

/// The states of a log as its entries make them.
#[derive(Clone, Debug)]
pub struct Replay {
    pub(super) origin: Origin,
    pub(super) level: Level,
    pub(super) server: Option<identity::did::Did>,
    /// `None` if it is rebuilt elsewhere.
    pub(super) roots: Option<Roots>,
    /// What is to be done to it there.
    steps: Vec<MapStep>,
    pub(super) dues: DueQueue,
    /// States as bytes: a decoded one takes three times the memory.
    pub(super) states: HashMap<Hash, Packed>,
    /// The root of every head, by size: what `seen` may name.
    pub(super) heads: BTreeMap<u64, Hash>,
    pub(super) repins: Vec<u64>,
    checks: Checks,
}

/// A leaf in few bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) kind: LabelKind,
    pub(super) head_index: u64,
    pub(super) head_hash: Hash,
    /// Shared with the steps of the map.
    pub(super) state: Arc<[u8]>,
}

impl Replay {
    pub(super) fn new(origin: &Origin, level: Level) -> Self {
        Self {
            origin: origin.clone(),
            level,
            server: None,
            roots: Some(Roots::default()),
            steps: Vec::new(),
            dues: DueQueue::new(),
            states: HashMap::new(),
            heads: BTreeMap::new(),
            repins: Vec::new(),
            checks: Checks::default(),
        }
    }

    /// Returns the state of a subject as the entries replayed so far make it.
    pub fn leaf(&self, subject: &Subject) -> Option<Leaf> {
        self.states.get(&map::label(subject)).map(Packed::leaf)
    }

    /// Returns how much is recomputed.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Returns the number of labels.
    pub fn labels(&self) -> usize {
        self.states.len()
    }

    /// Returns the server's DID, once its genesis was replayed.
    pub fn server(&self) -> Option<identity::did::Did> {
        self.server
    }

    /// Returns the log's configuration, once its first batch was replayed: the keys that sign its heads now.
    pub fn conf(&self) -> Option<Conf> {
        match self.leaf(&Subject::LogConf)?.state {
            State::LogConf { payload, .. } => Conf::decode(&payload).ok(),
            _ => None,
        }
    }

    /// Returns the log indexes of the LogConfs that replaced the log's keys without a signature of an old one, ascending.
    pub fn repins(&self) -> &[u64] {
        &self.repins
    }

    /// Returns the labels with the commitments the entries imply, in no order.
    pub fn commitments(&self) -> impl Iterator<Item = (Hash, Hash)> + '_ {
        self.states.iter().map(|(label, packed)| (*label, map::commitment(&packed.leaf())))
    }

    /// Returns the root of each head replayed, by size.
    pub fn heads(&self) -> &BTreeMap<u64, Hash> {
        &self.heads
    }

    pub(super) fn take_checks(&mut self) -> Checks {
        std::mem::take(&mut self.checks)
    }

    pub(super) fn part_map(&mut self) -> Option<Roots> {
        self.roots.take()
    }

    pub(super) fn take_steps(&mut self) -> Vec<MapStep> {
        std::mem::take(&mut self.steps)
    }

    /// Notes a head of the log.
    pub(super) fn head(&mut self, size: u64, root: Hash) {
        self.heads.insert(size, root);
    }

    /// Replays the entries before an Epoch, the first of them at `first_index`, and compares the map root.
    pub(super) fn batch(
        &mut self,
        entries: Vec<Result<Entry, EntryError>>,
        first_index: u64,
        epoch: &Epoch,
    ) -> Result<(), AuditFault> {
        let entries = judge::sound(entries, first_index)?;
        let world = World::new(self.origin.zone(), self.origin.clone(), self.server);
        let mut judge = Judge::new(world, entries, first_index, epoch.time_ms);
        loop {
            match judge.next(&self.dues, |size| self.heads.get(&size).copied())? {
                Progress::Wants(subjects) => {
                    for subject in subjects {
                        let leaf = self.leaf(&subject).map(Arc::new);
                        judge.insert(subject, leaf);
                    }
                }
                Progress::Applied { index, certificate } if self.level == Level::Full => {
                    self.checks.push(&self.origin, index, &certificate);
                }
                Progress::Configured { index, succession: Succession::Repin, .. } => self.repins.push(index),
                Progress::Applied { .. } | Progress::Configured { .. } => {}
                Progress::Through => break,
            }
        }
        let (world, newest) = judge.end();
        self.server = world.server();
        let made = |(subject, leaf): (&Subject, &Arc<Leaf>)| {
            let (label, packed) = (map::label(subject), Packed::of(subject, leaf));
            (Update { label, opened: OpenedLeaf::of(leaf), state: packed.state.clone() }, packed)
        };
        let (updates, packed): (Vec<Update>, Vec<Packed>) = newest.iter().map(made).unzip();
        let labels: Vec<Hash> = updates.iter().map(|update| update.label).collect();
        let step = MapStep { updates, epoch: *epoch };
        match &mut self.roots {
            Some(roots) => roots.take(step)?,
            None => self.steps.push(step),
        }
        for ((label, packed), (subject, leaf)) in labels.into_iter().zip(packed).zip(&newest) {
            self.dues.set(label, subject, rules::due_ms(leaf));
            self.states.insert(label, packed);
        }
        Ok(())
    }
}

impl Packed {
    fn of(subject: &Subject, leaf: &Leaf) -> Self {
        let (head_index, head_hash) = (leaf.head_index, leaf.head_hash);
        Self { kind: LabelKind::of(subject), head_index, head_hash, state: leaf.state.encode().into() }
    }

    pub(super) fn leaf(&self) -> Leaf {
        let state = self.kind.decode_kept_state(&self.state).expect("the bytes were encoded from a state");
        Leaf { head_index: self.head_index, head_hash: self.head_hash, state }
    }

    pub(super) fn try_leaf(&self) -> Option<Leaf> {
        let state = self.kind.decode_state(&self.state).ok()?;
        Some(Leaf { head_index: self.head_index, head_hash: self.head_hash, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_does_not_open_with_its_server_is_a_fault() {
        // Goal: nobody's log, whose map is empty and right, is no log. Method: a first batch of nothing but its Epoch.
        let mut replay = Replay::new(&Origin::parse("dgns.test/log").unwrap(), Level::Map);
        let epoch = Epoch { k: 0, covers: 0, time_ms: 1, map_root: map::EMPTY, history_root: crate::hash::EMPTY_ROOT };
        let fault = replay.batch(Vec::new(), 0, &epoch).unwrap_err();
        assert_eq!(fault, AuditFault::Entry { index: 0, code: "first_batch" });
    }
}
