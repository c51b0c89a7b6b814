//! The options of the restart strategies.

use std::time::Duration;

use flott_core::config::Configuration;
use flott_core::config::options::{self, RestartStrategyKind};
use flott_core::{Error, Result};

/// Which restart strategy a job has, with its options.
#[derive(Clone, Debug, PartialEq)]
pub enum RestartStrategyConfig {
    /// The first failure fails the job.
    None,
    /// A number of restarts over the whole life of the job.
    FixedDelay {
        /// How many.
        attempts: u32,
        /// The wait before each.
        delay: Duration,
    },
    /// Restarts as long as failures are rare.
    FailureRate {
        /// How many failures within the interval are survived.
        max_failures: u32,
        /// The interval.
        interval: Duration,
        /// The wait before each restart.
        delay: Duration,
    },
    /// Restarts with a growing wait.
    ExponentialDelay(ExponentialDelayConfig),
}

/// The options of [`RestartStrategyConfig::ExponentialDelay`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentialDelayConfig {
    /// The first wait.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
    /// By how much the wait grows.
    pub multiplier: f64,
    /// After how long without a failure the wait is the first one again.
    pub reset_threshold: Duration,
    /// The random part of the wait, as a fraction of it.
    pub jitter: f64,
    /// How many restarts in a row; `None` for no limit.
    pub attempts: Option<u32>,
}

impl RestartStrategyConfig {
    /// Reads and checks the options. If no strategy is named: exponential-delay with periodic
    /// checkpoints, none without.
    ///
    /// # Errors
    /// If an option is out of range.
    pub fn from_configuration(config: &Configuration, has_checkpoints: bool) -> Result<Self> {
        let default = if has_checkpoints {
            RestartStrategyKind::ExponentialDelay
        } else {
            RestartStrategyKind::None
        };
        Ok(match config.get(&options::RESTART_STRATEGY)?.unwrap_or(default) {
            RestartStrategyKind::None => Self::None,
            RestartStrategyKind::FixedDelay => Self::FixedDelay {
                attempts: config.get(&options::FIXED_DELAY_ATTEMPTS)?,
                delay: config.get(&options::FIXED_DELAY_DELAY)?,
            },
            RestartStrategyKind::FailureRate => Self::FailureRate {
                max_failures: config.get(&options::FAILURE_RATE_MAX)?.0,
                interval: config.get(&options::FAILURE_RATE_INTERVAL)?,
                delay: config.get(&options::FAILURE_RATE_DELAY)?,
            },
            RestartStrategyKind::ExponentialDelay => {
                let config = ExponentialDelayConfig {
                    initial: config.get(&options::EXPONENTIAL_INITIAL)?,
                    max: config.get(&options::EXPONENTIAL_MAX)?,
                    multiplier: config.get(&options::EXPONENTIAL_MULTIPLIER)?,
                    reset_threshold: config.get(&options::EXPONENTIAL_RESET)?,
                    jitter: config.get(&options::EXPONENTIAL_JITTER)?,
                    attempts: config.get(&options::EXPONENTIAL_ATTEMPTS)?,
                };
                config.check()?;
                Self::ExponentialDelay(config)
            }
        })
    }

    /// The strategy for people, in Flink's words.
    pub fn description(&self) -> String {
        match self {
            Self::None => "Restart deactivated.".into(),
            Self::FixedDelay { attempts, delay } => {
                format!("Restart with fixed delay ({}). #{attempts} restart attempts.", iso(*delay))
            }
            Self::FailureRate { max_failures, interval, delay } => format!(
                "Failure rate restart with maximum of {max_failures} failures within interval {} \
                 and fixed delay {}.",
                iso(*interval),
                iso(*delay)
            ),
            Self::ExponentialDelay(config) => format!(
                "Restart with exponential delay: starting at {}, increasing by {:.6}, with maximum \
                 {}. Delay resets after {} with jitter {:.6}",
                iso(config.initial),
                config.multiplier,
                iso(config.max),
                iso(config.reset_threshold),
                config.jitter
            ),
        }
    }
}

impl ExponentialDelayConfig {
    fn check(&self) -> Result<()> {
        let wrong = |option: &str, rule: &str| {
            Err(Error::invalid(format!(
                "option restart-strategy.exponential-delay.{option}: {rule}"
            )))
        };
        if self.initial < Duration::from_millis(1) {
            return wrong("initial-backoff", "it must be at least 1 ms");
        }
        if self.initial > self.max {
            return wrong("initial-backoff", "it must not be longer than max-backoff");
        }
        if !self.multiplier.is_finite() || self.multiplier < 1.0 {
            return wrong("backoff-multiplier", "it must be at least 1");
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return wrong("jitter-factor", "it must be between 0 and 1");
        }
        Ok(())
    }
}

/// ISO-8601, as Java prints durations: `PT2S`, `PT1M30S`, `PT0.1S`.
fn iso(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::from("PT");
    if hours > 0 {
        text.push_str(&format!("{hours}H"));
    }
    if minutes > 0 {
        text.push_str(&format!("{minutes}M"));
    }
    let nanos = duration.subsec_nanos();
    if nanos > 0 {
        let fraction = format!("{nanos:09}");
        text.push_str(&format!("{seconds}.{}S", fraction.trim_end_matches('0')));
    } else if seconds > 0 || duration.is_zero() {
        text.push_str(&format!("{seconds}S"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_in_java() {
        for (millis, expected) in [
            (0, "PT0S"),
            (100, "PT0.1S"),
            (2_000, "PT2S"),
            (60_000, "PT1M"),
            (90_500, "PT1M30.5S"),
            (3_600_000, "PT1H"),
            (90_000_000, "PT25H"),
        ] {
            assert_eq!(iso(Duration::from_millis(millis)), expected);
        }
    }
}
