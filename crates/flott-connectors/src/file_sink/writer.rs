//! The sink's writer, with its two-phase commit.
//!
//! What may be lost when, and why it is not:
//! - Between two checkpoints: lines that no checkpoint has are written again by the restarted job;
//!   parts in progress are cut back to where the checkpoint was, parts that it does not know are
//!   deleted.
//! - In `prepare_commit`: everything that the checkpoint is about to name is on disk before it is
//!   named, file and directory entry.
//! - Between the completed checkpoint and the rename: the committables are in the checkpoint; the
//!   restarted job renames.
//! - Between the rename and its notice: the part is found under its final name with the right
//!   length, so it is committed.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use flott_core::{CheckpointId, Error, ErrorKind, Now, Result, Timestamp, WallTime};
use flott_datastream::{OperatorInstance, TwoPhaseCommitSink};
use tracing::info;

use super::FileSink;
use super::names::{Author, Names, in_progress, part_of};
use super::part::Part;
use super::state::{FileCommittable, FileWriterState};
use crate::state::Redistribution;

pub(super) struct FileWriter {
    sink: FileSink,
    names: Names,
    /// Nothing until the writer is open.
    author: Option<Author>,
    counter_next: u64,
    current: Option<Part>,
    /// Parts that are complete and were not handed out.
    sealed: Vec<FileCommittable>,
    /// Final names of parts that were handed out and are not committed.
    pending: Vec<String>,
    /// Whether a file was created that the directory on disk may not have.
    is_directory_dirty: bool,
}

