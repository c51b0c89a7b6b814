//! Side outputs: of keyed and plain functions, read alone, together and not at all.

use flott_core::{Result, Timestamp};
use flott_datastream::{
    Collector, DataStream, KeyedContext, KeyedProcessFunction, OutputTag, Timer,
};
use flott_testkit::StreamTest;

use crate::common::with_timestamps;

fn late() -> OutputTag<String> {
    OutputTag::new("late")
}

/// Lets through what is in time, and fires a timer per record; the rest goes to the side.
#[derive(Clone)]
struct InTime;

impl KeyedProcessFunction<u8, i64, i64> for InTime {
    fn process_element(
        &mut self,
        value: i64,
        context: &mut KeyedContext<'_, u8>,
        out: &mut Collector<i64>,
    ) -> Result<()> {
        let time = context.timestamp().unwrap_or(Timestamp::MIN);
        if time <= context.current_watermark() {
            out.output(&late(), format!("{value} at {time}"));
            return Ok(());
        }
        context.register_event_time_timer(time)?;
        out.collect(value);
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        _: &mut KeyedContext<'_, u8>,
        out: &mut Collector<i64>,
    ) -> Result<()> {
        out.output(&late(), format!("timer {}", timer.timestamp));
        Ok(())
    }
}

fn in_time(numbers: DataStream<i64>) -> DataStream<i64> {
    numbers.key_by(|_| 1u8).process(InTime)
}

fn script<U: flott_core::codec::Data>(test: StreamTest<i64, U>) -> StreamTest<i64, U> {
    test.record_at(1, 10)
        .watermark(10)
        .record_at(2, 10)
        .record_at(3, 11)
        .record_at(4, 9)
        .watermark(20)
}

fn texts<const N: usize>(texts: [&str; N]) -> [String; N] {
    texts.map(str::to_owned)
}

#[test]
fn records_and_timers_write_to_a_side_output() {
    script(StreamTest::new(|_, numbers| in_time(numbers)))
        .rescaled()
        .check_with_side([1, 3], &late(), texts(["timer 10", "2 at 10", "4 at 9", "timer 11"]))
        .unwrap();
}

#[test]
fn what_is_written_to_a_side_output_that_nobody_reads_is_dropped() {
    script(StreamTest::new(|_, numbers| in_time(numbers))).check([1, 3]).unwrap();
}

#[test]
fn a_side_output_is_a_stream_like_any_other() {
    script(StreamTest::new(|_, numbers| {
        let late = in_time(numbers).side_output(&late());
        with_timestamps(late.filter(|text| !text.contains('4')).map(|text: String| text + "!"))
    }))
    .check(
        [("timer 10!", 10), ("2 at 10!", 10), ("timer 11!", 11)]
            .map(|(text, at)| (text.to_owned(), Some(at))),
    )
    .unwrap();
}

#[test]
fn watermarks_go_into_side_outputs_too() {
    script(StreamTest::new(|_, numbers| {
        crate::common::watermarks(in_time(numbers).side_output(&late()))
    }))
    .run()
    .map(|watermarks| assert_eq!(watermarks, [10, 20, i64::MAX]))
    .unwrap();
}

#[test]
fn a_side_output_can_be_keyed_and_united_with_the_main_output() {
    script(StreamTest::new(|_, numbers| {
        let main = in_time(numbers);
        let late = main
            .side_output(&late())
            .key_by(|text| text.len() as u64)
            .reduce(|a: &String, b: String| format!("{a}, {b}"));
        main.map(|n: i64| n.to_string()).union([late])
    }))
    .any_order()
    .rescaled()
    .check(texts(["1", "3", "timer 10", "2 at 10", "4 at 9", "timer 10, timer 11"]))
    .unwrap();
}

#[test]
fn several_tags_of_one_operator_do_not_meet() {
    let (even, odd) = (OutputTag::<i64>::new("even"), OutputTag::<String>::new("odd"));
    StreamTest::new(move |_, numbers: DataStream<i64>| {
        let (to_even, to_odd) = (even.clone(), odd.clone());
        let split = numbers.flat_map(move |n: i64, out: &mut Collector<()>| match n % 2 {
            0 => out.output(&to_even, n),
            _ => out.output(&to_odd, n.to_string()),
        });
        let odd = split.side_output(&odd).map(|text: String| format!("odd {text}"));
        split.side_output(&even).map(|n: i64| format!("even {n}")).union([odd])
    })
    .records([1, 2, 3, 4])
    .any_order()
    .check(texts(["odd 1", "even 2", "odd 3", "even 4"]))
    .unwrap();
}

#[test]
fn a_side_output_may_be_read_twice_and_partitioned() {
    let odd = OutputTag::<i64>::new("odd");
    StreamTest::new(move |_, numbers: DataStream<i64>| {
        let to_odd = odd.clone();
        let split =
            numbers.flat_map(move |n: i64, out: &mut Collector<i64>| out.output(&to_odd, n));
        let odd = split.side_output(&odd);
        let spread = odd.clone().rebalance().map(|n: i64| n * 10).set_parallelism(2);
        spread.union([odd.broadcast().map(|n: i64| n).set_parallelism(2)])
    })
    .records([1, 3])
    .any_order()
    .check([10, 30, 1, 1, 3, 3])
    .unwrap();
}

#[test]
fn a_tag_of_another_type_than_the_readers_fails_the_task() {
    let error = StreamTest::new(|_, numbers: DataStream<i64>| {
        let split = numbers.flat_map(|n: i64, out: &mut Collector<i64>| -> Result<()> {
            out.output(&OutputTag::<i64>::new("late"), n);
            Ok(())
        });
        split.side_output(&late())
    })
    .record(1)
    .run()
    .unwrap_err()
    .report();
    assert!(error.contains("side output \"late\" is written with another type"), "{error}");
}
