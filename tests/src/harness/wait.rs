//! Waiting for what must come: looked for again and again, never for a guessed time. The room of the tests' clock.
#![expect(clippy::disallowed_methods, reason = "the deadlines of the tests are kept here")]

use std::time::{Duration, Instant};

/// Longer than anything here takes, on a machine that does other things too; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks: short beside what is looked for, long beside a look.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until `look` finds something. Panics with `what` once [`PATIENCE`] is over.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} for this: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Lets `time` go by: for moments that a seed chose, never in the hope that something has happened by then.
pub fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// Returns what `work` returns, and how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let done = work();
    (done, started.elapsed())
}
