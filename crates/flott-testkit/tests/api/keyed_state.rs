//! Keyed process functions with each kind of keyed state.

use std::sync::Arc;

use flott_core::Result;
use flott_datastream::{
    AggregateFunction, AggregatingState, AggregatingStateDescriptor, Collector, DataStream,
    KeyedContext, KeyedProcessFunction, ListState, ListStateDescriptor, MapState,
    MapStateDescriptor, ReducingState, ReducingStateDescriptor, ValueState, ValueStateDescriptor,
};
use flott_testkit::StreamTest;

use crate::common::word;

type Word = (String, i64);

/// Runs the words of two keys through a function, in every variation.
fn check<F>(function: F, expected: &[(&str, &str)])
where
    F: KeyedProcessFunction<String, Word, (String, String)> + Clone + Sync + 'static,
{
    let expected = expected.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    StreamTest::new(move |_, words: DataStream<Word>| {
        words.key_by(|(word, _)| word.clone()).process(function.clone())
    })
    .records([word("a", 1), word("b", 5), word("a", 2), word("a", 0), word("b", 6), word("a", 3)])
    .order_within(|(key, _)| key.clone())
    .rescaled()
    .check(expected)
    .unwrap();
}

/// The last value; zero clears it.
#[derive(Clone, Default)]
struct Last(ValueState<i64>);

