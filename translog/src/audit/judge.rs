//! The entries of one batch, judged by the rules at their places: what an auditor and a follower do alike (PROTOCOL 15.1).
//!
//! A conversation without I/O: [`Judge::next`] names the states it lacks, and the caller inserts them, from memory or from SQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::IntoIter;

use identity::cert::{Body, Certificate, DidKind, Verified};
use identity::hash::Hash;
use identity::rules::{self, World};
use identity::state::{Leaf, Subject};

use super::AuditFault;
use crate::batch::{Step, configure_wants};
use crate::due::DueQueue;
use crate::entry::{AnchorBroken, Entry, EntryError};
use crate::hash::EMPTY_ROOT;
use crate::logconf::{LogConf, LogConfError, Succession};
use crate::notice;

/// One batch on its way through the rules.
#[derive(Debug)]
pub(super) struct Judge {
    step: Step,
    settled: bool,
    /// The entries still to be judged, and the log index of the next.
    entries: IntoIter<Entry>,
    index: u64,
    /// An entry that waits for states.
    waiting: Option<Entry>,
}

/// What became of a call of [`Judge::next`].
pub(super) enum Progress {
    /// States to insert before the next call; those the log does not have as `None`.
    Wants(Vec<Subject>),
    /// A certificate the rules allow at this index. Its signatures are matched to keys, and not verified.
    Applied { index: u64, certificate: Verified },
    /// The log's configuration from this index on.
    Configured { index: u64, logconf: LogConf, succession: Succession },
    /// Every entry was judged.
    Through,
}

/// Returns the entries of a batch, all but its Epoch, if all are sound; the first stands at `first_index`.
pub(super) fn sound(
    entries: impl IntoIterator<Item = Result<Entry, EntryError>>,
    first_index: u64,
) -> Result<Vec<Entry>, AuditFault> {
    let entries = entries.into_iter();
    let mut decoded = Vec::with_capacity(entries.size_hint().0);
    for (index, entry) in (first_index..).zip(entries) {
        match entry {
            Ok(Entry::Epoch(_)) => return Err(AuditFault::Entry { index, code: "epoch" }),
            Ok(entry) => decoded.push(entry),
            Err(error) => return Err(AuditFault::Entry { index, code: error.code() }),
        }
    }
    if first_index == 0 && !opens_a_log(&decoded) {
        return Err(AuditFault::Entry { index: 0, code: "first_batch" });
    }
    Ok(decoded)
}

impl Judge {
    /// Begins with the batch of `entries`, the first at `first_index`, whose Epoch is at `epoch_ms`.
    pub(super) fn new(world: World, entries: Vec<Entry>, first_index: u64, epoch_ms: u64) -> Self {
        Self {
            step: Step::new(world, epoch_ms),
            settled: false,
            entries: entries.into_iter(),
            index: first_index,
            waiting: None,
        }
    }

    /// Goes on to the next certificate. `dues` is what fell due before the batch, `root_at` the root of each head before it.
    pub(super) fn next(
        &mut self,
        dues: &DueQueue,
        root_at: impl Fn(u64) -> Option<Hash>,
    ) -> Result<Progress, AuditFault> {
        if !self.settled {
            let missing = self.settle(dues);
            if !missing.is_empty() {
                return Ok(Progress::Wants(missing));
            }
        }
        loop {
            let entry = match self.waiting.take() {
                Some(waiting) => waiting,
                None => match self.entries.next() {
                    Some(entry) => entry,
                    None => return Ok(Progress::Through),
                },
            };
            let missing = self.wants(&entry);
            if !missing.is_empty() {
                self.waiting = Some(entry);
                return Ok(Progress::Wants(missing));
            }
            let index = self.index;
            self.index += 1;
            match entry {
                Entry::Certificate(certificate) => {
                    let certificate = self.certificate(certificate, index, &root_at)?;
                    return Ok(Progress::Applied { index, certificate });
                }
                Entry::LogConf(logconf) => {
                    let fault = |error: LogConfError| AuditFault::Entry { index, code: error.code() };
                    let succession = self.step.configure(&logconf, index).map_err(fault)?;
                    return Ok(Progress::Configured { index, logconf, succession });
                }
                Entry::Notice(said) => {
                    if let Some(code) = notice::fault_of(&said) {
                        return Err(AuditFault::Entry { index, code });
                    }
                }
                Entry::Anchor(anchor) => {
                    let fault = |error: AnchorBroken| AuditFault::Entry { index, code: error.code() };
                    self.step.anchor(&anchor, index).map_err(fault)?;
                }
                Entry::Epoch(_) => return Err(AuditFault::Entry { index, code: "epoch" }),
            }
        }
    }

    /// Adds a state that was wanted.
    pub(super) fn insert(&mut self, subject: Subject, leaf: Option<Arc<Leaf>>) {
        self.step.insert(subject, leaf);
    }

    /// Ends a batch that is through: the states read and made, and the last one of each subject that changed.
    pub(super) fn end(self) -> (World, BTreeMap<Subject, Arc<Leaf>>) {
        self.step.into_parts()
    }
}

impl Judge {
    /// Settles what is due, or names the states that takes.
    fn settle(&mut self, dues: &DueQueue) -> Vec<Subject> {
        let mut missing = Vec::new();
        for (_, _, subject) in dues.due(self.step.epoch_ms()) {
            match self.step.world().get(subject) {
                None => missing.push(subject.clone()),
                Some(_) => missing.extend(rules::settle_wants(self.step.world(), subject)),
            }
        }
        missing.retain(|subject| self.step.world().get(subject).is_none());
        if missing.is_empty() {
            self.step.settle(dues);
            self.settled = true;
        }
        missing
    }

    fn wants(&self, entry: &Entry) -> Vec<Subject> {
        let world = self.step.world();
        match entry {
            Entry::Certificate(certificate) => rules::wants(world, certificate),
            Entry::LogConf(_) => {
                let wanted = world.server().into_iter().flat_map(configure_wants);
                wanted.filter(|subject| world.get(subject).is_none()).collect()
            }
            Entry::Anchor(_) if world.get(&Subject::Anchors).is_none() => vec![Subject::Anchors],
            Entry::Anchor(_) | Entry::Notice(_) | Entry::Epoch(_) => Vec::new(),
        }
    }

    fn certificate(
        &mut self,
        certificate: Certificate,
        index: u64,
        root_at: impl Fn(u64) -> Option<Hash>,
    ) -> Result<Verified, AuditFault> {
        let seen = certificate.payload().seen;
        let known = match seen.size {
            0 => Some(EMPTY_ROOT),
            size => root_at(size),
        };
        if known != Some(seen.root) {
            return Err(AuditFault::Seen { index, size: seen.size });
        }
        let candidates = rules::candidates(self.step.world(), &certificate);
        let did = certificate.chain_did();
        let certificate = certificate
            .with_signatures_unchecked(&candidates)
            .map_err(|error| AuditFault::Signature { index, code: error.code() })?;
        self.step.apply(&certificate, index).map_err(|refusal| AuditFault::Refused { index, refusal })?;
        if let (0, Some(did)) = (index, did) {
            self.step.set_server(did);
        }
        Ok(certificate)
    }
}

/// Whether these are the first two entries of a log: the genesis of its server, and its LogConf (PROTOCOL 7.4).
fn opens_a_log(entries: &[Entry]) -> bool {
    let [Entry::Certificate(genesis), Entry::LogConf(_)] = entries else { return false };
    matches!(&genesis.payload().body, Body::Genesis(genesis) if genesis.kind == DidKind::Server)
}
