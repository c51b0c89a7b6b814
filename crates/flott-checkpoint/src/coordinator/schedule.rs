//! The period.

use std::time::Duration;

use flott_core::MonoTime;

/// When the next periodic checkpoint is to be triggered.
///
/// Free of drift: targets are an interval apart, however late a trigger comes. Targets that pass
/// while a checkpoint is due already are not made up for one by one.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Option<Duration>,
    next: Option<MonoTime>,
    is_due: bool,
}

impl Schedule {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self { interval, next: None, is_due: false }
    }

    /// The first target is one interval from now.
    pub(super) fn start(&mut self, now: MonoTime) {
        self.next = self.interval.map(|interval| now.plus(interval));
        self.is_due = false;
    }

    pub(super) fn stop(&mut self) {
        self.next = None;
        self.is_due = false;
    }

    pub(super) fn next(&self) -> Option<MonoTime> {
        self.next
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }

    pub(super) fn taken(&mut self) {
        self.is_due = false;
    }

    /// It came too early: the period goes on from there.
    pub(super) fn postpone(&mut self, until: MonoTime) {
        self.is_due = false;
        self.next = Some(until);
    }

    pub(super) fn tick(&mut self, now: MonoTime) {
        let (Some(target), Some(interval)) = (self.next, self.interval) else { return };
        if target > now {
            return;
        }
        self.is_due = true;
        let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        let passed = (now.0 - target.0) / nanos + 1;
        self.next = Some(MonoTime(target.0.saturating_add(nanos.saturating_mul(passed))));
    }
}
