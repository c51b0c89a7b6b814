//! The job that is simulated: everything that can lose, double or reorder a record is in it.
//!
//! Two sources with splits → union → perhaps a detour → by key: a function with state, event-time
//! and processing-time timers → a counter with operator state → a sink with two-phase commit. Or each
//! source has all of that for itself.

use std::sync::Arc;
use std::time::Duration;

use flott_core::element::Barrier;
use flott_core::hash::mix;
use flott_core::{Error, MonoTime, Now, Result, Timestamp};
use flott_datastream::{
    Batch, Collector, DataStream, KeyedContext, KeyedProcessFunction, MapState, MapStateDescriptor,
    OpenContext, Operator, OperatorListState, OperatorParts, Source, SourceStatus,
    StreamExecutionEnvironment, Timer, TimerKind, ValueState, ValueStateDescriptor,
};
use flott_runtime::Program;
use flott_state::{OperatorStateBackend, Redistribution};
use serde::{Deserialize, Serialize};

use crate::capture::capture;

use super::ledger::{Callback, Ledger, LedgerSink, Output};
use super::scenario::Scenario;

/// The length of the windows, in milliseconds of event time.
pub(crate) const WINDOW: i64 = 50;

/// How long after a key's first record its processing-time timer fires.
const TIMER_DELAY: Duration = Duration::from_millis(30);

/// How long a source waits after its last record before it ends: every timer has fired by then, also if the wall
/// clock was set back meanwhile.
const LINGER: Duration = Duration::from_millis(500);

/// An input record: a pure function of split and index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) split: u32,
    pub(crate) index: u64,
    pub(crate) key: u32,
}

/// All that there is to read.
#[derive(Clone, Copy)]
pub(crate) struct Input {
    seed: u64,
    keys: u32,
    /// The first split with keys of its own: two pipelines have none in common.
    others_from: u32,
}

impl Input {
    pub(crate) fn new(seed: u64, scenario: &Scenario) -> Self {
        let others_from = if scenario.side_by_side { scenario.splits[0] } else { u32::MAX };
        Self { seed, keys: scenario.keys, others_from }
    }

    pub(crate) fn event(self, split: u32, index: u64) -> Event {
        let Self { seed, keys, others_from } = self;
        let key = (mix(seed ^ mix(u64::from(split) << 32 | index)) % u64::from(keys)) as u32;
        let key = if split >= others_from { key + keys } else { key };
        Event { split, index, key }
    }
}

impl Event {
    /// When it happened.
    pub(crate) fn time(&self) -> i64 {
        self.index as i64 * 7 + i64::from(self.split % 3)
    }
}

/// Builds the program.
pub(crate) fn program(seed: u64, scenario: &Scenario, ledger: &Ledger) -> Result<Program> {
    let (program, _) = capture(scenario.configuration()?, |env| draw(env, seed, scenario, ledger))?;
    Arc::into_inner(program).ok_or_else(|| Error::internal("the program is shared"))
}

fn draw(
    env: &StreamExecutionEnvironment,
    seed: u64,
    scenario: &Scenario,
    ledger: &Ledger,
) -> Result<()> {
    let input = Input::new(seed, scenario);
    let mut first_split = 0;
    let mut streams = scenario.splits.iter().enumerate().map(|(number, splits)| {
        let splits = first_split..first_split + splits;
        first_split = splits.end;
        let records = scenario.records;
        env.add_source("events", move |instance| {
            let mine =
                splits.clone().filter(|split| split % instance.parallelism == instance.subtask);
            Splits::new(input, records, mine.collect())
        })
        .uid(&format!("source-{number}"))
        .set_parallelism(scenario.parallelism[0])
    });
    let (Some(left), Some(right)) = (streams.next(), streams.next()) else {
        return Err(Error::internal("there are two sources"));
    };
    if scenario.side_by_side {
        pipeline(left, "", scenario, ledger);
        pipeline(right, "-other", scenario, ledger);
    } else {
        pipeline(left.union([right]), "", scenario, ledger);
    }
    Ok(())
}

/// What becomes of events; its operators have uids that end so.
fn pipeline(mut events: DataStream<Event>, suffix: &str, scenario: &Scenario, ledger: &Ledger) {
    let [_, keyed_parallelism, sink_parallelism] = scenario.parallelism;
    if scenario.detour {
        events = events.rebalance().map(|event: Event| event).set_parallelism(keyed_parallelism);
    }
    let ordered = !scenario.detour;
    let ledger = ledger.clone();
    events
        .key_by(|event| event.key)
        .process(Verify { ordered, ledger: ledger.clone(), ..Verify::default() })
        .uid(&format!("verify{suffix}"))
        .set_parallelism(keyed_parallelism)
        .transform_stateful("totals", |_| Totals::default())
        .uid(&format!("totals{suffix}"))
        .set_parallelism(sink_parallelism)
        .sink_to("ledger", move |instance| LedgerSink::new(ledger.clone(), instance))
        .uid(&format!("ledger{suffix}"))
        .set_parallelism(sink_parallelism);
}

/// A source that reads its splits in the order of event time.
struct Splits {
    input: Input,
    records: u64,
    /// Split and next index.
    splits: Vec<(u32, u64)>,
    state: Option<(OperatorStateBackend, OperatorListState<(u32, u64)>)>,
    last_record: Now,
}

impl Splits {
    fn new(input: Input, records: u64, splits: Vec<u32>) -> Self {
        let splits = splits.into_iter().map(|split| (split, 0)).collect();
        Self {
            input,
            records,
            splits,
            state: None,
            last_record: Now { mono: MonoTime(0), wall: Timestamp::MIN },
        }
    }

