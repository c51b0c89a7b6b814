//! What the subtasks of a vertex did for a checkpoint.

use flott_checkpoint::coordinator::TaskStats;
use flott_control::view::JobView;
use flott_core::{TaskId, VertexId};
use serde::Serialize;

use super::checkpoints::{VertexCheckpoint, remembered};
use super::summary::StatsSummary;
use super::{long, millis};

/// `/jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid`.
#[derive(Serialize)]
pub(crate) struct VertexCheckpointDetails {
    #[serde(flatten)]
    vertex: VertexCheckpoint,
    summary: VertexSummary,
    subtasks: Vec<SubtaskCheckpoint>,
}

#[derive(Serialize)]
struct VertexSummary {
    checkpointed_size: StatsSummary,
    state_size: StatsSummary,
    end_to_end_duration: StatsSummary,
    checkpoint_duration: DurationSummary,
    alignment: AlignmentSummary,
    start_delay: StatsSummary,
}

#[derive(Serialize)]
struct DurationSummary {
    sync: StatsSummary,
    #[serde(rename = "async")]
    asynchronous: StatsSummary,
}

#[derive(Serialize)]
struct AlignmentSummary {
    buffered: StatsSummary,
    processed: StatsSummary,
    persisted: StatsSummary,
    duration: StatsSummary,
}

/// A subtask's part in a checkpoint.
#[derive(Serialize)]
#[serde(tag = "className", rename_all = "snake_case")]
enum SubtaskCheckpoint {
    Pending {
        index: u32,
        status: &'static str,
    },
    Completed {
        index: u32,
        status: &'static str,
        ack_timestamp: i64,
        end_to_end_duration: i64,
        checkpointed_size: i64,
        state_size: i64,
        checkpoint: CheckpointDuration,
        alignment: Alignment,
        start_delay: i64,
        unaligned_checkpoint: bool,
        aborted: bool,
    },
}

#[derive(Serialize)]
struct CheckpointDuration {
    sync: i64,
    #[serde(rename = "async")]
    asynchronous: i64,
}

#[derive(Serialize)]
struct Alignment {
    buffered: i64,
    processed: i64,
    persisted: i64,
    duration: i64,
}

impl VertexCheckpointDetails {
    /// Nothing if the checkpoint is not remembered, or the vertex has no part in it.
    pub(crate) fn find(job: &JobView, id: u64, vertex: VertexId) -> Option<Self> {
        let stats = remembered(job, id)?;
        let task = |subtask| TaskId { vertex, subtask };
        let tasks = stats.tasks.range(task(0)..=task(u32::MAX));
        let tasks: Vec<(u32, Option<TaskStats>)> =
            tasks.map(|(task, acked)| (task.subtask, *acked)).collect();
        let acked: Vec<Option<TaskStats>> = tasks.iter().map(|(_, acked)| *acked).collect();
        (!tasks.is_empty()).then(|| Self {
            vertex: VertexCheckpoint::of(stats, &acked),
            summary: VertexSummary::of(&acked),
            subtasks: tasks
                .iter()
                .map(|(index, acked)| SubtaskCheckpoint::of(*index, *acked))
                .collect(),
        })
    }
}

impl VertexSummary {
    fn of(tasks: &[Option<TaskStats>]) -> Self {
        let summary = |of: fn(&TaskStats) -> i64| StatsSummary::of(tasks.iter().flatten().map(of));
        Self {
            checkpointed_size: summary(|task| long(task.metrics.bytes)),
            state_size: summary(|task| long(task.state_bytes)),
            end_to_end_duration: summary(|task| millis(task.duration)),
            checkpoint_duration: DurationSummary {
                sync: summary(|task| to_millis(task.metrics.sync_nanos)),
                asynchronous: summary(|task| to_millis(task.metrics.async_nanos)),
            },
            alignment: AlignmentSummary {
                buffered: summary(|_| 0),
                processed: summary(|_| 0),
                persisted: summary(|task| long(task.metrics.overtaken_bytes)),
                duration: summary(|task| to_millis(task.metrics.alignment_nanos)),
            },
            start_delay: summary(|task| to_millis(task.metrics.start_delay_nanos)),
        }
    }
}

impl SubtaskCheckpoint {
    fn of(index: u32, acked: Option<TaskStats>) -> Self {
        let Some(TaskStats { acked_at, duration, state_bytes, metrics }) = acked else {
            return Self::Pending { index, status: "pending_or_failed" };
        };
        Self::Completed {
            index,
            status: "completed",
            ack_timestamp: acked_at.0,
            end_to_end_duration: millis(duration),
            checkpointed_size: long(metrics.bytes),
            state_size: long(state_bytes),
            checkpoint: CheckpointDuration {
                sync: to_millis(metrics.sync_nanos),
                asynchronous: to_millis(metrics.async_nanos),
            },
            alignment: Alignment {
                buffered: 0,
                processed: 0,
                persisted: long(metrics.overtaken_bytes),
                duration: to_millis(metrics.alignment_nanos),
            },
            start_delay: to_millis(metrics.start_delay_nanos),
            unaligned_checkpoint: metrics.unaligned,
            aborted: false,
        }
    }
}

fn to_millis(nanos: u64) -> i64 {
    long(nanos / 1_000_000)
}
