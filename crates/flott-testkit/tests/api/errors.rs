//! What is said when a program is wrong or fails: which operator, and why.

use flott_core::{Error, ErrorKind, Result};
use flott_datastream::{
    Collector, DataStream, KeyedContext, KeyedProcessFunction, ListState, ListStateDescriptor,
    OperatorListState, OperatorStates, ProcessContext, ProcessFunction, Timer, ValueState,
    ValueStateDescriptor,
};
use flott_testkit::StreamTest;

/// The error of a program that gets one record, 1.
fn error(verb: impl Fn(DataStream<i64>) -> DataStream<i64> + 'static) -> Error {
    StreamTest::new(move |_, numbers| verb(numbers)).record(1).run().unwrap_err()
}

#[test]
fn an_error_of_a_function_carries_the_operators_name_and_the_chain_of_causes() {
    let failing = |_: i64| -> Result<i64> {
        let number = "x".parse::<i64>().map_err(|e| Error::from(e).context("line 3"))?;
        Ok(number)
    };
    let error = error(move |numbers| numbers.map(|n: i64| n).map(failing).name("parse"));
    assert_eq!(error.kind(), ErrorKind::User);
    let expected = "operator \"parse\" (1/1) failed\nCaused by: line 3\n\
                    Caused by: invalid digit found in string";
    assert_eq!(error.report(), expected);
}

#[test]
fn a_panic_carries_the_operators_name_and_what_it_said() {
    let error = error(|numbers| {
        numbers.map(|n: i64| if n == 1 { panic!("number {n} is cursed") } else { n }).name("cursed")
    });
    assert_eq!(error.kind(), ErrorKind::User);
    let expected = "operator \"cursed\" (1/1) failed\nCaused by: panicked: number 1 is cursed";
    assert_eq!(error.report(), expected);
}

#[test]
fn an_operator_that_fails_behind_others_is_named_and_they_are_not() {
    let error = error(|numbers| {
        let mapped = numbers.map(|n: i64| n).name("good");
        mapped.filter(|_| -> Result<bool> { Err(Error::invalid("no")) }).name("bad")
    });
    assert_eq!(error.report(), "operator \"bad\" (1/1) failed\nCaused by: no");
}

#[test]
fn an_error_names_the_subtask() {
    let test = StreamTest::new(|_, numbers: DataStream<i64>| {
        let second = numbers.partition_custom(|_: &i64, _| 1, |n| *n);
        second.map(|_: i64| -> Result<i64> { Err(Error::invalid("no")) }).set_parallelism(3)
    });
    let error = test.record(1).run().unwrap_err().report();
    assert!(error.starts_with("operator \"map\" (2/3) failed"), "{error}");
}

#[test]
fn a_key_selector_that_fails_names_the_operator_before_it() {
    let error = error(|numbers| {
        let mapped = numbers.map(|n: i64| n).name("before");
        mapped
            .key_by(|_| -> Result<i64> { Err(Error::invalid("no key")) })
            .reduce(|a: &i64, b: i64| a + b)
    });
    let expected = "the key selector after operator \"before\" (1/1) failed\nCaused by: no key";
    assert_eq!(error.report(), expected);
}

/// What a function does wrong, and where.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    /// One name for two types.
    SameName,
    /// State is used in `open`.
    UseInOpen,
    /// A timer is set in `open`.
    TimerInOpen,
    /// State is used before a checkpoint.
    UseInSnapshot,
    /// A handle is used that was never registered.
    Unregistered,
    /// The timer fails.
    Timer,
}

#[derive(Clone)]
struct Faulty {
    wrong: Wrong,
    value: ValueState<i64>,
    list: ListState<String>,
}

impl KeyedProcessFunction<i64, i64, i64> for Faulty {
    fn open(&mut self, context: &mut KeyedContext<'_, i64>) -> Result<()> {
        match self.wrong {
            Wrong::Unregistered => return Ok(()),
            Wrong::TimerInOpen => context.register_event_time_timer(flott_core::Timestamp(1))?,
            Wrong::SameName => {
                self.list = context.list_state(ListStateDescriptor::new("numbers"))?
            }
            Wrong::UseInOpen | Wrong::UseInSnapshot | Wrong::Timer => {}
        }
        self.value = context.value_state(ValueStateDescriptor::new("numbers"))?;
        if self.wrong == Wrong::UseInOpen {
            self.value.update(context, 0)?;
        }
        Ok(())
    }

    fn process_element(
        &mut self,
        value: i64,
        context: &mut KeyedContext<'_, i64>,
        out: &mut Collector<i64>,
    ) -> Result<()> {
        context.register_event_time_timer(flott_core::Timestamp(1))?;
        self.value.update(context, value)?;
        out.collect(value);
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        _: &mut KeyedContext<'_, i64>,
        _: &mut Collector<i64>,
    ) -> Result<()> {
        if self.wrong == Wrong::Timer {
            return Err(Error::invalid(format!("timer {}", timer.timestamp)));
        }
        Ok(())
    }

