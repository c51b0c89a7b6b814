//! The routes that do something.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, patch, post};
use flott_control::JobStatus;
use flott_control::actions::Actions;
use flott_core::JobId;
use serde::de::DeserializeOwned;

use super::processes::Parameters;
use super::vertices::given;
use super::{HANDLER_EXCEPTION, View, accepted, error, find, job_id, json, unresolved};
use crate::dto::operation::{
    CheckpointTriggerRequest, OperationStatus, SavepointDisposalRequest, SavepointTriggerRequest,
    StopRequest, TriggerResponse, trigger_text,
};
use crate::guard::BODY_BYTES_MAX;
use crate::operations::{Done, Operations, Outcome, new_trigger};
use crate::table::Table;
use crate::tokens::Role::{Deployer, Viewer};

#[derive(Clone)]
struct Acting {
    view: View,
    actions: Arc<dyn Actions>,
    operations: Operations,
}

pub(super) fn routes(view: View, actions: Arc<dyn Actions>) -> Table {
    let table = Table::new()
        .flink(Method::PATCH, "/jobs/{jobid}", Deployer, patch(cancel))
        .flink(Method::POST, "/jobs/{jobid}/checkpoints", Deployer, post(trigger_checkpoint))
        .look("/jobs/{jobid}/checkpoints/{triggerid}", Viewer, get(operation_status))
        .flink(Method::POST, "/jobs/{jobid}/savepoints", Deployer, post(trigger_savepoint))
        .look("/jobs/{jobid}/savepoints/{triggerid}", Viewer, get(operation_status))
        .flink(Method::POST, "/jobs/{jobid}/stop", Deployer, post(stop))
        .flink(Method::PATCH, "/jobs/{jobid}/rescaling", Deployer, patch(rescale))
        .look("/jobs/{jobid}/rescaling/{triggerid}", Viewer, get(operation_status))
        .flink(Method::POST, "/savepoint-disposal", Deployer, post(dispose_savepoint))
        .look("/savepoint-disposal/{triggerid}", Viewer, get(disposal_status));
    let acting = Acting { view, actions, operations: Operations::default() };
    let limit = DefaultBodyLimit::max(BODY_BYTES_MAX as usize);
    table.map(|router| router.layer(limit)).with_state(acting)
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
    let request = "CheckpointTriggerRequestBody";
    let triggered =
        parse::<CheckpointTriggerRequest>(&id, body, request).and_then(|(job, body)| {
            // Whatever type is wished for: all checkpoints are full.
            let CheckpointTriggerRequest { trigger_id, checkpoint_type: _ } = body;
            begin(&acting.operations, Some(job), trigger_id, |finish| {
                let answer = |result: Result<_, _>| finish(result.map(Done::Checkpoint));
                acting.actions.checkpoint(job, Box::new(answer));
                Ok(())
            })
        });
    triggered.unwrap_or_else(|refusal| *refusal)
}

async fn trigger_savepoint(
    State(acting): State<Acting>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request = "SavepointTriggerRequestBody";
    let triggered = parse::<SavepointTriggerRequest>(&id, body, request).and_then(|(job, body)| {
        // Whatever format is wished for: there is one.
        let SavepointTriggerRequest { target_directory, cancel_job, format_type: _, trigger_id } =
            body;
        let actions = acting.actions.clone();
        begin(&acting.operations, Some(job), trigger_id, |finish| {
            let answer = move |result: Result<_, _>| {
                if cancel_job && result.is_ok() {
                    actions.cancel(job);
                }
                finish(result.map(Done::Savepoint));
            };
            acting.actions.savepoint(job, target_directory.as_deref(), Box::new(answer))
        })
    });
    triggered.unwrap_or_else(|refusal| *refusal)
}

async fn stop(
    State(acting): State<Acting>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request = "StopWithSavepointRequestBody";
    let triggered = parse::<StopRequest>(&id, body, request).and_then(|(job, body)| {
        let StopRequest { target_directory, drain, format_type: _, trigger_id } = body;
        begin(&acting.operations, Some(job), trigger_id, |finish| {
            let answer = |result: Result<_, _>| finish(result.map(Done::Savepoint));
            acting.actions.stop(job, target_directory.as_deref(), drain, Box::new(answer))
        })
    });
    triggered.unwrap_or_else(|refusal| *refusal)
}

