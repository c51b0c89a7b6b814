//! What Flink does not have: routes under `/api/`.

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::vertices::{self, PathOf, with_vertex};
use super::{Watched, error, find, json};
use crate::dto::job::tasks_of;
use crate::dto::live::JobLive;
use crate::openapi::EVENTS;
use crate::rates::Rate;
use crate::table::{Principal, Table};
use crate::tokens::Role::Viewer;

pub(super) fn routes() -> Table<Watched> {
    let history = get(history);
    Table::new()
        .own(Method::GET, "/api/session", Viewer, get(session))
        .own(Method::GET, EVENTS, Viewer, get(events))
        .own(Method::GET, "/api/jobs/{jobid}", Viewer, get(job))
        .own(Method::GET, "/api/jobs/{jobid}/vertices/{vertexid}/history", Viewer, history)
        .own(Method::GET, "/api/jobs/{jobid}/vertices/{vertexid}/rates", Viewer, get(rates))
}

/// Who asks, and what that one may.
#[derive(Serialize)]
struct Session {
    name: String,
    role: String,
    /// Whether anybody who reaches the server may do that.
    unprotected: bool,
}

async fn session(Extension(principal): Extension<Principal>) -> Response {
    json(&Session {
        name: principal.name,
        role: principal.role.to_string(),
        unprotected: principal.is_unprotected,
    })
}

/// What happens, as it happens (server-sent events).
async fn events(State(watched): State<Watched>) -> Response {
    const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
    let Some(body) = watched.events.listen(&(watched.view)()) else {
        let text = "Too many listen already: ask for what is to be known from time to time.";
        return error(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, STREAM);
    response
}

/// A job as the dashboard shows it.
async fn job(State(watched): State<Watched>, id: Result<Path<String>, PathRejection>) -> Response {
    let (view, id) = ((watched.view)(), id.map(|Path(id)| id).unwrap_or_default());
    match find(&view, &id) {
        Ok(job) => json(&JobLive::of(view.now, job, &watched.rates)),
        Err(refusal) => *refusal,
    }
}

/// How a vertex has gone in the last minutes.
async fn history(State(watched): State<Watched>, path: PathOf<(String, String)>) -> Response {
    let (job, vertex) = path.map(|Path(ids)| ids).unwrap_or_default();
    with_vertex(&(watched.view)(), &job, &vertex, |_, job, vertex| {
        Ok(json(&watched.rates.history(job.description.job, vertex.id)))
    })
}

/// How fast a task goes, and how far event time is there.
#[derive(Serialize)]
struct TaskRate {
    #[serde(flatten)]
    rate: Rate,
    watermark: Option<i64>,
}

/// How fast each task of a vertex goes.
async fn rates(State(watched): State<Watched>, path: PathOf<(String, String)>) -> Response {
    let (job, vertex) = path.map(|Path(ids)| ids).unwrap_or_default();
    with_vertex(&(watched.view)(), &job, &vertex, |_, job, vertex| {
        let rates = vertices::rates(&watched.rates, job, vertex).into_iter();
        let all = rates.zip(tasks_of(job, vertex)).map(|(rate, task)| {
            let watermark = task.metrics.input_watermark.get();
            TaskRate { rate, watermark: (watermark > i64::MIN).then_some(watermark) }
        });
        Ok(json(&all.collect::<Vec<_>>()))
    })
}
