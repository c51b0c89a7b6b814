//! What goes into a job and what comes out.

use std::collections::BTreeSet;
use std::sync::Arc;

use flott_checkpoint::snapshot::{SubtaskCheckpointMetrics, TaskSnapshot};
use flott_checkpoint::{CompletedCheckpoint, DeclineReason, Effect, TerminalStatus};
use flott_core::{AttemptNumber, CheckpointId, TaskId};
use serde::{Deserialize, Serialize};

use super::status::JobStatus;
use crate::exception::Failure;

/// What happened. Those that answer a checkpoint effect are explained at
/// [`flott_checkpoint::Input`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobInput {
    /// Begin.
    Start,
    /// The user wants the job to end now.
    Cancel,
    /// An attempt could not be deployed, by no task's fault.
    DeploymentFailed {
        /// The attempt.
        attempt: AttemptNumber,
        /// Why.
        failure: Failure,
    },
    /// The tasks of an attempt have their slots, and are on their way.
    Deploying {
        /// The attempt.
        attempt: AttemptNumber,
    },
    /// All workers have come back that run tasks of an attempt. What these have said before comes, too.
    Reattached {
        /// The attempt.
        attempt: AttemptNumber,
        /// The newest checkpoint that any of them was told of.
        newest: CheckpointId,
    },
    /// An attempt that may have run elsewhere cannot be gone on with.
    NotReattached {
        /// The attempt.
        attempt: AttemptNumber,
    },
    /// A task runs: it has restored its state and can be triggered.
    TaskRunning {
        /// Its attempt.
        attempt: AttemptNumber,
        /// Which.
        task: TaskId,
    },
    /// A task is done and out.
    TaskFinished {
        /// Its attempt.
        attempt: AttemptNumber,
        /// Which.
        task: TaskId,
    },
    /// A task, or the machine that it ran on, failed; it is out.
    TaskFailed {
        /// Its attempt.
        attempt: AttemptNumber,
        /// Which.
        task: TaskId,
        /// Why.
        failure: Failure,
    },
    /// A task was cancelled and is out.
    TaskCanceled {
        /// Its attempt.
        attempt: AttemptNumber,
        /// Which.
        task: TaskId,
    },
    /// A task has processed all of its data.
    EndOfData {
        /// Its attempt.
        attempt: AttemptNumber,
        /// Which.
        task: TaskId,
    },
    /// A task has stored its part of a checkpoint.
    Ack {
        /// Its attempt.
        attempt: AttemptNumber,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Which task.
        task: TaskId,
        /// What it stored.
        snapshot: TaskSnapshot,
        /// How that went.
        metrics: SubtaskCheckpointMetrics,
    },
    /// A task cannot take part in a checkpoint.
    Decline {
        /// Its attempt.
        attempt: AttemptNumber,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Which task.
        task: TaskId,
        /// Why.
        reason: DeclineReason,
        /// The details.
        message: String,
    },
    /// A checkpoint's folder exists.
    LocationPrepared {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// A checkpoint's folder could not be created.
    LocationFailed {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        message: String,
    },
    /// A completed record exists.
    MetadataPersisted {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// A completed record was not written.
    MetadataFailed {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        message: String,
    },
    /// A completed record may or may not exist.
    MetadataUnknown {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What is known.
        message: String,
    },
    /// Somebody wants a checkpoint now.
    CheckpointRequested {
        /// Who: comes back in the answer.
        request: u64,
    },
    /// Somebody wants a savepoint now.
    SavepointRequested {
        /// Who: comes back with the savepoint's place to prepare, and in the answer.
        request: u64,
    },
    /// Somebody wants the job to stop with a savepoint.
    StopRequested {
        /// Who: comes back with the savepoint's place to prepare, and in the answer.
        request: u64,
        /// Whether the input ends for ever: operators finish before the savepoint.
        drain: bool,
        /// The absolute path of the savepoint's folder.
        folder: String,
    },
}

impl JobInput {
    /// The attempt of what says how a task is, and not only how a checkpoint is; and which task, if it is
    /// not about all that began with the attempt.
    pub fn task_fate(&self) -> Option<(AttemptNumber, Option<TaskId>)> {
        match self {
            Self::DeploymentFailed { attempt, .. } => Some((*attempt, None)),
            Self::TaskRunning { attempt, task }
            | Self::TaskFinished { attempt, task }
            | Self::TaskFailed { attempt, task, .. }
            | Self::TaskCanceled { attempt, task }
            | Self::EndOfData { attempt, task } => Some((*attempt, Some(*task))),
            Self::Start
            | Self::Cancel
            | Self::Deploying { .. }
            | Self::Reattached { .. }
            | Self::NotReattached { .. }
            | Self::Ack { .. }
            | Self::Decline { .. }
            | Self::LocationPrepared { .. }
            | Self::LocationFailed { .. }
            | Self::MetadataPersisted { .. }
            | Self::MetadataFailed { .. }
            | Self::MetadataUnknown { .. }
            | Self::CheckpointRequested { .. }
            | Self::SavepointRequested { .. }
            | Self::StopRequested { .. } => None,
        }
    }

    /// Whether this is something that tasks say, of themselves or of a checkpoint.
    pub fn is_of_tasks(&self) -> bool {
        self.task_fate().is_some() || matches!(self, Self::Ack { .. } | Self::Decline { .. })
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEffect {
    /// Deploy tasks. Answer with `TaskRunning` or `TaskFailed` for each.
    Deploy {
        /// The attempt; goes into every message of these tasks.
        attempt: AttemptNumber,
        /// Those that begin: whole failover regions. The others go on, with the attempts that they have.
        tasks: BTreeSet<TaskId>,
        /// The checkpoint that they start from.
        restore: Option<Arc<CompletedCheckpoint>>,
    },
    /// Wait for the workers that run this attempt: another JobManager has deployed it. Answer with
    /// `Reattached` when all are back, or with `NotReattached`, and with what their tasks have said.
    Reattach {
        /// The attempt.
        attempt: AttemptNumber,
    },
    /// Cancel tasks. Answer with `TaskCanceled`, `TaskFinished` or `TaskFailed` for each, also for those
    /// that were never deployed.
    CancelTasks {
        /// The newest attempt: the tasks are of this one, or of earlier ones.
        attempt: AttemptNumber,
        /// Which.
        tasks: BTreeSet<TaskId>,
    },
    /// An effect of the checkpoint coordinator. [`Effect::FailJob`] is not among them: the job
    /// acts on it itself.
    Checkpoint(Effect),
    /// The job was to stop, and its savepoint is complete; but something failed before all tasks had
    /// finished, and the job goes on from the savepoint, or ends.
    StopFailed {
        /// Whose request it was.
        request: u64,
        /// The savepoint.
        checkpoint: CheckpointId,
    },
    /// Every task runs, or has finished.
    AllRunning {
        /// The attempt.
        attempt: AttemptNumber,
    },
    /// The job's status changed.
    StatusChanged {
        /// The old one.
        from: JobStatus,
        /// The new one.
        to: JobStatus,
    },
    /// The job is over: whoever would run it again after this process must not, from now on. What
    /// follows may delete its checkpoints.
    Over,
    /// Nothing is left to do, except what is due to late messages.
    Ended {
        /// How.
        status: TerminalStatus,
        /// Why it failed, with the chain of causes.
        failure: Option<String>,
    },
}
