//! The zone as others copy it: one edition after another, each with a serial of its own, while the zone itself goes on changing.
//!
//! Data are visible at once; the serial follows, for many changes at a time (RFC 2136 section 3.6 allows that). An edition can be read as long as the
//! journal knows what has changed since.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::super::card::CardRef;
use super::super::dnssec::{
    Signature, TYPE_DS, TYPE_NS, TYPE_NSEC, TYPE_RRSIG, TYPE_SOA, head, labels, labels_of, sort_key,
};
use super::super::limits::{NS_TTL_S, TRANSFER_NAMES, ZONE_SEGMENTS};
use super::super::name;
use super::journal::{Edition, Journal};
use super::record::Record;
use super::{CHECKPOINT_OWNER, CHECKPOINT_TTL_S, PROOF_OWNER, TYPE_TXT, Zone};

/// What a zone knows of its editions.
pub(super) struct Editions {
    journal: Mutex<Journal>,
    serial: AtomicU32,
    /// The first one is complete: every owner is signed.
    is_open: AtomicBool,
    changed: Notify,
}

/// Some owners of the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those that are no names of others.
    Own,
    /// Those of the names in some segments.
    Names(Range<usize>),
}

impl Editions {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }
}

impl Zone {
    /// Returns the zone with editions, the first of this serial. Its keeper makes the others.
    #[must_use]
    pub fn with_editions(mut self, serial: u32) -> Self {
        let journal = Mutex::new(Journal::new(serial));
        let (serial, is_open, changed) = (AtomicU32::new(serial), AtomicBool::new(false), Notify::new());
        self.editions = Some(Editions { journal, serial, is_open, changed });
        self
    }

    /// Returns whether there is an edition that can be copied; begins the first one once all of the zone is signed.
    pub(crate) fn has_edition(&self) -> bool {
        let Some(editions) = self.editions.as_ref().filter(|_| self.is_ready()) else { return false };
        if !editions.is_open.load(Ordering::Acquire) && self.is_signed_once() {
            let _writer = self.lock_writer();
            editions.is_open.store(true, Ordering::Release);
        }
        editions.is_open.load(Ordering::Acquire) && !editions.journal().is_lost()
    }

    /// Waits until something has changed since the last edition; for ever if the zone has none.
    pub(crate) async fn changed(&self) {
        match &self.editions {
            Some(editions) => editions.changed.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Lets whoever waits for a change look once more.
    pub(crate) fn note_change(&self) {
        if let Some(editions) = &self.editions {
            editions.changed.notify_one();
        }
    }

    /// Makes a new edition of what has changed, if anything has; returns whether it did.
    pub(crate) fn cut_edition(&self, serial: u32) -> bool {
        let Some(editions) = &self.editions else { return false };
        let _writer = self.lock_writer();
        if !editions.journal().is_changed(|key| self.records_at(key)) {
            return false;
        }
        editions.journal().touch(b"", || self.records_at(b"")); // the SOA, which nobody has to be told of
        editions.serial.store(serial, Ordering::Relaxed);
        if let Some(signing) = &self.signing {
            signing.show_serial(&self.apex, serial);
        }
        editions.journal().cut(serial, |key| self.records_at(key));
        true
    }

    /// Ends the editions, because nobody makes them any more: no copy is given, and nothing kept of what changes.
    pub(crate) fn end_editions(&self) {
        if let Some(editions) = &self.editions {
            editions.journal().lose();
        }
    }

    /// Keeps what owners have, by their sort keys, before they change.
    pub(super) fn touch<'k>(&self, _writer: &MutexGuard<'_, ()>, keys: impl IntoIterator<Item = &'k [u8]>) {
        let Some(editions) = &self.editions else { return };
        if editions.is_open.load(Ordering::Acquire) {
            let mut journal = editions.journal();
            keys.into_iter().for_each(|key| journal.touch(key, || self.records_at(key)));
            editions.changed.notify_one();
        }
    }

    /// As [`Zone::touch`], of all owners of some names.
    pub(super) fn touch_names<'c>(&self, writer: &MutexGuard<'_, ()>, cards: impl IntoIterator<Item = CardRef<'c>>) {
        if self.editions.is_some() {
            let cards: Vec<CardRef<'_>> = cards.into_iter().collect();
            let keys: Vec<Vec<u8>> = cards.iter().flat_map(|card| self.keys_of(*card)).collect();
            self.touch(writer, keys.iter().map(Vec::as_slice));
            self.touch_glue(writer, cards);
        }
    }

