//! `window` on a keyed stream: records of a key that belong to the same stretch of time, taken together.
//!
//! A windowed stream is an operator with state (`window-contents`: a map by window) and timers. Windows are Flink's: their end is exclusive, they fire when event time has come to their last millisecond,
//! and what comes later than [`WindowedStream::allowed_lateness`] is dropped or goes to a side output.

mod assigners;
mod contents;
mod operator;
mod panes;

use std::ops::AddAssign;
use std::time::Duration;

use flott_core::codec::{Data, Key, StateData};
use flott_core::{Result, Timestamp, WallTime};
use flott_runtime::{Collector, OutputTag};
use flott_state::AggregateFunction;
use serde::{Deserialize, Serialize};

pub use assigners::{
    EventTimeSessionWindows, ProcessingTimeSessionWindows, SlidingEventTimeWindows,
    SlidingProcessingTimeWindows, TumblingEventTimeWindows, TumblingProcessingTimeWindows,
    WindowAssigner,
};

use crate::keyed::KeyedStream;
use crate::outcome::Outcome;
use crate::stream::DataStream;
use crate::updates;
use contents::{Aggregated, Elements, Reduced, WindowContents};
use operator::WindowOperator;
use panes::Times;

/// A stretch of time: from `start` up to, but not at, `end`, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimeWindow {
    /// The first millisecond.
    pub start: Timestamp,
    /// The first millisecond after it.
    pub end: Timestamp,
}

