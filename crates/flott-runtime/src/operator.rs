//! The contract between the runtime and the operators: everything that processes records, from a
//! map to a sink, and the sources that records come from.
//!
//! Call order: `open` once; then any number of `process`, `on_watermark`, `on_processing_time`;
//! at a checkpoint `prepare_barrier`, then (after the barrier was sent) `snapshot`, later
//! `notify_complete` or `notify_aborted`; at the end of all input `finish`, after which only
//! checkpoints follow; `close` at the very end, also after a failure.
//!
//! Every method is called from one thread at a time, never blocks on a channel, and what it puts
//! into the collector is passed on when it returns.

use std::sync::Arc;

use flott_core::accumulator::Accumulators;
use flott_core::element::Barrier;
use flott_core::{
    AttemptNumber, CheckpointId, Error, JobId, MaxParallelism, Now, OperatorId, Result, Timestamp,
    WallTime,
};
use flott_state::{
    RestoredKeyedState, RestoredOperatorState, StateAnswer, StateBackend, StateQuestion,
};

use crate::batch::Batch;
use crate::collector::Collector;
use crate::snapshot::OperatorParts;

/// Who an operator instance is.
#[derive(Clone, Debug)]
pub struct OperatorInstance {
    /// The job.
    pub job: JobId,
    /// The operator's id, the hash of its uid.
    pub id: OperatorId,
    /// The operator's name, for people.
    pub name: String,
    /// Which subtask, from 0.
    pub subtask: u32,
    /// How many subtasks the operator has.
    pub parallelism: u32,
    /// How many key groups it has.
    pub max_parallelism: MaxParallelism,
    /// Which deployment of the job this is.
    pub attempt: AttemptNumber,
    /// What the task adds up beside its output.
    pub accumulators: Accumulators,
}

/// Wakes a task: something that it waited for may have happened. Cheap, callable from any thread,
/// and harmless when the task is awake.
pub trait Wake: Send + Sync {
    /// Makes the task be stepped again soon.
    fn wake(&self);
}

/// What an operator finds when it opens.
pub struct OpenContext<'a> {
    /// Who it is.
    pub instance: &'a OperatorInstance,
    /// The time.
    pub now: Now,
    /// Wakes the operator's task.
    pub waker: Arc<dyn Wake>,
    /// Whether only final results are wanted: the input has an end, which the watermark
    /// [`Timestamp::MAX`] announces.
    pub batch: bool,
    /// Whether checkpoints are taken: without them, nothing will ever be notified of one.
    pub checkpointing: bool,
    /// Where it keeps keyed state.
    pub state_backend: &'a StateBackend,
    /// The state that it had in the checkpoint that the job starts from.
    pub restored: RestoredOperator,
    /// Names of restored states that nobody asked for; reported when all operators are open.
    pub(crate) unclaimed: &'a mut Vec<String>,
}

impl OpenContext<'_> {
    /// Whether the operator starts from a checkpoint.
    pub fn is_restored(&self) -> bool {
        self.restored.is_restored
    }

    /// Reports restored states that the operator did not register: the job is refused unless the
    /// user allowed state to be left out.
    pub fn report_unclaimed(&mut self, names: impl IntoIterator<Item = String>) {
        let instance = self.instance;
        self.unclaimed.extend(
            names
                .into_iter()
                .map(|state| format!("state \"{state}\" of operator \"{}\"", instance.name)),
        );
    }
}

/// The state of one operator instance in the checkpoint that it starts from.
#[derive(Default)]
pub struct RestoredOperator {
    /// Whether there is such a checkpoint.
    pub is_restored: bool,
    /// Keyed states, with their bytes.
    pub keyed: Vec<RestoredKeyedState>,
    /// Operator states, with their bytes.
    pub operator_states: Vec<RestoredOperatorState>,
    /// Whether the instance had seen the end of its data.
    pub end_of_data: bool,
}

