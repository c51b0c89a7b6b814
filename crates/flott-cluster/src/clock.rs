//! The only place that reads the system's clocks.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flott_core::{MonoTime, Now, Timestamp, WallTime};
use flott_runtime::Clock;

#[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The system's clocks; monotonic time counts from when a process first asked for it.
#[derive(Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    fn now(&self) -> Now {
        Now {
            mono: MonoTime(u64::try_from(ORIGIN.elapsed().as_nanos()).unwrap_or(u64::MAX)),
            wall: wall_time(SystemTime::now()),
        }
    }
}

/// A time of the system, as everybody else has it.
pub(crate) fn wall_time(time: SystemTime) -> WallTime {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
