//! The source: which files belong to the subtask, and how far each was read.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;

use flott_core::element::Barrier;
use flott_core::hash::stable_hash;
use flott_core::{Error, ErrorKind, MonoTime, Now, Result};
use flott_datastream::{
    Collector, OpenContext, OperatorListState, OperatorParts, Source, SourceStatus,
};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::TextFileSource;
use super::file::{Line, LineFile};
use super::listing::{cannot_read, list, no_files};
use crate::state::{self, OperatorStateBackend, Redistribution};

/// How far a file was read; what a checkpoint remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FilePosition {
    path: String,
    /// Where the next line begins, in bytes.
    offset: u64,
    /// Whether the file was read to its end, and is not to be read again.
    finished: bool,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    offset: u64,
    finished: bool,
    /// How long the file was when its end was reached last.
    seen: u64,
}

pub(super) struct FileReader {
    options: TextFileSource,
    subtask: u32,
    parallelism: u32,
    /// The files of this subtask.
    files: BTreeMap<String, Progress>,
    /// Those that have something to read, in the order in which they are read.
    unread: VecDeque<String>,
    current: Option<LineFile>,
    /// When to look for new files and lines.
    next_look: MonoTime,
    state: Option<(OperatorStateBackend, OperatorListState<FilePosition>)>,
}

impl FileReader {
    pub(super) fn new(options: TextFileSource) -> Self {
        Self {
            options,
            subtask: 0,
            parallelism: 1,
            files: BTreeMap::new(),
            unread: VecDeque::new(),
            current: None,
            next_look: MonoTime::default(),
            state: None,
        }
    }

    /// Files are dealt out by a hash of their path: a restored subtask picks its own from everyone's,
    /// whatever the parallelism was.
    fn is_mine(&self, path: &str) -> Result<bool> {
        let hash = stable_hash(path)?;
        Ok(hash % u64::from(self.parallelism) == u64::from(self.subtask))
    }

    /// Takes its files from a checkpoint.
    fn restore(&mut self, positions: &[FilePosition]) -> Result<()> {
        for FilePosition { path, offset, finished } in positions {
            if !self.is_mine(path)? {
                continue;
            }
            if !finished {
                let length = length(path)?;
                if length.is_none_or(|length| length < *offset) {
                    return Err(changed(path, *offset, length));
                }
            }
            let progress = Progress { offset: *offset, finished: *finished, seen: 0 };
            self.files.insert(path.clone(), progress);
        }
        Ok(())
    }

    /// Adds the files that are new.
    fn discover(&mut self) -> Result<()> {
        let found = list(&self.options.path)?;
        if found.is_empty() && self.options.interval.is_none() {
            return Err(no_files(&self.options.path));
        }
        for path in found {
            if self.is_mine(&path)? {
                self.files.entry(path).or_default();
            }
        }
        Ok(())
    }

    /// Queues the files that have grown since they were read last, and forgets deleted ones.
    fn look(&mut self) -> Result<()> {
        let mut deleted = Vec::new();
        for (path, progress) in &self.files {
            match length(path)? {
                // Someone saw the beginning of a line, and nobody will see its end.
                None if progress.seen > progress.offset => {
                    return Err(changed(path, progress.seen, None));
                }
                None => deleted.push(path.clone()),
                Some(length) if length < progress.offset => {
                    return Err(changed(path, progress.offset, Some(length)));
                }
                Some(length) if length != progress.seen => self.unread.push_back(path.clone()),
                Some(_) => {}
            }
        }
        for path in deleted {
            info!("\"{path}\" was read and is gone: it is followed no longer");
            self.files.remove(&path);
        }
        Ok(())
    }

    /// Reads up to `limit` lines; returns how many.
    fn read(&mut self, limit: usize, out: &mut Collector<String>) -> Result<usize> {
        let mut count = 0;
        while count < limit {
            let Some(file) = &mut self.current else {
                let Some(path) = self.unread.pop_front() else { break };
                let offset = self.files.get(&path).map_or(0, |progress| progress.offset);
                self.current = Some(LineFile::open(path, offset)?);
                continue;
            };
            match file.next_line()? {
                Line::Whole(line) => {
                    out.collect(line);
                    count += 1;
                }
                Line::End => {
                    if self.options.interval.is_none()
                        && let Some(line) = file.last_line()?
                    {
                        out.collect(line);
                        count += 1;
                    }
                    self.end_file();
                }
            }
        }
        self.save();
        Ok(count)
    }

    fn end_file(&mut self) {
        self.save();
        let Some(file) = self.current.take() else { return };
        if let Some(progress) = self.files.get_mut(file.path()) {
            progress.seen = file.seen();
            progress.finished = self.options.interval.is_none();
        }
    }

    /// Notes how far the current file was read.
    fn save(&mut self) {
        if let Some(file) = &self.current
            && let Some(progress) = self.files.get_mut(file.path())
        {
            progress.offset = file.offset();
        }
    }
}

impl Source<String> for FileReader {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        self.subtask = context.instance.subtask;
        self.parallelism = context.instance.parallelism;
        let mut backend = state::open(context);
        let positions = backend.list_state::<FilePosition>("files", Redistribution::Union)?;
        let restored = positions.get(&mut backend)?;
        self.restore(restored)?;
        // A bounded source lists its files once in its life: the list is in every checkpoint.
        if restored.is_empty() || self.options.interval.is_some() {
            self.discover()?;
        }
        let unread = self.files.iter().filter(|(_, progress)| !progress.finished);
        self.unread = unread.map(|(path, _)| path.clone()).collect();
        // Files that were begun come first.
        let begun = |path: &String| self.files.get(path).is_some_and(|file| file.offset > 0);
        self.unread.make_contiguous().sort_by_key(|path| !begun(path));
        self.next_look = context.now.mono.plus(self.options.interval.unwrap_or_default());
        context.report_unclaimed(backend.unclaimed());
        self.state = Some((backend, positions));
        Ok(())
    }

    fn poll(
        &mut self,
        limit: usize,
        out: &mut Collector<String>,
        now: Now,
    ) -> Result<SourceStatus> {
        let count = self.read(limit, out)?;
        if self.current.is_some() || !self.unread.is_empty() {
            return Ok(SourceStatus::More);
        }
        let Some(interval) = self.options.interval else { return Ok(SourceStatus::EndOfInput) };
        if now.mono >= self.next_look {
            self.next_look = now.mono.plus(interval);
            self.discover()?;
            self.look()?;
        }
        if count > 0 || !self.unread.is_empty() {
            return Ok(SourceStatus::More);
        }
        Ok(SourceStatus::Idle(Some(now.wall.plus(self.next_look.since(now.mono)))))
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        let (backend, state) = self.state.as_mut().ok_or_else(state::not_open)?;
        let positions = self.files.iter().map(|(path, progress)| FilePosition {
            path: path.clone(),
            offset: progress.offset,
            finished: progress.finished,
        });
        state.update(backend, positions.collect())?;
        parts.add_operator_state(backend.snapshot());
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.current = None;
        Ok(())
    }
}

/// How long a file is; nothing if there is none.
fn length(path: &str) -> Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_read(path, error)),
    }
}

/// A file is not what it was: lines would be lost or doubled.
fn changed(path: &str, offset: u64, length: Option<u64>) -> Error {
    let now = length.map_or("is gone".to_owned(), |length| format!("has only {length} bytes"));
    Error::new(
        ErrorKind::InvalidInput,
        format!(
            "\"{path}\" was read up to byte {offset} and {now}: put it back as it was, or start \
             the source without its state (under another uid)"
        ),
    )
}
