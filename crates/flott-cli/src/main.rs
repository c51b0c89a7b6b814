//! The `flott` command: what runs, and what is to be done with it.
//!
//! Verbs, flags, texts and exit codes are those of Flink's command line where it has them: 0 if it
//! was done, 1 for everything else. It speaks Flink's REST API, is the JobManager and the TaskManager
//! of a cluster, and starts and stops them.
//!
//! It may depend on `flott-cluster` and `flott-rest`, which do all that; it must not know how.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line prints")]

mod checkpoint;
mod client;
mod cluster;
mod config;
mod daemon;
mod info;
mod jobs;
mod list;
mod run;
mod state;
mod token;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::client::Client;

/// Runs clusters, and jobs on them.
#[derive(Parser)]
#[command(name = "flott", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    action: Action,
    /// Where the jobs run: the REST address of a JobManager, or what --dashboard was given.
    /// Without it, what config.yaml says: rest.address and rest.port, localhost:8081 by default.
    #[arg(short = 'm', long, global = true, value_name = "HOST:PORT")]
    jobmanager: Option<String>,
}

#[derive(Subcommand)]
enum Action {
    /// Submits a job, and waits for its end.
    Run(run::RunArgs),
    /// Lists the jobs that run or wait.
    List(list::ListArgs),
    /// Shows the plan of a job, without running it.
    Info(info::InfoArgs),
    /// Cancels a job. Its last checkpoint stays, unless its options say otherwise.
    Cancel(jobs::CancelArgs),
    /// Takes a checkpoint of a job now, and waits for it; or tidies up a directory of checkpoints (gc).
    Checkpoint(checkpoint::CheckpointArgs),
    /// Stops a job with a savepoint, and waits for its end.
    Stop(jobs::StopArgs),
    /// Takes a savepoint of a job now, and waits for it. The job goes on.
    Savepoint(jobs::SavepointArgs),
    /// Looks into checkpoints and savepoints: lists, shows, exports, compares and checks what they remember.
    State(state::StateArgs),
    /// Starts, stops or shows a cluster on this machine.
    Cluster(cluster::ClusterArgs),
    /// Runs a JobManager: REST API, dashboard, and the masters of jobs.
    Jobmanager(daemon::DaemonArgs),
    /// Runs a TaskManager: slots, and the workers in them.
    Taskmanager(daemon::DaemonArgs),
    /// Makes, lists and revokes the tokens with which the REST API is asked.
    Token(token::TokenArgs),
    /// Prints what makes a shell complete this command.
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

/// What the command was given; up to "--", with the long names of options that Flink gives several letters
/// behind one dash: there are no such names here.
fn arguments() -> impl Iterator<Item = OsString> {
    let mut is_own = true;
    std::env::args_os().map(move |argument| {
        let text = argument.to_str().filter(|_| is_own).unwrap_or_default();
        is_own &= text != "--";
        match text {
            "-cm" => "--claimMode".into(),
            "-rm" => "--restoreMode".into(),
            "-sae" => "--shutdownOnAttachedExit".into(),
            _ => argument,
        }
    })
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(arguments()) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let client = || {
        let config = config::load(&[])?;
        Client::new(cli.jobmanager.as_deref(), &config)
    };
    let result = match &cli.action {
        Action::List(args) => client().and_then(|client| list::list(&client, args)),
        Action::Info(args) => info::info(args),
        Action::Run(args) => client().and_then(|client| run::run(&client, args)),
        Action::Cancel(args) => client().and_then(|client| jobs::cancel(&client, args)),
        Action::Checkpoint(args) => {
            client().and_then(|client| checkpoint::checkpoint(&client, args))
        }
        Action::Stop(args) => client().and_then(|client| jobs::stop(&client, args)),
        Action::Savepoint(args) => client().and_then(|client| jobs::savepoint(&client, args)),
        Action::State(args) => state::state(args, client),
        Action::Cluster(args) => client().and_then(|client| cluster::cluster(args, &client)),
        Action::Jobmanager(args) => daemon::jobmanager(args),
        Action::Taskmanager(args) => daemon::taskmanager(args),
        Action::Token(args) => token::token(args),
        Action::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(*shell, &mut command, "flott", &mut std::io::stdout());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.report());
            ExitCode::FAILURE
        }
    }
}
