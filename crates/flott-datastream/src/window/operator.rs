//! The function behind a windowed stream.

use std::time::Duration;

use flott_core::codec::{Data, Key};
use flott_core::{Error, Result, Timestamp};
use flott_runtime::{Collector, OutputTag};
use flott_state::{MapState, MapStateDescriptor, TimerKind};

use super::contents::WindowContents;
use super::{TimeWindow, WindowAssigner, WindowContext};
use crate::accumulators::AccumulatorContext;
use crate::keyed_process::{KeyedContext, KeyedProcessFunction, Timer};

/// The name of the state.
const CONTENTS: &str = "window-contents";
/// The accumulator that counts records that were too late; the name is Flink's.
const DROPPED: &str = "numLateRecordsDropped";

/// What becomes of late records.
pub(crate) struct WindowSettings<T> {
    pub(super) lateness: Duration,
    pub(super) late: Option<OutputTag<T>>,
}

impl<T> Clone for WindowSettings<T> {
    fn clone(&self) -> Self {
        Self { lateness: self.lateness, late: self.late.clone() }
    }
}

impl<T> Default for WindowSettings<T> {
    fn default() -> Self {
        Self { lateness: Duration::ZERO, late: None }
    }
}

/// Keeps what comes by window, and gives it away when that fires.
pub(crate) struct WindowOperator<T, A, C, S> {
    assigner: A,
    contents: C,
    settings: WindowSettings<T>,
    state: MapState<TimeWindow, S>,
    /// Those of the record or timer at hand.
    windows: Vec<TimeWindow>,
}

impl<T, A: Clone, C: Clone, S> Clone for WindowOperator<T, A, C, S> {
    fn clone(&self) -> Self {
        let Self { assigner, contents, settings, state, .. } = self;
        let (assigner, contents) = (assigner.clone(), contents.clone());
        Self { assigner, contents, settings: settings.clone(), state: *state, windows: Vec::new() }
    }
}

impl<T, A, C, S> WindowOperator<T, A, C, S> {
    pub(super) fn new(assigner: A, contents: C, settings: WindowSettings<T>) -> Self {
        Self { assigner, contents, settings, state: MapState::default(), windows: Vec::new() }
    }
}

impl<T: Data, A: WindowAssigner, C, S: flott_core::codec::StateData> WindowOperator<T, A, C, S> {
    fn is_of_event_time(&self) -> bool {
        self.assigner.time() == TimerKind::EventTime
    }

    /// When a window is forgotten: with its end, or so much later as records may be late.
    fn cleanup_time(&self, window: &TimeWindow) -> Timestamp {
        let end = window.max_timestamp();
        if self.is_of_event_time() { end.plus(self.settings.lateness) } else { end }
    }

    /// How far the time of the windows has come.
    fn time<K: Key>(&self, context: &KeyedContext<'_, K>) -> Timestamp {
        match self.assigner.time() {
            TimerKind::EventTime => context.current_watermark(),
            TimerKind::ProcessingTime => context.current_processing_time(),
        }
    }

    /// Whether nothing can be added to a window any more. Time that passes on a wall makes nobody late.
    fn is_late<K: Key>(&self, window: &TimeWindow, context: &KeyedContext<'_, K>) -> bool {
        self.is_of_event_time() && self.cleanup_time(window) <= context.current_watermark()
    }

    /// When something is to be done about a window, if time has come as far as `passed`.
    fn next_time(&self, window: &TimeWindow, passed: Timestamp) -> Timestamp {
        let end = window.max_timestamp();
        if end > passed { end } else { self.cleanup_time(window) }
    }

    fn set_timer<K: Key>(&self, time: Timestamp, context: &mut KeyedContext<'_, K>) -> Result<()> {
        match self.assigner.time() {
            TimerKind::EventTime => context.register_event_time_timer(time),
            TimerKind::ProcessingTime => context.register_processing_time_timer(time),
        }
    }

    /// Sees to it that the key has a timer no later than this window needs one. A key has one timer at a time, for the
    /// earliest of its windows: the others are thought of when that has fired.
    fn wait_for<K: Key>(
        &self,
        window: &TimeWindow,
        context: &mut KeyedContext<'_, K>,
    ) -> Result<()> {
        let passed = self.time(context);
        // Windows that are kept after their end may have no timer for it any more.
        if self.settings.lateness.is_zero() {
            let first = self.state.keys(context)?.next();
            let is_earlier = |first: &TimeWindow| {
                first != window && first.max_timestamp() > passed && first.end <= window.end
            };
            if first.is_some_and(is_earlier) {
                return Ok(());
            }
        }
        self.set_timer(self.next_time(window, passed), context)
    }

    /// A record that belongs to no window that is still there.
    fn drop_late<K: Key, U>(
        &self,
        value: T,
        timestamp: Timestamp,
        context: &KeyedContext<'_, K>,
        out: &mut Collector<U>,
    ) -> Result<()> {
        let is_late = self.is_of_event_time()
            && timestamp.plus(self.settings.lateness) <= context.current_watermark();
        match &self.settings.late {
            _ if !is_late => {}
            Some(tag) => out.output(tag, value),
            None => context.long_counter(DROPPED)?.add(1),
        }
        Ok(())
    }

