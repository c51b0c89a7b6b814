//! From the wish for a checkpoint to its barriers.

use flott_core::element::CheckpointKind;
use flott_core::mutant::Mutant;
use flott_core::{AttemptNumber, CheckpointId, Now, TaskId};

use super::Coordinator;
use super::event::{Effect, TaskInfo};
use super::pending::{Part, PartState, Pending, Phase, Request};
use super::run::{FinalCheckpoint, Run};
use super::stats::Trigger;
use crate::reason::FailureReason;

/// How many checkpoints another coordinator may have had under way; older ones have timed out.
pub(crate) const UNDER_WAY_MAX: u64 = 100;

/// How many manual requests may wait (Flink's bound).
const REQUESTS_MAX: usize = 1000;

impl Coordinator {
    pub(super) fn tasks_running(&mut self, now: Now, attempt: AttemptNumber, tasks: Vec<TaskInfo>) {
        if self.shutdown.is_some() || self.attempt >= Some(attempt) {
            self.stale_messages += 1;
            return;
        }
        self.stop(now);
        self.attempt = Some(attempt);
        self.run = Some(Run::new(attempt, tasks));
        self.schedule.start(now.mono);
        self.continue_ids();
        if let Some(latest) = self.store.latest() {
            self.stats.restored(now, latest.checkpoint);
        }
    }

    pub(super) fn tasks_reattached(
        &mut self,
        now: Now,
        attempt: AttemptNumber,
        tasks: Vec<TaskInfo>,
        newest: CheckpointId,
    ) {
        let audience: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
        self.tasks_running(now, attempt, tasks);
        if self.attempt != Some(attempt) {
            return;
        }
        // Before its record was written nobody was told; whether they were told since is not known.
        let last = self.retained().next_back().map(|latest| latest.checkpoint);
        if let Some(checkpoint) = last.filter(|_| !Mutant::ForgetToTellAgain.is_on()) {
            let tasks = audience.clone();
            self.effects.push_back(Effect::NotifyComplete { attempt, checkpoint, tasks });
        }
        // What the other had under way has no record, and never will.
        let first = self.store.latest().map_or(CheckpointId(1), |latest| latest.checkpoint.next());
        let open = first.0.max(newest.0.saturating_sub(UNDER_WAY_MAX))..=newest.0;
        for checkpoint in open.map(CheckpointId) {
            let tasks = audience.clone();
            self.effects.push_back(Effect::NotifyAborted { attempt, checkpoint, tasks });
        }
        if !Mutant::ReuseCheckpointIds.is_on() {
            self.next_id = self.next_id.max(newest.next());
        }
    }

    pub(super) fn requested(&mut self, request: Request) {
        let refusal = match (self.shutdown, &self.run) {
            (Some(_), _) => Some(FailureReason::CheckpointCoordinatorShutdown),
            (None, None) => Some(FailureReason::NotAllRequiredTasksRunning),
            (None, Some(run)) if run.is_stopping => Some(FailureReason::NotAllRequiredTasksRunning),
            (None, Some(_)) if self.requests.len() >= REQUESTS_MAX => {
                Some(FailureReason::TooManyCheckpointRequests)
            }
            (None, Some(_)) => None,
        };
        match refusal {
            Some(reason) => self.refuse(request.id, reason),
            None if request.kind.is_savepoint() => {
                // Savepoints go first.
                let behind = self.requests.iter().position(|other| !other.kind.is_savepoint());
                self.requests.insert(behind.unwrap_or(self.requests.len()), request);
            }
            None => self.requests.push_back(request),
        }
    }

    pub(super) fn end_of_data(&mut self, attempt: AttemptNumber, task: TaskId) {
        if self.is_stale(attempt) {
            return;
        }
        if let Some(run) = &mut self.run {
            run.end_of_data(task);
        }
        self.ask_for_final_checkpoint();
    }

    pub(super) fn task_finished(&mut self, now: Now, attempt: AttemptNumber, task: TaskId) {
        if self.is_stale(attempt) {
            return;
        }
        let Some(run) = &mut self.run else { return };
        run.finish(task);
        let all_finished = run.all_finished();
        let open: Vec<CheckpointId> =
            self.pending.values().filter(|p| !p.is_writing()).map(|p| p.checkpoint).collect();
        for checkpoint in open {
            if all_finished {
                let message = format!("every task finished before checkpoint {checkpoint} did");
                let reason = FailureReason::CheckpointCoordinatorSuspend;
                self.abort(now, checkpoint, reason, message, None);
            } else {
                self.go_on_without(now, checkpoint, task);
            }
        }
        self.ask_for_final_checkpoint();
    }

    /// A task that has finished will not acknowledge, nor send the barrier on.
    fn go_on_without(&mut self, now: Now, checkpoint: CheckpointId, task: TaskId) {
        let after_tasks_finish = self.config.after_tasks_finish;
        let Some(pending) = self.pending.get_mut(&checkpoint) else { return };
        let Some(part) = pending.parts.get_mut(&task).filter(|part| part.is_waiting()) else {
            return;
        };
        if !after_tasks_finish {
            let reason = FailureReason::CheckpointDeclinedInputEndOfStream;
            let message = format!("task {task} finished without acknowledging it");
            self.abort(now, checkpoint, reason, message, Some(task));
            return;
        }
        part.state = PartState::Finished;
        self.stats.task_gone(checkpoint, task);
        if !pending.is_preparing() {
            self.trigger(checkpoint);
        }
    }

