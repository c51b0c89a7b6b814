//! A program starts from another version's savepoint: what fits, and what is refused.

use flott_core::Result;
use flott_core::codec::{Data, StateData};
use flott_datastream::{
    Collector, DataStream, KeyedContext, KeyedProcessFunction, OperatorListState, OperatorStates,
    ProcessContext, ProcessFunction, StreamExecutionEnvironment, TumblingProcessingTimeWindows,
    ValueState, ValueStateDescriptor,
};
use flott_testkit::StreamTest;
use flott_testkit::harness::Savepoint;
use serde::{Deserialize, Serialize};

use crate::common::{millis, word};

type Word = (String, i64);

fn totals() -> StreamTest<Word, Word> {
    StreamTest::new(|_, words: DataStream<Word>| {
        words.key_by(|(word, _)| word.clone()).sum(|(_, count)| count).uid("totals")
    })
}

fn savepoint() -> Savepoint {
    totals().records([word("a", 1), word("b", 2), word("a", 3)]).savepoint().unwrap()
}

#[test]
fn the_next_version_goes_on_where_the_last_one_stopped() {
    totals()
        .from_savepoint(&savepoint())
        .records([word("a", 1), word("b", 1), word("c", 1)])
        .rescaled()
        .check([word("a", 5), word("b", 3), word("c", 1)])
        .unwrap();
}

#[test]
fn state_is_found_whatever_stands_around_it() {
    StreamTest::new(|_, words: DataStream<Word>| {
        let counted = words.filter(|_| true).map(|word: Word| word).rebalance();
        let totals = counted.key_by(|(word, _)| word.clone()).sum(|(_, count)| count);
        totals.uid("totals").name("other name").disable_chaining().filter(|_| true)
    })
    .from_savepoint(&savepoint())
    .record(word("a", 1))
    .check([word("a", 5)])
    .unwrap();
}

#[test]
fn state_can_be_read_with_any_parallelism_up_to_the_stored_maximum() {
    for parallelism in [1, 3, 128] {
        let test = totals().from_savepoint(&savepoint()).parallelism(parallelism);
        let mut output = test.records([word("a", 1), word("b", 1)]).run().unwrap();
        output.sort();
        assert_eq!(output, [word("a", 5), word("b", 3)]);
    }
    let error = totals().from_savepoint(&savepoint()).parallelism(129).run().unwrap_err().report();
    assert!(error.contains("\"totals\"") && error.contains("max parallelism 128"), "{error}");
}

#[test]
fn another_explicit_max_parallelism_is_refused() {
    let test = StreamTest::new(|_, words: DataStream<Word>| {
        let words = words.key_by(|(word, _)| word.clone());
        words.sum(|(_, count)| count).uid("totals").set_max_parallelism(64)
    });
    let error = test.from_savepoint(&savepoint()).run().unwrap_err().report();
    assert!(error.contains("\"totals\"") && error.contains("max parallelism 64"), "{error}");
}

fn without_totals() -> StreamTest<Word, Word> {
    StreamTest::new(|_, words: DataStream<Word>| words.map(|word: Word| word))
}

#[test]
fn state_of_an_operator_that_is_gone_is_refused_unless_that_is_allowed() {
    let test = || without_totals().from_savepoint(&savepoint()).record(word("a", 1));
    let error = test().run().unwrap_err().report();
    assert!(
        error.contains("uid \"totals\"") && error.contains("--allowNonRestoredState"),
        "{error}"
    );
    test().allow_non_restored_state().check([word("a", 1)]).unwrap();
}

/// One value per key, of any type and name.
#[derive(Clone)]
struct Remember<V> {
    name: &'static str,
    value: ValueState<V>,
}

fn remember<V: StateData + Default>(name: &'static str) -> StreamTest<Word, Word> {
    StreamTest::new(move |_, words: DataStream<Word>| {
        let function = Remember::<V> { name, value: ValueState::default() };
        words.key_by(|(word, _)| word.clone()).process(function).name("remember")
    })
}

