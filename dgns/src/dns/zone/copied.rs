//! The zone of a server that follows the log and has another one sign it: names are those of the log, signatures are copied.
//!
//! Nothing that came is served because it came. A name shows what the log said of it, now or until a moment ago, if that is what came, too; then each
//! record set takes the signature that came for it, if it holds over what stands *here*; so does each NSEC record over the chain that the names here make.
//! Whatever came altered, or did not come, leaves a set without a signature, and such a set is answered with SERVFAIL.
//!
//! Log and copy come at different times. A change of the log waits until a copy has it; a copy that has more than the log waits for the log, at most
//! [`AGREE_WITHIN`] for each name. Then the name shows what the log says, signed or not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use identity::cert::Row;
use identity::name::{Zone as ZoneName, is_the_operators};

use super::super::card::{Card, CardRef, DID_OWNER};
use super::super::dnssec::trust::{Keys, Rrsig};
use super::super::dnssec::{
    ApexSet, Changes, Nsec, Set, Signature, Signing, TYPE_NS, TYPE_NSEC, TYPE_RRSIG, apex_types, bitmap, canonical,
    labels_of, sort_key,
};
use super::super::limits::{AGREE_WITHIN, SIGNATURES_MAX, WAITING_VERSIONS_MAX, ZONE_SEGMENTS};
use super::super::name;
use super::super::update;
use super::record::Record;
use super::{CHECKPOINT_OWNER, CHECKPOINT_TTL_S, Checkpoint, Content, PROOF_OWNER, TYPE_TXT, Zone, note_owners};
use crate::clock::Clock;

/// What a copy says: of owners, by their sort keys, all that they have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brought {
    pub(crate) serial: u32,
    /// It says so of every owner; else of those alone that are not as they were.
    pub(crate) is_whole: bool,
    pub(crate) owners: BTreeMap<Vec<u8>, Vec<Record>>,
}

/// What changed from one serial to another, step by step: what is gone, and what is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) from: u32,
    pub(crate) serial: u32,
    pub(crate) steps: Vec<(Vec<Record>, Vec<Record>)>,
}

/// What a copy says of the zone's own name, judged: every set is signed, the keys by one that is believed.
#[derive(Clone)]
pub(crate) struct OwnSets {
    pub(crate) sets: Vec<ApexSet>,
    pub(crate) keys: Keys,
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is shown; so many sets are not served.
    Shown {
        /// Sets that were served, or not there, until now.
        new: usize,
        /// All of them.
        failed: usize,
    },
    /// It says of some name what the log does not say, or not yet: nothing has changed.
    Unlike,
}

/// What the zone keeps beside its cards where another server signs it.
pub(super) struct Copied {
    zone: ZoneName,
    serial: AtomicU32,
    /// What is shown is as new as it must be.
    is_fresh: AtomicBool,
    keys: RwLock<Arc<Keys>>,
    waits: Mutex<Waits>,
    /// Sets that are not served: the sort keys of their owners, and their types.
    failed: Mutex<BTreeSet<(Vec<u8>, u16)>>,
}

/// What log and copy do not have alike.
#[derive(Default)]
struct Waits {
    /// What the log says of names and no copy has yet, oldest first, by wire labels.
    log: HashMap<Vec<u8>, Vec<Version>>,
    /// Since when copies say something else of a name than the log, milliseconds.
    unlike: HashMap<Vec<u8>, u64>,
    versions: u64,
}

#[derive(Clone)]
struct Version {
    number: u64,
    since_ms: u64,
    content: Option<Content>,
}

/// What a copy has at and below a name, by the labels in front of it.
type View = BTreeMap<Vec<u8>, Vec<Record>>;

/// A name that a copy says something of, or that waits for one.
struct Told {
    labels: Vec<u8>,
    view: View,
}

/// What a name is going to show.
struct Decided {
    told: Told,
    card: Card,
    /// What of it its devices wrote.
    volatile: Vec<Row>,
    /// Its versions up to this one need not wait any longer.
    up_to: u64,
    /// Since when it is not what the copy says, if so.
    unlike_since_ms: Option<u64>,
}