impl KeyedProcessFunction<String, Word, (String, String)> for Last {
    fn open(&mut self, context: &mut KeyedContext<'_, String>) -> Result<()> {
        self.0 = context.value_state(ValueStateDescriptor::new("last"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (key, value): Word,
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<(String, String)>,
    ) -> Result<()> {
        assert_eq!(*context.current_key()?, key);
        let last = self.0.get(context)?.copied();
        out.collect((key, format!("{last:?}")));
        if value == 0 {
            self.0.clear(context)?;
            assert_eq!(self.0.get(context)?, None);
        } else if let Some(last) = self.0.get_mut(context)? {
            *last = value * 10;
        } else {
            self.0.update(context, value)?;
        }
        Ok(())
    }
}

#[test]
fn a_value_is_read_written_changed_in_place_and_cleared_by_key() {
    check(
        Last::default(),
        &[
            ("a", "None"),
            ("b", "None"),
            ("a", "Some(1)"),
            ("a", "Some(20)"),
            ("b", "Some(5)"),
            ("a", "None"),
        ],
    );
}

/// All values; zero replaces them.
#[derive(Clone, Default)]
struct All(ListState<i64>);

impl KeyedProcessFunction<String, Word, (String, String)> for All {
    fn open(&mut self, context: &mut KeyedContext<'_, String>) -> Result<()> {
        self.0 = context.list_state(ListStateDescriptor::new("all"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (key, value): Word,
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<(String, String)>,
    ) -> Result<()> {
        if value == 0 {
            self.0.update(context, vec![-1])?;
            self.0.add_all(context, [-2, -3])?;
        } else {
            self.0.add(context, value)?;
        }
        out.collect((key, format!("{:?}", self.0.get(context)?)));
        Ok(())
    }
}

#[test]
fn a_list_keeps_its_order_by_key() {
    check(
        All::default(),
        &[
            ("a", "[1]"),
            ("b", "[5]"),
            ("a", "[1, 2]"),
            ("a", "[-1, -2, -3]"),
            ("b", "[5, 6]"),
            ("a", "[-1, -2, -3, 3]"),
        ],
    );
}

/// Squares by value; zero removes that of 1.
#[derive(Clone, Default)]
struct Squares(MapState<i64, i64>);

impl KeyedProcessFunction<String, Word, (String, String)> for Squares {
    fn open(&mut self, context: &mut KeyedContext<'_, String>) -> Result<()> {
        self.0 = context.map_state(MapStateDescriptor::new("squares"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (key, value): Word,
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<(String, String)>,
    ) -> Result<()> {
        if value == 0 {
            assert_eq!(self.0.remove(context, &1)?, Some(1));
            assert!(!self.0.contains(context, &1)?);
        } else {
            self.0.put(context, -value, value * value)?;
            self.0.put_all(context, [(value, value * value)])?;
            self.0.remove(context, &-value)?;
        }
        let entries: Vec<_> = self.0.iter(context)?.map(|(k, v)| format!("{k}:{v}")).collect();
        assert_eq!(self.0.keys(context)?.count(), entries.len());
        assert!(!self.0.is_empty(context)?);
        out.collect((key, entries.join(" ")));
        Ok(())
    }
}

#[test]
fn a_map_is_ordered_by_its_own_keys_by_key() {
    check(
        Squares::default(),
        &[
            ("a", "1:1"),
            ("b", "5:25"),
            ("a", "1:1 2:4"),
            ("a", "2:4"),
            ("b", "5:25 6:36"),
            ("a", "2:4 3:9"),
        ],
    );
}

/// The greatest value; zero forgets it.
#[derive(Clone, Default)]
struct Greatest(ReducingState<i64>);

impl KeyedProcessFunction<String, Word, (String, String)> for Greatest {
    fn open(&mut self, context: &mut KeyedContext<'_, String>) -> Result<()> {
        let function = Arc::new(|a: &i64, b: &i64| Ok(*a.max(b)));
        self.0 = context.reducing_state(ReducingStateDescriptor::new("greatest", function))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (key, value): Word,
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<(String, String)>,
    ) -> Result<()> {
        match value {
            0 => self.0.clear(context)?,
            value => self.0.add(context, value)?,
        }
        out.collect((key, format!("{:?}", self.0.get(context)?)));
        Ok(())
    }
}

#[test]
fn a_reducing_state_combines_what_is_added_by_key() {
    check(
        Greatest::default(),
        &[
            ("a", "Some(1)"),
            ("b", "Some(5)"),
            ("a", "Some(2)"),
            ("a", "None"),
            ("b", "Some(6)"),
            ("a", "Some(3)"),
        ],
    );
}

struct Average;

impl AggregateFunction<i64, (i64, i64), f64> for Average {
    fn create_accumulator(&self) -> Result<(i64, i64)> {
        Ok((0, 0))
    }

    fn add(&self, (sum, count): &mut (i64, i64), value: i64) -> Result<()> {
        *sum += value;
        *count += 1;
        Ok(())
    }

    fn get_result(&self, (sum, count): &(i64, i64)) -> Result<f64> {
        Ok(*sum as f64 / *count as f64)
    }

    fn merge(&self, a: (i64, i64), b: (i64, i64)) -> Result<(i64, i64)> {
        Ok((a.0 + b.0, a.1 + b.1))
    }
}

#[derive(Clone, Default)]
struct Averages(AggregatingState<i64, (i64, i64), f64>);

impl KeyedProcessFunction<String, Word, (String, String)> for Averages {
    fn open(&mut self, context: &mut KeyedContext<'_, String>) -> Result<()> {
        let descriptor = AggregatingStateDescriptor::new("average", Arc::new(Average));
        self.0 = context.aggregating_state(descriptor)?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (key, value): Word,
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<(String, String)>,
    ) -> Result<()> {
        self.0.add(context, value)?;
        out.collect((key, format!("{:?}", self.0.get(context)?)));
        Ok(())
    }
}

#[test]
fn an_aggregating_state_keeps_an_accumulator_by_key() {
    check(
        Averages::default(),
        &[
            ("a", "Some(1.0)"),
            ("b", "Some(5.0)"),
            ("a", "Some(1.5)"),
            ("a", "Some(1.0)"),
            ("b", "Some(5.5)"),
            ("a", "Some(1.5)"),
        ],
    );
}

/// Several states side by side, of which one is seldom used.
#[derive(Clone, Default)]
struct Several {
    count: ValueState<u32>,
    texts: MapState<String, Option<Vec<u8>>>,
    never: ListState<String>,
}

impl KeyedProcessFunction<String, Word, (String, String)> for Several {
    fn open(&mut self, context: &mut KeyedContext<'_, String>) -> Result<()> {
        self.count = context.value_state(ValueStateDescriptor::new("count"))?;
        self.texts = context.map_state(MapStateDescriptor::new("texts"))?;
        self.never = context.list_state(ListStateDescriptor::new("never"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (key, value): Word,
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<(String, String)>,
    ) -> Result<()> {
        *self.count.get_or_insert_with(context, || 100)? += 1;
        self.texts.put(context, value.to_string(), Some(vec![value as u8]))?;
        let texts = self.texts.iter(context)?.count();
        let count = self.count.get(context)?.copied();
        out.collect((key, format!("{count:?} {texts} {}", self.never.get(context)?.len())));
        Ok(())
    }
}

#[test]
fn several_states_of_one_function_do_not_meet() {
    check(
        Several::default(),
        &[
            ("a", "Some(101) 1 0"),
            ("b", "Some(101) 1 0"),
            ("a", "Some(102) 2 0"),
            ("a", "Some(103) 3 0"),
            ("b", "Some(102) 2 0"),
            ("a", "Some(104) 4 0"),
        ],
    );
}
