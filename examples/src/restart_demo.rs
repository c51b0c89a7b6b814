//! Failing, and what happens then.

use flott::prelude::*;

use crate::word_totals::parse_word_count;

/// Running total per word; the word `bug` makes the job fail. Three failures in two minutes are
/// survived.
#[derive(clap::Args)]
pub(crate) struct RestartDemoArgs {
    /// The host to read lines from.
    #[arg(long)]
    host: String,
    /// The port to read lines from.
    #[arg(long)]
    port: u16,
}

pub(crate) fn restart_demo(
    env: &StreamExecutionEnvironment,
    args: RestartDemoArgs,
) -> flott::Result<()> {
    env.set_restart_strategy(RestartStrategy::failure_rate(3, minutes(2), seconds(5)));
    env.socket_text_stream(&args.host, args.port)
        .map(|line: String| {
            let (word, count) = parse_word_count(line)?;
            if word == "bug" {
                return Err(flott::Error::invalid("the word \"bug\" was found"));
            }
            Ok((word, count))
        })
        .key_by(|(word, _)| word.clone())
        .sum(|(_, count)| count)
        .print();
    Ok(())
}
