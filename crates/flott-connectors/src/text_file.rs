//! `read_text_file`: lines of files.

mod file;
mod listing;
mod source;
#[cfg(test)]
mod tests;

use std::time::Duration;

use flott_datastream::{DataStream, StreamExecutionEnvironment};

use self::source::FileReader;

/// How often [`TextFileSource::follow`] looks for new lines.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Reads text files.
pub trait ReadTextFile {
    /// The lines of a file, of the files of a directory, or of the files that a glob pattern
    /// (`logs/2026-*.txt`) matches; see [`TextFileSource`]. The stream ends after the last line.
    fn read_text_file(&self, path: &str) -> DataStream<String>;

    /// As [`ReadTextFile::read_text_file`], with options.
    fn read_text_file_with(&self, source: TextFileSource) -> DataStream<String>;
}

impl ReadTextFile for StreamExecutionEnvironment {
    fn read_text_file(&self, path: &str) -> DataStream<String> {
        self.read_text_file_with(TextFileSource::new(path))
    }

    fn read_text_file_with(&self, source: TextFileSource) -> DataStream<String> {
        let bounded = source.interval.is_none();
        let lines = self.add_source("File Source", move |_| FileReader::new(source.clone()));
        if bounded { lines.bounded() } else { lines }
    }
}

/// Which files to read, and whether to wait for more.
///
/// Of a directory, its files are read, not those of its subdirectories; files whose names begin
/// with `.` or `_` are left out, because other programs name what is not finished so. Lines end
/// with `\n` or `\r\n`, and are UTF-8. Each file is read by one subtask, from its start to its end;
/// lines of different files come in no particular order.
///
/// A checkpoint remembers how far each file was read: every line comes exactly once, as long as
/// files do not change except by growing at their end. A restored source goes on with the files
/// that the checkpoint knows: one that is missing, or has become shorter, is an error.
#[derive(Clone, Debug)]
pub struct TextFileSource {
    path: String,
    /// How often to look for new files and lines; never if there is no number.
    interval: Option<Duration>,
}

impl TextFileSource {
    /// A file, a directory or a glob pattern. Which files there are is looked up once, when the job
    /// starts for the first time; if there are none, the job fails.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), interval: None }
    }

    /// Goes on for ever: looks every `interval` for new files, and for lines that were added to
    /// known ones. A last line without a line end is read when it has got one. A file that was read
    /// to its end and is deleted then is forgotten; every other is remembered for the life of the
    /// job.
    #[must_use]
    pub fn monitor_continuously(mut self, interval: Duration) -> Self {
        // Without a pause the task would not rest.
        self.interval = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// As [`TextFileSource::monitor_continuously`], once a second.
    #[must_use]
    pub fn follow(self) -> Self {
        self.monitor_continuously(FOLLOW_INTERVAL)
    }
}
