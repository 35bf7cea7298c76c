//! The one place that asks the time; everything else receives `now`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[allow(clippy::disallowed_types)]
use std::time::SystemTime;

use identity::time::Timestamp;

/// A clock: the system's, or one that tests set.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<AtomicU64>),
}

impl Clock {
    /// Returns the system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Returns a clock that stands at `now` until it is set.
    pub fn fixed_for_tests(now: Timestamp) -> Self {
        Self(Source::Fixed(Arc::new(AtomicU64::new(now.as_ms()))))
    }

    /// Sets a fixed clock; the system's is left alone.
    pub fn set_for_tests(&self, now: Timestamp) {
        if let Source::Fixed(ms) = &self.0 {
            ms.store(now.as_ms(), Ordering::Relaxed);
        }
    }

    /// Returns the time.
    #[allow(clippy::disallowed_methods, clippy::disallowed_types)]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Source::Fixed(ms) => Timestamp::from_ms(ms.load(Ordering::Relaxed)),
        }
    }
}
