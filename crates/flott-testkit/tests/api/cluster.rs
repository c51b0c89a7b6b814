//! `execute_and_collect` on the embedded cluster: threads, a real clock, checkpoints.

use std::sync::Arc;

use flott_cluster::EmbeddedCluster;
use flott_core::config::Configuration;
use flott_core::config::options::{CheckpointingMode, RuntimeExecutionMode};
use flott_core::{Error, Result};
use flott_datastream::{
    AggregateFunction, Collector, DataStream, KeyedContext, KeyedProcessFunction, MapState,
    MapStateDescriptor, RestartStrategy, StreamExecutionEnvironment, Timer,
};

use crate::common::{Numbers, millis};

const RECORDS: u64 = 20_000;

fn environment(parallelism: u32) -> StreamExecutionEnvironment {
    let env =
        StreamExecutionEnvironment::new(Configuration::new(), Arc::new(EmbeddedCluster::new()));
    env.set_parallelism(parallelism);
    env.set_restart_strategy(RestartStrategy::None);
    env
}

fn numbers(env: &StreamExecutionEnvironment) -> DataStream<u64> {
    env.add_source("numbers", |own| Numbers::new(RECORDS, own.subtask, own.parallelism))
}

/// Runs a program at several parallelisms, with checkpoints and without, and sorts its output.
fn outputs<T, F>(program: F) -> impl Iterator<Item = Vec<T>>
where
    T: flott_core::codec::Data + Ord,
    F: Fn(DataStream<u64>) -> DataStream<T>,
{
    let (exactly, at_least) =
        (Some(CheckpointingMode::ExactlyOnce), Some(CheckpointingMode::AtLeastOnce));
    [(1, None), (1, exactly), (4, None), (4, exactly), (4, at_least)].into_iter().map(
        move |(parallelism, checkpoints)| {
            let env = environment(parallelism);
            if let Some(mode) = checkpoints {
                env.enable_checkpointing(millis(10));
                env.checkpoint_config().set_checkpointing_mode(mode);
            }
            let mut output = program(numbers(&env)).execute_and_collect("test").unwrap();
            output.sort();
            output
        },
    )
}

#[test]
fn stateless_verbs_lose_and_double_nothing() {
    for output in outputs(|numbers| {
        let even = numbers.filter(|n| n % 2 == 0).rebalance().map(|n: u64| n * 10);
        let twice =
            |n: u64, out: &mut Collector<u64>| [n, n + 1].into_iter().for_each(|n| out.collect(n));
        even.flat_map(twice).shuffle().map(|n: u64| n)
    }) {
        let expected = (0..RECORDS).step_by(2).flat_map(|n| [n * 10, n * 10 + 1]);
        assert!(output.into_iter().eq(expected));
    }
}

#[test]
fn a_rolling_sum_has_every_partial_sum_once() {
    for output in outputs(|numbers| {
        let ones = numbers.map(|n: u64| (n % 7, 1u64));
        ones.key_by(|(key, _)| *key).sum(|(_, count)| count)
    }) {
        let count = |key: u64| (RECORDS - key).div_ceil(7);
        let expected = (0..7).flat_map(|key| (1..=count(key)).map(move |sum| (key, sum)));
        assert!(output.into_iter().eq(expected));
    }
}

/// Counts by key and remainder, and emits everything when time ends.
#[derive(Clone, Default)]
struct Count(MapState<u64, u64>);

