//! The embedded cluster: a job in this process, with everything that a cluster has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flott_checkpoint::{CheckpointConfig, CompletedCheckpoint, StorageConfig, metadata};
use flott_control::JobInput;
use flott_core::config::{Configuration, options};
use flott_core::hash::mix;
use flott_core::{JobId, Result};
use flott_datastream::{Executor, JobExecutionResult};
use flott_runtime::{Clock, Program};

use crate::clock::SystemClock;
use crate::job::JobRunner;
use crate::jobs::Jobs;
use crate::plan::{PlannedJob, job_name};
use crate::storage::{self, Search};
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
    job: Mutex<Option<Sender<JobInput>>>,
}

impl CancelHandle {
    /// Cancels. The job ends CANCELED as soon as its tasks have.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::SeqCst);
        self.notify();
    }

    /// Where to send the wish to, from now on; a wish from before is sent at once.
    fn watch(&self, job: Option<Sender<JobInput>>) {
        *self.shared.job.lock().unwrap_or_else(PoisonError::into_inner) = job;
        self.notify();
    }

    fn notify(&self) {
        if self.shared.cancelled.load(Ordering::SeqCst)
            && let Some(job) = &*self.shared.job.lock().unwrap_or_else(PoisonError::into_inner)
        {
            // A job that has just ended needs no cancelling.
            let _ = job.send(JobInput::Cancel);
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
        let clock = Arc::new(SystemClock::new());
        let job = new_job_id(&*clock);
        let checkpointing = CheckpointConfig::from_configuration(config)?;
        let storage = storage::for_job(&checkpointing.storage, job)?;
        let restored = restored(config, &checkpointing.storage)?;
        if checkpointing.interval.is_some() {
            storage::check_unused(&checkpointing.storage, restored.as_ref())?;
        }
        let planned = PlannedJob::new(job, program, config, restored, storage)?;
        if planned.settings.checkpointing {
            planned.storage.prepare().map_err(|error| {
                error.into_error().context("checkpoints cannot be written; the job is not started")
            })?;
        }
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let threads = config.get(&options::DRIVER_THREADS)?;
        let threads = threads.map_or(cores, |threads| threads.0 as usize);
        let (runner, inputs) =
            JobRunner::start(planned, threads, clock, self.jobs.clone(), self.views.get())?;
        let savepoint_directory = config.get(&options::SAVEPOINT_DIR)?;
        self.jobs.started(job, inputs.clone(), runner.savepoints(), savepoint_directory);
        self.cancel.watch(Some(inputs));
        let result = runner.run();
        self.cancel.watch(None);
        self.jobs.ended(job);
        result
    }
}

/// The record of the checkpoint that the job is to start from.
fn restored(
    config: &Configuration,
    storage: &StorageConfig,
) -> Result<Option<CompletedCheckpoint>> {
    let Some(place) = config.get(&options::SAVEPOINT_PATH)? else { return Ok(None) };
    let dir = match storage {
        StorageConfig::FileSystem { dir, .. } => Some(dir.as_str()),
        StorageConfig::JobManager => None,
    };
    let job_name = job_name(config)?;
    let checkpoint = storage::open_checkpoint(&place, &Search { dir, job_name: &job_name })?;
    let record = metadata::decode(&checkpoint.metadata, &checkpoint.file.display().to_string());
    let record = record.and_then(|record| {
        storage::check_files(&record, &checkpoint.folder)?;
        Ok(record)
    });
    let record = record.map_err(|error| match storage::offer(&checkpoint.file) {
        None => error,
        Some(other) => error.context(format!(
            "cannot start from \"{place}\"; the newest other intact checkpoint beside it is \"{}\"",
            other.display()
        )),
    })?;
    // The files stay where they are: they belong to the job that wrote them.
    let base = std::path::absolute(&checkpoint.folder).unwrap_or(checkpoint.folder);
    Ok(Some(record.rebased(&base.display().to_string())))
}

/// An id that no other job has: time and process, mixed.
fn new_job_id(clock: &dyn Clock) -> JobId {
    let now = clock.now();
    let process = u64::from(std::process::id());
    let high = mix(now.wall.0.unsigned_abs() ^ process.rotate_left(40));
    let low = mix(high ^ now.mono.0 ^ std::ptr::from_ref(&now).addr() as u64);
    JobId::from_u128(u128::from(high) << 64 | u128::from(low))
}