    /// As [`Zone::touch`], of the servers below delegated names.
    pub(super) fn touch_glue<'c>(&self, writer: &MutexGuard<'_, ()>, cards: impl IntoIterator<Item = CardRef<'c>>) {
        if self.editions.is_some() {
            let cuts = cards.into_iter().filter(|card| card.is_cut());
            let keys: Vec<Vec<u8>> =
                cuts.flat_map(|cut| self.glue_of(cut)).map(|(_, name)| sort_key(&[&name])).collect();
            self.touch(writer, keys.iter().map(Vec::as_slice));
        }
    }

    /// Returns the serial, and the editions that lead there from `serial`, if they are known still.
    pub(crate) fn editions_since(&self, serial: u32) -> (u32, Option<Vec<Arc<Edition>>>) {
        match &self.editions {
            Some(editions) => {
                let journal = editions.journal();
                (journal.serial(), journal.since(serial))
            }
            None => (self.serial(), None),
        }
    }

    /// Returns the bytes that the editions take which are known.
    pub(crate) fn journal_bytes(&self) -> usize {
        self.editions.as_ref().map_or(0, |editions| editions.journal().bytes())
    }

    /// Returns the parts that the zone is read in, one behind the other.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let each =
            (ZONE_SEGMENTS as u64 * TRANSFER_NAMES / self.names().max(1)).clamp(1, ZONE_SEGMENTS as u64) as usize;
        let names = (0..ZONE_SEGMENTS).step_by(each).map(|from| Part::Names(from..(from + each).min(ZONE_SEGMENTS)));
        std::iter::once(Part::Own).chain(names).collect()
    }

    /// Returns the records that a part had at an edition, in their order; `None` if that one is not known any more.
    pub(crate) fn records(&self, serial: u32, part: &Part) -> Option<Vec<Record>> {
        let editions = self.editions.as_ref()?;
        let is_theirs = |owner: &[u8]| self.part_has(part, owner);
        let (records, changes) = {
            let _writer = self.lock_writer();
            let changes = editions.journal().changes_since(serial, |key| is_theirs(&labels_of(key)))?;
            (self.records_of(part), changes)
        };
        Some(changes.undo(records, is_theirs, labels_of).into_iter().collect())
    }

    /// Returns the records that a part has.
    pub(super) fn records_of(&self, part: &Part) -> Vec<Record> {
        let keys: Vec<Vec<u8>> = match part {
            Part::Own => {
                let made = [b"".as_slice(), CHECKPOINT_OWNER, PROOF_OWNER].map(|owner| sort_key(&[owner]));
                let mut written = self.read(b"", |card| card.map(|card| self.keys_of(card))).unwrap_or_default();
                written.retain(|key| !key.is_empty());
                made.into_iter().chain(written).collect()
            }
            Part::Names(segments) => {
                let mut keys = Vec::new();
                let mut add = |card: CardRef<'_>| keys.extend(self.keys_of(card));
                self.cards.each(segments.clone(), |card| {
                    if !card.labels().is_empty() {
                        add(card);
                    }
                });
                let glue = self.lock_glue();
                let theirs = glue.range((segments.start, Vec::new())..(segments.end, Vec::new()));
                keys.extend(theirs.map(|(_, name)| sort_key(&[name])));
                keys
            }
        };
        keys.iter().flat_map(|key| self.records_at(key)).collect()
    }

    fn part_has(&self, part: &Part, owner: &[u8]) -> bool {
        let wire = [owner, self.apex.wire()].concat();
        let name = name::place(&wire, self.apex.wire()).map_or(b"".as_slice(), |place| place.name);
        match part {
            Part::Own => name.is_empty(),
            Part::Names(segments) => !name.is_empty() && segments.contains(&self.cards.hash(name).segment()),
        }
    }

    pub(super) fn keys_of(&self, card: CardRef<'_>) -> Vec<Vec<u8>> {
        let owners = card.owners(self.publish_did);
        owners.into_iter().map(|(owner, _)| sort_key(&[owner, card.labels()])).collect()
    }

    /// Returns the records of an owner, by its sort key, with their signatures.
    pub(super) fn records_at(&self, key: &[u8]) -> Vec<Record> {
        let (owner, mut records) = (labels_of(key), Vec::new());
        let wire = [&owner, self.apex.wire()].concat();
        let place = name::place(&wire, self.apex.wire()).expect("every key is of a name of the zone");
        let mut add = |rtype, ttl_s, rdata: &[&[u8]]| records.push(Record::new(&owner, rtype, ttl_s, rdata));
        let rrsig = |rtype, ttl_s, signature: &Signature| {
            let algorithm = self.signing.as_ref().map_or(0, |signing| signing.algorithm());
            let Signature { expiration_s, inception_s, key_tag, bytes } = signature;
            let head = head(rtype, algorithm, labels(&wire), ttl_s, *expiration_s, *inception_s, *key_tag);
            [&head, self.apex.wire(), bytes].concat()
        };
        match (place.owner, place.name) {
            ([], []) => match &self.signing {
                Some(signing) => {
                    for set in signing.apex_sets().iter() {
                        set.rdata.iter().for_each(|rdata| add(set.rtype, set.ttl_s, &[rdata]));
                        for signature in &set.signatures {
                            add(TYPE_RRSIG, set.ttl_s, &[&rrsig(set.rtype, set.ttl_s, signature)]);
                        }
                    }
                }
                None => {
                    add(TYPE_SOA, self.apex.negative_ttl_s, &[&self.apex.soa(self.serial())]);
                    self.apex.servers.nameservers.iter().for_each(|host| add(TYPE_NS, NS_TTL_S, &[host]));
                }
            },
            (CHECKPOINT_OWNER, []) => {
                let checkpoint = self.checkpoint();
                if !checkpoint.rdata.is_empty() {
                    add(TYPE_TXT, CHECKPOINT_TTL_S, &[&checkpoint.rdata]);
                    if let Some(signature) = &checkpoint.signature {
                        add(TYPE_RRSIG, CHECKPOINT_TTL_S, &[&rrsig(TYPE_TXT, CHECKPOINT_TTL_S, signature)]);
                    }
                }
            }
            (PROOF_OWNER, []) => {
                self.apex.proof_servers.nameservers.iter().for_each(|host| add(TYPE_NS, NS_TTL_S, &[host]));
            }
            _ => {}
        }
        self.read(place.name, |card| {
            let Some(card) = card else { return };
            let unsigned = card.rows().filter(|row| card.is_cut() && row.owner == place.owner && row.rtype != TYPE_DS);
            unsigned.for_each(|row| add(row.rtype, row.ttl_s, &[row.rdata]));
            let sets = card.sets(self.publish_did);
            for (index, set) in sets.iter().enumerate().filter(|(_, set)| set.owner == place.owner) {
                set.rdata.iter().for_each(|rdata| add(set.rtype, set.ttl_s, &[rdata]));
                if let Some(signature) = card.signature(index) {
                    add(TYPE_RRSIG, set.ttl_s, &[&rrsig(set.rtype, set.ttl_s, &signature)]);
                }
            }
        });
        if let Some(nsec) = self.signing.as_ref().and_then(|signing| signing.nsec(key)) {
            let ttl_s = self.apex.negative_ttl_s;
            add(TYPE_NSEC, ttl_s, &[&labels_of(&nsec.next), self.apex.wire(), nsec.node.bitmap()]);
            if let Some(signature) = nsec.node.signature() {
                add(TYPE_RRSIG, ttl_s, &[&rrsig(TYPE_NSEC, ttl_s, &signature)]);
            }
        }
        let is_card = place.name.is_empty() || self.read(place.name, |card| card.is_some());
        if !is_card && place.owner.is_empty() {
            self.add_glue(place.name, &mut records);
        }
        records
    }

    /// Adds the addresses that a name has as a server of a delegated one above it.
    fn add_glue(&self, name: &[u8], records: &mut Vec<Record>) {
        let mut above = name::parent(name).unwrap_or_default();
        while !above.is_empty() {
            let below = &name[..name.len() - above.len()];
            self.read(above, |card| {
                let glue = card.into_iter().flat_map(CardRef::glue).filter(|row| row.owner == below);
                records.extend(glue.map(|row| Record::new(name, row.rtype, row.ttl_s, &[row.rdata])));
            });
            above = name::parent(above).unwrap_or_default();
        }
    }
}
