//! What exists: every name of the zone with its records, in memory, readable while it changes.
//!
//! A name changes from one whole card to the next, never in between, and no reader waits for a writer. Names appear from the top
//! down and vanish from the bottom up, so that no reader finds a name whose parent does not exist.

pub(crate) mod copied;
mod editions;
mod journal;
mod record;
pub(crate) mod snapshot;
pub(super) mod text;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use identity::cert::{Records, Row};
use identity::did::Did;

use self::copied::Copied;
use self::editions::Editions;
pub(crate) use self::editions::Part;
pub(crate) use self::journal::Edition;
pub(crate) use self::record::Record;
use self::snapshot::{Recorder, first_owners};
use super::card::{Card, CardRef};
use super::cards::{Cards, Hashed};
use super::dnssec::{
    Changes, Keyring, NameSet, Signature, Signing, TYPE_NSEC, TYPE_RRSIG, Times, apex_types, bitmap, labels_of,
    sort_key,
};
use super::limits::{NEGATIVE_TTL_S_MAX, UDP_BATCH, ZONE_BYTES_MAX, ZONE_SEGMENTS};
use super::name::{self, NAME_BYTES_MAX, Place, WireName};
use super::own::Own;
use super::proofs::strings;
use super::query::HEADER_BYTES;
use super::snapshot::Snapshots;
use super::update::accounts;
use crate::clock::Clock;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
pub(crate) const TYPE_TXT: u16 = 16;
const TYPE_AAAA: u16 = 28;
const NAMESERVER_ADDRESS_TTL_S: u32 = 3_600;

/// What secondaries read in the SOA: refresh, retry and expire, in seconds.
const SOA_TIMES_S: [u32; 3] = [3_600, 600, 1_209_600];

/// The owner of the newest head, and the cut below which proofs stand.
pub(crate) const CHECKPOINT_OWNER: &[u8] = b"\x0b_checkpoint";
pub(crate) const CHECKPOINT_TTL_S: u32 = 1;
pub(crate) const PROOF_OWNER: &[u8] = b"\x06_proof";

/// Where ACME authorities look for what a name was challenged to show (RFC 8555 section 8.4).
pub(crate) const CHALLENGE: &str = "_acme-challenge";

/// How long resolvers may keep a challenge, seconds: the next one comes soon.
pub(crate) const CHALLENGE_TTL_S: u32 = 1;

/// The owners that are signed before a zone answers for the first time.
const SIGNED_AT_ONCE: usize = 4_096;

/// The settings of a zone that are the operator's alone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The servers of the zone, the first one named in the SOA; at least one.
    pub nameservers: Vec<Nameserver>,
    /// The names of the servers of `_proof` below the zone, which answer for proofs; empty: those of the zone.
    pub proof_nameservers: Vec<String>,
    /// The operator's mailbox as a domain name, such as `hostmaster.dgns.test`.
    pub mailbox: String,
    /// The TTL of the SOA and of every denial, 1..=5 seconds.
    pub negative_ttl_s: u32,
    /// Whether names show their DID at `_did`, unless their owner says no.
    pub publish_did: bool,
}

/// A server of the zone.
#[derive(Clone, Debug)]
pub struct Nameserver {
    /// Its absolute name. Within the zone it should be one of the reserved names (PROTOCOL 2.2): it is never anybody's.
    pub host: String,
    /// Its addresses, served if the name lies within the zone.
    pub addresses: Vec<IpAddr>,
}

impl Settings {
    /// Returns what serves while nothing is configured: one server, `ns.<zone>`, without address.
    pub fn for_zone(zone: &str) -> Self {
        Self {
            nameservers: vec![Nameserver { host: format!("ns.{zone}"), addresses: Vec::new() }],
            proof_nameservers: Vec::new(),
            mailbox: format!("hostmaster.{zone}"),
            negative_ttl_s: NEGATIVE_TTL_S_MAX,
            publish_did: true,
        }
    }
}

/// A name as the log now has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The absolute name, without final dot.
    pub name: String,
    /// What it now is; `None` if nobody's: held, or free again.
    pub content: Option<Content>,
}

/// What a live name is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its owner, whom `_did` shows; `None`: that shows nobody.
    pub did: Option<Did>,
    /// The log index of the certificate that last changed it, below 2^40.
    pub log_index: u64,
    /// The flags of its `records` certificate: bit 0 hidden, bit 1 no `_did`; 0 if there is none.
    pub flags: u32,
    /// The rows of that certificate; of a delegation NS and DS at the name, and the addresses of its servers at theirs.
    pub rows: Vec<Row>,
    /// The name is delegated: another server answers for it and all below it.
    pub is_cut: bool,
}

/// Why a zone cannot be made or changed. Whoever gets one: nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZoneError {
    /// A setting is not what it must be. Fault: the operator.
    #[error("the DNS setting {setting} is not valid: {value}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// A name is not below the zone, or too long to be a DNS name. Fault: the caller; certificates are checked before.
    #[error("{0} is not a name of the zone")]
    Name(String),
    /// A row of this name cannot be a DNS record. Fault: the caller; certificates are checked before.
    #[error("a record of {0} does not fit into DNS")]
    Row(String),
}

