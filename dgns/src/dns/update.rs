//! UPDATE: what devices put into DNS themselves, without a certificate (RFC 2136, RFC 2931, PROTOCOL 13.3).
//!
//! The log says who may: a device of the owner of a name, by its signing key, for that name alone; or, where a certified record of the name lists keys, those,
//! each what is said there. What it writes is a row, durable before the answer, and goes when it lapses, when a certified record set takes its place, or when
//! the log lets the key write it no more.

pub(crate) mod accounts;
mod message;
mod prerequisites;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use dgns_api::dns_key::{self, CertifiedKey, Scope};
use identity::cert::{Kid, Level, Records, Row};
use identity::did::Did;
use identity::hash::sha256;
use identity::key::{kid_of, verify_strict};
use identity::name::Name;
use identity::record;
use identity::state::{DeviceStatus, DidState, State, Subject};
use storage::StorageError;
use storage::people::{AcmeAccount, SignedUpdate, VolatileRow};
use tokio::sync::{Mutex, watch};
use translog::map;

use self::message::Sig0;
pub use self::message::parts as update_parts;
use self::seen::Seen;
use super::answer::Asker;
use super::name;
use super::reply::{ExtendedError, Rcode};
use super::wire::Record;
use super::zone::{CHALLENGE, Content, Zone, ZoneError};
use crate::core::Core;
use crate::log::shown::Asked;
use crate::log::touched::Touched;
use crate::people::People;
use crate::shutdown;

const CLASS_IN: u16 = 1;
const CLASS_NONE: u16 = 254;
const CLASS_ANY: u16 = 255;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_TXT: u16 = 16;
const TYPE_AAAA: u16 = 28;
const TYPE_ANY: u16 = 255;

/// The longest time a signature may be good for, seconds.
const SIGNED_FOR_S_MAX: u32 = 600;

/// Records of one name, and the seconds they live without being written again.
const VOLATILE_MAX: usize = 16;
const ADDRESS_LIFE_S: u64 = 30 * 86_400;
pub(super) const TEXT_LIFE_S: u64 = 86_400;
const TTL_S_MAX: u32 = 60;

/// How often what has lapsed is taken away.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Takes updates.
pub struct Updates {
    core: Arc<Core>,
    people: Arc<People>,
    zone: Arc<Zone>,
    /// Tells which of the DIDs that have records here the log changed.
    touched: Arc<Touched>,
    held: Mutex<Held>,
}

/// What SQL has, too.
struct Held {
    /// Every record, by name.
    rows: HashMap<String, Vec<VolatileRow>>,
    seen: Seen,
}

/// Why an update changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Rcode, pub(crate) Option<ExtendedError>);

/// It may not: no signature, or not of what it asks for.
const PROHIBITED: Refused = Refused(Rcode::Refused, Some(ExtendedError::Prohibited));
/// No key of the log made the signature, or not now.
const UNSIGNED: Refused = Refused(Rcode::NotAuth, Some(ExtendedError::Prohibited));
const FORM: Refused = Refused(Rcode::FormErr, None);
const FAILED: Refused = Refused(Rcode::ServFail, Some(ExtendedError::Other));

/// A device that may write records of a name.
struct Writer {
    name: String,
    did: Did,
    key: [u8; 32],
}

/// What devices and ACME clients wrote before and has not lapsed, which nobody has held against the log yet: [`Updates::open`] does.
#[derive(Default)]
pub(crate) struct Kept {
    /// By name.
    rows: HashMap<String, Vec<Row>>,
    /// Accounts at whose own places something stands.
    accounts: Vec<AcmeAccount>,
}

impl Kept {
    /// Reads it.
    pub(crate) async fn read(people: &storage::people::People, now_s: u64) -> Result<Self, StorageError> {
        let mut rows: HashMap<String, Vec<Row>> = HashMap::new();
        for row in people.volatile().await?.iter().filter(|row| row.until_s > now_s) {
            rows.entry(row.name.clone()).or_default().push(row_of(row));
        }
        let mut accounts = people.acme_shown().await?;
        accounts.retain(|account| account.used_s + TEXT_LIFE_S > now_s);
        Ok(Self { rows, accounts })
    }

    /// Shows it, and what stood there of the same kind no more. Errors: the first of a name; all others are shown.
    pub(crate) fn show(self, zone: &Zone) -> Result<(), ZoneError> {
        let shown = zone.set_all_volatile(self.rows);
        let texts = self.accounts.iter().filter_map(|account| accounts::texts_at(zone, account)).collect();
        shown.and(zone.apply(texts, 0))
    }
}

