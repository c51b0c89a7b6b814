//! The operator behind a windowed stream.

use flott_core::accumulator::LongCounter;
use flott_core::codec::{Data, Key, StateData};
use flott_core::element::Barrier;
use flott_core::{Now, Result, Timestamp, WallTime};
use flott_runtime::{Batch, Collector, OpenContext, Operator, OperatorParts, OutputTag};
use flott_state::{KeyedBackend, RawSmallMap, StateAnswer, StateQuestion, TimerKind, TimerService};

use super::contents::WindowContents;
use super::panes::{self, Pane, Panes, Times};
use super::{TimeWindow, WindowAssigner};
use crate::ahead::{AHEAD, Ahead};
use crate::keyed::Keyed;
use crate::rolling::{not_open, open_backend_with_timers};

/// The name of the state.
const CONTENTS: &str = "window-contents";
/// The accumulator that counts records that were too late; the name is Flink's.
const DROPPED: &str = "numLateRecordsDropped";

/// Keeps what comes by window, and gives it away when that fires. A key has a timer no later than the first time at
/// which something is to be done about one of its windows.
pub(super) struct WindowOperator<K: Key, T, A, C, S: StateData> {
    times: Times<A>,
    contents: C,
    late: Option<OutputTag<T>>,
    opened: Option<Opened<K, S>>,
    assigned: Assigned,
    ahead: Ahead,
}

struct Opened<K: Key, S: StateData> {
    keyed: KeyedBackend<K>,
    state: RawSmallMap<TimeWindow, Pane<S>>,
    timers: TimerService<K>,
    dropped: LongCounter,
}

/// The windows of the last record.
struct Assigned {
    all: Vec<TimeWindow>,
    /// Those of every record of this stretch of time, from its start up to, but not at, its end.
    start: Timestamp,
    end: Timestamp,
    /// The only one, if that has yet to end and stays as it is.
    open: Option<TimeWindow>,
}

impl Default for Assigned {
    fn default() -> Self {
        Self { all: Vec::new(), start: Timestamp::MAX, end: Timestamp::MIN, open: None }
    }
}

impl Assigned {
    /// The window of a record that needs no more than to be added there; nothing if that is not known.
    #[inline]
    fn open_window(&self, time: Timestamp) -> Option<TimeWindow> {
        self.open.filter(|_| self.start <= time && time < self.end)
    }

    fn assign<A: WindowAssigner>(&mut self, times: &Times<A>, time: Timestamp) -> &[TimeWindow] {
        let Self { all, start, end, open } = self;
        all.clear();
        times.assigner.assign(time, all);
        // A window that comes after all others is entered behind them, without a move.
        all.sort_unstable();
        let stretch = times.assigner.stretch(time);
        (*start, *end) = stretch.map_or((time, time), |stretch| (stretch.start, stretch.end));
        *open = match &all[..] {
            [only] if !times.assigner.is_merging() && !times.is_over(only) => Some(*only),
            _ => None,
        };
        all
    }

    /// It is later.
    fn forget(&mut self) {
        self.open = None;
    }
}

impl<K: Key, T, A, C, S: StateData> WindowOperator<K, T, A, C, S> {
    pub(super) fn new(times: Times<A>, contents: C, late: Option<OutputTag<T>>) -> Self {
        let (assigned, ahead) = (Assigned::default(), Ahead::default());
        Self { times, contents, late, opened: None, assigned, ahead }
    }
}

impl<K, T, A, C, S> WindowOperator<K, T, A, C, S>
where
    K: Key,
    A: WindowAssigner,
    S: StateData,
{
    /// Fires what is due, also what becomes due while other windows fire.
    fn fire<U>(&mut self, kind: TimerKind, time: Timestamp, out: &mut Collector<U>) -> Result<()>
    where
        C: WindowContents<K, T, U, State = S>,
    {
        let Self { times, contents, opened, .. } = self;
        let Opened { keyed, state, timers, .. } = opened.as_mut().ok_or_else(not_open)?;
        while let Some((timestamp, hash, key)) = timers.pop_due(kind, time) {
            if let Some(hash) = timers.upcoming(kind, AHEAD) {
                keyed.prefetch(hash);
            }
            state.fetch(keyed, std::iter::once((hash, &key)))?;
            let table = state.table_mut(keyed)?;
            let Some(panes) = table.get_mut(hash, &key) else { continue };
            match panes::fire(panes, timestamp, times, (&key, contents), out)? {
                Some(next) => timers.register(times.kind(), hash, &key, next),
                None => {
                    table.remove(hash, &key);
                }
            }
        }
        Ok(())
    }
}

