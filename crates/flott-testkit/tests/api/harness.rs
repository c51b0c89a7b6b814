//! The harness itself: it finds what it is there to find, and says where.

use flott_core::{Now, Result};
use flott_datastream::{
    Batch, Collector, DataStream, KeyedContext, KeyedProcessFunction, Operator, ValueState,
    ValueStateDescriptor,
};
use flott_testkit::StreamTest;

use crate::common::{millis, word};

/// A count that is in no state.
fn counted(numbers: DataStream<i64>) -> DataStream<i64> {
    let mut count = 0;
    numbers.map(move |_| {
        count += 1;
        count
    })
}

#[test]
fn what_a_function_remembers_outside_of_state_is_found() {
    let test = StreamTest::new(|_, numbers: DataStream<i64>| counted(numbers)).records([7, 7]);
    assert_eq!(test.run().unwrap(), [1, 2]);
    let failure = test.check([1, 2]).unwrap_err().to_string();
    assert!(failure.starts_with("variation \"restored after every step\", output: "), "{failure}");
    assert!(failure.contains("record 2 should be 2, but is 1"), "{failure}");
}

/// A number that comes back from its encoding as another.
#[derive(Clone, Copy, Debug, serde::Serialize)]
struct Drifting(i64);

impl<'de> serde::Deserialize<'de> for Drifting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(|number| Self(number + 1))
    }
}

/// Its output says nothing about its state.
#[derive(Clone, Default)]
struct Silent(ValueState<Drifting>);

