//! A job binary for the tests of the command: a job of the examples, and jobs whose functions do what
//! they should not.

use backlog::backlog;
use copy_lines::copy_lines;
use flott::prelude::*;
use remember::remember;
use visits::{visits_1, visits_2, visits_3, visits_4};
use word_totals::word_totals;

mod backlog;
#[path = "../../../../examples/src/copy_lines.rs"]
mod copy_lines;
mod remember;
mod visits;
#[path = "../../../../examples/src/word_totals.rs"]
mod word_totals;

/// Counts up.
#[derive(clap::Args)]
struct CountArgs {
    /// How far.
    #[arg(long)]
    to: i64,
}

fn count(env: &StreamExecutionEnvironment, args: CountArgs) -> flott::Result<()> {
    env.from_sequence(1, args.to).process(Add::default()).name("add").print();
    Ok(())
}

/// Adds one, and adds up what it sees.
#[derive(Clone, Default)]
struct Add {
    seen: LongCounter,
    largest: LongMaximum,
}

impl ProcessFunction<i64, i64> for Add {
    fn open(&mut self, context: &mut ProcessContext<'_>) -> flott::Result<()> {
        self.seen = context.long_counter("seen")?;
        self.largest = context.long_maximum("largest")?;
        Ok(())
    }

    fn process_element(
        &mut self,
        value: i64,
        _: &mut ProcessContext<'_>,
        out: &mut Collector<i64>,
    ) -> flott::Result<()> {
        self.seen.add(1);
        self.largest.add(value);
        out.collect(value + 1);
        Ok(())
    }
}

#[derive(clap::Args)]
struct NoArgs {}

fn hangs(_: &StreamExecutionEnvironment, _: NoArgs) -> flott::Result<()> {
    loop {
        std::thread::park();
    }
}

#[expect(clippy::panic, reason = "that is what it is for")]
fn panics(_: &StreamExecutionEnvironment, _: NoArgs) -> flott::Result<()> {
    panic!("no plan today")
}

fn nothing(_: &StreamExecutionEnvironment, _: NoArgs) -> flott::Result<()> {
    Ok(())
}

fn executes(env: &StreamExecutionEnvironment, _: NoArgs) -> flott::Result<()> {
    let collected = env.from_sequence(1, 3).execute_and_collect("collects")?;
    // Nothing was run: this is not reached.
    Err(flott::Error::internal(format!("{collected:?}")))
}

fn differs(env: &StreamExecutionEnvironment, _: NoArgs) -> flott::Result<()> {
    let is_worker = std::env::var_os(flott::cluster::worker::VARIABLE).is_some();
    let name = if is_worker { "in a worker" } else { "elsewhere" };
    env.from_sequence(1, 3).map(|n: i64| n).name(name).print();
    Ok(())
}

flott::main! {
    count, hangs, panics, nothing, executes, differs, word_totals, copy_lines, remember, backlog,
    visits_1, visits_2, visits_3, visits_4,
}
