//! What a key has in its windows, and when something is to be done about it. No state, no timers: these are the
//! operator's.

use std::time::Duration;

use flott_core::{Error, Result, Timestamp, WallTime};
use flott_runtime::{Collector, NO_TIMESTAMP};
use flott_state::{SmallMap, TimerKind};
use serde::{Deserialize, Serialize};

use super::contents::WindowContents;
use super::{TimeWindow, WindowAssigner, WindowContext};

/// The windows of a key.
pub(super) type Panes<S> = SmallMap<TimeWindow, Pane<S>>;

/// A window of a key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Pane<S> {
    contents: S,
    /// Whether it has fired since a record was last added. That cannot be told from the watermark: after a restore it
    /// begins from nothing.
    has_fired: bool,
}

/// When windows fire, are forgotten, and are too late.
pub(super) struct Times<A> {
    pub(super) assigner: A,
    pub(super) lateness: Duration,
    pub(super) watermark: Timestamp,
    pub(super) processing_time: WallTime,
}

impl<A: WindowAssigner> Times<A> {
    pub(super) fn new(assigner: A, lateness: Duration) -> Self {
        Self { assigner, lateness, watermark: Timestamp::MIN, processing_time: Timestamp::MIN }
    }

    /// By which clock windows fire.
    #[inline]
    pub(super) fn kind(&self) -> TimerKind {
        self.assigner.time()
    }

    #[inline]
    fn is_of_event_time(&self) -> bool {
        self.kind() == TimerKind::EventTime
    }

    /// The time by which a record is in windows.
    #[inline]
    pub(super) fn of_record(&self, timestamp: Timestamp) -> Timestamp {
        if self.is_of_event_time() { timestamp } else { self.processing_time }
    }

    /// That time, if there is one.
    pub(super) fn checked(&self, time: Timestamp) -> Result<Timestamp> {
        if time != NO_TIMESTAMP {
            return Ok(time);
        }
        Err(Error::invalid(
            "a record without a timestamp came to a window of event time: call assign_timestamps_and_watermarks \
             before key_by, or use windows of processing time",
        ))
    }

    /// When a window is forgotten: with its end, or so much later as records may be late.
    pub(super) fn cleanup_time(&self, window: &TimeWindow) -> Timestamp {
        self.and_lateness(window.max_timestamp())
    }

    fn and_lateness(&self, time: Timestamp) -> Timestamp {
        if self.is_of_event_time() { time.plus(self.lateness) } else { time }
    }

    /// Whether nothing can be added to a window any more. Time that passes on a wall makes nobody late.
    #[inline]
    pub(super) fn is_late(&self, window: &TimeWindow) -> bool {
        self.is_over(window) && self.cleanup_time(window) <= self.watermark
    }

    /// Whether a window that comes to be now fires at once.
    #[inline]
    pub(super) fn is_over(&self, window: &TimeWindow) -> bool {
        self.is_of_event_time() && window.max_timestamp() <= self.watermark
    }

    /// Whether a record that is in no window is so because it came too late.
    pub(super) fn is_too_late(&self, timestamp: Timestamp) -> bool {
        self.is_of_event_time() && self.and_lateness(timestamp) <= self.watermark
    }

    /// When something is to be done about a window.
    fn next_time<S>(&self, window: &TimeWindow, pane: &Pane<S>) -> Timestamp {
        if pane.has_fired { self.cleanup_time(window) } else { window.max_timestamp() }
    }

    fn context(&self, window: &TimeWindow) -> WindowContext {
        let Self { watermark, processing_time, .. } = *self;
        WindowContext { window: *window, watermark, processing_time }
    }
}

/// Adds a record to a window. Says whether it may lack a timer, or has to fire at once: one that waits for its end does
/// neither.
#[inline]
pub(super) fn add<K, T, U, C: WindowContents<K, T, U>>(
    panes: &mut Panes<C::State>,
    window: TimeWindow,
    value: T,
    contents: &C,
) -> Result<bool> {
    if let Some(pane) = panes.get_mut(&window) {
        contents.add(&mut pane.contents, value)?;
        return Ok(std::mem::take(&mut pane.has_fired));
    }
    panes.insert(window, Pane { contents: contents.first(value)?, has_fired: false });
    Ok(true)
}

/// Makes one window of a session and of those that it touches. What these have is in it.
pub(super) fn merge<K, T, U, C: WindowContents<K, T, U>>(
    panes: &mut Panes<C::State>,
    session: TimeWindow,
    contents: &C,
) -> Result<TimeWindow> {
    let touched = || panes.iter().map(|(window, _)| *window).filter(|own| own.intersects(&session));
    let merged = touched().fold(session, |all, window| all.cover(&window));
    if touched().all(|own| own == merged) {
        return Ok(merged);
    }
    let mut all: Option<Pane<C::State>> = None;
    let first = |panes: &Panes<C::State>| {
        panes.iter().map(|(window, _)| *window).find(|own| own.intersects(&session))
    };
    while let Some(window) = first(panes) {
        let Some(pane) = panes.remove(&window) else { break };
        all = Some(match all {
            // If one waits for its end, so does what they become: its timer is no later, and may fire for nothing.
            Some(earlier) => Pane {
                contents: contents.merge(earlier.contents, pane.contents)?,
                has_fired: earlier.has_fired && pane.has_fired,
            },
            None => pane,
        });
    }
    if let Some(all) = all {
        panes.insert(merged, all);
    }
    Ok(merged)
}

/// The time for which a window that waits for its end needs a timer. Where an earlier one waits there is one: the others
/// are thought of when that has fired.
pub(super) fn timer_for<S>(panes: &Panes<S>, window: &TimeWindow) -> Option<Timestamp> {
    let first = panes.iter().find(|(_, pane)| !pane.has_fired);
    let is_waited_for = first.is_some_and(|(first, _)| first != window && first.end <= window.end);
    (!is_waited_for).then(|| window.max_timestamp())
}

/// Gives away what a window has that is over already.
pub(super) fn fire_at_once<K, T, U, A: WindowAssigner, C: WindowContents<K, T, U>>(
    panes: &mut Panes<C::State>,
    window: &TimeWindow,
    times: &Times<A>,
    (key, contents): (&K, &mut C),
    out: &mut Collector<U>,
) -> Result<()> {
    let Some(pane) = panes.get_mut(window) else { return Ok(()) };
    pane.has_fired = true;
    out.set_timestamp(window.max_timestamp());
    contents.emit(key, &times.context(window), &pane.contents, out)
}

/// It is `time`: gives away what windows have that end, and forgets those that no record can come to any more. Returns
/// when something is to be done next; nothing if no window is left.
pub(super) fn fire<K, T, U, A: WindowAssigner, C: WindowContents<K, T, U>>(
    panes: &mut Panes<C::State>,
    time: Timestamp,
    times: &Times<A>,
    (key, contents): (&K, &mut C),
    out: &mut Collector<U>,
) -> Result<Option<Timestamp>> {
    let mut next = None;
    panes.try_retain(|window, pane| {
        if times.next_time(window, pane) <= time {
            if !pane.has_fired {
                pane.has_fired = true;
                out.set_timestamp(window.max_timestamp());
                contents.emit(key, &times.context(window), &pane.contents, out)?;
            }
            if times.cleanup_time(window) <= time {
                return Ok(false);
            }
        }
        let own = times.next_time(window, pane);
        next = Some(next.map_or(own, |next: Timestamp| next.min(own)));
        Ok(true)
    })?;
    Ok(next)
}
