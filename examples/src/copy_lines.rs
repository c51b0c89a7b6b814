//! Text files to text files, every line exactly once.

use std::path::PathBuf;

use flott::prelude::*;

/// Copies lines of text to the part files of a directory. A part appears when the checkpoint that it
/// belongs to is complete: after a crash, start with `-s` from the newest one, and no line is lost or
/// written twice.
#[derive(clap::Args)]
pub(crate) struct CopyLinesArgs {
    /// The file, directory or glob to read lines from.
    #[arg(long)]
    from: String,
    /// Go on when all files are read, and wait for more.
    #[arg(long)]
    follow: bool,
    /// The directory to write to.
    #[arg(long)]
    to: PathBuf,
    /// Close parts that are as long, in bytes, instead of a part at every checkpoint.
    #[arg(long)]
    part_bytes: Option<u64>,
}

pub(crate) fn copy_lines(
    env: &StreamExecutionEnvironment,
    args: CopyLinesArgs,
) -> flott::Result<()> {
    env.enable_checkpointing(seconds(1));
    let files = TextFileSource::new(args.from);
    let files = if args.follow { files.monitor_continuously(millis(100)) } else { files };
    let parts = FileSink::new(args.to);
    env.read_text_file_with(files).sink_to_files(match args.part_bytes {
        Some(bytes) => parts.max_part_bytes(bytes),
        None => parts.roll_on_checkpoint(),
    });
    Ok(())
}
