//! A checkpoint that is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flott_core::element::{Barrier, CheckpointKind};
use flott_core::{AttemptNumber, CheckpointId, MonoTime, OperatorId, TaskId, WallTime};

use crate::config::CheckpointConfig;
use crate::record::{CompletedCheckpoint, files_of};
use crate::snapshot::TaskSnapshot;

/// The wait after the first unknown outcome of a metadata write; it doubles each time.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest such wait.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What somebody asked for by hand.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) kind: CheckpointKind,
    /// Where it goes, if that must be known: the folder of the savepoint that a job stops with.
    pub(super) folder: Option<String>,
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) checkpoint: CheckpointId,
    pub(super) attempt: AttemptNumber,
    /// The manual request that it answers.
    pub(super) request: Option<u64>,
    /// A savepoint is the user's, in a folder of its own: it is no point to restart from, commits
    /// nothing, neither subsumes nor is subsumed, and its failure is the user's business. The one that
    /// a job stops with commits, and is where a restart begins that comes between.
    pub(super) kind: CheckpointKind,
    /// The folder of the savepoint that a job stops with.
    pub(super) folder: Option<String>,
    /// What its tasks may refer to: kept for as long as they may.
    pub(super) base: Option<Arc<CompletedCheckpoint>>,
    /// Triggered when no task had data left.
    pub(super) is_final: bool,
    pub(super) triggered_at: WallTime,
    pub(super) expires: MonoTime,
    pub(super) last_ack_at: WallTime,
    pub(super) parts: BTreeMap<TaskId, Part>,
    /// Files of snapshots that it does without: others of its tasks may have written into them.
    pub(super) refused: BTreeSet<String>,
    /// The tasks that were told of the barrier.
    pub(super) triggered: BTreeSet<TaskId>,
    pub(super) phase: Phase,
}

/// Where a pending checkpoint is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its folder is being created. Ends with `LocationPrepared` or `LocationFailed`.
    Preparing,
    /// The tasks take their snapshots. Ends when all have acknowledged or finished and no other
    /// record is being written.
    Acking,
    /// Its record is being written: it may exist already. Ends when the outcome is known.
    Writing {
        record: Arc<CompletedCheckpoint>,
        /// An earlier try may have succeeded: a later failure proves nothing.
        is_unknown: bool,
        backoff: Duration,
        /// When to write again; `None` while a write is under way.
        retry_at: Option<MonoTime>,
    },
}

/// One task's part.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) operators: Vec<OperatorId>,
    pub(super) state: PartState,
}

#[derive(Debug)]
pub(super) enum PartState {
    /// The task runs and has not acknowledged.
    Waiting,
    Acked(TaskSnapshot),
    /// The task has finished: it has nothing to add to what it acknowledged before.
    Finished,
}

impl Part {
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, PartState::Waiting)
    }

    /// Whether the task has nothing left to do but to commit and finish.
    pub(super) fn is_at_end_of_data(&self) -> bool {
        match &self.state {
            PartState::Waiting => false,
            PartState::Acked(snapshot) => snapshot.end_of_data,
            PartState::Finished => true,
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, PartState::Finished)
    }
}

impl Pending {
    /// What goes through the job for it. It overtakes records from the beginning if `config` wants that.
    pub(super) fn barrier(&self, config: &CheckpointConfig) -> Barrier {
        let overtakes = config.unaligned_after == Some(Duration::ZERO);
        Barrier {
            checkpoint: self.checkpoint,
            triggered_at: self.triggered_at,
            kind: self.kind,
            base: self.base.as_ref().map(|base| base.checkpoint),
            unaligned: overtakes && !self.kind.is_savepoint(),
        }
    }

    pub(super) fn is_preparing(&self) -> bool {
        matches!(self.phase, Phase::Preparing)
    }

    pub(super) fn is_writing(&self) -> bool {
        matches!(self.phase, Phase::Writing { .. })
    }

    /// Whether the record can be written.
    pub(super) fn is_acknowledged(&self) -> bool {
        matches!(self.phase, Phase::Acking) && !self.parts.values().any(Part::is_waiting)
    }

    /// Whether a write of its record had an unknown outcome.
    #[cfg(test)]
    pub(super) fn is_maybe_written(&self) -> bool {
        matches!(self.phase, Phase::Writing { is_unknown: true, .. })
    }

    /// The tasks that have not acknowledged.
    pub(super) fn waiting(&self) -> impl Iterator<Item = TaskId> {
        self.parts.iter().filter(|(_, part)| part.is_waiting()).map(|(task, _)| *task)
    }

    /// The files of its snapshots, some of them of earlier checkpoints.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        let snapshots = self.parts.values().filter_map(|part| match &part.state {
            PartState::Acked(snapshot) => Some(snapshot),
            PartState::Waiting | PartState::Finished => None,
        });
        let files = snapshots.flat_map(|snapshot| &snapshot.operators).flat_map(files_of);
        files.chain(self.refused.iter().map(String::as_str))
    }

    /// The record that is being written.
    #[cfg(test)]
    pub(super) fn record(&self) -> Option<&CompletedCheckpoint> {
        match &self.phase {
            Phase::Preparing | Phase::Acking => None,
            Phase::Writing { record, .. } => Some(record),
        }
    }

    pub(super) fn timeout(&self) -> Option<(MonoTime, &'static str)> {
        match &self.phase {
            Phase::Preparing | Phase::Acking => Some((self.expires, "checkpoint time-out")),
            Phase::Writing { retry_at, .. } => retry_at.map(|at| (at, "metadata write again")),
        }
    }
}
