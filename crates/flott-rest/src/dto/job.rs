//! One job: `/jobs/:jobid` and `/jobs/:jobid/config`.

use std::collections::BTreeMap;

use flott_control::view::{JobView, SubtaskView};
use flott_control::{ExecutionState, JobStatus};
use flott_core::config::Origin;
use flott_core::hash::hash128;
use flott_core::{Now, TaskId};
use flott_plan::JobVertex;
use serde::Serialize;

use super::accumulators;
use super::io_metrics::IoMetrics;
use super::java::FailureCause;
use super::plan::Plan;
use super::time_or_minus_one;

/// Every status that Flink's jobs have, also those that ours do not.
const JOB_STATUSES: [&str; 11] = [
    "INITIALIZING",
    "CREATED",
    "RUNNING",
    "FAILING",
    "FAILED",
    "CANCELLING",
    "CANCELED",
    "FINISHED",
    "RESTARTING",
    "SUSPENDED",
    "RECONCILING",
];

/// Every state that Flink's tasks have, also those that ours do not.
pub(super) const EXECUTION_STATES: [&str; 10] = [
    "CREATED",
    "SCHEDULED",
    "DEPLOYING",
    "INITIALIZING",
    "RUNNING",
    "FINISHED",
    "CANCELING",
    "CANCELED",
    "FAILED",
    "RECONCILING",
];

/// How many are in each state; every state is there.
pub(super) type StateCounts = BTreeMap<&'static str, usize>;

/// Where a job is, and nothing else.
#[derive(Serialize)]
pub(crate) struct JobStatusInfo {
    status: String,
}

impl JobStatusInfo {
    pub(crate) fn of(_: Now, job: &JobView) -> Self {
        Self { status: job.status.to_string() }
    }
}

/// `/jobs/:jobid/execution-result`: without a result as long as the job runs.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobExecutionResultInfo {
    status: QueueStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_execution_result: Option<JobResult>,
}

#[derive(Serialize)]
struct QueueStatus {
    id: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct JobResult {
    id: String,
    name: String,
    application_status: &'static str,
    accumulator_results: BTreeMap<String, String>,
    net_runtime: i64,
    application_id: String,
    start_time: i64,
    end_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_cause: Option<FailureCause>,
}

impl JobExecutionResultInfo {
    pub(crate) fn of(now: Now, job: &JobView) -> Self {
        let status = match job.status {
            JobStatus::Finished => "SUCCEEDED",
            JobStatus::Canceled => "CANCELED",
            JobStatus::Failed => "FAILED",
            JobStatus::Initializing
            | JobStatus::Created
            | JobStatus::Reconciling
            | JobStatus::Running
            | JobStatus::Failing
            | JobStatus::Cancelling
            | JobStatus::Restarting => {
                let status = QueueStatus { id: "IN_PROGRESS" };
                return Self { status, job_execution_result: None };
            }
        };
        let times = Times::of(now, job);
        let newest = job.exceptions.entries().next();
        let failure = newest.filter(|_| job.status == JobStatus::Failed);
        let result = JobResult {
            id: job.description.job.to_string(),
            name: job.description.name.clone(),
            application_status: status,
            accumulator_results: accumulators::serialized(&accumulators::of_job(job)),
            net_runtime: times.duration,
            application_id: job.description.job.to_string(),
            start_time: times.start,
            end_time: times.end,
            failure_cause: failure.map(|entry| {
                FailureCause::new("org.apache.flink.runtime.JobException", &entry.failure.message)
            }),
        };
        Self { status: QueueStatus { id: "COMPLETED" }, job_execution_result: Some(result) }
    }
}

/// `/jobs/:jobid`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobDetailsInfo {
    jid: String,
    application_id: String,
    name: String,
    #[serde(rename = "isStoppable")]
    is_stoppable: bool,
    state: String,
    job_type: String,
    #[serde(rename = "schedulerType")]
    scheduler_type: &'static str,
    start_time: i64,
    end_time: i64,
    duration: i64,
    #[serde(rename = "maxParallelism")]
    max_parallelism: i64,
    now: i64,
    timestamps: BTreeMap<&'static str, i64>,
    vertices: Vec<VertexDetails>,
    status_counts: StateCounts,
    plan: Plan,
    pending_operators: u32,
    /// Not Flink's: what a job waits for that has no slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<String>,
}

/// A vertex of the plan, with what its tasks do.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct VertexDetails {
    id: String,
    #[serde(rename = "slotSharingGroupId")]
    slot_sharing_group_id: String,
    name: String,
    #[serde(rename = "maxParallelism")]
    max_parallelism: u32,
    parallelism: u32,
    status: String,
    start_time: i64,
    end_time: i64,
    duration: i64,
    tasks: StateCounts,
    metrics: IoMetrics,
}

