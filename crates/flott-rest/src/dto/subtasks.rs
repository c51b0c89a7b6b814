//! The tasks of a vertex: `/jobs/:jobid/vertices/:vertexid` and what is below it.

use std::collections::BTreeMap;

use flott_control::ExecutionState;
use flott_control::view::{JobView, SubtaskView};
use flott_core::Now;
use flott_plan::JobVertex;
use serde::Serialize;

use super::accumulators::UserAccumulator;
use super::io_metrics::IoMetrics;
use super::job::{EXECUTION_STATES, StateCounts, count_states, state_of, tasks_of};
use super::summary::percentile;
use super::time_or_minus_one;

/// Flink's text for a task whose place is not known.
pub(super) const UNASSIGNED: &str = "(unassigned)";

/// The states whose durations Flink tells.
const TIMED_STATES: [&str; 5] = ["CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING"];

/// Where a TaskManager's name says that it is: the name ends with a hyphen and what tells it from others.
pub(super) fn endpoint(task_manager: Option<&str>) -> String {
    let name = task_manager.unwrap_or(UNASSIGNED);
    name.rsplit_once('-').map_or(name, |(endpoint, _)| endpoint).to_owned()
}

/// `/jobs/:jobid/vertices/:vertexid`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VertexDetailsInfo {
    id: String,
    name: String,
    parallelism: u32,
    max_parallelism: u32,
    now: i64,
    subtasks: Vec<Subtask>,
    aggregated: Aggregated,
}

impl VertexDetailsInfo {
    pub(crate) fn of(now: Now, job: &JobView, vertex: &JobVertex) -> Self {
        let subtasks = Subtask::all_of(now, job, vertex);
        Self {
            id: vertex.id.to_string(),
            name: vertex.name.clone(),
            parallelism: vertex.parallelism,
            max_parallelism: vertex.max_parallelism.get(),
            now: now.wall.0,
            aggregated: Aggregated::of(&subtasks),
            subtasks,
        }
    }
}

/// `…/subtasks/:index` and `…/subtasks/:index/attempts/:attempt`.
#[derive(Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Subtask {
    subtask: u32,
    status: String,
    pub(crate) attempt: u32,
    endpoint: String,
    start_time: i64,
    end_time: i64,
    duration: i64,
    metrics: IoMetrics,
    taskmanager_id: String,
    status_duration: BTreeMap<&'static str, i64>,
    /// Flink's older name.
    #[serde(rename = "start_time")]
    start_time_again: i64,
}

impl Subtask {
    fn all_of(now: Now, job: &JobView, vertex: &JobVertex) -> Vec<Self> {
        let tasks = (0..).zip(tasks_of(job, vertex));
        tasks.map(|(index, task)| Self::of(now, vertex, index, task)).collect()
    }

    /// One of them, if there is one with this index.
    pub(crate) fn find(now: Now, job: &JobView, vertex: &JobVertex, index: u32) -> Option<Self> {
        let task = tasks_of(job, vertex).nth(index as usize)?;
        Some(Self::of(now, vertex, index, task))
    }

    fn of(now: Now, vertex: &JobVertex, subtask: u32, task: &SubtaskView) -> Self {
        let span = Span::of(now, task);
        Self {
            subtask,
            status: task.state.to_string(),
            attempt: task.attempt.0,
            endpoint: endpoint(task.task_manager.as_deref()),
            start_time: span.start,
            end_time: span.end,
            duration: span.duration,
            metrics: IoMetrics::of(now, std::iter::once(task), vertex.is_source),
            taskmanager_id: task.task_manager.clone().unwrap_or_else(|| UNASSIGNED.into()),
            status_duration: durations(now, task),
            start_time_again: span.start,
        }
    }
}

/// From a task's deployment to its end.
struct Span {
    start: i64,
    end: i64,
    duration: i64,
}

impl Span {
    fn of(now: Now, task: &SubtaskView) -> Self {
        let start = task.entered.get(&ExecutionState::Deploying).copied();
        let end = task.state.is_out().then_some(task.since);
        let duration = start.map_or(-1, |start| end.unwrap_or(now.wall).0 - start.0);
        Self { start: time_or_minus_one(start), end: time_or_minus_one(end), duration }
    }
}

