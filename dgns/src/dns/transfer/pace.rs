//! How slowly a copy may be taken: whoever holds a seat uses it.

use std::time::Duration;

use super::super::limits::{TRANSFER_BYTES_PER_S_MIN, TRANSFER_SLOW};

/// The time that a peer has left to take what is sent: [`TRANSFER_SLOW`], and what it was fast enough to earn, never more.
#[derive(Debug)]
pub(super) struct Pace(Duration);

impl Pace {
    pub(super) fn begin() -> Self {
        Self(TRANSFER_SLOW)
    }

    /// Returns how long it may take to take the next bytes; zero: it is over.
    pub(super) fn left(&self) -> Duration {
        self.0
    }

    /// Notes that it took so many bytes in this time.
    pub(super) fn note(&mut self, bytes: usize, took: Duration) {
        let earned = Duration::from_secs(1) * bytes as u32 / TRANSFER_BYTES_PER_S_MIN;
        self.0 = (self.0 + earned).saturating_sub(took).min(TRANSFER_SLOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_slow_for_long_has_no_time_left() {
        // Goal: slower than the least rate for 30 s in all, and it is over, however steadily; at the rate or after a pause it goes on for ever.
        let (second, rate) = (Duration::from_secs(1), TRANSFER_BYTES_PER_S_MIN as usize);
        for (what, bytes, took, messages) in [
            ("three kilobytes a second", 16_000, 5 * second, Some(7)),
            ("one byte a second", 1, second, Some(31)),
            ("half the rate", rate, 2 * second, Some(31)),
            ("the rate", rate, second, None),
            ("fast", rate, second / 1_000, None),
        ] {
            let mut pace = Pace::begin();
            let taken = (1..=1_000_usize).find(|_| {
                pace.note(bytes, took);
                pace.left().is_zero()
            });
            assert!(
                taken.is_none_or(|taken| messages.is_some_and(|messages| taken.abs_diff(messages) <= 1)),
                "{what}: {taken:?}"
            );
            assert_eq!(taken.is_some(), messages.is_some(), "{what}: {taken:?}");
        }
        let mut pace = Pace::begin();
        (0..1_000).for_each(|_| pace.note(rate, second / 1_000));
        assert_eq!(pace.left(), TRANSFER_SLOW, "haste is not saved up");
        pace.note(0, 29 * second);
        pace.note(29 * rate, second);
        assert_eq!(pace.left(), 29 * second, "a pause is forgiven");
    }
}
