//! Who waits for logs to grow: told which did and how far the newest is, never how often.
//!
//! Nothing is queued: what a listener did not fetch yet is one number for each of its logs that grew, so that one who stands still
//! holds nobody up and costs no more than one who listens.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use dgns_api::store::entry::LogId;
use tokio::sync::Notify;

/// The logs that somebody waits for.
#[derive(Default)]
pub(super) struct Watches {
    logs: Mutex<HashMap<LogId, Watched>>,
    /// How many watches there were: the number of the next one.
    begun: AtomicU64,
}

/// A log that somebody waits for.
#[derive(Default)]
struct Watched {
    /// The size that was told last; 0 if none was.
    size: u64,
    /// Each by the number of its watch and the place that the log has there.
    listeners: HashMap<(u64, u32), Arc<Listener>>,
}

/// One who waits.
#[derive(Default)]
struct Listener {
    /// What grew and was not fetched yet: the newest size, by place.
    grown: Mutex<BTreeMap<u32, u64>>,
    bell: Notify,
}

/// Logs under watch; the watch ends when it is dropped.
pub struct Watch {
    watches: Arc<Watches>,
    number: u64,
    listener: Arc<Listener>,
    /// By place; `None` once it is left.
    logs: Vec<Option<LogId>>,
}

impl Watches {
    /// Returns a watch of nothing yet.
    pub(super) fn watch(self: &Arc<Self>) -> Watch {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        Watch { watches: self.clone(), number, listener: Arc::default(), logs: Vec::new() }
    }

    /// Says how far a log is, if it grew since that was said last.
    pub(super) fn mark(&self, log: &LogId, size: u64) {
        let mut logs = self.lock();
        let Some(watched) = logs.get_mut(log).filter(|watched| watched.size < size) else { return };
        watched.size = size;
        for ((_, place), listener) in &watched.listeners {
            listener.grown().insert(*place, size);
            listener.bell.notify_one();
        }
    }

    /// Returns the logs that somebody waits for.
    pub(super) fn waited_for(&self) -> Vec<LogId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LogId, Watched>> {
        self.logs.lock().expect("no holder panics")
    }
}

impl Listener {
    fn grown(&self) -> MutexGuard<'_, BTreeMap<u32, u64>> {
        self.grown.lock().expect("no holder panics")
    }
}

impl Watch {
    /// Watches one more log, and returns its place: 0, 1, .. in the order they came. Whoever looks how far it is after this misses nothing.
    pub fn add(&mut self, log: LogId) -> usize {
        let place = self.logs.len();
        self.logs.push(Some(log));
        let mut logs = self.watches.lock();
        logs.entry(log).or_default().listeners.insert((self.number, place as u32), self.listener.clone());
        drop(logs);
        place
    }

    /// Watches the log at a place no more. What it grew before may still be told.
    pub fn leave(&mut self, place: usize) {
        let left = self.logs.get_mut(place).and_then(Option::take);
        left.into_iter().for_each(|log| forget(&mut self.watches.lock(), &log, (self.number, place as u32)));
    }

    /// Waits until logs grew, and returns what [`Watch::take`] does. Nothing is lost if this is dropped while it waits.
    pub async fn grown(&self) -> BTreeMap<u32, u64> {
        loop {
            let grown = self.take();
            if !grown.is_empty() {
                return grown;
            }
            self.listener.bell.notified().await;
        }
    }

    /// Returns what grew since this was asked last: by place the newest size, which may be known already.
    pub fn take(&self) -> BTreeMap<u32, u64> {
        std::mem::take(&mut self.listener.grown())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut logs = self.watches.lock();
        for (place, log) in (0..).zip(&self.logs) {
            log.iter().for_each(|log| forget(&mut logs, log, (self.number, place)));
        }
    }
}

/// Takes a watch's place away from a log, whoever else waits for it; the log too once nobody does.
fn forget(logs: &mut HashMap<LogId, Watched>, log: &LogId, listener: (u64, u32)) {
    let Some(watched) = logs.get_mut(log) else { return };
    watched.listeners.remove(&listener);
    if watched.listeners.is_empty() {
        logs.remove(log);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_is_told_the_newest_size_of_each_log_once() {
        // Goal: whoever stands still while logs grow a thousand times holds one number a log. Method: two listeners, one that fetches late.
        let watches: Arc<Watches> = Arc::default();
        let (mut quick, mut late) = (watches.watch(), watches.watch());
        let [a, b, c] = [1, 2, 3].map(|number| LogId([number; 32]));
        assert_eq!([quick.add(a), late.add(b), late.add(a)], [0, 0, 1]);
        for size in 1..=1_000 {
            watches.mark(&a, size);
            watches.mark(&b, size);
            watches.mark(&c, size);
        }
        assert_eq!(late.listener.grown().len(), 2);
        assert_eq!(late.grown().await, BTreeMap::from([(0, 1_000), (1, 1_000)]));
        assert_eq!(quick.grown().await, BTreeMap::from([(0, 1_000)]));
        watches.mark(&a, 1_000);
        watches.mark(&a, 999);
        assert!(quick.take().is_empty() && late.take().is_empty(), "no log grew");
        watches.mark(&a, 1_001);
        assert_eq!(quick.grown().await, BTreeMap::from([(0, 1_001)]));
    }

    #[tokio::test]
    async fn a_log_that_nobody_waits_for_any_more_is_forgotten() {
        let watches: Arc<Watches> = Arc::default();
        let (mut one, mut other) = (watches.watch(), watches.watch());
        let [a, b] = [1, 2].map(|number| LogId([number; 32]));
        one.add(a);
        let place = one.add(b);
        one.add(b);
        other.add(b);
        one.leave(place);
        one.leave(place);
        watches.mark(&b, 1);
        assert_eq!(one.grown().await, BTreeMap::from([(2, 1)]), "a place is left, not the log");
        assert_eq!(other.grown().await, BTreeMap::from([(0, 1)]));
        drop(one);
        assert_eq!(watches.waited_for(), [b]);
        watches.mark(&b, 2);
        assert_eq!(other.grown().await, BTreeMap::from([(0, 2)]));
        drop(other);
        assert!(watches.waited_for().is_empty());
    }
}