/// How long a task was in each state; −1 where it has not been.
fn durations(now: Now, task: &SubtaskView) -> BTreeMap<&'static str, i64> {
    let duration = |name: &'static str| {
        let entered = task.entered.iter().find(|(state, _)| state.name() == name);
        let duration = entered.map_or(-1, |(state, entered)| {
            let later = task
                .entered
                .iter()
                .filter(|(other, time)| *other != state && (*time, *other) > (entered, state));
            let end = later.map(|(_, time)| *time).min().unwrap_or(now.wall);
            end.0 - entered.0
        });
        (name, duration)
    };
    TIMED_STATES.map(duration).into()
}

/// Numbers of the tasks of a vertex in a few.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Aggregated {
    metrics: BTreeMap<&'static str, Aggregate>,
    status_duration: BTreeMap<&'static str, Aggregate>,
}

#[derive(Serialize)]
struct Aggregate {
    min: i64,
    max: i64,
    avg: i64,
    sum: i64,
    median: i64,
    p25: i64,
    p75: i64,
    p95: i64,
}

impl Aggregated {
    fn of(subtasks: &[Subtask]) -> Self {
        let metric = |of: fn(&IoMetrics) -> i64| {
            Aggregate::of(subtasks.iter().map(|subtask| of(&subtask.metrics)))
        };
        let duration = |state: &'static str| {
            let all = subtasks.iter().filter_map(|task| task.status_duration.get(state).copied());
            (state, Aggregate::of(all))
        };
        Self {
            metrics: [
                ("read-bytes", metric(|m| m.read_bytes)),
                ("read-records", metric(|m| m.read_records)),
                ("write-bytes", metric(|m| m.write_bytes)),
                ("write-records", metric(|m| m.write_records)),
                ("accumulated-busy-time", metric(|m| m.accumulated_busy_time as i64)),
                ("accumulated-idle-time", metric(|m| m.accumulated_idle_time)),
                ("accumulated-backpressured-time", metric(|m| m.accumulated_backpressured_time)),
            ]
            .into(),
            status_duration: TIMED_STATES.map(duration).into(),
        }
    }
}

impl Aggregate {
    fn of(numbers: impl Iterator<Item = i64>) -> Self {
        let mut sorted: Vec<i64> = numbers.collect();
        sorted.sort_unstable();
        let at = |p| percentile(&sorted, p).map_or(0, |value| value as i64);
        let sum: i64 = sorted.iter().sum();
        Self {
            min: sorted.first().copied().unwrap_or(0),
            max: sorted.last().copied().unwrap_or(0),
            avg: sum.checked_div(sorted.len() as i64).unwrap_or(0),
            sum,
            median: at(0.5),
            p25: at(0.25),
            p75: at(0.75),
            p95: at(0.95),
        }
    }
}

/// `…/subtasktimes`.
#[derive(Serialize)]
pub(crate) struct SubtasksTimesInfo {
    id: String,
    name: String,
    now: i64,
    subtasks: Vec<SubtaskTimes>,
}

#[derive(Serialize)]
struct SubtaskTimes {
    subtask: u32,
    endpoint: String,
    duration: i64,
    timestamps: BTreeMap<&'static str, i64>,
}

impl SubtasksTimesInfo {
    pub(crate) fn of(now: Now, job: &JobView, vertex: &JobVertex) -> Self {
        let times = |(subtask, task): (u32, &SubtaskView)| SubtaskTimes {
            subtask,
            endpoint: endpoint(task.task_manager.as_deref()),
            duration: Span::of(now, task).duration,
            timestamps: EXECUTION_STATES
                .map(|name| {
                    let entered = task.entered.iter().find(|(state, _)| state.name() == name);
                    (name, entered.map_or(0, |(_, time)| time.0))
                })
                .into(),
        };
        Self {
            id: vertex.id.to_string(),
            name: vertex.name.clone(),
            now: now.wall.0,
            subtasks: (0..).zip(tasks_of(job, vertex)).map(times).collect(),
        }
    }
}

