//! `flott run`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal, Read, stderr};
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

use clap::Args;
use flott_cluster::wait_for_signal;
use flott_core::config::{Configuration, Origin};
use flott_core::{Error, ErrorKind, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::client::Client;

/// How many bytes are read at once.
const PIECE: usize = 256 * 1024;

#[derive(Args)]
pub(crate) struct RunArgs {
    /// Ends as soon as the job is submitted, instead of waiting for its end.
    #[arg(short, long)]
    detached: bool,
    /// Which of the binary's jobs; needed if there are several.
    #[arg(short, long = "class", value_name = "JOB")]
    class: Option<String>,
    /// Starts from this checkpoint or savepoint: its folder; a directory with checkpoints, for the
    /// newest; or "latest", for the newest of this job in execution.checkpointing.dir.
    #[arg(short = 's', long = "fromSavepoint", value_name = "PATH")]
    from_savepoint: Option<String>,
    /// Whose the checkpoint or savepoint is then: with "claim" it is the job's, and deleted when newer ones
    /// have taken its place. Also -cm.
    #[arg(
        long = "claimMode",
        alias = "restoreMode",
        value_name = "MODE",
        ignore_case = true,
        value_parser = ["claim", "no_claim"]
    )]
    claim_mode: Option<String>,
    /// Cancels the job when this command is told to end before the job has. Also -sae.
    #[arg(long = "shutdownOnAttachedExit", conflicts_with = "detached")]
    shutdown_on_attached_exit: bool,
    /// Leaves out state that no operator of the program asks for.
    #[arg(short = 'n', long = "allowNonRestoredState")]
    allow_non_restored: bool,
    /// How many subtasks operators have that do not say otherwise.
    #[arg(short, long, value_name = "N")]
    parallelism: Option<u32>,
    /// Sets an option of the job.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    property: Vec<String>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
    /// The job binary.
    binary: PathBuf,
    /// The arguments of the job; behind "--", if one is called -cm, -rm or -sae.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Submits a job, and waits for its end unless that is not wanted.
pub(crate) fn run(client: &Client, args: &RunArgs) -> Result<()> {
    let mut options = BTreeMap::new();
    for property in &args.property {
        let (key, value) = property
            .split_once('=')
            .ok_or_else(|| Error::invalid(format!("-D {property}: expected key=value")))?;
        options.insert(key.trim(), value.trim());
    }
    let mut config = Configuration::new();
    for (key, value) in &options {
        // What is wrong with an option, whoever runs the job says.
        let _ = config.set_text(key, value, Origin::CommandLine);
    }
    config.without_effect().for_each(|told| eprintln!("{told}"));
    let binary = upload(client, &args.binary)?;
    let request = json!({
        "entryClass": args.class,
        "parallelism": args.parallelism,
        "programArgsList": args.arguments,
        "savepointPath": args.from_savepoint,
        "allowNonRestoredState": args.allow_non_restored,
        "claimMode": args.claim_mode.as_ref().map(|mode| mode.to_uppercase()),
        "flinkConfiguration": options,
    });
    let answer: Value = client.post(&format!("/jars/{binary}/run"), &request)?;
    let job = answer.get("jobid").and_then(Value::as_str).unwrap_or_default();
    if !args.json {
        println!("Job has been submitted with JobID {job}");
    }
    if args.detached {
        if args.json {
            println!("{}", json!({ "jid": job }));
        }
        return Ok(());
    }
    // Ends with the command.
    let _watch =
        args.shutdown_on_attached_exit.then(|| cancel_when_told(client, job)).transpose()?;
    let result = client.wait_for_job(job)?;
    let text = |key: &str| result.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("application-status") {
        "SUCCEEDED" if args.json => println!("{}", json!({ "jid": job, "result": result })),
        "SUCCEEDED" => {
            let runtime = result.get("net-runtime").and_then(Value::as_i64).unwrap_or_default();
            println!(
                "Program execution finished\nJob with JobID {job} has finished.\nJob Runtime: \
                 {runtime} ms"
            );
            let path = format!("/jobs/{job}/accumulators");
            print_accumulators(&client.get::<Value>(&path)?);
        }
        "CANCELED" => {
            return Err(Error::new(ErrorKind::Cancelled, format!("Job {job} was cancelled.")));
        }
        _ => {
            let cause = result.get("failure-cause").and_then(|cause| cause.get("stack-trace"));
            let cause = cause.and_then(Value::as_str).unwrap_or("nobody says why");
            return Err(Error::new(ErrorKind::User, format!("Job {job} failed: {cause}")));
        }
    }
    Ok(())
}

/// Cancels a job when this process is told to end: the job ends, and with it the wait for that.
fn cancel_when_told(client: &Client, job: &str) -> Result<JoinHandle<()>> {
    let (client, job) = (client.clone(), job.to_owned());
    let watch = move || {
        if wait_for_signal().is_ok() {
            let _ = client.patch::<Value>(&format!("/jobs/{job}?mode=cancel"));
        }
    };
    let started = Builder::new().name("watch-signals".into()).spawn(watch);
    started.map_err(|e| Error::with_source(ErrorKind::Io, "signals cannot be waited for", e))
}

/// What the job has added up beside its output.
fn print_accumulators(answer: &Value) {
    let all = answer.get("user-task-accumulators").and_then(Value::as_array);
    let all = all.map(Vec::as_slice).unwrap_or_default();
    if !all.is_empty() {
        println!("Accumulator Results:");
    }
    for one in all {
        let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default();
        println!("- {} ({}): {}", text("name"), text("type"), text("value"));
    }
}

/// The id of the binary at the JobManager, which gets it unless it has it.
fn upload(client: &Client, path: &Path) -> Result<String> {
    let unreadable = |e| {
        let what = format!("cannot read the job binary \"{}\"", path.display());
        Error::with_source(ErrorKind::InvalidInput, what, e)
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| {
        Error::invalid(format!("\"{}\" is a directory, not a job binary", path.display()))
    })?;
    let mut file = File::open(path).map_err(unreadable)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).map_err(unreadable)? {
            0 => break,
            read => hash.update(&piece[..read]),
        }
    }
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let known: Value = client.get("/jars")?;
    let files = known.get("files").and_then(Value::as_array).into_iter().flatten();
    let mut ids = files.filter_map(|file| file.get("id")?.as_str());
    if let Some(id) = ids.find(|id| id.starts_with(&sha256)) {
        return Ok(id.to_owned());
    }
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let progress = progress(size);
    let answer = client.upload(&name, size, progress.wrap_read(file).take(size))?;
    progress.finish_and_clear();
    let place = answer.get("filename").and_then(Value::as_str).unwrap_or_default();
    Ok(place.rsplit('/').next().unwrap_or_default().to_owned())
}

/// Shows people how far an upload is.
fn progress(size: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("Uploading {bar:40} {bytes}/{total_bytes} {eta}");
    let bar = ProgressBar::new(size);
    style.map(|style| bar.set_style(style)).unwrap_or_default();
    bar
}
