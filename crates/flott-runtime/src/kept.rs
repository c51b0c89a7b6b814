//! Tables that a process has kept of its tasks' checkpoints: a task that starts again where they were
//! begins from them, and reads nothing.
//!
//! A table is found by the handle of what was written from it, which says where the bytes are and what is
//! in them. So it does not matter which attempt has kept it, or what has happened since.

use std::collections::{BTreeMap, BTreeSet};

use flott_checkpoint::CompletedCheckpoint;
use flott_checkpoint::snapshot::{KeyedStateHandle, TaskSnapshot};
use flott_core::{CheckpointId, KeyGroupRange, OperatorId};
use flott_state::{BaseState, StateMemory};

use crate::snapshot::PendingSnapshot;
use crate::task::Command;

/// The tables of one task's snapshot, before anything is known of what was written from them.
#[derive(Clone)]
pub struct TaskMemory(Vec<(OperatorId, String, StateMemory)>);

impl TaskMemory {
    pub(crate) fn new(tables: Vec<(OperatorId, String, StateMemory)>) -> Self {
        Self(tables)
    }
}

/// What a process has kept, by checkpoint. Pages are shared with the tasks until these write to them.
#[derive(Clone, Debug, Default)]
pub struct KeptStates {
    states: BTreeMap<CheckpointId, Vec<Kept>>,
    /// The newest checkpoint that is complete.
    completed: Option<CheckpointId>,
    /// Newer ones that never will be: their last tables may still be on the way.
    aborted: BTreeSet<CheckpointId>,
}

#[derive(Clone, Debug)]
struct Kept {
    operator: OperatorId,
    handle: KeyedStateHandle,
    memory: StateMemory,
}

impl KeptStates {
    /// Keeps the tables from which `snapshot` was written.
    pub fn keep(&mut self, checkpoint: CheckpointId, memory: TaskMemory, snapshot: &TaskSnapshot) {
        // A task keeps its table before it acknowledges: after that it comes too late to be a part of it.
        let is_late = Some(checkpoint) <= self.completed || self.aborted.contains(&checkpoint);
        if is_late {
            return;
        }
        let kept = self.states.entry(checkpoint).or_default();
        for (operator, name, memory) in memory.0 {
            let own = snapshot.operators.iter().filter(|own| own.operator == operator);
            let mut handles = own.flat_map(|own| &own.keyed);
            // An empty table was not written.
            if let Some(handle) = handles.find(|handle| handle.name == name) {
                kept.push(Kept { operator, handle: handle.clone(), memory });
            }
        }
    }

    /// What there is of a checkpoint for a snapshot to build upon that may.
    pub fn bases(&self, pending: &PendingSnapshot) -> Vec<BaseState> {
        let operators: BTreeSet<OperatorId> = pending.operators().collect();
        let kept = pending.base.and_then(|base| self.states.get(&base)).into_iter().flatten();
        let own = kept.filter(|kept| operators.contains(&kept.operator));
        let base = |Kept { operator, handle, memory }: &Kept| BaseState {
            operator: *operator,
            handle: handle.clone(),
            memory: memory.clone(),
        };
        own.map(base).collect()
    }

    /// A task is told something: what that says of checkpoints decides what is kept.
    pub fn told(&mut self, command: Command) {
        match command {
            Command::NotifyComplete(checkpoint) => self.completed(checkpoint),
            Command::NotifyAborted(checkpoint) => self.aborted(checkpoint),
            Command::TriggerCheckpoint(_) | Command::Cancel => {}
        }
    }

    /// A checkpoint is complete: nothing starts from an older one any more.
    fn completed(&mut self, checkpoint: CheckpointId) {
        let newest = self.completed.map_or(checkpoint, |before| before.max(checkpoint));
        self.completed = Some(newest);
        self.states = self.states.split_off(&newest);
        self.aborted = self.aborted.split_off(&newest);
    }

    /// A checkpoint will never be complete.
    fn aborted(&mut self, checkpoint: CheckpointId) {
        self.states.remove(&checkpoint);
        if Some(checkpoint) > self.completed {
            self.aborted.insert(checkpoint);
        }
    }

    /// Tasks start again from this checkpoint, or from nothing: no other one is under way. (A table of one
    /// that was may still come; it is forgotten when the next checkpoint is complete.) Tables that the record
    /// does not name came too late for it: their files are deleted.
    pub fn restarted_from(&mut self, record: Option<&CompletedCheckpoint>) {
        self.completed = record.map(|record| record.checkpoint);
        self.states.retain(|kept, _| Some(*kept) == self.completed);
        let is_named = |kept: &Kept| {
            let operator = record.and_then(|record| record.operator(kept.operator));
            let mut subtasks = operator.into_iter().flat_map(|operator| operator.subtasks.values());
            subtasks.any(|subtask| subtask.keyed.contains(&kept.handle))
        };
        self.states.values_mut().for_each(|kept| kept.retain(is_named));
    }

    /// The table of an operator from which this was written, if the subtask that owns these key groups can begin
    /// from it.
    pub(crate) fn find(
        &self,
        operator: OperatorId,
        handle: &KeyedStateHandle,
        owned: KeyGroupRange,
    ) -> Option<&StateMemory> {
        let mut all = self.states.values().flatten();
        let found = all.find(|kept| kept.operator == operator && kept.handle == *handle);
        found.map(|kept| &kept.memory).filter(|memory| memory.fits(owned))
    }
}
