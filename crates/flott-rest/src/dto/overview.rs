//! All jobs: `/jobs` and `/jobs/overview`.

use flott_control::view::{ClusterView, JobView};
use flott_core::Now;
use serde::Serialize;

use super::job::{Times, count_states};

/// `/jobs`: ids and statuses.
#[derive(Serialize)]
pub(crate) struct JobIdsWithStatus {
    jobs: Vec<JobIdWithStatus>,
}

#[derive(Serialize)]
struct JobIdWithStatus {
    id: String,
    status: String,
}

impl JobIdsWithStatus {
    pub(crate) fn of(view: &ClusterView) -> Self {
        let jobs = view.jobs.iter().map(|job| JobIdWithStatus {
            id: job.description.job.to_string(),
            status: job.status.to_string(),
        });
        Self { jobs: jobs.collect() }
    }
}

/// `/jobs/overview`: a line about each job.
#[derive(Serialize)]
pub(crate) struct MultipleJobsDetails {
    jobs: Vec<JobDetails>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct JobDetails {
    jid: String,
    name: String,
    #[serde(rename = "jobType")]
    job_type: String,
    #[serde(rename = "schedulerType")]
    scheduler_type: &'static str,
    start_time: i64,
    end_time: i64,
    duration: i64,
    state: String,
    last_modification: i64,
    tasks: TaskCounts,
    pending_operators: u32,
}

#[derive(Serialize)]
struct TaskCounts {
    running: usize,
    canceling: usize,
    canceled: usize,
    total: usize,
    created: usize,
    scheduled: usize,
    deploying: usize,
    reconciling: usize,
    finished: usize,
    initializing: usize,
    failed: usize,
}

impl MultipleJobsDetails {
    pub(crate) fn of(view: &ClusterView) -> Self {
        Self { jobs: view.jobs.iter().map(|job| JobDetails::of(view.now, job)).collect() }
    }
}

impl JobDetails {
    fn of(now: Now, job: &JobView) -> Self {
        let times = Times::of(now, job);
        let changes = job.timestamps.values().copied();
        let last = changes.chain(job.tasks.values().map(|task| task.since)).max();
        let states = count_states(job.tasks.values().map(|task| task.state));
        let count = |state: &str| states.get(state).copied().unwrap_or(0);
        Self {
            jid: job.description.job.to_string(),
            name: job.description.name.clone(),
            job_type: job.description.graph.job_type.to_string(),
            scheduler_type: "Default",
            start_time: times.start,
            end_time: times.end,
            duration: times.duration,
            state: job.status.to_string(),
            last_modification: last.map_or(times.start, |time| time.0),
            tasks: TaskCounts {
                running: count("RUNNING"),
                canceling: count("CANCELING"),
                canceled: count("CANCELED"),
                total: job.tasks.len(),
                created: count("CREATED"),
                scheduled: count("SCHEDULED"),
                deploying: count("DEPLOYING"),
                reconciling: count("RECONCILING"),
                finished: count("FINISHED"),
                initializing: count("INITIALIZING"),
                failed: count("FAILED"),
            },
            pending_operators: 0,
        }
    }
}
