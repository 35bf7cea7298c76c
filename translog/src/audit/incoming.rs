//! Batches of a log on their way into somebody else's storage: hashed, judged again, and made one commit (PROTOCOL 15.3).
//!
//! A follower keeps no auditor: its own map, due queue and states stand where the log's newest verified head left them, and
//! [`Incoming`] continues from there. First the caller holds [`Incoming::root`] against a signed head: what does not give it
//! is not the log's, and nothing of it is decoded. Then [`Incoming::go_on`] replays the batches, one Epoch after another, and
//! [`Incoming::into_batch`] hands out what a writer's own batch would have been.

use std::collections::BTreeMap;
use std::sync::Arc;

use identity::did::Did;
use identity::hash::Hash;
use identity::name::Origin;
use identity::rules::{self, World};
use identity::state::{Leaf, Subject};

use super::judge::{self, Judge, Progress};
use super::{AuditFault, Checks, EpochRule};
use crate::batch::{Batch, Change, Passed, Taken, View, changes, map_updates};
use crate::due::DueQueue;
use crate::entry::{Entry, EntryKind, Epoch};
use crate::hash::leaf_hash;
use crate::limits::BATCH_ENTRIES_MAX;
use crate::logconf::Succession;
use crate::map::MapDelta;
use crate::tree::Edge;

/// Whole batches that follow a log's newest verified head.
#[derive(Debug)]
pub struct Incoming {
    origin: Origin,
    first_index: u64,
    entries: Vec<Vec<u8>>,
    leaf_hashes: Vec<Hash>,
    edge: Edge,
    /// Where each batch ends: behind its Epoch, with the root there.
    ends: Vec<(u64, Hash)>,
    replayed: Replayed,
}

/// What the batches replayed so far amount to.
#[derive(Debug)]
struct Replayed {
    batches: usize,
    judge: Option<(Judge, Epoch)>,
    /// The states, between two batches; in the judge's hands within one.
    world: Option<World>,
    server: Option<Did>,
    history: Option<Edge>,
    last_ms: Option<u64>,
    dues: Option<DueQueue>,
    delta: Option<MapDelta>,
    changes: BTreeMap<Subject, Change>,
    taken: Taken,
    checks: Checks,
    repinned: bool,
    passed: Vec<Passed>,
    epoch: Option<Epoch>,
    /// The roots of heads that certificates name as seen; `None` where the log had none.
    heads: BTreeMap<u64, Option<Hash>>,
}

/// What to insert before [`Incoming::go_on`] is called again; nothing of either once the batches are through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// States, by [`Incoming::insert`].
    pub subjects: Vec<Subject>,
    /// Roots of earlier heads, by [`Incoming::insert_head`].
    pub heads: Vec<u64>,
}

impl Lacking {
    /// Returns whether nothing is lacking.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty() && self.heads.is_empty()
    }
}

impl Incoming {
    /// Hashes `entries`, which follow the tree of `edge`. Entries behind the last Epoch are left out: they are no whole batch.
    ///
    /// `server` is the DID of entry 0, `None` in an empty log.
    pub fn new(origin: &Origin, edge: &Edge, server: Option<Did>, mut entries: Vec<Vec<u8>>) -> Self {
        let is_epoch = |entry: &Vec<u8>| entry.first() == Some(&(EntryKind::Epoch as u8));
        entries.truncate(entries.iter().rposition(is_epoch).map_or(0, |last| last + 1));
        let first_index = edge.size();
        let mut edge = edge.clone();
        let mut ends = Vec::new();
        let mut leaf_hashes = Vec::with_capacity(entries.len());
        for entry in &entries {
            let hash = leaf_hash(entry);
            edge.append(hash);
            leaf_hashes.push(hash);
            if is_epoch(entry) {
                ends.push((edge.size(), edge.root()));
            }
        }
        let replayed = Replayed::new(World::new(origin.zone(), origin.clone(), server));
        Self { origin: origin.clone(), first_index, entries, leaf_hashes, edge, ends, replayed }
    }

