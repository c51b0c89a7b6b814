//! The JobManager: jobs, and the TaskManagers and workers that they run on.
//!
//! Each job has a thread with its job master (`crate::job`); who has which slots is decided by one
//! machine for all ([`flott_control::Slots`]); TaskManagers and workers call in (`crate::rpc`). User
//! code does not run here.

mod binaries;
mod ha;
mod host;
mod state;
mod submit;
mod workers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use flott_control::SlotConfig;
use flott_core::config::options::LoadBalanceMode;
use flott_core::config::{Configuration, options};
use flott_core::{Error, ErrorKind, Result};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::address;
use crate::clock::SystemClock;
use crate::jobs::Jobs;
use crate::storage::Stores;
use ha::HaStore;
pub use ha::LeadLost;
pub(crate) use ha::{leader_address, leaders_folder};
pub(crate) use state::Shared;

/// Threads that carry what processes say to each other: they decide nothing.
const RPC_THREADS: usize = 2;

/// A JobManager that runs. Dropping it ends it, and the workers of its jobs, unless another one can take
/// them over.
pub struct JobManager {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    /// Dropped to give the lead up.
    stop_showing: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// What a JobManager needs to know.
pub(crate) struct JobManagerConfig {
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) plan_timeout: Duration,
    pub(crate) slots: SlotConfig,
    /// Where binaries are kept.
    pub(crate) upload_dir: Option<PathBuf>,
    pub(crate) tmp_dir: Option<String>,
    pub(crate) upload_max: u64,
    pub(crate) storage_max: u64,
    /// Goes to every job.
    pub(crate) settings: Configuration,
}

impl JobManagerConfig {
    fn new(config: &Configuration) -> Result<Self> {
        Ok(Self {
            heartbeat_interval: config.get(&options::HEARTBEAT_INTERVAL)?,
            heartbeat_timeout: config.get(&options::HEARTBEAT_TIMEOUT)?,
            plan_timeout: config.get(&options::PLAN_TIMEOUT)?,
            slots: SlotConfig {
                request_timeout: config.get(&options::SLOT_REQUEST_TIMEOUT)?,
                spread_out: config.get(&options::LOAD_BALANCE_MODE)? == LoadBalanceMode::Slots,
            },
            upload_dir: config.get(&options::UPLOAD_DIR)?.map(PathBuf::from),
            tmp_dir: config.get(&options::TMP_DIR)?,
            upload_max: config.get(&options::UPLOAD_MAX)?.0,
            storage_max: config.get(&options::BLOB_STORAGE_MAX)?.0,
            settings: config.clone(),
        })
    }
}

impl JobManager {
    /// Starts a JobManager that TaskManagers and workers can call at the address and port that
    /// `config` names. With high availability it waits until no other one leads, and goes on with the
    /// jobs of the one before; if another one leads after it, `lead_lost` must end the process.
    ///
    /// # Errors
    /// If an option is wrong, the port is in use, or a thread cannot be started.
    pub fn start(config: &Configuration, lead_lost: LeadLost) -> Result<Self> {
        let io = |what| move |e| Error::with_source(ErrorKind::Io, what, e);
        // What it asks job binaries for their plans with inherits it.
        crate::confine()?;
        let stores = Stores::new(config);
        let ha = HaStore::lead(config, &stores, &SystemClock, lead_lost)?.map(Arc::new);
        let mut threads = Vec::new();
        let stop_showing = match ha.clone() {
            None => None,
            Some(ha) => {
                let (stop, stopped) = channel();
                threads.push(thread("lead", move || ha.show(&stopped))?);
                Some(stop)
            }
        };
        let host = config.get(&options::JOBMANAGER_ADDRESS)?;
        let port = config.get(&options::JOBMANAGER_PORT)?;
        let listener = address::listen(&host, port, "jobmanager.rpc.port", config)?;
        let address = listener.local_addr().map_err(io("the JobManager has no address"))?;
        if !address.ip().is_loopback() {
            warn!(
                "{address} is unprotected: whoever reaches it can make this cluster run anything."
            );
        }
        let shared = Arc::new(Shared::new(JobManagerConfig::new(config)?, stores, ha)?);
        // Before anybody can call: workers that come back must be known.
        JobManagerHandle { shared: shared.clone() }.recover()?;
        if let Some(ha) = &shared.ha {
            ha.announce(address)?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RPC_THREADS)
            .thread_name("rpc")
            .enable_all()
            .build()
            .map_err(io("the JobManager's runtime cannot be started"))?;
        let listener = {
            let _entered = runtime.enter();
            listener.set_nonblocking(true).map_err(io("the JobManager cannot listen"))?;
            TcpListener::from_std(listener).map_err(io("the JobManager cannot listen"))?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let host = shared.clone();
        let body = move || {
            runtime.spawn(host.clone().watch_slots());
            let serve = crate::rpc::serve(listener, host);
            runtime.block_on(async move {
                tokio::select! {
                    result = serve => {
                        if let Err(message) = result {
                            error!("{message}");
                        }
                    }
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        };
        // It ends first.
        threads.insert(0, thread("jobmanager", body)?);
        Ok(Self { shared, address, stop: Some(stop), stop_showing, threads })
    }

    /// Where TaskManagers and workers call.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its jobs, to be told what to do.
    pub fn jobs(&self) -> Jobs {
        self.shared.jobs.clone()
    }

    /// What else can be done with it, and seen of it. Clones reach the same.
    pub fn handle(&self) -> JobManagerHandle {
        JobManagerHandle { shared: self.shared.clone() }
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(body).map_err(|e| {
        Error::with_source(ErrorKind::Io, format!("cannot start the thread \"{name}\""), e)
    })
}

/// A JobManager, for those who submit jobs and look at its TaskManagers.
#[derive(Clone)]
pub struct JobManagerHandle {
    shared: Arc<Shared>,
}

impl Drop for JobManager {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.stop_showing.take());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
