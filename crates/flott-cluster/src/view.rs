//! What others see of the jobs that run here: each job's thread publishes, anybody may look.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flott_control::JobMaster;
use flott_control::view::{ClusterView, JobDescription, JobView};
use flott_core::MonoTime;
use flott_runtime::Clock;

use crate::clock::SystemClock;
use crate::plan::PlannedJob;

/// The least time between two publications of a running job: people do not read faster, and a job
/// with many tasks has many inputs. (Counters are handles; they do not wait for this.)
const PAUSE: Duration = Duration::from_millis(200);

/// How many jobs are remembered, if not more of them run.
const JOBS_MAX: usize = 1000;

/// What the jobs of a cluster look like. Clones see the same.
#[derive(Clone)]
pub struct Views {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Newest first.
    jobs: Mutex<Vec<Arc<JobView>>>,
}

impl Views {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default() }
    }

    /// What the cluster looks like now.
    pub fn latest(&self) -> ClusterView {
        let jobs = self.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ClusterView { now: SystemClock.now(), jobs, task_managers: None }
    }

    fn publish(&self, view: JobView) {
        let job = view.description.job;
        let mut jobs = self.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        match jobs.iter_mut().find(|other| other.description.job == job) {
            Some(place) => *place = Arc::new(view),
            None => {
                jobs.insert(0, Arc::new(view));
                // The oldest go that are over.
                let over = jobs.iter().rposition(|job| job.status.is_terminal());
                if let Some(oldest) = over.filter(|_| jobs.len() > JOBS_MAX) {
                    jobs.remove(oldest);
                }
            }
        }
    }
}

/// Publishes one job, at times that are far enough apart.
pub(crate) struct Publisher {
    views: Views,
    description: Arc<JobDescription>,
    /// The earliest time of the next publication.
    next: MonoTime,
    /// Whether there is something to publish that had to wait.
    pending: bool,
}

impl Publisher {
    pub(crate) fn new(views: Views, planned: &PlannedJob) -> Self {
        let spec = &planned.spec;
        let description = JobDescription {
            job: spec.job,
            name: spec.name.clone(),
            graph: planned.plan.graph.clone(),
            checkpointing: spec.checkpointing.clone(),
            restart: spec.restart.clone(),
            options: planned.options.clone(),
            restored_from: spec.restored.as_ref().map(|record| record.checkpoint),
        };
        Self {
            views,
            description: Arc::new(description),
            next: MonoTime::default(),
            pending: false,
        }
    }

    /// Publishes the job, or notes that this is to be done when it is [`Publisher::due`]. The end of
    /// a job does not wait.
    pub(crate) fn publish(
        &mut self,
        now: MonoTime,
        master: &JobMaster,
        view: impl FnOnce(Arc<JobDescription>) -> JobView,
    ) {
        self.pending = now < self.next && !master.status().is_terminal();
        if !self.pending {
            self.next = now.plus(PAUSE);
            self.views.publish(view(self.description.clone()));
        }
    }

    /// When something that had to wait is to be published.
    pub(crate) fn due(&self) -> Option<MonoTime> {
        self.pending.then_some(self.next)
    }
}
