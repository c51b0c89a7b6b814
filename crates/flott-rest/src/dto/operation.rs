//! What a client is told of an operation that takes a while.

use flott_control::actions::Rescaled;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::java::FailureCause;
use crate::operations::{Done, Outcome};

/// What triggers a checkpoint. Clients leave out what they have no wish about.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CheckpointTriggerRequest {
    pub(crate) checkpoint_type: Option<CheckpointType>,
    pub(crate) trigger_id: Option<String>,
}

/// What triggers a savepoint. Clients leave out what they have no wish about.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SavepointTriggerRequest {
    #[serde(rename = "target-directory")]
    pub(crate) target_directory: Option<String>,
    #[serde(rename = "cancel-job")]
    pub(crate) cancel_job: bool,
    /// Both are the same here.
    #[serde(rename = "formatType")]
    pub(crate) format_type: Option<SavepointFormat>,
    #[serde(rename = "triggerId")]
    pub(crate) trigger_id: Option<String>,
}

/// What stops a job with a savepoint. Clients leave out what they have no wish about.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StopRequest {
    pub(crate) target_directory: Option<String>,
    pub(crate) drain: bool,
    /// Both are the same here.
    pub(crate) format_type: Option<SavepointFormat>,
    pub(crate) trigger_id: Option<String>,
}

/// What deletes a savepoint.
#[derive(Default, Deserialize)]
pub(crate) struct SavepointDisposalRequest {
    #[serde(rename = "savepoint-path")]
    pub(crate) savepoint_path: String,
}

/// How the state in a savepoint is written.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum SavepointFormat {
    Canonical,
    Native,
}

/// How much a checkpoint has. All are full here.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum CheckpointType {
    Configured,
    Full,
    Incremental,
}

const CHECKPOINT_EXCEPTION: &str = "org.apache.flink.runtime.checkpoint.CheckpointException";

#[derive(Serialize)]
pub(crate) struct TriggerResponse {
    #[serde(rename = "request-id")]
    request_id: String,
}

impl TriggerResponse {
    pub(crate) fn of(trigger: u128) -> Self {
        Self { request_id: trigger_text(trigger) }
    }
}

/// A trigger id as it is written.
pub(crate) fn trigger_text(trigger: u128) -> String {
    format!("{trigger:032x}")
}

/// How far an operation is.
#[derive(Serialize)]
pub(crate) struct OperationStatus {
    status: Status,
    operation: Option<Value>,
}

#[derive(Serialize)]
struct Status {
    id: &'static str,
}

impl OperationStatus {
    /// Without an outcome it is under way. Flink calls the failure of a checkpoint otherwise than that of anything else.
    pub(crate) fn of(outcome: Option<Outcome>, is_checkpoint: bool) -> Self {
        let name = if is_checkpoint { "failureCause" } else { "failure-cause" };
        let operation = outcome.map(|outcome| match outcome {
            Ok(Done::Checkpoint(checkpoint)) => json!({ "checkpointId": checkpoint.0 }),
            Ok(Done::Savepoint(location)) => json!({ "location": location }),
            Ok(Done::Disposal) => json!({}),
            Ok(Done::Rescaled(Rescaled { job, savepoint })) => {
                json!({ "job-id": job.to_string(), "location": savepoint })
            }
            Err(why) => json!({ name: FailureCause::new(CHECKPOINT_EXCEPTION, &why) }),
        });
        let id = if operation.is_some() { "COMPLETED" } else { "IN_PROGRESS" };
        Self { status: Status { id }, operation }
    }
}