impl Updates {
    /// Reads what devices wrote before, and shows what the log still allows.
    pub async fn open(
        core: Arc<Core>,
        people: Arc<People>,
        zone: Arc<Zone>,
        touched: Arc<Touched>,
    ) -> Result<Self, StorageError> {
        let mut rows: HashMap<String, Vec<VolatileRow>> = HashMap::new();
        for row in people.store.volatile().await? {
            touched.watch(Did::from_bytes(row.did));
            rows.entry(row.name.clone()).or_default().push(row);
        }
        let names: Vec<String> = rows.keys().cloned().collect();
        let seen = Seen::of(people.store.signed_updates().await?);
        let updates = Self { core, people, zone, touched, held: Mutex::new(Held { rows, seen }) };
        for name in names {
            updates.prune(&name, true).await?;
        }
        updates.show_accounts().await?;
        Ok(updates)
    }

    /// Takes away what lapsed, or whose device or name the log took, until `stop`.
    pub async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut sweeps = tokio::time::interval(SWEEP_EVERY);
        // Names of which nobody knows yet whether they may keep what they have.
        let mut again: HashSet<String> = HashSet::new();
        // And DIDs, of whose accounts nobody knows.
        let mut again_of: HashSet<Did> = HashSet::new();
        loop {
            let dids: Option<HashSet<Did>> = tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                dids = self.touched.next() => Some(dids),
                _ = sweeps.tick() => None,
            };
            let names: HashSet<String> = {
                let held = self.held.lock().await;
                let wanted = |row: &VolatileRow| match &dids {
                    Some(dids) => dids.contains(&Did::from_bytes(row.did)),
                    None => row.until_s <= self.now_s(),
                };
                held.rows
                    .iter()
                    .filter(|(_, rows)| rows.iter().any(wanted))
                    .map(|(name, _)| name.clone())
                    .chain(again.drain())
                    .collect()
            };
            if dids.is_none()
                && let Err(error) = self.sweep_texts().await
            {
                tracing::error!(%error, "what lapsed of ACME clients cannot be taken away: it is tried again");
            }
            again_of.extend(dids.unwrap_or_default());
            again_of = self.sweep_accounts(again_of).await;
            for name in names {
                if let Err(error) = self.prune(&name, false).await {
                    tracing::error!(%error, "records that devices wrote cannot be taken away: it is tried again");
                    again.insert(name);
                }
            }
        }
    }

    /// Judges an update and makes it, all or nothing. `asker` = who sent it, and how.
    pub(crate) async fn take(&self, bytes: &[u8], asker: &Asker<'_>) -> Result<(), Refused> {
        let update = message::read(bytes).map_err(|_| FORM)?;
        if update.zone.as_bytes() != self.zone.apex().wire() {
            return Err(Refused(Rcode::NotAuth, None));
        }
        let sig0 = update.sig0.as_ref().ok_or(PROHIBITED)?;
        let writer = self.signed_by(sig0).await?;
        // From here to the answer nobody else writes, and what the log takes away meanwhile is taken away afterwards.
        let mut held = self.held.lock().await;
        self.touched.watch(writer.did);
        // What is signed is remembered, not the message: whoever passes it on may write what surrounds it otherwise.
        let signed = held.seen.admit(&writer.did, sha256(&[&sig0.signed]), sig0.expires_s, self.now_s());
        let signed = signed.ok_or(PROHIBITED)?;
        let known = held.rows.get(&writer.name).cloned().unwrap_or_default();
        let changed = self
            .still_allows(&writer)
            .await
            .and_then(|may| prerequisites::meets(&self.zone, &update.prerequisites, asker).map(|()| may))
            .and_then(|may| self.changed((&writer, may), &known, &update.updates));
        let kept = match &changed {
            Ok(rows) => self.store(&mut held.rows, &writer.name, rows.clone(), Some(&signed)).await,
            // Refused now, it shall not be made later, when somebody else sends it again.
            Err(_) => self.people.store.remember_update(&signed, self.now_s()).await,
        };
        if let Err(error) = kept {
            tracing::error!(%error, "an update of DNS cannot be kept");
            return Err(FAILED);
        }
        changed.map(drop)
    }

    /// Returns who signed: a device of the owner of the name that signs, or a key that the name lists.
    async fn signed_by(&self, sig0: &Sig0) -> Result<Writer, Refused> {
        let now_s = self.now_s() as u32;
        let lasts = sig0.expires_s.wrapping_sub(sig0.begins_s);
        let is_now = (now_s.wrapping_sub(sig0.begins_s).cast_signed() >= 0)
            && (sig0.expires_s.wrapping_sub(now_s).cast_signed() >= 0);
        if sig0.algorithm != dns_key::ALGORITHM || lasts > SIGNED_FOR_S_MAX || !is_now {
            return Err(UNSIGNED);
        }
        let place = name::place(sig0.signer.as_bytes(), self.zone.apex().wire()).ok_or(PROHIBITED)?;
        let name = format!("{}.{}", name::text_of(place.name), self.zone.name());
        let is_name = Name::parse(&name, &self.core.zone).is_ok() && place.owner.is_empty();
        let owner = if is_name { self.owner(&name).await? } else { None };
        let state = owner.ok_or(UNSIGNED)?;
        let signature = sig0.signature.as_slice().try_into().map_err(|_| UNSIGNED)?;
        let listed = self.listed(&name, &state.did);
        let keys: Vec<[u8; 32]> = match &listed {
            Some(listed) => listed.iter().map(|listed| listed.key).collect(),
            None => state.devices.iter().map(|device| device.sign).collect(),
        };
        // By its tag before any cryptography: nobody makes the server compute with keys that are none. Nor does who may write nothing now use up what an
        // owner may have judged.
        let may = |key: &[u8; 32]| listed.is_none() || scope_of(&state, listed.as_deref(), key, self.now_s()).is_some();
        let mut candidates = keys.into_iter().filter(|key| dns_key::tag(key) == sig0.key_tag && may(key));
        let key = candidates.find(|key| verify_strict(key, &sig0.signed, signature).is_ok()).ok_or(UNSIGNED)?;
        Ok(Writer { name, did: state.did, key })
    }

    /// Returns the records of a name after the updates, or why one of them may not be (RFC 2136 section 3.4).
    fn changed(
        &self,
        (writer, (scope, until_s)): (&Writer, (Scope, u64)),
        known: &[VolatileRow],
        updates: &[Record<'_>],
    ) -> Result<Vec<VolatileRow>, Refused> {
        let mut rows = known.to_vec();
        let certified = self.zone.content(&writer.name).ok_or(PROHIBITED)?.rows;
        for record in updates {
            let place = name::place(record.owner.as_bytes(), self.zone.apex().wire());
            let place = place.ok_or(Refused(Rcode::NotZone, None))?;
            let owner = name::text_of(place.owner);
            let is_own = format!("{}.{}", name::text_of(place.name), self.zone.name()) == writer.name;
            if !is_own || !is_in_scope(scope, &owner, record.rtype) {
                return Err(PROHIBITED);
            }
            // What a certificate says stays: nobody is told that it went.
            let is_certified = |row: &Row| row.owner == owner && [row.rtype, TYPE_ANY].contains(&record.rtype);
            if certified.iter().any(is_certified) {
                return Err(PROHIBITED);
            }
            let here = |row: &VolatileRow| row.owner == owner && [row.rtype, TYPE_ANY].contains(&record.rtype);
            match record.class {
                CLASS_ANY => rows.retain(|row| !here(row)),
                CLASS_NONE => rows.retain(|row| !(here(row) && row.rdata == *record.rdata)),
                _ => {
                    let row = self.row((writer, until_s), &owner, record.rtype, record.ttl_s, record.rdata.to_vec());
                    rows.retain(|old| !(here(old) && old.rdata == row.rdata));
                    // One TTL for a set.
                    rows.iter_mut().filter(|old| here(old)).for_each(|old| old.ttl_s = row.ttl_s);
                    rows.push(row);
                }
            }
        }
        self.admits(writer, &rows)?;
        Ok(rows)
    }

    fn row(
        &self,
        (writer, until_s): (&Writer, u64),
        owner: &str,
        rtype: u16,
        ttl_s: u32,
        rdata: Vec<u8>,
    ) -> VolatileRow {
        VolatileRow {
            name: writer.name.clone(),
            owner: owner.to_owned(),
            rtype,
            rdata,
            ttl_s: ttl_s.clamp(1, TTL_S_MAX),
            did: *writer.did.as_bytes(),
            key: writer.key,
            until_s: until_s.min(self.now_s() + if rtype == TYPE_TXT { TEXT_LIFE_S } else { ADDRESS_LIFE_S }),
        }
    }

    /// Whether records may stand: well-formed, not too many, none where a certified one is, none of a name that shows nothing.
    fn admits(&self, writer: &Writer, rows: &[VolatileRow]) -> Result<(), Refused> {
        let content = self.zone.content(&writer.name).ok_or(PROHIBITED)?;
        let rows: Vec<Row> = rows.iter().map(row_of).collect();
        if may_stand(&writer.name, &content, &rows, self.core.private_addresses) { Ok(()) } else { Err(PROHIBITED) }
    }

    /// Makes the records of a name durable, with the update that wrote them, then shows them.
    async fn store(
        &self,
        all: &mut HashMap<String, Vec<VolatileRow>>,
        name: &str,
        rows: Vec<VolatileRow>,
        update: Option<&SignedUpdate>,
    ) -> Result<(), StorageError> {
        self.people.store.set_volatile(name, &rows, update, self.now_s()).await?;
        self.show(name, &rows);
        match rows.is_empty() {
            true => all.remove(name),
            false => all.insert(name.to_owned(), rows),
        };
        Ok(())
    }

    fn show(&self, name: &str, rows: &[VolatileRow]) {
        if let Err(error) = self.zone.set_volatile(name, rows.iter().map(row_of).collect()) {
            tracing::error!(%error, "an update of DNS cannot be shown");
        }
    }

    /// Takes away the records of a name that lapsed, that a certificate superseded, or whose device may not write them any more.
    async fn prune(&self, name: &str, show: bool) -> Result<(), StorageError> {
        let mut held = self.held.lock().await;
        let rows = held.rows.get(name).cloned().unwrap_or_default();
        let now_s = self.now_s();
        let certified = self.zone.content(name).map(|content| content.rows).unwrap_or_default();
        let mut kept = Vec::with_capacity(rows.len());
        for row in &rows {
            let writer = Writer { name: name.to_owned(), did: Did::from_bytes(row.did), key: row.key };
            let (allowed, until_s) = match self.still_allows(&writer).await {
                Ok((scope, until_s)) => (is_in_scope(scope, &row.owner, row.rtype), row.until_s.min(until_s)),
                Err(FAILED) => return Err(crate::log::damaged("labels", "a state cannot be read")),
                Err(_) => (false, 0),
            };
            if allowed && until_s > now_s && !is_superseded(&row_of(row), &certified) {
                kept.push(VolatileRow { until_s, ..row.clone() });
            }
        }
        if kept != rows {
            // Nobody is shown them any more, even while the database cannot be written.
            self.show(name, &kept);
            return self.store(&mut held.rows, name, kept, None).await;
        }
        if show {
            self.show(name, &kept);
        }
        Ok(())
    }

    /// Returns what this key may write, and until when, Unix seconds, if the newest state of the log has its DID this name, and the device or the record that lets it.
    async fn still_allows(&self, writer: &Writer) -> Result<(Scope, u64), Refused> {
        let state = self.owner(&writer.name).await?.filter(|state| state.did == writer.did).ok_or(PROHIBITED)?;
        scope_of(&state, self.listed(&writer.name, &state.did).as_deref(), &writer.key, self.now_s()).ok_or(UNSIGNED)
    }

    /// Returns the keys that a name lists for its owner; `None` if it lists none, so that each device of the owner may write.
    fn listed(&self, name: &str, owner: &Did) -> Option<Vec<CertifiedKey>> {
        let content = self.zone.content(name)?;
        let texts = content.rows.iter().filter(|row| (row.owner.as_str(), row.rtype) == (dns_key::OWNER, TYPE_TXT));
        let read = texts.map(|row| CertifiedKey::read(&row.rdata));
        // What an owner of before said is nothing here. What is no key lets nobody write, and the others no more than before.
        let mut listed = read.filter(|read| read.is_none_or(|key| key.did == *owner)).peekable();
        listed.peek()?;
        Some(listed.flatten().collect())
    }

    /// Returns the newest state of the owner of a live name, unless another server answers for it.
    async fn owner(&self, name: &str) -> Result<Option<DidState>, Refused> {
        let Some(State::Name(state)) = self.newest(Subject::Name(name.to_owned())).await? else { return Ok(None) };
        let live = state.status == identity::state::NameStatus::Live;
        let Some(did) = state.did.filter(|_| live && state.delegate.is_none()) else { return Ok(None) };
        match self.newest(Subject::Did(did)).await? {
            Some(State::Did(state)) => Ok(Some(state)),
            _ => Ok(None),
        }
    }

    async fn newest(&self, subject: Subject) -> Result<Option<State>, Refused> {
        let labels = [map::label(&subject)];
        let held = self.core.states.load(&self.core.live, &self.core.storage, &labels, Asked::Newest).await;
        let mut held = held.map_err(|error| {
            tracing::error!(%error, "a state cannot be read for an update of DNS");
            FAILED
        })?;
        Ok(held.pop().flatten().map(|held| held.leaf.state.clone()))
    }

    fn now_s(&self) -> u64 {
        self.core.clock.now().as_s()
    }
}

