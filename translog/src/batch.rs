//! One batch: what is due settles, certificates follow the rules, one Epoch closes it (PROTOCOL 7.4).
//!
//! The server integrates posts with [`integrate`]; the auditor replays a batch with the same two steps, [`Step::settle`] and
//! [`Step::apply`], and compares map roots. Nothing here waits, reads or signs: the caller loads what [`wants`] names.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use identity::cert::{Body, Certificate, Records, Sid, Verified};
use identity::hash::{Hash, sha256};
use identity::rules::{self, At, Refusal, World};
use identity::state::{Leaf, State, Subject};

use crate::due::DueQueue;
use crate::entry::{Anchor, AnchorBroken, Entry, EntryKind, Epoch};
use crate::hash::leaf_hash;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX};
use crate::logconf::{Conf, LogConf, LogConfError, Succession};
use crate::map::{self, Map, MapDelta, OpenedLeaf};
use crate::notice::SoundNotice;
use crate::tree::Edge;

/// The log as it stands before a batch.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The log's right edge.
    pub edge: &'a Edge,
    /// The right edge of the tree over all Epochs so far.
    pub history: &'a Edge,
    /// The time of the newest Epoch, milliseconds; 0 in an empty log.
    pub time_ms: u64,
    /// The map the newest Epoch commits to.
    pub map: &'a Map,
    /// What falls due.
    pub dues: &'a DueQueue,
}

/// The entries of one request: certificates, applied in order and side by side, all or none; then Notices; then an anchor.
#[derive(Clone, Debug, Default)]
pub struct Post {
    /// Judged by the rules.
    pub certificates: Vec<Verified>,
    /// Judged when they were made; they change no state.
    pub notices: Vec<SoundNotice>,
    /// What the databases hold. It is in the log, or nothing of the post is.
    pub anchor: Option<Anchor>,
}

impl Post {
    /// Returns the post of these certificates, at least one.
    pub fn certificates(certificates: Vec<Verified>) -> Self {
        Self { certificates, ..Self::default() }
    }

    /// Returns the post of one Notice.
    pub fn notice(notice: SoundNotice) -> Self {
        Self { notices: vec![notice], ..Self::default() }
    }

    /// Returns the post of an anchor.
    pub fn anchor(anchor: Anchor) -> Self {
        Self { anchor: Some(anchor), ..Self::default() }
    }

    /// The entries it makes.
    fn entries(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let certificates = self.certificates.iter().map(|certificate| entry_of(certificate.certificate()));
        let notices = self.notices.iter().map(|notice| Entry::Notice(notice.notice().clone()).encode());
        let anchor = self.anchor.iter().map(|anchor| Entry::Anchor(anchor.clone()).encode());
        certificates.chain(notices).chain(anchor)
    }
}

/// What became of one post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In the log, the first of its entries at this index.
    Accepted {
        /// The log index of its first entry.
        first_index: u64,
    },
    /// Not in the log; nothing changed.
    Refused {
        /// Which certificate of the post the rules refused.
        position: usize,
        /// Why.
        refusal: Refusal,
    },
    /// It needs a state that only this batch made known: it is judged again in the next one.
    Deferred,
}

/// The place of a certificate or LogConf in its chain and in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainRow {
    /// Whose chain it extends: a DID's, or the log's own.
    pub subject: Subject,
    /// Its place there.
    pub seq: u64,
    /// Its log index.
    pub index: u64,
    /// Its sid.
    pub sid: Sid,
}

/// The last state of a label that a batch changed, in each form it is needed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The label.
    pub label: Hash,
    /// The state.
    pub leaf: Arc<Leaf>,
    /// The state as bytes.
    pub state: Vec<u8>,
    /// The map's commitment to it.
    pub commitment: Hash,
}

impl Change {
    /// Returns the change of `subject` to `leaf`.
    pub fn of(subject: &Subject, leaf: Arc<Leaf>) -> Self {
        let state = leaf.state.encode();
        let commitment = OpenedLeaf::of(&leaf).commitment(&state);
        Self { label: map::label(subject), leaf, state, commitment }
    }
}