    /// Adds a record to a window. Says whether the window is new.
    fn add<K: Key, U: Data>(
        &self,
        window: TimeWindow,
        value: T,
        context: &mut KeyedContext<'_, K>,
    ) -> Result<bool>
    where
        C: WindowContents<K, T, U, State = S>,
    {
        if let Some(state) = self.state.get_mut(context, &window)? {
            self.contents.add(state, value)?;
            return Ok(false);
        }
        let first = self.contents.first(value)?;
        self.state.put(context, window, first)?;
        Ok(true)
    }

    /// Makes one window of a session and of those of the key that it touches. What these have is in it.
    fn merge<K: Key, U: Data>(
        &mut self,
        session: TimeWindow,
        context: &mut KeyedContext<'_, K>,
    ) -> Result<TimeWindow>
    where
        C: WindowContents<K, T, U, State = S>,
    {
        self.windows.clear();
        let touched = self.state.keys(context)?.filter(|window| window.intersects(&session));
        self.windows.extend(touched.copied());
        let merged = self.windows.iter().fold(session, |all, window| all.cover(window));
        if matches!(self.windows.as_slice(), [] | [_])
            && self.windows.iter().all(|own| *own == merged)
        {
            return Ok(merged);
        }
        let mut all: Option<S> = None;
        for index in 0..self.windows.len() {
            let window = self.windows[index];
            let Some(state) = self.state.remove(context, &window)? else { continue };
            all = Some(match all {
                Some(earlier) => self.contents.merge(earlier, state)?,
                None => state,
            });
        }
        if let Some(all) = all {
            // Their timers are no later than its own would be, and fire for nothing.
            self.state.put(context, merged, all)?;
        }
        Ok(merged)
    }

    /// Gives away what a window has, and forgets it if it is not `kept`.
    fn fire<K: Key, U: Data>(
        &mut self,
        window: TimeWindow,
        kept: bool,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<U>,
    ) -> Result<()>
    where
        C: WindowContents<K, T, U, State = S>,
    {
        let Some(state) = self.state.remove(context, &window)? else { return Ok(()) };
        let seen = WindowContext {
            window,
            watermark: context.current_watermark(),
            processing_time: context.current_processing_time(),
        };
        out.set_timestamp(window.max_timestamp());
        self.contents.emit(context.current_key()?, &seen, &state, out)?;
        if kept { self.state.put(context, window, state) } else { Ok(()) }
    }
}

impl<K, T, U, A, C> KeyedProcessFunction<K, T, U> for WindowOperator<T, A, C, C::State>
where
    K: Key,
    T: Data,
    U: Data,
    A: WindowAssigner,
    C: WindowContents<K, T, U>,
{
    fn open(&mut self, context: &mut KeyedContext<'_, K>) -> Result<()> {
        self.assigner.validate()?;
        self.state = context.map_state(MapStateDescriptor::new(CONTENTS))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        value: T,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<U>,
    ) -> Result<()> {
        let timestamp = match self.assigner.time() {
            TimerKind::ProcessingTime => context.current_processing_time(),
            TimerKind::EventTime => context.timestamp().ok_or_else(|| {
                Error::invalid(
                    "a record without a timestamp came to a window of event time: call \
                     assign_timestamps_and_watermarks before key_by, or use windows of processing time",
                )
            })?,
        };
        self.windows.clear();
        self.assigner.assign(timestamp, &mut self.windows);
        let mut value = Some(value);
        let (count, mut is_in_any) = (self.windows.len(), false);
        for index in 0..count {
            let mut window = self.windows[index];
            if self.assigner.is_merging() {
                window = self.merge(window, context)?;
            }
            if self.is_late(&window, context) {
                continue;
            }
            is_in_any = true;
            // The last window gets the record itself.
            let own = if index + 1 == count { value.take() } else { value.clone() };
            let Some(own) = own else { continue };
            if self.add(window, own, context)? || !self.settings.lateness.is_zero() {
                self.wait_for(&window, context)?;
            }
            if window.max_timestamp() <= self.time(context) && self.is_of_event_time() {
                self.fire(window, true, context, out)?;
            }
        }
        match value {
            Some(value) if !is_in_any => self.drop_late(value, timestamp, context, out),
            _ => Ok(()),
        }
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<U>,
    ) -> Result<()> {
        let mut windows = std::mem::take(&mut self.windows);
        windows.clear();
        let is_due = |window: &TimeWindow| {
            window.max_timestamp() == timer.timestamp
                || self.cleanup_time(window) == timer.timestamp
        };
        windows.extend(self.state.keys(context)?.filter(|window| is_due(window)).copied());
        for window in &windows {
            let is_over = self.cleanup_time(window) == timer.timestamp;
            if window.max_timestamp() == timer.timestamp {
                self.fire(*window, !is_over, context, out)?;
            } else {
                self.state.remove(context, window)?;
            }
        }
        self.windows = windows;
        let others = self.state.keys(context)?;
        match others.map(|window| self.next_time(window, timer.timestamp)).min() {
            Some(next) => self.set_timer(next, context),
            None => Ok(()),
        }
    }
}
