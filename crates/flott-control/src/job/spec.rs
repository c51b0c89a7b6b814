//! What a job is made of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flott_checkpoint::snapshot::OperatorInfo;
use flott_checkpoint::{CheckpointConfig, CompletedCheckpoint, TaskInfo};
use flott_core::config::options::FailoverStrategy;
use flott_core::{AttemptNumber, CheckpointId, JobId, TaskId};

use crate::restart::RestartStrategyConfig;

/// A job, ready to run.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// Its id.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// Every subtask of every vertex.
    pub tasks: Vec<TaskSpec>,
    /// Every operator.
    pub operators: Vec<OperatorInfo>,
    /// How it takes checkpoints.
    pub checkpointing: CheckpointConfig,
    /// What it does after a failure.
    pub restart: RestartStrategyConfig,
    /// How much of it begins again then.
    pub failover: FailoverStrategy,
    /// What it starts from. A checkpoint of another job must name its files by absolute path
    /// ([`CompletedCheckpoint::rebased`]).
    pub restored: Option<Arc<CompletedCheckpoint>>,
    /// The number of its first attempt here: more than 0 if another JobManager has had it before.
    pub first_attempt: AttemptNumber,
    /// What may run of it already, on workers that have lost their JobManager.
    pub reattach: Option<Reattach>,
    /// The number of its first checkpoint here, unless it starts from a later one: lower ones may be those of
    /// a JobManager that is not known to be gone.
    pub first_checkpoint: CheckpointId,
    /// How many failures its history keeps.
    pub exception_history_size: usize,
}

/// Tasks that another JobManager has deployed.
#[derive(Clone, Debug)]
pub struct Reattach {
    /// How long their workers have to come back.
    pub wait: Duration,
    /// The attempt that each task began with.
    pub attempts: BTreeMap<TaskId, AttemptNumber>,
}

/// A task of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSpec {
    /// What the checkpoint coordinator needs to know.
    pub info: TaskInfo,
    /// Its name, with its number: `op name (1/4)`.
    pub name: String,
}
