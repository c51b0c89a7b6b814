//! What goes into the coordinator and what comes out.

use std::sync::Arc;

use flott_core::element::{Barrier, CheckpointKind};
use flott_core::{AttemptNumber, CheckpointId, OperatorId, TaskId};

use super::stats::CheckpointStats;
use crate::reason::{DeclineReason, FailureReason};
use crate::record::CompletedCheckpoint;
use crate::snapshot::{SubtaskCheckpointMetrics, TaskSnapshot};

/// A task, as the coordinator needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// Which task.
    pub id: TaskId,
    /// Whether it is triggered by the coordinator; others are triggered by barriers.
    pub is_source: bool,
    /// The operators of its chain.
    pub operators: Vec<OperatorId>,
    /// The tasks that it reads from. When all of them have finished, no barrier comes any more and
    /// the coordinator triggers the task itself.
    pub inputs: Vec<TaskId>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalStatus {
    /// All of its input is processed.
    Finished,
    /// By its user's wish.
    Canceled,
    /// By a failure.
    Failed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Every task of an attempt runs: checkpoints can be taken, the period begins. Tasks that have
    /// finished meanwhile are in the list too, and reported by [`Input::TaskFinished`] afterwards.
    TasksRunning {
        /// The attempt; higher than all before.
        attempt: AttemptNumber,
        /// Its tasks.
        tasks: Vec<TaskInfo>,
    },
    /// As [`Input::TasksRunning`], for tasks that another coordinator had started, which is gone. What
    /// it had under way is aborted, and that its last checkpoint is complete is told again.
    TasksReattached {
        /// The attempt.
        attempt: AttemptNumber,
        /// Its tasks.
        tasks: Vec<TaskInfo>,
        /// The newest checkpoint that any of them was told of: no id comes twice.
        newest: CheckpointId,
    },
    /// A task has stored its part of a checkpoint.
    Ack {
        /// The task's attempt.
        attempt: AttemptNumber,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The task.
        task: TaskId,
        /// What it stored.
        snapshot: TaskSnapshot,
        /// How that went.
        metrics: SubtaskCheckpointMetrics,
    },
    /// A task cannot take part in a checkpoint.
    Decline {
        /// The task's attempt.
        attempt: AttemptNumber,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The task.
        task: TaskId,
        /// Why.
        reason: DeclineReason,
        /// The details.
        message: String,
    },
    /// A task has processed all of its data; it waits for the final checkpoint.
    EndOfData {
        /// The task's attempt.
        attempt: AttemptNumber,
        /// The task.
        task: TaskId,
    },
    /// A task is done. With periodic checkpoints it has acknowledged one that completed, after the
    /// end of its data.
    TaskFinished {
        /// The task's attempt.
        attempt: AttemptNumber,
        /// The task.
        task: TaskId,
    },
    /// Answers [`Effect::PrepareLocation`].
    LocationPrepared {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Answers [`Effect::PrepareLocation`].
    LocationFailed {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What went wrong.
        message: String,
    },
    /// Answers [`Effect::PersistMetadata`]: the record exists.
    MetadataPersisted {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Answers [`Effect::PersistMetadata`]: this write did not happen.
    MetadataFailed {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What went wrong.
        message: String,
    },
    /// Answers [`Effect::PersistMetadata`]: the record may or may not exist.
    MetadataUnknown {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What is known.
        message: String,
    },
    /// Somebody wants a checkpoint now.
    CheckpointRequested {
        /// Who: comes back in [`Effect::Answer`].
        request: u64,
    },
    /// Somebody wants a savepoint now.
    SavepointRequested {
        /// Who: comes back in [`Effect::PrepareSavepoint`] and [`Effect::Answer`].
        request: u64,
    },
    /// Somebody wants the job to stop with a savepoint.
    StopRequested {
        /// Who: comes back in [`Effect::PrepareSavepoint`], and in [`Effect::Stopping`] or, if there is
        /// no savepoint, in [`Effect::Answer`].
        request: u64,
        /// Whether the input ends for ever: operators finish before the savepoint.
        drain: bool,
        /// The absolute path of the savepoint's folder.
        folder: String,
    },
    /// The job leaves RUNNING: no checkpoint until the next [`Input::TasksRunning`].
    Stop,
    /// The job has ended; final.
    Shutdown {
        /// How: decides which checkpoints are kept.
        status: TerminalStatus,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Create the checkpoint's folder and answer with [`Input::LocationPrepared`] or
    /// [`Input::LocationFailed`].
    PrepareLocation {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// This checkpoint is a savepoint, the user's: everything of it belongs into a folder of its own.
    /// Create that, and answer as to [`Effect::PrepareLocation`].
    PrepareSavepoint {
        /// The savepoint.
        checkpoint: CheckpointId,
        /// Whose request it answers.
        request: u64,
    },
    /// The savepoint that the job stops with is complete: the tasks are told, and will finish.
    Stopping {
        /// Whose request it was.
        request: u64,
        /// The savepoint.
        checkpoint: CheckpointId,
    },
    /// Delete the folder of a savepoint: it has failed.
    DiscardSavepoint {
        /// The savepoint.
        checkpoint: CheckpointId,
    },
    /// Inject the barrier into these tasks. A task that has seen it already ignores it.
    TriggerSources {
        /// The tasks' attempt.
        attempt: AttemptNumber,
        /// The barrier.
        barrier: Barrier,
        /// Which tasks.
        tasks: Vec<TaskId>,
    },
    /// Create the completed record and answer with one of the three `Metadata…` inputs. Asked for
    /// again, with the same record, after an unknown outcome.
    PersistMetadata {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What it is for. The record of a savepoint goes into the savepoint's folder. That of the
        /// one that a job stops with goes there first, with its files named from there
        /// ([`CompletedCheckpoint::relative_to`]), and then, as it is, to the job's checkpoints: only
        /// then does it exist.
        kind: CheckpointKind,
        /// The record.
        record: Arc<CompletedCheckpoint>,
    },
    /// Tell these tasks that the checkpoint, and with it every earlier one, is completed: what
    /// they prepared in it is to be committed. May be lost.
    NotifyComplete {
        /// The tasks' attempt.
        attempt: AttemptNumber,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Which tasks.
        tasks: Vec<TaskId>,
    },
    /// Tell these tasks that the checkpoint will not complete. May be lost.
    NotifyAborted {
        /// The tasks' attempt.
        attempt: AttemptNumber,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Which tasks.
        tasks: Vec<TaskId>,
    },
    /// Delete these files and folders, relative to the job's folder. Nothing refers to them; what
    /// does not exist counts as deleted, and a failure is only logged.
    Discard {
        /// The paths.
        paths: Vec<String>,
    },
    /// Delete the checkpoint that the job was started from: another job took it, this one has claimed it.
    DiscardClaimed {
        /// It, with absolute paths.
        record: Arc<CompletedCheckpoint>,
    },
    /// Checkpoints fail too often: restart the job.
    FailJob {
        /// Why, with the cause of the last failure.
        message: String,
    },
    /// Answers [`Input::CheckpointRequested`] and [`Input::SavepointRequested`].
    Answer {
        /// Whose request.
        request: u64,
        /// The completed checkpoint, or why there is none.
        result: Result<CheckpointId, String>,
    },
    /// A checkpoint completed: for logs and histories.
    Completed {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// How it went.
        stats: CheckpointStats,
    },
    /// A checkpoint failed: for logs and histories.
    Failed {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why, in Flink's terms.
        reason: FailureReason,
        /// Why, in detail.
        message: String,
        /// The task that is to blame; the first of several.
        culprit: Option<TaskId>,
    },
}
