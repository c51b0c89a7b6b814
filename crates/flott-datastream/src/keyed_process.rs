//! `process` on a keyed stream: a function with state and timers of its own, by key.

use flott_core::codec::{Data, Key, StateData};
use flott_core::element::Barrier;
use flott_core::{Error, MonoTime, Now, Result, Timestamp, WallTime};
use flott_runtime::{
    Batch, Collector, NO_TIMESTAMP, OpenContext, Operator, OperatorInstance, OperatorParts,
};
use flott_state::{
    AggregatingState, AggregatingStateDescriptor, KeyedBackend, KeyedStateContext, ListState,
    ListStateDescriptor, MapState, MapStateDescriptor, OperatorStateBackend, OperatorStateContext,
    ReducingState, ReducingStateDescriptor, StateAnswer, StateQuestion, TimerKind, TimerService,
    ValueState, ValueStateDescriptor,
};

use crate::accumulators::AccumulatorContext;
use crate::ahead::AHEAD;
use crate::event_time::ExpiryTime;
use crate::keyed::Keyed;
use crate::operator_state::{OperatorStates, open_operator_state};
use crate::rolling::{not_open, open_backend_with_timers};

/// A function that is called for each record of a keyed stream, and for its timers. Each subtask
/// has its own clone.
pub trait KeyedProcessFunction<K: Key, In, Out>: Send {
    /// Called before the first record: register state here.
    ///
    /// # Errors
    /// Fails the task.
    fn open(&mut self, context: &mut KeyedContext<'_, K>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// Called for each record.
    ///
    /// # Errors
    /// Fails the task.
    fn process_element(
        &mut self,
        value: In,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<Out>,
    ) -> Result<()>;

    /// Called when a timer fires.
    ///
    /// # Errors
    /// Fails the task.
    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<Out>,
    ) -> Result<()> {
        let _ = (timer, context, out);
        Ok(())
    }

    /// Called just before a checkpoint: write to operator state what is not there yet.
    ///
    /// # Errors
    /// Fails the task.
    fn snapshot_state(&mut self, context: &mut KeyedContext<'_, K>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// Called at the end of the task.
    ///
    /// # Errors
    /// Fails the task if it has not failed yet.
    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A timer that fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Whether it is one of event time or of processing time.
    pub kind: TimerKind,
    /// The time that it was set for.
    pub timestamp: Timestamp,
}

/// What a keyed function can see and do: state of the current key, timers, time.
pub struct KeyedContext<'a, K: Key> {
    parts: &'a mut Parts<K>,
    instance: &'a OperatorInstance,
    timestamp: Timestamp,
    now: Now,
}

/// What a keyed function has.
struct Parts<K: Key> {
    keyed: KeyedBackend<K>,
    timers: TimerService<K>,
    operator_state: OperatorStateBackend,
    watermark: Timestamp,
    /// How far it has come for state that expires by it, which waits for the timers that fire before.
    expiry: ExpiryTime,
}

