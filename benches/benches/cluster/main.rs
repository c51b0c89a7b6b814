//! What a cluster of processes costs: its start, its memory, submissions, recoveries, and the shuffle
//! between two workers beside the same shuffle in one. Prints the distribution of each.
//!
//! `cargo bench -p flott-benches --bench cluster [-- [--quick] [start] [submit] [recovery] [large]
//! [failure] [shuffle]]`
//!
//! This program is also the job binary that the cluster runs.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod processes;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use flott::Result;
use flott::cli::Job;
use flott::prelude::*;
use flott_benches::events::key_of;
use flott_benches::measure::{cpu_time_of_children, memory_kb};
use processes::{COMPLETED, Cluster, kill};

flott::use_allocator!();

/// The size of a job binary that is submitted: it is filled up to that.
const BINARY_BYTES: u64 = 20_000_000;

fn main() -> ExitCode {
    // Started by the cluster: as its job binary.
    let is_job = [flott::cluster::extract::VARIABLE, flott::cluster::worker::VARIABLE]
        .into_iter()
        .any(|variable| std::env::var_os(variable).is_some());
    if is_job {
        return flott::cli::main(&[
            Job::new("forever", forever),
            Job::new("wide", wide),
            Job::new("shuffle", shuffle),
        ]);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let named: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|name| !name.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.contains(&name);
    let rounds = if quick { 3 } else { 11 };
    processes::build();
    println!("{:<58} {:>9} {:>9} {:>9}  target", "", "least", "median", "most");
    if wanted("start") {
        start(rounds);
    }
    if wanted("submit") {
        submit(rounds);
    }
    if wanted("recovery") {
        recovery(rounds);
    }
    if wanted("large") {
        let (small, wide) = if quick { (20_000_000, 2_000_000) } else { (95_000_000, 8_500_000) };
        large("forever", small, "of 11 bytes", rounds.min(3));
        large("wide", wide, "of 120 bytes", rounds.min(3));
    }
    if wanted("failure") {
        failure(if quick { 1_000_000 } else { 10_000_000 }, rounds);
    }
    if wanted("shuffle") {
        compare_shuffles(if quick { 5_000_000 } else { 40_000_000 }, rounds.min(5));
    }
    ExitCode::SUCCESS
}

#[derive(clap::Args)]
struct ForeverArgs {
    /// How many keys the state has.
    #[arg(long, default_value_t = 1000)]
    keys: u64,
    /// A task fails when this file is there, and removes it.
    #[arg(long)]
    fails_with: Option<String>,
    /// This file is made when all keys have come.
    #[arg(long)]
    full_with: Option<String>,
}

/// So many records pass between two looks at the file.
const LOOK_EVERY: u64 = 1 << 16;

/// Counts for ever, with checkpoints.
fn forever(env: &StreamExecutionEnvironment, args: ForeverArgs) -> Result<()> {
    env.enable_checkpointing(millis(200));
    let ForeverArgs { keys, fails_with, full_with } = args;
    env.generate("events", None, move |index| (index % keys, index))
        .map(move |(key, index)| {
            tell_if_full(index, keys, full_with.as_deref())?;
            let looks = fails_with.as_ref().filter(|_| index % LOOK_EVERY == 0);
            if looks.is_some_and(|file| std::fs::remove_file(file).is_ok()) {
                return Err(flott::Error::invalid("the benchmark wants a failure"));
            }
            Ok((key, 1u64))
        })
        .key_by(|(key, _)| *key)
        .sum(|(_, count)| count)
        .discard();
    Ok(())
}

/// The same, with a hundred bytes for each key.
fn wide(env: &StreamExecutionEnvironment, args: ForeverArgs) -> Result<()> {
    env.enable_checkpointing(millis(200));
    let ForeverArgs { keys, full_with, .. } = args;
    env.generate("events", None, move |index| (index % keys, index))
        .map(move |(key, index)| {
            tell_if_full(index, keys, full_with.as_deref())?;
            let word = [key, index, key, index];
            Ok::<_, flott::Error>((key, (1u64, [word, word, word])))
        })
        .key_by(|(key, _)| *key)
        .reduce(|a, b| Ok::<_, flott::Error>((a.0, (a.1.0 + b.1.0, b.1.1))))
        .discard();
    Ok(())
}

fn tell_if_full(index: u64, keys: u64, file: Option<&str>) -> Result<()> {
    if index != keys {
        return Ok(());
    }
    let made = file.map_or(Ok(()), |file| std::fs::write(file, ""));
    made.map_err(|error| flott::Error::invalid(format!("the file cannot be made: {error}")))
}

#[derive(clap::Args)]
struct ShuffleArgs {
    /// How many events.
    #[arg(long)]
    events: u64,
}

/// A keyed sum behind a shuffle; source and sum have slots of their own.
fn shuffle(env: &StreamExecutionEnvironment, args: ShuffleArgs) -> Result<()> {
    env.generate("events", Some(args.events), |index| (key_of(index, 1_000_000), index & 255))
        .slot_sharing_group("source")
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .slot_sharing_group("sum")
        .discard();
    Ok(())
}

/// `cluster start`, until the TaskManager is registered, and what the processes take when idle.
fn start(rounds: usize) {
    let (mut times, mut manager, mut worker) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let cluster = Cluster::prepare(&[]);
        let started = now();
        cluster.start(1);
        times.push(started.elapsed());
        manager.push(memory_kb(&cluster.pid("jobmanager").to_string(), "VmHWM"));
        worker.push(memory_kb(&cluster.pid("taskmanager").to_string(), "VmHWM"));
    }
    print_times("flott cluster start to a registered TaskManager", times, "500 ms");
    print_sizes("JobManager, idle, most resident", manager);
    print_sizes("TaskManager, idle, most resident", worker);
}

