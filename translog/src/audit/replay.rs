//! Replays batches through the rules and rebuilds the map (PROTOCOL 15.1, levels `map` and `full`).

use std::collections::{BTreeMap, HashMap};

use identity::cert::{Body, Certificate, DidKind};
use identity::hash::Hash;
use identity::name::Origin;
use identity::rules::{self, World};
use identity::state::{Leaf, State, Subject};

use super::{AuditFault, Checks, Level};
use crate::batch::{Step, configure_wants, map_updates};
use crate::due::DueQueue;
use crate::entry::{Entry, Epoch};
use crate::hash::EMPTY_ROOT;
use crate::logconf::{Conf, LogConf, Succession};
use crate::map::{self, LabelKind, Map};
use crate::notice;

/// The states of a log as its entries make them.
#[derive(Clone, Debug)]
pub struct Replay {
    pub(super) origin: Origin,
    pub(super) level: Level,
    pub(super) server: Option<identity::did::Did>,
    pub(super) map: Map,
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
    pub(super) state: Box<[u8]>,
}

impl Replay {
    pub(super) fn new(origin: &Origin, level: Level) -> Self {
        Self {
            origin: origin.clone(),
            level,
            server: None,
            map: Map::new(),
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

    /// Notes a head of the log.
    pub(super) fn head(&mut self, size: u64, root: Hash) {
        self.heads.insert(size, root);
    }

    /// Replays the entries before an Epoch, the first of them at `first_index`, and compares the map root.
    pub(super) fn batch(&mut self, entries: &[Vec<u8>], first_index: u64, epoch: &Epoch) -> Result<(), AuditFault> {
        if first_index == 0 && !opens_a_log(entries) {
            return Err(AuditFault::Entry { index: 0, code: "first_batch" });
        }
        let world = World::new(self.origin.zone(), self.origin.clone(), self.server);
        let mut step = Step::new(world, epoch.time_ms);
        self.settle(&mut step);
        for (index, entry) in (first_index..).zip(entries) {
            match Entry::decode(entry) {
                Ok(Entry::Certificate(certificate)) => self.certificate(&mut step, certificate, index)?,
                Ok(Entry::LogConf(conf)) => self.logconf(&mut step, &conf, index)?,
                Ok(Entry::Notice(said)) => {
                    if let Some(code) = notice::fault_of(&said) {
                        return Err(AuditFault::Entry { index, code });
                    }
                }
                Ok(Entry::Epoch(_)) => return Err(AuditFault::Entry { index, code: "epoch" }),
                Err(error) => return Err(AuditFault::Entry { index, code: error.code() }),
            }
        }
        let (_, changes) = step.finish();
        let delta = self.map.prepare(&map_updates(&changes));
        if delta.root() != epoch.map_root {
            return Err(AuditFault::MapRoot { k: epoch.k, index: epoch.covers });
        }
        self.map.apply(delta).expect("the delta was prepared from this map just now");
        for (subject, leaf) in &changes {
            let label = map::label(subject);
            self.dues.set(label, subject, rules::due_ms(leaf));
            self.states.insert(label, Packed::of(leaf));
        }
        Ok(())
    }

    fn settle(&self, step: &mut Step) {
        let epoch_ms = step.epoch_ms();
        let mut wanted: Vec<Subject> = self.dues.due(epoch_ms).map(|(_, _, subject)| subject.clone()).collect();
        while let Some(subject) = wanted.pop() {
            if step.world().get(&subject).is_none() {
                step.insert(subject.clone(), self.leaf(&subject));
                wanted.extend(rules::settle_wants(step.world(), &subject));
            }
        }
        step.settle(&self.dues);
    }

    fn certificate(&mut self, step: &mut Step, certificate: Certificate, index: u64) -> Result<(), AuditFault> {
        let seen = certificate.payload().seen;
        let known = match seen.size {
            0 => Some(&EMPTY_ROOT),
            size => self.heads.get(&size),
        };
        if known != Some(&seen.root) {
            return Err(AuditFault::Seen { index, size: seen.size });
        }
        loop {
            let missing = rules::wants(step.world(), &certificate);
            if missing.is_empty() {
                break;
            }
            for subject in missing {
                let leaf = self.leaf(&subject);
                step.insert(subject, leaf);
            }
        }
        let candidates = rules::candidates(step.world(), &certificate);
        let signature = |code| AuditFault::Signature { index, code };
        let did = certificate.chain_did();
        let certificate =
            certificate.with_signatures_unchecked(&candidates).map_err(|error| signature(error.code()))?;
        if self.level == Level::Full {
            self.checks.push(&self.origin, index, &certificate);
        }
        step.apply(&certificate, index).map_err(|refusal| AuditFault::Refused { index, refusal })?;
        if index == 0 {
            self.server = Some(did);
            step.set_server(did);
        }
        Ok(())
    }

    /// Judges a LogConf: the first is entry 1, each later one names the one before it (PROTOCOL 7.3).
    fn logconf(&mut self, step: &mut Step, conf: &LogConf, index: u64) -> Result<(), AuditFault> {
        let fault = |code| AuditFault::Entry { index, code };
        let server = self.server.ok_or(fault("logconf_chain"))?;
        for subject in configure_wants(server) {
            if step.world().get(&subject).is_none() {
                step.insert(subject.clone(), self.leaf(&subject));
            }
        }
        match step.configure(conf, index).map_err(|error| fault(error.code()))? {
            Succession::Linked => {}
            Succession::Repin => self.repins.push(index),
        }
        Ok(())
    }
}

/// Whether these are the first two entries of a log: the genesis of its server, and its LogConf (PROTOCOL 7.4).
fn opens_a_log(entries: &[Vec<u8>]) -> bool {
    let [genesis, conf] = entries else { return false };
    let server = |certificate: &Certificate| match &certificate.payload().body {
        Body::Genesis(genesis) => genesis.kind == DidKind::Server,
        _ => false,
    };
    matches!(Entry::decode(genesis), Ok(Entry::Certificate(certificate)) if server(&certificate))
        && matches!(Entry::decode(conf), Ok(Entry::LogConf(_)))
}

impl Packed {
    fn of(leaf: &Leaf) -> Self {
        let kind = LabelKind::of(&leaf.state.subject());
        Self { kind, head_index: leaf.head_index, head_hash: leaf.head_hash, state: leaf.state.encode().into() }
    }

    pub(super) fn leaf(&self) -> Leaf {
        self.try_leaf().expect("the bytes were encoded from a state")
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
        let epoch =
            Epoch { k: 0, covers: 0, time_ms: 1, map_root: Map::new().root(), history_root: crate::hash::EMPTY_ROOT };
        let fault = replay.batch(&[], 0, &epoch).unwrap_err();
        assert_eq!(fault, AuditFault::Entry { index: 0, code: "first_batch" });
    }
}
