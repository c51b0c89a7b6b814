//! Where jobs and tasks are, by Flink's names.

use std::fmt;

use flott_checkpoint::TerminalStatus;

/// The status of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobStatus {
    /// Accepted.
    Initializing,
    /// About to be deployed.
    Created,
    /// Taken over from another JobManager: its tasks may still run, and are waited for.
    Reconciling,
    /// Deployed; tasks may still be on their way.
    Running,
    /// Failed for good; tasks are being cancelled.
    Failing,
    /// Failed.
    Failed,
    /// Being cancelled.
    Cancelling,
    /// Cancelled.
    Canceled,
    /// All input is processed.
    Finished,
    /// Failed; about to be deployed again.
    Restarting,
}

impl JobStatus {
    /// Whether the job is over.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Failed | Self::Canceled | Self::Finished => true,
            Self::Initializing
            | Self::Created
            | Self::Reconciling
            | Self::Running
            | Self::Failing
            | Self::Cancelling
            | Self::Restarting => false,
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initializing => "INITIALIZING",
            Self::Created => "CREATED",
            Self::Reconciling => "RECONCILING",
            Self::Running => "RUNNING",
            Self::Failing => "FAILING",
            Self::Failed => "FAILED",
            Self::Cancelling => "CANCELLING",
            Self::Canceled => "CANCELED",
            Self::Finished => "FINISHED",
            Self::Restarting => "RESTARTING",
        })
    }
}

impl From<TerminalStatus> for JobStatus {
    fn from(status: TerminalStatus) -> Self {
        match status {
            TerminalStatus::Finished => Self::Finished,
            TerminalStatus::Canceled => Self::Canceled,
            TerminalStatus::Failed => Self::Failed,
        }
    }
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExecutionState {
    /// Not deployed.
    Created,
    /// To be deployed; on a cluster it waits for a slot, or for the worker in it.
    Scheduled,
    /// On its way, or restoring its state.
    Deploying,
    /// Runs.
    Running,
    /// Done.
    Finished,
    /// Told to end.
    Canceling,
    /// Ended because it was told to.
    Canceled,
    /// Failed.
    Failed,
}

impl ExecutionState {
    /// Flink's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Scheduled => "SCHEDULED",
            Self::Deploying => "DEPLOYING",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Canceling => "CANCELING",
            Self::Canceled => "CANCELED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether the task is out: nothing of it is left on any machine.
    pub const fn is_out(self) -> bool {
        match self {
            Self::Finished | Self::Canceled | Self::Failed => true,
            Self::Created | Self::Scheduled | Self::Deploying | Self::Running | Self::Canceling => {
                false
            }
        }
    }
}

impl fmt::Display for ExecutionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