impl ZoneError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "dns_setting",
            Self::Name(_) => "dns_name",
            Self::Row(_) => "dns_row",
        }
    }
}

/// The zone: a concurrent map from names to their records.
pub struct Zone {
    apex: Apex,
    publish_did: bool,
    cards: Cards,
    writer: Mutex<()>,
    names: AtomicU64,
    log_size: AtomicU64,
    ready: AtomicBool,
    /// Only what the log says is answered.
    partial: AtomicBool,
    /// The names, in wire labels, of which devices wrote when a part of the zone began to answer, the hidden ones left out.
    open: Mutex<BTreeSet<Vec<u8>>>,
    checkpoint: RwLock<Arc<Checkpoint>>,
    /// Where the zone's own name takes its addresses from.
    alias: Option<AliasTarget>,
    /// Records without a certificate, by name: those that no certified set stands in the place of.
    volatile: Mutex<HashMap<String, Vec<Row>>>,
    /// How many names are delegated.
    cuts: AtomicU64,
    /// The servers of delegated names that have addresses here, by the segment of their names; no card is theirs.
    glue: Mutex<BTreeSet<(usize, Vec<u8>)>>,
    /// What signs it; `None`: nobody does.
    signing: Option<Signing>,
    /// What others copy; `None`: nobody does.
    editions: Option<Editions>,
    /// What another server signs of it; `None`: nothing.
    copied: Option<Copied>,
    /// Whether what is shown is signed at once; before, a keeper does that.
    signs: AtomicBool,
    recorder: Recorder,
    pub(crate) snapshots: Snapshots,
}

/// The name that the zone's own name takes its addresses from.
pub(crate) struct AliasTarget {
    /// In wire form.
    pub(crate) name: Vec<u8>,
    aliased: AtomicU8,
}

/// How well the addresses of that name are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Aliased {
    /// Not at all, or no more.
    Lost = 0,
    /// As they were: nobody answers now.
    Stale = 1,
    /// As they are.
    Fresh = 2,
}

impl AliasTarget {
    pub(crate) fn aliased(&self) -> Aliased {
        match self.aliased.load(Ordering::Relaxed) {
            0 => Aliased::Lost,
            1 => Aliased::Stale,
            _ => Aliased::Fresh,
        }
    }
}

/// The TXT record at `_checkpoint`.
#[derive(Clone, Default)]
pub(crate) struct Checkpoint {
    /// Its data; empty: there is none.
    pub(crate) rdata: Vec<u8>,
    pub(crate) signature: Option<Signature>,
}

/// What one round over owners found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// The last owner it came to; `None`: it came to the end.
    pub(crate) at: Option<Vec<u8>>,
    /// Owners that had something to sign.
    pub(crate) signed: usize,
    /// The end of the signature that ends first, seconds from now.
    pub(crate) lasts_s: Option<u32>,
}

/// The zone's own name and the records there.
pub(crate) struct Apex {
    text: String,
    wire: Vec<u8>,
    pub(crate) servers: Servers,
    /// Of `_proof`.
    pub(crate) proof_servers: Servers,
    pub(crate) negative_ttl_s: u32,
}

/// Who answers for a zone.
pub(crate) struct Servers {
    /// The rdata of each NS.
    pub(crate) nameservers: Vec<Vec<u8>>,
    /// The two names the SOA begins with.
    pub(crate) soa_names: Vec<u8>,
}

impl Servers {
    fn new(setting: &'static str, hosts: &[&str], mailbox: &[u8]) -> Result<Self, ZoneError> {
        let nameservers = hosts.iter().map(|host| wire_of(setting, host)).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = nameservers.first() else {
            return Err(ZoneError::Setting { setting, value: "none".to_owned() });
        };
        let soa_names = [first.as_slice(), mailbox].concat();
        Ok(Self { nameservers, soa_names })
    }
}