    fn next(&self) -> Option<(usize, Event)> {
        let left = self.splits.iter().enumerate().filter(|(_, (_, next))| *next < self.records);
        let events = left.map(|(at, (split, next))| (at, self.input.event(*split, *next)));
        events.min_by_key(|(_, event)| event.time())
    }
}

impl Source<Event> for Splits {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        let mut state = OperatorStateBackend::new("splits");
        state.restore(std::mem::take(&mut context.restored.operator_states));
        let list = state.list_state::<(u32, u64)>("splits", Redistribution::Split)?;
        if context.is_restored() {
            self.splits = list.get(&mut state)?.to_vec();
        }
        self.state = Some((state, list));
        self.last_record = context.now;
        Ok(())
    }

    fn poll(&mut self, limit: usize, out: &mut Collector<Event>, now: Now) -> Result<SourceStatus> {
        for _ in 0..limit {
            let Some((at, event)) = self.next() else { break };
            self.splits[at].1 += 1;
            self.last_record = now;
            let time = Timestamp(event.time());
            out.collect_with_timestamp(event, time);
        }
        if let Some((_, event)) = self.next() {
            out.emit_watermark(Timestamp(event.time() - 1));
            return Ok(SourceStatus::More);
        }
        out.set_idle(true);
        // By both clocks: what sets the wall clock must not end the job before its last records have had their
        // time.
        let left = self.last_record.mono.plus(LINGER).since(now.mono);
        let end = self.last_record.wall.plus(LINGER).max(now.wall.plus(left));
        if now.wall >= end {
            Ok(SourceStatus::EndOfInput)
        } else {
            Ok(SourceStatus::Idle(Some(end)))
        }
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        if let Some((state, list)) = &mut self.state {
            list.update(state, self.splits.clone())?;
            parts.add_operator_state(state.snapshot());
        }
        Ok(())
    }
}

/// Counts by key and window, and checks that records of a split come in order.
#[derive(Clone, Default)]
struct Verify {
    ordered: bool,
    ledger: Ledger,
    count: ValueState<u64>,
    last: MapState<u32, u64>,
    windows: MapState<i64, u64>,
}

impl KeyedProcessFunction<u32, Event, Output> for Verify {
    fn open(&mut self, context: &mut KeyedContext<'_, u32>) -> Result<()> {
        self.count = context.value_state(ValueStateDescriptor::new("count"))?;
        self.last = context.map_state(MapStateDescriptor::new("last"))?;
        self.windows = context.map_state(MapStateDescriptor::new("windows"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        event: Event,
        context: &mut KeyedContext<'_, u32>,
        out: &mut Collector<Output>,
    ) -> Result<()> {
        self.ledger.called(Callback::Process)?;
        let Event { split, index, key } = event;
        let last = self.last.get(context, &split)?.copied();
        if self.ordered && last.is_some_and(|last| last >= index) {
            return Err(Error::internal(format!(
                "VIOLATION: key {key} has record {index} of split {split} after {last:?}"
            )));
        }
        if context.current_watermark().0 >= event.time() {
            return Err(Error::internal(format!(
                "VIOLATION: record {index} of split {split} is late: the watermark is {}",
                context.current_watermark()
            )));
        }
        self.last.put(context, split, index)?;
        let count = self.count.get(context)?.copied().unwrap_or(0) + 1;
        self.count.update(context, count)?;
        if count == 1 {
            let time = context.current_processing_time().plus(TIMER_DELAY);
            context.register_processing_time_timer(time)?;
        }
        let end = (event.time() / WINDOW + 1) * WINDOW - 1;
        let in_window = self.windows.get(context, &end)?.copied().unwrap_or(0) + 1;
        self.windows.put(context, end, in_window)?;
        context.register_event_time_timer(Timestamp(end))?;
        out.collect(Output::Seen { split, index, key, count });
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyedContext<'_, u32>,
        out: &mut Collector<Output>,
    ) -> Result<()> {
        let key = *context.current_key()?;
        match timer.kind {
            TimerKind::ProcessingTime => out.collect(Output::Timer { key }),
            TimerKind::EventTime => {
                let end = timer.timestamp.0;
                let count = self.windows.get(context, &end)?.copied().unwrap_or(0);
                self.windows.remove(context, &end)?;
                out.collect(Output::Window { key, end, count });
            }
        }
        Ok(())
    }
}

/// Counts what passes, and tells at the end.
#[derive(Default)]
struct Totals {
    subtask: u32,
    count: u64,
    state: Option<(OperatorStateBackend, OperatorListState<u64>)>,
}

impl Operator<Output, Output> for Totals {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        let mut state = OperatorStateBackend::new("totals");
        state.restore(std::mem::take(&mut context.restored.operator_states));
        let list = state.list_state::<u64>("totals", Redistribution::Split)?;
        self.subtask = context.instance.subtask;
        self.count = list.get(&mut state)?.iter().sum();
        self.state = Some((state, list));
        Ok(())
    }

    fn process(
        &mut self,
        batch: &mut Batch<Output>,
        out: &mut Collector<Output>,
        _: Now,
    ) -> Result<()> {
        self.count += batch.len() as u64;
        out.collect_batch(batch);
        Ok(())
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        if let Some((state, list)) = &mut self.state {
            list.update(state, vec![self.count])?;
            parts.add_operator_state(state.snapshot());
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Collector<Output>, _: Now) -> Result<()> {
        out.collect(Output::Total { subtask: self.subtask, count: self.count });
        Ok(())
    }
}
