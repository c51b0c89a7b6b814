//! What a worker has to tell a JobManager that takes over.
//!
//! A worker goes on when its JobManager is lost. What its tasks said in the meantime, and before, the next
//! JobManager does not know: so a worker remembers what became of each task, and says it again. What
//! concerns single checkpoints is not said again: they are aborted, unless their record exists.

use std::collections::BTreeMap;

use flott_core::element::{Barrier, CheckpointKind};
use flott_core::{AttemptNumber, CheckpointId, TaskId};
use serde::{Deserialize, Serialize};

use crate::job::JobInput;

/// What a worker remembers of the attempts that it was told.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    summary: Option<StandingSummary>,
    /// The attempt that each task of the job began with.
    attempts: BTreeMap<TaskId, AttemptNumber>,
    said: Vec<JobInput>,
}

/// What is to be known of a worker before it can be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingSummary {
    /// The attempt that it was told last.
    pub attempt: AttemptNumber,
    /// The newest checkpoint of which its tasks were told to send barriers.
    pub newest: CheckpointId,
    /// Whether tasks were told to end their input for ever: they cannot go on if others were not.
    pub is_drained: bool,
}

impl Standing {
    /// The worker is told an attempt, which begins with these tasks, wherever they run. What was said of
    /// them before is forgotten.
    pub fn deployed(&mut self, attempt: AttemptNumber, tasks: impl IntoIterator<Item = TaskId>) {
        let newest = self.summary.map_or(CheckpointId(0), |summary| summary.newest);
        self.summary = Some(StandingSummary { attempt, newest, is_drained: false });
        self.attempts.extend(tasks.into_iter().map(|task| (task, attempt)));
        let said = std::mem::take(&mut self.said);
        self.said.extend(said.into_iter().filter(|input| is_of(&self.attempts, attempt, input)));
    }

    /// Some task is told to send barriers.
    pub fn triggered(&mut self, barrier: Barrier) {
        if let Some(summary) = &mut self.summary {
            summary.newest = summary.newest.max(barrier.checkpoint);
            summary.is_drained |= barrier.kind == CheckpointKind::Stop { drain: true };
        }
    }

    /// A task says something.
    pub fn says(&mut self, input: &JobInput) {
        let newest = self.summary.map(|summary| summary.attempt);
        if newest.is_some_and(|newest| is_of(&self.attempts, newest, input)) {
            self.said.push(input.clone());
        }
    }

    /// What is to be known first; nothing if the worker was not told any attempt.
    pub fn summary(&self) -> Option<StandingSummary> {
        self.summary
    }

    /// What has become of the tasks, in order.
    pub fn said(&self) -> &[JobInput] {
        &self.said
    }
}

/// Whether this is said of a task as it is now, or of all that began with the newest attempt.
fn is_of(
    attempts: &BTreeMap<TaskId, AttemptNumber>,
    newest: AttemptNumber,
    input: &JobInput,
) -> bool {
    match input.task_fate() {
        Some((attempt, Some(task))) => attempts.get(&task) == Some(&attempt),
        Some((attempt, None)) => attempt == newest,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use flott_core::{Timestamp, VertexId};

    use super::*;
    use crate::exception::Failure;

    fn task() -> TaskId {
        TaskId { vertex: VertexId::from_u128(1), subtask: 0 }
    }

    fn other_task() -> TaskId {
        TaskId { subtask: 1, ..task() }
    }

    fn running(attempt: u32) -> JobInput {
        JobInput::TaskRunning { attempt: AttemptNumber(attempt), task: task() }
    }

    fn barrier(checkpoint: u64, kind: CheckpointKind) -> Barrier {
        let checkpoint = CheckpointId(checkpoint);
        Barrier { checkpoint, triggered_at: Timestamp(0), kind, base: None, unaligned: false }
    }

    #[test]
    fn a_worker_that_was_told_nothing_has_nothing_to_tell() {
        let mut standing = Standing::default();
        standing.says(&running(0));
        assert_eq!((standing.summary(), standing.said()), (None, &[][..]));
    }

    #[test]
    fn what_became_of_tasks_is_said_again_and_older_attempts_are_forgotten() {
        let mut standing = Standing::default();
        standing.deployed(AttemptNumber(1), [task()]);
        standing.says(&running(1));
        standing.triggered(barrier(7, CheckpointKind::Stop { drain: true }));
        standing.says(&JobInput::LocationPrepared { checkpoint: CheckpointId(7) });
        assert_eq!(standing.said(), [running(1)]);
        assert!(standing.summary().unwrap().is_drained);
        standing.deployed(AttemptNumber(2), [task()]);
        standing.says(&running(1));
        standing.triggered(barrier(6, CheckpointKind::Checkpoint));
        assert!(standing.said().is_empty());
        let (attempt, newest) = (AttemptNumber(2), CheckpointId(7));
        let expected = StandingSummary { attempt, newest, is_drained: false };
        assert_eq!(standing.summary(), Some(expected), "no id comes twice");
    }

    #[test]
    fn what_other_regions_said_is_said_again_after_one_has_begun_anew() {
        let of_other = JobInput::TaskFinished { attempt: AttemptNumber(1), task: other_task() };
        let of_all = |attempt| JobInput::DeploymentFailed { attempt, failure: Failure::new("no") };
        let mut standing = Standing::default();
        standing.deployed(AttemptNumber(1), [task(), other_task()]);
        standing.says(&running(1));
        standing.says(&of_other);
        standing.says(&of_all(AttemptNumber(1)));
        standing.deployed(AttemptNumber(2), [task()]);
        standing.says(&running(1));
        standing.says(&running(2));
        standing.says(&of_all(AttemptNumber(2)));
        assert_eq!(standing.said(), [of_other, running(2), of_all(AttemptNumber(2))]);
    }
}
