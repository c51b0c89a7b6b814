//! What happens when something fails.

use std::collections::BTreeSet;

use flott_core::config::options::FailoverStrategy;
use flott_core::mutant::Mutant;
use flott_core::{Now, TaskId};

use super::{Deployed, JobMaster, JobStatus, Phase};
use crate::exception::{ExceptionEntry, Failure};
use crate::restart::Decision;

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// A task.
    Task(TaskId),
    /// What was to begin with the newest attempt.
    Deployment,
    /// The job itself.
    Job,
}

impl JobMaster {
    /// Something of the job failed, or the job itself.
    pub(super) fn failed(&mut self, now: Now, failure: Failure, place: Where) {
        match self.phase {
            Phase::Reconciling { .. }
            | Phase::Running(Deployed::Deploying | Deployed::AllRunning) => {
                self.end_attempt(now, failure, place);
            }
            // The same restart serves this failure.
            Phase::Restarting { .. } => {
                let entry = self.exception(now, failure, place);
                self.exceptions.push_concurrent(entry);
                let more = self.affected(place);
                self.cancel_tasks(now, &more);
                if let Phase::Restarting { tasks, .. } = &mut self.phase {
                    tasks.extend(more);
                }
            }
            // The same end, too.
            Phase::Failing { .. } => {
                let entry = self.exception(now, failure, place);
                self.exceptions.push_concurrent(entry);
            }
            // Nothing of the job is left that could fail, or nobody wants it any more.
            Phase::Initializing
            | Phase::Running(Deployed::Finishing)
            | Phase::Cancelling { .. }
            | Phase::Ended(_) => {}
        }
    }

    /// What must begin again: whole regions.
    fn affected(&self, place: Where) -> BTreeSet<TaskId> {
        let knows_what_runs = !matches!(self.phase, Phase::Reconciling { .. });
        // A stop ends tasks when its savepoint is complete: they would not be there any more when others go on
        // from it. Those that have ended so may be all that tells of a stop which another JobManager began.
        let stops =
            self.stopping.is_some() || self.coordinator.is_stopping() || self.tasks.any_stopped();
        let goes_on = self.spec.failover == FailoverStrategy::Region
            && knows_what_runs
            && (!stops || Mutant::StopSparesRegions.is_on());
        let failed = match place {
            Where::Task(task) if Mutant::RestartTaskAlone.is_on() => return BTreeSet::from([task]),
            Where::Task(task) if goes_on => BTreeSet::from([task]),
            Where::Deployment if goes_on => self.tasks.of(self.attempt),
            Where::Task(_) | Where::Deployment | Where::Job => return self.regions.all(),
        };
        // What is on its way would have to be told of two attempts.
        self.regions.around(&(&failed | &self.tasks.on_their_way()))
    }

    fn end_attempt(&mut self, now: Now, failure: Failure, place: Where) {
        let decision = if failure.suppresses_restarts {
            Decision::GiveUp
        } else {
            self.strategy.on_failure(now.mono)
        };
        let entry = self.exception(now, failure.clone(), place);
        self.exceptions.push(entry);
        let from = self.status();
        let mut affected = self.affected(place);
        if from == JobStatus::Reconciling {
            self.coordinator.skip_ids();
        }
        let to = match decision {
            Decision::Restart { delay } => {
                self.num_restarts += 1;
                let until = now.mono.plus(delay);
                let tasks = affected.clone();
                self.phase = Phase::Restarting { until, is_due: delay.is_zero(), tasks };
                JobStatus::Restarting
            }
            Decision::GiveUp => {
                affected = self.regions.all();
                self.phase = Phase::Failing { failure: self.why(&failure) };
                JobStatus::Failing
            }
        };
        self.status_changed(now, from, to);
        self.stop_failed();
        self.stop_checkpoints(now);
        self.cancel_tasks(now, &affected);
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

    fn exception(&self, now: Now, failure: Failure, place: Where) -> ExceptionEntry {
        let task = match place {
            Where::Task(task) => Some(task),
            Where::Deployment | Where::Job => None,
        };
        let attempt = task.and_then(|task| self.tasks.attempt_of(task)).unwrap_or(self.attempt);
        let name = task.and_then(|task| self.tasks.name(task));
        let task_name = name.map(|name| format!("{name} - execution #{attempt}"));
        let concurrent = Vec::new();
        ExceptionEntry { failure, task, task_name, attempt, at: now.wall, concurrent }
    }
}
