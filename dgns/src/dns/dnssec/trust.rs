//! Whose signatures are believed, where another server makes them: those of the zone's keys, and of these the ones that a key vouches for which was
//! believed before (RFC 4035 section 5; a roll is followed as in RFC 5011, without its waiting).

use data_encoding::{HEXLOWER_PERMISSIVE, HEXUPPER};

use super::key::{SIGNATURE_BYTES, ds, tag, verifies};
use super::rrsig::{Set, Signature, labels, signed};
use super::{Algorithm, TYPE_DNSKEY};

/// The most keys of a set that are looked at: four are in use while both are rolled.
const KEYS_MAX: usize = 16;

/// Flags of a DNSKEY (RFC 4034 section 2.1.1, RFC 5011 section 7).
const ZONE_KEY: u16 = 0x100;
const SIGNS_KEYS: u16 = 1;
const REVOKED: u16 = 0x80;

/// The keys that vouch for others: before any was met, those with a DS, or whichever come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// The data of the DS that the first one must have; `None`: any is taken.
    pub(crate) ds: Option<Vec<u8>>,
    /// The data of their DNSKEY records; empty: none was met yet.
    pub(crate) known: Vec<Vec<u8>>,
}

/// The keys of a zone: the data of their DNSKEY records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys(Vec<Vec<u8>>);

/// An RRSIG as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rrsig<'m> {
    pub(crate) rtype: u16,
    algorithm: u8,
    labels: u8,
    ttl_s: u32,
    signer: &'m [u8],
    pub(crate) signature: Signature,
}

/// Returns the data of a DS written as `tag algorithm 2 digest`; `None` if it is none of SHA-256.
pub(crate) fn ds_of_text(text: &str) -> Option<Vec<u8>> {
    let mut words = text.split_whitespace();
    let tag: u16 = words.next()?.parse().ok()?;
    let algorithm = Algorithm::of_number(words.next()?.parse().ok()?)?;
    let digest =
        (words.next()? == "2").then(|| HEXLOWER_PERMISSIVE.decode(words.collect::<String>().as_bytes()))?.ok()?;
    (digest.len() == 32).then(|| [&tag.to_be_bytes()[..], &[algorithm as u8, 2], &digest].concat())
}

/// Returns a DS as [`ds_of_text`] reads it.
pub(crate) fn text_of_ds(ds: &[u8]) -> String {
    let tag = ds.first_chunk().map_or(0, |tag| u16::from_be_bytes(*tag));
    format!("{tag} {} 2 {}", ds[2], HEXUPPER.encode(&ds[4..]))
}

impl<'m> Rrsig<'m> {
    /// Reads the data of a record; `None` if it is not of an algorithm of ours.
    pub(crate) fn read(rdata: &'m [u8]) -> Option<Self> {
        let (head, rest) = rdata.split_first_chunk::<18>()?;
        let (signer, bytes) = rest.split_at_checked(rest.len().checked_sub(SIGNATURE_BYTES)?)?;
        let [t0, t1, algorithm, labels, l0, l1, l2, l3, e0, e1, e2, e3, i0, i1, i2, i3, k0, k1] = *head;
        Some(Self {
            rtype: u16::from_be_bytes([t0, t1]),
            algorithm,
            labels,
            ttl_s: u32::from_be_bytes([l0, l1, l2, l3]),
            signer,
            signature: Signature {
                expiration_s: u32::from_be_bytes([e0, e1, e2, e3]),
                inception_s: u32::from_be_bytes([i0, i1, i2, i3]),
                key_tag: u16::from_be_bytes([k0, k1]),
                bytes: bytes.try_into().ok()?,
            },
        })
    }
}

impl Keys {
    /// Returns whether one of the keys made a signature over a set of the zone `apex` (wire form), and it is good now.
    pub(crate) fn signed(&self, apex: &[u8], set: &Set<'_>, rrsig: &Rrsig<'_>, now_s: u32) -> bool {
        let Rrsig { rtype, algorithm, labels: count, ttl_s, signer, signature } = *rrsig;
        let is_its = (rtype, ttl_s, count, signer) == (set.rtype, set.ttl_s, labels(set.owner), apex);
        if !is_its || !self.may_sign(rrsig, now_s) {
            return false;
        }
        let mut keys = self.0.iter().filter(|key| key[3] == algorithm && tag(key) == signature.key_tag);
        let bytes = signed(apex, algorithm, &signature, set);
        keys.any(|key| verifies(key, &bytes, &signature.bytes))
    }

