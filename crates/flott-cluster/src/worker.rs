//! A worker: a job binary that runs its share of a job's tasks.
//!
//! A TaskManager starts it with [`VARIABLE`] in its environment. It calls the JobManager, builds the
//! program by calling the job function as the JobManager's child process did, checks that it is the
//! same program, and is told what to run. It ends with the job, with its TaskManager, or when the
//! JobManager is lost and no other one takes over.

mod call;
mod job;
mod voice;

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flott_control::WorkerId;
use flott_core::config::Configuration;
use flott_core::{Error, ErrorKind, JobId, Result};
use flott_datastream::{Executor, JobExecutionResult};
use flott_runtime::{Program, panic_message};
use serde::{Deserialize, Serialize};

use crate::address::JobManagerAddress;
use crate::exchange::{DataPlane, Identity};
use crate::prepare::configuration;
use crate::rpc::messages::{Settings, ToWorker};
use call::Call;

/// The environment variable that makes a job binary a worker; its value is for [`work`].
pub const VARIABLE: &str = "FLOTT_WORKER";

/// How often the counters of tasks are reported.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// Whom a worker works for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WorkerSpec {
    pub(crate) jobmanager: JobManagerAddress,
    /// Where to listen for other workers.
    pub(crate) host: IpAddr,
    pub(crate) job: JobId,
    pub(crate) worker: WorkerId,
    pub(crate) ticket: u128,
    /// The TaskManager's process: the worker ends with it.
    pub(crate) parent: i32,
    pub(crate) settings: Settings,
    /// Where workers of this TaskManager keep copies of the state that they write.
    pub(crate) local_state: PathBuf,
    /// How long it looks for the next JobManager.
    pub(crate) registration_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
}

/// Works as `value`, that of [`VARIABLE`], says, until the job is over. `build` builds the job's
/// program in an environment with this configuration and executor, and executes it.
///
/// # Errors
/// If the JobManager is lost or refuses, or the program is not that of the job.
pub fn work(
    value: &str,
    build: impl FnOnce(Configuration, Arc<dyn Executor>) -> Result<()>,
) -> Result<()> {
    let spec: WorkerSpec = serde_json::from_str(value).map_err(|e| {
        Error::with_source(ErrorKind::InvalidInput, format!("{VARIABLE} is wrong"), e)
    })?;
    end_with_parent(spec.parent)?;
    let identity = Identity { job: spec.job, ticket: spec.ticket, worker: spec.worker };
    let plane = DataPlane::listen(spec.host, identity, spec.heartbeat_timeout)?;
    let call = Call::start(&spec, plane.address(), None)?;
    let ToWorker::Start(job) = call.next()? else {
        return Err(Error::internal("the JobManager does not begin with the job"));
    };
    let config = configuration(&spec.settings)?;
    let share =
        Arc::new(Share { work: Mutex::new(Some(job::Work { spec, job: *job, plane, call })) });
    let built = catch_unwind(AssertUnwindSafe(|| build(config, share.clone())));
    let built = built.unwrap_or_else(|panic| {
        let text = panic_message(&*panic);
        Err(Error::new(ErrorKind::User, format!("the job function panicked: {text}")))
    });
    let unused = share.work.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (built, unused) {
        // The error is the end of the job function.
        (Err(error), None) if error.kind() == ErrorKind::Cancelled => Ok(()),
        (built, None) => built,
        (built, Some(work)) => {
            let error = built.err().unwrap_or_else(|| {
                Error::invalid("the job function builds no program when it runs in a worker")
            });
            work.call.refuse(&error);
            Err(error)
        }
    }
}

/// Dies when its parent does; a parent that is gone already is found out.
fn end_with_parent(parent: i32) -> Result<()> {
    let signal = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(signal).map_err(|e| {
        Error::with_source(ErrorKind::Io, "a worker cannot be bound to its parent", e)
    })?;
    let found = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if found == Some(parent) {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Cancelled, "the TaskManager of this worker is gone"))
    }
}

/// Executes the job's program: this process's share of it, once.
struct Share {
    work: Mutex<Option<job::Work>>,
}

impl Executor for Share {
    fn execute(&self, program: Arc<Program>, config: &Configuration) -> Result<JobExecutionResult> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let work = work.ok_or_else(|| {
            Error::invalid(
                "a job function that is submitted to a cluster executes one program only",
            )
        })?;
        work.run(program, config)?;
        Err(Error::new(ErrorKind::Cancelled, "the job is over"))
    }
}
