//! Running aggregates per key.

use std::marker::PhantomData;
use std::sync::Arc;

use flott_core::codec::{Data, Key, StateData};
use flott_core::element::Barrier;
use flott_core::{Error, Now, Result, Timestamp};
use flott_runtime::{Batch, Collector, OpenContext, Operator, OperatorParts};
use flott_state::{
    AggregateFunction, Hint, KeyedBackend, PagedTable, RawValue, StateAnswer, StateQuestion,
    TimerService,
};

use crate::ahead::Ahead;
use crate::keyed::Keyed;

/// One value per key, in a table that is used by whole batches.
struct KeyedValues<K: Key, V: StateData> {
    backend: KeyedBackend<K>,
    state: RawValue<V>,
    /// Whether only what the values are in the end is wanted.
    final_only: bool,
    ahead: Ahead,
}

impl<K: Key, V: StateData> KeyedValues<K, V> {
    fn open(context: &mut OpenContext<'_>, name: &str) -> Result<Self> {
        let mut backend = open_backend(context)?;
        let state = backend.register_raw_value::<V>(name)?;
        context.report_unclaimed(backend.unclaimed());
        context.report_unclaimed_all();
        Ok(Self { backend, state, final_only: context.batch, ahead: Ahead::default() })
    }

    /// Calls `f` with each record of a batch, and the table in which its key is or belongs: where, the hint says.
    fn process<T>(
        &mut self,
        batch: &mut Batch<Keyed<K, T>>,
        f: impl FnMut(&mut PagedTable<K, V>, Hint, Keyed<K, T>, Timestamp) -> Result<()>,
    ) -> Result<()> {
        let Self { backend, state, ahead, .. } = self;
        state.fetch(backend, batch.records().iter().map(|record| (record.hash, &record.key)))?;
        ahead.drain(state.table_mut(backend)?, batch, f)
    }

    /// At the end of a bounded input: calls `f` with each value, if they were not emitted as they
    /// changed.
    fn at_the_end(&mut self, watermark: Timestamp, f: impl FnMut(&V) -> Result<()>) -> Result<()> {
        if self.final_only && watermark == Timestamp::MAX {
            return self.state.for_each(&mut self.backend, f);
        }
        Ok(())
    }
}

/// The keyed state of an operator that opens, with what a checkpoint has of it.
pub(crate) fn open_backend<K: Key>(context: &mut OpenContext<'_>) -> Result<KeyedBackend<K>> {
    let instance = context.instance;
    let range = instance.max_parallelism.range_of(instance.subtask, instance.parallelism);
    let mut backend = KeyedBackend::new(instance.name.clone(), range, instance.max_parallelism)
        .on(context.state_backend.clone());
    backend.set_now(context.now.wall);
    backend.restore(std::mem::take(&mut context.restored.keyed));
    Ok(backend)
}

/// The same with timers, which are taken out of what a checkpoint has first.
pub(crate) fn open_backend_with_timers<K: Key>(
    context: &mut OpenContext<'_>,
) -> Result<(KeyedBackend<K>, TimerService<K>)> {
    let instance = context.instance;
    let range = instance.max_parallelism.range_of(instance.subtask, instance.parallelism);
    let mut timers = TimerService::new(instance.name.clone(), range, instance.max_parallelism);
    timers.restore(&mut context.restored.keyed)?;
    Ok((open_backend(context)?, timers))
}

pub(crate) fn not_open() -> Error {
    Error::internal("an operator is used before it is open")
}

/// The operator of `sum`, `reduce` and their like: the state is a record.
pub(crate) struct Rolling<K: Key, T: StateData, F> {
    update: F,
    values: Option<KeyedValues<K, T>>,
}

impl<K: Key, T: StateData, F> Rolling<K, T, F> {
    pub(crate) fn new(update: F) -> Self {
        Self { update, values: None }
    }
}

