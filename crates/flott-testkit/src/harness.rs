//! Checks a piece of a program in one thread, with a clock that is moved by hand.
//!
//! A [`StreamTest`] has a script (records, watermarks, time that passes) and the verbs that it goes
//! through. [`StreamTest::run`] gives the output. [`StreamTest::check`] runs the script in many ways
//! that must all give the same output: record by record and all at once, with and without chaining,
//! with outputs that are always full, with a snapshot and a restore into fresh instances after
//! every step, and with a failure after every step. Real tasks, real snapshots, real bytes.
//!
//! ```
//! use flott_datastream::DataStream;
//! use flott_testkit::StreamTest;
//!
//! let word = |word: &str, count: i64| (word.to_owned(), count);
//! StreamTest::new(|_, words: DataStream<(String, i64)>| {
//!     words.key_by(|(word, _)| word.clone()).sum(|(_, count)| count)
//! })
//! .record(word("to", 1))
//! .record(word("be", 1))
//! .record(word("to", 2))
//! .rescaled()
//! .check([word("to", 1), word("be", 1), word("to", 3)])?;
//! # Ok::<(), flott_testkit::harness::CheckFailure>(())
//! ```
//!
//! What a test finds: state that is not in the snapshot, or not restored; timers that are lost; an
//! operator that depends on how records are cut into batches, or that counts on a second call of
//! `open`. What it cannot find: what needs several tasks in an unlucky order. That is what
//! [`crate::sim`] is for.

mod clock;
mod collect;
mod compare;
mod deployment;
mod run;
mod savepoint;
mod script;
mod side;
mod variation;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use flott_core::codec::Data;
use flott_core::config::Configuration;
use flott_core::{Result, Timestamp};
use flott_datastream::{DataStream, NO_TIMESTAMP, OutputTag, StreamExecutionEnvironment};

pub use compare::CheckFailure;
pub use savepoint::Savepoint;

use crate::capture::{capture, environment};
use collect::{Collected, Log};
use compare::Order;
use run::{Run, Setup};
use script::{Element, Script, ScriptSource, Step};
use side::{Side, TaggedSide};
use variation::{Failures, Variation};

/// The operators that a test adds to the program.
const SOURCE: &str = "script";
const SINK: &str = "collect";

type Build<T, U> = Box<dyn Fn(&StreamExecutionEnvironment, DataStream<T>) -> DataStream<U>>;

/// A script, the verbs that it goes through, and how to run them. See the [module](self).
///
/// The script is written in the order in which things happen. The source of the script remembers
/// its position, and after a restore says again how far event time had come. Both clocks begin at
/// 0 ms; the wall clock stands still but for [`StreamTest::advance`] and [`StreamTest::set_clock`].
pub struct StreamTest<T, U> {
    build: Build<T, U>,
    steps: Vec<Step<T>>,
    /// The subtask of the source that steps are added to.
    subtask: u32,
    subtasks: u32,
    parallelism: u32,
    rescaled: bool,
    ends: bool,
    order: Order<U>,
    savepoint: Option<Savepoint>,
    allow_non_restored_state: bool,
}

/// The script.
impl<T: Data, U: Data> StreamTest<T, U> {
    /// A test of what `build` makes of its input. It is called anew for every deployment, as a
    /// program is when its process starts again.
    pub fn new(
        build: impl Fn(&StreamExecutionEnvironment, DataStream<T>) -> DataStream<U> + 'static,
    ) -> Self {
        Self {
            build: Box::new(build),
            steps: Vec::new(),
            subtask: 0,
            subtasks: 1,
            parallelism: 1,
            rescaled: false,
            ends: true,
            order: Order::Total,
            savepoint: None,
            allow_non_restored_state: false,
        }
    }

    /// A record without a timestamp.
    #[must_use]
    pub fn record(self, record: T) -> Self {
        self.input(Element::Record(record, NO_TIMESTAMP))
    }

    /// Records without timestamps.
    #[must_use]
    pub fn records(self, records: impl IntoIterator<Item = T>) -> Self {
        records.into_iter().fold(self, Self::record)
    }

    /// A record with an event timestamp, in milliseconds.
    #[must_use]
    pub fn record_at(self, record: T, millis: i64) -> Self {
        self.input(Element::Record(record, Timestamp(millis)))
    }

    /// Event time reaches `millis`.
    #[must_use]
    pub fn watermark(self, millis: i64) -> Self {
        self.input(Element::Watermark(Timestamp(millis)))
    }

