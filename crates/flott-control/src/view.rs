//! What people see of a run: plain data, made by the shell that runs it and read by whoever shows
//! it. Counters are handles: they go on counting after the view was made.

use std::collections::BTreeMap;
use std::sync::Arc;

use flott_checkpoint::CheckpointConfig;
use flott_checkpoint::coordinator::{CheckpointStatus, CheckpointingStats};
use flott_core::config::Configuration;
use flott_core::metrics::TaskMetrics;
use flott_core::{AttemptNumber, CheckpointId, JobId, Now, TaskId, WallTime};
use flott_plan::JobGraph;

use crate::exception::ExceptionHistory;
use crate::job::{ExecutionState, JobMaster, JobStatus};
use crate::restart::RestartStrategyConfig;

/// A cluster at one moment.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// The moment.
    pub now: Now,
    /// Its jobs, newest first.
    pub jobs: Vec<Arc<JobView>>,
    /// Its TaskManagers; nothing if one process is everything.
    pub task_managers: Option<Vec<TaskManagerView>>,
}

/// A TaskManager at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskManagerView {
    /// What people call it.
    pub name: String,
    /// How many slots it offers.
    pub slots: u32,
    /// How many of them no job has.
    pub free_slots: u32,
    /// Its processors.
    pub cpus: u32,
    /// The memory of its machine, in bytes.
    pub memory: u64,
    /// When it was last heard of.
    pub last_heartbeat: WallTime,
}

/// What stays as it is as long as a job runs.
#[derive(Clone, Debug)]
pub struct JobDescription {
    /// The job's id.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// Its plan.
    pub graph: JobGraph,
    /// How it takes checkpoints.
    pub checkpointing: CheckpointConfig,
    /// What it does after a failure.
    pub restart: RestartStrategyConfig,
    /// The options that it was started with, except for secrets.
    pub options: Configuration,
    /// The checkpoint of another job that it was started from.
    pub restored_from: Option<CheckpointId>,
}

/// A job at one moment.
#[derive(Clone, Debug)]
pub struct JobView {
    /// What stays as it is.
    pub description: Arc<JobDescription>,
    /// Where it is.
    pub status: JobStatus,
    /// What it waits for before its tasks can be deployed, in words.
    pub waiting_for: Option<String>,
    /// When it last entered each status that it has been in.
    pub timestamps: BTreeMap<JobStatus, WallTime>,
    /// How often it was restarted.
    pub num_restarts: u64,
    /// The tasks of its newest attempt.
    pub tasks: BTreeMap<TaskId, SubtaskView>,
    /// Its checkpoints.
    pub checkpoints: CheckpointingStats,
    /// Where the completed checkpoints among them are, as people call it.
    pub locations: BTreeMap<CheckpointId, String>,
    /// What went wrong.
    pub exceptions: ExceptionHistory,
}

/// A task at one moment.
#[derive(Clone, Debug)]
pub struct SubtaskView {
    /// Where it is.
    pub state: ExecutionState,
    /// Since when.
    pub since: WallTime,
    /// When it entered each state that it has been in, in this attempt.
    pub entered: BTreeMap<ExecutionState, WallTime>,
    /// The attempt that it began with.
    pub attempt: AttemptNumber,
    /// The TaskManager that it is on, as people call it; nothing if it is on none, or one process is everything.
    pub task_manager: Option<String>,
    /// What it counts; starts from zero with every attempt.
    pub metrics: TaskMetrics,
}

impl JobView {
    /// The job of a master. Tasks without `metrics` have counted nothing; `task_manager` says where a task is, and
    /// `location` names the place of a checkpoint of this job.
    pub fn new(
        master: &JobMaster,
        description: Arc<JobDescription>,
        metrics: &BTreeMap<TaskId, TaskMetrics>,
        task_manager: impl Fn(TaskId) -> Option<String>,
        location: impl Fn(CheckpointId) -> String,
    ) -> Self {
        let tasks = master.tasks().map(|task| {
            // Before it is deployed, what is known is of the attempt before.
            let is_deployed = task.state > ExecutionState::Scheduled;
            let metrics = metrics.get(&task.id).filter(|_| is_deployed).cloned();
            let subtask = SubtaskView {
                state: task.state,
                since: task.since,
                entered: task.entered.clone(),
                attempt: task.attempt,
                task_manager: task_manager(task.id).filter(|_| is_deployed),
                metrics: metrics.unwrap_or_default(),
            };
            (task.id, subtask)
        });
        let checkpoints = master.coordinator().stats().clone();
        let completed = checkpoints.history.iter().chain(&checkpoints.latest_completed);
        let completed = completed
            .filter(|checkpoint| checkpoint.status == CheckpointStatus::Completed)
            .map(|checkpoint| checkpoint.checkpoint);
        // Ids grow over restores too: one that is not greater is the other job's, and so is its
        // place.
        let restored = checkpoints.latest_restored.map(|restored| restored.checkpoint);
        let own = restored.filter(|id| description.restored_from.is_none_or(|from| *id > from));
        let locations = completed.chain(own).map(|id| (id, location(id))).collect();
        Self {
            status: master.status(),
            waiting_for: None,
            timestamps: master.timestamps().clone(),
            num_restarts: master.num_restarts(),
            tasks: tasks.collect(),
            locations,
            checkpoints,
            exceptions: master.exceptions().clone(),
            description,
        }
    }
}
