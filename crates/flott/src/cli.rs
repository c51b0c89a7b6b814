//! The command line of a job binary:
//! `BINARY [-D key=value]… [-s PATH] [-n] [-p N] [--dashboard ADDR] JOB [job arguments]`.
//!
//! Exit codes: 0 if the job finished or was cancelled, 1 for every failure, 2 for wrong usage.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use flott_cluster::EmbeddedCluster;
use flott_cluster::extract::{MARKER, VARIABLE};
use flott_cluster::{logging, worker};
use flott_core::config::{Configuration, Origin, options};
use flott_core::{Error, Result};
use flott_datastream::StreamExecutionEnvironment;
use tracing::warn;

use crate::describe::describe;

/// A job of a binary.
pub struct Job {
    name: &'static str,
    command: Box<dyn Fn(Command) -> Command>,
    build: Build,
}

/// Builds a job's program from its arguments.
type Build = Box<dyn Fn(&StreamExecutionEnvironment, &ArgMatches) -> Result<()>>;

impl Job {
    /// The job that `function` builds. `path` is its name, perhaps with modules before it.
    pub fn new<A: Args + 'static>(
        path: &'static str,
        function: impl Fn(&StreamExecutionEnvironment, A) -> Result<()> + 'static,
    ) -> Self {
        let name = path.rsplit("::").next().unwrap_or(path).trim();
        Self {
            name,
            command: Box::new(A::augment_args),
            build: Box::new(move |env, matches| {
                let args = A::from_arg_matches(matches)
                    .map_err(|e| Error::invalid(format!("arguments of the job {name}: {e}")))?;
                function(env, args)
            }),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.name
    }

    pub(crate) fn about(&self) -> Option<String> {
        (self.command)(Command::new(self.name)).get_about().map(ToString::to_string)
    }
}

/// Runs the job that the process's arguments name; or describes the binary to whoever started it to
/// know its jobs and plans.
pub fn main(jobs: &[Job]) -> ExitCode {
    // Whoever looks for it finds it in the file.
    std::hint::black_box(MARKER);
    logging::start();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let (done, what) = match (std::env::var_os(VARIABLE), std::env::var(worker::VARIABLE)) {
        (Some(file), _) => (describe(jobs, &arguments, Path::new(&file)), "There is no plan"),
        (None, Ok(spec)) => (work(jobs, &arguments, &spec), "The worker ends"),
        (None, Err(_)) => (run(jobs, arguments), "The job failed"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "\n{what}: {}", error.report());
            ExitCode::FAILURE
        }
    }
}

/// Runs the job that `arguments` name; the first is the program's name. Help and usage errors end
/// the process, as is the custom.
///
/// # Errors
/// If an option, the program or the job fails.
pub fn run(jobs: &[Job], arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let chosen = parse(jobs, &arguments).unwrap_or_else(|error| error.exit());
    let cluster = EmbeddedCluster::new();
    let cancel = cluster.cancel_handle();
    // Only one handler can be set in a process; a second job in it is cancelled by the first's.
    let _ = ctrlc::set_handler(move || cancel.cancel());
    let config = chosen.configure(Configuration::new())?;
    #[cfg(feature = "dashboard")]
    let _dashboard = chosen
        .engine
        .get_one::<String>("dashboard")
        .map(|address| crate::dashboard::serve(address, &cluster))
        .transpose()?;
    chosen.execute(&StreamExecutionEnvironment::new(config, Arc::new(cluster)))
}

/// Runs a share of the job that `arguments` name, for the cluster that started this process.
fn work(jobs: &[Job], arguments: &[OsString], spec: &str) -> Result<()> {
    flott_cluster::worker::work(spec, |config, executor| {
        let chosen = parse(jobs, arguments);
        let chosen = chosen.map_err(|error| Error::invalid(error.render().to_string()))?;
        chosen.execute(&StreamExecutionEnvironment::new(chosen.configure(config)?, executor))
    })
}

