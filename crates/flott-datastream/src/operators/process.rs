//! `process`: a function that sees its context, with operator state of its own.

use flott_core::codec::Data;
use flott_core::element::Barrier;
use flott_core::{Error, MonoTime, Now, Result, Timestamp, WallTime};
use flott_runtime::{
    Batch, Collector, NO_TIMESTAMP, OpenContext, Operator, OperatorInstance, OperatorParts,
};
use flott_state::{OperatorStateBackend, OperatorStateContext};

use crate::accumulators::AccumulatorContext;
use crate::operator_state::{OperatorStates, open_operator_state};
use crate::stream::DataStream;

/// A function that is called for each record. Each subtask has its own clone.
pub trait ProcessFunction<In, Out>: Send {
    /// Called before the first record: register operator state here.
    ///
    /// # Errors
    /// Fails the task.
    fn open(&mut self, context: &mut ProcessContext<'_>) -> Result<()> {
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
        context: &mut ProcessContext<'_>,
        out: &mut Collector<Out>,
    ) -> Result<()>;

    /// Called just before a checkpoint: write to operator state what is not there yet.
    ///
    /// # Errors
    /// Fails the task.
    fn snapshot_state(&mut self, context: &mut ProcessContext<'_>) -> Result<()> {
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

/// What a process function can see and do.
pub struct ProcessContext<'a> {
    state: &'a mut OperatorStateBackend,
    instance: &'a OperatorInstance,
    timestamp: Timestamp,
    watermark: Timestamp,
    now: Now,
}

impl ProcessContext<'_> {
    /// The record's timestamp; nothing if it has none.
    pub fn timestamp(&self) -> Option<Timestamp> {
        (self.timestamp != NO_TIMESTAMP).then_some(self.timestamp)
    }

    /// How far event time has come.
    pub fn current_watermark(&self) -> Timestamp {
        self.watermark
    }

    /// The wall-clock time at the start of the batch.
    pub fn current_processing_time(&self) -> WallTime {
        self.now.wall
    }

    /// Which operator instance this is.
    pub fn instance(&self) -> &OperatorInstance {
        self.instance
    }
}

impl OperatorStateContext for ProcessContext<'_> {
    fn operator_state_backend(&mut self) -> Result<&mut OperatorStateBackend> {
        Ok(self.state)
    }
}

impl OperatorStates for ProcessContext<'_> {}

impl AccumulatorContext for ProcessContext<'_> {
    fn operator_instance(&self) -> &OperatorInstance {
        self.instance
    }
}

impl<T: Data> DataStream<T> {
    /// Calls `function` for each record.
    pub fn process<U: Data, F>(self, function: F) -> DataStream<U>
    where
        F: ProcessFunction<T, U> + Clone + Sync + 'static,
    {
        self.transform_stateful("process", move |_| Process {
            function: function.clone(),
            opened: None,
            watermark: Timestamp::MIN,
            now: Now { mono: MonoTime(0), wall: Timestamp::MIN },
        })
    }
}

struct Process<F> {
    function: F,
    opened: Option<(OperatorStateBackend, OperatorInstance)>,
    watermark: Timestamp,
    /// When the function was last called.
    now: Now,
}

impl<F> Process<F> {
    fn call<R>(
        &mut self,
        timestamp: Timestamp,
        now: Now,
        body: impl FnOnce(&mut F, &mut ProcessContext<'_>) -> Result<R>,
    ) -> Result<R> {
        let Some((state, instance)) = &mut self.opened else {
            return Err(Error::internal("a function is used before it is open"));
        };
        let watermark = self.watermark;
        self.now = now;
        body(&mut self.function, &mut ProcessContext { state, instance, timestamp, watermark, now })
    }
}

impl<T: Data, U: Data, F: ProcessFunction<T, U>> Operator<T, U> for Process<F> {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        self.opened = Some((open_operator_state(context), context.instance.clone()));
        self.call(NO_TIMESTAMP, context.now, |function, context| function.open(context))?;
        if let Some((state, _)) = &self.opened {
            context.report_unclaimed(state.unclaimed());
        }
        // Keyed state is not for this operator.
        context.report_unclaimed_all();
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, out: &mut Collector<U>, now: Now) -> Result<()> {
        batch.try_drain(|record, timestamp| {
            out.set_timestamp(timestamp);
            self.call(timestamp, now, |function, context| {
                function.process_element(record, context, out)
            })
        })
    }

    fn on_watermark(&mut self, watermark: Timestamp, _: &mut Collector<U>, _: Now) -> Result<()> {
        self.watermark = watermark;
        Ok(())
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        self.call(NO_TIMESTAMP, self.now, |function, context| function.snapshot_state(context))?;
        if let Some((state, _)) = &mut self.opened {
            parts.add_operator_state(state.snapshot());
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.function.close()
    }
}
