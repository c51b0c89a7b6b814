//! A part in progress.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use super::files::{Files, PartFile};
use super::names::in_progress;
use super::rolling::Age;
use super::state::FileCommittable;

/// How much is collected before it is written.
const BUFFER_BYTES: usize = 64 << 10;

/// A part that lines are added to.
pub(super) struct Part {
    /// Its final name, and how long it is, with what is still in the buffer.
    pub(super) content: FileCommittable,
    pub(super) age: Age,
    file: Box<dyn PartFile>,
    buffer: Vec<u8>,
}

impl Part {
    pub(super) fn create(files: &dyn Files, directory: &Path, part: String) -> io::Result<Self> {
        let file = files.create(&directory.join(in_progress(&part)))?;
        Ok(Self::new(file, FileCommittable { part, length: 0 }))
    }

    /// Goes on with a part. What was added to it after the checkpoint is cut off.
    pub(super) fn resume(
        files: &dyn Files,
        directory: &Path,
        content: FileCommittable,
    ) -> io::Result<Self> {
        let file = files.reopen(&directory.join(in_progress(&content.part)), content.length)?;
        Ok(Self::new(file, content))
    }

    fn new(file: Box<dyn PartFile>, content: FileCommittable) -> Self {
        Self { content, age: Age::default(), file, buffer: Vec::with_capacity(BUFFER_BYTES) }
    }

    pub(super) fn add(&mut self, line: impl Display) -> io::Result<()> {
        let before = self.buffer.len();
        writeln!(self.buffer, "{line}")?;
        self.content.length += (self.buffer.len() - before) as u64;
        self.age.written();
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Makes what was added survive a loss of power.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.flush()?;
        }
        self.file.sync()
    }
}
