//! The end of the input: the last watermark, `finish`, and what happens when a job is restored
//! after it.

use flott_core::{Now, Result, Timestamp};
use flott_datastream::{Batch, Collector, DataStream, Operator};
use flott_testkit::StreamTest;

/// Says what it is told, in the order in which it is.
struct Last;

impl Operator<i64, String> for Last {
    fn process(
        &mut self,
        batch: &mut Batch<i64>,
        out: &mut Collector<String>,
        _: Now,
    ) -> Result<()> {
        batch.try_drain(|record, _| {
            out.collect(record.to_string());
            Ok(())
        })
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut Collector<String>,
        _: Now,
    ) -> Result<()> {
        if watermark == Timestamp::MAX {
            out.collect("the end of time".to_owned());
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Collector<String>, _: Now) -> Result<()> {
        out.collect("the end".to_owned());
        Ok(())
    }
}

/// The variations restore a task that has finished from the checkpoint that covers its end.
#[test]
fn finish_comes_once_after_the_last_watermark_also_when_a_finished_task_is_restored() {
    StreamTest::new(|_, numbers: DataStream<i64>| numbers.transform("last", |_| Last))
        .records([1, 2])
        .check(["1", "2", "the end of time", "the end"].map(str::to_owned))
        .unwrap();
}

#[test]
fn every_subtask_finishes_once() {
    let test = StreamTest::new(|_, numbers: DataStream<i64>| {
        numbers.rebalance().transform("last", |_| Last).filter(|text| text == "the end")
    });
    test.parallelism(3).records(0..10).check(["the end"; 3].map(str::to_owned)).unwrap();
}

#[test]
fn what_finish_emits_goes_through_the_operators_behind_it() {
    StreamTest::new(|_, numbers: DataStream<i64>| {
        let words =
            numbers.transform("last", |_| Last).set_parallelism(1).map(|text: String| (text, 1));
        words.key_by(|(text, _)| text.clone()).sum(|(_, count)| count)
    })
    .record(1)
    .rescaled()
    .check([("1".to_owned(), 1), ("the end of time".to_owned(), 1), ("the end".to_owned(), 1)])
    .unwrap();
}

#[test]
fn the_end_waits_for_every_input() {
    let test = StreamTest::new(|env, numbers: DataStream<i64>| {
        let few = env
            .add_source("few", |own| crate::common::Numbers::new(2, own.subtask, own.parallelism));
        numbers.union([few.map(|n: u64| n as i64)]).transform("last", |_| Last)
    });
    let output = test.records([7, 8]).run().unwrap();
    assert_eq!(output[4..], ["the end of time", "the end"].map(str::to_owned), "{output:?}");
}

#[test]
fn without_an_end_nothing_finishes() {
    StreamTest::new(|_, numbers: DataStream<i64>| numbers.transform("last", |_| Last))
        .record(1)
        .without_end()
        .check(["1".to_owned()])
        .unwrap();
}
