//! The cluster as a whole: `/config` and `/overview`.

use std::collections::BTreeMap;

use flott_control::JobStatus;
use flott_control::view::{ClusterView, JobView};
use serde::Serialize;

/// Flink's text where a build does not know its commit.
const UNKNOWN: &str = "<unknown>";

/// How often Flink's dashboard asks again, in milliseconds.
const REFRESH_INTERVAL_MS: u64 = 3000;

/// `/config`: what a dashboard loads first.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DashboardConfiguration {
    refresh_interval: u64,
    timezone_name: &'static str,
    timezone_offset: i32,
    flink_version: &'static str,
    flink_revision: String,
    features: Features,
}

/// What a dashboard may offer.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Features {
    web_submit: bool,
    web_cancel: bool,
    web_rescale: bool,
    web_history: bool,
}

impl DashboardConfiguration {
    /// What this server can do: job binaries are taken in if it is that of a cluster.
    pub(crate) fn new(submits: bool) -> Self {
        Self {
            refresh_interval: REFRESH_INTERVAL_MS,
            timezone_name: "Coordinated Universal Time",
            timezone_offset: 0,
            flink_version: env!("CARGO_PKG_VERSION"),
            flink_revision: format!("{UNKNOWN} @ {UNKNOWN}"),
            features: Features {
                web_submit: submits,
                web_cancel: true,
                web_rescale: false,
                web_history: false,
            },
        }
    }
}

/// `/overview`: the cluster in numbers.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ClusterOverview {
    pub(crate) taskmanagers: usize,
    pub(crate) slots_total: u32,
    pub(crate) slots_available: u32,
    pub(crate) jobs_running: usize,
    pub(crate) jobs_finished: usize,
    pub(crate) jobs_cancelled: usize,
    pub(crate) jobs_failed: usize,
    flink_version: &'static str,
    flink_commit: &'static str,
}

impl ClusterOverview {
    /// A process that is everything is its own and only TaskManager, and has as many slots as its jobs
    /// have needed.
    pub(crate) fn of(view: &ClusterView) -> Self {
        let count = |is: fn(JobStatus) -> bool| view.jobs.iter().filter(|j| is(j.status)).count();
        let running = view.jobs.iter().filter(|job| !job.status.is_terminal());
        let slots_used = running.map(|job| slots(job)).sum();
        let slots_used: u32 = slots_used;
        let most = view.jobs.iter().map(|job| slots(job)).max().unwrap_or(0);
        let (taskmanagers, slots_total, slots_available) = match &view.task_managers {
            None => (1, most.max(slots_used), most.saturating_sub(slots_used)),
            Some(all) => (
                all.len(),
                all.iter().map(|task_manager| task_manager.slots).sum(),
                all.iter().map(|task_manager| task_manager.free_slots).sum(),
            ),
        };
        Self {
            taskmanagers,
            slots_total,
            slots_available,
            jobs_running: count(|status| !status.is_terminal()),
            jobs_finished: count(|status| status == JobStatus::Finished),
            jobs_cancelled: count(|status| status == JobStatus::Canceled),
            jobs_failed: count(|status| status == JobStatus::Failed),
            flink_version: env!("CARGO_PKG_VERSION"),
            flink_commit: UNKNOWN,
        }
    }
}

/// How many slots a job needs: in each slot sharing group, those of its widest vertex.
fn slots(job: &JobView) -> u32 {
    let mut groups: BTreeMap<&str, u32> = BTreeMap::new();
    for vertex in &job.description.graph.vertices {
        let widest = groups.entry(&vertex.slot_sharing_group).or_default();
        *widest = vertex.parallelism.max(*widest);
    }
    groups.values().sum()
}