impl Copied {
    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, BTreeSet<(Vec<u8>, u16)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes sets that are not served, in the place of those before that were judged anew; returns how many of them were served until now.
    fn note_failed(&self, failed: BTreeSet<(Vec<u8>, u16)>, is_judged: impl Fn(&[u8], u16) -> bool) -> usize {
        let mut known = self.failed();
        let new = failed.iter().filter(|set| !known.contains(*set)).count();
        known.retain(|(key, rtype)| !is_judged(key, *rtype));
        known.extend(failed);
        new
    }

    pub(super) fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh.load(Ordering::Acquire)
    }

    /// Keeps what the log says of a name until a copy has it. Of one that changes too often what came between is forgotten.
    pub(super) fn wait(&self, labels: Vec<u8>, content: Option<Content>, now_ms: u64) {
        let mut waits = self.waits();
        waits.versions += 1;
        let number = waits.versions;
        let versions = waits.log.entry(labels).or_default();
        if versions.len() == WAITING_VERSIONS_MAX {
            versions.remove(WAITING_VERSIONS_MAX / 2);
        }
        versions.push(Version { number, since_ms: now_ms, content });
    }
}

impl Zone {
    /// Returns the zone, which nobody asks yet and which has no records of the operator from now on, as one that another server signs.
    #[must_use]
    pub(crate) fn copied(mut self, zone: ZoneName, clock: Clock) -> Self {
        let mut fixed = Vec::new();
        self.cards.each(0..ZONE_SEGMENTS, |card| fixed.extend(card.is_fixed().then(|| Card::empty(card.labels()))));
        self.copied = Some(Copied {
            zone,
            serial: AtomicU32::new(0),
            is_fresh: AtomicBool::new(false),
            keys: RwLock::default(),
            waits: Mutex::default(),
            failed: Mutex::default(),
        });
        let writer = self.lock_writer();
        fixed.into_iter().for_each(|card| self.put(&writer, card));
        drop(writer);
        let signing = Signing::copied(&self.apex, clock);
        let changes = super::first_owners();
        let altered = signing.altered(&changes, false);
        signing.change(&changes, altered);
        self.signing = Some(signing);
        self
    }

    /// Returns whether another server signs the zone.
    pub(crate) fn is_copied(&self) -> bool {
        self.copied.is_some()
    }

    /// Says whether what is shown is as new as it must be.
    pub(crate) fn set_fresh(&self, is_fresh: bool) {
        if let Some(copied) = &self.copied {
            copied.is_fresh.store(is_fresh, Ordering::Release);
        }
    }

    /// Returns how many sets are not served because what came for them does not hold.
    pub(crate) fn failed_sets(&self) -> usize {
        self.copied.as_ref().map_or(0, |copied| copied.failed().len())
    }

    /// Returns how many names the log changed that no copy has yet.
    pub(crate) fn waiting_names(&self) -> usize {
        self.copied.as_ref().map_or(0, |copied| copied.waits().log.len())
    }

    /// Returns whether the signature of the SOA is good now.
    pub(crate) fn is_signed_now(&self) -> bool {
        let Some(signing) = &self.signing else { return false };
        let sets = signing.apex_sets();
        let mut signatures = sets.iter().take(1).flat_map(|soa| &soa.signatures);
        signatures.any(|signature| signature.lasts_s(signing.now_s()) > 0)
    }

    /// Returns every record that a copy of the zone would hold, the SOA first.
    pub(crate) fn every_record(&self, mut each: impl FnMut(&Record)) {
        for part in self.parts() {
            let mut records = self.records_of(&part);
            records.sort_unstable();
            records.iter().for_each(&mut each);
        }
    }

    /// Returns what the owners have that changes say something of; `None`: they do not lead from what is here to something newer.
    pub(crate) fn after(&self, changes: &Steps) -> Option<Brought> {
        if changes.from != self.serial() || changes.serial.wrapping_sub(changes.from).cast_signed() <= 0 {
            return None;
        }
        let mut owners: BTreeMap<Vec<u8>, BTreeSet<Record>> = BTreeMap::new();
        for (removed, added) in &changes.steps {
            for record in removed {
                let key = sort_key(&[&record.owner]);
                let known = owners.entry(key).or_insert_with_key(|key| self.known(key).into_iter().collect());
                known.remove(record); // what is not served is not there
            }
            for record in added {
                let key = sort_key(&[&record.owner]);
                let known = owners.entry(key).or_insert_with_key(|key| self.known(key).into_iter().collect());
                known.insert(record.clone());
            }
        }
        let owners = owners.into_iter().map(|(key, records)| (key, records.into_iter().collect())).collect();
        Some(Brought { serial: changes.serial, is_whole: false, owners })
    }

