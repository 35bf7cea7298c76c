//! DNSSEC: keys, signatures made when something is shown, and the NSEC chain (RFC 4033 to 4035, RFC 6840; PROTOCOL 13.4).
//!
//! Nothing is signed while a query waits. A change signs its own record sets, its NSEC records and those before them; what was the same before
//! keeps its signature. What is not signed yet (after a start) or not for much longer is signed by [`Signing`]'s keeper, some at a time.
//!
//! | module | its story |
//! |---|---|
//! | `key` | one key, and how DNS and BIND write it |
//! | `keyring` | all keys, and where each stands in its life |
//! | `rrsig` | what is signed, and what is kept of a signature |
//! | `trust` | whose signatures are believed, where another server makes them |
//! | `chain` | every owner in canonical order, and what denies the others |
//! | `nodes` | where these lie |
//! | `keeper` | makes anew what ends |

mod chain;
mod keeper;
mod key;
mod keyring;
mod nodes;
mod rrsig;
pub(crate) mod trust;

use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

pub(crate) use self::chain::{Chain, Changes, Denial, Nsec, bitmap, labels_of, sort_key};
pub use self::keeper::{keep, leave_wish};
pub use self::key::{Algorithm, Key, Role};
pub use self::keyring::{BadKeyring, Held, Keyring, NotNow, Stage, Wish};
pub(crate) use self::nodes::{Block, Node};
use self::rrsig::Signer;
pub(crate) use self::rrsig::{STORED_BYTES, Set, Signature, canonical, head, labels};
use super::limits::NS_TTL_S;
use super::zone::Apex;
use crate::clock::Clock;

pub(crate) const TYPE_NS: u16 = 2;
pub(crate) const TYPE_SOA: u16 = 6;
pub(crate) const TYPE_DS: u16 = 43;
pub(crate) const TYPE_RRSIG: u16 = 46;
pub(crate) const TYPE_NSEC: u16 = 47;
pub(crate) const TYPE_DNSKEY: u16 = 48;
pub(crate) const TYPE_CDS: u16 = 59;
pub(crate) const TYPE_CDNSKEY: u16 = 60;

/// The longest TTL of the DNSKEY set, seconds.
const DNSKEY_TTL_S_MAX: u32 = 3_600;

/// A step of a roll, seconds, that no cache outlasts, nor a secondary that is a refresh behind.
pub const STEP_S_SAFE: u32 = 7_200;

/// How long what lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How long signatures are good for, seconds; they are made anew once half of it is over.
    pub validity_s: u32,
    /// How long a step of a roll waits, seconds: longer than any cache keeps anything of the zone.
    pub step_s: u32,
    /// How long the old KSK stays once the parent shows the DS of the new one, seconds: longer than any cache keeps the old DS.
    pub parent_s: u32,
    /// After how many seconds a ZSK is rolled; 0: only by hand.
    pub zsk_s: u32,
}

impl Times {
    /// Returns the TTL of the DNSKEY set: half a step, so that two steps never meet in a cache.
    pub(crate) fn dnskey_ttl_s(self) -> u32 {
        (self.step_s / 2).clamp(1, DNSKEY_TTL_S_MAX)
    }
}

/// What signs a zone, and what was signed of it beside its cards.
pub struct Signing {
    apex: Vec<u8>,
    negative_ttl_s: u32,
    times: Times,
    clock: Clock,
    hand: Hand,
    chain: RwLock<Chain>,
    sets: RwLock<Arc<[ApexSet]>>,
    /// Spreads ends of signatures, by owner.
    spread: RandomState,
    signatures: AtomicU64,
    /// When the signature that ends first does, unix seconds; 0: nobody knows yet.
    first_end_s: AtomicU64,
}

/// Who makes the signatures.
enum Hand {
    /// Keys of this server.
    Keys(RwLock<Arc<Keyring>>),
    /// Another server, with keys of this algorithm.
    Another(AtomicU8),
}

/// A record set of the zone's own name.
#[derive(Clone)]
pub(crate) struct ApexSet {
    pub(crate) rtype: u16,
    pub(crate) ttl_s: u32,
    pub(crate) rdata: Vec<Vec<u8>>,
    /// By each key that signs it.
    pub(crate) signatures: Vec<Signature>,
}

