//! The same workloads as Flott jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flott::Result;
use flott::prelude::*;
use flott_core::Now;
use flott_core::config::{Configuration, Origin};

use crate::events::{Vocabulary, count_and_max, is_even, key_of, mix, scramble, value_of};
use crate::loops::time_of;

/// Options of a run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// `-D` properties.
    pub options: Vec<(String, String)>,
}

impl Run {
    /// On one driver thread.
    pub fn on_one_core() -> Self {
        Self { options: vec![("taskmanager.driver-threads".into(), "1".into())] }
    }

    /// With another option.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((key.into(), value.into()));
        self
    }

    pub(crate) fn environment(&self) -> Result<StreamExecutionEnvironment> {
        Ok(StreamExecutionEnvironment::create_local_environment(self.configuration()?))
    }

    pub(crate) fn configuration(&self) -> Result<Configuration> {
        let mut config = Configuration::new();
        for (key, value) in &self.options {
            config.set_text(key, value, Origin::CommandLine)?;
        }
        Ok(config)
    }
}

/// W1 as a job: generator, map, filter, a sink that adds up.
///
/// # Errors
/// If the job fails.
pub fn stateless(events: u64, run: &Run) -> Result<u64> {
    let env = run.environment()?;
    let seen = Seen::default();
    let kept = env.generate("events", Some(events), mix).map(scramble).filter(is_even);
    kept.watch(&seen, |value| *value);
    env.execute("stateless")?;
    Ok(seen.sum())
}

/// W2 as a job: generator, key, running sum, a sink that looks at each sum.
///
/// # Errors
/// If the job fails.
pub fn keyed_sum(events: u64, keys: u64, run: &Run) -> Result<u64> {
    let env = run.environment()?;
    let seen = Seen::default();
    env.generate("events", Some(events), move |index| (key_of(index, keys), value_of(index)))
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .watch(&seen, |(_, sum)| *sum);
    env.execute("keyed sum")?;
    Ok(count_and_max(seen.count(), seen.max()))
}

/// W3 as a job: lines, words, key, running count, a sink that adds up.
///
/// # Errors
/// If the job fails.
pub fn word_count(lines: u64, run: &Run) -> Result<u64> {
    let env = run.environment()?;
    let seen = Seen::default();
    let vocabulary = Arc::new(Vocabulary::new());
    env.generate("lines", Some(lines), move |index| vocabulary.line(index))
        .flat_map(|line: String, out| {
            line.split(' ').for_each(|word| out.collect((word.to_owned(), 1u64)));
        })
        .key_by(|(word, _)| word.clone())
        .sum(|(_, count)| count)
        .watch(&seen, |(_, count)| *count);
    env.execute("word count")?;
    Ok(seen.sum())
}

/// W4 as a job: keys with times, watermarks, tumbling windows of a second, how many there are of each key, a sink that
/// looks at each result.
///
/// # Errors
/// If the job fails.
pub fn windowed_count(events: u64, keys: u64, run: &Run) -> Result<u64> {
    let env = run.environment()?;
    let seen = Seen::default();
    let watermarks = WatermarkStrategy::for_bounded_out_of_orderness(millis(200))
        .with_timestamp_assigner(|(_, time): &(u64, u64)| *time as i64);
    env.generate("events", Some(events), move |index| (key_of(index, keys), time_of(index)))
        .assign_timestamps_and_watermarks(watermarks)
        .key_by(|(key, _)| *key)
        .window(TumblingEventTimeWindows::of(seconds(1)))
        .aggregate(Count)
        .watch(&seen, |count| *count);
    env.execute("windowed count")?;
    Ok(count_and_max(seen.count(), seen.max()))
}

/// How many there are.
pub(crate) struct Count;

impl<T> AggregateFunction<T, u64, u64> for Count {
    fn create_accumulator(&self) -> Result<u64> {
        Ok(0)
    }