    /// Returns the number of leaves after the last batch.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Returns the root after the last batch.
    pub fn root(&self) -> Hash {
        self.edge.root()
    }

    /// Returns the root of the tree of `size` leaves, if a batch ends there.
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        self.ends.iter().find(|(end, _)| *end == size).map(|(_, root)| *root)
    }

    /// Replays on, until a state or a head is lacking. `view` is the log before the first batch, the same at each call.
    pub fn go_on(&mut self, view: &View<'_>) -> Result<Lacking, AuditFault> {
        while self.replayed.batches < self.ends.len() {
            let (mut judge, epoch) = match self.replayed.judge.take() {
                Some(judge) => judge,
                None => {
                    let (entries, first_index, epoch) = self.next_batch(view)?;
                    let lacking = self.heads_lacking(&entries);
                    if !lacking.is_empty() {
                        return Ok(Lacking { heads: lacking, ..Lacking::default() });
                    }
                    (self.judge(entries, first_index, &epoch), epoch)
                }
            };
            let dues = self.replayed.dues.as_ref().unwrap_or(view.dues);
            let (ends, heads) = (&self.ends, &self.replayed.heads);
            let root_at = |size| {
                let within = ends.iter().find(|(end, _)| *end == size).map(|(_, root)| *root);
                within.or_else(|| heads.get(&size).copied().flatten())
            };
            loop {
                match judge.next(dues, root_at)? {
                    Progress::Wants(subjects) => {
                        self.replayed.judge = Some((judge, epoch));
                        return Ok(Lacking { subjects, ..Lacking::default() });
                    }
                    Progress::Applied { index, certificate } => {
                        self.replayed.checks.push(&self.origin, index, &certificate);
                        self.replayed.taken.note(certificate.certificate(), index);
                    }
                    Progress::Configured { index, logconf, succession } => {
                        self.replayed.repinned |= succession == Succession::Repin;
                        self.replayed.taken.configured(&logconf, index);
                    }
                    Progress::Through => break,
                }
            }
            self.close(view, judge.end(), epoch)?;
        }
        Ok(Lacking::default())
    }

    /// Adds a state that was lacking; `None` where the map holds none.
    pub fn insert(&mut self, subject: Subject, leaf: Option<Arc<Leaf>>) {
        if let Some((judge, _)) = &mut self.replayed.judge {
            judge.insert(subject, leaf);
        }
    }

    /// Adds the root of an earlier head that was lacking; `None` if the log never had one of that size.
    pub fn insert_head(&mut self, size: u64, root: Option<Hash>) {
        self.replayed.heads.insert(size, root);
    }

    /// Returns the signatures met, to be verified before anything is believed.
    pub fn take_checks(&mut self) -> Checks {
        std::mem::take(&mut self.replayed.checks)
    }

    /// Returns the server's DID, once entry 0 was replayed.
    pub fn server(&self) -> Option<Did> {
        self.replayed.server
    }

    /// Returns whether the log's keys were replaced without a signature of an old one: those who pinned an old one pin anew.
    pub fn is_repinned(&self) -> bool {
        self.replayed.repinned
    }

    /// Returns the batches as one that a writer would have committed; `None` unless all of them, at least one, are through.
    pub fn into_batch(self) -> Option<Batch> {
        let replayed = self.replayed;
        if replayed.batches < self.ends.len() {
            return None;
        }
        let mut passed = replayed.passed;
        passed.pop();
        Some(Batch {
            first_index: self.first_index,
            entries: self.entries,
            leaf_hashes: self.leaf_hashes,
            outcomes: Vec::new(),
            changes: replayed.changes,
            chain: replayed.taken.chain,
            answers: replayed.taken.answers,
            invites: replayed.taken.invites,
            map: replayed.delta?,
            epoch: replayed.epoch?,
            edge: self.edge,
            history: replayed.history?,
            passed,
        })
    }
}

