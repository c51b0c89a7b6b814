//! Sinks whose output appears when the checkpoint that it belongs to is complete: two-phase commit.
//!
//! A sink prepares output that nobody can see yet and hands out a *committable* for it. The
//! operator keeps committables in the checkpoint, and commits them when it is told that the
//! checkpoint is complete, or, after a crash between the two, when it is restored from it. So what
//! is committed is exactly what lies before the barrier of a completed checkpoint.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::marker::PhantomData;

use flott_core::codec::{Data, StateData};
use flott_core::element::Barrier;
use flott_core::mutant::Mutant;
use flott_core::{CheckpointId, Error, Now, Result, Timestamp, WallTime};
use flott_runtime::{Batch, Collector, OpenContext, Operator, OperatorInstance, OperatorParts};
use flott_state::{OperatorListState, OperatorStateBackend, Redistribution};

use crate::operator_state::open_operator_state;
use crate::stream::{DataStream, DataStreamSink};

/// The states of the operator: part of the format of checkpoints.
const COMMITTABLES: &str = "committables";
const WRITER: &str = "writer";

/// A sink with two-phase commit. One instance per subtask.
///
/// Call order: `open`, then `commit` for what a checkpoint has left to commit; then any number of
/// `write` and `on_processing_time`; for each checkpoint `prepare_commit`, then `writer_state`,
/// and when it is complete `commit`; `finish` after the last record; `close` at the end, also after
/// a failure.
///
/// Without checkpointing nothing is committed before the end of the input, where everything is: an
/// unbounded job needs checkpointing for its output to appear.
pub trait TwoPhaseCommitSink<T>: Send {
    /// Names prepared output, so that any subtask, in any process, can make it visible.
    type Committable: StateData;

    /// What the sink has to remember to go on writing after a restore.
    type WriterState: StateData;

    /// How the writer states of all subtasks are dealt out on restore: split by default. A sink
    /// that has to know what belongs to others (to clean up) takes the union, and picks its own.
    fn writer_state_redistribution(&self) -> Redistribution {
        Redistribution::Split
    }

    /// Called before anything else, with the writer states of the checkpoint, if any. It must not
    /// touch output that is prepared but not committed: some subtask is about to commit it.
    ///
    /// # Errors
    /// Fails the task.
    fn open(&mut self, instance: &OperatorInstance, restored: Vec<Self::WriterState>)
    -> Result<()>;

    /// Writes a record. The timestamp is [`flott_runtime::NO_TIMESTAMP`] if it has none.
    ///
    /// # Errors
    /// Fails the task.
    fn write(&mut self, record: T, timestamp: Timestamp) -> Result<()>;

    /// Makes everything written so far durable, and hands out what is to be committed with this
    /// checkpoint. What it keeps to itself must be in the writer state. Without checkpointing it is
    /// called once, after `finish`, with checkpoint 0.
    ///
    /// # Errors
    /// Fails the task.
    fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<Vec<Self::Committable>>;

    /// What to remember. Right after `prepare_commit`.
    ///
    /// # Errors
    /// Fails the task.
    fn writer_state(&mut self, checkpoint: CheckpointId) -> Result<Vec<Self::WriterState>>;

    /// Makes prepared output visible. It may have been prepared by another subtask or before a
    /// crash, and it may have been committed before: committing what is committed is a success.
    ///
    /// # Errors
    /// Fails the task. The restarted task tries again.
    fn commit(&mut self, committable: &Self::Committable) -> Result<()>;

    /// No record will follow: the next `prepare_commit` has to hand out everything.
    ///
    /// # Errors
    /// Fails the task.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// The task ends, well or not. Release handles, but delete nothing: a checkpoint may need it.
    ///
    /// # Errors
    /// Fails the task if it has not failed yet.
    fn close(&mut self) -> Result<()>;

    /// When the sink wants [`TwoPhaseCommitSink::on_processing_time`] to be called next.
    fn next_processing_time(&self) -> Option<WallTime> {
        None
    }

    /// The time is `now`, at or after what [`TwoPhaseCommitSink::next_processing_time`] asked for.
    ///
    /// # Errors
    /// Fails the task.
    fn on_processing_time(&mut self, now: Now) -> Result<()> {
        let _ = now;
        Ok(())
    }
}

impl<T: Data> DataStream<T> {
    /// Writes the stream to a sink with two-phase commit: its output appears when the checkpoint
    /// that it belongs to is complete. `make` is called once per subtask.
    pub fn sink_to<S: TwoPhaseCommitSink<T> + 'static>(
        self,
        name: &str,
        make: impl Fn(&OperatorInstance) -> S + Send + Sync + 'static,
    ) -> DataStreamSink {
        self.add_sink(name, true, move |instance| TwoPhaseCommitOperator::new(make(instance)))
    }
}

/// Runs a [`TwoPhaseCommitSink`].
pub struct TwoPhaseCommitOperator<T, S: TwoPhaseCommitSink<T>> {
    sink: S,
    /// What is prepared and not committed, by the checkpoint that it was prepared for.
    pending: BTreeMap<CheckpointId, Vec<S::Committable>>,
    /// Nothing until the operator is open.
    states: Option<States<S::Committable, S::WriterState>>,
    /// Whether there will be checkpoints to commit with.
    checkpointing: bool,
    record: PhantomData<fn(T)>,
}

struct States<C: StateData, W: StateData> {
    backend: OperatorStateBackend,
    committables: OperatorListState<(CheckpointId, C)>,
    writer: OperatorListState<W>,
}

