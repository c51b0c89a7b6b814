//! Checkpoints: `/jobs/:jobid/checkpoints`, its `config` and its `details`.

use std::collections::BTreeMap;

use flott_checkpoint::StorageConfig;
use flott_checkpoint::coordinator::{CheckpointStats, CheckpointStatus, TaskStats, Trigger};
use flott_control::view::JobView;
use flott_core::config::options::{self, CheckpointRetention, CheckpointingMode, StateBackendKind};
use flott_core::{CheckpointId, Now};
use serde::Serialize;

use super::summary::StatsSummary;
use super::{long, millis, time_or_minus_one};

/// `/jobs/:jobid/checkpoints`.
#[derive(Serialize)]
pub(crate) struct CheckpointingStatistics {
    counts: Counts,
    summary: Summary,
    latest: Latest,
    history: Vec<Checkpoint>,
}

#[derive(Serialize)]
struct Counts {
    restored: i64,
    total: i64,
    in_progress: i64,
    completed: i64,
    failed: i64,
}

#[derive(Serialize)]
struct Summary {
    checkpointed_size: StatsSummary,
    state_size: StatsSummary,
    end_to_end_duration: StatsSummary,
    alignment_buffered: StatsSummary,
    processed_data: StatsSummary,
    persisted_data: StatsSummary,
}

#[derive(Serialize)]
struct Latest {
    completed: Option<Checkpoint>,
    savepoint: Option<Checkpoint>,
    failed: Option<Checkpoint>,
    restored: Option<Restored>,
}

#[derive(Serialize)]
struct Restored {
    id: u64,
    restore_timestamp: i64,
    is_savepoint: bool,
    /// Not known of a checkpoint that another job has taken.
    external_path: Option<String>,
}

/// A checkpoint; in the history without its `tasks`.
#[derive(Serialize)]
pub(crate) struct Checkpoint {
    #[serde(rename = "className")]
    class_name: &'static str,
    id: u64,
    status: &'static str,
    is_savepoint: bool,
    #[serde(rename = "savepointFormat")]
    savepoint_format: Option<&'static str>,
    trigger_timestamp: i64,
    latest_ack_timestamp: i64,
    checkpointed_size: i64,
    state_size: i64,
    end_to_end_duration: i64,
    alignment_buffered: i64,
    processed_data: i64,
    persisted_data: i64,
    num_subtasks: usize,
    num_acknowledged_subtasks: usize,
    checkpoint_type: &'static str,
    tasks: BTreeMap<String, VertexCheckpoint>,
    #[serde(flatten)]
    end: End,
}

/// What is known only of checkpoints that have ended in this way.
#[derive(Serialize)]
#[serde(untagged)]
enum End {
    InProgress {},
    Completed { external_path: Option<String>, discarded: bool },
    Failed { failure_timestamp: i64, failure_message: String },
}

/// A vertex's part in a checkpoint.
#[derive(Serialize)]
pub(super) struct VertexCheckpoint {
    id: u64,
    status: &'static str,
    latest_ack_timestamp: i64,
    checkpointed_size: i64,
    state_size: i64,
    end_to_end_duration: i64,
    alignment_buffered: i64,
    processed_data: i64,
    persisted_data: i64,
    num_subtasks: usize,
    num_acknowledged_subtasks: usize,
}

impl CheckpointingStatistics {
    pub(crate) fn of(_now: Now, job: &JobView) -> Self {
        let stats = &job.checkpoints;
        let checkpoint = |stats: &CheckpointStats| Checkpoint::of(job, stats);
        Self {
            counts: Counts {
                restored: long(stats.counts.restored),
                total: long(stats.counts.total),
                in_progress: long(stats.counts.in_progress),
                completed: long(stats.counts.completed),
                failed: long(stats.counts.failed),
            },
            summary: Summary::of(job),
            latest: Latest {
                completed: stats.latest_completed.as_ref().map(checkpoint),
                savepoint: stats.latest_savepoint.as_ref().map(checkpoint),
                failed: stats.latest_failed.as_ref().map(checkpoint),
                restored: stats.latest_restored.map(|restored| Restored {
                    id: restored.checkpoint.0,
                    restore_timestamp: restored.restored_at.0,
                    is_savepoint: false,
                    external_path: job.locations.get(&restored.checkpoint).cloned(),
                }),
            },
            history: stats.history.iter().map(checkpoint).collect(),
        }
    }
}

