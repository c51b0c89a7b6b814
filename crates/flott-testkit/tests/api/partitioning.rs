//! Where records go: `rebalance`, `rescale`, `shuffle`, `broadcast`, `global`, `forward`,
//! `partition_custom`, `key_by`.

use flott_core::hash::stable_hash;
use flott_core::{MaxParallelism, Now, Result};
use flott_datastream::{Batch, Collector, DataStream, Keyed, Operator};
use flott_testkit::StreamTest;

use crate::common::with_subtask;

/// The records 0 to 11, and the subtasks that they come to.
fn spread(
    consumers: u32,
    verb: impl Fn(DataStream<i64>) -> DataStream<i64> + 'static,
) -> Vec<(i64, u32)> {
    let test = StreamTest::new(move |_, numbers| with_subtask(verb(numbers), consumers));
    let mut output = test.records(0..12).run().unwrap();
    output.sort_unstable();
    output
}

/// How many records each subtask got.
fn counts(consumers: u32, output: &[(i64, u32)]) -> Vec<usize> {
    let count = |subtask| output.iter().filter(|(_, own)| *own == subtask).count();
    (0..consumers).map(count).collect()
}

#[test]
fn rebalance_deals_records_evenly() {
    let output = spread(3, DataStream::rebalance);
    assert_eq!(output.len(), 12);
    assert_eq!(counts(3, &output), [4, 4, 4]);
}

#[test]
fn rebalance_deals_one_after_the_other() {
    let output = spread(3, DataStream::rebalance);
    let apart = |window: &[(i64, u32)]| (window[0].1 + 1) % 3 == window[1].1;
    assert!(output.windows(2).all(apart), "{output:?}");
}

#[test]
fn without_a_verb_streams_of_different_parallelism_are_rebalanced() {
    assert_eq!(counts(3, &spread(3, |numbers| numbers)), [4, 4, 4]);
}

/// Two producers, each with subtasks of its own.
fn from_two(
    consumers: u32,
    verb: impl Fn(DataStream<i64>) -> DataStream<i64> + 'static,
) -> StreamTest<i64, (i64, u32)> {
    let test = StreamTest::new(move |_, numbers| with_subtask(verb(numbers), consumers));
    test.records([0, 1, 2, 3]).on(1).records([10, 11, 12, 13])
}

#[test]
fn rescale_gives_each_producer_its_own_share_of_consumers() {
    for (number, subtask) in from_two(4, DataStream::rescale).run().unwrap() {
        assert_eq!(subtask / 2, u32::from(number >= 10), "{number} came to {subtask}");
    }
    let from_four = StreamTest::new(|_, numbers: DataStream<i64>| {
        let four = numbers.rebalance().map(|n: i64| n).set_parallelism(4);
        let own = with_subtask(four, 4).map(|(_, subtask): (i64, u32)| subtask).set_parallelism(4);
        own.rescale().transform("pair", |instance| Pair(instance.subtask)).set_parallelism(2)
    });
    for (producer, consumer) in from_four.records(0..12).run().unwrap() {
        assert_eq!(producer / 2, consumer);
    }
}

struct Pair(u32);

impl Operator<u32, (u32, u32)> for Pair {
    fn process(
        &mut self,
        batch: &mut Batch<u32>,
        out: &mut Collector<(u32, u32)>,
        _: Now,
    ) -> Result<()> {
        batch.try_drain(|record, _| {
            out.collect((record, self.0));
            Ok(())
        })
    }
}

#[test]
fn rescale_loses_nothing() {
    for consumers in [1, 2, 4] {
        let output = from_two(consumers, DataStream::rescale).run().unwrap();
        let mut numbers: Vec<i64> = output.into_iter().map(|(number, _)| number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 10, 11, 12, 13]);
    }
}

#[test]
fn shuffle_sends_each_record_once_and_reaches_everybody() {
    let output = spread(2, DataStream::shuffle);
    assert!(output.iter().map(|(n, _)| *n).eq(0..12), "{output:?}");
    assert!(counts(2, &output).iter().all(|count| *count > 0), "{output:?}");
}

#[test]
fn broadcast_sends_each_record_to_everybody() {
    let output = spread(3, DataStream::broadcast);
    assert_eq!(counts(3, &output), [12, 12, 12]);
}

