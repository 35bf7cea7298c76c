//! How often one network is answered by UDP, so that nobody floods it with answers it did not ask for (response rate limiting).
//!
//! Whoever shows a cookie of ours, or comes by TCP, sends from where he says and is not limited. Of the answers above a limit every
//! second leaves with TC = 1 and nothing else: no larger than its query, and enough to bring a resolver that is real by TCP.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

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

/// Counts answers, per network and second.
pub(crate) struct Limiter {
    per_s: u32,
    key: [u8; 16],
    /// The second, and the answers of it.
    places: Box<[(u32, u32)]>,
}

impl Limiter {
    /// Returns a limiter of so many answers a second for a network; 0 limits nothing. `key` is secret: nobody can choose whose place he
    /// fills.
    pub(crate) fn new(per_s: u32, key: [u8; 16]) -> Self {
        let places = if per_s == 0 { 0 } else { PLACES };
        Self { per_s, key, places: vec![(0, 0); places].into_boxed_slice() }
    }

    /// Judges an answer to `address`. An answer to this machine cannot leave it: it is not limited.
    pub(crate) fn judge(&mut self, address: IpAddr, has_answer: bool, now_s: u32) -> Verdict {
        let address = address.to_canonical();
        if self.per_s == 0 || address.is_loopback() {
            return Verdict::Send;
        }
        let at = self.place(address, has_answer);
        let place = &mut self.places[at];
        if place.0 != now_s {
            *place = (now_s, 0);
        }
        place.1 = place.1.saturating_add(1);
        let limit = if has_answer { self.per_s } else { self.per_s.div_ceil(FEWER) };
        match place.1.checked_sub(limit + 1) {
            None => Verdict::Send,
            Some(over) if over % 2 == 1 => Verdict::Slip,
            Some(_) => Verdict::Drop,
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

    fn verdicts(limiter: &mut Limiter, address: &str, has_answer: bool, now_s: u32) -> [usize; 3] {
        let address = address.parse().unwrap();
        let all: Vec<Verdict> = (0..100).map(|_| limiter.judge(address, has_answer, now_s)).collect();
        [Verdict::Send, Verdict::Slip, Verdict::Drop].map(|kind| all.iter().filter(|it| **it == kind).count())
    }

    #[test]
    fn a_network_gets_so_many_answers_a_second_and_half_the_rest_as_a_hint() {
        let mut limiter = Limiter::new(40, [3; 16]);
        assert_eq!(verdicts(&mut limiter, "192.0.2.1", true, 9), [40, 30, 30]);
        assert_eq!(verdicts(&mut limiter, "192.0.2.254", true, 9), [0, 50, 50], "the same /24");
        assert_eq!(verdicts(&mut limiter, "192.0.2.1", false, 9), [10, 45, 45], "errors and denials have their own");
        assert_eq!(verdicts(&mut limiter, "192.0.3.1", true, 9), [40, 30, 30], "another /24");
        assert_eq!(verdicts(&mut limiter, "2001:db8:0:1::1", true, 9), [40, 30, 30]);
        assert_eq!(verdicts(&mut limiter, "2001:db8:0:ff::2", true, 9), [0, 50, 50], "the same /56");
        assert_eq!(verdicts(&mut limiter, "192.0.2.1", true, 10), [40, 30, 30], "another second");
    }

    #[test]
    fn this_machine_and_a_limit_of_nothing_are_not_limited() {
        for (per_s, address) in [(1, "127.0.0.1"), (1, "::1"), (1, "::ffff:127.0.0.1"), (0, "192.0.2.1")] {
            assert_eq!(verdicts(&mut Limiter::new(per_s, [3; 16]), address, true, 9), [100, 0, 0], "{address}");
        }
    }
}
