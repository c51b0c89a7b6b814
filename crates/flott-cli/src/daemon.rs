//! `flott jobmanager` and `flott taskmanager`: the processes of a cluster, in the foreground.

use std::sync::Arc;

use clap::Args;
use flott_cluster::jobmanager::JobManager;
use flott_cluster::{logging, taskmanager, wait_for_signal};
use flott_core::Result;
use flott_core::config::{Configuration, options};
use flott_rest::{Access, Services, Traces};
use tracing::{info, warn};

use crate::config;

#[derive(Args)]
pub(crate) struct DaemonArgs {
    /// Sets an option, over config.yaml.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub(crate) property: Vec<String>,
}

/// Runs a JobManager until it is told to end.
pub(crate) fn jobmanager(args: &DaemonArgs) -> Result<()> {
    logging::start();
    let config = load(args)?;
    let rest =
        format!("{}:{}", config.get(&options::REST_ADDRESS)?, config.get(&options::REST_PORT)?);
    let jobmanager = JobManager::start(&config, || std::process::exit(1))?;
    let (seen, handle) = (jobmanager.handle(), Arc::new(jobmanager.handle()));
    let services = Services {
        view: Arc::new(move || seen.view()),
        actions: Arc::new(jobmanager.jobs()),
        submissions: Some(handle.clone()),
        processes: handle,
        traces: Traces::from_configuration(&config)?,
    };
    let access = Access::from_configuration(&config)?;
    if access.trusts_network && access.tokens.is_none() {
        warn!("Whoever reaches {rest} can make this cluster run anything.");
    }
    let server = flott_rest::serve(&rest, services, access)?;
    info!("The JobManager is called at {}.", jobmanager.address());
    info!("REST API and dashboard at {}", server.url());
    wait_for_signal()
}

/// Runs a TaskManager until it is told to end.
pub(crate) fn taskmanager(args: &DaemonArgs) -> Result<()> {
    logging::start();
    taskmanager::run(&load(args)?)
}

/// The configuration; what of it has no effect is logged.
fn load(args: &DaemonArgs) -> Result<Configuration> {
    let config = config::load(&args.property)?;
    config.without_effect().for_each(|told| warn!("{told}"));
    Ok(config)
}