/// A record set of a name that the zone has for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameSet<'c> {
    /// Wire labels in front of the name.
    pub(crate) owner: &'c [u8],
    pub(crate) rtype: u16,
    pub(crate) ttl_s: u32,
    pub(crate) rdata: Vec<Cow<'c, [u8]>>,
}

impl Signing {
    /// Returns what signs the zone `apex` with these keys; nothing is signed yet.
    pub(crate) fn new(apex: &Apex, keys: Keyring, times: Times, clock: Clock) -> Self {
        Self::by(apex, Hand::Keys(RwLock::new(Arc::new(keys))), times, clock)
    }

    /// Returns what keeps the signatures of the zone `apex` that another server makes; there are none yet.
    pub(crate) fn copied(apex: &Apex, clock: Clock) -> Self {
        let times = Times { validity_s: 0, step_s: 0, parent_s: 0, zsk_s: 0 };
        Self::by(apex, Hand::Another(AtomicU8::new(Algorithm::EcdsaP256 as u8)), times, clock)
    }

    fn by(apex: &Apex, hand: Hand, times: Times, clock: Clock) -> Self {
        Self {
            apex: apex.wire().to_vec(),
            negative_ttl_s: apex.negative_ttl_s,
            times,
            clock,
            hand,
            chain: RwLock::default(),
            sets: RwLock::new(Arc::from([])),
            spread: RandomState::new(),
            signatures: AtomicU64::new(0),
            first_end_s: AtomicU64::new(0),
        }
    }

    /// Returns the keys; `None`: another server has them.
    pub fn keyring(&self) -> Option<Arc<Keyring>> {
        match &self.hand {
            Hand::Keys(keys) => Some(keys.read().unwrap_or_else(PoisonError::into_inner).clone()),
            Hand::Another(_) => None,
        }
    }

    /// Returns the keys of whoever signs here.
    pub(crate) fn keys(&self) -> Arc<Keyring> {
        self.keyring().expect("a zone whose signatures another server makes is never signed here")
    }

    /// Signs with other keys from now on; what was signed stays until it is visited.
    pub(crate) fn set_keys(&self, keys: Keyring) {
        if let Hand::Keys(known) = &self.hand {
            *known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        }
    }

    /// Returns the number of the algorithm.
    pub(crate) fn algorithm(&self) -> u8 {
        match &self.hand {
            Hand::Keys(keys) => keys.read().unwrap_or_else(PoisonError::into_inner).algorithm() as u8,
            Hand::Another(algorithm) => algorithm.load(Ordering::Relaxed),
        }
    }

    /// Shows sets of the zone's own name that another server signed, by keys of this algorithm.
    pub(crate) fn show_copied(&self, sets: Vec<ApexSet>, algorithm: u8) {
        if let Hand::Another(known) = &self.hand {
            known.store(algorithm, Ordering::Relaxed);
        }
        *self.sets.write().unwrap_or_else(PoisonError::into_inner) = Arc::from(sets);
    }

    /// Returns how many signatures were made.
    pub fn signatures(&self) -> u64 {
        self.signatures.load(Ordering::Relaxed)
    }

    /// Returns when the signature ends that ends first, unix seconds, as of the last round over all; 0 before the first one.
    pub fn first_end_s(&self) -> u64 {
        self.first_end_s.load(Ordering::Relaxed)
    }

    /// Notes that the first signature of an owner to end does so in `lasts_s`; those of the zone's own name may end before. Returns when
    /// half the time of the first one will be over, unix seconds.
    pub(crate) fn note_first_end(&self, lasts_s: u32) -> u64 {
        let (now_s, sets) = (self.now(), self.apex_sets());
        let own = sets.iter().flat_map(|set| &set.signatures).map(|signature| signature.lasts_s(now_s as u32));
        let first_end_s = now_s + u64::from(own.fold(lasts_s, u32::min));
        self.first_end_s.store(first_end_s, Ordering::Relaxed);
        first_end_s.saturating_sub(u64::from(self.times.validity_s / 2))
    }

    /// Notes that the first of some signatures that came to end does so in `lasts_s`; `is_all`: there are no others. Others may have been there before.
    pub(crate) fn note_copied_end(&self, lasts_s: u32, is_all: bool) {
        let (end_s, known_s) = (self.now() + u64::from(lasts_s), self.first_end_s());
        let first_s = if is_all || known_s == 0 { end_s } else { known_s.min(end_s) };
        self.first_end_s.store(first_s, Ordering::Relaxed);
    }

