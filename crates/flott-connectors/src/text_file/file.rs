//! One file that is being read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use flott_core::{Error, ErrorKind, Result};

use super::listing::cannot_read;
use crate::lines::{self, LINE_BYTES_MAX};

const BUFFER_BYTES: usize = 64 << 10;

/// Reads whole lines from a position on.
pub(super) struct LineFile {
    path: String,
    reader: BufReader<File>,
    /// Where the next line begins.
    offset: u64,
    /// What was read of it.
    partial: Vec<u8>,
}

/// What [`LineFile::next_line`] found.
pub(super) enum Line {
    /// A line with its line end.
    Whole(String),
    /// The end of the file.
    End,
}

impl LineFile {
    pub(super) fn open(path: String, offset: u64) -> Result<Self> {
        let open = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(file)
        };
        let file = open().map_err(|error| cannot_read(&path, error))?;
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Self { path, reader, offset, partial: Vec::new() })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where the next line begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How far the file was read, including a line without a line end.
    pub(super) fn seen(&self) -> u64 {
        self.offset + self.partial.len() as u64
    }

    pub(super) fn next_line(&mut self) -> Result<Line> {
        let room = (LINE_BYTES_MAX + 1).saturating_sub(self.partial.len()) as u64;
        let read = (&mut self.reader).take(room).read_until(b'\n', &mut self.partial);
        read.map_err(|error: io::Error| cannot_read(&self.path, error))?;
        if self.partial.last() == Some(&b'\n') {
            return self.finish_line().map(Line::Whole);
        }
        if self.partial.len() > LINE_BYTES_MAX {
            return Err(self.bad_line("is too long, or has no line end"));
        }
        Ok(Line::End)
    }

    /// At the end of the file: what follows the last line end, if anything does.
    pub(super) fn last_line(&mut self) -> Result<Option<String>> {
        if self.partial.is_empty() { Ok(None) } else { self.finish_line().map(Some) }
    }

    fn finish_line(&mut self) -> Result<String> {
        let line = std::mem::take(&mut self.partial);
        let length = line.len() as u64;
        let text =
            lines::text(line).map_err(|error| self.bad_line(&format!("is not UTF-8: {error}")))?;
        self.offset += length;
        Ok(text)
    }

    fn bad_line(&self, what: &str) -> Error {
        let Self { path, offset, .. } = self;
        Error::new(
            ErrorKind::InvalidInput,
            format!("the line of \"{path}\" that begins at byte {offset} {what}"),
        )
    }
}
