//! The job binaries that a TaskManager has fetched.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use flott_core::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio_stream::StreamExt as _;

use super::TaskManagerConfig;
use crate::rpc::Client;
use crate::work_folder::WorkFolder;

/// Binaries by their SHA-256, in a directory that ends with the TaskManager.
#[derive(Clone)]
pub(super) struct Blobs {
    directory: Arc<WorkFolder>,
    storage_max: u64,
}

impl Blobs {
    pub(super) fn new(config: &TaskManagerConfig) -> Result<Self> {
        let directory = WorkFolder::new(config.tmp_dir.as_deref(), "flott-taskmanager-")?;
        Ok(Self { directory: Arc::new(directory), storage_max: config.storage_max })
    }

    /// Where workers keep copies of the state that they write.
    pub(super) fn local_state(&self) -> PathBuf {
        self.directory.path().join("localState")
    }

    /// The file of a binary: fetched, unless it is there.
    ///
    /// # Errors
    /// If the JobManager does not have it, or what comes is something else.
    pub(super) async fn get(&self, sha256: &str, client: &mut Client) -> Result<PathBuf> {
        let path = self.directory.path().join(sha256);
        if path.exists() {
            return Ok(path);
        }
        let io = |e| Error::with_source(ErrorKind::Io, "a job binary cannot be kept", e);
        let mut pieces = client.binary(sha256).await?;
        let mut file = NamedTempFile::new_in(self.directory.path()).map_err(io)?;
        let (mut hash, mut size) = (Sha256::new(), 0);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|status| {
                let what = format!("a job binary cannot be fetched: {}", status.message());
                Error::new(ErrorKind::Io, what)
            })?;
            size += piece.len() as u64;
            self.make_room(size)?;
            hash.update(&piece);
            file.write_all(&piece).map_err(io)?;
        }
        let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found != sha256 {
            let what = format!("a job binary was damaged on its way: {found} is not {sha256}");
            return Err(Error::new(ErrorKind::Io, what));
        }
        // Closed before it is started: a file that is open for writing cannot be.
        let temporary = file.into_temp_path();
        fs::set_permissions(&temporary, Permissions::from_mode(0o700)).map_err(io)?;
        temporary.persist(&path).map_err(|e| io(e.error))?;
        Ok(path)
    }

    /// Deletes the oldest binaries until there is room for one of `size` bytes. Workers that were
    /// started from them go on.
    fn make_room(&self, size: u64) -> Result<()> {
        let io = |e| Error::with_source(ErrorKind::Io, "job binaries cannot be listed", e);
        let mut kept = Vec::new();
        for entry in fs::read_dir(self.directory.path()).map_err(io)? {
            let (path, meta) =
                entry.and_then(|entry| Ok((entry.path(), entry.metadata()?))).map_err(io)?;
            // Others are on their way.
            if path.file_name().is_some_and(|name| name.len() == 64) {
                kept.push((meta.modified().map_err(io)?, meta.len(), path));
            }
        }
        kept.sort();
        let mut used: u64 = kept.iter().map(|(_, size, _)| size).sum();
        for (_, bytes, path) in kept {
            if used.saturating_add(size) <= self.storage_max {
                break;
            }
            fs::remove_file(path).map_err(io)?;
            used -= bytes;
        }
        if used.saturating_add(size) > self.storage_max {
            return Err(Error::invalid(format!(
                "a job binary is larger than {} bytes (blob.storage.max-size)",
                self.storage_max
            )));
        }
        Ok(())
    }
}
