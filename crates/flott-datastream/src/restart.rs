//! Restart strategies as a program names them.

use std::time::Duration;

use flott_core::Result;
use flott_core::config::Configuration;
use flott_core::config::options::{self, Positive, RestartStrategyKind};

/// What happens when a task fails; see the options `restart-strategy.*`. A value on the command
/// line wins over the program's, so that an operator can change it without a build.
#[derive(Clone, Debug, PartialEq)]
pub enum RestartStrategy {
    /// The first failure fails the job.
    None,
    /// Up to `attempts` restarts, each after `delay`.
    FixedDelay {
        /// How many restarts.
        attempts: u32,
        /// The wait before each.
        delay: Duration,
    },
    /// Restarts after `delay`, unless there were more than `max_failures` failures in `interval`.
    FailureRate {
        /// How many failures in the interval are survived.
        max_failures: u32,
        /// The interval.
        interval: Duration,
        /// The wait before each restart.
        delay: Duration,
    },
    /// Restarts after a delay that grows from `initial` to `max` by the factor `multiplier`.
    ExponentialDelay {
        /// The first wait.
        initial: Duration,
        /// The longest wait.
        max: Duration,
        /// By how much it grows.
        multiplier: f64,
    },
}

impl RestartStrategy {
    /// See [`RestartStrategy::FixedDelay`].
    pub const fn fixed_delay(attempts: u32, delay: Duration) -> Self {
        Self::FixedDelay { attempts, delay }
    }

    /// See [`RestartStrategy::FailureRate`].
    pub const fn failure_rate(max_failures: u32, interval: Duration, delay: Duration) -> Self {
        Self::FailureRate { max_failures, interval, delay }
    }

    pub(crate) fn configure(&self, config: &mut Configuration) -> Result<()> {
        match self {
            Self::None => config.set(&options::RESTART_STRATEGY, Some(RestartStrategyKind::None)),
            Self::FixedDelay { attempts, delay } => {
                config.set(&options::RESTART_STRATEGY, Some(RestartStrategyKind::FixedDelay))?;
                config.set(&options::FIXED_DELAY_ATTEMPTS, *attempts)?;
                config.set(&options::FIXED_DELAY_DELAY, *delay)
            }
            Self::FailureRate { max_failures, interval, delay } => {
                config.set(&options::RESTART_STRATEGY, Some(RestartStrategyKind::FailureRate))?;
                config.set(&options::FAILURE_RATE_MAX, Positive(*max_failures))?;
                config.set(&options::FAILURE_RATE_INTERVAL, *interval)?;
                config.set(&options::FAILURE_RATE_DELAY, *delay)
            }
            Self::ExponentialDelay { initial, max, multiplier } => {
                config
                    .set(&options::RESTART_STRATEGY, Some(RestartStrategyKind::ExponentialDelay))?;
                config.set(&options::EXPONENTIAL_INITIAL, *initial)?;
                config.set(&options::EXPONENTIAL_MAX, *max)?;
                config.set(&options::EXPONENTIAL_MULTIPLIER, *multiplier)
            }
        }
    }
}
