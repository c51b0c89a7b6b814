//! What is asked about a vertex of a job, and about metrics.

use std::ops::RangeInclusive;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use flott_control::view::{ClusterView, JobView};
use flott_core::{Now, TaskId};
use flott_plan::JobVertex;
use serde::Serialize;

use super::processes::Parameters;
use super::{HANDLER_EXCEPTION, NOT_FOUND_EXCEPTION, Watched, error, find, json, unresolved};
use crate::dto::accumulators::VertexAccumulatorsInfo;
use crate::dto::checkpoint_details::VertexCheckpointDetails;
use crate::dto::job::tasks_of;
use crate::dto::metrics::{self, Metrics, VertexBackPressure};
use crate::dto::subtasks::{
    AttemptAccumulatorsInfo, Subtask, SubtasksAccumulatorsInfo, SubtasksTimesInfo,
    VertexDetailsInfo, VertexTaskManagersInfo,
};
use crate::rates::{Rate, Rates};
use crate::table::Table;
use crate::tokens::Role::Viewer;

pub(super) type PathOf<T> = Result<Path<T>, PathRejection>;
type Refusal = Box<Response>;

pub(super) fn routes() -> Table<Watched> {
    const VERTEX: &str = "/jobs/{jobid}/vertices/{vertexid}";
    let mut table = Table::new();
    for (path, handler) in [
        ("", about(VertexDetailsInfo::of)),
        ("/subtasktimes", about(SubtasksTimesInfo::of)),
        ("/taskmanagers", about(VertexTaskManagersInfo::of)),
        ("/accumulators", about(VertexAccumulatorsInfo::of)),
        ("/backpressure", get(backpressure)),
        ("/watermarks", get(watermarks)),
        ("/metrics", get(vertex_metrics)),
        // Nothing coordinates an operator but its job's master.
        ("/jm-operator-metrics", about(|_, _, _| [(); 0])),
        ("/subtasks/accumulators", about(SubtasksAccumulatorsInfo::of)),
        ("/subtasks/metrics", get(subtasks_metrics)),
        ("/subtasks/{index}", get(one)),
        ("/subtasks/{index}/metrics", get(subtask_metrics)),
        ("/subtasks/{index}/attempts/{attempt}", get(attempt)),
        ("/subtasks/{index}/attempts/{attempt}/accumulators", get(attempt_accumulators)),
    ] {
        table = table.look(&format!("{VERTEX}{path}"), Viewer, handler);
    }
    table
        .look("/jobs/{jobid}/checkpoints/details/{id}/subtasks/{vertexid}", Viewer, get(checkpoint))
        .look("/jobs/{jobid}/metrics", Viewer, get(job_metrics))
        .look("/jobs/metrics", Viewer, get(jobs_metrics))
}

/// An answer about the vertex that the path names.
fn about<T: Serialize + 'static>(
    answer: fn(Now, &JobView, &JobVertex) -> T,
) -> MethodRouter<Watched> {
    get(async move |State(watched): State<Watched>, path: PathOf<(String, String)>| {
        of_vertex(&watched, path, |now, job, vertex| Ok(json(&answer(now, job, vertex))))
    })
}

fn of_vertex(
    watched: &Watched,
    path: PathOf<(String, String)>,
    answer: impl FnOnce(Now, &JobView, &JobVertex) -> Result<Response, Refusal>,
) -> Response {
    let (job, vertex) = path.map(|Path(ids)| ids).unwrap_or_default();
    with_vertex(&(watched.view)(), &job, &vertex, answer)
}

pub(super) fn with_vertex(
    view: &ClusterView,
    job: &str,
    vertex: &str,
    answer: impl FnOnce(Now, &JobView, &JobVertex) -> Result<Response, Refusal>,
) -> Response {
    let answered = find(view, job).and_then(|job| answer(view.now, job, find_vertex(job, vertex)?));
    answered.unwrap_or_else(|refusal| *refusal)
}

fn find_vertex<'a>(job: &'a JobView, id: &str) -> Result<&'a JobVertex, Refusal> {
    let vertex = id.parse().map_err(|_| Box::new(unresolved("path parameter (vertexid)", id)))?;
    job.description
        .graph
        .vertex(vertex)
        .ok_or_else(|| not_found(format!("{NOT_FOUND_EXCEPTION}: JobVertex {id} not found")))
}

fn not_found(text: String) -> Refusal {
    Box::new(error(StatusCode::NOT_FOUND, text))
}

