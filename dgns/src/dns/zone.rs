//! What exists: every name of the zone with its records, in memory, readable while it changes.
//!
//! The cards lie in shards, each behind its own lock. A reader holds one lock for one lookup; a writer holds one for one
//! insert. A name changes from one whole card to the next, never in between. Names appear from the top down and vanish from the
//! bottom up, so that no reader finds a name whose parent does not exist.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use identity::cert::Row;
use identity::did::Did;

use super::card::Card;
use super::limits::{NEGATIVE_TTL_S_MAX, ZONE_BYTES_MAX, ZONE_SHARDS};
use super::name::{self, NAME_BYTES_MAX};
use super::proofs::strings;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
const NAMESERVER_ADDRESS_TTL_S: u32 = 3_600;

/// The settings of a zone that are the operator's alone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The servers of the zone, the first one named in the SOA; at least one.
    pub nameservers: Vec<Nameserver>,
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
    /// Its owner.
    pub did: Did,
    /// The log index of the certificate that last changed it, below 2^40.
    pub log_index: u64,
    /// The flags of its `records` certificate: bit 0 hidden, bit 1 no `_did`; 0 if there is none.
    pub flags: u32,
    /// The rows of that certificate.
    pub rows: Vec<Row>,
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
    shards: Vec<RwLock<HashSet<Card>>>,
    hasher: RandomState,
    writer: Mutex<()>,
    names: AtomicU64,
    log_size: AtomicU64,
    ready: AtomicBool,
    /// The data of the TXT record at `_checkpoint`; empty: there is none.
    checkpoint: RwLock<Arc<[u8]>>,
    /// Records without a certificate, by name: those that no certified set stands in the place of.
    volatile: Mutex<HashMap<String, Vec<Row>>>,
}

/// The zone's own name and the records there.
pub(crate) struct Apex {
    text: String,
    wire: Vec<u8>,
    /// The rdata of each NS.
    pub(crate) nameservers: Vec<Vec<u8>>,
    /// The two names the SOA begins with.
    pub(crate) soa_names: Vec<u8>,
    pub(crate) negative_ttl_s: u32,
}

impl Apex {
    /// Returns the zone's name in wire form, lower case, the final zero included.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
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
        let hosts = settings.nameservers.iter().map(|server| wire_of("nameservers", &server.host));
        let nameservers = hosts.collect::<Result<Vec<_>, _>>()?;
        let Some(first) = nameservers.first() else {
            return Err(ZoneError::Setting { setting: "nameservers", value: "none".to_owned() });
        };
        let soa_names = [first.as_slice(), &wire_of("mailbox", &settings.mailbox)?].concat();
        let zone = Self {
            apex: Apex {
                text: name.to_ascii_lowercase(),
                wire,
                nameservers,
                soa_names,
                negative_ttl_s: settings.negative_ttl_s,
            },
            publish_did: settings.publish_did,
            shards: (0..ZONE_SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            writer: Mutex::new(()),
            names: AtomicU64::new(0),
            log_size: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            checkpoint: RwLock::new(Arc::from([])),
            volatile: Mutex::default(),
        };
        zone.fix_nameservers(&settings.nameservers)?;
        Ok(zone)
    }

    /// Makes the zone show `changes`, and the size of the log that has them as its serial.
    ///
    /// Each name changes at once and as a whole; when the call returns, every query sees every change. Repeating a change does
    /// nothing; for loading a whole zone call it with some thousand names at a time. Errors: [`ZoneError::Name`] and
    /// [`ZoneError::Row`]; nothing has changed then.
    pub fn apply(&self, changes: Vec<Change>, log_size: u64) -> Result<(), ZoneError> {
        let writer = self.lock_writer();
        let cards = changes.iter().map(|change| self.card_of(change)).collect::<Result<Vec<_>, _>>()?;
        for card in cards {
            self.put(&writer, card);
        }
        // A serial that went back would make secondaries keep the older zone.
        self.log_size.fetch_max(log_size, Ordering::Relaxed);
        Ok(())
    }

    /// Lets the zone answer: everything the log had at the start is applied.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Shows a signed note at `_checkpoint`.
    pub(crate) fn set_checkpoint(&self, note: &str) {
        let rdata = Arc::from(strings(note.as_bytes()));
        *self.checkpoint.write().unwrap_or_else(PoisonError::into_inner) = rdata;
    }

