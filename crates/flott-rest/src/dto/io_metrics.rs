//! What went in and out of tasks, and how long they worked for it.

use flott_control::ExecutionState;
use flott_control::view::SubtaskView;
use flott_core::Now;
use flott_core::metrics::TimeSpent;
use serde::Serialize;

use super::{long, millis};

/// What went in and out of one task or several, Flink's `IOMetricsInfo`.
#[derive(Clone, Copy, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct IoMetrics {
    pub(super) read_bytes: i64,
    read_bytes_complete: bool,
    pub(super) write_bytes: i64,
    write_bytes_complete: bool,
    pub(super) read_records: i64,
    read_records_complete: bool,
    pub(super) write_records: i64,
    write_records_complete: bool,
    pub(super) accumulated_backpressured_time: i64,
    pub(super) accumulated_idle_time: i64,
    pub(super) accumulated_busy_time: f64,
}

impl IoMetrics {
    /// Of tasks of one vertex. Flink counts what tasks send each other: a source reads nothing.
    pub(super) fn of<'a>(
        now: Now,
        tasks: impl Iterator<Item = &'a SubtaskView>,
        is_source: bool,
    ) -> Self {
        let mut all = Self {
            read_bytes_complete: true,
            write_bytes_complete: true,
            read_records_complete: true,
            write_records_complete: true,
            ..Self::default()
        };
        for task in tasks {
            let metrics = &task.metrics;
            let times = Spent::of(now, task);
            all.read_bytes += long(metrics.bytes_in.get());
            all.write_bytes += long(metrics.bytes_out.get());
            all.read_records += if is_source { 0 } else { long(metrics.records_in.get()) };
            all.write_records += long(metrics.records_out.get());
            all.accumulated_backpressured_time += times.backpressured;
            all.accumulated_idle_time += times.idle;
            all.accumulated_busy_time += times.busy as f64;
        }
        all
    }
}

/// What a task has spent its time on since it runs, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) busy: i64,
    pub(crate) backpressured: i64,
    pub(crate) idle: i64,
}

impl Spent {
    pub(crate) fn of(now: Now, task: &SubtaskView) -> Self {
        let TimeSpent { busy, backpressured } = task.metrics.times.spent(now.mono);
        let (busy, backpressured) = (millis(busy), millis(backpressured));
        let end = if task.state.is_out() { task.since } else { now.wall };
        let began = task.entered.get(&ExecutionState::Running);
        let all = began.map_or(0, |began| end.0 - began.0);
        Self { busy, backpressured, idle: (all - busy - backpressured).max(0) }
    }
}