impl Summary {
    /// Of the completed checkpoints that are remembered. (Flink's goes over more.)
    fn of(job: &JobView) -> Self {
        let completed = || {
            let history = job.checkpoints.history.iter();
            history.filter(|stats| stats.status == CheckpointStatus::Completed)
        };
        // Nothing is buffered while barriers are aligned, and what is processed meanwhile is not counted.
        let zero = || StatsSummary::of(completed().map(|_| 0));
        Self {
            checkpointed_size: StatsSummary::of(completed().map(|s| long(s.checkpointed_bytes))),
            state_size: StatsSummary::of(completed().map(|s| long(s.state_bytes))),
            end_to_end_duration: StatsSummary::of(completed().map(|s| millis(s.duration))),
            alignment_buffered: zero(),
            processed_data: zero(),
            persisted_data: StatsSummary::of(completed().map(overtaken)),
        }
    }
}

impl Checkpoint {
    /// `/jobs/:jobid/checkpoints/details/:checkpointid`; nothing if it is not remembered.
    pub(crate) fn details(job: &JobView, id: u64) -> Option<Self> {
        let stats = remembered(job, id)?;
        let mut vertices: BTreeMap<String, Vec<Option<TaskStats>>> = BTreeMap::new();
        for (task, acked) in &stats.tasks {
            vertices.entry(task.vertex.to_string()).or_default().push(*acked);
        }
        let part = |tasks: Vec<_>| VertexCheckpoint::of(stats, &tasks);
        let tasks = vertices.into_iter().map(|(vertex, tasks)| (vertex, part(tasks))).collect();
        Some(Self { tasks, ..Self::of(job, stats) })
    }

    fn of(job: &JobView, stats: &CheckpointStats) -> Self {
        let (class_name, end) = match &stats.status {
            CheckpointStatus::InProgress => ("in_progress", End::InProgress {}),
            CheckpointStatus::Completed => {
                let external_path = job.locations.get(&stats.checkpoint).cloned();
                ("completed", End::Completed { external_path, discarded: stats.discarded })
            }
            CheckpointStatus::Failed { reason, message, culprit, at } => {
                let culprit = culprit.map(|task| format!(" Task {task}:")).unwrap_or_default();
                let failure_message = format!("{}{culprit} {message}", reason.text());
                let failure_message = failure_message.trim_end().into();
                ("failed", End::Failed { failure_timestamp: at.0, failure_message })
            }
        };
        let is_savepoint = stats.trigger == Trigger::Savepoint;
        let is_measured = stats.latest_ack_at.is_some() || class_name != "in_progress";
        Self {
            class_name,
            id: stats.checkpoint.0,
            status: status(stats),
            is_savepoint,
            savepoint_format: is_savepoint.then_some("CANONICAL"),
            trigger_timestamp: stats.triggered_at.0,
            latest_ack_timestamp: time_or_minus_one(stats.latest_ack_at),
            checkpointed_size: long(stats.checkpointed_bytes),
            state_size: long(stats.state_bytes),
            end_to_end_duration: if is_measured { millis(stats.duration) } else { -1 },
            alignment_buffered: 0,
            processed_data: 0,
            persisted_data: overtaken(stats),
            num_subtasks: stats.tasks.len(),
            num_acknowledged_subtasks: stats.num_acknowledged(),
            checkpoint_type: match is_savepoint {
                true => "SAVEPOINT",
                false if is_unaligned(stats) => "UNALIGNED_CHECKPOINT",
                false => "CHECKPOINT",
            },
            tasks: BTreeMap::new(),
            end,
        }
    }
}

impl VertexCheckpoint {
    pub(super) fn of(stats: &CheckpointStats, tasks: &[Option<TaskStats>]) -> Self {
        let acked = || tasks.iter().flatten();
        let last = acked().map(|task| task.acked_at).max();
        let duration = acked().map(|task| task.duration).max();
        Self {
            id: stats.checkpoint.0,
            status: status(stats),
            latest_ack_timestamp: time_or_minus_one(last),
            checkpointed_size: long(acked().map(|task| task.metrics.bytes).sum()),
            state_size: long(acked().map(|task| task.state_bytes).sum()),
            end_to_end_duration: duration.map_or(-1, millis),
            alignment_buffered: 0,
            processed_data: 0,
            persisted_data: long(acked().map(|task| task.metrics.overtaken_bytes).sum()),
            num_subtasks: tasks.len(),
            num_acknowledged_subtasks: acked().count(),
        }
    }
}

