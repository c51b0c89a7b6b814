//! The routes that do something.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, patch, post};
use flott_control::JobStatus;
use flott_core::JobId;

use super::{HANDLER_EXCEPTION, View, accepted, error, find, job_id, json, unresolved};
use crate::actions::{Actions, Operations, new_trigger};
use crate::dto::operation::{
    CheckpointTriggerRequest, OperationStatus, TriggerResponse, trigger_text,
};
use crate::guard::BODY_BYTES_MAX;

#[derive(Clone)]
struct Acting {
    view: View,
    actions: Arc<dyn Actions>,
    operations: Operations,
}

pub(super) fn routes(view: View, actions: Arc<dyn Actions>) -> Router {
    let mut router = Router::new();
    for v in ["", "/v1"] {
        let checkpoints = format!("{v}/jobs/{{jobid}}/checkpoints");
        router = router
            .route(&format!("{v}/jobs/{{jobid}}"), patch(cancel))
            .route(&checkpoints, post(trigger_checkpoint))
            .route(&format!("{checkpoints}/{{triggerid}}"), get(checkpoint_status));
    }
    let acting = Acting { view, actions, operations: Operations::default() };
    router.layer(DefaultBodyLimit::max(BODY_BYTES_MAX as usize)).with_state(acting)
}

async fn cancel(
    State(acting): State<Acting>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Response {
    let mut parameters = uri.query().unwrap_or_default().split('&');
    let mode = parameters.find_map(|parameter| parameter.strip_prefix("mode="));
    if let Some(mode) = mode.filter(|mode| *mode != "cancel") {
        return unresolved("query parameter (mode)", mode);
    }
    let view = (acting.view)();
    let job = match find(&view, id.as_ref().map_or("", |Path(id)| id)) {
        Ok(job) => job,
        Err(refusal) => return *refusal,
    };
    let is_cancelled = job.status == JobStatus::Canceled;
    if acting.actions.cancel(job.description.job) || is_cancelled {
        return accepted(&serde_json::Map::new());
    }
    let text = format!(
        "{HANDLER_EXCEPTION}: Job cancellation failed because the job has already reached another \
         terminal state ({}).",
        job.status
    );
    error(StatusCode::CONFLICT, text)
}

async fn trigger_checkpoint(
    State(acting): State<Acting>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let job = match job_id(id.as_ref().map_or("", |Path(id)| id)) {
        Ok(job) => job,
        Err(refusal) => return *refusal,
    };
    let body = match body {
        Ok(body) if body.is_empty() => Some(CheckpointTriggerRequest::default()),
        Ok(body) => serde_json::from_slice(&body).ok(),
        Err(_) => None,
    };
    let Some(CheckpointTriggerRequest { trigger_id, checkpoint_type: _ }) = body else {
        let text = format!(
            "{HANDLER_EXCEPTION}: Request did not match expected format \
             CheckpointTriggerRequestBody."
        );
        return error(StatusCode::BAD_REQUEST, text);
    };
    let trigger = match trigger_id.map(|text| parse_trigger(&text).ok_or(text)) {
        None => new_trigger(),
        Some(Ok(trigger)) => trigger,
        Some(Err(text)) => return unresolved("field triggerId", &text),
    };
    let key = (job, trigger);
    if acting.operations.begin(key) {
        let operations = acting.operations.clone();
        let answer = Box::new(move |result| operations.finish(key, result));
        acting.actions.checkpoint(job, answer);
    }
    accepted(&TriggerResponse::of(trigger))
}

async fn checkpoint_status(
    State(acting): State<Acting>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let (job, trigger) = path.as_ref().map_or(("", ""), |Path((job, id))| (job, id));
    let job: JobId = match job_id(job) {
        Ok(job) => job,
        Err(refusal) => return *refusal,
    };
    let Some(trigger) = parse_trigger(trigger) else {
        return unresolved("path parameter (triggerid)", trigger);
    };
    match acting.operations.result((job, trigger)) {
        Some(result) => json(&OperationStatus::of_checkpoint(result)),
        None => error(
            StatusCode::NOT_FOUND,
            format!(
                "{HANDLER_EXCEPTION}: There is no checkpoint operation with triggerId={} for job \
                 {job}.",
                trigger_text(trigger)
            ),
        ),
    }
}

fn parse_trigger(text: &str) -> Option<u128> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}
