//! How many checkpoints in a row may fail.

use flott_core::CheckpointId;

use crate::reason::FailureReason;

/// Counts failures since the last success. A checkpoint fails once, so it is counted once.
#[derive(Debug)]
pub(super) struct FailureCounter {
    tolerable: u32,
    consecutive: u32,
    last_success: Option<CheckpointId>,
}

impl FailureCounter {
    pub(super) fn new(tolerable: u32) -> Self {
        Self { tolerable, consecutive: 0, last_success: None }
    }

    pub(super) fn succeeded(&mut self, checkpoint: CheckpointId) {
        if self.last_success < Some(checkpoint) {
            self.last_success = Some(checkpoint);
            self.consecutive = 0;
        }
    }

    /// Whether that was one too many; the count then begins anew, with the restart of the job.
    pub(super) fn failed(&mut self, checkpoint: CheckpointId, reason: FailureReason) -> bool {
        if !reason.counts() || Some(checkpoint) < self.last_success {
            return false;
        }
        self.consecutive += 1;
        let is_exceeded = self.consecutive > self.tolerable;
        if is_exceeded {
            self.consecutive = 0;
        }
        is_exceeded
    }
}

/// Flink's message, and the cause.
pub(super) fn exceeded(reason: FailureReason, message: &str) -> String {
    format!(
        "Exceeded checkpoint tolerable failure threshold. The latest checkpoint failed due to \
         {reason}, view the Checkpoint History tab or the Job Manager log to find out why \
         continuous checkpoints failed.\nCaused by: {message}"
    )
}
