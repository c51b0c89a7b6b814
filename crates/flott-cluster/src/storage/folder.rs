//! The checkpoints of a job, or a savepoint, in a folder of some store.

use std::hash::{BuildHasher, Hasher, RandomState};

use flott_checkpoint::storage::{CheckpointStorage, METADATA_FILE, StoreError, checkpoint_folder};
use flott_core::{CheckpointId, Error, ErrorKind, Result};

use super::place::{Place, Stores};
use super::store::Creation;

/// What makes the folder of a checkpoint visible where there are no empty ones.
pub(super) const BEGUN_FILE: &str = "_begun";

/// The checkpoints of one job, or a savepoint, in one folder.
pub(crate) struct CheckpointFolder {
    place: Place,
    /// Where files of others are read from, which are named by their whole path.
    stores: Stores,
    /// Whether all of it is one savepoint: then its record lies in the folder itself.
    is_savepoint: bool,
}

impl CheckpointFolder {
    /// In this place, where nothing need be yet.
    pub(crate) fn new(place: Place, stores: Stores) -> Self {
        Self { place, stores, is_savepoint: false }
    }

    /// One savepoint, in this place, where nothing need be yet.
    pub(crate) fn for_savepoint(place: Place, stores: Stores) -> Self {
        Self { is_savepoint: true, ..Self::new(place, stores) }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The folder of a checkpoint's record.
    fn record_folder(&self, checkpoint: CheckpointId) -> Place {
        if self.is_savepoint {
            self.place.clone()
        } else {
            self.place.join(&checkpoint_folder(checkpoint))
        }
    }

    fn inside(&self, relative: &str) -> Result<Place, StoreError> {
        let escapes = relative.split('/').any(|part| matches!(part, "" | "." | ".."));
        if escapes {
            return Err(StoreError::Failed(Error::new(
                ErrorKind::Corrupt,
                format!("\"{relative}\" is no path inside of a checkpoint directory"),
            )));
        }
        Ok(self.place.join(relative))
    }
}

impl CheckpointStorage for CheckpointFolder {
    fn prepare(&self) -> Result<(), StoreError> {
        for name in ["shared", "taskowned"] {
            self.place.join(name).make_folder()?;
        }
        prove_writable(&self.place)
    }

    fn prepare_checkpoint(&self, checkpoint: CheckpointId) -> Result<(), StoreError> {
        let folder = self.place.join(&checkpoint_folder(checkpoint));
        if folder.is_local() { folder.make_folder() } else { folder.join(BEGUN_FILE).write(b"") }
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        self.inside(path)?.write(bytes).map(|()| true)
    }

    fn create_metadata(&self, checkpoint: CheckpointId, bytes: &[u8]) -> Result<(), StoreError> {
        self.record_folder(checkpoint).join(METADATA_FILE).create_once(bytes)
    }

    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        // A job that started from another's checkpoint reads that one's files by their whole path.
        match self.stores.whole_path(path) {
            Some(place) => place.map_err(StoreError::Failed)?.read(range),
            None => self.inside(path)?.read(range),
        }
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.inside(path)?.delete()
    }

    fn location(&self, checkpoint: CheckpointId) -> String {
        self.record_folder(checkpoint).to_string()
    }
}

/// Proves that files can be created in a folder, and are created once only.
pub(crate) fn prove_writable(folder: &Place) -> Result<(), StoreError> {
    // Another process may try the same now.
    let random = RandomState::new().build_hasher().finish();
    let probe = folder.join(&format!(".probe-{random:016x}"));
    let first = probe.create(b"")?;
    let second = if folder.is_local() { Creation::Exists } else { probe.create(b"")? };
    probe.delete()?;
    if (first, second) == (Creation::Created, Creation::Exists) {
        return Ok(());
    }
    Err(StoreError::Failed(Error::invalid(format!(
        "\"{folder}\" cannot be used: this store ignores the condition that a file is created only if \
         there is none of its name (If-None-Match)"
    ))))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use flott_core::config::Configuration;

    use super::*;

    fn storage() -> (tempfile::TempDir, CheckpointFolder) {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::new(&Configuration::new());
        let place = stores.place(folder.path().to_str().unwrap()).unwrap().join("job");
        let storage = CheckpointFolder::new(place, stores);
        storage.prepare().unwrap();
        storage.prepare_checkpoint(CheckpointId(1)).unwrap();
        (folder, storage)
    }

    #[test]
    fn what_is_written_is_read_whole_and_in_parts() {
        let (_folder, storage) = storage();
        assert!(storage.write("chk-1/a.state", b"hello").unwrap());
        assert_eq!(storage.read("chk-1/a.state", None).unwrap(), b"hello");
        assert_eq!(storage.read("chk-1/a.state", Some((1, 3))).unwrap(), b"ell");
        assert!(storage.read("chk-1/a.state", Some((3, 3))).is_err());
    }

    #[test]
    fn a_file_is_never_replaced() {
        let (_folder, storage) = storage();
        storage.write("chk-1/a.state", b"one").unwrap();
        assert!(storage.write("chk-1/a.state", b"two").is_err());
        assert_eq!(storage.read("chk-1/a.state", None).unwrap(), b"one");
    }

    #[test]
    fn a_record_is_created_once_and_the_same_bytes_again_are_a_success() {
        let (_folder, storage) = storage();
        storage.create_metadata(CheckpointId(1), b"one").unwrap();
        storage.create_metadata(CheckpointId(1), b"one").unwrap();
        assert!(storage.create_metadata(CheckpointId(1), b"two").is_err());
        fs::create_dir_all(storage.place.join("chk-2/_metadata").to_string()).unwrap();
        let error = storage.create_metadata(CheckpointId(2), b"one").unwrap_err();
        assert!(matches!(error, StoreError::Failed(_)), "{error:?}");
        let left: Vec<_> = fs::read_dir(storage.place.join("chk-1").to_string()).unwrap().collect();
        assert_eq!(left.len(), 1, "a temporary file is left");
    }

    #[test]
    fn a_path_cannot_leave_the_folder() {
        let (_folder, storage) = storage();
        assert!(storage.read("../../etc/passwd", None).is_err());
        assert!(storage.delete("/etc/passwd").is_err());
        assert!(storage.delete("chk-1/..").is_err());
    }

    #[test]
    fn deleting_what_is_not_there_succeeds() {
        let (_folder, storage) = storage();
        storage.delete("chk-7").unwrap();
        storage.write("chk-1/a.state", b"hello").unwrap();
        storage.delete("chk-1").unwrap();
        storage.delete("chk-1").unwrap();
        assert!(storage.read("chk-1/a.state", None).is_err());
    }
}
