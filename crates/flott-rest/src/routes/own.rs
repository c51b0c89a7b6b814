//! What Flink does not have: routes under `/api/`.

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::vertices::{PathOf, with_vertex};
use super::{Watched, find, json};
use crate::dto::live::JobLive;

pub(super) fn routes() -> Router<Watched> {
    Router::new()
        .route("/api/jobs/{jobid}", get(job))
        .route("/api/jobs/{jobid}/vertices/{vertexid}/history", get(history))
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