impl Incoming {
    /// Decodes the next batch and holds its Epoch against the log before it (PROTOCOL 7.2, 7.4).
    fn next_batch(&self, view: &View<'_>) -> Result<(Vec<Entry>, u64, Epoch), AuditFault> {
        let replayed = &self.replayed;
        let start = replayed.batches.checked_sub(1).map_or(self.first_index, |before| self.ends[before].0);
        let end = self.ends[replayed.batches].0;
        let of = |index: u64| usize::try_from(index - self.first_index).expect("entries held fit into memory");
        let epoch = Epoch::decode(&self.entries[of(end - 1)])
            .map_err(|_| AuditFault::Entry { index: end - 1, code: "epoch" })?;
        let before = EpochRule {
            k: replayed.history.as_ref().unwrap_or(view.history).size(),
            time_ms: replayed.last_ms.unwrap_or(view.time_ms),
            history_root: replayed.history.as_ref().unwrap_or(view.history).root(),
        };
        before.check(&epoch, end - 1)?;
        if end - 1 - start > BATCH_ENTRIES_MAX as u64 {
            return Err(AuditFault::Entry { index: start + BATCH_ENTRIES_MAX as u64, code: "batch_too_long" });
        }
        let entries =
            judge::sound(self.entries[of(start)..of(end - 1)].iter().map(|entry| Entry::decode(entry)), start)?;
        Ok((entries, start, epoch))
    }

    /// Returns the sizes of the heads that certificates name and nobody looked up yet.
    fn heads_lacking(&self, entries: &[Entry]) -> Vec<u64> {
        let seen = entries.iter().filter_map(|entry| match entry {
            Entry::Certificate(certificate) => Some(certificate.payload().seen.size),
            _ => None,
        });
        let known = |size: &u64| *size == 0 || *size > self.first_index || self.replayed.heads.contains_key(size);
        let mut lacking: Vec<u64> = seen.filter(|size| !known(size)).collect();
        lacking.sort_unstable();
        lacking.dedup();
        lacking
    }

    fn judge(&mut self, entries: Vec<Entry>, first_index: u64, epoch: &Epoch) -> Judge {
        let world = self.replayed.world.take().expect("it is here between two batches");
        Judge::new(world, entries, first_index, epoch.time_ms)
    }

    /// Holds what a batch changed against the map root of its Epoch.
    fn close(
        &mut self,
        view: &View<'_>,
        (world, newest): (World, BTreeMap<Subject, Arc<Leaf>>),
        epoch: Epoch,
    ) -> Result<(), AuditFault> {
        let replayed = &mut self.replayed;
        let changes = changes(newest);
        let updates = map_updates(&changes);
        let delta = match replayed.delta.take() {
            None => view.map.prepare(&updates),
            Some(before) => view.map.prepare_after(before, &updates).expect("the view is the same at each call"),
        };
        if delta.root() != epoch.map_root {
            return Err(AuditFault::MapRoot { k: epoch.k, index: epoch.covers });
        }
        let (size, root) = self.ends[replayed.batches];
        replayed.batches += 1;
        if replayed.batches < self.ends.len() {
            let dues = replayed.dues.get_or_insert_with(|| view.dues.clone());
            for (subject, change) in &changes {
                dues.set(change.label, subject, rules::due_ms(&change.leaf));
            }
        }
        replayed.history.get_or_insert_with(|| view.history.clone()).append(epoch.leaf_hash());
        replayed.passed.push(Passed { k: epoch.k, size, root, time_ms: epoch.time_ms });
        replayed.last_ms = Some(epoch.time_ms);
        replayed.epoch = Some(epoch);
        replayed.delta = Some(delta);
        replayed.changes.extend(changes);
        replayed.server = world.server();
        replayed.world = Some(world);
        Ok(())
    }
}

impl Replayed {
    fn new(world: World) -> Self {
        Self {
            batches: 0,
            judge: None,
            server: world.server(),
            world: Some(world),
            history: None,
            last_ms: None,
            dues: None,
            delta: None,
            changes: BTreeMap::new(),
            taken: Taken::default(),
            checks: Checks::default(),
            repinned: false,
            passed: Vec::new(),
            epoch: None,
            heads: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests;