/// From the command to the tasks that run.
fn submit(rounds: usize) {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let cluster = Cluster::prepare(&[]);
        cluster.start(1);
        let binary = cluster.binary(BINARY_BYTES);
        for times in [&mut first, &mut again] {
            let runs = cluster.logged("tasks of job");
            let started = now();
            let job = cluster.submit(&["-c", "forever", &binary]);
            cluster.wait_for("tasks of job", runs + 1);
            times.push(started.elapsed());
            cluster.done(&["cancel", &job]);
            cluster.wait_for("to CANCELED", runs + 1);
        }
    }
    print_times("flott run of a 20 MB binary to RUNNING, with its upload", first, "300 ms");
    print_times("the same again: the binary is there", again, "");
}

/// From a SIGKILL to all tasks that run again, without a restart delay.
fn recovery(rounds: usize) {
    let high_availability =
        ["high-availability.type: filesystem", "high-availability.storageDir: {folder}/ha"];
    let mut cluster = Cluster::prepare(&high_availability);
    cluster.start(3);
    let binary = cluster.binary(0);
    cluster.submit(&["-c", "forever", "-p", "2", &binary, "--keys", "1000000"]);
    cluster.wait_for("tasks of job", 1);
    let (mut workers, mut task_managers, mut job_managers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let measure = |cluster: &mut Cluster, pid: i32, restart: Option<&'static str>| {
            cluster.wait_for_checkpoint();
            let runs = cluster.logged("tasks of job");
            let started = now();
            kill(pid, "-KILL");
            if restart == Some("jobmanager") {
                cluster.add("jobmanager", &[]);
            }
            cluster.wait_for("tasks of job", runs + 1);
            let time = started.elapsed();
            if restart == Some("taskmanager") {
                cluster.add("taskmanager", &[]);
                cluster.wait_for_taskmanagers(3);
            }
            time
        };
        let pid = cluster.newest_worker();
        workers.push(measure(&mut cluster, pid, None));
        let pid = cluster.busy_taskmanager();
        task_managers.push(measure(&mut cluster, pid, Some("taskmanager")));
        let pid = cluster.pid("jobmanager");
        job_managers.push(measure(&mut cluster, pid, Some("jobmanager")));
        cluster.wait_for_taskmanagers(3);
    }
    let keys = "1 M keys";
    print_times(&format!("SIGKILL of a worker to RUNNING, {keys}"), workers, "1 s");
    print_times(&format!("SIGKILL of a TaskManager to RUNNING, {keys}"), task_managers, "3 s");
    print_times(&format!("SIGKILL of the JobManager to RUNNING, {keys}"), job_managers, "3 s");
}

/// From a SIGKILL of one of two workers to all tasks that run again, and to the first checkpoint after it: by
/// then all state is read.
fn large(job: &str, keys: u64, what: &str, rounds: usize) {
    let options = ["execution.checkpointing.timeout: 10 min", "taskmanager.numberOfTaskSlots: 1"];
    let cluster = Cluster::prepare(&options);
    cluster.start(3);
    let (binary, full) = (cluster.binary(0), cluster.path("full"));
    let arguments = ["--keys", &keys.to_string(), "--full-with", &full.display().to_string()];
    cluster.submit(&[&["-c", job, "-p", "2", &binary], &arguments[..]].concat());
    cluster.wait("state of all keys", || full.exists());
    let (mut running, mut complete) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        cluster.wait_for_checkpoint();
        let runs = cluster.logged("tasks of job");
        let started = now();
        kill(cluster.newest_worker(), "-KILL");
        cluster.wait_for("tasks of job", runs + 1);
        running.push(started.elapsed());
        cluster.wait_for(COMPLETED, cluster.logged(COMPLETED) + 1);
        complete.push(started.elapsed());
    }
    let megabytes = cluster.bytes_below("checkpoints") / 1_000_000;
    let what = format!("SIGKILL of a worker, {megabytes} MB {what},");
    print_times(&format!("{what} to RUNNING"), running, "1 s with 1 GB");
    print_times(&format!("{what} to a checkpoint"), complete, "");
}

