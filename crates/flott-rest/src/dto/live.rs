//! Our own: a job as the dashboard shows it, all of one moment.

use std::collections::BTreeMap;

use flott_control::JobStatus;
use flott_control::view::{JobView, SubtaskView};
use flott_core::Now;
use flott_plan::JobVertex;
use serde::Serialize;

use super::job::{Times, tasks_of, vertex_state};
use super::{long, millis};
use crate::rates::{Rate, Rates};

/// `/api/jobs/:jobid`. Times are in milliseconds, of the epoch where they are moments.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobLive {
    now: i64,
    id: String,
    name: String,
    status: String,
    #[serde(rename = "type")]
    kind: String,
    start: i64,
    end: i64,
    duration: i64,
    restarts: u64,
    /// What it waits for that has no slots.
    waiting_for: Option<String>,
    /// When it last entered each status.
    entered: BTreeMap<String, i64>,
    vertices: Vec<VertexLive>,
    edges: Vec<EdgeLive>,
    checkpoints: CheckpointsLive,
    failure: Option<FailureLive>,
    failures: usize,
}

/// A vertex: what its tasks do together.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VertexLive {
    id: String,
    name: String,
    operators: Vec<OperatorLive>,
    parallelism: u32,
    max_parallelism: u32,
    is_source: bool,
    status: String,
    /// How many tasks are in each state.
    tasks: BTreeMap<&'static str, usize>,
    records_in: i64,
    records_out: i64,
    bytes_in: i64,
    bytes_out: i64,
    rate: Rate,
    /// The least of its tasks, if all have one.
    watermark: Option<i64>,
}

#[derive(Serialize)]
struct OperatorLive {
    name: String,
    uid: String,
}

#[derive(Serialize)]
struct EdgeLive {
    source: String,
    target: String,
    ship: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckpointsLive {
    completed: u64,
    failed: u64,
    in_progress: u64,
    last: Option<CheckpointLive>,
}

#[derive(Serialize)]
struct CheckpointLive {
    id: u64,
    at: i64,
    duration: i64,
    bytes: i64,
}

/// What went wrong last.
#[derive(Serialize)]
struct FailureLive {
    at: i64,
    task: Option<String>,
    message: String,
}

impl JobLive {
    pub(crate) fn of(now: Now, job: &JobView, rates: &Rates) -> Self {
        let description = &job.description;
        let Times { start, end, duration } = Times::of(now, job);
        let entered = job.timestamps.iter();
        let entered = entered.map(|(status, at): (&JobStatus, _)| (status.to_string(), at.0));
        let newest = job.exceptions.entries().next();
        Self {
            now: now.wall.0,
            id: description.job.to_string(),
            name: description.name.clone(),
            status: job.status.to_string(),
            kind: description.graph.job_type.to_string(),
            start,
            end,
            duration,
            restarts: job.num_restarts,
            waiting_for: job.waiting_for.clone(),
            entered: entered.collect(),
            vertices: description
                .graph
                .vertices
                .iter()
                .map(|vertex| {
                    VertexLive::of(job, vertex, rates.of_vertex(description.job, vertex.id))
                })
                .collect(),
            edges: description
                .graph
                .edges
                .iter()
                .map(|edge| EdgeLive {
                    source: edge.source_vertex.to_string(),
                    target: edge.target_vertex.to_string(),
                    ship: edge.partitioning.ship_strategy(),
                })
                .collect(),
            checkpoints: CheckpointsLive::of(job),
            failure: newest.map(|entry| FailureLive {
                at: entry.at.0,
                task: entry.task_name.clone(),
                message: entry.failure.message.clone(),
            }),
            failures: job.exceptions.entries().count(),
        }
    }
}

impl VertexLive {
    fn of(job: &JobView, vertex: &JobVertex, rate: Rate) -> Self {
        let sum = |count: fn(&SubtaskView) -> u64| long(tasks_of(job, vertex).map(count).sum());
        let mut tasks = BTreeMap::new();
        for task in tasks_of(job, vertex) {
            *tasks.entry(task.state.name()).or_default() += 1;
        }
        let watermark = tasks_of(job, vertex).map(|task| task.metrics.input_watermark.get()).min();
        let operator = |operator: &flott_plan::Operator| OperatorLive {
            name: operator.name.clone(),
            uid: operator.uid.clone(),
        };
        Self {
            id: vertex.id.to_string(),
            name: vertex.name.clone(),
            operators: vertex.operators.iter().map(operator).collect(),
            parallelism: vertex.parallelism,
            max_parallelism: vertex.max_parallelism.get(),
            is_source: vertex.is_source,
            status: vertex_state(job, vertex).to_string(),
            tasks,
            records_in: sum(|task| task.metrics.records_in.get()),
            records_out: sum(|task| task.metrics.records_out.get()),
            bytes_in: sum(|task| task.metrics.bytes_in.get()),
            bytes_out: sum(|task| task.metrics.bytes_out.get()),
            rate,
            watermark: watermark.filter(|watermark| *watermark > i64::MIN),
        }
    }
}

impl CheckpointsLive {
    fn of(job: &JobView) -> Self {
        let stats = &job.checkpoints;
        let last = stats.latest_completed.as_ref();
        Self {
            completed: stats.counts.completed,
            failed: stats.counts.failed,
            in_progress: stats.counts.in_progress,
            last: last.map(|stats| CheckpointLive {
                id: stats.checkpoint.0,
                at: stats.triggered_at.0,
                duration: millis(stats.duration),
                bytes: long(stats.checkpointed_bytes),
            }),
        }
    }
}
