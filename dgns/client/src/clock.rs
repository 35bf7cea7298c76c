//! The one place that asks the time; everything else receives `now`.

#[allow(clippy::disallowed_types)]
use std::time::SystemTime;

use identity::time::Timestamp;

/// Returns the time of the system's clock.
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
