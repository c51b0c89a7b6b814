//! What people see of the checkpoints, in the terms of Flink's checkpoint statistics.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use flott_core::{CheckpointId, MonoTime, Now, TaskId, WallTime};

use crate::reason::FailureReason;
use crate::snapshot::{SubtaskCheckpointMetrics, TaskSnapshot};

/// How many checkpoints the history keeps.
pub const HISTORY_LEN: usize = 10;

/// Counts and history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointingStats {
    /// How many of each kind.
    pub counts: CheckpointCounts,
    /// The latest [`HISTORY_LEN`] and all that are under way, newest first.
    pub history: VecDeque<CheckpointStats>,
    /// The latest that completed, savepoints left out.
    pub latest_completed: Option<CheckpointStats>,
    /// The latest savepoint that completed.
    pub latest_savepoint: Option<CheckpointStats>,
    /// The latest that failed.
    pub latest_failed: Option<CheckpointStats>,
    /// The latest that the job was restored from.
    pub latest_restored: Option<RestoredStats>,
}

/// How many checkpoints of each kind since the coordinator was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointCounts {
    /// How often the job was restored from one.
    pub restored: u64,
    /// Triggered.
    pub total: u64,
    /// Under way.
    pub in_progress: u64,
    /// Completed.
    pub completed: u64,
    /// Failed.
    pub failed: u64,
}

/// A restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoredStats {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// When all tasks ran again.
    pub restored_at: WallTime,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointStats {
    /// Its number.
    pub checkpoint: CheckpointId,
    /// Why it was triggered.
    pub trigger: Trigger,
    /// How far it is.
    pub status: CheckpointStatus,
    /// When it was triggered.
    pub triggered_at: WallTime,
    /// When the last task acknowledged.
    pub latest_ack_at: Option<WallTime>,
    /// From the trigger to the latest acknowledgement, or to the failure.
    pub duration: Duration,
    /// How many bytes of state the acknowledged snapshots refer to.
    pub state_bytes: u64,
    /// How many bytes were written for it.
    pub checkpointed_bytes: u64,
    /// The tasks that were to acknowledge; `None` for those that have not.
    pub tasks: BTreeMap<TaskId, Option<TaskStats>>,
    /// Whether its files are deleted, or about to be.
    pub discarded: bool,
    started: MonoTime,
}

/// Why a checkpoint was triggered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The interval is over.
    Periodic,
    /// Somebody asked for it.
    Manual,
    /// Somebody asked for a savepoint.
    Savepoint,
    /// No task has data left.
    Final,
}

/// How far a checkpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointStatus {
    /// Under way.
    InProgress,
    /// Completed.
    Completed,
    /// Failed.
    Failed {
        /// Why, in Flink's terms.
        reason: FailureReason,
        /// Why, in detail.
        message: String,
        /// The task that is to blame; the first of several.
        culprit: Option<TaskId>,
        /// When.
        at: WallTime,
    },
}

/// One task's part in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskStats {
    /// When it acknowledged.
    pub acked_at: WallTime,
    /// From the trigger to the acknowledgement.
    pub duration: Duration,
    /// How many bytes of state its snapshot refers to.
    pub state_bytes: u64,
    /// What the task measured.
    pub metrics: SubtaskCheckpointMetrics,
}

impl CheckpointStats {
    /// How many tasks have acknowledged.
    pub fn num_acknowledged(&self) -> usize {
        self.tasks.values().flatten().count()
    }
}

impl CheckpointingStats {
    pub(super) fn restored(&mut self, now: Now, checkpoint: CheckpointId) {
        self.counts.restored += 1;
        self.latest_restored = Some(RestoredStats { checkpoint, restored_at: now.wall });
    }

    pub(super) fn triggered(
        &mut self,
        now: Now,
        checkpoint: CheckpointId,
        trigger: Trigger,
        tasks: impl Iterator<Item = TaskId>,
    ) {
        self.counts.total += 1;
        if self.history.len() >= HISTORY_LEN {
            // One that is under way stays: its end is still to be told.
            let is_over = |entry: &CheckpointStats| entry.status != CheckpointStatus::InProgress;
            if let Some(oldest) = self.history.iter().rposition(is_over) {
                self.history.remove(oldest);
            }
        }
        self.history.push_front(CheckpointStats {
            checkpoint,
            trigger,
            status: CheckpointStatus::InProgress,
            triggered_at: now.wall,
            latest_ack_at: None,
            duration: Duration::ZERO,
            state_bytes: 0,
            checkpointed_bytes: 0,
            tasks: tasks.map(|task| (task, None)).collect(),
            discarded: false,
            started: now.mono,
        });
    }

    pub(super) fn acked(
        &mut self,
        now: Now,
        checkpoint: CheckpointId,
        task: TaskId,
        snapshot: &TaskSnapshot,
        metrics: SubtaskCheckpointMetrics,
    ) {
        let Some(entry) = self.entry(checkpoint) else { return };
        let state_bytes = snapshot.bytes();
        let duration = now.mono.since(entry.started);
        let stats = TaskStats { acked_at: now.wall, duration, state_bytes, metrics };
        entry.tasks.insert(task, Some(stats));
        entry.latest_ack_at = Some(now.wall);
        entry.duration = duration;
        entry.state_bytes += state_bytes;
        entry.checkpointed_bytes += metrics.bytes;
    }

    /// A task finished instead of acknowledging.
    pub(super) fn task_gone(&mut self, checkpoint: CheckpointId, task: TaskId) {
        if let Some(entry) = self.entry(checkpoint) {
            entry.tasks.remove(&task);
        }
    }

    pub(super) fn completed(&mut self, checkpoint: CheckpointId) -> Option<CheckpointStats> {
        self.counts.completed += 1;
        let entry = self.entry(checkpoint)?;
        entry.status = CheckpointStatus::Completed;
        let entry = entry.clone();
        let latest = match entry.trigger {
            Trigger::Savepoint => &mut self.latest_savepoint,
            Trigger::Periodic | Trigger::Manual | Trigger::Final => &mut self.latest_completed,
        };
        *latest = Some(entry.clone());
        Some(entry)
    }

    pub(super) fn failed(
        &mut self,
        now: Now,
        checkpoint: CheckpointId,
        reason: FailureReason,
        message: String,
        culprit: Option<TaskId>,
    ) {
        self.counts.failed += 1;
        let Some(entry) = self.entry(checkpoint) else { return };
        entry.status = CheckpointStatus::Failed { reason, message, culprit, at: now.wall };
        entry.duration = now.mono.since(entry.started);
        entry.discarded = true;
        self.latest_failed = Some(entry.clone());
    }

    pub(super) fn discarded(&mut self, checkpoint: CheckpointId) {
        let latest = self.latest_completed.iter_mut().filter(|e| e.checkpoint == checkpoint);
        for entry in latest.chain(self.history.iter_mut().filter(|e| e.checkpoint == checkpoint)) {
            entry.discarded = true;
        }
    }

    fn entry(&mut self, checkpoint: CheckpointId) -> Option<&mut CheckpointStats> {
        self.history.iter_mut().find(|entry| entry.checkpoint == checkpoint)
    }
}