impl<T, S: TwoPhaseCommitSink<T>> TwoPhaseCommitOperator<T, S> {
    /// The operator of one subtask's `sink`.
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            pending: BTreeMap::new(),
            states: None,
            checkpointing: false,
            record: PhantomData,
        }
    }

    /// What `open` does, once the context is taken apart.
    fn start(
        &mut self,
        instance: &OperatorInstance,
        mut backend: OperatorStateBackend,
        checkpointing: bool,
    ) -> Result<Vec<String>> {
        let committables = backend.list_state(COMMITTABLES, Redistribution::Split)?;
        let writer = backend.list_state(WRITER, self.sink.writer_state_redistribution())?;
        let unclaimed = backend.unclaimed();
        self.checkpointing = checkpointing;
        self.pending.clear();
        let restored: &[(CheckpointId, S::Committable)] = committables.get(&mut backend)?;
        for (checkpoint, committable) in restored {
            self.pending.entry(*checkpoint).or_default().push(committable.clone());
        }
        let written: Vec<S::WriterState> = writer.get(&mut backend)?.to_vec();
        self.states = Some(States { backend, committables, writer });
        self.sink.open(instance, written)?;
        self.recover()?;
        Ok(unclaimed)
    }

    /// Commits everything that the checkpoint has left to commit: it is complete, or it would not
    /// have been restored, and so are all before it.
    fn recover(&mut self) -> Result<()> {
        if Mutant::SkipRecoveredCommit.is_on() {
            self.pending.clear();
        }
        if Mutant::RecoverOneCommittable.is_on()
            && let Some((checkpoint, mut committables)) = self.pending.pop_last()
        {
            self.pending.clear();
            committables.drain(..committables.len().saturating_sub(1));
            self.pending.insert(checkpoint, committables);
        }
        self.commit_up_to(CheckpointId(u64::MAX)).map_err(|error| {
            error.context("cannot commit what the restored checkpoint has left to commit")
        })
    }

    /// Commits in the order of checkpoints. What fails stays pending.
    fn commit_up_to(&mut self, checkpoint: CheckpointId) -> Result<()> {
        while let Some(entry) = self.pending.first_entry() {
            if *entry.key() > checkpoint {
                break;
            }
            for committable in entry.get() {
                self.sink.commit(committable)?;
            }
            entry.remove();
        }
        Ok(())
    }

    fn prepare(&mut self, checkpoint: CheckpointId) -> Result<()> {
        let committables = self.sink.prepare_commit(checkpoint)?;
        if !committables.is_empty() {
            self.pending.entry(checkpoint).or_default().extend(committables);
        }
        Ok(())
    }

    /// Brings the states up to date and gives what holds them.
    fn stored(&mut self, checkpoint: CheckpointId) -> Result<&OperatorStateBackend> {
        let states = self.states.as_mut().ok_or_else(not_open)?;
        let pending = self.pending.iter().flat_map(|(checkpoint, committables)| {
            committables.iter().map(|committable| (*checkpoint, committable.clone()))
        });
        states.committables.update(&mut states.backend, pending.collect())?;
        states.writer.update(&mut states.backend, self.sink.writer_state(checkpoint)?)?;
        Ok(&states.backend)
    }
}

fn not_open() -> Error {
    Error::internal("a two-phase commit sink is used before it is open")
}

impl<T, S: TwoPhaseCommitSink<T>> Operator<T, ()> for TwoPhaseCommitOperator<T, S> {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        let backend = open_operator_state(context);
        let unclaimed = self.start(context.instance, backend, context.checkpointing)?;
        context.report_unclaimed(unclaimed);
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Collector<()>, _: Now) -> Result<()> {
        batch.try_drain(|record, timestamp| self.sink.write(record, timestamp))
    }

    fn next_processing_time(&self) -> Option<WallTime> {
        self.sink.next_processing_time()
    }

    fn on_processing_time(&mut self, _: &mut Collector<()>, now: Now) -> Result<()> {
        self.sink.on_processing_time(now)
    }

    fn prepare_barrier(&mut self, barrier: Barrier, _: &mut Collector<()>) -> Result<()> {
        self.prepare(barrier.checkpoint)
    }

    fn snapshot(&mut self, barrier: Barrier, parts: &mut OperatorParts) -> Result<()> {
        parts.add_operator_state(self.stored(barrier.checkpoint)?.snapshot());
        Ok(())
    }

    fn notify_complete(&mut self, checkpoint: CheckpointId, _: Now) -> Result<()> {
        self.commit_up_to(checkpoint)
            .map_err(|error| error.context(format!("cannot commit checkpoint {checkpoint}")))
    }

    fn notify_aborted(&mut self, checkpoint: CheckpointId) -> Result<()> {
        // What was prepared stays pending and rides with the next checkpoint: the records behind it
        // are not sent again (FLINK-23854).
        if Mutant::DropAbortedCommittables.is_on() {
            self.pending.remove(&checkpoint);
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Collector<()>, _: Now) -> Result<()> {
        self.sink.finish()?;
        if self.checkpointing {
            // The final checkpoint prepares the rest, and its completion commits it.
            return Ok(());
        }
        self.prepare(CheckpointId(0))?;
        self.commit_up_to(CheckpointId(0))
            .map_err(|error| error.context("cannot commit at the end of the input"))
    }

    fn close(&mut self) -> Result<()> {
        self.sink.close()
    }
}
