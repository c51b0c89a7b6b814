//! The same workloads as Flott jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flott::Result;
use flott::prelude::*;
use flott_core::Now;
use flott_core::config::{Configuration, Origin};
use flott_core::hash::mix;

/// The map of W1.
#[inline]
pub fn scramble(value: u64) -> u64 {
    value.wrapping_mul(31).wrapping_add(7) ^ (value >> 3)
}

/// The filter of W1.
#[inline]
pub fn is_even(value: &u64) -> bool {
    value & 1 == 0
}

/// The key of an event of W2.
#[inline]
pub fn key_of(index: u64, keys: u64) -> u64 {
    (mix(index) >> 1) % keys
}

/// Options of a run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// `-D` properties.
    pub options: Vec<(&'static str, String)>,
}

impl Run {
    /// On one driver thread.
    pub fn on_one_core() -> Self {
        Self { options: vec![("taskmanager.driver-threads", "1".into())] }
    }

    /// With another option.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.options.push((key, value.into()));
        self
    }

    fn environment(&self) -> Result<StreamExecutionEnvironment> {
        let mut config = Configuration::new();
        for (key, value) in &self.options {
            config.set_text(key, value, Origin::CommandLine)?;
        }
        Ok(StreamExecutionEnvironment::create_local_environment(config))
    }
}

/// W1 as a job: generator, map, filter, a sink that counts.
///
/// # Errors
/// If the job fails.
pub fn stateless(events: u64, run: &Run) -> Result<u64> {
    let env = run.environment()?;
    let check = Checksum::default();
    env.generate("events", Some(events), mix).map(scramble).filter(is_even).check(&check, |_| 1);
    env.execute("stateless")?;
    Ok(check.get())
}

/// W2 as a job: generator, key, running sum, a sink that adds up.
///
/// # Errors
/// If the job fails.
pub fn keyed_sum(events: u64, keys: u64, run: &Run) -> Result<u64> {
    let env = run.environment()?;
    let check = Checksum::default();
    env.generate("events", Some(events), move |index| (key_of(index, keys), index & 255))
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .check(&check, |(_, sum)| *sum);
    env.execute("keyed sum")?;
    Ok(check.get())
}

/// Fills a keyed state with `keys` keys, then goes on changing them. Returns for how long each of
/// the last checkpoints made a task stand still.
///
/// # Errors
/// If the job fails.
pub fn pauses(events: u64, keys: u64, run: &Run) -> Result<Vec<std::time::Duration>> {
    let env = run.environment()?;
    env.generate("events", Some(events), move |index| (index % keys, 1u64))
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .discard();
    let result = env.execute("pauses")?;
    Ok(result.checkpoints.iter().map(|checkpoint| checkpoint.longest_pause).collect())
}

/// A keyed job that gets a few records a second.
///
/// # Errors
/// If the job fails.
pub fn rare(events: u64, per_second: f64, run: &Run) -> Result<u64> {
    let env = run.environment()?;
    let check = Checksum::default();
    let events = Generator::new(Some(events), |index| (index, 1u64)).rate_limited(per_second);
    env.generate_with("events", events)
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .check(&check, |_| 1);
    env.execute("rare")?;
    Ok(check.get())
}

/// Adds up what a sink sees. Clones share the sum.
#[derive(Clone, Default)]
pub struct Checksum(Arc<AtomicU64>);

impl Checksum {
    /// The sum so far, modulo 2^64.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A sink that adds up a number of each record.
trait Check<T> {
    fn check(self, sum: &Checksum, number: fn(&T) -> u64);
}

impl<T: flott_core::codec::Data> Check<T> for DataStream<T> {
    fn check(self, sum: &Checksum, number: fn(&T) -> u64) {
        let sum = sum.clone();
        self.add_sink("check", false, move |_| CheckSink { sum: sum.clone(), number });
    }
}

struct CheckSink<T> {
    sum: Checksum,
    number: fn(&T) -> u64,
}

impl<T: flott_core::codec::Data> Operator<T, ()> for CheckSink<T> {
    fn process(&mut self, batch: &mut Batch<T>, _: &mut Collector<()>, _: Now) -> Result<()> {
        let numbers = batch.records().iter().map(self.number);
        let sum = numbers.fold(0, u64::wrapping_add);
        self.sum.0.fetch_add(sum, Ordering::Relaxed);
        batch.clear();
        Ok(())
    }
}