/// An integrated batch: everything the caller commits, none of it visible yet.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The log index of the first entry.
    pub first_index: u64,
    /// The entries in log order; the Epoch is last.
    pub entries: Vec<Vec<u8>>,
    /// Their leaf hashes.
    pub leaf_hashes: Vec<Hash>,
    /// One for each post taken, in order; fewer than posts given if the batch was full.
    pub outcomes: Vec<Outcome>,
    /// The last state of every label that changed.
    pub changes: BTreeMap<Subject, Change>,
    /// The places of the certificates and LogConfs.
    pub chain: Vec<ChainRow>,
    /// What names answer from now on, records or a delegation, the last of each name.
    pub answers: BTreeMap<String, Body>,
    /// The invitation codes spent, by hash, with the log index of the claim.
    pub invites: Vec<(Hash, u64)>,
    /// The change of the map.
    pub map: MapDelta,
    /// The Epoch that closes the batch.
    pub epoch: Epoch,
    /// The log's right edge after it.
    pub edge: Edge,
    /// The history's right edge after it.
    pub history: Edge,
    /// The heads before the last one, if these are several batches replayed as one.
    pub passed: Vec<Passed>,
}

/// A head between the first and the last of several batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The number of the Epoch that ends it.
    pub k: u64,
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The Epoch's time.
    pub time_ms: u64,
}

impl Batch {
    /// Returns the number of leaves after the batch.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Returns the root after the batch.
    pub fn root(&self) -> Hash {
        self.edge.root()
    }
}