impl Apex {
    /// Returns the zone's name in wire form, lower case, the final zero included.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Returns the numbers the SOA's data end with.
    pub(crate) fn soa_numbers(&self, serial: u32) -> [u8; 20] {
        let [refresh, retry, expire] = SOA_TIMES_S;
        let numbers = [serial, refresh, retry, expire, self.negative_ttl_s];
        let mut bytes = [0; 20];
        for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Returns the SOA's data.
    pub(crate) fn soa(&self, serial: u32) -> Vec<u8> {
        [self.servers.soa_names.as_slice(), &self.soa_numbers(serial)].concat()
    }
}

impl Zone {
    /// Returns an empty zone named `name`, absolute without final dot. Until [`Zone::set_ready`] it answers SERVFAIL.
    ///
    /// Errors: [`ZoneError::Setting`], naming the setting.
    pub fn new(name: &str, settings: &Settings) -> Result<Self, ZoneError> {
        let wire = wire_of("zone", name)?;
        if name.len() > ZONE_BYTES_MAX {
            return Err(ZoneError::Setting { setting: "zone", value: name.to_owned() });
        }
        if !(1..=NEGATIVE_TTL_S_MAX).contains(&settings.negative_ttl_s) {
            let value = settings.negative_ttl_s.to_string();
            return Err(ZoneError::Setting { setting: "negative_ttl_s", value });
        }
        let mailbox = wire_of("mailbox", &settings.mailbox)?;
        let hosts: Vec<&str> = settings.nameservers.iter().map(|server| server.host.as_str()).collect();
        let proof_hosts: Vec<&str> = settings.proof_nameservers.iter().map(String::as_str).collect();
        let proof_hosts = if proof_hosts.is_empty() { &hosts } else { &proof_hosts };
        let zone = Self {
            apex: Apex {
                text: name.to_ascii_lowercase(),
                wire,
                servers: Servers::new("nameservers", &hosts, &mailbox)?,
                proof_servers: Servers::new("proof_ns", proof_hosts, &mailbox)?,
                negative_ttl_s: settings.negative_ttl_s,
            },
            publish_did: settings.publish_did,
            cards: Cards::new(),
            writer: Mutex::new(()),
            names: AtomicU64::new(0),
            log_size: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            partial: AtomicBool::new(false),
            open: Mutex::default(),
            checkpoint: RwLock::default(),
            alias: None,
            volatile: Mutex::default(),
            cuts: AtomicU64::new(0),
            glue: Mutex::default(),
            signing: None,
            editions: None,
            copied: None,
            signs: AtomicBool::new(false),
            recorder: Recorder::default(),
            snapshots: Snapshots::default(),
        };
        zone.fix_nameservers(settings)?;
        Ok(zone)
    }

    /// Makes the zone show `changes`, and the size of the log that has them as its serial.
    ///
    /// Each name changes at once and as a whole; when the call returns, every query sees every change. Repeating a change does
    /// nothing; for loading a whole zone call it with some thousand names at a time. Errors: [`ZoneError::Name`] and
    /// [`ZoneError::Row`]; nothing has changed then.
    pub fn apply(&self, changes: Vec<Change>, log_size: u64) -> Result<(), ZoneError> {
        if let (Some(copied), Some(signing), true) = (&self.copied, &self.signing, self.is_loaded()) {
            changes.iter().try_for_each(|change| self.card_of(change).map(drop))?;
            for Change { name, content } in changes {
                copied.wait(self.labels_below(&name)?, content, signing.now_ms());
            }
            self.log_size.fetch_max(log_size, Ordering::Relaxed);
            return Ok(());
        }
        let writer = self.lock_writer();
        let cards = changes.iter().map(|change| self.card_of(change)).collect::<Result<Vec<_>, _>>()?;
        self.show(&writer, cards);
        // A serial that went back would make secondaries keep the older zone.
        self.log_size.fetch_max(log_size, Ordering::Relaxed);
        let is_serial = self.is_ready() && self.editions.is_none();
        if let Some(signing) = self.signing.as_ref().filter(|_| is_serial) {
            signing.show_serial(&self.apex, self.serial());
        }
        Ok(())
    }

    /// Returns the zone, to answer from the log alone once it is ready: what takes anything else, or may, is SERVFAIL until [`Zone::set_whole`].
    #[must_use]
    pub fn in_part(self) -> Self {
        self.partial.store(true, Ordering::Release);
        self
    }

    /// Lets the zone answer all: what devices and ACME clients wrote was held against the log, and whoever makes proofs, updates and copies is there.
    pub fn set_whole(&self) {
        self.partial.store(false, Ordering::Release);
        self.lock_open().clear();
    }

    /// Returns whether [`Zone::set_whole`] is still to come.
    pub(crate) fn is_partial(&self) -> bool {
        self.partial.load(Ordering::Acquire)
    }

    /// Returns whether devices or ACME clients wrote at a place, or may have, which nobody has held against the log yet.
    pub(crate) fn is_open_at(&self, place: Place<'_>) -> bool {
        accounts::is_of_clients(place.name) || self.lock_open().contains(place.name)
    }

    fn lock_open(&self) -> MutexGuard<'_, BTreeSet<Vec<u8>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the zone answer: everything the log had at the start is applied; one that is copied answers once it has a copy, too. The first 4,096 owners of a signed zone are signed now, the others
    /// by its keeper.
    pub fn set_ready(&self) {
        if self.is_copied() {
            self.ready.store(true, Ordering::Release);
            return;
        }
        if let Some(signing) = &self.signing {
            signing.show_apex(&self.apex, self.serial());
            self.sign_from(None, SIGNED_AT_ONCE, SIGNED_AT_ONCE);
        }
        self.signs.store(true, Ordering::Release);
        self.ready.store(true, Ordering::Release);
    }

    /// Returns the zone, signed with these keys.
    #[must_use]
    pub fn signed(mut self, keys: Keyring, times: Times, clock: Clock) -> Self {
        let signing = Signing::new(&self.apex, keys, times, clock);
        let mut changes = first_owners();
        self.cards.each(0..ZONE_SEGMENTS, |card| note_owners(&mut changes, card, self.publish_did)); // the zone's own card, too
        let altered = signing.altered(&changes, false);
        signing.change(&changes, altered);
        self.signing = Some(signing);
        self
    }

