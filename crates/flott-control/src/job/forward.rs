//! Between the job and its checkpoint coordinator.

use flott_checkpoint::{Effect, Input, TerminalStatus};
use flott_core::{AttemptNumber, CheckpointId, Now, TaskId};

use super::{ExecutionState, JobEffect, JobInput, JobMaster, Phase, TaskView, Where};
use crate::exception::Failure;

impl JobMaster {
    /// Hands on what only concerns checkpoints.
    pub(super) fn forward(&mut self, now: Now, input: JobInput) {
        let input = match input {
            // The coordinator counts attempts of the job: which ones its tasks began with is not its business.
            JobInput::Ack { attempt, checkpoint, task, snapshot, metrics } => {
                // What a task has written that is gone is deleted.
                let Some(attempt) = self.of_job(attempt, task) else { return };
                Input::Ack { attempt, checkpoint, task, snapshot, metrics }
            }
            JobInput::Decline { attempt, checkpoint, task, reason, message } => {
                let Some(attempt) = self.of_job(attempt, task) else { return };
                Input::Decline { attempt, checkpoint, task, reason, message }
            }
            JobInput::LocationPrepared { checkpoint } => Input::LocationPrepared { checkpoint },
            JobInput::LocationFailed { checkpoint, message } => {
                Input::LocationFailed { checkpoint, message }
            }
            JobInput::MetadataPersisted { checkpoint } => Input::MetadataPersisted { checkpoint },
            JobInput::MetadataFailed { checkpoint, message } => {
                Input::MetadataFailed { checkpoint, message }
            }
            JobInput::MetadataUnknown { checkpoint, message } => {
                Input::MetadataUnknown { checkpoint, message }
            }
            JobInput::CheckpointRequested { request } => Input::CheckpointRequested { request },
            JobInput::SavepointRequested { request } => Input::SavepointRequested { request },
            JobInput::StopRequested { request, drain, folder } => {
                Input::StopRequested { request, drain, folder }
            }
            // The job's own business.
            JobInput::Start
            | JobInput::Cancel
            | JobInput::DeploymentFailed { .. }
            | JobInput::Deploying { .. }
            | JobInput::Reattached { .. }
            | JobInput::NotReattached { .. }
            | JobInput::TaskRunning { .. }
            | JobInput::TaskFinished { .. }
            | JobInput::TaskFailed { .. }
            | JobInput::TaskCanceled { .. }
            | JobInput::EndOfData { .. } => return,
        };
        self.coordinator.handle(now, input);
    }

    /// The attempt that the coordinator is told: the job's newest, if a message of this one is of the task as it
    /// is now; else it refuses it. Nothing if no such task was ever there.
    fn of_job(&mut self, attempt: AttemptNumber, task: TaskId) -> Option<AttemptNumber> {
        if self.tasks.attempt_of(task) == Some(attempt) {
            return Some(self.attempt);
        }
        let may_have_been = !self.is_newest(attempt);
        self.stale_messages += u64::from(!may_have_been);
        may_have_been.then_some(attempt)
    }

    /// All tasks run or have finished: tells so, and what happened before this could be told.
    pub(super) fn tell_all_running(&mut self, now: Now) {
        let tasks = self.spec.tasks.iter().map(|task| task.info.clone()).collect();
        let attempt = self.attempt;
        let input = match self.reattached.take() {
            Some(newest) => Input::TasksReattached { attempt, tasks, newest },
            None => Input::TasksRunning { attempt, tasks },
        };
        self.coordinator.handle(now, input);
        let early: Vec<(TaskId, ExecutionState, bool)> = self
            .tasks
            .views()
            .map(|TaskView { id, state, end_of_data, .. }| (id, state, end_of_data))
            .collect();
        for (task, state, end_of_data) in early {
            if end_of_data {
                self.tell_end_of_data(now, task);
            }
            if state == ExecutionState::Finished {
                self.tell_finished(now, task);
            }
        }
    }

    pub(super) fn tell_end_of_data(&mut self, now: Now, task: TaskId) {
        self.coordinator.handle(now, Input::EndOfData { attempt: self.attempt, task });
    }

    pub(super) fn tell_finished(&mut self, now: Now, task: TaskId) {
        self.coordinator.handle(now, Input::TaskFinished { attempt: self.attempt, task });
    }

    pub(super) fn stop_checkpoints(&mut self, now: Now) {
        self.coordinator.handle(now, Input::Stop);
    }

    pub(super) fn shut_down_checkpoints(&mut self, now: Now, status: TerminalStatus) {
        self.coordinator.handle(now, Input::Shutdown { status });
        self.drain_coordinator(now);
    }

    /// The savepoint that the job stops with is complete. The tasks finish now, if there are any.
    fn stopping(&mut self, request: u64, checkpoint: CheckpointId) {
        self.stopping = Some((request, checkpoint));
        if !matches!(self.phase, Phase::Running(_)) {
            self.stop_failed();
        }
    }

    /// Not all tasks have finished as they should have.
    pub(super) fn stop_failed(&mut self) {
        if let Some((request, checkpoint)) = self.stopping.take() {
            self.effects.push_back(JobEffect::StopFailed { request, checkpoint });
        }
    }

    /// Passes the coordinator's effects on; the failure of the job is the job's to handle.
    pub(super) fn drain_coordinator(&mut self, now: Now) {
        while let Some(effect) = self.coordinator.poll_effect() {
            match effect {
                Effect::FailJob { message } => self.failed(now, Failure::new(message), Where::Job),
                Effect::Stopping { request, checkpoint } => self.stopping(request, checkpoint),
                Effect::PrepareLocation { .. }
                | Effect::PrepareSavepoint { .. }
                | Effect::DiscardSavepoint { .. }
                | Effect::TriggerSources { .. }
                | Effect::PersistMetadata { .. }
                | Effect::NotifyComplete { .. }
                | Effect::NotifyAborted { .. }
                | Effect::Discard { .. }
                | Effect::DiscardClaimed { .. }
                | Effect::Answer { .. }
                | Effect::Completed { .. }
                | Effect::Failed { .. } => self.effects.push_back(JobEffect::Checkpoint(effect)),
            }
        }
    }
}
