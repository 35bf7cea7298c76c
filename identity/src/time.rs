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

/// Returns the Gregorian date, year, month and day, of a day since 1970-01-01.
pub fn civil(days: u64) -> (u64, u64, u64) {
    // Eras of 400 years from 0000-03-01, so that a leap day ends its year.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
