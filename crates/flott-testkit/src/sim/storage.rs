//! The simulated disk, and how writes to it can go wrong.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flott_checkpoint::MemoryStorage;
use flott_checkpoint::storage::{CheckpointStorage, METADATA_FILE, StoreError, checkpoint_folder};
use flott_core::{CheckpointId, Error, ErrorKind};

/// What somebody is told whose read fails.
pub(crate) const READ_FAILED: &str = "the simulated disk is gone";

/// What happens to the next write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done, and that is known.
    #[default]
    Done,
    /// It is not done, and that is known.
    Failed,
    /// It is done, but the answer is lost.
    DoneUnknown,
    /// It is not done, and the answer is lost.
    LostUnknown,
    /// It is done later than anybody thinks, and the answer is lost.
    LateUnknown,
}

/// The folder of one job on a disk that all jobs share.
pub(crate) struct JobFolder {
    disk: Arc<MemoryStorage>,
    folder: String,
    /// Whether it is of savepoints: then each record has a folder of its own.
    is_of_savepoints: bool,
    next: Mutex<Outcome>,
    /// How many reads fail next.
    failing_reads: AtomicU32,
}

impl JobFolder {
    pub(crate) fn new(disk: Arc<MemoryStorage>, folder: String) -> Self {
        Self {
            disk,
            folder,
            is_of_savepoints: false,
            next: Mutex::default(),
            failing_reads: AtomicU32::new(0),
        }
    }

    /// The folder of the savepoints of a job.
    pub(crate) fn of_savepoints(disk: Arc<MemoryStorage>, folder: String) -> Self {
        Self { is_of_savepoints: true, ..Self::new(disk, folder) }
    }

    /// Where the record of a checkpoint is.
    pub(crate) fn record(&self, checkpoint: CheckpointId) -> String {
        let folder = checkpoint_folder(checkpoint);
        let name = if self.is_of_savepoints { "savepoint-" } else { "" };
        format!("{name}{folder}/{METADATA_FILE}")
    }

    /// Decides about the next write.
    pub(crate) fn next_write(&self, outcome: Outcome) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
    }

    /// So many reads fail next.
    pub(crate) fn fail_reads(&self, count: u32) {
        self.failing_reads.store(count, Ordering::Relaxed);
    }

    /// Reads, whatever is wrong with the way there.
    pub(crate) fn peek(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        self.disk.read(&self.absolute(path), None)
    }

    /// Everything below a folder, in the order in which it would be deleted: the record first, so
    /// that no record is ever without its files.
    pub(crate) fn below(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{}/", self.absolute(folder));
        let mut paths = self.disk.paths();
        paths.retain(|path| path.starts_with(&prefix));
        paths.sort_by_key(|path| !path.ends_with(METADATA_FILE));
        paths
    }

    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.folder) }
    }

    /// Creates a record, unless it is there already.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.absolute(path);
        let written = self.write_with(|| match self.disk.read(&path, None) {
            Ok(found) if found == bytes => Ok(true),
            Ok(_) => Err(StoreError::Failed(Error::new(ErrorKind::Io, "another record is there"))),
            Err(_) => self.disk.write(&path, bytes),
        });
        written.map(drop)
    }

    /// Writes as was decided.
    fn write_with(
        &self,
        write: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let outcome =
            std::mem::take(&mut *self.next.lock().unwrap_or_else(PoisonError::into_inner));
        let error = || Error::new(ErrorKind::Io, "the simulated disk says no");
        match outcome {
            Outcome::Done => write(),
            Outcome::Failed => Err(StoreError::Failed(error())),
            Outcome::DoneUnknown => write().and(Err(StoreError::Unknown(error()))),
            Outcome::LostUnknown | Outcome::LateUnknown => Err(StoreError::Unknown(error())),
        }
    }
}

impl CheckpointStorage for JobFolder {
    fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn prepare_checkpoint(&self, checkpoint: CheckpointId) -> Result<(), StoreError> {
        let begun = format!("{}/_begun", checkpoint_folder(checkpoint));
        self.write_with(|| self.disk.write(&self.absolute(&begun), b"")).map(drop)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        self.write_with(|| self.disk.write(&self.absolute(path), bytes))
    }

    fn create_metadata(&self, checkpoint: CheckpointId, bytes: &[u8]) -> Result<(), StoreError> {
        self.create(&self.record(checkpoint), bytes)
    }

    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        let left = self.failing_reads.load(Ordering::Relaxed);
        if left > 0 {
            self.failing_reads.store(left - 1, Ordering::Relaxed);
            return Err(StoreError::Failed(Error::new(ErrorKind::Io, READ_FAILED)));
        }
        self.disk.read(&self.absolute(path), range)
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.disk.delete(&self.absolute(path))
    }

    fn location(&self, checkpoint: CheckpointId) -> String {
        self.absolute(&checkpoint_folder(checkpoint))
    }
}