/// Returns what a key may write at a name of a DID, which lists some keys, or none, and until when; `None` if nothing.
fn scope_of(state: &DidState, listed: Option<&[CertifiedKey]>, key: &[u8; 32], now_s: u64) -> Option<(Scope, u64)> {
    if state.flags & (DidState::ENDED | DidState::FROZEN) != 0 {
        return None;
    }
    let Some(listed) = listed else { return may_write(state, key).then_some((Scope::ALL, u64::MAX)) };
    let holds = |listed: &&CertifiedKey| {
        let is_now = listed.until_s.is_none_or(|until_s| now_s < until_s);
        listed.key == *key && is_now && (!listed.is_device || may_write(state, key))
    };
    let holding = listed.iter().filter(holds).map(|listed| (listed.scope, listed.until_s.unwrap_or(u64::MAX)));
    holding.reduce(|(scope, until_s), (more, other_s)| (scope.or(more), until_s.min(other_s)))
}

/// Whether a DID lets one of its devices write into DNS.
fn may_write(state: &DidState, key: &[u8; 32]) -> bool {
    let device = state.device(&Kid(kid_of(key).0)).filter(|device| device.sign == *key);
    let may = device.is_some_and(|device| device.status == DeviceStatus::Live && device.level != Level::Member);
    may && state.flags & (DidState::ENDED | DidState::FROZEN) == 0
}