impl KeyedProcessFunction<i64, i64, i64> for Silent {
    fn open(&mut self, context: &mut KeyedContext<'_, i64>) -> Result<()> {
        self.0 = context.value_state(ValueStateDescriptor::new("number"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        number: i64,
        context: &mut KeyedContext<'_, i64>,
        out: &mut Collector<i64>,
    ) -> Result<()> {
        self.0.update(context, Drifting(number))?;
        out.collect(0);
        Ok(())
    }
}

#[test]
fn state_that_is_another_after_a_restore_is_found_even_if_no_output_shows_it() {
    let test = StreamTest::new(|_, numbers: DataStream<i64>| {
        numbers.key_by(|n| *n).process(Silent::default()).name("silent")
    });
    let failure = test.records([1, 2]).check([0, 0]).unwrap_err().to_string();
    let expected = "variation \"restored after every step\" failed: operator \"silent\": its state \
                    is not the same after checkpoint 1 was restored";
    assert_eq!(failure, expected);
}

struct BatchLength;

impl Operator<i64, usize> for BatchLength {
    fn process(
        &mut self,
        batch: &mut Batch<i64>,
        out: &mut Collector<usize>,
        _: Now,
    ) -> Result<()> {
        out.collect(batch.len());
        batch.clear();
        Ok(())
    }
}

#[test]
fn an_operator_that_depends_on_how_records_are_cut_into_batches_is_found() {
    let test = StreamTest::new(|_, numbers: DataStream<i64>| {
        numbers.transform("batch_length", |_| BatchLength)
    });
    let failure = test.records([1, 2, 3]).check([3]).unwrap_err().to_string();
    assert!(failure.starts_with("variation \"one record per batch\""), "{failure}");
}

#[test]
fn state_by_something_other_than_the_key_is_found_when_rescaled() {
    let test = StreamTest::new(|env, numbers: DataStream<i64>| {
        // The number of subtasks is no part of the data.
        let parallelism = i64::from(
            env.configuration().get(&flott_core::config::options::PARALLELISM).unwrap().0,
        );
        numbers.map(move |n: i64| n * parallelism)
    });
    let test = test.records([1, 2, 3]);
    test.check([1, 2, 3]).unwrap();
    let failure = test.rescaled().check([1, 2, 3]).unwrap_err().to_string();
    assert!(failure.starts_with("variation \"rescaled from 1 to 2 to 3 to 1"), "{failure}");
}

#[test]
fn a_failure_in_a_variation_names_it() {
    let test = StreamTest::new(|_, numbers: DataStream<i64>| {
        numbers
            .map(|n: i64| if n < 3 { Ok(n) } else { Err(flott_core::Error::invalid("too large")) })
    });
    let failure = test.records([1, 3]).check([1]).unwrap_err().to_string();
    let expected =
        "variation \"plain\" failed: operator \"map\" (1/1) failed\nCaused by: too large";
    assert_eq!(failure, expected);
}

#[test]
fn without_an_end_the_output_is_what_is_there_after_the_last_step() {
    let test =
        StreamTest::new(|_, words: DataStream<(String, i64)>| crate::common::watermarks(words));
    let test = test.record(word("a", 1)).watermark(5).advance(millis(10));
    assert_eq!(test.run().unwrap(), [5, i64::MAX]);
    assert_eq!(test.without_end().run().unwrap(), [5]);
}

#[test]
fn the_order_counts_at_parallelism_one_only() {
    let test =
        || StreamTest::new(|_, numbers: DataStream<i64>| numbers.map(|n: i64| n)).records([1, 2]);
    test().check([1, 2]).unwrap();
    assert!(test().check([2, 1]).is_err());
    test().any_order().check([2, 1]).unwrap();
    test().parallelism(2).check([2, 1]).unwrap();
    assert!(test().parallelism(2).check([2, 2]).is_err());
}

/// The harness is honest: it finds the bugs that are put back where a single program can show them.
#[cfg(feature = "mutants")]
#[test]
fn bugs_that_are_put_back_are_found() {
    use flott_core::mutant::Mutant;
    use flott_datastream::{KeyedContext, KeyedProcessFunction, Timer};

    /// Emits its timer at the end, and by the clock.
    #[derive(Clone)]
    struct Both;

    impl KeyedProcessFunction<i64, i64, i64> for Both {
        fn process_element(
            &mut self,
            value: i64,
            context: &mut KeyedContext<'_, i64>,
            out: &mut Collector<i64>,
        ) -> Result<()> {
            out.collect(value);
            context.register_event_time_timer(flott_core::Timestamp(value))?;
            context.register_processing_time_timer(flott_core::Timestamp(20))
        }

        fn on_timer(
            &mut self,
            timer: Timer,
            _: &mut KeyedContext<'_, i64>,
            out: &mut Collector<i64>,
        ) -> Result<()> {
            out.collect(-timer.timestamp.0);
            Ok(())
        }
    }

    /// Says when it is over.
    struct Over;

    impl Operator<i64, i64> for Over {
        fn process(
            &mut self,
            batch: &mut Batch<i64>,
            out: &mut Collector<i64>,
            _: Now,
        ) -> Result<()> {
            out.collect_batch(batch);
            Ok(())
        }

        fn finish(&mut self, out: &mut Collector<i64>, _: Now) -> Result<()> {
            out.collect(1000);
            Ok(())
        }
    }

    let check = || {
        StreamTest::new(|_, numbers: DataStream<i64>| {
            let timers = numbers.key_by(|n| n % 2).process(Both);
            let over = timers.transform("over", |_| Over).set_parallelism(1);
            over.key_by(|_| 0u8).reduce(|sum: &i64, n: i64| sum * 2 + n).uid("sum")
        })
        .records([5, 7])
        .watermark(6)
        .advance(millis(30))
        .check([5, 17, 29, 38, 69, 1138])
    };
    check().unwrap();
    let found = |mutant: &Mutant| Mutant::with(Some(*mutant), || check().is_err());
    let missed: Vec<Mutant> = [
        Mutant::ChainSharesState,
        Mutant::LoseTimersOnRestore,
        Mutant::MixTimerKinds,
        Mutant::FinishTwice,
    ]
    .into_iter()
    .filter(|mutant| !found(mutant))
    .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
