//! A folder of this process, for as long as it lives. One that is killed cannot clear up after itself: the next
//! one does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flott_core::{Error, ErrorKind, Result};
use tempfile::TempDir;
use tracing::info;

/// Locked as long as the process lives.
const LOCK: &str = "lock";

/// A folder that is deleted in the end.
pub(crate) struct WorkFolder {
    folder: TempDir,
    _lock: File,
}

impl WorkFolder {
    /// A new folder in `parent`, whose name begins with `prefix`. Those beside it go whose processes are gone.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn new(parent: Option<&str>, prefix: &str) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, PathBuf::from);
        let made = || {
            let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(&parent)?;
            // Under its name only when it is locked: nobody takes this process for one that is gone.
            let new = folder.path().join("lock.new");
            let lock = File::create(&new)?;
            lock.lock()?;
            fs::rename(new, folder.path().join(LOCK))?;
            Ok(Self { folder, _lock: lock })
        };
        let folder = made().map_err(|e: std::io::Error| {
            let message = format!("cannot work in \"{}\" (io.tmp.dirs)", parent.display());
            Error::with_source(ErrorKind::Io, message, e)
        })?;
        folder.clear_up(&parent, prefix);
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Deletes what processes have left that were killed.
    fn clear_up(&self, parent: &Path, prefix: &str) {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        for path in named.map(|entry| entry.path()).filter(|path| *path != self.path()) {
            let is_left = File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
            if is_left && fs::remove_dir_all(&path).is_ok() {
                info!("Deleted {}, which a process has left that was killed.", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_have_left_goes_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let new = || WorkFolder::new(parent.path().to_str(), "own-").unwrap();
        let alive = new();
        let dead = parent.path().join("own-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        // Not locked yet, or none of ours.
        let others = ["own-unlocked", "other"].map(|name| parent.path().join(name));
        others.iter().for_each(|path| fs::create_dir(path).unwrap());
        fs::write(others[1].join(LOCK), "").unwrap();
        let next = new();
        assert!(!dead.exists());
        assert!(others.iter().all(|path| path.exists()));
        assert!(alive.path().exists() && next.path().exists());
        let path = alive.path().to_path_buf();
        drop(alive);
        assert!(!path.exists());
    }
}