impl TimeWindow {
    /// Its last millisecond: when event time has come there, it fires. The timestamp of its results.
    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(self.end.0.saturating_sub(1))
    }

    /// Whether they share a millisecond, or one begins where the other ends: then sessions are one.
    pub fn intersects(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// The least window that has both in it.
    #[must_use]
    pub fn cover(&self, other: &Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// What a [`ProcessWindowFunction`] can see beside the records.
#[derive(Clone, Copy, Debug)]
pub struct WindowContext {
    pub(crate) window: TimeWindow,
    pub(crate) watermark: Timestamp,
    pub(crate) processing_time: WallTime,
}

impl WindowContext {
    /// The window.
    pub fn window(&self) -> TimeWindow {
        self.window
    }

    /// How far event time has come.
    pub fn current_watermark(&self) -> Timestamp {
        self.watermark
    }

    /// The wall-clock time at the start of the batch.
    pub fn current_processing_time(&self) -> WallTime {
        self.processing_time
    }
}

/// A function that is called when a window fires, with all that it has. Each subtask has its own clone. A closure is one.
pub trait ProcessWindowFunction<K, In, Out>: Send {
    /// Called with the records of a window in the order in which they came, or with the one result of an aggregate.
    ///
    /// # Errors
    /// Fails the task.
    fn process(
        &mut self,
        key: &K,
        context: &WindowContext,
        elements: &[In],
        out: &mut Collector<Out>,
    ) -> Result<()>;
}

impl<K, In, Out, F> ProcessWindowFunction<K, In, Out> for F
where
    F: FnMut(&K, &WindowContext, &[In], &mut Collector<Out>) -> Result<()> + Send,
{
    fn process(
        &mut self,
        key: &K,
        context: &WindowContext,
        elements: &[In],
        out: &mut Collector<Out>,
    ) -> Result<()> {
        self(key, context, elements, out)
    }
}

/// A keyed stream whose records are taken together by window. Its verbs give one result for each key and window; one
/// more for each record that is late, but not too late.
///
/// ```
/// use std::time::Duration;
///
/// use flott_datastream::{DataStream, OutputTag, TumblingEventTimeWindows};
///
/// /// Word, count and time, in milliseconds.
/// type Counted = (String, u64, i64);
///
/// fn by_minute(words: DataStream<Counted>, late: &OutputTag<Counted>) -> DataStream<Counted> {
///     words
///         .key_by(|(word, _, _)| word.clone())
///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
///         .allowed_lateness(Duration::from_secs(5))
///         .side_output_late_data(late)
///         .sum(|(_, count, _)| count)
/// }
/// ```
pub struct WindowedStream<K, T, A> {
    keyed: KeyedStream<K, T>,
    assigner: A,
    lateness: Duration,
    late: Option<OutputTag<T>>,
}

impl<K: Key, T: Data> KeyedStream<K, T> {
    /// Takes records together by window: `window(TumblingEventTimeWindows::of(seconds(10)))`.
    pub fn window<A: WindowAssigner>(self, assigner: A) -> WindowedStream<K, T, A> {
        WindowedStream { keyed: self, assigner, lateness: Duration::ZERO, late: None }
    }
}

impl<K: Key, T: Data, A: WindowAssigner> WindowedStream<K, T, A> {
    /// For so long after its end an event-time window is kept: each record that comes in that time fires it again. 0 if
    /// nothing is said.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// Records that are too late go there, instead of being dropped (which the accumulator `numLateRecordsDropped`
    /// counts).
    #[must_use]
    pub fn side_output_late_data(mut self, tag: &OutputTag<T>) -> Self {
        self.late = Some(tag.clone());
        self
    }

    /// An accumulator for each window, and its result when that fires.
    pub fn aggregate<Acc: StateData, U: Data, F>(self, function: F) -> DataStream<U>
    where
        F: AggregateFunction<T, Acc, U> + 'static,
    {
        self.contents(
            "aggregate",
            Aggregated::new(
                function,
                |_: &K, _: &WindowContext, result: U, out: &mut Collector<U>| {
                    out.collect(result);
                    Ok(())
                },
            ),
        )
    }

    /// An accumulator for each window; `window_function` gets its result when that fires.
    pub fn aggregate_with<Acc: StateData, R: Data, U: Data, F, W>(
        self,
        function: F,
        mut window_function: W,
    ) -> DataStream<U>
    where
        F: AggregateFunction<T, Acc, R> + 'static,
        W: ProcessWindowFunction<K, R, U> + Clone + Sync + 'static,
    {
        self.contents(
            "aggregate",
            Aggregated::new(
                function,
                move |key: &K, context: &WindowContext, result: R, out: &mut Collector<U>| {
                    window_function.process(key, context, &[result], out)
                },
            ),
        )
    }

    fn contents<U: Data, C>(self, name: &str, contents: C) -> DataStream<U>
    where
        C: WindowContents<K, T, U>,
    {
        let Self { keyed, assigner, lateness, late } = self;
        keyed.transform(name, move |_| {
            let times = Times::new(assigner.clone(), lateness);
            WindowOperator::<K, T, A, C, C::State>::new(times, contents.clone(), late.clone())
        })
    }
}

impl<K: Key, T: StateData, A: WindowAssigner> WindowedStream<K, T, A> {
    /// All records of a window, when that fires. Each is kept until then: an aggregate needs less.
    pub fn process<U: Data, W>(self, window_function: W) -> DataStream<U>
    where
        W: ProcessWindowFunction<K, T, U> + Clone + Sync + 'static,
    {
        self.contents("process", Elements(window_function))
    }

    /// The records of a window combined, when that fires: `f` gets the last result (or the first record) and a record,
    /// and returns the new result, or a `Result` with it.
    pub fn reduce<R, M>(
        self,
        f: impl Fn(&T, T) -> R + Clone + Send + Sync + 'static,
    ) -> DataStream<T>
    where
        R: Outcome<T, M> + 'static,
        M: 'static,
    {
        self.reduced("reduce", updates::reduce(f))
    }

    /// The records of a window combined; `window_function` gets the result when that fires.
    pub fn reduce_with<R, M, U: Data, W>(
        self,
        f: impl Fn(&T, T) -> R + Clone + Send + Sync + 'static,
        mut window_function: W,
    ) -> DataStream<U>
    where
        R: Outcome<T, M> + 'static,
        M: 'static,
        W: ProcessWindowFunction<K, T, U> + Clone + Sync + 'static,
    {
        let emit = move |key: &K, context: &WindowContext, all: &T, out: &mut Collector<U>| {
            window_function.process(key, context, std::slice::from_ref(all), out)
        };
        self.contents("reduce", Reduced::new(updates::reduce(f), emit))
    }

    /// The sum of a field: `.sum(|(_, count)| count)`. The other fields are those of the first record.
    pub fn sum<N: AddAssign + Clone + 'static>(
        self,
        field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.reduced("sum", updates::sum(field))
    }

    /// The minimum of a field. The other fields are those of the first record.
    pub fn min<N: PartialOrd + 'static>(
        self,
        field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.reduced("min", updates::min(field))
    }

    /// The maximum of a field. The other fields are those of the first record.
    pub fn max<N: PartialOrd + 'static>(
        self,
        field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.reduced("max", updates::max(field))
    }

    /// The record with the least value of a field; the first of several.
    pub fn min_by<N: PartialOrd + 'static>(
        self,
        field: impl Fn(&T) -> N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.reduced("min_by", updates::min_by(field))
    }

    /// The record with the greatest value of a field; the first of several.
    pub fn max_by<N: PartialOrd + 'static>(
        self,
        field: impl Fn(&T) -> N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.reduced("max_by", updates::max_by(field))
    }

    fn reduced(
        self,
        name: &str,
        update: impl Fn(&mut T, T) -> Result<()> + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        let emit = |_: &K, _: &WindowContext, all: &T, out: &mut Collector<T>| {
            out.collect(all.clone());
            Ok(())
        };
        self.contents(name, Reduced::new(update, emit))
    }
}