    /// The source has nothing to say for a while.
    #[must_use]
    pub fn idle(self) -> Self {
        self.input(Element::Idle(true))
    }

    /// The source takes part again.
    #[must_use]
    pub fn active(self) -> Self {
        self.input(Element::Idle(false))
    }

    /// What follows comes out of this subtask of the source, 0 at first. The source has as many
    /// subtasks as the script uses.
    #[must_use]
    pub fn on(mut self, subtask: u32) -> Self {
        self.subtask = subtask;
        self.subtasks = self.subtasks.max(subtask + 1);
        self
    }

    /// Time passes: everybody who wants to be called in between is, at that very time.
    #[must_use]
    pub fn advance(self, by: Duration) -> Self {
        self.step(Step::Advance(by))
    }

    /// The wall clock jumps to `millis`, forwards or backwards. Nobody is called in between.
    #[must_use]
    pub fn set_clock(self, millis: i64) -> Self {
        self.step(Step::SetClock(Timestamp(millis)))
    }

    fn input(self, element: Element<T>) -> Self {
        let subtask = self.subtask;
        self.step(Step::Input(subtask, element))
    }

    fn step(mut self, step: Step<T>) -> Self {
        self.steps.push(step);
        self
    }
}

/// How it is run.
impl<T: Data, U: Data> StreamTest<T, U> {
    /// The default parallelism of the program, 1 at first.
    #[must_use]
    pub fn parallelism(mut self, parallelism: u32) -> Self {
        self.parallelism = parallelism;
        self
    }

    /// Checks variations with another parallelism after every step, too.
    #[must_use]
    pub fn rescaled(mut self) -> Self {
        self.rescaled = true;
        self
    }

    /// The input does not end: the output is what was there after the last step.
    #[must_use]
    pub fn without_end(mut self) -> Self {
        self.ends = false;
        self
    }

    /// The order of the output does not count. Without this and [`StreamTest::order_within`], it
    /// counts wherever the parallelism is 1.
    #[must_use]
    pub fn any_order(mut self) -> Self {
        self.order = Order::Any;
        self
    }

    /// The order of the output counts among records of the same group, whatever the parallelism.
    #[must_use]
    pub fn order_within<K: Debug>(mut self, group: impl Fn(&U) -> K + 'static) -> Self {
        self.order = Order::Within(Arc::new(move |record| format!("{:?}", group(record))));
        self
    }

    /// The program starts from another version's state. The script begins anew.
    #[must_use]
    pub fn from_savepoint(mut self, savepoint: &Savepoint) -> Self {
        self.savepoint = Some(savepoint.clone());
        self
    }

    /// State of the savepoint that the program no longer has is left out instead of refused.
    #[must_use]
    pub fn allow_non_restored_state(mut self) -> Self {
        self.allow_non_restored_state = true;
        self
    }
}

/// Runs.
impl<T: Data, U: Data> StreamTest<T, U> {
    /// The output, from a plain run.
    ///
    /// # Errors
    /// If the program is wrong or fails.
    pub fn run(&self) -> Result<Vec<U>> {
        self.play(Variation::PLAIN, None)
    }

    /// The output, and that of a side output of the operator that comes last.
    ///
    /// # Errors
    /// If the program is wrong or fails.
    pub fn run_with_side<S: Data>(&self, tag: &OutputTag<S>) -> Result<(Vec<U>, Vec<S>)> {
        let side = TaggedSide::new(tag);
        let main = self.play(Variation::PLAIN, Some(&side))?;
        Ok((main, side.collected.take()))
    }

    /// Plays the script, and takes a savepoint instead of ending the input.
    ///
    /// # Errors
    /// If the program is wrong or fails.
    pub fn savepoint(&self) -> Result<Savepoint> {
        let savepoint = self.with_run(Variation::PLAIN, None, true, |mut run| {
            run.play()?;
            run.savepoint()
        });
        Ok(savepoint?.1.without(&[SOURCE, SINK, side::SINK]))
    }

    /// The plan as text, with the source and the sink of the test.
    ///
    /// # Errors
    /// If the program is wrong.
    pub fn explain(&self) -> Result<String> {
        let env = environment(Configuration::new());
        let script = Script::new(self.steps.clone());
        self.draw(&env, &script, self.parallelism, true, &Collected::default(), None);
        env.explain()
    }

    fn play(&self, variation: Variation, side: Option<&dyn Side<U>>) -> Result<Vec<U>> {
        let checkpointing = variation.failures != Failures::None;
        let (output, ()) = self.with_run(variation, side, checkpointing, |mut run| {
            run.play()?;
            if self.ends { run.end() } else { Ok(()) }
        })?;
        Ok(output)
    }

