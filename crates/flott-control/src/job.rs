//! The life of one job.
//!
//! ```text
//! INITIALIZING ─▶ CREATED ─▶ RUNNING ─▶ FINISHED
//!        │                     ▲  │  ▲
//!        ▼                     │  ▼  │
//!   RECONCILING ───────────────┴ RESTARTING        FAILING ─▶ FAILED
//!                              (from anywhere: CANCELLING ─▶ CANCELED)
//! ```
//!
//! A failure ends the failover region of the task, and the next attempt begins with that region's tasks,
//! from the latest completed checkpoint. It begins only when every one of them is out, no
//! completed record is being written (so that it is known which checkpoint is the latest), and the
//! delay is over. Other regions go on meanwhile, each task in the attempt that it began with, but
//! without checkpoints. Messages of another attempt than the task's are refused and counted.
//! While the job stops, and while it is not known what of it runs, it fails as a whole.
//!
//! A job that another JobManager has had may still run: it is RECONCILING until every task has been
//! heard of, and RUNNING then, without having been interrupted. If they do not come back in time, that
//! is no failure: the next attempt begins.

mod event;
mod failure;
mod forward;
mod regions;
mod spec;
mod status;
mod tasks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flott_checkpoint::{Coordinator, Effect, TerminalStatus};
use flott_core::mutant::Mutant;
use flott_core::{AttemptNumber, CheckpointId, MonoTime, Now, TaskId, WallTime};

use crate::exception::{ExceptionHistory, Failure};
use crate::restart::RestartStrategy;

pub use event::{JobEffect, JobInput};
pub use spec::{JobSpec, Reattach, TaskSpec};
pub use status::{ExecutionState, JobStatus};
pub use tasks::TaskView;

use failure::Where;
use regions::Regions;
use tasks::Tasks;

/// Runs one job. Feed it inputs with [`JobMaster::handle`] and the passage of time with
/// [`JobMaster::handle_timeout`]; after each, drain [`JobMaster::poll_effect`].
#[derive(Debug)]
pub struct JobMaster {
    spec: JobSpec,
    phase: Phase,
    /// The newest.
    attempt: AttemptNumber,
    tasks: Tasks,
    regions: Regions,
    coordinator: Coordinator,
    strategy: RestartStrategy,
    exceptions: ExceptionHistory,
    num_restarts: u64,
    /// The tasks of the attempt were started by another JobManager: the newest checkpoint that any of
    /// them was told of.
    reattached: Option<CheckpointId>,
    /// The job stops: whose request that was, and the savepoint, which is complete.
    stopping: Option<(u64, CheckpointId)>,
    stale_messages: u64,
    timestamps: BTreeMap<JobStatus, WallTime>,
    effects: VecDeque<JobEffect>,
}

/// Where the job is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has been deployed. Ends with `Start`.
    Initializing,
    /// The attempt may run, on workers that are waited for. Ends when every task has been heard of,
    /// with a failure, a cancel, or when the wait is over.
    Reconciling { until: MonoTime },
    /// An attempt is deployed. Ends when all tasks have finished, with a failure, or with a cancel.
    Running(Deployed),
    /// Something failed; what must begin again is being cancelled. Ends with the next deployment.
    Restarting {
        until: MonoTime,
        /// The delay is over.
        is_due: bool,
        /// Whole regions; the others go on.
        tasks: BTreeSet<TaskId>,
    },
    /// The attempt failed for good. Ends when its tasks are out.
    Failing { failure: String },
    /// The user wants it to end. Ends when its tasks are out.
    Cancelling {
        /// The tasks are cancelled only when no completed record is being written: what it names
        /// is to be committed by them first.
        tasks_told: bool,
    },
    /// Over.
    Ended(TerminalStatus),
}

/// How far a deployed attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deployed {
    /// Some task does not run yet. Ends when all do, or have finished.
    Deploying,
    /// All run or have finished; the coordinator takes checkpoints.
    AllRunning,
    /// All have finished. Ends when no completed record is being written.
    Finishing,
}

