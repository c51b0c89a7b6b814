//! Copies of the state that this machine's workers have written, on its own disk: a worker that takes the place of
//! one that died reads them instead of asking the checkpoint storage
//! (`execution.checkpointing.local-backup.enabled`).
//!
//! A copy is only ever worth time: one that is missing or damaged is read from where it belongs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flott_checkpoint::storage::{CheckpointStorage, StoreError};
use flott_core::CheckpointId;
use tracing::{debug, warn};

use super::local;

/// The storage of a job, of which copies are kept.
pub(crate) struct Copies {
    storage: Arc<dyn CheckpointStorage>,
    folder: PathBuf,
    /// Copies that were found to be whole.
    whole: Mutex<BTreeSet<PathBuf>>,
}

impl Copies {
    /// Copies of what is in `storage`, in a folder that the workers of one job on this machine share.
    pub(crate) fn new(storage: Arc<dyn CheckpointStorage>, folder: PathBuf) -> Self {
        Self { storage, folder, whole: Mutex::default() }
    }

    /// A checkpoint is complete: nobody starts from an older one.
    pub(crate) fn completed(&self, checkpoint: CheckpointId) {
        let kept = |name: &str| {
            name.strip_prefix("chk-")
                .and_then(|id| id.parse().ok())
                .is_some_and(|id: u64| id >= checkpoint.0)
        };
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if !kept(&entry.file_name().to_string_lossy()) {
                // Another worker may be deleting it, too.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// The job is over.
    pub(crate) fn clear(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }

    fn keep(&self, path: &str, bytes: &[u8]) {
        let file = self.folder.join(path);
        let folder = file.parent().unwrap_or(&self.folder);
        let written = fs::create_dir_all(folder).and_then(|()| {
            let new = tempfile::NamedTempFile::new_in(folder)?;
            fs::write(new.path(), bytes)?;
            new.persist(&file)?;
            Ok(())
        });
        if let Err(error) = written {
            warn!("{} is not copied: {error}", file.display());
        }
    }

    /// A range of a copy, if there is a whole one.
    fn find(&self, path: &str, range: Option<(u64, u64)>) -> Option<Vec<u8>> {
        // What is named by its whole path was written by another job.
        let is_own = Path::new(path).is_relative() && !path.contains("://") && !path.contains("..");
        let file = self.folder.join(path);
        if !is_own || !file.exists() || !self.is_whole(&file) {
            return None;
        }
        let read = local::read(&file, range).ok();
        if read.is_some() {
            debug!("{path} is read from a copy on this machine");
        }
        read
    }

    fn is_whole(&self, file: &Path) -> bool {
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if whole.contains(file) {
            return true;
        }
        let is_whole = fs::read(file).is_ok_and(|bytes| flott_state::check_file(&bytes).is_ok());
        if is_whole {
            whole.insert(file.to_path_buf());
        } else {
            warn!("{} is damaged, and not used.", file.display());
        }
        is_whole
    }
}

impl CheckpointStorage for Copies {
    fn prepare(&self) -> Result<(), StoreError> {
        self.storage.prepare()
    }

    fn prepare_checkpoint(&self, checkpoint: CheckpointId) -> Result<(), StoreError> {
        self.storage.prepare_checkpoint(checkpoint)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        let is_file = self.storage.write(path, bytes)?;
        if is_file {
            self.keep(path, bytes);
        }
        Ok(is_file)
    }

    fn create_metadata(&self, checkpoint: CheckpointId, bytes: &[u8]) -> Result<(), StoreError> {
        self.storage.create_metadata(checkpoint, bytes)
    }

    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        self.find(path, range).map_or_else(|| self.storage.read(path, range), Ok)
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.storage.delete(path)
    }

    fn location(&self, checkpoint: CheckpointId) -> String {
        self.storage.location(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use flott_checkpoint::MemoryStorage;

    use super::*;

    /// A state file.
    fn state() -> Vec<u8> {
        use flott_state::snapshot::{MAGIC, VERSION};
        let body = b"some state";
        let checksum = flott_core::codec::checksum(body).to_le_bytes();
        let length = (body.len() as u64).to_le_bytes();
        [&MAGIC[..], &VERSION.to_le_bytes(), &checksum, &length, body].concat()
    }

    #[test]
    fn a_copy_is_read_if_it_is_whole_and_else_the_storage() {
        let folder = tempfile::tempdir().unwrap();
        let (storage, state) = (Arc::new(MemoryStorage::new()), state());
        let own = folder.path().join("job");
        let copies = || Copies::new(storage.clone(), own.clone());
        for path in ["chk-1/a.state", "chk-2/a.state"] {
            copies().write(path, &state).unwrap();
        }
        storage.delete("chk-2").unwrap();
        assert_eq!(copies().read("chk-2/a.state", None).unwrap(), state);
        assert_eq!(copies().read("chk-2/a.state", Some((3, 5))).unwrap(), state[3..8]);
        assert!(copies().read("/job/chk-2/a.state", None).is_err(), "it is another job's");

        let mut damaged = state.clone();
        damaged[state.len() / 2] ^= 1;
        fs::write(own.join("chk-1/a.state"), &damaged).unwrap();
        assert_eq!(copies().read("chk-1/a.state", None).unwrap(), state);

        copies().completed(CheckpointId(2));
        assert!(!own.join("chk-1").exists() && own.join("chk-2").exists());
        copies().clear();
        assert!(copies().read("chk-2/a.state", None).is_err());
        assert_eq!(copies().read("chk-1/a.state", None).unwrap(), state);
    }
}