/// A checkpoint of the history, or one of the latest.
pub(super) fn remembered(job: &JobView, id: u64) -> Option<&CheckpointStats> {
    let stats = &job.checkpoints;
    let latest = stats.latest_completed.iter().chain(&stats.latest_failed);
    let mut remembered = stats.history.iter().chain(latest).chain(&stats.latest_savepoint);
    remembered.find(|stats| stats.checkpoint == CheckpointId(id))
}

/// How many bytes of records its barriers have overtaken.
fn overtaken(stats: &CheckpointStats) -> i64 {
    let acked = stats.tasks.values().flatten();
    long(acked.map(|task| task.metrics.overtaken_bytes).sum())
}

/// Whether its barriers have overtaken records in any task, or would have.
fn is_unaligned(stats: &CheckpointStats) -> bool {
    stats.tasks.values().flatten().any(|task| task.metrics.unaligned)
}

fn status(stats: &CheckpointStats) -> &'static str {
    match stats.status {
        CheckpointStatus::InProgress => "IN_PROGRESS",
        CheckpointStatus::Completed => "COMPLETED",
        CheckpointStatus::Failed { .. } => "FAILED",
    }
}

/// `/jobs/:jobid/checkpoints/config`.
#[derive(Serialize)]
pub(crate) struct CheckpointConfigInfo {
    mode: &'static str,
    interval: i64,
    timeout: i64,
    min_pause: i64,
    max_concurrent: u32,
    externalization: Externalization,
    state_backend: &'static str,
    checkpoint_storage: &'static str,
    unaligned_checkpoints: bool,
    tolerable_failed_checkpoints: u32,
    aligned_checkpoint_timeout: i64,
    checkpoints_after_tasks_finish: bool,
    state_changelog_enabled: bool,
    changelog_periodic_materialization_interval: i64,
    changelog_storage: &'static str,
}

#[derive(Serialize)]
struct Externalization {
    enabled: bool,
    delete_on_cancellation: bool,
}

impl CheckpointConfigInfo {
    pub(crate) fn of(_now: Now, job: &JobView) -> Self {
        let config = &job.description.checkpointing;
        let (enabled, delete_on_cancellation) = match config.retention {
            CheckpointRetention::RetainOnCancellation => (true, false),
            CheckpointRetention::DeleteOnCancellation => (true, true),
            CheckpointRetention::NoExternalizedCheckpoints => (false, true),
        };
        Self {
            mode: match config.mode {
                CheckpointingMode::ExactlyOnce => "exactly_once",
                CheckpointingMode::AtLeastOnce => "at_least_once",
            },
            // Flink's way to say that there are no periodic ones.
            interval: config.interval.map_or(i64::MAX, millis),
            timeout: millis(config.timeout),
            min_pause: millis(config.min_pause),
            max_concurrent: config.max_concurrent,
            externalization: Externalization { enabled, delete_on_cancellation },
            state_backend: match job.description.options.get(&options::STATE_BACKEND) {
                Ok(StateBackendKind::Lsm) => "LsmStateBackend",
                Ok(StateBackendKind::RocksDb) => "EmbeddedRocksDBStateBackend",
                Ok(StateBackendKind::HashMap) | Err(_) => "HashMapStateBackend",
            },
            checkpoint_storage: match config.storage {
                StorageConfig::JobManager => "JobManagerCheckpointStorage",
                StorageConfig::FileSystem { .. } => "FileSystemCheckpointStorage",
            },
            unaligned_checkpoints: config.unaligned_after.is_some(),
            tolerable_failed_checkpoints: config.tolerable_failed,
            aligned_checkpoint_timeout: config.unaligned_after.map_or(0, millis),
            checkpoints_after_tasks_finish: config.after_tasks_finish,
            // There is no changelog; these are Flink's values then.
            state_changelog_enabled: false,
            changelog_periodic_materialization_interval: 600_000,
            changelog_storage: "memory",
        }
    }
}
