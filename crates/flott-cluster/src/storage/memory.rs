//! Checkpoints in memory, of a job that may have started from one on disk.

use flott_checkpoint::MemoryStorage;
use flott_checkpoint::storage::{CheckpointStorage, StoreError};
use flott_core::CheckpointId;

use super::place::Stores;

/// `jobmanager` storage: writes to memory. What the job started from is read from where it is.
pub(super) struct JobManagerStorage {
    own: MemoryStorage,
    stores: Stores,
}

impl JobManagerStorage {
    pub(super) fn new(stores: Stores) -> Self {
        Self { own: MemoryStorage::default(), stores }
    }
}

impl CheckpointStorage for JobManagerStorage {
    fn prepare(&self) -> Result<(), StoreError> {
        self.own.prepare()
    }

    fn prepare_checkpoint(&self, checkpoint: CheckpointId) -> Result<(), StoreError> {
        self.own.prepare_checkpoint(checkpoint)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        self.own.write(path, bytes)
    }

    fn create_metadata(&self, checkpoint: CheckpointId, bytes: &[u8]) -> Result<(), StoreError> {
        self.own.create_metadata(checkpoint, bytes)
    }

    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        match self.stores.whole_path(path) {
            Some(place) => place.map_err(StoreError::Failed)?.read(range),
            None => self.own.read(path, range),
        }
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.own.delete(path)
    }

    fn location(&self, checkpoint: CheckpointId) -> String {
        self.own.location(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use flott_core::config::Configuration;

    use super::*;

    #[test]
    fn files_of_another_job_are_read_and_never_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.state");
        std::fs::write(&path, "hello").unwrap();
        let path = path.to_str().unwrap();
        let storage = JobManagerStorage::new(Stores::new(&Configuration::new()));
        assert_eq!(storage.read(path, Some((1, 3))).unwrap(), b"ell");
        storage.delete(path).unwrap();
        assert_eq!(storage.read(path, None).unwrap(), b"hello");
        assert!(storage.read("chk-1/a.state", None).is_err());
    }
}
