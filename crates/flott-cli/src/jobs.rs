//! `flott cancel`, `checkpoint`, `savepoint` and `stop`: what is done to a job that runs.

use clap::Args;
use flott_core::{Error, JobId, Result};
use serde_json::{Value, json};

use crate::client::Client;

#[derive(Args)]
pub(crate) struct SavepointArgs {
    /// The job: 32 hexadecimal digits.
    #[arg(required_unless_present = "dispose")]
    job: Option<String>,
    /// Where to put it, as the job's process sees it; else where the job's options say.
    directory: Option<String>,
    /// How its state is written. There is one format here: both are the same.
    #[arg(long = "type", value_parser = ["canonical", "native"], default_value = "canonical")]
    format: String,
    /// Deletes the savepoint in this place instead.
    #[arg(short, long, value_name = "PATH", conflicts_with_all = ["job", "directory"])]
    dispose: Option<String>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct StopArgs {
    /// The job: 32 hexadecimal digits.
    job: String,
    /// Where to put the savepoint, as the job's processes see it; else where the job's options say.
    #[arg(short = 'p', long = "savepointPath", value_name = "DIR")]
    savepoint_path: Option<String>,
    /// Ends the input for ever: event time goes to its end, and windows fire, before the savepoint.
    #[arg(short, long)]
    drain: bool,
    /// How the savepoint's state is written. There is one format here: both are the same.
    #[arg(long = "type", value_parser = ["canonical", "native"], default_value = "canonical")]
    format: String,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Takes a savepoint first, in this directory or where the job's options say. To stop a job for good
    /// with one, "stop" is better: what comes between is not processed twice.
    #[arg(short = 's', long = "withSavepoint", value_name = "DIR", num_args = 0..=1)]
    with_savepoint: Option<Option<String>>,
}

#[derive(Args)]
pub(crate) struct JobArgs {
    /// The job: 32 hexadecimal digits.
    job: String,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

impl JobArgs {
    fn id(&self) -> Result<JobId> {
        self.job.parse().map_err(|_| {
            Error::invalid(format!(
                "Cannot parse JobID from \"{}\". The expected format is [0-9a-fA-F]{{32}}, e.g. \
                 fd72014d4c864993a2e5a9287b4a9c5d.",
                self.job
            ))
        })
    }

    /// Says what happens or has happened, to people.
    fn say(&self, text: &str) {
        if !self.json {
            println!("{text}");
        }
    }
}

pub(crate) fn cancel(client: &Client, args: &CancelArgs) -> Result<()> {
    let CancelArgs { job: args, with_savepoint } = args;
    let job = args.id()?;
    if let Some(directory) = with_savepoint {
        let into = directory.as_deref().unwrap_or("the default directory");
        args.say(&format!("Cancelling job {job} with savepoint to {into}."));
        let request = json!({
            "target-directory": directory,
            "cancel-job": true,
            "formatType": "CANONICAL",
            "triggerId": null,
        });
        let done = client.operate_at(&format!("/jobs/{job}/savepoints"), &request)?;
        let location = done.get("location").and_then(Value::as_str).unwrap_or_default();
        args.say(&format!("Cancelled job {job}. Savepoint stored in {location}."));
        if args.json {
            println!("{}", json!({ "jid": job.to_string(), "location": location }));
        }
        return Ok(());
    }
    args.say(&format!("Cancelling job {job}."));
    let _: Value = client.patch(&format!("/jobs/{job}?mode=cancel"))?;
    args.say(&format!("Cancelled job {job}."));
    if args.json {
        println!("{}", json!({ "jid": job.to_string() }));
    }
    Ok(())
}

pub(crate) fn checkpoint(client: &Client, args: &JobArgs) -> Result<()> {
    let job = args.id()?;
    args.say(&format!("Triggering checkpoint for job {job}."));
    args.say("Waiting for response...");
    let request = json!({ "checkpointType": "CONFIGURED", "triggerId": null });
    let done = client.operate_at(&format!("/jobs/{job}/checkpoints"), &request)?;
    let number = done.get("checkpointId").unwrap_or(&Value::Null);
    args.say(&format!(
        "Checkpoint {number} for job {job} completed.\nYou can resume your program from this \
         checkpoint with the run command."
    ));
    if args.json {
        println!("{}", json!({ "jid": job.to_string(), "checkpointId": number }));
    }
    Ok(())
}

pub(crate) fn savepoint(client: &Client, args: &SavepointArgs) -> Result<()> {
    let SavepointArgs { job, directory, format, dispose, json } = args;
    if let Some(place) = dispose {
        return dispose_savepoint(client, place, *json);
    }
    let args = JobArgs { job: job.clone().unwrap_or_default(), json: *json };
    let job = args.id()?;
    args.say(&format!("Triggering savepoint for job {job}."));
    args.say("Waiting for response...");
    let request = json!({
        "target-directory": directory,
        "cancel-job": false,
        "formatType": format.to_uppercase(),
        "triggerId": null,
    });
    let done = client.operate_at(&format!("/jobs/{job}/savepoints"), &request)?;
    let location = done.get("location").and_then(Value::as_str).unwrap_or_default();
    args.say(&format!(
        "Savepoint completed. Path: {location}\nYou can resume your program from this savepoint \
         with the run command."
    ));
    if args.json {
        println!("{}", json!({ "jid": job.to_string(), "location": location }));
    }
    Ok(())
}

/// Stops a job with a savepoint.
pub(crate) fn stop(client: &Client, args: &StopArgs) -> Result<()> {
    let StopArgs { job, savepoint_path, drain, format, json } = args;
    let args = JobArgs { job: job.clone(), json: *json };
    let job = args.id()?;
    let format = format.to_uppercase();
    let doing = if *drain { "Draining" } else { "Suspending" };
    args.say(&format!("{doing} job \"{job}\" with a {format} savepoint."));
    args.say(&format!("Triggering stop-with-savepoint for job {job}."));
    args.say("Waiting for response...");
    let request = json!({
        "targetDirectory": savepoint_path,
        "drain": drain,
        "formatType": format,
        "triggerId": null,
    });
    let (trigger, poll) = (format!("/jobs/{job}/stop"), format!("/jobs/{job}/savepoints"));
    let done = client.operate(&trigger, &poll, &request)?;
    let location = done.get("location").and_then(Value::as_str).unwrap_or_default();
    args.say(&format!("Savepoint completed. Path: {location}"));
    if args.json {
        println!("{}", json!({ "jid": job.to_string(), "location": location }));
    }
    Ok(())
}

fn dispose_savepoint(client: &Client, place: &str, as_json: bool) -> Result<()> {
    if !as_json {
        println!("Disposing savepoint '{place}'.\nWaiting for response...");
    }
    client.operate_at("/savepoint-disposal", &json!({ "savepoint-path": place }))?;
    if as_json {
        println!("{}", json!({ "savepoint-path": place }));
    } else {
        println!("Savepoint '{place}' disposed.");
    }
    Ok(())
}