    /// Returns what signs the zone, if anybody does.
    pub fn signing(&self) -> Option<&Signing> {
        self.signing.as_ref()
    }

    /// Signs all that is not signed yet.
    pub(crate) fn sign_all(&self) {
        let mut at = None;
        loop {
            at = self.sign_from(at.as_deref(), SIGNED_AT_ONCE, SIGNED_AT_ONCE).at;
            if at.is_none() {
                return;
            }
        }
    }

    /// Writes every record as a line of a zone file, the SOA first; returns how many.
    pub(crate) fn write(&self, out: &mut dyn io::Write) -> io::Result<usize> {
        let mut count = 0;
        for part in self.parts() {
            let mut records = self.records_of(&part);
            records.sort_unstable();
            count += records.len();
            for record in &records {
                writeln!(out, "{}", text::line(record, self.apex.wire()))?;
            }
        }
        Ok(count)
    }

    /// Signs anew, of the `count_max` owners behind `after`, what has no signature or none for long, `signed_max` of them at most.
    pub(crate) fn sign_from(&self, after: Option<&[u8]>, count_max: usize, signed_max: usize) -> Round {
        let mut round = Round::default();
        let Some(signing) = &self.signing else { return round };
        let keys = signing.chain().keys_after(after, count_max);
        let is_last = keys.len() < count_max;
        for key in keys {
            if round.signed == signed_max {
                return round;
            }
            let (signed, lasts_s) = self.sign_owner(signing, &key);
            round.signed += usize::from(signed);
            round.lasts_s = round.lasts_s.into_iter().chain(lasts_s).min();
            round.at = Some(key);
        }
        round.at = round.at.filter(|_| !is_last);
        round
    }

    /// Signs anew what an owner, and the name it belongs to, has not signed for long; returns whether it did, and for how long all is signed.
    fn sign_owner(&self, signing: &Signing, key: &[u8]) -> (bool, Option<u32>) {
        let writer = self.lock_writer();
        let Some(mut nsec) = signing.nsec(key) else { return (false, None) };
        let is_fresh = |signature: Option<Signature>| signature.is_some_and(|signature| !signing.is_stale(&signature));
        let mut signed = false;
        if !is_fresh(nsec.node.signature()) {
            signed = true;
            nsec = signing.sign_nsec(nsec);
            self.touch(&writer, [key]);
            self.change_chain(signing, &Changes::new(), vec![nsec.clone()]);
        }
        let mut ends: Vec<Signature> = nsec.node.signature().into_iter().collect();
        let wire = [&labels_of(key), self.apex.wire()].concat();
        let place = name::place(&wire, self.apex.wire()).expect("every key is of a name of the zone");
        if place.name.is_empty() && place.owner == CHECKPOINT_OWNER {
            if !self.checkpoint().rdata.is_empty() {
                if !is_fresh(self.checkpoint().signature) {
                    signed = true;
                    self.show_checkpoint(&writer, self.checkpoint().rdata.clone());
                }
                ends.extend(self.checkpoint().signature);
            }
        } else if let Some(mut card) = self.card(place.name) {
            let count = card.read().sets(self.publish_did).len();
            let has_all = card.read().is_signed() && (0..count).all(|index| is_fresh(card.read().signature(index)));
            if !has_all {
                signed = true;
                self.touch_names(&writer, [card.read()]);
                let existed = card.read().exists();
                card = self.sign_card(signing, card.clone(), Some(card.read()));
                self.replace(&writer, &card, existed);
            }
            ends.extend((0..count).filter_map(|index| card.read().signature(index)));
        }
        let now_s = signing.now_s();
        (signed, ends.iter().map(|signature| signature.lasts_s(now_s)).min())
    }

    /// Signs the zone's own sets anew: with other keys, or because they end soon.
    pub(crate) fn sign_apex(&self) {
        let writer = self.lock_writer();
        self.touch(&writer, [b"".as_slice()]);
        self.recorder.count(); // keys may have come or gone
        if let Some(signing) = &self.signing {
            signing.show_apex(&self.apex, self.serial());
        }
    }

    /// Returns a card with all its signatures; those of sets that `before` has too are kept.
    fn sign_card(&self, signing: &Signing, card: Card, before: Option<CardRef<'_>>) -> Card {
        let known: Vec<(NameSet<'_>, Signature)> = match before {
            Some(before) => before
                .sets(self.publish_did)
                .into_iter()
                .enumerate()
                .filter_map(|(index, set)| Some((set, before.signature(index)?)))
                .collect(),
            None => Vec::new(),
        };
        let signatures = signing.sign_sets(card.read().labels(), &card.read().sets(self.publish_did), &known);
        card.with_signatures(&signatures)
    }

