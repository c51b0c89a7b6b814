//! The only place that reads the system's clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flott_core::{MonoTime, Now, Timestamp, WallTime};
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
        Now {
            mono: MonoTime(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)),
            wall: wall_time(SystemTime::now()),
        }
    }
}

/// A time of the system, as everybody else has it.
pub(crate) fn wall_time(time: SystemTime) -> WallTime {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