impl<K, T, F> Operator<Keyed<K, T>, T> for Rolling<K, T, F>
where
    K: Key,
    T: StateData,
    F: Fn(&mut T, T) -> Result<()> + Send,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        self.values = Some(KeyedValues::open(context, "rolling")?);
        Ok(())
    }

    fn process(
        &mut self,
        batch: &mut Batch<Keyed<K, T>>,
        out: &mut Collector<T>,
        _: Now,
    ) -> Result<()> {
        let Self { update, values } = self;
        let values = values.as_mut().ok_or_else(not_open)?;
        let final_only = values.final_only;
        values.process(batch, |table, hint, Keyed { hash, key, value }, timestamp| {
            let mut value = Some(value);
            let state = table.upsert_at(hint, hash, key, || take(&mut value));
            if let Some(value) = value {
                update(state, value)?;
            }
            if !final_only {
                out.collect_with_timestamp(state.clone(), timestamp);
            }
            Ok(())
        })
    }

    fn on_watermark(&mut self, watermark: Timestamp, out: &mut Collector<T>, _: Now) -> Result<()> {
        self.values.as_mut().ok_or_else(not_open)?.at_the_end(watermark, |value| {
            out.collect_with_timestamp(value.clone(), watermark);
            Ok(())
        })
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        parts.add_keyed(self.values.as_mut().ok_or_else(not_open)?.backend.snapshot()?);
        Ok(())
    }

    fn look_up(&mut self, question: &StateQuestion, now: Now) -> Result<StateAnswer> {
        self.values.as_mut().ok_or_else(not_open)?.backend.look_up(question, now.wall)
    }
}

/// Takes a value that is known to be there: an insertion runs once.
#[expect(clippy::expect_used, reason = "the table inserts at most once per call")]
fn take<T>(value: &mut Option<T>) -> T {
    value.take().expect("the table inserts at most once")
}

/// The operator of `aggregate`: the state is an accumulator.
pub(crate) struct RollingAggregate<K: Key, T, A: StateData, U> {
    function: Arc<dyn AggregateFunction<T, A, U>>,
    values: Option<KeyedValues<K, A>>,
    types: PhantomData<fn(T) -> U>,
}

impl<K: Key, T, A: StateData, U> RollingAggregate<K, T, A, U> {
    pub(crate) fn new(function: Arc<dyn AggregateFunction<T, A, U>>) -> Self {
        Self { function, values: None, types: PhantomData }
    }
}

impl<K: Key, T: Data, A: StateData, U: Data> Operator<Keyed<K, T>, U>
    for RollingAggregate<K, T, A, U>
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        self.values = Some(KeyedValues::open(context, "rolling")?);
        Ok(())
    }

    fn process(
        &mut self,
        batch: &mut Batch<Keyed<K, T>>,
        out: &mut Collector<U>,
        _: Now,
    ) -> Result<()> {
        let Self { function, values, .. } = self;
        let values = values.as_mut().ok_or_else(not_open)?;
        let final_only = values.final_only;
        values.process(batch, |table, hint, Keyed { hash, key, value }, timestamp| {
            if table.get_mut_at(hint, hash, &key).is_none() {
                let accumulator = function.create_accumulator()?;
                table.upsert(hash, key.clone(), || accumulator);
            }
            let accumulator = table.get_mut_at(hint, hash, &key).ok_or_else(not_open)?;
            function.add(accumulator, value)?;
            if !final_only {
                out.collect_with_timestamp(function.get_result(accumulator)?, timestamp);
            }
            Ok(())
        })
    }

    fn on_watermark(&mut self, watermark: Timestamp, out: &mut Collector<U>, _: Now) -> Result<()> {
        let Self { function, values, .. } = self;
        values.as_mut().ok_or_else(not_open)?.at_the_end(watermark, |accumulator| {
            out.collect_with_timestamp(function.get_result(accumulator)?, watermark);
            Ok(())
        })
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        parts.add_keyed(self.values.as_mut().ok_or_else(not_open)?.backend.snapshot()?);
        Ok(())
    }

    fn look_up(&mut self, question: &StateQuestion, now: Now) -> Result<StateAnswer> {
        self.values.as_mut().ok_or_else(not_open)?.backend.look_up(question, now.wall)
    }
}