impl JobMaster {
    /// A job that has not been started. `seed` decides the jitter of its restarts.
    pub fn new(now: Now, spec: JobSpec, seed: u64) -> Self {
        let mut coordinator = Coordinator::new(
            spec.job,
            spec.name.clone(),
            spec.operators.clone(),
            spec.checkpointing.clone(),
            spec.restored.clone(),
        );
        coordinator.skip_ids_to(spec.first_checkpoint);
        Self {
            phase: Phase::Initializing,
            attempt: spec.first_attempt,
            tasks: Tasks::new(now, &spec.tasks),
            regions: Regions::new(&spec.tasks),
            coordinator,
            strategy: RestartStrategy::new(&spec.restart, seed),
            exceptions: ExceptionHistory::new(spec.exception_history_size),
            num_restarts: 0,
            reattached: None,
            stopping: None,
            stale_messages: 0,
            timestamps: BTreeMap::from([(JobStatus::Initializing, now.wall)]),
            effects: VecDeque::new(),
            spec,
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, input: JobInput) {
        match input {
            JobInput::Start => self.start(now),
            JobInput::Cancel => self.cancel(now),
            JobInput::DeploymentFailed { attempt, failure } => {
                if self.is_newest(attempt) {
                    self.failed(now, failure, Where::Deployment);
                } else {
                    self.stale_messages += 1;
                }
            }
            JobInput::Deploying { attempt } => {
                if self.is_newest(attempt) {
                    self.tasks.deploying(now);
                } else {
                    self.stale_messages += 1;
                }
            }
            JobInput::Reattached { attempt, newest } => {
                if self.is_newest(attempt) && matches!(self.phase, Phase::Reconciling { .. }) {
                    self.reattached = self.reattached.max(Some(newest));
                } else {
                    self.stale_messages += 1;
                }
            }
            JobInput::NotReattached { attempt } => {
                if self.is_newest(attempt) {
                    self.not_reattached(now);
                } else {
                    self.stale_messages += 1;
                }
            }
            JobInput::TaskRunning { attempt, task } => {
                self.task_changed(now, attempt, task, ExecutionState::Running);
            }
            JobInput::TaskFinished { attempt, task } => self.task_finished(now, attempt, task),
            JobInput::TaskCanceled { attempt, task } => self.task_canceled(now, attempt, task),
            JobInput::TaskFailed { attempt, task, failure } => {
                if self.task_changed(now, attempt, task, ExecutionState::Failed) {
                    self.failed(now, failure, Where::Task(task));
                }
            }
            JobInput::EndOfData { attempt, task } => self.end_of_data(now, attempt, task),
            JobInput::Ack { .. }
            | JobInput::Decline { .. }
            | JobInput::LocationPrepared { .. }
            | JobInput::LocationFailed { .. }
            | JobInput::MetadataPersisted { .. }
            | JobInput::MetadataFailed { .. }
            | JobInput::MetadataUnknown { .. }
            | JobInput::CheckpointRequested { .. }
            | JobInput::SavepointRequested { .. }
            | JobInput::StopRequested { .. } => self.forward(now, input),
        }
        self.advance(now);
    }

    /// The next thing to do, in order. Call until there is none.
    pub fn poll_effect(&mut self) -> Option<JobEffect> {
        self.effects.pop_front()
    }

    /// When [`JobMaster::handle_timeout`] is to be called next, and why.
    pub fn poll_timeout(&self) -> Option<(MonoTime, &'static str)> {
        let own = match &self.phase {
            Phase::Restarting { until, is_due: false, .. } => Some((*until, "restart delay")),
            Phase::Reconciling { until } => Some((*until, "workers come back")),
            Phase::Restarting { is_due: true, .. }
            | Phase::Initializing
            | Phase::Running(_)
            | Phase::Failing { .. }
            | Phase::Cancelling { .. }
            | Phase::Ended(_) => None,
        };
        self.coordinator.poll_timeout().into_iter().chain(own).min_by_key(|(at, _)| *at)
    }

    /// Takes in that time has passed. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        self.coordinator.handle_timeout(now);
        if matches!(self.phase, Phase::Reconciling { until } if until <= now.mono) {
            self.not_reattached(now);
        }
        if let Phase::Restarting { until, is_due, .. } = &mut self.phase {
            *is_due |= *until <= now.mono;
        }
        self.advance(now);
    }

    /// The job's status, in Flink's terms.
    pub fn status(&self) -> JobStatus {
        match &self.phase {
            Phase::Initializing => JobStatus::Initializing,
            Phase::Reconciling { .. } => JobStatus::Reconciling,
            Phase::Running(_) => JobStatus::Running,
            Phase::Restarting { .. } => JobStatus::Restarting,
            Phase::Failing { .. } => JobStatus::Failing,
            Phase::Cancelling { .. } => JobStatus::Cancelling,
            Phase::Ended(status) => (*status).into(),
        }
    }

    /// When the job last entered each status that it has been in.
    pub fn timestamps(&self) -> &BTreeMap<JobStatus, WallTime> {
        &self.timestamps
    }

