//! The function behind a windowed stream.

use std::time::Duration;

use flott_core::accumulator::LongCounter;
use flott_core::codec::{Data, Key, StateData};
use flott_core::{Error, Result, Timestamp};
use flott_runtime::{Collector, OutputTag};
use flott_state::{MapState, MapStateDescriptor, TimerKind};
use serde::{Deserialize, Serialize};

use super::contents::WindowContents;
use super::{TimeWindow, WindowAssigner, WindowContext};
use crate::accumulators::AccumulatorContext;
use crate::keyed_process::{KeyedContext, KeyedProcessFunction, Timer};

/// The name of the state.
const CONTENTS: &str = "window-contents";
/// The accumulator that counts records that were too late; the name is Flink's.
const DROPPED: &str = "numLateRecordsDropped";

/// A window of a key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pane<S> {
    contents: S,
    /// Whether it has fired since a record was last added. That cannot be told from the watermark: after a restore it
    /// begins from nothing.
    has_fired: bool,
}

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
    state: MapState<TimeWindow, Pane<S>>,
    dropped: LongCounter,
    /// Those of the record at hand.
    windows: Vec<TimeWindow>,
    /// Those that a session touches.
    touched: Vec<TimeWindow>,
    /// Those that a timer is for, and whether they have fired.
    due: Vec<(TimeWindow, bool)>,
}

impl<T, A: Clone, C: Clone, S> Clone for WindowOperator<T, A, C, S> {
    fn clone(&self) -> Self {
        let Self { assigner, contents, settings, state, .. } = self;
        let (assigner, contents) = (assigner.clone(), contents.clone());
        let settings = settings.clone();
        Self { state: *state, ..Self::new(assigner, contents, settings) }
    }
}

impl<T, A, C, S> WindowOperator<T, A, C, S> {
    pub(super) fn new(assigner: A, contents: C, settings: WindowSettings<T>) -> Self {
        let (windows, touched, due) = (Vec::new(), Vec::new(), Vec::new());
        let (state, dropped) = (MapState::default(), LongCounter::default());
        Self { assigner, contents, settings, state, dropped, windows, touched, due }
    }
}

impl<T: Data, A: WindowAssigner, C, S: StateData> WindowOperator<T, A, C, S> {
    fn is_of_event_time(&self) -> bool {
        self.assigner.time() == TimerKind::EventTime
    }

    /// When a window is forgotten: with its end, or so much later as records may be late.
    fn cleanup_time(&self, window: &TimeWindow) -> Timestamp {
        let end = window.max_timestamp();
        if self.is_of_event_time() { end.plus(self.settings.lateness) } else { end }
    }

    /// Whether nothing can be added to a window any more. Time that passes on a wall makes nobody late.
    fn is_late<K: Key>(&self, window: &TimeWindow, context: &KeyedContext<'_, K>) -> bool {
        self.is_of_event_time() && self.cleanup_time(window) <= context.current_watermark()
    }

    /// When something is to be done about a window.
    fn next_time(&self, window: &TimeWindow, pane: &Pane<S>) -> Timestamp {
        if pane.has_fired { self.cleanup_time(window) } else { window.max_timestamp() }
    }

    fn set_timer<K: Key>(&self, time: Timestamp, context: &mut KeyedContext<'_, K>) -> Result<()> {
        match self.assigner.time() {
            TimerKind::EventTime => context.register_event_time_timer(time),
            TimerKind::ProcessingTime => context.register_processing_time_timer(time),
        }
    }

    /// Sees to it that the key has a timer no later than the end of a window that has not fired. Where an earlier window
    /// waits for its end there is one: the others are thought of when that has fired.
    fn wait_for<K: Key>(
        &self,
        window: &TimeWindow,
        context: &mut KeyedContext<'_, K>,
    ) -> Result<()> {
        let mut others = self.state.iter(context)?;
        let is_earlier = |(other, pane): (&TimeWindow, &Pane<S>)| {
            !pane.has_fired && other != window && other.end <= window.end
        };
        if others.find(|(_, pane)| !pane.has_fired).is_some_and(is_earlier) {
            return Ok(());
        }
        drop(others);
        self.set_timer(window.max_timestamp(), context)
    }

