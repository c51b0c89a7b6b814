//! The TaskManager: offers slots, and starts and watches the workers that jobs have in them. Small:
//! it runs no user code and knows no job.

mod blobs;
mod workers;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use flott_control::WorkerId;
use flott_core::config::{Configuration, options};
use flott_core::{Error, ErrorKind, JobId, Result};
use flott_runtime::Clock;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::address::{self, JobManagerAddress};
use crate::clock::SystemClock;
use crate::memory::{MemoryLimit, machine_bytes};
use crate::prepare::{configuration, settings_with_secrets};
use crate::process;
use crate::rpc::messages::{FromTaskManager, Settings, TaskManagerInfo, ToTaskManager};
use crate::rpc::{Client, Incoming, Outgoing};
use crate::storage::Stores;
use blobs::Blobs;
use workers::Workers;

/// What a TaskManager needs to know.
#[derive(Clone)]
pub(crate) struct TaskManagerConfig {
    pub(crate) jobmanager: JobManagerAddress,
    pub(crate) host: IpAddr,
    pub(crate) slots: u32,
    pub(crate) registration_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) tmp_dir: Option<String>,
    pub(crate) storage_max: u64,
    pub(crate) settings: Settings,
}

impl TaskManagerConfig {
    fn new(config: &Configuration) -> Result<Self> {
        // What is wrong with it is said here, and not by the first worker.
        MemoryLimit::new(config)?;
        Ok(Self {
            jobmanager: JobManagerAddress::new(config)?,
            host: address::host(
                &config.get(&options::TASKMANAGER_HOST)?,
                "taskmanager.host",
                config,
            )?,
            slots: config.get(&options::TASK_SLOTS)?.0,
            registration_timeout: config.get(&options::REGISTRATION_TIMEOUT)?,
            heartbeat_interval: config.get(&options::HEARTBEAT_INTERVAL)?,
            heartbeat_timeout: config.get(&options::HEARTBEAT_TIMEOUT)?,
            tmp_dir: config.get(&options::TMP_DIR)?,
            storage_max: config.get(&options::BLOB_STORAGE_MAX)?.0,
            settings: settings_with_secrets(config),
        })
    }
}

/// Runs a TaskManager until the process is told to end (SIGTERM, SIGINT). Its workers end with it.
///
/// # Errors
/// If an option is wrong, or the JobManager cannot be reached or refuses.
pub fn run(config: &Configuration) -> Result<()> {
    let config = TaskManagerConfig::new(config)?;
    // Before there are threads and workers: all of them inherit it.
    crate::confine()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::with_source(ErrorKind::Io, "the TaskManager's runtime", e))?;
    runtime.block_on(async {
        tokio::select! {
            result = offer(&config) => result,
            result = crate::signals::terminated() => result,
        }
    })
}

/// Belongs to a JobManager, and to the next one when that is lost. The workers go on if there is one.
async fn offer(config: &TaskManagerConfig) -> Result<()> {
    let clock = SystemClock;
    let blobs = Blobs::new(config)?;
    let stores = Stores::new(&configuration(&config.settings)?);
    let name = name(config.host);
    let mut since = clock.now().mono;
    let mut workers = Workers::new(config.clone(), blobs);
    loop {
        let jobmanager = config.jobmanager.current(&stores).await;
        match register(config, &jobmanager, &name, workers.running()).await {
            Ok((client, incoming, outgoing)) => {
                info!("Registered at the JobManager at {jobmanager}.");
                workers.belong_to(outgoing.clone());
                let why = serve(config, incoming, outgoing, client, &mut workers).await;
                warn!("The JobManager at {jobmanager} is lost: {why}.");
                if !config.jobmanager.has_successors() {
                    // Its jobs are lost with it.
                    workers.stop_all().await;
                }
                since = clock.now().mono;
            }
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Err(error),
            Err(error) => {
                if clock.now().mono.since(since) >= config.registration_timeout {
                    return Err(error.context("taskmanager.registration.timeout is over"));
                }
                sleep(config.jobmanager.retry()).await;
            }
        }
    }
}

async fn register(
    config: &TaskManagerConfig,
    jobmanager: &str,
    name: &str,
    workers: Vec<(JobId, WorkerId)>,
) -> Result<(Client, Incoming<ToTaskManager>, Outgoing<FromTaskManager>)> {
    let info = TaskManagerInfo {
        name: name.to_owned(),
        slots: config.slots,
        cpus: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        memory: machine_bytes(),
    };
    let mut client = Client::connect(jobmanager).await?;
    let first = FromTaskManager::Register { info, workers };
    let (incoming, outgoing) = client.task_manager(config.heartbeat_timeout, first).await?;
    Ok((client, incoming, outgoing))
}

/// Does what the JobManager says until it is lost; returns why.
async fn serve(
    config: &TaskManagerConfig,
    mut incoming: Incoming<ToTaskManager>,
    outgoing: Outgoing<FromTaskManager>,
    client: Client,
    workers: &mut Workers,
) -> String {
    let mut heartbeat = interval(config.heartbeat_interval);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let beat = async {
        while outgoing.send(FromTaskManager::Heartbeat).is_ok() {
            heartbeat.tick().await;
        }
        std::future::pending().await
    };
    let listen = async {
        loop {
            match incoming.next().await {
                Ok(ToTaskManager::Heartbeat) => {}
                Ok(ToTaskManager::StartWorker(start)) => workers.start(start, client.clone()),
                Ok(ToTaskManager::StopWorker { job, worker }) => workers.stop(job, worker),
                Ok(ToTaskManager::Ask { number, question }) => {
                    let outgoing = outgoing.clone();
                    // It may have to read a file.
                    tokio::task::spawn_blocking(move || {
                        let answer = process::answer(&question, true).map_err(|e| e.report());
                        let _ = outgoing.send(FromTaskManager::Answer { number, answer });
                    });
                }
                Err(why) => return why,
            }
        }
    };
    tokio::select! {
        () = beat => "nobody listens".to_owned(),
        why = listen => why,
    }
}

/// What people call this TaskManager: its host, its process, and chance.
fn name(host: IpAddr) -> String {
    let random = RandomState::new().build_hasher().finish() & 0xff_ffff;
    format!("{host}:{}-{random:06x}", std::process::id())
}