    fn add(&self, count: &mut u64, _: T) -> Result<()> {
        *count += 1;
        Ok(())
    }

    fn get_result(&self, count: &u64) -> Result<u64> {
        Ok(*count)
    }

    fn merge(&self, a: u64, b: u64) -> Result<u64> {
        Ok(a + b)
    }
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
    let seen = Seen::default();
    let events = Generator::new(Some(events), |index| (index, 1u64)).rate_limited(per_second);
    env.generate_with("events", events)
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .watch(&seen, |_| 1);
    env.execute("rare")?;
    Ok(seen.count())
}

/// Stateless, with so many operators in the chain.
///
/// # Errors
/// If the job fails.
pub fn chained(events: u64, operators: u64, run: &Run) -> Result<u64> {
    let env = run.environment()?;
    let seen = Seen::default();
    let mut chain = env.generate("events", Some(events), mix);
    for _ in 0..operators {
        chain = chain.map(scramble);
    }
    chain.watch(&seen, |value| *value);
    env.execute("chained")?;
    Ok(seen.sum())
}

/// Records of so many bytes, through an exchange.
///
/// # Errors
/// If the job fails.
pub fn sized(events: u64, bytes: u64, run: &Run) -> Result<u64> {
    let env = run.environment()?;
    let seen = Seen::default();
    env.generate("events", Some(events), move |index| (index, vec![index as u8; bytes as usize]))
        .rebalance()
        .watch(&seen, |(_, content)| content.len() as u64);
    env.execute("sized")?;
    Ok(seen.sum())
}

/// What a sink has seen. Clones share it.
#[derive(Clone, Default)]
pub struct Seen(Arc<[AtomicU64; 3]>);

impl Seen {
    /// How many records.
    pub fn count(&self) -> u64 {
        self.0[0].load(Ordering::SeqCst)
    }

    /// The sum of their numbers, modulo 2^64.
    pub fn sum(&self) -> u64 {
        self.0[1].load(Ordering::SeqCst)
    }

    /// The greatest number.
    pub fn max(&self) -> u64 {
        self.0[2].load(Ordering::SeqCst)
    }
}

/// A sink that looks at a number of each record.
pub(crate) trait Watch<T> {
    fn watch(self, seen: &Seen, number: fn(&T) -> u64);
}

impl<T: flott_core::codec::Data> Watch<T> for DataStream<T> {
    fn watch(self, seen: &Seen, number: fn(&T) -> u64) {
        let seen = seen.clone();
        self.add_sink("watch", false, move |_| WatchSink { seen: seen.clone(), number });
    }
}

struct WatchSink<T> {
    seen: Seen,
    number: fn(&T) -> u64,
}

impl<T: flott_core::codec::Data> Operator<T, ()> for WatchSink<T> {
    fn process(&mut self, batch: &mut Batch<T>, _: &mut Collector<()>, _: Now) -> Result<()> {
        let [count, sum, max] = &*self.seen.0;
        let numbers = batch.records().iter().map(self.number);
        let (own, greatest) = numbers
            .fold((0u64, 0), |(sum, max), number| (sum.wrapping_add(number), max.max(number)));
        count.fetch_add(batch.len() as u64, Ordering::Relaxed);
        sum.fetch_add(own, Ordering::Relaxed);
        max.fetch_max(greatest, Ordering::Relaxed);
        batch.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops;

    #[test]
    fn jobs_compute_what_the_loops_do() {
        let run = Run::on_one_core();
        assert_eq!(stateless(50_000, &run).unwrap(), loops::stateless(50_000, 1));
        assert_eq!(keyed_sum(50_000, 999, &run).unwrap(), loops::keyed_sum(50_000, 999, 1));
        assert_eq!(word_count(500, &run).unwrap(), loops::word_count(500, 1));
        assert_eq!(windowed_count(500_000, 99, &run).unwrap(), loops::windowed_count(500_000, 99));
    }
}
