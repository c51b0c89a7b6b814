//! `assign_timestamps_and_watermarks`, watermarks on their way, and idleness.

use flott_core::config::options;
use flott_datastream::{DataStream, WatermarkStrategy};
use flott_testkit::StreamTest;

use crate::common::{millis, watermarks, with_timestamps};

/// The watermarks that a strategy makes of numbers that are their own timestamps.
fn generated(strategy: WatermarkStrategy<i64>) -> StreamTest<i64, i64> {
    StreamTest::new(move |_, numbers: DataStream<i64>| {
        let strategy = strategy.clone().with_timestamp_assigner(|number| *number);
        watermarks(numbers.assign_timestamps_and_watermarks(strategy))
    })
}

#[test]
fn records_get_the_timestamp_that_the_assigner_finds() {
    StreamTest::new(|_, numbers: DataStream<i64>| {
        let strategy = WatermarkStrategy::for_monotonous_timestamps();
        let strategy = strategy.with_timestamp_assigner(|number: &i64| number * 10);
        with_timestamps(numbers.assign_timestamps_and_watermarks(strategy))
    })
    .record(1)
    .record_at(2, 7)
    .check([(1, Some(10)), (2, Some(20))])
    .unwrap();
}

#[test]
fn without_an_assigner_records_keep_their_timestamps() {
    StreamTest::new(|_, numbers: DataStream<i64>| {
        let strategy = WatermarkStrategy::for_monotonous_timestamps();
        with_timestamps(numbers.assign_timestamps_and_watermarks(strategy))
    })
    .record(1)
    .record_at(2, 7)
    .check([(1, None), (2, Some(7))])
    .unwrap();
}

#[test]
fn a_watermark_comes_after_the_interval_and_is_a_millisecond_behind() {
    let test = generated(WatermarkStrategy::for_monotonous_timestamps()).records([100, 90]);
    assert_eq!(test.advance(millis(199)).without_end().run().unwrap(), [0i64; 0]);
    let test = generated(WatermarkStrategy::for_monotonous_timestamps()).records([100, 90]);
    let test = test.advance(millis(200)).record(150).advance(millis(200));
    assert_eq!(test.run().unwrap(), [99, 149, i64::MAX]);
}

#[test]
fn where_event_time_runs_faster_than_the_clock_an_interval_of_it_gives_a_watermark_too() {
    let test = generated(WatermarkStrategy::for_bounded_out_of_orderness(millis(50)));
    // The first record begins the first interval. The clock nearly stands still.
    let numbers = [100, 299, 300, 310, 700];
    let test = numbers.into_iter().fold(test, |test, n| test.record(n).advance(millis(1)));
    assert_eq!(test.run().unwrap(), [249, 649, i64::MAX]);
    // One of the clock begins anew with each of them.
    let test = test.record(710).advance(millis(199));
    assert_eq!(test.run().unwrap(), [249, 649, i64::MAX]);
    assert_eq!(test.advance(millis(1)).run().unwrap(), [249, 649, 659, i64::MAX]);
}

#[test]
fn out_of_orderness_keeps_the_watermark_behind_and_it_never_goes_back() {
    let test = generated(WatermarkStrategy::for_bounded_out_of_orderness(millis(50)));
    let test = test.record(100).advance(millis(200)).record(90).advance(millis(200));
    let test = test.record(101).advance(millis(200));
    assert_eq!(test.run().unwrap(), [49, 50, i64::MAX]);
}

#[test]
fn an_interval_of_zero_gives_a_watermark_after_every_batch() {
    let test = StreamTest::new(|env, numbers: DataStream<i64>| {
        env.set(&options::AUTO_WATERMARK_INTERVAL, millis(0));
        let strategy = WatermarkStrategy::for_monotonous_timestamps();
        let strategy = strategy.with_timestamp_assigner(|number: &i64| *number);
        watermarks(numbers.assign_timestamps_and_watermarks(strategy))
    });
    assert_eq!(test.records([5, 9]).run().unwrap(), [8, i64::MAX]);
}

#[test]
fn no_watermarks_means_none_before_the_end() {
    let test = generated(WatermarkStrategy::no_watermarks()).record(5).advance(millis(1000));
    assert_eq!(test.run().unwrap(), [i64::MAX]);
}

#[test]
fn watermarks_from_before_are_dropped_but_for_the_end_of_input() {
    let test = generated(WatermarkStrategy::for_monotonous_timestamps()).watermark(1000);
    assert_eq!(test.record(5).advance(millis(200)).run().unwrap(), [4, i64::MAX]);
}

/// Two subtasks of the source, whose watermarks meet in one operator.
fn meeting() -> StreamTest<i64, i64> {
    StreamTest::new(|_, numbers: DataStream<i64>| watermarks(numbers))
}

#[test]
fn a_silent_input_holds_the_watermark_back() {
    assert_eq!(meeting().on(1).watermark(10).without_end().run().unwrap(), [0i64; 0]);
}

#[test]
fn an_idle_input_does_not() {
    let test = meeting().idle().on(1).watermark(10).watermark(20).on(0).active();
    let test = test.on(1).watermark(30).on(0).watermark(25);
    assert_eq!(test.run().unwrap(), [10, 20, 25, i64::MAX]);
}

#[test]
fn when_all_inputs_are_idle_what_they_have_promised_holds() {
    let test = meeting().watermark(5).on(1).watermark(10).idle().on(0).idle();
    assert_eq!(test.without_end().run().unwrap(), [5, 10]);
}

#[test]
fn idleness_passes_through_operators() {
    let test = StreamTest::new(|_, numbers: DataStream<i64>| {
        let negated = numbers.clone().map(|n: i64| -n).disable_chaining();
        watermarks(numbers.filter(|n| *n > 0).union([negated]))
    });
    let test = test.idle().on(1).watermark(10).without_end();
    assert_eq!(test.run().unwrap(), [10]);
}

#[test]
fn a_stream_without_records_becomes_idle_after_its_timeout() {
    // The numbers above 100 are a stream of their own, which falls silent.
    let test = || {
        StreamTest::new(|_, numbers: DataStream<i64>| {
            let strategy = WatermarkStrategy::for_monotonous_timestamps();
            let strategy = strategy.with_timestamp_assigner(|number: &i64| *number);
            let idle = strategy.clone().with_idleness(millis(1000));
            let small = numbers.clone().filter(|n| *n < 100);
            let large = numbers.filter(|n| *n >= 100);
            let small = small.assign_timestamps_and_watermarks(strategy);
            watermarks(small.union([large.assign_timestamps_and_watermarks(idle)]))
        })
        .record(10)
        .advance(millis(900))
        .record(20)
    };
    assert_eq!(test().advance(millis(99)).without_end().run().unwrap(), [0i64; 0]);
    assert_eq!(test().advance(millis(100)).without_end().run().unwrap(), [9]);
    assert_eq!(test().advance(millis(300)).without_end().run().unwrap(), [9, 19]);
    let again = test().advance(millis(300)).records([30, 105]).advance(millis(200));
    assert_eq!(again.without_end().run().unwrap(), [9, 19, 29]);
}

#[test]
fn an_input_that_has_ended_holds_nothing_back() {
    // A source of no numbers ends at once.
    let test = StreamTest::new(|env, numbers: DataStream<i64>| {
        let none = env
            .add_source("none", |own| crate::common::Numbers::new(0, own.subtask, own.parallelism));
        watermarks(numbers.union([none.map(|n: u64| n as i64)]))
    });
    assert_eq!(test.watermark(5).run().unwrap(), [5, i64::MAX]);
}