/// From the failure of a task to all tasks that run again, without a restart delay: with state in memory,
/// and read from where the checkpoint is.
fn failure(keys: u64, rounds: usize) {
    for (from, local) in [("memory", "true"), ("files", "false")] {
        let option = format!("execution.state-recovery.from-local: {local}");
        let cluster = Cluster::prepare(&[&option, "execution.checkpointing.timeout: 10 min"]);
        cluster.start(2);
        let (binary, file, keys) =
            (cluster.binary(0), cluster.path("fail").display().to_string(), keys.to_string());
        let arguments = ["--keys", &keys, "--fails-with", &file];
        cluster.submit(&[&["-c", "forever", "-p", "2", &binary], &arguments[..]].concat());
        cluster.wait_for("tasks of job", 1);
        let mut times = Vec::new();
        for _ in 0..rounds {
            // The state is all there.
            for _ in 0..5 {
                cluster.wait_for_checkpoint();
            }
            let failures = cluster.logged("the benchmark wants a failure");
            let runs = cluster.logged("tasks of job");
            std::fs::write(&file, "").unwrap_or_default();
            cluster.wait_for("the benchmark wants a failure", failures + 1);
            let started = now();
            cluster.wait_for("tasks of job", runs + 1);
            times.push(started.elapsed());
        }
        let target = if local == "true" { "100 ms" } else { "" };
        print_times(&format!("a task fails, to RUNNING, {keys} keys from {from}"), times, target);
    }
}

/// The same shuffle within a worker and between two; nanoseconds of CPU per event.
fn compare_shuffles(events: u64, rounds: usize) {
    let count = events.to_string();
    let run = |taskmanagers: usize, slots: usize| {
        let cluster = Cluster::prepare(&[&format!("taskmanager.numberOfTaskSlots: {slots}")]);
        cluster.start(taskmanagers);
        let binary = cluster.binary(0);
        // Fetches the binary everywhere.
        cluster.done(&["run", "-c", "shuffle", &binary, "--events", "1"]);
        let pids = cluster.running(Some("taskmanager"));
        let before: Duration = pids.iter().map(|pid| cpu_time_of_children(&pid.to_string())).sum();
        let started = now();
        cluster.done(&["run", "-c", "shuffle", &binary, "--events", &count]);
        let wall = started.elapsed();
        cluster.wait_for("has ended: exit status: 0", 2 * taskmanagers);
        let cpu = pids.iter().map(|pid| cpu_time_of_children(&pid.to_string())).sum::<Duration>()
            - before;
        let per_event = |time: Duration| time.as_nanos() as f64 / events as f64;
        (per_event(cpu), per_event(wall))
    };
    let (mut within, mut between, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (one, two) = (run(1, 2), run(2, 1));
        ratios.push(one.0 / two.0);
        within.push(one);
        between.push(two);
    }
    for (name, costs) in [("within one worker", &within), ("between two workers", &between)] {
        print(&format!("keyed sum, shuffle {name}: cpu ns/event"), costs.iter().map(|c| c.0), "");
        print(&format!("keyed sum, shuffle {name}: wall ns/event"), costs.iter().map(|c| c.1), "");
    }
    print("events per core, between two of within one", ratios.into_iter(), "0.4 or more");
}

fn print_times(what: &str, times: Vec<Duration>, target: &str) {
    let what = format!("{what}: ms");
    print(&what, times.into_iter().map(|time| time.as_secs_f64() * 1000.0), target);
}

fn print_sizes(what: &str, kilobytes: Vec<u64>) {
    let what = format!("{what}: MB");
    print(&what, kilobytes.into_iter().map(|size| size as f64 / 1024.0), "30 MB");
}

fn print(what: &str, values: impl Iterator<Item = f64>, target: &str) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let (middle, last) = (values.len() / 2, values.len().saturating_sub(1));
    println!("{what:<58} {:>9.2} {:>9.2} {:>9.2}  {target}", at(0), at(middle), at(last));
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
