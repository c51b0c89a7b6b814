//! Looking up a key in the state of a job that runs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use flott_control::actions::{Actions, StateKey, StateValue};
use flott_core::ErrorKind;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::processes::Parameters;
use super::vertices::given;
use super::{error, job_id, json};
use crate::table::Table;
use crate::tokens::Role::Deployer;

/// How long a task may take to answer: it is between two batches soon, unless its user's code waits for something.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// State is the users' data: a viewer does not see it.
pub(super) fn routes(actions: Arc<dyn Actions>) -> Table {
    Table::new()
        .own(Method::GET, "/api/jobs/{jobid}/state", Deployer, get(look_up))
        .with_state(actions)
}

/// What a state has for a key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    operator: String,
    subtask: u32,
    key_group: u16,
    key_schema: String,
    value_schema: String,
    /// Not there if there is none: a value may be null.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
}

async fn look_up(
    State(actions): State<Arc<dyn Actions>>,
    id: Result<Path<String>, PathRejection>,
    parameters: Parameters,
) -> Response {
    let job = match job_id(id.as_ref().map_or("", |Path(id)| id)) {
        Ok(job) => job,
        Err(refusal) => return *refusal,
    };
    let parameters = given(parameters);
    let get = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    };
    let (Some(operator), Some(state), Some(key)) = (get("operator"), get("state"), get("key"))
    else {
        let text = "Name the operator (by its uid, id or name), the state and the key: \
                    ?operator=UID&state=NAME&key=KEY.";
        return error(StatusCode::BAD_REQUEST, text);
    };
    let (sender, receiver) = oneshot::channel();
    // Whoever has stopped waiting needs no answer.
    let answer = move |found| drop(sender.send(found));
    actions.look_up(job, StateKey { operator, state, key }, Box::new(answer));
    match timeout(ANSWER_TIMEOUT, receiver).await {
        Ok(Ok(Ok(found))) => shown(found),
        Ok(Ok(Err(failure))) => {
            let status = match failure.kind() {
                ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
                ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
                ErrorKind::User
                | ErrorKind::Io
                | ErrorKind::Unknown
                | ErrorKind::Corrupt
                | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            };
            error(status, failure.report())
        }
        Ok(Err(_)) => error(StatusCode::NOT_FOUND, format!("Job {job} has ended.")),
        Err(_) => {
            let text = format!("No task of job {job} answered within {ANSWER_TIMEOUT:?}.");
            error(StatusCode::GATEWAY_TIMEOUT, text)
        }
    }
}

fn shown(found: StateValue) -> Response {
    let StateValue { uid, subtask, key_group, key_schema, value_schema, value } = found;
    match value.map(RawValue::from_string).transpose() {
        Ok(value) => json(&Found {
            operator: uid,
            subtask,
            key_group: key_group.0,
            key_schema,
            value_schema,
            value,
        }),
        Err(e) => error(StatusCode::INTERNAL_SERVER_ERROR, format!("The value is no JSON: {e}.")),
    }
}
