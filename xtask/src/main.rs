//! Checks and chores of the workspace: `cargo xtask tidy`, `sim` and `bench`.
//!
//! This crate knows the workspace from outside only: it runs cargo and reads files, and links
//! nothing of Flott. The rules that `tidy` checks are listed in [`tidy`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod cargo;
mod tidy;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks and chores of the workspace")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check the rules of the house that the compiler does not know
    Tidy {
        /// Write the hashes of the formats' sources into their documents. Read these first: the
        /// hash says that the document is still right
        #[arg(long)]
        bless_formats: bool,
    },
    /// Run the simulator
    Sim(Sim),
    /// Run the benchmarks
    Bench(Bench),
}

#[derive(Args)]
struct Sim {
    /// How many seeds to run
    #[arg(long, value_name = "N")]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "S")]
    start: Option<u64>,
    /// Put a catalogued bug back, or each of them in turn: the simulator must find it
    #[arg(long, value_name = "NAME|all")]
    mutant: Option<String>,
    /// Strike once with each kind of fault at each moment of a checkpoint, in so many seeds
    #[arg(long, conflicts_with = "mutant")]
    matrix: bool,
}

#[derive(Args)]
struct Bench {
    /// Fewer and shorter measurements
    #[arg(long)]
    quick: bool,
    /// Run the suite beside these: loop, timely, renoir, flink. They are fetched and built
    #[arg(long, value_name = "LIST")]
    against: Option<String>,
    /// Count instructions per event, and compare them with what is recorded
    #[arg(long, conflicts_with_all = ["against", "quick"])]
    instructions: bool,
    /// Further arguments of the benchmark program
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Tidy { bless_formats } => tidy::run(bless_formats),
        Chore::Sim(sim) => cargo::run(sim.cargo_arguments()),
        Chore::Bench(bench) => cargo::run(bench.cargo_arguments()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

impl Sim {
    fn cargo_arguments(self) -> Vec<String> {
        let mut arguments = words("run --release -p flott-testkit --features mutants --bin sim --");
        arguments.extend(["--seeds".into(), self.seeds.to_string()]);
        if let Some(start) = self.start {
            arguments.extend(["--start".into(), start.to_string()]);
        }
        if let Some(mutant) = self.mutant {
            arguments.extend(["--mutant".into(), mutant]);
        }
        arguments.extend(self.matrix.then(|| "--matrix".into()));
        arguments
    }
}

impl Bench {
    fn cargo_arguments(self) -> Vec<String> {
        if self.instructions {
            let mut count = words("run --release -p flott-benches --bin suite -- --instructions");
            count.extend(self.rest);
            return count;
        }
        let mut arguments = match self.against {
            Some(list) => {
                let mut suite =
                    words("run --profile bench -p flott-benches --bin suite -- --against");
                suite.push(list);
                suite
            }
            None if self.quick || !self.rest.is_empty() => words("bench -p flott-benches --"),
            None => words("bench -p flott-benches"),
        };
        if self.quick {
            arguments.push("--quick".into());
        }
        arguments.extend(self.rest);
        arguments
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let cli = Cli::try_parse_from(["xtask"].into_iter().chain(line.split(' '))).unwrap();
        let arguments = match cli.chore {
            Chore::Sim(sim) => sim.cargo_arguments(),
            Chore::Bench(bench) => bench.cargo_arguments(),
            Chore::Tidy { .. } => panic!("tidy runs no single command"),
        };
        assert_eq!(arguments.join(" "), expected);
    }

    #[test]
    fn the_simulator_gets_the_same_arguments() {
        let sim = "run --release -p flott-testkit --features mutants --bin sim --";
        check("sim --seeds 20", &format!("{sim} --seeds 20"));
        check(
            "sim --seeds 1 --start 77 --mutant all",
            &format!("{sim} --seeds 1 --start 77 --mutant all"),
        );
        check("sim --seeds 20 --matrix", &format!("{sim} --seeds 20 --matrix"));
    }

    #[test]
    fn the_benchmarks_get_what_follows() {
        check("bench", "bench -p flott-benches");
        check("bench --quick", "bench -p flott-benches -- --quick");
        check("bench --quick word_totals", "bench -p flott-benches -- --quick word_totals");
        let suite = "run --profile bench -p flott-benches --bin suite -- --against";
        check("bench --against loop,flink", &format!("{suite} loop,flink"));
        check("bench --quick --against flink w2", &format!("{suite} flink --quick w2"));
        let count = "run --release -p flott-benches --bin suite -- --instructions";
        check("bench --instructions --bless", &format!("{count} --bless"));
    }
}
