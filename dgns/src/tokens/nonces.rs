//! The nonces of leases: given without being stored, taken once.
//!
//! A nonce is its last second u32, 4 random bytes, and 8 bytes of HMAC under a key that lives as long as the process: after a
//! restart every nonce from before is worth nothing.

use std::collections::HashMap;
use std::sync::Mutex;

use identity::hash::keyed_hash;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// For how long a nonce may be signed.
const LIFE_S: u64 = 60;

/// Spent nonces kept at most: a thousand leases a second, for a minute.
const SPENT_MAX: usize = 60_000;

/// What tells a nonce of ours, and which are spent.
pub(super) struct Nonces {
    key: Zeroizing<[u8; 32]>,
    /// Each with its last second.
    spent: Mutex<HashMap<[u8; 16], u64>>,
}

impl Nonces {
    pub(super) fn new(rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(key.as_mut());
        Self { key, spent: Mutex::default() }
    }

    /// Returns a nonce to sign within a minute.
    pub(super) fn give(&self, now_s: u64, rng: &mut impl CryptoRng) -> [u8; 16] {
        let mut nonce = [0; 16];
        let last_s = u32::try_from(now_s + LIFE_S).unwrap_or(u32::MAX);
        nonce[..4].copy_from_slice(&last_s.to_be_bytes());
        rng.fill_bytes(&mut nonce[4..8]);
        let tag = self.tag(&nonce);
        nonce[8..].copy_from_slice(&tag);
        nonce
    }

    /// Returns whether a nonce is ours and still good.
    pub(super) fn is_good(&self, nonce: &[u8; 16], now_s: u64) -> bool {
        now_s <= last_s(nonce) && self.tag(nonce) == nonce[8..] && !self.spent().contains_key(nonce)
    }

    /// Spends a good nonce: `Some(true)` for the first who brings it, `None` while too many were spent.
    pub(super) fn spend(&self, nonce: &[u8; 16], now_s: u64) -> Option<bool> {
        let mut spent = self.spent();
        if spent.len() >= SPENT_MAX {
            spent.retain(|_, last_s| *last_s >= now_s);
        }
        if spent.len() >= SPENT_MAX {
            return None;
        }
        Some(spent.insert(*nonce, last_s(nonce)).is_none())
    }

    fn tag(&self, nonce: &[u8; 16]) -> [u8; 8] {
        let hash = keyed_hash(&self.key, "dgns/lease-nonce/v1", &[&nonce[..8]]);
        let mut tag = [0; 8];
        tag.copy_from_slice(&hash[..8]);
        tag
    }

    fn spent(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 16], u64>> {
        self.spent.lock().expect("no holder of the lock panics: it guards plain bytes")
    }
}

fn last_s(nonce: &[u8; 16]) -> u64 {
    u32::from_be_bytes([nonce[0], nonce[1], nonce[2], nonce[3]]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    #[test]
    fn a_nonce_is_ours_for_a_minute_and_good_once() {
        let (nonces, others) = (Nonces::new(&mut rng::system()), Nonces::new(&mut rng::system()));
        let nonce = nonces.give(1_000, &mut rng::system());
        assert!(nonces.is_good(&nonce, 1_000) && nonces.is_good(&nonce, 1_060));
        assert!(!nonces.is_good(&nonce, 1_061) && !others.is_good(&nonce, 1_000));
        for bit in 0..128 {
            let mut forged = nonce;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!nonces.is_good(&forged, 1_000), "bit {bit}");
        }
        assert_eq!((nonces.spend(&nonce, 1_000), nonces.spend(&nonce, 1_000)), (Some(true), Some(false)));
        assert!(!nonces.is_good(&nonce, 1_000));
    }

    #[test]
    fn memory_of_spent_nonces_is_bounded_and_comes_back() {
        let nonces = Nonces::new(&mut rng::system());
        for n in 0..SPENT_MAX as u128 {
            nonces.spent().insert(n.to_be_bytes(), 1_060);
        }
        let nonce = nonces.give(1_010, &mut rng::system());
        assert_eq!(nonces.spend(&nonce, 1_060), None);
        assert_eq!(nonces.spend(&nonce, 1_061), Some(true));
        assert_eq!(nonces.spent().len(), 1);
    }
}