    fn snapshot_state(&mut self, context: &mut KeyedContext<'_, i64>) -> Result<()> {
        if self.wrong == Wrong::UseInSnapshot {
            self.value.update(context, 0)?;
        }
        Ok(())
    }
}

fn faulty(wrong: Wrong) -> StreamTest<i64, i64> {
    StreamTest::new(move |_, numbers: DataStream<i64>| {
        let faulty = Faulty { wrong, value: ValueState::default(), list: ListState::default() };
        numbers.key_by(|n| *n).process(faulty).name("faulty")
    })
    .record(1)
}

#[test]
fn one_name_for_two_states_names_operator_and_state() {
    let error = faulty(Wrong::SameName).run().unwrap_err().report();
    assert!(error.contains("operator \"faulty\"") && error.contains("\"numbers\""), "{error}");
    assert!(error.contains("list state") && error.contains("value state"), "{error}");
}

#[test]
fn state_and_timers_without_a_key_are_refused() {
    let error = faulty(Wrong::UseInOpen).run().unwrap_err().report();
    let expected = "operator \"faulty\": keyed state was used without a current key";
    assert!(error.contains(expected), "{error}");
    let error = faulty(Wrong::TimerInOpen).run().unwrap_err().report();
    assert!(error.contains("there is no current key here"), "{error}");
}

/// The key of the last record is nobody's at a snapshot.
#[test]
fn a_snapshot_has_no_key() {
    let error = faulty(Wrong::UseInSnapshot).check([1]).unwrap_err().to_string();
    assert!(error.contains("operator \"faulty\" (1/1) failed"), "{error}");
    assert!(error.contains("keyed state was used without a current key"), "{error}");
}

#[test]
fn a_handle_that_was_not_registered_is_refused() {
    let error = faulty(Wrong::Unregistered).run().unwrap_err().report();
    assert!(error.contains("operator \"faulty\" (1/1) failed"), "{error}");
    assert!(error.contains("register it in open"), "{error}");
}

#[test]
fn an_error_of_a_timer_carries_the_operators_name() {
    let error = faulty(Wrong::Timer).run().unwrap_err().report();
    assert_eq!(error, "operator \"faulty\" (1/1) failed\nCaused by: timer 1");
}

#[test]
fn one_name_for_two_operator_states_names_operator_and_state() {
    #[derive(Clone, Default)]
    struct Twice(OperatorListState<i64>, OperatorListState<String>);

    impl ProcessFunction<i64, i64> for Twice {
        fn open(&mut self, context: &mut ProcessContext<'_>) -> Result<()> {
            self.0 = context.operator_list_state("numbers")?;
            self.1 = context.operator_list_state("numbers")?;
            Ok(())
        }

        fn process_element(
            &mut self,
            _: i64,
            _: &mut ProcessContext<'_>,
            _: &mut Collector<i64>,
        ) -> Result<()> {
            Ok(())
        }
    }

    let error = error(|numbers| numbers.process(Twice::default()).name("twice")).report();
    assert!(error.contains("operator \"twice\"") && error.contains("\"numbers\""), "{error}");
}

fn reduced(numbers: DataStream<i64>) -> DataStream<i64> {
    numbers.key_by(|n| *n).reduce(|a: &i64, b: i64| a + b)
}

#[test]
fn two_operators_with_one_uid_are_refused_by_name() {
    let error = error(|numbers| {
        numbers.map(|n: i64| n).name("a").uid("x").map(|n: i64| n).name("b").uid("x")
    });
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.to_string().contains("(\"a\") and #2 (\"b\") have the same uid \"x\""),
        "{error}"
    );
}

#[test]
fn two_stateful_operators_of_one_name_need_uids() {
    let text = error(|numbers| reduced(reduced(numbers))).to_string();
    assert!(text.contains("are both named \"reduce\""), "{text}");
    assert!(text.contains("set .uid(\"…\") on each"), "{text}");
}

#[test]
fn a_parallelism_above_the_maximum_names_the_operator_and_both_numbers() {
    let text =
        error(|numbers| reduced(numbers).set_max_parallelism(3).set_parallelism(4)).to_string();
    assert!(text.contains("\"reduce\" has parallelism 4, above its max parallelism 3"), "{text}");
    let text = error(|numbers| numbers.map(|n: i64| n).set_parallelism(0)).to_string();
    assert!(text.contains("\"map\" has parallelism 0"), "{text}");
    let text = error(|numbers| reduced(numbers).set_max_parallelism(40_000)).to_string();
    assert!(text.contains("\"reduce\"") && text.contains("40000 is out of range"), "{text}");
}

#[test]
fn a_wrong_option_is_refused_when_the_program_is_planned() {
    let test = StreamTest::new(|env, numbers: DataStream<i64>| {
        env.enable_checkpointing(std::time::Duration::from_millis(1));
        numbers.map(|n: i64| n)
    });
    let error = test.record(1).run().unwrap_err().report();
    assert!(error.contains("execution.checkpointing.interval"), "{error}");
}