impl<K: Key> KeyedContext<'_, K> {
    /// The current key.
    ///
    /// # Errors
    /// In `open`, where there is none.
    pub fn current_key(&self) -> Result<&K> {
        current(&self.parts.keyed).map(|(_, key)| key)
    }

    /// The record's timestamp, or the time of the event-time timer; nothing if there is none.
    pub fn timestamp(&self) -> Option<Timestamp> {
        (self.timestamp != NO_TIMESTAMP).then_some(self.timestamp)
    }

    /// How far event time has come.
    pub fn current_watermark(&self) -> Timestamp {
        self.parts.watermark
    }

    /// The wall-clock time at the start of the batch.
    pub fn current_processing_time(&self) -> WallTime {
        self.now.wall
    }

    /// Which operator instance this is.
    pub fn instance(&self) -> &OperatorInstance {
        self.instance
    }

    /// Fires when the watermark reaches `timestamp`, once per key and time.
    ///
    /// # Errors
    /// In `open`.
    pub fn register_event_time_timer(&mut self, timestamp: Timestamp) -> Result<()> {
        self.register(TimerKind::EventTime, timestamp)
    }

    /// Fires when the wall clock reaches `timestamp`, once per key and time.
    ///
    /// # Errors
    /// In `open`.
    pub fn register_processing_time_timer(&mut self, timestamp: WallTime) -> Result<()> {
        self.register(TimerKind::ProcessingTime, timestamp)
    }

    /// Takes a timer back. Nothing happens if there is none.
    ///
    /// # Errors
    /// In `open`.
    pub fn delete_event_time_timer(&mut self, timestamp: Timestamp) -> Result<()> {
        self.delete(TimerKind::EventTime, timestamp)
    }

    /// Takes a timer back. Nothing happens if there is none.
    ///
    /// # Errors
    /// In `open`.
    pub fn delete_processing_time_timer(&mut self, timestamp: WallTime) -> Result<()> {
        self.delete(TimerKind::ProcessingTime, timestamp)
    }

    fn register(&mut self, kind: TimerKind, timestamp: Timestamp) -> Result<()> {
        let Parts { keyed, timers, .. } = &mut *self.parts;
        let (hash, key) = current(keyed)?;
        timers.register(kind, hash, key, timestamp);
        Ok(())
    }

    fn delete(&mut self, kind: TimerKind, timestamp: Timestamp) -> Result<()> {
        let Parts { keyed, timers, .. } = &mut *self.parts;
        let (hash, key) = current(keyed)?;
        timers.delete(kind, hash, key, timestamp);
        Ok(())
    }

    /// Registers a value per key. In `open`.
    ///
    /// # Errors
    /// If the name is taken by other state, or a checkpoint has state of another type.
    pub fn value_state<V: StateData>(
        &mut self,
        descriptor: ValueStateDescriptor<V>,
    ) -> Result<ValueState<V>> {
        self.parts.keyed.value_state(descriptor)
    }

    /// Registers a list per key. In `open`.
    ///
    /// # Errors
    /// As [`KeyedContext::value_state`].
    pub fn list_state<V: StateData>(
        &mut self,
        descriptor: ListStateDescriptor<V>,
    ) -> Result<ListState<V>> {
        self.parts.keyed.list_state(descriptor)
    }

    /// Registers a map per key. In `open`.
    ///
    /// # Errors
    /// As [`KeyedContext::value_state`].
    pub fn map_state<UK: StateData + Ord, UV: StateData>(
        &mut self,
        descriptor: MapStateDescriptor<UK, UV>,
    ) -> Result<MapState<UK, UV>> {
        self.parts.keyed.map_state(descriptor)
    }

    /// Registers a value per key that is reduced. In `open`.
    ///
    /// # Errors
    /// As [`KeyedContext::value_state`].
    pub fn reducing_state<V: StateData>(
        &mut self,
        descriptor: ReducingStateDescriptor<V>,
    ) -> Result<ReducingState<V>> {
        self.parts.keyed.reducing_state(descriptor)
    }

    /// Registers an accumulator per key. In `open`.
    ///
    /// # Errors
    /// As [`KeyedContext::value_state`].
    pub fn aggregating_state<In: 'static, Acc: StateData, Out: 'static>(
        &mut self,
        descriptor: AggregatingStateDescriptor<In, Acc, Out>,
    ) -> Result<AggregatingState<In, Acc, Out>> {
        self.parts.keyed.aggregating_state(descriptor)
    }
}

impl<K: Key> KeyedStateContext for KeyedContext<'_, K> {
    type Key = K;

    fn keyed_backend(&mut self) -> Result<&mut KeyedBackend<K>> {
        Ok(&mut self.parts.keyed)
    }
}

impl<K: Key> OperatorStateContext for KeyedContext<'_, K> {
    fn operator_state_backend(&mut self) -> Result<&mut OperatorStateBackend> {
        Ok(&mut self.parts.operator_state)
    }
}

impl<K: Key> AccumulatorContext for KeyedContext<'_, K> {
    fn operator_instance(&self) -> &OperatorInstance {
        self.instance
    }
}

impl<K: Key> OperatorStates for KeyedContext<'_, K> {}

fn current<K: Key>(keyed: &KeyedBackend<K>) -> Result<(u64, &K)> {
    let current = keyed.current_hash().zip(keyed.current_key());
    current.ok_or_else(|| {
        Error::invalid("there is no current key here: keys and timers are for records and timers")
    })
}

/// The operator behind `process` on a keyed stream.
pub(crate) struct KeyedProcess<K: Key, F> {
    function: F,
    opened: Option<(Parts<K>, OperatorInstance)>,
    /// When the function was last called.
    now: Now,
    /// The hashes of the batch at hand.
    hashes: Vec<u64>,
}

impl<K: Key, F> KeyedProcess<K, F> {
    pub(crate) fn new(function: F) -> Self {
        let now = Now { mono: MonoTime(0), wall: Timestamp::MIN };
        Self { function, opened: None, now, hashes: Vec::new() }
    }

