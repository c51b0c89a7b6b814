//! exponential-delay: restarts with a growing wait.

use std::time::Duration;

use flott_core::MonoTime;

use super::Decision;
use super::config::ExponentialDelayConfig;

#[derive(Debug)]
pub(super) struct ExponentialDelay {
    config: ExponentialDelayConfig,
    /// Restarts since the wait was last reset.
    attempts: u32,
    /// When the latest restart was, or is, to take place.
    next_restart: Option<MonoTime>,
    jitter: SplitMix64,
}

impl ExponentialDelay {
    pub(super) fn new(config: ExponentialDelayConfig, seed: u64) -> Self {
        Self { config, attempts: 0, next_restart: None, jitter: SplitMix64(seed) }
    }

    pub(super) fn on_failure(&mut self, now: MonoTime) -> Decision {
        if let Some(at) = self.next_restart {
            if now <= at {
                // The restart that this failure needs is on its way.
                return Decision::Restart { delay: at.since(now) };
            }
            if now.since(at) >= self.config.reset_threshold {
                self.attempts = 0;
            }
        }
        if self.config.attempts.is_some_and(|limit| self.attempts >= limit) {
            return Decision::GiveUp;
        }
        let delay = self.delay();
        self.attempts += 1;
        self.next_restart = Some(now.plus(delay));
        Decision::Restart { delay }
    }

    fn delay(&mut self) -> Duration {
        let ExponentialDelayConfig { initial, max, multiplier, jitter, .. } = self.config;
        let exponent = i32::try_from(self.attempts).unwrap_or(i32::MAX);
        let wait = initial.as_secs_f64() * multiplier.powi(exponent);
        let jittered = wait * (1.0 + jitter * self.jitter.between_minus_one_and_one());
        // Not a number of seconds any more: far beyond the maximum.
        Duration::try_from_secs_f64(jittered).unwrap_or(max).clamp(initial, max)
    }
}

/// A small generator of good quality (Steele, Lea, Flood 2014): the seed decides everything.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From the 53 high bits, as many as a double holds.
    fn between_minus_one_and_one(&mut self) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        2.0 * unit - 1.0
    }
}
