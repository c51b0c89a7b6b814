//! `flott list`.

use clap::Args;
use flott_core::{Error, ErrorKind, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::client::Client;

#[derive(Args)]
pub(crate) struct ListArgs {
    /// Only the jobs that run.
    #[arg(short, long)]
    running: bool,
    /// Only the jobs that wait.
    #[arg(short, long)]
    scheduled: bool,
    /// Also the jobs that are over.
    #[arg(short, long)]
    all: bool,
    /// Prints the jobs as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Overview {
    jobs: Vec<Job>,
}

/// As Flink's REST API has it.
#[derive(Deserialize, Serialize)]
struct Job {
    jid: String,
    name: String,
    state: String,
    #[serde(rename = "start-time")]
    start_time: i64,
}

/// The lists of jobs, in the order in which they are printed.
#[derive(Clone, Copy, PartialEq)]
enum List {
    Running,
    Scheduled,
    Terminated,
}

impl List {
    fn of(job: &Job) -> Self {
        match job.state.as_str() {
            "CREATED" | "INITIALIZING" => Self::Scheduled,
            "FINISHED" | "CANCELED" | "FAILED" => Self::Terminated,
            _ => Self::Running,
        }
    }

    const fn heading(self) -> &'static str {
        match self {
            Self::Running => "------------------ Running/Restarting Jobs -------------------",
            Self::Scheduled => "----------------------- Scheduled Jobs -----------------------",
            Self::Terminated => "---------------------- Terminated Jobs -----------------------",
        }
    }

    const fn nothing(self) -> &'static str {
        match self {
            Self::Running => "No running jobs.",
            Self::Scheduled => "No scheduled jobs.",
            Self::Terminated => "No terminated jobs.",
        }
    }
}

/// Prints the jobs.
pub(crate) fn list(client: &Client, args: &ListArgs) -> Result<()> {
    let wanted: Vec<List> = match (args.running, args.scheduled, args.all) {
        (_, _, true) => vec![List::Running, List::Scheduled, List::Terminated],
        (true, false, false) => vec![List::Running],
        (false, true, false) => vec![List::Scheduled],
        (true, true, false) | (false, false, false) => vec![List::Running, List::Scheduled],
    };
    if !args.json {
        println!("Waiting for response...");
    }
    let Overview { mut jobs } = client.get("/jobs/overview")?;
    jobs.sort_by(|a, b| (a.start_time, &a.jid).cmp(&(b.start_time, &b.jid)));
    if args.json {
        jobs.retain(|job| wanted.contains(&List::of(job)));
        let text = serde_json::to_string_pretty(&jobs).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("cannot print the jobs: {error}"))
        })?;
        println!("{text}");
        return Ok(());
    }
    for list in wanted {
        let mut found = jobs.iter().filter(|job| List::of(job) == list).peekable();
        if found.peek().is_none() {
            println!("{}", list.nothing());
            continue;
        }
        println!("{}", list.heading());
        for Job { jid, name, state, start_time } in found {
            println!("{} : {jid} : {name} ({state})", time(*start_time));
        }
        println!("{}", "-".repeat(list.heading().len()));
    }
    Ok(())
}

/// A moment, here, as Flink's command line prints it.
pub(crate) fn time(millis: i64) -> String {
    time_in(millis, TimeZone::system())
}

fn time_in(millis: i64, zone: TimeZone) -> String {
    Timestamp::from_millisecond(millis).map_or_else(
        |_| millis.to_string(),
        |moment| moment.to_zoned(zone).strftime("%d.%m.%Y %H:%M:%S").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_flink_does() {
        assert_eq!(time_in(1_795_179_250_000, TimeZone::UTC), "20.11.2026 12:54:10");
        assert_eq!(time_in(i64::MAX, TimeZone::UTC), i64::MAX.to_string());
    }
}