    /// Once no running task has data left, one checkpoint lets all of them commit and finish.
    fn ask_for_final_checkpoint(&mut self) {
        let has_final = self.config.interval.is_some() && self.config.after_tasks_finish;
        if let Some(run) = &mut self.run
            && has_final
            && run.is_at_end_of_data()
            && run.final_checkpoint == FinalCheckpoint::NotYet
        {
            run.final_checkpoint = FinalCheckpoint::Due;
        }
    }

    /// Starts the next checkpoint, if one is wanted and may start.
    pub(super) fn trigger_next(&mut self, now: Now) {
        let Some(run) = &self.run else { return };
        let may_trigger = !run.is_stopping
            && !run.all_finished()
            && (self.config.after_tasks_finish || !run.any_finished());
        if !may_trigger {
            self.schedule.stop();
            while let Some(request) = self.requests.pop_front() {
                self.refuse(request.id, FailureReason::NotAllRequiredTasksRunning);
            }
            return;
        }
        let first = self.requests.front();
        let wants_savepoint = first.is_some_and(|request| request.kind.is_savepoint());
        let excludes = |pending: &Pending| pending.is_preparing() || pending.kind.is_savepoint();
        let is_busy = self.pending.len() >= self.config.max_concurrent as usize
            || self.pending.values().any(excludes)
            || (wants_savepoint && !self.pending.is_empty());
        if is_busy {
            return;
        }
        if let Some(request) = self.requests.pop_front() {
            let trigger =
                if request.kind.is_savepoint() { Trigger::Savepoint } else { Trigger::Manual };
            self.start(now, trigger, Some(request));
        } else if run.final_checkpoint == FinalCheckpoint::Due {
            self.start(now, Trigger::Final, None);
        } else if self.schedule.is_due() {
            let pause_over = self.last_completion.map(|at| at.plus(self.config.min_pause));
            match pause_over.filter(|at| *at > now.mono) {
                Some(at) => self.schedule.postpone(at),
                None => {
                    self.schedule.taken();
                    self.start(now, Trigger::Periodic, None);
                }
            }
        }
    }

    fn start(&mut self, now: Now, trigger: Trigger, request: Option<Request>) {
        let Some(run) = &mut self.run else { return };
        let kind = request.as_ref().map_or(CheckpointKind::Checkpoint, |request| request.kind);
        let is_final = !kind.is_savepoint()
            && match run.final_checkpoint {
                FinalCheckpoint::NotYet | FinalCheckpoint::Done => false,
                FinalCheckpoint::Due | FinalCheckpoint::UnderWay | FinalCheckpoint::RetryAt(_) => {
                    true
                }
            };
        if is_final {
            // Whatever started it: no task has data left, so it is the final one.
            run.final_checkpoint = FinalCheckpoint::UnderWay;
        }
        let checkpoint = self.next_id;
        self.next_id = checkpoint.next();
        let part = |(info, finished): (&TaskInfo, bool)| {
            let state = if finished { PartState::Finished } else { PartState::Waiting };
            (info.id, Part { operators: info.operators.clone(), state })
        };
        let pending = Pending {
            base: if kind.is_savepoint() { None } else { self.store.base() },
            checkpoint,
            attempt: run.attempt,
            request: request.as_ref().map(|request| request.id),
            kind,
            folder: request.and_then(|request| request.folder),
            is_final,
            triggered_at: now.wall,
            expires: now.mono.plus(self.config.timeout),
            last_ack_at: now.wall,
            parts: run.tasks().map(part).collect(),
            refused: Default::default(),
            triggered: Default::default(),
            phase: Phase::Preparing,
        };
        self.stats.triggered(now, checkpoint, trigger, pending.waiting());
        self.effects.push_back(match pending.request {
            Some(request) if kind.is_savepoint() => {
                Effect::PrepareSavepoint { checkpoint, request }
            }
            _ => Effect::PrepareLocation { checkpoint },
        });
        self.pending.insert(checkpoint, pending);
    }

    pub(super) fn location_prepared(&mut self, checkpoint: CheckpointId) {
        match self.pending.get_mut(&checkpoint) {
            Some(pending) if pending.is_preparing() => {
                pending.phase = Phase::Acking;
                self.trigger(checkpoint);
            }
            Some(_) => {}
            // Aborted meanwhile: the folder was created after it had been discarded.
            None if checkpoint < self.next_id => self.discard_folder(checkpoint),
            None => {}
        }
    }

    pub(super) fn location_failed(&mut self, now: Now, checkpoint: CheckpointId, message: String) {
        if self.pending.get(&checkpoint).is_some_and(Pending::is_preparing) {
            self.abort(now, checkpoint, FailureReason::IoException, message, None);
        }
    }

    /// Sends the barrier to the tasks that no other task sends it to, and that have not had it.
    fn trigger(&mut self, checkpoint: CheckpointId) {
        let (Some(run), Some(pending)) = (&self.run, self.pending.get_mut(&checkpoint)) else {
            return;
        };
        let is_waiting = |task: &TaskId| pending.parts.get(task).is_some_and(Part::is_waiting);
        let mut tasks: Vec<TaskId> = run.triggers().into_iter().filter(is_waiting).collect();
        tasks.retain(|task| pending.triggered.insert(*task));
        if !tasks.is_empty() {
            let (attempt, barrier) = (pending.attempt, pending.barrier(&self.config));
            self.effects.push_back(Effect::TriggerSources { attempt, barrier, tasks });
        }
    }

    pub(super) fn refuse(&mut self, request: u64, reason: FailureReason) {
        let result = Err(reason.to_string());
        self.effects.push_back(Effect::Answer { request, result });
    }
}
