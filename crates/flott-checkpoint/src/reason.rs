//! Why checkpoints fail, in Flink's words, and which failures count against the tolerable number.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a checkpoint failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureReason {
    /// Too many manual requests are queued.
    TooManyCheckpointRequests,
    /// Tasks are not running yet, or have finished where that forbids checkpoints.
    NotAllRequiredTasksRunning,
    /// The checkpoint's place could not be created.
    IoException,
    /// The asynchronous part failed in a task: its state could not be written.
    CheckpointAsyncException,
    /// It took longer than the time-out.
    CheckpointExpired,
    /// A newer checkpoint completed first.
    CheckpointSubsumed,
    /// A task refused.
    CheckpointDeclined,
    /// A task was not ready.
    CheckpointDeclinedTaskNotReady,
    /// A task is closing.
    CheckpointDeclinedTaskClosing,
    /// A task saw the barrier of a newer checkpoint.
    CheckpointDeclinedSubsumed,
    /// A task was told upstream that the checkpoint is cancelled.
    CheckpointDeclinedOnCancellationBarrier,
    /// An input of a task ended and checkpoints after the end of tasks are off.
    CheckpointDeclinedInputEndOfStream,
    /// The job has ended.
    CheckpointCoordinatorShutdown,
    /// The job left RUNNING.
    CheckpointCoordinatorSuspend,
    /// The completed record could not be written.
    FinalizeCheckpointFailure,
}

impl FailureReason {
    /// Flink's text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::TooManyCheckpointRequests => {
                "The maximum number of queued checkpoint requests exceeded"
            }
            Self::NotAllRequiredTasksRunning => "Not all required tasks are currently running.",
            Self::IoException => {
                "An Exception occurred while triggering the checkpoint. IO-problem detected."
            }
            Self::CheckpointAsyncException => "Asynchronous task checkpoint failed.",
            Self::CheckpointExpired => "Checkpoint expired before completing.",
            Self::CheckpointSubsumed => "Checkpoint has been subsumed.",
            Self::CheckpointDeclined => "Checkpoint was declined.",
            Self::CheckpointDeclinedTaskNotReady => "Checkpoint was declined (tasks not ready)",
            Self::CheckpointDeclinedTaskClosing => {
                "Checkpoint was declined (task's operators partially closed)"
            }
            Self::CheckpointDeclinedSubsumed => {
                "Checkpoint was canceled because a barrier from newer checkpoint was received."
            }
            Self::CheckpointDeclinedOnCancellationBarrier => {
                "Task received cancellation from one of its inputs"
            }
            Self::CheckpointDeclinedInputEndOfStream => {
                "Checkpoint was declined because one input stream is finished"
            }
            Self::CheckpointCoordinatorShutdown => "CheckpointCoordinator shutdown.",
            Self::CheckpointCoordinatorSuspend => "Checkpoint Coordinator is suspending.",
            Self::FinalizeCheckpointFailure => "Failure to finalize checkpoint.",
        }
    }

    /// Whether it counts against `tolerable-failed-checkpoints`: only what says that checkpoints
    /// do not work, not what says that the job is busy with something else.
    pub const fn counts(self) -> bool {
        match self {
            Self::IoException
            | Self::CheckpointAsyncException
            | Self::CheckpointExpired
            | Self::CheckpointDeclined
            | Self::FinalizeCheckpointFailure => true,
            Self::TooManyCheckpointRequests
            | Self::NotAllRequiredTasksRunning
            | Self::CheckpointSubsumed
            | Self::CheckpointDeclinedTaskNotReady
            | Self::CheckpointDeclinedTaskClosing
            | Self::CheckpointDeclinedSubsumed
            | Self::CheckpointDeclinedOnCancellationBarrier
            | Self::CheckpointDeclinedInputEndOfStream
            | Self::CheckpointCoordinatorShutdown
            | Self::CheckpointCoordinatorSuspend => false,
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Why a task declines a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DeclineReason {
    /// It refuses, for the reason in the message.
    Declined,
    /// Its state could not be written.
    AsyncException,
    /// It is not running yet.
    TaskNotReady,
    /// It is closing.
    TaskClosing,
    /// It saw the barrier of a newer checkpoint.
    Subsumed,
    /// An input cancelled the checkpoint.
    OnCancellationBarrier,
    /// An input ended, and checkpoints after the end of tasks are off.
    InputEndOfStream,
}

impl From<DeclineReason> for FailureReason {
    fn from(reason: DeclineReason) -> Self {
        match reason {
            DeclineReason::Declined => Self::CheckpointDeclined,
            DeclineReason::AsyncException => Self::CheckpointAsyncException,
            DeclineReason::TaskNotReady => Self::CheckpointDeclinedTaskNotReady,
            DeclineReason::TaskClosing => Self::CheckpointDeclinedTaskClosing,
            DeclineReason::Subsumed => Self::CheckpointDeclinedSubsumed,
            DeclineReason::OnCancellationBarrier => Self::CheckpointDeclinedOnCancellationBarrier,
            DeclineReason::InputEndOfStream => Self::CheckpointDeclinedInputEndOfStream,
        }
    }
}