    fn with_run<R>(
        &self,
        variation: Variation,
        side: Option<&dyn Side<U>>,
        checkpointing: bool,
        body: impl FnOnce(Run<'_, T>) -> Result<R>,
    ) -> Result<(Vec<U>, R)> {
        let script = Script::new(self.steps.clone());
        let main = Collected::default();
        let mut logs: Vec<&dyn Log> = vec![&main];
        logs.extend(side.map(Side::log));
        let draw = |parallelism, chaining| {
            capture(Configuration::new(), |env| {
                self.draw(env, &script, parallelism, chaining, &main, side);
                Ok(())
            })
        };
        let setup = Setup {
            variation,
            parallelism: self.parallelism,
            draw: &draw,
            logs: &logs,
            savepoint: self.savepoint.as_ref(),
            allow_non_restored_state: self.allow_non_restored_state,
            checkpointing,
        };
        let result = body(Run::start(setup, script.clone(), &self.steps)?)?;
        Ok((main.take(), result))
    }

    fn draw(
        &self,
        env: &StreamExecutionEnvironment,
        script: &Script<T>,
        parallelism: u32,
        chaining: bool,
        main: &Collected<U>,
        side: Option<&dyn Side<U>>,
    ) {
        env.set_parallelism(parallelism);
        if !chaining {
            env.disable_operator_chaining();
        }
        let script = script.clone();
        let input = env
            .add_source(SOURCE, move |own| ScriptSource::new(script.clone(), own.subtask))
            .uid(SOURCE)
            .set_parallelism(self.subtasks);
        let output = (self.build)(env, input);
        if let Some(side) = side {
            side.attach(&output);
        }
        main.attach(output, SINK);
    }
}

/// Checks.
impl<T: Data, U: Data + PartialEq + Debug> StreamTest<T, U> {
    /// Runs every variation and compares its output with `expected`.
    ///
    /// # Errors
    /// The first variation that fails or gives another output, with both.
    pub fn check(&self, expected: impl IntoIterator<Item = U>) -> Result<(), CheckFailure> {
        let expected: Vec<U> = expected.into_iter().collect();
        for variation in self.variations() {
            let found = self.play(variation, None);
            self.judge(&variation, "output", &self.order, &expected, found)?;
        }
        Ok(())
    }

    /// Like [`StreamTest::check`], with a side output of the operator that comes last. In both, the
    /// order counts by the same rules; within groups it does not count in the side output.
    ///
    /// # Errors
    /// As [`StreamTest::check`].
    pub fn check_with_side<S: Data + PartialEq + Debug>(
        &self,
        expected: impl IntoIterator<Item = U>,
        tag: &OutputTag<S>,
        expected_side: impl IntoIterator<Item = S>,
    ) -> Result<(), CheckFailure> {
        let expected: Vec<U> = expected.into_iter().collect();
        let expected_side: Vec<S> = expected_side.into_iter().collect();
        let side_order = match self.order {
            Order::Total => Order::Total,
            Order::Within(_) | Order::Any => Order::Any,
        };
        for variation in self.variations() {
            let side = TaggedSide::new(tag);
            let found = self.play(variation, Some(&side));
            self.judge(&variation, "output", &self.order, &expected, found)?;
            let (found, what) = (Ok(side.collected.take()), "side output");
            self.judge(&variation, what, &side_order, &expected_side, found)?;
        }
        Ok(())
    }

    fn variations(&self) -> impl Iterator<Item = Variation> + use<T, U> {
        let rescaled = if self.rescaled { Variation::RESCALED.as_slice() } else { &[] };
        Variation::ALL.iter().chain(rescaled).copied()
    }

    fn judge<R: PartialEq + Debug>(
        &self,
        variation: &Variation,
        what: &str,
        order: &Order<R>,
        expected: &[R],
        found: Result<Vec<R>>,
    ) -> Result<(), CheckFailure> {
        let name = variation.name;
        let found = found.map_err(|error| {
            CheckFailure(format!("variation \"{name}\" failed: {}", error.report()))
        })?;
        let is_parallel = self.parallelism > 1 || !variation.parallelism.is_empty();
        let order = match order {
            Order::Total if is_parallel => &Order::Any,
            Order::Total | Order::Within(_) | Order::Any => order,
        };
        match order.difference(expected, &found) {
            None => Ok(()),
            Some(text) => Err(CheckFailure(format!("variation \"{name}\", {what}: {text}"))),
        }
    }
}
