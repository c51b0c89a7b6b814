//! What a line that cannot be parsed does.

use flott::prelude::*;

/// Prints one integer per line; a line that is no integer fails the task, three times at most.
#[derive(clap::Args)]
pub(crate) struct ParseNumbersArgs {
    /// The host to read lines from.
    #[arg(long)]
    host: String,
    /// The port to read lines from.
    #[arg(long)]
    port: u16,
}

pub(crate) fn parse_numbers(
    env: &StreamExecutionEnvironment,
    args: ParseNumbersArgs,
) -> flott::Result<()> {
    env.set_restart_strategy(RestartStrategy::fixed_delay(3, seconds(1)));
    env.socket_text_stream(&args.host, args.port).map(parse).name("parse").print();
    Ok(())
}

fn parse(line: String) -> flott::Result<i64> {
    line.trim()
        .parse::<i64>()
        .map_err(|e| flott::Error::from(e).context(format!("the line \"{line}\" is no integer")))
}
