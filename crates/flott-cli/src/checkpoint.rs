//! `flott checkpoint`: takes one, or tidies up after others.

use std::time::Duration;

use clap::{Args, Subcommand};
use flott_cluster::gc::{Garbage, GarbageFolder};
use flott_core::config::OptionValue;
use flott_core::{Error, Result};
use serde_json::json;

use crate::client::Client;
use crate::jobs::{self, JobArgs};
use crate::{config, list};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CheckpointArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    job: Option<JobArgs>,
}

#[derive(Subcommand)]
enum Action {
    /// Deletes the files in a directory that no checkpoint or savepoint in it needs.
    Gc(GcArgs),
}

#[derive(Args)]
struct GcArgs {
    /// The folder of a job, or the directory with the folders of all jobs; a path or a URL.
    directory: String,
    /// Only says what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Leaves alone what may belong to a checkpoint that is under way: folders of jobs that were written to within
    /// this time.
    #[arg(long, default_value = "1 h", value_parser = duration)]
    min_age: Duration,
    /// Another directory of checkpoints: of jobs that were started from one in this.
    #[arg(long, value_name = "DIRECTORY")]
    referenced_by: Vec<String>,
    /// Prints everything that is known, as JSON.
    #[arg(long)]
    json: bool,
    /// Sets an option, of the store that the directory is in, say.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    property: Vec<String>,
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    Duration::parse(text).map_err(|_| format!("not {}", Duration::type_name()))
}

/// Does what is said.
pub(crate) fn checkpoint(client: &Client, args: &CheckpointArgs) -> Result<()> {
    match (&args.action, &args.job) {
        (Some(Action::Gc(args)), _) => gc(args),
        (None, Some(job)) => jobs::checkpoint(client, job),
        (None, None) => Err(Error::invalid(
            "which job? flott checkpoint JOB takes a checkpoint of it, flott checkpoint gc DIRECTORY tidies up",
        )),
    }
}

fn gc(args: &GcArgs) -> Result<()> {
    let config = config::load(&args.property)?;
    let garbage = Garbage::find(&config, &args.directory, &args.referenced_by, args.min_age)?;
    let old = || garbage.folders().iter().filter(|folder| !folder.is_young);
    let mut count = old().map(|folder| folder.files.len()).sum();
    let mut bytes = old().map(GarbageFolder::bytes).sum();
    if !args.dry_run {
        (count, bytes) = garbage.delete()?;
    }
    if args.json {
        let folders = garbage.folders();
        let deleted = !args.dry_run;
        println!(
            "{}",
            json!({ "folders": folders, "files": count, "bytes": bytes, "deleted": deleted })
        );
        return Ok(());
    }
    if garbage.folders().is_empty() {
        println!("There are no checkpoints or savepoints in {}.", args.directory);
        return Ok(());
    }
    for folder in garbage.folders() {
        let GarbageFolder { folder: name, snapshots, modified, is_young, files } = folder;
        let name = if name.is_empty() { "." } else { name };
        print!("{name}: {snapshots} checkpoints or savepoints; {} files", files.len());
        print!(", {} bytes, that none of them needs", folder.bytes());
        match *is_young && !files.is_empty() {
            true => println!(": left alone, it was written to at {}", list::time(*modified)),
            false => println!(),
        }
        files.iter().for_each(|file| println!("  {} ({} bytes)", file.path, file.bytes));
    }
    let done = if args.dry_run { "would be deleted" } else { "deleted" };
    println!("{count} files, {bytes} bytes {done}.");
    Ok(())
}
