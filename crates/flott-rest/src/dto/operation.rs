//! What a client is told of an operation that takes a while.

use flott_core::CheckpointId;
use serde::{Deserialize, Serialize};

/// What triggers a checkpoint. Clients leave out what they have no wish about.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CheckpointTriggerRequest {
    pub(crate) checkpoint_type: Option<CheckpointType>,
    pub(crate) trigger_id: Option<String>,
}

/// How much a checkpoint has. All are full here.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum CheckpointType {
    Configured,
    Full,
    Incremental,
}

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
    operation: Option<Operation>,
}

#[derive(Serialize)]
struct Status {
    id: &'static str,
}

#[derive(Serialize)]
enum Operation {
    #[serde(rename = "checkpointId")]
    Checkpoint(u64),
    #[serde(rename = "failure-cause")]
    Failure(FailureCause),
}

#[derive(Serialize)]
struct FailureCause {
    class: &'static str,
    #[serde(rename = "stack-trace")]
    stack_trace: String,
}

impl OperationStatus {
    /// Of a checkpoint; without a result it is under way.
    pub(crate) fn of_checkpoint(result: Option<Result<CheckpointId, String>>) -> Self {
        let operation = result.map(|result| match result {
            Ok(checkpoint) => Operation::Checkpoint(checkpoint.0),
            Err(stack_trace) => Operation::Failure(FailureCause {
                class: "org.apache.flink.runtime.checkpoint.CheckpointException",
                stack_trace,
            }),
        });
        let id = if operation.is_some() { "COMPLETED" } else { "IN_PROGRESS" };
        Self { status: Status { id }, operation }
    }
}