fn number(name: &str, text: &str) -> Result<u32, Refusal> {
    text.parse().map_err(|_| Box::new(unresolved(&format!("path parameter ({name})"), text)))
}

/// How fast each task of a vertex goes.
pub(super) fn rates(rates: &Rates, job: &JobView, vertex: &JobVertex) -> Vec<Rate> {
    let task = |subtask| TaskId { vertex: vertex.id, subtask };
    let all = (0..vertex.parallelism).map(task);
    all.map(|task| rates.of_task(job.description.job, task)).collect()
}

async fn backpressure(State(watched): State<Watched>, path: PathOf<(String, String)>) -> Response {
    of_vertex(&watched, path, |now, job, vertex| {
        Ok(json(&VertexBackPressure::of(now, &rates(&watched.rates, job, vertex))))
    })
}

/// What each task of a vertex measures.
fn measured(now: Now, all: &Rates, job: &JobView, vertex: &JobVertex) -> Vec<Metrics> {
    let tasks = tasks_of(job, vertex).zip(rates(all, job, vertex));
    tasks.map(|(task, rate)| metrics::of_task(now, vertex, task, rate)).collect()
}

/// The metrics of all tasks of a vertex, each with its task's number before its name.
fn numbered(all: &[Metrics]) -> Metrics {
    let numbered = all.iter().enumerate().flat_map(|(index, metrics)| {
        metrics.iter().map(move |(name, value)| (format!("{index}.{name}"), *value))
    });
    numbered.collect()
}

async fn watermarks(State(watched): State<Watched>, path: PathOf<(String, String)>) -> Response {
    of_vertex(&watched, path, |now, job, vertex| {
        let mut all = numbered(&measured(now, &watched.rates, job, vertex));
        all.retain(|name, value| {
            name.ends_with(".currentInputWatermark") && *value > i64::MIN as f64
        });
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        Ok(json(&metrics::some_of(&all, Some(&names))))
    })
}

/// A parameter that is a list, if it is there. It may come several times.
pub(super) fn list<'a>(parameters: &'a [(String, String)], name: &str) -> Option<Vec<&'a str>> {
    let mut found = parameters.iter().filter(|(key, _)| key == name).peekable();
    found.peek()?;
    Some(found.flat_map(|(_, value)| value.split(',')).filter(|id| !id.is_empty()).collect())
}

pub(super) fn given(parameters: Parameters) -> Vec<(String, String)> {
    parameters.map(|Query(parameters)| parameters).unwrap_or_default()
}

pub(super) fn chosen(all: &Metrics, parameters: Parameters) -> Response {
    json(&metrics::some_of(all, list(&given(parameters), "get").as_deref()))
}

pub(super) fn combined(
    all: &[Metrics],
    parameters: &[(String, String)],
) -> Result<Response, Refusal> {
    let (wanted, kinds) = (list(parameters, "get"), list(parameters, "agg"));
    match metrics::aggregated(all, wanted.as_deref(), kinds.as_deref()) {
        Ok(answer) => Ok(json(&answer)),
        Err(unknown) => Err(Box::new(unresolved("query parameter (agg)", &unknown))),
    }
}

async fn vertex_metrics(
    State(watched): State<Watched>,
    path: PathOf<(String, String)>,
    parameters: Parameters,
) -> Response {
    of_vertex(&watched, path, |now, job, vertex| {
        Ok(chosen(&numbered(&measured(now, &watched.rates, job, vertex)), parameters))
    })
}

async fn subtasks_metrics(
    State(watched): State<Watched>,
    path: PathOf<(String, String)>,
    parameters: Parameters,
) -> Response {
    of_vertex(&watched, path, |now, job, vertex| {
        let parameters = given(parameters);
        let mut all = measured(now, &watched.rates, job, vertex);
        if let Some(ranges) = list(&parameters, "subtasks") {
            let wanted = indexes(&ranges)?;
            let is_wanted = |index: &usize| wanted.iter().any(|range| range.contains(index));
            let own = all.into_iter().enumerate().filter(|(index, _)| is_wanted(index));
            all = own.map(|(_, metrics)| metrics).collect();
        }
        combined(&all, &parameters)
    })
}

/// Numbers and ranges of numbers, such as `0` and `2-4`.
fn indexes(ranges: &[&str]) -> Result<Vec<RangeInclusive<usize>>, Refusal> {
    let parse = |range: &&str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => Ok(first..=last),
            _ => Err(Box::new(unresolved("query parameter (subtasks)", range))),
        }
    };
    ranges.iter().map(parse).collect()
}

