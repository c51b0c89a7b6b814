//! The simulation's clock: it moves when the world says so.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use flott_core::{MonoTime, Now, Timestamp};
use flott_runtime::Clock;

/// When the simulated world begins, in milliseconds since the epoch.
const BEGIN: i64 = 1_700_000_000_000;

/// Both clocks; they advance together, unless the wall clock is set.
#[derive(Default)]
pub struct SimClock {
    nanos: AtomicU64,
    /// By how many milliseconds the wall clock has jumped.
    jumped: AtomicI64,
}

impl SimClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.nanos.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Lets time pass until `time`, if that is later.
    pub fn advance_to(&self, time: MonoTime) {
        self.nanos.fetch_max(time.0, Ordering::Relaxed);
    }

    /// Sets the wall clock forward by so many milliseconds, or back.
    pub fn jump(&self, millis: i64) {
        self.jumped.fetch_add(millis, Ordering::Relaxed);
    }

    /// By how many milliseconds the wall clock was set forward.
    pub fn jumped(&self) -> i64 {
        self.jumped.load(Ordering::Relaxed)
    }

    /// When the wall clock will show `time`.
    pub fn mono_of(&self, time: Timestamp) -> MonoTime {
        let begin = BEGIN + self.jumped();
        MonoTime((time.0.saturating_sub(begin).max(0).unsigned_abs()).saturating_mul(1_000_000))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Now {
        let nanos = self.nanos.load(Ordering::Relaxed);
        Now {
            mono: MonoTime(nanos),
            wall: Timestamp(BEGIN + self.jumped() + (nanos / 1_000_000) as i64),
        }
    }
}
