//! Running totals per word.

use flott::prelude::*;

/// Running total per word, from lines like `hello,1`.
#[derive(clap::Args)]
#[group(id = "input", required = true, multiple = true)]
pub(crate) struct WordTotalsArgs {
    /// The host to read lines from.
    #[arg(long, requires = "port")]
    host: Option<String>,
    /// The port to read lines from.
    #[arg(long, requires = "host")]
    port: Option<u16>,
    /// The file, directory or glob to read lines from instead.
    #[arg(long, conflicts_with = "host")]
    file: Option<String>,
    /// Go on when all files are read, and wait for more.
    #[arg(long, requires = "file")]
    follow: bool,
}

pub(crate) fn word_totals(
    env: &StreamExecutionEnvironment,
    args: WordTotalsArgs,
) -> flott::Result<()> {
    env.enable_checkpointing(seconds(1));
    let lines = match (args.file, args.host, args.port) {
        (Some(file), ..) if args.follow => {
            env.read_text_file_with(TextFileSource::new(file).follow())
        }
        (Some(file), ..) => env.read_text_file(&file),
        (None, host, port) => {
            env.socket_text_stream(&host.unwrap_or_default(), port.unwrap_or_default())
        }
    };
    lines.map(parse_word_count).key_by(|(word, _)| word.clone()).sum(|(_, count)| count).print();
    Ok(())
}

/// `hello,1` is the word `hello`, counted once.
pub(crate) fn parse_word_count(line: String) -> flott::Result<(String, i64)> {
    let bad = || flott::Error::invalid(format!("the line \"{line}\" is not `word,number`"));
    let (word, number) = line.split_once(',').ok_or_else(bad)?;
    Ok((word.trim().to_owned(), number.trim().parse().map_err(|_| bad())?))
}
