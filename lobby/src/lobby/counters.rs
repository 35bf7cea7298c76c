//! Counts of what devices, networks and names do, in windows.

use std::collections::HashMap;
use std::sync::Arc;

use identity::cert::KeyBytes;
use identity::time::Timestamp;

use super::Network;
use crate::limits::{BURST_MS, COUNTERS_MAX};

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Counter {
    /// New connections of a network.
    Opened(Network),
    /// Frames of a device.
    Frames(KeyBytes),
    /// Signals of a device.
    Signals(KeyBytes),
    /// Knocks of a device at a name.
    KnocksAt(KeyBytes, Arc<str>),
    /// Knocks of a device.
    Knocks(KeyBytes),
    /// Knocks at a name.
    KnocksOf(Arc<str>),
}

impl Counter {
    const fn period_ms(&self) -> u64 {
        match self {
            Self::Opened(_) => 1_000,
            Self::Frames(_) | Self::Signals(_) => BURST_MS,
            Self::KnocksAt(..) | Self::Knocks(_) | Self::KnocksOf(_) => 60_000,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: Timestamp,
    count: u32,
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
        if self.windows.len() >= COUNTERS_MAX {
            self.windows.retain(|_, window| window.ends > now);
            if self.windows.len() >= COUNTERS_MAX {
                self.windows.clear();
            }
        }
        let fresh = Window { ends: now.plus_ms(counter.period_ms()), count: 0 };
        let window = self.windows.entry(counter).or_insert(fresh);
        if window.ends <= now {
            *window = fresh;
        }
        if window.count >= limit {
            return Err(window.ends.ms_since(now));
        }
        window.count += 1;
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }
}
