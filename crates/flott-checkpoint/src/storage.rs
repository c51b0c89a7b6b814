//! What the rest of Flott asks of checkpoint storage. Implementations live in loud crates, except
//! the one in memory.

use flott_core::{CheckpointId, Error};

/// Where checkpoints of one job are kept. Paths are relative to the job's folder and use `/`.
///
/// Implementations must make what they acknowledge durable, and must never show a partly written
/// file under its final name.
pub trait CheckpointStorage: Send + Sync {
    /// Creates the job's folders (`shared/`, `taskowned/`) and proves that they can be written.
    ///
    /// # Errors
    /// If they cannot: the job does not start.
    fn prepare(&self) -> Result<(), StoreError>;

    /// Creates the folder of a checkpoint. From now on, whoever lists the job's folder sees that its number is
    /// used.
    ///
    /// # Errors
    /// If that fails: the checkpoint fails.
    fn prepare_checkpoint(&self, checkpoint: CheckpointId) -> Result<(), StoreError>;

    /// Writes a new file. `Ok(false)`: this storage keeps no files, put the bytes in the metadata.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if the file may or may not exist now.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<bool, StoreError>;

    /// Creates the completed record `chk-<n>/_metadata` unless it exists: the moment in which a
    /// checkpoint comes to be. A record with the same bytes is this one, written by an earlier try:
    /// that is a success.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if the record may or may not exist now.
    fn create_metadata(&self, checkpoint: CheckpointId, bytes: &[u8]) -> Result<(), StoreError>;

    /// Reads a range of a file; without a range, all of it.
    ///
    /// # Errors
    /// If the file is missing or shorter.
    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError>;

    /// Deletes a file, or a folder with everything in it. Deleting what does not exist succeeds.
    ///
    /// # Errors
    /// If something is left.
    fn delete(&self, path: &str) -> Result<(), StoreError>;

    /// What people call the place of a checkpoint: a URL, or a description.
    fn location(&self, checkpoint: CheckpointId) -> String;
}

/// The file name of the completed record.
pub const METADATA_FILE: &str = "_metadata";

/// The folder of a checkpoint, relative to the job's folder.
pub fn checkpoint_folder(checkpoint: CheckpointId) -> String {
    format!("chk-{checkpoint}")
}

/// The checkpoint in whose folder a file lies, if it lies in one.
pub fn checkpoint_of(path: &str) -> Option<CheckpointId> {
    let (folder, name) = path.split_once('/')?;
    let id = CheckpointId(folder.strip_prefix("chk-")?.parse().ok()?);
    let is_file = !name.contains('/') && !["", ".", ".."].contains(&name);
    (is_file && checkpoint_folder(id) == folder).then_some(id)
}

/// How an operation on storage went wrong.
#[derive(Debug)]
pub enum StoreError {
    /// It did not happen.
    Failed(Error),
    /// It may or may not have happened: look before acting.
    Unknown(Error),
}

impl StoreError {
    /// The error, whichever it is.
    pub fn into_error(self) -> Error {
        match self {
            Self::Failed(error) | Self::Unknown(error) => error,
        }
    }
}
