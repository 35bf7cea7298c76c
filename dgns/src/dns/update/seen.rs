//! What was signed, and may be sent again by others: judged once (PROTOCOL 13.3).

use std::collections::{HashMap, HashSet, VecDeque};

use identity::did::Did;
use identity::hash::Hash;
use storage::people::SignedUpdate;

use super::SIGNED_FOR_S_MAX;

/// The updates remembered of one DID, and of all; above them no more are taken. However many others are remembered, a DID has a few places: memory
/// is bounded by the DIDs that have a name.
pub(super) const OF_A_DID_MAX: u32 = 256;
pub(super) const OF_A_DID_SURE: u32 = 8;
pub(super) const SEEN_MAX: usize = 65_536;

/// Updates that came within the longest time a signature may be good for.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hashes: HashSet<Hash>,
    /// The same in the order in which they are forgotten.
    order: VecDeque<SignedUpdate>,
    of_did: HashMap<[u8; 20], u32>,
    /// The latest time at which one came: a clock that is set back brings none back.
    latest_s: u64,
}

impl Seen {
    /// Returns what was remembered before, in the order in which it is forgotten.
    pub(super) fn of(remembered: Vec<SignedUpdate>) -> Self {
        let mut seen = Self::default();
        for update in remembered {
            seen.latest_s = seen.latest_s.max(update.until_s.saturating_sub(u64::from(SIGNED_FOR_S_MAX)));
            seen.remember(update);
        }
        seen
    }

    /// Remembers what a device of `did` signed, by its hash, until it can be good no more, and returns it as it is to be kept. None: it came
    /// before, its time is over, or there is no room.
    pub(super) fn admit(&mut self, did: &Did, signed: Hash, expires_s: u32, now_s: u64) -> Option<SignedUpdate> {
        self.latest_s = self.latest_s.max(now_s);
        while self.order.front().is_some_and(|first| first.until_s < self.latest_s) {
            self.forget();
        }
        let is_good = expires_s.wrapping_sub(self.latest_s as u32).cast_signed() >= 0;
        let of_did = self.of_did.get(did.as_bytes()).copied().unwrap_or_default();
        let has_room = of_did < OF_A_DID_SURE || (of_did < OF_A_DID_MAX && self.hashes.len() < SEEN_MAX);
        if !is_good || !has_room || self.hashes.contains(&signed) {
            return None;
        }
        let until_s = self.latest_s + u64::from(SIGNED_FOR_S_MAX);
        let update = SignedUpdate { signed, did: *did.as_bytes(), until_s };
        self.remember(update.clone());
        Some(update)
    }

    fn remember(&mut self, update: SignedUpdate) {
        self.hashes.insert(update.signed);
        *self.of_did.entry(update.did).or_default() += 1;
        self.order.push_back(update);
    }

    fn forget(&mut self) {
        let Some(update) = self.order.pop_front() else { return };
        self.hashes.remove(&update.signed);
        if let Some(count) = self.of_did.get_mut(&update.did) {
            *count -= 1;
            if *count == 0 {
                self.of_did.remove(&update.did);
            }
        }
    }
}
