//! Counts of what devices, networks and names do, in windows.

use std::collections::HashMap;
use std::sync::Arc;

use identity::cert::KeyBytes;
use identity::time::Timestamp;

use super::Network;
use crate::limits::{BURST_MS, COUNTERS_MAX, FRAMES_PER_BURST, SIGNALS_PER_BURST};

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Counter {
    /// New connections of a network.
    Opened(Network),
    /// Frames of a device, and the signals among them.
    Frames(KeyBytes),
    /// Knocks of a device at a name.
    KnocksAt(KeyBytes, Arc<str>),
    /// Knocks of a device.
    Knocks(KeyBytes),
    /// Knocks at a name.
    KnocksOf(Arc<str>),
    /// Knocks of guests of a network.
    KnocksOfGuests(Network),
    /// Knocks of guests at a name.
    GuestKnocksAt(Arc<str>),
}

impl Counter {
    const fn period_ms(&self) -> u64 {
        match self {
            Self::Opened(_) => 1_000,
            Self::Frames(_) => BURST_MS,
            Self::KnocksAt(..)
            | Self::Knocks(_)
            | Self::KnocksOf(_)
            | Self::KnocksOfGuests(_)
            | Self::GuestKnocksAt(_) => 60_000,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: Timestamp,
    count: u32,
    signals: u32,
}

impl Window {
    fn count(&mut self, limit: u32, now: Timestamp) -> Result<(), u64> {
        if self.count >= limit {
            return Err(self.ends.ms_since(now));
        }
        self.count += 1;
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    windows: HashMap<Counter, Window>,
}

impl Counters {
    /// Counts one, or returns after how many milliseconds one more is taken. A limit of 0 is none.
    pub(super) fn count(&mut self, counter: Counter, limit: u32, now: Timestamp) -> Result<(), u64> {
        if limit == 0 {
            return Ok(());
        }
        self.window(counter, now).count(limit, now)
    }

    /// Counts a frame of a device, which may be a signal; as [`Counters::count`].
    pub(super) fn count_frame(&mut self, device: KeyBytes, is_signal: bool, now: Timestamp) -> Result<(), u64> {
        let window = self.window(Counter::Frames(device), now);
        window.count(FRAMES_PER_BURST, now)?;
        if is_signal && window.signals >= SIGNALS_PER_BURST {
            return Err(window.ends.ms_since(now));
        }
        window.signals += u32::from(is_signal);
        Ok(())
    }

    fn window(&mut self, counter: Counter, now: Timestamp) -> &mut Window {
        if self.windows.len() >= COUNTERS_MAX {
            self.windows.retain(|_, window| window.ends > now);
            if self.windows.len() >= COUNTERS_MAX {
                self.windows.clear();
            }
        }
        let fresh = Window { ends: now.plus_ms(counter.period_ms()), count: 0, signals: 0 };
        let window = self.windows.entry(counter).or_insert(fresh);
        if window.ends <= now {
            *window = fresh;
        }
        window
    }

    /// Returns after how many milliseconds one more is taken, if none is now. Counts nothing.
    pub(super) fn full(&self, counter: &Counter, limit: u32, now: Timestamp) -> Option<u64> {
        let window = self.windows.get(counter)?;
        (limit > 0 && window.count >= limit && window.ends > now).then(|| window.ends.ms_since(now))
    }

    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }
}