    /// Returns the keys after the wish and the steps whose time has come, if that changes them; and what became of the wish.
    pub(crate) fn next_keys(
        &self,
        wish: Option<Wish>,
        clean_since_s: Option<u64>,
    ) -> (Option<Keyring>, Result<(), NotNow>) {
        let (mut keys, now_s) = (Keyring::clone(&self.keys()), self.now());
        let granted = wish.map_or(Ok(()), |wish| keys.grant(wish, now_s));
        let stepped = keys.step(now_s, self.times, clean_since_s);
        let is_other = stepped || (wish.is_some() && granted.is_ok());
        (is_other.then_some(keys), granted)
    }

    /// Returns how many owners of records there are.
    pub fn owners(&self) -> usize {
        self.chain().len()
    }

    /// Returns the record sets of the zone's own name.
    pub(crate) fn apex_sets(&self) -> Arc<[ApexSet]> {
        self.sets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn chain(&self) -> RwLockReadGuard<'_, Chain> {
        self.chain.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what denies a name or a type.
    pub(crate) fn deny(&self, key: &[u8]) -> Option<Denial> {
        self.chain().deny(key)
    }

    /// Returns the record of an owner.
    pub(crate) fn nsec(&self, key: &[u8]) -> Option<Nsec> {
        self.chain().nsec(key)
    }

    /// Returns whether a signature must be made anew: it is not of the key that signs now, half its time is over, or it is not good yet.
    pub(crate) fn is_stale(&self, signature: &Signature) -> bool {
        signature.key_tag != self.keys().zsk().tag() || self.is_due(signature)
    }

    fn is_due(&self, signature: &Signature) -> bool {
        let now_s = self.now_s();
        signature.lasts_s(now_s) < self.times.validity_s / 2 || signature.is_early(now_s)
    }

    /// Returns the owner's labels with the zone's behind.
    pub(crate) fn absolute(&self, labels: &[&[u8]]) -> Vec<u8> {
        [&labels.concat(), self.apex.as_slice()].concat()
    }

    /// Signs a set of a name below the zone.
    pub(crate) fn sign(&self, labels: &[&[u8]], rtype: u16, ttl_s: u32, rdata: &[&[u8]]) -> Signature {
        let owner = self.absolute(labels);
        self.sign_by(self.keys().zsk(), &Set { owner: &owner, rtype, ttl_s, rdata })
    }

    fn sign_by(&self, key: &Key, set: &Set<'_>) -> Signature {
        self.signatures.fetch_add(1, Ordering::Relaxed);
        let spread = self.spread.hash_one((set.owner, set.rtype));
        Signer::new(key, &self.apex, self.now_s(), self.times.validity_s, spread).sign(set)
    }

    /// Signs the sets of a name; a set that `before` has too, with a signature that is good for long, keeps it.
    pub(crate) fn sign_sets(
        &self,
        labels: &[u8],
        sets: &[NameSet<'_>],
        before: &[(NameSet<'_>, Signature)],
    ) -> Vec<Signature> {
        let signature = |set: &NameSet<'_>| {
            let kept = before.iter().find(|(known, signature)| known == set && !self.is_stale(signature));
            let rdata: Vec<&[u8]> = set.rdata.iter().map(|rdata| &**rdata).collect();
            kept.map_or_else(|| self.sign(&[set.owner, labels], set.rtype, set.ttl_s, &rdata), |(_, kept)| *kept)
        };
        sets.iter().map(signature).collect()
    }

    /// Returns the records that changes alter, signed if `sign` says so.
    pub(crate) fn altered(&self, changes: &Changes, sign: bool) -> Vec<Nsec> {
        let altered = self.chain().altered(changes);
        match sign {
            true => altered.into_iter().map(|nsec| self.sign_nsec(nsec)).collect(),
            false => altered,
        }
    }

    /// Makes changes with what [`Signing::altered`] gave for them.
    pub(crate) fn change(&self, changes: &Changes, altered: Vec<Nsec>) {
        self.chain.write().unwrap_or_else(PoisonError::into_inner).change(changes, altered);
    }

    /// Goes on with another chain.
    pub(crate) fn set_chain(&self, chain: Chain) {
        *self.chain.write().unwrap_or_else(PoisonError::into_inner) = chain;
    }

    /// Returns a record signed.
    pub(crate) fn sign_nsec(&self, nsec: Nsec) -> Nsec {
        let labels = labels_of(&nsec.key);
        let rdata = [&self.absolute(&[&labels_of(&nsec.next)]), nsec.node.bitmap()].concat();
        let signature = self.sign(&[&labels], TYPE_NSEC, self.negative_ttl_s, &[&rdata]);
        Nsec { node: nsec.node.signed(&signature), ..nsec }
    }

    /// Shows the sets of the zone's own name, signed.
    pub(crate) fn show_apex(&self, apex: &Apex, serial: u32) {
        let (keys, ttl_s) = (self.keys(), self.times.dnskey_ttl_s());
        let dnskeys = keys.keys().iter().map(|held| held.key.dnskey()).collect();
        let wanted = keys.wanted();
        let signed = |rtype, ttl_s, rdata: Vec<Vec<u8>>, by: &[&Arc<Key>]| self.apex_set(rtype, ttl_s, rdata, by);
        let (zone, own) = ([keys.zsk()], keys.ksks().collect::<Vec<_>>());
        let sets = [
            signed(TYPE_SOA, apex.negative_ttl_s, vec![apex.soa(serial)], &zone),
            signed(TYPE_NS, NS_TTL_S, apex.servers.nameservers.clone(), &zone),
            signed(TYPE_DNSKEY, ttl_s, dnskeys, &own),
            signed(TYPE_CDS, ttl_s, vec![wanted.ds(&self.apex)], &own),
            signed(TYPE_CDNSKEY, ttl_s, vec![wanted.dnskey()], &own),
        ];
        *self.sets.write().unwrap_or_else(PoisonError::into_inner) = Arc::from(sets);
    }

    /// Shows another serial.
    pub(crate) fn show_serial(&self, apex: &Apex, serial: u32) {
        let mut sets = self.apex_sets().to_vec();
        let soa = self.apex_set(TYPE_SOA, apex.negative_ttl_s, vec![apex.soa(serial)], &[self.keys().zsk()]);
        sets.retain(|set| set.rtype != TYPE_SOA);
        sets.insert(0, soa);
        *self.sets.write().unwrap_or_else(PoisonError::into_inner) = Arc::from(sets);
    }

    /// Returns whether a signature of the zone's own sets must be made anew.
    pub(crate) fn apex_is_due(&self) -> bool {
        self.apex_sets().iter().flat_map(|set| &set.signatures).any(|signature| self.is_due(signature))
    }

    fn apex_set(&self, rtype: u16, ttl_s: u32, rdata: Vec<Vec<u8>>, by: &[&Arc<Key>]) -> ApexSet {
        let parts: Vec<&[u8]> = rdata.iter().map(Vec::as_slice).collect();
        let set = Set { owner: &self.apex, rtype, ttl_s, rdata: &parts };
        let signatures = by.iter().map(|key| self.sign_by(key, &set)).collect();
        ApexSet { rtype, ttl_s, rdata, signatures }
    }

    /// Returns whether a signature is of one of the keys over these records, whose signatures are the same each time.
    #[cfg(test)]
    pub(crate) fn made(&self, owner: &[u8], rtype: u16, ttl_s: u32, rdata: &[&[u8]], signature: &Signature) -> bool {
        let Signature { inception_s, expiration_s, .. } = *signature;
        let (owner, apex) = (self.absolute(&[owner]), self.apex.as_slice());
        let set = Set { owner: &owner, rtype, ttl_s, rdata };
        self.keys()
            .keys()
            .iter()
            .any(|held| Signer { key: &held.key, apex, inception_s, expiration_s }.sign(&set) == *signature)
    }

    /// Returns the time, unix seconds.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().as_s()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now().as_ms()
    }

    pub(crate) fn now_s(&self) -> u32 {
        self.clock.now().as_s() as u32 // of 32 bits, which go round
    }
}

/// Returns the types at the zone's own name.
pub(crate) fn apex_types() -> [u16; 7] {
    [TYPE_NS, TYPE_SOA, TYPE_RRSIG, TYPE_NSEC, TYPE_DNSKEY, TYPE_CDS, TYPE_CDNSKEY]
}

#[cfg(test)]
mod tests;