#[test]
fn global_sends_everything_to_the_first_subtask() {
    assert_eq!(counts(3, &spread(3, DataStream::global)), [12, 0, 0]);
}

#[test]
fn forward_keeps_records_in_their_subtask() {
    for (number, subtask) in from_two(2, DataStream::forward).run().unwrap() {
        assert_eq!(subtask, u32::from(number >= 10), "{number} came to {subtask}");
    }
}

#[test]
fn forward_between_different_parallelisms_is_refused() {
    let error = from_two(3, DataStream::forward).run().unwrap_err().report();
    assert!(error.to_lowercase().contains("forward"), "{error}");
    assert!(error.contains("script") && error.contains("process"), "{error}");
}

#[test]
fn partition_custom_sends_each_record_where_the_function_says() {
    let by_number = |number: &i64, count: u32| (*number as u32 / 2) % count;
    let output = spread(3, move |numbers| numbers.partition_custom(by_number, |n| *n));
    for (number, subtask) in output {
        assert_eq!(subtask, (number as u32 / 2) % 3);
    }
}

#[test]
fn partition_custom_keeps_the_order_of_records_that_go_the_same_way() {
    StreamTest::new(|_, numbers: DataStream<i64>| {
        let odd = |number: &i64, _: u32| u32::from(number % 2 == 1);
        with_subtask(numbers.partition_custom(odd, |n| *n), 2)
    })
    .records([5, 2, 3, 4, 1])
    .order_within(|(_, subtask)| *subtask)
    .check([(5, 1), (2, 0), (3, 1), (4, 0), (1, 1)])
    .unwrap();
}

#[test]
fn an_index_out_of_range_of_a_custom_partitioner_is_a_clear_error() {
    for consumers in [1, 3] {
        let test = StreamTest::new(move |_, numbers: DataStream<i64>| {
            let beyond = |_: &i64, count| count;
            with_subtask(numbers.partition_custom(beyond, |n| *n), consumers)
        });
        let error = test.record(1).run().unwrap_err().report();
        let expected = format!("the custom partitioner chose channel {consumers}, but there are");
        assert!(error.contains(&expected), "{error}");
        assert!(error.contains("operator \"Source: script\" (1/1)"), "{error}");
    }
}

#[test]
fn a_panic_of_a_custom_partitioner_names_the_operator_before_it() {
    let test = StreamTest::new(|_, numbers: DataStream<i64>| {
        let table = [0, 1];
        let look_up = move |number: &i64, _: u32| table[*number as usize];
        let mapped = numbers.map(|n: i64| n).name("before");
        with_subtask(mapped.partition_custom(look_up, |n| *n), 2)
    });
    let error = test.records([0, 1, 2]).run().unwrap_err().report();
    assert!(error.contains("panicked: index out of bounds"), "{error}");
    assert!(error.contains("operator \"before\" (1/1)"), "{error}");
}

#[test]
fn key_by_sends_a_key_to_the_owner_of_its_key_group() {
    let test = StreamTest::new(|_, numbers: DataStream<i64>| {
        numbers.key_by(|n| *n % 5).transform("pair", |instance| KeyedPair(instance.subtask))
    });
    let output = test.parallelism(3).records(0..20).run().unwrap();
    assert_eq!(output.len(), 20);
    let max = MaxParallelism::default_for(3);
    for (key, subtask) in output {
        assert_eq!(subtask, max.owner(max.key_group(stable_hash(&key).unwrap()), 3));
    }
}

struct KeyedPair(u32);

impl Operator<Keyed<i64, i64>, (i64, u32)> for KeyedPair {
    fn process(
        &mut self,
        batch: &mut Batch<Keyed<i64, i64>>,
        out: &mut Collector<(i64, u32)>,
        _: Now,
    ) -> Result<()> {
        batch.try_drain(|record, _| {
            out.collect((record.key, self.0));
            Ok(())
        })
    }
}

#[test]
fn records_of_one_key_keep_their_order_whatever_the_parallelism() {
    StreamTest::new(|_, numbers: DataStream<i64>| {
        numbers.key_by(|n| *n % 3).reduce(|last: &i64, next: i64| last * 2 + next)
    })
    .records([3, 1, 2, 6, 4, 5])
    .rescaled()
    .check([3, 1, 2, 12, 6, 9])
    .unwrap();
}