/// Something that turns batches of `In` into records of `Out`.
pub trait Operator<In, Out>: Send {
    /// Called once before anything else: register state, acquire what is needed.
    ///
    /// # Errors
    /// Fails the task.
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        context.report_unclaimed_all();
        Ok(())
    }

    /// Handles a batch; it must be empty afterwards.
    ///
    /// # Errors
    /// Fails the task.
    fn process(&mut self, batch: &mut Batch<In>, out: &mut Collector<Out>, now: Now) -> Result<()>;

    /// No record at or below `watermark` will come. Timers fire here.
    ///
    /// # Errors
    /// Fails the task.
    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut Collector<Out>,
        now: Now,
    ) -> Result<()> {
        let _ = (watermark, out, now);
        Ok(())
    }

    /// Whether watermarks from upstream go on downstream. Watermark generators say no.
    fn forwards_watermarks(&self) -> bool {
        true
    }

    /// When the operator wants [`Operator::on_processing_time`] to be called next.
    fn next_processing_time(&self) -> Option<WallTime> {
        None
    }

    /// The time is `now`, at or after what [`Operator::next_processing_time`] asked for.
    ///
    /// # Errors
    /// Fails the task.
    fn on_processing_time(&mut self, out: &mut Collector<Out>, now: Now) -> Result<()> {
        let _ = (out, now);
        Ok(())
    }

    /// The barrier is about to be sent: emit what must be before it.
    ///
    /// # Errors
    /// Fails the task.
    fn prepare_barrier(&mut self, barrier: Barrier, out: &mut Collector<Out>) -> Result<()> {
        let _ = (barrier, out);
        Ok(())
    }

    /// Hands out references to the state as it is now. Must not take longer for more state.
    ///
    /// # Errors
    /// Fails the task.
    fn snapshot(&mut self, barrier: Barrier, parts: &mut OperatorParts) -> Result<()> {
        let _ = (barrier, parts);
        Ok(())
    }

    /// Says what the operator's keyed state has for a key, and changes nothing that anybody could see.
    ///
    /// # Errors
    /// If it has no such state, or the key is none; the task goes on.
    fn look_up(&mut self, question: &StateQuestion, now: Now) -> Result<StateAnswer> {
        let _ = now;
        Err(Error::invalid(format!(
            "the operator has no keyed state, and so none called \"{}\"",
            question.state
        )))
    }

    /// The checkpoint is complete, and so are all before it. May be called again for a checkpoint,
    /// and may be left out for one if a later one completes.
    ///
    /// # Errors
    /// Fails the task.
    fn notify_complete(&mut self, checkpoint: CheckpointId, now: Now) -> Result<()> {
        let _ = (checkpoint, now);
        Ok(())
    }

    /// The checkpoint will never be complete.
    ///
    /// # Errors
    /// Fails the task.
    fn notify_aborted(&mut self, checkpoint: CheckpointId) -> Result<()> {
        let _ = checkpoint;
        Ok(())
    }

    /// No record will follow. Not called again after a restore from a checkpoint that was taken
    /// after it.
    ///
    /// # Errors
    /// Fails the task.
    fn finish(&mut self, out: &mut Collector<Out>, now: Now) -> Result<()> {
        let _ = (out, now);
        Ok(())
    }

    /// The task ends, well or not. Release what was acquired.
    ///
    /// # Errors
    /// Fails the task if it has not failed yet.
    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

impl OpenContext<'_> {
    /// Reports all restored state as not asked for: what an operator without state does.
    pub fn report_unclaimed_all(&mut self) {
        let keyed = std::mem::take(&mut self.restored.keyed);
        let operator_states = std::mem::take(&mut self.restored.operator_states);
        let names = keyed
            .into_iter()
            .map(|state| state.handle.name)
            .chain(operator_states.into_iter().map(|state| state.name));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.dedup();
        self.report_unclaimed(names);
    }
}

/// What a source has to say after it was polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// There is more: poll again at once.
    More,
    /// Nothing now: poll again when the task is woken, or at this time.
    Idle(Option<WallTime>),
    /// Nothing will follow.
    EndOfInput,
}

/// Where records come from. Methods shared with [`Operator`] have the same contract.
pub trait Source<Out>: Send {
    /// See [`Operator::open`].
    ///
    /// # Errors
    /// Fails the task.
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()>;

    /// Emits up to `limit` records. Must not block.
    ///
    /// # Errors
    /// Fails the task.
    fn poll(&mut self, limit: usize, out: &mut Collector<Out>, now: Now) -> Result<SourceStatus>;

    /// See [`Operator::snapshot`]: the position after the last record emitted.
    ///
    /// # Errors
    /// Fails the task.
    fn snapshot(&mut self, barrier: Barrier, parts: &mut OperatorParts) -> Result<()>;

    /// See [`Operator::notify_complete`].
    ///
    /// # Errors
    /// Fails the task.
    fn notify_complete(&mut self, checkpoint: CheckpointId) -> Result<()> {
        let _ = checkpoint;
        Ok(())
    }

    /// See [`Operator::notify_aborted`].
    ///
    /// # Errors
    /// Fails the task.
    fn notify_aborted(&mut self, checkpoint: CheckpointId) -> Result<()> {
        let _ = checkpoint;
        Ok(())
    }

    /// See [`Operator::close`].
    ///
    /// # Errors
    /// Fails the task if it has not failed yet.
    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}