    /// Returns what an owner has as copies have it.
    fn known(&self, key: &[u8]) -> Vec<Record> {
        self.records_at(key).into_iter().filter_map(as_copied).collect()
    }

    /// Makes the zone show what came, if the log agrees with it; names that it has disagreed with for long, and those that no copy had in time, show what
    /// the log says. `own`: what came of the zone's own name, if anything did; `checkpoint`: whether the head at `_checkpoint` is one of the log's; `is_late`: it waited long enough for the log.
    pub(crate) fn take_copy(&self, brought: &Brought, own: Option<OwnSets>, checkpoint: bool, is_late: bool) -> Taken {
        let (Some(copied), Some(signing)) = (&self.copied, &self.signing) else { return Taken::Unlike };
        let now_ms = signing.now_ms();
        let decided: Vec<Decided> =
            self.told(copied, brought).into_iter().map(|told| self.decide(copied, told, now_ms)).collect();
        if note_unlike(&mut copied.waits(), &decided, now_ms) && !is_late {
            return Taken::Unlike;
        }
        if let Some(own) = &own {
            *copied.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(own.keys.clone());
        }
        let keys = copied.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let by = Judge { signing, keys: &keys, now_s: signing.now_s() };
        let signed = spread(&decided, |decided| self.sign_copied(&by, decided));
        let mut failed: BTreeSet<(Vec<u8>, u16)> =
            signed.iter().flat_map(|(_, failed)| failed.iter().cloned()).collect();

        let writer = self.lock_writer();
        let mut changes = Changes::new();
        for (decided, (card, _)) in decided.iter().zip(&signed) {
            let before = self.card(&decided.told.labels);
            for (owner, _) in before.iter().flat_map(|before| before.read().owners(self.publish_did)) {
                changes.insert(sort_key(&[owner, &decided.told.labels]), None);
            }
            note_owners(&mut changes, card.read(), self.publish_did);
        }
        let checkpoint_key = sort_key(&[CHECKPOINT_OWNER]);
        let head = brought.owners.get(&checkpoint_key);
        if head.is_some() || brought.is_whole {
            let (shown, is_lost) = self.checkpoint_of(&by, head.map_or(&[], Vec::as_slice), checkpoint);
            failed.extend(is_lost.then(|| (checkpoint_key.clone(), TYPE_TXT)));
            let types: &[u16] = if shown.rdata.is_empty() { &[] } else { &[TYPE_TXT] };
            changes.insert(checkpoint_key.clone(), Some(bitmap(&[types, &[TYPE_RRSIG, TYPE_NSEC]].concat())));
            *self.checkpoint.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shown);
        }
        let altered = self.with_unaltered(signing, &changes, brought);
        let nsecs = spread(&altered, |nsec| self.sign_copied_nsec(&by, nsec, brought));
        failed.extend(
            nsecs.iter().filter(|nsec| nsec.node.signature().is_none()).map(|nsec| (nsec.key.clone(), TYPE_NSEC)),
        );
        let ends = signed.iter().flat_map(|(card, _)| card.read().signatures(self.publish_did));
        let ends = ends.chain(nsecs.iter().filter_map(|nsec| nsec.node.signature()));
        if let Some(lasts_s) = ends.map(|signature| signature.lasts_s(by.now_s)).min() {
            signing.note_copied_end(lasts_s, brought.is_whole);
        }
        let names: BTreeSet<&[u8]> = decided.iter().map(|decided| decided.told.labels.as_slice()).collect();
        let denials: BTreeSet<&[u8]> =
            changes.keys().chain(nsecs.iter().map(|nsec| &nsec.key)).map(Vec::as_slice).collect();
        let new = copied.note_failed(failed, |key, rtype| match rtype {
            _ if brought.is_whole => true,
            TYPE_NSEC => denials.contains(key),
            _ if *key == *checkpoint_key => head.is_some(),
            _ => names.contains(self.name_of(key).as_slice()),
        });
        for (card, _) in signed {
            self.put(&writer, card);
        }
        if brought.is_whole {
            copied.waits().unlike.clear(); // what is in no copy any more
        }
        for decided in &decided {
            self.remember_copied(copied, decided, now_ms);
        }
        self.change_chain(signing, &changes, nsecs);
        if let Some(own) = own {
            copied.serial.store(brought.serial, Ordering::Relaxed);
            signing.show_copied(own.sets, own.keys.algorithm());
        }
        Taken::Shown { new, failed: copied.failed().len() }
    }

    /// Returns the labels of the name that an owner stands at, or below.
    fn name_of(&self, key: &[u8]) -> Vec<u8> {
        let wire = [&labels_of(key), self.apex.wire()].concat();
        name::place(&wire, self.apex.wire()).map_or(Vec::new(), |place| place.name.to_vec())
    }

    /// Returns the names that a copy says something of, or should have.
    fn told(&self, copied: &Copied, brought: &Brought) -> Vec<Told> {
        let mut names: BTreeSet<Vec<u8>> = brought.owners.keys().map(|key| self.name_of(key)).collect();
        names.extend(copied.waits().log.keys().cloned());
        if brought.is_whole {
            self.cards.each(0..ZONE_SEGMENTS, |card| names.extend(card.is_bound().then(|| card.labels().to_vec())));
        }
        let mut views: HashMap<Vec<u8>, BTreeSet<Vec<u8>>> = HashMap::new();
        for key in brought.owners.keys() {
            views.entry(self.name_of(key)).or_default().insert(key.clone());
        }
        let told = names.into_iter().map(|labels| {
            let mut keys = views.remove(&labels).unwrap_or_default();
            if !brought.is_whole {
                keys.extend(self.read(&labels, |card| card.map(|card| self.keys_of(card))).unwrap_or_default());
            }
            let view = keys.into_iter().map(|key| {
                let came = brought.owners.get(&key).cloned();
                let owner = labels_of(&key);
                let front = owner[..owner.len().saturating_sub(labels.len())].to_vec();
                (front, came.unwrap_or_else(|| self.known(&key)))
            });
            Told { view: view.collect(), labels }
        });
        told.collect()
    }

    /// Decides what a name shows: the newest that the log said of it and that came; what the log says now, if that did not come in time.
    fn decide(&self, copied: &Copied, told: Told, now_ms: u64) -> Decided {
        let Told { labels, view } = &told;
        let text = format!("{}.{}", name::text_of(labels), self.name());
        // A label with a dot in it reads like two: it is nobody's.
        let is_read_back = reads_back(labels);
        if labels.is_empty() || is_read_back && is_the_operators(&text, &copied.zone) {
            let card = fixed(labels, view);
            return Decided { card, volatile: Vec::new(), up_to: u64::MAX, unlike_since_ms: None, told };
        }
        let (versions, unlike_ms) = {
            let waits = copied.waits();
            (waits.log.get(labels).cloned().unwrap_or_default(), waits.unlike.get(labels).copied())
        };
        let came = came(view);
        let shown = Version { number: 0, since_ms: now_ms, content: self.content(&text).filter(|_| is_read_back) };
        let found = versions.iter().rev().chain([&shown]).find_map(|version| {
            let (card, volatile) = card_with(&text, labels, version.content.as_ref(), view);
            (self.shown(card.read()) == came).then_some((version.number, card, volatile))
        });
        let late = |since_ms: u64| now_ms.saturating_sub(since_ms) >= AGREE_WITHIN.as_millis() as u64;
        // What the log said after that, and no copy brought.
        let behind = versions.iter().find(|version| found.as_ref().is_none_or(|(number, ..)| version.number > *number));
        match found {
            Some((up_to, card, volatile)) if !behind.is_some_and(|version| late(version.since_ms)) => {
                Decided { card, volatile, up_to, unlike_since_ms: None, told }
            }
            _ => {
                let since_ms =
                    unlike_ms.into_iter().chain(behind.map(|version| version.since_ms)).min().unwrap_or(now_ms);
                let newest = versions.last().unwrap_or(&shown);
                let (card, volatile) = card_with(&text, labels, newest.content.as_ref(), view);
                Decided { card, volatile, up_to: newest.number, unlike_since_ms: Some(since_ms), told }
            }
        }
    }

    /// Returns what of a card stands in a copy, without signatures.
    fn shown(&self, card: CardRef<'_>) -> BTreeSet<(Vec<u8>, u16, u32, Vec<u8>)> {
        let mut shown = BTreeSet::new();
        for set in card.sets(self.publish_did) {
            let rdata =
                set.rdata.iter().map(|rdata| (set.owner.to_vec(), set.rtype, set.ttl_s, canonical(set.rtype, rdata)));
            shown.extend(rdata);
        }
        let unsigned = card.rows().filter(|row| card.is_cut() && row.owner.is_empty());
        shown.extend(unsigned.map(|row| (Vec::new(), row.rtype, row.ttl_s, canonical(row.rtype, row.rdata))));
        shown.extend(
            card.owners(self.publish_did).into_iter().map(|(owner, _)| (owner.to_vec(), TYPE_NSEC, 0, Vec::new())),
        );
        shown
    }

    /// Returns the card with those signatures that came and hold over it, and the sets that have none.
    fn sign_copied(&self, by: &Judge<'_>, decided: &Decided) -> (Card, Vec<(Vec<u8>, u16)>) {
        let Decided { told: Told { labels, view }, card, .. } = decided;
        let before = self.card(labels);
        let known = before.as_ref().map(Card::read);
        let known: Vec<_> =
            known.iter().flat_map(|known| known.sets(self.publish_did).into_iter().enumerate()).collect();
        let (mut signatures, mut failed) = (Vec::new(), Vec::new());
        for set in card.read().sets(self.publish_did) {
            let held = known
                .iter()
                .find(|(_, other)| *other == set)
                .and_then(|(index, _)| before.as_ref()?.read().signature(*index));
            let owner = by.signing.absolute(&[set.owner, labels]);
            let rdata: Vec<&[u8]> = set.rdata.iter().map(|rdata| &**rdata).collect();
            let whole = Set { owner: &owner, rtype: set.rtype, ttl_s: set.ttl_s, rdata: &rdata };
            let records = view.get(set.owner).map_or(&[][..], Vec::as_slice);
            let signature = by.find(records, &whole, held, self.apex.wire());
            if signature.is_none() {
                failed.push((sort_key(&[set.owner, labels]), set.rtype));
            }
            signatures.push(signature.unwrap_or(Signature::NONE));
        }
        (card.clone().with_signatures(&signatures), failed)
    }

    /// Returns the records of the chain that are to be signed: those that are others now, and those that came.
    fn with_unaltered(&self, signing: &Signing, changes: &Changes, brought: &Brought) -> Vec<Nsec> {
        let mut altered = signing.altered(changes, false);
        let known: BTreeSet<Vec<u8>> = altered.iter().map(|nsec| nsec.key.clone()).collect();
        let chain = signing.chain();
        let came: Vec<Vec<u8>> = match brought.is_whole {
            true => chain.keys_after(None, usize::MAX),
            false => brought.owners.keys().cloned().collect(),
        };
        let is_going = |key: &[u8]| changes.get(key).is_some_and(Option::is_none);
        altered.extend(
            came.iter().filter(|key| !known.contains(*key) && !is_going(key)).filter_map(|key| chain.nsec(key)),
        );
        altered
    }

    fn sign_copied_nsec(&self, by: &Judge<'_>, nsec: &Nsec, brought: &Brought) -> Nsec {
        let (owner, next) =
            (by.signing.absolute(&[&labels_of(&nsec.key)]), by.signing.absolute(&[&labels_of(&nsec.next)]));
        let rdata = [&next, nsec.node.bitmap()].concat();
        let set = Set { owner: &owner, rtype: TYPE_NSEC, ttl_s: self.apex.negative_ttl_s, rdata: &[&rdata] };
        let held = nsec.node.signature(); // of one that is as it was
        let records = brought.owners.get(&nsec.key).map_or(&[][..], Vec::as_slice);
        let node = super::super::dnssec::Node::unsigned(nsec.node.bitmap());
        let node = match by.find(records, &set, held, self.apex.wire()) {
            Some(signature) => node.signed(&signature),
            None => node,
        };
        Nsec { node, ..nsec.clone() }
    }

    /// Returns what is shown at `_checkpoint`, and whether that cannot be served.
    fn checkpoint_of(&self, by: &Judge<'_>, records: &[Record], is_known: bool) -> (Checkpoint, bool) {
        let Some(text) = records.iter().find(|record| record.rtype == TYPE_TXT) else {
            return (Checkpoint::default(), false);
        };
        let owner = by.signing.absolute(&[CHECKPOINT_OWNER]);
        let set = Set { owner: &owner, rtype: TYPE_TXT, ttl_s: CHECKPOINT_TTL_S, rdata: &[&text.rdata] };
        let signature = by.find(records, &set, None, self.apex.wire()).filter(|_| is_known);
        (Checkpoint { rdata: text.rdata.to_vec(), signature }, signature.is_none())
    }

    /// Notes which of its versions a name has, and what its devices wrote.
    fn remember_copied(&self, copied: &Copied, decided: &Decided, now_ms: u64) {
        let labels = &decided.told.labels;
        let text = format!("{}.{}", name::text_of(labels), self.name());
        let mut waits = copied.waits();
        if let Some(versions) = waits.log.get_mut(labels) {
            versions.retain(|version| version.number > decided.up_to);
            if versions.is_empty() {
                waits.log.remove(labels);
            }
        }
        match decided.unlike_since_ms {
            // Nothing waits for it any more.
            Some(since_ms) => {
                let long_ago_ms = now_ms.saturating_sub(AGREE_WITHIN.as_millis() as u64);
                waits.unlike.insert(labels.clone(), since_ms.min(long_ago_ms));
            }
            None => {
                waits.unlike.remove(labels);
            }
        }
        match decided.volatile.is_empty() {
            true => self.lock_volatile().remove(&text),
            false => self.lock_volatile().insert(text, decided.volatile.clone()),
        };
    }
}