    /// Puts cards into the zone; into a signed one with their signatures, and with the chain that they make.
    fn show(&self, writer: &MutexGuard<'_, ()>, cards: Vec<Card>) {
        let Some(signing) = &self.signing else {
            for card in cards {
                let before = self.card(card.read().labels());
                self.touch_names(writer, before.iter().chain([&card]).map(Card::read));
                self.put(writer, card);
            }
            return;
        };
        let mut changes = Changes::new();
        let mut shown: HashMap<Vec<u8>, Card> = HashMap::with_capacity(cards.len());
        for card in cards {
            let labels = card.read().labels().to_vec();
            let before = shown.remove(&labels).or_else(|| self.card(&labels));
            let before = before.as_ref().map(Card::read);
            if before.is_some_and(CardRef::is_fixed) && !card.read().is_fixed() {
                continue;
            }
            for (owner, _) in before.iter().flat_map(|before| before.owners(self.publish_did)) {
                changes.insert(sort_key(&[owner, &labels]), None);
            }
            note_owners(&mut changes, card.read(), self.publish_did);
            self.touch_glue(writer, before.into_iter().chain([card.read()]));
            let card = match self.signs() {
                true => self.sign_card(signing, card, before),
                false => card,
            };
            shown.insert(labels, card);
        }
        let altered = signing.altered(&changes, self.signs());
        self.touch(writer, changes.keys().chain(altered.iter().map(|nsec| &nsec.key)).map(Vec::as_slice));
        for card in shown.into_values() {
            self.put(writer, card);
        }
        self.change_chain(signing, &changes, altered);
    }

    /// Shows a signed note at `_checkpoint`; where another server signs the zone, that one does.
    pub(crate) fn set_checkpoint(&self, note: &str) {
        if self.is_copied() {
            return;
        }
        self.show_checkpoint(&self.lock_writer(), strings(note.as_bytes()));
    }

    fn show_checkpoint(&self, writer: &MutexGuard<'_, ()>, rdata: Vec<u8>) {
        self.touch(writer, [sort_key(&[CHECKPOINT_OWNER]).as_slice()]);
        let signing = self.signing.as_ref();
        let signature = signing.map(|signing| signing.sign(&[CHECKPOINT_OWNER], TYPE_TXT, CHECKPOINT_TTL_S, &[&rdata]));
        *self.checkpoint.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Checkpoint { rdata, signature });
        if let Some(signing) = signing {
            let types = bitmap(&[TYPE_TXT, TYPE_RRSIG, TYPE_NSEC]);
            let changes = Changes::from([(sort_key(&[CHECKPOINT_OWNER]), Some(types))]);
            self.change_chain(signing, &changes, signing.altered(&changes, true));
        }
    }