/// What a command line asks for.
pub(crate) struct Chosen<'a> {
    job: &'a Job,
    engine: ArgMatches,
    arguments: ArgMatches,
}

impl Chosen<'_> {
    pub(crate) fn name(&self) -> &str {
        self.job.name
    }

    /// What the command line says, over what is set already.
    pub(crate) fn configure(&self, config: Configuration) -> Result<Configuration> {
        configure(config, &self.engine)
    }

    /// Builds the program of the job, and executes it unless the job function has.
    pub(crate) fn execute(&self, env: &StreamExecutionEnvironment) -> Result<()> {
        (self.job.build)(env, &self.arguments)?;
        if env.has_program() {
            env.execute(self.name())?;
        }
        Ok(())
    }
}

/// Reads a command line; the first argument is the program's name.
pub(crate) fn parse<'a>(
    jobs: &'a [Job],
    arguments: &[OsString],
) -> std::result::Result<Chosen<'a>, clap::Error> {
    let mut command = command(jobs);
    let mut engine = command.try_get_matches_from_mut(arguments)?;
    let chosen = engine
        .remove_subcommand()
        .and_then(|(name, arguments)| Some((jobs.iter().find(|job| job.name == name)?, arguments)));
    let Some((job, arguments)) = chosen else {
        return Err(command.error(clap::error::ErrorKind::MissingSubcommand, "no job was named"));
    };
    Ok(Chosen { job, engine, arguments })
}

fn command(jobs: &[Job]) -> Command {
    let command = Command::new(env!("CARGO_PKG_NAME"))
        .about("Runs one of the jobs of this binary in this process")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("JOB")
        .subcommand_help_heading("Jobs")
        .arg(
            Arg::new("property")
                .short('D')
                .value_name("KEY=VALUE")
                .action(ArgAction::Append)
                .help("Sets an option"),
        )
        .arg(Arg::new("from-savepoint").short('s').long("fromSavepoint").value_name("PATH").help(
            "Starts from this checkpoint or savepoint: its folder; a directory with checkpoints, \
                     for the newest; or \"latest\", for the newest of this job in \
                     execution.checkpointing.dir",
        ))
        .arg(
            Arg::new("allow-non-restored")
                .short('n')
                .long("allowNonRestoredState")
                .action(ArgAction::SetTrue)
                .help("Leaves out state that no operator of the program asks for"),
        )
        .arg(
            Arg::new("parallelism")
                .short('p')
                .long("parallelism")
                .value_name("N")
                .help("How many subtasks operators have that do not say otherwise"),
        );
    #[cfg(feature = "dashboard")]
    let command = command.arg(
        Arg::new("dashboard")
            .long("dashboard")
            .value_name("ADDR")
            .help("Shows the run to a browser: 8081, 127.0.0.1:8081 or localhost:8081"),
    );
    jobs.iter()
        .fold(command, |command, job| command.subcommand((job.command)(Command::new(job.name))))
}

fn configure(mut config: Configuration, matches: &ArgMatches) -> Result<Configuration> {
    let mut set = |key: &str, value: &str| config.set_text(key, value, Origin::CommandLine);
    for property in matches.get_many::<String>("property").into_iter().flatten() {
        let (key, value) = property
            .split_once('=')
            .ok_or_else(|| Error::invalid(format!("-D {property}: expected key=value")))?;
        set(key.trim(), value.trim())?;
    }
    if let Some(path) = matches.get_one::<String>("from-savepoint") {
        set("execution.state-recovery.path", path)?;
    }
    if matches.get_flag("allow-non-restored") {
        set("execution.state-recovery.ignore-unclaimed-state", "true")?;
    }
    if let Some(parallelism) = matches.get_one::<String>("parallelism") {
        set("parallelism.default", parallelism)
            .map_err(|error| error.context(format!("-p {parallelism}")))?;
    }
    config.without_effect().for_each(|told| warn!("{told}"));
    // Read once here, so that a bad value is reported before anything starts.
    config.get(&options::PARALLELISM)?;
    Ok(config)
}
