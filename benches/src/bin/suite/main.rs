//! The suite: Flott beside what people would use instead, on one machine in one run.
//!
//! `cargo xtask bench --against loop,timely,renoir,flink [--quick] [CASE …]`. Every contestant is a process of its own,
//! given the same events. It runs with so many of them and with three times as many: the difference is what events cost,
//! without what starting costs. Contestants take turns, several rounds; what is compared are medians.
//!
//! `cargo xtask bench --instructions [--bless]` counts instructions instead: see [`instructions`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod cases;
mod contestant;
mod engines;
mod growth;
mod instructions;
mod measures;
mod page;
mod results;

use std::process::ExitCode;

use cases::CASES;
use engines::{Engine, Engines};
use flott::{Error, Result};
use flott_benches::measure::memory_kb;
use results::{Outcome, Results, measure, print};

flott::use_allocator!();

const ROUNDS: usize = 3;
/// What the parts that are no cases are called on the command line.
const MEASURES: &str = "measures";
const GROWTH: &str = "growth";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == "contestant" => contestant::run(rest).map(|check| {
            println!("check={check} peak_kb={}", memory_kb("self", "VmHWM"));
        }),
        Some((first, rest)) if first == "--instructions" => {
            instructions::run(rest.iter().any(|argument| argument == "--bless"))
        }
        _ => suite(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {}", error.report());
            ExitCode::FAILURE
        }
    }
}

fn suite(arguments: &[String]) -> Result<()> {
    let (mut against, mut quick, mut named) = (Engine::ALL.to_vec(), false, Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--against" => {
                let list = arguments.next().map_or("", String::as_str);
                against = list.split(',').map(Engine::named).collect::<Result<_>>()?;
            }
            name if [MEASURES, GROWTH].contains(&name) => named.push(name),
            name if CASES.iter().any(|case| case.is_called(name)) => named.push(name),
            other => return Err(Error::invalid(format!("there is no case \"{other}\""))),
        }
    }
    let engines = Engines::build(&against)?;
    let (rounds, divisor) = if quick { (1, 10) } else { (ROUNDS, 1) };
    let results = Results::new(rounds);
    let mut results = if named.is_empty() || quick { results } else { results.go_on() };
    let wants = |part| named.is_empty() || named.contains(&part);
    for case in CASES
        .iter()
        .filter(|case| named.is_empty() || named.iter().any(|name| case.is_called(name)))
    {
        let contestants = case.contestants(&against);
        case.compare(&engines, &contestants)?;
        let mut outcomes: Vec<Outcome> =
            contestants.iter().map(|own| Outcome::new(own.engine)).collect();
        // Where nothing is wanted, one round will do.
        let rounds = if case.targets.is_empty() { 1 } else { rounds };
        for _ in 0..rounds {
            for (own, outcome) in contestants.iter().zip(&mut outcomes) {
                outcome.add(measure(&engines, case, own, own.events / divisor)?);
            }
        }
        print(case, &outcomes);
        results.add(case, &outcomes);
        results.write()?;
    }
    if wants(MEASURES) {
        results.measures = measures::run(&engines, against.contains(&Engine::Flink), quick)?;
    }
    if wants(GROWTH) {
        results.growth = growth::run(&engines, rounds, divisor.min(3))?;
    }
    println!("\n{}", results.write()?.display());
    if quick { Ok(()) } else { page::write(&results) }
}
