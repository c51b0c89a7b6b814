//! What tasks say about a checkpoint.

use std::collections::BTreeSet;

use flott_core::mutant::Mutant;
use flott_core::{AttemptNumber, CheckpointId, Now, OperatorId, TaskId};

use super::Coordinator;
use super::pending::{Part, PartState, Pending, Phase};
use crate::reason::{DeclineReason, FailureReason};
use crate::record::files_of;
use crate::snapshot::{SubtaskCheckpointMetrics, TaskSnapshot};

impl Coordinator {
    pub(super) fn ack(
        &mut self,
        now: Now,
        attempt: AttemptNumber,
        checkpoint: CheckpointId,
        task: TaskId,
        snapshot: TaskSnapshot,
        metrics: SubtaskCheckpointMetrics,
    ) {
        if self.is_stale(attempt) {
            self.discard_snapshot(&snapshot);
            return;
        }
        let pending = self.pending.get_mut(&checkpoint);
        let pending = pending.filter(|pending| matches!(pending.phase, Phase::Acking));
        let part = pending.and_then(|Pending { parts, last_ack_at, .. }| {
            let part = parts.get_mut(&task).filter(|part| part.is_waiting())?;
            Some((part, last_ack_at))
        });
        let Some((part, last_ack_at)) = part else {
            // Too late, from a task that it does not wait for, or heard before.
            self.do_without(checkpoint, &snapshot);
            return;
        };
        if let Err(message) = check(part, &snapshot) {
            self.discard_snapshot(&snapshot);
            let message = format!("task {task} {message}");
            self.abort(now, checkpoint, FailureReason::CheckpointDeclined, message, Some(task));
            return;
        }
        *last_ack_at = now.wall;
        self.stats.acked(now, checkpoint, task, &snapshot, metrics);
        part.state = PartState::Acked(snapshot);
    }

    pub(super) fn decline(
        &mut self,
        now: Now,
        attempt: AttemptNumber,
        checkpoint: CheckpointId,
        task: TaskId,
        reason: DeclineReason,
        message: String,
    ) {
        if reason == DeclineReason::AsyncException && Mutant::IgnoreUploadFailure.is_on() {
            let (snapshot, metrics) = Default::default();
            return self.ack(now, attempt, checkpoint, task, snapshot, metrics);
        }
        if self.is_stale(attempt) {
            return;
        }
        let Some(pending) = self.pending.get(&checkpoint) else { return };
        // Once the record is being written, every task has acknowledged: this is an old message.
        if pending.is_writing() || !pending.parts.contains_key(&task) {
            return;
        }
        let message = format!("task {task} declined it: {message}");
        self.abort(now, checkpoint, reason.into(), message, Some(task));
    }

    /// Does without a snapshot. Other tasks of its checkpoint may have written into the same file, and say so later.
    fn do_without(&mut self, checkpoint: CheckpointId, snapshot: &TaskSnapshot) {
        match self.pending.get_mut(&checkpoint).filter(|_| !Mutant::ForgetSharers.is_on()) {
            Some(pending) => pending.refused.extend(files(snapshot)),
            None => self.discard_snapshot(snapshot),
        }
    }

    fn discard_snapshot(&mut self, snapshot: &TaskSnapshot) {
        self.discard_files(files(snapshot).collect());
    }
}

fn files(snapshot: &TaskSnapshot) -> impl Iterator<Item = String> {
    snapshot.operators.iter().flat_map(files_of).map(str::to_owned)
}

/// State of an operator that the task does not have would be lost in the record.
fn check(part: &Part, snapshot: &TaskSnapshot) -> Result<(), String> {
    let mut seen: BTreeSet<OperatorId> = BTreeSet::new();
    for operator in snapshot.operators.iter().map(|snapshot| snapshot.operator) {
        if !part.operators.contains(&operator) {
            return Err(format!("sent state of operator {operator}, which it does not have"));
        }
        if !seen.insert(operator) {
            return Err(format!("sent state of operator {operator} twice"));
        }
    }
    Ok(())
}
