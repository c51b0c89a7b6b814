//! Checkpoint storage in memory: what `jobmanager` storage and the simulator use.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flott_core::{CheckpointId, Error, ErrorKind};

use crate::storage::{CheckpointStorage, METADATA_FILE, StoreError, checkpoint_folder};

/// Keeps the files of one job's checkpoints in memory, by path. They live as long as this value.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// The paths of all files, in order.
    pub fn paths(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// A panic of another thread cannot leave a file half written: each change is one map call.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writing the same bytes again succeeds: it is a retry of a write whose answer was lost.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut files = self.lock();
        match files.get(path) {
            Some(stored) if stored != bytes => Err(StoreError::Failed(Error::new(
                ErrorKind::Io,
                format!("{path} exists already, with other content"),
            ))),
            Some(_) => Ok(()),
            None => {
                files.insert(path.to_owned(), bytes.to_owned());
                Ok(())
            }
        }
    }
}

impl CheckpointStorage for MemoryStorage {
    fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn prepare_checkpoint(&self, _checkpoint: CheckpointId) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        self.create(path, bytes).map(|()| true)
    }

    fn create_metadata(&self, checkpoint: CheckpointId, bytes: &[u8]) -> Result<(), StoreError> {
        self.create(&format!("{}/{METADATA_FILE}", checkpoint_folder(checkpoint)), bytes)
    }

    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        let failed = |text| StoreError::Failed(Error::new(ErrorKind::Io, text));
        let files = self.lock();
        let bytes = files.get(path).ok_or_else(|| failed(format!("{path} does not exist")))?;
        let Some((offset, length)) = range else { return Ok(bytes.clone()) };
        let start = usize::try_from(offset).ok();
        let end = offset.checked_add(length).and_then(|end| usize::try_from(end).ok());
        let part = start.zip(end).and_then(|(start, end)| bytes.get(start..end));
        part.map(<[u8]>::to_vec).ok_or_else(|| {
            failed(format!("{path} has {} bytes, not {length} at {offset}", bytes.len()))
        })
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        let path = path.trim_end_matches('/');
        let is_inside = |file: &str| {
            file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.lock().retain(|file, _| !is_inside(file));
        Ok(())
    }

    /// Flink's text for a checkpoint that has no address.
    fn location(&self, _checkpoint: CheckpointId) -> String {
        "<checkpoint-not-externally-addressable>".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_whole_and_in_part() {
        let storage = MemoryStorage::new();
        assert!(storage.write("chk-1/a", b"hello").unwrap());
        assert_eq!(storage.read("chk-1/a", None).unwrap(), b"hello");
        assert_eq!(storage.read("chk-1/a", Some((1, 3))).unwrap(), b"ell");
        assert!(storage.read("chk-1/a", Some((1, u64::MAX))).is_err());
        assert!(storage.read("chk-1/b", None).is_err());
    }

    #[test]
    fn a_record_is_created_once_and_the_same_bytes_again_succeed() {
        let storage = MemoryStorage::new();
        storage.create_metadata(CheckpointId(1), b"record").unwrap();
        storage.create_metadata(CheckpointId(1), b"record").unwrap();
        let error = storage.create_metadata(CheckpointId(1), b"other").unwrap_err();
        assert!(error.into_error().to_string().contains("chk-1/_metadata exists already"));
    }

    #[test]
    fn deleting_a_folder_leaves_its_neighbours() {
        let storage = MemoryStorage::new();
        for path in ["chk-1/a", "chk-1/b", "chk-10/a"] {
            storage.write(path, b"x").unwrap();
        }
        storage.delete("chk-1").unwrap();
        storage.delete("chk-1").unwrap();
        assert_eq!(storage.paths(), ["chk-10/a"]);
    }
}
