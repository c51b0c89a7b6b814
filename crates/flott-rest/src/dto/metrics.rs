//! Metrics by Flink's names: of jobs, tasks, TaskManagers and the JobManager.

use std::collections::BTreeMap;

use flott_checkpoint::coordinator::CheckpointStats;
use flott_control::JobStatus;
use flott_control::view::{ClusterView, JobView, SubtaskView};
use flott_core::Now;
use flott_plan::JobVertex;
use serde::Serialize;
use serde_json::{Map, Value};

use super::cluster::ClusterOverview;
use super::io_metrics::Spent;
use super::{long, millis};
use crate::rates::Rate;

/// Numbers with their names, in the order of the names.
pub(crate) type Metrics = BTreeMap<String, f64>;

/// One metric: `value` is left out where only names were asked for.
#[derive(Serialize)]
pub(crate) struct Metric {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// Those of `all` that were asked for, or the names of all.
pub(crate) fn some_of(all: &Metrics, wanted: Option<&[&str]>) -> Vec<Metric> {
    match wanted {
        None => all.keys().map(|id| Metric { id: id.clone(), value: None }).collect(),
        Some(wanted) => {
            let found = wanted.iter().filter_map(|id| Some((*id, *all.get(*id)?)));
            found.map(|(id, value)| Metric { id: id.into(), value: Some(text(value)) }).collect()
        }
    }
}

/// Whole numbers without a point, as Java prints those of its whole types.
fn text(value: f64) -> String {
    match value {
        _ if value >= i64::MAX as f64 => i64::MAX.to_string(),
        _ if value <= i64::MIN as f64 => i64::MIN.to_string(),
        _ => value.to_string(),
    }
}

/// The aggregations that Flink knows.
const AGGREGATIONS: [&str; 5] = ["min", "max", "avg", "sum", "skew"];

/// Those of several that were asked for, with the aggregations that were asked for, or the names of all.
///
/// # Errors
/// The name of an aggregation that there is not.
pub(crate) fn aggregated(
    all: &[Metrics],
    wanted: Option<&[&str]>,
    aggregations: Option<&[&str]>,
) -> Result<Vec<Map<String, Value>>, String> {
    let aggregations: Vec<String> =
        aggregations.unwrap_or(&AGGREGATIONS).iter().map(|name| name.to_lowercase()).collect();
    if let Some(unknown) = aggregations.iter().find(|name| !AGGREGATIONS.contains(&name.as_str())) {
        return Err(unknown.clone());
    }
    let names: Vec<&str> = match wanted {
        Some(wanted) => wanted.to_vec(),
        None => {
            let names = all.iter().flat_map(BTreeMap::keys).map(String::as_str);
            names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        }
    };
    let mut answer = Vec::new();
    for name in names {
        let values: Vec<f64> = all.iter().filter_map(|one| one.get(name).copied()).collect();
        if values.is_empty() {
            continue;
        }
        let mut entry = Map::from_iter([("id".to_owned(), Value::from(name))]);
        if wanted.is_some() {
            entry.extend(
                aggregations.iter().map(|kind| (kind.clone(), aggregate(kind, &values).into())),
            );
        }
        answer.push(entry);
    }
    Ok(answer)
}

/// Skew is Flink's (`DoubleDataSkew`): how far values are from their mean, on average, in per cent of it; at most 100.
fn aggregate(kind: &str, values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let mean = sum / values.len() as f64;
    match kind {
        "min" => values.iter().copied().fold(f64::INFINITY, f64::min),
        "max" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "sum" => sum,
        "avg" => mean,
        _ => {
            let deviation: f64 = values.iter().map(|value| (value - mean).abs()).sum();
            if sum > 0.0 { (100.0 * deviation / sum).min(100.0) } else { 0.0 }
        }
    }
}

/// What a task measures.
pub(crate) fn of_task(now: Now, vertex: &JobVertex, task: &SubtaskView, rate: Rate) -> Metrics {
    let (metrics, times) = (&task.metrics, Spent::of(now, task));
    let is_backpressured = rate.backpressured > 500.0;
    let mut all: Vec<(&str, f64)> = vec![
        ("numRecordsIn", metrics.records_in.get() as f64),
        ("numRecordsOut", metrics.records_out.get() as f64),
        ("numBytesIn", metrics.bytes_in.get() as f64),
        ("numBytesOut", metrics.bytes_out.get() as f64),
        ("numRecordsInPerSecond", rate.records_in),
        ("numRecordsOutPerSecond", rate.records_out),
        ("numBytesInPerSecond", rate.bytes_in),
        ("numBytesOutPerSecond", rate.bytes_out),
        ("busyTimeMsPerSecond", rate.busy),
        ("backPressuredTimeMsPerSecond", rate.backpressured),
        ("idleTimeMsPerSecond", rate.idle()),
        ("accumulateBusyTimeMs", times.busy as f64),
        ("accumulateBackPressuredTimeMs", times.backpressured as f64),
        ("accumulateIdleTimeMs", times.idle as f64),
        ("isBackPressured", f64::from(u8::from(is_backpressured))),
    ];
    if !vertex.is_source {
        all.push(("currentInputWatermark", metrics.input_watermark.get() as f64));
    }
    named(all)
}

/// What is known of a job.
pub(crate) fn of_job(now: Now, job: &JobView) -> Metrics {
    let stats = &job.checkpoints;
    let spent = |status: JobStatus| {
        let since = job.timestamps.get(&status).copied().filter(|_| job.status == status);
        since.map_or(0.0, |since| (now.wall.0 - since.0) as f64)
    };
    let mut all = vec![
        ("numRestarts", job.num_restarts as f64),
        ("totalNumberOfCheckpoints", stats.counts.total as f64),
        ("numberOfInProgressCheckpoints", stats.counts.in_progress as f64),
        ("numberOfCompletedCheckpoints", stats.counts.completed as f64),
        ("numberOfFailedCheckpoints", stats.counts.failed as f64),
        ("uptime", spent(JobStatus::Running)),
        ("runningTime", spent(JobStatus::Running)),
        ("restartingTime", spent(JobStatus::Restarting)),
        ("failingTime", spent(JobStatus::Failing)),
        ("cancellingTime", spent(JobStatus::Cancelling)),
        ("createdTime", spent(JobStatus::Created)),
        ("initializingTime", spent(JobStatus::Initializing)),
    ];
    if let Some(restored) = stats.latest_restored {
        all.push(("lastCheckpointRestoreTimestamp", restored.restored_at.0 as f64));
    }
    if let Some(last) = &stats.latest_completed {
        all.extend(of_checkpoint(last));
    }
    named(all)
}

fn of_checkpoint(last: &CheckpointStats) -> [(&'static str, f64); 5] {
    [
        ("lastCompletedCheckpointId", last.checkpoint.0 as f64),
        ("lastCheckpointDuration", millis(last.duration) as f64),
        ("lastCheckpointSize", long(last.checkpointed_bytes) as f64),
        ("lastCheckpointFullSize", long(last.state_bytes) as f64),
        ("lastCheckpointCompletedTimestamp", last.latest_ack_at.map_or(-1, |at| at.0) as f64),
    ]
}

/// What is known of the JobManager.
pub(crate) fn of_cluster(view: &ClusterView) -> Metrics {
    let ClusterOverview { taskmanagers, slots_total, slots_available, jobs_running, .. } =
        ClusterOverview::of(view);
    named(vec![
        ("numRegisteredTaskManagers", taskmanagers as f64),
        ("numRunningJobs", jobs_running as f64),
        ("taskSlotsTotal", f64::from(slots_total)),
        ("taskSlotsAvailable", f64::from(slots_available)),
    ])
}

fn named(all: Vec<(&str, f64)>) -> Metrics {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `…/backpressure`.
#[derive(Serialize)]
pub(crate) struct VertexBackPressure {
    status: &'static str,
    #[serde(rename = "backpressureLevel")]
    level: &'static str,
    #[serde(rename = "backpressure-level")]
    level_again: &'static str,
    #[serde(rename = "end-timestamp")]
    end_timestamp: i64,
    subtasks: Vec<SubtaskBackPressure>,
}

#[derive(Serialize)]
struct SubtaskBackPressure {
    subtask: u32,
    #[serde(rename = "backpressureLevel")]
    level: &'static str,
    #[serde(rename = "backpressure-level")]
    level_again: &'static str,
    ratio: f64,
    #[serde(rename = "idleRatio")]
    idle_ratio: f64,
    #[serde(rename = "busyRatio")]
    busy_ratio: f64,
}

impl VertexBackPressure {
    pub(crate) fn of(now: Now, rates: &[Rate]) -> Self {
        let worst = rates.iter().map(|rate| rate.backpressured).fold(0.0, f64::max);
        let one = |(subtask, rate): (u32, &Rate)| SubtaskBackPressure {
            subtask,
            level: level(rate.backpressured),
            level_again: level(rate.backpressured),
            ratio: rate.backpressured / 1000.0,
            idle_ratio: rate.idle() / 1000.0,
            busy_ratio: rate.busy / 1000.0,
        };
        Self {
            status: "ok",
            level: level(worst),
            level_again: level(worst),
            end_timestamp: now.wall.0,
            subtasks: (0..).zip(rates).map(one).collect(),
        }
    }
}

/// Flink's borders: 10 and 50 per cent.
fn level(millis_per_second: f64) -> &'static str {
    match millis_per_second {
        ..=100.0 => "ok",
        ..=500.0 => "low",
        _ => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(value: f64) -> Metrics {
        named(vec![("a", value), ("b", 1.0)])
    }

    #[test]
    fn what_is_asked_for_is_answered_and_else_the_names() {
        let json = |metrics| serde_json::to_value(metrics).unwrap().to_string();
        assert_eq!(json(some_of(&metrics(2.0), None)), r#"[{"id":"a"},{"id":"b"}]"#);
        let found = json(some_of(&metrics(2.5), Some(&["a", "none"])));
        assert_eq!(found, r#"[{"id":"a","value":"2.5"}]"#);
        assert_eq!(text(i64::MIN as f64), "-9223372036854775808");
        assert_eq!(text(i64::MAX as f64), "9223372036854775807");
        assert_eq!(text(3.0), "3");
    }

    #[test]
    fn aggregations_are_flinks() {
        let all = [metrics(1.0), metrics(3.0)];
        let answer = aggregated(&all, Some(&["a"]), None).unwrap();
        let numbers = AGGREGATIONS.map(|kind| answer[0][kind].as_f64().unwrap());
        assert_eq!(numbers, [1.0, 3.0, 2.0, 4.0, 50.0]);
        assert_eq!(aggregate("skew", &[60.0, 20.0, 20.0, 0.0]), 70.0);
        assert_eq!(aggregate("skew", &[90.0, 0.0, 0.0]), 100.0);
        let answer = aggregated(&all, Some(&["a", "none"]), Some(&["MAX"])).unwrap();
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"[{"id":"a","max":3.0}]"#);
        assert_eq!(aggregated(&all, None, Some(&["median"])), Err("median".into()));
        assert_eq!(aggregated(&all, None, None).unwrap().len(), 2);
    }

    #[test]
    fn backpressure_has_three_levels() {
        assert_eq!(
            [0.0, 100.0, 101.0, 500.0, 501.0].map(level),
            ["ok", "ok", "low", "low", "high"]
        );
    }
}