impl KeyedProcessFunction<u64, u64, (u64, u64, u64)> for Count {
    fn open(&mut self, context: &mut KeyedContext<'_, u64>) -> Result<()> {
        self.0 = context.map_state(MapStateDescriptor::new("counts"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        context: &mut KeyedContext<'_, u64>,
        _: &mut Collector<(u64, u64, u64)>,
    ) -> Result<()> {
        let remainder = number % 3;
        let count = self.0.get(context, &remainder)?.copied().unwrap_or(0);
        self.0.put(context, remainder, count + 1)?;
        context.register_event_time_timer(flott_core::Timestamp::MAX)
    }

    fn on_timer(
        &mut self,
        _: Timer,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<(u64, u64, u64)>,
    ) -> Result<()> {
        let key = *context.current_key()?;
        let counts: Vec<_> = self.0.iter(context)?.map(|(rest, count)| (*rest, *count)).collect();
        counts.into_iter().for_each(|(rest, count)| out.collect((key, rest, count)));
        Ok(())
    }
}

#[test]
fn a_keyed_function_with_timers_counts_every_record_of_a_union_with_itself() {
    for output in outputs(|numbers| {
        numbers.clone().union([numbers]).key_by(|n| n % 10).process(Count::default())
    }) {
        assert_eq!(output.len(), 30);
        let total: u64 = output.iter().map(|(.., count)| count).sum();
        assert_eq!(total, 2 * RECORDS);
    }
}

#[test]
fn a_job_that_fails_says_which_operator_and_why() {
    let env = environment(4);
    let failing =
        numbers(&env).map(|n: u64| if n == 777 { Err(Error::invalid("unlucky")) } else { Ok(n) });
    let error = failing.name("lucky").execute_and_collect("test").unwrap_err().report();
    assert!(error.contains("operator \"lucky\"") && error.contains("unlucky"), "{error}");
}

#[test]
fn an_environment_can_run_one_job_after_another() {
    let env = environment(2);
    for _ in 0..2 {
        let output = numbers(&env).filter(|n| *n < 5).execute_and_collect("test").unwrap();
        assert_eq!(output.len(), 5);
        assert!(!env.has_program());
    }
}

/// The mean of numbers, by their sum and count.
struct Mean;

impl AggregateFunction<u64, (u64, u64), u64> for Mean {
    fn create_accumulator(&self) -> Result<(u64, u64)> {
        Ok((0, 0))
    }

    fn add(&self, (sum, count): &mut (u64, u64), number: u64) -> Result<()> {
        (*sum, *count) = (*sum + number, *count + 1);
        Ok(())
    }

    fn get_result(&self, (sum, count): &(u64, u64)) -> Result<u64> {
        Ok(sum / count)
    }

    fn merge(&self, a: (u64, u64), b: (u64, u64)) -> Result<(u64, u64)> {
        Ok((a.0 + b.0, a.1 + b.1))
    }
}

#[test]
fn in_batch_mode_aggregates_emit_final_results_only() {
    for parallelism in [1, 3] {
        let batch = |env: &StreamExecutionEnvironment| {
            env.set_runtime_mode(RuntimeExecutionMode::Batch);
            env.enable_checkpointing(millis(10));
            numbers(env).bounded()
        };
        let env = environment(parallelism);
        let ones = batch(&env).map(|n: u64| (n % 7, 1u64));
        let counts = ones.key_by(|(key, _)| *key).sum(|(_, count)| count);
        // A second aggregate sees nothing but the results of the first.
        let totals = counts.clone().key_by(|_| 0u8).max(|(_, count)| count);
        let both = counts.union([totals.map(|(_, count): (u64, u64)| (100, count))]);
        let mut output = both.execute_and_collect("test").unwrap();
        output.sort();
        let count = |key: u64| (RECORDS - key).div_ceil(7);
        let expected = (0..7).map(|key| (key, count(key))).chain([(100, count(0))]);
        assert!(output.iter().copied().eq(expected), "{output:?}");

        let env = environment(parallelism);
        let output = batch(&env).key_by(|_| 0u8).aggregate(Mean).execute_and_collect("test");
        assert_eq!(output.unwrap(), [(RECORDS - 1) / 2]);
    }
}

#[test]
fn a_source_without_an_end_is_refused_in_batch_mode() {
    let env = environment(1);
    env.set_runtime_mode(RuntimeExecutionMode::Batch);
    let error = numbers(&env).execute_and_collect("test").unwrap_err().report();
    assert!(error.contains("source \"numbers\" has no end"), "{error}");
}

/// A record whose own code panics, where the engine runs it.
#[derive(Debug, serde::Deserialize)]
struct Grenade {
    on_clone: bool,
    on_encode: bool,
    /// Only records with something on the heap are measured.
    text: String,
}

impl Clone for Grenade {
    fn clone(&self) -> Self {
        assert!(!self.on_clone, "cloned");
        Self { text: self.text.clone(), ..*self }
    }
}

impl serde::Serialize for Grenade {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(!self.on_encode, "encoded");
        serializer.serialize_unit()
    }
}

fn grenades(numbers: DataStream<u64>, on_clone: bool) -> DataStream<Grenade> {
    numbers.map(move |n: u64| Grenade { on_clone, on_encode: !on_clone, text: n.to_string() })
}

#[test]
fn a_panic_where_records_are_cloned_or_measured_fails_the_task() {
    let env = environment(1);
    let cloned = grenades(numbers(&env), true);
    let both = cloned.clone().union([cloned]).map(|_: Grenade| 0u64);
    let error = both.execute_and_collect("test").unwrap_err().report();
    assert!(error.contains("panicked: cloned"), "{error}");

    let env = environment(1);
    let sent = grenades(numbers(&env), false).rebalance().map(|_: Grenade| 0u64);
    let error = sent.execute_and_collect("test").unwrap_err().report();
    assert!(error.contains("panicked: encoded"), "{error}");
}

#[test]
fn a_panic_where_an_operator_is_made_fails_the_job_with_its_name() {
    let env = environment(1);
    let source = |_: &flott_runtime::OperatorInstance| -> Numbers { panic!("not made") };
    let made = env.add_source("numbers", source).map(|n: u64| n);
    let error = made.execute_and_collect("test").unwrap_err().report();
    let expected = "operator \"Source: numbers\" (1/1) failed\nCaused by: panicked: not made";
    assert!(error.contains(expected), "{error}");
}

/// State that panics where it is written: the checkpoints fail, and too many fail the job.
#[test]
fn a_panic_where_state_is_encoded_fails_the_checkpoint() {
    let env = environment(1);
    env.enable_checkpointing(millis(10));
    env.checkpoint_config().set_tolerable_checkpoint_failure_number(0);
    let grenades = grenades(numbers(&env), false).key_by(|_| 0u8);
    let kept = grenades.reduce(|_: &Grenade, new: Grenade| new).map(|_: Grenade| 0u64);
    let error = kept.execute_and_collect("test").unwrap_err().report();
    assert!(error.contains("panicked: encoded"), "{error}");
}
