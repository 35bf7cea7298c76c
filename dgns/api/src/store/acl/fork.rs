//! Databases that go on from others: what a fork takes over, and what is its own (PROTOCOL 25.13).

use std::collections::BTreeMap;

use identity::did::Did;
use identity::hash::Hash;

use super::{Acl, AclRefusal, Owners};
use crate::store::entry::LogId;
use crate::store::limits::FORKS_MAX;

/// The first entries of a log of a fork: those of another log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The log that they were appended to.
    pub log: LogId,
    /// The place behind the last of them here.
    pub size: u64,
    /// The root of the tree of all entries up to there.
    pub root: Hash,
}

/// A database that this one goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) did: Did,
    /// How many keys each group had then.
    epochs: BTreeMap<u32, u64>,
}

impl Acl {
    /// Returns whether the new database itself spoke since it was begun: an owner of the source alone begins none.
    pub fn is_begun(&self) -> bool {
        self.begun
    }

    /// Returns the database that this one goes on from.
    pub fn source(&self) -> Option<&Did> {
        self.sources.last().map(|source| &source.did)
    }

    /// Returns the parts of a log that were appended to others, the first first; empty if it is no fork's.
    pub fn parts(&self, log: &LogId) -> &[Part] {
        self.parts.get(log).map_or(&[], Vec::as_slice)
    }

    /// Returns the database under whose DID the key of a group was sealed.
    pub fn sealed_by(&self, gid: u32, epoch: u64) -> &Did {
        let first = self.sources.iter().find(|source| source.epochs.get(&gid).is_some_and(|last| epoch <= *last));
        first.map_or(&self.did, |source| &source.did)
    }

    /// Returns the log of this database that has the entries of `log`: itself, or one that goes on from it.
    pub(super) fn here(&self, log: &LogId) -> LogId {
        let goes_on = |parts: &Vec<Part>| parts.iter().any(|part| part.log == *log);
        let found = self.parts.iter().find(|(_, parts)| !self.logs.contains_key(log) && goes_on(parts));
        found.map_or(*log, |(here, _)| *here)
    }

    /// Goes on as another database: its members, keys and logs are those of the source; its one owner is itself.
    pub(super) fn fork(
        &mut self,
        author: &Did,
        (source, did): (&Did, &Did),
        salt: &[u8; 16],
        base: &[(LogId, u64, Hash)],
    ) -> Result<(), AclRefusal> {
        if !self.owners.is(author) {
            return Err(AclRefusal::NotAllowed);
        }
        if *source != self.did || *did == self.did || self.sources.iter().any(|source| source.did == *did) {
            return Err(AclRefusal::Genesis);
        }
        if self.sources.len() >= FORKS_MAX {
            return Err(AclRefusal::Full);
        }
        if !self.logs.keys().eq(base.iter().map(|(log, ..)| log)) {
            return Err(AclRefusal::Cuts);
        }
        if base.iter().any(|(log, size, _)| self.trimmed(log).is_some_and(|trim| *size <= trim.snapshot)) {
            return Err(AclRefusal::TrimUnsafe);
        }
        let epochs = self.groups.iter().map(|(gid, group)| (*gid, group.epochs.len() as u64)).collect();
        self.sources.push(Source { did: self.did, epochs });
        let parts = base.iter().map(|(log, size, root)| (*log, cut(self.parts(log), *log, *size, *root))).collect();
        self.rename(did, parts);
        (self.did, self.salt, self.owners, self.begun) = (*did, *salt, Owners::of(*did), false);
        Ok(())
    }

    /// Gives each log the name that it has in another database; `parts` by the names of before.
    fn rename(&mut self, did: &Did, mut parts: BTreeMap<LogId, Vec<Part>>) {
        let names: BTreeMap<LogId, LogId> =
            self.logs.iter().map(|(log, (gid, kind, label))| (*log, LogId::of(did, *gid, *kind, label))).collect();
        let named = |log: LogId| names.get(&log).copied().unwrap_or(log);
        self.logs = std::mem::take(&mut self.logs).into_iter().map(|(log, row)| (named(log), row)).collect();
        self.trims = std::mem::take(&mut self.trims).into_iter().map(|(log, trim)| (named(log), trim)).collect();
        self.parts = names.iter().filter_map(|(log, here)| Some((*here, parts.remove(log)?))).collect();
        let terms = self.groups.values_mut().flat_map(|group| group.terms.values_mut().flatten());
        for (_, cuts) in terms.filter_map(|term| term.ended.as_mut()) {
            *cuts = std::mem::take(cuts).into_iter().map(|(log, size)| (named(log), size)).collect();
        }
    }
}

/// The parts of a log that goes on from the first `size` entries of `log`, which has `parts` itself.
fn cut(parts: &[Part], log: LogId, size: u64, root: Hash) -> Vec<Part> {
    let mut kept: Vec<Part> = parts.iter().filter(|part| part.size < size).cloned().collect();
    if size > 0 {
        let log = parts.iter().find(|part| part.size >= size).map_or(log, |part| part.log);
        kept.push(Part { log, size, root });
    }
    kept
}
