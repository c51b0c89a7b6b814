//! The only place that reads the system's clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flott_core::{MonoTime, Now, Timestamp};
use flott_runtime::Clock;

/// The system's clocks; monotonic time counts from when this was made.
pub(crate) struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    fn now(&self) -> Now {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: MonoTime(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)),
            wall: Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}