    /// A record that belongs to no window that is still there.
    fn drop_late<K: Key, U>(
        &self,
        value: T,
        timestamp: Timestamp,
        context: &KeyedContext<'_, K>,
        out: &mut Collector<U>,
    ) {
        let is_late = self.is_of_event_time()
            && timestamp.plus(self.settings.lateness) <= context.current_watermark();
        match &self.settings.late {
            _ if !is_late => {}
            Some(tag) => out.output(tag, value),
            None => self.dropped.add(1),
        }
    }

    /// Adds a record to a window. Says whether a timer may be missing: that of a window that waits for its end is there.
    fn add<K: Key, U: Data>(
        &self,
        window: TimeWindow,
        value: T,
        context: &mut KeyedContext<'_, K>,
    ) -> Result<bool>
    where
        C: WindowContents<K, T, U, State = S>,
    {
        if let Some(pane) = self.state.get_mut(context, &window)? {
            self.contents.add(&mut pane.contents, value)?;
            return Ok(std::mem::take(&mut pane.has_fired));
        }
        let contents = self.contents.first(value)?;
        self.state.put(context, window, Pane { contents, has_fired: false })?;
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
        self.touched.clear();
        let touched = self.state.keys(context)?.filter(|window| window.intersects(&session));
        self.touched.extend(touched.copied());
        let merged = self.touched.iter().fold(session, |all, window| all.cover(window));
        if self.touched.len() < 2 && self.touched.iter().all(|own| *own == merged) {
            return Ok(merged);
        }
        let mut all: Option<Pane<S>> = None;
        for window in &self.touched {
            let Some(pane) = self.state.remove(context, window)? else { continue };
            all = Some(match all {
                // If one waits for its end, so does what they become: its timer is no later, and may fire for nothing.
                Some(earlier) => Pane {
                    contents: self.contents.merge(earlier.contents, pane.contents)?,
                    has_fired: earlier.has_fired && pane.has_fired,
                },
                None => pane,
            });
        }
        match all {
            Some(all) => self.state.put(context, merged, all).map(|()| merged),
            None => Ok(merged),
        }
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
        let Some(Pane { contents, .. }) = self.state.remove(context, &window)? else {
            return Ok(());
        };
        let seen = WindowContext {
            window,
            watermark: context.current_watermark(),
            processing_time: context.current_processing_time(),
        };
        out.set_timestamp(window.max_timestamp());
        self.contents.emit(context.current_key()?, &seen, &contents, out)?;
        if !kept {
            return Ok(());
        }
        self.state.put(context, window, Pane { contents, has_fired: true })
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
        self.dropped = context.long_counter(DROPPED)?;
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
            let Some(mut window) = self.windows.get(index).copied() else { break };
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
            let may_lack_timer = self.add(window, own, context)?;
            let is_over = window.max_timestamp() <= context.current_watermark();
            if self.is_of_event_time() && is_over {
                self.fire(window, true, context, out)?;
                self.set_timer(self.cleanup_time(&window), context)?;
            } else if may_lack_timer {
                self.wait_for(&window, context)?;
            }
        }
        if let Some(value) = value.filter(|_| !is_in_any) {
            self.drop_late(value, timestamp, context, out);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<U>,
    ) -> Result<()> {
        let mut all = std::mem::take(&mut self.due);
        all.clear();
        let is_due = |(window, pane): &(&TimeWindow, &Pane<C::State>)| {
            self.next_time(window, pane) <= timer.timestamp
        };
        let due = self.state.iter(context)?.filter(is_due);
        all.extend(due.map(|(window, pane)| (*window, pane.has_fired)));
        for (window, has_fired) in all.drain(..) {
            if has_fired {
                self.state.remove(context, &window)?;
            } else {
                let is_kept = self.cleanup_time(&window) > timer.timestamp;
                self.fire(window, is_kept, context, out)?;
            }
        }
        self.due = all;
        let left = self.state.iter(context)?.map(|(window, pane)| self.next_time(window, pane));
        match left.min() {
            Some(next) => self.set_timer(next, context),
            None => Ok(()),
        }
    }
}