/// Flink's path; there it is switched off. The job goes on as another one.
async fn rescale(
    State(acting): State<Acting>,
    id: Result<Path<String>, PathRejection>,
    parameters: Parameters,
) -> Response {
    let parameters = given(parameters);
    let get =
        |name| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let wanted = get("parallelism").unwrap_or_default();
    let Some(parallelism) = wanted.parse().ok().filter(|parallelism| *parallelism > 0) else {
        return unresolved("query parameter (parallelism)", wanted);
    };
    let view = (acting.view)();
    let job = match find(&view, id.as_ref().map_or("", |Path(id)| id)) {
        Ok(job) => job.description.job,
        Err(refusal) => return *refusal,
    };
    let trigger = get("triggerId").map(str::to_owned);
    let begun = begin(&acting.operations, Some(job), trigger, |finish| {
        let answer = |result: Result<_, _>| finish(result.map(Done::Rescaled));
        acting.actions.rescale(job, parallelism, get("targetDirectory"), Box::new(answer))
    });
    let mut response = begun.unwrap_or_else(|refusal| *refusal);
    if response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::OK;
    }
    response
}

/// The job that the path names, and the request; an empty body has no wishes.
fn parse<T: Default + DeserializeOwned>(
    id: &Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
    name: &str,
) -> Result<(JobId, T), Box<Response>> {
    let job = job_id(id.as_ref().map_or("", |Path(id)| id))?;
    Ok((job, parse_body(body, name)?))
}

pub(super) fn parse_body<T: Default + DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
    name: &str,
) -> Result<T, Box<Response>> {
    let body = match body {
        Ok(body) if body.is_empty() => Some(T::default()),
        Ok(body) => serde_json::from_slice(&body).ok(),
        Err(_) => None,
    };
    body.ok_or_else(|| {
        let text = format!("{HANDLER_EXCEPTION}: Request did not match expected format {name}.");
        Box::new(error(StatusCode::BAD_REQUEST, text))
    })
}

/// Whom to tell how an operation has ended.
type Finish = Box<dyn FnOnce(Outcome) + Send>;

/// Begins an operation, unless it was begun under the same trigger id before.
fn begin(
    operations: &Operations,
    job: Option<JobId>,
    trigger_id: Option<String>,
    start: impl FnOnce(Finish) -> flott_core::Result<()>,
) -> Result<Response, Box<Response>> {
    let trigger = match trigger_id {
        None => new_trigger(),
        Some(text) => {
            parse_trigger(&text).ok_or_else(|| Box::new(unresolved("field triggerId", &text)))?
        }
    };
    let key = (job, trigger);
    if operations.begin(key) {
        let known = operations.clone();
        let finish = Box::new(move |outcome| known.finish(key, outcome));
        start(finish).map_err(|failure| {
            operations.forget(key);
            let text = format!("{HANDLER_EXCEPTION}: {}", failure.report());
            Box::new(error(StatusCode::BAD_REQUEST, text))
        })?;
    }
    Ok(accepted(&TriggerResponse::of(trigger)))
}

async fn operation_status(
    State(acting): State<Acting>,
    uri: Uri,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let (job, trigger) = path.as_ref().map_or(("", ""), |Path((job, id))| (job, id));
    match job_id(job) {
        Ok(job) => {
            let kinds = [("/savepoints/", "savepoint"), ("/rescaling/", "rescaling")];
            let kind = kinds.iter().find(|(part, _)| uri.path().contains(part));
            let kind = kind.map_or("checkpoint", |(_, kind)| kind);
            status(&acting, Some(job), trigger, kind)
        }
        Err(refusal) => *refusal,
    }
}

fn status(acting: &Acting, job: Option<JobId>, trigger: &str, kind: &str) -> Response {
    let Some(trigger) = parse_trigger(trigger) else {
        return unresolved("path parameter (triggerid)", trigger);
    };
    match acting.operations.result((job, trigger)) {
        Some(outcome) => json(&OperationStatus::of(outcome, kind == "checkpoint")),
        None => {
            let of = job.map(|job| format!(" for job {job}")).unwrap_or_default();
            let trigger = trigger_text(trigger);
            let text = format!(
                "{HANDLER_EXCEPTION}: There is no {kind} operation with triggerId={trigger}{of}."
            );
            error(StatusCode::NOT_FOUND, text)
        }
    }
}

async fn dispose_savepoint(
    State(acting): State<Acting>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request = parse_body::<SavepointDisposalRequest>(body, "SavepointDisposalRequest");
    let triggered = request.and_then(|SavepointDisposalRequest { savepoint_path: place }| {
        if place.is_empty() {
            let text = format!("{HANDLER_EXCEPTION}: savepoint-path is missing.");
            return Err(Box::new(error(StatusCode::BAD_REQUEST, text)));
        }
        begin(&acting.operations, None, None, |finish| {
            let answer = |result: Result<_, _>| finish(result.map(|()| Done::Disposal));
            acting.actions.dispose(&place, Box::new(answer));
            Ok(())
        })
    });
    let mut response = triggered.unwrap_or_else(|refusal| *refusal);
    // Flink says 202 to the other triggers, and 200 to this one.
    if response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::OK;
    }
    response
}

async fn disposal_status(
    State(acting): State<Acting>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    status(&acting, None, id.as_ref().map_or("", |Path(id)| id), "savepoint disposal")
}

fn parse_trigger(text: &str) -> Option<u128> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}