/// By whose keys what came is judged, and when.
struct Judge<'j> {
    signing: &'j Signing,
    keys: &'j Keys,
    now_s: u32,
}

impl Judge<'_> {
    /// Returns the first signature among records that holds over a set; `held` did already.
    fn find(&self, records: &[Record], set: &Set<'_>, held: Option<Signature>, apex: &[u8]) -> Option<Signature> {
        let rrsigs =
            records.iter().filter(|record| record.rtype == TYPE_RRSIG).filter_map(|record| Rrsig::read(&record.rdata));
        let mut rrsigs = rrsigs.filter(|rrsig| rrsig.rtype == set.rtype).take(SIGNATURES_MAX);
        let is_held = |rrsig: &Rrsig<'_>| held == Some(rrsig.signature) && self.keys.may_sign(rrsig, self.now_s);
        let holds = |rrsig: &Rrsig<'_>| is_held(rrsig) || self.keys.signed(apex, set, rrsig, self.now_s);
        rrsigs.find(holds).map(|rrsig| rrsig.signature)
    }
}

/// Returns a record as copies are held against each other: names in data in lower case; `None` for what nobody signs and the server says itself.
pub(crate) fn as_copied(record: Record) -> Option<Record> {
    if record.rtype == TYPE_NS && &*record.owner == PROOF_OWNER {
        return None;
    }
    Some(Record { rdata: canonical(record.rtype, &record.rdata).into(), ..record })
}