impl<V: StateData + Default> KeyedProcessFunction<String, Word, Word> for Remember<V> {
    fn open(&mut self, context: &mut KeyedContext<'_, String>) -> Result<()> {
        self.value = context.value_state(ValueStateDescriptor::new(self.name))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        word: Word,
        context: &mut KeyedContext<'_, String>,
        _: &mut Collector<Word>,
    ) -> Result<()> {
        self.value.get_or_insert_with(context, V::default).map(drop)?;
        assert_eq!(*context.current_key()?, word.0);
        Ok(())
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Before {
    count: i64,
    text: String,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Retyped {
    count: String,
    text: String,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Extended {
    count: i64,
    text: String,
    more: bool,
}

/// Only the name of the type is another one.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Renamed {
    count: i64,
    text: String,
}

fn error_after_change<V: StateData + Default>(name: &'static str) -> String {
    let savepoint = remember::<Before>("value").record(word("a", 1)).savepoint().unwrap();
    remember::<V>(name).from_savepoint(&savepoint).run().unwrap_err().report()
}

#[test]
fn a_changed_type_names_operator_state_and_field() {
    let error = error_after_change::<Retyped>("value");
    assert!(error.contains("operator \"remember\"") && error.contains("\"value\""), "{error}");
    assert!(error.contains("field `count` was i64, is String"), "{error}");
    let error = error_after_change::<Extended>("value");
    assert!(error.contains("\"value\"") && error.contains("missing field `more`"), "{error}");
    assert!(error.contains("give a field that is new a default"), "{error}");
}

#[test]
fn a_renamed_type_is_the_same() {
    let savepoint = remember::<Before>("value").record(word("a", 1)).savepoint().unwrap();
    remember::<Renamed>("value").from_savepoint(&savepoint).record(word("a", 1)).check([]).unwrap();
}

#[test]
fn state_that_no_function_asks_for_is_refused_unless_that_is_allowed() {
    let error = error_after_change::<Before>("renamed");
    let expected = "state \"value\" of operator \"remember\"";
    assert!(error.contains(expected) && error.contains("--allowNonRestoredState"), "{error}");
    let savepoint = remember::<Before>("value").record(word("a", 1)).savepoint().unwrap();
    let test = remember::<Before>("renamed").from_savepoint(&savepoint).record(word("a", 1));
    test.allow_non_restored_state().check([]).unwrap();
}

#[test]
fn a_changed_type_of_the_key_is_refused() {
    let by_text = remember::<Before>("value").record(word("a", 1)).savepoint().unwrap();
    #[derive(Clone, Default)]
    struct ByNumber(ValueState<Before>);
    impl KeyedProcessFunction<i64, Word, Word> for ByNumber {
        fn open(&mut self, context: &mut KeyedContext<'_, i64>) -> Result<()> {
            self.0 = context.value_state(ValueStateDescriptor::new("value"))?;
            Ok(())
        }
        fn process_element(
            &mut self,
            _: Word,
            _: &mut KeyedContext<'_, i64>,
            _: &mut Collector<Word>,
        ) -> Result<()> {
            Ok(())
        }
    }
    let test = StreamTest::new(|_, words: DataStream<Word>| {
        words.key_by(|(_, count)| *count).process(ByNumber::default()).name("remember")
    });
    let error = test.from_savepoint(&by_text).run().unwrap_err().report();
    assert!(error.contains("operator \"remember\"") && error.contains("key"), "{error}");
}

/// A list per subtask, of any type.
#[derive(Clone)]
struct Keep<V>(OperatorListState<V>);

impl<V: StateData + Default> ProcessFunction<Word, Word> for Keep<V> {
    fn open(&mut self, context: &mut ProcessContext<'_>) -> Result<()> {
        self.0 = context.operator_list_state("kept")?;
        Ok(())
    }

    fn process_element(
        &mut self,
        _: Word,
        context: &mut ProcessContext<'_>,
        _: &mut Collector<Word>,
    ) -> Result<()> {
        self.0.add(context, V::default())
    }
}

fn keep<V: StateData + Default>() -> StreamTest<Word, Word> {
    StreamTest::new(|_, words: DataStream<Word>| {
        words.process(Keep::<V>(OperatorListState::default())).name("keep")
    })
}

#[test]
fn a_changed_type_of_operator_state_names_operator_state_and_field() {
    let savepoint = keep::<Before>().record(word("a", 1)).savepoint().unwrap();
    let error = keep::<Retyped>().from_savepoint(&savepoint).run().unwrap_err().report();
    assert!(error.contains("operator \"keep\"") && error.contains("\"kept\""), "{error}");
    assert!(error.contains("field `count` was i64, is String"), "{error}");
}

#[test]
fn an_operator_that_has_become_stateless_does_not_lose_state_silently() {
    let stateless = |name: &'static str| {
        StreamTest::new(move |_, words: DataStream<Word>| words.map(|word: Word| word).uid(name))
    };
    let error = stateless("totals").from_savepoint(&savepoint()).run().unwrap_err().report();
    assert!(error.contains("of operator \"map\""), "{error}");
    assert!(error.contains("--allowNonRestoredState"), "{error}");
    let test = stateless("totals").from_savepoint(&savepoint()).record(word("a", 1));
    test.allow_non_restored_state().check([word("a", 1)]).unwrap();
}

#[test]
fn operators_by_key_do_not_lose_operator_state_silently() {
    let keep = StreamTest::new(|_, words: DataStream<Word>| {
        words.process(Keep::<Before>(OperatorListState::default())).uid("keep")
    });
    let savepoint = keep.record(word("a", 1)).savepoint().unwrap();
    let sum = |_: &StreamExecutionEnvironment, words: DataStream<Word>| {
        words.key_by(|(word, _)| word.clone()).sum(|(_, count)| count).uid("keep")
    };
    let windows = |_: &StreamExecutionEnvironment, words: DataStream<Word>| {
        let size = TumblingProcessingTimeWindows::of(millis(10));
        words.key_by(|(word, _)| word.clone()).window(size).sum(|(_, count)| count).uid("keep")
    };
    for test in [StreamTest::new(sum), StreamTest::new(windows)] {
        let error = test.from_savepoint(&savepoint).run().unwrap_err().report();
        assert!(error.contains("state \"kept\" of operator \"sum\""), "{error}");
    }
}

/// A savepoint is a value: using it does not change it.
#[test]
fn a_savepoint_can_be_used_many_times() {
    fn goes_on<T: Data + PartialEq + std::fmt::Debug>(test: StreamTest<Word, T>, expected: T) {
        test.record(word("a", 1)).check([expected]).unwrap();
    }
    let savepoint = savepoint();
    goes_on(totals().from_savepoint(&savepoint), word("a", 5));
    goes_on(totals().from_savepoint(&savepoint), word("a", 5));
}
