//! One link of a chain: typed at its input, erased behind it, called once per batch.

use flott_core::element::{Barrier, Control};
use flott_core::{CheckpointId, Result, Timestamp, WallTime};

use crate::batch::Batch;
use crate::build::RestoredTask;
use crate::look_up::StateLookUp;
use crate::snapshot::OperatorParts;
use crate::task::StepContext;

/// Everything but records that goes through a chain, from its head to its outputs.
pub enum Signal<'a> {
    /// Open every operator, each with its restored state.
    Open(&'a mut RestoredTask),
    /// Event time has reached this.
    Watermark(Timestamp),
    /// Process one batch of the records that were in flight; says whether there was one.
    Recover(&'a mut bool),
    /// Nothing will come for a while (`true`), or something may come again (`false`).
    Idle(bool),
    /// Call the operators whose processing time has come, and send what has waited too long.
    ProcessingTime,
    /// The barrier is about to be sent: emit what must be before it.
    Prepare(Barrier),
    /// Send this to every output, after everything that is buffered.
    Emit(Control),
    /// Hand out references to the state.
    Snapshot(Barrier, &'a mut Vec<OperatorParts>),
    /// A checkpoint is complete.
    Complete(CheckpointId),
    /// A checkpoint was aborted.
    Aborted(CheckpointId),
    /// No record will follow.
    Finish,
    /// Send what is buffered.
    Flush,
    /// Look around, change nothing.
    Survey(&'a mut Survey),
    /// Answer what somebody wants to know of an operator's state.
    LookUp(&'a mut StateLookUp),
    /// Release everything.
    Close,
}

/// What a chain waits for.
#[derive(Debug, Default)]
pub struct Survey {
    /// Whether an output has no room: the task must not process more.
    pub blocked: bool,
    /// When an operator wants to be called, or a buffer wants to be sent.
    pub next_time: Option<WallTime>,
}

impl Survey {
    /// Something wants to be called at `time`.
    pub fn wants(&mut self, time: Option<WallTime>) {
        self.next_time = match (self.next_time, time) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

/// One link of a chain.
pub trait Stage<T>: Send {
    /// Handles a batch and leaves it empty.
    ///
    /// # Errors
    /// Fails the task.
    fn process(&mut self, batch: &mut Batch<T>, context: &mut StepContext<'_>) -> Result<()>;

    /// Handles a signal and passes it on.
    ///
    /// # Errors
    /// Fails the task.
    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()>;
}

/// Everything that reads what an operator emits: chained operators and outputs.
pub struct Downstream<T> {
    stages: Vec<Box<dyn Stage<T>>>,
}

impl<T: Clone> Downstream<T> {
    /// The readers, in order.
    pub fn new(stages: Vec<Box<dyn Stage<T>>>) -> Self {
        Self { stages }
    }

    /// Gives the batch to every reader and leaves it empty.
    pub(crate) fn process(
        &mut self,
        batch: &mut Batch<T>,
        context: &mut StepContext<'_>,
    ) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let Some((last, others)) = self.stages.split_last_mut() else {
            batch.clear();
            return Ok(());
        };
        for stage in others {
            stage.process(&mut batch.clone(), context)?;
        }
        last.process(batch, context)
    }

    pub(crate) fn signal(
        &mut self,
        signal: &mut Signal<'_>,
        context: &mut StepContext<'_>,
    ) -> Result<()> {
        self.stages.iter_mut().try_for_each(|stage| stage.signal(signal, context))
    }
}
