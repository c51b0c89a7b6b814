//! The workers that a TaskManager has started.

use std::collections::{BTreeMap, VecDeque};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flott_control::WorkerId;
use flott_core::{Error, ErrorKind, JobId, Result};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use super::TaskManagerConfig;
use super::blobs::Blobs;
use crate::rpc::messages::{FromTaskManager, WorkerStart};
use crate::rpc::{Client, Outgoing};
use crate::worker::{VARIABLE, WorkerSpec};

/// How long a worker has to end by itself that was told to.
const GRACE: Duration = Duration::from_secs(5);

/// What of its environment a TaskManager hands on: a job binary is somebody else's program.
const ENVIRONMENT: [&str; 9] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "FLOTT_LOG",
    "FLOTT_LOG_FORMAT",
    "RUST_BACKTRACE",
];

/// What stores are reached with: workers write their state themselves.
const STORE_PREFIXES: [&str; 6] = ["AWS_", "AZURE_", "GOOGLE_", "HADOOP_", "KRB5", "SSL_CERT_"];

/// How often it is tried to start a file that is busy, and how long to wait in between.
const BUSY_TRIES: usize = 500;
const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// How many workers that have ended are remembered for the next JobManager.
const ENDED_MAX: usize = 100;

/// The workers that JobManagers have had started.
pub(super) struct Workers {
    config: TaskManagerConfig,
    blobs: Blobs,
    endings: Arc<Mutex<Endings>>,
    running: BTreeMap<(JobId, WorkerId), Running>,
}

/// How workers have ended, and whom to tell.
#[derive(Default)]
struct Endings {
    /// The JobManager, as far as there is one.
    outgoing: Option<Outgoing<FromTaskManager>>,
    /// The last ones: a JobManager may be lost before it has heard of them.
    last: VecDeque<Ending>,
}

#[derive(Clone)]
struct Ending {
    job: JobId,
    worker: WorkerId,
    status: String,
}

impl Endings {
    fn tell(&self, Ending { job, worker, status }: Ending) {
        if let Some(outgoing) = &self.outgoing {
            let _ = outgoing.send(FromTaskManager::WorkerEnded { job, worker, status });
        }
    }

    fn add(&mut self, ending: Ending) {
        self.tell(ending.clone());
        self.last.push_back(ending);
        if self.last.len() > ENDED_MAX {
            self.last.pop_front();
        }
    }
}

struct Running {
    /// Dropped or used to tell it to end.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Workers {
    pub(super) fn new(config: TaskManagerConfig, blobs: Blobs) -> Self {
        Self { config, blobs, endings: Arc::default(), running: BTreeMap::new() }
    }

    /// Those that have not ended.
    pub(super) fn running(&self) -> Vec<(JobId, WorkerId)> {
        let running = self.running.iter().filter(|(_, running)| !running.task.is_finished());
        running.map(|(key, _)| *key).collect()
    }

    /// From now on this JobManager is told how workers end. It may have missed the last ones.
    pub(super) fn belong_to(&mut self, outgoing: Outgoing<FromTaskManager>) {
        let mut endings = lock(&self.endings);
        endings.outgoing = Some(outgoing);
        endings.last.iter().for_each(|ending| endings.tell(ending.clone()));
    }

    /// Starts a worker, whose binary `client` can fetch; how it ends is told to the JobManager.
    pub(super) fn start(&mut self, start: WorkerStart, mut client: Client) {
        let key = (start.job, start.worker);
        let (stop, stopped) = oneshot::channel();
        let config = self.config.clone();
        let (blobs, endings) = (self.blobs.clone(), self.endings.clone());
        let task = tokio::spawn(async move {
            let (job, worker) = (start.job, start.worker);
            let status = match spawn(&config, &blobs, &mut client, start).await {
                Ok(child) => wait(child, stopped).await,
                Err(error) => error.report(),
            };
            info!("Worker {} of job {job} has ended: {status}.", worker.0);
            lock(&endings).add(Ending { job, worker, status });
        });
        self.running.retain(|_, running| !running.task.is_finished());
        self.running.insert(key, Running { stop: Some(stop), task });
    }

    /// Has a worker end: it has been told, and has a moment to do so by itself.
    pub(super) fn stop(&mut self, job: JobId, worker: WorkerId) {
        if let Some(running) = self.running.get_mut(&(job, worker)) {
            drop(running.stop.take());
        }
    }

    /// Ends all of them, and waits for that.
    pub(super) async fn stop_all(&mut self) {
        for (_, mut running) in std::mem::take(&mut self.running) {
            drop(running.stop.take());
            // A task that panics is no worker any more.
            let _ = running.task.await;
        }
    }
}

fn lock(endings: &Mutex<Endings>) -> MutexGuard<'_, Endings> {
    endings.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn spawn(
    config: &TaskManagerConfig,
    blobs: &Blobs,
    client: &mut Client,
    start: WorkerStart,
) -> Result<Child> {
    let WorkerStart { job, worker, ticket, binary, arguments, settings } = start;
    let program = blobs.get(&binary, client).await?;
    let spec = WorkerSpec {
        jobmanager: config.jobmanager.clone(),
        host: config.host,
        job,
        worker,
        ticket,
        parent: rustix::process::getpid().as_raw_nonzero().get(),
        // What is said here about workers holds here.
        settings: [settings, config.settings.clone()].concat(),
        local_state: blobs.local_state(),
        registration_timeout: config.registration_timeout,
        heartbeat_interval: config.heartbeat_interval,
        heartbeat_timeout: config.heartbeat_timeout,
    };
    let is_handed_on = |name: &str| {
        ENVIRONMENT.contains(&name) || STORE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let environment =
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_handed_on));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(environment)
        .env(VARIABLE, serde_json::to_string(&spec)?)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            // Another process that is being started has not let go of it yet.
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            Ok(child) => {
                let pid = child.id().unwrap_or_default();
                info!("Worker {} of job {job} is started, with pid {pid}.", worker.0);
                return Ok(child);
            }
            Err(e) => return Err(Error::with_source(ErrorKind::Io, "it cannot be started", e)),
        }
    }
    Err(Error::new(ErrorKind::Io, "it cannot be started: its file is busy"))
}

/// Waits for the end of a worker, and helps if it was told to end and does not. Says how it ended.
async fn wait(mut child: Child, stopped: oneshot::Receiver<()>) -> String {
    let ended = tokio::select! {
        ended = child.wait() => ended,
        _ = stopped => match timeout(GRACE, child.wait()).await {
            Ok(ended) => ended,
            Err(_) => {
                warn!("A worker that was told to end does not: it is killed.");
                // It may have ended just now.
                let _ = child.start_kill();
                child.wait().await
            }
        },
    };
    ended.map_or_else(|e| e.to_string(), |status: ExitStatus| status.to_string())
}
