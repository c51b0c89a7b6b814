//! `key_by` and the rolling aggregates: `sum`, `min`, `max`, `min_by`, `max_by`, `reduce`,
//! `aggregate`.

use flott_core::{Error, Result};
use flott_datastream::{AggregateFunction, DataStream, KeyedStream};
use flott_testkit::StreamTest;

use crate::common::{with_timestamps, word};

/// Key, value, and where the record stands in the input.
type Row = (String, i64, u32);

fn rows() -> [Row; 6] {
    let row = |key: &str, value, at| (key.to_owned(), value, at);
    [row("a", 3, 0), row("b", 1, 1), row("a", 1, 2), row("a", 1, 3), row("b", 1, 4), row("a", 4, 5)]
}

fn check(verb: fn(KeyedStream<String, Row>) -> DataStream<Row>, expected: [(i64, u32); 6]) {
    let keys = rows().map(|(key, ..)| key);
    let expected = keys.into_iter().zip(expected).map(|(key, (value, at))| (key, value, at));
    StreamTest::new(move |_, rows: DataStream<Row>| verb(rows.key_by(|(key, ..)| key.clone())))
        .records(rows())
        .order_within(|(key, ..)| key.clone())
        .rescaled()
        .check(expected)
        .unwrap();
}

#[test]
fn sum_adds_a_field_and_keeps_the_others_of_the_first_record() {
    check(|rows| rows.sum(|(_, value, _)| value), [(3, 0), (1, 1), (4, 0), (5, 0), (2, 1), (9, 0)]);
}

#[test]
fn min_takes_the_least_of_a_field_and_keeps_the_others_of_the_first_record() {
    check(|rows| rows.min(|(_, value, _)| value), [(3, 0), (1, 1), (1, 0), (1, 0), (1, 1), (1, 0)]);
}

#[test]
fn max_takes_the_greatest_of_a_field_and_keeps_the_others_of_the_first_record() {
    check(|rows| rows.max(|(_, value, _)| value), [(3, 0), (1, 1), (3, 0), (3, 0), (1, 1), (4, 0)]);
}

#[test]
fn min_by_takes_the_whole_record_and_the_first_of_equals() {
    check(
        |rows| rows.min_by(|(_, value, _)| *value),
        [(3, 0), (1, 1), (1, 2), (1, 2), (1, 1), (1, 2)],
    );
}

#[test]
fn max_by_takes_the_whole_record_and_the_first_of_equals() {
    check(
        |rows| rows.max_by(|(_, value, _)| *value),
        [(3, 0), (1, 1), (3, 0), (3, 0), (1, 1), (4, 5)],
    );
}

#[test]
fn reduce_combines_the_last_result_with_each_record() {
    check(
        |rows| rows.reduce(|last: &Row, (key, value, at): Row| (key, last.1 * 10 + value, at)),
        [(3, 0), (1, 1), (31, 2), (311, 3), (11, 4), (3114, 5)],
    );
}

#[test]
fn reduce_may_return_a_result() {
    let add = |a: &(String, i64), b: (String, i64)| -> Result<(String, i64)> {
        let sum = a.1.checked_add(b.1).ok_or_else(|| Error::invalid("the sum is too large"))?;
        Ok((b.0, sum))
    };
    let test = StreamTest::new(move |_, words: DataStream<(String, i64)>| {
        words.key_by(|(word, _)| word.clone()).reduce(add)
    });
    let error = test.record(word("a", i64::MAX)).record(word("a", 1)).run().unwrap_err().report();
    assert!(error.contains("operator \"reduce\" (1/1) failed"), "{error}");
    assert!(error.contains("Caused by: the sum is too large"), "{error}");
}

struct Average;

impl AggregateFunction<Row, (i64, u32), Row> for Average {
    fn create_accumulator(&self) -> Result<(i64, u32)> {
        Ok((0, 0))
    }

    fn add(&self, (sum, count): &mut (i64, u32), (_, value, _): Row) -> Result<()> {
        *sum += value;
        *count += 1;
        Ok(())
    }

    fn get_result(&self, (sum, count): &(i64, u32)) -> Result<Row> {
        Ok((String::new(), *sum / i64::from(*count), *count))
    }

    fn merge(&self, a: (i64, u32), b: (i64, u32)) -> Result<(i64, u32)> {
        Ok((a.0 + b.0, a.1 + b.1))
    }
}

#[test]
fn aggregate_emits_the_result_of_the_accumulator_after_each_record() {
    let result = |average, count| (String::new(), average, count);
    StreamTest::new(|_, rows: DataStream<Row>| {
        rows.key_by(|(key, ..)| key.clone()).aggregate(Average)
    })
    .records(rows())
    .rescaled()
    .check([result(3, 1), result(1, 1), result(2, 2), result(1, 3), result(1, 2), result(2, 4)])
    .unwrap();
}

#[test]
fn rolling_results_have_the_timestamp_of_the_record_that_caused_them() {
    StreamTest::new(|_, words: DataStream<(String, i64)>| {
        with_timestamps(words.key_by(|(word, _)| word.clone()).sum(|(_, count)| count))
    })
    .record_at(word("a", 1), 5)
    .record(word("a", 1))
    .record_at(word("a", 1), 3)
    .check([(word("a", 1), Some(5)), (word("a", 2), None), (word("a", 3), Some(3))])
    .unwrap();
}

#[test]
fn a_key_may_be_of_any_type_and_computed_by_a_function_that_may_fail() {
    StreamTest::new(|_, words: DataStream<(String, i64)>| {
        let key = |(word, count): &(String, i64)| -> Result<(char, Option<bool>)> {
            let first = word.chars().next().ok_or_else(|| Error::invalid("an empty word"))?;
            Ok((first, Some(*count > 0)))
        };
        words.key_by(key).sum(|(_, count)| count)
    })
    .records([word("ab", 1), word("ac", 1), word("ad", -1), word("b", 1)])
    .rescaled()
    .check([word("ab", 1), word("ab", 2), word("ad", -1), word("b", 1)])
    .unwrap();
}

#[test]
fn keyed_verbs_follow_each_other() {
    StreamTest::new(|_, words: DataStream<(String, i64)>| {
        words
            .key_by(|(word, _)| word.clone())
            .sum(|(_, count)| count)
            .uid("by word")
            .key_by(|(word, _)| word.len() as u64)
            .max(|(_, count)| count)
            .uid("by length")
    })
    .records([word("a", 1), word("b", 5), word("a", 7), word("cc", 1)])
    .rescaled()
    .check([word("a", 1), word("a", 5), word("a", 8), word("cc", 1)])
    .unwrap();
}