/// Returns what came of a name, without signatures. What stands where nothing is signed says nothing: addresses of the servers of a delegated name above.
fn came(view: &View) -> BTreeSet<(Vec<u8>, u16, u32, Vec<u8>)> {
    let mut came = BTreeSet::new();
    for (owner, records) in signed_owners(view) {
        for record in records.iter().filter(|record| record.rtype != TYPE_RRSIG) {
            let data = match record.rtype {
                TYPE_NSEC => (owner.clone(), TYPE_NSEC, 0, Vec::new()),
                _ => (owner.clone(), record.rtype, record.ttl_s, canonical(record.rtype, &record.rdata)),
            };
            came.insert(data);
        }
    }
    came
}

fn signed_owners(view: &View) -> impl Iterator<Item = (&Vec<u8>, &Vec<Record>)> {
    view.iter().filter(|(_, records)| records.iter().any(|record| record.rtype == TYPE_NSEC))
}

/// Returns the card of a name that is the operator's: all that came of it.
fn fixed(labels: &[u8], view: &View) -> Card {
    let made = |owner: &[u8]| labels.is_empty() && [CHECKPOINT_OWNER, PROOF_OWNER].contains(&owner);
    let is_own = |owner: &[u8], rtype| {
        let is_apex = labels.is_empty() && owner.is_empty();
        let is_of_chain = [TYPE_RRSIG, TYPE_NSEC].contains(&rtype);
        !(is_of_chain || made(owner) || is_apex && apex_types().contains(&rtype))
    };
    let rows: Vec<Row> = signed_owners(view)
        .flat_map(|(owner, records)| records.iter().map(move |record| (owner, record)))
        .filter(|(owner, record)| is_own(owner, record.rtype) && reads_back(owner))
        .map(|(owner, record)| row(owner, record))
        .collect();
    // A name without records is one all the same; the zone's own always is.
    match rows.is_empty() && (labels.is_empty() || signed_owners(view).next().is_none()) {
        true => Card::empty(labels),
        false => Card::fixed(labels, &rows).unwrap_or_else(|_| Card::empty(labels)),
    }
}