    /// Returns whether a signature names one of the keys, and is good now.
    pub(crate) fn may_sign(&self, rrsig: &Rrsig<'_>, now_s: u32) -> bool {
        let Rrsig { algorithm, signature, .. } = rrsig;
        let is_now = !signature.is_early(now_s) && signature.lasts_s(now_s) > 0;
        is_now && self.0.iter().any(|key| key[3] == *algorithm && tag(key) == signature.key_tag)
    }

    /// Returns the number of the algorithm of the keys.
    pub(crate) fn algorithm(&self) -> u8 {
        self.0.first().map_or(0, |key| key[3])
    }
}

impl Pins {
    /// Returns the keys of a zone by its DNSKEY set, and who vouches for the next one, if somebody who is believed vouches for it; `None`: nobody does.
    pub(crate) fn follow(&self, apex: &[u8], set: &Set<'_>, rrsigs: &[Rrsig<'_>], now_s: u32) -> Option<(Self, Keys)> {
        if set.rtype != TYPE_DNSKEY || set.rdata.len() > KEYS_MAX {
            return None;
        }
        let flags = |key: &[u8]| key.first_chunk().map_or(0, |flags| u16::from_be_bytes(*flags));
        let is_key = |key: &&[u8]| {
            let is_known = key.get(3).is_some_and(|&number| Algorithm::of_number(number.into()).is_some());
            is_known && key[2] == 3 && flags(key) & (ZONE_KEY | REVOKED) == ZONE_KEY
        };
        let keys: Vec<Vec<u8>> = set.rdata.iter().copied().filter(is_key).map(<[u8]>::to_vec).collect();
        let signs_all = |key: &Vec<u8>| {
            let alone = Keys(vec![key.clone()]);
            flags(key) & SIGNS_KEYS != 0 && rrsigs.iter().any(|rrsig| alone.signed(apex, set, rrsig, now_s))
        };
        let known: Vec<Vec<u8>> = keys.iter().filter(|key| signs_all(key)).cloned().collect();
        let is_believed = |key: &Vec<u8>| match (&self.ds, self.known.is_empty()) {
            (_, false) => self.known.contains(key),
            (Some(pinned), true) => ds(apex, key) == *pinned,
            (None, true) => true,
        };
        known.iter().any(is_believed).then(|| (Self { ds: self.ds.clone(), known }, Keys(keys)))
    }

    /// Returns whether a DS is the one that the first key had to have, or of a key that is believed.
    pub(crate) fn has(&self, apex: &[u8], pinned: &[u8]) -> bool {
        self.ds.as_deref() == Some(pinned) || self.known.iter().any(|key| ds(apex, key) == pinned)
    }

    /// Returns the key that the parent's DS should name, as far as one can tell here: each that is believed, as the data of a DS.
    pub(crate) fn known_ds(&self, apex: &[u8]) -> Vec<String> {
        self.known.iter().map(|key| text_of_ds(&ds(apex, key))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::key::{Key, Role};
    use super::super::rrsig::{Signer, head};
    use super::*;

    const APEX: &[u8] = b"\x04dgns\x04test\0";
    const NOW_S: u32 = 1_700_000_000;

    fn rrsig(key: &Key, set: &Set<'_>) -> Vec<u8> {
        let Signature { expiration_s, inception_s, key_tag, bytes } = Signer::new(key, APEX, NOW_S, 1_000, 0).sign(set);
        let head =
            head(set.rtype, key.algorithm as u8, labels(set.owner), set.ttl_s, expiration_s, inception_s, key_tag);
        [&head, APEX, &bytes].concat()
    }

    fn follow(pins: &Pins, shown: &[&Key], by: &[&Key]) -> Option<(Pins, Keys)> {
        let rdata: Vec<Vec<u8>> = shown.iter().map(|key| key.dnskey()).collect();
        let rdata: Vec<&[u8]> = rdata.iter().map(Vec::as_slice).collect();
        let set = Set { owner: APEX, rtype: TYPE_DNSKEY, ttl_s: 60, rdata: &rdata };
        let rrsigs: Vec<Vec<u8>> = by.iter().map(|key| rrsig(key, &set)).collect();
        let rrsigs: Vec<Rrsig<'_>> = rrsigs.iter().map(|rrsig| Rrsig::read(rrsig).unwrap()).collect();
        pins.follow(APEX, &set, &rrsigs, NOW_S)
    }

    #[test]
    fn a_key_is_believed_by_its_ds_or_by_one_that_was() {
        // Goal: first contact with and without a DS, a roll, a thief without the old key, and nobody but a key that signs keys.
        for algorithm in [Algorithm::EcdsaP256, Algorithm::Ed25519] {
            let key = |role| Arc::new(Key::generate(algorithm, role));
            let (old, new, thief, zsk) = (key(Role::Ksk), key(Role::Ksk), key(Role::Ksk), key(Role::Zsk));
            let pinned = Pins { ds: Some(old.ds(APEX)), known: Vec::new() };
            assert_eq!(ds_of_text(&text_of_ds(&old.ds(APEX))), Some(old.ds(APEX)));
            assert!(follow(&pinned, &[&thief, &zsk], &[&thief]).is_none(), "another's");
            assert!(follow(&pinned, &[&old, &zsk], &[&zsk]).is_none(), "not by itself");
            assert!(follow(&pinned, &[&zsk], &[&old]).is_none(), "not in the set");
            let (met, keys) = follow(&pinned, &[&old, &zsk], &[&old]).expect("the one with the DS");
            assert_eq!((met.known.clone(), keys.algorithm()), (vec![old.dnskey()], algorithm as u8));
            assert_eq!(met.known_ds(APEX), [text_of_ds(&old.ds(APEX))]);
            let (first, _) = follow(&Pins::default(), &[&old, &zsk], &[&old]).expect("whichever comes first");
            assert!(follow(&first, &[&thief, &zsk], &[&thief]).is_none() && first.known == met.known);
            let (both, _) = follow(&met, &[&old, &new, &zsk], &[&old, &new]).expect("a roll begins");
            let (rolled, _) = follow(&both, &[&new, &zsk], &[&new]).expect("and ends");
            assert_eq!(rolled.known, [new.dnskey()]);
            assert!(follow(&rolled, &[&old, &zsk], &[&old]).is_none(), "the old one is believed no more");
            let (half, _) = follow(&met, &[&old, &thief, &zsk], &[&old]).expect("one that does not sign is none");
            assert_eq!(half.known, [old.dnskey()]);
        }
    }

    #[test]
    fn a_signature_is_one_of_these_keys_over_this_set_now() {
        let (zsk, other) =
            (Key::generate(Algorithm::EcdsaP256, Role::Zsk), Key::generate(Algorithm::EcdsaP256, Role::Zsk));
        let (ksk, address) = (Key::generate(Algorithm::EcdsaP256, Role::Ksk), [192, 0, 2, 1]);
        let (_, keys) = follow(&Pins::default(), &[&ksk, &zsk], &[&ksk]).unwrap();
        let owner = b"\x05alice\x04dgns\x04test\0";
        let set = Set { owner, rtype: 1, ttl_s: 60, rdata: &[&address] };
        let made = rrsig(&zsk, &set);
        let holds = |rrsig: &[u8], set: &Set<'_>, now_s| {
            Rrsig::read(rrsig).is_some_and(|rrsig| keys.signed(APEX, set, &rrsig, now_s))
        };
        assert!(holds(&made, &set, NOW_S));
        assert!(!holds(&rrsig(&other, &set), &set, NOW_S), "another key");
        assert!(!holds(&made, &Set { rdata: &[&[192, 0, 2, 2]], ..set }, NOW_S), "another address");
        assert!(!holds(&made, &Set { ttl_s: 59, ..set }, NOW_S), "another TTL");
        assert!(!holds(&made, &Set { owner: b"\x03bob\x04dgns\x04test\0", ..set }, NOW_S), "another name");
        assert!(!holds(&made, &set, NOW_S + 1_001) && !holds(&made, &set, NOW_S - 3_601), "another time");
        for at in 0..made.len() {
            let mut changed = made.clone();
            changed[at] ^= 1;
            assert!(!holds(&changed, &set, NOW_S), "byte {at}");
            assert!(!holds(&made[..at], &set, NOW_S), "cut at {at}");
        }
    }

    #[test]
    fn a_ds_is_written_as_the_parent_has_it() {
        for wrong in ["", "1 13 2", "1 13 2 AB", "1 13 1 AB", "x 13 2 AB", "1 8 2 AB", "70000 13 2 AB"] {
            assert_eq!(ds_of_text(wrong), None, "{wrong}");
        }
        let hex = "B4C8C1FE2E7477127B27115656AD6256F424625BF5C1E2770CE6D6E37DF61D17";
        let data = ds_of_text(&format!("55648 13 2 {} {}", &hex[..10], hex[10..].to_lowercase())).unwrap();
        assert_eq!((data.len(), text_of_ds(&data)), (36, format!("55648 13 2 {hex}")));
    }
}