impl FileWriter {
    pub(super) fn new(sink: FileSink) -> Self {
        let names = Names { prefix: sink.prefix.clone(), suffix: sink.suffix.clone() };
        Self {
            sink,
            names,
            author: None,
            counter_next: 0,
            current: None,
            sealed: Vec::new(),
            pending: Vec::new(),
            is_directory_dirty: false,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sink.directory.join(name)
    }

    fn failed(&self, what: &str, name: &str, error: io::Error) -> Error {
        let path = self.path(name);
        Error::with_source(ErrorKind::Io, format!("cannot {what} \"{}\"", path.display()), error)
    }

    fn length(&self, name: &str) -> Result<Option<u64>> {
        let length = self.sink.files.length(&self.path(name));
        length.map_err(|error| self.failed("look at", name, error))
    }

    /// How long a part is, in progress and committed, at one moment. Somebody else may be committing it: a process that
    /// was replaced, and has not heard of it.
    fn lengths(&self, hidden: &str, part: &str) -> Result<(Option<u64>, Option<u64>)> {
        let mut before = self.length(hidden)?;
        loop {
            let committed = self.length(part)?;
            let after = self.length(hidden)?;
            if before == after {
                return Ok((after, committed));
            }
            before = after;
        }
    }

    fn sync_directory(&self) -> Result<()> {
        let synced = self.sink.files.sync_directory(&self.sink.directory);
        synced.map_err(|error| self.failed("sync", "", error))
    }

    fn check_names(&self) -> Result<()> {
        let Names { prefix, suffix } = &self.names;
        let is_path = |text: &String| text.contains(['/', '\\', '\0']);
        if prefix.is_empty() || prefix.starts_with('.') || is_path(prefix) || is_path(suffix) {
            return Err(Error::invalid(format!(
                "parts cannot be called \"{prefix}…{suffix}\": the prefix must not be empty or \
                 begin with a dot, and prefix and suffix must be no paths"
            )));
        }
        Ok(())
    }

    /// Goes on with the parts that are this subtask's: its own, and those of subtasks that are no
    /// more. One part is enough to write to: the others are complete.
    fn resume(&mut self, mine: Vec<FileCommittable>) -> Result<()> {
        for content in mine {
            let hidden = in_progress(&content.part);
            let length = self.length(&hidden)?;
            if length.is_none_or(|length| length < content.length) {
                return Err(self.lost(&content, length)?);
            }
            let part = Part::resume(&*self.sink.files, &self.sink.directory, content);
            let part = part.map_err(|error| self.failed("go on with", &hidden, error))?;
            if self.current.is_some() {
                self.seal()?;
            }
            self.current = Some(part);
        }
        Ok(())
    }

    /// Deletes parts in progress that earlier attempts have left and that no state refers to.
    fn clean_up(
        &self,
        found: &[String],
        referenced: &BTreeSet<String>,
        runs: &BTreeSet<&str>,
        is_mine: impl Fn(u32) -> bool,
    ) -> Result<()> {
        for name in found {
            let Some(part) = part_of(name) else { continue };
            let Some((author, _)) = self.names.parse(part) else { continue };
            let is_ours = runs.contains(author.run.as_str()) && is_mine(author.subtask);
            if is_ours && !referenced.contains(part) {
                info!("deleting \"{name}\", which an earlier attempt has left");
                let removed = self.sink.files.remove(&self.path(name));
                removed.map_err(|error| self.failed("delete", name, error))?;
            }
        }
        Ok(())
    }

    fn create(&mut self) -> Result<Part> {
        let author = self.author.as_ref().ok_or_else(crate::state::not_open)?;
        let part = self.names.part(author, self.counter_next);
        let created = Part::create(&*self.sink.files, &self.sink.directory, part.clone());
        let created = created.map_err(|error| self.failed("create", &in_progress(&part), error))?;
        self.counter_next += 1;
        self.is_directory_dirty = true;
        Ok(created)
    }

    /// Completes the current part.
    fn seal(&mut self) -> Result<()> {
        let Some(mut part) = self.current.take() else { return Ok(()) };
        part.sync().map_err(|error| self.failed("write", &part.content.part, error))?;
        self.sealed.push(part.content);
        Ok(())
    }

    /// What to say when a part is not what the checkpoint says it is.
    fn lost(&self, content: &FileCommittable, found: Option<u64>) -> Result<Error> {
        let FileCommittable { part, length } = content;
        let hidden = self.path(&in_progress(part));
        let hidden = hidden.display();
        let committed = self.length(part)?.is_some();
        let message = match found {
            Some(found) => format!(
                "\"{hidden}\" has {found} bytes, and {length} belong to the checkpoint: something \
                 else has changed it, and data is lost; restore the file, or start the sink \
                 without its state (under another uid)"
            ),
            None if committed => format!(
                "\"{hidden}\" is gone, because it was committed as \"{part}\" after this \
                 checkpoint: start from the latest checkpoint, or remove what was written since \
                 and start the sink without its state (under another uid)"
            ),
            None => format!(
                "\"{hidden}\" is gone, and {length} bytes of it belong to the checkpoint: data is \
                 lost; restore the file, check that the sink's directory is the one that it was, \
                 or start the sink without its state (under another uid)"
            ),
        };
        Ok(Error::new(ErrorKind::Corrupt, message))
    }

    fn no_trace(&self, committable: &FileCommittable) -> Error {
        let FileCommittable { part, length } = committable;
        let directory = self.sink.directory.display();
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "cannot commit \"{part}\" ({length} bytes) in \"{directory}\": there is no trace \
                 of it, so data may be lost; restore the file, check that the sink's directory is \
                 the one that it was, or, if a reader has taken the committed part away, configure \
                 the sink with readers_take_parts()"
            ),
        )
    }
}

impl<T: Display> TwoPhaseCommitSink<T> for FileWriter {
    type Committable = FileCommittable;
    type WriterState = FileWriterState;

    fn writer_state_redistribution(&self) -> Redistribution {
        Redistribution::Union
    }