/// Returns the card of a name as the log has it, with those records that came of it and that its devices may have written; and these alone.
fn card_with(text: &str, labels: &[u8], content: Option<&Content>, view: &View) -> (Card, Vec<Row>) {
    let Some(content) = content else { return (Card::empty(labels), Vec::new()) };
    let Content { did, log_index, flags, rows, is_cut } = content;
    let written = if *is_cut { Vec::new() } else { volatile(text, content, view) };
    let card = match is_cut {
        true => Card::cut(labels, *log_index, rows),
        false => Card::bound(labels, did.as_ref(), *log_index, *flags, &[rows.as_slice(), &written].concat()),
    };
    // No certificate has rows that no card holds, and no device writes them.
    (card.unwrap_or_else(|_| Card::empty(labels)), written)
}

/// Returns those of the records that came of a name, and that no certificate has, which its devices may write.
fn volatile(text: &str, content: &Content, view: &View) -> Vec<Row> {
    let came = signed_owners(view).flat_map(|(owner, records)| records.iter().map(move |record| (owner, record)));
    let is_other =
        |owner: &[u8], rtype| ![TYPE_RRSIG, TYPE_NSEC].contains(&rtype) && owner != DID_OWNER && reads_back(owner);
    let others = came.filter(|(owner, record)| is_other(owner, record.rtype));
    let rows: Vec<Row> = others.map(|(owner, record)| row(owner, record)).collect();
    update::volatile(text, content, rows)
}

/// Whether labels are those that their text says.
fn reads_back(labels: &[u8]) -> bool {
    name::labels_of(&name::text_of(labels)).as_deref() == Some(labels)
}

fn row(owner: &[u8], record: &Record) -> Row {
    Row { owner: name::text_of(owner), rtype: record.rtype, rdata: record.rdata.to_vec(), ttl: record.ttl_s }
}

/// Notes since when names are not what a copy says; returns whether one of them may be so still.
fn note_unlike(waits: &mut Waits, decided: &[Decided], now_ms: u64) -> bool {
    let mut waits_on = false;
    for decided in decided {
        if let Some(since_ms) = decided.unlike_since_ms {
            waits.unlike.entry(decided.told.labels.clone()).or_insert(since_ms);
            waits_on |= now_ms.saturating_sub(since_ms) < AGREE_WITHIN.as_millis() as u64;
        }
    }
    waits_on
}

/// Does work on as many threads as there are processors; the results are in the order of the items.
fn spread<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let each = items.len().div_ceil(threads).max(64);
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            items.chunks(each).map(|part| scope.spawn(|| part.iter().map(&work).collect::<Vec<R>>())).collect();
        parts.into_iter().flat_map(|part| part.join().expect("verifying does not panic")).collect()
    })
}
