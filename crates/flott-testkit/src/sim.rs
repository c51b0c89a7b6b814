//! The simulator: a whole job, with everything that can go wrong, in one thread, from a seed.
//!
//! The same seed gives the same run, to the last step. A finding names its seed; running it again
//! shows the same thing, with a trace if one is wanted.

mod check;
mod clock;
mod job;
mod leader;
mod ledger;
mod machines;
mod matrix;
mod process;
mod scenario;
mod storage;
mod trace;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use clock::SimClock;
pub use matrix::{Fault, Moment, Plot};
pub use world::Report;

use ledger::Ledger;
use scenario::Scenario;
use trace::Trace;
use world::World;

/// Runs one seed; `print` writes everything that happens to stdout.
///
/// # Errors
/// What was found: a record lost, doubled or out of order, a rule of the protocol broken, a job
/// that hangs or fails.
pub fn run_seed(seed: u64, print: bool) -> Result<Report, String> {
    guarded(|| run(seed, Scenario::draw(seed), None, print))
}

/// Runs one seed in which nothing fails but what the plot says, at its moment. Whether that came is in
/// [`Report::has_struck`].
///
/// # Errors
/// As [`run_seed`].
pub fn run_plot(seed: u64, plot: Plot, print: bool) -> Result<Report, String> {
    guarded(|| run(seed, Scenario::calm(seed, plot), Some(plot), print))
}

fn guarded(run: impl FnOnce() -> Result<Report, String>) -> Result<Report, String> {
    let run = catch_unwind(AssertUnwindSafe(run));
    run.unwrap_or_else(|panic| Err(format!("panic: {}", flott_runtime::panic_message(&*panic))))
}

fn run(seed: u64, scenario: Scenario, plot: Option<Plot>, print: bool) -> Result<Report, String> {
    let ledger = Ledger::default();
    let text = |error: flott_core::Error| error.report();
    let program = job::program(seed, &scenario, &ledger).map_err(text)?;
    let config = scenario.configuration().map_err(text)?;
    let trace = Trace::new(print);
    let program = Arc::new(program);
    let mut world = World::new(seed, scenario.clone(), program, config, ledger.clone(), trace);
    world.plot = plot;
    let report = world.run()?;
    if let Some(violation) = ledger.violations().into_iter().next() {
        return Err(violation);
    }
    check::check_output(seed, &scenario, &ledger.committed())?;
    Ok(report)
}
