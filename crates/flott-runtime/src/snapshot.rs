//! The two halves of a task's snapshot: references taken in the pause, bytes written after it.

use std::sync::Arc;

use flott_checkpoint::snapshot::{OperatorSnapshot, SubtaskCheckpointMetrics, TaskSnapshot};
use flott_checkpoint::storage::{CheckpointStorage, checkpoint_folder};
use flott_core::element::CheckpointKind;
use flott_core::mutant::Mutant;
use flott_core::{AttemptNumber, CheckpointId, OperatorId, Result, TaskId};
use flott_state::{
    BaseState, KeyedSnapshot, OperatorStateSnapshot, SnapshotWriter, StateFile, StateMemory,
    TimerSnapshot,
};

use crate::chain::guarded;
use crate::in_flight::InFlightParts;
use crate::kept::TaskMemory;

/// What one operator instance put into a snapshot.
pub struct OperatorParts {
    operator: OperatorId,
    keyed: Vec<KeyedSnapshot>,
    timers: Vec<TimerSnapshot>,
    operator_states: Vec<OperatorStateSnapshot>,
    in_flight: Vec<InFlightParts>,
}

impl OperatorParts {
    /// Nothing yet.
    pub fn new(operator: OperatorId) -> Self {
        Self {
            operator,
            keyed: Vec::new(),
            timers: Vec::new(),
            operator_states: Vec::new(),
            in_flight: Vec::new(),
        }
    }

    /// Adds keyed state.
    pub fn add_keyed(&mut self, snapshot: KeyedSnapshot) {
        self.keyed.push(snapshot);
    }

    /// Adds timers.
    pub fn add_timers(&mut self, snapshot: TimerSnapshot) {
        self.timers.push(snapshot);
    }

    /// Adds operator state.
    pub fn add_operator_state(&mut self, snapshot: OperatorStateSnapshot) {
        self.operator_states.push(snapshot);
    }

    /// Adds records that were on their way to the operator.
    pub(crate) fn add_in_flight(&mut self, parts: InFlightParts) {
        self.in_flight.push(parts);
    }

    /// How many bytes those have.
    pub(crate) fn in_flight_bytes(&self) -> u64 {
        self.in_flight.iter().map(InFlightParts::bytes).sum()
    }

    fn complete(&mut self) -> Result<()> {
        self.keyed.iter_mut().try_for_each(KeyedSnapshot::complete)
    }

    fn memories(&self) -> impl Iterator<Item = (OperatorId, String, StateMemory)> {
        let keyed = self.keyed.iter().flat_map(KeyedSnapshot::memories);
        let timers = self.timers.iter().map(TimerSnapshot::memory);
        keyed.chain(timers).map(|(name, memory)| (self.operator, name.to_owned(), memory))
    }

    fn write(self, writer: &mut SnapshotWriter) -> Result<()> {
        let id = self.operator;
        self.keyed.into_iter().try_for_each(|part| part.write(id, writer))?;
        self.timers.into_iter().try_for_each(|part| part.write(id, writer))?;
        self.operator_states.into_iter().try_for_each(|part| part.write(id, writer))?;
        self.in_flight.into_iter().try_for_each(|part| {
            let InFlightParts { by_key, schema, batches } = part;
            writer.write_in_flight(id, by_key, schema, &batches)
        })
    }
}

/// A snapshot whose bytes have yet to be written: the asynchronous part of a task's checkpoint.
pub struct PendingSnapshot {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// What it is for.
    pub kind: CheckpointKind,
    /// The checkpoint that it may build upon.
    pub base: Option<CheckpointId>,
    /// The task.
    pub task: TaskId,
    /// The task's attempt.
    pub attempt: AttemptNumber,
    /// How the synchronous part went.
    pub metrics: SubtaskCheckpointMetrics,
    pub(crate) end_of_data: bool,
    pub(crate) parts: Vec<OperatorParts>,
}

impl PendingSnapshot {
    /// Whether the task had read all of the state that it was restored with.
    pub fn is_complete(&self) -> bool {
        self.parts.iter().flat_map(|part| &part.keyed).all(KeyedSnapshot::is_complete)
    }

    /// Reads what the task had not read of the state that it was restored with. Blocks on storage.
    ///
    /// # Errors
    /// If that cannot be read: the checkpoint is declined.
    pub fn complete(&mut self) -> Result<()> {
        // Decoding is the user's code.
        guarded(|| self.parts.iter_mut().try_for_each(OperatorParts::complete))
    }

    /// The tables of the task's keyed state, to be kept, once the snapshot is complete.
    pub fn memory(&self) -> TaskMemory {
        TaskMemory::new(self.parts.iter().flat_map(OperatorParts::memories).collect())
    }

    /// Adds records that were on their way to an operator of the task.
    pub(crate) fn add_in_flight(&mut self, operator: OperatorId, in_flight: InFlightParts) {
        self.metrics.overtaken_bytes += in_flight.bytes();
        match self.parts.iter_mut().find(|part| part.operator == operator) {
            Some(part) => part.add_in_flight(in_flight),
            None => {
                let mut part = OperatorParts::new(operator);
                part.add_in_flight(in_flight);
                self.parts.push(part);
            }
        }
    }

    /// The operators that have put something into it.
    pub(crate) fn operators(&self) -> impl Iterator<Item = OperatorId> {
        self.parts.iter().map(|part| part.operator)
    }

    /// Writes the state into `file`, behind that of other tasks, or into the result if it is smaller than
    /// `inline_threshold`, or into files of its own what is too much for one; says how many bytes that were. With
    /// `bases`, even without any, later checkpoints may build upon it, and it on those. Blocks on storage; called
    /// once, from any thread.
    ///
    /// # Errors
    /// If the state cannot be encoded (also if that panics) or storage fails: the checkpoint is
    /// declined, and `file` is what it was.
    pub fn write(
        self,
        file: &mut StateFile,
        storage: &Arc<dyn CheckpointStorage>,
        inline_threshold: usize,
        bases: Option<Vec<BaseState>>,
    ) -> Result<(TaskSnapshot, u64)> {
        let mut writer = SnapshotWriter::new(storage.clone(), self.path(), inline_threshold)
            .counts_broadcast(self.task.subtask == 0);
        if let Some(bases) = bases {
            writer = writer.based_on(self.checkpoint.0, bases);
        }
        // Encoding is the user's code.
        guarded(|| {
            self.parts.into_iter().try_for_each(|part| part.write(&mut writer))?;
            let bytes = writer.bytes() as u64;
            let operators: Vec<OperatorSnapshot> = writer.finish_into(file);
            Ok((TaskSnapshot { operators, end_of_data: self.end_of_data }, bytes))
        })
    }

    /// The file of the task's state. No two snapshots share one: checkpoint ids are never reused,
    /// and what an earlier attempt wrote is not overwritten.
    fn path(&self) -> String {
        let TaskId { vertex, subtask } = self.task;
        if Mutant::ReuseFileNames.is_on() {
            return format!("shared/{vertex}-{subtask}.state");
        }
        let folder = checkpoint_folder(self.checkpoint);
        format!("{folder}/{vertex}-{subtask}-{}.state", self.attempt)
    }
}