    /// Returns the data of the TXT record at `_checkpoint`; empty if there is none.
    pub(crate) fn checkpoint(&self) -> Arc<[u8]> {
        self.checkpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the zone answer no longer: what it knows is not to be relied on any more.
    pub fn stop_answering(&self) {
        self.ready.store(false, Ordering::Release);
    }

    /// Returns whether the zone answers.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Returns the zone's name.
    pub fn name(&self) -> &str {
        &self.apex.text
    }

    /// Returns the serial of the SOA: the size of the log, of which DNS compares the low 32 bits (RFC 1982).
    pub fn serial(&self) -> u32 {
        self.log_size.load(Ordering::Relaxed) as u32
    }

    /// Returns how many names are bound, those of the operator left out.
    pub fn names(&self) -> u64 {
        self.names.load(Ordering::Relaxed)
    }

    /// Returns what the zone has under an absolute name, but for volatile records; for comparing it with the log.
    pub fn content(&self, name: &str) -> Option<Content> {
        let labels = self.labels_below(name).ok()?;
        self.read(&labels, |card| {
            let card = card?;
            let rows = card.rows().map(|row| Row {
                owner: name::text_of(row.owner),
                rtype: row.rtype,
                rdata: row.rdata.to_vec(),
                ttl: row.ttl_s,
            });
            Some(Content { did: card.did()?, log_index: card.log_index(), flags: card.flags(), rows: rows.collect() })
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
        let Some(content) = self.content(name) else {
            self.lock_volatile().remove(name);
            return Ok(());
        };
        let rows = self.remember_volatile(name, &content.rows, rows);
        let rows = [content.rows, rows].concat();
        let card = Card::bound(&labels, &content.did, content.log_index, content.flags, &rows);
        self.put(&writer, card.map_err(|_| ZoneError::Row(name.to_owned()))?);
        Ok(())
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

    /// Calls `look` with the card of a relative name in wire labels, under the lock of its shard.
    pub(crate) fn read<T>(&self, labels: &[u8], look: impl FnOnce(Option<&Card>) -> T) -> T {
        look(self.shard(labels).read().unwrap_or_else(PoisonError::into_inner).get(labels))
    }

    fn shard(&self, labels: &[u8]) -> &RwLock<HashSet<Card>> {
        &self.shards[self.hasher.hash_one(labels) as usize % ZONE_SHARDS]
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
            Some(content) => {
                let volatile = self.lock_volatile().get(&change.name).cloned().unwrap_or_default();
                let rows = match volatile.is_empty() {
                    true => Vec::new(),
                    false => self.remember_volatile(&change.name, &content.rows, volatile),
                };
                let rows = [content.rows.as_slice(), &rows].concat();
                Card::bound(&labels, &content.did, content.log_index, content.flags, &rows)
                    .map_err(|_| ZoneError::Row(change.name.clone()))
            }
        }
    }

    /// Replaces the card of one name, keeping the count of names below and telling the parent whether the name exists.
    fn put(&self, writer: &MutexGuard<'_, ()>, card: Card) {
        let state = |card: &Card| (card.children(), card.exists(), card.is_bound(), card.is_fixed());
        let (children, existed, was_bound, fixed) = self.read(card.labels(), |old| old.map(state)).unwrap_or_default();
        if fixed {
            return;
        }
        if card.is_bound() && !was_bound && !card.is_fixed() {
            self.names.fetch_add(1, Ordering::Relaxed);
        } else if was_bound && !card.is_bound() {
            self.names.fetch_sub(1, Ordering::Relaxed);
        }
        self.replace(writer, card.with_children(children), existed);
    }

    /// Puts `card` into its shard, the parent's count before it when the name appears and after it when it vanishes.
    fn replace(&self, writer: &MutexGuard<'_, ()>, card: Card, existed: bool) {
        let labels = card.labels().to_vec();
        let exists = card.exists();
        if exists && !existed {
            self.count_child(writer, &labels, 1);
        }
        {
            let mut shard = self.shard(&labels).write().unwrap_or_else(PoisonError::into_inner);
            if exists || card.is_bound() {
                shard.replace(card);
            } else {
                shard.remove(labels.as_slice());
            }
        }
        if existed && !exists {
            self.count_child(writer, &labels, -1);
        }
    }

    /// Adds `by` to the count of names below the parent of `labels`; a parent that nobody owns exists while it has some.
    fn count_child(&self, writer: &MutexGuard<'_, ()>, labels: &[u8], by: i32) {
        let Some(parent) = name::parent(labels).filter(|parent| !parent.is_empty()) else { return };
        let old = self.read(parent, |card| card.cloned()).unwrap_or_else(|| Card::empty(parent));
        let existed = old.exists();
        let children = old.children().saturating_add_signed(by);
        self.replace(writer, old.with_children(children), existed);
    }

    fn labels_below(&self, text: &str) -> Result<Vec<u8>, ZoneError> {
        let refused = || ZoneError::Name(text.to_owned());
        let relative = text.strip_suffix(self.name()).and_then(|rest| rest.strip_suffix('.')).ok_or_else(refused)?;
        let labels = name::labels_of(relative).filter(|labels| !labels.is_empty()).ok_or_else(refused)?;
        (labels.len() + self.apex.wire.len() <= NAME_BYTES_MAX).then_some(labels).ok_or_else(refused)
    }

    /// Gives the servers that have a name in the zone their addresses.
    fn fix_nameservers(&self, nameservers: &[Nameserver]) -> Result<(), ZoneError> {
        let writer = self.lock_writer();
        for server in nameservers {
            let host = server.host.to_ascii_lowercase();
            let Ok(labels) = self.labels_below(&host) else { continue };
            let rows: Vec<Row> = server.addresses.iter().map(address_row).collect();
            let card = Card::fixed(&labels, &rows)
                .map_err(|_| ZoneError::Setting { setting: "nameservers", value: server.host.clone() })?;
            self.put(&writer, card);
        }
        Ok(())
    }
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
