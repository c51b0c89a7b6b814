//! `union`: several streams as one, and a stream with itself.

use flott_datastream::DataStream;
use flott_testkit::StreamTest;

use crate::common::{watermarks, word};

#[test]
fn a_union_has_the_records_of_all_its_streams() {
    StreamTest::new(|_, numbers: DataStream<i64>| {
        let tens = numbers.clone().map(|n: i64| n * 10);
        let hundreds = numbers.clone().map(|n: i64| n * 100);
        numbers.union([tens, hundreds]).map(|n: i64| n + 1)
    })
    .records([1, 2])
    .any_order()
    .check([2, 3, 11, 21, 101, 201])
    .unwrap();
}

/// The rolling sums of one key are those of twice its records, whichever way they are mixed.
#[test]
fn a_union_with_itself_has_every_record_twice() {
    StreamTest::new(|_, words: DataStream<(String, i64)>| {
        let twice = words.clone().union([words]);
        twice.key_by(|(word, _)| word.clone()).sum(|(_, count)| count)
    })
    .records([word("a", 1), word("b", 5), word("a", 1)])
    .order_within(|(word, _)| word.clone())
    .rescaled()
    .check([word("a", 1), word("a", 2), word("a", 3), word("a", 4), word("b", 5), word("b", 10)])
    .unwrap();
}

/// E9: the two edges are two inputs, and the watermark waits for both.
#[test]
fn the_watermark_of_a_union_with_itself_advances() {
    let test =
        StreamTest::new(|_, numbers: DataStream<i64>| watermarks(numbers.clone().union([numbers])));
    assert_eq!(test.record(1).watermark(5).watermark(7).run().unwrap(), [5, 7, i64::MAX]);
}

#[test]
fn the_watermark_of_a_union_is_the_least_of_its_streams() {
    let test = StreamTest::new(|_, numbers: DataStream<i64>| watermarks(numbers)).on(1);
    let test = test.watermark(10).on(0).watermark(4).on(1).watermark(20).on(0).watermark(15);
    assert_eq!(test.run().unwrap(), [4, 15, i64::MAX]);
}

#[test]
fn a_union_of_nothing_is_the_stream_itself() {
    StreamTest::new(|_, numbers: DataStream<i64>| numbers.union([]).map(|n: i64| n))
        .records([1, 2])
        .check([1, 2])
        .unwrap();
}

#[test]
fn a_union_is_partitioned_like_any_stream() {
    StreamTest::new(|_, numbers: DataStream<i64>| {
        let negative = numbers.clone().map(|n: i64| -n);
        let both = numbers.union([negative]).broadcast();
        both.map(|n: i64| n).set_parallelism(3)
    })
    .record(1)
    .any_order()
    .check([1, 1, 1, -1, -1, -1])
    .unwrap();
}