/// `…/taskmanagers`.
#[derive(Serialize)]
pub(crate) struct VertexTaskManagersInfo {
    id: String,
    name: String,
    now: i64,
    taskmanagers: Vec<VertexTaskManager>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct VertexTaskManager {
    endpoint: String,
    status: String,
    start_time: i64,
    end_time: i64,
    duration: i64,
    metrics: IoMetrics,
    status_counts: StateCounts,
    taskmanager_id: String,
    aggregated: Aggregated,
}

impl VertexTaskManagersInfo {
    pub(crate) fn of(now: Now, job: &JobView, vertex: &JobVertex) -> Self {
        let mut by_name: BTreeMap<&str, Vec<(u32, &SubtaskView)>> = BTreeMap::new();
        for (index, task) in (0..).zip(tasks_of(job, vertex)) {
            let name = task.task_manager.as_deref().unwrap_or(UNASSIGNED);
            by_name.entry(name).or_default().push((index, task));
        }
        let one = |(name, own): (&str, Vec<(u32, &SubtaskView)>)| {
            let tasks = || own.iter().map(|(_, task)| *task);
            let spans: Vec<Span> = tasks().map(|task| Span::of(now, task)).collect();
            let start = spans.iter().map(|span| span.start).filter(|start| *start >= 0).min();
            let is_over = spans.iter().all(|span| span.end >= 0);
            let end = spans.iter().map(|span| span.end).max().filter(|_| is_over);
            let of = |(index, task): &(u32, &SubtaskView)| Subtask::of(now, vertex, *index, task);
            let subtasks: Vec<Subtask> = own.iter().map(of).collect();
            VertexTaskManager {
                endpoint: endpoint(Some(name)),
                status: state_of(tasks).to_string(),
                start_time: start.unwrap_or(-1),
                end_time: end.unwrap_or(-1),
                duration: start.map_or(-1, |start| end.unwrap_or(now.wall.0) - start),
                metrics: IoMetrics::of(now, tasks(), vertex.is_source),
                status_counts: count_states(tasks().map(|task| task.state)),
                taskmanager_id: name.to_owned(),
                aggregated: Aggregated::of(&subtasks),
            }
        };
        Self {
            id: vertex.id.to_string(),
            name: vertex.name.clone(),
            now: now.wall.0,
            taskmanagers: by_name.into_iter().map(one).collect(),
        }
    }
}

/// `…/subtasks/accumulators`.
#[derive(Serialize)]
pub(crate) struct SubtasksAccumulatorsInfo {
    id: String,
    parallelism: u32,
    subtasks: Vec<SubtaskAccumulators>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SubtaskAccumulators {
    subtask: u32,
    attempt: u32,
    endpoint: String,
    user_accumulators: Vec<UserAccumulator>,
}

impl SubtasksAccumulatorsInfo {
    pub(crate) fn of(_: Now, job: &JobView, vertex: &JobVertex) -> Self {
        let one = |(subtask, task): (u32, &SubtaskView)| SubtaskAccumulators {
            subtask,
            attempt: task.attempt.0,
            endpoint: endpoint(task.task_manager.as_deref()),
            user_accumulators: UserAccumulator::all_of(&task.metrics.accumulators.values()),
        };
        Self {
            id: vertex.id.to_string(),
            parallelism: vertex.parallelism,
            subtasks: (0..).zip(tasks_of(job, vertex)).map(one).collect(),
        }
    }
}

/// `…/subtasks/:index/attempts/:attempt/accumulators`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct AttemptAccumulatorsInfo {
    subtask: u32,
    pub(crate) attempt: u32,
    id: String,
    user_accumulators: Vec<UserAccumulator>,
}

impl AttemptAccumulatorsInfo {
    /// Nothing if there is no such subtask.
    pub(crate) fn find(job: &JobView, vertex: &JobVertex, subtask: u32) -> Option<Self> {
        let task = tasks_of(job, vertex).nth(subtask as usize)?;
        let attempt = task.attempt.0;
        Some(Self {
            subtask,
            attempt,
            id: format!("{}_{}_{subtask}_{attempt}", job.description.job, vertex.id),
            user_accumulators: UserAccumulator::all_of(&task.metrics.accumulators.values()),
        })
    }
}
