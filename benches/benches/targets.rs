//! The targets of the engine, measured beside hand-written loops in the same run: A B A B, medians,
//! wall and CPU time. Prints a table; says where a target is missed, and fails if results differ.
//!
//! `cargo bench -p flott-benches --bench targets [-- [--quick] [w1] [w2] [w5]]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::process::ExitCode;

use flott::Result;
use flott_benches::measure::{Cost, cpu_time, measure, median, memory_kb};
use flott_benches::workloads::Run;
use flott_benches::{loops, workloads};

flott::use_allocator!();

const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    for (name, body) in [("--first-record", first_record as fn() -> Result<()>), ("--idle", idle)] {
        if arguments.iter().any(|argument| argument == name) {
            return if body().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    }
    let named: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|name| !name.starts_with('-')).collect();
    match run(if quick { 10 } else { 1 }, &|name| named.is_empty() || named.contains(&name)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED: {}", error.report());
            ExitCode::FAILURE
        }
    }
}

fn run(divisor: u64, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    println!("{:<44} {:>10} {:>10} {:>8}  target", "", "wall ns/ev", "cpu ns/ev", "ratio");
    if wanted("w1") {
        stateless(100_000_000 / divisor)?;
    }
    if wanted("w2") {
        keyed(100_000_000 / divisor, 1_000_000)?;
    }
    if wanted("w5") {
        keyed_on_disk(3_000_000 / divisor, 1_000_000)?;
    }
    if wanted("pause") {
        pause(divisor)?;
    }
    if wanted("process") {
        process()?;
    }
    Ok(())
}

/// One contestant: what it is called, and a run of it that returns a checksum.
type Contestant<'a> = (&'a str, &'a dyn Fn() -> Result<u64>);

/// Runs the contestants in turn, several rounds; returns the median cost of each.
fn contest(contestants: &[Contestant<'_>]) -> Result<Vec<Cost>> {
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); contestants.len()];
    let mut expected = None;
    for _ in 0..ROUNDS {
        for ((name, run), costs) in contestants.iter().zip(&mut costs) {
            let (check, cost) = measure(run);
            let check = check?;
            if *expected.get_or_insert(check) != check {
                let message = format!("{name} computed something else: {check:x}");
                return Err(flott::Error::internal(message));
            }
            costs.push(cost);
        }
    }
    let middle = |costs: &[Cost], of: fn(&Cost) -> f64| median(costs.iter().map(of).collect());
    Ok(costs
        .iter()
        .map(|costs| Cost {
            wall: std::time::Duration::from_secs_f64(middle(costs, |c| c.wall.as_secs_f64())),
            cpu: std::time::Duration::from_secs_f64(middle(costs, |c| c.cpu.as_secs_f64())),
        })
        .collect())
}

fn row(name: &str, cost: &Cost, events: u64, ratio: Option<(f64, f64, &str)>) {
    let (wall, cpu) = (cost.wall_nanos_per(events), cost.cpu_nanos_per(events));
    let rest = ratio.map_or(String::new(), |(ratio, least, what)| {
        format!("{ratio:>8.2}  {what} ({})", verdict(ratio >= least))
    });
    println!("{name:<44} {wall:>10.2} {cpu:>10.2} {rest}");
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}

fn stateless(events: u64) -> Result<()> {
    let run = Run::on_one_core();
    let costs = contest(&[
        ("loop", &|| Ok(loops::stateless(events, 1))),
        ("flott", &|| workloads::stateless(events, &run)),
    ])?;
    let [hand, flott] = costs.as_slice() else { return Ok(()) };
    row("W1 map + filter: loop", hand, events, None);
    let ratio = hand.cpu_nanos_per(events) / flott.cpu_nanos_per(events);
    // 50 million events a second are 20 ns each; or half of the loop's speed, whichever is lower.
    let least = 0.5_f64.min(hand.cpu_nanos_per(events) / 20.0);
    row(
        "W1 map + filter: flott",
        flott,
        events,
        Some((ratio, least, ">= 50 M/s or 0.5 of the loop")),
    );
    Ok(())
}

