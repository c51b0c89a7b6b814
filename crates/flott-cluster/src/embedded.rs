//! The embedded cluster: a job in this process, with everything that a cluster has.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flott_checkpoint::CompletedCheckpoint;
use flott_control::JobInput;
use flott_core::config::{Configuration, options};
use flott_core::metrics::TaskMetrics;
use flott_core::{AttemptNumber, CheckpointId, Result, TaskId};
use flott_datastream::{Executor, JobExecutionResult};
use flott_runtime::{Command, Program, StateLookUp};

use crate::clock::SystemClock;
use crate::disk_state::state_backend;
use crate::driver::{DriverPool, driver_threads};
use crate::io::IoPool;
use crate::job::{IO_THREADS, Inputs, JobRunner, Surroundings, Workplace};
use crate::jobs::Jobs;
use crate::prepare::{self, new_job_id};
use crate::storage::Stores;
use crate::storage::savepoint::Savepoints;
use crate::tasks::{DeployedTasks, Kept, Report, Site};
use crate::view::Views;

/// Runs jobs in this process, one after the other, each on the thread that executes it.
#[derive(Default)]
pub struct EmbeddedCluster {
    cancel: CancelHandle,
    jobs: Jobs,
    /// Nobody looks until somebody has asked for it.
    views: OnceLock<Views>,
}

/// Cancels the job that runs, and every one that is started later. Clones do the same.
#[derive(Clone, Default)]
pub struct CancelHandle {
    shared: Arc<CancelState>,
}

#[derive(Default)]
struct CancelState {
    cancelled: AtomicBool,
    job: Mutex<Option<Report>>,
}

impl CancelHandle {
    /// Cancels. The job ends CANCELED as soon as its tasks have.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::SeqCst);
        self.notify();
    }

    /// Where to send the wish to, from now on; a wish from before is sent at once.
    fn watch(&self, job: Option<Report>) {
        *self.shared.job.lock().unwrap_or_else(PoisonError::into_inner) = job;
        self.notify();
    }

    fn notify(&self) {
        if self.shared.cancelled.load(Ordering::SeqCst)
            && let Some(job) = &*self.shared.job.lock().unwrap_or_else(PoisonError::into_inner)
        {
            job(JobInput::Cancel);
        }
    }
}

impl EmbeddedCluster {
    /// A cluster without jobs. Threads are started with a job, and end with it.
    pub fn new() -> Self {
        Self::default()
    }

    /// What cancels its jobs.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Its jobs, to be told what to do.
    pub fn jobs(&self) -> Jobs {
        self.jobs.clone()
    }

    /// What its jobs look like, as they run. Jobs that were started before the first call are not
    /// seen: without anybody who looks, nothing is published.
    pub fn views(&self) -> Views {
        self.views.get_or_init(Views::new).clone()
    }
}

impl Executor for EmbeddedCluster {
    fn execute(&self, program: Arc<Program>, config: &Configuration) -> Result<JobExecutionResult> {
        let clock = Arc::new(SystemClock);
        let stores = Stores::new(config);
        self.jobs.reach(&stores);
        let mut planned = prepare::prepare(&stores, new_job_id(&*clock), &program.graph, config)?;
        Arc::make_mut(&mut planned.plan).settings.state_backend = state_backend(config, config)?;
        let job = planned.spec.job;
        let inputs = Inputs::new();
        let (report, look_up) = (inputs.report(), inputs.look_up());
        let surroundings = Surroundings {
            clock: clock.clone(),
            jobs: self.jobs.clone(),
            views: self.views.get().cloned(),
            io: Arc::new(IoPool::start(IO_THREADS)?),
            savepoints: Savepoints::new(stores.clone()),
            fence: Arc::new(|| Ok(())),
        };
        let site = Site {
            plan: planned.plan.clone(),
            program,
            drivers: DriverPool::start(driver_threads(config)?, clock.clone())?,
            io: surroundings.io.clone(),
            clock,
            savepoints: surroundings.savepoints.clone(),
            stores,
            kept: Kept::default(),
            report: report.clone(),
            // Whoever looks at the job sees the counters themselves.
            counted: Arc::new(|_, _, _| {}),
        };
        let savepoint_directory = config.get(&options::SAVEPOINT_DIR)?;
        let savepoints = surroundings.savepoints.clone();
        let workplace = ThisProcess { site, deployed: DeployedTasks::default() };
        let runner = JobRunner::new(planned, workplace, inputs, surroundings);
        self.jobs.started(job, report.clone(), look_up, None, savepoints, savepoint_directory);
        self.cancel.watch(Some(report));
        let result = runner.run();
        self.cancel.watch(None);
        self.jobs.ended(job);
        result
    }
}

/// All tasks are here.
struct ThisProcess {
    deployed: DeployedTasks,
    site: Site,
}

impl Workplace for ThisProcess {
    type Event = Infallible;

    fn deploy(
        &mut self,
        attempt: AttemptNumber,
        tasks: BTreeSet<TaskId>,
        restore: Option<Arc<CompletedCheckpoint>>,
    ) {
        (self.site.report)(JobInput::Deploying { attempt });
        self.deployed.forget(&tasks);
        self.deployed.begin(&self.site, attempt, tasks, restore.as_deref(), None);
    }

    /// Another process's tasks are not here: that is never wanted.
    fn reattach(&mut self, _: AttemptNumber) {}

    fn cancel(&mut self, attempt: AttemptNumber, tasks: BTreeSet<TaskId>) {
        let tasks: Vec<TaskId> = tasks.into_iter().collect();
        self.deployed.cancel(&self.site, attempt, &tasks);
    }

    fn tell(&mut self, attempt: AttemptNumber, tasks: &[TaskId], command: Command) {
        self.deployed.tell(&self.site, attempt, tasks, command);
    }

    fn look_up(&mut self, task: TaskId, look_up: StateLookUp) {
        self.deployed.look_up(task, look_up);
    }

    /// The runner and the tasks share what they know of savepoints.
    fn savepoint(&mut self, _: CheckpointId, _: &str) {}

    fn handle(&mut self, event: Infallible) {
        match event {}
    }

    fn metrics(&self) -> &BTreeMap<TaskId, TaskMetrics> {
        self.deployed.metrics()
    }

    fn task_manager_of(&self, _: TaskId) -> Option<String> {
        None
    }

    fn waiting_for(&self) -> Option<String> {
        None
    }

    fn over(&mut self) -> bool {
        true
    }

    fn end(&mut self) {}
}
