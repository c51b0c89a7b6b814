//! Decides when checkpoints start, complete and die. Performs nothing.
//!
//! ```text
//! request ─▶ Preparing ─▶ Acking ─▶ Writing ─▶ completed ─▶ subsumed
//!                └───────────┴─────────┴─▶ aborted
//! ```
//!
//! One phase each: the checkpoint's place is created; the tasks are triggered and acknowledge; the
//! completed record is written. A checkpoint exists from the moment in which its record exists.
//! Therefore nothing aborts a checkpoint whose record is being written: a write with an unknown
//! outcome is repeated until the outcome is known, and only then does anything else happen to it.
//! One record is written at a time, in the order in which the last acknowledgements came.
//!
//! Ids start at 1 (or after the restored checkpoint) and grow strictly. Messages of another attempt
//! than the current one are refused and counted. Files are discarded only when no retained or
//! pending checkpoint refers to them; files with absolute paths belong to somebody else and are
//! never discarded, unless the checkpoint that they are of was claimed.
//!
//! A savepoint goes the same way, but belongs to the user: it has a folder of its own, is no point to
//! restart from, and its completion is told to nobody but who asked for it, so that nothing is
//! committed. It is the only one under way while it is. The savepoint that a job stops with is told
//! to the tasks, which commit and end; if something fails before all have, the restart begins there.

mod abort;
mod ack;
mod complete;
mod event;
mod failures;
mod pending;
mod run;
mod schedule;
mod stats;
mod stop;
mod store;
mod trigger;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flott_core::element::CheckpointKind;
use flott_core::mutant::Mutant;
use flott_core::{AttemptNumber, CheckpointId, JobId, MonoTime, Now};

use crate::config::CheckpointConfig;
use crate::record::CompletedCheckpoint;
use crate::snapshot::OperatorInfo;

pub use event::{Effect, Input, TaskInfo, TerminalStatus};
pub use stats::{
    CheckpointCounts, CheckpointStats, CheckpointStatus, CheckpointingStats, HISTORY_LEN,
    RestoredStats, TaskStats, Trigger,
};

use failures::FailureCounter;
use pending::{Pending, Request};
use run::Run;
use schedule::Schedule;
use store::Store;
pub(crate) use trigger::UNDER_WAY_MAX;

/// The checkpoints of one job, from its submission to its end.
///
/// Feed it inputs with [`Coordinator::handle`] and the passage of time with
/// [`Coordinator::handle_timeout`]; after each, drain [`Coordinator::poll_effect`].
#[derive(Debug)]
pub struct Coordinator {
    job: JobId,
    job_name: String,
    operators: Vec<OperatorInfo>,
    config: CheckpointConfig,
    /// The attempt whose messages are listened to; it outlives `run`.
    attempt: Option<AttemptNumber>,
    /// The tasks, while all of them run or have finished.
    run: Option<Run>,
    next_id: CheckpointId,
    schedule: Schedule,
    /// Manual requests that wait for their turn.
    requests: VecDeque<Request>,
    pending: BTreeMap<CheckpointId, Pending>,
    store: Store,
    failures: FailureCounter,
    last_completion: Option<MonoTime>,
    shutdown: Option<TerminalStatus>,
    stale_messages: u64,
    stats: CheckpointingStats,
    effects: VecDeque<Effect>,
}