    /// Calls the function with a context.
    fn call<R>(
        &mut self,
        timestamp: Timestamp,
        now: Now,
        body: impl FnOnce(&mut F, &mut KeyedContext<'_, K>) -> Result<R>,
    ) -> Result<R> {
        let Some((parts, instance)) = &mut self.opened else {
            return Err(Error::internal("a function is used before it is open"));
        };
        self.now = now;
        parts.keyed.set_now(now.wall);
        parts.keyed.set_event_time(parts.expiry.passed(), timestamp);
        body(&mut self.function, &mut KeyedContext { parts, instance, timestamp, now })
    }

    /// Fires every timer that is due, also those that are set while others fire.
    fn fire<T, U>(
        &mut self,
        kind: TimerKind,
        time: Timestamp,
        out: &mut Collector<U>,
        now: Now,
    ) -> Result<()>
    where
        F: KeyedProcessFunction<K, T, U>,
    {
        let timestamp_of = |timestamp| match kind {
            TimerKind::EventTime => timestamp,
            TimerKind::ProcessingTime => NO_TIMESTAMP,
        };
        while let Some((parts, _)) = &mut self.opened {
            let Some((timestamp, hash, key)) = parts.timers.pop_due(kind, time) else { break };
            if let Some(hash) = parts.timers.upcoming(kind, AHEAD) {
                parts.keyed.prefetch(hash);
            }
            parts.keyed.set_current_key(hash, key);
            if kind == TimerKind::EventTime {
                parts.expiry.pass(timestamp);
            }
            out.set_timestamp(timestamp_of(timestamp));
            self.call(timestamp_of(timestamp), now, |function, context| {
                function.on_timer(Timer { kind, timestamp }, context, out)
            })?;
        }
        Ok(())
    }
}

impl<K, T, U, F> Operator<Keyed<K, T>, U> for KeyedProcess<K, F>
where
    K: Key,
    T: Data,
    U: Data,
    F: KeyedProcessFunction<K, T, U>,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        let instance = context.instance.clone();
        let (keyed, timers) = open_backend_with_timers(context)?;
        let parts = Parts {
            keyed,
            timers,
            operator_state: open_operator_state(context),
            watermark: Timestamp::MIN,
            expiry: ExpiryTime::new(),
        };
        self.opened = Some((parts, instance));
        self.call(NO_TIMESTAMP, context.now, |function, context| function.open(context))?;
        if let Some((parts, _)) = &mut self.opened {
            parts.expiry.open(&parts.keyed, &mut parts.operator_state)?;
            context.report_unclaimed(parts.keyed.unclaimed());
            context.report_unclaimed(parts.operator_state.unclaimed());
        }
        Ok(())
    }

    fn process(
        &mut self,
        batch: &mut Batch<Keyed<K, T>>,
        out: &mut Collector<U>,
        now: Now,
    ) -> Result<()> {
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.clear();
        hashes.extend(batch.records().iter().map(|record| record.hash));
        let mut ahead = hashes.iter().skip(AHEAD);
        let done = batch.try_drain(|Keyed { hash, key, value }, timestamp| {
            if let Some((parts, _)) = &mut self.opened {
                if let Some(hash) = ahead.next() {
                    parts.keyed.prefetch(*hash);
                }
                parts.keyed.set_current_key(hash, key);
            }
            out.set_timestamp(timestamp);
            self.call(timestamp, now, |function, context| {
                function.process_element(value, context, out)
            })
        });
        self.hashes = hashes;
        done
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut Collector<U>,
        now: Now,
    ) -> Result<()> {
        if let Some((parts, _)) = &mut self.opened {
            parts.watermark = watermark;
        }
        self.fire(TimerKind::EventTime, watermark, out, now)?;
        if let Some((parts, _)) = &mut self.opened {
            parts.expiry.pass(watermark);
        }
        Ok(())
    }

    fn next_processing_time(&self) -> Option<WallTime> {
        self.opened.as_ref()?.0.timers.next(TimerKind::ProcessingTime)
    }

    fn on_processing_time(&mut self, out: &mut Collector<U>, now: Now) -> Result<()> {
        self.fire(TimerKind::ProcessingTime, now.wall, out, now)
    }

    fn snapshot(&mut self, barrier: Barrier, parts: &mut OperatorParts) -> Result<()> {
        if let Some((own, _)) = &mut self.opened {
            // The last record's key is nobody's here.
            own.keyed.clear_current_key();
            // What has expired by now is not written, however long ago the last record was.
            own.keyed.set_now(self.now.wall.max(barrier.triggered_at));
        }
        self.call(NO_TIMESTAMP, self.now, |function, context| function.snapshot_state(context))?;
        if let Some((own, _)) = &mut self.opened {
            parts.add_keyed(own.keyed.snapshot()?);
            parts.add_timers(own.timers.snapshot());
            own.expiry.remember(&mut own.operator_state)?;
            parts.add_operator_state(own.operator_state.snapshot());
        }
        Ok(())
    }

    fn look_up(&mut self, question: &StateQuestion, now: Now) -> Result<StateAnswer> {
        let (parts, _) = self.opened.as_mut().ok_or_else(not_open)?;
        parts.keyed.look_up(question, now.wall)
    }

    fn close(&mut self) -> Result<()> {
        self.function.close()
    }
}
