//! What a task says, as the job's master hears it.

use flott_control::{Failure, JobInput};
use flott_core::{AttemptNumber, TaskId};
use flott_runtime::{PendingSnapshot, TaskEvent};
use flott_state::UnreadGroup;

use super::super::ledger::SABOTAGE;
use super::super::machines::LINK_LOST;
use super::super::storage::READ_FAILED;

/// What a task says.
pub(in super::super) enum Message {
    /// To the job's master.
    Input(JobInput),
    /// To be written first.
    Snapshot(PendingSnapshot),
    /// To be read when there is time.
    Unread(Vec<UnreadGroup>),
}

/// What a task says, as the master hears it.
pub(in super::super) fn message(
    attempt: AttemptNumber,
    task: TaskId,
    event: TaskEvent,
) -> Result<Message, String> {
    Ok(Message::Input(match event {
        TaskEvent::Running => JobInput::TaskRunning { attempt, task },
        TaskEvent::EndOfData => JobInput::EndOfData { attempt, task },
        TaskEvent::Finished => JobInput::TaskFinished { attempt, task },
        TaskEvent::Canceled => JobInput::TaskCanceled { attempt, task },
        TaskEvent::Declined(checkpoint) => JobInput::Decline {
            attempt,
            checkpoint,
            task,
            reason: flott_checkpoint::DeclineReason::Subsumed,
            message: "a newer barrier arrived first".into(),
        },
        TaskEvent::Snapshot(pending) => return Ok(Message::Snapshot(pending)),
        TaskEvent::Unread(groups) => return Ok(Message::Unread(groups)),
        TaskEvent::Failed { error, .. } if may_fail(&error.report()) => {
            let failure = Failure::new(error.report());
            JobInput::TaskFailed { attempt, task, failure }
        }
        // No task fails by itself here: whatever else it says is a finding.
        TaskEvent::Failed { error, .. } => return Err(error.report()),
    }))
}

/// Whether a task says that it failed because it was made to.
fn may_fail(report: &str) -> bool {
    [LINK_LOST, SABOTAGE, READ_FAILED].iter().any(|cause| report.contains(cause))
}

/// The failure of a task that was chosen to fail.
pub(in super::super) fn injected(attempt: AttemptNumber, task: TaskId) -> JobInput {
    let failure = Failure::new("the simulator made it fail");
    JobInput::TaskFailed { attempt, task, failure }
}