    /// Returns the TXT record at `_checkpoint`.
    pub(crate) fn checkpoint(&self) -> Arc<Checkpoint> {
        self.checkpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the zone answer no longer: what it knows is not to be relied on any more.
    pub fn stop_answering(&self) {
        self.ready.store(false, Ordering::Release);
    }

    fn signs(&self) -> bool {
        self.signs.load(Ordering::Acquire)
    }

    /// Returns whether the zone answers.
    pub fn is_ready(&self) -> bool {
        self.is_loaded() && self.copied.as_ref().is_none_or(Copied::is_fresh)
    }

    /// Returns whether what the log has is here, and may be relied on.
    pub(crate) fn is_loaded(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Returns the zone's name.
    pub fn name(&self) -> &str {
        &self.apex.text
    }

    /// Returns the serial of the SOA, of which DNS compares the low 32 bits (RFC 1982): that of the edition, or of the copy, of a zone without either the size of the log.
    pub fn serial(&self) -> u32 {
        let log_size = match &self.copied {
            Some(copied) => copied.serial(),
            None => self.log_size() as u32,
        };
        self.editions.as_ref().map_or(log_size, Editions::serial)
    }

    /// Returns how many names are bound, those of the operator left out.
    pub fn names(&self) -> u64 {
        self.names.load(Ordering::Relaxed)
    }

    /// Returns the bytes of memory that names, their records and signatures take, and the index that finds them.
    pub fn card_bytes(&self) -> usize {
        self.cards.bytes() + self.signing.as_ref().map_or(0, |signing| signing.chain().bytes())
    }

    /// Returns what the zone has under an absolute name, but for volatile records; its DID only if `_did` shows it.
    pub fn content(&self, name: &str) -> Option<Content> {
        let labels = self.labels_below(name).ok()?;
        self.read(&labels, |card| {
            let card = card.filter(|card| card.is_bound() && !card.is_fixed())?;
            let (did, log_index, flags) = (card.shown_did(), card.log_index(), card.flags());
            Some(Content { did, log_index, flags, rows: rows_of(card), is_cut: card.is_cut() })
        })
        .map(|content| {
            let volatile = self.lock_volatile();
            let known = volatile.get(name).map(Vec::as_slice).unwrap_or_default();
            let is_certified = |row: &Row| !known.iter().any(|other| stands_for(row, other));
            Content { rows: content.rows.into_iter().filter(is_certified).collect(), ..content }
        })
    }

    /// Shows `rows`, which no certificate has, at and below a name beside its certified records, in the place of those before. A certified
    /// record set is never changed. Errors: as [`Zone::apply`].
    pub fn set_volatile(&self, name: &str, rows: Vec<Row>) -> Result<(), ZoneError> {
        let labels = self.labels_below(name)?;
        let writer = self.lock_writer();
        let Some(content) = self.content(name).filter(|content| !content.is_cut) else {
            self.lock_volatile().remove(name);
            return Ok(());
        };
        let rows = self.remember_volatile(name, &content.rows, rows);
        let rows = [content.rows, rows].concat();
        let card = Card::bound(&labels, content.did.as_ref(), content.log_index, content.flags, &rows);
        self.show(&writer, vec![card.map_err(|_| ZoneError::Row(name.to_owned()))?]);
        Ok(())
    }

    /// Shows these rows, by name, as [`Zone::set_volatile`] does, and those of no other name; a part of a zone answers for none of these names.
    ///
    /// Errors: the first one; all else is shown, and of a name whose rows cannot be, none.
    pub(crate) fn set_all_volatile(&self, mut rows: HashMap<String, Vec<Row>>) -> Result<(), ZoneError> {
        for name in self.lock_volatile().keys() {
            rows.entry(name.clone()).or_default();
        }
        if self.is_partial() {
            let is_shown =
                |name: &&String| self.content(name).is_some_and(|content| content.flags & Records::HIDDEN == 0);
            let open = rows.keys().filter(is_shown).filter_map(|name| self.labels_below(name).ok()).collect();
            *self.lock_open() = open;
        }
        let mut first = Ok(());
        for (name, rows) in rows {
            if let Err(error) = self.set_volatile(&name, rows) {
                first = first.and(self.set_volatile(&name, Vec::new())).and(Err(error));
            }
        }
        first
    }

    /// Remembers those of `rows` that no certified set stands in the place of, and returns them.
    fn remember_volatile(&self, name: &str, certified: &[Row], mut rows: Vec<Row>) -> Vec<Row> {
        rows.retain(|row| !certified.iter().any(|known| stands_for(row, known)));
        match rows.is_empty() {
            true => self.lock_volatile().remove(name),
            false => self.lock_volatile().insert(name.to_owned(), rows.clone()),
        };
        rows
    }

    fn lock_volatile(&self) -> MutexGuard<'_, HashMap<String, Vec<Row>>> {
        self.volatile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the records at the zone's own name.
    pub(crate) fn apex(&self) -> &Apex {
        &self.apex
    }

    /// Returns whether `_did` records are shown at all.
    pub(crate) fn publishes_did(&self) -> bool {
        self.publish_did
    }

    /// Calls `look` with the card of a relative name in wire labels.
    pub(crate) fn read<T>(&self, labels: &[u8], look: impl FnOnce(Option<CardRef<'_>>) -> T) -> T {
        self.cards.read(labels, look)
    }

    /// Reads ahead what the answers to the first [`UDP_BATCH`] of some queries are going to read.
    pub(crate) fn read_ahead<'m>(&self, queries: impl Iterator<Item = &'m [u8]>) {
        let (mut names, mut count) = ([Hashed::default(); UDP_BATCH], 0);
        let qnames = queries.filter_map(|query| WireName::read(query.get(HEADER_BYTES..)?));
        for (place, qname) in names.iter_mut().zip(qnames) {
            let name = name::place(qname.as_bytes(), self.apex.wire()).map_or(b"".as_slice(), |place| place.name);
            *place = self.cards.hash(name);
            count += 1;
        }
        self.cards.read_ahead(&names[..count]);
    }

    fn card(&self, labels: &[u8]) -> Option<Card> {
        self.read(labels, |card| card.map(CardRef::to_card))
    }

    fn lock_writer(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the card a change asks for; an empty one if the name is nobody's.
    fn card_of(&self, change: &Change) -> Result<Card, ZoneError> {
        let labels = self.labels_below(&change.name)?;
        match &change.content {
            None => {
                self.lock_volatile().remove(&change.name);
                Ok(Card::empty(&labels))
            }
            Some(content) if content.is_cut => {
                self.lock_volatile().remove(&change.name);
                Card::cut(&labels, content.log_index, &content.rows).map_err(|_| ZoneError::Row(change.name.clone()))
            }
            Some(content) => {
                let volatile = self.lock_volatile().get(&change.name).cloned().unwrap_or_default();
                let rows = match volatile.is_empty() {
                    true => Vec::new(),
                    false => self.remember_volatile(&change.name, &content.rows, volatile),
                };
                let rows = [content.rows.as_slice(), &rows].concat();
                let did = content.did.as_ref().filter(|_| self.publish_did);
                Card::bound(&labels, did, content.log_index, content.flags, &rows)
                    .map_err(|_| ZoneError::Row(change.name.clone()))
            }
        }
    }

    /// Replaces the card of one name, keeping the count of names below and telling the parent whether the name exists.
    fn put(&self, writer: &MutexGuard<'_, ()>, card: Card) {
        let state = |card: CardRef<'_>| {
            let glue = card.is_cut().then(|| self.glue_of(card).collect::<Vec<_>>());
            (card.children(), card.exists(), card.is_bound(), card.is_fixed(), glue)
        };
        let new = card.read();
        let (children, existed, was_bound, fixed, cut) =
            self.read(new.labels(), |old| old.map(state)).unwrap_or_default();
        if fixed && !new.is_fixed() && !self.is_copied() {
            return;
        }
        if new.is_bound() && !was_bound && !new.is_fixed() {
            self.names.fetch_add(1, Ordering::Relaxed);
        } else if was_bound && !fixed && !new.is_bound() {
            self.names.fetch_sub(1, Ordering::Relaxed);
        }
        if new.is_cut() || cut.is_some() {
            let mut glue = self.lock_glue();
            for known in cut.iter().flatten() {
                glue.remove(known);
            }
            glue.extend(self.glue_of(new));
        }
        self.cuts.fetch_add(new.is_cut().into(), Ordering::AcqRel); // before anybody can see the card
        self.replace(writer, &card.with_children(children), existed);
        self.cuts.fetch_sub(cut.is_some().into(), Ordering::AcqRel);
    }

    /// Returns whether any name is delegated.
    pub(crate) fn has_cuts(&self) -> bool {
        self.cuts.load(Ordering::Acquire) > 0
    }

    /// Returns the servers below a delegated name that have addresses there, by the segments of their names.
    fn glue_of(&self, card: CardRef<'_>) -> impl Iterator<Item = (usize, Vec<u8>)> {
        glue_of(&self.cards, card)
    }

    fn lock_glue(&self) -> MutexGuard<'_, BTreeSet<(usize, Vec<u8>)>> {
        self.glue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows `card`, the parent's count before it when the name appears and after it when it vanishes.
    fn replace(&self, writer: &MutexGuard<'_, ()>, card: &Card, existed: bool) {
        let new = card.read();
        let exists = new.exists();
        if exists && !existed {
            self.count_child(writer, new.labels(), 1);
        }
        if exists || new.is_bound() {
            self.cards.put(new);
        } else {
            self.cards.remove(new.labels());
        }
        if existed && !exists {
            self.count_child(writer, new.labels(), -1);
        }
        self.recorder.card(new.labels());
    }

    /// Adds `by` to the count of names below the parent of `labels`; a parent that nobody owns exists while it has some.
    fn count_child(&self, writer: &MutexGuard<'_, ()>, labels: &[u8], by: i32) {
        let Some(parent) = name::parent(labels).filter(|parent| !parent.is_empty()) else { return };
        let old = self.card(parent).unwrap_or_else(|| Card::empty(parent));
        let (existed, children) = (old.read().exists(), old.read().children().saturating_add_signed(by));
        self.replace(writer, &old.with_children(children), existed);
    }

    fn labels_below(&self, text: &str) -> Result<Vec<u8>, ZoneError> {
        let refused = || ZoneError::Name(text.to_owned());
        let relative = text.strip_suffix(self.name()).and_then(|rest| rest.strip_suffix('.')).ok_or_else(refused)?;
        let labels = name::labels_of(relative).filter(|labels| !labels.is_empty()).ok_or_else(refused)?;
        (labels.len() + self.apex.wire.len() <= NAME_BYTES_MAX).then_some(labels).ok_or_else(refused)
    }

    /// Gives the servers that have a name in the zone their addresses; nobody else has such a name.
    fn fix_nameservers(&self, settings: &Settings) -> Result<(), ZoneError> {
        let writer = self.lock_writer();
        let servers = settings.nameservers.iter().map(|server| (&server.host, server.addresses.as_slice()));
        for (host, addresses) in servers.chain(settings.proof_nameservers.iter().map(|host| (host, [].as_slice()))) {
            let Ok(labels) = self.labels_below(&host.to_ascii_lowercase()) else { continue };
            let rows: Vec<Row> = addresses.iter().map(address_row).collect();
            if self.card(&labels).is_some_and(|card| card.read().is_fixed()) {
                continue; // named twice: the first time says where it is
            }
            let card = Card::fixed(&labels, &rows)
                .map_err(|_| ZoneError::Setting { setting: "nameservers", value: host.clone() })?;
            self.put(&writer, card);
        }
        Ok(())
    }

    /// Shows the operator's own records, beside the addresses of name servers. For a zone that nobody asks yet.
    pub(crate) fn with_own(mut self, own: Own) -> Result<Self, ZoneError> {
        self.alias = own.alias.map(|name| AliasTarget { name, aliased: AtomicU8::new(Aliased::Lost as u8) });
        let writer = self.lock_writer();
        for (labels, rows) in &own.records {
            let known = self.read(labels, |card| card.map(rows_of)).unwrap_or_default();
            let card = Card::fixed(labels, &[known.as_slice(), rows].concat());
            self.put(&writer, card.map_err(|_| ZoneError::Row(name::text_of(labels)))?);
        }
        drop(writer);
        Ok(self)
    }

    /// Returns where the zone's own name takes its addresses from.
    pub(crate) fn alias(&self) -> Option<&AliasTarget> {
        self.alias.as_ref()
    }

    /// Shows these addresses at the zone's own name in the place of those before, if there are any, and how well they are known.
    pub(crate) fn set_alias(&self, aliased: Aliased, addresses: Option<Vec<Row>>) {
        let Some(alias) = &self.alias else { return };
        if let Some(addresses) = addresses {
            let writer = self.lock_writer();
            let known = self.read(b"", |card| card.map(rows_of)).unwrap_or_default();
            let is_other = |row: &Row| !(row.owner.is_empty() && [TYPE_A, TYPE_AAAA].contains(&row.rtype));
            let rows: Vec<Row> = known.iter().filter(|row| is_other(row)).cloned().chain(addresses).collect();
            if rows != known {
                let card = Card::fixed(b"", &rows).expect("addresses have the length of addresses");
                self.show(&writer, vec![card]);
            }
        }
        alias.aliased.store(aliased as u8, Ordering::Relaxed);
    }

    /// Shows these ACME challenges of a name of the operator, in the place of those before. Errors: [`ZoneError::Name`], it is no name of the zone, or
    /// somebody's; [`ZoneError::Row`], a text is longer than a string of DNS.
    pub(crate) fn set_challenges(&self, name: &str, texts: &[String]) -> Result<(), ZoneError> {
        let labels = self.labels_below(name)?;
        if self.is_copied() {
            return Err(ZoneError::Name(name.to_owned())); // they are the primary's to show
        }
        let writer = self.lock_writer();
        let before = self.card(&labels);
        let mut rows = match before.as_ref().map(Card::read).filter(|card| card.is_bound()) {
            Some(card) if !card.is_fixed() => return Err(ZoneError::Name(name.to_owned())),
            card => card.map(rows_of).unwrap_or_default(),
        };
        rows.retain(|row| row.owner != CHALLENGE);
        for text in texts {
            let length = u8::try_from(text.len()).map_err(|_| ZoneError::Row(name.to_owned()))?;
            let rdata = [&[length], text.as_bytes()].concat();
            rows.push(Row { owner: CHALLENGE.to_owned(), rtype: TYPE_TXT, rdata, ttl: CHALLENGE_TTL_S });
        }
        let card = Card::fixed(&labels, &rows).map_err(|_| ZoneError::Row(name.to_owned()))?;
        self.show(&writer, vec![card]);
        Ok(())
    }
}

/// Notes the owners of a card in the chain's changes.
fn note_owners(changes: &mut Changes, card: CardRef<'_>, publish_did: bool) {
    if card.labels().is_empty() {
        let own = card.sets(false).into_iter().filter(|set| set.owner.is_empty()).map(|set| set.rtype);
        changes.insert(Vec::new(), Some(bitmap(&apex_types().into_iter().chain(own).collect::<Vec<_>>())));
    }
    for (owner, types) in
        card.owners(publish_did).into_iter().filter(|(owner, _)| !(owner.is_empty() && card.labels().is_empty()))
    {
        changes.insert(sort_key(&[owner, card.labels()]), Some(bitmap(&types)));
    }
}

fn glue_of(cards: &Cards, card: CardRef<'_>) -> impl Iterator<Item = (usize, Vec<u8>)> {
    let labels = card.labels().to_vec();
    let owners: BTreeSet<Vec<u8>> =
        card.glue().map(|row| row.owner.to_vec()).filter(|owner| !owner.is_empty()).collect();
    owners.into_iter().map(move |owner| {
        let name = [owner, labels.clone()].concat();
        (cards.hash(&name).segment(), name)
    })
}

fn rows_of(card: CardRef<'_>) -> Vec<Row> {
    let rows = card.rows().map(|row| Row {
        owner: name::text_of(row.owner),
        rtype: row.rtype,
        rdata: row.rdata.to_vec(),
        ttl: row.ttl_s,
    });
    rows.collect()
}

/// Whether a record set stands where a record is: one of its type, or a CNAME, which stands alone.
fn stands_for(row: &Row, set: &Row) -> bool {
    set.owner == row.owner && (set.rtype == row.rtype || set.rtype == TYPE_CNAME)
}

fn wire_of(setting: &'static str, text: &str) -> Result<Vec<u8>, ZoneError> {
    let labels = name::labels_of(text).filter(|labels| !labels.is_empty());
    let mut wire = labels.ok_or_else(|| ZoneError::Setting { setting, value: text.to_owned() })?;
    wire.push(0);
    Ok(wire)
}

fn address_row(address: &IpAddr) -> Row {
    let (rtype, rdata) = match address {
        IpAddr::V4(v4) => (TYPE_A, v4.octets().to_vec()),
        IpAddr::V6(v6) => (TYPE_AAAA, v6.octets().to_vec()),
    };
    Row { owner: String::new(), rtype, rdata, ttl: NAMESERVER_ADDRESS_TTL_S }
}

#[cfg(test)]
mod tests;
