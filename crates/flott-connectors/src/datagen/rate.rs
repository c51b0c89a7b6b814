//! A token bucket.

use std::time::Duration;

use flott_core::MonoTime;

/// The least time to wait: below it, waking up costs more than it gives.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// Grants so many records a second, and after a pause what was not used of the last second.
pub(super) struct RateLimit {
    per_second: f64,
    tokens: f64,
    /// When tokens were last added; nothing before the first call.
    filled: Option<MonoTime>,
}

impl RateLimit {
    pub(super) fn new(per_second: f64) -> Self {
        // The first record need not wait.
        Self { per_second, tokens: 1.0, filled: None }
    }

    /// How many records may be emitted now, up to `limit`. They count as emitted.
    pub(super) fn grant(&mut self, limit: usize, now: MonoTime) -> usize {
        let passed = self.filled.map_or(Duration::ZERO, |filled| now.since(filled));
        self.filled = Some(now);
        let most = self.per_second.max(1.0);
        self.tokens = (self.tokens + passed.as_secs_f64() * self.per_second).min(most);
        // A saturating cast of a number that is not negative.
        let granted = (self.tokens as usize).min(limit);
        self.tokens -= granted as f64;
        granted
    }

    /// How long it takes until there is a token.
    pub(super) fn wait(&self) -> Duration {
        let seconds = (1.0 - self.tokens).max(0.0) / self.per_second;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).max(WAIT_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime(millis * 1_000_000)
    }

    #[test]
    fn over_time_the_rate_is_kept() {
        let mut rate = RateLimit::new(250.0);
        let mut granted = 0;
        for millis in 0..=10_000 {
            granted += rate.grant(1024, at(millis));
        }
        assert!((2500..=2501).contains(&granted), "{granted}");
    }

    #[test]
    fn a_pause_is_caught_up_on_by_one_second_at_most() {
        let mut rate = RateLimit::new(100.0);
        assert_eq!(rate.grant(1024, at(0)), 1);
        assert_eq!(rate.grant(1024, at(60_000)), 100);
    }

    #[test]
    fn a_slow_rate_waits_until_the_next_record() {
        let mut rate = RateLimit::new(0.5);
        assert_eq!(rate.grant(10, at(0)), 1);
        assert_eq!(rate.grant(10, at(0)), 0);
        assert_eq!(rate.wait(), Duration::from_secs(2));
        assert_eq!(rate.grant(10, at(2000)), 1);
    }
}