    /// What the job is.
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// The newest attempt: how many deployments came before it.
    pub fn attempt(&self) -> AttemptNumber {
        self.attempt
    }

    /// The tasks, each in the attempt that it began with.
    pub fn tasks(&self) -> impl Iterator<Item = TaskView<'_>> {
        self.tasks.views()
    }

    /// How often the job was restarted (Flink's metric `numRestarts`).
    pub fn num_restarts(&self) -> u64 {
        self.num_restarts
    }

    /// What went wrong.
    pub fn exceptions(&self) -> &ExceptionHistory {
        &self.exceptions
    }

    /// The checkpoints.
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// How many messages of another attempt, or of unknown tasks, were refused.
    pub fn stale_messages(&self) -> u64 {
        self.stale_messages + self.coordinator.stale_messages()
    }

    fn start(&mut self, now: Now) {
        if self.phase != Phase::Initializing {
            return;
        }
        let Some(Reattach { wait, attempts }) = self.spec.reattach.take() else {
            self.status_changed(now, JobStatus::Initializing, JobStatus::Created);
            return self.deploy(now, JobStatus::Created, self.regions.all());
        };
        let tasks = self.regions.all().into_iter();
        let newest = self.attempt;
        let attempt = |task| (task, attempts.get(&task).copied().unwrap_or(newest));
        self.tasks.scheduled(now, tasks.map(attempt));
        self.tasks.deploying(now);
        self.phase = Phase::Reconciling { until: now.mono.plus(wait) };
        self.status_changed(now, JobStatus::Initializing, JobStatus::Reconciling);
        self.effects.push_back(JobEffect::Reattach { attempt: self.attempt });
    }

    /// The attempt cannot be gone on with: the next one begins.
    fn not_reattached(&mut self, now: Now) {
        if matches!(self.phase, Phase::Reconciling { .. }) {
            self.coordinator.skip_ids();
            let tasks = self.regions.all();
            self.phase = Phase::Restarting { until: now.mono, is_due: true, tasks: tasks.clone() };
            self.status_changed(now, JobStatus::Reconciling, JobStatus::Restarting);
            self.cancel_tasks(now, &tasks);
        }
    }

    /// Begins the newest attempt with these tasks, from the latest completed checkpoint.
    fn deploy(&mut self, now: Now, from: JobStatus, tasks: BTreeSet<TaskId>) {
        self.tasks.scheduled(now, tasks.iter().map(|task| (*task, self.attempt)));
        self.phase = Phase::Running(Deployed::Deploying);
        self.status_changed(now, from, JobStatus::Running);
        let restore = self.coordinator.latest().cloned();
        self.effects.push_back(JobEffect::Deploy { attempt: self.attempt, tasks, restore });
    }

    fn cancel(&mut self, now: Now) {
        let from = self.status();
        let tasks_told = match &self.phase {
            Phase::Initializing | Phase::Failing { .. } => true,
            Phase::Running(_) | Phase::Reconciling { .. } | Phase::Restarting { .. } => false,
            Phase::Cancelling { .. } | Phase::Ended(_) => return,
        };
        self.stop_checkpoints(now);
        if self.phase == Phase::Initializing {
            self.tasks.none_deployed(now);
        }
        self.phase = Phase::Cancelling { tasks_told };
        self.status_changed(now, from, JobStatus::Cancelling);
    }

    fn cancel_tasks(&mut self, now: Now, tasks: &BTreeSet<TaskId>) {
        let tasks = self.tasks.cancel(now, tasks);
        if !tasks.is_empty() {
            self.effects.push_back(JobEffect::CancelTasks { attempt: self.attempt, tasks });
        }
    }

    /// Records what a task says of itself. False if it is nothing new.
    fn task_changed(
        &mut self,
        now: Now,
        attempt: AttemptNumber,
        task: TaskId,
        state: ExecutionState,
    ) -> bool {
        self.is_current(attempt, task) && self.tasks.change(now, task, state)
    }

    fn task_finished(&mut self, now: Now, attempt: AttemptNumber, task: TaskId) {
        if self.task_changed(now, attempt, task, ExecutionState::Finished)
            && self.phase == Phase::Running(Deployed::AllRunning)
        {
            self.tell_finished(now, task);
        }
    }

    fn task_canceled(&mut self, now: Now, attempt: AttemptNumber, task: TaskId) {
        let was_asked = self.tasks.is_canceling(task);
        if self.task_changed(now, attempt, task, ExecutionState::Canceled) && !was_asked {
            let name = self.tasks.name(task).unwrap_or_default();
            let failure = Failure::new(format!("task {name} was canceled unexpectedly"));
            self.failed(now, failure, Where::Task(task));
        }
    }

    fn end_of_data(&mut self, now: Now, attempt: AttemptNumber, task: TaskId) {
        if !self.is_current(attempt, task) {
            return;
        }
        self.tasks.end_of_data(task);
        if self.phase == Phase::Running(Deployed::AllRunning) {
            self.tell_end_of_data(now, task);
        }
    }

    fn is_newest(&self, attempt: AttemptNumber) -> bool {
        attempt == self.attempt
    }

    /// Whether a message is of a task as it is now; counted if it is not.
    fn is_current(&mut self, attempt: AttemptNumber, task: TaskId) -> bool {
        let is_current = self.tasks.attempt_of(task) == Some(attempt);
        self.stale_messages += u64::from(!is_current);
        is_current
    }

    /// Takes every step that can be taken without anything new from outside.
    fn advance(&mut self, now: Now) {
        self.drain_coordinator(now);
        while self.step(now) {
            self.drain_coordinator(now);
        }
    }

    /// One step; false if there is none. Each leads to another phase, so they end.
    fn step(&mut self, now: Now) -> bool {
        let all_out = self.tasks.all_out();
        let is_settled = self.coordinator.is_settled();
        match &self.phase {
            Phase::Running(Deployed::Finishing) if is_settled => {
                self.end(now, TerminalStatus::Finished, None);
            }
            Phase::Running(Deployed::Deploying | Deployed::AllRunning)
                if self.tasks.all_finished() =>
            {
                self.phase = Phase::Running(Deployed::Finishing);
                self.stop_checkpoints(now);
            }
            Phase::Reconciling { .. }
                if self.tasks.all_finished()
                    || (self.reattached.is_some() && self.tasks.all_started()) =>
            {
                self.status_changed(now, JobStatus::Reconciling, JobStatus::Running);
                self.all_running(now);
            }
            Phase::Running(Deployed::Deploying) if self.tasks.all_started() => {
                self.all_running(now)
            }
            Phase::Restarting { is_due: true, tasks, .. }
                if is_settled && self.tasks.are_out(tasks) =>
            {
                let tasks = tasks.clone();
                self.attempt = self.attempt.next();
                self.deploy(now, JobStatus::Restarting, tasks);
            }
            Phase::Failing { failure } if all_out && is_settled => {
                let failure = failure.clone();
                self.end(now, TerminalStatus::Failed, Some(failure));
            }
            Phase::Cancelling { tasks_told: false } if is_settled => {
                self.phase = Phase::Cancelling { tasks_told: true };
                self.cancel_tasks(now, &self.regions.all());
            }
            Phase::Cancelling { tasks_told: true } if all_out && is_settled => {
                self.end(now, TerminalStatus::Canceled, None);
            }
            Phase::Initializing
            | Phase::Reconciling { .. }
            | Phase::Running(_)
            | Phase::Restarting { .. }
            | Phase::Failing { .. }
            | Phase::Cancelling { .. }
            | Phase::Ended(_) => return false,
        }
        true
    }

    fn all_running(&mut self, now: Now) {
        self.phase = Phase::Running(Deployed::AllRunning);
        self.effects.push_back(JobEffect::AllRunning { attempt: self.attempt });
        self.tell_all_running(now);
    }

    fn end(&mut self, now: Now, status: TerminalStatus, failure: Option<String>) {
        let from = self.status();
        self.phase = Phase::Ended(status);
        if !Mutant::ForgetJobLast.is_on() {
            self.effects.push_back(JobEffect::Over);
        }
        self.shut_down_checkpoints(now, status);
        if Mutant::ForgetJobLast.is_on() {
            self.effects.push_back(JobEffect::Over);
        }
        self.status_changed(now, from, status.into());
        if status == TerminalStatus::Finished
            && let Some((request, checkpoint)) = self.stopping.take()
        {
            let answer = Effect::Answer { request, result: Ok(checkpoint) };
            self.effects.push_back(JobEffect::Checkpoint(answer));
        }
        self.stop_failed();
        self.effects.push_back(JobEffect::Ended { status, failure });
    }

    fn status_changed(&mut self, now: Now, from: JobStatus, to: JobStatus) {
        self.timestamps.insert(to, now.wall);
        self.effects.push_back(JobEffect::StatusChanged { from, to });
    }
}

#[cfg(test)]
mod tests;
