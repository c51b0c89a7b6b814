//! A clock that is moved by hand.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use flott_core::{MonoTime, Now, Timestamp, WallTime};
use flott_runtime::Clock;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Both clocks begin at zero and advance together; the wall clock alone can be set.
#[derive(Default)]
pub(super) struct HandClock {
    nanos: AtomicU64,
    /// What the wall clock shows beyond the monotonic one, in milliseconds.
    ahead_millis: AtomicI64,
}

impl HandClock {
    /// When `by` will have passed.
    pub(super) fn after(&self, by: Duration) -> MonoTime {
        self.now().mono.plus(by)
    }

    /// Lets time pass until the wall clock shows `wall`, or until `limit`, whichever is first.
    pub(super) fn advance_to_wall(&self, wall: WallTime, limit: MonoTime) {
        let millis = wall.0.saturating_sub(self.ahead_millis.load(Ordering::Relaxed)).max(0);
        let nanos = millis.unsigned_abs().saturating_mul(NANOS_PER_MILLI);
        self.advance_to(MonoTime(nanos).min(limit));
    }

    /// Lets time pass until `time`, if that is later.
    pub(super) fn advance_to(&self, time: MonoTime) {
        self.nanos.fetch_max(time.0, Ordering::Relaxed);
    }

    /// Sets the wall clock, forwards or backwards.
    pub(super) fn set_wall(&self, wall: WallTime) {
        let millis = self.nanos.load(Ordering::Relaxed) / NANOS_PER_MILLI;
        self.ahead_millis.store(wall.0.saturating_sub_unsigned(millis), Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Now {
        let nanos = self.nanos.load(Ordering::Relaxed);
        let ahead = self.ahead_millis.load(Ordering::Relaxed);
        let wall = Timestamp(ahead.saturating_add_unsigned(nanos / NANOS_PER_MILLI));
        Now { mono: MonoTime(nanos), wall }
    }
}
