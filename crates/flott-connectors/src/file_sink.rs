//! `sink_to_files`: text files that appear when the checkpoint that they belong to is complete.

mod files;
mod names;
mod part;
mod rolling;
mod state;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flott_core::codec::Data;
use flott_datastream::{DataStream, DataStreamSink};

use self::files::{Disk, Files};
use self::rolling::RollingPolicy;
use self::writer::FileWriter;

/// Writes streams to files.
pub trait SinkToFiles {
    /// Writes each record as a line of text (`{}`) to the files of `sink`.
    fn sink_to_files(self, sink: FileSink) -> DataStreamSink;
}

impl<T: Data + Display> SinkToFiles for DataStream<T> {
    fn sink_to_files(self, sink: FileSink) -> DataStreamSink {
        self.sink_to("File Sink", move |_| FileWriter::new(sink.clone()))
    }
}

/// A directory of part files; Flink's `FileSink`.
///
/// Each subtask writes to a part of its own. A part is *in progress* while records are added (its
/// name begins with a dot and ends with `.inprogress`), then *pending*: complete, but not to be
/// seen, because the checkpoint that its records belong to may still fail. When the checkpoint is
/// complete the part is *committed*: it gets its final name, `part-<run>-<subtask>-<number>`, in one
/// step, and never changes again. Readers that leave out names with a dot see every record exactly
/// once, whatever fails.
///
/// Without checkpointing parts are committed at the end of the input only.
///
/// Going back to an older checkpoint or savepoint works as long as the part that was in progress in
/// it has not been committed since; otherwise the job says so and does not start. Two jobs that are
/// started from the same savepoint must not run at once: both would go on with the same part.
#[derive(Clone)]
pub struct FileSink {
    directory: PathBuf,
    prefix: String,
    suffix: String,
    rolling: RollingPolicy,
    readers_take_parts: bool,
    files: Arc<dyn Files>,
}

impl FileSink {
    /// Writes to the files of a directory, which is created if it is missing.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            prefix: "part".into(),
            suffix: String::new(),
            rolling: RollingPolicy::default(),
            readers_take_parts: false,
            files: Arc::new(Disk),
        }
    }

    /// What the names of parts begin with: `part` by default.
    #[must_use]
    pub fn part_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What the names of parts end with, such as `.txt`: nothing by default.
    #[must_use]
    pub fn part_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.suffix = suffix.into();
        self
    }

    /// A part that is as long is closed: 128 MB by default.
    #[must_use]
    pub fn max_part_bytes(mut self, bytes: u64) -> Self {
        self.rolling.part_bytes_max = bytes;
        self
    }

    /// A part that is as old is closed: 60 s by default.
    #[must_use]
    pub fn rollover_interval(mut self, interval: Duration) -> Self {
        self.rolling.rollover = interval;
        self
    }

    /// A part that nothing was added to for as long is closed, after twice the time at the latest:
    /// 60 s by default.
    #[must_use]
    pub fn inactivity_interval(mut self, interval: Duration) -> Self {
        self.rolling.inactivity = interval;
        self
    }

    /// Closes the part at every checkpoint: what was written before a checkpoint can be read when it
    /// is complete. By default a part may stay in progress over many checkpoints.
    #[must_use]
    pub fn roll_on_checkpoint(mut self) -> Self {
        self.rolling.on_checkpoint = true;
        self
    }

    /// Says that readers move committed parts away or delete them. After a crash between commit and
    /// the next checkpoint, a part of which there is no trace is then taken for committed; without
    /// this the job fails, because the part may have been lost.
    #[must_use]
    pub fn readers_take_parts(mut self) -> Self {
        self.readers_take_parts = true;
        self
    }

    #[cfg(test)]
    fn on(mut self, files: Arc<dyn Files>) -> Self {
        self.files = files;
        self
    }
}
