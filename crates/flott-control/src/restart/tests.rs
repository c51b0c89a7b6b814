//! Each restart strategy against its clock.

use flott_core::config::{Configuration, Origin};

use super::*;

#[test]
fn the_strategy_follows_checkpointing_if_none_is_named() {
    assert_eq!(config(&[]).unwrap(), RestartStrategyConfig::None);
    let with_checkpointing =
        RestartStrategyConfig::from_configuration(&Configuration::new(), true).unwrap();
    assert!(matches!(with_checkpointing, RestartStrategyConfig::ExponentialDelay(_)));
}

#[test]
fn descriptions_are_flinks() {
    for (options, expected) in [
        (&[("restart-strategy.type", "none")][..], "Restart deactivated."),
        (
            &[
                ("restart-strategy.type", "fixed-delay"),
                ("restart-strategy.fixed-delay.attempts", "5"),
                ("restart-strategy.fixed-delay.delay", "2 s"),
            ],
            "Restart with fixed delay (PT2S). #5 restart attempts.",
        ),
        (
            &[
                ("restart-strategy.type", "failure-rate"),
                ("restart-strategy.failure-rate.max-failures-per-interval", "5"),
                ("restart-strategy.failure-rate.delay", "15 s"),
            ],
            "Failure rate restart with maximum of 5 failures within interval PT1M and fixed delay \
             PT15S.",
        ),
        (
            &[("restart-strategy.type", "exponential-delay")],
            "Restart with exponential delay: starting at PT1S, increasing by 1.500000, with \
             maximum PT1M. Delay resets after PT1H with jitter 0.100000",
        ),
    ] {
        assert_eq!(config(options).unwrap().description(), expected);
    }
}

#[test]
fn options_out_of_range_are_named() {
    for (key, value) in [
        ("initial-backoff", "0 ms"),
        ("initial-backoff", "2 min"),
        ("backoff-multiplier", "0.5"),
        ("backoff-multiplier", "NaN"),
        ("jitter-factor", "1.5"),
    ] {
        let key = format!("restart-strategy.exponential-delay.{key}");
        let options = [("restart-strategy.type", "exponential-delay"), (&key, value)];
        let error = config(&options).unwrap_err().to_string();
        assert!(error.contains(&key), "{error}");
    }
}

#[test]
fn no_strategy_gives_up_at_once() {
    assert_eq!(decisions(&RestartStrategyConfig::None, &[0]), [None]);
}

#[test]
fn fixed_delay_counts_over_the_whole_life_of_the_job() {
    let config = RestartStrategyConfig::FixedDelay { attempts: 2, delay: seconds(3) };
    assert_eq!(decisions(&config, &[0, 1_000_000, 2_000_000]), [Some(3.0), Some(3.0), None]);
}

#[test]
fn failure_rate_survives_as_many_failures_as_it_says_within_the_interval() {
    let config = RestartStrategyConfig::FailureRate {
        max_failures: 2,
        interval: seconds(60),
        delay: seconds(1),
    };
    assert_eq!(decisions(&config, &[0, 10, 60]), [Some(1.0), Some(1.0), None]);
    let rare = [0, 40, 61, 102, 123];
    assert_eq!(decisions(&config, &rare), [Some(1.0); 5], "never three within a minute");
}

#[test]
fn exponential_delay_grows_to_its_maximum() {
    let config = exponential(|_| ());
    let times = [0, 100, 200, 300, 400];
    assert_eq!(decisions(&config, &times), [1.0, 2.0, 4.0, 8.0, 10.0].map(Some));
}

#[test]
fn failures_before_the_scheduled_restart_are_merged() {
    let config = exponential(|config| config.attempts = Some(2));
    // The restart after the second failure is due at 102: those at 101 and 102 belong to it.
    let times = [0, 100, 101, 102, 103];
    assert_eq!(
        decisions(&config, &times),
        [Some(1.0), Some(2.0), Some(1.0), Some(0.0), None],
        "and are not counted"
    );
}

#[test]
fn a_long_time_without_failures_resets_the_delay_and_the_count() {
    let config = exponential(|config| config.attempts = Some(2));
    // The restart was at 102; an hour later all is forgotten.
    assert_eq!(decisions(&config, &[0, 100, 3_702])[2], Some(1.0));
    assert_eq!(decisions(&config, &[0, 100, 3_701])[2], None);
}

#[test]
fn jitter_stays_in_its_bounds_and_is_decided_by_the_seed() {
    let config = exponential(|config| config.jitter = 0.5);
    let delays = |seed| {
        let mut strategy = RestartStrategy::new(&config, seed);
        [0, 100, 200, 300].map(|at| strategy.on_failure(at_second(at)))
    };
    assert_eq!(delays(1), delays(1));
    assert_ne!(delays(1), delays(2));
    for seed in 0..1_000 {
        for (decision, (low, high)) in
            delays(seed).into_iter().zip([(1.0, 1.5), (1.0, 3.0), (2.0, 6.0), (4.0, 10.0)])
        {
            let Decision::Restart { delay } = decision else { panic!("gave up") };
            assert!((low..=high).contains(&delay.as_secs_f64()), "{delay:?}");
        }
    }
}

#[test]
fn the_delay_survives_any_number_of_attempts() {
    let config = exponential(|config| config.multiplier = 1e300);
    assert_eq!(decisions(&config, &[0, 100, 200, 300])[3], Some(10.0));
}

fn config(options: &[(&str, &str)]) -> flott_core::Result<RestartStrategyConfig> {
    let mut config = Configuration::new();
    for (key, value) in options {
        config.set_text(key, value, Origin::File)?;
    }
    RestartStrategyConfig::from_configuration(&config, false)
}

/// 1 s doubling to 10 s, reset after an hour, no jitter.
fn exponential(change: impl FnOnce(&mut ExponentialDelayConfig)) -> RestartStrategyConfig {
    let mut config = ExponentialDelayConfig {
        initial: seconds(1),
        max: seconds(10),
        multiplier: 2.0,
        reset_threshold: seconds(3_600),
        jitter: 0.0,
        attempts: None,
    };
    change(&mut config);
    RestartStrategyConfig::ExponentialDelay(config)
}

/// The delays in seconds after failures at these seconds; `None` is giving up.
fn decisions(config: &RestartStrategyConfig, failures: &[u64]) -> Vec<Option<f64>> {
    let mut strategy = RestartStrategy::new(config, 7);
    let decide = |at: &u64| match strategy.on_failure(at_second(*at)) {
        Decision::Restart { delay } => Some(delay.as_secs_f64()),
        Decision::GiveUp => None,
    };
    failures.iter().map(decide).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at_second(second: u64) -> MonoTime {
    MonoTime(0).plus(seconds(second))
}
