//! What happens when something fails.

use flott_core::{Now, TaskId};

use super::{Deployed, JobMaster, JobStatus, Phase};
use crate::exception::{ExceptionEntry, Failure};
use crate::restart::Decision;

impl JobMaster {
    /// A task, or the job itself, failed.
    pub(super) fn failed(&mut self, now: Now, failure: Failure, task: Option<TaskId>) {
        match self.phase {
            Phase::Reconciling { .. }
            | Phase::Running(Deployed::Deploying | Deployed::AllRunning) => {
                self.end_attempt(now, failure, task);
            }
            // The attempt is over already: the same restart, or the same end, serves this failure.
            Phase::Restarting { .. } | Phase::Failing { .. } => {
                let entry = self.exception(now, failure, task);
                self.exceptions.push_concurrent(entry);
            }
            // Nothing of the job is left that could fail, or nobody wants it any more.
            Phase::Initializing
            | Phase::Running(Deployed::Finishing)
            | Phase::Cancelling { .. }
            | Phase::Ended(_) => {}
        }
    }

    fn end_attempt(&mut self, now: Now, failure: Failure, task: Option<TaskId>) {
        let decision = if failure.suppresses_restarts {
            Decision::GiveUp
        } else {
            self.strategy.on_failure(now.mono)
        };
        let entry = self.exception(now, failure.clone(), task);
        self.exceptions.push(entry);
        let from = self.status();
        if from == JobStatus::Reconciling {
            self.coordinator.skip_ids();
        }
        let to = match decision {
            Decision::Restart { delay } => {
                self.num_restarts += 1;
                let until = now.mono.plus(delay);
                self.phase = Phase::Restarting { until, is_due: delay.is_zero() };
                JobStatus::Restarting
            }
            Decision::GiveUp => {
                self.phase = Phase::Failing { failure: self.why(&failure) };
                JobStatus::Failing
            }
        };
        self.status_changed(now, from, to);
        self.stop_failed();
        self.stop_checkpoints(now);
        self.cancel_tasks(now);
    }

    /// Flink's message, and its cause.
    fn why(&self, failure: &Failure) -> String {
        let message = if failure.suppresses_restarts {
            "The failure is not recoverable".to_owned()
        } else {
            format!("Recovery is suppressed by {}", self.spec.restart.description())
        };
        format!("{message}\nCaused by: {}", failure.message)
    }

    fn exception(&self, now: Now, failure: Failure, task: Option<TaskId>) -> ExceptionEntry {
        let name = task.and_then(|task| self.tasks.name(task));
        let task_name = name.map(|name| format!("{name} - execution #{}", self.attempt));
        let concurrent = Vec::new();
        ExceptionEntry { failure, task, task_name, attempt: self.attempt, at: now.wall, concurrent }
    }
}