async fn subtask_metrics(
    State(watched): State<Watched>,
    path: PathOf<(String, String, String)>,
    parameters: Parameters,
) -> Response {
    let (job, vertex, index) = path.map(|Path(ids)| ids).unwrap_or_default();
    with_vertex(&(watched.view)(), &job, &vertex, |now, job, vertex| {
        let all = measured(now, &watched.rates, job, vertex);
        match all.get(number("subtaskindex", &index)? as usize) {
            Some(own) => Ok(chosen(own, parameters)),
            None => Err(no_subtask(&index)),
        }
    })
}

fn no_subtask(index: &str) -> Refusal {
    not_found(format!("{HANDLER_EXCEPTION}: Invalid subtask index for vertex: {index}"))
}

async fn one(State(watched): State<Watched>, path: PathOf<(String, String, String)>) -> Response {
    let (job, vertex, index) = path.map(|Path(ids)| ids).unwrap_or_default();
    with_vertex(&(watched.view)(), &job, &vertex, |now, job, vertex| {
        let found = Subtask::find(now, job, vertex, number("subtaskindex", &index)?);
        found.map(|subtask| json(&subtask)).ok_or_else(|| no_subtask(&index))
    })
}

/// Only the newest attempt of a task is remembered.
fn no_attempt(attempt: u32) -> Refusal {
    not_found(format!("{HANDLER_EXCEPTION}: Could not find execution for attempt {attempt}"))
}

async fn attempt(
    State(watched): State<Watched>,
    path: PathOf<(String, String, String, String)>,
) -> Response {
    let (job, vertex, index, attempt) = path.map(|Path(ids)| ids).unwrap_or_default();
    with_vertex(&(watched.view)(), &job, &vertex, |now, job, vertex| {
        let attempt = number("attempt", &attempt)?;
        let found = Subtask::find(now, job, vertex, number("subtaskindex", &index)?);
        let found = found.ok_or_else(|| no_subtask(&index))?;
        if found.attempt != attempt {
            return Err(no_attempt(attempt));
        }
        Ok(json(&found))
    })
}

async fn attempt_accumulators(
    State(watched): State<Watched>,
    path: PathOf<(String, String, String, String)>,
) -> Response {
    let (job, vertex, index, attempt) = path.map(|Path(ids)| ids).unwrap_or_default();
    with_vertex(&(watched.view)(), &job, &vertex, |_, job, vertex| {
        let attempt = number("attempt", &attempt)?;
        let found = AttemptAccumulatorsInfo::find(job, vertex, number("subtaskindex", &index)?);
        let found = found.ok_or_else(|| no_subtask(&index))?;
        if found.attempt != attempt {
            return Err(no_attempt(attempt));
        }
        Ok(json(&found))
    })
}

async fn checkpoint(
    State(watched): State<Watched>,
    path: PathOf<(String, String, String)>,
) -> Response {
    let (job, id, vertex) = path.map(|Path(ids)| ids).unwrap_or_default();
    with_vertex(&(watched.view)(), &job, &vertex, |_, job, vertex| {
        let Ok(id) = id.parse() else {
            return Err(Box::new(unresolved("path parameter (checkpointid)", &id)));
        };
        let found = VertexCheckpointDetails::find(job, id, vertex.id);
        found.map(|details| json(&details)).ok_or_else(|| no_checkpoint(id))
    })
}

pub(super) fn no_checkpoint(id: u64) -> Refusal {
    not_found(format!(
        "{HANDLER_EXCEPTION}: Could not find checkpointing statistics for checkpoint {id}."
    ))
}

async fn job_metrics(
    State(watched): State<Watched>,
    id: PathOf<String>,
    parameters: Parameters,
) -> Response {
    let (view, id) = ((watched.view)(), id.map(|Path(id)| id).unwrap_or_default());
    match find(&view, &id) {
        Ok(job) => chosen(&metrics::of_job(view.now, job), parameters),
        Err(refusal) => *refusal,
    }
}

async fn jobs_metrics(State(watched): State<Watched>, parameters: Parameters) -> Response {
    let (view, parameters) = ((watched.view)(), given(parameters));
    let wanted = list(&parameters, "jobs");
    let is_wanted = |job: &JobView| {
        let id = job.description.job.to_string();
        wanted.as_ref().is_none_or(|wanted| wanted.contains(&id.as_str()))
    };
    let jobs = view.jobs.iter().filter(|job| is_wanted(job));
    let all: Vec<Metrics> = jobs.map(|job| metrics::of_job(view.now, job)).collect();
    combined(&all, &parameters).unwrap_or_else(|refusal| *refusal)
}