fn keyed(events: u64, keys: u64) -> Result<()> {
    let plain = Run::on_one_core();
    let folder = tempfile::tempdir()?;
    let checkpointed = plain
        .clone()
        .with("execution.checkpointing.interval", "1 s")
        .with("execution.checkpointing.dir", folder.path().display().to_string());
    let forgetful = checkpointed.clone().with("execution.state-recovery.from-local", "false");
    let costs = contest(&[
        ("loop", &|| Ok(loops::keyed_sum(events, keys, 1))),
        ("flott", &|| workloads::keyed_sum(events, keys, &plain)),
        ("flott with checkpoints", &|| workloads::keyed_sum(events, keys, &checkpointed)),
        ("flott that keeps nothing", &|| workloads::keyed_sum(events, keys, &forgetful)),
    ])?;
    let [hand, flott, with, without] = costs.as_slice() else { return Ok(()) };
    row("W2 keyed sum, 1 M keys: loop", hand, events, None);
    let ratio = hand.cpu_nanos_per(events) / flott.cpu_nanos_per(events);
    row("W2 keyed sum: flott", flott, events, Some((ratio, 0.5, ">= 0.5 of the loop")));
    let ratio = flott.wall_nanos_per(events) / with.wall_nanos_per(events);
    row(
        "W2 keyed sum: flott, 1 s checkpoints",
        with,
        events,
        Some((ratio, 0.9, ">= 0.9 of without")),
    );
    row("W2 keyed sum: the same, no tables kept", without, events, None);
    Ok(())
}

/// The keyed sum with its state on disk, and as much memory for that as options give by default.
fn keyed_on_disk(events: u64, keys: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let plain = Run::on_one_core().with("state.backend.type", "lsm");
    let checkpointed = plain
        .clone()
        .with("execution.checkpointing.interval", "1 s")
        .with("execution.checkpointing.dir", folder.path().display().to_string());
    let on_heap = Run::on_one_core();
    let costs = contest(&[
        ("on the heap", &|| workloads::keyed_sum(events, keys, &on_heap)),
        ("on disk", &|| workloads::keyed_sum(events, keys, &plain)),
        ("with checkpoints", &|| workloads::keyed_sum(events, keys, &checkpointed)),
    ])?;
    let [_, without, with] = costs.as_slice() else { return Ok(()) };
    row("W5 keyed sum on disk, 1 M keys", without, events, None);
    row("W5 the same, 1 s checkpoints", with, events, None);
    let costs = contest(&[("10 M", &|| workloads::keyed_sum(events, 10 * keys, &plain))])?;
    let [more] = costs.as_slice() else { return Ok(()) };
    row("W5 keyed sum on disk, 10 M keys", more, events, None);
    Ok(())
}

/// How long a checkpoint makes a task stand still, with little state and with much.
fn pause(divisor: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = Run::on_one_core()
        .with("execution.checkpointing.interval", "50 ms")
        .with("execution.checkpointing.dir", folder.path().display().to_string());
    let micros = |keys: u64| -> Result<f64> {
        let pauses = workloads::pauses(60_000_000 / divisor, keys, &run)?;
        // The newest one is that of the end of the job, when nothing runs any more.
        let pauses = pauses.iter().skip(1).map(|pause| pause.as_secs_f64() * 1e6);
        Ok(median(pauses.collect()))
    };
    let (little, much) = (10_000, 10_000_000 / divisor);
    let (short, long) = (micros(little)?, micros(much)?);
    println!("pause of a checkpoint, {little} keys: {short:.0} us");
    println!(
        "pause of a checkpoint, {much} keys: {long:.0} us; ratio {:.2}, target <= 3 ({}), < 5 ms ({})",
        long / short,
        verdict(long <= 3.0 * short),
        verdict(long < 5_000.0),
    );
    Ok(())
}

/// The memory of an idle job, and the CPU time from the start of a process to its first record.
fn process() -> Result<()> {
    // This very program, started again: see `main`.
    let program = std::env::current_exe()?;
    let started = |what: &str| {
        std::process::Command::new(&program).arg(what).stdout(std::process::Stdio::piped()).output()
    };
    let output = started("--first-record")?;
    let millis: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(f64::NAN);
    println!(
        "process start to first record: {millis:.0} ms of CPU (ticks of 10 ms), target < 50 ({})",
        verdict(millis < 50.0)
    );
    let output = started("--idle")?;
    let kb: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(f64::NAN);
    let mb = kb / 1024.0;
    println!("an idle job: {mb:.1} MB resident at most, target < 30 ({})", verdict(mb < 30.0));
    Ok(())
}

/// A job that processes one record; prints the CPU time of the process, in milliseconds.
fn first_record() -> Result<()> {
    workloads::stateless(1, &Run::default())?;
    println!("{}", cpu_time().as_millis());
    Ok(())
}

/// A job that gets a few records a second; prints the most memory that was resident, in kilobytes.
fn idle() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = Run::default()
        .with("execution.checkpointing.interval", "100 ms")
        .with("execution.checkpointing.dir", folder.path().display().to_string());
    workloads::rare(20, 10.0, &run)?;
    println!("{}", memory_kb("self", "VmHWM"));
    Ok(())
}
