//! failure-rate: restarts as long as failures are rare.

use std::collections::VecDeque;
use std::time::Duration;

use flott_core::MonoTime;

use super::Decision;

#[derive(Debug)]
pub(super) struct FailureRate {
    max_failures: usize,
    interval: Duration,
    delay: Duration,
    /// The latest failures, oldest first: one more than are survived within the interval.
    failures: VecDeque<MonoTime>,
}

impl FailureRate {
    pub(super) fn new(max_failures: u32, interval: Duration, delay: Duration) -> Self {
        let max_failures = max_failures as usize;
        Self { max_failures, interval, delay, failures: VecDeque::new() }
    }

    pub(super) fn on_failure(&mut self, now: MonoTime) -> Decision {
        if self.failures.len() > self.max_failures {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        let is_full = self.failures.len() > self.max_failures;
        let oldest = self.failures.front().copied().unwrap_or(now);
        if is_full && now.since(oldest) <= self.interval {
            return Decision::GiveUp;
        }
        Decision::Restart { delay: self.delay }
    }
}
