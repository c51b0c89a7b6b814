//! Whether and when a job restarts after a failure.

mod config;
mod exponential;
mod failure_rate;

use std::time::Duration;

use flott_core::MonoTime;

use exponential::ExponentialDelay;
use failure_rate::FailureRate;

pub use config::{ExponentialDelayConfig, RestartStrategyConfig};

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Begin again after the delay.
    Restart {
        /// How long to wait, from the failure.
        delay: Duration,
    },
    /// Fail the job.
    GiveUp,
}

/// A restart strategy and what it remembers of the failures of one job.
#[derive(Debug)]
pub struct RestartStrategy(Strategy);

#[derive(Debug)]
enum Strategy {
    None,
    /// Counts over the whole life of the job; never forgets.
    FixedDelay {
        left: u32,
        delay: Duration,
    },
    FailureRate(FailureRate),
    ExponentialDelay(ExponentialDelay),
}

impl RestartStrategy {
    /// A strategy that has seen no failure. `seed` decides the jitter; give each job its own, or
    /// jobs that fail together restart together.
    pub fn new(config: &RestartStrategyConfig, seed: u64) -> Self {
        Self(match config.clone() {
            RestartStrategyConfig::None => Strategy::None,
            RestartStrategyConfig::FixedDelay { attempts, delay } => {
                Strategy::FixedDelay { left: attempts, delay }
            }
            RestartStrategyConfig::FailureRate { max_failures, interval, delay } => {
                Strategy::FailureRate(FailureRate::new(max_failures, interval, delay))
            }
            RestartStrategyConfig::ExponentialDelay(config) => {
                Strategy::ExponentialDelay(ExponentialDelay::new(config, seed))
            }
        })
    }

    /// Takes in a failure and decides.
    pub fn on_failure(&mut self, now: MonoTime) -> Decision {
        match &mut self.0 {
            Strategy::None => Decision::GiveUp,
            Strategy::FixedDelay { left: 0, .. } => Decision::GiveUp,
            Strategy::FixedDelay { left, delay } => {
                *left -= 1;
                Decision::Restart { delay: *delay }
            }
            Strategy::FailureRate(strategy) => strategy.on_failure(now),
            Strategy::ExponentialDelay(strategy) => strategy.on_failure(now),
        }
    }
}

#[cfg(test)]
mod tests;
