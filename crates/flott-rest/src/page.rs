//! The page for people: three static files, and one document with everything that they show, so
//! that its parts are of one moment.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use flott_checkpoint::coordinator::{CheckpointStats, CheckpointStatus, CheckpointingStats};
use flott_control::ExceptionEntry;
use flott_control::view::{ClusterView, JobView};
use flott_core::WallTime;
use flott_plan::JobVertex;
use serde::Serialize;

use crate::dto::job::{Times, tasks_of, vertex_state};
use crate::routes::{View, json};

/// How many failures the page shows.
const EXCEPTIONS_MAX: usize = 8;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const STYLE: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");

pub(crate) fn routes() -> Router<View> {
    Router::new()
        .route("/", file(HTML, include_str!("page/index.html")))
        .route("/page.js", file(SCRIPT, include_str!("page/page.js")))
        .route("/page.css", file(STYLE, include_str!("page/page.css")))
        .route("/page.json", get(async |State(view): State<View>| json(&Page::of(&view()))))
}

fn file(kind: HeaderValue, text: &'static str) -> MethodRouter<View> {
    get(async move || {
        let mut response = Response::new(Body::from(text));
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    })
}

/// What the page shows. Times are in milliseconds, of the epoch where they are moments.
#[derive(Serialize)]
struct Page {
    now: i64,
    /// The newest job; none before the first.
    job: Option<Job>,
}

#[derive(Serialize)]
struct Job {
    id: String,
    name: String,
    status: String,
    start: i64,
    duration: i64,
    restarts: u64,
    /// What it waits for that has no slots.
    waiting_for: Option<String>,
    vertices: Vec<Vertex>,
    checkpoints: Checkpoints,
    exceptions: Vec<Exception>,
}

#[derive(Serialize)]
struct Vertex {
    name: String,
    parallelism: u32,
    status: String,
    records_in: u64,
    records_out: u64,
}

#[derive(Serialize)]
struct Checkpoints {
    completed: u64,
    failed: u64,
    in_progress: u64,
    restored: u64,
    last: Option<Completed>,
    last_failure: Option<Failed>,
}

#[derive(Serialize)]
struct Completed {
    id: u64,
    triggered: i64,
    duration: u128,
    bytes: u64,
    /// The longest pause of a task.
    pause_nanos: u64,
    location: Option<String>,
}

#[derive(Serialize)]
struct Failed {
    id: u64,
    at: i64,
    message: String,
}

#[derive(Serialize)]
struct Exception {
    at: i64,
    task: Option<String>,
    message: String,
    /// How many other tasks failed before the restart.
    others: usize,
}

impl Page {
    fn of(view: &ClusterView) -> Self {
        Self { now: view.now.0, job: view.jobs.first().map(|job| Job::of(view.now, job)) }
    }
}

impl Job {
    fn of(now: WallTime, job: &JobView) -> Self {
        let times = Times::of(now, job);
        let vertices = job.description.graph.vertices.iter();
        let exceptions = job.exceptions.entries().take(EXCEPTIONS_MAX);
        Self {
            id: job.description.job.to_string(),
            name: job.description.name.clone(),
            status: job.status.to_string(),
            start: times.start,
            duration: times.duration,
            restarts: job.num_restarts,
            waiting_for: job.waiting_for.clone(),
            vertices: vertices.map(|vertex| Vertex::of(job, vertex)).collect(),
            checkpoints: Checkpoints::of(job, &job.checkpoints),
            exceptions: exceptions.map(Exception::of).collect(),
        }
    }
}

impl Vertex {
    fn of(job: &JobView, vertex: &JobVertex) -> Self {
        let count = |count: fn(&flott_core::metrics::TaskMetrics) -> u64| {
            tasks_of(job, vertex).map(|task| count(&task.metrics)).sum()
        };
        Self {
            name: vertex.name.clone(),
            parallelism: vertex.parallelism,
            status: vertex_state(job, vertex).to_string(),
            records_in: count(|metrics| metrics.records_in.get()),
            records_out: count(|metrics| metrics.records_out.get()),
        }
    }
}

impl Checkpoints {
    fn of(job: &JobView, stats: &CheckpointingStats) -> Self {
        let completed = |stats: &CheckpointStats| Completed {
            id: stats.checkpoint.0,
            triggered: stats.triggered_at.0,
            duration: stats.duration.as_millis(),
            bytes: stats.state_bytes,
            pause_nanos: {
                let pauses = stats.tasks.values().flatten().map(|task| task.metrics.sync_nanos);
                pauses.max().unwrap_or(0)
            },
            location: job.locations.get(&stats.checkpoint).cloned(),
        };
        let failed = |stats: &CheckpointStats| match &stats.status {
            CheckpointStatus::Failed { reason, message, at, .. } => Some(Failed {
                id: stats.checkpoint.0,
                at: at.0,
                message: format!("{} {message}", reason.text()),
            }),
            CheckpointStatus::InProgress | CheckpointStatus::Completed => None,
        };
        Self {
            completed: stats.counts.completed,
            failed: stats.counts.failed,
            in_progress: stats.counts.in_progress,
            restored: stats.counts.restored,
            last: stats.latest_completed.as_ref().map(completed),
            last_failure: stats.latest_failed.as_ref().and_then(failed),
        }
    }
}

impl Exception {
    fn of(entry: &ExceptionEntry) -> Self {
        Self {
            at: entry.at.0,
            task: entry.task_name.clone(),
            message: entry.failure.message.clone(),
            others: entry.concurrent.len(),
        }
    }
}