/// Returns the subjects that integrating `posts` at `epoch_ms` reads and `world` does not hold.
///
/// The caller inserts them, those the map proves absent as `None`, and asks again until nothing is missing: a name leads to
/// its owner, an owner to its names.
pub fn wants(view: &View<'_>, world: &World, posts: &[impl Borrow<Post>], epoch_ms: u64) -> Vec<Subject> {
    let mut missing = Vec::new();
    for (_, _, subject) in view.dues.due(epoch_ms) {
        match world.get(subject) {
            Some(_) => missing.extend(rules::settle_wants(world, subject)),
            None => missing.push(subject.clone()),
        }
    }
    for certificate in posts.iter().flat_map(|post| &post.borrow().certificates) {
        missing.extend(rules::wants(world, certificate.certificate()));
    }
    if posts.iter().any(|post| post.borrow().anchor.is_some()) && world.get(&Subject::Anchors).is_none() {
        missing.push(Subject::Anchors);
    }
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// Settles what is due, applies `posts` in order, and closes the batch with an Epoch.
///
/// `now_ms` becomes the Epoch's time, unless the last Epoch's is later: time never goes back. `world` holds what [`wants`]
/// named. A refusal is an outcome, not an error: the rest of the batch goes on.
pub fn integrate(view: &View<'_>, world: World, posts: &[impl Borrow<Post>], now_ms: u64) -> Batch {
    let epoch_ms = now_ms.max(view.time_ms);
    let mut step = Step::new(world, epoch_ms);
    step.settle(view.dues);

    let mut log = Leaves::after(view.edge);
    let mut outcomes = Vec::with_capacity(posts.len());
    let mut taken = Taken::default();
    for post in posts.iter().map(Borrow::borrow) {
        if !log.takes(post) {
            break;
        }
        let first_index = log.next_index();
        let outcome = step.post(post, first_index);
        if let Outcome::Accepted { .. } = outcome {
            post.entries().for_each(|entry| log.push(entry));
            for (certificate, index) in post.certificates.iter().zip(first_index..) {
                taken.note(certificate.certificate(), index);
            }
        }
        outcomes.push(outcome);
    }
    close(view, step, log, outcomes, taken)
}

/// Settles what is due, takes a new LogConf in, and closes the batch with an Epoch (PROTOCOL 7.3).
///
/// `world` holds what [`wants`] named, and the subjects of [`configure_wants`]. Errors: it does not continue the log's
/// configuration; then nothing was made.
pub fn configure(
    view: &View<'_>,
    world: World,
    logconf: &LogConf,
    now_ms: u64,
) -> Result<(Batch, Succession), LogConfError> {
    let mut step = Step::new(world, now_ms.max(view.time_ms));
    step.settle(view.dues);
    let mut log = Leaves::after(view.edge);
    let index = log.next_index();
    let succession = step.configure(logconf, index)?;
    log.push(Entry::LogConf(logconf.clone()).encode());
    let mut taken = Taken::default();
    taken.configured(logconf, index);
    Ok((close(view, step, log, Vec::new(), taken), succession))
}

/// Returns the subjects that a LogConf of `server`'s log is judged by.
pub fn configure_wants(server: identity::did::Did) -> [Subject; 2] {
    [Subject::Did(server), Subject::LogConf]
}

/// Why a log cannot be opened so. Nothing was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The rules refuse the genesis.
    #[error(transparent)]
    Genesis(#[from] Refusal),
    /// The LogConf is not the first of this server's log.
    #[error(transparent)]
    LogConf(#[from] LogConfError),
}

/// Opens a log: its genesis, its LogConf, its first Epoch, in one batch of three entries (PROTOCOL 7.4).
///
/// `world` needs nothing but the zone and origin; the genesis must be one of a server.
pub fn open(world: World, genesis: &Verified, logconf: &LogConf, now_ms: u64) -> Result<Batch, OpenError> {
    let (edge, history, map, dues) = (Edge::new(), Edge::new(), Map::new(), DueQueue::new());
    let view = View { edge: &edge, history: &history, time_ms: 0, map: &map, dues: &dues };
    let mut world = world;
    let did = genesis.certificate().chain_did().ok_or(Refusal::NotAllowed)?;
    configure_wants(did).into_iter().for_each(|subject| world.insert(subject, None));
    let mut step = Step::new(world, now_ms);
    step.apply(genesis, 0)?;
    step.set_server(did);
    let mut log = Leaves::after(&edge);
    log.push(entry_of(genesis.certificate()));
    let Succession::Linked = step.configure(logconf, 1)? else { return Err(LogConfError::Chain.into()) };
    log.push(Entry::LogConf(logconf.clone()).encode());
    let mut taken = Taken::default();
    taken.note(genesis.certificate(), 0);
    taken.configured(logconf, 1);
    Ok(close(&view, step, log, vec![Outcome::Accepted { first_index: 0 }], taken))
}

/// Makes the Epoch over what the batch changed.
fn close(view: &View<'_>, step: Step, mut log: Leaves, outcomes: Vec<Outcome>, taken: Taken) -> Batch {
    let epoch_ms = step.epoch_ms();
    let (_, newest) = step.into_parts();
    let changes = changes(newest);
    let map = view.map.prepare(&map_updates(&changes));
    let epoch = Epoch {
        k: view.history.size(),
        covers: log.next_index(),
        time_ms: epoch_ms,
        map_root: map.root(),
        history_root: view.history.root(),
    };
    log.push(epoch.encode().to_vec());
    let mut history = view.history.clone();
    history.append(*log.leaf_hashes.last().expect("the Epoch was just pushed"));
    Batch {
        first_index: view.edge.size(),
        entries: log.entries,
        leaf_hashes: log.leaf_hashes,
        outcomes,
        changes,
        chain: taken.chain,
        answers: taken.answers,
        invites: taken.invites,
        map,
        epoch,
        edge: log.edge,
        history,
        passed: Vec::new(),
    }
}

/// Returns the changes that make `newest` of the states before.
pub(crate) fn changes(newest: BTreeMap<Subject, Arc<Leaf>>) -> BTreeMap<Subject, Change> {
    let change = |(subject, leaf)| {
        let change = Change::of(&subject, leaf);
        (subject, change)
    };
    newest.into_iter().map(change).collect()
}

/// Returns the map's pairs of label and commitment for `changes`.
pub fn map_updates(changes: &BTreeMap<Subject, Change>) -> Vec<(Hash, Hash)> {
    changes.values().map(|change| (change.label, change.commitment)).collect()
}

/// The states while one batch is applied.
#[derive(Debug)]
pub struct Step {
    world: World,
    epoch_ms: u64,
    /// What changed, in order: of a subject that stands here more than once the last counts.
    changes: Vec<(Subject, Arc<Leaf>)>,
}

impl Step {
    /// Returns the step of an Epoch at `epoch_ms`; `world` holds what [`wants`] named.
    pub fn new(world: World, epoch_ms: u64) -> Self {
        Self { world, epoch_ms, changes: Vec::new() }
    }

    /// Settles all that is due by the Epoch's time: always the least (due, label, sid) next.
    pub fn settle(&mut self, dues: &DueQueue) {
        let mut due: BTreeMap<(u64, Hash), Subject> =
            dues.due(self.epoch_ms).map(|(due_ms, label, subject)| ((due_ms, label), subject.clone())).collect();
        while let Some((_, subject)) = due.pop_first() {
            let effects = rules::settle(&self.world, &subject, self.epoch_ms);
            for (changed, leaf) in &effects.changes {
                let label = map::label(changed);
                due.retain(|(_, other), _| *other != label);
                if let Some(due_ms) = rules::due_ms(leaf).filter(|due_ms| *due_ms <= self.epoch_ms) {
                    due.insert((due_ms, label), changed.clone());
                }
            }
            self.take(effects.changes);
        }
    }

    /// Applies one certificate at `index`. A refusal changes nothing.
    pub fn apply(&mut self, certificate: &Verified, index: u64) -> Result<(), Refusal> {
        let effects = rules::apply(&self.world, certificate, At { index, epoch_ms: self.epoch_ms })?;
        self.take(effects.changes);
        Ok(())
    }

    /// Judges the LogConf at `index` by the server's identity key and the configuration before it, and makes it the log's.
    ///
    /// The world holds the subjects of [`configure_wants`]. A refusal changes nothing.
    pub fn configure(&mut self, logconf: &LogConf, index: u64) -> Result<Succession, LogConfError> {
        let loaded = |subject: &Subject| self.world.get(subject).expect("the caller loads both");
        let server = self.world.server().ok_or(LogConfError::Chain)?;
        let Some(State::Did(did)) = loaded(&Subject::Did(server)).map(|leaf| &leaf.state) else {
            return Err(LogConfError::Chain);
        };
        let previous = match loaded(&Subject::LogConf).map(|leaf| &leaf.state) {
            Some(State::LogConf { payload, .. }) => Some(Conf::decode(payload).map_err(|_| LogConfError::Chain)?),
            _ => None,
        };
        if logconf.conf().server != server {
            return Err(LogConfError::Chain);
        }
        let succession = logconf.verify(self.world.origin(), &did.identity, previous.as_ref())?;
        let state = State::LogConf { version: logconf.conf().seq + 1, payload: logconf.payload_bytes().to_vec() };
        let leaf = Leaf { head_index: index, head_hash: logconf.sid(), state };
        self.take(vec![(Subject::LogConf, Arc::new(leaf))]);
        Ok(succession)
    }

    /// Judges an anchor at `index` by the one before, and makes it the newest.
    ///
    /// The world holds the subject of anchors. A refusal changes nothing.
    pub fn anchor(&mut self, anchor: &Anchor, index: u64) -> Result<(), AnchorBroken> {
        let before = match self.world.get(&Subject::Anchors).expect("the caller loads it").map(|leaf| &leaf.state) {
            Some(State::Anchors { payload, .. }) => Some(Anchor::decode(payload).map_err(|_| AnchorBroken)?),
            _ => None,
        };
        anchor.follows(before.as_ref())?;
        let payload = anchor.encode();
        let head_hash = sha256(&[&payload]);
        let state = State::Anchors { version: anchor.k, payload };
        self.take(vec![(Subject::Anchors, Arc::new(Leaf { head_index: index, head_hash, state }))]);
        Ok(())
    }

    /// Returns the subjects the certificate needs and the world lacks.
    pub fn wants(&self, certificate: &Verified) -> Vec<Subject> {
        rules::wants(&self.world, certificate.certificate())
    }

    /// Adds a state the caller loaded meanwhile.
    pub fn insert(&mut self, subject: Subject, leaf: Option<Arc<Leaf>>) {
        self.world.insert(subject, leaf);
    }

    /// Names the server's DID, once its genesis was applied.
    pub fn set_server(&mut self, server: identity::did::Did) {
        self.world.set_server(server);
    }

    /// Returns the Epoch's time.
    pub fn epoch_ms(&self) -> u64 {
        self.epoch_ms
    }

    /// Returns the states as they are now.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Ends the step: the states read and made, and the last one of each subject that changed.
    pub fn into_parts(self) -> (World, BTreeMap<Subject, Arc<Leaf>>) {
        (self.world, self.changes.into_iter().collect())
    }

    /// Applies one post, all or none.
    fn post(&mut self, post: &Post, first_index: u64) -> Outcome {
        let changed_before = self.changes.len();
        let mut before = Vec::new();
        for (position, certificate) in post.certificates.iter().enumerate() {
            let refused = if self.wants(certificate).is_empty() {
                let at = At { index: first_index + position as u64, epoch_ms: self.epoch_ms };
                match rules::apply(&self.world, certificate, at) {
                    Ok(effects) => {
                        let held = |subject: &Subject| self.world.get(subject).flatten().cloned();
                        before.extend(effects.changes.iter().map(|(subject, _)| (subject.clone(), held(subject))));
                        self.take(effects.changes);
                        continue;
                    }
                    Err(refusal) => Outcome::Refused { position, refusal },
                }
            } else {
                Outcome::Deferred
            };
            self.take_back(changed_before, before);
            return refused;
        }
        let position = post.certificates.len() + post.notices.len();
        let anchored = match &post.anchor {
            None => Ok(()),
            Some(_) if self.world.get(&Subject::Anchors).is_none() => Err(Outcome::Deferred),
            Some(anchor) => self.anchor(anchor, first_index + position as u64).map_err(|_| {
                let refusal = Refusal::StalePrev { head: None };
                Outcome::Refused { position, refusal }
            }),
        };
        if let Err(refused) = anchored {
            self.take_back(changed_before, before);
            return refused;
        }
        Outcome::Accepted { first_index }
    }

    fn take_back(&mut self, changed_before: usize, before: Vec<(Subject, Option<Arc<Leaf>>)>) {
        self.changes.truncate(changed_before);
        before.into_iter().rev().for_each(|(subject, held)| self.world.insert(subject, held));
    }

    fn take(&mut self, changes: Vec<(Subject, Arc<Leaf>)>) {
        for (subject, leaf) in &changes {
            self.world.insert(subject.clone(), Some(leaf.clone()));
        }
        self.changes.extend(changes);
    }
}

/// Returns the entry of a certificate.
fn entry_of(certificate: &Certificate) -> Vec<u8> {
    let mut entry = Vec::with_capacity(1 + certificate.as_bytes().len());
    entry.push(EntryKind::Certificate as u8);
    entry.extend_from_slice(certificate.as_bytes());
    entry
}

/// What the certificates of a batch leave in tables besides states.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) chain: Vec<ChainRow>,
    pub(crate) answers: BTreeMap<String, Body>,
    pub(crate) invites: Vec<(Hash, u64)>,
}

impl Taken {
    /// Notes a LogConf: the log's own label has a chain too.
    pub(crate) fn configured(&mut self, logconf: &LogConf, index: u64) {
        let (subject, seq, sid) = (Subject::LogConf, logconf.conf().seq, logconf.sid());
        self.chain.push(ChainRow { subject, seq, index, sid });
    }

    pub(crate) fn note(&mut self, certificate: &Certificate, index: u64) {
        let (subject, sid) = (Subject::from(certificate.chain()), certificate.sid());
        let payload = certificate.payload();
        self.chain.push(ChainRow { subject, seq: payload.seq, index, sid });
        match &payload.body {
            Body::Records(Records { name, .. }) => drop(self.answers.insert(name.clone(), payload.body.clone())),
            Body::Delegate(delegate) if !delegate.is_end() => {
                self.answers.insert(delegate.name.clone(), payload.body.clone());
            }
            _ => {}
        }
        self.invites.extend(payload.body.invite().map(|code_hash| (code_hash, index)));
    }
}

/// The leaves a batch appends.
struct Leaves {
    edge: Edge,
    entries: Vec<Vec<u8>>,
    leaf_hashes: Vec<Hash>,
    bytes: usize,
}

impl Leaves {
    fn after(edge: &Edge) -> Self {
        Self { edge: edge.clone(), entries: Vec::new(), leaf_hashes: Vec::new(), bytes: 0 }
    }

    fn next_index(&self) -> u64 {
        self.edge.size()
    }

    /// Returns whether `post` still fits below the batch's limits; the first one always does.
    fn takes(&self, post: &Post) -> bool {
        let certificates: usize = post.certificates.iter().map(|c| c.certificate().as_bytes().len() + 1).sum();
        let others = post.notices.len() + usize::from(post.anchor.is_some());
        let bytes = certificates + others * ENTRY_BYTES_MAX;
        let entries = post.certificates.len() + others;
        self.entries.is_empty()
            || (self.entries.len() + entries <= BATCH_ENTRIES_MAX && self.bytes + bytes <= BATCH_BYTES_MAX)
    }

    fn push(&mut self, entry: Vec<u8>) {
        let hash = leaf_hash(&entry);
        self.edge.append(hash);
        self.bytes += entry.len();
        self.entries.push(entry);
        self.leaf_hashes.push(hash);
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
