//! Runs the simulator over many seeds: `sim --seeds N [--start S] [--mutant NAME|all] [--trace]`, or every
//! cell of the fault matrix over so many: `sim --matrix --seeds N`.

#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::process::ExitCode;

use flott_core::mutant::Mutant;
use flott_testkit::sim::{Fault, Moment, Plot, Report, run_plot, run_seed};

/// One of this many seeds is run twice: the traces must be equal.
const REPEAT_EVERY: u64 = 50;

struct Options {
    seeds: u64,
    start: u64,
    mutant: Option<String>,
    matrix: bool,
    trace: bool,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            println!("{message}");
            return ExitCode::from(2);
        }
    };
    // What panics is a finding, and reported as such.
    std::panic::set_hook(Box::new(|_| {}));
    let good = match options.mutant.as_deref() {
        None if options.matrix => hunt_matrix(&options),
        None => hunt(&options),
        Some(name) => hunt_mutants(&options, name),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seeds: 1000, start: 0, mutant: None, matrix: false, trace: false };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
        let number = |text: String| text.parse().map_err(|_| format!("\"{text}\" is no number"));
        match argument.as_str() {
            "--seeds" => options.seeds = number(value()?)?,
            "--start" => options.start = number(value()?)?,
            "--mutant" => options.mutant = Some(value()?),
            "--matrix" => options.matrix = true,
            "--trace" => options.trace = true,
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(options)
}

/// Runs the seeds without any known bug: every finding is one too many.
fn hunt(options: &Options) -> bool {
    let mut total = Report::default();
    for seed in options.start..options.start + options.seeds {
        let first = run_seed(seed, options.trace);
        let again = if seed % REPEAT_EVERY == 0 { run_seed(seed, false) } else { first.clone() };
        if first != again {
            println!("SEED {seed}: two runs differ: {first:?} and {again:?}");
            return false;
        }
        match first {
            Ok(report) => {
                total.task_failures += report.task_failures;
                total.machine_failures += report.machine_failures;
                total.kills += report.kills;
                total.leader_losses += report.leader_losses;
                total.reattached += report.reattached;
                total.partly += report.partly;
                total.checkpoints += report.checkpoints;
                total.savepoints += report.savepoints;
                total.stops += report.stops;
                total.transactions += report.transactions;
            }
            Err(finding) => {
                println!("SEED {seed}: {finding}");
                return false;
            }
        }
    }
    println!(
        "{} seeds from {}: nothing found; {} task failures, {} machine failures, {} kills, \
         {} JobManagers lost ({} times tasks went on), {} restarts of a region only, {} checkpoints, {} savepoints, {} stops, {} transactions",
        options.seeds,
        options.start,
        total.task_failures,
        total.machine_failures,
        total.kills,
        total.leader_losses,
        total.reattached,
        total.partly,
        total.checkpoints,
        total.savepoints,
        total.stops,
        total.transactions
    );
    true
}

/// Puts each bug back and looks for it: one that is not found is a hole in the simulator.
fn hunt_mutants(options: &Options, name: &str) -> bool {
    let all = Mutant::ALL.into_iter();
    let chosen: Vec<Mutant> =
        all.filter(|mutant| name == "all" || format!("{mutant:?}") == name).collect();
    if chosen.is_empty() {
        println!("there is no mutant {name}; there are {:?}", Mutant::ALL);
    }
    let mut good = !chosen.is_empty();
    for mutant in chosen {
        let seeds = options.start..options.start + options.seeds;
        let found = Mutant::with(Some(mutant), || {
            seeds.clone().find_map(|seed| Some((seed, run_seed(seed, options.trace).err()?)))
        });
        match found {
            Some((seed, finding)) => {
                let tried = seed - options.start + 1;
                let finding = finding.lines().last().unwrap_or_default();
                println!("{mutant:?}: found after {tried} seeds: {finding}");
            }
            None => {
                println!("{mutant:?}: NOT FOUND in {} seeds", options.seeds);
                good = false;
            }
        }
    }
    good
}

/// Strikes at every moment with every fault: a cell whose moment never comes is a hole.
fn hunt_matrix(options: &Options) -> bool {
    let mut good = true;
    println!("struck of {} seeds, at each of {:?}", options.seeds, Moment::ALL);
    for fault in Fault::ALL {
        let mut counts = Vec::new();
        for moment in Moment::ALL {
            let mut struck = 0;
            for seed in options.start..options.start + options.seeds {
                match run_plot(seed, Plot { fault, moment }, options.trace) {
                    Ok(report) => struck += u64::from(report.has_struck),
                    Err(finding) => {
                        println!("SEED {seed}, {fault:?} at {moment:?}: {finding}");
                        good = false;
                    }
                }
            }
            good &= struck > 0;
            counts.push(format!("{struck:>4}"));
        }
        println!("{:<16}{}", format!("{fault:?}"), counts.join(" "));
    }
    good
}
