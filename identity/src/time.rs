//! Points in time as the log tells them (PROTOCOL 1.4).

/// Milliseconds since 1970-01-01T00:00:00Z. The rules know epoch time alone, never a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Returns the time `ms` milliseconds after 1970 began.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Returns the milliseconds since 1970 began.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Returns the whole seconds since 1970 began.
    pub const fn as_s(self) -> u64 {
        self.0 / 1_000
    }

    /// Returns the time `ms` milliseconds later; stays at the end of time instead of passing it.
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns how many milliseconds `self` lies after `earlier`; 0 if it does not.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
