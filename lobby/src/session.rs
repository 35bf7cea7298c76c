//! The frames of one session on their way to its client: numbered, chained, and kept until they were seen (PROTOCOL 23.2).

use std::collections::VecDeque;

use bytes::Bytes;
use identity::hash::Hash;

use crate::hello::{HOP_START, hop};
use crate::limits::{UNSEEN_BYTES_MAX, UNSEEN_MAX};

/// What was sent. An idle session, all of whose frames were seen, keeps none.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Frames no longer kept, and the chain over them.
    gone: u64,
    gone_hash: Hash,
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
}

/// How what a client says it received fits what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// These come next.
    Rest(Vec<Bytes>),
    /// It saw so little that what follows is no longer kept.
    TooOld,
    /// It says it received what was never sent.
    Mismatch,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self { gone: 0, gone_hash: HOP_START, kept: VecDeque::new(), kept_bytes: 0 }
    }
}

impl Outgoing {
    /// Takes a frame that is sent now. Beyond what is kept at most the oldest go, and with them the way back to them.
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.kept_bytes += frame.len();
        self.kept.push_back(frame);
        while self.kept.len() > UNSEEN_MAX || self.kept_bytes > UNSEEN_BYTES_MAX {
            self.forget_one();
        }
    }

    /// Returns the number of the next frame; the first is 1.
    pub(crate) fn next(&self) -> u64 {
        self.gone + self.kept.len() as u64 + 1
    }

    /// Returns how many frames were not seen yet.
    pub(crate) fn unseen(&self) -> usize {
        self.kept.len()
    }

    /// Forgets the frames up to `n`, which were seen. Returns whether so many were sent.
    pub(crate) fn seen(&mut self, n: u64) -> bool {
        if n >= self.next() {
            return false;
        }
        while self.gone < n {
            self.forget_one();
        }
        if self.kept.is_empty() {
            self.kept = VecDeque::new();
        }
        true
    }

    /// Compares what a client says it received with what was sent.
    pub(crate) fn fit(&self, n: u64, hash: &Hash) -> Fit {
        if n >= self.next() {
            return Fit::Mismatch;
        }
        let Some(more) = n.checked_sub(self.gone) else { return Fit::TooOld };
        let more = usize::try_from(more).expect("no more than are kept");
        let sent = self.kept.iter().take(more).fold(self.gone_hash, |hash, frame| hop(&hash, frame));
        match sent == *hash {
            true => Fit::Rest(self.kept.iter().skip(more).cloned().collect()),
            false => Fit::Mismatch,
        }
    }

    fn forget_one(&mut self) {
        if let Some(frame) = self.kept.pop_front() {
            self.kept_bytes -= frame.len();
            self.gone += 1;
            self.gone_hash = hop(&self.gone_hash, &frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u64) -> Bytes {
        Bytes::from(n.to_be_bytes().to_vec())
    }

    fn hash_of(n: u64) -> Hash {
        (1..=n).fold(HOP_START, |hash, n| hop(&hash, &frame(n)))
    }

    #[test]
    fn what_was_not_seen_comes_again_byte_for_byte() {
        // Goal: from every number received, exactly the rest. Method: 20 frames, 5 of them seen; each n with its hash and another.
        let mut outgoing = Outgoing::default();
        (1..=20).for_each(|n| outgoing.push(frame(n)));
        assert!(outgoing.seen(5));
        for n in 0..=25 {
            let expected = match n {
                0..5 => Fit::TooOld,
                5..=20 => Fit::Rest((n + 1..=20).map(frame).collect()),
                _ => Fit::Mismatch,
            };
            assert_eq!(outgoing.fit(n, &hash_of(n)), expected, "{n}");
            let other = if n < 5 { Fit::TooOld } else { Fit::Mismatch };
            assert_eq!(outgoing.fit(n, &[9; 32]), other, "{n}");
        }
        assert_eq!(outgoing.next(), 21);
    }

    #[test]
    fn memory_is_bounded_whoever_sees_nothing() {
        let mut outgoing = Outgoing::default();
        (1..=1_000).for_each(|n| outgoing.push(frame(n)));
        assert_eq!((outgoing.kept.len(), outgoing.next()), (UNSEEN_MAX, 1_001));
        assert_eq!(outgoing.fit(1_000 - UNSEEN_MAX as u64 - 1, &HOP_START), Fit::TooOld);
        let large = Bytes::from(vec![0; UNSEEN_BYTES_MAX]);
        outgoing.push(large.clone());
        assert_eq!((outgoing.kept.len(), outgoing.kept_bytes), (1, large.len()));
        assert!(outgoing.seen(1_001) && !outgoing.seen(1_002));
        assert_eq!((outgoing.kept.len(), outgoing.kept_bytes), (0, 0));
        assert_eq!(outgoing.fit(1_001, &outgoing.gone_hash), Fit::Rest(Vec::new()));
    }
}