/// Whether a key of this scope may write this type there: addresses at the name, texts at and below its challenges.
fn is_in_scope(scope: Scope, owner: &str, rtype: u16) -> bool {
    let is_challenge = owner == CHALLENGE || owner.ends_with(&format!(".{CHALLENGE}"));
    match rtype {
        TYPE_A => scope.a && owner.is_empty(),
        TYPE_AAAA => scope.aaaa && owner.is_empty(),
        TYPE_TXT => scope.challenges && is_challenge,
        TYPE_ANY => scope.a && scope.aaaa && owner.is_empty() || scope.challenges && is_challenge,
        _ => false,
    }
}

/// Whether records may stand beside what the log says of a name: well-formed, not too many, none where a certified one is, none of a name that shows nothing.
fn may_stand(name: &str, content: &Content, rows: &[Row], private_addresses: bool) -> bool {
    let is_hidden = content.flags & Records::HIDDEN != 0;
    if rows.len() > VOLATILE_MAX || is_hidden || rows.iter().any(|row| is_superseded(row, &content.rows)) {
        return false;
    }
    let mut rows: Vec<Row> = rows.iter().cloned().map(|row| Row { ttl: TTL_S_MAX, ..row }).collect();
    rows.sort();
    let set = Records { name: name.to_owned(), rows, aliases: Vec::new(), flags: 0 };
    record::check(&set).is_ok() && (private_addresses || record::check_public(&set).is_ok())
}

/// Returns those of the records that another server shows of a name which a device of its owner may have written there, as far as the log says.
pub(super) fn volatile(name: &str, content: &Content, mut rows: Vec<Row>) -> Vec<Row> {
    rows.retain(|row| {
        is_in_scope(Scope::ALL, &row.owner, row.rtype) && row.ttl <= TTL_S_MAX && !is_superseded(row, &content.rows)
    });
    // Whether private addresses may be there is the other server's to say.
    if may_stand(name, content, &rows, true) { rows } else { Vec::new() }
}

/// Whether a certified record set stands where a record is: a CNAME stands alone.
fn is_superseded(row: &Row, certified: &[Row]) -> bool {
    certified.iter().any(|known| known.owner == row.owner && [row.rtype, TYPE_CNAME].contains(&known.rtype))
}

fn row_of(row: &VolatileRow) -> Row {
    Row { owner: row.owner.clone(), rtype: row.rtype, rdata: row.rdata.clone(), ttl: row.ttl_s }
}
