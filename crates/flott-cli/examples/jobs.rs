//! A job binary for the tests of `flott info`: jobs whose functions do what they should not.

use flott::prelude::*;

/// Counts up.
#[derive(clap::Args)]
struct CountArgs {
    /// How far.
    #[arg(long)]
    to: i64,
}

fn count(env: &StreamExecutionEnvironment, args: CountArgs) -> flott::Result<()> {
    env.from_sequence(1, args.to).map(|n: i64| n + 1).name("add").print();
    Ok(())
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

flott::main! { count, hangs, panics, nothing, executes }
