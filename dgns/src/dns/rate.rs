//! How often one network is answered by UDP, so that nobody floods it with answers it did not ask for (response rate limiting).
//!
//! Whoever shows a cookie of ours, or comes by TCP, sends from where he says and is not limited. Of the answers above a limit every
//! second leaves with TC = 1 and nothing else: no larger than its query, and enough to bring a resolver that is real by TCP.

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher24;

use crate::cidr::Cidr;

/// Networks and kinds of answers are counted in so many places; those that meet in one share its limit.
const PLACES: usize = 65_536;

/// Answers without a record are cheaper to make a server send, and of use to nobody: their limit is a fourth.
const FEWER: u32 = 4;

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is sent.
    Send,
    /// It is cut to its question, with TC = 1.
    Slip,
    /// It is not sent.
    Drop,
}

/// Counts answers, per network and second: one table for all who answer, because a network that asks from many ports, or at several addresses, meets all of
/// them, and would get the limit of each. No lock; who counts at the same place at the same time waits for one memory cell.
pub(crate) struct Limiter {
    per_s: u32,
    exempt: Vec<Cidr>,
    key: [u8; 16],
    /// The second in the upper half, and the answers of it in the lower.
    places: Box<[AtomicU64]>,
}

impl Limiter {
    /// Returns a limiter of so many answers a second for a network that is not within `exempt`; 0 limits nothing. `key` is secret: nobody can choose whose
    /// place he fills.
    pub(crate) fn new(per_s: u32, exempt: Vec<Cidr>, key: [u8; 16]) -> Self {
        let places = if per_s == 0 { 0 } else { PLACES };
        Self { per_s, exempt, key, places: (0..places).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Judges an answer to `address`.
    pub(crate) fn judge(&self, address: IpAddr, has_answer: bool, now_s: u32) -> Verdict {
        let address = address.to_canonical();
        if self.per_s == 0 || self.exempt.iter().any(|network| network.has(address)) {
            return Verdict::Send;
        }
        let count = self.count(self.place(address, has_answer), now_s);
        let limit = if has_answer { self.per_s } else { self.per_s.div_ceil(FEWER) };
        match count.checked_sub(limit + 1) {
            None => Verdict::Send,
            Some(over) if over % 2 == 1 => Verdict::Slip,
            Some(_) => Verdict::Drop,
        }
    }

    /// Counts an answer at a place; returns how many of this second that makes.
    fn count(&self, place: usize, now_s: u32) -> u32 {
        let place = &self.places[place];
        let mut known = place.load(Ordering::Relaxed);
        loop {
            let (second, count) = ((known >> 32) as u32, known as u32);
            // Whoever read the clock just before the others counts with them: else each of both would begin anew.
            let next = match second == now_s || second == now_s.wrapping_add(1) {
                true => (second, count.saturating_add(1)),
                false => (now_s, 1),
            };
            let packed = u64::from(next.0) << 32 | u64::from(next.1);
            match place.compare_exchange_weak(known, packed, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return next.1,
                Err(other) => known = other,
            }
        }
    }

    fn place(&self, address: IpAddr, has_answer: bool) -> usize {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        match address {
            IpAddr::V4(v4) => hasher.write(&v4.octets()[..3]),
            IpAddr::V6(v6) => hasher.write(&v6.octets()[..7]),
        }
        hasher.write_u8(u8::from(has_answer));
        (hasher.finish() % PLACES as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_s: u32, exempt: &[&str]) -> Limiter {
        let exempt = exempt.iter().map(|text| Cidr::parse(text).expect("a network")).collect();
        Limiter::new(per_s, exempt, [3; 16])
    }

    fn verdicts(limiter: &Limiter, address: &str, has_answer: bool, now_s: u32) -> [usize; 3] {
        let address = address.parse().unwrap();
        let all: Vec<Verdict> = (0..100).map(|_| limiter.judge(address, has_answer, now_s)).collect();
        [Verdict::Send, Verdict::Slip, Verdict::Drop].map(|kind| all.iter().filter(|it| **it == kind).count())
    }

    #[test]
    fn a_network_gets_so_many_answers_a_second_and_half_the_rest_as_a_hint() {
        let limiter = limiter(40, &[]);
        assert_eq!(verdicts(&limiter, "192.0.2.1", true, 9), [40, 30, 30]);
        assert_eq!(verdicts(&limiter, "192.0.2.254", true, 9), [0, 50, 50], "the same /24");
        assert_eq!(verdicts(&limiter, "192.0.2.1", false, 9), [10, 45, 45], "errors and denials have their own");
        assert_eq!(verdicts(&limiter, "192.0.3.1", true, 9), [40, 30, 30], "another /24");
        assert_eq!(verdicts(&limiter, "2001:db8:0:1::1", true, 9), [40, 30, 30]);
        assert_eq!(verdicts(&limiter, "2001:db8:0:ff::2", true, 9), [0, 50, 50], "the same /56");
        assert_eq!(verdicts(&limiter, "192.0.2.1", true, 10), [40, 30, 30], "another second");
        assert_eq!(verdicts(&limiter, "192.0.2.1", true, 9), [0, 50, 50], "one whose clock was read before");
        assert_eq!(verdicts(&limiter, "192.0.2.1", true, 4), [40, 30, 30], "a clock that was set back");
    }

    #[test]
    fn exempt_networks_and_a_limit_of_nothing_are_not_limited() {
        let own = ["127.0.0.0/8", "::1/128"];
        for (per_s, address) in [(1, "127.0.0.1"), (1, "::1"), (1, "::ffff:127.0.0.1"), (0, "192.0.2.1")] {
            assert_eq!(verdicts(&limiter(per_s, &own), address, true, 9), [100, 0, 0], "{address}");
        }
        for address in ["127.0.0.1", "::1"] {
            assert_eq!(verdicts(&limiter(1, &[]), address, true, 9), [1, 49, 50], "{address}");
        }
    }

    #[test]
    fn all_who_answer_share_one_limit() {
        // Goal: a limit of 4,000 is one of 4,000 for who asks eight workers at once. Method: threads that judge 1,000 answers each.
        let limiter = limiter(4_000, &[]);
        let sent = || (0..1_000).filter(|_| limiter.judge([192, 0, 2, 1].into(), true, 9) == Verdict::Send).count();
        let sent: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(sent)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
        });
        assert_eq!(sent, 4_000);
    }
}
