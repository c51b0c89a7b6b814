//! What checkpoints, savepoints and job records need of whatever keeps files.

use flott_checkpoint::storage::StoreError;
use flott_core::{Result, WallTime};

/// Files under names. Names have parts between slashes; folders are what names begin with, and a store
/// need not know them.
pub(crate) trait Store: Send + Sync {
    /// Makes a folder, where folders are made.
    ///
    /// # Errors
    /// If nothing can be created in it.
    fn make_folder(&self, path: &str) -> Result<(), StoreError>;

    /// Creates a file, whole or not at all and for good, unless there is one of that name.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if it may or may not be there now.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<Creation, StoreError>;

    /// Writes a file whose name nobody else uses, whole or not at all and for good. There may be what an
    /// earlier try has left.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if it may or may not be there now.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Reads a range of a file, from an offset so many bytes; without a range, all of it.
    ///
    /// # Errors
    /// Of kind `Corrupt` if the file is missing or shorter.
    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError>;

    /// What is in a folder, in no order. A folder that is not there may be empty, or an error.
    ///
    /// # Errors
    /// If that cannot be known.
    fn list(&self, folder: &str) -> Result<Vec<Entry>>;

    /// All files in a folder, and in those in it, in no order; none if there is no such folder.
    ///
    /// # Errors
    /// If that cannot be known.
    fn files(&self, folder: &str) -> Result<Vec<FileInfo>>;

    /// What there is of this name.
    ///
    /// # Errors
    /// If that cannot be known.
    fn find(&self, path: &str) -> Result<Found>;

    /// Deletes a file, or a folder with everything in it: a record before what it names. Deleting what is not
    /// there succeeds.
    ///
    /// # Errors
    /// If something is left.
    fn delete(&self, path: &str) -> Result<(), StoreError>;

    /// Deletes a folder in which nothing is; others stay.
    ///
    /// # Errors
    /// If that cannot be done.
    fn delete_if_empty(&self, folder: &str) -> Result<(), StoreError>;
}

/// What became of [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creation {
    Created,
    /// There is one of that name already.
    Exists,
}

/// What is in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_folder: bool,
}

/// A file in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileInfo {
    /// From the folder on, with slashes between its parts.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// When it was written last.
    pub(crate) modified: WallTime,
}

/// What there is of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    File,
    Folder,
    Nothing,
}