    fn open(&mut self, instance: &OperatorInstance, restored: Vec<FileWriterState>) -> Result<()> {
        self.check_names()?;
        let created = self.sink.files.create_directory(&self.sink.directory);
        created.map_err(|error| self.failed("create the directory", "", error))?;
        let found = self.sink.files.list(&self.sink.directory);
        let found = found.map_err(|error| self.failed("list", "", error))?;
        let mut author = Author::of(instance);
        if let Some(old) = restored.first() {
            // Goes on with the run of the checkpoint, also in another job: so whoever starts from it
            // next finds what this attempt leaves, even if it completes no checkpoint.
            author.run.clone_from(&old.run);
        }
        let OperatorInstance { subtask, parallelism, .. } = *instance;
        // Subtasks that are no more are looked after by those that are left.
        let is_mine = |owner: u32| {
            owner == subtask || (owner >= parallelism && owner % parallelism == subtask)
        };

        // A counter never comes again: not one of a checkpoint, not one of a file.
        let counted = restored.iter().filter(|old| old.run == author.run && old.subtask == subtask);
        let counted = counted.map(|old| old.counter_next);
        let used = found.iter().filter_map(|name| self.names.parse(part_of(name).unwrap_or(name)));
        let used = used.filter(|(by, _)| *by == author).map(|(_, counter)| counter + 1);
        self.counter_next = counted.chain(used).max().unwrap_or(0);

        let in_progress = restored.iter().filter_map(|old| old.in_progress.as_ref());
        let referenced: BTreeSet<String> = in_progress
            .map(|content| &content.part)
            .chain(restored.iter().flat_map(|old| &old.pending))
            .cloned()
            .collect();
        let mut runs: BTreeSet<&str> = restored.iter().map(|old| old.run.as_str()).collect();
        runs.insert(&author.run);
        self.clean_up(&found, &referenced, &runs, is_mine)?;

        self.author = Some(author);
        let mine = restored.into_iter().filter(|old| is_mine(old.subtask));
        self.resume(mine.filter_map(|old| old.in_progress).collect())
    }

    fn write(&mut self, record: T, _: Timestamp) -> Result<()> {
        let mut part = match self.current.take() {
            Some(part) => part,
            None => self.create()?,
        };
        part.add(record).map_err(|error| self.failed("write", &part.content.part, error))?;
        let full = part.content.length >= self.sink.rolling.part_bytes_max;
        self.current = Some(part);
        if full { self.seal() } else { Ok(()) }
    }

    fn prepare_commit(&mut self, _: CheckpointId) -> Result<Vec<FileCommittable>> {
        if self.sink.rolling.on_checkpoint {
            self.seal()?;
        }
        if let Some(mut part) = self.current.take() {
            part.sync().map_err(|error| self.failed("write", &part.content.part, error))?;
            self.current = Some(part);
        }
        if self.is_directory_dirty {
            self.sync_directory()?;
            self.is_directory_dirty = false;
        }
        let committables = std::mem::take(&mut self.sealed);
        self.pending.extend(committables.iter().map(|committable| committable.part.clone()));
        Ok(committables)
    }

    fn writer_state(&mut self, _: CheckpointId) -> Result<Vec<FileWriterState>> {
        let author = self.author.as_ref().ok_or_else(crate::state::not_open)?;
        Ok(vec![FileWriterState {
            run: author.run.clone(),
            subtask: author.subtask,
            counter_next: self.counter_next,
            in_progress: self.current.as_ref().map(|part| part.content.clone()),
            pending: self.pending.clone(),
        }])
    }

    fn commit(&mut self, committable: &FileCommittable) -> Result<()> {
        let FileCommittable { part, length } = committable;
        let hidden = in_progress(part);
        match self.lengths(&hidden, part)? {
            (Some(found), None) if found == *length => {
                let renamed = self.sink.files.rename(&self.path(&hidden), &self.path(part));
                if let Err(error) = renamed
                    && self.lengths(&hidden, part)? != (None, Some(*length))
                {
                    return Err(self.failed("commit", part, error));
                }
            }
            (Some(found), None) => return Err(self.lost(committable, Some(found))?),
            // It was committed before; whether that was durable nobody knows.
            (None, Some(found)) if found == *length => {}
            (None, None) if self.sink.readers_take_parts => {}
            (None, None) => return Err(self.no_trace(committable)),
            (Some(_) | None, Some(_)) => {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!(
                        "cannot commit \"{}\": there is another file of that name, which is not \
                         overwritten; move it away",
                        self.path(part).display()
                    ),
                ));
            }
        }
        self.sync_directory()?;
        self.pending.retain(|pending| pending != part);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.seal()
    }

    fn close(&mut self) -> Result<()> {
        // What is on disk stays: only a restored writer knows what is needed.
        self.current = None;
        Ok(())
    }

    fn next_processing_time(&self) -> Option<WallTime> {
        self.current.as_ref().map(|part| part.age.next_look(&self.sink.rolling))
    }

    fn on_processing_time(&mut self, now: Now) -> Result<()> {
        let over = |part: &mut Part| part.age.is_over(&self.sink.rolling, now.wall);
        if self.current.as_mut().is_some_and(over) { self.seal() } else { Ok(()) }
    }
}
