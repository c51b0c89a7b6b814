//! `flott cluster`: starts and stops the processes of a cluster on this machine.

mod process;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use flott_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::client::{Client, pause};
use crate::config;
use process::{Daemon, Kind};

/// How often it is looked whether a process is there.
const LOOK: Duration = Duration::from_millis(5);

/// How long the processes have to find each other, in looks.
const LOOKS_MAX: usize = 6000;

#[derive(Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Starts a JobManager and TaskManagers on this machine, and waits until they are there.
    Start(StartArgs),
    /// Stops what `start` has started. Jobs end with it; their checkpoints stay.
    Stop,
    /// Says what runs.
    Status(StatusArgs),
}

#[derive(Args)]
struct StartArgs {
    /// How many TaskManagers; else one for each line of the file "workers" beside config.yaml, else
    /// one.
    #[arg(long, value_name = "N")]
    taskmanagers: Option<usize>,
    /// Sets an option of all of them, over config.yaml.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    property: Vec<String>,
}

#[derive(Args)]
struct StatusArgs {
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn cluster(args: &ClusterArgs, client: &Client) -> Result<()> {
    match &args.action {
        Action::Start(args) => start(args),
        Action::Stop => stop(),
        Action::Status(args) => status(client, args.json),
    }
}

fn start(args: &StartArgs) -> Result<()> {
    let config = config::load(&args.property)?;
    let count = match args.taskmanagers {
        Some(count) => count,
        None => workers()?.unwrap_or(1),
    };
    if let Some(daemon) = process::running(Kind::JobManager)?.first() {
        return Err(Error::invalid(format!(
            "a JobManager runs already (pid: {}): stop it first, or set another FLOTT_PID_DIR and \
             other ports",
            daemon.pid
        )));
    }
    println!("Starting cluster.");
    let jobmanager = Daemon::start(Kind::JobManager, &args.property)?;
    let mut all = vec![jobmanager];
    for _ in 0..count {
        all.push(Daemon::start(Kind::TaskManager, &args.property)?);
    }
    let client = Client::new(None, &config)?;
    let mut last = None;
    for _ in 0..LOOKS_MAX {
        if let Some(ended) = all.iter_mut().find_map(Daemon::has_ended) {
            stop()?;
            return Err(ended);
        }
        let there = match client.get::<Value>("/overview") {
            Ok(overview) => overview.get("taskmanagers").and_then(Value::as_u64).unwrap_or(0),
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                println!("The cluster is up, and wants a token: {}", client.address());
                return Ok(());
            }
            Err(error) => {
                last = Some(error);
                0
            }
        };
        if there as usize >= count {
            println!("The cluster is up: {}", client.address());
            return Ok(());
        }
        pause(LOOK);
    }
    let logs = process::log_dir();
    let late = format!("not all TaskManagers have registered yet; see {}", logs.display());
    Err(match last {
        Some(error) => Error::new(ErrorKind::Unknown, format!("{late}: {}", error.report())),
        None => Error::new(ErrorKind::Unknown, late),
    })
}

/// How many lines of the file `workers` there are; all must be of this machine.
fn workers() -> Result<Option<usize>> {
    let file: PathBuf = config::directory().join("workers");
    let Ok(text) = std::fs::read_to_string(&file) else { return Ok(None) };
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let hosts: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    if let Some(other) = hosts.iter().find(|host| !["localhost", "127.0.0.1"].contains(host)) {
        return Err(Error::invalid(format!(
            "\"{}\" names the host {other}: processes are started on localhost only",
            file.display()
        )));
    }
    Ok(Some(hosts.len()))
}

fn stop() -> Result<()> {
    let mut any = false;
    for kind in [Kind::TaskManager, Kind::JobManager] {
        for daemon in process::running(kind)? {
            println!("Stopping {} (pid: {}).", kind.name(), daemon.pid);
            daemon.stop()?;
            any = true;
        }
        process::forget(kind)?;
    }
    if !any {
        println!("No cluster to stop.");
    }
    Ok(())
}

fn status(client: &Client, as_json: bool) -> Result<()> {
    let mut processes = Vec::new();
    for kind in [Kind::JobManager, Kind::TaskManager] {
        let running = process::running(kind)?;
        processes.extend(running.into_iter().map(|daemon| (kind.name(), daemon.pid)));
    }
    let overview: Result<Value> = client.get("/overview");
    if as_json {
        let processes: Vec<Value> =
            processes.iter().map(|(kind, pid)| json!({ "process": kind, "pid": pid })).collect();
        println!("{}", json!({ "processes": processes, "overview": overview.as_ref().ok() }));
    } else {
        for (kind, pid) in &processes {
            println!("{kind} (pid: {pid})");
        }
        if let Ok(overview) = &overview {
            let number = |key: &str| overview.get(key).and_then(Value::as_u64).unwrap_or_default();
            println!(
                "{} TaskManagers, {} of {} slots free, {} jobs running",
                number("taskmanagers"),
                number("slots-available"),
                number("slots-total"),
                number("jobs-running")
            );
        }
    }
    overview.map(drop)
}