impl<K, T, U, A, C> Operator<Keyed<K, T>, U> for WindowOperator<K, T, A, C, C::State>
where
    K: Key,
    T: Data,
    U: Data,
    A: WindowAssigner,
    C: WindowContents<K, T, U>,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        self.times.assigner.validate()?;
        let (mut keyed, timers) = open_backend_with_timers(context)?;
        let state = keyed.register_raw_small_map(CONTENTS)?;
        let dropped = context.instance.accumulators.long_counter(DROPPED)?;
        context.report_unclaimed(keyed.unclaimed());
        context.report_unclaimed_all();
        self.opened = Some(Opened { keyed, state, timers, dropped });
        Ok(())
    }

    fn process(
        &mut self,
        batch: &mut Batch<Keyed<K, T>>,
        out: &mut Collector<U>,
        now: Now,
    ) -> Result<()> {
        let Self { times, contents, late, opened, assigned, ahead } = self;
        let Opened { keyed, state, timers, dropped } = opened.as_mut().ok_or_else(not_open)?;
        times.processing_time = now.wall;
        state.fetch(keyed, batch.records().iter().map(|record| (record.hash, &record.key)))?;
        let table = state.table_mut(keyed)?;
        ahead.drain(table, batch, |table, hint, Keyed { hash, key, value }, timestamp| {
            let time = times.of_record(timestamp);
            let own = table.entry_at(hint, hash, &key, Panes::default);
            if let Some(window) = assigned.open_window(time) {
                if panes::add(own, window, value, contents)?
                    && let Some(timer) = panes::timer_for(own, &window)
                {
                    timers.register(times.kind(), hash, &key, timer);
                }
                return Ok(());
            }
            let windows = assigned.assign(times, times.checked(time)?);
            let mut value = Some(value);
            let mut is_in_any = false;
            for (index, window) in windows.iter().enumerate() {
                let mut window = *window;
                if times.assigner.is_merging() {
                    window = panes::merge(own, window, contents)?;
                }
                if times.is_late(&window) {
                    continue;
                }
                is_in_any = true;
                // The last window gets the record itself.
                let is_last = index + 1 == windows.len();
                let record = if is_last { value.take() } else { value.clone() };
                let Some(record) = record else { continue };
                if panes::add(own, window, record, contents)? {
                    let timer = if times.is_over(&window) {
                        panes::fire_at_once(own, &window, times, (&key, contents), out)?;
                        Some(times.cleanup_time(&window))
                    } else {
                        panes::timer_for(own, &window)
                    };
                    if let Some(timer) = timer {
                        timers.register(times.kind(), hash, &key, timer);
                    }
                }
            }
            if own.is_empty() {
                table.remove(hash, &key);
            }
            if let Some(value) = value.filter(|_| !is_in_any && times.is_too_late(time)) {
                match late {
                    Some(tag) => {
                        out.set_timestamp(timestamp);
                        out.output(tag, value);
                    }
                    None => dropped.add(1),
                }
            }
            Ok(())
        })
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut Collector<U>,
        now: Now,
    ) -> Result<()> {
        self.times.watermark = watermark;
        self.times.processing_time = now.wall;
        self.assigned.forget();
        self.fire(TimerKind::EventTime, watermark, out)
    }

    fn next_processing_time(&self) -> Option<WallTime> {
        self.opened.as_ref()?.timers.next(TimerKind::ProcessingTime)
    }

    fn on_processing_time(&mut self, out: &mut Collector<U>, now: Now) -> Result<()> {
        self.times.processing_time = now.wall;
        self.fire(TimerKind::ProcessingTime, now.wall, out)
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        let Opened { keyed, timers, .. } = self.opened.as_mut().ok_or_else(not_open)?;
        parts.add_keyed(keyed.snapshot()?);
        parts.add_timers(timers.snapshot());
        Ok(())
    }

    fn look_up(&mut self, question: &StateQuestion, now: Now) -> Result<StateAnswer> {
        let Opened { keyed, .. } = self.opened.as_mut().ok_or_else(not_open)?;
        keyed.look_up(question, now.wall)
    }
}
