//! `map`, `filter`, `flat_map`.

use flott_core::Error;
use flott_datastream::{Collector, DataStream};
use flott_testkit::StreamTest;

use crate::common::with_timestamps;

#[test]
fn map_turns_each_record_into_another() {
    StreamTest::new(|_, numbers: DataStream<i64>| numbers.map(|n: i64| format!("<{n}>")))
        .records([1, 2, 3])
        .check(["<1>", "<2>", "<3>"].map(str::to_owned))
        .unwrap();
}

#[test]
fn map_may_return_a_result() {
    StreamTest::new(|_, texts: DataStream<String>| texts.map(|text: String| text.parse::<i64>()))
        .records(["1", "-2"].map(str::to_owned))
        .check([1, -2])
        .unwrap();
}

#[test]
fn map_keeps_timestamps_also_among_records_that_have_none() {
    StreamTest::new(|_, numbers: DataStream<i64>| with_timestamps(numbers.map(|n: i64| n + 1)))
        .record(0)
        .record_at(1, 5)
        .record(2)
        .record_at(3, -7)
        .check([(1, None), (2, Some(5)), (3, None), (4, Some(-7))])
        .unwrap();
}

#[test]
fn filter_keeps_what_it_says_yes_to_with_its_timestamp() {
    StreamTest::new(|_, numbers: DataStream<i64>| with_timestamps(numbers.filter(|n| n % 2 == 1)))
        .record_at(1, 10)
        .record_at(2, 20)
        .record(3)
        .record_at(5, 50)
        .check([(1, Some(10)), (3, None), (5, Some(50))])
        .unwrap();
}

#[test]
fn filter_may_return_a_result() {
    let is_big = |n: &i64| if *n < 0 { Err(Error::invalid("negative")) } else { Ok(*n > 1) };
    let test = StreamTest::new(move |_, numbers: DataStream<i64>| numbers.filter(is_big));
    test.records([1, 2]).check([2]).unwrap();
}

#[test]
fn flat_map_emits_any_number_of_records_with_the_timestamp_of_the_one_that_came() {
    let repeat = |n: i64, out: &mut Collector<i64>| (0..n).for_each(|_| out.collect(n));
    StreamTest::new(move |_, numbers: DataStream<i64>| with_timestamps(numbers.flat_map(repeat)))
        .record_at(2, 7)
        .record(0)
        .record(1)
        .check([(2, Some(7)), (2, Some(7)), (1, None)])
        .unwrap();
}

#[test]
fn a_stream_can_be_read_twice() {
    StreamTest::new(|_, numbers: DataStream<i64>| {
        let doubled = numbers.clone().map(|n: i64| n * 2);
        numbers.map(|n: i64| -n).union([doubled])
    })
    .records([1, 2])
    .any_order()
    .check([-1, -2, 2, 4])
    .unwrap();
}

#[test]
fn no_input_gives_no_output() {
    StreamTest::new(|_, numbers: DataStream<i64>| numbers.map(|n: i64| n)).check([]).unwrap();
}