impl JobDetailsInfo {
    pub(crate) fn of(now: Now, job: &JobView) -> Self {
        let id = job.description.job.to_string();
        let times = Times::of(now, job);
        let vertices = &job.description.graph.vertices;
        let timestamps = JOB_STATUSES.map(|name| {
            let entered = job.timestamps.iter().find(|(status, _)| status.to_string() == name);
            (name, entered.map_or(0, |(_, time)| time.0))
        });
        Self {
            application_id: id.clone(),
            jid: id,
            name: job.description.name.clone(),
            is_stoppable: false,
            state: job.status.to_string(),
            job_type: job.description.graph.job_type.to_string(),
            scheduler_type: "Default",
            start_time: times.start,
            end_time: times.end,
            duration: times.duration,
            max_parallelism: -1,
            now: now.wall.0,
            timestamps: timestamps.into(),
            status_counts: count_states(vertices.iter().map(|vertex| vertex_state(job, vertex))),
            vertices: vertices.iter().map(|vertex| VertexDetails::of(now, job, vertex)).collect(),
            plan: Plan::of(job),
            pending_operators: 0,
            waiting_for: job.waiting_for.clone(),
        }
    }
}

impl VertexDetails {
    fn of(now: Now, job: &JobView, vertex: &JobVertex) -> Self {
        // All tasks of an attempt are told to deploy at once: when the job last began to run.
        let start = job.timestamps.get(&JobStatus::Running).copied();
        let all_out = tasks_of(job, vertex).all(|task| task.state.is_out());
        let end = tasks_of(job, vertex).map(|task| task.since).max().filter(|_| all_out);
        Self {
            id: vertex.id.to_string(),
            slot_sharing_group_id: format!(
                "{:032x}",
                hash128(vertex.slot_sharing_group.as_bytes())
            ),
            name: vertex.name.clone(),
            max_parallelism: vertex.max_parallelism.get(),
            parallelism: vertex.parallelism,
            status: vertex_state(job, vertex).to_string(),
            start_time: time_or_minus_one(start),
            end_time: time_or_minus_one(end),
            duration: start.map_or(-1, |start| end.unwrap_or(now.wall).0 - start.0),
            tasks: count_states(tasks_of(job, vertex).map(|task| task.state)),
            metrics: IoMetrics::of(now, tasks_of(job, vertex), vertex.is_source),
        }
    }
}

/// `/jobs/:jobid/config`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobConfig {
    jid: String,
    name: String,
    execution_config: ExecutionConfig,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ExecutionConfig {
    restart_strategy: String,
    job_parallelism: u32,
    object_reuse_mode: bool,
    user_config: BTreeMap<String, String>,
}

impl JobConfig {
    pub(crate) fn of(_now: Now, job: &JobView) -> Self {
        let vertices = job.description.graph.vertices.iter();
        // What is the cluster's is not for everybody who may look at a job.
        let options = job.description.options.iter();
        let options = options.filter(|(_, _, origin)| *origin >= Origin::Program);
        Self {
            jid: job.description.job.to_string(),
            name: job.description.name.clone(),
            execution_config: ExecutionConfig {
                restart_strategy: job.description.restart.description(),
                job_parallelism: vertices.map(|vertex| vertex.parallelism).max().unwrap_or(1),
                // Records are moved from operator to operator, as in Flink with this mode.
                object_reuse_mode: true,
                // Without secrets.
                user_config: options.map(|(key, value, _)| (key.into(), value.into())).collect(),
            },
        }
    }
}

/// When a job began and ended.
pub(crate) struct Times {
    pub(crate) start: i64,
    /// −1 before the end.
    pub(crate) end: i64,
    pub(crate) duration: i64,
}

impl Times {
    pub(crate) fn of(now: Now, job: &JobView) -> Self {
        let start = job.timestamps.get(&JobStatus::Initializing).copied().unwrap_or(now.wall);
        let end = job.timestamps.get(&job.status).copied().filter(|_| job.status.is_terminal());
        let duration = end.unwrap_or(now.wall).0 - start.0;
        Self { start: start.0, end: time_or_minus_one(end), duration }
    }
}

pub(super) fn count_states(states: impl Iterator<Item = ExecutionState>) -> StateCounts {
    let mut counts = StateCounts::from(EXECUTION_STATES.map(|state| (state, 0)));
    for state in states {
        if let Some(count) = counts.get_mut(state.name()) {
            *count += 1;
        }
    }
    counts
}

/// The tasks of a vertex.
pub(crate) fn tasks_of<'a>(
    job: &'a JobView,
    vertex: &JobVertex,
) -> impl Iterator<Item = &'a SubtaskView> {
    let task = |subtask| TaskId { vertex: vertex.id, subtask };
    job.tasks.range(task(0)..=task(u32::MAX)).map(|(_, task)| task)
}

/// The state of a vertex.
pub(crate) fn vertex_state(job: &JobView, vertex: &JobVertex) -> ExecutionState {
    state_of(|| tasks_of(job, vertex))
}

/// The state of several tasks, by Flink's rule: the first that a task has, in this order. Tasks on their way make it
/// CREATED.
pub(super) fn state_of<'a, I: Iterator<Item = &'a SubtaskView>>(
    tasks: impl Fn() -> I,
) -> ExecutionState {
    use ExecutionState::{Canceled, Canceling, Created, Failed, Finished, Running};
    let has = |state| tasks().any(|task| task.state == state);
    let first = [Failed, Canceling, Canceled, Running].into_iter().find(|state| has(*state));
    let all_finished = tasks().all(|task| task.state == Finished);
    first.unwrap_or(match (all_finished, has(Finished)) {
        (true, true) => Finished,
        // Some have finished before others have started.
        (false, true) => Running,
        (_, false) => Created,
    })
}
