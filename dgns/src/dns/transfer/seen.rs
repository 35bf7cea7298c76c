//! Signed queries that came: each is answered once with a copy, however often somebody else sends it again.

use std::collections::{BTreeSet, HashSet};

use super::super::limits::TRANSFERS_SEEN_MAX;

/// The MACs of queries that were signed with one key and answered, until they cannot hold any more.
#[derive(Debug, Default)]
pub(super) struct Seen {
    macs: HashSet<Vec<u8>>,
    /// The same in the order in which they are forgotten: the last second at which each can hold, and the MAC.
    order: BTreeSet<(u64, Vec<u8>)>,
    /// The latest time at which one came: a clock that is set back brings none back.
    latest_s: u64,
}

impl Seen {
    /// Remembers a query by its MAC as long as it can hold. False: it came before, its time is over, or there is no room.
    pub(super) fn admit(&mut self, mac: &[u8], until_s: u64, now_s: u64) -> bool {
        self.latest_s = self.latest_s.max(now_s);
        while self.order.first().is_some_and(|(until_s, _)| *until_s < self.latest_s) {
            if let Some((_, mac)) = self.order.pop_first() {
                self.macs.remove(&mac);
            }
        }
        let is_new = until_s >= self.latest_s && self.macs.len() < TRANSFERS_SEEN_MAX && self.macs.insert(mac.to_vec());
        if is_new {
            self.order.insert((until_s, mac.to_vec()));
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_query_comes_once_and_is_forgotten_when_it_holds_no_more() {
        let mut seen = Seen::default();
        assert!(seen.admit(b"a", 307, 7) && seen.admit(b"b", 300, 7));
        assert!(!seen.admit(b"a", 307, 7) && !seen.admit(b"a", 307, 307), "it came before");
        assert!(!seen.admit(b"b", 300, 0), "its time is over, whatever the clock says now");
        assert_eq!(seen.macs.len(), 1);
        assert!(seen.admit(b"c", 400, 308));
        assert_eq!((seen.macs.len(), seen.order.len()), (1, 1));
        for number in 1..TRANSFERS_SEEN_MAX {
            assert!(seen.admit(&number.to_be_bytes(), 400, 308));
        }
        assert!(!seen.admit(b"d", 900, 400), "no room");
        assert!(seen.admit(b"d", 900, 401));
    }
}