impl Coordinator {
    /// The coordinator of a job with these operators. `restored` is where the job starts from: a
    /// checkpoint of its own (after the process was lost) or of another job, which stays the
    /// user's unless it is claimed, and must name its files by absolute path ([`CompletedCheckpoint::rebased`]).
    pub fn new(
        job: JobId,
        job_name: impl Into<String>,
        operators: Vec<OperatorInfo>,
        config: CheckpointConfig,
        restored: Option<Arc<CompletedCheckpoint>>,
    ) -> Self {
        let mut coordinator = Self {
            job,
            job_name: job_name.into(),
            operators,
            attempt: None,
            run: None,
            next_id: CheckpointId(1),
            schedule: Schedule::new(config.interval),
            requests: VecDeque::new(),
            pending: BTreeMap::new(),
            store: Store::new(job, config.num_retained, restored, config.claims_restored),
            failures: FailureCounter::new(config.tolerable_failed),
            last_completion: None,
            shutdown: None,
            stale_messages: 0,
            stats: CheckpointingStats::default(),
            effects: VecDeque::new(),
            config,
        };
        coordinator.continue_ids();
        coordinator
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::TasksRunning { attempt, tasks } => self.tasks_running(now, attempt, tasks),
            Input::TasksReattached { attempt, tasks, newest } => {
                self.tasks_reattached(now, attempt, tasks, newest);
            }
            Input::Ack { attempt, checkpoint, task, snapshot, metrics } => {
                self.ack(now, attempt, checkpoint, task, snapshot, metrics);
            }
            Input::Decline { attempt, checkpoint, task, reason, message } => {
                self.decline(now, attempt, checkpoint, task, reason, message);
            }
            Input::EndOfData { attempt, task } => self.end_of_data(attempt, task),
            Input::TaskFinished { attempt, task } => self.task_finished(now, attempt, task),
            Input::LocationPrepared { checkpoint } => self.location_prepared(checkpoint),
            Input::LocationFailed { checkpoint, message } => {
                self.location_failed(now, checkpoint, message);
            }
            Input::MetadataPersisted { checkpoint } => self.metadata_persisted(now, checkpoint),
            Input::MetadataFailed { checkpoint, message } => {
                self.metadata_failed(now, checkpoint, message);
            }
            Input::MetadataUnknown { checkpoint, message } => {
                self.metadata_unknown(now, checkpoint, message);
            }
            Input::CheckpointRequested { request } => {
                let kind = CheckpointKind::Checkpoint;
                self.requested(Request { id: request, kind, folder: None });
            }
            Input::SavepointRequested { request } => {
                let kind = CheckpointKind::Savepoint;
                self.requested(Request { id: request, kind, folder: None });
            }
            Input::StopRequested { request, drain, folder } => {
                let kind = CheckpointKind::Stop { drain };
                self.requested(Request { id: request, kind, folder: Some(folder) });
            }
            Input::Stop => self.stop(now),
            Input::Shutdown { status } => self.shut_down(now, status),
        }
        self.advance(now);
    }

    /// The next thing to do, in order. Call until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Coordinator::handle_timeout`] is to be called next, and why.
    pub fn poll_timeout(&self) -> Option<(MonoTime, &'static str)> {
        let pending = self.pending.values().filter_map(Pending::timeout);
        let retry = self.run.as_ref().and_then(Run::final_retry_at);
        pending
            .chain(self.schedule.next().map(|at| (at, "periodic checkpoint")))
            .chain(retry.map(|at| (at, "final checkpoint again")))
            .min_by_key(|(at, _)| *at)
    }

    /// Takes in that time has passed. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        self.expire(now);
        self.write_again(now);
        self.schedule.tick(now.mono);
        if let Some(run) = &mut self.run {
            run.tick(now.mono);
        }
        self.advance(now);
    }

    /// Leaves out ids: another coordinator may have had checkpoints under way, and those who know of them do
    /// not say so.
    pub fn skip_ids(&mut self) {
        if !Mutant::ReuseCheckpointIds.is_on() {
            self.next_id = CheckpointId(self.next_id.0.saturating_add(UNDER_WAY_MAX));
        }
    }

    /// Leaves out the ids before this one.
    pub fn skip_ids_to(&mut self, first: CheckpointId) {
        if !Mutant::ReuseCheckpointIds.is_on() {
            self.next_id = self.next_id.max(first);
        }
    }

    /// What can go on without anything new from outside.
    fn advance(&mut self, now: Now) {
        self.write_next(now);
        self.trigger_next(now);
        self.stats.counts.in_progress = self.pending.len() as u64;
    }

    /// Whether no completed record is being written: what the latest completed checkpoint is can
    /// only be said, and the job can only restart or end, when this holds.
    pub fn is_settled(&self) -> bool {
        !self.pending.values().any(Pending::is_writing)
    }

    /// Whether the job is about to stop with a savepoint: one is under way, or complete.
    pub fn is_stopping(&self) -> bool {
        let is_stop = |pending: &Pending| matches!(pending.kind, CheckpointKind::Stop { .. });
        self.pending.values().any(is_stop) || self.run.as_ref().is_some_and(|run| run.is_stopping)
    }

    /// Where a restart begins: the latest completed checkpoint, else the one that the job was
    /// started from. Ask only when [`Coordinator::is_settled`].
    pub fn latest(&self) -> Option<&Arc<CompletedCheckpoint>> {
        self.store.latest()
    }

    /// The job's own completed checkpoints that are kept, oldest first.
    pub fn retained(&self) -> impl DoubleEndedIterator<Item = &Arc<CompletedCheckpoint>> {
        self.store.retained()
    }

    /// The checkpoints that are under way, in order.
    pub fn pending(&self) -> impl Iterator<Item = CheckpointId> {
        self.pending.keys().copied()
    }

    /// Counts and history, for people.
    pub fn stats(&self) -> &CheckpointingStats {
        &self.stats
    }

    /// The options that it goes by.
    pub fn config(&self) -> &CheckpointConfig {
        &self.config
    }

    /// How many messages of another attempt were refused.
    pub fn stale_messages(&self) -> u64 {
        self.stale_messages
    }

    /// Whether a message is of another attempt; counted if so.
    fn is_stale(&mut self, attempt: AttemptNumber) -> bool {
        let is_stale = self.attempt != Some(attempt);
        self.stale_messages += u64::from(is_stale);
        is_stale
    }

    /// Ids go on after the checkpoint that the job (re)starts from; they never go back.
    fn continue_ids(&mut self) {
        if let Some(latest) = self.store.latest() {
            self.next_id = self.next_id.max(latest.checkpoint.next());
            if Mutant::ReuseCheckpointIds.is_on() {
                self.next_id = CheckpointId(1);
            }
        }
    }

    /// The checkpoint whose record is being written.
    fn writing(&mut self, checkpoint: CheckpointId) -> Option<&mut Pending> {
        self.pending.get_mut(&checkpoint).filter(|pending| pending.is_writing())
    }
}

#[cfg(test)]
mod tests;
